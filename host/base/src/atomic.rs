//! Files that are either complete or absent: written to a temporary file, synced, and renamed into place.
//!
//! The caller holds the lock that keeps others from writing the same file.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use rustix::process::geteuid;

/// How long a command waits for another one that changes the same file.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long a wait for a lock lasts before that is reported.
const QUIET: Duration = Duration::from_secs(1);
/// How long a wait for a lock pauses before it tries again.
const PAUSE: Duration = Duration::from_millis(20);

/// The users who may read a written file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Everyone whom the user's umask allows.
    Usual,
    /// Only the user.
    Owner,
    /// The readers of the existing file; only the user if there is none. If the file cannot have the same group, no group reads it.
    Same,
}

/// Returns whether anyone but the user has access to it.
pub fn is_open(permissions: &Permissions) -> bool {
    permissions.mode() & 0o077 != 0
}

/// Returns whether a file with a secret is open to users who should not read it: everyone but its owner. If it belongs to
/// root and this process runs as another user, its group may read it as well. Kubernetes and systemd hand secrets to a
/// service that way, and its user cannot change their mode. `PostgreSQL` reads its private key by the same rule.
pub fn is_open_secret(found: &Metadata) -> bool {
    is_open_to_others(found.mode(), found.uid(), geteuid().as_raw())
}

fn is_open_to_others(mode: u32, owner: u32, user: u32) -> bool {
    let allowed = if owner == 0 && user != 0 { 0o740 } else { 0o700 };
    mode & 0o777 & !allowed != 0
}

/// Opens a file that strangers may have put there. It refuses a pipe, on which the caller would wait forever. `more`
/// adds flags of open(2).
pub fn open_plain(path: &Path, more: libc::c_int) -> io::Result<File> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | more).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a file")) }
}

/// A file or folder that is locked until this is dropped.
///
/// Closing the file would not be enough: a program that is being started holds a copy of it, and with it the lock,
/// until exec.
#[derive(Debug)]
pub struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        // If this fails, the lock ends when the last copy is closed.
        let _ = self.0.unlock();
    }
}

/// Keeps other processes out of a folder until the returned lock is dropped. If others work there, `waits` is called
/// and the lock waits for them. If the lock is not available, as on some file systems, the caller proceeds without it.
pub fn alone_in(folder: &Path, waits: impl FnOnce()) -> Option<Locked> {
    let place = File::open(folder).ok()?;
    match place.try_lock() {
        Ok(()) => Some(Locked(place)),
        Err(TryLockError::WouldBlock) => {
            waits();
            place.lock().ok().map(|()| Locked(place))
        }
        Err(TryLockError::Error(_)) => None,
    }
}

/// Keeps other commands from changing a file until the returned lock is dropped, by a lock file next to it. The file itself is
/// replaced, so a lock on it would stay with the old file. Others may open its folder, and anyone who can open a file can lock it and
/// keep its owner waiting. Only the user can open the lock file.
///
/// If that takes longer than a second, `waits` is called once. After `most`, the error is
/// [`WouldBlock`](io::ErrorKind::WouldBlock): a command may hold the lock until its user has answered a question.
pub fn lock_beside(file: &Path, most: Duration, waits: impl FnOnce()) -> io::Result<Locked> {
    let lock = open_lock(&lock_file(file))?;
    let (began, mut waits) = (Instant::now(), Some(waits));
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Locked(lock)),
            Err(TryLockError::WouldBlock) if began.elapsed() < most => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(cause)) => return Err(cause),
        }
        if began.elapsed() >= QUIET
            && let Some(waits) = waits.take()
        {
            waits();
        }
        std::thread::sleep(PAUSE);
    }
}

/// Opens a lock file, and makes it if there is none. Only the user can open it: anyone who can open a file can lock it.
pub fn open_lock(path: &Path) -> io::Result<File> {
    // It is no link to another file, which would change. Nobody waits at a pipe.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut options = File::options();
    let lock = options.create(true).truncate(false).write(true).mode(0o600).custom_flags(flags).open(path)?;
    // Older versions let others read it. If it belongs to another user, it works as it is.
    if is_open(&lock.metadata()?.permissions()) {
        let _ = lock.set_permissions(Permissions::from_mode(0o600));
    }
    Ok(lock)
}

/// Returns the path of the lock file of [`lock_beside`].
pub fn lock_file(file: &Path) -> PathBuf {
    hidden_beside(file, ".lock")
}

/// Returns the path of a hidden file in the same folder, whose name is that of this file with an ending.
pub fn hidden_beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(ending);
    file.with_file_name(name)
}

/// Locks out processes that want a folder for themselves, but not those that share it.
pub fn shared(folder: &Path) -> Option<Locked> {
    let place = File::open(folder).ok()?;
    place.lock_shared().ok().map(|()| Locked(place))
}

/// Locks a folder like [`alone_in`] without waiting; none if others work in it.
pub fn try_alone_in(folder: &Path) -> Option<Locked> {
    let place = File::open(folder).ok()?;
    place.try_lock().ok().map(|()| Locked(place))
}

/// Locks a folder that a killed process may have left; none if a process still works in it. A link is not followed: its folder could
/// be anything.
pub fn lock_leftover(folder: &Path) -> Option<Locked> {
    let flags = libc::O_NOFOLLOW | libc::O_DIRECTORY;
    let place = File::options().read(true).custom_flags(flags).open(folder).ok()?;
    place.try_lock().ok().map(|()| Locked(place))
}

/// Returns the folder of a file: the current one if its path names none.
pub fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file. When this returns it is durable; if the process is killed before that, the old file remains.
pub fn write(file: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    if file.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file's name"));
    }
    let folder = folder_of(file);
    // A fixed name, so that the next write overwrites what a killed process left behind.
    let temporary = hidden_beside(file, ".new");
    let old = if readers == Readers::Same { fs::metadata(file).ok() } else { None };
    // Nobody else can open it before it has its group.
    let mode = if readers == Readers::Usual { 0o666 } else { 0o600 };
    let written = (|| {
        // A file that is already there may belong to anyone, with any permissions.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut to = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
        if readers != Readers::Usual {
            let mode = old.as_ref().map_or(Ok(mode), |old| keep_readers(&to, old))?;
            to.set_permissions(Permissions::from_mode(mode))?;
        }
        to.write_all(bytes)?;
        to.sync_all()?;
        // Opened before the file is replaced: after an error, the old one is still there.
        let place = File::open(folder)?;
        fs::rename(&temporary, file)?;
        place.sync_all()
    })();
    if written.is_err() {
        // The first error is the one to report; a leftover is only a file beside the target.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Gives a new file the owner and the group of the old one, as far as this user may, and returns the mode that keeps the readers.
fn keep_readers(new: &File, old: &Metadata) -> io::Result<u32> {
    let made = new.metadata()?;
    let is_same = made.gid() == old.gid();
    let is_kept = if is_same && made.uid() == old.uid() {
        true
    } else {
        let is_given = fchown(new, Some(old.uid()), Some(old.gid())).is_ok();
        is_given || is_same || fchown(new, None, Some(old.gid())).is_ok()
    };
    Ok(mode_in_group(old.mode() & 0o7777, is_kept))
}

/// Returns the mode of a file in the same group as before, or in another one, whose users must not read what they could not.
fn mode_in_group(mode: u32, is_same: bool) -> u32 {
    if is_same { mode } else { mode & !0o070 }
}

/// Renames a file to a name that is not taken. If the file system cannot do that atomically, it adds a second name.
pub fn put_in_place(draft: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, draft, CWD, path, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::hard_link(draft, path),
        renamed => Ok(renamed?),
    }
}

/// Creates a folder, with its parents, that only this user can read.
pub fn make_private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_of_roots_may_be_read_by_its_group_and_any_other_by_its_owner_alone() {
        let (root, own, other) = (0, 10_001, 10_002);
        for (mode, owner, user, is_open) in [
            (0o100_600, own, own, false),
            (0o100_640, own, own, true),
            (0o100_640, other, own, true),
            (0o100_440, root, own, false),
            (0o100_640, root, own, false),
            (0o100_660, root, own, true),
            (0o100_444, root, own, true),
            (0o100_400, root, root, false),
            (0o100_440, root, root, true),
        ] {
            assert_eq!(is_open_to_others(mode, owner, user), is_open, "{mode:o} of {owner} for {user}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(!is_open_secret(&file.as_file().metadata().unwrap()));
        fs::set_permissions(file.path(), Permissions::from_mode(0o644)).unwrap();
        assert!(is_open_secret(&file.as_file().metadata().unwrap()));
    }

    #[test]
    fn a_wait_for_the_lock_of_a_file_ends() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        let held = lock_beside(&file, Duration::ZERO, || ()).unwrap();
        let error = lock_beside(&file, Duration::ZERO, || ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        lock_beside(&folder.path().join("y.toml"), Duration::ZERO, || ()).unwrap();
        drop(held);
        lock_beside(&file, Duration::ZERO, || ()).unwrap();
    }

    #[test]
    fn only_the_owner_can_open_the_lock_of_a_file_and_it_is_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, lock) = (folder.path().join("x.toml"), folder.path().join(".x.toml.lock"));
        // Anybody could do that in a folder that others can read.
        let _held = try_alone_in(folder.path());
        lock_beside(&file, Duration::ZERO, || ()).unwrap();
        assert_eq!(mode(&lock), 0o600);
        // Older versions created it with this mode.
        fs::set_permissions(&lock, Permissions::from_mode(0o644)).unwrap();
        lock_beside(&file, Duration::ZERO, || ()).unwrap();
        assert_eq!(mode(&lock), 0o600);
        let other = folder.path().join("other");
        fs::write(&other, "mine").unwrap();
        fs::set_permissions(&other, Permissions::from_mode(0o644)).unwrap();
        fs::remove_file(&lock).unwrap();
        std::os::unix::fs::symlink(&other, &lock).unwrap();
        assert!(lock_beside(&file, Duration::ZERO, || ()).is_err());
        assert_eq!(mode(&other), 0o644);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_readers() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        write(&file, b"one", Readers::Same).unwrap();
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        // The leftover of a killed process.
        fs::write(folder.path().join(".x.toml.new"), "half of it, and longer").unwrap();
        write(&file, b"two", Readers::Same).unwrap();
        assert_eq!((fs::read_to_string(&file).unwrap().as_str(), mode(&file)), ("two", 0o640));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_keeps_its_owner_and_its_group_or_no_group_reads_it() {
        assert_eq!([true, false].map(|is_same| mode_in_group(0o664, is_same)), [0o664, 0o604]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        fs::write(&file, "one").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let own = file.metadata().unwrap();
        // Only root can give a file away.
        let other = (own.uid() + 1, own.gid() + 1);
        let is_given = chown(&file, Some(other.0), Some(other.1)).is_ok();
        write(&file, b"two", Readers::Same).unwrap();
        let kept = file.metadata().unwrap();
        let wanted = if is_given { other } else { (own.uid(), own.gid()) };
        assert_eq!(((kept.uid(), kept.gid()), mode(&file)), (wanted, 0o640));
    }

    #[test]
    fn a_file_whose_folder_cannot_be_read_is_replaced_or_the_error_says_that_it_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.toml");
        fs::write(&file, "one").unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o300)).unwrap();
        // Root can read it.
        let is_written = write(&file, b"two", Readers::Same).is_ok();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), if is_written { "two" } else { "one" });
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_file_and_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        // A folder cannot be replaced by a file.
        fs::create_dir(&file).unwrap();
        fs::write(file.join("inside"), "").unwrap();
        assert!(write(&file, b"two", Readers::Owner).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let private = folder.path().join("a/b");
        make_private_folder(&private).unwrap();
        assert_eq!(mode(&private), 0o700);
    }
}
