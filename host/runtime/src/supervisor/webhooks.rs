//! The webhooks of a plugin, as far as they depend on its instances.

mod answering;
pub(super) mod door;
pub(super) mod reply;
mod storing;
mod telling;

use std::sync::Arc;

use parlor_plugins::webhook::Mode;
use parlor_store::StoreError;

use super::Shared;
use super::staying::{STORE_PAUSE, is_alone, stays_until};
use crate::webhooks::Webhooks;
use telling::tell_in_order;

/// Reads the addresses of its webhooks, and begins to deliver their requests.
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
            Ok(()) | Err(StoreError::Ended | StoreError::Log(_)) => return,
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
    // If this version fails before, the version that it was to replace gets the requests.
    if !stays_until(&shared, is_alone(&shared)).await {
        return;
    }
    let (plugin, account) = (&shared.admitted.id, &shared.account.name);
    match webhooks.give_up_others().await {
        Ok(0) | Err(StoreError::Ended | StoreError::Log(_)) => {}
        Ok(given_up) => {
            tracing::warn!(%plugin, %account, given_up, "requests waited for webhooks that the plugin has no longer, and are given up");
        }
        Err(error) => {
            tracing::error!(%plugin, %account, %error, "requests to webhooks that the plugin has no longer cannot be given up");
        }
    }
}
