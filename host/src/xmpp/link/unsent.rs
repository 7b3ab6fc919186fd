//! Messages that are given up because the cut was too long: they come back to plugins as errors, like one that the recipient's
//! server refused.

use std::collections::VecDeque;

use xmpp_parsers::message::MessageType;
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};

/// The text of the error.
const WHY: &str = "not sent: the connection was cut for longer than keep_unsent of the account says";

/// What is sent after a cut that was longer than messages are kept, and the errors for those that are not: their readers have gone
/// on without them.
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

/// The error that comes back for a message. None for an error, which is answered by nothing, and for what goes to nobody.
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
