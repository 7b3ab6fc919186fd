//! Contacts that a plugin added to the roster itself. They do not count for its own grants: otherwise `contacts.write`
//! would make `contacts` mean everyone.

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use imbl::HashSet;
use jid::BareJid;

/// The contacts that one plugin added to one account. Reading it takes no lock.
#[derive(Debug)]
pub struct OwnContacts(ArcSwap<HashSet<BareJid>>);

impl Default for OwnContacts {
    fn default() -> Self {
        // Most plugins add none.
        static NONE: LazyLock<Arc<HashSet<BareJid>>> = LazyLock::new(Arc::default);
        Self(ArcSwap::new(Arc::clone(&NONE)))
    }
}

impl OwnContacts {
    /// Returns whether the plugin added this contact.
    pub fn has(&self, jid: &BareJid) -> bool {
        let all = self.0.load();
        !all.is_empty() && all.contains(jid)
    }

    /// Returns how many contacts the plugin added.
    pub fn count(&self) -> usize {
        self.0.load().len()
    }

    /// Counts these contacts as added by the plugin.
    pub fn add(&self, jids: &[BareJid]) {
        // A copy shares what does not change.
        self.0.rcu(|all| {
            let mut new = HashSet::clone(all);
            new.extend(jids.iter().cloned());
            Arc::new(new)
        });
    }

    /// Counts this contact like any other one. Returns whether the plugin had added it.
    pub fn remove(&self, jid: &BareJid) -> bool {
        let before = self.0.rcu(|all| Arc::new(all.without(jid)));
        before.contains(jid)
    }
}
