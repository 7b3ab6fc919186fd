//! The webhooks of a plugin, as far as they depend on its instances.

mod answering;
pub(super) mod door;
pub(super) mod reply;
mod telling;

use std::sync::Arc;

use parlor_plugins::webhook::Mode;
use parlor_store::StoreError;

use super::{Shared, State};
use crate::instance::Instance;
use crate::webhooks::Webhooks;
use telling::{STORE_PAUSE, tell_in_order};

/// Reads the addresses of its webhooks, and begins to tell of what comes there.
pub(super) fn begin(shared: &Arc<Shared>) {
    let Some(webhooks) = &shared.webhooks else { return };
    let runtime = &shared.account.place.runtime;
    runtime.spawn(read_tokens(Arc::clone(shared), Arc::clone(webhooks)));
    runtime.spawn(give_up_others(Arc::clone(shared), Arc::clone(webhooks)));
    for (name, _) in shared.admitted.manifest.webhooks.iter().filter(|(_, webhook)| webhook.mode == Mode::Queue) {
        runtime.spawn(tell_in_order(Arc::clone(shared), name.clone()));
    }
}

/// Reads the addresses, until that succeeds: without them, each request is refused.
async fn read_tokens(shared: Arc<Shared>, webhooks: Arc<Webhooks>) {
    loop {
        match webhooks.read_tokens(shared.admitted.manifest.webhooks.keys(), false).await {
            Ok(()) | Err(StoreError::Ended) => return,
            Err(error) => {
                tracing::error!(plugin = %shared.admitted.id, account = %shared.account.name, %error, "the addresses of its webhooks cannot be read; this is tried again");
            }
        }
        if !stays_until(&shared, tokio::time::sleep(STORE_PAUSE)).await {
            return;
        }
    }
}

/// Gives up what waits for webhooks that this version has no longer: it would take room for ever.
async fn give_up_others(shared: Arc<Shared>, webhooks: Arc<Webhooks>) {
    // If this version fails before, the one that it is to replace is told.
    if !stays_until(&shared, is_alone(&shared)).await {
        return;
    }
    let (plugin, account) = (&shared.admitted.id, &shared.account.name);
    match webhooks.give_up_others().await {
        Ok(0) | Err(StoreError::Ended) => {}
        Ok(given_up) => {
            tracing::warn!(%plugin, %account, given_up, "requests waited for webhooks that the plugin has no longer, and are given up");
        }
        Err(error) => {
            tracing::error!(%plugin, %account, %error, "requests to webhooks that the plugin has no longer cannot be given up");
        }
    }
}

/// Waits until the plugin runs or is parked, and returns its instance; `None` if it is to end before.
async fn running(shared: &Shared) -> Option<Arc<Instance>> {
    tokio::select! {
        biased;
        () = shared.standing.is_to_end() => None,
        instance = shared.standing.pick(instance) => Some(instance),
    }
}

/// Returns its instance if it runs or is parked.
fn running_now(shared: &Shared) -> Option<Arc<Instance>> {
    shared.standing.with(instance)
}

/// Returns whether it is to end.
fn is_to_end(shared: &Shared) -> bool {
    shared.standing.shutdown().is_some()
}

/// Waits until it is no longer beside another one that it is to replace.
async fn is_alone(shared: &Shared) {
    shared.standing.until(|standing| !standing.is_beside).await;
}

/// Waits for this. Returns false if the plugin is to end before.
async fn stays_until(shared: &Shared, what: impl Future<Output = ()>) -> bool {
    stays_for(shared, what).await.is_some()
}

/// Waits for this, and returns what it returns; `None` if the plugin is to end before.
async fn stays_for<T>(shared: &Shared, what: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        () = shared.standing.is_to_end() => None,
        result = what => Some(result),
    }
}

fn instance(standing: &super::Standing) -> Option<Arc<Instance>> {
    matches!(standing.state, State::Running | State::Parked).then(|| standing.instance.clone()).flatten()
}
