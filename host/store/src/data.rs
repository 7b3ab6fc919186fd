//! The data of plugins: keys and values for each plugin and account, with a quota and an optional expiry.
//!
//! Each write is acknowledged after a flush of the disk, and happens as a whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use parlor_base::clock::Clock;
use parlor_base::fair;
use parlor_base::held::{Held, Holding};
use parlor_stanza::raw::is_one_line;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::oneshot;

use super::change::{Changed, Only, Owner, Step, StoredValue, Write, Written};
use super::edit::{Edit, Failure, Once, Statement};
use super::health;
use super::look::Look;
use super::reader::{Reads, WeakReads};
use super::schedules::Having;
use super::size::{self, ENTRY, Size, weight_of};
use super::work::{Answer, Change, Job, Lane, PendingWrite, Task, WeakTasks, answered, changing, result_of};
use super::{Positions, Store, StoreError};

/// The maximum length of a key, in bytes.
pub const LONGEST_KEY: usize = 512;
/// The maximum length of a value, in bytes.
pub const LONGEST_VALUE: usize = 256 << 10;
/// The maximum number of expired entries that are removed for one write. It makes room for the longest entry, and for the
/// longest changes together, even if each expired one is as small as possible.
const PURGED: usize = 4_300;

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS plugin_data (
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    expires INTEGER,
    PRIMARY KEY (account, plugin, key)
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS plugin_data_expires ON plugin_data (account, plugin, expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS plugin_data_size (
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (account, plugin)
) WITHOUT ROWID, STRICT;
";

/// Returns whether a text can be a key.
pub fn is_key(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_KEY && is_one_line(text)
}

/// A handle on the data of plugins. It is cheap to clone and does not keep the store's thread alive: after the thread
/// has ended, nothing is stored.
#[derive(Debug, Clone)]
pub struct PluginData {
    pub(super) tasks: WeakTasks,
    reads: Option<WeakReads>,
    pub(super) path: PathBuf,
    pub(super) with_schedules: Arc<Having>,
    clock: Clock,
}

impl PluginData {
    /// Creates the handle for this store.
    pub(super) fn new(store: &Store, clock: Clock) -> Self {
        Self {
            tasks: store.tasks.downgrade(),
            reads: store.reads.as_ref().map(fair::Sender::downgrade),
            path: store.path.clone(),
            with_schedules: Arc::clone(&store.with_schedules),
            clock,
        }
    }

    /// Returns the positions of this plugin in archives.
    pub fn positions(&self, owner: Owner) -> Positions {
        Positions::new(self.tasks.clone(), owner, self.path.clone())
    }

    /// Returns the value of a key.
    pub async fn get(&self, owner: Owner, key: String) -> Result<Option<Vec<u8>>, StoreError> {
        let (owner, now) = (Arc::new(owner), self.now());
        self.read(Lane::Plugin(Arc::clone(&owner)), move |file| value(file, &owner, &key, now)).await
    }

    /// Returns the entry of a key.
    pub async fn stored(&self, owner: Owner, key: String) -> Result<Option<StoredValue>, StoreError> {
        let (owner, now) = (Arc::new(owner), self.now());
        self.read(Lane::Plugin(Arc::clone(&owner)), move |file| {
            let found = entry(file, &owner, &key, now)?;
            Ok(found.map(|(value, expires)| StoredValue { key, value, expires }))
        })
        .await
    }

    /// Same as [`get`](Self::get), but counts the value against what the host may hold for the plugin. If that would be
    /// too much, the value is empty and the holding is `None`.
    pub async fn get_held(
        &self,
        owner: Owner,
        key: String,
        held: Arc<Held>,
    ) -> Result<Option<(Vec<u8>, Option<Holding>)>, StoreError> {
        let (owner, now) = (Arc::new(owner), self.now());
        self.read(Lane::Plugin(Arc::clone(&owner)), move |file| {
            let found = value(file, &owner, &key, now)?;
            Ok(found.map(|value| match held.hold(value.len()) {
                Some(holding) => (value, Some(holding)),
                None => (Vec::new(), None),
            }))
        })
        .await
    }

    /// Returns the bytes that each plugin stores on each account, as its quota counts them. Plugins that store nothing
    /// may be missing.
    pub async fn sizes(&self) -> Result<BTreeMap<Owner, u64>, StoreError> {
        self.read(Lane::Host, sizes).await
    }

    /// Changes a key and waits until the change is on disk.
    pub async fn write(&self, owner: Owner, quota: u64, write: Write) -> Result<Written, StoreError> {
        self.write_held(owner, quota, write, None).await
    }

    /// Same as [`write`](Self::write). `held` is kept until the write is done, even if its call no longer waits.
    pub async fn write_held(
        &self,
        owner: Owner,
        quota: u64,
        write: Write,
        held: Option<Holding>,
    ) -> Result<Written, StoreError> {
        self.put(owner, held, |answer| Change::Data { quota, write, answer }).await
    }

    /// Makes several changes together, all or none, and waits until they are on disk.
    ///
    /// Each key must be changed once at most, and expected once at most. Expectations are checked first. `held` is kept
    /// as by [`write_held`](Self::write_held).
    pub async fn change(
        &self,
        owner: Owner,
        quota: u64,
        steps: Vec<Step>,
        held: Option<Holding>,
    ) -> Result<Changed, StoreError> {
        self.put(owner, held, |answer| Change::Several { quota, steps, answer }).await
    }

    /// Queues a change and waits until it is on disk.
    async fn put<R>(
        &self,
        owner: Owner,
        held: Option<Holding>,
        change: impl FnOnce(Answer<R>) -> Change,
    ) -> Result<R, StoreError> {
        let (answer, arrives) = oneshot::channel();
        let owner = Arc::new(owner);
        let lane = Lane::Plugin(Arc::clone(&owner));
        let task = Task::Write(PendingWrite { owner, change: change(answer), now: self.now(), held });
        result_of(self.tasks.put(lane, task.item()).await, arrives, &self.path).await
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// Changes the file, and waits until that is done. A kill of the process loses nothing of it; a loss of power may lose
    /// the last moments.
    pub(super) async fn carry_out<R: Send + 'static>(
        &self,
        lane: Lane,
        change: impl FnOnce(&Edit<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (job, arrives) = changing(change);
        result_of(self.tasks.put(lane, Task::Job(job)).await, arrives, &self.path).await
    }

    /// Same as [`carry_out`](Self::carry_out), for a change with one write at most.
    pub(super) async fn carry_out_once<R: Send + 'static>(
        &self,
        lane: Lane,
        change: impl FnOnce(Once<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (job, arrives) = answered(move |file| file.change_once(change));
        result_of(self.tasks.put(lane, Task::Job(job)).await, arrives, &self.path).await
    }

    /// Reads on the reader thread if there is one, and otherwise on the writer thread.
    pub(super) async fn read<R: Send + 'static>(
        &self,
        lane: Lane,
        read: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (answer, arrives) = oneshot::channel();
        // The caller may be gone when the answer is sent.
        let tell = move |result: Result<R, Failure>| {
            let health = health::of(&result);
            drop(answer.send(result));
            health
        };
        let is_put = if let Some(reads) = &self.reads {
            let read: Reads = Box::new(move |file| tell(file.and_then(|file| Ok(read(file)?))));
            reads.put(lane, read).await
        } else {
            let job: Job = Box::new(move |file| {
                let file = file.readable().map_err(Failure::from);
                tell(file.and_then(|file| Ok(read(file)?)))
            });
            self.tasks.put(lane, Task::Job(job)).await
        };
        result_of(is_put, arrives, &self.path).await
    }
}

fn value(file: &Connection, owner: &Owner, key: &str, now: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    Ok(entry(file, owner, key, now)?.map(|(value, _)| value))
}

/// Returns the value of a key, and when it expires.
fn entry(file: &Connection, owner: &Owner, key: &str, now: i64) -> rusqlite::Result<Option<(Vec<u8>, Option<i64>)>> {
    let mut statement = file.prepare_cached(
        "SELECT value, expires FROM plugin_data
         WHERE account = ?1 AND plugin = ?2 AND key = ?3 AND (expires IS NULL OR expires > ?4)",
    )?;
    let whose = (owner.account.as_str(), owner.plugin.as_str());
    statement.query_row(params![whose.0, whose.1, key, now], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

fn sizes(file: &Connection) -> rusqlite::Result<BTreeMap<Owner, u64>> {
    by_owner(file, "SELECT account, plugin, bytes FROM plugin_data_size", |row| size_in(row, 2))
}

/// Reads rows whose first columns are an account and a plugin, one for each of these.
pub(super) fn by_owner<T>(
    file: &Connection,
    select: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<BTreeMap<Owner, T>> {
    let mut statement = file.prepare_cached(select)?;
    let mut rows = statement.query([])?;
    let mut all = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (account, plugin): (String, String) = (row.get(0)?, row.get(1)?);
        // A row with an invalid address or id belongs to no plugin.
        if let (Ok(account), Ok(plugin)) = (account.parse(), plugin.parse()) {
            all.insert(Owner { account, plugin }, read(row)?);
        }
    }
    Ok(all)
}

/// Returns the size in a column.
pub(super) fn size_in(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|size| u64::try_from(size).unwrap_or(0))
}

/// Makes one change, if its condition and the quota allow it. The caller writes the size.
pub(super) fn write(
    edit: &Edit<'_>,
    owner: &Owner,
    size: &mut Size,
    quota: u64,
    write: &Write,
    now: i64,
) -> rusqlite::Result<Written> {
    // Most writes compare nothing, and need no more than the length of the present value.
    let most = if let Only::If(Some(expected)) = &write.only { expected.len() } else { 0 };
    let present = Look::new(edit, owner, now)?.up(&write.key, most)?;
    if let Only::If(expected) = &write.only
        && !present.is(expected.as_deref())
    {
        return Ok(Written::Otherwise);
    }
    let taken = present.taken;
    let needed = write.value.as_ref().map_or(0, |value| weight_of(&write.key, value.len() as u64));
    let quota = i64::try_from(quota).unwrap_or(i64::MAX);
    let mut after = size.bytes - taken + needed;
    // The quota may have been lowered, or exceeded by an import. A plugin can still shrink its data then.
    if needed > taken && after > quota {
        size.bytes -= purge(edit, owner, now, &BTreeSet::from([write.key.as_str()]), after - quota)?;
        after = size.bytes - taken + needed;
        if after > quota {
            return Ok(Written::TooMuch);
        }
    }
    let whose = (owner.account.as_str(), owner.plugin.as_str());
    if let Some(value) = &write.value {
        edit.write(PUT, params![whose.0, whose.1, write.key, value, write.expires])?;
    } else {
        edit.write(DELETE, params![whose.0, whose.1, write.key])?;
    }
    size.bytes = after;
    Ok(if present.is(None) { Written::Fresh } else { Written::Replaced })
}

/// Writes an entry, in place of the one with its key.
pub(super) const PUT: Statement = Statement::new(
    1,
    "INSERT INTO plugin_data VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET value = ?4, expires = ?5",
);
/// Deletes an entry.
pub(super) const DELETE: Statement =
    Statement::new(2, "DELETE FROM plugin_data WHERE account = ?1 AND plugin = ?2 AND key = ?3");

pub(super) const STATEMENTS: [Statement; 4] = [PUT, DELETE, size::SET, size::SHRINK];

/// Removes expired entries of one plugin until `room` bytes are freed, except the keys that are being written. Removing
/// all could take hundreds of thousands of entries, while every plugin waits for the writer thread. Returns how many bytes were
/// freed, which the caller takes off the size.
pub(super) fn purge(
    edit: &Edit<'_>,
    owner: &Owner,
    now: i64,
    but: &BTreeSet<&str>,
    room: i64,
) -> rusqlite::Result<i64> {
    let (account, plugin) = (owner.account.as_str(), owner.plugin.as_str());
    let mut expired = edit.prepare(&format!(
        "SELECT key, length(CAST(key AS BLOB)) + length(value) + {ENTRY} FROM plugin_data
         WHERE account = ?1 AND plugin = ?2 AND expires <= ?3
         ORDER BY expires LIMIT {}",
        PURGED + but.len()
    ))?;
    let (mut gone, mut bytes) = (Vec::new(), 0_i64);
    let mut rows = expired.query(params![account, plugin, now])?;
    while bytes < room
        && let Some(row) = rows.next()?
    {
        let key: String = row.get(0)?;
        if !but.contains(key.as_str()) {
            gone.push(key);
            bytes += row.get::<_, i64>(1)?;
        }
    }
    drop(rows);
    let mut delete = edit.writing(DELETE)?;
    for key in &gone {
        delete.write(params![account, plugin, key])?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
