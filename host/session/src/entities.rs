//! Asking entities about themselves: how long they were idle (XEP-0012), their time (XEP-0202) and their software
//! (XEP-0092). Nothing is kept: each answer is true for a moment.

use jid::Jid;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Ask, Body};

use crate::iq::entities::EntityIq;
use crate::iq::{PATIENCE, Waiting};
use crate::turn::Turn;

/// Asks an entity about itself.
pub(super) fn ask(entity: Jid, ask: Ask, asked: EntityIq, turn: &mut Turn<'_>) {
    let may_ask = if turn.is_live() { turn.make_room_for_iq() } else { Err(CallError::Offline) };
    match may_ask {
        Ok(()) => turn.ask(Some(entity), ask, Waiting::Entity(asked), PATIENCE),
        Err(error) => asked.fail(error, turn.out),
    }
}

/// Handles the answer of an entity.
pub(super) fn answered(asked: EntityIq, outcome: Result<Body, CallError>, turn: &mut Turn<'_>) {
    match (asked, outcome) {
        (EntityIq::Activity(answer), Ok(Body::Activity(activity))) => turn.answer(answer, Ok(activity)),
        (EntityIq::Time(answer), Ok(Body::Time(time))) => turn.answer(answer, Ok(time)),
        (EntityIq::Software(answer), Ok(Body::Software(software))) => turn.answer(answer, Ok(software)),
        (asked, Ok(_)) => asked.fail(CallError::Other("the answer makes no sense".to_owned()), turn.out),
        (asked, Err(error)) => asked.fail(error, turn.out),
    }
}
