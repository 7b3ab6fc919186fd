//! The information that this account announces: the features of the host and those of its plugins.

pub(crate) mod announcing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use parlor_base::id::InstanceId;
use parlor_config::Settings;
use parlor_stanza::draft::written_len;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Caps, Disco, Identity, Reply};

use super::caps;
use crate::deadlines::DeadlineKey;

/// The host's own features, each with the settings under which it is available. Only features that really work belong
/// here.
const HOST_FEATURES: &[(&str, When)] = &[
    ("http://jabber.org/protocol/caps", always),
    ("http://jabber.org/protocol/disco#info", always),
    ("http://jabber.org/protocol/disco#items", always),
    ("http://jabber.org/protocol/muc", |settings| settings.allow_muc),
    ("jabber:iq:version", always),
    ("jabber:x:conference", |settings| settings.allow_muc),
    // The same where the server has only those of older clients (XEP-0048).
    ("storage:bookmarks+notify", |settings| settings.allow_muc && settings.allow_bookmarks),
    // The host follows other clients' changes of the bookmarks (XEP-0402, section 4).
    ("urn:xmpp:bookmarks:1+notify", |settings| settings.allow_muc && settings.allow_bookmarks),
    ("urn:xmpp:ping", always),
    ("urn:xmpp:time", always),
];
/// Maximum total length of the plugins' additions as XML: an answer contains all of them in one stanza.
const MAX_ADDED: usize = 48 << 10;

/// The settings under which a feature is available.
type When = fn(&Settings) -> bool;

fn always(_: &Settings) -> bool {
    true
}

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
    /// The additions of parked plugins that these have not made again since.
    kept: BTreeMap<InstanceId, Added>,
    /// The plugins that may not announce anything now. Their additions come back with their grant.
    withheld: BTreeSet<InstanceId>,
    host: Vec<&'static str>,
    /// Announced features of the host that only some people can use.
    offered: Vec<&'static str>,
    /// The nodes of which contacts' servers are to tell (XEP-0163, section 4.3), as features.
    notified: Vec<&'static str>,
    /// The namespaces whose requests plugins answer.
    answered: Vec<String>,
    /// The registered information. Without any identity, others get a default one.
    pub(crate) listed: Arc<Disco>,
    shown: Statement,
    /// The information in the last presence.
    told: Option<Statement>,
    /// The priority in the last presence.
    priority: Option<i8>,
    gathering: Option<DeadlineKey>,
    /// When a change was last announced by a separate presence.
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
            kept: BTreeMap::new(),
            withheld: BTreeSet::new(),
            host: Vec::new(),
            offered: Vec::new(),
            notified: Vec::new(),
            answered: Vec::new(),
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
        let mut features: BTreeSet<&str> =
            self.host.iter().chain(&self.offered).chain(&self.notified).copied().collect();
        features.extend(self.announced().flat_map(|added| added.features.iter().map(String::as_str)));
        features.extend(self.answered.iter().map(String::as_str));
        let default = (!self.announced().any(|added| added.no_default)).then(|| default_identity(Some("parlor")));
        let mut identities: Vec<Identity> = default.into_iter().collect();
        for identity in self.announced().flat_map(|added| &added.identities) {
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
        let answered = self.answered.iter().map(|name| feature_len(name)).sum::<usize>();
        if self.all_added().map(added).sum::<usize>() + answered + more > MAX_ADDED {
            return Err(CallError::OverLimit(format!("{MAX_ADDED} bytes of features and identities of all plugins")));
        }
        Ok(())
    }

    /// Returns the additions of all plugins, parked ones included.
    fn all_added(&self) -> impl Iterator<Item = &Added> {
        self.added.values().chain(self.kept.values())
    }

    /// Returns the additions of the plugins that may announce something, parked ones included.
    fn announced(&self) -> impl Iterator<Item = &Added> {
        let all = self.added.iter().chain(&self.kept);
        all.filter(|(by, _)| !self.withheld.contains(*by)).map(|(_, added)| added)
    }

    fn has_feature(&self, name: &str) -> bool {
        self.host.iter().chain(&self.offered).chain(&self.notified).any(|feature| *feature == name)
            || self.announced().any(|added| added.features.contains(name))
            || self.answered.iter().any(|answered| answered == name)
    }

    /// Takes a feature that a plugin had before it was parked, which it now adds again.
    fn claim_feature(&mut self, by: InstanceId, name: &str) {
        if let Some(kept) = self.kept.get_mut(&by) {
            kept.features.remove(name);
        }
    }

    /// Takes an identity that a plugin had before it was parked, which it now adds again.
    fn claim_identity(&mut self, by: InstanceId, identity: &Identity) {
        if let Some(kept) = self.kept.get_mut(&by) {
            kept.identities.retain(|one| one != identity);
        }
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
