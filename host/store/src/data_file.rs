//! The data of plugins for `parlor plugin data`, which opens the file itself.

mod account;
mod moving;

use std::path::{Path, PathBuf};

use jid::BareJid;
use jiff::Timestamp;
use parlor_base::id::PluginId;
use rusqlite::{Connection, params};

use super::change::{Owner, StoredValue};
use super::edit::StoreFile;
use super::error::DataError;
use super::{NoLog, file, forget};

pub use account::AccountFile;
#[cfg(test)]
pub(super) use moving::tests as tests_of_moving;
pub use moving::{Mark, Stage};
pub(super) use moving::{attached, replace};

/// Plugin data for `parlor plugin data`. It opens the file itself while a host may be using it.
#[derive(Debug)]
pub struct DataFile {
    file: StoreFile,
    path: PathBuf,
}

impl DataFile {
    /// Opens the file in this data folder; returns `None` if nothing was ever stored there.
    pub fn open(data: &Path) -> Result<Option<Self>, DataError> {
        let path = data.join(super::FILE);
        // If the folder cannot be searched, whether the file exists is unknown.
        match path.try_exists() {
            Ok(true) => Self::create(data).map(Some),
            Ok(false) => Ok(None),
            Err(cause) => Err(DataError::unopened(path, &cause.into())),
        }
    }

    /// Opens the file in this data folder, or creates it.
    pub fn create(data: &Path) -> Result<Self, DataError> {
        let path = data.join(super::FILE);
        match file::try_open(&path) {
            Ok(connection) => Ok(Self { file: StoreFile::new(connection, NoLog), path }),
            Err(cause) => Err(DataError::unopened(path, &cause)),
        }
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.file
    }

    fn failed(&self, cause: &dyn std::fmt::Display) -> DataError {
        DataError::File { path: self.path.clone(), cause: cause.to_string() }
    }

    /// Passes each entry of a plugin on an account to `with`, in key order, and stops at the first error that `with`
    /// returns.
    pub fn each<E>(
        &self,
        owner: &Owner,
        with: impl FnMut(StoredValue) -> Result<(), E>,
    ) -> Result<Result<(), E>, DataError> {
        each(&self.file, owner, with).map_err(|cause| self.failed(&cause))
    }

    /// Writes all entries or none, replacing entries with the same keys.
    pub fn import(&mut self, quota: u64, entries: Vec<(Owner, Vec<StoredValue>)>) -> Result<(), DataError> {
        let imported = self.file.change(|edit| forget::import(edit, quota, entries, now()));
        if imported.map_err(|cause| self.failed(&cause))? { Ok(()) } else { Err(DataError::TooMuch(quota)) }
    }

    /// Returns whether a plugin stores anything, on any account.
    pub fn keeps(&self, plugin: &PluginId) -> Result<bool, DataError> {
        let any = "SELECT EXISTS (SELECT 1 FROM plugin_data WHERE plugin = ?1)";
        let found = self.file.query_row(any, [plugin.as_str()], |row| row.get(0));
        found.map_err(|cause| self.failed(&cause))
    }

    /// Removes all that is kept for an account but the audit.
    pub fn forget_account(&mut self, account: &BareJid) -> Result<(), DataError> {
        forget_account(self.file.unrecorded(), account.as_str()).map_err(|cause| self.failed(&cause))
    }

    /// Removes all data of a plugin, on every account.
    pub fn forget(&mut self, plugin: &PluginId) -> Result<(), DataError> {
        forget(self.file.unrecorded(), plugin).map_err(|cause| self.failed(&cause))
    }
}

fn each<E>(
    file: &Connection,
    owner: &Owner,
    mut with: impl FnMut(StoredValue) -> Result<(), E>,
) -> rusqlite::Result<Result<(), E>> {
    let mut statement = file.prepare_cached(
        "SELECT key, value, expires FROM plugin_data
         WHERE account = ?1 AND plugin = ?2 AND (expires IS NULL OR expires > ?3) ORDER BY key",
    )?;
    let mut rows = statement.query(params![owner.account.as_str(), owner.plugin.as_str(), now()])?;
    while let Some(row) = rows.next()? {
        if let Err(error) = with(StoredValue { key: row.get(0)?, value: row.get(1)?, expires: row.get(2)? }) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

fn forget_account(file: &mut Connection, account: &str) -> rusqlite::Result<()> {
    let change = file.transaction()?;
    // The audit names accounts in its own way, and nothing of it is removed on demand.
    let of_accounts = "SELECT one.name FROM sqlite_schema AS one JOIN pragma_table_info(one.name) AS field \
                       WHERE one.type = 'table' AND field.name = 'account' AND one.name NOT LIKE 'audit%'";
    let tables: Vec<String> = {
        let mut select = change.prepare_cached(of_accounts)?;
        select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
    };
    for table in tables {
        change.execute(&format!("DELETE FROM \"{table}\" WHERE account = ?1"), [account])?;
    }
    change.commit()
}

fn forget(file: &mut Connection, plugin: &PluginId) -> rusqlite::Result<()> {
    let change = file.transaction()?;
    for (table, _) in forget::TABLES {
        change.execute(&format!("DELETE FROM {table} WHERE plugin = ?1"), [plugin.as_str()])?;
    }
    change.commit()
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_cannot_be_looked_into_is_not_taken_for_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(DataFile::open(folder.path()).unwrap().is_none());
        assert!(DataFile::open(&folder.path().join("none")).unwrap().is_none());
        // A link to itself cannot be opened, not even by root.
        let data = folder.path().join("data");
        std::os::unix::fs::symlink("data", &data).unwrap();
        let error = DataFile::open(&data).unwrap_err().to_string();
        assert!(error.contains("data/parlor.db cannot be used ("), "{error}");
    }

    #[test]
    fn what_is_kept_for_an_account_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let owner = |account: &str| Owner { account: account.parse().unwrap(), plugin: "echo".parse().unwrap() };
        let value = || vec![StoredValue { key: "k".to_owned(), value: b"v".to_vec(), expires: None }];
        let mut file = DataFile::create(folder.path()).unwrap();
        file.import(1_000, vec![(owner("a@b.example"), value()), (owner("c@b.example"), value())]).unwrap();
        file.file.execute("INSERT INTO otr_account VALUES ('a@b.example', x'00')", []).unwrap();
        file.forget_account(&"a@b.example".parse().unwrap()).unwrap();
        let kept = |account: &str| {
            let mut count = 0;
            file.each(&owner(account), |_| {
                count += 1;
                Ok::<_, std::convert::Infallible>(())
            })
            .unwrap()
            .unwrap();
            count
        };
        assert_eq!((kept("a@b.example"), kept("c@b.example")), (0, 1));
        let keys: i64 = file.file.query_row("SELECT count(*) FROM otr_account", [], |row| row.get(0)).unwrap();
        assert_eq!(keys, 0);
    }

    /// The query must use an index, and not scan all data of the plugin.
    #[test]
    fn what_has_expired_is_found_without_looking_at_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let file = DataFile::create(folder.path()).unwrap();
        let gone = "SELECT key FROM plugin_data
                    WHERE account = 'a' AND plugin = 'b' AND expires <= 7 ORDER BY expires LIMIT 9";
        let plan: String =
            file.file.query_row(&format!("EXPLAIN QUERY PLAN {gone}"), [], |row| row.get("detail")).unwrap();
        assert!(plan.contains("plugin_data_expires"), "{plan}");
    }

    #[test]
    fn an_import_waits_for_who_writes_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = DataFile::create(folder.path()).unwrap();
        let other = Connection::open(folder.path().join(super::super::FILE)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE; INSERT INTO roster_version VALUES ('a@b.example', 'v1')").unwrap();
        let commit = move |_| other.execute_batch("COMMIT").is_ok();
        file.file.unrecorded().busy_handler(Some(commit)).unwrap();
        let owner = Owner { account: "bot@example.org".parse().unwrap(), plugin: "a".parse().unwrap() };
        let kept = StoredValue { key: "k".to_owned(), value: b"x".to_vec(), expires: None };
        file.import(1 << 20, vec![(owner, vec![kept])]).unwrap();
        assert!(file.keeps(&"a".parse().unwrap()).unwrap());
    }
}
