//! Schedules of plugins: when each is due, until when it is over, and the due time that is being told.
//!
//! A due time is written before it is delivered, and its completion is written afterwards. So it is delivered again if
//! the host is killed in between, at any time of the clock.
//!
//! A name that the owner paused keeps its row when its schedule ends, so that a plugin cannot undo the pause. Such a row is no
//! schedule, but takes the place of one: a plugin and its owner never have more rows than the limit.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::OnceCell;

use super::StoreError;
use super::change::Owner;
use super::data::{PluginData, by_owner};
use super::edit::{Edit, Once, Statement};
use super::work::Lane;

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS schedule (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    number INTEGER NOT NULL,
    expression TEXT NOT NULL,
    zone TEXT NOT NULL,
    catch_up INTEGER NOT NULL,
    set_at INTEGER NOT NULL,
    over INTEGER NOT NULL,
    due INTEGER,
    attempts INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    runs_from INTEGER NOT NULL,
    paused INTEGER NOT NULL,
    last INTEGER,
    last_failed INTEGER NOT NULL,
    UNIQUE (account, plugin, name)
) STRICT;
";

const CANCEL: Statement = Statement::new(20, "DELETE FROM schedule WHERE account = ?1 AND plugin = ?2 AND name = ?3");
const BEGIN: Statement = Statement::new(
    21,
    "UPDATE schedule SET due = ?2, attempts = 0, missed = min(missed + ?3, 4294967295) WHERE id = ?1",
);
const LEAVE_OUT: Statement = Statement::new(
    22,
    "UPDATE schedule SET over = max(over, ?2), missed = min(missed + ?3, 4294967295) WHERE id = ?1 AND due IS NULL",
);
const OVER: Statement = Statement::new(
    23,
    "UPDATE schedule SET over = max(over, due), last = due, last_failed = ?2, due = NULL, attempts = 0, missed = 0
     WHERE id = ?1 AND due IS NOT NULL",
);
const AGAIN: Statement = Statement::new(24, "UPDATE schedule SET attempts = ?2 WHERE id = ?1");
// A schedule that is not paused has missed nothing, so resuming it changes nothing.
const PAUSE: Statement = Statement::new(
    25,
    "UPDATE schedule SET runs_from = CASE WHEN paused AND NOT ?4 THEN ?5 ELSE runs_from END, paused = ?4
     WHERE account = ?1 AND plugin = ?2 AND name = ?3",
);
const INSERT: Statement = Statement::new(
    26,
    "INSERT INTO schedule (account, plugin, name, kind, number, expression, zone, catch_up, set_at, over, attempts,
     missed, runs_from, paused, last_failed)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, 0, 0, ?9, ?10, 0)",
);
const END: Statement = Statement::new(27, "DELETE FROM schedule WHERE id = ?1");

pub(super) const STATEMENTS: [Statement; 8] = [CANCEL, BEGIN, LEAVE_OUT, OVER, AGAIN, PAUSE, INSERT, END];

/// The kind of a row that only says that the owner paused this name: it is not set now.
const UNSET: i64 = 3;

/// The columns of a row, as [`stored`] reads them.
const COLUMNS: &str = "id, name, kind, number, expression, zone, catch_up, set_at, over, due, attempts, missed, runs_from, \
                       paused, last, last_failed";

/// When a schedule is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredTiming {
    /// Periodically, with this number of milliseconds, counted from when it was set.
    Every(u64),
    /// Once, in milliseconds since the Unix epoch.
    At(i64),
    /// As a cron expression says.
    Cron {
        /// The expression.
        expression: String,
        /// The name of the time zone.
        zone: String,
    },
}

impl StoredTiming {
    /// Returns its columns: kind, number, expression and zone.
    fn columns(&self) -> (i64, i64, &str, &str) {
        match self {
            Self::Every(period) => (0, i64::try_from(*period).unwrap_or(i64::MAX), "", ""),
            Self::At(due) => (1, *due, "", ""),
            Self::Cron { expression, zone } => (2, 0, expression, zone),
        }
    }

    fn of(kind: i64, number: i64, expression: String, zone: String) -> Self {
        match kind {
            0 => Self::Every(u64::try_from(number).unwrap_or(0)),
            1 => Self::At(number),
            _ => Self::Cron { expression, zone },
        }
    }
}

/// A schedule that is to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSchedule {
    /// Its name.
    pub name: String,
    /// When it is due.
    pub timing: StoredTiming,
    /// Maximum number of missed due times that are delivered.
    pub catch_up: u32,
}

/// A due time that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastDue {
    /// The due time, in milliseconds since the Unix epoch.
    pub due: i64,
    /// Whether the plugin failed too often on it.
    pub failed: bool,
}

/// A schedule. Times are in milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSchedule {
    /// Its id. A schedule that replaces one with the same name has a new id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// When it is due.
    pub timing: StoredTiming,
    /// Maximum number of missed due times that are delivered.
    pub catch_up: u32,
    /// When it was set.
    pub set_at: i64,
    /// The due times until then are over.
    pub over: i64,
    /// The due time that is being told.
    pub due: Option<i64>,
    /// The number of failed attempts to deliver it.
    pub attempts: u32,
    /// How many due times were left out before that one, or before the next one.
    pub missed: u32,
    /// The due times before were missed, whether the plugin ran or not: until then the owner had paused it.
    pub runs_from: i64,
    /// Whether the owner has paused it.
    pub paused: bool,
    /// The last due time that was delivered and completed.
    pub last: Option<LastDue>,
}

/// How an attempt to tell a due time ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DueOutcome {
    /// It must be delivered again, after this number of failed attempts.
    Again(u32),
    /// The due time is over.
    Over {
        /// Whether the plugin failed too often on it.
        failed: bool,
        /// Whether no other due time follows: then the schedule is over as well.
        is_last: bool,
    },
}

/// The plugins that have schedules on an account, or had some since the file was first asked. A plugin without
/// schedules needs no separate read when it starts.
pub(super) type Having = OnceCell<Mutex<BTreeSet<Owner>>>;

/// The schedules of one plugin on one account. Like [`PluginData`], it does not keep the store's thread alive.
#[derive(Debug, Clone)]
pub struct Schedules {
    data: PluginData,
    owner: Arc<Owner>,
}

impl PluginData {
    /// Returns the schedules of this plugin.
    pub fn schedules(&self, owner: Owner) -> Schedules {
        Schedules { data: self.clone(), owner: Arc::new(owner) }
    }
}

impl Schedules {
    /// Sets a schedule, and returns it. An existing one with the same timing continues unchanged. Returns `None` if the
    /// limit is reached.
    pub async fn set(&self, new: NewSchedule, now: i64, most: u32) -> Result<Option<StoredSchedule>, StoreError> {
        let owner = Arc::clone(&self.owner);
        // First: a read that comes between this and the change would not see it.
        self.having().await?.insert(Owner::clone(&owner));
        self.data.carry_out(self.lane(), move |edit| set(edit, &owner, &new, now, most)).await
    }

    /// Returns whether the plugin may have schedules. Only the first question for any plugin reads the file.
    pub async fn may_be_there(&self) -> Result<bool, StoreError> {
        Ok(self.having().await?.contains(&*self.owner))
    }

    async fn having(&self) -> Result<MutexGuard<'_, BTreeSet<Owner>>, StoreError> {
        let read = || async { self.data.read(Lane::Host, having).await.map(Mutex::new) };
        let having = self.data.with_schedules.get_or_try_init(read).await?;
        Ok(having.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns all schedules, by name.
    pub async fn all(&self) -> Result<Vec<StoredSchedule>, StoreError> {
        let owner = Arc::clone(&self.owner);
        self.data.read(self.lane(), move |file| all(file, &owner)).await
    }

    /// Returns all schedules, by name, and the names that the owner paused and that the plugin has not set now.
    pub async fn all_and_unset(&self) -> Result<(Vec<StoredSchedule>, Vec<String>), StoreError> {
        let owner = Arc::clone(&self.owner);
        self.data.read(self.lane(), move |file| Ok((all(file, &owner)?, unset(file, &owner)?))).await
    }

    /// Ends a schedule. Returns false if there is none of this name.
    pub async fn cancel(&self, name: String) -> Result<bool, StoreError> {
        let owner = Arc::clone(&self.owner);
        self.data.carry_out(self.lane(), move |edit| cancel(edit, &owner, &name)).await
    }

    /// Notes the due time to deliver next, and the number of due times that were left out before it. Returns false if
    /// the schedule no longer exists.
    pub async fn begin(&self, id: i64, due: i64, left_out: u32) -> Result<bool, StoreError> {
        self.change(move |edit| Ok(edit.write(BEGIN, params![id, due, left_out])? > 0)).await
    }

    /// Notes that the due times until then are over without being told, and how many these were.
    pub async fn leave_out(&self, id: i64, over: i64, left_out: u32, is_last: bool) -> Result<(), StoreError> {
        if is_last {
            return self.data.carry_out(self.lane(), move |edit| end(edit, id)).await;
        }
        self.change(move |edit| edit.write(LEAVE_OUT, params![id, over, left_out]).map(drop)).await
    }

    /// Notes how an attempt to tell the present due time ended.
    pub async fn note(&self, id: i64, outcome: DueOutcome) -> Result<(), StoreError> {
        match outcome {
            DueOutcome::Again(attempts) => {
                self.change(move |edit| edit.write(AGAIN, params![id, attempts]).map(drop)).await
            }
            DueOutcome::Over { is_last: true, .. } => self.data.carry_out(self.lane(), move |edit| end(edit, id)).await,
            DueOutcome::Over { failed, is_last: false } => {
                self.change(move |edit| edit.write(OVER, params![id, failed]).map(drop)).await
            }
        }
    }

    /// Pauses a schedule, or resumes it from now. Returns false if there is none of this name, and none that is paused and
    /// not set.
    pub async fn pause(&self, name: String, is_paused: bool, now: i64) -> Result<bool, StoreError> {
        let owner = Arc::clone(&self.owner);
        self.data.carry_out(self.lane(), move |edit| pause(edit, &owner, &name, is_paused, now)).await
    }

    fn lane(&self) -> Lane {
        Lane::Progress(Arc::clone(&self.owner))
    }

    async fn change<R: Send + 'static>(
        &self,
        change: impl FnOnce(Once<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.data.carry_out_once(self.lane(), change).await
    }
}

fn set(
    edit: &Edit<'_>,
    owner: &Owner,
    new: &NewSchedule,
    now: i64,
    most: u32,
) -> rusqlite::Result<Option<StoredSchedule>> {
    let whose = (owner.account.as_str(), owner.plugin.as_str());
    let before = named(edit, owner, &new.name)?;
    if let Some(before) = &before {
        if before.timing == new.timing && before.catch_up == new.catch_up {
            return Ok(Some(before.clone()));
        }
        edit.write(END, params![before.id])?;
    } else {
        let count = "SELECT count(*) FROM schedule WHERE account = ?1 AND plugin = ?2";
        let count: i64 = edit.query_row(count, params![whose.0, whose.1], |row| row.get(0))?;
        if count >= i64::from(most) {
            return Ok(None);
        }
    }
    // The owner paused the name, so a new schedule with it is paused, too.
    let paused = before.is_some_and(|before| before.paused);
    let (kind, number, expression, zone) = new.timing.columns();
    let row = params![whose.0, whose.1, new.name, kind, number, expression, zone, new.catch_up, now, paused];
    edit.write(INSERT, row)?;
    named(edit, owner, &new.name)
}

fn cancel(edit: &Edit<'_>, owner: &Owner, name: &str) -> rusqlite::Result<bool> {
    let id = "SELECT id FROM schedule WHERE account = ?1 AND plugin = ?2 AND name = ?3 AND kind <> ?4";
    let whose = params![owner.account.as_str(), owner.plugin.as_str(), name, UNSET];
    let id: Option<i64> = edit.query_row(id, whose, |row| row.get(0)).optional()?;
    id.map_or(Ok(false), |id| end(edit, id).map(|()| true))
}

/// Ends a schedule. If the owner paused it, its name stays paused.
fn end(edit: &Edit<'_>, id: i64) -> rusqlite::Result<()> {
    let paused = "SELECT account, plugin, name, set_at FROM schedule WHERE id = ?1 AND paused";
    let paused: Option<(String, String, String, i64)> =
        edit.query_row(paused, [id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).optional()?;
    edit.write(END, params![id])?;
    if let Some((account, plugin, name, set_at)) = paused {
        edit.write(INSERT, params![account, plugin, name, UNSET, 0, "", "", 0, set_at, true])?;
    }
    Ok(())
}

fn pause(edit: &Edit<'_>, owner: &Owner, name: &str, is_paused: bool, now: i64) -> rusqlite::Result<bool> {
    let whose = (owner.account.as_str(), owner.plugin.as_str());
    let is_there = edit.write(PAUSE, params![whose.0, whose.1, name, is_paused, now])? > 0;
    if !is_paused {
        let unset = "SELECT id FROM schedule WHERE account = ?1 AND plugin = ?2 AND name = ?3 AND kind = ?4";
        let unset = edit.query_row(unset, params![whose.0, whose.1, name, UNSET], |row| row.get::<_, i64>(0));
        if let Some(id) = unset.optional()? {
            edit.write(END, params![id])?;
        }
    }
    Ok(is_there)
}

fn named(file: &Connection, owner: &Owner, name: &str) -> rusqlite::Result<Option<StoredSchedule>> {
    let query = format!("SELECT {COLUMNS} FROM schedule WHERE account = ?1 AND plugin = ?2 AND name = ?3");
    let whose = params![owner.account.as_str(), owner.plugin.as_str(), name];
    file.query_row(&query, whose, stored).optional()
}

fn all(file: &Connection, owner: &Owner) -> rusqlite::Result<Vec<StoredSchedule>> {
    let query =
        format!("SELECT {COLUMNS} FROM schedule WHERE account = ?1 AND plugin = ?2 AND kind <> ?3 ORDER BY name");
    let mut query = file.prepare_cached(&query)?;
    query.query_map(params![owner.account.as_str(), owner.plugin.as_str(), UNSET], stored)?.collect()
}

fn unset(file: &Connection, owner: &Owner) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT name FROM schedule WHERE account = ?1 AND plugin = ?2 AND kind = ?3";
    let whose = params![owner.account.as_str(), owner.plugin.as_str(), UNSET];
    file.prepare_cached(query)?.query_map(whose, |row| row.get(0))?.collect()
}

fn having(file: &Connection) -> rusqlite::Result<BTreeSet<Owner>> {
    let all = by_owner(file, "SELECT DISTINCT account, plugin FROM schedule", |_| Ok(()))?;
    Ok(all.into_keys().collect())
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredSchedule> {
    let (last, failed): (Option<i64>, bool) = (row.get(14)?, row.get(15)?);
    Ok(StoredSchedule {
        id: row.get(0)?,
        name: row.get(1)?,
        timing: StoredTiming::of(row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?),
        catch_up: row.get(6)?,
        set_at: row.get(7)?,
        over: row.get(8)?,
        due: row.get(9)?,
        attempts: row.get(10)?,
        missed: row.get(11)?,
        runs_from: row.get(12)?,
        paused: row.get(13)?,
        last: last.map(|due| LastDue { due, failed }),
    })
}

#[cfg(test)]
mod tests;
