//! The people who own accounts.

use std::collections::HashSet;

use jid::BareJid;

use crate::{AccountConfig, Config};

impl Config {
    /// Returns the owners of all accounts to whom these can write: those who can be sent a link to log in to the window with.
    pub fn owners(&self) -> HashSet<BareJid> {
        let of = |account: &AccountConfig| {
            let owners = account.owners.iter().filter(|jid| account.has_owner(jid));
            owners.cloned().collect::<Vec<_>>()
        };
        self.accounts.values().flat_map(of).collect()
    }

    /// Returns whether this person is an owner of each account, and so may see and control the whole host. An account that a
    /// stranger has made takes that from nobody if it has no owners at all.
    pub fn is_owned_by(&self, jid: &BareJid) -> bool {
        let is_made = |account: &AccountConfig| account.name.is_of_new_address() && account.owners.is_empty();
        let mut counting = self.accounts.values().filter(|account| !is_made(account)).peekable();
        counting.peek().is_some() && counting.all(|account| account.owners.contains(jid))
    }
}
