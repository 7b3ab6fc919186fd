//! Applies records to a file: executes the statements of a change again, in one transaction.
//!
//! A record comes from a log that may be broken, or hostile. It is read whole before anything is executed, and if a statement
//! fails, the file is as before.

use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::edit::Statement;
use super::log::LogPosition;
use super::record::{RecordError, each};
use super::{
    StoreError, added, audit, data, encryption, forget, pins, place, position, roster, schedules, session, webhooks,
};

/// All statements of records, by their number, which begins with 1. Later formats add to them. A statement that is no
/// longer executed stays, for the records that have it.
const ALL: [&[Statement]; 11] = [
    &data::STATEMENTS,
    &position::STATEMENTS,
    &session::STATEMENTS,
    &roster::STATEMENTS,
    &pins::STATEMENTS,
    &added::STATEMENTS,
    &schedules::STATEMENTS,
    &webhooks::STATEMENTS,
    &encryption::STATEMENTS,
    &audit::STATEMENTS,
    &forget::STATEMENTS,
];

/// Returns the text of a statement.
fn text(number: u16) -> Result<&'static str, RecordError> {
    let found = ALL.iter().copied().flatten().find(|statement| statement.number == number);
    found.map(|statement| statement.text).ok_or(RecordError::Statement(number))
}

/// An error from applying a record. The file is as before.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// It is not the next record.
    #[error(
        "record {found} of the log cannot follow record {last}, which the file has: report this as a bug of parlor"
    )]
    Order {
        /// The number of the record.
        found: u64,
        /// The number of the last record that the file has.
        last: u64,
    },
    /// The file could not be changed as the record says.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The reason to stop in the middle.
enum Stop {
    Record(RecordError),
    File(rusqlite::Error),
}

impl From<RecordError> for Stop {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error)
    }
}

/// Applies a record, and notes its place in the log: both, or nothing.
///
/// The records of a log must be applied in their order, once each, to a file that began as the first one did.
pub(super) fn replay_at(
    file: &mut Connection,
    position: LogPosition,
    record: &[u8],
) -> rusqlite::Result<Result<(), RecordError>> {
    // Reading costs little, and a record that this parlor cannot read whole must not change anything.
    if let Err(error) = each(record, |number, _| text(number).map(drop)) {
        return Ok(Err(error));
    }
    let transaction = file.transaction()?;
    match execute(&transaction, record) {
        Ok(()) => {
            place::set(&transaction, position)?;
            transaction.commit().map(Ok)
        }
        Err(Stop::Record(error)) => Ok(Err(error)),
        Err(Stop::File(error)) => Err(error),
    }
}

fn execute(file: &Connection, record: &[u8]) -> Result<(), Stop> {
    // Many writes of one record have the same statement.
    let mut prepared: Option<(u16, rusqlite::CachedStatement<'_>)> = None;
    each(record, |number, values| {
        let statement = match &mut prepared {
            Some((last, statement)) if *last == number => statement,
            other => &mut other.insert((number, file.prepare_cached(text(number)?)?)).1,
        };
        execute_one(statement, number, values)
    })
}

fn execute_one(statement: &mut rusqlite::Statement<'_>, number: u16, values: &[ValueRef<'_>]) -> Result<(), Stop> {
    if statement.parameter_count() != values.len() {
        return Err(RecordError::Parameters { statement: number, found: values.len() }.into());
    }
    for (index, value) in values.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, ToSqlOutput::Borrowed(*value))?;
    }
    let mut rows = statement.raw_query();
    while rows.next()?.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests;
