//! Changes of the file. Each goes through an [`Edit`], so that a log can have it as the statements that were executed.
//!
//! Statements are numbered constants, since a record names them by number. They use no time, no randomness and no other state
//! than the file's: executed on a copy of the file, they do the same.
//!
//! Without a log nothing is recorded, and nothing is allocated for it.

use std::cell::{Cell, RefCell};
use std::ops::Deref;

use rusqlite::{Connection, Row, ToSql, ffi};

use super::health;
use super::log::{Log, LogError};
use super::record::{RecordError, Recording};

/// A statement that changes the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Statement {
    /// Its number in records.
    pub(super) number: u16,
    pub(super) text: &'static str,
}

impl Statement {
    /// Numbers a statement. `replay` lists them all: a number is used once, and its text never changes.
    pub(super) const fn new(number: u16, text: &'static str) -> Self {
        Self { number, text }
    }
}

/// The reason that a change was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    File(#[from] rusqlite::Error),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Failure {
    /// Copies a failure for each waiting caller.
    pub(super) fn copy(&self) -> Self {
        match self {
            Self::File(error) => Self::File(health::copy(error)),
            Self::Log(error) => Self::Log(*error),
        }
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        Self::File(error.into())
    }
}

/// The file with its log, as its only writer has it. It can be read as a connection.
#[derive(Debug)]
pub(super) struct StoreFile {
    connection: Connection,
    logged: Option<Logged>,
}

/// The log of a file.
#[derive(Debug)]
struct Logged {
    log: Box<dyn Log>,
    recorder: Recorder,
    /// Why no further change is made: the file may lack one that the log has.
    over: Option<LogError>,
}

/// What is recorded of the change that is being made.
#[derive(Debug, Default)]
struct Recorder {
    recording: RefCell<Recording>,
    /// The number of rows that were changed by writes through the edit, also by those that were undone.
    rows: Cell<u64>,
}

impl StoreFile {
    /// Opens a file with its log.
    pub(super) fn new(connection: Connection, log: impl Log) -> Self {
        let logged =
            log.wants_records().then(|| Logged { log: Box::new(log), recorder: Recorder::default(), over: None });
        Self { connection, logged }
    }

    /// Returns whether a log has the changes of the file.
    pub(super) fn is_logged(&self) -> bool {
        self.logged.is_some()
    }

    /// Returns the connection, for changes that no log may have: those that come from it, and those of commands that open the
    /// file themselves.
    pub(super) fn unrecorded(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Makes a change: whole, or not at all if it fails.
    pub(super) fn change<R>(&mut self, with: impl FnOnce(&Edit<'_>) -> rusqlite::Result<R>) -> Result<R, Failure> {
        let Self { connection, logged } = self;
        let Some(logged) = logged else {
            let transaction = connection.transaction()?;
            let made = with(&Edit { file: &transaction, recorder: None })?;
            transaction.commit()?;
            return Ok(made);
        };
        if let Some(error) = logged.over {
            return Err(error.into());
        }
        let transaction = connection.transaction()?;
        let before = transaction.total_changes();
        logged.recorder.begin();
        let made = with(&Edit { file: &transaction, recorder: Some(&logged.recorder) })?;
        // Otherwise other nodes would miss it, and nobody would notice.
        if transaction.total_changes() - before != logged.recorder.rows.get() {
            return Err(RecordError::Unrecorded.into());
        }
        // After some errors, such as a full disk, SQLite has undone everything.
        if transaction.is_autocommit() {
            let aborted = ffi::Error::new(ffi::SQLITE_ABORT);
            return Err(rusqlite::Error::SqliteFailure(aborted, Some("the change was undone".to_owned())).into());
        }
        let Some(record) = logged.recorder.recording.get_mut().take() else {
            transaction.commit()?;
            return Ok(made);
        };
        // Nobody else uses this file meanwhile, and readers have their own connection.
        let is_there = logged.log.publish(record).blocking_recv().unwrap_or(Err(LogError::Ended));
        is_there.inspect_err(|error| logged.over = Some(*error))?;
        // The log has the change now. If the file does not get it, it must be taken from the log.
        transaction.commit().inspect_err(|_| logged.over = Some(LogError::Ended))?;
        Ok(made)
    }

    /// Makes a change with one write at most. Without a log, the write needs no transaction: it is whole by itself.
    pub(super) fn change_once<R>(&mut self, with: impl FnOnce(Once<'_>) -> rusqlite::Result<R>) -> Result<R, Failure> {
        if self.is_logged() {
            return self.change(|edit| with(Once(*edit)));
        }
        Ok(with(Once(Edit { file: &self.connection, recorder: None }))?)
    }
}

impl Deref for StoreFile {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Recorder {
    fn begin(&self) {
        self.recording.borrow_mut().clear();
        self.rows.set(0);
    }
}

/// A change that is being made. It can be read as a connection, but is written with its own calls alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edit<'f> {
    file: &'f Connection,
    recorder: Option<&'f Recorder>,
}

impl<'f> Edit<'f> {
    /// Changes a file without a log, and without a transaction.
    #[cfg(test)]
    pub(super) fn on(file: &'f Connection) -> Self {
        Self { file, recorder: None }
    }

    /// Executes a statement, and returns the number of rows that it changed.
    pub(super) fn write(&self, statement: Statement, parameters: &[&dyn ToSql]) -> rusqlite::Result<usize> {
        self.writing(statement)?.write(parameters)
    }

    /// Prepares a statement that is executed several times.
    pub(super) fn writing(&self, statement: Statement) -> rusqlite::Result<Writing<'f>> {
        Ok(Writing { prepared: self.file.prepare(statement.text)?, number: statement.number, edit: *self })
    }

    /// Executes a statement, and passes on each row that it returns.
    pub(super) fn returning(
        &self,
        statement: Statement,
        parameters: &[&dyn ToSql],
        mut with: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let mut prepared = self.file.prepare(statement.text)?;
        let before = self.rows();
        // SQLite makes all changes before it returns the first row, and counts them after the last.
        let mut is_done = false;
        let mut each = || -> rusqlite::Result<()> {
            let mut rows = prepared.query(parameters)?;
            while let Some(row) = rows.next()? {
                is_done = true;
                with(row)?;
            }
            is_done = true;
            Ok(())
        };
        let result = each();
        self.record(before, is_done, statement.number, parameters)?;
        result
    }

    /// Makes a part of the change: whole, or not at all if it fails. The outer error is that of the file, after which the
    /// whole change fails.
    pub(super) fn part<R, E>(&self, with: impl FnOnce(&Self) -> Result<R, E>) -> rusqlite::Result<Result<R, E>> {
        let mark = self.recorder.map(|recorder| recorder.recording.borrow().mark());
        self.file.execute_batch("SAVEPOINT part")?;
        let made = with(self);
        if made.is_err() {
            self.file.execute_batch("ROLLBACK TO part")?;
            if let Some((recorder, mark)) = self.recorder.zip(mark) {
                recorder.recording.borrow_mut().cut(mark);
            }
        }
        self.file.execute_batch("RELEASE part")?;
        Ok(made)
    }

    /// Returns the number of rows that were ever changed, if that is asked for.
    fn rows(&self) -> u64 {
        self.recorder.map_or(0, |_| self.file.total_changes())
    }

    /// Records a write that was executed when `before` rows had been changed.
    fn record(&self, before: u64, is_done: bool, number: u16, parameters: &[&dyn ToSql]) -> rusqlite::Result<()> {
        let Some(recorder) = self.recorder else { return Ok(()) };
        recorder.rows.update(|rows| rows + (self.rows() - before));
        if is_done { recorder.recording.borrow_mut().add(number, parameters) } else { Ok(()) }
    }
}

impl Deref for Edit<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.file
    }
}

/// A statement of a change that is executed several times.
#[derive(Debug)]
pub(super) struct Writing<'f> {
    prepared: rusqlite::Statement<'f>,
    number: u16,
    edit: Edit<'f>,
}

impl Writing<'_> {
    /// Executes it, and returns the number of rows that it changed.
    pub(super) fn write(&mut self, parameters: &[&dyn ToSql]) -> rusqlite::Result<usize> {
        let Self { prepared, number, edit } = self;
        let before = edit.rows();
        let result = prepared.execute(parameters);
        edit.record(before, result.is_ok(), *number, parameters)?;
        result
    }
}

/// A change of one write.
#[derive(Debug)]
pub(super) struct Once<'f>(Edit<'f>);

impl Once<'_> {
    /// Executes the write, and returns the number of rows that it changed.
    pub(super) fn write(self, statement: Statement, parameters: &[&dyn ToSql]) -> rusqlite::Result<usize> {
        self.0.write(statement, parameters)
    }
}

#[cfg(test)]
mod tests;
