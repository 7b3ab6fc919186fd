//! What a subscription leaves out.

use std::borrow::Cow;
use std::cell::OnceCell;

use jid::{BareJid, Jid};

use crate::event::{Event, Payload};
use crate::stanza::{Message, MessageKind};

/// An event for which subscriptions are looked through. Taking out of a message what it only quotes goes through all of it: that is
/// done once, whatever a plugin subscribes to, since nobody else is told anything meanwhile.
pub(super) struct Heard<'e> {
    event: &'e Event,
    said: OnceCell<Cow<'e, str>>,
}

impl<'e> Heard<'e> {
    pub(super) fn new(event: &'e Event) -> Self {
        Self { event, said: OnceCell::new() }
    }

    /// What the event's message says.
    pub(super) fn said(&self, message: &'e Message) -> &str {
        self.said.get_or_init(|| message.said())
    }
}

/// What a subscription leaves out. Every field that is given must match; see `filter` in `wit/listen.wit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Filter {
    pub from: Option<Jid>,
    pub room: Option<BareJid>,
    pub kinds: Vec<MessageKind>,
    pub prefix: Option<String>,
    pub own: bool,
    pub delayed: bool,
    pub xml: bool,
}

impl Filter {
    pub(super) fn matches(&self, heard: &Heard<'_>) -> bool {
        let event = heard.event;
        match &event.payload {
            // Of the other events that carry messages some are about own ones by their nature.
            Payload::Message(message) => {
                (self.own || !message.own || &*event.name != "message") && self.matches_message(message, heard)
            }
            Payload::Command { message, .. } => (self.own || !message.own) && self.matches_message(message, heard),
            Payload::Occupant(occupant) => {
                self.is_free_of_message_fields()
                    && self.room.as_ref().is_none_or(|room| *room == occupant.room)
                    && self.from.as_ref().is_none_or(|from| {
                        occupant.jid.as_ref().is_some_and(|jid| covers(from, jid))
                            || from.resource().is_some_and(|nick| nick.as_str() == occupant.nick)
                                && from.to_bare() == occupant.room
                    })
            }
            Payload::Room(room) => {
                self.is_free_of_message_fields()
                    && self.from.is_none()
                    && self.room.as_ref().is_none_or(|wanted| *wanted == room.jid)
            }
            Payload::Invite(invite) => {
                self.is_free_of_message_fields()
                    && self.room.as_ref().is_none_or(|room| *room == invite.room)
                    && self.from.as_ref().is_none_or(|from| covers(from, &invite.from))
            }
            Payload::Contact(contact) => self.matches_person(&contact.jid),
            Payload::Chat(chat) => self.matches_person(&chat.jid),
            Payload::None
            | Payload::Text(_)
            | Payload::Status(_)
            | Payload::Stanza(_)
            | Payload::Feature { .. }
            | Payload::Json(_) => self.from.is_none() && self.room.is_none() && self.is_free_of_message_fields(),
        }
    }

    fn matches_message<'e>(&self, message: &'e Message, heard: &Heard<'e>) -> bool {
        (self.delayed || !message.delayed)
            && (self.kinds.is_empty() || self.kinds.contains(&message.kind))
            && self.from.as_ref().is_none_or(|from| covers(from, &message.from))
            // What is said with one occupant alone is of another conversation, and so is what becomes of it.
            && self.room.as_ref().is_none_or(|room| {
                matches!(message.kind, MessageKind::Groupchat | MessageKind::Error) && message.chat == *room
            })
            && self.prefix.as_ref().is_none_or(|prefix| {
                let begins = |text: &str| text.starts_with(prefix.as_str());
                begins(heard.said(message)) || message.body.as_deref().is_some_and(begins)
            })
    }

    fn matches_person(&self, jid: &BareJid) -> bool {
        self.is_free_of_message_fields()
            && self.room.is_none()
            && self.from.as_ref().is_none_or(|from| from.to_bare() == *jid)
    }

    fn is_free_of_message_fields(&self) -> bool {
        self.kinds.is_empty() && self.prefix.is_none()
    }
}

/// Whether an address that was asked for stands for another: a bare one also for its full ones.
fn covers(wanted: &Jid, jid: &Jid) -> bool {
    wanted == jid || (wanted.is_bare() && wanted.to_bare() == jid.to_bare())
}
