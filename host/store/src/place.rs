//! Stores up to which record of the log a file has come. It is written in the transaction of the change itself, so that each
//! state of the file says exactly which records it has.

use rusqlite::{Connection, OptionalExtension, params};

use super::log::LogPosition;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS log_position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    token INTEGER NOT NULL,
    number INTEGER NOT NULL,
    revision INTEGER NOT NULL
) STRICT;
";

/// Creates the table, which only files with a log have.
pub(super) fn make_table(file: &Connection) -> rusqlite::Result<()> {
    file.execute_batch(TABLES)
}

/// Returns the place of the last record that the file has.
pub(super) fn of(file: &Connection) -> rusqlite::Result<LogPosition> {
    let select = "SELECT token, number, revision FROM log_position";
    let found = file.query_row(select, [], |row| {
        let [token, number, revision] = [0, 1, 2].map(|column| row.get::<_, i64>(column));
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Ok(LogPosition { token: count(token?), number: count(number?), revision: count(revision?) })
    });
    Ok(found.optional()?.unwrap_or_default())
}

/// Sets the place of the last record that the file has.
pub(super) fn set(file: &Connection, LogPosition { token, number, revision }: LogPosition) -> rusqlite::Result<()> {
    // No log comes near the greatest number that a column can hold.
    let [token, number, revision] = [token, number, revision].map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let replace = "INSERT OR REPLACE INTO log_position VALUES (1, ?1, ?2, ?3)";
    file.execute(replace, params![token, number, revision]).map(drop)
}
