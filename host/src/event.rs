//! What happens in the house: the domain form of `event` and `payload` in `wit/`.

use std::sync::Arc;

use jid::{BareJid, Jid};
use jiff::Timestamp;

use crate::session::{Chat, Contact, ContactResource, Occupant, Room, Status};
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
    Command { name: Arc<str>, args: Vec<String>, message: Arc<Message> },
    Json(Arc<str>),
}

impl Payload {
    /// About how many bytes of memory it takes that nobody else holds.
    pub fn weight(&self) -> usize {
        /// What a record takes beside its longest texts.
        const RECORD: usize = 1 << 10;
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let of_what_is_in_it = match self {
            Self::None => return 0,
            Self::Text(text) | Self::Stanza(text) => text.len(),
            Self::Json(json) => json.len(),
            Self::Message(message) => message.raw.weight(),
            Self::Command { args, message, .. } => message.raw.weight() + args.iter().map(String::len).sum::<usize>(),
            Self::Contact(contact) => {
                let (clients, groups) = (contact.resources.len(), contact.groups.len());
                contact.texts() + clients * size_of::<ContactResource>() + groups * size_of::<String>()
            }
            Self::Occupant(occupant) => occupant.bytes() + optional(&occupant.reason),
            Self::Room(room) => optional(&room.subject) + optional(&room.reason),
            Self::Invite(invite) => optional(&invite.reason) + optional(&invite.password),
            Self::Feature { var, .. } => var.len(),
            Self::Status(status) => status.message.len(),
            Self::Chat(chat) => chat.fullname.len(),
        };
        RECORD + of_what_is_in_it
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
