//! The schedules of plugins, for owners.

use parlor_base::id::PluginId;
use parlor_config::AccountName;
use parlor_runtime::schedules::PluginSchedules;

use super::Host;

/// Returns the schedules of a plugin on each account that it runs on. `None`: there is no plugin with this id.
pub(crate) async fn of(host: &Host, id: &PluginId) -> Option<Vec<(AccountName, PluginSchedules)>> {
    Some(host.plugins.lock().await.get(id)?.on_each(|supervised| Some(supervised.schedules())))
}

/// Returns the ids of all plugins, in order.
pub(crate) async fn plugins(host: &Host) -> Vec<PluginId> {
    host.plugins.lock().await.keys().cloned().collect()
}
