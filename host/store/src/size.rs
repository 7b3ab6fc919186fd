//! How many bytes each plugin stores on each account, as its quota counts them.
//!
//! The number is read before the first change of a plugin's data and written after the last one, so that all changes of a
//! transaction share both.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rusqlite::{Connection, OptionalExtension, params};

use super::change::Owner;
use super::edit::{Edit, Statement};

/// The bytes that an entry counts in addition to its key and value.
pub(super) const ENTRY: u64 = 64;

/// Sets how many bytes a plugin stores.
pub(super) const SET: Statement =
    Statement::new(3, "INSERT INTO plugin_data_size VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET bytes = ?3");
/// Noted that a plugin stored fewer bytes. It is no longer executed, and stays for the records that have it.
pub(super) const SHRINK: Statement =
    Statement::new(4, "UPDATE plugin_data_size SET bytes = bytes - ?3 WHERE account = ?1 AND plugin = ?2");

/// Returns the size for the quota of an entry whose value has this number of bytes.
pub(super) fn weight_of(key: &str, value: u64) -> i64 {
    i64::try_from(key.len() as u64 + value + ENTRY).unwrap_or(i64::MAX)
}

/// The bytes that a plugin stores on an account, while its data is being changed.
#[derive(Debug)]
pub(super) struct Size {
    /// The bytes of all entries, expired ones included. Each change of an entry changes it as well.
    pub(super) bytes: i64,
    /// The bytes that the file says.
    noted: i64,
}

impl Size {
    /// Reads the size of a plugin's data.
    pub(super) fn of(file: &Connection, owner: &Owner) -> rusqlite::Result<Self> {
        let select = "SELECT bytes FROM plugin_data_size WHERE account = ?1 AND plugin = ?2";
        let whose = [owner.account.as_str(), owner.plugin.as_str()];
        let found: Option<i64> = file.prepare_cached(select)?.query_row(whose, |row| row.get(0)).optional()?;
        let noted = found.unwrap_or(0);
        Ok(Self { bytes: noted, noted })
    }

    /// Writes the size, if it has changed.
    pub(super) fn note(&self, edit: &Edit<'_>, owner: &Owner) -> rusqlite::Result<()> {
        if self.bytes != self.noted {
            edit.write(SET, params![owner.account.as_str(), owner.plugin.as_str(), self.bytes])?;
        }
        Ok(())
    }
}

/// The sizes of all plugins whose data a transaction changes.
#[derive(Debug, Default)]
pub(super) struct Sizes<'w>(BTreeMap<&'w Owner, Size>);

impl<'w> Sizes<'w> {
    /// Returns the size of a plugin's data, which is read once.
    pub(super) fn of(&mut self, file: &Connection, owner: &'w Owner) -> rusqlite::Result<&mut Size> {
        match self.0.entry(owner) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(unknown) => Ok(unknown.insert(Size::of(file, owner)?)),
        }
    }

    /// Writes all sizes that have changed.
    pub(super) fn note(self, edit: &Edit<'_>) -> rusqlite::Result<()> {
        for (owner, size) in self.0 {
            size.note(edit, owner)?;
        }
        Ok(())
    }
}
