//! Stanzas as the house speaks of them: plain data, without the types of any XMPP library.
//!
//! `xmpp/` makes [`Incoming`] of what the server sends and stanzas of [`Outgoing`]; everything above knows only these.

mod adhoc;
mod archive;
mod message;
mod rooms;

use std::sync::Arc;

use jid::{BareJid, Jid};
use jiff::Timestamp;

use crate::card::{Avatar, Card, CardChange};
use crate::error::StanzaError;
use crate::plugins::InstanceId;
use crate::xmpp::{RawStanza, WholeCard};

pub use adhoc::{AdHoc, AdHocAction, AdHocAnswer, AdHocRefusal, AdHocRequest, AdHocStage, COMMANDS};
pub use archive::{ArchiveFin, ArchivePreferences, ArchiveQuery, ArchiveResult, Cursor, MAM};
pub use message::{Carbon, Draft, Extensions, Fallback, Hint, Message, MessageKind, REPLY, Reactions, ReplyTo};
pub use rooms::{
    Actor, Affiliated, Bookmark, BookmarkChange, BookmarkPlace, FormField, History, Invitation, Invite, MAX_AFFILIATED,
    MAX_BOOKMARKS, MAX_FORM_FIELDS, MucUser, RoomJoin,
};

/// The beginning of a text, so many bytes of it at most. What is cut off takes no more room, or each of thousands would hold as much
/// as a stanza may have.
pub(crate) fn kept(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text.shrink_to_fit();
    text
}

/// What came over the stream, as far as it may be believed.
#[derive(Debug)]
pub enum Incoming {
    /// A message, carbons unwrapped (XEP-0280).
    Message(Box<Message>),
    /// A presence of any type.
    Presence(Box<Presence>),
    /// One message of an archive (XEP-0313). The session knows whether it was asked for.
    Archived(Box<ArchiveResult>),
    /// Somebody asks something of this account, and is owed an answer.
    Request(Request),
    /// An answer to something that this account asked.
    Answer(Answer),
    /// Another client of this account changed bookmarks (XEP-0402). Only ever from the own account: `decode` sees to it.
    Bookmarks(Vec<BookmarkChange>),
    /// Not believed, for this reason; counted, and nothing else.
    Refused(&'static str),
}

impl Incoming {
    /// Whether somebody speaks to the account and waits to be heard. All else only says how things stand, or answers.
    pub fn speaks(&self) -> bool {
        match self {
            Self::Message(_) => true,
            Self::Request(request) => !matches!(request.query, Query::RosterPush { .. }),
            Self::Presence(presence) => match presence.kind {
                PresenceKind::Subscribe
                | PresenceKind::Subscribed
                | PresenceKind::Unsubscribe
                | PresenceKind::Unsubscribed
                | PresenceKind::Probe => true,
                PresenceKind::Available | PresenceKind::Unavailable | PresenceKind::Error(_) => false,
            },
            Self::Archived(_) | Self::Answer(_) | Self::Bookmarks(_) | Self::Refused(_) => false,
        }
    }
}

/// The `<show/>` of a presence (RFC 6121, section 4.7.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the RFC's own")]
pub enum Show {
    Away,
    Chat,
    Dnd,
    Xa,
}

impl Show {
    /// As the element spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Chat => "chat",
            Self::Dnd => "dnd",
            Self::Xa => "xa",
        }
    }
}

/// The `type` of a presence (RFC 6121, section 4.7.1); [`PresenceKind::Available`] is its absence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's own")]
pub enum PresenceKind {
    Available,
    Unavailable,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    Probe,
    Error(Box<StanzaError>),
}

/// A presence as it came.
#[derive(Debug, Clone)]
pub struct Presence {
    /// The sender; the own bare JID where the stanza names none.
    pub from: Jid,
    /// Its type.
    pub kind: PresenceKind,
    /// `<show/>`.
    pub show: Option<Show>,
    /// `<status/>`, the one without language first.
    pub status: Option<String>,
    /// `<priority/>`.
    pub priority: i8,
    /// When it was sent, if it was stored on the way (XEP-0203).
    pub delay: Option<Timestamp>,
    /// What a room says of an occupant (XEP-0045, `muc#user`).
    pub muc: Option<Box<MucUser>>,
    /// What it says of the picture on the sender's card (XEP-0153).
    pub avatar: Option<Avatar>,
    /// What its sender claims to be able to do (XEP-0115).
    pub caps: Option<Box<Caps>>,
    /// What somebody calls himself who asks to see our presence (XEP-0172, section 4.1).
    pub nick: Option<String>,
}

/// What an entity claims to be able to do, as a hash (XEP-0115, section 4). A claim, until the hash was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// How it was hashed, such as `sha-1`.
    pub hash: String,
    /// The software.
    pub node: String,
    /// The hash.
    pub ver: String,
}

/// Somebody asks something of this account.
#[derive(Debug)]
pub struct Request {
    /// Who asks; none = the own server or account.
    pub from: Option<Jid>,
    /// The id to answer with.
    pub id: String,
    /// What is asked.
    pub query: Query,
}

/// What may be asked of this account.
#[derive(Debug, PartialEq, Eq)]
pub enum Query {
    /// XEP-0199.
    Ping,
    /// XEP-0030, `disco#info`, perhaps of a node.
    DiscoInfo {
        /// The node.
        node: Option<String>,
    },
    /// XEP-0030, `disco#items`.
    DiscoItems {
        /// The node.
        node: Option<String>,
    },
    /// XEP-0092.
    Version,
    /// XEP-0202.
    Time,
    /// The roster changed (RFC 6121, section 2.1.6). Only ever from the own account: `decode` sees to it.
    RosterPush {
        /// The roster's new version.
        version: Option<String>,
        /// What changed.
        item: RosterItem,
        /// The whole stanza, for plugins.
        xml: String,
    },
    /// What is no request although it wants to be one: without exactly one payload, of a type that there is not (RFC 6120,
    /// section 8.2.3), or a roster push without exactly one entry.
    Malformed,
    /// An ad-hoc command (XEP-0050).
    AdHoc(Box<AdHoc>),
    /// Anything else.
    Other,
}

/// One entry of the roster (RFC 6121, section 2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterItem {
    /// Who.
    pub jid: BareJid,
    /// The name given.
    pub name: Option<String>,
    /// `none`, `to`, `from`, `both`, or `remove` in a push.
    pub subscription: String,
    /// A request to this contact is pending.
    pub ask: bool,
    /// Groups, each once.
    pub groups: Vec<String>,
}

impl RosterItem {
    /// How long the names of a contact and of a group may be, in bytes.
    pub const LONGEST_NAME: usize = 1_023;
}

/// What the server offers with a new stream, as far as it matters above the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offers {
    /// It gives rosters versions, and sends only what has changed since one (RFC 6121, section 2.6.1).
    pub roster_versions: bool,
}

/// An answer to something that this account asked.
#[derive(Debug)]
pub struct Answer {
    /// Who answers; none = the own server or account.
    pub from: Option<Jid>,
    /// The id of the question.
    pub id: String,
    /// The result, or the error.
    pub outcome: Result<Body, Box<StanzaError>>,
    /// The stanza itself.
    pub raw: RawStanza,
}

/// What a result carries, where the house understands it.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    Empty,
    /// The roster.
    Roster {
        /// Its version (RFC 6121, section 2.6).
        version: Option<String>,
        /// Its entries.
        items: Vec<RosterItem>,
    },
    /// `disco#info` (XEP-0030).
    Disco(Disco),
    /// The end of a page of an archive (XEP-0313).
    ArchiveFin(ArchiveFin),
    /// What the archive keeps (XEP-0441).
    ArchivePreferences(ArchivePreferences),
    /// A visiting card (XEP-0054).
    Card {
        /// What stands on it.
        card: Box<Card>,
        /// All of it, for who changes it.
        whole: WholeCard,
    },
    /// A visiting card whose picture is larger than anybody may have.
    OversizedCard,
    /// `disco#items` (XEP-0030): the addresses of those without a node.
    Items(Vec<Jid>),
    /// The form by which a room is configured, with [`MAX_FORM_FIELDS`] + 1 fields where it has more
    /// (XEP-0045, section 10.2).
    RoomForm(Vec<FormField>),
    /// Who has an affiliation in a room, [`MAX_AFFILIATED`] at most (XEP-0045, section 9.5).
    Affiliations(Vec<Affiliated>),
    /// The bookmarks of the account, [`MAX_BOOKMARKS`] at most (XEP-0402; XEP-0048).
    Bookmarks(Vec<Bookmark>),
    /// Anything else.
    Other,
}

/// What an entity says of itself (XEP-0030, section 3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disco {
    /// What it is.
    pub identities: Vec<Identity>,
    /// What it can do.
    pub features: Vec<String>,
    /// What else it says of itself (XEP-0128).
    pub forms: Vec<Form>,
}

/// A data form of the type `result` (XEP-0004).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// What it is about: the value of its hidden field `FORM_TYPE` (XEP-0068).
    pub form_type: Option<String>,
    /// The fields that have a name, that one included.
    pub fields: Vec<Field>,
}

/// One field of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub var: String,
    /// Its type, where it says one.
    pub kind: Option<String>,
    /// Its values.
    pub values: Vec<String>,
}

/// One thing that an entity is (XEP-0030, section 3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the XEP's own")]
pub struct Identity {
    pub category: String,
    pub kind: String,
    pub name: Option<String>,
    pub lang: Option<String>,
}

/// What this account sends. `xmpp/encode` makes a stanza of it; it never writes a `from`.
#[derive(Debug)]
pub enum Outgoing {
    /// A message.
    Message {
        /// To whom.
        to: Jid,
        /// Its type.
        kind: MessageKind,
        /// Its id, also used as origin-id.
        id: String,
        /// What it says.
        draft: Draft,
        /// To an occupant of a room, for nobody else there: who gets copies of it learns that by an element of its own
        /// (XEP-0045, section 7.5).
        to_occupant: bool,
    },
    /// A presence.
    Presence(PresenceOut),
    /// An invitation, or a no to one.
    Invite {
        /// To whom: the person, or the room.
        to: Jid,
        /// The message's id.
        id: String,
        /// What is said.
        invitation: Invitation,
    },
    /// A question; the answer comes as [`Answer`] with the same id.
    Ask {
        /// To whom; none = the own account.
        to: Option<Jid>,
        /// The id.
        id: String,
        /// What is asked.
        ask: Ask,
    },
    /// The answer to a [`Request`].
    Reply {
        /// To whom.
        to: Option<Jid>,
        /// The id of the request.
        id: String,
        /// The answer.
        reply: Reply,
    },
    /// A message or presence that a plugin wrote, checked and written anew.
    Raw(RawStanza),
    /// A stanza that a lost stream had taken already. It leaves once more, and is the same message.
    Again(RawStanza),
    /// An IQ that a plugin wrote, likewise. No other plugin gets to see it.
    Private(RawStanza, InstanceId),
}

impl Outgoing {
    /// Whether it means the same on a stream that follows a lost one. Questions and answers do not: who asked was told that
    /// the stream is gone, and the server has answered in our place. Nor do presences, but those about subscriptions: on a
    /// new stream there are new ones.
    pub fn outlives_its_stream(&self) -> bool {
        match self {
            Self::Message { .. } | Self::Invite { .. } => true,
            Self::Presence(presence) => match presence.kind {
                PresenceOutKind::Subscribe
                | PresenceOutKind::Subscribed
                | PresenceOutKind::Unsubscribe
                | PresenceOutKind::Unsubscribed => true,
                PresenceOutKind::Available | PresenceOutKind::Unavailable => false,
            },
            Self::Raw(raw) | Self::Again(raw) => raw.outlives_its_stream(),
            Self::Ask { .. } | Self::Reply { .. } | Self::Private(..) => false,
        }
    }
}

/// A presence to be sent.
#[derive(Debug, Clone, Default)]
pub struct PresenceOut {
    /// To whom; none = everybody who may see it.
    pub to: Option<Jid>,
    /// Its type; none = available.
    pub kind: PresenceOutKind,
    /// `<show/>`.
    pub show: Option<Show>,
    /// `<status/>`.
    pub status: Option<String>,
    /// `<priority/>`, always written on available presence to everybody.
    pub priority: Option<i8>,
    /// It enters a room (XEP-0045, section 7.2).
    pub join: Option<RoomJoin>,
    /// What it says of the picture on the own card (XEP-0153).
    pub avatar: Option<Avatar>,
    /// What this account can do (XEP-0115).
    pub caps: Option<Arc<Caps>>,
}

/// The `type` of a presence to be sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the RFC's own")]
pub enum PresenceOutKind {
    #[default]
    Available,
    Unavailable,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
}

/// What this account asks of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The roster, with the version that is known (RFC 6121, section 2.1.3).
    Roster {
        /// The known version; empty = none yet. None at all where the server did not offer versions.
        version: Option<String>,
    },
    /// Put an entry into the roster, or in the place of the one that is there; with the subscription `remove`, take it out
    /// (RFC 6121, sections 2.3 to 2.5). What else it says of subscriptions is the server's to decide, and not sent.
    SetRoster(RosterItem),
    /// XEP-0030.
    DiscoInfo {
        /// Of a node.
        node: Option<String>,
    },
    /// What entities belong to it (XEP-0030, section 4).
    DiscoItems,
    /// XEP-0199.
    Ping,
    /// Turn carbons on (XEP-0280).
    EnableCarbons,
    /// Turn carbons off (XEP-0280).
    DisableCarbons,
    /// A page of an archive (XEP-0313, section 4).
    Archive(Box<ArchiveQuery>),
    /// What the archive keeps (XEP-0441).
    ArchivePreferences,
    /// Change that.
    SetArchivePreferences(ArchivePreferences),
    /// A visiting card (XEP-0054, section 3.1).
    Card,
    /// Change the own visiting card (XEP-0054, section 3.2).
    SetCard {
        /// What is on it now; none = there is none.
        whole: Option<WholeCard>,
        /// What is to change.
        change: Box<CardChange>,
    },
    /// Fetch a room's configuration form (XEP-0045, section 10.2).
    RoomConfig,
    /// Submit a room's configuration; no fields = an instant room (XEP-0045, section 10.1.2).
    ConfigureRoom {
        /// Fields with their full names and values.
        fields: Vec<(String, Vec<String>)>,
    },
    /// Give up making a room (XEP-0045, section 10.1.3).
    CancelRoomConfig,
    /// End a room (XEP-0045, section 10.9).
    DestroyRoom {
        /// Why.
        reason: Option<String>,
        /// Where to go instead.
        alternative: Option<BareJid>,
    },
    /// Give an occupant a role (XEP-0045, sections 8 and 9).
    SetRole {
        /// The nickname.
        nick: String,
        /// The role.
        role: &'static str,
        /// Why.
        reason: Option<String>,
    },
    /// Give a person an affiliation (XEP-0045, sections 9 and 10).
    SetAffiliation {
        /// Who.
        user: BareJid,
        /// The affiliation.
        affiliation: &'static str,
        /// Why.
        reason: Option<String>,
    },
    /// Who has this affiliation (XEP-0045, section 9.5).
    Affiliations {
        /// The affiliation.
        affiliation: &'static str,
    },
    /// The bookmarks of the account.
    Bookmarks {
        /// From where.
        place: BookmarkPlace,
    },
    /// Put down a bookmark (XEP-0402).
    PublishBookmark {
        /// Which.
        bookmark: Box<Bookmark>,
        /// With no other options than every server knows: how many there may be is then the server's to say.
        plain: bool,
    },
    /// Have the place of the bookmarks keep as many as there are, for nobody else (XEP-0060, sections 8.1.3 and 8.2).
    PrepareBookmarks {
        /// It is not there yet.
        create: bool,
        /// How many that is, is said by a number, and not left to the server.
        counted: bool,
    },
    /// Forget a bookmark (XEP-0402).
    RetractBookmark(BareJid),
}

/// How this account answers a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// An empty result.
    Done,
    /// `disco#info`.
    Disco {
        /// The node that was asked for.
        node: Option<String>,
        /// What this account says of itself.
        disco: Disco,
    },
    /// `disco#items`, always empty.
    NoItems {
        /// The node that was asked for.
        node: Option<String>,
    },
    /// `disco#items` of the commands: each with its node and its name.
    Commands {
        /// Of whom.
        of: Jid,
        /// Which.
        items: &'static [(&'static str, &'static str)],
    },
    /// The answer to a command.
    AdHoc(Box<AdHocAnswer>),
    /// The command is refused as such.
    RefuseAdHoc(AdHocRefusal),
    /// XEP-0092.
    Version,
    /// XEP-0202.
    Time(Timestamp),
    /// An error (RFC 6120, section 8.3.3).
    Refuse {
        /// `auth`, `cancel`, `modify` or `wait`.
        kind: &'static str,
        /// The defined condition.
        condition: &'static str,
    },
}
