//! The information that this account announces: the features of the host and those of its plugins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parlor_base::id::InstanceId;
use parlor_config::Settings;
use parlor_stanza::draft::{check_text, written_len};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Caps, Disco, Identity, Reply};

use super::caps;
use crate::command::{Answer, Command};
use crate::deadlines::{DeadlineKey, Late};
use crate::features::Features;
use crate::turn::{Common, Turn};

/// The settings under which a feature is available.
type When = fn(&Settings) -> bool;

/// The host's own features, each with the settings under which it is available. Only features that really work belong
/// here.
const HOST_FEATURES: &[(&str, When)] = &[
    ("http://jabber.org/protocol/caps", always),
    ("http://jabber.org/protocol/disco#info", always),
    ("http://jabber.org/protocol/disco#items", always),
    ("http://jabber.org/protocol/muc", |settings| settings.allow_muc),
    ("jabber:iq:version", always),
    ("jabber:x:conference", |settings| settings.allow_muc),
    // The host follows other clients' changes of the bookmarks (XEP-0402, section 4).
    ("urn:xmpp:bookmarks:1+notify", |settings| settings.allow_muc && settings.allow_bookmarks),
    ("urn:xmpp:ping", always),
    ("urn:xmpp:time", always),
];

fn always(_: &Settings) -> bool {
    true
}

/// Maximum number of features or identities that a plugin may add.
pub(crate) const MAX_OWN: usize = 128;
/// Maximum length of a name, in bytes.
const MAX_NAME: usize = 512;
/// Maximum total length of the plugins' additions as XML: an answer contains all of them in one stanza.
const MAX_ADDED: usize = 48 << 10;
/// How long changes are collected, so that twenty features cause one presence.
pub(crate) const GATHER: Duration = Duration::from_millis(250);
/// Minimum time between two presences that only announce such changes.
const PAUSE: Duration = Duration::from_secs(5);

/// The additions of one plugin.
#[derive(Debug, Default)]
struct Added {
    features: BTreeSet<String>,
    identities: Vec<Identity>,
    /// Whether it removed the default identity.
    no_default: bool,
}

/// The information about the account, and the part of it that was announced.
#[derive(Debug)]
pub(crate) struct Own {
    added: BTreeMap<InstanceId, Added>,
    host: Vec<&'static str>,
    /// Announced features of the host that only some people can use.
    offered: Vec<&'static str>,
    /// The registered information. Without any identity, others get a default one.
    pub(crate) listed: Arc<Disco>,
    shown: Statement,
    /// The information in the last presence.
    told: Option<Statement>,
    /// The priority in the last presence.
    priority: Option<i8>,
    gathering: Option<DeadlineKey>,
    /// When a change was last announced by a presence of its own.
    last_told: Option<Duration>,
}

/// The information for others, with its hash.
#[derive(Debug, Clone)]
struct Statement {
    disco: Arc<Disco>,
    caps: Arc<Caps>,
}

impl Statement {
    fn new(disco: Arc<Disco>) -> Self {
        Self { caps: Arc::new(caps::of(&disco)), disco }
    }
}

impl Own {
    pub(crate) fn new(settings: &Settings) -> Self {
        let nothing = Arc::<Disco>::default();
        let mut own = Self {
            added: BTreeMap::new(),
            host: Vec::new(),
            offered: Vec::new(),
            listed: Arc::clone(&nothing),
            shown: Statement::new(nothing),
            told: None,
            priority: None,
            gathering: None,
            last_told: None,
        };
        own.configure(settings);
        own
    }

    fn configure(&mut self, settings: &Settings) -> bool {
        let supported = HOST_FEATURES.iter().filter(|(_, is_supported)| is_supported(settings));
        self.host = supported.map(|(feature, _)| *feature).collect();
        self.rebuild()
    }

    /// Builds the present information. Returns `false` if it did not change.
    fn rebuild(&mut self) -> bool {
        let mut features: BTreeSet<&str> = self.host.iter().chain(&self.offered).copied().collect();
        features.extend(self.added.values().flat_map(|added| added.features.iter().map(String::as_str)));
        let default = (!self.added.values().any(|added| added.no_default)).then(|| default_identity(Some("parlor")));
        let mut identities: Vec<Identity> = default.into_iter().collect();
        for identity in self.added.values().flat_map(|added| &added.identities) {
            if !identities.contains(identity) {
                identities.push(identity.clone());
            }
        }
        let features = features.into_iter().map(str::to_owned).collect();
        let listed = Disco { identities, features, forms: Vec::new() };
        if listed == *self.listed {
            return false;
        }
        self.listed = Arc::new(listed);
        let shown = if self.listed.identities.is_empty() {
            // XEP-0030, section 3.1: every entity has an identity.
            Arc::new(Disco { identities: vec![default_identity(None)], ..Disco::clone(&self.listed) })
        } else {
            Arc::clone(&self.listed)
        };
        self.shown = Statement::new(shown);
        true
    }

    /// Returns the capabilities for the next presence.
    pub(crate) fn caps(&self) -> Arc<Caps> {
        Arc::clone(&self.shown.caps)
    }

    /// Returns the present information for others.
    pub(super) fn disco(&self) -> &Arc<Disco> {
        &self.shown.disco
    }

    /// Returns the answer to a request, with or without a node. The node of the last presence is still valid for those
    /// who got it.
    pub(crate) fn answer(&self, node: Option<String>) -> Reply {
        // Servers treat an empty node as none, and so does this.
        if node.as_deref().is_none_or(str::is_empty) {
            return Reply::Disco { node, disco: Disco::clone(&self.shown.disco) };
        }
        let statement = self.statements().find(|one| Some(caps::node(&one.caps)) == node);
        match statement {
            Some(statement) => Reply::Disco { disco: Disco::clone(&statement.disco), node },
            None => Reply::Refuse { kind: "cancel", condition: "item-not-found" },
        }
    }

    /// Returns whether this node belongs to this account.
    pub(crate) fn has_node(&self, node: &str) -> bool {
        self.statements().any(|one| caps::node(&one.caps) == node)
    }

    fn statements(&self) -> impl Iterator<Item = &Statement> {
        std::iter::once(&self.shown).chain(&self.told)
    }

    /// Checks whether plugins may add this many more bytes.
    fn has_room(&self, more: usize) -> Result<(), CallError> {
        let added = |added: &Added| {
            let features = added.features.iter().map(|name| feature_len(name)).sum::<usize>();
            features + added.identities.iter().map(identity_len).sum::<usize>()
        };
        if self.added.values().map(added).sum::<usize>() + more > MAX_ADDED {
            return Err(CallError::OverLimit(format!("{MAX_ADDED} bytes of features and identities of all plugins")));
        }
        Ok(())
    }

    fn has_feature(&self, name: &str) -> bool {
        self.listed.features.iter().any(|feature| feature == name)
    }
}

/// Returns the length of a feature as XML.
fn feature_len(name: &str) -> usize {
    "<feature var=''/>".len() + written_len(name)
}

/// Returns the length of an identity as XML.
fn identity_len(identity: &Identity) -> usize {
    let Identity { category, kind, name, lang } = identity;
    let texts = [Some(category), Some(kind), name.as_ref(), lang.as_ref()].into_iter().flatten();
    "<identity category='' type='' name='' xml:lang=''/>".len() + texts.map(|text| written_len(text)).sum::<usize>()
}

/// Returns the identity of a bot that has no other one.
fn default_identity(name: Option<&str>) -> Identity {
    Identity { category: "client".to_owned(), kind: "bot".to_owned(), name: name.map(str::to_owned), lang: None }
}

/// Checks a name that others get. It must not look like several names in the hash of all of them.
fn check_name(argument: &str, name: &str, may_be_empty: bool, forbidden: &[char]) -> Result<(), CallError> {
    check_text(argument, name, MAX_NAME)?;
    if name.is_empty() && !may_be_empty {
        return Err(CallError::invalid(argument, "is empty"));
    }
    match name.chars().find(|c| c.is_control() || forbidden.contains(c)) {
        Some(c) => Err(CallError::invalid(argument, format!("contains {c:?}, which has no place in such a name"))),
        None => Ok(()),
    }
}

/// Add a feature that this account announces. Answered with `false` if it was announced already.
#[derive(Debug)]
pub struct AddFeature {
    /// The calling instance.
    pub by: InstanceId,
    /// The feature to announce.
    pub name: String,
}

impl Command for AddFeature {
    type Answer = bool;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        let result = turn.add_feature(self.by, self.name);
        turn.answer(answer, result);
    }
}

/// Add an identity that this account announces. Answered with `false` if it was announced already.
#[derive(Debug)]
pub struct AddIdentity {
    /// The calling instance.
    pub by: InstanceId,
    /// The identity to announce.
    pub identity: Identity,
}

impl Command for AddIdentity {
    type Answer = bool;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        let result = turn.add_identity(self.by, self.identity);
        turn.answer(answer, result);
    }
}

/// Remove the default identity, and those that the plugin added. Answered when they are removed.
#[derive(Debug)]
pub struct ClearIdentities {
    /// The calling instance.
    pub by: InstanceId,
}

impl Command for ClearIdentities {
    type Answer = ();

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        turn.clear_identities(self.by);
        turn.answer(answer, Ok(()));
    }
}

impl Common {
    fn add_identity(&mut self, by: InstanceId, identity: Identity) -> Result<bool, CallError> {
        check_name("category", &identity.category, false, &['<', '/'])?;
        check_name("kind", &identity.kind, false, &['<', '/'])?;
        check_name("name", identity.name.as_deref().unwrap_or_default(), true, &['<'])?;
        if let Some(lang) = &identity.lang {
            check_name("lang", lang, false, &['<', '/', ' '])?;
        }
        let own = &mut self.own_disco;
        let is_new = !own.listed.identities.contains(&identity);
        if !own.added.get(&by).is_some_and(|added| added.identities.contains(&identity)) {
            own.has_room(identity_len(&identity))?;
        }
        let added = own.added.entry(by).or_default();
        if !added.identities.contains(&identity) {
            if added.identities.len() >= MAX_OWN {
                return Err(CallError::OverLimit(format!("{MAX_OWN} own identities")));
            }
            added.identities.push(identity);
        }
        self.own_changed();
        Ok(is_new)
    }

    /// Sets the announced features of the host that only some people can use.
    pub(crate) fn offer(&mut self, features: Vec<&'static str>) {
        self.own_disco.offered = features;
        self.own_changed();
    }

    fn add_feature(&mut self, by: InstanceId, name: String) -> Result<bool, CallError> {
        check_name("name", &name, false, &['<'])?;
        let own = &mut self.own_disco;
        let is_new = !own.has_feature(&name);
        if !own.added.get(&by).is_some_and(|added| added.features.contains(&name)) {
            own.has_room(feature_len(&name))?;
        }
        let added = own.added.entry(by).or_default();
        if added.features.len() >= MAX_OWN && !added.features.contains(&name) {
            return Err(CallError::OverLimit(format!("{MAX_OWN} own features")));
        }
        // It is noted even if it exists already: the other plugin may end first.
        added.features.insert(name);
        self.own_changed();
        Ok(is_new)
    }

    /// Notes that a presence for everyone is sent.
    pub(crate) fn caps_told(&mut self) {
        let own = &mut self.own_disco;
        own.told = Some(own.shown.clone());
        own.priority = Some(self.settings.priority);
    }

    pub(crate) fn own_changed(&mut self) {
        if self.own_disco.rebuild() {
            self.changed = true;
            self.gather();
        }
    }

    /// Applies settings that may change the features or the priority.
    pub(crate) fn configure_own(&mut self) {
        let is_new = self.own_disco.configure(&self.settings);
        if is_new || self.own_disco.priority.is_some_and(|told| told != self.settings.priority) {
            self.changed = true;
            self.gather();
        }
    }

    /// Notes that nothing has been announced on the next stream.
    pub(crate) fn caps_untold(&mut self) {
        let own = &mut self.own_disco;
        own.told = None;
        own.priority = None;
        self.deadlines.replace(&mut own.gathering, None);
    }

    fn clear_identities(&mut self, by: InstanceId) {
        let added = self.own_disco.added.entry(by).or_default();
        added.identities.clear();
        added.no_default = true;
        self.own_changed();
    }

    /// Schedules an announcement, one for all changes within a moment.
    pub(crate) fn gather(&mut self) {
        let own = &mut self.own_disco;
        if own.gathering.is_some() || !self.announced {
            return;
        }
        let since = own.last_told.map(|at| self.deadlines.elapsed().saturating_sub(at));
        let pause = since.map_or(Duration::ZERO, |since| PAUSE.saturating_sub(since));
        own.gathering = Some(self.deadlines.set(GATHER.max(pause), Late::Caps));
    }

    /// Removes the additions of an instance. The next announcement reports it.
    pub(crate) fn forget_own(&mut self, gone: InstanceId) {
        if self.own_disco.added.remove(&gone).is_some() {
            self.own_changed();
        }
    }
}

impl Turn<'_> {
    /// Returns whether the changes that were collected have to be announced now.
    pub(crate) fn caps_are_due(&mut self) -> bool {
        let own = &mut self.common.own_disco;
        own.gathering = None;
        let is_told = own.told.as_ref().is_some_and(|told| told.caps == own.shown.caps)
            && own.priority == Some(self.common.settings.priority);
        if is_told || !self.announced || !self.is_live() || self.status.value.is_hidden() {
            return false;
        }
        self.own_disco.last_told = Some(self.deadlines.elapsed());
        true
    }
}
