//! Why a backup is not written or not restored.

use std::io;
use std::path::{Path, PathBuf};

use parlor_base::escape::EscapedPath as _;
use parlor_config::ConfigError;
use parlor_plugins::policy::file::EditError;
use parlor_store::DataError;

use super::FORMAT;

/// The error of a backup or a restore. Unless it says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file cannot be read or written.
    #[error("{} cannot be used ({cause}); nothing was changed", path.escaped())]
    File {
        /// The file's path.
        path: PathBuf,
        /// The error of the file system.
        cause: io::Error,
    },
    /// The store cannot be copied or used.
    #[error(transparent)]
    Store(#[from] DataError),
    /// The cluster does not give what accounts keep there.
    #[error("{what} cannot be read, and nothing was written: {cause}")]
    Cluster {
        /// The thing that was to be read.
        what: String,
        /// The reason.
        cause: String,
    },
    /// The policy cannot be read, or another command is changing it.
    #[error(transparent)]
    Policy(Box<EditError>),
    /// The configuration in the backup cannot be read.
    #[error(transparent)]
    Config(Box<ConfigError>),
    /// There is a file where the backup would be.
    #[error("{} is there already: name another file, or move it away", .0.escaped())]
    Exists(PathBuf),
    /// Another command writes or restores a backup of the same data folder.
    #[error("another command works on a backup in {}: try again when it has ended", .0.escaped())]
    Busy(PathBuf),
    /// A file is not a backup.
    #[error("{} is no backup of parlor", .0.escaped())]
    NoBackup(PathBuf),
    /// A backup is incomplete, or was changed.
    #[error("{} is damaged ({what}); nothing was changed: take another backup", path.escaped())]
    Damaged {
        /// The path of the backup.
        path: PathBuf,
        /// The part that is wrong.
        what: String,
    },
    /// A newer parlor wrote the backup.
    #[error(
        "{} has format {format}, and this parlor knows {FORMAT} at most: parlor {parlor} wrote it; restore it with that version",
        path.escaped()
    )]
    Newer {
        /// The path of the backup.
        path: PathBuf,
        /// Its format.
        format: u32,
        /// The version that wrote it.
        parlor: String,
    },
    /// The backup has encrypted parts.
    #[error("the backup has encrypted parts, and there is no passphrase")]
    NoPassphrase,
    /// The passphrase does not open them.
    #[error("the passphrase is wrong, or somebody changed the backup; nothing was changed")]
    WrongPassphrase,
    /// There is a passphrase, but no encrypted part that could vouch for the rest.
    #[error(
        "{} has no encrypted part, so a passphrase cannot show that nobody changed it; nothing was changed: restore it without a \
         passphrase if it was made with --without-keys, else take another backup",
        .0.escaped()
    )]
    NotSealed(PathBuf),
    /// The configuration in the backup names a policy file elsewhere.
    #[error(
        "the configuration in the backup has its policy in {}, which is no .toml file in the folder of {} or in its data folder; nothing \
         was changed: give --plugins with this path if it is right, or with another one",
        policy.escaped(), config.escaped()
    )]
    Elsewhere {
        /// The path of the policy.
        policy: PathBuf,
        /// The path of the configuration.
        config: PathBuf,
    },
    /// A passphrase is too easily guessed.
    #[error("a passphrase has at least {0} characters")]
    ShortPassphrase(usize),
    /// There are files where the backup belongs.
    #[error(
        "there is something already: {}; nothing was changed. Name another place with --config, or give --force to move these aside",
        listed(.0)
    )]
    Taken(Vec<PathBuf>),
    /// A host runs there.
    #[error("a host runs with the data folder {}; nothing was changed: stop it first", .0.escaped())]
    Running(PathBuf),
}

impl From<EditError> for BackupError {
    fn from(error: EditError) -> Self {
        Self::Policy(Box::new(error))
    }
}

impl From<ConfigError> for BackupError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

impl BackupError {
    /// Returns the error about a file.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::File { path: path.to_owned(), cause }
    }
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.escaped().to_string()).collect::<Vec<_>>().join(", ")
}
