//! The lock on the data folder, which one host at a time uses.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use parlor_base::atomic::{make_private_folder, open_lock};

use super::StartError;

/// The lock file in the data folder, which a running host keeps locked. It contains the process id while the host
/// listens.
pub const LOCK: &str = "parlor.lock";

/// The number of attempts to lock the data folder, and the pause between them: a command that checks whether a host
/// runs holds the lock for a moment.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Creates the data folder, readable only by its owner, and locks it.
pub(crate) fn lock(data: &Path) -> Result<File, StartError> {
    let unusable = |cause| StartError::Data { path: data.to_owned(), cause };
    make_private_folder(data).map_err(unusable)?;
    let path = data.join(LOCK);
    let file = open_lock(&path).map_err(|cause| {
        // The folder may be the user's while the lock file is not.
        if cause.kind() == ErrorKind::PermissionDenied && path.exists() {
            StartError::Lock { path: path.clone(), cause }
        } else {
            unusable(cause)
        }
    })?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            // No host listens yet.
            Ok(()) => return file.set_len(0).map(|()| file).map_err(unusable),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
        }
    }
    Err(StartError::Busy(data.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn nobody_else_can_open_the_lock_and_keep_the_host_from_starting() {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().join(LOCK);
        let mode = || path.metadata().unwrap().permissions().mode() & 0o777;
        drop(lock(data.path()).unwrap());
        assert_eq!(mode(), 0o600);
        // As an older version made it.
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        drop(lock(data.path()).unwrap());
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_link_in_the_place_of_the_lock_empties_no_other_file() {
        let data = tempfile::tempdir().unwrap();
        let other = data.path().join("other");
        fs::write(&other, "mine").unwrap();
        symlink(&other, data.path().join(LOCK)).unwrap();
        assert!(lock(data.path()).is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
    }
}
