//! The files of a running host that may change: its policy and its configuration.

use std::path::{Path, PathBuf};

use parlor_base::id::Digest;
use parlor_config::{Config, ConfigError, Overrides};

use crate::file_watcher::FileWatcher;

/// Both files.
pub(super) struct Files {
    pub(super) config: ConfigFile,
    /// The file watcher; none if the files are not watched.
    watch: Option<FileWatcher>,
}

/// The configuration file, with the digest of the last version that was read.
pub(super) struct ConfigFile {
    path: PathBuf,
    overrides: Overrides,
    read: Option<Digest>,
}

impl Files {
    /// Watches the files of this configuration, unless it disables that or the system cannot.
    pub(super) fn of(config: &Config, written: ConfigFile) -> Self {
        let files = || [config.plugins.clone(), config.path.clone()];
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
    /// Returns the file that was just read.
    pub(super) fn of(path: &Path, overrides: Overrides) -> Self {
        Self { path: path.to_owned(), overrides, read: digest(path) }
    }

    /// Reads the file again.
    pub(super) fn read(&mut self) -> Result<Config, ConfigError> {
        self.read = digest(&self.path);
        Config::load(&self.path, &self.overrides)
    }

    /// Reads the file again, if it changed since the last time.
    pub(super) fn read_if_changed(&mut self) -> Option<Result<Config, ConfigError>> {
        (digest(&self.path) != self.read).then(|| self.read())
    }
}

/// Returns the digest of the file, if it can be read.
fn digest(path: &Path) -> Option<Digest> {
    // A pipe cannot be read twice.
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    is_file.then(|| std::fs::read(path).ok()).flatten().map(|bytes| Digest::of(&bytes))
}
