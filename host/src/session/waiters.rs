//! Calls that wait for something of the session's, and whose they are: so that those of one plugin take no other one's place.

use std::fmt;

use crate::error::CallError;
use crate::plugins::InstanceId;
use crate::session::Answer;
use crate::session::effect::{Due, Effect};

/// A call that waits.
#[derive(Debug)]
pub(super) struct Waiter<T> {
    pub(super) by: InstanceId,
    pub(super) answer: Answer<T>,
}

impl<T: Send + 'static> Waiter<T> {
    /// It waits for what does not come any more.
    pub(super) fn stopped(self) -> Effect {
        Effect::Answer(Due::new(self.answer, Err(CallError::Stopped)))
    }
}

/// Whether another call of this plugin's may wait beside these: so many of its own, so many of all.
pub(super) fn may_wait<'a, T: 'a>(
    waiting: impl ExactSizeIterator<Item = &'a Waiter<T>>,
    by: InstanceId,
    (own, all): (usize, usize),
    what: impl fmt::Display,
) -> Result<(), CallError> {
    let count = waiting.len();
    if waiting.filter(|waiter| waiter.by == by).count() >= own {
        return Err(CallError::OverLimit(format!("{own} calls of one plugin wait for {what}")));
    }
    if count >= all {
        return Err(CallError::OverLimit(format!("{all} calls wait for {what}")));
    }
    Ok(())
}
