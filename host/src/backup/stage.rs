//! The folders in which a backup and a restore put their files together, in a data folder. For a while they have keys in plain form, so
//! they do not outlive their commands: the next backup, restore or start of the host removes what a killed command left.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use parlor_base::atomic::{Locked, Readers, lock_leftover, make_private_folder, try_alone_in, write};
use parlor_base::escape::EscapedPath as _;

use super::error::BackupError;

/// The folder of a backup that is written.
pub(super) const BACKUP: &str = ".backup";
/// The folder of a restore.
pub(super) const RESTORE: &str = ".restore";
/// The file in such a folder with the paths of drafts in other folders, each with a zero byte behind it. No part of a backup has this name.
const DRAFTS: &str = "drafts";

/// A folder for files on the way, for one command at a time. It is removed with its contents.
pub(super) struct Stage {
    pub(super) folder: PathBuf,
    _lock: Locked,
}

impl Stage {
    /// Makes the folder, after it has removed what killed commands left.
    pub(super) fn begin(data: &Path, name: &str) -> Result<Self, BackupError> {
        remove_leftovers(data)?;
        let folder = data.join(name);
        make_private_folder(&folder).map_err(BackupError::file(&folder))?;
        if folder.is_symlink() {
            let cause = std::io::Error::other("it is a link, and keys do not go to other folders: remove the link");
            return Err(BackupError::File { path: folder, cause });
        }
        let lock = try_alone_in(&folder).ok_or_else(|| BackupError::Busy(folder.clone()))?;
        Ok(Self { folder, _lock: lock })
    }

    /// Notes files that the command makes in other folders and removes before it ends. Call it before they are made.
    pub(super) fn note_drafts(&self, drafts: &[PathBuf]) -> Result<(), BackupError> {
        let mut text = Vec::new();
        for draft in drafts {
            let draft = std::path::absolute(draft).map_err(BackupError::file(draft))?;
            text.extend_from_slice(draft.as_os_str().as_bytes());
            text.push(0);
        }
        let file = self.folder.join(DRAFTS);
        write(&file, &text, Readers::Owner).map_err(BackupError::file(&file))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // If it stays, the next command or start removes it.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes what killed commands left in a data folder, and their drafts in other folders. Called when a host starts, which must not
/// fail because of that.
pub(crate) fn tidy(data: &Path) {
    match remove_leftovers(data) {
        Ok(removed) => {
            for folder in removed {
                tracing::info!(folder = %folder.escaped(), "a backup or a restore was killed; its files, which may have keys, are removed");
            }
        }
        Err(error) => tracing::warn!(
            %error,
            "files of a killed backup or restore, which may have keys, cannot be removed: remove {BACKUP} and {RESTORE} in the data folder"
        ),
    }
}

/// Removes what killed commands left. A command that works has its folder locked. Returns the removed folders.
fn remove_leftovers(data: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let mut removed = Vec::new();
    for folder in [BACKUP, RESTORE].map(|name| data.join(name)) {
        let Some(_lock) = lock_leftover(&folder) else { continue };
        remove_drafts(&folder.join(DRAFTS))?;
        fs::remove_dir_all(&folder).map_err(BackupError::file(&folder))?;
        removed.push(folder);
    }
    Ok(removed)
}

/// Removes the drafts that this file names. All of them are hidden files.
fn remove_drafts(noted: &Path) -> Result<(), BackupError> {
    let text = match fs::read(noted) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        text => text.map_err(BackupError::file(noted))?,
    };
    let paths = text.split(|byte| *byte == 0).map(|path| Path::new(OsStr::from_bytes(path)));
    for draft in paths.filter(|path| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."))) {
        match fs::remove_file(draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(BackupError::file(draft)(error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_place_of_the_stage_empties_no_other_folder() {
        let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("mine"), "").unwrap();
        std::os::unix::fs::symlink(other.path(), data.path().join(BACKUP)).unwrap();
        assert!(Stage::begin(data.path(), BACKUP).is_err());
        tidy(data.path());
        assert!(other.path().join("mine").exists());
    }

    #[test]
    fn files_of_a_killed_command_are_removed_and_those_of_others_stay() {
        let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let [draft, other] = [".bot.password.restore", ".mine.restore"].map(|name| elsewhere.path().join(name));
        for file in [&draft, &other] {
            fs::write(file, "secret").unwrap();
        }
        let stage = Stage::begin(data.path(), RESTORE).unwrap();
        stage.note_drafts(std::slice::from_ref(&draft)).unwrap();
        assert!(remove_leftovers(data.path()).unwrap().is_empty() && draft.exists(), "the command works");
        let (folder, noted) = (stage.folder.clone(), fs::read(stage.folder.join(DRAFTS)).unwrap());
        drop(stage);
        // A process that is killed leaves everything but the lock.
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join(DRAFTS), noted).unwrap();
        fs::write(folder.join("parlor.db"), "keys").unwrap();
        let next = Stage::begin(data.path(), BACKUP).unwrap();
        assert!(!folder.exists() && !draft.exists() && other.exists());
        drop(next);
        assert!(remove_leftovers(data.path()).unwrap().is_empty());
    }
}
