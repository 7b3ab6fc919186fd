//! Stanzas that this account sends, its requests and its answers.

use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor_base::id::InstanceId;

use super::{
    AdHocAnswer, AdHocRefusal, ArchivePreferences, ArchiveQuery, Bookmark, BookmarkPlace, Disco, Draft, Invitation,
    MessageKind, PresenceOut, PresenceOutKind, PubsubAsk, Report, RosterItem, Sealed, Voice,
};
use crate::card::CardChange;
use crate::iq_payload::IqPayload;
use crate::raw::RawStanza;
use crate::whole_card::WholeCard;

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
    /// A message that is encrypted.
    Sealed(Box<Sealed>),
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
    /// A request for voice in a room, or the answer to one.
    Voice {
        /// The room.
        room: BareJid,
        /// The id of the message.
        id: String,
        /// The request or answer.
        voice: Voice,
    },
    /// A request; the answer comes as [`Answer`](super::Answer) with the same id.
    Ask {
        /// The recipient. None: the own account.
        to: Option<Jid>,
        /// The id of the request.
        id: String,
        /// The content of the request.
        ask: Ask,
    },
    /// The answer to a [`Request`](super::Request).
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
    /// Returns whether no plugin may know of it, encrypted or not.
    pub fn is_secret(&self) -> bool {
        let draft = match self {
            Self::Message { draft, .. } => Some(draft),
            Self::Sealed(sealed) => sealed.says.as_deref(),
            _ => None,
        };
        draft.is_some_and(|draft| draft.is_secret)
    }

    /// Returns whether it still makes sense on the stream that follows a lost one. Requests and answers do not: the
    /// requesting plugin has been told that the stream is gone, and the server has answered for us. Presence does not,
    /// except for subscriptions: a new stream begins with new presence.
    pub fn outlives_its_stream(&self) -> bool {
        match self {
            Self::Message { .. } | Self::Sealed(_) => !self.is_secret(),
            Self::Invite { .. } => true,
            Self::Presence(presence) => match presence.kind {
                PresenceOutKind::Subscribe
                | PresenceOutKind::Subscribed
                | PresenceOutKind::Unsubscribe
                | PresenceOutKind::Unsubscribed => true,
                PresenceOutKind::Available | PresenceOutKind::Unavailable => false,
            },
            Self::Raw(raw) | Self::Again(raw) => raw.outlives_its_stream(),
            // A room that is entered again may have given voice meanwhile.
            Self::Voice { .. } | Self::Ask { .. } | Self::Reply { .. } | Self::Private(..) => false,
        }
    }
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
    /// Have a room retract somebody's message (XEP-0425).
    Moderate {
        /// The number that the room gave the message.
        id: String,
        /// The reason to state.
        reason: Option<String>,
        /// Whether the room knows only version 0.2 of the XEP.
        is_older: bool,
    },
    /// Block an address (XEP-0191).
    Block {
        /// The address.
        jid: Jid,
        /// The report for which it is blocked (XEP-0377).
        report: Option<Box<Report>>,
    },
    /// Unblock an address.
    Unblock(Jid),
    /// The blocked addresses.
    Blocked,
    /// The people with an affiliation in a room (XEP-0045, section 9.5).
    Affiliations {
        /// The affiliation to list.
        affiliation: &'static str,
    },
    /// How long an entity was idle (XEP-0012).
    Activity,
    /// The time of an entity (XEP-0202).
    Time,
    /// The software of an entity (XEP-0092).
    Software,
    /// How to register with a room (XEP-0045, section 7.10).
    Registration,
    /// Register with a room.
    Register {
        /// Fields with their full names and values.
        fields: Vec<(String, Vec<String>)>,
    },
    /// End the registration with a room.
    Unregister,
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
        /// Whether the node must be created.
        create: bool,
        /// Whether the maximum is given as a number instead of being left to the server.
        counted: bool,
    },
    /// Remove a bookmark (XEP-0402).
    RetractBookmark(BareJid),
    /// A request of a plugin about a node (XEP-0060).
    Pubsub(Box<PubsubAsk>),
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
        items: Vec<(String, String)>,
    },
    /// The answer to a command.
    AdHoc(Box<AdHocAnswer>),
    /// The refusal of a command.
    RefuseAdHoc(AdHocRefusal),
    /// The software version (XEP-0092).
    Version,
    /// The time (XEP-0202).
    Time(Timestamp),
    /// The element that a plugin answers with.
    Payload(IqPayload),
    /// The error that a plugin answers with (RFC 6120, section 8.3.3).
    RefuseWithText {
        /// `auth`, `cancel`, `modify` or `wait`.
        kind: &'static str,
        /// The defined condition.
        condition: &'static str,
        /// Its text about the reason.
        text: String,
    },
    /// An error (RFC 6120, section 8.3.3).
    Refuse {
        /// `auth`, `cancel`, `modify` or `wait`.
        kind: &'static str,
        /// The defined condition.
        condition: &'static str,
    },
}
