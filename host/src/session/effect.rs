//! What follows from something that happened. The account's task carries it out, in order.

use std::fmt;

use crate::error::CallError;
use crate::event::Event;
use crate::plugins::InstanceId;
use crate::session::{Answer, KeepRoster};
use crate::stanza::{AdHocRequest, Outgoing};

/// What follows from something that happened, in order.
///
/// Publish the new [`Snapshot`](crate::session::Snapshot) first, where one is due: whoever is answered or told reads it.
#[derive(Debug)]
pub enum Effect {
    /// Send this.
    Send(Outgoing),
    /// Send this, and give the answer when it is queued on the stream.
    SendFor(Outgoing, Sent),
    /// Tell whoever listens.
    Fire(Event),
    /// Tell this one alone, if it listens.
    FireFor(InstanceId, Event),
    /// Give this answer.
    Answer(Due),
    /// Keep this of the roster for later.
    Keep(KeepRoster),
    /// An owner gives a command; whoever does it answers.
    Command(AdHocRequest),
}

impl Effect {
    /// Give this answer, in its turn.
    pub fn answer<T: Send + 'static>(answer: Answer<T>, result: Result<T, CallError>) -> Self {
        Self::Answer(Due::new(answer, result))
    }
}

/// What to answer when a stanza was queued.
#[derive(Debug)]
pub enum Sent {
    /// The message's id.
    Message(String, Answer<String>),
    /// Nothing but that it was.
    Raw(Answer<()>),
}

impl Sent {
    /// The stanza is queued.
    pub fn queued(self) {
        match self {
            Self::Message(id, answer) => answer.give(Ok(id)),
            Self::Raw(answer) => answer.give(Ok(())),
        }
    }

    /// It could not be.
    pub fn failed(self, error: CallError) {
        match self {
            Self::Message(_, answer) => answer.give(Err(error)),
            Self::Raw(answer) => answer.give(Err(error)),
        }
    }
}

/// An answer that is decided. It is held back until readers can see what it speaks of (API row 128).
pub struct Due(Box<dyn FnOnce() + Send>);

impl Due {
    pub(super) fn new<T: Send + 'static>(answer: Answer<T>, result: Result<T, CallError>) -> Self {
        Self(Box::new(move || answer.give(result)))
    }

    /// Gives it.
    pub fn give(self) {
        (self.0)();
    }
}

impl fmt::Debug for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Due(..)")
    }
}
