//! Sending raw stanzas and IQs.

use jid::Jid;
use parlor_base::id::InstanceId;
use parlor_stanza::encode::with_caps;
use parlor_stanza::error::CallError;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::Outgoing;

use super::Command;
use crate::answer::Answer;
use crate::effect::{Effect, Sent};
use crate::encryption::plainly::has_key;
use crate::encryption::sending::may_send_raw;
use crate::features::Features;
use crate::iq::{PATIENCE, Waiting};
use crate::status::status_sent;
use crate::turn::Turn;

/// Send a stanza as it is. Answered when the stanza is queued.
#[derive(Debug)]
pub struct SendRaw {
    /// The calling instance.
    pub by: InstanceId,
    /// The stanza to send.
    pub stanza: RawStanza,
}

impl Command for SendRaw {
    type Answer = ();

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.stanza.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if !turn.is_live() {
            return turn.answer(answer, Err(CallError::Offline));
        }
        let Self { by, stanza } = self;
        if let Err(error) = may_send_raw(&features.encryption, &stanza, &features.rooms, turn) {
            return turn.answer(answer, Err(error));
        }
        let presence = stanza.broadcast_presence();
        let is_available = presence.as_ref().is_some_and(|presence| presence.is_available);
        let stanza = if is_available { with_caps(&stanza, &turn.own_disco.caps()) } else { stanza };
        let outgoing = if stanza.is_request() {
            // The answer would be matched to the other request.
            if stanza.id().is_some_and(|id| turn.iqs.has(id)) {
                let reason = "the id is that of another iq that waits for its answer; choose another";
                return turn.answer(answer, Err(CallError::invalid("stanza", reason)));
            }
            Outgoing::Private(stanza, by)
        } else {
            Outgoing::Raw(stanza)
        };
        turn.out.push(Effect::SendFor(outgoing, Sent::Raw(answer)));
        if let Some(presence) = presence {
            status_sent(presence, &mut features.roster, &mut features.rooms, turn);
        }
    }
}

/// Send an IQ get or set, and wait for its result. The session sets the id. Answered with the whole result.
#[derive(Debug)]
pub struct SendIq {
    /// The calling instance.
    pub by: InstanceId,
    /// The IQ to send.
    pub iq: RawStanza,
}

impl Command for SendIq {
    type Answer = RawStanza;

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.iq.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        if !turn.is_live() {
            return turn.answer(answer, Err(CallError::Offline));
        }
        if !self.iq.is_request() {
            return turn.answer(answer, Err(CallError::invalid("iq", "is not an IQ of the type get or set")));
        }
        if self.iq.has_key_of_a_file() {
            let to = self.iq.to().unwrap_or_else(|| Jid::from(turn.own.to_bare()));
            return turn.answer(answer, Err(has_key(&to)));
        }
        if let Err(error) = turn.make_room_for_iq() {
            return turn.answer(answer, Err(error));
        }
        let id = turn.expect(self.iq.to(), Waiting::Plugin(answer), PATIENCE);
        turn.send(Outgoing::Private(self.iq.with_id(&id), self.by));
    }
}
