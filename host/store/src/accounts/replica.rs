//! The file of an account before it is written to: it takes in what the log has.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rusqlite::Connection;

use super::{Accounts, Claim, stopped, task};
use crate::file::{self, Unfit};
use crate::log::{Log, LogPosition};
use crate::replay::{ReplayError, replay_at};
use crate::{OpenError, Store, StoreError, place};

/// Ends the name of a snapshot that was fetched, until it takes the place of the file.
pub(super) const FETCHED: &str = ".fetched";

/// The file of an account that takes in the records that its log has, in their order.
///
/// A step that fails closes the file as it was before. The records of earlier steps stay, so the next attempt goes on from there.
#[derive(Debug)]
pub struct Replica {
    connection: Connection,
    position: LogPosition,
    // After the connection: the next holder waits until the file is closed.
    claim: Claim,
    accounts: Accounts,
}

/// The file of an account that is closed, and that nobody opens.
#[derive(Debug)]
pub(crate) struct ClosedFile(Claim);

impl ClosedFile {
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }
}

impl Replica {
    /// Opens the file of this claim, or creates it.
    pub(super) fn open(accounts: Accounts, claim: Claim) -> Result<Self, OpenError> {
        let connection = file::open_logged(&claim.path)?;
        let position =
            place::of(&connection).map_err(|cause| OpenError::new(claim.path.clone(), Unfit::Sqlite(cause)))?;
        Ok(Self { connection, position, claim, accounts })
    }

    /// Returns the place of the last record that the file has.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// Applies a record: whole, or not at all. A record that the file has already is refused.
    pub async fn apply(mut self, position: LogPosition, record: Vec<u8>) -> Result<Self, ReplayError> {
        if !position.follows(self.position) {
            return Err(ReplayError::Order { found: position.number, last: self.position.number });
        }
        let accounts = self.accounts.clone();
        let applied = accounts.blocking(move || {
            match replay_at(&mut self.connection, position, &record) {
                Ok(applied) => applied?,
                Err(cause) => return Err(StoreError::File { path: self.claim.path.clone(), cause }.into()),
            }
            self.position = position;
            Ok(self)
        });
        applied.await.unwrap_or(Err(ReplayError::Store(StoreError::Ended)))
    }

    /// Replaces the file by a snapshot, which [`Accounts::snapshot`] made on some node. A file that has more is kept beside it.
    pub async fn restore(self, state: Vec<u8>) -> Result<Self, OpenError> {
        let (accounts, path) = (self.accounts.clone(), self.claim.path.clone());
        let restored = accounts.blocking(move || {
            let Self { connection, position, claim, accounts } = self;
            let fetched = file::beside(&claim.path, FETCHED);
            let is_put = write(&fetched, &state).map_err(Unfit::Io).and_then(|()| check(&fetched));
            drop(connection);
            let is_put = is_put.and_then(|needed| {
                clear(&claim.path, position, needed)?;
                Ok(std::fs::rename(&fetched, &claim.path)?)
            });
            if let Err(cause) = is_put {
                // If it stays, the next attempt replaces it, or the next process removes it.
                let _ = file::remove(&fetched);
                return Err(OpenError::new(fetched, cause));
            }
            Self::open(accounts, claim)
        });
        restored.await.unwrap_or_else(|| Err(stopped(path)))
    }

    /// Replaces the file by an empty one, if it does not have what the log has. A file that has more than the record `needed` is kept
    /// beside it.
    pub async fn begin_anew(self, needed: LogPosition) -> Result<Self, OpenError> {
        let (accounts, path) = (self.accounts.clone(), self.claim.path.clone());
        let begun = accounts.blocking(move || {
            let Self { connection, position, claim, accounts } = self;
            drop(connection);
            let is_clear = clear(&claim.path, position, needed);
            is_clear.map_err(|cause| OpenError::new(claim.path.clone(), Unfit::Io(cause)))?;
            Self::open(accounts, claim)
        });
        begun.await.unwrap_or_else(|| Err(stopped(path)))
    }

    /// Closes the file, so that others can read it. Nobody opens it until that is dropped.
    pub(crate) fn into_file(self) -> ClosedFile {
        // Its last connection puts all into the one file.
        drop(self.connection);
        ClosedFile(self.claim)
    }

    /// Begins to serve the account. From now on, the file changes only with what this log has.
    pub fn start(self, log: impl Log) -> Store {
        let Self { connection, position: _, claim, accounts } = self;
        task::start(&accounts, claim, connection, log)
    }
}

/// Makes room for a file that has all up to the record `needed`. A file that has more is moved out of the way: the log has lost
/// records, so nothing else may have these changes.
fn clear(path: &Path, has: LogPosition, needed: LogPosition) -> std::io::Result<()> {
    if has.number > needed.number {
        file::set_aside(path, "its log has lost changes that it has");
        if path.exists() {
            return Err(std::io::Error::other(
                "it has changes that its log has lost, and cannot be moved out of the way",
            ));
        }
    }
    file::remove(path)
}

/// Writes a file that only its owner can read.
fn write(path: &Path, state: &[u8]) -> std::io::Result<()> {
    file::remove(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(state)?;
    // After a loss of power, SQLite would take what is not on the disk for values of zeros.
    file.sync_all()
}

/// Checks a snapshot: it must be intact, of a version that this parlor knows, and do nothing by itself. Returns the last record that
/// it has.
fn check(path: &Path) -> Result<LogPosition, Unfit> {
    let connection = file::try_open_logged(path)?;
    let strange = |what: &str| Err(Unfit::Snapshot(what.to_owned()));
    let state: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if state != "ok" {
        return strange(&state);
    }
    if file::programs(&connection)? != file::programs(&file::in_memory())? {
        return strange("it has triggers or views that parlor does not make");
    }
    let position = place::of(&connection)?;
    if position == LogPosition::default() {
        return strange("it does not say up to which record it goes");
    }
    // Everything has to be in this one file when it is renamed.
    connection.close().map_err(|(_, error)| error)?;
    Ok(position)
}
