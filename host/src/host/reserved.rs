//! Secrets and names that each plugin has for itself, also before the first plugin runs, while it does not run, and on accounts
//! that start later. No other plugin may read what an owner wrote under `[settings]` for its secrets, or fire or keep a name that
//! it provides: listeners would believe it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use parlor_base::id::PluginId;
use parlor_config::{Config, Selector};
use parlor_plugins::manifest::Manifest;
use parlor_plugins::policy::Entry;
use parlor_runtime::account::Shared;

use super::Host;
use super::plugin::{Plugin, Standing, chosen};

/// The secrets and names of the plugins in the policy, as far as their files can be read.
#[derive(Debug, Default)]
pub(super) struct Reserved(Mutex<BTreeMap<PluginId, Own>>);

/// The secrets and names of one plugin.
#[derive(Debug, Default)]
struct Own {
    /// The names of the settings that it keeps secret.
    secrets: BTreeSet<String>,
    /// The names of the events and promises that it provides.
    names: BTreeSet<String>,
    /// The accounts on which it is to run. None: all of them.
    accounts: Option<Vec<Selector>>,
}

impl Reserved {
    /// Locks the map. The lock is held for moments only.
    fn held(&self) -> MutexGuard<'_, BTreeMap<PluginId, Own>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves the secrets and names on an account that starts.
    pub(super) fn keep_on(&self, account: &Shared, config: &Config) {
        for (id, own) in &*self.held() {
            account.keep_secret(id, own.secrets.iter().map(String::as_str));
            if config.is_chosen(&account.name, own.accounts.as_deref()) {
                account.names.reserve(id, own.names.iter());
            }
        }
    }

    /// Forgets the secrets and names that no plugin has any longer.
    pub(super) fn retain(&self, plugins: &BTreeMap<PluginId, Plugin>) {
        self.held().retain(|id, own| {
            own.secrets.retain(|key| is_kept(plugins, id, key));
            own.names.retain(|name| is_provided(plugins, id, name));
            if let Some(plugin) = plugins.get(id) {
                own.accounts.clone_from(&plugin.entry.accounts);
            }
            !own.secrets.is_empty() || !own.names.is_empty()
        });
    }
}

/// Hides the secrets of a plugin on all accounts, and reserves the names that it provides where it is to run, also on accounts that
/// start later.
pub(super) fn reserve(host: &Host, id: &PluginId, entry: &Entry, manifest: &Manifest) {
    if manifest.secrets().next().is_none() && manifest.provides().next().is_none() {
        return;
    }
    {
        let mut all = host.reserved.held();
        let own = all.entry(id.clone()).or_default();
        own.secrets.extend(manifest.secrets().map(str::to_owned));
        own.names.extend(manifest.provides().cloned());
        own.accounts.clone_from(&entry.accounts);
    }
    for account in host.accounts() {
        account.keep_secret(id, manifest.secrets());
    }
    for account in chosen(&host.config(), host.accounts(), entry) {
        account.names.reserve(id, manifest.provides());
    }
}

/// Returns whether one of these plugins keeps a setting secret, or may do so once it runs.
pub(super) fn is_kept(plugins: &BTreeMap<PluginId, Plugin>, id: &PluginId, key: &str) -> bool {
    has(plugins, id, |manifest| manifest.secrets().any(|secret| secret == key))
}

/// Returns whether one of these plugins provides a name, or may do so once it runs.
fn is_provided(plugins: &BTreeMap<PluginId, Plugin>, id: &PluginId, name: &str) -> bool {
    has(plugins, id, |manifest| manifest.provides().any(|provided| provided == name))
}

/// Returns whether one of these plugins provides a name on an account, or may do so once it runs there. A plugin has its names for
/// itself only where it is to run.
pub(super) fn is_provided_on(
    plugins: &BTreeMap<PluginId, Plugin>,
    config: &Config,
    account: &Shared,
    id: &PluginId,
    name: &str,
) -> bool {
    let is_here = |plugin: &Plugin| config.is_chosen(&account.name, plugin.entry.accounts.as_deref());
    plugins.get(id).is_some_and(is_here) && is_provided(plugins, id, name)
}

/// Returns whether a plugin declares this, or may declare it once it runs.
fn has(plugins: &BTreeMap<PluginId, Plugin>, id: &PluginId, declares: impl FnOnce(&Manifest) -> bool) -> bool {
    match plugins.get(id).map(|plugin| (&plugin.standing, &plugin.not_replaced)) {
        Some((Standing::Admitted { admitted, .. }, None)) => declares(&admitted.manifest),
        // It may run again, or its next version may, and nobody else may have had it by then.
        Some((Standing::Admitted { .. } | Standing::Compiling { .. } | Standing::Refused(_), _)) => true,
        None => false,
    }
}
