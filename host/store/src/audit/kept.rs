//! The audit for commands, which open the file themselves while a host may be using it.

use std::path::{Path, PathBuf};

use super::shared::ANY_AGE;
use super::{
    AuditEntry, AuditQuery, Count, KeptTally, NewAuditEntry, PolicyChange, PolicyRow, Retention, add_all, durably,
    entries, now, path_in, policy, tallies,
};
use crate::edit::{Failure, StoreFile};
use crate::{DataError, NoLog, file};

/// The audit in a data folder.
#[derive(Debug)]
pub struct AuditFile {
    file: StoreFile,
    path: PathBuf,
    retention: Retention,
}

impl AuditFile {
    /// Opens the audit; returns `None` if nothing was ever stored in this data folder.
    pub fn open(data: &Path) -> Result<Option<Self>, DataError> {
        let path = path_in(data);
        match path.try_exists() {
            Ok(true) => Self::create(data, Retention::default()).map(Some),
            Ok(false) => Ok(None),
            Err(cause) => Err(DataError::unopened(path, &cause.into())),
        }
    }

    /// Opens the audit, or begins one. Nothing is removed by age: a command cannot tell whether the clock is right.
    pub fn create(data: &Path, retention: Retention) -> Result<Self, DataError> {
        let (path, retention) = (path_in(data), Retention { days: ANY_AGE, ..retention });
        match file::try_open(&path) {
            Ok(connection) => Ok(Self { file: StoreFile::new(connection, NoLog), path, retention }),
            Err(cause) => Err(DataError::unopened(path, &cause)),
        }
    }

    /// Adds entries. They are on disk when this returns.
    pub fn add(&mut self, all: &[NewAuditEntry]) -> Result<(), DataError> {
        let retention = self.retention;
        self.run(|file| durably(file, |edit| add_all(edit, now(), all, retention))).map(drop)
    }

    /// Returns the policy as the audit knows it, of one plugin.
    pub fn policy(&mut self, plugin: &str) -> Result<Vec<PolicyRow>, DataError> {
        self.run(|file| Ok(policy::read(file, Some(plugin))?))
    }

    /// Records changes of the policy. They are on disk when this returns.
    pub fn record(&mut self, changes: &[PolicyChange]) -> Result<(), DataError> {
        if changes.is_empty() {
            return Ok(());
        }
        let retention = self.retention;
        self.run(|file| durably(file, |edit| policy::record(edit, now(), changes, retention))).map(drop)
    }

    /// Returns entries, the oldest first.
    pub fn entries(&mut self, query: &AuditQuery) -> Result<Vec<AuditEntry>, DataError> {
        self.run(|file| Ok(entries::read(file, query)?))
    }

    /// Returns the counts of plugins from a moment on, to the day, and the tallies by name of one plugin.
    pub fn activity(
        &mut self,
        plugin: Option<&str>,
        account: Option<&str>,
        since: Option<i64>,
    ) -> Result<(Vec<Count>, Vec<KeptTally>), DataError> {
        self.run(|file| Ok(tallies::read(file, plugin, account, since)?))
    }

    fn run<R>(&mut self, job: impl FnOnce(&mut StoreFile) -> Result<R, Failure>) -> Result<R, DataError> {
        job(&mut self.file).map_err(|cause| DataError::File { path: self.path.clone(), cause: cause.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{AuditKind, By};
    use super::*;

    #[test]
    fn an_entry_is_there_when_the_file_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        assert!(AuditFile::open(folder.path()).unwrap().is_none());
        let entry = NewAuditEntry::new(AuditKind::Grant, &By::user(7, "parlor plugin grant"), "x");
        AuditFile::create(folder.path(), Retention::default()).unwrap().add(&[entry]).unwrap();
        let query = AuditQuery { most: 9, ..AuditQuery::default() };
        let kept = AuditFile::open(folder.path()).unwrap().unwrap().entries(&query).unwrap();
        let [kept] = &kept[..] else { panic!("{kept:?}") };
        assert_eq!(
            (kept.who.as_str(), kept.way.as_str(), kept.kind.as_str()),
            ("uid:7", "parlor plugin grant", "grant")
        );
    }
}
