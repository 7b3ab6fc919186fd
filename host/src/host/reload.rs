//! Applying a changed policy while the host runs: plugins that were added or removed, and changed grants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};

use futures_util::future::join_all;
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::{Digest, PluginId};
use parlor_plugins::admission::Admitted;
use parlor_plugins::policy::hooks::Hooks;
use parlor_plugins::policy::{Entry, Policy, PolicyError, RoomSettings, SettingValues};
use parlor_plugins::{approved, secret};
use parlor_runtime::account::Shared;
use parlor_runtime::account::hooks::order::set_order;
use parlor_runtime::supervisor::Supervised;

use super::Host;
use super::accounts::{forget_commands, spread, withdraw};
use super::adding::{add_all, admit, prune_cache};
use super::audit;
use super::plugin::{Plugin, Standing};
use super::plugins::all_is_stored;
use super::sleeping;
use super::standing::Left;

/// The policy as it was last read.
pub(super) struct Read {
    /// The digest of its text, whether it was valid or not. None: there was no file, or it could not be read.
    text: Option<Digest>,
    /// Why this text is not in force. None: it is.
    fault: Option<String>,
}

impl Read {
    /// Records a text that is in force.
    pub(super) fn of(text: Option<&str>) -> Self {
        Self { text: text.map(|text| Digest::of(text.as_bytes())), fault: None }
    }
}

impl Host {
    /// Reads the policy again and applies it, without touching the connections. An unreadable policy changes nothing,
    /// and neither does a missing one while plugins run by it. To remove all plugins, the owner writes an empty policy.
    pub async fn reload(&self) -> Result<(), PolicyError> {
        let _changing = self.changing.lock().await;
        let config = self.config();
        let text = Policy::read(&config.plugins).inspect_err(|error| note(self, None, error.to_string()))?;
        if text.is_none() && !self.plugins.lock().await.is_empty() {
            let gone = PolicyError::Gone { path: config.plugins.clone() };
            note(self, None, gone.to_string());
            return Err(gone);
        }
        apply(self, text).await
    }

    /// Applies the policy if the file changed without a `reload`. A text that was read already is ignored. A missing or
    /// empty file is more likely being written than intended, so it changes nothing, either.
    pub async fn reload_if_changed(&self) -> Result<(), PolicyError> {
        let _changing = self.changing.lock().await;
        let config = self.config();
        let text = Policy::read(&config.plugins).inspect_err(|error| note(self, None, error.to_string()))?;
        let digest = Read::of(text.as_deref()).text;
        if last_read(self).text == digest {
            return Ok(());
        }
        match &text {
            None => {
                note(self, None, PolicyError::Gone { path: config.plugins.clone() }.to_string());
                tracing::warn!(policy = %config.plugins.escaped(), "the policy is gone; nothing has changed. Put it back, or an empty one if no plugin is to run");
                return Ok(());
            }
            Some(text) if text.trim().is_empty() => {
                let path = config.plugins.escaped();
                note(
                    self,
                    digest,
                    format!("{path} is empty; `parlor reload` or SIGHUP makes it count if no plugin is to run"),
                );
                tracing::warn!(policy = %config.plugins.escaped(), "the policy is empty; nothing has changed. `parlor reload` or SIGHUP makes it count if no plugin is to run");
                return Ok(());
            }
            Some(_) => {}
        }
        apply(self, text).await
    }

    /// Returns why the current text of the policy is not in force. None: it is.
    pub fn policy_fault(&self) -> Option<String> {
        last_read(self).fault.clone()
    }

    /// Returns why the current configuration file is not in force. None: it is.
    pub fn config_fault(&self) -> Option<String> {
        self.config_fault.load_full().map(Arc::unwrap_or_clone)
    }

    /// Records why the configuration that was read now is not in force; a valid one is for [`Host::reconfigure`].
    pub fn configuration_refused(&self, fault: String) {
        self.config_fault.store(Some(Arc::new(fault)));
    }

    /// Withdraws grants that the policy no longer contains, at once, even while another change takes long.
    /// [`Host::reload`] applies the rest of the policy.
    pub async fn hold_to_policy(&self) {
        let config = self.config();
        // An error is reported when the policy is applied.
        if let Ok(policy) = Policy::load(&config.plugins) {
            hold_to(self, &policy).await;
        }
    }

    /// Removes a plugin that does not come back. Returns `false` if there was none.
    pub(super) async fn take_away(&self, id: &PluginId) -> bool {
        let was_there = self.take_out(id).await.is_some();
        if was_there {
            let accounts = self.accounts();
            forget_commands(&accounts, id).await;
            all_is_stored(self, &accounts, std::slice::from_ref(id)).await;
            tracing::info!(plugin = %id, "plugin removed");
        }
        was_there
    }
}

/// Returns the digest of the policy that the host goes by, if that is the one that was read last.
#[cfg(feature = "cluster")]
pub(crate) fn in_force(host: &Host) -> Option<Digest> {
    let read = last_read(host);
    read.text.filter(|_| read.fault.is_none())
}

/// Notes that this text of the policy, which is about to be read, comes from another node, by this way.
#[cfg(feature = "cluster")]
pub(crate) fn comes(host: &Host, text: &str, way: String) {
    host.came.store(Some(Arc::new((Digest::of(text.as_bytes()), way))));
}

/// Returns the way by which a text of the policy came into the file, for the audit. Somebody may edit the file afterwards.
fn way_of(host: &Host, text: Option<Digest>) -> String {
    let came = host.came.load_full().filter(|came| Some(came.0) == text);
    host.came.store(came.clone());
    came.map_or_else(|| "read again".to_owned(), |came| came.1.clone())
}

/// Records why the policy that was read now is not in force.
fn note(host: &Host, text: Option<Digest>, fault: String) {
    *last_read(host) = Read { text, fault: Some(fault) };
}

fn last_read(host: &Host) -> MutexGuard<'_, Read> {
    host.read.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that these plugins match the policy: versions that were going to replace them are no longer wanted.
async fn are_as_decided<'p>(host: &Host, ids: impl Iterator<Item = &'p PluginId>) {
    let mut plugins = host.plugins.lock().await;
    for id in ids {
        if let Some(plugin) = plugins.get_mut(id) {
            plugin.is_as_decided();
        }
    }
}

async fn lives(host: &Host, id: &PluginId) -> bool {
    host.plugins.lock().await.get(id).is_some_and(Plugin::lives)
}

/// Applies this text of the policy. The caller holds `changing`.
async fn apply(host: &Host, text: Option<String>) -> Result<(), PolicyError> {
    let read = Read::of(text.as_deref());
    let config = host.config();
    let path = &config.plugins;
    let policy = text.map_or_else(|| Ok(Policy::default()), |text| Policy::understand(&text, path));
    let policy = policy.inspect_err(|error| note(host, read.text, error.to_string()))?;
    let way = way_of(host, read.text);
    *last_read(host) = read;
    // Changes that take something away wait for nothing: not for secrets, nor for plugins that start slowly or
    // never.
    hold_to(host, &policy).await;
    hook(host, policy.hooks.clone());
    audit::changed(host, policy.clone(), &way).await;
    log_as_decided(host, &policy).await;
    name_as_decided(host, &policy).await;
    let mut returning = take_out_all(host, &policy).await;
    let mut values = opened(host, &policy).await;
    let mut outdated = BTreeSet::new();
    let running: BTreeMap<_, _> = {
        let mut plugins = host.plugins.lock().await;
        for (id, plugin) in &mut *plugins {
            if let (Some(entry), Some(values)) = (policy.plugins.get(id), values.remove(id))
                && !plugin.take_settings(id, entry, values)
            {
                outdated.insert(id.clone());
            }
        }
        plugins
            .iter()
            .map(|(id, plugin)| (id.clone(), plugin.is_admitted().then(|| Entry::clone(&plugin.entry))))
            .collect()
    };
    let (same, other): (BTreeMap<_, _>, BTreeMap<_, _>) = running
        .iter()
        .filter_map(|(id, entry)| Some((id.clone(), entry.clone()?)))
        .partition(|(id, entry)| policy.plugins.get(id) == Some(entry) && !outdated.contains(id));
    are_as_decided(host, same.keys()).await;
    // A plugin whose file was changed since its approval does not continue to run.
    let mut staying = approved::unchanged(same, &host.components).await;
    let mut replaced = Vec::new();
    for (id, old) in other {
        let Some(new) = policy.plugins.get(&id).filter(|new| new.enabled) else { continue };
        let done = if old.differs_in_accounts_alone(new) && !outdated.contains(&id) {
            settle_on(host, &id, new).await
        } else if old.differs_in_grants_alone(new) && !outdated.contains(&id) {
            decide_anew(host, &id, new).await
        } else if lives(host, &id).await {
            replaced.push((id, new));
            continue;
        } else {
            // Nothing runs, so there is nothing to keep: the new version starts like any other plugin.
            false
        };
        if done {
            staying.insert(id);
        }
    }
    for id in running.keys().filter(|id| !staying.contains(*id) && replaced.iter().all(|(one, _)| one != *id)) {
        if policy.plugins.contains_key(id) {
            returning.extend(host.take_out(id).await);
        } else {
            host.take_away(id).await;
        }
    }
    returning.extend(host.replace_all(&policy, replaced, &outdated, &mut staying).await);
    let coming = policy.plugins.into_iter().filter(|(id, _)| !staying.contains(id)).collect();
    make_way(host, &returning, &coming).await;
    add_all(host, coming).await;
    drop(returning);
    spread(host).await;
    host.forget_declared().await;
    prune_cache(host).await;
    sleeping::look_again(host);
    tracing::info!(policy = %path.escaped(), "policy read again");
    Ok(())
}

/// Ends plugins on accounts that they leave, and gives the short names of their commands free there, before others are added that may
/// have commands of these names.
async fn make_way(host: &Host, returning: &[Left], coming: &BTreeMap<PluginId, Entry>) {
    withdraw(host).await;
    let config = host.config();
    // They were ended everywhere. One that was refused before and is disabled now was not running.
    for (id, entry) in returning.iter().filter_map(|left| coming.get_key_value(left.id())) {
        let accounts = entry.accounts.as_deref();
        let leaves = |account: &Arc<Shared>| !entry.enabled || !config.is_chosen(&account.name, accounts);
        let accounts: Vec<_> = host.accounts().into_iter().filter(leaves).collect();
        forget_commands(&accounts, id).await;
    }
}

/// Sets the orders of hooks on all accounts.
pub(super) fn hook(host: &Host, hooks: Hooks) {
    let hooks = Arc::new(hooks);
    host.hooks.store(Arc::clone(&hooks));
    let config = host.config();
    for account in host.accounts() {
        let group = config.accounts.get(&account.name).and_then(|account| account.group.as_ref());
        set_order(&account, hooks.on(&account.name, group));
    }
}

/// Limits each running plugin, in any version, to grants that both its own entry and the policy contain.
async fn hold_to(host: &Host, policy: &Policy) {
    for (id, plugin) in &mut *host.plugins.lock().await {
        // A plugin that is gone or disabled shuts down with the grants that it had.
        if let Some(entry) = policy.plugins.get(id).filter(|entry| entry.enabled) {
            plugin.hold_to(id, &entry.grants);
        }
    }
}

/// Applies the log levels that the policy names. Nothing restarts for this.
async fn log_as_decided(host: &Host, policy: &Policy) {
    for (id, plugin) in &mut *host.plugins.lock().await {
        if let Some(entry) = policy.plugins.get(id).filter(|entry| entry.log != plugin.entry.log) {
            plugin.log_from(id, entry.log);
        }
    }
}

/// Applies the command names that the policy gives. Nothing restarts for this.
async fn name_as_decided(host: &Host, policy: &Policy) {
    for (id, plugin) in &mut *host.plugins.lock().await {
        if let Some(entry) = policy.plugins.get(id).filter(|entry| entry.commands != plugin.entry.commands) {
            plugin.name_commands(id, &entry.commands);
        }
    }
}

/// Ends the plugins that the policy no longer names or has disabled. Returns guards for those that come back, if
/// only to be shown as disabled: the status shows them meanwhile.
async fn take_out_all(host: &Host, policy: &Policy) -> Vec<Left> {
    let leaving: Vec<_> = {
        let plugins = host.plugins.lock().await;
        let admitted = plugins.iter().filter(|(_, plugin)| plugin.is_admitted()).map(|(id, _)| id);
        let may_run = |id: &PluginId| policy.plugins.get(id).is_some_and(|entry| entry.enabled);
        admitted.filter(|id| !may_run(id)).cloned().collect()
    };
    let mut disabled = Vec::new();
    for id in leaving {
        if policy.plugins.contains_key(&id) {
            disabled.extend(host.take_out(&id).await);
            forget_commands(&host.accounts(), &id).await;
            tracing::info!(plugin = %id, "plugin disabled");
        } else {
            host.take_away(&id).await;
        }
    }
    disabled
}

/// Returns the values of the settings of running plugins, with their secrets. A plugin whose secret is unavailable now
/// is left out, and keeps its present values.
async fn opened(host: &Host, policy: &Policy) -> BTreeMap<PluginId, (SettingValues, RoomSettings)> {
    let manifests: Vec<_> = {
        let plugins = host.plugins.lock().await;
        let admitted = plugins.iter().filter_map(|(id, plugin)| match &plugin.standing {
            Standing::Admitted { admitted, .. } => Some((id.clone(), Arc::clone(&admitted.manifest))),
            Standing::Refused(_) | Standing::Compiling { .. } => None,
        });
        admitted.collect()
    };
    let mut all = BTreeMap::new();
    for (id, manifest) in manifests {
        let Some(entry) = policy.plugins.get(&id) else { continue };
        match secret::opened_with_rooms(&entry.settings, &entry.settings_in, &manifest).await {
            Ok(values) => drop(all.insert(id, values)),
            Err((setting, error)) => {
                tracing::warn!(plugin = %id, setting, %error, "the secret is unavailable; its former value stays in use");
            }
        }
    }
    all
}

/// Changes a plugin's grants while it runs, with the secrets that it has. Where it has failed for good, it is taken out, and
/// [`spread`] starts it again: it may have lacked a grant. Returns `false` if it may no longer run with these grants, or if
/// that is unknown.
async fn decide_anew(host: &Host, id: &PluginId, entry: &Entry) -> bool {
    let Ok(anew) = admit(host, id, entry).await else { return false };
    let over: Vec<_> = {
        let mut plugins = host.plugins.lock().await;
        let Some(plugin) = plugins.get_mut(id) else { return false };
        let Standing::Admitted { admitted, on, .. } = &mut plugin.standing else { return false };
        let over = on.extract_if(.., |_, supervised| supervised.state().is_over()).collect();
        for supervised in on.values() {
            supervised.grant(&anew.grants);
        }
        let (settings, settings_in) = (admitted.settings.clone(), admitted.settings_in.clone());
        *admitted = Arc::new(Admitted { settings, settings_in, ..anew });
        *plugin.entry = entry.clone();
        plugin.is_as_decided();
        over
    };
    join_all(over.into_iter().map(|(_, supervised): (_, Supervised)| supervised.stop())).await;
    tracing::info!(plugin = %id, "grants changed");
    true
}

/// Records the other accounts that a plugin should run on. It continues on those that stay. Returns `false` if it
/// may not run on these.
async fn settle_on(host: &Host, id: &PluginId, entry: &Entry) -> bool {
    if admit(host, id, entry).await.is_err() {
        return false;
    }
    let mut plugins = host.plugins.lock().await;
    let Some(plugin) = plugins.get_mut(id) else { return false };
    *plugin.entry = entry.clone();
    plugin.is_as_decided();
    tracing::info!(plugin = %id, "accounts of a plugin changed");
    true
}
