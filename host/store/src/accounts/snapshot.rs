//! Copies of the files of accounts, so that logs stay short.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jid::BareJid;
use rusqlite::{Connection, ffi};

use super::{Accounts, unfinished, unusable};
use crate::file::Unfit;
use crate::log::LogPosition;
use crate::reader::open_to_read;
use crate::{DataError, file, place};

/// The maximum size of a snapshot, in bytes.
pub const LARGEST_SNAPSHOT: usize = 256 << 20;

/// Begins the end of the name of a copy.
pub(super) const COPY: &str = ".copy-";

/// Numbers the copies of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Accounts {
    /// Returns a copy of an account's file, with the place of the last record that it has. The account must be open. Its store goes on
    /// meanwhile.
    pub async fn snapshot(&self, account: &BareJid) -> Result<(LogPosition, Vec<u8>), DataError> {
        let path = self.path(account);
        let file = path.clone();
        let made = self.blocking(move || snapshot(&file)).await;
        made.unwrap_or_else(|| Err(Unfit::Io(unfinished()))).map_err(|cause| unusable(path, &cause))
    }
}

fn snapshot(path: &Path) -> Result<(LogPosition, Vec<u8>), Unfit> {
    let copy = file::beside(path, &format!("{COPY}{}", NEXT.fetch_add(1, Relaxed)));
    let made = make(path, &copy);
    // Otherwise the next process removes it.
    let _ = file::remove(&copy);
    made
}

/// Copies one committed state of the file. The copy has no free pages, in which deleted keys could be.
fn make(path: &Path, copy: &Path) -> Result<(LogPosition, Vec<u8>), Unfit> {
    let name = copy.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(copy.to_owned()))?;
    file::remove(copy)?;
    // SQLite fills an empty file, but would create one that everybody can read.
    drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(copy)?);
    let file = open_to_read(path)?;
    check(&file, LARGEST_SNAPSHOT)?;
    file.execute("VACUUM INTO ?1", [name])?;
    let position = place::of(&open_to_read(copy)?)?;
    // The first change may be in the log and not yet here. No node would take over from a snapshot that has nothing.
    if position == LogPosition::default() {
        return Err(Unfit::Snapshot("it does not say up to which record it goes".to_owned()));
    }
    Ok((position, std::fs::read(copy)?))
}

/// Checks a file before it is copied. A snapshot takes the place of the log: what a broken file lacks would be lost for good.
pub(crate) fn check(file: &Connection, most: usize) -> Result<(), Unfit> {
    let number = |pragma: &str| file.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let size = (number("page_count")? - number("freelist_count")?) * number("page_size")?;
    if usize::try_from(size).is_ok_and(|size| size > most) {
        return Err(std::io::Error::other(format!("it has {size} bytes, and a snapshot has at most {most}")).into());
    }
    let state: String = file.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if state != "ok" {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(state)).into());
    }
    Ok(())
}
