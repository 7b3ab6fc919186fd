//! Effects that wait until keys are on disk.
//!
//! A state of encryption is on disk before a message that it encrypted is sent, and before a plugin gets a message that
//! it decrypted. So no key is used twice, even if the process ends at any time. The effects after such a change wait
//! for the disk: all effects of the same input, and all messages, which keep their order. Other effects do not wait, so
//! that a slow disk does not end the connection.

use std::time::Duration;

use parlor_session::{Effect, keys_unwritten};
use parlor_stanza::error::CallError;
use parlor_stanza::types::Outgoing;
use parlor_store::KeysWritten;

use super::effects::carry_out;
use super::held_back::{Batch, MOST};
use super::screening::is_of_message;
use super::worker::Worker;

/// How long the end of an account waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns whether nothing waits for the disk.
pub(super) fn is_idle(worker: &Worker) -> bool {
    worker.keepers.encryption.is_idle()
}

/// Carries out an effect that waits for nothing, and lets all others wait.
pub(super) fn pass(worker: &mut Worker, effect: Effect, batch: &mut Batch) {
    if let Effect::KeepKeys(changes) = effect {
        worker.keepers.encryption.keep(changes);
        batch.waits = !is_idle(worker);
        return;
    }
    if is_idle(worker) || !(batch.waits || is_about_message(&effect)) {
        return carry_out(worker, effect);
    }
    let after = worker.keepers.encryption.last();
    if let Some(effect) = worker.held_back.put(after, effect).and_then(too_many) {
        carry_out(worker, effect);
    }
}

/// Returns an effect to carry out immediately, since too many wait for a disk that does not respond. Encrypted messages
/// are not sent, and own keys are not published.
fn too_many(effect: Effect) -> Option<Effect> {
    match effect {
        Effect::SendFor(Outgoing::Sealed(_), sent) => {
            sent.failed(CallError::OverLimit(format!("{MOST} messages wait for the disk")));
            None
        }
        Effect::Confirm(due) => {
            due.fail(CallError::OverLimit(format!("{MOST} messages wait for the disk")));
            None
        }
        Effect::Send(Outgoing::Sealed(_)) | Effect::SendKept(_) => None,
        effect => Some(effect),
    }
}

/// Returns an effect to carry out although the keys before it cannot be written. Encrypted messages are not sent, and own keys
/// are not published. Owners get no confirmation of changes that are lost when the host ends.
fn unwritten(effect: Effect) -> Option<Effect> {
    match effect {
        Effect::SendFor(Outgoing::Sealed(_), sent) => {
            let why = "it could not be encrypted: the state of its encryption cannot be written to the disk";
            sent.failed(CallError::Other(why.to_owned()));
            None
        }
        Effect::Confirm(due) => {
            let why =
                "it counts until the host ends, but cannot be written to the disk: make room there, and do it again";
            due.fail(CallError::Other(why.to_owned()));
            None
        }
        Effect::Send(Outgoing::Sealed(_)) | Effect::SendKept(_) => None,
        effect => Some(effect),
    }
}

/// Returns whether an effect sends a message, or reports a received one.
fn is_about_message(effect: &Effect) -> bool {
    match effect {
        Effect::Send(stanza) | Effect::SendFor(stanza, _) => {
            matches!(stanza, Outgoing::Message { .. } | Outgoing::Sealed(_))
        }
        Effect::FireAnswer(_) => true,
        Effect::Fire(event) | Effect::FireFor(_, event) | Effect::FireForForm(_, event, _) => is_of_message(event),
        _ => false,
    }
}

/// Carries out the effects that waited for a write. A message that was encrypted by a state that is not on disk is not sent.
pub(super) fn release(worker: &mut Worker, written: KeysWritten) {
    let KeysWritten { up_to, is_kept } = written;
    if !is_kept {
        tracing::error!(
            account = %worker.shared.name,
            "keys of encryption could not be written, so messages that need them are not sent; check the disk"
        );
        keys_unwritten(&mut worker.session);
    }
    while let Some(effect) = worker.held_back.take(up_to) {
        let effect = if is_kept { Some(effect) } else { unwritten(effect) };
        if let Some(effect) = effect {
            carry_out(worker, effect);
        }
    }
}

/// Waits until everything is on disk, as long as that may take at the end of an account.
pub(super) async fn settle(worker: &mut Worker) {
    while !is_idle(worker) {
        let Ok(written) = tokio::time::timeout(PATIENCE, worker.keepers.encryption.written()).await else {
            tracing::error!(account = %worker.shared.name, "keys of encryption are not on disk at the end; check the disk");
            return;
        };
        release(worker, written);
    }
}

#[cfg(test)]
mod tests {
    use parlor_config::Settings;
    use parlor_session::{Answer, AnyCommand, ForgetKeys, Session};
    use parlor_stanza::types::Ask;

    use super::*;

    #[test]
    fn own_keys_that_cannot_be_written_are_not_published() {
        let publishing =
            || Effect::SendKept(Outgoing::Ask { to: None, id: "1".to_owned(), ask: Ask::DiscoInfo { node: None } });
        for carried_out in [unwritten(publishing()), too_many(publishing())] {
            assert!(carried_out.is_none(), "{carried_out:?}");
        }
    }

    #[test]
    fn what_cannot_be_written_is_not_called_done() {
        let mut session = Session::new("bot@example.org".parse().unwrap(), Settings::default());
        let forget = || ForgetKeys { jid: "romeo@example.org".parse().unwrap() };
        for is_kept in [true, false] {
            let ((answer, mut arrives), mut effects) = (Answer::channel(), Vec::new());
            session.command(AnyCommand::with(forget(), answer), jiff::Timestamp::UNIX_EPOCH, &mut effects);
            for effect in effects {
                let carried_out = if is_kept { Some(effect) } else { unwritten(effect) };
                if let Some(Effect::Confirm(due)) = carried_out {
                    due.give();
                }
            }
            match arrives.try_recv().unwrap() {
                Ok(count) => assert!(is_kept && count == 0),
                Err(error) => assert!(!is_kept && error.to_string().contains("cannot be written"), "{error}"),
            }
        }
    }
}
