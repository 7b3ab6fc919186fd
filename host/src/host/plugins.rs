//! The plugins of a host, by their ids.

use std::collections::BTreeMap;

use parlor_base::id::PluginId;
use parlor_config::AccountName;
use parlor_runtime::supervisor::Supervised;
use tokio::sync::{Mutex, MutexGuard};

use super::plugin::Plugin;

/// The plugins that the policy names, as the host has them now.
#[derive(Default)]
pub(crate) struct Plugins(Mutex<BTreeMap<PluginId, Plugin>>);

impl Plugins {
    /// Locks them. The lock is held for moments only.
    pub(super) async fn lock(&self) -> MutexGuard<'_, BTreeMap<PluginId, Plugin>> {
        self.0.lock().await
    }

    /// Returns whether there is a plugin of this id.
    pub(crate) async fn has(&self, id: &PluginId) -> bool {
        self.lock().await.contains_key(id)
    }

    /// Returns the ids of all, in order.
    pub(crate) async fn ids(&self) -> Vec<PluginId> {
        self.lock().await.keys().cloned().collect()
    }

    /// Returns what a plugin has on each account that it runs on. `None`: there is no plugin with this id.
    pub(crate) async fn on_each<T>(
        &self,
        id: &PluginId,
        find: impl Fn(&Supervised) -> Option<T>,
    ) -> Option<Vec<(AccountName, T)>> {
        Some(self.lock().await.get(id)?.on_each(find))
    }
}
