//! The records that several groupings share and that events carry, with a few helpers.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::bindings::parlor::plugin::types as wit;
use crate::error::{Error, Result};

pub use wit::{
    Chat, Command, Contact, Extensions, Feature, Invite, Message, Occupant, Outgoing, Payload, Reactions, Reply,
    Resource, Room, StanzaError, Status,
};

impl Message {
    /// Answers where it was said: in the chat or in the room.
    ///
    /// This needs `messages.send` as well as `rooms.send`, since it imports both calls. A plugin for chats alone takes
    /// [`chats::reply`](crate::chats::reply), one for rooms alone [`rooms::reply`](crate::rooms::reply).
    pub async fn reply(&self, message: impl Into<Outgoing>) -> Result<String> {
        if self.is_groupchat() {
            crate::rooms::reply(self, message).await
        } else {
            crate::chats::reply(self, message).await
        }
    }

    /// Whether it was said in a room, for everybody.
    pub fn is_groupchat(&self) -> bool {
        self.kind == "groupchat"
    }

    /// Whether it says that a message could not be delivered. Never answer one: the answer may come back the same way.
    pub fn is_error(&self) -> bool {
        self.kind == "error"
    }
}

impl Contact {
    /// One attribute by its name, as the API's older programs ask for it: `fullname`, `chat_status`, `groups` and so on.
    /// Lists come as JSON. None: it has no such attribute, or no value for it.
    pub fn get(&self, name: &str) -> Option<Value> {
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        match name {
            "jid" | "id" => Some(self.jid.as_str().into()),
            "fullname" => Some(self.fullname.as_str().into()),
            "user_id" => Some(self.user_id.as_str().into()),
            "subscription" => Some(self.subscription.as_str().into()),
            "ask" => text(&self.ask),
            "requesting" => Some(self.requesting.into()),
            "groups" => Some(self.groups.clone().into()),
            "chat_status" => Some(self.chat_status.as_str().into()),
            "status" => text(&self.status),
            "resources" => Some(self.resources.iter().map(resource).collect()),
            "image" => text(&self.image),
            "image_type" => text(&self.image_type),
            "url" => text(&self.url),
            "vcard_updated" => text(&self.vcard_updated),
            _ => None,
        }
    }
}

fn resource(one: &Resource) -> Value {
    json!({
        "name": one.name, "priority": one.priority, "show": one.show, "status": one.status, "since": one.since,
    })
}

impl Outgoing {
    /// A message with this text.
    pub fn new(body: impl Into<String>) -> Self {
        Self { body: Some(body.into()), ..Self::default() }
    }

    /// With a subject.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// In a thread.
    #[must_use]
    pub fn thread(mut self, thread: impl Into<String>) -> Self {
        self.thread = Some(thread.into());
        self
    }

    /// As the correction of the own message with this id (XEP-0308).
    #[must_use]
    pub fn replacing(mut self, id: impl Into<String>) -> Self {
        self.extensions.get_or_insert_default().replace = Some(id.into());
        self
    }

    /// As the answer to this message, shown as such by clients that can (XEP-0461).
    #[must_use]
    pub fn replying_to(mut self, message: &Message) -> Self {
        // In a room everybody knows a message by the room's id, elsewhere by its author's (XEP-0461, section 3.1).
        let id = if message.is_groupchat() { &message.stanza_id } else { &message.id };
        if let Some(id) = id {
            let reply = Reply { id: id.clone(), to: Some(message.from.clone()) };
            self.extensions.get_or_insert_default().reply = Some(reply);
        }
        self
    }

    /// In the thread of the message that it answers, unless it has one. An error is not answered.
    pub(crate) fn in_thread_of(mut self, message: &Message) -> Result<Self> {
        if message.is_error() {
            return Err(Error::invalid("message", "an error must not be answered (RFC 6120, section 8.3.1)"));
        }
        if self.thread.is_none() {
            self.thread.clone_from(&message.thread);
        }
        Ok(self)
    }
}

impl From<String> for Outgoing {
    fn from(body: String) -> Self {
        Self::new(body)
    }
}

impl From<&String> for Outgoing {
    fn from(body: &String) -> Self {
        Self::new(body)
    }
}

impl From<&str> for Outgoing {
    fn from(body: &str) -> Self {
        Self::new(body)
    }
}

impl Payload {
    /// What another plugin sent along, read by `serde`; no payload is read like `null`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        match self {
            Self::Json(json) => Ok(serde_json::from_str(json)?),
            Self::None => Ok(serde_json::from_str("null")?),
            other => Err(Error::other(format_args!("it carries {}, not JSON", other.shape()))),
        }
    }

    /// What kind of thing it is, for messages to people.
    pub(crate) fn shape(&self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Text(_) => "a text",
            Self::Status(_) => "a status",
            Self::Stanza(_) => "a stanza",
            Self::Contact(_) => "a contact",
            Self::Chat(_) => "a chat",
            Self::Message(_) => "a message",
            Self::Room(_) => "a room",
            Self::Occupant(_) => "an occupant",
            Self::Feature(_) => "a feature",
            Self::Invite(_) => "an invitation",
            Self::Command(_) => "a command",
            Self::Json(_) => "JSON",
        }
    }
}

/// Names and addresses as the bindings want them.
pub(crate) fn owned(names: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
    names.into_iter().map(|name| name.as_ref().to_owned()).collect()
}

/// The results of a call for several, with this crate's error.
pub(crate) fn each<T>(results: Vec<std::result::Result<T, wit::Error>>) -> Vec<Result<T>> {
    results.into_iter().map(|result| result.map_err(Error::from)).collect()
}
