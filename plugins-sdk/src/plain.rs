//! Messages that consist only of a text or a file, conversions to a contact's attributes, and names of payloads.

use serde_json::{Value, json};

use crate::types::{File, Outgoing, Payload, Resource};

/// The name as Rust spells it, of that of any language.
pub(crate) fn snake_case(name: &str) -> String {
    let mut spelled = String::with_capacity(name.len());
    for sign in name.chars() {
        if sign.is_ascii_uppercase() && spelled.ends_with(|before: char| before.is_ascii_lowercase()) {
            spelled.push('_');
            spelled.push(sign.to_ascii_lowercase());
        } else {
            spelled.push(if sign == '-' { '_' } else { sign });
        }
    }
    spelled
}

/// A client of a contact as JSON.
pub(crate) fn resource(one: &Resource) -> Value {
    json!({
        "name": one.name, "priority": one.priority, "show": one.show, "status": one.status, "since": one.since,
    })
}

impl Payload {
    /// Returns a description of the payload's type, for messages to people.
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
            Self::Webhook(_) => "a request to a webhook",
            Self::Schedule(_) => "a due time",
            Self::IqRequest(_) => "a request",
            Self::PluginRequest(_) => "a request of a plugin",
            Self::Hook(_) => "a question to a hook",
            Self::PubsubItem(_) => "an item of a node",
            Self::Undecryptable(_) => "a message that cannot be decrypted",
            Self::Json(_) => "JSON",
        }
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

impl From<File> for Outgoing {
    fn from(file: File) -> Self {
        Self::file(file)
    }
}
