//! What the webhooks of a plugin need to know of its instances.

use std::sync::Arc;

use super::{Shared, State};
use crate::instance::Instance;
use crate::webhooks::tell_in_order;
use parlor_plugins::webhook::Mode;

/// Reads the addresses of its webhooks, and begins to tell of what comes there.
pub(super) fn begin(shared: &Arc<Shared>) {
    if shared.webhooks.is_none() {
        return;
    }
    let shared = Arc::clone(shared);
    let runtime = shared.account.place.runtime.clone();
    runtime.clone().spawn(async move {
        let declared = &shared.admitted.manifest.webhooks;
        if let Some(webhooks) = &shared.webhooks
            && let Err(error) = webhooks.read_tokens(declared.keys(), false).await
        {
            tracing::error!(plugin = %shared.admitted.id, account = %shared.account.name, %error, "the addresses of its webhooks cannot be read");
        }
        for (name, _) in declared.iter().filter(|(_, webhook)| webhook.mode == Mode::Queue) {
            runtime.spawn(tell_in_order(Arc::clone(&shared), name.clone()));
        }
    });
}

impl Shared {
    /// Waits until it runs or is parked, and returns its instance; `None` if it is to end before.
    pub(crate) async fn running(&self) -> Option<Arc<Instance>> {
        tokio::select! {
            biased;
            () = self.standing.is_to_end() => None,
            instance = self.standing.pick(running) => Some(instance),
        }
    }

    /// Returns its instance if it runs or is parked.
    pub(crate) fn running_now(&self) -> Option<Arc<Instance>> {
        self.standing.with(running)
    }

    /// Returns whether it is to end.
    pub(crate) fn is_to_end(&self) -> bool {
        self.standing.shutdown().is_some()
    }

    /// Waits until it is no longer beside another one that it is to replace.
    pub(crate) async fn is_alone(&self) {
        self.standing.until(|standing| !standing.is_beside).await;
    }

    /// Waits for this. Returns false if the plugin is to end before.
    pub(crate) async fn stays_until(&self, what: impl Future<Output = ()>) -> bool {
        tokio::select! {
            biased;
            () = self.standing.is_to_end() => false,
            () = what => true,
        }
    }
}

fn running(standing: &super::Standing) -> Option<Arc<Instance>> {
    matches!(standing.state, State::Running | State::Parked).then(|| standing.instance.clone()).flatten()
}
