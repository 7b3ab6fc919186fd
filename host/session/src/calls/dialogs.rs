//! Asking people.

use std::sync::Arc;

use jid::Jid;
use parlor_base::id::PluginId;
use parlor_stanza::types::Draft;
use tokio::sync::oneshot::Receiver;

use super::Command;
use crate::answer::Answer;
use crate::dialogs::{DialogEnd, New, Question};
use crate::encryption::plainly::may_go_plainly;
use crate::features::Features;
use crate::router::Mailbox;
use crate::turn::Turn;

/// Ask a person a question. Answered when the question is queued, with where its end arrives.
#[derive(Debug)]
pub struct BeginDialog {
    /// The calling instance's mailbox, with its grants.
    pub mailbox: Arc<Mailbox>,
    /// Its plugin.
    pub plugin: PluginId,
    /// The person, an occupant, or the room with `nick`.
    pub to: Jid,
    /// The nickname of the occupant who is asked, if the question is asked in a room.
    pub nick: Option<String>,
    /// The question.
    pub question: Question,
    /// The [message](Question::message) with the question, as hooks let it pass.
    pub draft: Draft,
    /// Maximum number of dialogs that the instance may have.
    pub most: usize,
}

impl Command for BeginDialog {
    type Answer = Receiver<DialogEnd>;

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.question.weight() + self.draft.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { mailbox, plugin, to, nick, question, draft, most } = self;
        // In an account with encryption, this is decided when it is sent.
        if !turn.encrypts
            && let Err(error) = may_go_plainly(&to, &draft)
        {
            return turn.answer(answer, Err(error));
        }
        if nick.is_none() {
            features.chats.chat_active(&to, turn.now, turn);
        }
        let new = New { mailbox, plugin, to, nick, question, draft, most };
        let begun = features.dialogs.begin(new, &features.rooms, turn);
        turn.answer(answer, begun);
    }
}
