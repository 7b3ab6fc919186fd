//! The rooms that an account knows, for plugins that the owner keeps to some of them.

use std::fmt;
use std::sync::{OnceLock, Weak};

use jid::BareJid;

/// Tells the rooms that an account knows, whether it is in them or not.
pub trait KnowsRooms: Send + Sync {
    /// Returns whether this is the address of a room.
    fn is_room(&self, jid: &BareJid) -> bool;
}

/// The account that tells a mailbox which addresses are rooms. Without one, none is known.
#[derive(Default)]
pub(super) struct KnownRooms(OnceLock<Weak<dyn KnowsRooms>>);

impl KnownRooms {
    /// Asks this account from now on. Only the first call has an effect. The account holds the mailboxes of its plugins, so
    /// they do not hold it.
    pub(super) fn ask(&self, account: Weak<dyn KnowsRooms>) {
        let _ = self.0.set(account);
    }

    pub(super) fn has(&self, jid: &BareJid) -> bool {
        self.0.get().and_then(Weak::upgrade).is_some_and(|account| account.is_room(jid))
    }
}

impl fmt::Debug for KnownRooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownRooms").finish_non_exhaustive()
    }
}
