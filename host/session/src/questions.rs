//! Questions to people and their answers, on their way through hooks.

use std::sync::Arc;

use jid::Jid;
use parlor_base::id::{InstanceId, PluginId};
use parlor_stanza::types::{Draft, Message, MessageKind};

use crate::event::Event;

/// A message that may answer a question, with its events. [`take_answer`](crate::take_answer) comes
/// before they are delivered.
#[derive(Debug)]
pub struct PossibleAnswer {
    /// The message.
    pub message: Arc<Message>,
    /// The events, in order. The instance that gets the message as the answer does not hear them.
    pub events: Vec<Event>,
    /// The questions that it may answer.
    pub questions: OpenQuestions,
}

/// The numbers of the questions that were open to a person when a message came, the latest last. A question that is
/// asked afterwards is not answered by it.
#[derive(Debug, Default)]
pub struct OpenQuestions(pub(super) Vec<u64>);

impl OpenQuestions {
    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The choices of a question, which are sent after a wrong answer. Hooks see this like any message of the plugin.
#[derive(Debug)]
pub struct Repetition {
    /// The number of the question.
    pub question: u64,
    /// The instance that asked.
    pub by: InstanceId,
    /// Its plugin.
    pub plugin: PluginId,
    /// The person, an occupant, or the room.
    pub to: Jid,
    /// The kind of the message.
    pub kind: MessageKind,
    /// The message.
    pub draft: Draft,
}
