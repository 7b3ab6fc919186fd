//! Empty messages: the answers to new sessions, and to many messages without an answer, and those that begin a session anew.

use jid::BareJid;
use parlor_stanza::types::{OmemoForm, Outgoing};

use super::EndToEnd;
use super::sealing::seal_empty;
use crate::iq::keys::Fetch;
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
    if let Some((sealed, changes)) = seal_empty(keys, jid, device, form, turn.account()) {
        turn.keep_keys(changes);
        turn.send(Outgoing::Sealed(Box::new(sealed)));
    }
}

/// Begins a new session with an empty message, so that the other side uses it. Its old session is broken, or it does not know this
/// device. `may_be_new`: it may be a device that is not known here.
pub(super) fn heal(
    keys: &mut EndToEnd,
    (jid, device, form): (&BareJid, u32, OmemoForm),
    may_be_new: bool,
    turn: &mut Turn<'_>,
) {
    let policy = keys.config.unwrap_or_default().trust;
    // Otherwise strangers could cause any number of requests for bundles.
    let is_known = keys.trust.of_device(jid, device).is_some() || keys.lists.has(jid, device);
    if !(is_known || may_be_new) || keys.trust.is_refused(jid, device, policy) {
        return;
    }
    if keys.owed.may_heal((jid.clone(), device, form), is_known, turn.deadlines.elapsed()) {
        if keys.fetches.want(&Fetch::Bundle(jid.clone(), device, form), turn) {
            tracing::info!(account = turn.account(), %jid, device, "a device writes what cannot be decrypted here; a new session of OMEMO begins");
        } else {
            keys.owed.is_not_healed(jid, device, form);
        }
    }
}
