//! Presence (RFC 6121), received and sent.

use std::sync::Arc;

use jid::Jid;
use jiff::Timestamp;

use super::{MucUser, RoomJoin};
use crate::card::Avatar;
use crate::error::StanzaError;

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

/// A presence from the server.
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
