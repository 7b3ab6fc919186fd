//! Answers and reports of rooms: their information, the results of requests, refusals, notices and subjects (XEP-0045,
//! sections 7 to 10).

use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_stanza::encode::{MODERATE, OLDER_MODERATE};
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Body, Disco, MAM, Message};

use super::membership::Stage;
use super::registering::reserved_nick;
use super::{RoomTurn, Rooms, STANZA_IDS};
use crate::answer::Answer;
use crate::event::Payload;
use crate::iq::rooms::{RoomIq, WantedRetraction};
use crate::iq::{PATIENCE, Waiting};
use crate::messages::is_news;
use crate::records::room::About;
use crate::turn::{FollowUp, Turn};

/// Maximum number of features of a room.
const MAX_FEATURES: usize = 128;
/// Maximum length of a feature, and of a room's name, in bytes. Longer ones are not kept.
const MAX_TEXT: usize = 1_024;
/// Maximum length of a room's subject, in bytes.
const MAX_SUBJECT: usize = 4_096;

/// Error for a room that lets nobody in without a captcha.
const CAPTCHA: &str = "the room asks for a captcha before it lets the account in, and parlor solves none: have a moderator make the \
                       account a member of the room, or turn off the room's captcha";

/// Handles the captcha that a room asks for before it lets us in (XEP-0158). ejabberd sends it from the room itself, and lets members in
/// without one. Returns whether the message is such a request.
pub(crate) fn wants_captcha(rooms: &mut Rooms, message: &Message, turn: &mut Turn<'_>) -> bool {
    if rooms.stage(&message.from) != Some(Stage::Entering) || !is_news(message) || !message.raw.asks_for_captcha() {
        return false;
    }
    let jid = message.from.to_bare();
    let mut room = rooms.one(&jid, turn);
    // It would let us in once somebody solves the captcha at its web address.
    room.send_farewell();
    room.not_entered(&CallError::Unsupported(CAPTCHA.to_owned()));
    true
}

/// Updates an open room with its information, if the entity is one.
pub(crate) fn note_about(rooms: &mut Rooms, entity: &Jid, disco: &Disco, turn: &mut Turn<'_>) {
    let Some(room) = rooms.shown.get_mut(entity) else { return };
    let fits = |text: &&String| !text.is_empty() && text.len() <= MAX_TEXT;
    let itself = disco.identities.iter().find(|identity| identity.category == "conference");
    let about = About {
        name: itself.and_then(|identity| identity.name.as_ref()).filter(fits).cloned(),
        features: disco.features.iter().filter(fits).take(MAX_FEATURES).cloned().collect(),
    };
    let has = |feature| disco.features.iter().any(|known| known == feature);
    // Without archive ids in its messages, the handled messages cannot be found in the archive.
    let archived = room.joined.then(|| has(MAM) && has(STANZA_IDS));
    if archived != room.archived {
        Arc::make_mut(room).archived = archived;
        rooms.told += 1;
        turn.changed = true;
    }
    if *room.about != about {
        Arc::make_mut(room).about = Arc::new(about);
        turn.changed = true;
    }
}

impl Rooms {
    /// Handles what an entity said about itself after we entered it, if it is an open room.
    pub(crate) fn learned_about(&mut self, entity: &Jid, disco: &Disco, turn: &mut Turn<'_>) {
        note_about(self, entity, disco, turn);
        // It was asked when we were in, and answers in order, so earlier confirmations of leaving will not come any
        // more.
        if self.stage(entity).is_some_and(Stage::is_in) {
            self.farewells.none_is_due(entity);
        }
    }

    /// Handles an error message from a room.
    pub(crate) fn room_refused(&mut self, message: &Message, turn: &mut Turn<'_>) {
        let room = message.from.to_bare();
        let Some(error) = &message.error else { return };
        let Some(shown) = self.shown.get(&room) else { return };
        if !shown.is_itself(&message.from) {
            return;
        }
        let may_be_out = match error.condition.as_str() {
            // It does not know us (XEP-0045, section 7.4).
            "not-acceptable" => true,
            // The room does not exist; the second condition is that of Openfire.
            "item-not-found" | "recipient-unavailable" => message.from.is_bare(),
            // Tigase sends only this to people who are not in it. To a visitor, it means only that they may not speak.
            "forbidden" => message.from.is_bare() && shown.role != "visitor",
            _ => false,
        };
        let of_room =
            |waiting: &Waiting| is_subject(waiting) && matches!(waiting, Waiting::Room(jid, _) if *jid == room);
        if let Some(id) = &message.id
            && let Some(Waiting::Room(jid, request)) = turn.take_iq(id, of_room)
        {
            self.one(&jid, turn).room_answered(request, Err(CallError::Stanza(error.clone())));
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
}

impl RoomTurn<'_, '_> {
    /// Handles the answer to a request to a room.
    pub(crate) fn room_answered(&mut self, request: RoomIq, result: Result<Body, CallError>) {
        let jid = self.jid;
        match request {
            RoomIq::WhetherInside => self.told_whether_inside(&result.map(drop)),
            RoomIq::NewForm(wanted) => self.new_form_came(wanted, result),
            RoomIq::ConfiguredNew => self.configured_new(&result.map(drop)),
            RoomIq::GivenUp => {}
            RoomIq::Form(wanted, answer) => self.turn.form_came(jid, wanted, result, answer),
            RoomIq::Registration(wanted, answer) => self.turn.registration_came(jid, wanted, result, answer),
            RoomIq::ReservedNick(answer) => {
                let result = result.and_then(|body| match body {
                    Body::Disco(disco) => Ok(reserved_nick(&disco)),
                    Body::Empty => Ok(None),
                    _ => Err(CallError::Other(format!("{jid} did not say which nickname it has reserved"))),
                });
                self.turn.answer(answer, result);
            }
            RoomIq::Done(answer) | RoomIq::Subject(answer) => self.turn.answer(answer, result.map(drop)),
            RoomIq::BeforeRetraction(wanted, answer) => match result {
                Ok(Body::Disco(disco)) => self.turn.retract_in_room(jid, wanted, &disco.features, answer),
                Ok(_) => {
                    let error = CallError::Other(format!("{jid} did not say what it can do"));
                    self.turn.answer(answer, Err(error));
                }
                Err(error) => self.turn.answer(answer, Err(error)),
            },
            RoomIq::AfterSubject(_) if result == Err(CallError::TimedOut) => {}
            RoomIq::AfterSubject(id) => {
                if let Some(Waiting::Room(_, RoomIq::Subject(answer))) = self.turn.take_iq(&id, is_subject) {
                    self.turn.answer(answer, Ok(()));
                }
            }
            RoomIq::Affiliations(answer) => {
                let result = result.and_then(|body| match body {
                    Body::Affiliations(people) => Ok(people),
                    _ => Err(CallError::Other(format!("{jid} gave no list of affiliations"))),
                });
                self.turn.answer(answer, result);
            }
        }
    }
}

impl Turn<'_> {
    /// Sends a request to a room.
    pub(crate) fn ask_room(&mut self, jid: &BareJid, ask: Ask, request: RoomIq) {
        self.ask_in_room(jid, Jid::from(jid.clone()), ask, request);
    }

    /// Has a room with these features retract a message, in the newest form that it knows.
    pub(crate) fn retract_in_room(
        &mut self,
        jid: &BareJid,
        wanted: WantedRetraction,
        features: &[String],
        answer: Answer<()>,
    ) {
        let has = |feature: &str| features.iter().any(|known| known == feature);
        let is_older = !has(MODERATE);
        if is_older && !has(OLDER_MODERATE) {
            let why = format!("{jid} does not retract the messages of others (XEP-0425)");
            return self.answer(answer, Err(CallError::Unsupported(why)));
        }
        let WantedRetraction { id, reason } = wanted;
        self.ask_room(jid, Ask::Moderate { id, reason, is_older }, RoomIq::Done(answer));
    }

    /// Sends a request to a room, or to an address in it.
    pub(super) fn ask_in_room(&mut self, jid: &BareJid, to: Jid, ask: Ask, request: RoomIq) {
        self.ask(Some(to), ask, Waiting::Room(jid.clone(), request), PATIENCE);
    }
}

fn is_subject(waiting: &Waiting) -> bool {
    matches!(waiting, Waiting::Room(_, RoomIq::Subject(_)))
}
