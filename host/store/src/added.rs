//! Stores which plugin added or changed which contacts of an account, and what of them is the owner's.
//!
//! This outlives the process: a contact that a plugin added itself does not count for grants that cover contacts, and what plugins
//! made of contacts gives nobody commands.

use std::path::PathBuf;
use std::sync::Arc;

use jid::BareJid;
use parlor_base::id::PluginId;
use parlor_session::router::OwnersPart;
use rusqlite::{Connection, Row, params};
use serde_json::{Value, json};

use super::edit::{Edit, Statement};
use super::work::{Arrives, Job, Lane, Task, WeakTasks, answered, reading, result_of};
use super::{Owner, StoreError, health};

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS added_contact (
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    jid TEXT NOT NULL,
    PRIMARY KEY (account, plugin, jid)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS changed_contact (
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    jid TEXT NOT NULL,
    part TEXT NOT NULL,
    PRIMARY KEY (account, plugin, jid)
) WITHOUT ROWID, STRICT;
";

const KEEP: Statement = Statement::new(18, "INSERT OR IGNORE INTO added_contact VALUES (?1, ?2, ?3)");
const FORGET: Statement =
    Statement::new(19, "DELETE FROM added_contact WHERE account = ?1 AND jid = ?2 AND plugin = ifnull(?3, plugin)");
const CHANGE: Statement = Statement::new(75, "INSERT OR REPLACE INTO changed_contact VALUES (?1, ?2, ?3, ?4)");
const FORGET_CHANGE: Statement =
    Statement::new(76, "DELETE FROM changed_contact WHERE account = ?1 AND jid = ?2 AND plugin = ifnull(?3, plugin)");

pub(super) const STATEMENTS: [Statement; 4] = [KEEP, FORGET, CHANGE, FORGET_CHANGE];

/// The contacts that plugins added to one account or changed there. A contact of which nothing is the owner's is in the first
/// table, any other is in the second. It does not keep the store's thread alive.
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

    /// Returns all added and changed contacts of the account.
    pub async fn load(&self) -> Result<Vec<(PluginId, BareJid, OwnersPart)>, StoreError> {
        let account = self.account.to_string();
        self.wait_for(Lane::Host, reading(move |file| load(file, &account))).await
    }

    /// Stores a contact with the part of it that is the owner's. It is on disk when this returns.
    pub async fn keep(&self, plugin: &PluginId, jid: &BareJid, part: &OwnersPart) -> Result<(), StoreError> {
        // Each plugin waits in its own lane.
        let lane = Lane::Plugin(Arc::new(Owner { account: self.account.clone(), plugin: plugin.clone() }));
        let (account, plugin, jid) = (self.account.to_string(), plugin.to_string(), jid.to_string());
        let part = written(part);
        let job = answered(move |file| file.change(|edit| put(edit, [&account, &plugin, &jid], part.as_deref())));
        self.wait_for(lane, job).await
    }

    /// Stores that less of a contact is the owner's, without waiting. If that fails, more is after the next start.
    pub fn lessen(&self, plugin: &PluginId, jid: &BareJid, part: &OwnersPart) {
        let (account, plugin, jid) = (self.account.to_string(), plugin.to_string(), jid.to_string());
        let part = written(part);
        self.queue("what plugins made of a contact", move |edit| put(edit, [&account, &plugin, &jid], part.as_deref()));
    }

    /// Removes a contact, for this plugin or for all, without waiting. If the removal fails, the contact still counts
    /// as added or changed by the plugin, which grants nothing.
    pub fn forget(&self, plugin: Option<&PluginId>, jid: &BareJid) {
        let (account, plugin, jid) = (self.account.to_string(), plugin.map(ToString::to_string), jid.to_string());
        self.queue("that a contact is no plugin's any more", move |edit| {
            edit.write(FORGET, params![account, jid, plugin])?;
            forget_change(edit, &account, &jid, plugin.as_deref())
        });
    }

    fn queue(&self, what: &'static str, change: impl FnOnce(&Edit<'_>) -> rusqlite::Result<()> + Send + 'static) {
        let account = self.account.clone();
        let job: Job = Box::new(move |file| {
            let result = file.change(change);
            file.conclude(result, move |result| {
                if let Err(error) = &result {
                    tracing::warn!(%account, %error, what, "a note about a contact could not be stored");
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

/// Puts a contact of an account and a plugin into the table where it belongs, and into no other.
fn put(edit: &Edit<'_>, [account, plugin, jid]: [&str; 3], part: Option<&str>) -> rusqlite::Result<()> {
    if let Some(part) = part {
        return edit.write(CHANGE, params![account, plugin, jid, part]).map(drop);
    }
    edit.write(KEEP, params![account, plugin, jid])?;
    forget_change(edit, account, jid, Some(plugin))
}

/// Removes a contact from the second table, if it is there: a node of the cluster with an earlier parlor does not know that table.
fn forget_change(edit: &Edit<'_>, account: &str, jid: &str, plugin: Option<&str>) -> rusqlite::Result<()> {
    let mut select = edit.prepare_cached("SELECT 1 FROM changed_contact WHERE account = ?1 AND jid = ?2")?;
    if select.exists([account, jid])? {
        edit.write(FORGET_CHANGE, params![account, jid, plugin])?;
    }
    Ok(())
}

/// Returns the part of a contact that is the owner's, as it is stored. None: nothing is.
fn written(part: &OwnersPart) -> Option<String> {
    part.is_listed.then(|| json!({ "seen": part.is_seen, "groups": part.groups }).to_string())
}

/// Reads such a part. A part that cannot be read is not the owner's.
fn read(part: &str) -> OwnersPart {
    let value: Value = serde_json::from_str(part).unwrap_or_default();
    let groups = value["groups"].as_array().into_iter().flatten().filter_map(Value::as_str);
    OwnersPart { is_listed: true, is_seen: value["seen"] == true, groups: groups.map(str::to_owned).collect() }
}

fn load(file: &Connection, account: &str) -> rusqlite::Result<Vec<(PluginId, BareJid, OwnersPart)>> {
    let mut select = file.prepare_cached(
        "SELECT plugin, jid, NULL FROM added_contact WHERE account = ?1
         UNION ALL SELECT plugin, jid, part FROM changed_contact WHERE account = ?1",
    )?;
    let columns = |row: &Row<'_>| -> rusqlite::Result<(String, String, Option<String>)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    };
    let mut all = Vec::new();
    for row in select.query_map([account], columns)? {
        let (plugin, jid, part) = row?;
        // Only another program writes an invalid id or address.
        if let (Ok(plugin), Ok(jid)) = (plugin.parse(), BareJid::new(&jid)) {
            all.push((plugin, jid, part.as_deref().map(read).unwrap_or_default()));
        }
    }
    Ok(all)
}
