//! The rooms that an account knows, for plugins that the owner keeps to some of them.

use std::fmt;
use std::sync::Weak;

use jid::BareJid;

/// Tells the rooms that an account knows, whether it is in them or not.
pub trait KnowsRooms: Send + Sync {
    /// Returns whether this is the address of a room.
    fn is_room(&self, jid: &BareJid) -> bool;
}

/// The account that tells a mailbox which addresses are rooms. Without one, none is known.
pub(super) struct KnownRooms(Option<Weak<dyn KnowsRooms>>);

impl KnownRooms {
    /// Asks this account. It holds the mailboxes of its plugins, so they do not hold it.
    pub(super) fn of(account: Option<Weak<dyn KnowsRooms>>) -> Self {
        Self(account)
    }

    pub(super) fn has(&self, jid: &BareJid) -> bool {
        self.0.as_ref().and_then(Weak::upgrade).is_some_and(|account| account.is_room(jid))
    }
}

impl fmt::Debug for KnownRooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownRooms").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jid::Jid;
    use parlor_base::id::InstanceId;
    use parlor_base::permission::Permission;

    use super::*;
    use crate::permissions::{Decision, Grants, RoomList, Target, Use};
    use crate::router::{Mailbox, Setup};

    /// An account that is in one room.
    struct Account;

    impl KnowsRooms for Account {
        fn is_room(&self, jid: &BareJid) -> bool {
            jid.as_str() == "hall@elsewhere.example"
        }
    }

    #[test]
    fn a_room_that_the_account_is_in_is_out_of_reach_wherever_it_is() {
        let rooms = RoomList::new([RoomList::room("lounge@muc.example.org").unwrap()]);
        let grants = Arc::new(Grants::all().in_rooms(Some(rooms)));
        let account = Arc::new(Account);
        let asked: Weak<Account> = Arc::downgrade(&account);
        let mailbox = |account: Option<Weak<dyn KnowsRooms>>| {
            Mailbox::with(InstanceId::next(), 1, Arc::clone(&grants), Setup { account, ..Setup::default() }).0
        };
        let decide = |mailbox: &Mailbox, jid: &str| {
            let jid: Jid = jid.parse().unwrap();
            mailbox.decide(Use::Call(Permission::MessagesSend, Target::Jid(&jid)), Some(&|_| false)).unwrap()
        };
        let covered = Decision::Covered(Permission::MessagesSend);
        let out = Decision::OutOfScope(Permission::MessagesSend);
        assert_eq!(decide(&mailbox(None), "hall@elsewhere.example/juliet"), covered, "nobody says that it is a room");
        let mailbox = mailbox(Some(asked));
        assert_eq!(decide(&mailbox, "hall@elsewhere.example"), out);
        assert_eq!(decide(&mailbox, "hall@elsewhere.example/juliet"), out);
        assert_eq!(decide(&mailbox, "juliet@elsewhere.example"), covered);
        assert_eq!(decide(&mailbox, "lounge@muc.example.org/juliet"), covered);
    }
}
