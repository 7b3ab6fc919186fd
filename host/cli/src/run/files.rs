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

/// The configuration file and the `accounts.toml` beside it, with the digests of the last versions that were read.
pub(super) struct ConfigFile {
    path: PathBuf,
    overrides: Overrides,
    read: [Option<Digest>; 2],
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
        Self { path: path.to_owned(), overrides, read: digests(path) }
    }

    /// Reads the files again.
    pub(super) fn read(&mut self) -> Result<Config, ConfigError> {
        self.read = digests(&self.path);
        Config::load(&self.path, &self.overrides)
    }

    /// Reads the files again, if one of them changed since the last time.
    pub(super) fn read_if_changed(&mut self) -> Option<Result<Config, ConfigError>> {
        (digests(&self.path) != self.read).then(|| self.read())
    }
}

/// Returns the digests of the configuration file and of its `accounts.toml`.
fn digests(path: &Path) -> [Option<Digest>; 2] {
    [digest(path), accounts_file(path).and_then(|file| digest(&file))]
}

/// Returns the digest of a file, if it can be read.
fn digest(path: &Path) -> Option<Digest> {
    // A pipe cannot be read twice.
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    is_file.then(|| std::fs::read(path).ok()).flatten().map(|bytes| Digest::of(&bytes))
}
