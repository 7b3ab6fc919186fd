//! A place in an archive (XEP-0313).

use jid::BareJid;
use jiff::Timestamp;

/// The owner of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Archive {
    /// The account's own archive.
    Own,
    /// The archive of this room.
    Room(BareJid),
}

impl Archive {
    /// Returns the room, if this is a room's archive.
    pub fn room(&self) -> Option<&BareJid> {
        match self {
            Self::Own => None,
            Self::Room(room) => Some(room),
        }
    }
}

/// A position in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The archive id of the last message before the position; `None` if the archive was empty.
    pub id: Option<String>,
    /// When that message arrived or was archived, in case the archive no longer has it.
    pub at: Timestamp,
}
