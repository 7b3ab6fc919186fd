//! Empty messages: the answers to new sessions, and to many messages without an answer.

use jid::BareJid;
use parlor_stanza::types::{OmemoForm, Outgoing};

use super::EndToEnd;
use super::sealing::seal_empty;
use crate::turn::Turn;

/// Sends the empty messages whose delay has passed.
pub(crate) fn settle(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    let owed = keys.owed.take();
    if !turn.is_live() {
        return;
    }
    for (jid, device, form) in owed {
        say_nothing(keys, &jid, device, form, turn);
    }
}

/// Sends an empty message to a device, unless it is not trusted.
pub(super) fn say_nothing(keys: &mut EndToEnd, jid: &BareJid, device: u32, form: OmemoForm, turn: &mut Turn<'_>) {
    let policy = keys.config.unwrap_or_default().trust;
    if keys.trust.is_refused(jid, device, policy) {
        return;
    }
    if let Some((sealed, changes)) = seal_empty(keys, jid, device, form) {
        turn.keep_keys(changes);
        turn.send(Outgoing::Sealed(Box::new(sealed)));
    }
}
