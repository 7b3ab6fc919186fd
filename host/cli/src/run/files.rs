//! The files of a running host that may change: its policy, its configuration and its accounts.

use std::path::{Path, PathBuf};

use parlor_base::id::Digest;
use parlor_config::{Config, ConfigError, Overrides, accounts_file};

use crate::file_watcher::FileWatcher;

/// All of them.
pub(super) struct Files {
    pub(super) config: ConfigFile,
    /// The file watcher; none if the files are not watched.
    watch: Option<FileWatcher>,
}

/// The configuration file and the `accounts.toml` beside it, with what was there when they were last read.
pub(super) struct ConfigFile {
    path: PathBuf,
    overrides: Overrides,
    read: [Found; 2],
}

/// The state of the path of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A file with a text of this digest.
    Text(Digest),
    /// A folder, a pipe, or a file that cannot be read.
    Other,
}

impl Files {
    /// Watches the files of this configuration, unless it disables that or the system cannot.
    pub(super) fn of(config: &Config, written: ConfigFile) -> Self {
        let files = || [config.plugins.clone(), config.path.clone()].into_iter().chain(accounts_file(&config.path));
        let watch = config.watch.then(|| FileWatcher::start(files()));
        let watch = watch.and_then(|watch| {
            watch.map_err(|error| tracing::warn!(%error, "files are not watched; SIGHUP reads them again")).ok()
        });
        Self { config: written, watch }
    }

    /// Waits until one of them may have changed.
    pub(super) async fn changed(&mut self) {
        match &mut self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }
}

impl ConfigFile {
    /// Returns the files that were just read.
    pub(super) fn of(path: &Path, overrides: Overrides) -> Self {
        Self { path: path.to_owned(), overrides, read: found(path) }
    }

    /// Reads the files again.
    pub(super) fn read(&mut self) -> Result<Config, ConfigError> {
        self.read = found(&self.path);
        Config::load(&self.path, &self.overrides)
    }

    /// Reads the files again, if one of them changed since the last time. `in_use` is the configuration that the host uses, unless it
    /// refused a later one. If its accounts come from another text than the one that is there, that is a change, too: a version of
    /// other nodes may have come meanwhile, which the owner replaced by the text from before.
    pub(super) fn read_if_changed(&mut self, in_use: Option<&Config>) -> Option<Result<Config, ConfigError>> {
        let found = found(&self.path);
        let is_another = |config: &Config| match found {
            [_, Found::Text(accounts)] => config.accounts_file.as_ref().is_none_or(|file| file.digest != accounts),
            [_, Found::Nothing | Found::Other] => false,
        };
        (found != self.read || in_use.is_some_and(is_another)).then(|| self.read())
    }
}

/// Returns what is at the paths of the configuration file and of its `accounts.toml`.
fn found(path: &Path) -> [Found; 2] {
    [look(path), accounts_file(path).map_or(Found::Nothing, |file| look(&file))]
}

fn look(path: &Path) -> Found {
    let Ok(metadata) = path.metadata() else { return Found::Nothing };
    // A pipe cannot be read twice.
    let text = metadata.is_file().then(|| std::fs::read(path).ok()).flatten();
    text.map_or(Found::Other, |bytes| Found::Text(Digest::of(&bytes)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MAIN: &str = "[account.main]\njid = \"bot@example.org\"\npassword_env = \"NONE\"\n";

    fn overrides() -> Overrides {
        Overrides { environment: |_| None, variables: Vec::new, ..Overrides::default() }
    }

    /// Returns accounts of these names.
    fn accounts(names: &[&str]) -> String {
        let one = |name: &&str| MAIN.replace("main", name).replace("bot@", &format!("{name}@"));
        names.iter().map(one).collect()
    }

    #[test]
    fn an_earlier_text_is_read_again_if_the_host_goes_by_a_later_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("parlor.toml"), folder.path().join("accounts.toml"));
        fs::write(&path, MAIN).unwrap();
        let (earlier, later) = (accounts(&["second"]), accounts(&["second", "third"]));
        fs::write(&beside, &earlier).unwrap();
        let mut file = ConfigFile::of(&path, overrides());
        let at_first = Config::load(&path, &overrides()).unwrap();
        assert!(file.read_if_changed(Some(&at_first)).is_none());
        // Another node changes the file, the host reads it, and the owner takes that back before the watcher looks.
        fs::write(&beside, later).unwrap();
        let of_the_cluster = Config::load(&path, &overrides()).unwrap();
        fs::write(&beside, earlier).unwrap();
        let read = file.read_if_changed(Some(&of_the_cluster)).unwrap().unwrap();
        assert_eq!(read.accounts.len(), 2);
        assert!(file.read_if_changed(Some(&read)).is_none());
        assert!(file.read_if_changed(None).is_none(), "one that was refused is not read over and over");
    }

    #[test]
    fn a_folder_in_place_of_the_accounts_that_is_removed_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("parlor.toml"), folder.path().join("accounts.toml"));
        fs::write(&path, MAIN).unwrap();
        let mut file = ConfigFile::of(&path, overrides());
        fs::create_dir(&beside).unwrap();
        file.read_if_changed(None).unwrap().unwrap_err();
        assert!(file.read_if_changed(None).is_none());
        fs::remove_dir(&beside).unwrap();
        assert_eq!(file.read_if_changed(None).unwrap().unwrap().accounts.len(), 1);
    }

    #[test]
    fn a_file_that_is_gone_or_was_refused_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("parlor.toml"), folder.path().join("accounts.toml"));
        fs::write(&path, MAIN).unwrap();
        fs::write(&beside, accounts(&["second"])).unwrap();
        let mut file = ConfigFile::of(&path, overrides());
        let config = Config::load(&path, &overrides()).unwrap();
        fs::remove_file(&beside).unwrap();
        assert!(file.read_if_changed(Some(&config)).is_some());
        assert!(file.read_if_changed(Some(&config)).is_none());
        fs::write(&beside, "[account").unwrap();
        file.read_if_changed(Some(&config)).unwrap().unwrap_err();
        assert!(file.read_if_changed(None).is_none());
    }
}
