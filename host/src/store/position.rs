//! Up to where in the account's archive a plugin has handled what was said: for those that catch up (XEP-0313).

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::{mpsc, oneshot};

use super::{Job, Owner, StoreError, file};

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS archive_position (
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    id TEXT,
    at INTEGER NOT NULL,
    beyond TEXT NOT NULL,
    PRIMARY KEY (account, plugin)
) WITHOUT ROWID, STRICT;
";

/// A place in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The archive's id of the last message before it; none: the archive was empty.
    pub id: Option<String>,
    /// When that message came or was archived, for an archive that has forgotten it.
    pub at: Timestamp,
}

/// What a plugin has handled of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled {
    /// All up to here.
    pub up_to: Position,
    /// And these, which come later: what came after them was quicker.
    pub beyond: Vec<String>,
}

/// Keeps the position of one plugin on one account. It does not keep the store's thread going.
#[derive(Debug, Clone)]
pub struct PositionKeeper {
    jobs: mpsc::WeakSender<Job>,
    owner: Arc<Owner>,
    /// What is to be written: however many positions are kept until the thread gets to it, it writes the last.
    latest: Arc<Mutex<Option<Handled>>>,
    path: PathBuf,
}

impl PositionKeeper {
    /// In this store.
    pub(super) fn new(jobs: mpsc::WeakSender<Job>, owner: Owner, path: PathBuf) -> Self {
        Self { jobs, owner: Arc::new(owner), latest: Arc::default(), path }
    }

    /// What was kept; none: nothing was.
    pub async fn load(&self) -> Result<Option<Handled>, StoreError> {
        let (answer, arrives) = oneshot::channel();
        let owner = Arc::clone(&self.owner);
        let job: Job = Box::new(move |file| {
            let result = load(file, &owner);
            let health = file::health(&result);
            // Whoever asked may be gone.
            let _ = answer.send(result);
            health
        });
        self.jobs.upgrade().ok_or(StoreError::Ended)?.send(job).await.map_err(|_| StoreError::Ended)?;
        let result = arrives.await.map_err(|_| StoreError::Ended)?;
        result.map_err(|cause| StoreError::File { path: self.path.clone(), cause })
    }

    /// Keeps another one. It does not wait.
    pub fn keep(&self, handled: Handled) {
        if lock(&self.latest).replace(handled).is_some() {
            return;
        }
        let (owner, latest) = (Arc::clone(&self.owner), Arc::clone(&self.latest));
        let job: Job = Box::new(move |file| {
            let Some(handled) = lock(&latest).take() else { return super::Health::Fine };
            let result = save(file, &owner, &handled);
            if let Err(error) = &result {
                tracing::warn!(plugin = %owner.plugin, %error, "up to where a plugin has come could not be kept");
            }
            file::health(&result)
        });
        let is_put = self.jobs.upgrade().is_some_and(|jobs| jobs.try_send(job).is_ok());
        if !is_put {
            // The next one tries again.
            lock(&self.latest).take();
        }
    }
}

fn lock(latest: &Mutex<Option<Handled>>) -> MutexGuard<'_, Option<Handled>> {
    latest.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load(file: &Connection, owner: &Owner) -> rusqlite::Result<Option<Handled>> {
    let select = "SELECT id, at, beyond FROM archive_position WHERE account = ?1 AND plugin = ?2";
    let row = file.query_row(select, params![owner.account.as_str(), owner.plugin.as_str()], |row| {
        Ok((row.get(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
    });
    // Nobody but another program writes a time or a list that is none.
    Ok(row.optional()?.and_then(|(id, at, beyond)| {
        let up_to = Position { id, at: Timestamp::from_millisecond(at).ok()? };
        Some(Handled { up_to, beyond: serde_json::from_str(&beyond).ok()? })
    }))
}

fn save(file: &Connection, owner: &Owner, handled: &Handled) -> rusqlite::Result<()> {
    let put = "INSERT OR REPLACE INTO archive_position VALUES (?1, ?2, ?3, ?4, ?5)";
    let Handled { up_to: Position { id, at }, beyond } = handled;
    let beyond = serde_json::Value::from(beyond.clone()).to_string();
    let whose = (owner.account.as_str(), owner.plugin.as_str());
    file.execute(put, params![whose.0, whose.1, id, at.as_millisecond(), beyond]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::Store;

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
        let keeper = store.data(Clock::Machine).position(owner("echo"));
        assert_eq!(keeper.load().await.unwrap(), None);
        for number in 0..5_000 {
            keeper.keep(handled(&number.to_string(), number, &["a\"b"]));
        }
        store.close().await;
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(
            store.data(Clock::Machine).position(owner("echo")).load().await.unwrap(),
            Some(handled("4999", 4_999, &["a\"b"]))
        );
        assert_eq!(store.data(Clock::Machine).position(owner("other")).load().await.unwrap(), None);
        let up_to = Position { id: None, at: Timestamp::UNIX_EPOCH };
        let empty = Handled { up_to, beyond: Vec::new() };
        store.data(Clock::Machine).position(owner("echo")).keep(empty.clone());
        assert_eq!(store.data(Clock::Machine).position(owner("echo")).load().await.unwrap(), Some(empty));
        store.close().await;
        assert!(matches!(keeper.load().await, Err(StoreError::Ended)));
    }
}
