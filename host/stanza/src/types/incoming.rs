//! Stanzas from the server, requests to this account and answers to its own.

use jid::Jid;

use super::{
    Activity, AdHoc, Affiliated, ArchiveFin, ArchivePreferences, ArchiveResult, Bookmark, BookmarkChange, Disco,
    EntityTime, FormField, Message, NodePage, Presence, PresenceKind, Registration, RosterItem, Software,
};
use crate::card::Card;
use crate::error::StanzaError;
use crate::iq_payload::IqPayload;
use crate::raw::RawStanza;
use crate::whole_card::WholeCard;

/// A stanza from the server, with its forgeable parts checked.
#[derive(Debug)]
pub enum Incoming {
    /// A message, carbons unwrapped (XEP-0280).
    Message(Box<Message>),
    /// A presence of any type.
    Presence(Box<Presence>),
    /// A message of an archive (XEP-0313). The session checks whether it was requested.
    Archived(Box<ArchiveResult>),
    /// A request to this account that must be answered.
    Request(Request),
    /// An answer to a request of this account.
    Answer(Answer),
    /// Another client of this account changed bookmarks (XEP-0402, XEP-0048). `decode` ensures that it comes from the own
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
            Self::Request(request) => !matches!(request.query, Query::RosterPush { .. } | Query::BlockingPush),
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
        /// Whether the entry has the address of one client of the contact.
        of_client: bool,
        /// The whole stanza, for plugins.
        xml: String,
    },
    /// The list of blocked addresses changed (XEP-0191), or a list of rules for stanzas (XEP-0016, section 2.6). `decode`
    /// ensures that it comes from the own account.
    BlockingPush,
    /// An invalid request: it does not have exactly one payload, its type does not exist (RFC 6120, section 8.2.3), or
    /// it is a roster push without exactly one entry.
    Malformed,
    /// An ad-hoc command (XEP-0050).
    AdHoc(Box<AdHoc>),
    /// A request in another namespace, which a plugin may answer.
    Foreign {
        /// Whether its type is set, not get.
        is_set: bool,
        /// Its one element.
        payload: IqPayload,
    },
    /// Any other request.
    Other,
}

/// A request in a namespace that the host does not answer itself, on its way to the plugin that does.
#[derive(Debug)]
pub struct ForeignRequest {
    /// The sender. None: the own server or account.
    pub from: Option<Jid>,
    /// The id to answer with.
    pub id: String,
    /// Whether its type is set, not get.
    pub is_set: bool,
    /// Its one element.
    pub payload: IqPayload,
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
    /// A room's configuration form, with [`MAX_FORM_FIELDS`](super::MAX_FORM_FIELDS) + 1 fields if it has more (XEP-0045, section 10.2).
    RoomForm(Vec<FormField>),
    /// The people with an affiliation in a room, [`MAX_AFFILIATED`](super::MAX_AFFILIATED) at most (XEP-0045, section 9.5).
    Affiliations(Vec<Affiliated>),
    /// The blocked addresses, [`MAX_BLOCKED`](super::MAX_BLOCKED) at most (XEP-0191).
    Blocked(Vec<Jid>),
    /// The bookmarks of the account, [`MAX_BOOKMARKS`](super::MAX_BOOKMARKS) at most (XEP-0402; XEP-0048).
    Bookmarks(Vec<Bookmark>),
    /// How long an entity was idle (XEP-0012).
    Activity(Activity),
    /// The time of an entity (XEP-0202).
    Time(EntityTime),
    /// The software of an entity (XEP-0092).
    Software(Software),
    /// The form by which an account registers with a room (XEP-0045, section 7.10).
    Registration(Registration),
    /// The id of a published item, if the service names it (XEP-0060, section 7.1).
    Published(Option<String>),
    /// Items of a node (XEP-0060, section 6.5).
    NodeItems(Box<NodePage>),
    /// A subscription to a node (XEP-0060, section 6.1).
    Subscription {
        /// Whether it is not in force yet: it needs approval or options first.
        is_pending: bool,
        /// The id that the service gave it, if any.
        id: Option<String>,
    },
    /// Any other result.
    Other,
}
