//! Stanzas as plain data, without the types of any XMPP library.
//!
//! `xmpp/` converts stanzas of the server into [`Incoming`], and [`Outgoing`] into stanzas. Everything above knows only
//! these.

mod address;
mod adhoc;
mod archive;
mod message;
mod rooms;

use std::sync::Arc;

use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor_base::id::InstanceId;

use crate::card::{Avatar, Card, CardChange};
use crate::error::StanzaError;
use crate::raw::RawStanza;
use crate::whole_card::WholeCard;

pub use address::{LONGEST_ADDRESS, NoAddress, address};
pub use adhoc::{AdHoc, AdHocAction, AdHocAnswer, AdHocRefusal, AdHocRequest, AdHocStage, COMMANDS};
pub use archive::{ArchiveFin, ArchivePreferences, ArchiveQuery, ArchiveResult, Cursor, MAM};
pub use message::{Carbon, Draft, Extensions, Fallback, Hint, Message, MessageKind, REPLY, Reactions, ReplyTo};
pub use rooms::{
    Actor, Affiliated, Bookmark, BookmarkChange, BookmarkPlace, FormField, History, Invitation, Invite, MAX_AFFILIATED,
    MAX_BOOKMARKS, MAX_FORM_FIELDS, MucUser, RoomJoin,
};

/// Returns the beginning of a text, `most` bytes at most. Its memory is shrunk: otherwise each of thousands of texts
/// would take as much as a stanza may have.
pub fn kept(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text.shrink_to_fit();
    text
}

/// A stanza from the server, with its forgeable parts checked.
#[derive(Debug)]
pub enum Incoming {
    /// A message, carbons unwrapped (XEP-0280).
    Message(Box<Message>),
    /// A presence of any type.
    Presence(Box<Presence>),
    /// One message of an archive (XEP-0313). The session checks whether it was requested.
    Archived(Box<ArchiveResult>),
    /// A request to this account that has to be answered.
    Request(Request),
    /// An answer to a request of this account.
    Answer(Answer),
    /// Another client of this account changed bookmarks (XEP-0402). `decode` ensures that it comes from the own
    /// account.
    Bookmarks(Vec<BookmarkChange>),
    /// A stanza that is not trusted, for this reason. It is counted and dropped.
    Refused(&'static str),
}

impl Incoming {
    /// Returns about how many bytes of memory it takes, for a message or a presence.
    pub fn weight(&self) -> usize {
        /// Memory of a record without its texts.
        const RECORD: usize = 1 << 10;
        RECORD
            + match self {
                Self::Message(message) => message.raw.weight(),
                Self::Presence(presence) => presence.status.as_ref().map_or(0, String::len),
                _ => 0,
            }
    }

    /// Returns whether someone expects a reaction of the account. All other stanzas only report a state, or answer.
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
    /// Returns the text of the element.
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

/// A presence that came from the server.
#[derive(Debug, Clone)]
pub struct Presence {
    /// The sender; the own bare JID if the stanza names none.
    pub from: Jid,
    /// The type of the presence.
    pub kind: PresenceKind,
    /// `<show/>`.
    pub show: Option<Show>,
    /// `<status/>`, the one without a language first.
    pub status: Option<String>,
    /// `<priority/>`.
    pub priority: i8,
    /// When it was sent, if it was delayed (XEP-0203).
    pub delay: Option<Timestamp>,
    /// The room's data about an occupant (XEP-0045, `muc#user`).
    pub muc: Option<Box<MucUser>>,
    /// The announced picture on the sender's vCard (XEP-0153).
    pub avatar: Option<Avatar>,
    /// The capabilities that its sender claims (XEP-0115).
    pub caps: Option<Box<Caps>>,
    /// The nickname of a sender who asks to see our presence (XEP-0172, section 4.1).
    pub nick: Option<String>,
}

/// An entity's capabilities as a hash (XEP-0115, section 4). Untrusted until the hash was compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// The hash function, such as `sha-1`.
    pub hash: String,
    /// The software, as a URI.
    pub node: String,
    /// The hash of the capabilities.
    pub ver: String,
}

/// A request to this account.
#[derive(Debug)]
pub struct Request {
    /// The sender. None: the own server or account.
    pub from: Option<Jid>,
    /// The id to answer with.
    pub id: String,
    /// The content of the request.
    pub query: Query,
}

/// The content of a request to this account.
#[derive(Debug, PartialEq, Eq)]
pub enum Query {
    /// A ping (XEP-0199).
    Ping,
    /// `disco#info` (XEP-0030), optionally of a node.
    DiscoInfo {
        /// The node, if the request names one.
        node: Option<String>,
    },
    /// `disco#items` (XEP-0030), optionally of a node.
    DiscoItems {
        /// The node, if the request names one.
        node: Option<String>,
    },
    /// A query for the software version (XEP-0092).
    Version,
    /// A query for the time (XEP-0202).
    Time,
    /// The roster changed (RFC 6121, section 2.1.6). `decode` ensures that it comes from the own account.
    RosterPush {
        /// The roster's new version.
        version: Option<String>,
        /// The entry that changed.
        item: RosterItem,
        /// The whole stanza, for plugins.
        xml: String,
    },
    /// An invalid request: it does not have exactly one payload, its type does not exist (RFC 6120, section 8.2.3), or
    /// it is a roster push without exactly one entry.
    Malformed,
    /// An ad-hoc command (XEP-0050).
    AdHoc(Box<AdHoc>),
    /// Any other request.
    Other,
}

/// An entry of the roster (RFC 6121, section 2.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterItem {
    /// The address of the contact.
    pub jid: BareJid,
    /// The name that was given to the contact.
    pub name: Option<String>,
    /// `none`, `to`, `from`, `both`, or `remove` in a push.
    pub subscription: String,
    /// Whether a subscription request to this contact is pending.
    pub ask: bool,
    /// The contact's groups, each once.
    pub groups: Vec<String>,
}

impl RosterItem {
    /// Maximum length of the names of a contact and of a group, in bytes.
    pub const LONGEST_NAME: usize = 1_023;
}

/// The features of a new stream that matter above the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Offers {
    /// Whether the server has roster versions and sends only changes since one (RFC 6121, section 2.6.1).
    pub roster_versions: bool,
}

/// An answer to a request of this account.
#[derive(Debug)]
pub struct Answer {
    /// The sender. None: the own server or account.
    pub from: Option<Jid>,
    /// The id of the request.
    pub id: String,
    /// The result, or the error.
    pub outcome: Result<Body, Box<StanzaError>>,
    /// The stanza itself.
    pub raw: RawStanza,
}

/// The content of a result, as far as the host understands it.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// An empty result.
    Empty,
    /// The roster.
    Roster {
        /// The version of the roster (RFC 6121, section 2.6).
        version: Option<String>,
        /// The entries of the roster.
        items: Vec<RosterItem>,
    },
    /// `disco#info` (XEP-0030).
    Disco(Disco),
    /// The end of a page of an archive (XEP-0313).
    ArchiveFin(ArchiveFin),
    /// The preferences of the archive (XEP-0441).
    ArchivePreferences(ArchivePreferences),
    /// A vCard (XEP-0054).
    Card {
        /// The fields that the host uses.
        card: Box<Card>,
        /// The whole vCard, for changing it.
        whole: WholeCard,
    },
    /// A vCard whose picture is larger than allowed.
    OversizedCard,
    /// `disco#items` (XEP-0030): the addresses of the items without a node.
    Items(Vec<Jid>),
    /// A room's configuration form, with [`MAX_FORM_FIELDS`] + 1 fields if it has more (XEP-0045, section 10.2).
    RoomForm(Vec<FormField>),
    /// The people with an affiliation in a room, [`MAX_AFFILIATED`] at most (XEP-0045, section 9.5).
    Affiliations(Vec<Affiliated>),
    /// The bookmarks of the account, [`MAX_BOOKMARKS`] at most (XEP-0402; XEP-0048).
    Bookmarks(Vec<Bookmark>),
    /// Any other result.
    Other,
}

/// The service discovery information of an entity (XEP-0030, section 3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disco {
    /// The identities of the entity.
    pub identities: Vec<Identity>,
    /// The features of the entity.
    pub features: Vec<String>,
    /// The extended information of the entity (XEP-0128).
    pub forms: Vec<Form>,
}

/// A data form of the type `result` (XEP-0004).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    /// The subject of the form: the value of its hidden field `FORM_TYPE` (XEP-0068).
    pub form_type: Option<String>,
    /// The fields that have a name, `FORM_TYPE` included.
    pub fields: Vec<Field>,
}

/// A field of a data form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Field {
    /// The name of the field.
    pub var: String,
    /// The type of the field, if it has one.
    pub kind: Option<String>,
    /// The values of the field.
    pub values: Vec<String>,
}

/// An identity of an entity (XEP-0030, section 3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the XEP's own")]
pub struct Identity {
    pub category: String,
    pub kind: String,
    pub name: Option<String>,
    pub lang: Option<String>,
}

/// A stanza that this account sends. `xmpp/encode` converts it, and never writes a `from`.
#[derive(Debug)]
pub enum Outgoing {
    /// A message.
    Message {
        /// The recipient.
        to: Jid,
        /// The type of the message.
        kind: MessageKind,
        /// The id, also used as origin-id.
        id: String,
        /// The contents of the message.
        draft: Draft,
        /// Whether it is private to an occupant of a room. A separate element informs clients that get copies
        /// (XEP-0045, section 7.5).
        to_occupant: bool,
    },
    /// A presence.
    Presence(PresenceOut),
    /// An invitation, or the decline of one.
    Invite {
        /// The recipient: the person, or the room.
        to: Jid,
        /// The id of the message.
        id: String,
        /// The invitation or decline.
        invitation: Invitation,
    },
    /// A request; the answer comes as [`Answer`] with the same id.
    Ask {
        /// The recipient. None: the own account.
        to: Option<Jid>,
        /// The id of the request.
        id: String,
        /// The content of the request.
        ask: Ask,
    },
    /// The answer to a [`Request`].
    Reply {
        /// The sender of the request.
        to: Option<Jid>,
        /// The id of the request.
        id: String,
        /// The content of the answer.
        reply: Reply,
    },
    /// A message or presence that a plugin wrote, checked and serialized again.
    Raw(RawStanza),
    /// A stanza that a lost stream had taken already. It is sent again, and is the same message.
    Again(RawStanza),
    /// An IQ that a plugin wrote, checked in the same way. No other plugin gets to see it.
    Private(RawStanza, InstanceId),
}

impl Outgoing {
    /// Returns whether it still makes sense on the stream that follows a lost one. Requests and answers do not: the
    /// requesting plugin has been told that the stream is gone, and the server has answered for us. Presence does not,
    /// except for subscriptions: a new stream begins with new presence.
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
    /// The recipient. None: everyone who may see it.
    pub to: Option<Jid>,
    /// The type of the presence; available by default.
    pub kind: PresenceOutKind,
    /// `<show/>`.
    pub show: Option<Show>,
    /// `<status/>`.
    pub status: Option<String>,
    /// `<priority/>`, always written on available presence to everyone.
    pub priority: Option<i8>,
    /// The data for entering a room (XEP-0045, section 7.2).
    pub join: Option<RoomJoin>,
    /// The announced picture on the own vCard (XEP-0153).
    pub avatar: Option<Avatar>,
    /// The capabilities of this account (XEP-0115).
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

/// The content of a request of this account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The roster, with the version that is known (RFC 6121, section 2.1.3).
    Roster {
        /// The known version; empty if there is none yet. None: the server does not offer versions.
        version: Option<String>,
    },
    /// Add or replace a roster entry; with the subscription `remove`, remove it (RFC 6121, sections 2.3 to 2.5). The
    /// server decides about subscriptions, so no other value is sent.
    SetRoster(RosterItem),
    /// `disco#info` (XEP-0030).
    DiscoInfo {
        /// The node, if one is asked for.
        node: Option<String>,
    },
    /// The items of an entity (XEP-0030, section 4).
    DiscoItems,
    /// A ping (XEP-0199).
    Ping,
    /// Turn carbons on (XEP-0280).
    EnableCarbons,
    /// Turn carbons off (XEP-0280).
    DisableCarbons,
    /// A page of an archive (XEP-0313, section 4).
    Archive(Box<ArchiveQuery>),
    /// The preferences of the archive (XEP-0441).
    ArchivePreferences,
    /// Change the preferences of the archive.
    SetArchivePreferences(ArchivePreferences),
    /// A vCard (XEP-0054, section 3.1).
    Card,
    /// Change the own vCard (XEP-0054, section 3.2).
    SetCard {
        /// The present vCard. None: there is none.
        whole: Option<WholeCard>,
        /// The change to apply.
        change: Box<CardChange>,
    },
    /// Fetch a room's configuration form (XEP-0045, section 10.2).
    RoomConfig,
    /// Submit a room's configuration; without fields, an instant room (XEP-0045, section 10.1.2).
    ConfigureRoom {
        /// Fields with their full names and values.
        fields: Vec<(String, Vec<String>)>,
    },
    /// Cancel the creation of a room (XEP-0045, section 10.1.3).
    CancelRoomConfig,
    /// Destroy a room (XEP-0045, section 10.9).
    DestroyRoom {
        /// The reason to state.
        reason: Option<String>,
        /// The room to use instead.
        alternative: Option<BareJid>,
    },
    /// Give an occupant a role (XEP-0045, sections 8 and 9).
    SetRole {
        /// The nickname of the occupant.
        nick: String,
        /// The new role.
        role: &'static str,
        /// The reason to state.
        reason: Option<String>,
    },
    /// Give a person an affiliation (XEP-0045, sections 9 and 10).
    SetAffiliation {
        /// The address of the person.
        user: BareJid,
        /// The new affiliation.
        affiliation: &'static str,
        /// The reason to state.
        reason: Option<String>,
    },
    /// The people with an affiliation in a room (XEP-0045, section 9.5).
    Affiliations {
        /// The affiliation to list.
        affiliation: &'static str,
    },
    /// The bookmarks of the account.
    Bookmarks {
        /// The place to read them from.
        place: BookmarkPlace,
    },
    /// Publish a bookmark (XEP-0402).
    PublishBookmark {
        /// The bookmark to publish.
        bookmark: Box<Bookmark>,
        /// Send only the options that every server knows. Then the server decides how many bookmarks there may be.
        plain: bool,
    },
    /// Configure the bookmark node to keep all bookmarks, readable only by the account (XEP-0060, sections 8.1.3 and
    /// 8.2).
    PrepareBookmarks {
        /// Whether the node has to be created.
        create: bool,
        /// Whether the maximum is given as a number instead of being left to the server.
        counted: bool,
    },
    /// Remove a bookmark (XEP-0402).
    RetractBookmark(BareJid),
}

/// The content of an answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// An empty result.
    Done,
    /// `disco#info` (XEP-0030).
    Disco {
        /// The node that was asked for.
        node: Option<String>,
        /// The information about this account.
        disco: Disco,
    },
    /// `disco#items` (XEP-0030), always empty.
    NoItems {
        /// The node that was asked for.
        node: Option<String>,
    },
    /// `disco#items` of the commands: each with its node and its name.
    Commands {
        /// The address that offers the commands.
        of: Jid,
        /// The commands.
        items: &'static [(&'static str, &'static str)],
    },
    /// The answer to a command.
    AdHoc(Box<AdHocAnswer>),
    /// The refusal of a command.
    RefuseAdHoc(AdHocRefusal),
    /// The software version (XEP-0092).
    Version,
    /// The time (XEP-0202).
    Time(Timestamp),
    /// An error (RFC 6120, section 8.3.3).
    Refuse {
        /// `auth`, `cancel`, `modify` or `wait`.
        kind: &'static str,
        /// The defined condition.
        condition: &'static str,
    },
}
