//! Data that is exchanged with rooms (XEP-0045), and bookmarks (XEP-0402).

use jid::{BareJid, Jid};
use jiff::Timestamp;

/// Maximum number of fields of a form. The host does not fill in larger forms.
pub const MAX_FORM_FIELDS: usize = 512;
/// Maximum number of values, and of options, of a field. The host does not give back a field with more values.
pub const MAX_FORM_VALUES: usize = 512;
/// Maximum number of people in the list of an affiliation.
pub const MAX_AFFILIATED: usize = 10_000;
/// Maximum number of bookmarks.
pub const MAX_BOOKMARKS: usize = 1_000;
/// Maximum number of hats that are read of one occupant.
pub const MAX_HATS: usize = 16;
/// The feature of a room that gives hats, and their namespace (XEP-0317).
pub const HATS: &str = "urn:xmpp:hats:0";
/// The type of the form about voice (XEP-0045, section 7.13).
pub const VOICE: &str = "http://jabber.org/protocol/muc#request";

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

/// The person who changed an occupant's role or affiliation. Fields as in `actor` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Actor {
    pub nick: Option<String>,
    pub jid: Option<Jid>,
}

/// A room's data about an occupant, or about an event (XEP-0045, `muc#user`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MucUser {
    /// `none`, `outcast`, `member`, `admin` or `owner`; empty if the room does not name it.
    pub affiliation: String,
    /// `none`, `visitor`, `participant` or `moderator`; empty if the room does not name it.
    pub role: String,
    /// The real JID, if the room shows it.
    pub jid: Option<Jid>,
    /// The new nickname, with status 303.
    pub nick: Option<String>,
    /// The reason for a kick, a ban, or the destruction of the room.
    pub reason: Option<String>,
    /// The person who did that, if the room names them.
    pub actor: Option<Actor>,
    /// Status codes, such as 110 for oneself.
    pub status: Vec<u16>,
    /// Set if the room was destroyed; the inner value is the replacement room, if one was named.
    pub destroyed: Option<Option<BareJid>>,
    /// The occupant id (XEP-0421). Trusted only in a room that announces the feature.
    pub occupant_id: Option<String>,
    /// The hats, [`MAX_HATS`] at most. Trusted only in a room that announces the feature.
    pub hats: Vec<Hat>,
}

/// A title that a room gives an occupant (XEP-0317). Fields as in `hat` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Hat {
    pub uri: String,
    pub title: String,
}

impl Hat {
    /// Returns how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.uri.len() + self.title.len()
    }
}

/// A room's notice that a visitor asks for voice (XEP-0045, section 8.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceRequest {
    /// The real address of the visitor.
    pub jid: Jid,
    /// The nickname of the visitor.
    pub nick: String,
}

/// A message to a room about voice (XEP-0045, sections 7.13 and 8.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Voice {
    /// This account asks for it.
    Ask,
    /// The answer to a visitor who asks.
    Answer {
        /// The visitor.
        to: VoiceRequest,
        /// Whether the visitor may speak.
        allow: bool,
    },
}

/// A room's answer to the question how an account registers with it (XEP-0045, section 7.10).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registration {
    /// Whether it is registered already.
    pub is_registered: bool,
    /// The fields to fill in, [`MAX_FORM_FIELDS`] + 1 of them if there are more. None: the room gives no form.
    pub form: Option<Vec<FormField>>,
}

/// The parameters for entering a room (XEP-0045, sections 7.2.5 and 7.2.14).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoomJoin {
    /// The room's password.
    pub password: Option<String>,
    /// The requested amount of history. None: the room decides.
    pub history: Option<History>,
}

/// The requested amount of a room's history. Fields as in `history` of `wit/rooms.wit`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct History {
    pub max_chars: Option<u32>,
    pub max_stanzas: Option<u32>,
    pub seconds: Option<u32>,
    pub since: Option<Timestamp>,
}

/// A field of a form that a room wants to be filled in (XEP-0004, section 3.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FormField {
    /// The name of the field.
    pub var: String,
    /// The type of the field, such as `boolean` or `list-multi`.
    pub kind: String,
    /// The present values.
    pub values: Vec<String>,
    /// The allowed values. Empty: any.
    pub options: Vec<String>,
}

/// A person with an affiliation in a room. Fields as in `affiliated` of `wit/rooms.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Affiliated {
    pub jid: BareJid,
    pub affiliation: String,
    pub nick: Option<String>,
    pub reason: Option<String>,
}

impl Affiliated {
    /// Returns about how many bytes of memory it takes.
    pub fn weight(&self) -> usize {
        let texts = [Some(&self.affiliation), self.nick.as_ref(), self.reason.as_ref()];
        size_of::<Self>() + self.jid.as_str().len() + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// A bookmarked room. Fields as in `bookmark` of `wit/rooms.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Bookmark {
    pub room: BareJid,
    pub name: Option<String>,
    pub autojoin: bool,
    pub nick: Option<String>,
    pub password: Option<String>,
    /// Data of other clients in the bookmark, as XML. It must survive our changes (XEP-0402, section 2).
    pub extensions: Option<String>,
    /// Whether that data exceeds the kept length.
    pub is_cut: bool,
}

/// A place where an account's bookmarks may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BookmarkPlace {
    /// Each as a separate item, in a node of the account (XEP-0402).
    Items,
    /// All in one item, in a node of the account (XEP-0048).
    Node,
    /// All in one, in the account's private storage (XEP-0048 with XEP-0049), the oldest place.
    Private,
}

impl BookmarkPlace {
    /// Returns the place that was usual before this one.
    pub fn older(self) -> Option<Self> {
        match self {
            Self::Items => Some(Self::Node),
            Self::Node => Some(Self::Private),
            Self::Private => None,
        }
    }
}

/// A change of bookmarks by another client of this account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BookmarkChange {
    /// The bookmark was added or changed.
    Set(Bookmark),
    /// The bookmark was removed.
    Removed(BareJid),
    /// All bookmarks were removed.
    AllRemoved,
    /// These are all bookmarks of the older place (XEP-0048), where each change stores the whole list.
    Stored(Vec<Bookmark>),
}

/// An invitation to a room or its decline, sent to a person or to the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invitation {
    /// Directly to the person (XEP-0249).
    Direct {
        /// The room to join.
        room: BareJid,
        /// The reason to state.
        reason: Option<String>,
        /// The room's password.
        password: Option<String>,
    },
    /// To the room, which forwards it (XEP-0045, section 7.8.2).
    Mediated {
        /// The person who is invited.
        user: BareJid,
        /// The reason to state.
        reason: Option<String>,
    },
    /// To the room, which informs the inviter.
    Declined {
        /// The person who sent the invitation.
        inviter: Jid,
        /// The reason to state.
        reason: Option<String>,
    },
}
