//! Applying a changed policy while the host runs: plugins that were added or removed, changed grants, and new versions.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use parlor_base::harmless::{EscapedPath as _, harmless};
use parlor_base::id::{Digest, PluginId};
use parlor_plugins::admission::Admitted;
use parlor_plugins::policy::{Entry, Policy, PolicyError, SettingValues};
use parlor_plugins::{approved, secret};
use parlor_runtime::engine::PAUSE_FOR_ROOM;
use parlor_runtime::order;
use parlor_runtime::supervisor::{State, Supervised};
use parlor_session::command_names::CommandNames;

use super::accounts::candidates;
use super::{Host, LONGEST_REASON, Left, Plugin, Standing, Tried, dependencies};

/// Time limit for a new version of a plugin to replace the old one.
const REPLACE: Duration = Duration::from_secs(30);

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

/// The result of replacing a running plugin by the version that the policy names.
enum Replaced {
    /// It has taken over; or the present one continues, and the status says why.
    Settled,
    /// This cannot be a replacement, or the owner does not allow the new version. The present one ends, and the new one
    /// is added.
    Anew,
    /// A required dependency is missing, or not running yet. The present one continues.
    Early(order::Candidate),
}

impl Host {
    /// Reads the policy again and applies it, without touching the connections. An unreadable policy changes nothing,
    /// and neither does a missing one while plugins run by it. To remove all plugins, the owner writes an empty policy.
    pub async fn reload(&self) -> Result<(), PolicyError> {
        let _changing = self.changing.lock().await;
        let config = self.config();
        let text = Policy::read(&config.plugins).inspect_err(|error| self.note(None, error.to_string()))?;
        if text.is_none() && !self.plugins.lock().await.is_empty() {
            let gone = PolicyError::Gone { path: config.plugins.clone() };
            self.note(None, gone.to_string());
            return Err(gone);
        }
        self.apply(text).await
    }

    /// Applies the policy if the file changed without a `reload`. A text that was read already is ignored. A missing or
    /// empty file is more likely being written than intended, so it changes nothing, either.
    pub async fn reload_if_changed(&self) -> Result<(), PolicyError> {
        let _changing = self.changing.lock().await;
        let config = self.config();
        let text = Policy::read(&config.plugins).inspect_err(|error| self.note(None, error.to_string()))?;
        let digest = Read::of(text.as_deref()).text;
        if self.read().text == digest {
            return Ok(());
        }
        match &text {
            None => {
                self.note(None, PolicyError::Gone { path: config.plugins.clone() }.to_string());
                tracing::warn!(policy = %config.plugins.escaped(), "the policy is gone; nothing has changed. Put it back, or an empty one if no plugin is to run");
                return Ok(());
            }
            Some(text) if text.trim().is_empty() => {
                let path = config.plugins.escaped();
                self.note(
                    digest,
                    format!("{path} is empty; `parlor reload` or SIGHUP makes it count if no plugin is to run"),
                );
                tracing::warn!(policy = %config.plugins.escaped(), "the policy is empty; nothing has changed. `parlor reload` or SIGHUP makes it count if no plugin is to run");
                return Ok(());
            }
            Some(_) => {}
        }
        self.apply(text).await
    }

    /// Returns why the current text of the policy is not in force. None: it is.
    pub fn policy_fault(&self) -> Option<String> {
        self.read().fault.clone()
    }

    /// Returns why the current configuration file is not in force. None: it is.
    pub fn config_fault(&self) -> Option<String> {
        self.config_fault.load_full().map(Arc::unwrap_or_clone)
    }

    /// Records why the configuration that was read now is not in force; a valid one is for [`Host::reconfigure`].
    pub fn configuration_refused(&self, fault: String) {
        self.config_fault.store(Some(Arc::new(fault)));
    }

    /// Records why the policy that was read now is not in force.
    fn note(&self, text: Option<Digest>, fault: String) {
        *self.read() = Read { text, fault: Some(fault) };
    }

    fn read(&self) -> MutexGuard<'_, Read> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that these plugins run as the policy says: versions that were to replace them are no longer wanted.
    async fn are_as_decided<'p>(&self, ids: impl Iterator<Item = &'p PluginId>) {
        let mut plugins = self.plugins.lock().await;
        for id in ids {
            if let Some(plugin) = plugins.get_mut(id) {
                plugin.is_as_decided();
            }
        }
    }

    async fn lives(&self, id: &PluginId) -> bool {
        self.plugins.lock().await.get(id).is_some_and(Plugin::lives)
    }

    /// Applies this text of the policy. The caller holds `changing`.
    async fn apply(&self, text: Option<String>) -> Result<(), PolicyError> {
        let read = Read::of(text.as_deref());
        let config = self.config();
        let path = &config.plugins;
        let policy = text.map_or_else(|| Ok(Policy::default()), |text| Policy::understand(&text, path));
        let policy = policy.inspect_err(|error| self.note(read.text, error.to_string()))?;
        *self.read() = read;
        // Changes that take something away wait for nothing: not for secrets, nor for plugins that start slowly or
        // never.
        self.hold_to(&policy).await;
        self.log_as_decided(&policy).await;
        self.name_as_decided(&policy).await;
        let mut returning = self.take_out_all(&policy).await;
        let mut values = self.opened(&policy).await;
        let mut outdated = BTreeSet::new();
        let running: BTreeMap<_, _> = {
            let mut plugins = self.plugins.lock().await;
            for (id, plugin) in &mut *plugins {
                if let (Some(entry), Some(values)) = (policy.plugins.get(id), values.remove(id))
                    && !plugin.take_settings(id, entry, values)
                {
                    outdated.insert(id.clone());
                }
            }
            plugins
                .iter()
                .map(|(id, plugin)| (id.clone(), plugin.is_admitted().then(|| plugin.entry.clone())))
                .collect()
        };
        let (same, other): (BTreeMap<_, _>, BTreeMap<_, _>) = running
            .iter()
            .filter_map(|(id, entry)| Some((id.clone(), entry.clone()?)))
            .partition(|(id, entry)| policy.plugins.get(id) == Some(entry) && !outdated.contains(id));
        self.are_as_decided(same.keys()).await;
        // A plugin whose file was changed since its approval does not continue to run.
        let mut staying = approved::unchanged(same, &self.components).await;
        let mut replaced = Vec::new();
        for (id, old) in other {
            let Some(new) = policy.plugins.get(&id).filter(|new| new.enabled) else { continue };
            let done = if old.differs_in_accounts_alone(new) && !outdated.contains(&id) {
                self.settle_on(&id, new).await
            } else if old.differs_in_grants_alone(new) && !outdated.contains(&id) {
                self.decide_anew(&id, new).await
            } else if self.lives(&id).await {
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
                returning.extend(self.take_out(id).await);
            } else {
                self.take_away(id).await;
            }
        }
        returning.extend(self.replace_all(&policy, replaced, &outdated, &mut staying).await);
        let coming = policy.plugins.into_iter().filter(|(id, _)| !staying.contains(id)).collect();
        self.add_all(coming).await;
        drop(returning);
        self.spread().await;
        self.forget_declared().await;
        self.prune_cache().await;
        tracing::info!(policy = %path.escaped(), "policy read again");
        Ok(())
    }

    /// Withdraws grants that the policy no longer contains, at once, even while another change takes long.
    /// [`Host::reload`] applies the rest of the policy.
    pub async fn hold_to_policy(&self) {
        let config = self.config();
        // An error is reported when the policy is applied.
        if let Ok(policy) = Policy::load(&config.plugins) {
            self.hold_to(&policy).await;
        }
    }

    /// Limits each running plugin, whatever its version, to grants that both its own entry and the policy contain.
    async fn hold_to(&self, policy: &Policy) {
        for (id, plugin) in &mut *self.plugins.lock().await {
            // A plugin that is gone or disabled shuts down with the grants that it had.
            if let Some(entry) = policy.plugins.get(id).filter(|entry| entry.enabled) {
                plugin.hold_to(id, &entry.grants);
            }
        }
    }

    /// Applies the log levels that the policy names. Nothing restarts for this.
    async fn log_as_decided(&self, policy: &Policy) {
        for (id, plugin) in &mut *self.plugins.lock().await {
            if let Some(entry) = policy.plugins.get(id).filter(|entry| entry.log != plugin.entry.log) {
                plugin.log_from(id, entry.log);
            }
        }
    }

    /// Applies the command names that the policy gives. Nothing restarts for this.
    async fn name_as_decided(&self, policy: &Policy) {
        for (id, plugin) in &mut *self.plugins.lock().await {
            if let Some(entry) = policy.plugins.get(id).filter(|entry| entry.commands != plugin.entry.commands) {
                plugin.name_commands(id, &entry.commands);
            }
        }
    }

    /// Removes a plugin that does not come back. Returns `false` if there was none.
    pub(super) async fn take_away(&self, id: &PluginId) -> bool {
        let was_there = self.take_out(id).await.is_some();
        if was_there {
            tracing::info!(plugin = %id, "plugin removed");
        }
        was_there
    }

    /// Ends the plugins that the policy no longer names or has disabled. Returns guards for those that come back, if
    /// only to be shown as disabled: the status shows them meanwhile.
    async fn take_out_all(&self, policy: &Policy) -> Vec<Left> {
        let leaving: Vec<_> = {
            let plugins = self.plugins.lock().await;
            let admitted = plugins.iter().filter(|(_, plugin)| plugin.is_admitted()).map(|(id, _)| id);
            let may_run = |id: &PluginId| policy.plugins.get(id).is_some_and(|entry| entry.enabled);
            admitted.filter(|id| !may_run(id)).cloned().collect()
        };
        let mut disabled = Vec::new();
        for id in leaving {
            if policy.plugins.contains_key(&id) {
                disabled.extend(self.take_out(&id).await);
                tracing::info!(plugin = %id, "plugin disabled");
            } else {
                self.take_away(&id).await;
            }
        }
        disabled
    }

    /// Returns the values of the settings of running plugins, with their secrets. A plugin whose secret is unavailable
    /// now is left out, and keeps the values that it has.
    async fn opened(&self, policy: &Policy) -> BTreeMap<PluginId, SettingValues> {
        let manifests: Vec<_> = {
            let plugins = self.plugins.lock().await;
            let admitted = plugins.iter().filter_map(|(id, plugin)| match &plugin.standing {
                Standing::Admitted { admitted, .. } => Some((id.clone(), Arc::clone(&admitted.manifest))),
                Standing::Refused(_) | Standing::Compiling { .. } => None,
            });
            admitted.collect()
        };
        let mut all = BTreeMap::new();
        for (id, manifest) in manifests {
            let Some(entry) = policy.plugins.get(&id) else { continue };
            match secret::opened(&entry.settings, &manifest).await {
                Ok(values) => drop(all.insert(id, values)),
                Err((setting, error)) => {
                    tracing::warn!(plugin = %id, setting, %error, "the secret is not to be had; the one before counts on");
                }
            }
        }
        all
    }

    /// Changes a plugin's grants while it runs, with the secrets that it has. Returns `false` if it may no longer run
    /// with them, or if that is unknown.
    async fn decide_anew(&self, id: &PluginId, entry: &Entry) -> bool {
        let Ok(anew) = self.admit(id, entry).await else { return false };
        let mut plugins = self.plugins.lock().await;
        let Some(plugin) = plugins.get_mut(id) else { return false };
        let Standing::Admitted { admitted, on, .. } = &mut plugin.standing else { return false };
        for supervised in on.values() {
            supervised.grant(&anew.grants);
        }
        *admitted = Arc::new(Admitted { settings: admitted.settings.clone(), ..anew });
        plugin.entry = entry.clone();
        plugin.is_as_decided();
        tracing::info!(plugin = %id, "grants changed");
        true
    }

    /// Records the other accounts that a plugin should run on. It continues on those that stay. Returns `false` if it
    /// may not run on these.
    async fn settle_on(&self, id: &PluginId, entry: &Entry) -> bool {
        if self.admit(id, entry).await.is_err() {
            return false;
        }
        let mut plugins = self.plugins.lock().await;
        let Some(plugin) = plugins.get_mut(id) else { return false };
        plugin.entry = entry.clone();
        plugin.is_as_decided();
        tracing::info!(plugin = %id, "accounts of a plugin changed");
        true
    }

    /// Replaces running plugins by the versions that the policy names, if these are available and start. Plugins that
    /// continue are added to `staying`. Returns guards for those that ended instead and are about to come back.
    async fn replace_all(
        &self,
        policy: &Policy,
        replaced: Vec<(PluginId, &Entry)>,
        outdated: &BTreeSet<PluginId>,
        staying: &mut BTreeSet<PluginId>,
    ) -> Vec<Left> {
        let (mut returning, mut early) = (Vec::new(), BTreeMap::new());
        // A new version may start slowly or never: nothing else waits for it.
        for (id, new) in replaced {
            let failed_before =
                !outdated.contains(&id) && self.failed_to_start(&id, new).await && self.admit(&id, new).await.is_ok();
            let result = if failed_before { Replaced::Settled } else { self.replace(&id, new).await };
            match result {
                Replaced::Settled => {
                    staying.insert(id);
                }
                Replaced::Anew => returning.extend(self.take_out(&id).await),
                Replaced::Early(candidate) => {
                    early.insert(id, (new, candidate));
                }
            }
        }
        if early.is_empty() {
            return returning;
        }
        // Their dependencies may be part of the same policy, or may have started just now.
        let mut refused = self.refused_together(policy, staying, &early).await;
        for (id, (new, candidate)) in early {
            if let Some(why) = refused.remove(&id) {
                self.goes_on(&id, new, None, &format!("{} did not start ({why})", candidate.version)).await;
                staying.insert(id);
            } else {
                returning.extend(self.take_out(&id).await);
            }
        }
        returning
    }

    /// Returns the plugins that are refused even together with everything that the policy is about to add.
    async fn refused_together(
        &self,
        policy: &Policy,
        staying: &BTreeSet<PluginId>,
        early: &BTreeMap<PluginId, (&Entry, order::Candidate)>,
    ) -> BTreeMap<PluginId, order::Refused> {
        let mut all = candidates(&*self.plugins.lock().await);
        all.retain(|one| staying.contains(&one.id));
        all.extend(early.values().map(|(_, candidate)| candidate.clone()));
        for (id, entry) in &policy.plugins {
            if !staying.contains(id) && !early.contains_key(id) {
                // They are loaded completely, too: a plugin that is allowed but unavailable satisfies no dependency.
                all.push(match self.load(id, entry).await {
                    Ok(loaded) => order::Candidate::of(id, &loaded.admitted.manifest),
                    Err(unfit) => order::Candidate::missing(id, unfit.to_string()),
                });
            }
        }
        order::plan(&all, self.strictness()).refused
    }

    /// Keeps the present version where the policy wants the plugin now, and records why: another version is unavailable
    /// or did not start. `tried` says that a retry is useless, or has to wait for room. None: the next change retries.
    async fn goes_on(&self, id: &PluginId, wanted: &Entry, tried: Option<Tried>, why: &str) {
        let why = harmless(&format!("{why}, so this version goes on"), LONGEST_REASON);
        tracing::error!(plugin = %id, reason = %why, "plugin not replaced");
        if let Some(plugin) = self.plugins.lock().await.get_mut(id) {
            plugin.entry.accounts.clone_from(&wanted.accounts);
            plugin.beside.clear();
            plugin.not_replaced = Some(why);
            plugin.tried = tried;
            if plugin.wants_room().is_some() {
                self.crowded.notify_one();
            }
        }
    }

    /// Retries versions for which there was no room beside the running ones, as soon as another plugin has ended. It
    /// never returns.
    pub(super) async fn use_room(&self) -> Infallible {
        loop {
            self.crowded.notified().await;
            while self.is_crowded().await {
                tokio::select! {
                    () = self.engine.room() => {}
                    () = tokio::time::sleep(PAUSE_FOR_ROOM) => {}
                }
                self.try_for_room().await;
            }
        }
    }

    async fn is_crowded(&self) -> bool {
        self.plugins.lock().await.values().any(|plugin| plugin.wants_room().is_some())
    }

    async fn try_for_room(&self) {
        let _changing = self.changing.lock().await;
        let wanting: Vec<_> = {
            let plugins = self.plugins.lock().await;
            plugins.iter().filter_map(|(id, plugin)| Some((id.clone(), plugin.wants_room()?.clone()))).collect()
        };
        for (id, entry) in wanting {
            self.replace(&id, &entry).await;
        }
        // Other plugins may have waited for one of these.
        self.add_all(BTreeMap::new()).await;
        self.spread().await;
        self.forget_declared().await;
        self.prune_cache().await;
    }

    /// Returns whether this entry was already tried in the place of the present one and did not start. It is not
    /// retried when something else changes or when grants are withdrawn, but when it is enabled again.
    async fn failed_to_start(&self, id: &PluginId, entry: &Entry) -> bool {
        let plugins = self.plugins.lock().await;
        let Some(Tried::Failed(tried)) = plugins.get(id).and_then(|plugin| plugin.tried.as_ref()) else { return false };
        tried.differs_in_grants_alone(entry) && entry.grants.within(&tried.grants) == entry.grants
    }

    /// Starts another version of a plugin beside the present one, on the same accounts, and lets it take over once its
    /// `initialize` has returned. If it does not get that far or is unavailable, the present one continues, and the
    /// status says why.
    async fn replace(&self, id: &PluginId, entry: &Entry) -> Replaced {
        let loaded = match self.load(id, entry).await {
            Ok(loaded) => loaded,
            // A plugin that the owner does not allow must not run in any version.
            Err(why) if why.forbids() => return Replaced::Anew,
            Err(why) => {
                let version = self.version(id, entry).await;
                let version = version.map_or_else(|| "another version".to_owned(), |version| version.to_string());
                let tried = why.is_final().then(|| Tried::Failed(entry.clone()));
                self.goes_on(id, entry, tried, &format!("{version} did not start ({why})")).await;
                return Replaced::Settled;
            }
        };
        let strictness = self.strictness();
        let (beside, successions): (BTreeMap<_, _>, BTreeMap<_, _>) = {
            let plugins = self.plugins.lock().await;
            let Some(Plugin { entry: old, standing: Standing::Admitted { on, .. }, .. }) = plugins.get(id) else {
                return Replaced::Anew;
            };
            let new = order::Candidate::of(id, &loaded.admitted.manifest);
            let mut all = candidates(&plugins);
            all.retain(|other| other.id != *id);
            all.push(new.clone());
            let plan = order::plan(&all, strictness);
            let Some(start) = plan.starts.iter().find(|start| start.id == *id) else { return Replaced::Early(new) };
            if old.accounts != entry.accounts {
                return Replaced::Anew;
            }
            let started = on.iter().map(|(account, old)| {
                let after = dependencies(&loaded, start, strictness, &plugins, account);
                let (admitted, compiled) = (Arc::clone(&loaded.admitted), Arc::clone(&loaded.compiled));
                let (new, succession) =
                    Supervised::start_beside(old, admitted, compiled, Arc::clone(&self.engine), after);
                ((account.clone(), new), (account.clone(), succession))
            });
            started.unzip()
        };
        // Grants that the owner withdraws meanwhile are withdrawn from these, too.
        if let Some(plugin) = self.plugins.lock().await.get_mut(id) {
            plugin.beside = beside.values().map(Supervised::reins).collect();
        }
        // A version that waits for the session may do so for long. The present one serves until the limit, and then
        // stays.
        let _ = tokio::time::timeout(REPLACE, join_all(beside.values().map(Supervised::tried))).await;
        let trouble = beside.values().find_map(|new| trouble(&new.state().borrow(), entry));
        if let Some((why, tried)) = trouble {
            join_all(beside.into_values().map(Supervised::stop)).await;
            if matches!(tried, Tried::NoRoom(_)) {
                // The room that this version leaves on one account is not the room that it lacks on another.
                let _ = self.engine.room().now_or_never();
            }
            let version = &loaded.admitted.manifest.version;
            self.goes_on(id, entry, Some(tried), &format!("{version} did not start ({why})")).await;
            return Replaced::Settled;
        }
        // Fewer grants than it was admitted with, if some were withdrawn meanwhile.
        let held = beside.values().next().map_or_else(|| loaded.admitted.grants.clone(), Supervised::grants);
        let admitted = Arc::new(Admitted { grants: held, ..Admitted::clone(&loaded.admitted) });
        let standing = Standing::Admitted { admitted, compiled: loaded.compiled, on: beside };
        let new = Plugin::new(entry.clone(), standing, None);
        // The status shows the new version from here on; `changing` excludes other changes.
        let old = self.plugins.lock().await.insert(id.clone(), new);
        if let Some(Plugin { standing: Standing::Admitted { on: mut old, .. }, .. }) = old {
            // On all accounts at once: on each of them, running handlers may take their time, and the new version may
            // fail meanwhile. Until it has taken over, nothing restarts it.
            let takings = successions
                .into_iter()
                .filter_map(|(account, succession)| Some(succession.take_over(old.remove(&account)?)));
            join_all(takings).await;
        }
        tracing::info!(plugin = %id, "plugin replaced");
        Replaced::Settled
    }
}

impl Plugin {
    fn name_commands(&mut self, id: &PluginId, names: &CommandNames) {
        self.entry.commands = names.clone();
        let Standing::Admitted { admitted, on, .. } = &mut self.standing else { return };
        for supervised in on.values() {
            supervised.name_commands(names.clone());
        }
        *admitted = Arc::new(Admitted { commands: names.clone(), ..Admitted::clone(admitted) });
        tracing::info!(plugin = %id, commands = %names, "plugin's commands go by the owner's names");
    }
}

/// Returns why a version did not start within the limit, and how it was tried. None: it runs.
fn trouble(state: &State, entry: &Entry) -> Option<(String, Tried)> {
    match state {
        State::Running => None,
        State::BackingOff { why, .. } => Some((why.clone(), Tried::NoRoom(entry.clone()))),
        State::Refused(why) | State::Quarantined(why) => Some((why.clone(), Tried::Failed(entry.clone()))),
        _ => {
            let why = format!("its initialize did not return within {} s", REPLACE.as_secs());
            Some((why, Tried::Failed(entry.clone())))
        }
    }
}
