//! The audit: changes with author, time and origin, and the activity of plugins in numbers.
//!
//! Entries are only ever added. The oldest ones go when they are older than the owner wants, or when all of them
//! together are too large, and an entry says how many went. Plugins and connections have a bounded share each for
//! entries that they cause, and so have people with only some of the accounts, so that none of them can displace entries
//! about others.
//!
//! Entries about decisions are on disk, after a flush, when a call returns. Counts are collected in memory by others, and
//! written together.

mod by;
mod entries;
pub(super) mod kept;
mod policy;
mod shared;
mod tallies;
mod waiting;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;
use tokio::sync::watch;

use self::waiting::{AT_ONCE, Dated};
use super::edit::{Edit, Failure, Statement, StoreFile};
use super::work::{Job, Lane, Task, WeakTasks, answered, result_of};
use super::{Store, StoreError, health};

pub use by::By;
pub use policy::{CONFIGURATION, PolicyChange, PolicyRow};
pub(super) use shared::SharedAudit;
pub use tallies::{Activity, Count, KeptTally, MOST_TALLIES, Tally, TallyKind, Traffic};

/// Creates the tables of the audit.
pub(super) fn make_tables(file: &Connection) -> rusqlite::Result<()> {
    file.execute_batch(entries::TABLES)?;
    tallies::make_tables(file)?;
    file.execute_batch(policy::TABLES)
}

pub(super) const STATEMENTS: [Statement; 14] = [
    entries::INSERT,
    entries::INSERT_SAID,
    entries::CUT_SHARE,
    entries::CUT_OLD,
    entries::CUT_SHARES,
    entries::CUT_DECISIONS,
    tallies::PUT,
    tallies::COUNT,
    tallies::FORGET,
    tallies::ADD_UP,
    tallies::FORGET_DAYS,
    tallies::FORGET_OLD,
    policy::FORGET,
    policy::PUT,
];

/// The default number of days that entries are kept.
const DAYS: u32 = 400;
/// The default maximum size of all kept entries, in bytes.
const BYTES: u64 = 64 << 20;

/// The subject of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuditKind {
    /// A permission of a plugin.
    Grant,
    /// A setting of a plugin or an account.
    Setting,
    /// A limit of a plugin.
    Limit,
    /// The file of a plugin: it was installed, replaced or removed.
    Version,
    /// Whether something runs: enabled, disabled, restarted, quarantined, paused.
    Run,
    /// An account that was added, changed or removed.
    Account,
    /// The names and rules of a plugin's commands.
    Command,
    /// A webhook's address, or a request that was repeated.
    Webhook,
    /// A log-in of an account.
    Login,
    /// A key or a connection that is trusted.
    Pin,
    /// The host itself.
    Host,
    /// Entries that were removed.
    Cut,
}

impl AuditKind {
    /// All kinds.
    pub const ALL: [Self; 12] = [
        Self::Grant,
        Self::Setting,
        Self::Limit,
        Self::Version,
        Self::Run,
        Self::Account,
        Self::Command,
        Self::Webhook,
        Self::Login,
        Self::Pin,
        Self::Host,
        Self::Cut,
    ];

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Setting => "setting",
            Self::Limit => "limit",
            Self::Version => "version",
            Self::Run => "run",
            Self::Account => "account",
            Self::Command => "command",
            Self::Webhook => "webhook",
            Self::Login => "login",
            Self::Pin => "pin",
            Self::Host => "host",
            Self::Cut => "cut",
        }
    }
}

impl FromStr for AuditKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let all: Vec<_> = Self::ALL.iter().map(|kind| kind.as_str()).collect();
            format!("a kind is one of {}", all.join(", "))
        })
    }
}

/// The share of an entry. Each share except for that of decisions has a separate bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// It is a decision of an owner.
    Decisions,
    /// It is a decision of somebody who has some of the accounts alone, such as a customer.
    Customers,
    /// The connection of the entry's account causes it.
    Connection,
    /// The entry's plugin causes it.
    Plugin,
    /// The entry's plugin starts or ends. These are many and say little, so they displace nothing else that it causes.
    Runs,
}

/// An entry to add.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAuditEntry {
    /// Its kind.
    pub kind: AuditKind,
    /// The plugin that it is about.
    pub plugin: Option<String>,
    /// The account that it is about, by its name.
    pub account: Option<String>,
    /// The author of the change.
    pub by: By,
    /// The event, in words.
    pub what: String,
    /// How it was before.
    pub old: Option<String>,
    /// How it is now.
    pub new: Option<String>,
    /// The sentences about it that an owner reads before agreeing.
    pub said: Vec<String>,
    /// The room that it takes up.
    pub share: Share,
}

impl NewAuditEntry {
    /// Returns a decision, about nothing yet.
    pub fn new(kind: AuditKind, by: &By, what: &str) -> Self {
        Self {
            kind,
            plugin: None,
            account: None,
            by: by.clone(),
            what: what.to_owned(),
            old: None,
            new: None,
            said: Vec::new(),
            share: if by.is_of_some { Share::Customers } else { Share::Decisions },
        }
    }
}

/// An entry as it is kept. Its texts are escaped for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number, which grows.
    pub id: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Its kind: the name of an [`AuditKind`].
    pub kind: String,
    /// The plugin that it is about.
    pub plugin: Option<String>,
    /// The account that it is about.
    pub account: Option<String>,
    /// The author of the change.
    pub who: String,
    /// The path of the file, if somebody edited one.
    pub file: Option<String>,
    /// By which way.
    pub way: String,
    /// The event, in words.
    pub what: String,
    /// How it was before.
    pub old: Option<String>,
    /// How it is now.
    pub new: Option<String>,
    /// The sentences about it that an owner reads before agreeing.
    pub said: Vec<String>,
}

/// The entries that somebody wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only those about this plugin.
    pub plugin: Option<String>,
    /// Only those about this account.
    pub account: Option<String>,
    /// Only those from this moment on, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Only those of these kinds; empty: all.
    pub kinds: Vec<AuditKind>,
    /// The first ones with a higher number than this; none: the last ones.
    pub after: Option<i64>,
    /// Only those with a lower number than this.
    pub before: Option<i64>,
    /// The maximum number.
    pub most: u32,
}

/// How much of the audit is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The number of days. Only a host removes entries by age, once its clock has run evenly for an hour.
    pub days: u32,
    /// The bytes of all entries together.
    pub bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { days: DAYS, bytes: BYTES }
    }
}

/// The audit of a running host. This handle does not keep the store's thread alive.
#[derive(Debug, Clone)]
pub struct Audit {
    tasks: WeakTasks,
    path: PathBuf,
    shared: Arc<SharedAudit>,
}

impl Store {
    /// Returns the audit.
    pub fn audit(&self) -> Audit {
        Audit { tasks: self.tasks.downgrade(), path: self.path.clone(), shared: Arc::clone(&self.audit) }
    }
}

impl Audit {
    /// Sets how much is kept, from the next entry on.
    pub fn keep(&self, retention: Retention) {
        self.shared.keep(retention);
    }

    /// Returns a receiver that is notified of each entry that this process adds.
    pub fn news(&self) -> watch::Receiver<i64> {
        self.shared.newest.subscribe()
    }

    /// Adds entries. They are on disk when this returns.
    pub async fn add(&self, all: Vec<NewAuditEntry>) -> Result<(), StoreError> {
        let at = now();
        let retention = self.shared.retention(at);
        let newest = self.run(move |file| durably(file, |edit| add_all(edit, at, &all, retention))).await?;
        self.tell(newest);
        Ok(())
    }

    /// Adds an entry without waiting. If it cannot be written, as on a full disk, it is written with a later one, or after
    /// [`retry`](Self::retry). If far too many wait, it is lost, which is logged.
    pub fn put(&self, entry: NewAuditEntry) {
        if self.shared.waiting.put((now(), entry)) && !order(&self.tasks, &self.shared) {
            self.shared.waiting.not_ordered();
        }
    }

    /// Has entries written that nobody waits for, if writing them has failed.
    pub fn retry(&self) {
        if self.shared.waiting.retry() && !order(&self.tasks, &self.shared) {
            self.shared.waiting.not_ordered();
        }
    }

    /// Has all writes of the store fail from now on, as on a full disk, or no longer.
    #[cfg(any(test, feature = "test-support"))]
    pub async fn refuse_writes(&self, refuses: bool) -> Result<(), StoreError> {
        self.run(move |file| Ok(file.pragma_update(None, "query_only", refuses)?)).await
    }

    /// Returns the policy as the audit knows it.
    pub async fn policy(&self) -> Result<Vec<PolicyRow>, StoreError> {
        self.run(|file| Ok(policy::read(file, None)?)).await
    }

    /// Returns the configuration as the audit knows it: the fields of [`CONFIGURATION`].
    pub async fn configuration(&self) -> Result<Vec<PolicyRow>, StoreError> {
        self.run(|file| Ok(policy::read(file, Some(CONFIGURATION))?)).await
    }

    /// Records changes of the policy or the configuration, except for those that somebody recorded meanwhile. They are on disk when this
    /// returns.
    pub async fn record(&self, changes: Vec<PolicyChange>) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let at = now();
        let retention = self.shared.retention(at);
        let newest = self.run(move |file| durably(file, |edit| policy::record(edit, at, &changes, retention))).await?;
        self.tell(newest);
        Ok(())
    }

    /// Adds to the counts of plugins. If it fails, nothing was added.
    pub async fn count(&self, all: Arc<Vec<Activity>>) -> Result<(), StoreError> {
        let (shared, at) = (Arc::clone(&self.shared), now());
        let today = at / tallies::DAY;
        self.run(move |file| {
            file.change(|edit| {
                if let Some(first) = shared.first_day(at) {
                    tallies::add_up(edit, first)?;
                }
                all.iter().try_for_each(|activity| tallies::count(edit, today, activity))
            })
        })
        .await
    }

    /// Returns entries, the oldest first.
    pub async fn entries(&self, query: AuditQuery) -> Result<Vec<AuditEntry>, StoreError> {
        self.run(move |file| Ok(entries::read(file, &query)?)).await
    }

    /// Returns the counts of plugins from a moment on, to the day, and the tallies by name of one plugin.
    pub async fn activity(
        &self,
        plugin: Option<String>,
        account: Option<String>,
        since: Option<i64>,
    ) -> Result<(Vec<Count>, Vec<KeptTally>), StoreError> {
        self.run(move |file| Ok(tallies::read(file, plugin.as_deref(), account.as_deref(), since)?)).await
    }

    fn tell(&self, newest: i64) {
        if newest > 0 {
            self.shared.newest.send_replace(newest);
        }
    }

    async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut StoreFile) -> Result<R, Failure> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (job, arrives) = answered(job);
        result_of(self.tasks.put(Lane::Host, Task::Job(job)).await, arrives, &self.path).await
    }
}

/// Gives the store's thread a job that writes the entries that wait. Returns whether there was room for it.
fn order(tasks: &WeakTasks, shared: &Arc<SharedAudit>) -> bool {
    let (again, shared) = (tasks.clone(), Arc::clone(shared));
    let job: Job = Box::new(move |file| {
        let mut taken = shared.waiting.take(AT_ONCE);
        if taken.has_more && !order(&again, &shared) {
            // The thread may be about to end.
            taken.entries.append(&mut shared.waiting.take(usize::MAX).entries);
        }
        if taken.lost > 0 {
            tracing::warn!(entries = taken.lost, "entries of the audit are lost: too many wait to be written");
        }
        let result = file.change(|edit| {
            let entries = taken.entries.iter();
            let add = |(at, entry): &Dated| entries::add(edit, *at, entry, shared.retention(*at));
            entries.map(add).try_fold(0, |_, newest| newest)
        });
        file.conclude(result, move |result| {
            match &result {
                Ok(0) => {}
                Ok(newest) => drop(shared.newest.send_replace(*newest)),
                Err(error) => {
                    tracing::warn!(%error, "entries of the audit could not be written, and wait");
                    shared.waiting.give_back(taken.entries);
                }
            }
            health::of(&result)
        })
    });
    tasks.try_put(&Lane::Host, Task::Job(job))
}

/// Adds entries, and returns the number of the last one; 0: there is none.
fn add_all(edit: &Edit<'_>, at: i64, all: &[NewAuditEntry], retention: Retention) -> rusqlite::Result<i64> {
    let mut newest = 0;
    for entry in all {
        newest = entries::add(edit, at, entry, retention)?;
    }
    Ok(newest)
}

/// Adds an entry within the caller's transaction.
pub(super) fn add_to(edit: &Edit<'_>, entry: &NewAuditEntry, shared: &SharedAudit) -> rusqlite::Result<()> {
    let at = now();
    entries::add(edit, at, entry, shared.retention(at)).map(drop)
}

/// Adds an entry to a file that nobody serves yet. It is on disk when this returns.
pub(super) fn add_first(file: &mut StoreFile, entry: &NewAuditEntry) -> Result<(), Failure> {
    let kept = Retention { days: shared::ANY_AGE, ..Retention::default() };
    durably(file, |edit| entries::add(edit, now(), entry, kept)).map(drop)
}

/// Makes a change with a flush of the disk, so that it also survives a loss of power.
fn durably<R>(file: &mut StoreFile, change: impl FnOnce(&Edit<'_>) -> rusqlite::Result<R>) -> Result<R, Failure> {
    let result = file.change_durably(change);
    // Decisions are rare. The pages that they touch would stay in memory for the next one, up to 2 MiB.
    file.execute_batch("PRAGMA shrink_memory")?;
    result
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Returns the file in a data folder.
fn path_in(data: &Path) -> PathBuf {
    data.join(super::FILE)
}

#[cfg(test)]
mod tests;
