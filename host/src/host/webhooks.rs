//! The webhooks of plugins, for the listener and for owners.

use std::sync::Arc;

use parlor_base::id::PluginId;
use parlor_base::permission::Permission;
use parlor_config::{AccountName, Web};
use parlor_runtime::supervisor::{Door, Supervised};
use parlor_runtime::webhooks::Webhooks;
use tokio::sync::watch;

use super::Host;
use super::plugin::{Plugin, Standing};
use crate::web::Counts;

/// Returns the number of plugins with webhooks. While it is not zero, a listener is needed.
pub(crate) fn to_listen_for(host: &Host) -> watch::Receiver<usize> {
    host.engine.webhooks().watch()
}

/// Returns the section `[web]` of the configuration, and signals each change.
pub(crate) fn section(host: &Host) -> watch::Receiver<Web> {
    host.web.subscribe()
}

/// Returns how many requests to webhooks ended in which way.
pub(crate) fn counts(host: &Host) -> &Counts {
    &host.webhook_counts
}

/// Returns why webhooks cannot be listened for; `None` if they are, or if there is no address to listen at.
pub(crate) fn fault(host: &Host) -> Option<String> {
    host.webhook_fault.load_full().map(Arc::unwrap_or_clone)
}

/// Records whether webhooks can be listened for, and why they cannot.
pub(crate) fn note_fault(host: &Host, fault: Option<String>) {
    host.webhook_fault.store(fault.map(Arc::new));
}

/// Returns the webhook with this name and secret of a plugin, if it may hear requests.
pub(crate) async fn find(host: &Host, id: &PluginId, name: &str, token: &str) -> Option<Door> {
    let plugins = host.plugins.lock().await;
    plugins.get(id)?.supervised().find_map(|supervised| supervised.webhook(name, token))
}

/// Returns whether the addresses of all webhooks are known. While plugins are added, compiled or restarted, and until
/// the addresses of their webhooks are read, an unknown address may belong to a webhook that will exist soon.
pub(crate) async fn are_all_known(host: &Host) -> bool {
    // A plugin that is to come back is in no list meanwhile, but `changing` is held for it.
    if host.changing.try_lock().is_err() {
        return false;
    }
    host.plugins.lock().await.values().all(has_all_webhooks)
}

/// Returns the webhooks of a plugin on each account that it runs on. `None`: there is no plugin with this id.
pub(crate) async fn of(host: &Host, id: &PluginId) -> Option<Vec<(AccountName, Arc<Webhooks>)>> {
    Some(host.plugins.lock().await.get(id)?.on_each(Supervised::webhooks))
}

/// Returns whether each webhook that the plugin may have is there with its address.
fn has_all_webhooks(plugin: &Plugin) -> bool {
    match &plugin.standing {
        Standing::Refused(_) => true,
        Standing::Compiling { admitted, .. } => {
            admitted.manifest.webhooks.is_empty() || !admitted.grants.has(Permission::WebhooksReceive)
        }
        Standing::Admitted { admitted, on, .. } => {
            let mut names = admitted.manifest.webhooks.keys();
            names.all(|name| {
                let mut webhooks = on.values().filter_map(Supervised::webhooks);
                webhooks.all(|webhooks| webhooks.token(name).is_some())
            })
        }
    }
}
