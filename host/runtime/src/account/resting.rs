//! Whether an account may fall asleep, as far as its task knows.

use parlor_session::unfinished;
use tokio::sync::oneshot;

use super::keeps_awake::KeepsAwake;
use super::on_disk;
use super::order::Order;
use super::shared::Shared;
use super::worker::Worker;

/// Returns what keeps an account from falling asleep as far as its task knows, once it has handled what came before. An account
/// that has ended is not kept.
pub async fn keeps_awake(account: &Shared) -> Option<KeepsAwake> {
    let (done, reason) = oneshot::channel();
    account.order(Order::Rest { done }).await.ok()?;
    reason.await.ok()?
}

/// Returns the same in the account's task.
pub(super) fn of(worker: &mut Worker) -> Option<KeepsAwake> {
    let now = worker.mind_clock();
    let sends = !worker.outbox.is_empty()
        || worker.confirming.is_some()
        || worker.in_question.is_some()
        || !worker.screening.is_empty()
        || !on_disk::is_idle(worker);
    if !worker.published.is_connected() {
        Some(KeepsAwake::Stanza)
    } else if sends {
        Some(KeepsAwake::Unsent)
    } else {
        unfinished(&worker.session, now).map(KeepsAwake::Session)
    }
}
