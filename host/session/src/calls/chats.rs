//! Opening, closing and showing chats.

use std::sync::Arc;

use jid::BareJid;
use parlor_base::id::InstanceId;
use parlor_stanza::error::CallError;

use super::Command;
use crate::answer::Answer;
use crate::features::Features;
use crate::records::chat::Chat;
use crate::records::view::{Attribute, Focus, ViewChange};
use crate::turn::Turn;
use crate::waiters::Waiter;

/// Open a private chat, or return the open one. Answered with the chat.
#[derive(Debug)]
pub struct OpenChat {
    /// The calling instance.
    pub by: InstanceId,
    /// The other side.
    pub jid: BareJid,
}

impl Command for OpenChat {
    type Answer = Arc<Chat>;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let (jid, waiter) = (self.jid, Waiter { by: self.by, answer });
        if features.rooms.has(&jid) {
            let error = CallError::invalid("jid", format!("{jid} is a room; it is opened as one"));
            return turn.answer(waiter.answer, Err(error));
        }
        if turn.promises.is_resolved("chatBoxesFetched") && turn.is_live() {
            let result = features.chat_with(jid, turn);
            return turn.answer(waiter.answer, result);
        }
        if turn.is_over() || turn.promises.is_resolved("chatBoxesFetched") {
            return turn.answer(waiter.answer, Err(CallError::Offline));
        }
        features.chats.wait(jid, waiter, turn);
    }
}

/// Close a private chat. Answered when the chat is closed.
#[derive(Debug)]
pub struct CloseChat {
    /// The other side.
    pub jid: BareJid,
}

impl Command for CloseChat {
    type Answer = ();

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let result = features.chats.close(&self.jid, turn);
        turn.answer(answer, result);
    }
}

/// Change how a front end should show a chat. Answered when the view is changed.
#[derive(Debug)]
pub struct ChangeChatView {
    /// The other side.
    pub jid: BareJid,
    /// The change of the view.
    pub change: ViewChange,
}

impl Command for ChangeChatView {
    type Answer = ();

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if self.change == ViewChange::Focus && features.chats.open.contains_key(&self.jid) {
            features.take_focus_for(&Focus::Chat(self.jid.clone()), turn);
        }
        let result = features.chats.change_view(&self.jid, self.change, turn);
        turn.answer(answer, result);
    }
}

/// Set or remove an attribute of a chat. Answered when the attribute is set.
#[derive(Debug)]
pub struct SetChatAttribute {
    /// The other side.
    pub jid: BareJid,
    /// The attribute with its value.
    pub attribute: Attribute,
}

impl Command for SetChatAttribute {
    type Answer = ();

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let result = features.chats.set_chat_attribute(&self.jid, &self.attribute, turn);
        turn.answer(answer, result);
    }
}
