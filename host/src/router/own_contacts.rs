//! Contacts that a plugin added to the roster itself. They do not count for its own grants: otherwise `contacts.write`
//! would make `contacts` mean everyone.

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jid::BareJid;

/// The contacts that one plugin added to one account. Reading it takes no lock.
#[derive(Debug, Default)]
pub struct OwnContacts(ArcSwap<HashSet<BareJid>>);

impl OwnContacts {
    /// Returns whether the plugin added this contact.
    pub fn has(&self, jid: &BareJid) -> bool {
        let all = self.0.load();
        !all.is_empty() && all.contains(jid)
    }

    /// Counts this contact as added by the plugin.
    pub(crate) fn add(&self, jid: &BareJid) {
        self.change(|all| all.insert(jid.clone()));
    }

    /// Counts this contact like any other one. Returns whether the plugin had added it.
    pub(crate) fn remove(&self, jid: &BareJid) -> bool {
        self.has(jid) && self.change(|all| all.remove(jid))
    }

    fn change(&self, change: impl Fn(&mut HashSet<BareJid>) -> bool) -> bool {
        let mut changed = false;
        self.0.rcu(|all| {
            let mut new = HashSet::clone(all);
            changed = change(&mut new);
            Arc::new(new)
        });
        changed
    }
}
