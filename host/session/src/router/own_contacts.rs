//! Contacts that a plugin added to the roster itself. They do not count for its own grants: otherwise `contacts.write`
//! would make `contacts` mean everyone.

use std::sync::Arc;

use arc_swap::ArcSwap;
use imbl::{HashMap, HashSet};
use jid::BareJid;
use parlor_base::id::PluginId;

/// The contacts that the plugins of one account added, by plugin. Reading it takes no lock. Most plugins add none, and take no
/// memory here.
#[derive(Debug, Default)]
pub struct PluginContacts(ArcSwap<HashMap<PluginId, HashSet<BareJid>>>);

impl PluginContacts {
    /// Returns those that a plugin added, now and later.
    pub fn of(self: &Arc<Self>, plugin: &PluginId) -> OwnContacts {
        OwnContacts { all: Arc::clone(self), plugin: plugin.clone() }
    }

    /// Removes a contact from those of all plugins. Returns whether a plugin had added it.
    pub fn remove(&self, jid: &BareJid) -> bool {
        let all = self.0.load_full();
        let had = all.iter().filter(|(_, own)| own.contains(jid));
        had.filter(|(plugin, _)| self.remove_of(plugin, jid)).count() > 0
    }

    fn remove_of(&self, plugin: &PluginId, jid: &BareJid) -> bool {
        let before = self.0.rcu(|all| {
            let mut new = HashMap::clone(all);
            let left = new.remove(plugin).map(|own| own.without(jid));
            if let Some(left) = left.filter(|left| !left.is_empty()) {
                new.insert(plugin.clone(), left);
            }
            Arc::new(new)
        });
        before.get(plugin).is_some_and(|own| own.contains(jid))
    }
}

/// The contacts that one plugin added to one account.
#[derive(Debug, Clone)]
pub struct OwnContacts {
    all: Arc<PluginContacts>,
    plugin: PluginId,
}

impl OwnContacts {
    /// Returns whether the plugin added this contact.
    pub fn has(&self, jid: &BareJid) -> bool {
        let all = self.all.0.load();
        !all.is_empty() && all.get(&self.plugin).is_some_and(|own| own.contains(jid))
    }

    /// Returns how many contacts the plugin added.
    pub fn count(&self) -> usize {
        self.all.0.load().get(&self.plugin).map_or(0, HashSet::len)
    }

    /// Notes that the plugin added these contacts.
    pub fn add(&self, jids: &[BareJid]) {
        // A copy shares what does not change.
        self.all.0.rcu(|all| {
            let mut new = HashMap::clone(all);
            new.entry(self.plugin.clone()).or_default().extend(jids.iter().cloned());
            Arc::new(new)
        });
    }

    /// Forgets a contact. Returns whether the plugin had added it.
    pub fn remove(&self, jid: &BareJid) -> bool {
        self.all.remove_of(&self.plugin, jid)
    }
}
