//! Effects that wait until keys are on disk.
//!
//! A state of encryption is on disk before a message is sent that it encrypted, and before a plugin has one that it decrypted:
//! whenever the process ends, no key is used twice. So what follows such a change waits for the disk: all of the same input, and all
//! messages, which keep their order. Everything else passes, so that a slow disk costs no connection.

use std::time::Duration;

use parlor_session::Effect;
use parlor_session::event::Payload;
use parlor_stanza::error::CallError;
use parlor_stanza::types::Outgoing;
use parlor_store::KeysWritten;

use super::effects::carry_out;
use super::held_back::Batch;
use super::screening::is_of_message;
use super::worker::Worker;

/// Maximum number of effects that wait for the disk.
const MOST: usize = 8_192;
/// How long the end of an account waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns whether nothing waits for the disk.
pub(super) fn is_idle(worker: &Worker) -> bool {
    worker.keepers.encryption.is_idle()
}

/// Passes an effect that waits for nothing, and lets all others wait.
pub(super) fn pass(worker: &mut Worker, effect: Effect, batch: &mut Batch) -> Option<Effect> {
    if let Effect::KeepKeys(changes) = effect {
        worker.keepers.encryption.keep(changes);
        batch.waits = !is_idle(worker);
        return None;
    }
    if is_idle(worker) || !(batch.waits || is_about_message(&effect)) {
        return Some(effect);
    }
    if worker.held_back.0.len() >= MOST {
        return too_many(effect);
    }
    worker.held_back.0.push_back((worker.keepers.encryption.last(), effect));
    None
}

/// Returns an effect that is carried out at once, since so many wait for a disk that does not answer. What was encrypted is not sent.
fn too_many(effect: Effect) -> Option<Effect> {
    match effect {
        Effect::SendFor(Outgoing::Sealed(_), sent) => {
            sent.failed(CallError::OverLimit(format!("{MOST} messages wait for the disk")));
            None
        }
        Effect::Send(Outgoing::Sealed(_)) => None,
        effect => Some(effect),
    }
}

/// Returns whether an effect sends a message, or tells of one that came.
fn is_about_message(effect: &Effect) -> bool {
    match effect {
        Effect::Send(stanza) | Effect::SendFor(stanza, _) => {
            matches!(stanza, Outgoing::Message { .. } | Outgoing::Sealed(_))
        }
        Effect::Fire(event)
        | Effect::FireFor(_, event)
        | Effect::FireForForm(_, event, _)
        | Effect::FireExcept(_, event) => is_of_message(event) || matches!(event.payload, Payload::Undecryptable(_)),
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
    }
    while worker.held_back.0.front().is_some_and(|(number, _)| *number <= up_to)
        && let Some((_, effect)) = worker.held_back.0.pop_front()
    {
        match effect {
            Effect::SendFor(Outgoing::Sealed(_), sent) if !is_kept => {
                let why = "it could not be encrypted: the state of its encryption cannot be written to the disk";
                sent.failed(CallError::Other(why.to_owned()));
            }
            Effect::Send(Outgoing::Sealed(_)) if !is_kept => {}
            effect => carry_out(worker, effect),
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
