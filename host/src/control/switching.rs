//! Enabling, disabling and restarting a plugin for an owner in chat or a session of the window.

use parlor_base::id::PluginId;
use parlor_config::AccountName;
use parlor_plugins::admin::PluginAdmin;
use parlor_runtime::audited::record;
use parlor_store::{By, NewAuditEntry};
use tokio::sync::mpsc;

use super::handle::{Order, ordered};
use super::refusal::Refusal;
use crate::host::Host;

/// The most accounts that have an entry each about one restart.
const MOST_ENTRIES: usize = 32;

/// Lets a plugin run or keeps it from running, by the policy file, and has the host read that.
pub(super) async fn switch(
    host: &Host,
    orders: &mpsc::Sender<Order>,
    id: &PluginId,
    is_enabled: bool,
    by: &By,
) -> Result<(), String> {
    let (config, plugin, by) = (host.config(), id.clone(), by.clone());
    // It blocks on locks and on the disk.
    let deciding = tokio::task::spawn_blocking(move || {
        let admin = PluginAdmin::new(&config).recording(|decided| record(&config, decided, &by));
        admin.enable(&plugin, is_enabled)
    });
    deciding.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    reload(orders).await
}

/// Has the host read its policy.
pub(super) async fn reload(orders: &mpsc::Sender<Order>) -> Result<(), String> {
    ordered(orders, Order::Reload).await.ok_or_else(stopping)?
}

/// Returns why an order is not obeyed.
pub(super) fn stopping() -> String {
    Refusal::Stopping.to_string()
}

/// Returns the accounts whose audit has an entry about the restart of a plugin. A plugin that is on very many, or on none, has one
/// entry without an account.
pub(super) async fn restarted_on(host: &Host, id: &PluginId) -> Vec<AccountName> {
    let places = host.plugins.on_each(id, |_| Some(())).await.unwrap_or_default();
    if places.len() > MOST_ENTRIES { Vec::new() } else { places.into_iter().map(|(account, ())| account).collect() }
}

/// Returns an entry for each of these accounts, or one alone if there are none.
pub(super) fn on_each(entry: NewAuditEntry, accounts: &[&AccountName]) -> Vec<NewAuditEntry> {
    if accounts.is_empty() {
        return vec![entry];
    }
    let on = |account: &&AccountName| NewAuditEntry { account: Some(account.to_string()), ..entry.clone() };
    accounts.iter().map(on).collect()
}
