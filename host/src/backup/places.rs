//! The places of a host that a backup is restored to: finds existing files, and rolls back moves unless all succeed.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use parlor_base::atomic::{alone_in, folder_of, hidden_beside, make_private_folder, put_in_place};
use parlor_config::{Config, accounts_file};

use super::error::BackupError;
use super::secrets::FOLDER;
use super::{COMPONENTS, INDEXES, STORE, VERSIONS};

/// The names of files and folders that were there before, with a number behind.
const BEFORE: &str = "before-restore";
/// One more than the highest of these numbers.
const MOST: u32 = 1_000;
/// The files and folders that a backup brings into a data folder. The log next to the store belongs to the store.
const OF_DATA: [&str; 7] = [STORE, "parlor.db-wal", "parlor.db-shm", COMPONENTS, VERSIONS, INDEXES, FOLDER];
/// The files that the host before leaves, that no backup has, and that are not for the restored one: the sessions and links of
/// `parlor web`, and the list of policies that the data folder was used with. None of these keeps a restore from its place.
const OF_HOST_BEFORE: [&str; 2] = ["window/sessions.json", "policies"];

/// Returns what is at these places already.
pub(super) fn taken(places: &Config) -> Vec<PathBuf> {
    let files = [places.path.clone(), places.plugins.clone()].into_iter().chain(accounts_file(&places.path));
    let all = files.chain(OF_DATA.into_iter().map(|name| places.data.join(name)));
    all.filter(|path| path.symlink_metadata().is_ok()).collect()
}

/// Renames that are made together: dropped before [`keep`](Self::keep), they are taken back.
#[derive(Default)]
pub(super) struct Moves {
    made: Vec<(PathBuf, PathBuf)>,
    /// Files on the way, which may be secrets. They are removed with the moves.
    drafts: Vec<PathBuf>,
}

impl Moves {
    /// Moves a file or folder to a place where nothing is.
    pub(super) fn put(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        if from.is_dir() {
            fs::rename(from, to)?;
        } else {
            put_in_place(from, to)?;
            // It is still there if the file system took a second name for a rename.
            let _ = fs::remove_file(from);
        }
        self.made.push((from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Moves everything aside that is at these places. Returns where to.
    pub(super) fn clear(&mut self, places: &Config) -> io::Result<Vec<PathBuf>> {
        // No host starts without it. With it, one that starts after a kill would begin with an empty data folder and with new keys.
        let config = self.set_aside(&places.path)?;
        let mut aside = Vec::new();
        let of_data = |name: &&str| places.data.join(name).symlink_metadata().is_ok();
        let names: Vec<_> = OF_DATA.into_iter().chain(OF_HOST_BEFORE).filter(of_data).collect();
        // A `parlor web` that runs would write its sessions once more.
        let _window = alone_in(&places.data.join("window"), || ());
        if !names.is_empty() {
            let folder = free(&places.data.join(BEFORE))?;
            make_private_folder(&folder)?;
            for name in names {
                let to = folder.join(name);
                make_private_folder(folder_of(&to))?;
                self.put(&places.data.join(name), &to)?;
            }
            aside.push(folder);
        }
        aside.extend(self.set_aside(&places.plugins)?);
        aside.extend(config);
        if let Some(accounts) = accounts_file(&places.path) {
            aside.extend(self.set_aside(&accounts)?);
        }
        Ok(aside)
    }

    /// Moves one file aside, if there is one. Returns where to.
    pub(super) fn set_aside(&mut self, file: &Path) -> io::Result<Option<PathBuf>> {
        if file.symlink_metadata().is_err() {
            return Ok(None);
        }
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(BEFORE);
        let to = free(&file.with_file_name(name))?;
        self.put(file, &to)?;
        Ok(Some(to))
    }

    /// Writes all files next to their places, and then moves them there. Earlier files are moved aside; their new paths are
    /// returned.
    pub(super) fn put_files(&mut self, files: &[(PathBuf, Vec<u8>)]) -> Result<Vec<PathBuf>, BackupError> {
        let mut drafts = Vec::new();
        for (path, bytes) in files {
            let draft = draft_of(path);
            // A killed restore may have left it.
            let _ = fs::remove_file(&draft);
            self.drafts.push(draft.clone());
            write_new(&draft, bytes)?;
            drafts.push(draft);
        }
        let mut aside = Vec::new();
        for ((path, _), draft) in files.iter().zip(&drafts) {
            aside.extend(self.set_aside(path).map_err(BackupError::file(path))?);
            self.put(draft, path).map_err(BackupError::file(path))?;
        }
        Ok(aside)
    }

    /// Keeps all of them, on disk.
    pub(super) fn keep(mut self) {
        self.drafts.clear();
        let made = std::mem::take(&mut self.made);
        for (_, to) in made {
            // A power failure may lose a rename that was not synced, but no file.
            let _ = File::open(folder_of(&to)).and_then(|folder| folder.sync_all());
        }
    }
}

impl Drop for Moves {
    fn drop(&mut self) {
        for (from, to) in self.made.iter().rev() {
            if let Err(error) = fs::rename(to, from) {
                tracing::error!(from = ?to, to = ?from, %error, "a file was moved, and cannot be moved back");
            }
        }
        // A move that is taken back has brought its draft back.
        for draft in &self.drafts {
            let _ = fs::remove_file(draft);
        }
    }
}

/// Returns the path of a file on the way to this place.
pub(super) fn draft_of(path: &Path) -> PathBuf {
    hidden_beside(path, ".restore")
}

/// Makes a new file that only this user can read.
pub(super) fn new_file(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a new file that only this user can read, with its folder.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let written = make_private_folder(folder_of(path)).and_then(|()| new_file(path));
    let written = written.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(BackupError::file(path))
}

/// Returns the first path with a number behind that nothing has.
fn free(path: &Path) -> io::Result<PathBuf> {
    let numbered = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("-{number}"));
        PathBuf::from(name)
    };
    let found = (1..MOST).map(numbered).find(|path| path.symlink_metadata().is_err());
    found.ok_or_else(|| io::Error::other(format!("there are {MOST} copies of it from earlier restores: remove some")))
}

#[cfg(test)]
mod tests {
    use parlor_config::Overrides;

    use super::*;

    fn places(folder: &Path) -> Config {
        let overrides = Overrides { environment: |_| None, ..Overrides::default() };
        Config::places_in(&folder.join("parlor.toml"), "", &overrides).unwrap()
    }

    #[test]
    fn existing_files_are_moved_aside_and_back() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        assert!(taken(&places).is_empty());
        fs::create_dir_all(places.data.join(COMPONENTS)).unwrap();
        fs::write(places.data.join(STORE), "old").unwrap();
        fs::write(&places.path, "mine").unwrap();
        // A host leaves its lock and its socket, which do not count as existing files.
        fs::write(places.data.join("parlor.lock"), "").unwrap();
        assert_eq!(taken(&places), [places.path.clone(), places.data.join(STORE), places.data.join(COMPONENTS)]);

        let mut moves = Moves::default();
        let aside = moves.clear(&places).unwrap();
        assert_eq!(aside, [places.data.join("before-restore-1"), folder.path().join("parlor.toml.before-restore-1")]);
        assert!(taken(&places).is_empty());
        drop(moves);
        assert_eq!(taken(&places).len(), 3, "it is as before");
        assert_eq!(fs::read_to_string(&places.path).unwrap(), "mine");

        let mut moves = Moves::default();
        let aside = moves.clear(&places).unwrap();
        assert_eq!(aside[0], places.data.join("before-restore-2"), "the folder of the first is still there");
        moves.keep();
        assert!(taken(&places).is_empty());
        assert_eq!(fs::read_to_string(aside[0].join(STORE)).unwrap(), "old");
    }

    /// A restore that is killed in between leaves a host that does not start, and none that begins anew.
    #[test]
    fn the_configuration_is_the_first_that_goes_and_the_last_that_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        fs::create_dir_all(&places.data).unwrap();
        for file in [&places.data.join(STORE), &places.plugins, &places.path] {
            fs::write(file, "mine").unwrap();
        }
        let mut moves = Moves::default();
        moves.clear(&places).unwrap();
        // They are taken back in the reverse order.
        assert_eq!((moves.made.len(), &moves.made[0].0), (3, &places.path));
    }

    #[test]
    fn files_that_are_not_put_in_place_leave_no_drafts() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("bot.password");
        fs::write(&secret, "old").unwrap();
        let mut moves = Moves::default();
        // The first one is put in place; then the draft of the second one, which is the same, is gone.
        let files = [(secret.clone(), b"new".to_vec()), (secret.clone(), b"new".to_vec())];
        assert!(moves.put_files(&files).is_err());
        drop(moves);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["bot.password"]);
        assert_eq!(fs::read_to_string(&secret).unwrap(), "old");
        let mut moves = Moves::default();
        moves.put_files(&files[..1]).unwrap();
        moves.keep();
        assert_eq!(fs::read_to_string(&secret).unwrap(), "new");
    }

    #[test]
    fn sessions_and_policies_of_the_host_before_do_not_count_for_the_restored_one() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        fs::create_dir_all(places.data.join("window")).unwrap();
        // Of a `parlor web` that runs, and goes on.
        fs::write(places.data.join("window/address"), "").unwrap();
        for name in OF_HOST_BEFORE {
            fs::write(places.data.join(name), "old").unwrap();
        }
        assert!(taken(&places).is_empty(), "they keep nothing from its place");
        let mut moves = Moves::default();
        let aside = moves.clear(&places).unwrap();
        moves.keep();
        assert_eq!(aside, [places.data.join("before-restore-1")]);
        for name in OF_HOST_BEFORE {
            assert!(!places.data.join(name).exists() && aside[0].join(name).exists(), "{name}");
        }
        assert!(places.data.join("window/address").exists());
    }

    /// They would count for the host that is restored.
    #[test]
    fn accounts_that_lie_there_are_moved_aside_too() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(folder.path());
        let accounts = folder.path().join("accounts.toml");
        fs::write(&accounts, "mine").unwrap();
        assert_eq!(taken(&places), [accounts]);
        let mut moves = Moves::default();
        let aside = moves.clear(&places).unwrap();
        moves.keep();
        assert_eq!(aside, [folder.path().join("accounts.toml.before-restore-1")]);
        assert!(taken(&places).is_empty());
    }
}
