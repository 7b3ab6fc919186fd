//! The address of the running server, for the commands that make links.
//!
//! The server has a lock for as long as it runs. One that is killed leaves its address behind, but not the lock.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use parlor_base::atomic::{Locked, Readers, make_private_folder, shared, try_alone_in, write};

use crate::store::{Store, StoreError};

/// The address of a server, which counts until this is dropped.
#[must_use = "the address counts no longer than this is kept"]
#[derive(Debug)]
pub struct Noted {
    file: PathBuf,
    address: String,
    /// None: the file system has no locks.
    _lock: Option<Locked>,
}

impl Store {
    fn address_file(&self) -> PathBuf {
        self.folder.join("address")
    }

    fn lock_file(&self) -> PathBuf {
        self.folder.join("serving")
    }

    /// Notes the address of the server that starts, for links.
    pub fn note_address(&self, address: &str) -> Result<Noted, StoreError> {
        let (file, lock) = (self.address_file(), self.lock_file());
        let noted = || -> io::Result<Option<Locked>> {
            make_private_folder(&self.folder)?;
            drop(File::options().create(true).truncate(false).write(true).open(&lock)?);
            // Others may serve pages with the same data folder: the lock is shared.
            let locked = shared(&lock);
            write(&file, address.as_bytes(), Readers::Owner)?;
            Ok(locked)
        };
        match noted() {
            Ok(locked) => Ok(Noted { file, address: address.to_owned(), _lock: locked }),
            Err(cause) => Err(StoreError::Unusable { path: file, cause }),
        }
    }

    /// Returns the address of the running server; none if none runs.
    pub fn address(&self) -> Option<String> {
        let address = fs::read_to_string(self.address_file()).ok()?;
        // On a file system without locks, the noted address counts by itself.
        let is_left_behind = try_alone_in(&self.lock_file()).is_some();
        (!is_left_behind).then_some(address)
    }
}

impl Noted {
    /// Takes the address back, unless another server has noted its own since.
    pub fn forget(self) -> Result<(), StoreError> {
        let is_own = fs::read_to_string(&self.file).is_ok_and(|noted| noted == self.address);
        let removed = if is_own { fs::remove_file(&self.file) } else { Ok(()) };
        match removed {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Unusable { path: self.file, cause })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "http://127.0.0.1:8470/";
    const OTHER: &str = "http://127.0.0.1:8471/";

    #[test]
    fn the_address_is_there_while_its_server_runs() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        assert_eq!(store.address(), None);
        let noted = store.note_address(ONE).unwrap();
        assert_eq!((store.address().as_deref(), store.address().as_deref()), (Some(ONE), Some(ONE)));
        noted.forget().unwrap();
        assert_eq!(store.address(), None);
        // A server that is killed takes nothing back.
        drop(store.note_address(ONE).unwrap());
        assert_eq!(fs::read_to_string(folder.path().join("window/address")).unwrap(), ONE);
        assert_eq!(store.address(), None);
        let again = store.note_address(OTHER).unwrap();
        assert_eq!(store.address().as_deref(), Some(OTHER));
        again.forget().unwrap();
    }

    #[test]
    fn of_two_servers_the_one_that_ends_leaves_the_address_of_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        let (one, other) = (store.note_address(ONE).unwrap(), store.note_address(OTHER).unwrap());
        one.forget().unwrap();
        assert_eq!(store.address().as_deref(), Some(OTHER));
        other.forget().unwrap();
        assert_eq!(store.address(), None);
    }

    #[test]
    fn without_the_file_of_the_lock_the_note_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        drop(store.note_address(ONE).unwrap());
        fs::remove_file(folder.path().join("window/serving")).unwrap();
        assert_eq!(store.address().as_deref(), Some(ONE));
    }
}
