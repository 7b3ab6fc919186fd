//! The filters of subscriptions.

use std::borrow::Cow;
use std::cell::OnceCell;

use jid::{BareJid, Jid};
use parlor_base::escape::escape_untrusted;
use parlor_stanza::types::{Message, MessageKind};

use crate::event::{Event, Payload};
use crate::permissions::EventRule;
use crate::permissions::question::Listening;

/// Maximum length of a filter's field in a description, in bytes.
const LONGEST: usize = 128;

/// An event for which subscriptions are searched. Removing quotations from a message must read all of it. That is done
/// once for all subscriptions, since no other event is routed meanwhile.
pub(super) struct Heard<'e> {
    pub(super) event: &'e Event,
    said: OnceCell<Cow<'e, str>>,
}

impl<'e> Heard<'e> {
    pub(super) fn new(event: &'e Event) -> Self {
        Self { event, said: OnceCell::new() }
    }

    /// Returns the text of the event's message without quotations.
    pub(super) fn said(&self, message: &'e Message) -> &str {
        self.said.get_or_init(|| message.said())
    }
}

/// The classes of events that a filter distinguishes without comparing addresses or texts, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Classes(pub(super) u32);

impl Classes {
    /// The class of events that carry no message.
    const NO_MESSAGE: Self = Self(1 << 31);

    /// Returns the class of an event with this payload.
    pub(super) fn of(payload: &Payload) -> Self {
        match payload {
            Payload::Message(message) | Payload::Command { message, .. } => {
                Self::of_message(message.kind, message.own, message.delayed)
            }
            Payload::Undecryptable(message) => Self::of_message(message.kind, message.own, message.delayed),
            _ => Self::NO_MESSAGE,
        }
    }

    fn of_message(kind: MessageKind, own: bool, delayed: bool) -> Self {
        Self(1 << (kind as u32 * 4 + u32::from(own) * 2 + u32::from(delayed)))
    }
}

/// The filter of a subscription. Every field that is given must match; see `filter` in `wit/listen.wit`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Filter {
    pub from: Option<Jid>,
    pub room: Option<BareJid>,
    pub kinds: Vec<MessageKind>,
    pub prefix: Option<String>,
    pub webhook: Option<String>,
    pub own: bool,
    pub delayed: bool,
    pub xml: bool,
    pub schedule: Option<String>,
}

impl Filter {
    pub(super) fn matches(&self, heard: &Heard<'_>) -> bool {
        let event = heard.event;
        if let Some(wanted) = &self.webhook
            && !matches!(&event.payload, Payload::Webhook(webhook) if webhook.name == *wanted)
        {
            return false;
        }
        if let Some(wanted) = &self.schedule
            && !matches!(&event.payload, Payload::Schedule(due) if due.name == *wanted)
        {
            return false;
        }
        match &event.payload {
            // Some of the other events that carry messages are about the account's own messages by definition.
            Payload::Message(message) => {
                (self.own || !message.own || &*event.name != "message") && self.matches_message(message, heard)
            }
            Payload::Command { message, .. } => (self.own || !message.own) && self.matches_message(message, heard),
            // The beginning of its text is unknown.
            Payload::Undecryptable(message) => {
                self.prefix.is_none()
                    && (self.own || !message.own)
                    && (self.delayed || !message.delayed)
                    && self.admits(message.kind, Some(&message.from), Some(&message.chat))
            }
            // A hook that may see a message sees it whether it is delayed or not: spam may be, too.
            Payload::Hook(hook) => self.matches_words(&hook.message, heard),
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
            Payload::IqRequest(request) => {
                self.is_free_of_message_fields()
                    && self.room.is_none()
                    && self.from.as_ref().is_none_or(|from| covers(from, &request.from))
            }
            Payload::Chat(chat) => self.matches_person(&chat.jid),
            Payload::PubsubItem(item) => self.matches_person(&item.service),
            Payload::None
            | Payload::Text(_)
            | Payload::Status(_)
            | Payload::Stanza { .. }
            | Payload::Feature { .. }
            | Payload::Field { .. }
            | Payload::Webhook(_)
            | Payload::Schedule(_)
            | Payload::PluginRequest(_)
            | Payload::Json(_) => self.from.is_none() && self.room.is_none() && self.is_free_of_message_fields(),
        }
    }

    /// Returns whether its classes alone decide, and no address or text.
    pub(super) fn is_by_class(&self) -> bool {
        let is_by_name = self.webhook.is_some() || self.schedule.is_some();
        self.from.is_none() && self.room.is_none() && self.prefix.is_none() && !is_by_name
    }

    /// Returns the classes of events of this name that it lets through, as far as they decide.
    pub(super) fn classes(&self, name: &str) -> Classes {
        // As in `matches`: some other events are about the account's own messages by definition.
        let own = self.own || !matches!(name, "message" | "command" | "undecryptable");
        let mut classes = if self.kinds.is_empty() { Classes::NO_MESSAGE } else { Classes(0) };
        for kind in MessageKind::ALL.into_iter().filter(|kind| self.kinds.is_empty() || self.kinds.contains(kind)) {
            for (is_own, is_delayed) in [(false, false), (false, true), (true, false), (true, true)] {
                if (own || !is_own) && (self.delayed || !is_delayed) {
                    classes.0 |= Classes::of_message(kind, is_own, is_delayed).0;
                }
            }
        }
        classes
    }

    fn matches_message<'e>(&self, message: &'e Message, heard: &Heard<'e>) -> bool {
        (self.delayed || !message.delayed) && self.matches_words(message, heard)
    }

    fn matches_words<'e>(&self, message: &'e Message, heard: &Heard<'e>) -> bool {
        self.admits(message.kind, Some(&message.from), Some(&message.chat))
            && self.prefix.as_ref().is_none_or(|prefix| {
                let begins = |text: &str| text.starts_with(prefix.as_str());
                begins(heard.said(message)) || message.body.as_deref().is_some_and(begins)
            })
    }

    /// Returns whether the filter lets a message of this kind from this address in this conversation through,
    /// regardless of its text. None: an address that no filter names.
    fn admits(&self, kind: MessageKind, from: Option<&Jid>, chat: Option<&Jid>) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&kind))
            && self.from.as_ref().is_none_or(|wanted| from.is_some_and(|from| covers(wanted, from)))
            // Private messages to an occupant, and their errors, belong to another conversation.
            && self.room.as_ref().is_none_or(|room| {
                matches!(kind, MessageKind::Groupchat | MessageKind::Error) && chat.is_some_and(|chat| chat == room)
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

/// The subject of a question about an event.
#[derive(Debug, Clone, Copy)]
pub enum Whom<'a> {
    /// The account itself.
    Own(&'a BareJid),
    /// Someone outside of rooms.
    Person(&'a Jid),
    /// Everyone in a room.
    Room(&'a BareJid),
    /// An occupant of a room.
    Occupant(&'a Jid),
}

/// A message that an event may carry, with the fields that filters examine. None: an address that no filter names.
#[derive(Debug, Clone)]
struct Sample {
    kind: MessageKind,
    from: Option<Jid>,
    chat: Option<Jid>,
}

impl Whom<'_> {
    fn bare(self) -> BareJid {
        self.address().into_bare()
    }

    fn address(self) -> Jid {
        match self {
            Self::Own(jid) | Self::Room(jid) => jid.clone().into(),
            Self::Person(jid) | Self::Occupant(jid) => jid.clone(),
        }
    }

    /// Returns the messages that an event may carry in a conversation with the subject, from this sender.
    fn samples(self, event: &str, from: Option<&Jid>) -> Vec<Sample> {
        let sample = |kind: MessageKind| {
            let chat = match self {
                Self::Occupant(jid) if kind != MessageKind::Groupchat => jid.clone(),
                _ => self.bare().into(),
            };
            Sample { kind, from: from.cloned(), chat: Some(chat) }
        };
        let kinds = match self {
            Self::Own(_) | Self::Person(_) => kinds_of(event, false),
            Self::Room(_) | Self::Occupant(_) => kinds_of(event, true),
        };
        // A chat is with one occupant only.
        let is_possible = |kind: &&MessageKind| !matches!((self, kind), (Self::Room(_), MessageKind::Chat));
        kinds.iter().filter(is_possible).map(|kind| sample(*kind)).collect()
    }
}

/// Returns the kinds of messages that an event carries, inside or outside of rooms.
fn kinds_of(event: &str, in_room: bool) -> &'static [MessageKind] {
    use MessageKind::{Chat, Error, Groupchat, Headline, Normal};
    match (event, in_room) {
        ("messageError", _) => &[Error],
        ("messageAdded", true) => &[Groupchat],
        ("messageAdded" | "command" | "hookCommand", false) => &[Chat, Normal],
        ("command" | "hookCommand", true) => &[Groupchat, Chat, Normal],
        // A plugin may send any kind as a stanza.
        ("messageSend" | "hookOutgoing", true) => &[Groupchat, Chat, Normal, Headline, Error],
        ("messageSend" | "hookOutgoing", false) => &[Chat, Normal, Headline, Error],
        (_, true) => &[Groupchat, Chat, Normal, Headline],
        (_, false) => &[Chat, Normal, Headline],
    }
}

/// The share of an event's occurrences that a filter lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Nothing,
    Some,
    All,
}

/// Returns how much of an event passes these filters, each of which may end with the first event that passes (`true`).
pub fn listening(filters: &[(Filter, bool)], rule: &EventRule, whom: Option<Whom<'_>>) -> Listening {
    let reaches: Vec<_> = filters.iter().map(|(filter, once)| (filter, *once, filter.reach(rule, whom))).collect();
    let words = |reaches: &[&(&Filter, bool, Reach)]| {
        reaches.iter().map(|(filter, once, _)| filter.words(*once)).collect::<Vec<_>>().join("; or ")
    };
    if reaches.iter().any(|(_, once, reach)| *reach == Reach::All && !once) {
        return Listening::All;
    }
    let some: Vec<_> = reaches.iter().filter(|(.., reach)| *reach != Reach::Nothing).collect();
    match (reaches.is_empty(), some.is_empty()) {
        (true, _) => Listening::Not,
        (false, true) => Listening::Elsewhere(words(&reaches.iter().collect::<Vec<_>>())),
        (false, false) => Listening::Part(words(&some)),
    }
}

impl Filter {
    /// Returns the share of an event's occurrences, about this address or any, that the filter lets through.
    fn reach(&self, rule: &EventRule, whom: Option<Whom<'_>>) -> Reach {
        let names = [("webhook", &self.webhook), ("schedule", &self.schedule)];
        if names.iter().any(|(_, name)| name.is_some()) {
            // A filter that names both lets nothing through.
            let is_named = names.iter().all(|(payload, name)| name.is_none() || rule.payload == *payload);
            return if is_named { Reach::Some } else { Reach::Nothing };
        }
        let is_other_room = |room: &BareJid| whom.is_some_and(|whom| whom.bare() != *room);
        let is_elsewhere =
            self.from.as_ref().is_some_and(|from| whom.is_some_and(|whom| whom.bare() != from.to_bare()))
                || self.room.as_ref().is_some_and(is_other_room);
        let never = match rule.payload {
            "undecryptable" if self.prefix.is_some() => return Reach::Nothing,
            "message" | "undecryptable" | "command" | "hook" => return self.reach_of_messages(rule, whom),
            "contact" | "chat" | "iq-request" | "pubsub-item" => {
                self.room.is_some() || !self.is_free_of_message_fields()
            }
            "room" => self.from.is_some() || !self.is_free_of_message_fields(),
            "occupant" | "invite" => !self.is_free_of_message_fields(),
            _ => self.from.is_some() || self.room.is_some() || !self.is_free_of_message_fields(),
        };
        // In room events, an address only identifies the room.
        let is_limited = match rule.payload {
            "occupant" | "invite" => self.from.is_some() || (self.room.is_some() && whom.is_none()),
            _ => whom.is_none() && (self.from.is_some() || self.room.is_some()),
        };
        let is_of_a_room = matches!(rule.payload, "room" | "occupant" | "invite");
        // An occupant's `from` may be the real address.
        let is_left_out = if is_of_a_room { self.room.as_ref().is_some_and(is_other_room) } else { is_elsewhere };
        match (never || is_left_out, is_limited) {
            (true, _) => Reach::Nothing,
            (false, true) => Reach::Some,
            (false, false) => Reach::All,
        }
    }

    fn reach_of_messages(&self, rule: &EventRule, whom: Option<Whom<'_>>) -> Reach {
        // Some of the other events that carry messages are about the account's own messages by definition.
        if matches!(whom, Some(Whom::Own(_)))
            && !self.own
            && matches!(rule.name, "message" | "command" | "undecryptable")
        {
            return Reach::Nothing;
        }
        let admits = |one: &Sample| self.admits(one.kind, one.from.as_ref(), one.chat.as_ref());
        let (usual, rare) = self.samples(rule.name, whom);
        if usual.iter().all(admits) && self.prefix.is_none() {
            Reach::All
        } else if usual.iter().chain(&rare).any(admits) {
            Reach::Some
        } else {
            Reach::Nothing
        }
    }

    /// Returns the messages that an event may carry about the subject, as far as filters distinguish them. The first
    /// list has the messages that must all pass for [`Reach::All`], the second one the others.
    fn samples(&self, event: &str, whom: Option<Whom<'_>>) -> (Vec<Sample>, Vec<Sample>) {
        let Some(whom) = whom else {
            let kinds = kinds_of(event, false).iter().chain(kinds_of(event, true));
            let usual = kinds.map(|&kind| Sample { kind, from: None, chat: None });
            let bare = self.from.as_ref().map(Jid::to_bare);
            let named = self.from.as_ref().into_iter().flat_map(|from| [Whom::Person(from), Whom::Occupant(from)]);
            let rooms = bare.iter().chain(&self.room).map(Whom::Room);
            let rare = named.chain(rooms).flat_map(|whom| {
                let (usual, rare) = self.samples(event, Some(whom));
                usual.into_iter().chain(rare)
            });
            return (usual.collect(), rare.collect());
        };
        let address = whom.address();
        // Outgoing messages are from the account itself.
        let is_sender = !matches!(event, "messageSend" | "hookOutgoing") || matches!(whom, Whom::Own(_));
        let from = self.from.as_ref().filter(|from| !is_sender || (address.is_bare() && from.to_bare() == address));
        let mut usual = whom.samples(event, is_sender.then_some(&address));
        let mut rare = from.map(|from| whom.samples(event, Some(from))).unwrap_or_default();
        // Most messages from a room are for everyone in it.
        if matches!(whom, Whom::Room(_)) && usual.iter().any(|one| one.kind == MessageKind::Groupchat) {
            rare.extend(usual.extract_if(.., |one| one.kind != MessageKind::Groupchat));
        }
        (usual, rare)
    }

    /// Describes what the filter lets through.
    fn words(&self, once: bool) -> String {
        let mut all = Vec::new();
        if !self.kinds.is_empty() {
            all.push(format!("kind {}", self.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" ")));
        }
        all.extend(self.from.as_ref().map(|from| format!("from {}", escape_untrusted(from.as_str(), LONGEST))));
        all.extend(self.room.as_ref().map(|room| format!("room {}", escape_untrusted(room.as_str(), LONGEST))));
        all.extend(self.prefix.as_ref().map(|prefix| format!("prefix \"{}\"", escape_untrusted(prefix, LONGEST))));
        all.extend(self.webhook.as_ref().map(|name| format!("webhook {}", escape_untrusted(name, LONGEST))));
        all.extend(self.schedule.as_ref().map(|name| format!("schedule {}", escape_untrusted(name, LONGEST))));
        if once {
            all.push("the next one alone".to_owned());
        }
        if all.is_empty() {
            all.push(if self.own { "all messages" } else { "no messages of the account's own" }.to_owned());
        }
        all.join(", ")
    }
}

/// Returns whether an address in a filter matches another one. A bare address also matches its full ones.
fn covers(wanted: &Jid, jid: &Jid) -> bool {
    wanted == jid || (wanted.is_bare() && wanted.to_bare() == jid.to_bare())
}
