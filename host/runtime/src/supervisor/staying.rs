//! Waiting and delivery for tasks other than a plugin's own: they deliver an event until the plugin has handled it.

use std::sync::Arc;
use std::time::Duration;

use parlor_session::router::{Handled, Mail};
use parlor_store::StoreError;

use super::{Shared, Standing, State};
use crate::instance::Instance;

/// The pauses between attempts to deliver an event. After the last one fails, it is given up. Together they outlast a
/// cut of the connection.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(10), Duration::from_mins(1), Duration::from_mins(10)];
/// How soon to look again whether a plugin takes something that it did not, such as one that has not subscribed.
pub(super) const LOOK: Duration = Duration::from_secs(2);
/// The pause after the store failed.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(10);

/// How an attempt to tell a plugin of something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attempt {
    /// Its handler returned well.
    Well,
    /// Its handler failed for this reason. It is delivered again after this pause.
    Again(Duration, &'static str),
    /// Its handler failed too often.
    GivenUp,
    /// It was not delivered, or the plugin was asked to end in between. This is not the plugin's fault.
    Untold,
}

/// Delivers an event to a plugin, after this number of failed attempts, and waits until it is handled.
pub(super) async fn attempt(shared: &Shared, instance: &Instance, mail: Mail, attempts: u32) -> Attempt {
    let (mail, handled) = mail.with_receipt();
    // If its mailbox is full, this mail is not handled.
    instance.mailbox.deliver(mail);
    match handled.await {
        Ok(Handled::Well) => Attempt::Well,
        Ok(Handled::CutOff) if is_to_end(shared) => Attempt::Untold,
        Ok(Handled::Failed) => again(attempts, "its handler failed"),
        Ok(Handled::CutOff) => again(attempts, "the plugin ended before its handler returned"),
        Err(_) => Attempt::Untold,
    }
}

fn again(attempts: u32, why: &'static str) -> Attempt {
    PAUSES.get(attempts as usize).map_or(Attempt::GivenUp, |pause| Attempt::Again(*pause, why))
}

/// Asks the store for something until that succeeds, and logs each failure with these words. Returns `None` if the plugin is
/// to end before, or the store has ended.
pub(super) async fn until_done<T, F>(shared: &Shared, failed: &str, ask: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, StoreError>>,
{
    loop {
        match ask().await {
            Ok(result) => return Some(result),
            Err(StoreError::Ended | StoreError::Log(_)) => return None,
            Err(error) => {
                tracing::error!(plugin = %shared.admitted.id, account = %shared.account.name, %error, "{failed}");
            }
        }
        if !stays_until(shared, tokio::time::sleep(STORE_PAUSE)).await {
            return None;
        }
    }
}

/// Waits until the plugin runs or is parked, and returns its instance; `None` if it is to end before.
pub(super) async fn running(shared: &Shared) -> Option<Arc<Instance>> {
    tokio::select! {
        biased;
        () = shared.standing.is_to_end() => None,
        instance = shared.standing.pick(instance) => Some(instance),
    }
}

/// Returns its instance if it runs or is parked.
pub(super) fn running_now(shared: &Shared) -> Option<Arc<Instance>> {
    shared.standing.with(instance)
}

/// Returns its instance if it takes a request whose sender waits: it runs or is parked, or was parked and wakes. What comes meanwhile is
/// handled once it has woken.
pub(super) fn takes_requests(shared: &Shared) -> Option<Arc<Instance>> {
    shared.standing.with(|standing| match standing.state {
        State::Starting => standing.instance.clone().filter(|instance| instance.mailbox.is_parked()),
        _ => instance(standing),
    })
}

/// Returns whether it is to end.
pub(super) fn is_to_end(shared: &Shared) -> bool {
    shared.standing.shutdown().is_some()
}

/// Waits until it has replaced the instance that it was started beside.
pub(super) async fn is_alone(shared: &Shared) {
    shared.standing.until(|standing| !standing.is_beside).await;
}

/// Waits for this. Returns false if the plugin is to end before.
pub(super) async fn stays_until(shared: &Shared, what: impl Future<Output = ()>) -> bool {
    stays_for(shared, what).await.is_some()
}

/// Waits for this, and returns what it returns; `None` if the plugin is to end before.
pub(super) async fn stays_for<T>(shared: &Shared, what: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = shared.standing.is_to_end() => None,
        result = what => Some(result),
    }
}

fn instance(standing: &Standing) -> Option<Arc<Instance>> {
    matches!(standing.state, State::Running | State::Parked).then(|| standing.instance.clone()).flatten()
}
