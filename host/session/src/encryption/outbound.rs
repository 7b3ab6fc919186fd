//! An outgoing message, before its encryption is chosen.

use jid::Jid;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{Draft, MessageKind};

use crate::answer::Answer;

/// A message to send.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// The recipient.
    pub(crate) to: Jid,
    /// `Chat` or `Groupchat`.
    pub(crate) kind: MessageKind,
    /// The id.
    pub(crate) id: String,
    /// The contents.
    pub(crate) draft: Draft,
    /// The call that waits until it is sent. None: the host itself sends it.
    pub(crate) answer: Option<Answer<String>>,
    /// The number of the dialog whose question it is. The dialog ends if the message is refused.
    pub(crate) question: Option<u64>,
}

impl Outbound {
    /// Returns whether the plugin gave up the call.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.answer.as_ref().is_some_and(Answer::is_abandoned)
    }

    /// Returns the text for encryption that knows nothing but a text: the body, or the address of the first file, which
    /// clients without support for files show as well.
    pub(crate) fn text(&self) -> Option<String> {
        let first = || self.draft.extensions.as_ref()?.files.first().map(|file| file.url.clone());
        self.draft.body.clone().or_else(first)
    }
}

/// Returns the error for a message, or a chat, that cannot be encrypted.
pub(crate) fn no_encryption(to: &Jid, why: &str) -> CallError {
    CallError::Unsupported(format!("encryption with {to}: {why}"))
}
