//! What is said to rooms and by rooms (XEP-0045), and of them in bookmarks (XEP-0402).

use jid::{BareJid, Jid};
use jiff::Timestamp;

/// How many fields of a form are read; with more than that it is no form that this house fills in.
pub const MAX_FORM_FIELDS: usize = 512;
/// How many people of one affiliation are read.
pub const MAX_AFFILIATED: usize = 10_000;
/// How many bookmarks are kept.
pub const MAX_BOOKMARKS: usize = 1_000;

/// An invitation to a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Invite {
    pub room: BareJid,
    pub from: Jid,
    pub to: Jid,
    pub reason: Option<String>,
    pub password: Option<String>,
}

/// Who changed the role or the affiliation of an occupant. Fields as in `actor` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Actor {
    pub nick: Option<String>,
    pub jid: Option<Jid>,
}

/// What a room says of an occupant, or of what happened to it (XEP-0045, `muc#user`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MucUser {
    /// `none`, `outcast`, `member`, `admin` or `owner`; empty where the room does not say.
    pub affiliation: String,
    /// `none`, `visitor`, `participant` or `moderator`; empty where the room does not say.
    pub role: String,
    /// The real JID, where the room shows it.
    pub jid: Option<Jid>,
    /// The new nickname, with status 303.
    pub nick: Option<String>,
    /// Why it was kicked, banned or the room destroyed.
    pub reason: Option<String>,
    /// Who did that, where the room says so.
    pub actor: Option<Actor>,
    /// Status codes, such as 110 for oneself.
    pub status: Vec<u16>,
    /// The room is gone; where people were sent to, if anywhere.
    pub destroyed: Option<Option<BareJid>>,
    /// Whom the room knows it to be (XEP-0421); to be believed only of a room that announces it.
    pub occupant_id: Option<String>,
}

/// How a room is entered (XEP-0045, sections 7.2.5 and 7.2.14).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomJoin {
    /// The room's password.
    pub password: Option<String>,
    /// How much of its past is asked for; none = what the room likes to send.
    pub history: Option<History>,
}

/// How much of a room's past is asked for. Fields as in `history` of `wit/rooms.wit`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct History {
    pub max_chars: Option<u32>,
    pub max_stanzas: Option<u32>,
    pub seconds: Option<u32>,
    pub since: Option<Timestamp>,
}

/// A field of a form that a room wants filled in (XEP-0004, section 3.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FormField {
    /// Its name.
    pub var: String,
    /// Its type, such as `boolean` or `list-multi`.
    pub kind: String,
    /// What it is set to.
    pub values: Vec<String>,
    /// What it may be set to; empty = anything.
    pub options: Vec<String>,
}

/// Somebody whom a room knows by an affiliation. Fields as in `affiliated` of `wit/rooms.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Affiliated {
    pub jid: BareJid,
    pub affiliation: String,
    pub nick: Option<String>,
    pub reason: Option<String>,
}

/// A room that the account has put down. Fields as in `bookmark` of `wit/rooms.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Bookmark {
    pub room: BareJid,
    pub name: Option<String>,
    pub autojoin: bool,
    pub nick: Option<String>,
    pub password: Option<String>,
    /// What other clients keep with it, as XML; it has to survive a change of ours (XEP-0402, section 2).
    pub extensions: Option<String>,
    /// There is more of that than is kept.
    pub is_cut: bool,
}

/// Where the bookmarks of an account may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookmarkPlace {
    /// Each on its own, in a node of the account (XEP-0402).
    Items,
    /// All in one, in a node of the account (XEP-0048).
    Node,
    /// All in one, in the account's private storage (XEP-0048 with XEP-0049), the oldest place.
    Private,
}

impl BookmarkPlace {
    /// The place where they were usual before this one.
    pub fn older(self) -> Option<Self> {
        match self {
            Self::Items => Some(Self::Node),
            Self::Node => Some(Self::Private),
            Self::Private => None,
        }
    }
}

/// What another client of this account did to a bookmark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookmarkChange {
    /// It is there now, and like this.
    Set(Bookmark),
    /// It is gone.
    Removed(BareJid),
    /// All are gone.
    AllRemoved,
}

/// What is said about joining a room, to a person or to the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invitation {
    /// Straight to the person (XEP-0249).
    Direct {
        /// Where to.
        room: BareJid,
        /// Why.
        reason: Option<String>,
        /// The room's password.
        password: Option<String>,
    },
    /// To the room, which sends it on (XEP-0045, section 7.8.2).
    Mediated {
        /// Who is invited.
        user: BareJid,
        /// Why.
        reason: Option<String>,
    },
    /// To the room, which tells the inviter.
    Declined {
        /// Who invited.
        inviter: Jid,
        /// Why not.
        reason: Option<String>,
    },
}
