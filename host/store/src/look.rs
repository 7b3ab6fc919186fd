//! Looks up the present entries of the keys that a change is about.

use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::change::Owner;
use super::size::weight_of;

/// The present value of a key.
pub(super) enum Value {
    /// There is none, or it has expired.
    None,
    Is(Vec<u8>),
    /// It is longer than the requested maximum, and was not read.
    Longer,
}

/// The entry under a key.
pub(super) struct Present {
    pub(super) value: Value,
    /// When the value expires; also none without a value.
    pub(super) expires: Option<i64>,
    /// The entry's size for the quota. An expired one still takes up room.
    pub(super) taken: i64,
}

impl Present {
    /// Returns whether the value is this one. It must have been read up to this length.
    pub(super) fn is(&self, expected: Option<&[u8]>) -> bool {
        match (&self.value, expected) {
            (Value::None, None) => true,
            (Value::Is(value), Some(expected)) => value == expected,
            _ => false,
        }
    }
}

/// Looks up one key after another.
pub(super) struct Look<'a> {
    statement: CachedStatement<'a>,
    owner: &'a Owner,
    now: i64,
}

impl<'a> Look<'a> {
    pub(super) fn new(file: &'a Connection, owner: &'a Owner, now: i64) -> rusqlite::Result<Self> {
        // A long value would be read from many pages of the file.
        let statement = file.prepare_cached(
            "SELECT length(value), CASE WHEN length(value) <= ?4 THEN value END, expires FROM plugin_data
             WHERE account = ?1 AND plugin = ?2 AND key = ?3",
        )?;
        Ok(Self { statement, owner, now })
    }

    /// Returns the entry under a key, with its value if that has at most `most` bytes.
    pub(super) fn up(&mut self, key: &str, most: usize) -> rusqlite::Result<Present> {
        let whose = (self.owner.account.as_str(), self.owner.plugin.as_str());
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let found: Option<(i64, Option<Vec<u8>>, Option<i64>)> = self
            .statement
            .query_row(params![whose.0, whose.1, key, most], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .optional()?;
        let Some((length, value, expires)) = found else {
            return Ok(Present { value: Value::None, expires: None, taken: 0 });
        };
        let taken = weight_of(key, u64::try_from(length).unwrap_or(0));
        if expires.is_some_and(|expires| expires <= self.now) {
            return Ok(Present { value: Value::None, expires: None, taken });
        }
        Ok(Present { value: value.map_or(Value::Longer, Value::Is), expires, taken })
    }

    /// Returns whether the value of a key is this one.
    pub(super) fn has(&mut self, key: &str, expected: Option<&[u8]>) -> rusqlite::Result<bool> {
        Ok(self.up(key, expected.map_or(0, <[u8]>::len))?.is(expected))
    }
}
