//! Stores which addresses of components sleep, so that they sleep on after a restart of the host.
//!
//! The rows belong to the host, and not to the accounts: they are in its own file alone, which has no log.

use jid::BareJid;
use rusqlite::{Connection, Transaction, params};

use super::edit::StoreFile;
use super::work::{Arrives, Job, answered};
use super::{Store, StoreError};

/// The column is not called `account`: the rows stay with the host when an account moves.
pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS sleeper (
    jid TEXT NOT NULL PRIMARY KEY,
    since INTEGER NOT NULL,
    mark INTEGER NOT NULL
) WITHOUT ROWID, STRICT;
";

/// Selects the addresses that have something to do: a schedule, or a request to a webhook that was not delivered. A loss of power
/// may bring the row of an address back that was awake. A row of kind 3 is a name that is paused and not set.
const BUSY: &str =
    "SELECT account FROM schedule WHERE kind <> 3 UNION SELECT account FROM webhook_request WHERE state = 0";

/// An address that sleeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSleeper {
    /// The address.
    pub jid: BareJid,
    /// When it fell asleep, in milliseconds since the Unix epoch.
    pub since: i64,
    /// Stands for its configuration and its plugins at that time.
    pub mark: i64,
}

impl Store {
    /// Returns the addresses that sleep. Those that have something to do are not among them, and no longer stored.
    pub async fn sleepers(&self) -> Result<Vec<StoredSleeper>, StoreError> {
        self.change_own(|change| {
            change.prepare(&format!("DELETE FROM sleeper WHERE jid IN ({BUSY})"))?.raw_execute()?;
            load(change)
        })
        .await
    }

    /// Stores that these addresses sleep: all of them, or none.
    pub async fn fell_asleep(&self, all: Vec<StoredSleeper>) -> Result<(), StoreError> {
        self.change_own(move |change| {
            let mut put = change.prepare_cached("INSERT OR REPLACE INTO sleeper VALUES (?1, ?2, ?3)")?;
            for StoredSleeper { jid, since, mark } in &all {
                put.insert(params![jid.as_str(), since, mark])?;
            }
            Ok(())
        })
        .await
    }

    /// Stores that these addresses sleep no longer: all of them, or none.
    pub async fn woke_up(&self, all: Vec<BareJid>) -> Result<(), StoreError> {
        self.change_own(move |change| {
            let mut delete = change.prepare_cached("DELETE FROM sleeper WHERE jid = ?1")?;
            for jid in &all {
                delete.execute(params![jid.as_str()])?;
            }
            Ok(())
        })
        .await
    }

    /// Makes a change of rows that no log has: whole, or not at all.
    async fn change_own<R: Send + 'static>(
        &self,
        with: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let job: (Job, Arrives<R>) = answered(move |file: &mut StoreFile| {
            let change = file.unrecorded().transaction()?;
            let made = with(&change)?;
            change.commit()?;
            Ok(made)
        });
        self.wait_for(job).await
    }
}

fn load(file: &Connection) -> rusqlite::Result<Vec<StoredSleeper>> {
    let mut select = file.prepare_cached("SELECT jid, since, mark FROM sleeper ORDER BY jid")?;
    let rows = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)))?;
    let mut all = Vec::new();
    for row in rows {
        let (jid, since, mark) = row?;
        // Only another program writes an invalid address.
        if let Ok(jid) = BareJid::new(&jid) {
            all.push(StoredSleeper { jid, since, mark });
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(name: &str, mark: i64) -> StoredSleeper {
        StoredSleeper { jid: format!("{name}@bots.example.org").parse().unwrap(), since: 7, mark }
    }

    #[tokio::test]
    async fn addresses_sleep_on_in_the_next_process_until_they_wake() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.sleepers().await.unwrap(), []);
        let [a, b, c] = [sleeper("a", 1), sleeper("b", -2), sleeper("c", 3)];
        store.fell_asleep(vec![c.clone(), a.clone(), b.clone()]).await.unwrap();
        store.close().await;
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.sleepers().await.unwrap(), [a.clone(), b.clone(), c.clone()]);
        store.woke_up(vec![b.jid.clone(), sleeper("nobody", 0).jid]).await.unwrap();
        let again = StoredSleeper { mark: 9, ..c };
        store.fell_asleep(vec![again.clone()]).await.unwrap();
        assert_eq!(store.sleepers().await.unwrap(), [a, again]);
    }

    /// Nobody would tell the plugin of its due times.
    #[tokio::test]
    async fn an_address_that_has_something_to_do_does_not_sleep_on() {
        let store = Store::in_memory();
        let all = vec![sleeper("a", 1), sleeper("b", 2)];
        store.fell_asleep(all.clone()).await.unwrap();
        let schedule = "INSERT INTO schedule (account, plugin, name, kind, number, expression, zone, catch_up, set_at, over, \
                        attempts, missed, runs_from, paused, last_failed) \
                        VALUES ('a@bots.example.org', 'echo', 'daily', 0, 0, '', '', 0, 0, 0, 0, 0, 0, 0, 0), \
                        ('b@bots.example.org', 'echo', 'unset', 3, 0, '', '', 0, 0, 0, 0, 0, 0, 1, 0)";
        store.run(move |file| file.execute_batch(schedule)).await.unwrap();
        assert_eq!(store.sleepers().await.unwrap(), all[1..]);
    }
}
