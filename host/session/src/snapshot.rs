//! The snapshot: the state of an account that readers see without asking its task.

use std::sync::Arc;

use imbl::{HashSet, OrdMap};
use jid::{BareJid, Jid};
use parlor_stanza::types::Disco;

use crate::archive::OwnArchive;
use crate::bookmarks::{Bookmarks, NoBookmarks};
use crate::disco::known::KnownDisco;
use crate::records::chat::Chat;
use crate::records::contact::{Contact, Contacts};
use crate::records::room::Room;
use crate::records::room_record::RoomRecords;
use crate::records::status::Status;

/// The state of an account at one moment. Cloning it copies a few pointers.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The bound full JID; before the first log-in, the configured one.
    pub jid: Jid,
    /// Whether there is a connection with a bound resource.
    pub connected: bool,
    /// The own status.
    pub status: Status,
    /// The roster, and people who ask to see our presence. None until the roster has come.
    pub contacts: Option<Contacts>,
    /// The people among them who only ask.
    pub strangers: HashSet<BareJid>,
    /// The open chats.
    pub chats: OrdMap<BareJid, Arc<Chat>>,
    /// The rooms that were opened.
    pub rooms: OrdMap<BareJid, Arc<Room>>,
    /// The owner's view of the rooms, including those that the account is out of.
    pub room_records: RoomRecords,
    /// The bookmarks of the account.
    pub bookmarks: Result<Bookmarks, NoBookmarks>,
    /// Whether the bookmarks are where older clients keep them (XEP-0048), and none can be removed.
    pub bookmarks_older: bool,
    /// The information that this account announces about itself.
    pub own: Arc<Disco>,
    /// The information about other entities.
    pub known: KnownDisco,
    /// Whether the account has an archive. None until that is known and messages may come.
    pub archive: Option<OwnArchive>,
    /// The number of times that a room that we are in has reported whether it has an archive.
    pub rooms_told: u64,
}

impl Snapshot {
    /// Returns whether someone is in the roster. People who only ask do not count: grants for `contacts` are for people
    /// whom the owner knows.
    pub fn is_contact(&self, jid: &BareJid) -> bool {
        self.entry(jid).is_some()
    }

    /// Returns the entry of someone in the roster, and not of someone who only asks.
    pub fn entry(&self, jid: &BareJid) -> Option<&Arc<Contact>> {
        self.contacts.as_ref()?.get(jid).filter(|_| !self.strangers.contains(jid))
    }

    /// Returns whether this room is open, or a bookmark makes the account enter it automatically, now or at its next
    /// log-in.
    pub fn is_kept_open(&self, room: &BareJid) -> bool {
        let says_so = |all: &Bookmarks| all.get(room).is_some_and(|bookmark| bookmark.autojoin);
        self.rooms.contains_key(room) || self.bookmarks.as_ref().is_ok_and(says_so)
    }
}
