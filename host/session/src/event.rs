//! Events: the domain form of `event` and `payload` in `wit/`.

use std::sync::Arc;

use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor_stanza::raw::is_one_line;
use parlor_stanza::types::{Invite, Message};

use crate::records::chat::Chat;
use crate::records::command_value::CommandValue;
use crate::records::contact::{Contact, ContactResource};
use crate::records::due_time::DueTime;
use crate::records::encryption::Undecryptable;
use crate::records::hook::Hook;
use crate::records::iq_request::IqRequest;
use crate::records::occupant::Occupant;
use crate::records::plugin_request::PluginRequest;
use crate::records::pubsub_item::PubsubItem;
use crate::records::room::Room;
use crate::records::status::Status;
use crate::records::webhook::Webhook;

/// An event's name: one of the host's (the table in `permissions/`), or a plugin's own.
pub type EventName = Arc<str>;

/// Maximum length of the name of an event or promise, in bytes.
pub const LONGEST_NAME: usize = 128;

/// Checks that this may name an event or a promise. The error says which names are valid.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > LONGEST_NAME || !is_one_line(name) {
        return Err(format!("a name has 1 to {LONGEST_NAME} bytes and no control characters"));
    }
    Ok(())
}

/// An event on its way to the plugins that listen.
#[derive(Debug, Clone)]
pub struct Event {
    /// The name that subscriptions refer to.
    pub name: EventName,
    /// When it happened.
    pub at: Timestamp,
    /// The data that it carries.
    pub payload: Payload,
}

/// The payload of an event. The same closed set as in the contract; large records are shared, not copied.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub enum Payload {
    None,
    Text(String),
    Status(Status),
    Stanza {
        xml: String,
        /// The recipient of one that is sent.
        to: Option<Jid>,
    },
    Contact(Arc<Contact>),
    Chat(Arc<Chat>),
    Message(Arc<Message>),
    Room(Arc<Room>),
    Occupant(Arc<Occupant>),
    Feature {
        var: String,
        entity: Jid,
    },
    /// A field of a form in which an entity describes itself, as JSON.
    Field {
        json: Arc<str>,
        entity: Jid,
    },
    Invite(Arc<Invite>),
    Command {
        name: Arc<str>,
        args: Vec<String>,
        message: Arc<Message>,
        values: Vec<(String, CommandValue)>,
        form: Option<Arc<str>>,
    },
    Webhook(Arc<Webhook>),
    Schedule(Arc<DueTime>),
    IqRequest(Arc<IqRequest>),
    PluginRequest(Arc<PluginRequest>),
    Hook(Arc<Hook>),
    PubsubItem(Arc<PubsubItem>),
    Undecryptable(Arc<Undecryptable>),
    Json(Arc<str>),
}

impl Payload {
    /// Returns about how many bytes of memory it takes that nothing else holds.
    pub fn weight(&self) -> usize {
        /// Size of a record without its longest texts.
        const RECORD: usize = 1 << 10;
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let of_what_is_in_it = match self {
            Self::None => return 0,
            Self::Text(text) | Self::Stanza { xml: text, .. } => text.len(),
            Self::Json(json) | Self::Field { json, .. } => json.len(),
            Self::Message(message) => message.raw.weight(),
            Self::Command { args, message, values, .. } => {
                let values = values.iter().map(|(name, value)| name.len() + value.bytes());
                message.raw.weight() + args.iter().map(String::len).chain(values).sum::<usize>()
            }
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
            Self::Webhook(webhook) => webhook.bytes(),
            Self::Schedule(due) => due.name.len(),
            Self::IqRequest(request) => request.bytes(),
            Self::PluginRequest(request) => request.bytes(),
            Self::Hook(hook) => hook.bytes(),
            Self::PubsubItem(item) => item.bytes(),
            Self::Undecryptable(message) => message.bytes(),
        };
        RECORD + of_what_is_in_it
    }

    /// Returns the room or the person that an event with it belongs to. Private messages through a room belong to the
    /// room. None for hooks as well: a handler of the same room may wait for their verdict.
    pub fn conversation(&self) -> Option<BareJid> {
        match self {
            Self::Message(message) | Self::Command { message, .. } => Some(message.chat.to_bare()),
            Self::Undecryptable(message) => Some(message.chat.to_bare()),
            Self::Room(room) => Some(room.jid.clone()),
            Self::Occupant(occupant) => Some(occupant.room.clone()),
            Self::Invite(invite) => Some(invite.room.clone()),
            Self::Contact(contact) => Some(contact.jid.clone()),
            Self::Chat(chat) => Some(chat.jid.clone()),
            Self::None
            | Self::Text(_)
            | Self::Status(_)
            | Self::Stanza { .. }
            | Self::Feature { .. }
            | Self::Field { .. }
            | Self::Webhook(_)
            | Self::Schedule(_)
            | Self::IqRequest(_)
            | Self::PluginRequest(_)
            | Self::Hook(_)
            | Self::PubsubItem(_)
            | Self::Json(_) => None,
        }
    }
}

/// The person or thing that an event is about, for filters and scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject<'a> {
    /// No address.
    None,
    /// A person, by a bare or full JID.
    Jid(&'a Jid),
    /// A contact.
    Contact(&'a BareJid),
    /// A room.
    Room(&'a BareJid),
}
