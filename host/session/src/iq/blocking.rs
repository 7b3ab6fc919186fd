//! Pending requests about blocked addresses.

use jid::Jid;
use parlor_stanza::error::CallError;

use crate::answer::Answer;
use crate::effect::Effect;

/// The purpose of a pending request to the own server.
#[derive(Debug)]
pub(crate) enum BlockingIq {
    /// Block or unblock an address.
    Change(Answer<()>),
    /// List the blocked addresses.
    List(Answer<Vec<Jid>>),
}

impl BlockingIq {
    /// Returns whether the plugin that asked has ended.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Change(answer) => answer.is_abandoned(),
            Self::List(answer) => answer.is_abandoned(),
        }
    }

    /// Ends the request, because the stream is gone.
    pub(super) fn end(self, out: &mut Vec<Effect>) {
        match self {
            Self::Change(answer) => out.push(Effect::answer(answer, Err(CallError::Offline))),
            Self::List(answer) => out.push(Effect::answer(answer, Err(CallError::Offline))),
        }
    }
}
