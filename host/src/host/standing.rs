//! Where every plugin stands, seen from outside.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use super::{Host, Plugin, Standing};
use crate::account::Shared;
use crate::clock::Clock;
use crate::config::AccountName;
use crate::permissions::Grants;
use crate::plugins::id::Digest;
use crate::plugins::source::Source;
use crate::plugins::{Denial, Instance, PluginId, State, Supervised, Totals, Usage};
use crate::store::Owner;

/// How long whoever looks waits to be told how much plugins keep.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where one plugin stands on one account.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginStatus {
    /// The plugin.
    pub id: PluginId,
    /// Whether the owner lets it run.
    pub enabled: bool,
    /// Its version; none where its file was not read.
    pub version: Option<semver::Version>,
    /// Which bytes it may be.
    pub digest: Digest,
    /// Where its file comes from.
    pub source: Source,
    /// The account; none where the plugin may not run at all.
    pub account: Option<AccountName>,
    /// Where it stands; a refusal is [`State::Refused`].
    pub state: State,
    /// How many events the instance that runs now has handled.
    pub handled: u64,
    /// How many calls were denied to that instance.
    pub denials: u64,
    /// The plugin's record on this account since the host started, across restarts and replacements; none where it may not run.
    pub record: Option<Totals>,
    /// How often it was started again.
    pub restarts: u64,
    /// Why another version, which the policy names, has not taken its place.
    pub not_replaced: Option<String>,
    /// What the instance that runs now has used.
    pub usage: Option<Usage>,
    /// Its commands, with the word that people say for each.
    pub commands: BTreeMap<String, String>,
    /// The last calls that it was denied, oldest first.
    pub denied: Vec<Denial>,
    /// What it may see and do now; none where it may not run.
    pub grants: Option<Grants>,
}

impl Host {
    /// Where every plugin stands, by their ids.
    pub async fn status(&self) -> Vec<PluginStatus> {
        self.standing(None).await
    }

    /// The same, and how much each of them keeps in its storage.
    pub async fn status_with_storage(&self) -> Vec<PluginStatus> {
        // A disk that does not answer keeps nobody from looking.
        let kept = timeout(PATIENCE, self.store.data(Clock::Machine).sizes()).await;
        self.standing(kept.ok().and_then(Result::ok).as_ref()).await
    }

    /// Where one plugin stands. One that is disabled is shown with its record on each account where it has run: a record outlives
    /// instances.
    pub async fn status_of(&self, id: &PluginId) -> Vec<PluginStatus> {
        let accounts = self.accounts();
        let rows = self.status_with_storage().await.into_iter().filter(|row| row.id == *id);
        rows.flat_map(|row| row.with_record(&accounts)).collect()
    }

    async fn standing(&self, kept: Option<&BTreeMap<Owner, u64>>) -> Vec<PluginStatus> {
        let plugins = self.plugins.lock().await;
        let running: Vec<_> = plugins.values().flat_map(Plugin::supervised).filter_map(Supervised::instance).collect();
        let mut all: Vec<_> = plugins.iter().flat_map(|(id, plugin)| plugin.rows(id, kept, &running)).collect();
        all.extend(self.leaving.rows(|id| !plugins.contains_key(id)));
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// How many tasks there are, on the runtime that this is called on and in the yard.
    pub(crate) fn tasks(&self) -> usize {
        Handle::current().metrics().num_alive_tasks() + self.engine.tasks_in_yard()
    }
}

impl PluginStatus {
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
    /// Where it stands on each account, beside all instances that run; one row without an account if it may not run. How much
    /// plugins keep is known only once the store was asked.
    pub(super) fn rows(
        &self,
        id: &PluginId,
        kept: Option<&BTreeMap<Owner, u64>>,
        running: &[Arc<Instance>],
    ) -> Vec<PluginStatus> {
        let entry = &self.entry;
        let refused = |state| PluginStatus {
            id: id.clone(),
            enabled: entry.enabled,
            version: self.version.clone(),
            digest: entry.digest,
            source: entry.source.clone(),
            account: None,
            state,
            handled: 0,
            denials: 0,
            record: None,
            restarts: 0,
            not_replaced: self.not_replaced.clone(),
            usage: None,
            commands: BTreeMap::new(),
            denied: Vec::new(),
            grants: None,
        };
        match &self.standing {
            Standing::Refused(reason) => vec![refused(State::Refused(reason.clone()))],
            Standing::Compiling { .. } => vec![refused(State::Compiling)],
            Standing::Admitted { admitted, on, .. } => on
                .iter()
                .map(|(account, supervised)| {
                    let instance = supervised.instance();
                    let held = instance.as_ref().map(|instance| Grants::clone(&instance.mailbox.grants()));
                    let usage = instance.as_ref().map(|instance| {
                        let owner = Owner { account: instance.account.own.clone(), plugin: id.clone() };
                        instance.usage(kept.map(|kept| kept.get(&owner).copied().unwrap_or(0)))
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
                        grants: Some(held.unwrap_or_else(|| admitted.grants.clone())),
                        usage,
                        ..refused(supervised.state().borrow().clone())
                    }
                })
                .collect(),
        }
    }
}

/// Plugins that are in no list any more, and still say good-bye, or are about to come back: whoever looks meanwhile sees them.
#[derive(Debug, Default)]
pub(super) struct Leaving(Arc<Mutex<BTreeMap<PluginId, Vec<PluginStatus>>>>);

/// Until this is dropped, a plugin is seen to be leaving.
#[derive(Debug)]
pub(super) struct Left {
    id: PluginId,
    among: Leaving,
}

impl Leaving {
    /// One begins to leave that stood like this.
    pub(super) fn begin(&self, id: &PluginId, mut rows: Vec<PluginStatus>) -> Left {
        for row in rows.iter_mut().filter(|row| row.account.is_some()) {
            (row.state, row.usage) = (State::Stopping, None);
        }
        self.held().insert(id.clone(), rows);
        Left { id: id.clone(), among: Self(Arc::clone(&self.0)) }
    }

    fn rows(&self, is_meant: impl Fn(&PluginId) -> bool) -> Vec<PluginStatus> {
        self.held().iter().filter(|(id, _)| is_meant(id)).flat_map(|(_, rows)| rows.clone()).collect()
    }

    /// Held for a moment only.
    fn held(&self) -> MutexGuard<'_, BTreeMap<PluginId, Vec<PluginStatus>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        self.among.held().remove(&self.id);
    }
}
