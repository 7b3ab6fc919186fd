//! Messages: what comes in is sorted and told, what goes out is checked (RFC 6121, section 5).

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use jid::{BareJid, Jid};

use crate::error::CallError;
use crate::event::Payload;
use crate::session::effect::{Effect, Sent};
use crate::session::questions::random_id;
use crate::session::rooms::Stage;
use crate::session::{Answer, Session, Turn, View};
use crate::stanza::{Draft, Extensions, Message, MessageKind, Outgoing};

/// How many archive ids are remembered, so that nothing is told twice.
pub(super) const REMEMBERED: usize = 4_096;
/// How long a body may be, in bytes.
const MAX_BODY: usize = 64 * 1_024;
/// How much of a room's subject is kept, in bytes.
const MAX_SUBJECT: usize = 4_096;
/// How long an id or a thread may be, in bytes.
const MAX_ID: usize = 1_024;
/// How long an emoji may be, in bytes: some are made of a dozen characters.
const MAX_EMOJI: usize = 64;
/// How many reactions one message may carry.
const MAX_EMOJIS: usize = 64;

/// The archive ids of the last messages, as hashes that nobody outside can aim at.
#[derive(Debug)]
pub(super) struct Seen {
    hasher: RandomState,
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Seen {
    pub(super) fn new() -> Self {
        let (known, order) = (HashSet::with_capacity(REMEMBERED * 2), VecDeque::with_capacity(REMEMBERED));
        Self { hasher: RandomState::new(), known, order }
    }

    fn hash(&self, room: Option<&Jid>, id: &str) -> u64 {
        self.hasher.hash_one((room, id))
    }

    /// Whether a message with this archive id came, from the account's archive or a room's.
    pub(super) fn knows(&self, room: Option<&BareJid>, id: &str) -> bool {
        self.known.contains(&self.hash(room.map(|room| &**room), id))
    }

    /// Notes a message; `false`: it was there before.
    fn note(&mut self, message: &Message) -> bool {
        // The account's archive and a room's number their messages each for itself.
        let room = (message.kind == MessageKind::Groupchat).then_some(&message.chat);
        match &message.stanza_id {
            Some(id) => self.remember(self.hash(room, id)),
            None if room.is_some() && message.body.is_some() => self.note_words(message),
            None => true,
        }
    }

    /// A room without an archive sends what it said before once more when it is entered again: known by who said what under
    /// which id, and if that was past already, by when.
    fn note_words(&mut self, message: &Message) -> bool {
        let words = (&message.from, &message.id, &message.body);
        let said = self.hasher.hash_one(words);
        if !message.delayed {
            self.remember(said);
            return true;
        }
        !self.known.contains(&said) && self.remember(self.hasher.hash_one((words, message.at)))
    }

    fn remember(&mut self, hash: u64) -> bool {
        if !self.known.insert(hash) {
            return false;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(hash);
        true
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.known.len().max(self.order.len())
    }
}

impl Session {
    pub(super) fn message(&mut self, mut message: Box<Message>, turn: &mut Turn<'_>) {
        // A room that we are not in has nothing to say to us. What it said is not noted either: it may come again as its past.
        if message.kind == MessageKind::Groupchat
            && !self.rooms.stage(&message.chat).is_some_and(|stage| !matches!(stage, Stage::Outside { .. }))
        {
            self.ignored += 1;
            return;
        }
        if message.kind != MessageKind::Error && !self.seen.note(&message) {
            self.ignored += 1;
            return;
        }
        match message.kind {
            MessageKind::Groupchat => self.groupchat(message, turn),
            MessageKind::Error => {
                self.room_refused(&message, turn);
                self.name_occupant(&mut message);
                self.fire("messageError", Payload::Message(Arc::from(message)), turn);
            }
            MessageKind::Chat | MessageKind::Normal | MessageKind::Headline => self.direct(message, turn),
        }
    }

    /// Somebody in a room who writes to us alone is a conversation of its own (XEP-0045, section 7.5).
    fn name_occupant(&self, message: &mut Message) -> bool {
        let in_room = self.rooms.has(&message.chat);
        if in_room {
            message.chat = if message.own { message.to.clone() } else { message.from.clone() };
        }
        in_room
    }

    fn direct(&mut self, mut message: Box<Message>, turn: &mut Turn<'_>) {
        let in_room = self.name_occupant(&mut message);
        if let Some(invite) = message.invite.take() {
            if !message.own {
                self.invited(*invite, turn);
            }
            if message.body.is_none() {
                return;
            }
        } else if !in_room && message.body.is_some() && message.kind != MessageKind::Headline {
            self.said(&message, turn);
        }
        self.tell(message, turn);
    }

    /// Something was said in a private chat; it opens one with a contact, or where strangers are welcome.
    fn said(&mut self, message: &Message, turn: &mut Turn<'_>) {
        let at = message.at.min(turn.now);
        if self.chat_active(&message.chat, at) || !self.promises.is_resolved("chatBoxesFetched") {
            return;
        }
        let other = message.chat.to_bare();
        if other != self.own.to_bare() && (self.settings.allow_non_roster_messaging || self.roster.has(&other)) {
            self.start_chat(other, Some(at), View::new(false), turn);
        }
    }

    fn groupchat(&mut self, mut message: Box<Message>, turn: &mut Turn<'_>) {
        let jid = message.chat.to_bare();
        let Some(room) = self.rooms.shown.get(&jid) else { return };
        if message.nick.as_deref() == Some(room.nick.as_str()) {
            message.own = true;
        }
        self.room_heard(&jid);
        // With a body or in a thread it is a message like any other (XEP-0045, section 8.1).
        let is_subject = message.subject.is_some() && message.body.is_none() && message.thread.is_none();
        let Some(membership) = self.rooms.membership(&jid) else { return };
        // What comes before the subject is the room's past, whatever it is stamped with (XEP-0045, section 7.2.15).
        message.delayed |= membership.past;
        membership.past &= !is_subject;
        membership.said(message.at.min(turn.now));
        if !message.room_status.is_empty() {
            self.room_changed(&message, turn);
        }
        if is_subject {
            self.subject_set(&message, turn);
        }
        self.tell(message, turn);
    }

    fn subject_set(&mut self, message: &Message, turn: &mut Turn<'_>) {
        let subject = message.subject.as_deref().filter(|subject| !subject.is_empty());
        let subject = subject.map(|subject| &subject[..subject.floor_char_boundary(MAX_SUBJECT)]);
        let Some(room) = self.rooms.shown.get_mut(&message.chat) else { return };
        if room.subject.as_deref() == subject {
            return;
        }
        Arc::make_mut(room).subject = subject.map(str::to_owned);
        let room = Arc::clone(room);
        self.changed = true;
        self.fire("roomSubjectChanged", Payload::Room(room), turn);
    }

    /// The hot path: one allocation, for what all listeners share.
    fn tell(&mut self, message: Box<Message>, turn: &mut Turn<'_>) {
        let message = Arc::from(message);
        turn.fire_named(self.message_event.clone(), Payload::Message(Arc::clone(&message)));
        self.obey(&message, turn);
    }

    pub(super) fn send_message(
        &mut self,
        to: Jid,
        kind: MessageKind,
        draft: Draft,
        answer: Answer<String>,
        turn: &mut Turn<'_>,
    ) {
        if let Err(error) = self.may_send(&to, kind, &draft) {
            return turn.answer(answer, Err(error));
        }
        if kind == MessageKind::Chat && draft.body.is_some() {
            self.chat_active(&to, turn.now);
        }
        let id = random_id();
        let message = Outgoing::Message { to, kind, id: id.clone(), draft };
        turn.out.push(Effect::SendFor(message, Sent::Message(id, answer)));
    }

    fn may_send(&self, to: &Jid, kind: MessageKind, draft: &Draft) -> Result<(), CallError> {
        check_draft(draft)?;
        match kind {
            MessageKind::Groupchat if to.is_full() => {
                return Err(CallError::invalid("jid", "is an occupant's; a room has a bare JID"));
            }
            MessageKind::Chat | MessageKind::Groupchat => {}
            MessageKind::Normal | MessageKind::Headline | MessageKind::Error => {
                return Err(CallError::invalid("kind", format!("{kind} is neither chat nor groupchat")));
            }
        }
        if !self.is_live() {
            return Err(CallError::Offline);
        }
        let inside = || matches!(self.rooms.stage(to), Some(Stage::Inside | Stage::Configuring));
        if kind == MessageKind::Groupchat && !inside() {
            return Err(CallError::NotFound(format!(
                "the room {to} among those that this account is in; open it first"
            )));
        }
        Ok(())
    }
}

fn check_draft(draft: &Draft) -> Result<(), CallError> {
    let extensions = draft.extensions.as_deref().filter(|extensions| **extensions != Extensions::default());
    if draft.body.is_none() && draft.subject.is_none() && extensions.is_none() {
        return Err(CallError::invalid("message", "is empty; give a body, a subject or an extension"));
    }
    for (argument, text, limit) in [
        ("message.body", &draft.body, MAX_BODY),
        ("message.subject", &draft.subject, MAX_BODY),
        ("message.thread", &draft.thread, MAX_ID),
    ] {
        check_optional(argument, text.as_ref(), limit)?;
    }
    extensions.map_or(Ok(()), check_extensions)
}

fn check_extensions(extensions: &Extensions) -> Result<(), CallError> {
    for (argument, text) in [
        ("message.extensions.reply.id", extensions.reply.as_ref().map(|reply| &reply.id)),
        ("message.extensions.replace", extensions.replace.as_ref()),
        ("message.extensions.reactions.id", extensions.reactions.as_ref().map(|reactions| &reactions.id)),
        ("message.extensions.receipt", extensions.receipt.as_ref()),
        ("message.extensions.marked", extensions.marked.as_ref()),
    ] {
        check_optional(argument, text, MAX_ID)?;
    }
    let emojis = extensions.reactions.as_ref().map(|reactions| reactions.emojis.as_slice()).unwrap_or_default();
    if emojis.len() > MAX_EMOJIS {
        let reason = format!("has {} entries; at most {MAX_EMOJIS} are allowed", emojis.len());
        return Err(CallError::invalid("message.extensions.reactions.emojis", reason));
    }
    for (index, emoji) in emojis.iter().enumerate() {
        check_text("message.extensions.reactions.emojis", emoji, MAX_EMOJI)?;
        if emoji.is_empty() || emojis[..index].contains(emoji) {
            let reason = "has an empty text, or one that is there twice";
            return Err(CallError::invalid("message.extensions.reactions.emojis", reason));
        }
    }
    if let Some(state) = &extensions.chat_state {
        one_of("message.extensions.chat-state", state, &["active", "composing", "paused", "inactive", "gone"])?;
    }
    if let Some(marker) = &extensions.marker {
        one_of("message.extensions.marker", marker, &["received", "displayed", "acknowledged"])?;
    }
    if extensions.marker.is_some() != extensions.marked.is_some() {
        return Err(CallError::invalid("message.extensions.marker", "and marked are given together, or neither is"));
    }
    Ok(())
}

fn one_of(argument: &str, value: &str, allowed: &[&str]) -> Result<(), CallError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(CallError::invalid(argument, format!("{value:.32} is none of {}", allowed.join(", "))))
}

fn check_optional(argument: &str, text: Option<&String>, limit: usize) -> Result<(), CallError> {
    text.map_or(Ok(()), |text| check_text(argument, text, limit))
}

/// Text that XML 1.0 can carry, and not too much of it.
pub(super) fn check_text(argument: &str, text: &str, limit: usize) -> Result<(), CallError> {
    if text.len() > limit {
        return Err(CallError::invalid(argument, format!("has {} bytes; at most {limit} are allowed", text.len())));
    }
    let forbidden = |c: char| matches!(c, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}');
    match text.chars().find(|c| forbidden(*c)) {
        Some(c) => {
            Err(CallError::invalid(argument, format!("contains U+{:04X}, which XML cannot carry", u32::from(c))))
        }
        None => Ok(()),
    }
}
