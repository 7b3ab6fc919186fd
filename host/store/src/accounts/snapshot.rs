//! Copies of the files of accounts, so that logs stay short.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jid::BareJid;

use super::Accounts;
use crate::log::LogPosition;
use crate::reader::open_to_read;
use crate::{StoreError, file, place};

/// Numbers the copies of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Accounts {
    /// Returns a copy of an account's file, with the place of the last record that it has. The account must be open. Its store goes on
    /// meanwhile.
    pub async fn snapshot(&self, account: &BareJid) -> Result<(LogPosition, Vec<u8>), StoreError> {
        let path = self.path(account);
        self.blocking(move || snapshot(path)).await.unwrap_or(Err(StoreError::Ended))
    }
}

fn snapshot(path: PathBuf) -> Result<(LogPosition, Vec<u8>), StoreError> {
    let copy = file::beside(&path, &format!(".copy-{}", NEXT.fetch_add(1, Relaxed)));
    let made = make(&path, &copy);
    // Otherwise it is overwritten by a later process.
    let _ = file::remove(&copy);
    let (position, state) = made.map_err(|cause| StoreError::File { path: path.clone(), cause })?;
    Ok((position, state.map_err(|cause| StoreError::Io { path, cause })?))
}

/// Copies one committed state of the file. The copy has no free pages, in which deleted keys could be.
fn make(path: &Path, copy: &Path) -> rusqlite::Result<(LogPosition, std::io::Result<Vec<u8>>)> {
    let name = copy.to_str().ok_or_else(|| rusqlite::Error::InvalidPath(copy.to_owned()))?;
    // SQLite fills an empty file, but would create one that everybody can read.
    let made = file::remove(copy)
        .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(copy).map(drop));
    if let Err(error) = made {
        return Ok((LogPosition::default(), Err(error)));
    }
    open_to_read(path)?.execute("VACUUM INTO ?1", [name])?;
    let position = place::of(&open_to_read(copy)?)?;
    Ok((position, std::fs::read(copy)))
}
