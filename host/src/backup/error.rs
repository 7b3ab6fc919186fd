//! Why a backup is not written or not restored.

use std::fmt::Display;
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
    #[error("{} cannot be used ({cause}); nothing was changed{}", path.escaped(), room(cause))]
    File {
        /// The file's path.
        path: PathBuf,
        /// The error of the file system.
        cause: io::Error,
    },
    /// The store cannot be copied or used.
    #[error("{}{}", .0, room(.0))]
    Store(DataError),
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

impl From<DataError> for BackupError {
    fn from(error: DataError) -> Self {
        Self::Store(error)
    }
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

/// Returns what helps if a disk is full. `SQLite` calls that an I/O error where it cannot make room for its index in memory.
fn room(cause: &impl Display) -> &'static str {
    let cause = cause.to_string();
    if !["disk is full", "disk I/O error", "No space left"].iter().any(|words| cause.contains(words)) {
        return "";
    }
    ". If the disk is full, free space on it, and try again: all of the data is copied once within the data folder, and once more into \
     the file of the backup, or from it"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_full_disk_an_error_says_what_needs_room() {
        let of_store = |cause: &str| {
            BackupError::from(DataError::File { path: "data/parlor.db".into(), cause: cause.to_owned() }).to_string()
        };
        for full in ["database or disk is full", "disk I/O error"] {
            let says = of_store(full);
            assert!(
                says.starts_with(&format!("data/parlor.db cannot be used ({full}). If the disk is full, free")),
                "{says}"
            );
        }
        assert_eq!(of_store("database is locked"), "data/parlor.db cannot be used (database is locked)");
        let of_file =
            |errno: i32| BackupError::file(Path::new("a.parlor"))(io::Error::from_raw_os_error(errno)).to_string();
        // ENOSPC and EACCES.
        assert!(of_file(28).contains("nothing was changed. If the disk is full"), "{}", of_file(28));
        assert!(of_file(13).ends_with("nothing was changed"), "{}", of_file(13));
    }
}
