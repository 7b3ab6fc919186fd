//! Messages: what comes in is sorted and told, what goes out is checked (RFC 6121, section 5).

use std::sync::Arc;

use jid::{BareJid, Jid};
use jiff::{SignedDuration, Timestamp};

use crate::error::CallError;
use crate::event::{EventName, Payload};
use crate::recent::Recent;
use crate::session::effect::{Effect, Sent};
use crate::session::names::Names;
use crate::session::questions::random_id;
use crate::session::rooms::{Rooms, Stage, Tells};
use crate::session::roster::Roster;
use crate::session::{Answer, Session, Turn, View};
use crate::stanza::{Draft, Message, MessageKind, Outgoing};

mod draft;
mod numbering;

pub(crate) use draft::check as check_draft;
pub(super) use draft::{check_text, written_len};
pub(super) use numbering::{Numbering, STANZA_IDS};

/// How many hashes of messages are remembered, so that nothing is told twice; a message with an archive id has two.
pub(super) const REMEMBERED: usize = 8_192;
/// How much of a room's subject is kept, in bytes.
const MAX_SUBJECT: usize = 4_096;
/// How far back the server's clock may be behind ours; it also stamps whole seconds alone.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(5);

/// The archive ids of the last messages, and the words of those that have none.
#[derive(Debug)]
pub(super) struct Seen(Recent);

impl Seen {
    pub(super) fn new() -> Self {
        Self(Recent::new(REMEMBERED))
    }

    fn hash(&self, room: Option<&Jid>, id: &str) -> u64 {
        self.0.hash((room, id))
    }

    /// Whether a message with this archive id came, from the account's archive or a room's.
    pub(super) fn knows(&self, room: Option<&BareJid>, id: &str) -> bool {
        self.0.knows(self.hash(room.map(|room| &**room), id))
    }

    /// Notes a message; `false`: it was there before. Only one that may come `again` is known by its words: else nobody could say
    /// the same twice.
    fn note(&mut self, message: &Message, again: bool) -> bool {
        // The account's archive and a room's number their messages each for itself.
        let room = (message.kind == MessageKind::Groupchat).then_some(&message.chat);
        match &message.stanza_id {
            Some(id) if !self.note_archived(room, id, message) => false,
            // It may have come before the room said that it numbers what is said.
            Some(_) if room.is_some() && again && message.body.is_some() => !self.knows_words(message),
            None if room.is_some() && message.body.is_some() => self.note_words(message, again),
            Some(_) | None if room.is_none() && message.id.is_some() => self.note_direct(message) || !again,
            Some(_) | None if room.is_none() && message.body.is_some() && message.carbon.is_none() => {
                self.note_nameless(message, again)
            }
            Some(_) | None => true,
        }
    }

    /// Where two connections tried to go on with one session, or one could not be gone on with, servers say once more, stamped,
    /// what has come already.
    fn note_direct(&mut self, message: &Message) -> bool {
        self.0.note(self.0.hash((&message.from, &message.id, &message.body)))
    }

    /// One without an id is known by who said what, and about when: who says the same once more says it later. One that comes
    /// again and is told is not noted: the next one of the same words may be another one.
    fn note_nameless(&mut self, message: &Message, again: bool) -> bool {
        let (words, step) =
            ((&message.from, &message.body), message.at.as_second().div_euclid(CLOCKS_DIFFER.as_secs()));
        if again {
            return !(step - 1..=step + 1).any(|step| self.0.knows(self.0.hash((words, step))));
        }
        self.0.note(self.0.hash((words, step)));
        true
    }

    /// A repeat has its archive id and its words. Some services announce ids and leave those that others wrote in their name
    /// (Metronome): an id alone would let anybody hide a message behind one that was used before.
    ///
    /// The first messages of a stream come before the account has said that it numbers messages, and may come once more; so their
    /// ids are noted, too.
    fn note_archived(&mut self, room: Option<&Jid>, id: &str, message: &Message) -> bool {
        let number = self.hash(room, id);
        self.0.note(number);
        self.0.note(self.0.hash((number, &message.from, &message.id, &message.body)))
    }

    /// A room without an archive sends what it said before once more when it is entered again: known by who said what under
    /// which id, and if that was past already, by when.
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
        self.0.len()
    }
}

/// Some services say what a room is about with an empty body beside it, such as those of `MongooseIM`.
fn drop_body_beside_subject(message: &mut Message) {
    if message.kind == MessageKind::Groupchat && message.subject.is_some() && message.thread.is_none() {
        message.body.take_if(|body| body.is_empty());
    }
}

impl Session {
    pub(super) fn message(&mut self, mut message: Box<Message>, turn: &mut Turn<'_>) {
        let claimed = self.check_number(&mut message);
        drop_body_beside_subject(&mut message);
        // A room that we are not in has nothing to say to us. What it said is not noted either: it may come again as its past.
        if message.kind == MessageKind::Groupchat
            && !self.rooms.stage(&message.chat).is_some_and(|stage| !matches!(stage, Stage::Outside { .. }))
        {
            self.ignored += 1;
            return;
        }
        if message.kind != MessageKind::Error && !self.seen.note(&message, self.comes_again(&message)) {
            self.ignored += 1;
            return;
        }
        if let Some(id) = claimed {
            self.seen.note_archived(None, &id, &message);
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

    fn name_occupant(&self, message: &mut Message) -> bool {
        name_occupant(message, &self.rooms, &self.roster)
    }

    fn direct(&mut self, mut message: Box<Message>, turn: &mut Turn<'_>) {
        let in_room = self.name_occupant(&mut message);
        if self.is_affiliation_alone(&mut message, turn) {
            return;
        }
        // Nobody but its author has kept it from who was there: clients stamp what was written without a network, and some all that
        // they send, as gateways do. Where the server has stored it, its own stamp counts, which is another one.
        let is_unsigned = message.claimed_at == Some(message.at);
        if message.delayed && is_unsigned && message.at >= self.stream_since() {
            message.delayed = false;
            message.at = turn.now;
        }
        message.delayed &= !self.was_said_to_us(&message);
        let mut enters = false;
        let (invite, declined) = (message.invite.take(), message.declined.take());
        if invite.is_some() || declined.is_some() {
            if let Some(invite) = invite.filter(|_| !message.own) {
                self.invited(*invite, turn);
            }
            if let Some(no) = declined.filter(|_| !message.own) {
                self.declined(*no, turn);
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

    /// When the stream of now or the last one began, by whichever clock.
    pub fn stream_since(&self) -> Timestamp {
        self.bound_at.checked_sub(CLOCKS_DIFFER).unwrap_or(self.bound_at)
    }

    /// Whether it was said to this very session, and came late; it is news, as it would have been in time. Either the stream was
    /// cut meanwhile: servers stamp what they say once more when a stream is resumed. Or it was stored until our first presence
    /// came: no plugin of this process or of a former one has heard it, and its author may have seen us log in. What is older than
    /// the session was stored for whoever comes, and so was what is said to a session that a former process left.
    fn was_said_to_us(&self, message: &Message) -> bool {
        let waited_behind_a_cut = self.resumed && message.at >= self.stream_since();
        // A whole second, as some servers stamp, may have been before; what was said while nobody was there is history.
        let came_as_we_did = self.arriving.as_ref().is_some_and(|arriving| arriving.contains(&message.at));
        message.carbon.is_none() && (waited_behind_a_cut || came_as_we_did)
    }

    /// Whether the server may have said it before a cut, and not have heard that it came: on the same session, or on one that it
    /// has ended since, of which it kept what was not acknowledged. So may its author's client, whose stamp does not count. In a room
    /// it is the past alone, which is over once the room has said so: what occupants stamp in its name is said now.
    ///
    /// Without an id there are only the words. They are no proof, so the server's own stamp has to say that it was before the cut:
    /// a person who says the same twice, in whatever form, is heard twice.
    fn comes_again(&self, message: &Message) -> bool {
        if message.kind == MessageKind::Groupchat {
            return message.delayed && self.rooms.tells(&message.chat) != Some(Tells::Present);
        }
        let until = self.cut_at.checked_add(CLOCKS_DIFFER).unwrap_or(self.cut_at);
        let was_said = message.carbon.is_none() && message.at <= until;
        if message.id.is_none() {
            return message.delayed && message.claimed_at != Some(message.at) && was_said;
        }
        (message.claimed_at.is_some() && message.body.is_some())
            || (message.delayed && (was_said || self.was_said_to_us(message)))
    }

    /// Something was said in a private chat; it opens one with a contact, or where strangers are welcome. `true`: it is open.
    fn said(&mut self, message: &Message, turn: &mut Turn<'_>) -> bool {
        let at = message.at.min(turn.now);
        if self.chat_active(&message.chat, at) {
            return true;
        }
        let other = message.chat.to_bare();
        let opens = self.promises.is_resolved("chatBoxesFetched")
            && other != self.own.to_bare()
            && (self.settings.allow_non_roster_messaging || self.roster.has(&other));
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
        self.room_heard(&jid);
        // With a body or in a thread it is a message like any other (XEP-0045, section 8.1).
        let is_subject = message.subject.is_some() && message.body.is_none() && message.thread.is_none();
        let Some(membership) = self.rooms.membership(&jid) else { return };
        match membership.tells {
            // Whatever it is stamped with; but what is past is stamped (XEP-0045, section 7.2.14), its subject alone not always.
            Tells::Past if is_subject || message.delayed || message.claimed_at.is_some() => {
                // The room's own stamp is better than any other.
                if !std::mem::replace(&mut message.delayed, true) {
                    message.at = message.claimed_at.unwrap_or(message.at);
                }
            }
            // Some services pass on what an occupant wrote in the room's name, who would hide from bots.
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
            self.room_changed(&message, turn);
        }
        if self.is_affiliation_alone(&mut message, turn) {
            return;
        }
        if is_subject {
            self.subject_set(&message, turn);
        }
        let (enters, notifies) = (message.says_something(), mentioned && is_news(&message));
        self.tell(message, enters, notifies, turn);
    }

    /// Tells of an affiliation that a room has changed. `true`: the message says nothing else.
    fn is_affiliation_alone(&mut self, message: &mut Message, turn: &mut Turn<'_>) -> bool {
        let room = message.from.to_bare();
        let Some(muc) = message.affiliation.take() else { return false };
        if message.delayed || message.carbon.is_some() || !self.rooms.stage(&room).is_some_and(Stage::is_in) {
            return false;
        }
        self.affiliation_changed(&room, *muc, turn);
        message.body.is_none() && message.subject.is_none() && message.extensions.is_none()
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
    fn tell(&mut self, mut message: Box<Message>, enters: bool, notifies: bool, turn: &mut Turn<'_>) {
        let line = self.command_in(&message);
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
            self.obey(&message, &line, turn);
        }
    }

    /// A message of ours leaves, whether a plugin wrote it as a stanza or not.
    pub fn leaving(&mut self, mut message: Box<Message>, now: Timestamp, effects: &mut Vec<Effect>) {
        let turn = &mut self.turn(now, effects);
        let in_room = if message.kind == MessageKind::Groupchat {
            message.nick = self.rooms.shown.get(&message.chat).map(|room| room.nick.clone());
            true
        } else {
            self.name_occupant(&mut message)
        };
        // What is said in a room enters it when the room says it to all.
        let is_chat = matches!(message.kind, MessageKind::Chat | MessageKind::Normal);
        let enters = is_chat && !in_room && message.says_something() && self.chats.open.contains_key(&message.chat);
        let message = Arc::from(message);
        turn.fire_named(self.names.get("messageSend"), Payload::Message(Arc::clone(&message)));
        if enters {
            turn.fire_named(self.message_events.added.clone(), Payload::Message(message));
        }
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
        let message = self.outgoing(to, kind, id.clone(), draft);
        turn.out.push(Effect::SendFor(message, Sent::Message(id, answer)));
    }

    /// A message of ours. Whether it is for an occupant, only who knows the rooms can tell from its address.
    pub(super) fn outgoing(&self, to: Jid, kind: MessageKind, id: String, draft: Draft) -> Outgoing {
        let to_occupant = kind == MessageKind::Chat && self.rooms.is_known(&to.to_bare());
        Outgoing::Message { to, kind, id, draft, to_occupant }
    }

    pub(super) fn may_send(&self, to: &Jid, kind: MessageKind, draft: &Draft) -> Result<(), CallError> {
        check_draft(draft)?;
        match kind {
            MessageKind::Groupchat if to.is_full() => {
                return Err(CallError::invalid("jid", "is an occupant's; a room has a bare JID"));
            }
            // One that is only asked for may be anybody's address.
            MessageKind::Chat if to.is_bare() && self.rooms.is_known(to) => {
                return Err(CallError::invalid("jid", format!("{to} is a room; what all are to hear is said as such")));
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

/// Somebody in a room who writes to us alone is a conversation of its own (XEP-0045, section 7.5). Of a room that is not open,
/// where another client of the account may be, the message itself says so; of a contact it says nothing.
pub(super) fn name_occupant(message: &mut Message, rooms: &Rooms, roster: &Roster) -> bool {
    let other = if message.own { &message.to } else { &message.from };
    let is_told = message.of_occupant && other.is_full();
    let in_room = rooms.has(&message.chat) || (is_told && !roster.has(&message.chat.to_bare()));
    if in_room {
        message.chat = other.clone();
    }
    in_room
}

/// The events of the hot path, apart from all other names.
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

/// Whether it is worth telling a person: somebody else said it here and now.
fn is_news(message: &Message) -> bool {
    !message.own && !message.delayed && message.carbon.is_none()
}

/// Whether a text names somebody, as a word of its own and whatever the capitals, which telephones write for people.
fn mentions(text: &str, nick: &str) -> bool {
    let (text, nick) = (text.to_lowercase(), nick.to_lowercase());
    let is_edge = |neighbour: Option<char>| neighbour.is_none_or(|neighbour| !neighbour.is_alphanumeric());
    !nick.is_empty()
        && text
            .match_indices(&nick)
            .any(|(at, _)| is_edge(text[..at].chars().next_back()) && is_edge(text[at + nick.len()..].chars().next()))
}
