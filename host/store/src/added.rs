//! Stores which plugin added which contacts of an account.
//!
//! This outlives the process: a contact that a plugin added itself never counts for grants that cover contacts.

use std::path::PathBuf;
use std::sync::Arc;

use jid::BareJid;
use parlor_base::id::PluginId;
use rusqlite::{Connection, params};

use super::edit::Statement;
use super::work::{Arrives, Job, Lane, Task, WeakTasks, answered, reading, result_of};
use super::{Owner, StoreError, health};

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS added_contact (
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    jid TEXT NOT NULL,
    PRIMARY KEY (account, plugin, jid)
) WITHOUT ROWID, STRICT;
";

const KEEP: Statement = Statement::new(18, "INSERT OR IGNORE INTO added_contact VALUES (?1, ?2, ?3)");
const FORGET: Statement =
    Statement::new(19, "DELETE FROM added_contact WHERE account = ?1 AND jid = ?2 AND plugin = ifnull(?3, plugin)");

pub(super) const STATEMENTS: [Statement; 2] = [KEEP, FORGET];

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
        let account = self.account.to_string();
        self.wait_for(Lane::Host, reading(move |file| load(file, &account))).await
    }

    /// Stores a contact. It is on disk when this returns.
    pub async fn keep(&self, plugin: &PluginId, jid: &BareJid) -> Result<(), StoreError> {
        // Each plugin waits in its own lane.
        let lane = Lane::Plugin(Arc::new(Owner { account: self.account.clone(), plugin: plugin.clone() }));
        let (account, plugin, jid) = (self.account.to_string(), plugin.to_string(), jid.to_string());
        let job =
            answered(move |file| file.change_once(|edit| edit.write(KEEP, params![account, plugin, jid]).map(drop)));
        self.wait_for(lane, job).await
    }

    /// Removes a contact, for this plugin or for all, without waiting. If the removal fails, the contact still counts
    /// as added by the plugin, which grants nothing.
    pub fn forget(&self, plugin: Option<&PluginId>, jid: &BareJid) {
        let (account, plugin, jid) = (self.account.to_string(), plugin.map(ToString::to_string), jid.to_string());
        let job: Job = Box::new(move |file| {
            let result = file.change_once(|edit| edit.write(FORGET, params![account, jid, plugin]));
            file.conclude(result, move |result| {
                if let Err(error) = &result {
                    tracing::warn!(%account, %error, "a contact that is gone still counts as added by a plugin");
                }
                health::of(&result)
            })
        });
        let _ = self.tasks.try_put(&Lane::Host, Task::Job(job));
    }

    async fn wait_for<R>(&self, lane: Lane, (job, arrives): (Job, Arrives<R>)) -> Result<R, StoreError> {
        result_of(self.tasks.put(lane, Task::Job(job)).await, arrives, &self.path).await
    }
}

fn load(file: &Connection, account: &str) -> rusqlite::Result<Vec<(PluginId, BareJid)>> {
    let mut select = file.prepare_cached("SELECT plugin, jid FROM added_contact WHERE account = ?1")?;
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
