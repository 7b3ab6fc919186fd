//! Stores which plugin added which contacts of an account.
//!
//! This outlives the process: a contact that a plugin added itself never counts for grants that cover contacts.

use std::path::PathBuf;
use std::sync::Arc;

use jid::BareJid;
use parlor_base::id::PluginId;
use rusqlite::{Connection, params};

use super::work::{Job, Lane, Task, WeakTasks, answered, result_of};
use super::{Owner, StoreError, health};

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS added_contact (
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    jid TEXT NOT NULL,
    PRIMARY KEY (account, plugin, jid)
) WITHOUT ROWID, STRICT;
";

/// The contacts that plugins added to one account. It does not keep the store's thread alive.
#[derive(Debug, Clone)]
pub struct AddedContacts {
    tasks: WeakTasks,
    account: BareJid,
    path: PathBuf,
}

impl AddedContacts {
    pub(super) fn new(tasks: WeakTasks, account: &BareJid, path: PathBuf) -> Self {
        Self { tasks, account: account.clone(), path }
    }

    /// Returns all added contacts of the account.
    pub async fn load(&self) -> Result<Vec<(PluginId, BareJid)>, StoreError> {
        self.run(Lane::Host, load).await
    }

    /// Stores a contact. It is on disk when this returns.
    pub async fn keep(&self, plugin: &PluginId, jid: &BareJid) -> Result<(), StoreError> {
        // Each plugin waits in its own lane.
        let lane = Lane::Plugin(Arc::new(Owner { account: self.account.clone(), plugin: plugin.clone() }));
        let (plugin, jid) = (plugin.to_string(), jid.to_string());
        let insert = "INSERT OR IGNORE INTO added_contact VALUES (?1, ?2, ?3)";
        self.run(lane, move |file, account| file.execute(insert, params![account, plugin, jid]).map(drop)).await
    }

    /// Removes a contact, for this plugin or for all, without waiting. If the removal fails, the contact still counts
    /// as added by the plugin, which grants nothing.
    pub fn forget(&self, plugin: Option<&PluginId>, jid: &BareJid) {
        let (account, plugin, jid) = (self.account.to_string(), plugin.map(ToString::to_string), jid.to_string());
        let delete = "DELETE FROM added_contact WHERE account = ?1 AND jid = ?2 AND plugin = ifnull(?3, plugin)";
        let job: Job = Box::new(move |file| {
            let result = file.execute(delete, params![account, jid, plugin]);
            if let Err(error) = &result {
                tracing::warn!(%account, %error, "a contact that is gone still counts as added by a plugin");
            }
            health::of(&result)
        });
        let _ = self.tasks.try_put(&Lane::Host, Task::Job(job));
    }

    async fn run<R: Send + 'static>(
        &self,
        lane: Lane,
        job: impl FnOnce(&Connection, &str) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let account = self.account.to_string();
        let (job, arrives) = answered(move |file| job(file, &account));
        result_of(self.tasks.put(lane, Task::Job(job)).await, arrives, &self.path).await
    }
}

fn load(file: &Connection, account: &str) -> rusqlite::Result<Vec<(PluginId, BareJid)>> {
    let mut select = file.prepare("SELECT plugin, jid FROM added_contact WHERE account = ?1")?;
    let rows = select.query_map([account], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut all = Vec::new();
    for row in rows {
        let (plugin, jid) = row?;
        // Only another program writes an invalid id or address.
        if let (Ok(plugin), Ok(jid)) = (plugin.parse(), BareJid::new(&jid)) {
            all.push((plugin, jid));
        }
    }
    Ok(all)
}
