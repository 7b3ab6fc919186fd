//! What this account says of itself: the host's features and those of its plugins (API rows 109–113).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::caps;
use crate::config::Settings;
use crate::error::CallError;
use crate::plugins::InstanceId;
use crate::session::deadlines::{DeadlineKey, Late};
use crate::session::messages::{check_text, written_len};
use crate::session::{Session, Turn};
use crate::stanza::{Caps, Disco, Identity, Reply};

/// The settings under which something can be done.
type When = fn(&Settings) -> bool;

/// What the host itself can do, each with the settings under which it can. Only what it really does belongs here.
const HOST_FEATURES: &[(&str, When)] = &[
    ("http://jabber.org/protocol/caps", always),
    ("http://jabber.org/protocol/disco#info", always),
    ("http://jabber.org/protocol/disco#items", always),
    ("http://jabber.org/protocol/muc", |settings| settings.allow_muc),
    ("jabber:iq:version", always),
    ("jabber:x:conference", |settings| settings.allow_muc),
    // Other clients' changes of the bookmarks are followed (XEP-0402, section 4).
    ("urn:xmpp:bookmarks:1+notify", |settings| settings.allow_muc && settings.allow_bookmarks),
    ("urn:xmpp:ping", always),
    ("urn:xmpp:time", always),
];

fn always(_: &Settings) -> bool {
    true
}

/// How many features or identities a plugin may add.
pub(in crate::session) const MAX_OWN: usize = 128;
/// How long a name may be, in bytes.
const MAX_NAME: usize = 512;
/// How long all that plugins add may be once it is written as XML: whoever asks is answered with all of it in one stanza.
const MAX_ADDED: usize = 48 << 10;
/// How long changes are gathered, so that twenty features are one presence.
pub(in crate::session) const GATHER: Duration = Duration::from_millis(250);
/// The least time between two presences that say nothing but that.
const PAUSE: Duration = Duration::from_secs(5);

/// What one plugin added.
#[derive(Debug, Default)]
struct Added {
    features: BTreeSet<String>,
    identities: Vec<Identity>,
    /// It took the default identity away.
    no_default: bool,
}

/// What the account says, and what its contacts were told of it.
#[derive(Debug)]
pub(in crate::session) struct Own {
    added: BTreeMap<InstanceId, Added>,
    host: Vec<&'static str>,
    /// What the host can do beside that for some.
    offered: Vec<&'static str>,
    /// What is registered. Without any identity it is not what others are told.
    pub(in crate::session) listed: Arc<Disco>,
    shown: Statement,
    /// What the last presence said.
    told: Option<Statement>,
    /// The priority that it had.
    priority: Option<i8>,
    gathering: Option<DeadlineKey>,
    /// When a change was last told by a presence of its own.
    last_told: Option<Duration>,
}

/// What others are told, and its hash.
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
    pub(super) fn new(settings: &Settings) -> Self {
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

    /// Puts together what is said now. False: it is what was said before.
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
            // XEP-0030, section 3.1: everybody is something.
            Arc::new(Disco { identities: vec![default_identity(None)], ..Disco::clone(&self.listed) })
        } else {
            Arc::clone(&self.listed)
        };
        self.shown = Statement::new(shown);
        true
    }

    /// What the next presence says.
    pub(in crate::session) fn caps(&self) -> Arc<Caps> {
        Arc::clone(&self.shown.caps)
    }

    /// What this account is and can do, for itself.
    pub(super) fn disco(&self) -> &Arc<Disco> {
        &self.shown.disco
    }

    /// The answer to somebody who asks, of a node or not. What the last presence spoke of is still true for who heard it.
    pub(in crate::session) fn answer(&self, node: Option<String>) -> Reply {
        // An empty one is none, as it is to servers.
        if node.as_deref().is_none_or(str::is_empty) {
            return Reply::Disco { node, disco: Disco::clone(&self.shown.disco) };
        }
        let statement = self.statements().find(|one| Some(caps::node(&one.caps)) == node);
        match statement {
            Some(statement) => Reply::Disco { disco: Disco::clone(&statement.disco), node },
            None => Reply::Refuse { kind: "cancel", condition: "item-not-found" },
        }
    }

    /// Whether this node is one of this account's.
    pub(in crate::session) fn has_node(&self, node: &str) -> bool {
        self.statements().any(|one| caps::node(&one.caps) == node)
    }

    fn statements(&self) -> impl Iterator<Item = &Statement> {
        std::iter::once(&self.shown).chain(&self.told)
    }

    /// Whether there is room for so many bytes more of what plugins add.
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

/// How long a feature is once it is written.
fn feature_len(name: &str) -> usize {
    "<feature var=''/>".len() + written_len(name)
}

/// How long an identity is once it is written.
fn identity_len(identity: &Identity) -> usize {
    let Identity { category, kind, name, lang } = identity;
    let texts = [Some(category), Some(kind), name.as_ref(), lang.as_ref()].into_iter().flatten();
    "<identity category='' type='' name='' xml:lang=''/>".len() + texts.map(|text| written_len(text)).sum::<usize>()
}

/// What a bot is when nobody says more.
fn default_identity(name: Option<&str>) -> Identity {
    Identity { category: "client".to_owned(), kind: "bot".to_owned(), name: name.map(str::to_owned), lang: None }
}

/// A name that others are told, and that cannot pretend to be several in the hash over all of them.
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

impl Session {
    pub(in crate::session) fn add_feature(&mut self, by: InstanceId, name: String) -> Result<bool, CallError> {
        check_name("name", &name, false, &['<'])?;
        let own = &mut self.disco.own;
        let is_new = !own.has_feature(&name);
        if !own.added.get(&by).is_some_and(|added| added.features.contains(&name)) {
            own.has_room(feature_len(&name))?;
        }
        let added = own.added.entry(by).or_default();
        if added.features.len() >= MAX_OWN && !added.features.contains(&name) {
            return Err(CallError::OverLimit(format!("{MAX_OWN} own features")));
        }
        // It is noted even if it is there: whoever else added it may go first.
        added.features.insert(name);
        self.own_changed();
        Ok(is_new)
    }

    pub(in crate::session) fn add_identity(&mut self, by: InstanceId, identity: Identity) -> Result<bool, CallError> {
        check_name("category", &identity.category, false, &['<', '/'])?;
        check_name("kind", &identity.kind, false, &['<', '/'])?;
        check_name("name", identity.name.as_deref().unwrap_or_default(), true, &['<'])?;
        if let Some(lang) = &identity.lang {
            check_name("lang", lang, false, &['<', '/', ' '])?;
        }
        let own = &mut self.disco.own;
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

    pub(in crate::session) fn clear_identities(&mut self, by: InstanceId) {
        let added = self.disco.own.added.entry(by).or_default();
        added.identities.clear();
        added.no_default = true;
        self.own_changed();
    }

    /// Takes away what an instance added. Its presence follows when changes are next told.
    pub(in crate::session) fn forget_own(&mut self, gone: InstanceId) {
        if self.disco.own.added.remove(&gone).is_some() {
            self.own_changed();
        }
    }

    /// The settings may say other features than before, or another priority.
    pub(in crate::session) fn configure_own(&mut self) {
        let is_new = self.disco.own.configure(&self.settings);
        if is_new || self.disco.own.priority.is_some_and(|told| told != self.settings.priority) {
            self.changed = true;
            self.gather();
        }
    }

    /// The host can do this beside the rest, for some; or nothing of the kind any more.
    pub(in crate::session) fn offer(&mut self, features: Vec<&'static str>) {
        self.disco.own.offered = features;
        self.own_changed();
    }

    fn own_changed(&mut self) {
        if self.disco.own.rebuild() {
            self.changed = true;
            self.gather();
        }
    }

    /// Sees to it that others are told, once for all that changes within a moment.
    fn gather(&mut self) {
        let own = &mut self.disco.own;
        if own.gathering.is_some() || !self.announced {
            return;
        }
        let since = own.last_told.map(|at| self.deadlines.elapsed().saturating_sub(at));
        let pause = since.map_or(Duration::ZERO, |since| PAUSE.saturating_sub(since));
        own.gathering = Some(self.deadlines.set(GATHER.max(pause), Late::Caps));
    }

    /// The moment is over.
    pub(in crate::session) fn caps_due(&mut self, turn: &mut Turn<'_>) {
        let own = &mut self.disco.own;
        own.gathering = None;
        let is_told = own.told.as_ref().is_some_and(|told| told.caps == own.shown.caps)
            && own.priority == Some(self.settings.priority);
        if is_told || !self.announced || !self.is_live() || self.status.value.is_hidden() {
            return;
        }
        self.disco.own.last_told = Some(self.deadlines.elapsed());
        self.announce(turn);
    }

    /// A presence for everybody goes out.
    pub(in crate::session) fn caps_told(&mut self) {
        let own = &mut self.disco.own;
        own.told = Some(own.shown.clone());
        own.priority = Some(self.settings.priority);
    }

    /// Nobody has heard anything on the next stream.
    pub(in crate::session) fn caps_untold(&mut self) {
        let own = &mut self.disco.own;
        own.told = None;
        own.priority = None;
        self.deadlines.replace(&mut own.gathering, None);
    }
}
