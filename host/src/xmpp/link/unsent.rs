//! Messages that are given up after a long connection loss. They return to plugins as errors, as if the recipient's
//! server had refused them.

use std::collections::VecDeque;

use xmpp_parsers::message::MessageType;
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};

/// The text of the error.
const WHY: &str = "not sent: the connection was cut for longer than keep_unsent of the account says";

/// Splits unsent stanzas after a connection loss longer than `keep_unsent`: returns those still to be sent, and errors
/// for the messages, which are dropped because the conversation has moved on.
pub(in crate::xmpp) fn too_old<T>(unsent: VecDeque<T>, stanza: impl Fn(&T) -> &Stanza) -> (VecDeque<T>, Vec<Stanza>) {
    let (messages, rest): (VecDeque<_>, VecDeque<_>) =
        unsent.into_iter().partition(|one| matches!(stanza(one), Stanza::Message(_)));
    if !messages.is_empty() {
        tracing::warn!(
            messages = messages.len(),
            "messages are not sent, since the cut lasted longer than keep_unsent of the account says"
        );
    }
    (rest, messages.iter().filter_map(|message| returned(stanza(message))).collect())
}

/// Returns the error for a message that was not sent. Returns `None` for an error message, which must not be answered,
/// and for a message without a recipient.
pub(in crate::xmpp) fn returned(stanza: &Stanza) -> Option<Stanza> {
    let Stanza::Message(message) = stanza else { return None };
    let mut back = message.clone();
    back.from = Some(back.to.take()?);
    if std::mem::replace(&mut back.type_, MessageType::Error) == MessageType::Error {
        return None;
    }
    let error = StanzaError::new(ErrorType::Wait, DefinedCondition::RemoteServerTimeout, "en", WHY);
    back.payloads.push(error.into());
    Some(Stanza::Message(back))
}
