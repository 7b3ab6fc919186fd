//! The target of a call or an event, which a scope is compared with, and the uses of grants that are decided on.

use jid::{BareJid, Jid};
use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_base::web_address::WebAddress;

use crate::event::Payload;

/// The target of a call.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// No single target, or everybody: only `*` covers it, for a permission with a scope.
    None,
    /// A person, an occupant, or a room in calls about messages.
    Jid(&'a Jid),
    /// A message.
    Message {
        /// The conversation that it belongs to.
        chat: &'a Jid,
        /// Whether it was encrypted from end to end.
        is_encrypted: bool,
    },
    /// A room.
    Room(&'a BareJid),
    /// A raw stanza.
    Stanza {
        /// The kind of stanza: `message`, `presence` or `iq`.
        kind: &'a str,
        /// The recipient, if the stanza names one.
        to: Option<&'a Jid>,
    },
    /// A request over the web.
    Web {
        /// The method, such as `GET`.
        method: &'a str,
        /// The address.
        address: &'a WebAddress,
    },
    /// A file.
    File {
        /// Its media type, in small letters.
        media_type: &'a str,
        /// Its size in bytes.
        bytes: u64,
    },
    /// An XML namespace.
    Namespace(&'a str),
    /// Another plugin.
    Plugin(&'a PluginId),
    /// A node of a publish-subscribe service.
    Node {
        /// The service.
        service: &'a BareJid,
        /// The name of the node.
        node: &'a str,
        /// Whether the service is this account.
        is_own: bool,
    },
}

/// The target of an event, as far as a scope can tell.
#[derive(Debug, Clone, Copy)]
pub enum About<'a> {
    /// No target, as for `roomsAutoJoined`: the event reveals nothing that a scope could exclude.
    Nothing,
    /// The target that the scope is checked against.
    Target(Target<'a>),
}

impl<'a> About<'a> {
    /// Returns the target of an event with this payload.
    pub fn of(payload: &'a Payload) -> Self {
        Self::Target(match payload {
            Payload::None | Payload::Webhook(_) | Payload::Schedule(_) => return Self::Nothing,
            Payload::Message(message) | Payload::Command { message, .. } => {
                Target::Message { chat: &message.chat, is_encrypted: message.encryption.is_some() }
            }
            Payload::Undecryptable(message) => Target::Message { chat: &message.chat, is_encrypted: true },
            Payload::Room(room) => Target::Room(&room.jid),
            Payload::Occupant(occupant) => Target::Room(&occupant.room),
            Payload::Invite(invite) => Target::Room(&invite.room),
            Payload::Hook(hook) => Target::Jid(&hook.message.chat),
            Payload::Contact(contact) => Target::Jid(&contact.jid),
            Payload::Chat(chat) => Target::Jid(&chat.jid),
            Payload::Feature { entity, .. } | Payload::Field { entity, .. } => Target::Jid(entity),
            Payload::IqRequest(request) => Target::Namespace(&request.namespace),
            Payload::PluginRequest(request) => Target::Plugin(&request.plugin),
            Payload::PubsubItem(item) => Target::Node { service: &item.service, node: &item.node, is_own: item.is_own },
            Payload::Stanza { xml, to } => Target::Stanza { kind: stanza_kind(xml), to: to.as_ref() },
            // These payloads have no known target, so only `*` covers them.
            Payload::Text(_) | Payload::Status(_) | Payload::Json(_) => Target::None,
        })
    }
}

/// One use of the grants that a [`Judge`](super::question::Judge) decides on.
#[derive(Debug, Clone, Copy)]
pub enum Use<'a> {
    /// A call that needs this permission for this target.
    Call(Permission, Target<'a>),
    /// An event with this name and target.
    Event(&'a str, About<'a>),
}

impl<'a> Use<'a> {
    /// Returns its target; none if it reveals nothing that a scope could exclude.
    pub fn target(&self) -> Option<Target<'a>> {
        match *self {
            Self::Call(_, target) | Self::Event(_, About::Target(target)) => Some(target),
            Self::Event(_, About::Nothing) => None,
        }
    }
}

/// Returns the name of the stanza's element, which the host wrote itself, without prefix or declaration.
fn stanza_kind(xml: &str) -> &str {
    let name = xml.strip_prefix('<').unwrap_or_default();
    let end = name.find(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')).unwrap_or(name.len());
    &name[..end]
}
