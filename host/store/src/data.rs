//! The data of plugins: keys and values for each plugin and account, with a quota and an optional expiry.
//!
//! Each write is acknowledged after a flush of the disk, and happens as a whole or not at all.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parlor_base::clock::Clock;
use parlor_base::fair;
use parlor_base::held::{Held, Holding};
use parlor_stanza::raw::is_one_line;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use super::change::{Only, Owner, Write, Written};
use super::health::{self, Health};
use super::reader::{Reads, WeakReads};
use super::work::{Job, Lane, PendingWrite, Task, WeakTasks};
use super::{Positions, Store, StoreError};

/// The maximum length of a key, in bytes.
pub const LONGEST_KEY: usize = 512;
/// The maximum length of a value, in bytes.
pub const LONGEST_VALUE: usize = 256 << 10;
/// The bytes that an entry counts in addition to its key and value.
const ENTRY: u64 = 64;
/// The maximum number of expired entries that are removed for one write. It makes room for the longest entry even if
/// each expired one is as small as possible.
const PURGED: i64 = 4_200;

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
    tasks: WeakTasks,
    reads: Option<WeakReads>,
    path: PathBuf,
    clock: Clock,
}

impl PluginData {
    /// Creates the handle for this store.
    pub(super) fn new(store: &Store, clock: Clock) -> Self {
        Self {
            tasks: store.tasks.downgrade(),
            reads: store.reads.as_ref().map(fair::Sender::downgrade),
            path: store.path.clone(),
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
        let (answer, arrives) = oneshot::channel();
        let owner = Arc::new(owner);
        let lane = Lane::Plugin(Arc::clone(&owner));
        let task = Task::Write(PendingWrite { owner, quota, write, now: self.now(), held, answer });
        self.tasks.put(lane, task.item()).await.map_err(|fair::Closed| StoreError::Ended)?;
        let result = arrives.await.map_err(|_| StoreError::Ended)?;
        result.map_err(|cause| StoreError::File { path: self.path.clone(), cause })
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    /// Reads on the reader thread if there is one, and otherwise on the writer thread.
    pub(super) async fn read<R: Send + 'static>(
        &self,
        lane: Lane,
        read: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (answer, arrives) = oneshot::channel();
        // The caller may be gone when the answer is sent.
        let tell = move |result: rusqlite::Result<R>| {
            let health = health::of(&result);
            drop(answer.send(result));
            health
        };
        let is_put = if let Some(reads) = &self.reads {
            let read: Reads = Box::new(move |file| tell(file.and_then(read)));
            reads.put(lane, read).await
        } else {
            let job: Job = Box::new(move |file| tell(read(file)));
            self.tasks.put(lane, Task::Job(job)).await
        };
        is_put.map_err(|fair::Closed| StoreError::Ended)?;
        let result = arrives.await.map_err(|_| StoreError::Ended)?;
        result.map_err(|cause| StoreError::File { path: self.path.clone(), cause })
    }
}

/// Makes these writes durable together.
pub(super) fn flush(file: &mut Connection, writes: Vec<PendingWrite>) -> Health {
    let result = try_flush(file, writes);
    if let Err(error) = &result {
        tracing::error!(%error, "what plugins keep could not be written");
    }
    health::of(&result)
}

fn try_flush(file: &mut Connection, writes: Vec<PendingWrite>) -> rusqlite::Result<()> {
    // Unlike caches, these writes must be on disk even if the machine loses power.
    file.pragma_update(None, "synchronous", "full")?;
    let result = (|| {
        let mut change = file.transaction()?;
        let mut done = Vec::with_capacity(writes.len());
        for pending in &writes {
            // A failed write must not affect the others.
            let one = change.savepoint()?;
            let outcome = match write(&one, &pending.owner, pending.quota, &pending.write, pending.now) {
                // The file is created again after this error, so no caller may be told that its write was stored.
                Err(error) if health::is_broken(&error) => return Err(error),
                outcome => outcome,
            };
            if outcome.is_ok() {
                one.commit()?;
            }
            done.push(outcome);
        }
        change.commit()?;
        Ok(done)
    })();
    let restored = file.pragma_update(None, "synchronous", "normal");
    match result {
        Ok(done) => {
            for (pending, outcome) in writes.into_iter().zip(done) {
                // The caller may be gone; the write is done all the same.
                let _ = pending.answer.send(outcome);
            }
            restored
        }
        Err(error) => {
            let error: rusqlite::Error = error;
            for pending in writes {
                let _ = pending.answer.send(Err(health::copy(&error)));
            }
            Err(error)
        }
    }
}

fn value(file: &Connection, owner: &Owner, key: &str, now: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = file.prepare(
        "SELECT value FROM plugin_data
         WHERE account = ?1 AND plugin = ?2 AND key = ?3 AND (expires IS NULL OR expires > ?4)",
    )?;
    statement.query_row(params![owner.account.as_str(), owner.plugin.as_str(), key, now], |row| row.get(0)).optional()
}

fn sizes(file: &Connection) -> rusqlite::Result<BTreeMap<Owner, u64>> {
    let mut statement = file.prepare("SELECT account, plugin, bytes FROM plugin_data_size")?;
    let mut rows = statement.query([])?;
    let mut all = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (account, plugin, bytes): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        // A row with an invalid address or id belongs to no plugin.
        if let (Ok(account), Ok(plugin)) = (account.parse(), plugin.parse()) {
            all.insert(Owner { account, plugin }, u64::try_from(bytes).unwrap_or(0));
        }
    }
    Ok(all)
}

/// Makes one change, if its condition and the quota allow it.
pub(super) fn write(
    file: &Connection,
    owner: &Owner,
    quota: u64,
    write: &Write,
    now: i64,
) -> rusqlite::Result<Written> {
    let whose = (owner.account.as_str(), owner.plugin.as_str());
    // An expired entry counts as absent, but still takes up room.
    let mut statement =
        file.prepare("SELECT value, expires FROM plugin_data WHERE account = ?1 AND plugin = ?2 AND key = ?3")?;
    let present =
        statement.query_row(params![whose.0, whose.1, write.key], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let taken = present.as_ref().map_or(0, |(value, _): &(Vec<u8>, Option<i64>)| weight(&write.key, value));
    let present = present.filter(|(_, expires)| expires.is_none_or(|expires| expires > now)).map(|(value, _)| value);
    if let Only::If(expected) = &write.only
        && *expected != present
    {
        return Ok(Written::Otherwise);
    }
    let needed = write.value.as_ref().map_or(0, |value| weight(&write.key, value));
    let bytes = |file: &Connection| -> rusqlite::Result<i64> {
        let select = "SELECT bytes FROM plugin_data_size WHERE account = ?1 AND plugin = ?2";
        Ok(file.prepare(select)?.query_row([whose.0, whose.1], |row| row.get(0)).optional()?.unwrap_or(0))
    };
    let quota = i64::try_from(quota).unwrap_or(i64::MAX);
    let mut after = bytes(file)? - taken + needed;
    // The quota may have been lowered, or exceeded by an import. A plugin can still shrink its data then.
    if needed > taken && after > quota {
        purge(file, owner, now, &write.key, after - quota)?;
        after = bytes(file)? - taken + needed;
        if after > quota {
            return Ok(Written::TooMuch);
        }
    }
    if let Some(value) = &write.value {
        let put = "INSERT INTO plugin_data VALUES (?1, ?2, ?3, ?4, ?5)
                       ON CONFLICT DO UPDATE SET value = ?4, expires = ?5";
        file.prepare(put)?.execute(params![whose.0, whose.1, write.key, value, write.expires])?;
    } else {
        let delete = "DELETE FROM plugin_data WHERE account = ?1 AND plugin = ?2 AND key = ?3";
        file.prepare(delete)?.execute(params![whose.0, whose.1, write.key])?;
    }
    set_size(file, owner, after)?;
    Ok(if present.is_some() { Written::Replaced } else { Written::Fresh })
}

fn weight(key: &str, value: &[u8]) -> i64 {
    i64::try_from(key.len() as u64 + value.len() as u64 + ENTRY).unwrap_or(i64::MAX)
}

fn set_size(file: &Connection, owner: &Owner, bytes: i64) -> rusqlite::Result<()> {
    let put = "INSERT INTO plugin_data_size VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET bytes = ?3";
    file.prepare(put)?.execute(params![owner.account.as_str(), owner.plugin.as_str(), bytes])?;
    Ok(())
}

/// Removes expired entries of one plugin until `room` bytes are freed, except the key that is being written. Removing
/// all could take hundreds of thousands of entries, while every plugin waits for the writer thread.
fn purge(file: &Connection, owner: &Owner, now: i64, but: &str, room: i64) -> rusqlite::Result<()> {
    let (account, plugin) = (owner.account.as_str(), owner.plugin.as_str());
    let mut expired = file.prepare(&format!(
        "SELECT key, length(CAST(key AS BLOB)) + length(value) + {ENTRY} FROM plugin_data
         WHERE account = ?1 AND plugin = ?2 AND expires <= ?3 AND key <> ?4
         ORDER BY expires LIMIT {PURGED}"
    ))?;
    let (mut gone, mut bytes) = (Vec::new(), 0_i64);
    let mut rows = expired.query(params![account, plugin, now, but])?;
    while bytes < room
        && let Some(row) = rows.next()?
    {
        gone.push(row.get::<_, String>(0)?);
        bytes += row.get::<_, i64>(1)?;
    }
    drop(rows);
    let mut delete = file.prepare("DELETE FROM plugin_data WHERE account = ?1 AND plugin = ?2 AND key = ?3")?;
    for key in &gone {
        delete.execute(params![account, plugin, key])?;
    }
    if bytes > 0 {
        let less = "UPDATE plugin_data_size SET bytes = bytes - ?3 WHERE account = ?1 AND plugin = ?2";
        file.execute(less, params![account, plugin, bytes])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::super::{Page, PageOf};
    use super::*;

    const MIB: u64 = 1 << 20;

    fn now() -> i64 {
        Timestamp::now().as_millisecond()
    }

    fn owner(plugin: &str) -> Owner {
        Owner { account: "bot@example.org".parse().unwrap(), plugin: plugin.parse().unwrap() }
    }

    fn put(key: &str, value: &[u8]) -> Write {
        Write { key: key.to_owned(), value: Some(value.to_vec()), expires: None, only: Only::Always }
    }

    /// The store must live as long as its data is used.
    fn data() -> (Store, PluginData) {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        (store, data)
    }

    fn first(most: usize) -> PageOf {
        PageOf { prefix: String::new(), after: None, most }
    }

    async fn get(data: &PluginData, key: &str) -> Option<Vec<u8>> {
        data.get(owner("a"), key.to_owned()).await.unwrap()
    }

    async fn write(data: &PluginData, write: Write) -> Written {
        data.write(owner("a"), MIB, write).await.unwrap()
    }

    #[tokio::test]
    async fn what_is_written_is_read_and_belongs_to_one_plugin_and_account() {
        let (_store, data) = data();
        assert_eq!(write(&data, put("k", b"one")).await, Written::Fresh);
        assert_eq!(write(&data, put("k", b"two")).await, Written::Replaced);
        assert_eq!(get(&data, "k").await.as_deref(), Some(&b"two"[..]));
        assert_eq!(data.get(owner("b"), "k".into()).await.unwrap(), None);
        let elsewhere = Owner { account: "other@example.org".parse().unwrap(), ..owner("a") };
        assert_eq!(data.get(elsewhere, "k".into()).await.unwrap(), None);
        let delete = || Write { value: None, ..put("k", b"") };
        assert_eq!(write(&data, delete()).await, Written::Replaced);
        assert_eq!(write(&data, delete()).await, Written::Fresh);
        assert_eq!(get(&data, "k").await, None);
    }

    #[tokio::test]
    async fn a_swap_happens_only_if_nobody_was_faster() {
        let (_store, data) = data();
        let swap = |expected: Option<&[u8]>, value: &[u8]| Write {
            only: Only::If(expected.map(<[u8]>::to_vec)),
            ..put("k", value)
        };
        assert_eq!(write(&data, swap(Some(b"x"), b"1")).await, Written::Otherwise);
        assert_eq!(write(&data, swap(None, b"1")).await, Written::Fresh);
        assert_eq!(write(&data, swap(None, b"2")).await, Written::Otherwise);
        assert_eq!(write(&data, swap(Some(b"1"), b"2")).await, Written::Replaced);
        // Exactly one of many concurrent swaps succeeds.
        let all = join_all((0..50_u8).map(|one| write(&data, swap(Some(b"2"), &[one])))).await;
        assert_eq!(all.iter().filter(|one| **one == Written::Replaced).count(), 1);
    }

    #[tokio::test]
    async fn what_has_expired_is_not_there_and_makes_room() {
        let (_store, data) = data();
        let until = |expires| Write { expires: Some(expires), ..put("old", &[0; 600]) };
        write(&data, until(now() + 3_600_000)).await;
        assert!(get(&data, "old").await.is_some());
        write(&data, until(now() - 1)).await;
        assert_eq!(get(&data, "old").await, None);
        assert_eq!(data.keys(owner("a"), first(10)).await.unwrap(), Page { found: vec![], next: None });
        let small = |write| data.write(owner("a"), 1_000, write);
        assert_eq!(small(put("new", &[0; 600])).await.unwrap(), Written::Fresh);
        assert_eq!(small(put("more", &[0; 600])).await.unwrap(), Written::TooMuch);
        // An expired entry compares as absent.
        write(&data, until(now() - 1)).await;
        let swap = Write { only: Only::If(None), ..put("old", b"") };
        assert_eq!(write(&data, swap).await, Written::Fresh);
    }

    /// One thread writes for all plugins.
    #[tokio::test]
    async fn for_a_write_no_more_is_removed_of_what_has_expired_than_it_needs() {
        let (_store, data) = data();
        let gone = |number| Write { expires: Some(now() - 1), ..put(&format!("{number:04}"), b"") };
        join_all((0..100).map(|number| write(&data, gone(number)))).await;
        // Each of them takes 68 bytes.
        let small = |write| data.write(owner("a"), 100 * 68, write);
        assert_eq!(small(put("new", b"")).await.unwrap(), Written::Fresh);
        assert_eq!(data.sizes().await.unwrap()[&owner("a")], 99 * 68 + 67);
        assert_eq!(small(put("long", &[0; 6_665])).await.unwrap(), Written::Fresh, "in the place of all the others");
        assert_eq!(data.sizes().await.unwrap()[&owner("a")], 100 * 68);
        assert_eq!(small(put("more", b"")).await.unwrap(), Written::TooMuch);
    }

    #[tokio::test]
    async fn what_was_acknowledged_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let data = store.data(Clock::Machine);
        let all = join_all((0..500).map(|number| write(&data, put(&format!("{number}"), b"x")))).await;
        assert!(all.iter().all(|one| *one == Written::Fresh));
        assert!(get(&data, "499").await.is_some());
        drop(data);
        store.close().await;
        let store = Store::open(folder.path()).unwrap();
        let data = store.data(Clock::Machine);
        assert_eq!(data.keys(owner("a"), first(1_000)).await.unwrap().found.len(), 500);
    }

    /// The thread fails as if by a fault of `SQLite`.
    #[tokio::test]
    async fn whoever_waits_for_a_thread_that_fails_hears_that_it_has_ended() {
        let (store, data) = data();
        let (fail, held) = std::sync::mpsc::channel::<()>();
        assert!(store.put(move |_| {
            let _ = held.recv();
            panic!("on purpose, for a test")
        }));
        let writes = (0..3).map(|number| data.write(owner("a"), MIB, put(&format!("{number}"), b"x")));
        let mut writing = std::pin::pin!(join_all(writes));
        assert!(futures_util::poll!(writing.as_mut()).is_pending());
        drop(fail);
        let within = std::time::Duration::from_secs(30);
        let all = tokio::time::timeout(within, writing).await.expect("nobody waits for ever");
        assert!(all.iter().all(|one| matches!(one, Err(StoreError::Ended))), "{all:?}");
        let after = tokio::time::timeout(within, data.write(owner("a"), MIB, put("4", b"x"))).await;
        assert!(matches!(after, Ok(Err(StoreError::Ended))), "{after:?}");
    }

    #[tokio::test]
    async fn whoever_is_gone_holds_up_nobody() {
        let (_store, data) = data();
        for number in 0..100 {
            let writing = write(&data, put(&format!("{number}"), b"x"));
            // The write is polled at most once, and dropped.
            let _ = tokio::time::timeout(std::time::Duration::ZERO, writing).await;
        }
        assert_eq!(write(&data, put("last", b"x")).await, Written::Fresh);
    }

    proptest! {
        /// The recorded size equals that of the stored entries, after any sequence of writes.
        #[test]
        fn the_size_is_right(steps in prop::collection::vec((0..4_usize, 0..200_usize, prop::option::of(-1..2_i64), any::<bool>()), 1..40)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (_store, data) = data();
                for (key, length, expires, delete) in steps {
                    let one = Write {
                        key: "ü".repeat(key + 1),
                        value: (!delete).then(|| vec![0; length]),
                        expires: expires.map(|hours| now() + hours * 3_600_000),
                        only: Only::Always,
                    };
                    data.write(owner("a"), 500, one).await.unwrap();
                }
                let (kept, noted): (i64, i64) = data.read(Lane::Host, |file| {
                    let sum = format!("SELECT coalesce(sum(length(CAST(key AS BLOB)) + length(value) + {ENTRY}), 0) FROM plugin_data");
                    let noted = "SELECT coalesce(sum(bytes), 0) FROM plugin_data_size";
                    Ok((file.query_row(&sum, [], |row| row.get(0))?, file.query_row(noted, [], |row| row.get(0))?))
                }).await.unwrap();
                assert_eq!(kept, noted);
                assert!(kept <= 500);
            });
        }
    }
}
