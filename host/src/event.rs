//! What happens in the house: the domain form of `event` and `payload` in `wit/`.

use std::sync::Arc;

use jid::{BareJid, Jid};
use jiff::Timestamp;

use crate::session::{Chat, Contact, Occupant, Room, Status};
use crate::stanza::{Invite, Message};
use crate::xmpp::is_one_line;

/// An event's name: one of the host's (the table in `permissions/`), or a plugin's own.
pub type EventName = Arc<str>;

/// How long the name of an event or promise may be, in bytes.
pub(crate) const LONGEST_NAME: usize = 128;

/// Whether this may name an event or a promise; else what such a name is.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > LONGEST_NAME || !is_one_line(name) {
        return Err(format!("a name has 1 to {LONGEST_NAME} bytes and no control characters"));
    }
    Ok(())
}

/// Something that happened, on its way to whoever listens.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name.
    pub name: EventName,
    /// When.
    pub at: Timestamp,
    /// What it carries.
    pub payload: Payload,
}

/// What an event carries. The same closed set as in the contract; large records are shared, not copied.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub enum Payload {
    None,
    Text(String),
    Status(Status),
    Stanza(String),
    Contact(Arc<Contact>),
    Chat(Arc<Chat>),
    Message(Arc<Message>),
    Room(Arc<Room>),
    Occupant(Arc<Occupant>),
    Feature { var: String, entity: Jid },
    Invite(Arc<Invite>),
    Command { name: String, args: Vec<String>, message: Arc<Message> },
    Json(Arc<str>),
}

impl Payload {
    /// About how many bytes of memory it takes that nobody else holds.
    pub fn weight(&self) -> usize {
        /// What a record takes that is bounded where it is made.
        const RECORD: usize = 1 << 10;
        match self {
            Self::Text(text) | Self::Stanza(text) => RECORD + text.len(),
            Self::Json(json) => RECORD + json.len(),
            Self::Message(message) | Self::Command { message, .. } => RECORD + message.raw.weight(),
            Self::None => 0,
            Self::Status(_)
            | Self::Contact(_)
            | Self::Chat(_)
            | Self::Room(_)
            | Self::Occupant(_)
            | Self::Feature { .. }
            | Self::Invite(_) => RECORD,
        }
    }
}

/// Whom or what an event is about, for filters and scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// Nobody in particular.
    None,
    /// A person.
    Jid(&'a Jid),
    /// A contact.
    Contact(&'a BareJid),
    /// A room.
    Room(&'a BareJid),
}
