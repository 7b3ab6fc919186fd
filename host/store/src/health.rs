//! Whether the file is still good, by the errors of `SQLite`.

use rusqlite::ErrorCode;

use super::edit::Failure;

/// The state of the file that a job reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Fine,
    Broken,
}

/// Returns the state of the file that the result of a job shows.
pub(super) fn of<T>(result: &Result<T, Failure>) -> Health {
    match result {
        Err(Failure::File(error)) if is_broken(error) => Health::Broken,
        Ok(_) | Err(_) => Health::Fine,
    }
}

/// Returns whether the file is corrupt and must be created again.
pub(super) fn is_broken(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Copies an error for each waiting caller, since `SQLite`'s own type cannot be cloned.
pub(super) fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
        other => rusqlite::Error::ToSqlConversionFailure(other.to_string().into()),
    }
}
