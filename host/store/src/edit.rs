//! Changes of the file. Each goes through an [`Edit`], so that a log can have it as the statements that were executed.
//!
//! Statements are numbered constants, since a record names them by number. They use no time, no randomness and no other state
//! than the file's: executed on a copy of the file, they do the same.
//!
//! Without a log nothing is recorded, and nothing is allocated for it.
//!
//! With a log, a change is executed and then *pending*: its transaction stays open until the log has answered. Only then is
//! it committed, and only then does its caller get an answer. The thread does not wait meanwhile, so that it can serve
//! other files.

use std::cell::{Cell, RefCell};
use std::ops::Deref;

use rusqlite::{Connection, Row, ToSql, ffi};

use super::health::{self, Health};
use super::log::{Log, LogError, LogPosition, Receipt};
use super::place;
use super::record::{Record, RecordError, Recording};

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
    logged: Option<Box<Logged>>,
}

/// The log of a file.
#[derive(Debug)]
struct Logged {
    log: Box<dyn Log>,
    recorder: Recorder,
    /// The change that the log has not answered for.
    pending: Option<Pending>,
    /// Why no further change is made: the file may lack one that the log has.
    over: Option<LogError>,
}

/// A change that is executed, and is committed once the log has it.
struct Pending {
    receipt: Receipt,
    /// Tells the outcome to the caller of the change.
    conclusion: Option<Conclusion>,
}

type Conclusion = Box<dyn FnOnce(Result<(), Failure>) -> Health + Send>;

/// Records the change that is being made.
#[derive(Debug, Default)]
struct Recorder {
    recording: RefCell<Recording>,
    /// The number of rows that were changed by writes through the edit, also by those that were undone.
    rows: Cell<u64>,
}

impl StoreFile {
    /// Opens a file with its log.
    pub(super) fn new(connection: Connection, log: impl Log) -> Self {
        let logged = log
            .wants_records()
            .then(|| Box::new(Logged { log: Box::new(log), recorder: Recorder::default(), pending: None, over: None }));
        Self { connection, logged }
    }

    /// Returns the connection, for changes that no log may have: those of commands that open the file themselves.
    pub(super) fn unrecorded(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Returns why no further change is made, if that is so.
    pub(super) fn over(&self) -> Option<LogError> {
        self.logged.as_ref()?.over
    }

    /// Returns the connection for a read. A file that lacks changes of its log must not be believed.
    pub(super) fn readable(&self) -> Result<&Connection, LogError> {
        self.over().map_or(Ok(&self.connection), Err)
    }

    /// Makes a change: whole, or not at all if it fails.
    ///
    /// With a log, the change is pending then, and its outcome must not be told except through
    /// [`conclude`](Self::conclude). No other change can be made before it is [settled](Self::settle).
    pub(super) fn change<R>(&mut self, with: impl FnOnce(&Edit<'_>) -> rusqlite::Result<R>) -> Result<R, Failure> {
        let Self { connection, logged } = self;
        if let Some(logged) = logged {
            return logged.change(connection, with);
        }
        let transaction = connection.transaction()?;
        let made = with(&Edit { file: &transaction, recorder: None })?;
        transaction.commit()?;
        Ok(made)
    }

    /// Makes a change with one write at most. Without a log, the write needs no transaction: it is whole by itself.
    pub(super) fn change_once<R>(&mut self, with: impl FnOnce(Once<'_>) -> rusqlite::Result<R>) -> Result<R, Failure> {
        // Within a change that could not be rolled back, the write would be called made, and be undone with that change. So it
        // fails, like each further change.
        if self.logged.is_some() || !self.connection.is_autocommit() {
            return self.change(|edit| with(Once(*edit)));
        }
        Ok(with(Once(Edit { file: &self.connection, recorder: None }))?)
    }

    /// Makes a change with a flush of the disk, so that it also survives a loss of power. With a log, the file needs no
    /// flush: what it has lost is in the log.
    pub(super) fn change_durably<R>(
        &mut self,
        with: impl FnOnce(&Edit<'_>) -> rusqlite::Result<R>,
    ) -> Result<R, Failure> {
        if self.logged.is_some() {
            return self.change(with);
        }
        self.pragma_update(None, "synchronous", "full")?;
        let result = self.change(with);
        if let Err(error) = self.pragma_update(None, "synchronous", "normal") {
            tracing::error!(%error, "each change waits for the disk from now on");
        }
        result
    }

    /// Passes on the result of a job, once it is certain: at once, or when the log has answered for its change.
    pub(super) fn conclude<R: Send + 'static>(
        &mut self,
        result: Result<R, Failure>,
        then: impl FnOnce(Result<R, Failure>) -> Health + Send + 'static,
    ) -> Health {
        let Some(pending) = self.logged.as_mut().and_then(|logged| logged.pending.as_mut()) else {
            return then(result);
        };
        pending.conclusion = Some(Box::new(move |outcome| then(outcome.and(result))));
        Health::Fine
    }

    /// Waits for the answer of the log, if a change is pending. Then the change is made and concluded, or undone. Dropping the
    /// future changes nothing.
    pub(super) async fn settle(&mut self) -> Health {
        let Self { connection, logged } = self;
        let Some(logged) = logged else { return Health::Fine };
        let Some(pending) = &mut logged.pending else { return Health::Fine };
        // If the log ends without an answer, it may have the change.
        let answer = (&mut pending.receipt).await.unwrap_or(Err(LogError::Ended));
        logged.settle(connection, answer)
    }

    /// Ends the file: a pending change is undone, and no other is made. The log may have the pending one.
    pub(super) fn end(&mut self, why: LogError) {
        let Self { connection, logged } = self;
        let Some(logged) = logged else { return };
        logged.over.get_or_insert(why);
        if logged.pending.is_some() {
            logged.settle(connection, Err(why));
        }
    }
}

impl Logged {
    /// Executes a change and passes its record to the log.
    fn change<R>(
        &mut self,
        file: &Connection,
        with: impl FnOnce(&Edit<'_>) -> rusqlite::Result<R>,
    ) -> Result<R, Failure> {
        if let Some(error) = self.over {
            return Err(error.into());
        }
        // It fails if a change is pending.
        file.execute_batch("BEGIN IMMEDIATE")?;
        let executed = self.execute(file, with).and_then(|(made, record)| {
            match record {
                Some(record) => self.pending = Some(Pending { receipt: self.log.publish(record), conclusion: None }),
                // Nothing was changed.
                None => file.execute_batch("COMMIT")?,
            }
            Ok(made)
        });
        if executed.is_err() {
            undo(file);
        }
        executed
    }

    fn execute<R>(
        &mut self,
        file: &Connection,
        with: impl FnOnce(&Edit<'_>) -> rusqlite::Result<R>,
    ) -> Result<(R, Option<Record>), Failure> {
        let before = file.total_changes();
        self.recorder.begin();
        let made = with(&Edit { file, recorder: Some(&self.recorder) })?;
        // Otherwise other nodes would miss it, and nobody would notice.
        if file.total_changes() - before != self.recorder.rows.get() {
            return Err(RecordError::Unrecorded.into());
        }
        // After some errors, such as a full disk, SQLite has undone everything.
        if file.is_autocommit() {
            let aborted = ffi::Error::new(ffi::SQLITE_ABORT);
            return Err(rusqlite::Error::SqliteFailure(aborted, Some("the change was undone".to_owned())).into());
        }
        Ok((made, self.recorder.recording.get_mut().take()))
    }

    /// Makes the pending change if the log has it, and undoes it otherwise.
    fn settle(&mut self, file: &Connection, answer: Result<LogPosition, LogError>) -> Health {
        let Some(Pending { receipt: _, conclusion }) = self.pending.take() else { return Health::Fine };
        let outcome = match answer {
            Ok(position) => commit(file, position).map_err(|error| {
                // The log has the change. If the file does not get it, it must be taken from the log.
                self.over.get_or_insert(LogError::Ended);
                error.into()
            }),
            Err(error) => Err(Failure::Log(*self.over.get_or_insert(error))),
        };
        if outcome.is_err() {
            undo(file);
        }
        let health = health::of(&outcome);
        let concluded = conclusion.map_or(Health::Fine, |conclude| conclude(outcome));
        if health == Health::Broken { health } else { concluded }
    }
}

/// Commits a change that the log has, together with its place there.
fn commit(file: &Connection, position: LogPosition) -> rusqlite::Result<()> {
    place::set(file, position)?;
    file.execute_batch("COMMIT")
}

/// Ends a transaction that cannot be committed, unless `SQLite` has ended it.
fn undo(file: &Connection) {
    if !file.is_autocommit()
        && let Err(error) = file.execute_batch("ROLLBACK")
    {
        // Each further change then fails at its begin.
        tracing::error!(%error, "a failed change could not be rolled back; all further changes of the file fail");
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
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
        Ok(Writing { prepared: self.file.prepare_cached(statement.text)?, number: statement.number, edit: *self })
    }

    /// Executes a statement, and passes on each row that it returns.
    pub(super) fn returning(
        &self,
        statement: Statement,
        parameters: &[&dyn ToSql],
        mut with: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let mut prepared = self.file.prepare_cached(statement.text)?;
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
pub(super) struct Writing<'f> {
    prepared: rusqlite::CachedStatement<'f>,
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
