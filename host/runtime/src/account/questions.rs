//! Questions to people that are repeated after a wrong answer, as hooks let them pass.

use std::sync::Arc;

use parlor_session::{Repetition, ask_again};
use parlor_stanza::error::CallError;
use parlor_stanza::types::Draft;
use tokio::sync::oneshot;

use super::hooks::outgoing::{drafted, pass};
use super::order::Order;
use super::worker::Worker;

/// Sends the choices of a question again, once hooks have let them pass. The limit `dialogs` bounds how many wait: each
/// question is repeated for the answer to the one before it.
pub(super) fn repeat(worker: &mut Worker, again: Repetition) {
    let shared = Arc::clone(&worker.shared);
    let Repetition { question, by, plugin, to, kind, draft } = again;
    let message = if shared.hooks.see_outgoing() { drafted(&shared, &to, kind, draft.clone()) } else { None };
    let Some(message) = message else { return decided(worker, question, Ok(draft)) };
    let runtime = shared.place.runtime.clone();
    runtime.spawn(async move {
        let passes = pass(&shared, by, &plugin, to.to_bare(), message).await;
        let (draft, place) = match passes {
            Ok(mut passed) => (passed.draft(draft), Some(passed)),
            Err(error) => (Err(error), None),
        };
        shared.tell(|done| Order::AskAgain { question, draft, done }).await;
        drop(place);
    });
}

/// Goes on with a question as hooks have decided about its choices, and reports when they are queued.
pub(super) fn judged(worker: &mut Worker, question: u64, draft: Result<Draft, CallError>, done: oneshot::Sender<()>) {
    decided(worker, question, draft);
    worker.apply();
    let _ = done.send(());
}

/// Sends the choices of a question again, or ends it with the error of the hook that stopped them.
fn decided(worker: &mut Worker, question: u64, draft: Result<Draft, CallError>) {
    let now = worker.now();
    ask_again(&mut worker.session, question, draft, now, &mut worker.effects);
}
