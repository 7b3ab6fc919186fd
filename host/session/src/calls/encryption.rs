//! Beginning and ending off-the-record messaging.

use jid::BareJid;
use parlor_base::id::InstanceId;
use parlor_stanza::error::CallError;

use super::Command;
use crate::answer::Answer;
use crate::chats::not_open;
use crate::encryption::off_the_record::{begin, end};
use crate::features::Features;
use crate::turn::Turn;

/// Begin off-the-record messaging with the person of an open chat. Answered once the chat is encrypted.
#[derive(Debug)]
pub struct BeginOtr {
    /// The calling instance.
    pub by: InstanceId,
    /// The other side.
    pub jid: BareJid,
}

impl Command for BeginOtr {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { by, jid } = self;
        match check(&jid, features, turn) {
            Ok(()) => begin(&mut features.encryption, &jid, by, answer, turn),
            Err(error) => turn.answer(answer, Err(error)),
        }
    }
}

/// End off-the-record messaging with the person of an open chat. Answered once the other side's client was notified, or
/// immediately if it is not used.
#[derive(Debug)]
pub struct EndOtr {
    /// The other side.
    pub jid: BareJid,
}

impl Command for EndOtr {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        match check(&self.jid, features, turn) {
            Ok(()) => end(&mut features.encryption, &self.jid, answer, turn),
            Err(error) => turn.answer(answer, Err(error)),
        }
    }
}

/// Checks whether there may be off-the-record messaging with this address.
fn check(jid: &BareJid, features: &Features, turn: &Turn<'_>) -> Result<(), CallError> {
    if features.rooms.has(jid) {
        return Err(CallError::invalid("jid", format!("{jid} is a room; this is between two people")));
    }
    if !turn.settings.allow_otr {
        return Err(CallError::Unsupported(format!(
            "off-the-record messaging with {jid}: the owner does not allow it (the setting allow_otr)"
        )));
    }
    if !turn.is_live() {
        return Err(CallError::Offline);
    }
    if features.chats.open.contains_key(jid) { Ok(()) } else { Err(not_open(jid)) }
}
