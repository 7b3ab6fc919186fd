//! What readers see of an account, without asking its task.

use std::sync::Arc;

use imbl::{HashSet, OrdMap};
use jid::{BareJid, Jid};

use crate::session::{Bookmarks, Chat, Contacts, KnownDisco, NoBookmarks, OwnArchive, Room, Status};
use crate::stanza::Disco;

/// What readers see, as of one moment. Cloning it copies a few pointers.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The bound full JID; before the first log-in, the configured one.
    pub jid: Jid,
    /// There is a connection with a bound resource.
    pub connected: bool,
    /// The own status.
    pub status: Status,
    /// The roster, and who asks to be let into it; none until it has come.
    pub contacts: Option<Contacts>,
    /// Who only asks.
    pub strangers: HashSet<BareJid>,
    /// Open chats.
    pub chats: OrdMap<BareJid, Arc<Chat>>,
    /// Rooms that were opened.
    pub rooms: OrdMap<BareJid, Arc<Room>>,
    /// Rooms that the account has put down.
    pub bookmarks: Result<Bookmarks, NoBookmarks>,
    /// What this account says of itself.
    pub own: Arc<Disco>,
    /// What others said of themselves.
    pub known: KnownDisco,
    /// Whether the account has an archive; none until that is known and messages may come.
    pub archive: Option<OwnArchive>,
    /// How often rooms that we are in have said whether they have one.
    pub rooms_told: u64,
}

impl Snapshot {
    /// Whether somebody is in the roster. Who asks to be let in is not: grants for `contacts` are for whom the owner knows.
    pub fn is_contact(&self, jid: &BareJid) -> bool {
        self.contacts.as_ref().is_some_and(|contacts| contacts.contains_key(jid)) && !self.strangers.contains(jid)
    }

    /// Whether this room is open, or a bookmark says that the account enters it by itself, now or with its next log-in.
    pub(crate) fn is_kept_open(&self, room: &BareJid) -> bool {
        let says_so = |all: &Bookmarks| all.get(room).is_some_and(|bookmark| bookmark.autojoin);
        self.rooms.contains_key(room) || self.bookmarks.as_ref().is_ok_and(says_so)
    }
}
