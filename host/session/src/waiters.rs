//! Calls that wait for the session, with the instance that made each: the calls of one plugin must not take the place
//! of another's.

use std::fmt;

use parlor_base::id::InstanceId;
use parlor_stanza::error::CallError;

use crate::answer::Answer;
use crate::effect::{Due, Effect};

/// The number of calls of each plugin that may wait however many others do, so that some plugins together do not take
/// the place of the rest.
pub(super) const RESERVED: usize = 64;

/// A waiting call.
#[derive(Debug)]
pub(super) struct Waiter<T> {
    pub(super) by: InstanceId,
    pub(super) answer: Answer<T>,
}

impl<T: Send + 'static> Waiter<T> {
    /// Ends the call, because it waits for something that will not come.
    pub(super) fn stopped(self) -> Effect {
        Effect::Answer(Due::new(self.answer, Err(CallError::Stopped)))
    }
}

/// Checks whether another call of this instance may wait as well. There is a limit for its own calls and one for all
/// calls, but [`RESERVED`] of its own may always wait.
pub(super) fn may_wait<'a, T: 'a>(
    waiting: impl ExactSizeIterator<Item = &'a Waiter<T>>,
    by: InstanceId,
    (own, all): (usize, usize),
    what: impl fmt::Display,
) -> Result<(), CallError> {
    let count = waiting.len();
    let mine = waiting.filter(|waiter| waiter.by == by).count();
    if mine >= own {
        return Err(CallError::OverLimit(format!("{own} calls of one plugin wait for {what}")));
    }
    if count >= all && mine >= RESERVED {
        return Err(CallError::OverLimit(format!("{all} calls wait for {what}")));
    }
    Ok(())
}
