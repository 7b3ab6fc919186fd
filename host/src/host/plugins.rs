//! The plugins of a host, by their ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parlor_base::id::PluginId;
use parlor_config::AccountName;
use parlor_runtime::account::Shared;
use parlor_runtime::supervisor::Supervised;
use parlor_store::Owner;
use tokio::sync::{Mutex, MutexGuard};

use super::Host;
use super::plugin::Plugin;

/// How long it is waited for that what ended plugins began to store is stored.
const STORED: Duration = Duration::from_secs(10);

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

/// Waits until all is stored that these plugins, which have ended, began to store on these accounts, and that the host did. Otherwise it
/// would come into the file again after a command has removed it there. In a cluster, no command writes to the files.
pub(super) async fn all_is_stored(host: &Host, accounts: &[Arc<Shared>], plugins: &[PluginId]) {
    if host.config().cluster.is_some() {
        return;
    }
    let owner = |account: &Shared, plugin: &PluginId| Owner { account: account.own.clone(), plugin: plugin.clone() };
    let stored = accounts.iter().map(|account| {
        let owners = plugins.iter().map(|plugin| owner(account, plugin)).collect();
        account.data().settled(owners)
    });
    // A store that has ended stores nothing more.
    if tokio::time::timeout(STORED, join_all(stored)).await.is_err() {
        tracing::warn!("the disk is slow: what removed plugins began to store is stored later");
    }
}
