//! Voice in rooms, and registering with them.

use jid::BareJid;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Outgoing, Voice};

use super::Command;
use crate::answer::Answer;
use crate::features::Features;
use crate::iq::random_id;
use crate::iq::rooms::{ConfigValue, RoomIq, WantedRegistration, weight_of_fields};
use crate::rooms::membership::Stage;
use crate::rooms::{Rooms, may_ask, not_open};
use crate::turn::Turn;

/// The node by which a room tells someone the reserved nickname (XEP-0045, section 7.12).
const OWN_ITEM: &str = "x-roomuser-item";

/// Ask the moderators of a room for voice. Answered when the request is sent.
#[derive(Debug)]
pub struct RequestVoice {
    /// The room.
    pub jid: BareJid,
}

impl Command for RequestVoice {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { jid } = self;
        let result = may_speak_to(&features.rooms, &jid, turn);
        if result.is_ok() {
            turn.send(Outgoing::Voice { room: jid, id: random_id(), voice: Voice::Ask });
        }
        turn.answer(answer, result);
    }
}

/// Answer a visitor who asks for voice. Answered when the answer is sent.
#[derive(Debug)]
pub struct AnswerVoice {
    /// The room.
    pub jid: BareJid,
    /// The nickname of the visitor.
    pub nick: String,
    /// Whether the visitor may speak.
    pub allow: bool,
}

impl Command for AnswerVoice {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { jid, nick, allow } = self;
        if let Err(error) = may_speak_to(&features.rooms, &jid, turn) {
            return turn.answer(answer, Err(error));
        }
        let Some(to) = features.rooms.voices.take(&jid, &nick, turn.now) else {
            let nobody = format!("anybody called {nick} who asks for voice in {jid}");
            return turn.answer(answer, Err(CallError::NotFound(nobody)));
        };
        turn.send(Outgoing::Voice { room: jid, id: random_id(), voice: Voice::Answer { to, allow } });
        turn.answer(answer, Ok(()));
    }
}

/// Register with a room. Answered when the room has accepted it.
#[derive(Debug)]
pub struct RegisterWithRoom {
    /// The room.
    pub jid: BareJid,
    /// The nickname to reserve.
    pub nick: String,
    /// Further fields of the room's form.
    pub fields: Vec<(String, ConfigValue)>,
}

impl Command for RegisterWithRoom {
    type Answer = ();

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        weight_of_fields(&self.fields)
    }

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        let Self { jid, nick, fields } = self;
        let wanted = WantedRegistration { nick, fields };
        turn.ask_room(&jid, Ask::Registration, RoomIq::Registration(wanted, answer));
    }
}

/// End the registration with a room. Answered when the room has done it.
#[derive(Debug)]
pub struct UnregisterFromRoom {
    /// The room.
    pub jid: BareJid,
}

impl Command for UnregisterFromRoom {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        turn.ask_room(&self.jid, Ask::Unregister, RoomIq::Done(answer));
    }
}

/// Ask a room for the nickname that it has reserved for this account. Answered with it.
#[derive(Debug)]
pub struct GetReservedNick {
    /// The room.
    pub jid: BareJid,
}

impl Command for GetReservedNick {
    type Answer = Option<String>;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = may_ask(turn) {
            return turn.answer(answer, Err(error));
        }
        let ask = Ask::DiscoInfo { node: Some(OWN_ITEM.to_owned()) };
        turn.ask_room(&self.jid, ask, RoomIq::ReservedNick(answer));
    }
}

/// Checks whether this account can say something to a room now.
fn may_speak_to(rooms: &Rooms, jid: &BareJid, turn: &mut Turn<'_>) -> Result<(), CallError> {
    may_ask(turn)?;
    if rooms.stage(jid).is_some_and(Stage::is_in) { Ok(()) } else { Err(not_open(jid)) }
}
