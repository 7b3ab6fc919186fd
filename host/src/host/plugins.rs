//! The plugins of a host, by their ids.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
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

    /// Waits until every plugin on each of these accounts runs, has failed, or waits for the session. None: on all accounts.
    pub(crate) async fn settled(&self, only: Option<&BTreeSet<AccountName>>) {
        let is_meant = |account: &AccountName| only.is_none_or(|only| only.contains(account));
        let settling = {
            let plugins = self.lock().await;
            let all = plugins.values().flat_map(|plugin| plugin.on_each(|one| Some(one.settled())));
            join_all(all.filter(|(account, _)| is_meant(account)).map(|(_, settled)| settled))
        };
        settling.await;
    }
}
