//! Replaces a running plugin by the version that the policy names, which starts beside it first.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use parlor_base::escape::escape_untrusted;
use parlor_base::id::PluginId;
use parlor_plugins::admission::{Admitted, Refusal};
use parlor_plugins::approved::{ReadFiles, Unfit};
use parlor_plugins::policy::{Entry, Policy};
use parlor_runtime::engine::PAUSE_FOR_ROOM;
use parlor_runtime::loading::LoadError;
use parlor_runtime::order;
use parlor_runtime::supervisor::{State, Supervised};

use super::accounts::{candidates, forget_commands, spread};
use super::adding::{add_all, admit, load_plugin, look_at_refused, prune_cache};
use super::plugin::{Plugin, Standing, TriedVersion, dependencies};
use super::standing::Left;
use super::{Host, LONGEST_REASON, sleeping};

/// Time limit for a new version of a plugin to replace the old one.
const REPLACE: Duration = Duration::from_secs(30);

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
    /// Replaces running plugins by the versions that the policy names, if these are available and start. Plugins that
    /// continue are added to `staying`. Returns guards for those that ended instead and are about to come back.
    pub(super) async fn replace_all(
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
                !outdated.contains(&id) && failed_to_start(self, &id, new).await && admit(self, &id, new).await.is_ok();
            let result = if failed_before {
                Replaced::Settled
            } else {
                forget_trouble(self, &id).await;
                replace(self, &id, new).await
            };
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
        let mut refused = refused_together(self, policy, staying, &early).await;
        for (id, (new, candidate)) in early {
            if let Some(why) = refused.remove(&id) {
                goes_on(self, &id, new, None, &format!("{} did not start ({why})", candidate.version)).await;
                staying.insert(id);
            } else {
                returning.extend(self.take_out(&id).await);
            }
        }
        returning
    }

    /// Retries versions that did not fit into the limits beside the running ones, as soon as another plugin has ended.
    /// It never returns.
    pub(super) async fn use_room(&self) -> Infallible {
        loop {
            self.crowded.notified().await;
            while is_crowded(self).await {
                tokio::select! {
                    () = self.engine.room() => {}
                    () = tokio::time::sleep(PAUSE_FOR_ROOM) => {}
                }
                try_for_room(self).await;
            }
        }
    }
}

/// Returns why a version did not start within the limit, and how it was tried. None: it runs.
fn trouble(state: &State, entry: &Entry) -> Option<(String, TriedVersion)> {
    match state {
        State::Running | State::Parked => None,
        State::BackingOff { why, .. } => Some((why.clone(), TriedVersion::NoRoom(Box::new(entry.clone())))),
        State::Refused(why) | State::Quarantined(why) => {
            Some((why.clone(), TriedVersion::Failed(Box::new(entry.clone()))))
        }
        _ => {
            let why = format!("its initialize did not return within {} s", REPLACE.as_secs());
            Some((why, TriedVersion::Failed(Box::new(entry.clone()))))
        }
    }
}

/// Returns the plugins that are refused even together with everything that the policy is about to add.
async fn refused_together(
    host: &Host,
    policy: &Policy,
    staying: &BTreeSet<PluginId>,
    early: &BTreeMap<PluginId, (&Entry, order::Candidate)>,
) -> BTreeMap<PluginId, order::Refused> {
    let mut all = candidates(&*host.plugins.lock().await);
    all.retain(|one| staying.contains(&one.id));
    all.extend(early.values().map(|(_, candidate)| candidate.clone()));
    let mut files = ReadFiles::default();
    for (id, entry) in &policy.plugins {
        if !staying.contains(id) && !early.contains_key(id) {
            // They are loaded completely, too: a plugin that is allowed but unavailable satisfies no dependency.
            all.push(match load_plugin(host, id, entry, &mut files).await {
                Ok(loaded) => order::Candidate::of(id, &loaded.admitted.manifest),
                Err(unfit) => order::Candidate::missing(id, unfit.to_string()),
            });
        }
    }
    order::plan(&all, host.strictness()).refused
}

/// Keeps the present version on the accounts that the policy names now, and records why: another version is unavailable
/// or did not start. `tried`: a retry is useless, or must wait for free resources. None: the next change retries.
async fn goes_on(host: &Host, id: &PluginId, wanted: &Entry, tried: Option<TriedVersion>, why: &str) {
    let why = escape_untrusted(&format!("{why}, so this version goes on"), LONGEST_REASON);
    tracing::error!(plugin = %id, reason = %why, "plugin not replaced");
    if let Some(plugin) = host.plugins.lock().await.get_mut(id) {
        plugin.entry.accounts.clone_from(&wanted.accounts);
        plugin.beside.clear();
        plugin.not_replaced = Some(why);
        plugin.tried = tried;
        if plugin.wants_room().is_some() {
            host.crowded.notify_one();
        }
    }
}

/// Stops showing why another version did not replace this one: the next one is tried.
async fn forget_trouble(host: &Host, id: &PluginId) {
    if let Some(plugin) = host.plugins.lock().await.get_mut(id) {
        plugin.not_replaced = None;
    }
}

async fn is_crowded(host: &Host) -> bool {
    host.plugins.lock().await.values().any(|plugin| plugin.wants_room().is_some())
}

async fn try_for_room(host: &Host) {
    let _changing = host.changing.lock().await;
    let wanting: Vec<_> = {
        let plugins = host.plugins.lock().await;
        plugins.iter().filter_map(|(id, plugin)| Some((id.clone(), plugin.wants_room()?.clone()))).collect()
    };
    for (id, entry) in wanting {
        replace(host, &id, &entry).await;
    }
    // Other plugins may have waited for one of these.
    add_all(host, BTreeMap::new()).await;
    spread(host).await;
    host.forget_declared().await;
    prune_cache(host).await;
    sleeping::look_again(host);
}

/// Returns whether this entry was already tried as a replacement and did not start. It is not retried when other
/// entries change or when grants are withdrawn, but when it is enabled again.
async fn failed_to_start(host: &Host, id: &PluginId, entry: &Entry) -> bool {
    let plugins = host.plugins.lock().await;
    let Some(TriedVersion::Failed(tried)) = plugins.get(id).and_then(|plugin| plugin.tried.as_ref()) else {
        return false;
    };
    tried.differs_in_grants_alone(entry) && entry.grants.within(&tried.grants) == entry.grants
}

/// Returns the required setting without a value, if a plugin was refused for that.
fn unset(why: &LoadError) -> Option<String> {
    match why {
        LoadError::Unfit(Unfit::Refused(Refusal::Unset { name, .. })) => Some(name.clone()),
        _ => None,
    }
}

/// Returns whether the running plugin is this version with a value of a setting that this entry does not have.
async fn had(host: &Host, id: &PluginId, entry: &Entry, setting: &str) -> bool {
    let plugins = host.plugins.lock().await;
    let running = plugins.get(id).map(|plugin| &plugin.entry);
    running.is_some_and(|old| old.digest == entry.digest && old.settings.0.contains_key(setting))
}

/// Gives the short names of commands free that a version which has taken over did not add while it started.
async fn forget_left_out(host: &Host, id: &PluginId) {
    let accounts: Vec<_> = {
        let plugins = host.plugins.lock().await;
        let Some(Plugin { standing: Standing::Admitted { on, .. }, .. }) = plugins.get(id) else { return };
        // One that has failed since comes back with its commands.
        let running = on.values().filter(|one| matches!(one.state(), State::Running | State::Parked));
        running.map(|one| Arc::clone(one.account())).collect()
    };
    forget_commands(&accounts, id).await;
}

/// Starts another version of a plugin beside the present one, on the same accounts, and lets it take over once its
/// `initialize` has returned. If it does not get that far or is unavailable, the present one continues, and the
/// status says why.
async fn replace(host: &Host, id: &PluginId, entry: &Entry) -> Replaced {
    let mut files = ReadFiles::default();
    let loaded = load_plugin(host, id, entry, &mut files).await;
    // The owner took a value back, such as a key that became known: it ends now, and with it the plugin that needs it.
    if let Some(setting) = loaded.as_ref().err().and_then(unset)
        && had(host, id, entry, &setting).await
    {
        return Replaced::Anew;
    }
    let loaded = match loaded {
        Ok(loaded) => loaded,
        // A plugin that the owner does not allow must not run in any version.
        Err(why) if why.forbids() => return Replaced::Anew,
        Err(why) => {
            let version = look_at_refused(host, id, entry, &mut files).await;
            let version = version.map_or_else(|| "another version".to_owned(), |version| version.to_string());
            let tried = why.is_final().then(|| TriedVersion::Failed(Box::new(entry.clone())));
            goes_on(host, id, entry, tried, &format!("{version} did not start ({why})")).await;
            return Replaced::Settled;
        }
    };
    let strictness = host.strictness();
    let (beside, successions) = {
        let mut plugins = host.plugins.lock().await;
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
            let (new, replacement) = Supervised::start_beside(old, admitted, compiled, Arc::clone(&host.engine), after);
            ((account.clone(), new), (account.clone(), replacement))
        });
        let (beside, successions): (BTreeMap<_, _>, BTreeMap<_, _>) = started.unzip();
        if let Some(plugin) = plugins.get_mut(id) {
            plugin.tries(&beside);
        }
        (beside, successions)
    };
    // A version that waits for the session may do so for long. The present one serves until the limit, and then
    // stays.
    let _ = tokio::time::timeout(REPLACE, join_all(beside.values().map(Supervised::tried))).await;
    let trouble = beside.values().find_map(|new| trouble(&new.state(), entry));
    if let Some((why, tried)) = trouble {
        join_all(beside.into_values().map(Supervised::stop)).await;
        if matches!(tried, TriedVersion::NoRoom(_)) {
            // The room that this version leaves on one account is not the room that it lacks on another.
            let _ = host.engine.room().now_or_never();
        }
        let version = &loaded.admitted.manifest.version;
        goes_on(host, id, entry, Some(tried), &format!("{version} did not start ({why})")).await;
        return Replaced::Settled;
    }
    // Fewer grants than it was admitted with, if some were withdrawn meanwhile.
    let held = beside.values().next().map_or_else(|| Arc::clone(&loaded.admitted.grants), Supervised::grants);
    let admitted = Arc::new(Admitted { grants: held, ..Admitted::clone(&loaded.admitted) });
    let standing = Standing::Admitted { admitted, compiled: loaded.compiled, on: beside };
    let new = Plugin::new(entry.clone(), standing, None);
    // The status shows the new version from here on; `changing` excludes other changes.
    let old = host.plugins.lock().await.insert(id.clone(), new);
    if let Some(Plugin { standing: Standing::Admitted { on: mut old, .. }, .. }) = old {
        // On all accounts at once: on each of them, running handlers may take their time, and the new version may
        // fail meanwhile. Until it has taken over, nothing restarts it.
        let takings = successions
            .into_iter()
            .filter_map(|(account, replacement)| Some(replacement.take_over(old.remove(&account)?)));
        join_all(takings).await;
        forget_left_out(host, id).await;
    }
    tracing::info!(plugin = %id, "plugin replaced");
    Replaced::Settled
}
