//! Calls that wait for something of the session's, and whose they are: so that those of one plugin take no other one's place.

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
