//! The settings that plugins keep secret. What an owner wrote under `[settings]` for one of them must not be read by another
//! plugin, also before the first one runs, and on accounts where it never does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use parlor_base::id::PluginId;
use parlor_plugins::manifest::Manifest;
use parlor_runtime::account::Shared;

use super::Host;
use super::plugin::{Plugin, Standing};

/// The names of these settings, of all plugins that the policy names, as far as their files can be read.
#[derive(Debug, Default)]
pub(super) struct Secrets(Mutex<BTreeMap<PluginId, BTreeSet<String>>>);

impl Secrets {
    /// Locks them. The lock is held for moments only.
    fn held(&self) -> MutexGuard<'_, BTreeMap<PluginId, BTreeSet<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hides them on an account that starts.
    pub(super) fn hide_on(&self, account: &Shared) {
        for (id, names) in &*self.held() {
            account.keep_secret(id, names.iter().map(String::as_str));
        }
    }

    /// Forgets those that no plugin keeps secret any longer.
    pub(super) fn retain(&self, is_kept: impl Fn(&PluginId, &str) -> bool) {
        self.held().retain(|id, names| {
            names.retain(|name| is_kept(id, name));
            !names.is_empty()
        });
    }
}

/// Hides the secrets of a plugin on all accounts, also on those that start later.
pub(super) fn hide(host: &Host, id: &PluginId, manifest: &Manifest) {
    let mut names = manifest.secrets().peekable();
    if names.peek().is_none() {
        return;
    }
    host.secrets.held().entry(id.clone()).or_default().extend(names.map(str::to_owned));
    for account in host.accounts() {
        account.keep_secret(id, manifest.secrets());
    }
}

/// Returns whether one of these plugins keeps a setting secret, or may do so once it runs.
pub(super) fn is_kept(plugins: &BTreeMap<PluginId, Plugin>, id: &PluginId, key: &str) -> bool {
    match plugins.get(id).map(|plugin| (&plugin.standing, &plugin.not_replaced)) {
        Some((Standing::Admitted { admitted, .. }, None)) => admitted.manifest.secrets().any(|secret| secret == key),
        // It may run again, or its next version may, and its secret must not have been read by then.
        Some((Standing::Admitted { .. } | Standing::Compiling { .. } | Standing::Refused(_), _)) => true,
        None => false,
    }
}
