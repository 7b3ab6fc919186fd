//! The files of a running house that somebody may write to: its policy, and its configuration.

use std::path::{Path, PathBuf};

use crate::config::{Config, ConfigError, Overrides};
use crate::plugins::id::Digest;
use crate::watch::Watch;

/// Both files.
pub(super) struct Files {
    pub(super) config: ConfigFile,
    /// None: they are not watched.
    watch: Option<Watch>,
}

/// The configuration, as it was when it was read last.
pub(super) struct ConfigFile {
    path: PathBuf,
    overrides: Overrides,
    read: Option<Digest>,
}

impl Files {
    /// Those of this configuration. They are watched unless it says otherwise, or the system cannot.
    pub(super) fn of(config: &Config, written: ConfigFile) -> Self {
        let files = || [config.plugins.clone(), config.path.clone()];
        let watch = config.watch.then(|| Watch::start(files()));
        let watch = watch.and_then(|watch| {
            watch.map_err(|error| tracing::warn!(%error, "files are not watched; SIGHUP reads them again")).ok()
        });
        Self { config: written, watch }
    }

    /// Waits until one of them may be different.
    pub(super) async fn changed(&mut self) {
        match &mut self.watch {
            Some(watch) => watch.changed().await,
            None => std::future::pending().await,
        }
    }
}

impl ConfigFile {
    /// The file that was just read.
    pub(super) fn of(path: &Path, overrides: Overrides) -> Self {
        Self { path: path.to_owned(), overrides, read: digest(path) }
    }

    /// What it says now.
    pub(super) fn read(&mut self) -> Result<Config, ConfigError> {
        self.read = digest(&self.path);
        Config::load(&self.path, &self.overrides)
    }

    /// The same, if it is not what it said when it was read last.
    pub(super) fn read_if_changed(&mut self) -> Option<Result<Config, ConfigError>> {
        (digest(&self.path) != self.read).then(|| self.read())
    }
}

/// What is in the file, if it can be read.
fn digest(path: &Path) -> Option<Digest> {
    // Of a pipe there is nothing to be read a second time.
    let is_file = path.metadata().is_ok_and(|metadata| metadata.is_file());
    is_file.then(|| std::fs::read(path).ok()).flatten().map(|bytes| Digest::of(&bytes))
}
