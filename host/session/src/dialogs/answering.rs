//! Answers to questions: which questions a message may answer is decided when it comes, and whether it does when the
//! plugins get it. Hooks may hide it in between.

use jiff::Timestamp;
use parlor_base::id::InstanceId;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Draft, Message, MessageKind};

use super::question::Read;
use super::{Dialogs, Place};
use crate::commands::giving::{addressed, is_spoken};
use crate::effect::Effect;
use crate::encryption::outbound::Outbound;
use crate::features::Features;
use crate::iq::random_id;
use crate::messages::{may_send, say_this};
use crate::questions::{OpenQuestions, Repetition};
use crate::rooms::Rooms;
use crate::roster::Roster;
use crate::session::Session;
use crate::turn::Turn;

/// Takes a message as the answer to the latest of these questions that is still open. An instance from which hooks hide
/// the message does not get it: its question stays open. Returns the instance that asked, if the message is the answer.
pub fn take_answer(
    session: &mut Session,
    message: &Message,
    questions: &OpenQuestions,
    sees: &dyn Fn(InstanceId) -> bool,
    now: Timestamp,
    effects: &mut Vec<Effect>,
) -> Option<InstanceId> {
    let mut by = None;
    session.input(now, effects, |features, turn| {
        let Features { dialogs, rooms, roster, .. } = features;
        let text = text_of(message, rooms);
        if !text.is_empty() {
            by = dialogs.answered(questions, &text, sees, roster, turn);
        }
    });
    by
}

/// Sends the choices after a wrong answer, as hooks let them pass, or ends the question with the error for a message
/// that is stopped.
pub fn ask_again(
    session: &mut Session,
    question: u64,
    passed: Result<Draft, CallError>,
    now: Timestamp,
    effects: &mut Vec<Effect>,
) {
    session.input(now, effects, |features, turn| {
        let Features { dialogs, rooms, roster, .. } = features;
        dialogs.again(question, passed, rooms, roster, turn);
    });
}

/// Returns what a message says, without our nickname in front.
fn text_of(message: &Message, rooms: &Rooms) -> String {
    let said = message.said();
    addressed(&said, message, rooms).unwrap_or(&said).trim().to_owned()
}

impl Dialogs {
    /// Returns the questions that a message may answer: those that are open to its sender there.
    pub(crate) fn open_to(&self, message: &Message, rooms: &Rooms) -> OpenQuestions {
        if self.open.is_empty() || !is_spoken(message) || text_of(message, rooms).is_empty() {
            return OpenQuestions::default();
        }
        let nick = message.nick.clone().filter(|_| message.kind == MessageKind::Groupchat);
        OpenQuestions(self.numbers(&Place { chat: message.chat.clone(), nick }))
    }

    /// Returns those of [`open_to`](Self::open_to) whose plugins still wait for the answer.
    pub(crate) fn wanted_from(&self, message: &Message, rooms: &Rooms, roster: &Roster) -> OpenQuestions {
        let OpenQuestions(mut numbers) = self.open_to(message, rooms);
        numbers.retain(|number| self.open.get(number).is_some_and(|dialog| dialog.is_wanted(roster)));
        OpenQuestions(numbers)
    }

    /// Takes a text as the answer to the latest of these questions. Returns the instance that asked.
    fn answered(
        &mut self,
        questions: &OpenQuestions,
        text: &str,
        sees: &dyn Fn(InstanceId) -> bool,
        roster: &Roster,
        turn: &mut Turn<'_>,
    ) -> Option<InstanceId> {
        for number in questions.0.iter().rev().copied() {
            let Some(dialog) = self.open.get(&number) else { continue };
            if !dialog.is_wanted(roster) {
                self.end(number, Err(CallError::Stopped), turn);
                continue;
            }
            let by = dialog.by;
            // The person answered this one. A plugin with an older question must not get it in its place.
            if !sees(by) {
                return None;
            }
            match dialog.question.read(text) {
                Read::Answer(answer) => self.end(number, Ok(answer), turn),
                Read::Cancelled => self.end(number, Err(CallError::Rejected("cancelled".to_owned())), turn),
                Read::Wrong => self.wrong(number, turn),
            }
            return Some(by);
        }
        None
    }

    /// Answers a text that is none of the choices with the choices, until the person has no more tries.
    fn wrong(&mut self, number: u64, turn: &mut Turn<'_>) {
        let Some(dialog) = self.open.get_mut(&number) else { return };
        dialog.tries -= 1;
        if dialog.tries == 0 {
            return self.end(number, Err(CallError::Rejected("wrong".to_owned())), turn);
        }
        let draft = dialog.question.message_again(dialog.place.nick.as_deref());
        turn.out.push(Effect::AskAgain(Box::new(Repetition {
            question: number,
            by: dialog.by,
            plugin: dialog.plugin.clone(),
            to: dialog.to.clone(),
            kind: dialog.kind(),
            draft,
        })));
    }

    /// Sends the choices again, unless a hook stopped that. The question may have ended meanwhile.
    fn again(
        &mut self,
        number: u64,
        passed: Result<Draft, CallError>,
        rooms: &Rooms,
        roster: &Roster,
        turn: &mut Turn<'_>,
    ) {
        let Some(dialog) = self.open.get(&number) else { return };
        let draft = match passed {
            Ok(draft) if dialog.is_wanted(roster) => draft,
            Ok(_) => return self.end(number, Err(CallError::Stopped), turn),
            Err(error) => return self.end(number, Err(error), turn),
        };
        // It fails only if the account cannot send, but the answer was received a moment ago.
        if may_send(rooms, &dialog.to, dialog.kind(), &draft, turn).is_ok() {
            let (to, kind, id) = (dialog.to.clone(), dialog.kind(), random_id());
            say_this(rooms, Outbound { to, kind, id, draft, answer: None, question: Some(number) }, turn);
        }
    }
}
