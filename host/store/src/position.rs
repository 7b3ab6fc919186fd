//! Stores how far a plugin has handled an archive, the account's or a room's, for plugins that catch up (XEP-0313).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jid::BareJid;
use jiff::Timestamp;
use parlor_session::position::{Archive, Position};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::edit::{Edit, Once, Statement};
use super::work::{Job, Lane, Task, WeakTasks, changing, reading, result_of};
use super::{Owner, StoreError, health};

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS archive_position (
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    id TEXT,
    at INTEGER NOT NULL,
    beyond TEXT NOT NULL,
    PRIMARY KEY (account, plugin)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS room_position (
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    room TEXT NOT NULL,
    id TEXT,
    at INTEGER NOT NULL,
    beyond TEXT NOT NULL,
    PRIMARY KEY (account, plugin, room)
) WITHOUT ROWID, STRICT;
";

const FORGET_OLD: Statement =
    Statement::new(5, "DELETE FROM room_position WHERE account = ?1 AND plugin = ?2 AND at <= ?3");
const PUT: Statement = Statement::new(6, "INSERT OR REPLACE INTO archive_position VALUES (?1, ?2, ?3, ?4, ?5)");
const PUT_ROOM: Statement = Statement::new(7, "INSERT OR REPLACE INTO room_position VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
const FORGET: Statement =
    Statement::new(8, "DELETE FROM room_position WHERE account = ?1 AND plugin = ?2 AND room = ?3");

pub(super) const STATEMENTS: [Statement; 4] = [FORGET_OLD, PUT, PUT_ROOM, FORGET];

/// The maximum number of rooms that are remembered for each plugin. The rooms heard from least recently are forgotten,
/// since strangers may invite to any number.
const MOST_ROOMS: u32 = 4_096;

/// The part of an archive that a plugin has handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// Everything up to this position is handled.
    pub up_to: Position,
    /// Ids of later messages that are handled already, since their handlers returned earlier than others.
    pub beyond: Vec<String>,
}

/// The positions of one plugin on one account. It does not keep the store's thread alive.
#[derive(Debug, Clone)]
pub struct Positions {
    tasks: WeakTasks,
    owner: Arc<Owner>,
    path: PathBuf,
}

impl Positions {
    /// Creates the handle for this store.
    pub(super) fn new(tasks: WeakTasks, owner: Owner, path: PathBuf) -> Self {
        Self { tasks, owner: Arc::new(owner), path }
    }

    /// Returns the keeper of the position in this archive.
    pub fn of(&self, archive: Archive) -> PositionKeeper {
        PositionKeeper { all: self.clone(), archive: Arc::new(archive), latest: Arc::default() }
    }

    /// Returns the rooms that have a position. Above the limit, the rooms that were silent for longest are forgotten.
    pub async fn rooms(&self) -> Result<Vec<BareJid>, StoreError> {
        let owner = Arc::clone(&self.owner);
        let (job, arrives) = changing(move |edit| rooms(edit, &owner));
        result_of(self.tasks.put(self.lane(), Task::Job(job)).await, arrives, &self.path).await
    }

    async fn run<R: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (job, arrives) = reading(read);
        result_of(self.tasks.put(self.lane(), Task::Job(job)).await, arrives, &self.path).await
    }

    /// Queues a write without waiting for it. Returns false if the queue is full; the write is then dropped.
    fn put(&self, change: impl FnOnce(Once<'_>, &Owner) -> rusqlite::Result<()> + Send + 'static) -> bool {
        let owner = Arc::clone(&self.owner);
        let job: Job = Box::new(move |file| {
            let result = file.change_once(|edit| change(edit, &owner));
            file.conclude(result, move |result| {
                if let Err(error) = &result {
                    tracing::warn!(plugin = %owner.plugin, %error, "the progress of a plugin could not be stored");
                }
                health::of(&result)
            })
        });
        self.tasks.try_put(&self.lane(), Task::Job(job))
    }

    fn lane(&self) -> Lane {
        Lane::Progress(Arc::clone(&self.owner))
    }
}

/// Keeps the position of one plugin in one archive.
#[derive(Debug, Clone)]
pub struct PositionKeeper {
    all: Positions,
    archive: Arc<Archive>,
    /// The position to write next. If several are kept before the thread gets to it, only the latest is written.
    latest: Arc<Mutex<Option<Handled>>>,
}

impl PositionKeeper {
    /// Returns the stored position, or `None` if none was stored.
    pub async fn load(&self) -> Result<Option<Handled>, StoreError> {
        let (owner, archive) = (Arc::clone(&self.all.owner), Arc::clone(&self.archive));
        self.all.run(move |file| load(file, &owner, &archive)).await
    }

    /// Stores a new position without waiting for it.
    pub fn keep(&self, handled: Handled) {
        if lock(&self.latest).replace(handled).is_some() {
            return;
        }
        let (archive, latest) = (Arc::clone(&self.archive), Arc::clone(&self.latest));
        let is_put = self.all.put(move |edit, owner| {
            let Some(handled) = lock(&latest).take() else { return Ok(()) };
            save(edit, owner, &archive, &handled)
        });
        if !is_put {
            // The next position is queued again.
            lock(&self.latest).take();
        }
    }

    /// Removes the stored position if the archive is a room's, without waiting.
    pub fn forget(&self) {
        lock(&self.latest).take();
        let archive = Arc::clone(&self.archive);
        // A position that is not removed now is removed when the room is next entered.
        self.all.put(move |edit, owner| forget(edit, owner, &archive));
    }
}

fn lock(latest: &Mutex<Option<Handled>>) -> MutexGuard<'_, Option<Handled>> {
    latest.lock().unwrap_or_else(PoisonError::into_inner)
}

fn rooms(edit: &Edit<'_>, owner: &Owner) -> rusqlite::Result<Vec<BareJid>> {
    let whose = params![owner.account.as_str(), owner.plugin.as_str()];
    let mut newest =
        edit.prepare_cached("SELECT room, at FROM room_position WHERE account = ?1 AND plugin = ?2 ORDER BY at DESC")?;
    let all = newest.query_map(whose, |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
    let mut all = all.collect::<rusqlite::Result<Vec<_>>>()?;
    if let Some((_, oldest)) = all.get(MOST_ROOMS as usize) {
        let oldest = *oldest;
        edit.write(FORGET_OLD, params![owner.account.as_str(), owner.plugin.as_str(), oldest])?;
        all.retain(|(_, at)| *at > oldest);
    }
    // Only another program writes an invalid address.
    Ok(all.into_iter().filter_map(|(room, _)| room.parse().ok()).collect())
}

fn load(file: &Connection, owner: &Owner, archive: &Archive) -> rusqlite::Result<Option<Handled>> {
    let (account, plugin) = (owner.account.as_str(), owner.plugin.as_str());
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?));
    let row = match archive {
        Archive::Own => {
            let select = "SELECT id, at, beyond FROM archive_position WHERE account = ?1 AND plugin = ?2";
            file.query_row(select, params![account, plugin], read)
        }
        Archive::Room(room) => {
            let select = "SELECT id, at, beyond FROM room_position WHERE account = ?1 AND plugin = ?2 AND room = ?3";
            file.query_row(select, params![account, plugin, room.as_str()], read)
        }
    };
    // Only another program writes an invalid time or list.
    Ok(row.optional()?.and_then(|(id, at, beyond)| {
        let up_to = Position { id, at: Timestamp::from_millisecond(at).ok()? };
        Some(Handled { up_to, beyond: serde_json::from_str(&beyond).ok()? })
    }))
}

fn save(edit: Once<'_>, owner: &Owner, archive: &Archive, handled: &Handled) -> rusqlite::Result<()> {
    let (account, plugin) = (owner.account.as_str(), owner.plugin.as_str());
    let Handled { up_to: Position { id, at }, beyond } = handled;
    let (at, beyond) = (at.as_millisecond(), serde_json::Value::from(beyond.clone()).to_string());
    match archive {
        Archive::Own => edit.write(PUT, params![account, plugin, id, at, beyond]),
        Archive::Room(room) => edit.write(PUT_ROOM, params![account, plugin, room.as_str(), id, at, beyond]),
    }
    .map(drop)
}

fn forget(edit: Once<'_>, owner: &Owner, archive: &Archive) -> rusqlite::Result<()> {
    let Archive::Room(room) = archive else { return Ok(()) };
    edit.write(FORGET, params![owner.account.as_str(), owner.plugin.as_str(), room.as_str()]).map(drop)
}

#[cfg(test)]
mod tests {
    use parlor_base::clock::Clock;

    use super::*;
    use crate::{DataFile, Store};

    fn handled(id: &str, at: i64, beyond: &[&str]) -> Handled {
        let up_to = Position { id: Some(id.to_owned()), at: Timestamp::from_millisecond(at).unwrap() };
        Handled { up_to, beyond: beyond.iter().map(|&id| id.to_owned()).collect() }
    }

    fn owner(plugin: &str) -> Owner {
        Owner { account: "bot@example.org".parse().unwrap(), plugin: plugin.parse().unwrap() }
    }

    #[tokio::test]
    async fn the_last_position_is_there_after_a_restart_for_that_plugin_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let keeper = store.data(Clock::Machine).positions(owner("echo")).of(Archive::Own);
        assert_eq!(keeper.load().await.unwrap(), None);
        for number in 0..5_000 {
            keeper.keep(handled(&number.to_string(), number, &["a\"b"]));
        }
        store.close().await;
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(
            store.data(Clock::Machine).positions(owner("echo")).of(Archive::Own).load().await.unwrap(),
            Some(handled("4999", 4_999, &["a\"b"]))
        );
        assert_eq!(store.data(Clock::Machine).positions(owner("other")).of(Archive::Own).load().await.unwrap(), None);
        let up_to = Position { id: None, at: Timestamp::UNIX_EPOCH };
        let empty = Handled { up_to, beyond: Vec::new() };
        store.data(Clock::Machine).positions(owner("echo")).of(Archive::Own).keep(empty.clone());
        assert_eq!(
            store.data(Clock::Machine).positions(owner("echo")).of(Archive::Own).load().await.unwrap(),
            Some(empty)
        );
        store.close().await;
        assert!(matches!(keeper.load().await, Err(StoreError::Ended)));
    }

    fn room(name: &str) -> BareJid {
        format!("{name}@rooms.example.org").parse().unwrap()
    }

    #[tokio::test]
    async fn each_room_has_a_position_of_its_own_until_it_is_forgotten() {
        let store = Store::in_memory();
        let positions = store.data(Clock::Machine).positions(owner("echo"));
        let keeper = |name| positions.of(Archive::Room(room(name)));
        positions.of(Archive::Own).keep(handled("own", 1, &[]));
        keeper("hall").keep(handled("hall", 2, &["a"]));
        keeper("attic").keep(handled("attic", 3, &[]));
        assert_eq!(keeper("hall").load().await.unwrap(), Some(handled("hall", 2, &["a"])));
        assert_eq!(positions.rooms().await.unwrap(), [room("attic"), room("hall")]);
        keeper("hall").forget();
        assert_eq!(keeper("hall").load().await.unwrap(), None);
        assert_eq!(positions.of(Archive::Own).load().await.unwrap(), Some(handled("own", 1, &[])));
        assert_eq!(store.data(Clock::Machine).positions(owner("other")).rooms().await.unwrap(), [] as [BareJid; 0]);
    }

    #[tokio::test]
    async fn of_very_many_rooms_those_are_remembered_that_spoke_last() {
        let store = Store::in_memory();
        let positions = store.data(Clock::Machine).positions(owner("echo"));
        let insert = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
            INSERT INTO room_position SELECT 'bot@example.org', 'echo', 'r' || i || '@rooms.example.org', NULL, i, '[]' FROM n";
        positions.run(move |file| file.execute(insert, [MOST_ROOMS + 2])).await.unwrap();
        let rooms = positions.rooms().await.unwrap();
        assert_eq!(rooms.len(), MOST_ROOMS as usize);
        assert!(!rooms.contains(&room("r2")) && rooms.contains(&room("r3")));
    }

    /// The file is from a version that stored no positions for rooms.
    #[tokio::test]
    async fn what_an_older_parlor_kept_is_there_beside_what_is_new() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.data(Clock::Machine).positions(owner("echo")).of(Archive::Own).keep(handled("own", 1, &[]));
        store.close().await;
        let file = Connection::open(folder.path().join("parlor.db")).unwrap();
        file.execute_batch("DROP TABLE room_position").unwrap();
        drop(file);
        let store = Store::open(folder.path()).unwrap();
        let positions = store.data(Clock::Machine).positions(owner("echo"));
        assert_eq!(positions.of(Archive::Own).load().await.unwrap(), Some(handled("own", 1, &[])));
        assert_eq!(positions.rooms().await.unwrap(), [] as [BareJid; 0]);
        positions.of(Archive::Room(room("hall"))).keep(handled("hall", 2, &[]));
        store.close().await;
        DataFile::open(folder.path()).unwrap().unwrap().forget(&owner("echo").plugin).unwrap();
        let store = Store::open(folder.path()).unwrap();
        let positions = store.data(Clock::Machine).positions(owner("echo"));
        assert_eq!(positions.rooms().await.unwrap(), [] as [BareJid; 0], "what is removed with a plugin");
    }
}
