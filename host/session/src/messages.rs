//! Messages: incoming ones are classified and delivered, outgoing ones are checked (RFC 6121, section 5).

use std::sync::Arc;

use jid::{BareJid, Jid};
use jiff::SignedDuration;
use parlor_base::recent::Recent;
use parlor_stanza::draft::check_draft;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Draft, Message, MessageKind, Outgoing};

use crate::command::Command;
use crate::effect::{Effect, Sent};
use crate::event::{EventName, Payload};
use crate::iq::random_id;
use crate::names::Names;
use crate::occupants::affiliation_changed;
use crate::rooms::{Rooms, Stage, Tells, invitation_declined};
use crate::roster::Roster;
use crate::{Answer, View};

mod numbering;

use crate::features::Features;
use crate::turn::Turn;
pub(super) use numbering::{Numbering, STANZA_IDS};

/// Number of message hashes that are remembered, so that nothing is delivered twice. A message with an archive id has
/// two.
pub(super) const REMEMBERED: usize = 8_192;
/// Maximum length of a room's subject, in bytes.
const MAX_SUBJECT: usize = 4_096;
/// How far the server's clock may be behind ours. Server time stamps may also be rounded to whole seconds.
pub(super) const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(5);

/// The archive ids of the latest messages, and the contents of those without one.
#[derive(Debug)]
pub(super) struct Seen(Recent);

impl Seen {
    pub(super) fn new() -> Self {
        Self(Recent::new(REMEMBERED))
    }

    fn hash(&self, room: Option<&Jid>, id: &str) -> u64 {
        self.0.hash((room, id))
    }

    /// Returns whether a message with this archive id came, from the account's archive or a room's.
    pub(super) fn knows(&self, room: Option<&BareJid>, id: &str) -> bool {
        self.0.knows(self.hash(room.map(|room| &**room), id))
    }

    /// Notes a message. Returns `false` if it came before. Only a message that may be a repetition is recognised by its
    /// contents: otherwise nobody could send the same text twice.
    fn note(&mut self, message: &Message, again: bool) -> bool {
        // The account's archive and each room's have separate ids.
        let room = (message.kind == MessageKind::Groupchat).then_some(&message.chat);
        match &message.stanza_id {
            Some(id) if !self.note_archived(room, id, message) => false,
            // It may have come before the room announced that it numbers messages.
            Some(_) if room.is_some() && again && message.body.is_some() => !self.knows_words(message),
            None if room.is_some() && message.body.is_some() => self.note_words(message, again),
            Some(_) | None if room.is_none() && message.id.is_some() => self.note_direct(message) || !again,
            Some(_) | None if room.is_none() && message.body.is_some() && message.carbon.is_none() => {
                self.note_nameless(message, again)
            }
            Some(_) | None => true,
        }
    }

    /// Notes a direct message with an id. Servers repeat delivered messages with a delay stamp after two connections
    /// tried to resume one session, or after a session could not be resumed.
    fn note_direct(&mut self, message: &Message) -> bool {
        self.0.note(self.0.hash((&message.from, &message.id, &message.body)))
    }

    /// Notes a message without an id by sender, text and approximate time: the same text sent again later has another
    /// time. A repetition that is delivered is not noted, since the next message with the same text may be another one.
    fn note_nameless(&mut self, message: &Message, again: bool) -> bool {
        let (words, step) =
            ((&message.from, &message.body), message.at.as_second().div_euclid(CLOCKS_DIFFER.as_secs()));
        if again {
            return !(step - 1..=step + 1).any(|step| self.0.knows(self.0.hash((words, step))));
        }
        self.0.note(self.0.hash((words, step)));
        true
    }

    /// Notes a message with an archive id: a repetition has the same id and contents. Some services announce ids but do
    /// not remove ids that others wrote in their name (Metronome). With the id alone, anyone could hide a message
    /// behind an id that was used before.
    ///
    /// The first messages of a stream come before the account has announced that it numbers messages, and may be
    /// repeated. So their ids are noted, too.
    fn note_archived(&mut self, room: Option<&Jid>, id: &str, message: &Message) -> bool {
        let number = self.hash(room, id);
        self.0.note(number);
        self.0.note(self.0.hash((number, &message.from, &message.id, &message.body)))
    }

    /// Notes a room message without an archive id. A room without an archive sends its history again when it is entered
    /// again. It is recognised by sender, id and text, and if it was history already, by its time.
    fn note_words(&mut self, message: &Message, again: bool) -> bool {
        let words = (&message.from, &message.id, &message.body);
        let said = self.0.hash(words);
        if !again {
            self.0.note(said);
            return true;
        }
        !self.0.knows(said) && self.0.note(self.0.hash((words, message.at)))
    }

    fn knows_words(&self, message: &Message) -> bool {
        let words = (&message.from, &message.id, &message.body);
        [self.0.hash(words), self.0.hash((words, message.at))].into_iter().any(|it| self.0.knows(it))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.count()
    }
}

/// Removes an empty body beside a subject, which some services send, such as `MongooseIM`.
fn drop_body_beside_subject(message: &mut Message) {
    if message.kind == MessageKind::Groupchat && message.subject.is_some() && message.thread.is_none() {
        message.body.take_if(|body| body.is_empty());
    }
}

/// Send a message to a person (`Chat`) or to a room (`Groupchat`). The answer is its id. Answered when the message is queued.
#[derive(Debug)]
pub struct SendMessage {
    /// The recipient.
    pub to: Jid,
    /// `Chat` or `Groupchat`.
    pub kind: MessageKind,
    /// The contents of the message.
    pub draft: Draft,
}

impl Command for SendMessage {
    type Answer = String;

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.draft.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { to, kind, draft } = self;
        if let Err(error) = may_send(&features.rooms, &to, kind, &draft, turn) {
            return turn.answer(answer, Err(error));
        }
        if kind == MessageKind::Chat && draft.body.is_some() {
            features.chats.chat_active(&to, turn.now, turn);
        }
        let id = random_id();
        let message = outgoing(&features.rooms, to, kind, id.clone(), draft);
        turn.out.push(Effect::SendFor(message, Sent::Message(id, answer)));
    }
}

/// Builds an outgoing message. An address alone does not show whether it is an occupant's, so the known rooms
/// decide.
pub(super) fn outgoing(rooms: &Rooms, to: Jid, kind: MessageKind, id: String, draft: Draft) -> Outgoing {
    let to_occupant = kind == MessageKind::Chat && rooms.is_known(&to.to_bare());
    Outgoing::Message { to, kind, id, draft, to_occupant }
}

pub(super) fn may_send(
    rooms: &Rooms,
    to: &Jid,
    kind: MessageKind,
    draft: &Draft,
    turn: &mut Turn<'_>,
) -> Result<(), CallError> {
    check_draft(draft)?;
    match kind {
        MessageKind::Groupchat if to.is_full() => {
            return Err(CallError::invalid("jid", "is an occupant's; a room has a bare JID"));
        }
        // A room that is only being entered may be anybody's address.
        MessageKind::Chat if to.is_bare() && rooms.is_known(to) => {
            return Err(CallError::invalid("jid", format!("{to} is a room; what all are to hear is said as such")));
        }
        MessageKind::Chat | MessageKind::Groupchat => {}
        MessageKind::Normal | MessageKind::Headline | MessageKind::Error => {
            return Err(CallError::invalid("kind", format!("{kind} is neither chat nor groupchat")));
        }
    }
    if !turn.is_live() {
        return Err(CallError::Offline);
    }
    let inside = || matches!(rooms.stage(to), Some(Stage::Inside | Stage::Configuring));
    if kind == MessageKind::Groupchat && !inside() {
        return Err(CallError::NotFound(format!("the room {to} among those that this account is in; open it first")));
    }
    Ok(())
}

/// Returns whether this may be a repetition. The server may have sent the message before the stream was lost,
/// without learning that it arrived: on the same session, or on one that ended, whose unacknowledged messages it
/// kept. The author's client may repeat it, too, and its stamp is not trusted. In a room only history is repeated,
/// and it ends when the room says so: later stamps of occupants do not count.
///
/// A message without an id can be recognised only by its contents, which prove nothing. So the server's own stamp
/// has to be from before the loss: a person who sends the same text twice, in any form, is heard twice.
fn comes_again(rooms: &Rooms, message: &Message, turn: &mut Turn<'_>) -> bool {
    if message.kind == MessageKind::Groupchat {
        return message.delayed && rooms.tells(&message.chat) != Some(Tells::Present);
    }
    let until = turn.cut_at.checked_add(CLOCKS_DIFFER).unwrap_or(turn.cut_at);
    let was_said = message.carbon.is_none() && message.at <= until;
    if message.id.is_none() {
        return message.delayed && message.claimed_at != Some(message.at) && was_said;
    }
    (message.claimed_at.is_some() && message.body.is_some())
        || (message.delayed && (was_said || turn.was_said_to_us(message)))
}

impl Rooms {
    pub(crate) fn subject_set(&mut self, message: &Message, turn: &mut Turn<'_>) {
        let subject = message.subject.as_deref().filter(|subject| !subject.is_empty());
        let subject = subject.map(|subject| &subject[..subject.floor_char_boundary(MAX_SUBJECT)]);
        let Some(room) = self.shown.get_mut(&message.chat) else { return };
        if room.subject.as_deref() == subject {
            return;
        }
        Arc::make_mut(room).subject = subject.map(str::to_owned);
        let room = Arc::clone(room);
        turn.changed = true;
        turn.fire("roomSubjectChanged", Payload::Room(room));
    }

    /// Reports a changed affiliation. Returns `true` if the message contains nothing else.
    pub(crate) fn is_affiliation_alone(&mut self, message: &mut Message, turn: &mut Turn<'_>) -> bool {
        let room = message.from.to_bare();
        let Some(muc) = message.affiliation.take() else { return false };
        if message.delayed || message.carbon.is_some() || !self.stage(&room).is_some_and(Stage::is_in) {
            return false;
        }
        affiliation_changed(self, &room, *muc, turn);
        message.body.is_none() && message.subject.is_none() && message.extensions.is_none()
    }
}

impl Features {
    pub(super) fn message(&mut self, mut message: Box<Message>, turn: &mut Turn<'_>) {
        let claimed = self.numbering.check(&mut message);
        drop_body_beside_subject(&mut message);
        // Messages from a room that we are not in do not count. They are not noted either, since they may come again as
        // its history.
        if message.kind == MessageKind::Groupchat
            && !self.rooms.stage(&message.chat).is_some_and(|stage| !matches!(stage, Stage::Outside { .. }))
        {
            turn.ignored += 1;
            return;
        }
        if message.kind != MessageKind::Error && !self.seen.note(&message, comes_again(&self.rooms, &message, turn)) {
            turn.ignored += 1;
            return;
        }
        if let Some(id) = claimed {
            self.seen.note_archived(None, &id, &message);
        }
        match message.kind {
            MessageKind::Groupchat => self.groupchat(message, turn),
            MessageKind::Error => {
                self.rooms.room_refused(&message, turn);
                name_occupant(&mut message, &self.rooms, &self.roster);
                turn.fire("messageError", Payload::Message(Arc::from(message)));
            }
            MessageKind::Chat | MessageKind::Normal | MessageKind::Headline => self.direct(message, turn),
        }
    }

    fn direct(&mut self, mut message: Box<Message>, turn: &mut Turn<'_>) {
        let in_room = name_occupant(&mut message, &self.rooms, &self.roster);
        if self.rooms.is_affiliation_alone(&mut message, turn) {
            return;
        }
        // Only the author's side delayed it: clients stamp messages that were written offline, and some, such as
        // gateways, stamp all. If the server stored it, the server's own stamp counts, which differs.
        let is_unsigned = message.claimed_at == Some(message.at);
        if message.delayed && is_unsigned && message.at >= turn.stream_since() {
            message.delayed = false;
            message.at = turn.now;
        }
        message.delayed &= !turn.was_said_to_us(&message);
        let mut enters = false;
        let (invite, declined) = (message.invite.take(), message.declined.take());
        if invite.is_some() || declined.is_some() {
            if let Some(invite) = invite.filter(|_| !message.own) {
                self.rooms.invited(*invite, &self.roster, &self.bookmarks, turn);
            }
            if let Some(no) = declined.filter(|_| !message.own) {
                invitation_declined(&self.rooms, *no, turn);
            }
            if message.body.is_none() {
                return;
            }
        } else if !in_room && message.says_something() && message.kind != MessageKind::Headline {
            enters = self.said(&message, turn);
        }
        let notifies = message.says_something() && is_news(&message);
        self.tell(message, enters, notifies, turn);
    }

    /// Handles a message in a private chat. It opens the chat with a contact, or with a stranger if that is allowed.
    /// Returns whether the chat is open.
    fn said(&mut self, message: &Message, turn: &mut Turn<'_>) -> bool {
        let at = message.at.min(turn.now);
        if self.chats.chat_active(&message.chat, at, turn) {
            return true;
        }
        let other = message.chat.to_bare();
        let opens = turn.promises.is_resolved("chatBoxesFetched")
            && other != turn.own.to_bare()
            && (turn.settings.allow_non_roster_messaging || self.roster.has(&other));
        if opens {
            self.start_chat(other, Some(at), View::new(false), turn);
        }
        opens
    }

    fn groupchat(&mut self, mut message: Box<Message>, turn: &mut Turn<'_>) {
        let jid = message.chat.to_bare();
        let Some(room) = self.rooms.shown.get(&jid) else { return };
        if message.nick.as_deref() == Some(room.nick.as_str()) {
            message.own = true;
        }
        let mentioned = mentions(&message.said(), &room.nick);
        self.rooms.one(&jid, turn).heard();
        // With a body or in a thread it is an ordinary message (XEP-0045, section 8.1).
        let is_subject = message.subject.is_some() && message.body.is_none() && message.thread.is_none();
        let Some(membership) = self.rooms.membership(&jid) else { return };
        match membership.tells {
            // Any stamp counts. History is stamped (XEP-0045, section 7.2.14), except that its subject may not be.
            Tells::Past if is_subject || message.delayed || message.claimed_at.is_some() => {
                // The room's own stamp is better than any other.
                if !std::mem::replace(&mut message.delayed, true) {
                    message.at = message.claimed_at.unwrap_or(message.at);
                }
            }
            // Some services forward stamps that an occupant wrote in the room's name, with which someone could hide
            // from bots.
            Tells::Present if message.delayed => {
                message.delayed = false;
                message.claimed_at = Some(std::mem::replace(&mut message.at, turn.now));
            }
            Tells::Past | Tells::Ending | Tells::Whenever | Tells::Present => {}
        }
        if is_subject {
            membership.tells = match membership.tells {
                Tells::Past | Tells::Ending => Tells::Ending,
                Tells::Whenever | Tells::Present => Tells::Present,
            };
        }
        membership.said(message.at.min(turn.now));
        if !message.room_status.is_empty() {
            self.rooms.room_changed(&message, turn);
        }
        if self.rooms.is_affiliation_alone(&mut message, turn) {
            return;
        }
        if is_subject {
            self.rooms.subject_set(&message, turn);
        }
        let (enters, notifies) = (message.says_something(), mentioned && is_news(&message));
        self.tell(message, enters, notifies, turn);
    }

    /// Delivers a message. The hot path: one allocation, shared by all listeners.
    fn tell(&mut self, mut message: Box<Message>, enters: bool, notifies: bool, turn: &mut Turn<'_>) {
        let line = self.commands.command_in(&message, turn);
        message.command = line.as_ref().map(|line| line.name.clone());
        let message = Arc::from(message);
        turn.fire_named(self.message_events.message.clone(), Payload::Message(Arc::clone(&message)));
        if enters {
            turn.fire_named(self.message_events.added.clone(), Payload::Message(Arc::clone(&message)));
        }
        if notifies {
            turn.fire_named(self.message_events.notification.clone(), Payload::Message(Arc::clone(&message)));
        }
        if let Some(line) = line {
            self.commands.obey(&message, &line, &self.rooms, &self.roster, turn);
        }
    }

    /// Reports an outgoing message, whether a plugin wrote it as a stanza or not.
    pub(super) fn leaving(&mut self, mut message: Box<Message>, turn: &mut Turn<'_>) {
        let in_room = if message.kind == MessageKind::Groupchat {
            message.nick = self.rooms.shown.get(&message.chat).map(|room| room.nick.clone());
            true
        } else {
            name_occupant(&mut message, &self.rooms, &self.roster)
        };
        // A message to a room is added when the room reflects it.
        let is_chat = matches!(message.kind, MessageKind::Chat | MessageKind::Normal);
        let enters = is_chat && !in_room && message.says_something() && self.chats.open.contains_key(&message.chat);
        let message = Arc::from(message);
        turn.fire_named(turn.names.get("messageSend"), Payload::Message(Arc::clone(&message)));
        if enters {
            turn.fire_named(self.message_events.added.clone(), Payload::Message(message));
        }
    }
}

impl Turn<'_> {
    /// Returns whether the message was sent to this very session and came late; then it is news, as it would have been
    /// in time. There are two cases. Either the stream was lost meanwhile: servers stamp messages that they repeat on a
    /// resumed stream. Or it was stored until our first presence: no plugin of this process or a previous one has had
    /// it, and its author may have seen us log in. Messages older than the session were stored for any client, and so
    /// were those for a session that a previous process left.
    fn was_said_to_us(&self, message: &Message) -> bool {
        let waited_behind_a_cut = self.resumed && message.at >= self.stream_since();
        // A time stamp in whole seconds may be earlier than the message. Messages from before the session are history.
        let came_as_we_did = self.arriving.as_ref().is_some_and(|arriving| arriving.contains(&message.at));
        message.carbon.is_none() && (waited_behind_a_cut || came_as_we_did)
    }
}

/// Makes a private message from an occupant a conversation of its own (XEP-0045, section 7.5). For a room that is not
/// open here, but perhaps at another client of the account, the message itself says so; if the address is a contact's,
/// that does not count. Returns whether it is one.
pub(super) fn name_occupant(message: &mut Message, rooms: &Rooms, roster: &Roster) -> bool {
    let other = if message.own { &message.to } else { &message.from };
    let is_told = message.of_occupant && other.is_full();
    let in_room = rooms.has(&message.chat) || (is_told && !roster.has(&message.chat.to_bare()));
    if in_room {
        message.chat = other.clone();
    }
    in_room
}

/// The names of the events on the hot path, apart from all others.
#[derive(Debug)]
pub(super) struct MessageEvents {
    message: EventName,
    added: EventName,
    notification: EventName,
}

impl MessageEvents {
    pub(super) fn new(names: &Names) -> Self {
        Self {
            message: names.get("message"),
            added: names.get("messageAdded"),
            notification: names.get("messageNotification"),
        }
    }
}

/// Returns whether a person would want to be notified: someone else wrote it here and now.
fn is_news(message: &Message) -> bool {
    !message.own && !message.delayed && message.carbon.is_none()
}

/// Returns whether a text contains a nickname as a separate word. Case is ignored, since phones capitalise words.
fn mentions(text: &str, nick: &str) -> bool {
    let (text, nick) = (text.to_lowercase(), nick.to_lowercase());
    let is_edge = |neighbour: Option<char>| neighbour.is_none_or(|neighbour| !neighbour.is_alphanumeric());
    !nick.is_empty()
        && text
            .match_indices(&nick)
            .any(|(at, _)| is_edge(text[..at].chars().next_back()) && is_edge(text[at + nick.len()..].chars().next()))
}
