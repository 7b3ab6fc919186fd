//! Messages that are given up after a long connection loss. They return to plugins as errors, as if the recipient's
//! server had refused them.

use std::collections::VecDeque;

use parlor_stanza::encode::Written;
use parlor_stanza::raw::{RawStanza, returned};
use xmpp_parsers::stanza::Stanza;

/// Splits unsent stanzas after a connection loss longer than `keep_unsent`: returns those still to be sent, and errors
/// for the messages, which are dropped because the conversation has moved on.
pub fn too_old<T>(unsent: VecDeque<T>, stanza: impl Fn(&T) -> &Stanza) -> (VecDeque<T>, Vec<Stanza>) {
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

/// Logs that a stanza is not sent again.
pub(super) fn given_up(stanza: &Written) {
    let stanza = stanza.stanza().map(RawStanza::from);
    let to = stanza.as_ref().and_then(RawStanza::to).map(tracing::field::display);
    let id = stanza.as_ref().and_then(RawStanza::id);
    tracing::warn!(to, id, "the server has ended two streams over this stanza; it is not sent again");
}
