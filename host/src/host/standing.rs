//! The status of every plugin, as seen from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlor_base::clock::Clock;
use parlor_base::id::{Digest, PluginId};
use parlor_config::{AccountName, Config};
use parlor_plugins::policy::Entry;
use parlor_plugins::source::Source;
use parlor_runtime::account::Shared;
use parlor_runtime::counters::Totals;
use parlor_runtime::denials::Denial;
use parlor_runtime::instance::{Instance, Kept, Usage};
use parlor_runtime::supervisor::{State, Supervised};
use parlor_session::permissions::Grants;
use parlor_store::{Owner, StoreError};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::Host;
use super::plugin::{Plugin, Standing};

/// How long a status request waits for the size of the plugins' storage.
const PATIENCE: Duration = Duration::from_secs(1);

/// The status of one plugin on one account.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginStatus {
    /// The id of the plugin.
    pub id: PluginId,
    /// Whether the owner lets it run.
    pub enabled: bool,
    /// Its version. None: its file was not read.
    pub version: Option<semver::Version>,
    /// The digest of the bytes that it may be.
    pub digest: Digest,
    /// The source of its file.
    pub source: Source,
    /// The account. None: the plugin may not run at all.
    pub account: Option<AccountName>,
    /// The state it is in; a refusal is [`State::Refused`].
    pub state: State,
    /// The number of events that the current instance has handled.
    pub handled: u64,
    /// The number of calls that were denied to the current instance.
    pub denials: u64,
    /// The plugin's record on this account since the host started, across restarts and replacements. None: it may not
    /// run.
    pub record: Option<Totals>,
    /// The number of restarts.
    pub restarts: u64,
    /// Why another version, which the policy names, has not replaced it.
    pub not_replaced: Option<String>,
    /// Why it runs on no account of this host, although it may run.
    pub why_nowhere: Option<&'static str>,
    /// The resources that the current instance has used.
    pub usage: Option<Usage>,
    /// Its commands, with the word that people use for each.
    pub commands: BTreeMap<String, String>,
    /// The last calls that were denied to it, oldest first.
    pub denied: Vec<Denial>,
    /// The grants that it has now. None: it may not run.
    pub grants: Option<Grants>,
}

/// A plugin on an account, as the alerts and the watchdog of systemd see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PluginHealth {
    /// The id of the plugin.
    pub(crate) id: PluginId,
    /// The account.
    pub(crate) account: AccountName,
    /// The state it is in.
    pub(crate) state: State,
    /// The number of calls that were denied to it since the host started.
    pub(crate) denials: u64,
}

/// Returns the health of every plugin on every account. The whole status takes several KiB for each, and thousands of
/// plugins are looked at every half minute.
pub(crate) async fn health(host: &Host) -> Vec<PluginHealth> {
    let plugins = host.plugins.lock().await;
    let each = plugins.iter().flat_map(|(id, plugin)| {
        let rows = plugin.on_each(|one| Some((one.state(), one.record().denials())));
        let row = move |(account, (state, denials))| PluginHealth { id: id.clone(), account, state, denials };
        rows.into_iter().map(row)
    });
    let mut all: Vec<_> = each.collect();
    let leaving = host.leaving.rows(|id| !plugins.contains_key(id)).into_iter().filter_map(|row| {
        let (account, denials) = (row.account?, row.record?.denials);
        Some(PluginHealth { id: row.id, account, state: row.state, denials })
    });
    all.extend(leaving);
    all
}

/// Returns the status of every plugin on each of these accounts, and of those that run on none. None: on all accounts.
pub(crate) async fn status_on(host: &Host, only: Option<&BTreeSet<AccountName>>) -> Vec<PluginStatus> {
    host.standing(None, only, None).await
}

/// The sizes of the data that plugins keep in the store.
pub(super) struct Sizes {
    /// The bytes in the storage of each.
    storage: BTreeMap<Owner, u64>,
    /// The requests to webhooks that wait for each, and the bytes of those that are kept.
    requests: BTreeMap<Owner, (u64, u64)>,
}

impl Sizes {
    fn of(&self, owner: &Owner) -> Kept {
        let storage = self.storage.get(owner).copied().unwrap_or(0);
        let (requests, request_bytes) = self.requests.get(owner).copied().unwrap_or_default();
        Kept { storage, requests, request_bytes }
    }
}

/// Returns the status of one plugin, or of each, with the size of what it keeps in the store.
async fn with_storage(host: &Host, plugin: Option<&PluginId>) -> Vec<PluginStatus> {
    // A disk that does not respond must not block the status.
    let data = host.store.data(Clock::Machine);
    let kept =
        async { Ok::<_, StoreError>(Sizes { storage: data.sizes().await?, requests: data.request_sizes().await? }) };
    let kept = timeout(PATIENCE, kept).await;
    host.standing(kept.ok().and_then(Result::ok).as_ref(), None, plugin).await
}

impl Host {
    /// Returns the status of every plugin, sorted by id.
    pub async fn status(&self) -> Vec<PluginStatus> {
        self.standing(None, None, None).await
    }

    /// Returns the status of every plugin, with the size of what it keeps in the store.
    pub async fn status_with_storage(&self) -> Vec<PluginStatus> {
        with_storage(self, None).await
    }

    /// Returns the status of one plugin. A disabled plugin is shown with its record on each account where it has run: a
    /// record outlives instances.
    pub async fn status_of(&self, id: &PluginId) -> Vec<PluginStatus> {
        let accounts = self.accounts();
        let rows = with_storage(self, Some(id)).await.into_iter();
        rows.flat_map(|row| row.with_record(&accounts)).collect()
    }

    /// Returns the status of plugins. `only`: on these accounts alone. `plugin`: this one alone. A row takes several KiB, and there may
    /// be thousands.
    async fn standing(
        &self,
        kept: Option<&Sizes>,
        only: Option<&BTreeSet<AccountName>>,
        plugin: Option<&PluginId>,
    ) -> Vec<PluginStatus> {
        let is_meant = |account: &AccountName| only.is_none_or(|only| only.contains(account));
        let plugins = self.plugins.lock().await;
        let running = plugins.values().flat_map(Plugin::supervised).filter_map(Supervised::instance);
        let running: Vec<_> = running.filter(|instance| is_meant(&instance.account.name)).collect();
        let config = self.config();
        let rows = |(id, plugin): (&PluginId, &Plugin)| {
            let mut rows = plugin.rows(id, kept, &running, &is_meant);
            for row in rows.iter_mut().filter(|row| row.account.is_none() && row.state == State::Stopped) {
                row.why_nowhere = Some(why_nowhere(&config, &plugin.entry));
            }
            rows
        };
        let mut all: Vec<_> = meant(&plugins, plugin).into_iter().flat_map(rows).collect();
        let is_asked = |id: &PluginId| plugin.is_none_or(|asked| asked == id);
        let leaving = self.leaving.rows(|id| is_asked(id) && !plugins.contains_key(id)).into_iter();
        all.extend(leaving.filter(|row| row.account.as_ref().is_none_or(is_meant)));
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// Returns the number of tasks on the current runtime, and on those of accounts and guests.
    pub(crate) fn tasks(&self) -> usize {
        Handle::current().metrics().num_alive_tasks() + self.threads.tasks() + self.engine.tasks()
    }
}

/// Returns one of these plugins, or all.
fn meant<'p, T>(all: &'p BTreeMap<PluginId, T>, plugin: Option<&PluginId>) -> Vec<(&'p PluginId, &'p T)> {
    match plugin {
        Some(id) => all.get_key_value(id).into_iter().collect(),
        None => all.iter().collect(),
    }
}

/// Says why a plugin that may run does so on no account of this host.
pub(super) fn why_nowhere(config: &Config, entry: &Entry) -> &'static str {
    let has_some = config.chosen(entry.accounts.as_deref()).next().is_some();
    why(entry.accounts.is_some(), has_some, config.cluster.is_some())
}

/// Says it of a plugin whose entry names accounts, for which there are some, on a node of a cluster.
fn why(names_some: bool, has_some: bool, is_node: bool) -> &'static str {
    match (has_some, names_some) {
        (false, true) => "`accounts` in its entry names no account that there is yet, or all of them sleep",
        (false, false) => "there is no account yet, or all of them sleep",
        (true, _) if is_node => {
            "none of its accounts runs on this node now; `parlor status` shows on which nodes they run"
        }
        (true, _) => "its accounts have not started yet, or all of them sleep",
    }
}

impl PluginStatus {
    /// Returns the status of a plugin that runs on no account.
    pub(crate) fn nowhere(id: &PluginId, entry: &Entry, state: State) -> Self {
        Self {
            id: id.clone(),
            enabled: entry.enabled,
            version: None,
            digest: entry.digest,
            source: entry.source.clone(),
            account: None,
            state,
            handled: 0,
            denials: 0,
            record: None,
            restarts: 0,
            not_replaced: None,
            why_nowhere: None,
            usage: None,
            commands: BTreeMap::new(),
            denied: Vec::new(),
            grants: None,
        }
    }

    fn with_record(self, accounts: &[Arc<Shared>]) -> Vec<Self> {
        if self.account.is_some() {
            return vec![self];
        }
        let past = accounts.iter().filter_map(|account| {
            let record = account.records.find(&self.id)?;
            Some(Self {
                account: Some(account.name.clone()),
                record: Some(record.totals()),
                restarts: record.restarts(),
                denied: record.denied(),
                ..self.clone()
            })
        });
        let past: Vec<_> = past.collect();
        if past.is_empty() { vec![self] } else { past }
    }
}

impl Plugin {
    /// Returns its status on each account that is meant, beside all instances that run there; one row without an account if it may not
    /// run, or if there is no account for it.
    /// The size of the storage is known only once the store was asked.
    pub(super) fn rows(
        &self,
        id: &PluginId,
        kept: Option<&Sizes>,
        running: &[Arc<Instance>],
        is_meant: &dyn Fn(&AccountName) -> bool,
    ) -> Vec<PluginStatus> {
        let refused = |state| PluginStatus {
            version: self.version.clone(),
            not_replaced: self.not_replaced.clone(),
            ..PluginStatus::nowhere(id, &self.entry, state)
        };
        match &self.standing {
            Standing::Refused(reason) => vec![refused(State::Refused(reason.clone()))],
            Standing::Compiling { .. } => vec![refused(State::Compiling)],
            // The group that its entry names has no account yet.
            Standing::Admitted { admitted, on, .. } if on.is_empty() => vec![PluginStatus {
                version: Some(admitted.manifest.version.clone()),
                grants: Some(Grants::clone(&admitted.grants)),
                ..refused(State::Stopped)
            }],
            Standing::Admitted { admitted, on, .. } => on
                .iter()
                .filter(|(account, _)| is_meant(account))
                .map(|(account, supervised)| {
                    let instance = supervised.instance();
                    let held = instance.as_ref().map(|instance| Grants::clone(&instance.mailbox.grants()));
                    let usage = instance.as_ref().map(|instance| {
                        let owner = Owner { account: instance.account.own.clone(), plugin: id.clone() };
                        instance.usage(kept.map(|kept| kept.of(&owner)))
                    });
                    PluginStatus {
                        version: Some(admitted.manifest.version.clone()),
                        account: Some(account.clone()),
                        handled: usage.as_ref().map_or(0, |usage| usage.handled),
                        denials: usage.as_ref().map_or(0, |usage| usage.denials),
                        record: Some(supervised.record().totals()),
                        restarts: supervised.record().restarts(),
                        commands: instance.map(|instance| instance.called(running)).unwrap_or_default(),
                        denied: supervised.record().denied(),
                        grants: Some(held.unwrap_or_else(|| Grants::clone(&admitted.grants))),
                        usage,
                        ..refused(supervised.state())
                    }
                })
                .collect(),
        }
    }
}

/// Plugins that were removed from the list and are still shutting down, or about to come back. The status shows them
/// meanwhile.
#[derive(Debug, Default)]
pub(super) struct Leaving(Arc<Mutex<BTreeMap<PluginId, Vec<PluginStatus>>>>);

/// A guard that shows a plugin as stopping until it is dropped.
#[derive(Debug)]
pub(super) struct Left {
    id: PluginId,
    among: Leaving,
}

impl Leaving {
    /// Begins to show a plugin, which had this status, as stopping.
    pub(super) fn begin(&self, id: &PluginId, mut rows: Vec<PluginStatus>) -> Left {
        for row in rows.iter_mut().filter(|row| row.account.is_some()) {
            (row.state, row.usage) = (State::Stopping, None);
        }
        self.held().insert(id.clone(), rows);
        Left { id: id.clone(), among: Self(Arc::clone(&self.0)) }
    }

    /// Returns whether a plugin that is about to come back was refused.
    pub(super) fn is_refused(&self, id: &PluginId) -> bool {
        self.held().get(id).is_some_and(|rows| rows.iter().any(|row| matches!(row.state, State::Refused(_))))
    }

    /// Shows a plugin that was refused as being compiled: what it was refused for has been repaired.
    pub(super) fn compiles(&self, id: &PluginId) {
        for row in self.held().get_mut(id).into_iter().flatten() {
            row.state = State::Compiling;
        }
    }

    fn rows(&self, is_meant: impl Fn(&PluginId) -> bool) -> Vec<PluginStatus> {
        self.held().iter().filter(|(id, _)| is_meant(id)).flat_map(|(_, rows)| rows.clone()).collect()
    }

    /// Locks the list. Held for a moment only.
    fn held(&self) -> MutexGuard<'_, BTreeMap<PluginId, Vec<PluginStatus>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Left {
    /// Returns the id of the plugin.
    pub(super) fn id(&self) -> &PluginId {
        &self.id
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        self.among.held().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A customer who may see one plugin asks for it as often as there are places for that.
    #[test]
    fn the_status_of_one_plugin_is_that_of_no_other() {
        let [echo, other, missing] = ["echo", "other", "missing"].map(|id| id.parse::<PluginId>().unwrap());
        let all = BTreeMap::from([(echo.clone(), 1), (other.clone(), 2)]);
        assert_eq!(meant(&all, Some(&other)), [(&other, &2)]);
        assert!(meant(&all, Some(&missing)).is_empty());
        assert_eq!(meant(&all, None), [(&echo, &1), (&other, &2)]);
    }

    #[test]
    fn a_plugin_that_runs_nowhere_here_is_not_said_to_have_a_wrong_entry() {
        for names_some in [true, false] {
            assert!(why(names_some, true, true).starts_with("none of its accounts runs on this node now"));
            assert!(why(names_some, true, false).starts_with("its accounts have not started yet"));
        }
        assert!(why(true, false, true).starts_with("`accounts` in its entry names no account"));
        assert!(why(false, false, false).starts_with("there is no account yet"));
    }
}
