//! Backups of a host: one file with the configuration, the policy, the components and the store's data, and its
//! restoration.
//!
//! A backup is a tar archive, which other programs can list. Its first member is a [`Manifest`] with the digest of each
//! other one. Keys of encryption and files with secrets are in one member that a passphrase encrypts, and that also
//! vouches for the manifest. States of OMEMO sessions are not part of backups: restored sessions would use message keys
//! twice.

mod archive;
mod clustered;
mod error;
mod places;
mod restore;
mod sealed;
mod secrets;
mod stage;
mod write;

use std::collections::BTreeMap;

use parlor_config::ACCOUNTS_FILE;
use parlor_session::Secret;
use serde::{Deserialize, Serialize};

pub use error::BackupError;
pub use restore::{Backup, Destination, Restored};
pub use sealed::SHORTEST_PASSPHRASE;
pub(crate) use stage::tidy;
pub use write::write;

/// The format of backups that this parlor writes. It reads no later one.
const FORMAT: u32 = 1;

/// The member with the manifest.
const MANIFEST: &str = "manifest.json";
/// The member with the configuration.
const CONFIG: &str = "parlor.toml";
/// The member with the accounts that have a file of their own.
const ACCOUNTS: &str = ACCOUNTS_FILE;
/// The member with the policy.
const POLICY: &str = "plugins.toml";
/// The member with the store's data. It has the same name in a data folder.
const STORE: &str = "parlor.db";
/// The folder of components, in the archive and in a data folder.
const COMPONENTS: &str = "components";
/// The folder of the versions that plugins had, in both.
const VERSIONS: &str = "versions";
/// The folder of the indexes of plugins, in both.
const INDEXES: &str = "indexes";
/// The member that a passphrase encrypts.
const SEALED: &str = "sealed";

/// The description of a backup, in the backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// The format of the backup.
    pub format: u32,
    /// The version of parlor that wrote it.
    pub parlor: String,
    /// When it was written, as RFC 3339.
    pub made: String,
    /// The data folder that it is of.
    pub data: String,
    /// The folder of the configuration that it is of.
    pub config: String,
    /// Whether it has the keys of encryption.
    pub keys: bool,
    /// How many files with secrets it has.
    pub secrets: usize,
    /// The files that the configuration or the policy names and that the backup lacks, and components that are damaged.
    pub left_out: Vec<String>,
    /// The members, by their names.
    pub files: BTreeMap<String, Piece>,
}

/// A member of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// The number of its bytes.
    pub size: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub digest: String,
}

/// The parts of a backup that the owner chooses.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The keys of encryption.
    pub keys: bool,
    /// The files with secrets that the configuration and the policy name.
    pub secrets: bool,
    /// The passphrase that encrypts them; needed for either.
    pub passphrase: Option<&'a Secret>,
}
