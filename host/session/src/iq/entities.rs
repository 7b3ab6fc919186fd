//! Pending requests to entities about themselves.

use parlor_stanza::error::CallError;
use parlor_stanza::types::{Activity, EntityTime, Software};

use crate::answer::Answer;
use crate::effect::Effect;

/// The purpose of a pending request to an entity.
#[derive(Debug)]
pub(crate) enum EntityIq {
    /// How long it was idle.
    Activity(Answer<Activity>),
    /// Its time.
    Time(Answer<EntityTime>),
    /// Its software.
    Software(Answer<Software>),
}

impl EntityIq {
    /// Returns whether the plugin that asked has ended.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Activity(answer) => answer.is_abandoned(),
            Self::Time(answer) => answer.is_abandoned(),
            Self::Software(answer) => answer.is_abandoned(),
        }
    }

    /// Answers the call with an error.
    pub(crate) fn fail(self, error: CallError, out: &mut Vec<Effect>) {
        match self {
            Self::Activity(answer) => out.push(Effect::answer(answer, Err(error))),
            Self::Time(answer) => out.push(Effect::answer(answer, Err(error))),
            Self::Software(answer) => out.push(Effect::answer(answer, Err(error))),
        }
    }
}
