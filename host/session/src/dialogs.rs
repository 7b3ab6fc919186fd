//! Dialogs: plugins ask people questions, and a person's next message in the same place is the answer.
//!
//! A room names its occupants by nicknames, which it gives to one at a time. So a question to an occupant is one to a
//! nickname, follows it when it changes, and ends when the occupant leaves.

pub(super) mod answering;
mod question;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_base::id::{InstanceId, PluginId};
use parlor_base::permission::Permission;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Draft, Message, MessageKind};
use tokio::sync::oneshot::Receiver;

use crate::answer::Answer;
use crate::deadlines::{DeadlineKey, Deadlines, Late};
use crate::encryption::outbound::Outbound;
use crate::iq::random_id;
use crate::messages::{may_send, say_this};
use crate::permissions::{Decision, Target, Use};
use crate::rooms::Rooms;
use crate::roster::Roster;
use crate::router::Mailbox;
use crate::turn::Turn;

pub use question::{DialogAnswer, Question};

/// Maximum number of attempts that a person has to answer a question with choices.
const TRIES: u8 = 3;
/// The command name of a message that answers a question. No command has this name.
pub(super) const ANSWER: &str = "?";

/// How a dialog ended.
pub type DialogEnd = Result<DialogAnswer, CallError>;

/// A question that a plugin asks.
pub(super) struct New {
    /// The mailbox of the instance that asks, with its grants.
    pub(super) mailbox: Arc<Mailbox>,
    /// Its plugin.
    pub(super) plugin: PluginId,
    /// The person, an occupant, or the room with `nick`.
    pub(super) to: Jid,
    /// The occupant's nickname, if the question is asked in a room.
    pub(super) nick: Option<String>,
    pub(super) question: Question,
    /// The message with the question, as hooks let it pass.
    pub(super) draft: Draft,
    /// Maximum number of dialogs that the instance may have.
    pub(super) most: usize,
}

/// The place of a question with the person: the conversation, and in a room the nickname.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    chat: Jid,
    nick: Option<String>,
}

impl Place {
    /// Returns the place of a message that this person writes.
    fn of(to: &Jid, nick: Option<String>, rooms: &Rooms) -> Self {
        // An occupant is identified by the full JID, and anybody else by the bare one.
        let bare = Jid::from(to.to_bare());
        let chat = if nick.is_none() && rooms.is_known(&bare) { to.clone() } else { bare };
        Self { chat, nick }
    }

    /// Returns the places of an occupant: in the room, and in private.
    fn of_occupant(room: &BareJid, nick: &str) -> [Option<Self>; 2] {
        let private = room.with_resource_str(nick).ok().map(|jid| Self { chat: jid.into(), nick: None });
        [Some(Self { chat: room.clone().into(), nick: Some(nick.to_owned()) }), private]
    }
}

/// A question that waits for its answer.
#[derive(Debug)]
struct Dialog {
    by: InstanceId,
    plugin: PluginId,
    mailbox: Arc<Mailbox>,
    place: Place,
    to: Jid,
    /// The id of the message with the question.
    id: String,
    question: Question,
    /// The number of answers that the person still has.
    tries: u8,
    deadline: DeadlineKey,
    end: Answer<DialogAnswer>,
}

impl Dialog {
    /// Returns whether the plugin waits for the answer, and may still write there.
    fn is_wanted(&self, roster: &Roster) -> bool {
        let room = self.to.to_bare();
        let (permission, target) = match self.place.nick {
            Some(_) => (Permission::RoomsSend, Target::Room(&room)),
            None => (Permission::MessagesSend, Target::Jid(&self.to)),
        };
        let decision = self.mailbox.decide(Use::Call(permission, target), Some(&|jid| roster.has(jid)));
        !self.end.is_abandoned() && decision.is_some_and(Decision::allows)
    }

    /// Returns whether its message may be returned from this address. In a room, all occupants see its id.
    fn returns(&self, from: &Jid, rooms: &Rooms) -> bool {
        let is_with_room = self.place.nick.is_some() || self.place.chat.is_full();
        let is_room = || rooms.shown.get(&from.to_bare()).is_some_and(|room| room.is_itself(from));
        self.to.to_bare() == from.to_bare() && (!is_with_room || *from == self.to || is_room())
    }

    /// Returns the kind of message in which it is asked.
    fn kind(&self) -> MessageKind {
        kind(self.place.nick.as_deref())
    }
}

/// The dialogs of an account.
#[derive(Debug, Default)]
pub(super) struct Dialogs {
    /// By the order in which they were asked.
    open: BTreeMap<u64, Dialog>,
    /// The numbers of those in each place, the latest last.
    at: HashMap<Place, Vec<u64>>,
    next: u64,
}

impl Dialogs {
    /// Asks a question. Returns where its end arrives.
    pub(super) fn begin(
        &mut self,
        new: New,
        rooms: &Rooms,
        turn: &mut Turn<'_>,
    ) -> Result<Receiver<DialogEnd>, CallError> {
        let New { mailbox, plugin, to, nick, question, draft, most } = new;
        let by = mailbox.instance();
        may_send(rooms, &to, kind(nick.as_deref()), &draft, turn)?;
        if let Some(nick) = &nick {
            is_asked(rooms, &to, nick)?;
        }
        let place = Place::of(&to, nick, rooms);
        let older =
            self.numbers(&place).into_iter().find(|number| self.open.get(number).is_some_and(|one| one.by == by));
        if let Some(older) = older {
            self.end(older, Err(CallError::Stopped), turn);
        }
        self.make_room(by, most, turn)?;
        let id = random_id();
        self.next += 1;
        let number = self.next;
        let kind = kind(place.nick.as_deref());
        let message = Outbound { to: to.clone(), kind, id: id.clone(), draft, answer: None, question: Some(number) };
        say_this(rooms, message, turn);
        let deadline = turn.deadlines.set(question.timeout(), Late::Dialog(number));
        let (end, arrives) = Answer::channel();
        self.at.entry(place.clone()).or_default().push(number);
        let dialog = Dialog { by, plugin, mailbox, place, to, id, question, tries: TRIES, deadline, end };
        self.open.insert(number, dialog);
        Ok(arrives)
    }

    /// Ends a question that timed out.
    pub(super) fn late(&mut self, number: u64, turn: &mut Turn<'_>) {
        self.end(number, Err(CallError::TimedOut), turn);
    }

    /// Ends a question that was not sent, such as one that cannot be encrypted.
    pub(super) fn not_asked(&mut self, number: u64, error: CallError, turn: &mut Turn<'_>) {
        self.end(number, Err(error), turn);
    }

    /// Ends the question that was returned with this error.
    pub(super) fn refused(&mut self, message: &Message, rooms: &Rooms, turn: &mut Turn<'_>) {
        let (Some(id), Some(error)) = (&message.id, &message.error) else { return };
        let found = self.open.iter().find(|(_, dialog)| dialog.id == *id && dialog.returns(&message.from, rooms));
        if let Some(number) = found.map(|(number, _)| *number) {
            self.end(number, Err(CallError::Stanza(error.clone())), turn);
        }
    }

    /// Ends the questions to an occupant who has left.
    pub(super) fn occupant_left(&mut self, room: &BareJid, nick: &str, turn: &mut Turn<'_>) {
        if self.open.is_empty() {
            return;
        }
        for place in Place::of_occupant(room, nick).into_iter().flatten() {
            for number in self.numbers(&place) {
                self.end(number, Err(CallError::NotFound(format!("{nick} in the room {room}"))), turn);
            }
        }
    }

    /// Lets the questions to an occupant follow the new nickname.
    pub(super) fn occupant_renamed(&mut self, room: &BareJid, old: &str, new: &str) {
        if self.open.is_empty() {
            return;
        }
        let (old, new) = (Place::of_occupant(room, old), Place::of_occupant(room, new));
        for (old, new) in old.into_iter().zip(new) {
            let (Some(old), Some(new)) = (old, new) else { continue };
            let Some(numbers) = self.at.remove(&old) else { continue };
            for number in &numbers {
                let Some(dialog) = self.open.get_mut(number) else { continue };
                // In private, the address is that of the occupant.
                dialog.to = new.chat.clone();
                dialog.place = new.clone();
            }
            self.at.entry(new).or_default().extend(numbers);
        }
    }

    /// Ends the questions to the occupants of a room that we are out of.
    pub(super) fn out_of_room(&mut self, room: &BareJid, turn: &mut Turn<'_>) {
        let there = |dialog: &Dialog| dialog.place.chat.to_bare() == *room;
        for number in self.numbers_of(there) {
            self.end(
                number,
                Err(CallError::NotFound(format!("the room {room} among those that this account is in"))),
                turn,
            );
        }
    }

    /// Ends all questions, because the session has ended.
    pub(super) fn end_all(&mut self, turn: &mut Turn<'_>) {
        for number in self.numbers_of(|_| true) {
            self.end(number, Err(CallError::Offline), turn);
        }
    }

    /// Forgets the questions of an instance that is gone.
    pub(super) fn instance_gone(&mut self, gone: InstanceId, deadlines: &mut Deadlines) {
        for number in self.numbers_of(|dialog| dialog.by == gone) {
            if let Some(dialog) = self.take(number) {
                deadlines.cancel(dialog.deadline);
            }
        }
    }

    /// Checks that an instance may have one more, not counting those that it gave up.
    fn make_room(&mut self, by: InstanceId, most: usize, turn: &mut Turn<'_>) -> Result<(), CallError> {
        let count = |dialogs: &Self| dialogs.open.values().filter(|dialog| dialog.by == by).count();
        if self.open.len() < most || count(self) < most {
            return Ok(());
        }
        for number in self.numbers_of(|dialog| dialog.by == by && dialog.end.is_abandoned()) {
            self.end(number, Err(CallError::Stopped), turn);
        }
        if count(self) < most { Ok(()) } else { Err(CallError::OverLimit(format!("{most} dialogs"))) }
    }

    fn numbers(&self, place: &Place) -> Vec<u64> {
        self.at.get(place).cloned().unwrap_or_default()
    }

    fn numbers_of(&self, is_meant: impl Fn(&Dialog) -> bool) -> Vec<u64> {
        self.open.iter().filter(|(_, dialog)| is_meant(dialog)).map(|(number, _)| *number).collect()
    }

    fn end(&mut self, number: u64, end: DialogEnd, turn: &mut Turn<'_>) {
        let Some(dialog) = self.take(number) else { return };
        turn.deadlines.cancel(dialog.deadline);
        turn.answer(dialog.end, end);
    }

    fn take(&mut self, number: u64) -> Option<Dialog> {
        let dialog = self.open.remove(&number)?;
        if let Some(numbers) = self.at.get_mut(&dialog.place) {
            numbers.retain(|one| *one != number);
            if numbers.is_empty() {
                self.at.remove(&dialog.place);
            }
        }
        Some(dialog)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.open.len(), self.at.values().map(Vec::len).sum::<usize>());
        self.open.len()
    }
}

fn kind(nick: Option<&str>) -> MessageKind {
    if nick.is_some() { MessageKind::Groupchat } else { MessageKind::Chat }
}

/// Checks that another occupant has this nickname in a room.
fn is_asked(rooms: &Rooms, room: &Jid, nick: &str) -> Result<(), CallError> {
    let jid = room.to_bare();
    let found = rooms.shown.get(&jid).filter(|room| room.occupants.contains_key(nick));
    match found {
        None => Err(CallError::NotFound(format!("{} in the room {jid}", nick.escape_debug()))),
        Some(room) if room.nick == nick => Err(CallError::invalid("nick", "is our own")),
        Some(_) => Ok(()),
    }
}
