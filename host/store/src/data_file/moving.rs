//! Moves all that is kept for an account between the host's own file and the account's file of a cluster.
//!
//! A mark in the host's file says how far an account has come. It is written before anything that the other side could see, so that a
//! command that was killed can be run again, and so that the host does not run an account that may run elsewhere: a state of OMEMO
//! that goes on at two places uses keys of messages twice.

use std::collections::BTreeMap;
use std::path::Path;

use jid::BareJid;
use rusqlite::{Connection, OptionalExtension, params};

use super::DataFile;
use crate::accounts::{Accounts, LARGEST_SNAPSHOT, Replica, check};
use crate::backup::{columns, quoted};
use crate::error::DataError;
use crate::log::LogPosition;
use crate::marks::MARKS;
use crate::reader::open_to_read;
use crate::{file, place};

/// The tables whose rows have numbers that all accounts of a file share.
const NUMBERED: [&str; 2] = ["schedule", "webhook_request"];
/// The name of the other file while it is attached.
const OTHER: &str = "other";

/// How far an account has come on its way into a cluster or out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The file has all of the account, and so may the cluster.
    Leaving,
    /// The cluster alone has the account.
    Left,
    /// The cluster has all of the account, and the file nothing that counts.
    Coming,
    /// The file has all of the account. The cluster does not run it any more.
    Came,
}

impl Stage {
    const ALL: [Self; 4] = [Self::Leaving, Self::Left, Self::Coming, Self::Came];

    fn as_str(self) -> &'static str {
        match self {
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Coming => "coming",
            Self::Came => "came",
        }
    }

    /// Returns whether a host without a cluster may run the account.
    pub fn may_run(self) -> bool {
        self == Self::Came
    }
}

/// The note in the file about an account that moves, or has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// How far it has come.
    pub stage: Stage,
    /// The name of the cluster.
    pub cluster: String,
    /// The name of this move, which the cluster has as well.
    pub mark: String,
}

impl DataFile {
    /// Returns the accounts that move or have moved.
    pub fn marks(&self) -> Result<BTreeMap<BareJid, Mark>, DataError> {
        let all = || {
            let mut select = self.file.prepare(&format!("SELECT account, stage, cluster, mark FROM {MARKS}"))?;
            select.query_map([], read_mark)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        let all = all().map_err(|cause| self.failed(&cause))?;
        // Only another program writes an invalid address.
        Ok(all.into_iter().filter_map(|(account, mark)| Some((account.parse().ok()?, mark))).collect())
    }

    /// Returns the mark of an account.
    pub fn mark(&self, account: &BareJid) -> Result<Option<Mark>, DataError> {
        let select = format!("SELECT account, stage, cluster, mark FROM {MARKS} WHERE account = ?1");
        let found = self.file.query_row(&select, [account.as_str()], read_mark).optional();
        Ok(found.map_err(|cause| self.failed(&cause))?.map(|(_, mark)| mark))
    }

    /// Writes the mark of an account, or removes it. It is on the disk on return.
    pub fn set_mark(&mut self, account: &BareJid, mark: Option<&Mark>) -> Result<(), DataError> {
        self.durably(|file| {
            let change = file.transaction()?;
            put_mark(&change, account, mark)?;
            change.commit()
        })
    }

    /// Returns how many rows there are of an account.
    pub fn rows_of(&self, account: &BareJid) -> Result<u64, DataError> {
        let count = || -> rusqlite::Result<u64> {
            let mut sum = 0;
            for table in tables(&self.file)? {
                let count = format!("SELECT count(*) FROM main.\"{table}\" WHERE account = ?1");
                let found: i64 = self.file.query_row(&count, [account.as_str()], |row| row.get(0))?;
                sum += u64::try_from(found).unwrap_or(0);
            }
            Ok(sum)
        };
        count().map_err(|cause| self.failed(&cause))
    }

    /// Returns whether there are any.
    pub fn has_rows_of(&self, account: &BareJid) -> Result<bool, DataError> {
        let look = || -> rusqlite::Result<bool> {
            for table in tables(&self.file)? {
                let any = format!("SELECT EXISTS (SELECT 1 FROM main.\"{table}\" WHERE account = ?1)");
                if self.file.query_row(&any, [account.as_str()], |row| row.get(0))? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        look().map_err(|cause| self.failed(&cause))
    }

    /// Returns a snapshot of an account: its file, as it is in a cluster after the record at this place.
    pub fn snapshot_for(
        &mut self,
        accounts: &Accounts,
        account: &BareJid,
        position: LogPosition,
    ) -> Result<Vec<u8>, DataError> {
        let to = accounts.draft(account);
        let made = self.write_account(&to, account, position);
        let read = made.and_then(|()| std::fs::read(&to).map_err(|cause| self.failed(&cause)));
        // If it stays, the next process removes it.
        let _ = file::remove(&to);
        read
    }

    /// Notes that the cluster alone has the account, and removes all that is kept of it here but the audit.
    pub fn leave(&mut self, account: &BareJid, mark: &Mark) -> Result<(), DataError> {
        self.durably(|file| {
            // Keys must not stay in pages that are free now.
            file.pragma_update_and_check(None, "secure_delete", "on", |_| Ok(()))?;
            let change = file.transaction()?;
            forget(&change, account)?;
            put_mark(&change, account, Some(mark))?;
            change.commit()?;
            file.pragma_update_and_check(None, "secure_delete", "fast", |_| Ok(()))?;
            // The log next to the file has them as well.
            file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        })
    }

    /// Takes in all of an account from its file of a cluster, in place of what is kept of it here, and sets the mark. Returns how many rows
    /// came.
    pub fn take_in(&mut self, account: &BareJid, from: Replica, mark: &Mark) -> Result<u64, DataError> {
        let from = from.into_file();
        let path = from.path().canonicalize().map_err(|cause| self.failed(&cause))?;
        let name = path.to_str().ok_or_else(|| self.failed(&"the path of the account's file is no text"))?;
        self.durably(|file| {
            attached(file, name, |file| {
                let change = file.transaction()?;
                let came = replace(&change, account, &[])?;
                put_mark(&change, account, Some(mark))?;
                change.commit()?;
                Ok(came)
            })
        })
    }

    /// Makes a change that survives a loss of power.
    fn durably<R>(&mut self, with: impl FnOnce(&mut Connection) -> rusqlite::Result<R>) -> Result<R, DataError> {
        let file = self.file.unrecorded();
        let made = (|| {
            file.pragma_update(None, "synchronous", "full")?;
            let made = with(file);
            file.pragma_update(None, "synchronous", "normal")?;
            made
        })();
        made.map_err(|cause| self.failed(&cause))
    }

    fn write_account(&mut self, to: &Path, account: &BareJid, position: LogPosition) -> Result<(), DataError> {
        let unfit =
            |path: &Path, cause: file::Unfit| DataError::File { path: path.to_owned(), cause: cause.to_string() };
        file::remove(to).map_err(|cause| unfit(to, cause.into()))?;
        let other = file::try_open_logged(to).map_err(|cause| unfit(to, cause))?;
        // One file, so that it can be read as a whole.
        let single = other.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()));
        single.and_then(|()| place::set(&other, position)).map_err(|cause| unfit(to, cause.into()))?;
        drop(other);
        let name = to.canonicalize().map_err(|cause| unfit(to, cause.into()))?;
        let name = name.to_str().ok_or_else(|| self.failed(&"the path of the data folder is no text"))?;
        let copied = attached(self.file.unrecorded(), name, |file| {
            let change = file.transaction()?;
            copy(&change, "main", OTHER, account, &[])?;
            change.commit()
        });
        copied.map_err(|cause| self.failed(&cause))?;
        let made = open_to_read(to).map_err(file::Unfit::from).and_then(|made| check(&made, LARGEST_SNAPSHOT));
        made.map_err(|cause| unfit(to, cause))
    }
}

fn read_mark(row: &rusqlite::Row<'_>) -> rusqlite::Result<(String, Mark)> {
    let stage: String = row.get(1)?;
    // A stage that a newer parlor wrote: the account may be anywhere.
    let stage = Stage::ALL.into_iter().find(|one| one.as_str() == stage).unwrap_or(Stage::Left);
    Ok((row.get(0)?, Mark { stage, cluster: row.get(2)?, mark: row.get(3)? }))
}

fn put_mark(file: &Connection, account: &BareJid, mark: Option<&Mark>) -> rusqlite::Result<()> {
    let Some(Mark { stage, cluster, mark }) = mark else {
        return file.execute(&format!("DELETE FROM {MARKS} WHERE account = ?1"), [account.as_str()]).map(drop);
    };
    let put = format!("INSERT OR REPLACE INTO {MARKS} VALUES (?1, ?2, ?3, ?4)");
    file.execute(&put, params![account.as_str(), stage.as_str(), cluster, mark]).map(drop)
}

/// Returns the tables with rows of accounts. The audit names accounts in its own way, and stays where it was written.
fn tables(file: &Connection) -> rusqlite::Result<Vec<String>> {
    let of_accounts = "SELECT one.name FROM main.sqlite_schema AS one JOIN pragma_table_info(one.name) AS field
                       WHERE one.type = 'table' AND field.name = 'account' AND one.name NOT LIKE 'audit%' AND one.name <> ?1
                       ORDER BY one.name";
    file.prepare_cached(of_accounts)?.query_map([MARKS], |row| row.get(0))?.collect()
}

/// Replaces all that a file has of an account by what the attached one has, but for the rows of some tables. Returns how many rows came. The
/// account has no mark then.
pub(crate) fn replace(file: &Connection, account: &BareJid, but: &[&str]) -> rusqlite::Result<u64> {
    forget(file, account)?;
    put_mark(file, account, None)?;
    copy(file, OTHER, "main", account, but)
}

fn forget(file: &Connection, account: &BareJid) -> rusqlite::Result<()> {
    for table in tables(file)? {
        file.execute(&format!("DELETE FROM main.\"{table}\" WHERE account = ?1"), [account.as_str()])?;
    }
    Ok(())
}

/// Does something while another file is attached.
pub(crate) fn attached<R>(
    file: &mut Connection,
    name: &str,
    with: impl FnOnce(&mut Connection) -> rusqlite::Result<R>,
) -> rusqlite::Result<R> {
    file.execute(&format!("ATTACH DATABASE ?1 AS {OTHER}"), [name])?;
    let done = with(file);
    let detached = file.execute_batch(&format!("DETACH DATABASE {OTHER}"));
    done.and_then(|done| detached.map(|()| done))
}

/// Copies the rows of an account from one file to the other, which has none of them, but for those of some tables.
fn copy(file: &Connection, from: &str, to: &str, account: &BareJid, but: &[&str]) -> rusqlite::Result<u64> {
    let mut came = 0;
    for table in tables(file)?.into_iter().filter(|table| !but.contains(&table.as_str())) {
        let present = columns(file, from, &table)?;
        let shared: Vec<_> = columns(file, to, &table)?.into_iter().filter(|name| present.contains(name)).collect();
        let is_numbered = NUMBERED.contains(&table.as_str());
        let offset = if is_numbered { offset(file, from, to, &table, account)? } else { 0 };
        let chosen = shared.iter().map(|name| match name.as_str() {
            "id" if is_numbered => format!("id + {offset}"),
            _ => format!("\"{name}\""),
        });
        let (names, chosen) = (quoted(&shared), chosen.collect::<Vec<_>>().join(", "));
        let copy = format!(
            "INSERT INTO {to}.\"{table}\" ({names}) SELECT {chosen} FROM {from}.\"{table}\" WHERE account = ?1"
        );
        came += file.execute(&copy, [account.as_str()])? as u64;
        if is_numbered && offset == 0 {
            // Numbers that were given are never given again.
            let last = last_number(file, from, &table)?.max(last_number(file, to, &table)?);
            file.execute(&format!("DELETE FROM {to}.sqlite_sequence WHERE name = ?1"), [&table])?;
            file.execute(
                &format!("INSERT INTO {to}.sqlite_sequence (name, seq) VALUES (?1, ?2)"),
                params![table, last],
            )?;
        }
    }
    Ok(came)
}

/// Returns what is added to the numbers of rows, so that they are not those of other accounts. They keep their order.
fn offset(file: &Connection, from: &str, to: &str, table: &str, account: &BareJid) -> rusqlite::Result<i64> {
    let taken = format!(
        "SELECT EXISTS (SELECT 1 FROM {from}.\"{table}\" AS one JOIN {to}.\"{table}\" AS other USING (id) WHERE one.account = ?1)"
    );
    let is_taken: bool = file.query_row(&taken, [account.as_str()], |row| row.get(0))?;
    if is_taken { last_number(file, to, table) } else { Ok(0) }
}

fn last_number(file: &Connection, of: &str, table: &str) -> rusqlite::Result<i64> {
    let last = format!("SELECT seq FROM {of}.sqlite_sequence WHERE name = ?1");
    Ok(file.query_row(&last, [table], |row| row.get(0)).optional()?.unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod tests;
