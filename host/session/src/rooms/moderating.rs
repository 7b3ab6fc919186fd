//! Requests to rooms, and their answers: subject, roles, affiliations, destruction (XEP-0045, sections 8 to 10).

use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Affiliated, Ask, Body, Disco, Draft, MAM, Message, MessageKind};

use super::configuring::Wanted;
use super::{About, not_open};
use crate::Answer;
use crate::command::Command;
use crate::features::Features;
use crate::iq::{PATIENCE, Waiting};
use crate::messages::{STANZA_IDS, outgoing};
use crate::rooms::{RoomTurn, Rooms};
use crate::turn::{FollowUp, Turn};

/// Maximum number of features of a room.
const MAX_FEATURES: usize = 128;
/// Maximum length of a feature, and of a room's name, in bytes. Longer ones are not kept.
const MAX_TEXT: usize = 1_024;

/// The purpose of a pending request to a room.
#[derive(Debug)]
pub(crate) enum RoomQuestion {
    /// Ask whether we are in it.
    WhetherInside,
    /// Get the configuration form of a room that we created, with the wanted values.
    NewForm(Wanted),
    /// Submit the configuration of a room that we created.
    ConfiguredNew,
    /// Cancel a room that we created.
    GivenUp,
    /// Get the configuration form, with the values that a plugin wants.
    Form(Wanted, Answer<()>),
    /// Do something for a plugin.
    Done(Answer<()>),
    /// List the people with an affiliation.
    Affiliations(Answer<Vec<Affiliated>>),
    /// Set its subject. This is no IQ, and there may be no answer if the subject is the same; a refusal comes as an
    /// error message.
    Subject(Answer<()>),
    /// Any request after setting the subject under this id. The room answers in the order of the requests.
    AfterSubject(String),
}

impl RoomQuestion {
    /// Returns whether a plugin asked that has ended.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            Self::Form(_, answer) | Self::Done(answer) | Self::Subject(answer) => answer.is_abandoned(),
            Self::Affiliations(answer) => answer.is_abandoned(),
            Self::WhetherInside | Self::NewForm(_) | Self::ConfiguredNew | Self::GivenUp | Self::AfterSubject(_) => {
                false
            }
        }
    }

    /// Ends the request, because the stream is gone. The session's own requests are simply forgotten.
    pub(crate) fn end(self, turn: &mut Turn<'_>) {
        match self {
            Self::Form(_, answer) | Self::Done(answer) | Self::Subject(answer) => {
                turn.answer(answer, Err(CallError::Offline));
            }
            Self::Affiliations(answer) => turn.answer(answer, Err(CallError::Offline)),
            Self::WhetherInside | Self::NewForm(_) | Self::ConfiguredNew | Self::GivenUp | Self::AfterSubject(_) => {}
        }
    }
}

/// Set the subject of a room. Answered when the room has shown it.
#[derive(Debug)]
pub struct SetSubject {
    /// The room.
    pub jid: BareJid,
    /// The new subject.
    pub subject: String,
}

impl Command for SetSubject {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = super::may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        features.rooms.set_subject(&self.jid, self.subject, answer, turn);
    }
}

/// Moderate a room. Answered when the room has done it.
#[derive(Debug)]
pub struct ModerateRoom {
    /// The room.
    pub jid: BareJid,
    /// The request to it: `SetRole`, `SetAffiliation` or `DestroyRoom`.
    pub ask: Ask,
}

impl Command for ModerateRoom {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = super::may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        turn.ask_room(&self.jid, self.ask, RoomQuestion::Done(answer));
    }
}

/// List the people with an affiliation to a room. Answered with the list.
#[derive(Debug)]
pub struct ListAffiliations {
    /// The room.
    pub jid: BareJid,
    /// The affiliation.
    pub affiliation: &'static str,
}

impl Command for ListAffiliations {
    type Answer = Vec<Affiliated>;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = super::may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        let ask = Ask::Affiliations { affiliation: self.affiliation };
        turn.ask_room(&self.jid, ask, RoomQuestion::Affiliations(answer));
    }
}

impl Rooms {
    /// Updates an open room with its information, if the entity is one.
    pub(crate) fn learned_about(&mut self, entity: &Jid, disco: &Disco, turn: &mut Turn<'_>) {
        let Some(room) = self.shown.get_mut(entity) else { return };
        let fits = |text: &&String| !text.is_empty() && text.len() <= MAX_TEXT;
        let itself = disco.identities.iter().find(|identity| identity.category == "conference");
        let about = About {
            name: itself.and_then(|identity| identity.name.as_ref()).filter(fits).cloned(),
            features: disco.features.iter().filter(fits).take(MAX_FEATURES).cloned().collect(),
        };
        let has = |feature| disco.features.iter().any(|known| known == feature);
        // Without archive ids in its messages, nobody can tell which archived messages were handled.
        let archived = room.joined.then(|| has(MAM) && has(STANZA_IDS));
        if archived != room.archived {
            Arc::make_mut(room).archived = archived;
            self.told += 1;
            turn.changed = true;
        }
        if *room.about != about {
            Arc::make_mut(room).about = Arc::new(about);
            turn.changed = true;
        }
        // It was asked when we were in, and answers in order, so earlier confirmations of leaving will not come any
        // more.
        if self.stage(entity).is_some_and(super::Stage::is_in) {
            self.farewells.none_is_due(entity);
        }
    }

    pub(super) fn set_subject(&mut self, jid: &BareJid, subject: String, answer: Answer<()>, turn: &mut Turn<'_>) {
        if !self.stage(jid).is_some_and(super::Stage::is_in) {
            return turn.answer(answer, Err(not_open(jid)));
        }
        let to = Jid::from(jid.clone());
        let waiting = Waiting::Room(jid.clone(), RoomQuestion::Subject(answer));
        let id = turn.expect(Some(to.clone()), waiting, PATIENCE);
        let draft = Draft { subject: Some(subject), ..Draft::default() };
        turn.send(outgoing(self, to, MessageKind::Groupchat, id.clone(), draft));
        turn.ask_room(jid, Ask::DiscoInfo { node: None }, RoomQuestion::AfterSubject(id));
    }
}

impl RoomTurn<'_, '_> {
    /// Handles the answer to a request to a room.
    pub(crate) fn room_answered(&mut self, question: RoomQuestion, result: Result<Body, CallError>) {
        let jid = self.jid;
        match question {
            RoomQuestion::WhetherInside => self.told_whether_inside(&result.map(drop)),
            RoomQuestion::NewForm(wanted) => self.new_form_came(wanted, result),
            RoomQuestion::ConfiguredNew => self.configured_new(&result.map(drop)),
            RoomQuestion::GivenUp => {}
            RoomQuestion::Form(wanted, answer) => self.turn.form_came(jid, wanted, result, answer),
            RoomQuestion::Done(answer) | RoomQuestion::Subject(answer) => self.turn.answer(answer, result.map(drop)),
            RoomQuestion::AfterSubject(_) if result == Err(CallError::TimedOut) => {}
            RoomQuestion::AfterSubject(id) => {
                if let Some(Waiting::Room(_, RoomQuestion::Subject(answer))) = self.turn.take_iq(&id, is_subject) {
                    self.turn.answer(answer, Ok(()));
                }
            }
            RoomQuestion::Affiliations(answer) => {
                let result = result.and_then(|body| match body {
                    Body::Affiliations(people) => Ok(people),
                    _ => Err(CallError::Other(format!("{jid} gave no list of affiliations"))),
                });
                self.turn.answer(answer, result);
            }
        }
    }
}

impl Rooms {
    /// Handles an error message from a room.
    pub(crate) fn room_refused(&mut self, message: &Message, turn: &mut Turn<'_>) {
        let room = message.from.to_bare();
        let Some(error) = &message.error else { return };
        let Some(shown) = self.shown.get(&room) else { return };
        // Under our own nickname only the room can send to us; MongooseIM sends refusals that way.
        if message.from.resource().is_some_and(|nick| nick.as_str() != shown.nick) {
            return;
        }
        let may_be_out = match error.condition.as_str() {
            // It does not know us (XEP-0045, section 7.4).
            "not-acceptable" => true,
            // The room does not exist; the second condition is that of Openfire.
            "item-not-found" | "recipient-unavailable" => message.from.is_bare(),
            // Tigase sends nothing else to people who are not in it. To a visitor, it means only that they may not
            // speak.
            "forbidden" => message.from.is_bare() && shown.role != "visitor",
            _ => false,
        };
        let of_room =
            |waiting: &Waiting| is_subject(waiting) && matches!(waiting, Waiting::Room(jid, _) if *jid == room);
        if let Some(id) = &message.id
            && let Some(Waiting::Room(jid, question)) = turn.take_iq(id, of_room)
        {
            self.one(&jid, turn).room_answered(question, Err(CallError::Stanza(error.clone())));
        }
        if may_be_out {
            self.one(&room, turn).ask_whether_inside();
        }
    }

    /// Handles a room's notice of changes about itself (XEP-0045, section 10.2.1).
    pub(crate) fn room_changed(&mut self, message: &Message, turn: &mut Turn<'_>) {
        let jid = message.chat.to_bare();
        let Some(room) = self.shown.get_mut(&jid) else { return };
        let before = (room.shows_jids, room.logged);
        let mut after = before;
        for code in &message.room_status {
            match code {
                170 => after.1 = true,
                171 => after.1 = false,
                172 => after.0 = true,
                173 | 174 => after.0 = false,
                _ => {}
            }
        }
        if after != before {
            let room = Arc::make_mut(room);
            (room.shows_jids, room.logged) = after;
            turn.changed = true;
        }
        if message.room_status.iter().any(|code| matches!(code, 104 | 170..=174)) {
            turn.follow(FollowUp::RoomChanged(jid));
        }
    }
}

impl Turn<'_> {
    /// Sends a request to a room.
    pub(super) fn ask_room(&mut self, jid: &BareJid, ask: Ask, question: RoomQuestion) {
        self.ask_in_room(jid, Jid::from(jid.clone()), ask, question);
    }

    /// Sends a request to a room, or to an address in it.
    pub(super) fn ask_in_room(&mut self, jid: &BareJid, to: Jid, ask: Ask, question: RoomQuestion) {
        self.ask(Some(to), ask, Waiting::Room(jid.clone(), question), PATIENCE);
    }
}

fn is_subject(waiting: &Waiting) -> bool {
    matches!(waiting, Waiting::Room(_, RoomQuestion::Subject(_)))
}
