//! The audit of a running host: changes of its files, requests of its owners, and the counts of its plugins.

mod configuration;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use parlor_base::id::PluginId;
use parlor_config::Config;
use parlor_plugins::components::Components;
use parlor_plugins::policy::{Entry, Policy};
use parlor_runtime::account::Shared;
use parlor_runtime::audited;
use parlor_store::{Audit, AuditKind, By, NewAuditEntry, Share, StoreError};

use super::Host;

/// How often counts are written. A host that is killed loses those since.
const COUNTING: Duration = Duration::from_secs(30);
/// The name of the configuration file in entries.
const CONFIG: &str = "parlor.toml";
/// How many changes of the configuration are written at once: there may be thousands of accounts.
const AT_ONCE: usize = 64;
/// The way of edits that were made while no host ran.
const AT_THE_START: &str = "found at the start";
/// The way in which strangers cause accounts.
const BY_STRANGERS: &str = "new_addresses";

/// Begins the audit of a host that starts by this policy.
pub(super) async fn begin(host: &Host, policy: &Policy) {
    let audit = host.store.audit();
    let config = host.config();
    audit.keep(audited::retention(&config));
    let entry = NewAuditEntry::new(AuditKind::Host, &By::host("start"), "the host was started");
    let version = Some(env!("CARGO_PKG_VERSION").to_owned());
    warn_of(audit.add(vec![NewAuditEntry { new: version, ..entry }]).await);
    configured(host, &config, &edited(AT_THE_START)).await;
    changed(host, policy, AT_THE_START).await;
}

/// Records how the policy differs from the one that the audit knows. Commands record their changes beforehand.
pub(super) async fn changed(host: &Host, policy: &Policy, way: &str) {
    let (audit, config) = (host.store.audit(), host.config());
    let known = match audit.policy().await {
        Ok(known) => known,
        Err(error) => return warn_of(Err(error)),
    };
    let (by, policy, components) = (audited::edited(&config, way), policy.clone(), Components::new(&config.data));
    // The plugin's file has to be read to know which settings are secrets.
    let compare = move || {
        let is_shown = |id: &PluginId, entry: &Entry, name: &str| audited::is_no_secret(&components, id, entry, name);
        audited::changes(known, &policy, None, &by, &is_shown)
    };
    match tokio::task::spawn_blocking(compare).await {
        Ok(changes) => warn_of(audit.record(changes).await),
        Err(error) => tracing::error!(%error, "changes of the policy are not in the audit"),
    }
}

/// Returns somebody who edited the configuration. `way` says how the host noticed.
pub(super) fn edited(way: &str) -> By {
    By::file(CONFIG, way)
}

/// Returns the host, which made accounts of addresses since strangers wrote to them.
pub(super) fn strangers() -> By {
    By::host(BY_STRANGERS)
}

/// Records how this configuration differs from the one that the audit knows.
pub(super) async fn configured(host: &Host, config: &Config, by: &By) {
    let audit = host.store.audit();
    audit.keep(audited::retention(config));
    let known = match audit.configuration().await {
        Ok(known) => known,
        Err(error) => return warn_of(Err(error)),
    };
    let mut changes = configuration::changes(known, config, by);
    if by.way == BY_STRANGERS {
        // The rest is what the host goes by, and the audit knows what is written. They must not displace decisions of owners.
        changes.retain(|change| change.row.field.starts_with("account "));
        for entry in changes.iter_mut().filter_map(|change| change.entry.as_mut()) {
            entry.share = Share::Connection;
        }
    }
    for some in changes.chunks(AT_ONCE) {
        if let Err(error) = audit.record(some.to_vec()).await {
            return warn_of(Err(error));
        }
    }
}

/// Records the result of an action whose entry was written before it was begun. A failure is logged.
pub(crate) async fn done(host: &Host, entry: NewAuditEntry) {
    warn_of(host.store.audit().add(vec![entry]).await);
}

/// Records several results at once.
pub(crate) async fn all_done(host: &Host, entries: Vec<NewAuditEntry>) {
    warn_of(host.store.audit().add(entries).await);
}

/// Writes the counts of all plugins.
pub(crate) async fn count(host: &Host) {
    write(&host.store.audit(), host.accounts().iter()).await;
}

/// Writes the counts of the plugins on these accounts.
pub(super) async fn write<'a>(audit: &Audit, accounts: impl Iterator<Item = &'a Arc<Shared>>) {
    let all: Vec<_> = accounts.flat_map(|account| account.records.take_activity(&account.name)).collect();
    if !all.is_empty() {
        warn_of(audit.count(all).await);
    }
}

/// Writes the counts of all plugins from time to time. It never returns.
pub(super) async fn keep_counting(host: &Host) -> Infallible {
    loop {
        tokio::time::sleep(COUNTING).await;
        count(host).await;
    }
}

/// Returns the audit.
pub(crate) fn of(host: &Host) -> Audit {
    host.store.audit()
}

pub(super) fn warn_of(result: Result<(), StoreError>) {
    if let Err(error) = result {
        tracing::error!(%error, "the audit cannot be written");
    }
}
