//! Sending messages.

use jid::Jid;
use parlor_stanza::types::{Draft, MessageKind};

use super::Command;
use crate::answer::Answer;
use crate::effect::{Effect, Sent};
use crate::encryption::outbound::Outbound;
use crate::encryption::plainly::may_go_plainly;
use crate::encryption::sending::{is_concerned, may_encrypt, send};
use crate::features::Features;
use crate::iq::random_id;
use crate::messages::{may_send, outgoing};
use crate::turn::Turn;

/// Send a message to a person (`Chat`) or to a room (`Groupchat`). The answer is its id. Answered when the message is queued.
#[derive(Debug)]
pub struct SendMessage {
    /// The recipient.
    pub to: Jid,
    /// `Chat` or `Groupchat`.
    pub kind: MessageKind,
    /// The contents of the message.
    pub draft: Draft,
}

impl Command for SendMessage {
    type Answer = String;

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.draft.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let Self { to, kind, draft } = self;
        let allowed = may_send(&features.rooms, &to, kind, &draft, turn)
            .and_then(|()| may_encrypt(&features.encryption, &to, kind, draft.encryption, &features.rooms));
        if let Err(error) = allowed {
            return turn.answer(answer, Err(error));
        }
        if kind == MessageKind::Chat && draft.body.is_some() {
            features.chats.chat_active(&to, turn.now, turn);
        }
        let id = random_id();
        if draft.is_secret {
            features.hushed.note(&id, turn.deadlines.elapsed());
        }
        if turn.encrypts && is_concerned(&features.encryption, draft.encryption) {
            let message = Outbound { to, kind, id, draft, answer: Some(answer), question: None };
            return send(&mut features.encryption, message, &features.rooms, turn);
        }
        if let Err(error) = may_go_plainly(&to, &draft) {
            return turn.answer(answer, Err(error));
        }
        let message = outgoing(&features.rooms, to, kind, id.clone(), draft);
        turn.out.push(Effect::SendFor(message, Sent::Message(id, answer)));
    }
}
