//! The reasons why this node and the others do not have the same plugins or accounts.

use std::io;
use std::path::PathBuf;

use parlor_base::escape::EscapedPath as _;
use parlor_config::{ConfigError, ConfigFileError};
use parlor_nats::SharedError;
use parlor_plugins::policy::PolicyError;
use parlor_plugins::policy::file::EditError;
use parlor_plugins::sharing::Unshareable;

/// The reason why this node and the others do not have the same plugins or accounts.
#[derive(Debug, thiserror::Error)]
pub enum SharingError {
    /// The cluster cannot be read or written.
    #[error("the files that the nodes share cannot be used: {0}")]
    Shared(#[from] SharedError),
    /// The file of this node cannot be read.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policy of this node cannot be given to others.
    #[error("plugins.toml counts on this node alone: {0}")]
    Unshareable(#[from] Unshareable),
    /// The accounts of this node cannot be given to others.
    #[error("accounts.toml counts on this node alone: {0}")]
    Accounts(Box<ConfigError>),
    /// The configuration of this node cannot be read.
    #[error(transparent)]
    Config(Box<ConfigError>),
    /// The version of the cluster cannot be used here.
    #[error(
        "version {number} of {file}, which the node {node} wrote with parlor {release}, cannot be used on this node, which stays as it was: {cause}. If that parlor is newer than this one, update this one"
    )]
    Unusable {
        /// The file.
        file: &'static str,
        /// The number of the version.
        number: u64,
        /// The node that wrote it.
        node: String,
        /// The version of parlor there.
        release: String,
        /// The reason.
        cause: String,
    },
    /// The version of the cluster is older than one that this node had.
    #[error(
        "version {number} of {file} is in NATS, and this node, which stays as it was, had version {known}: somebody put an older one back, or NATS has lost its state; find out who can log in to NATS as parlor, and run `parlor reload` on the node whose file is to count"
    )]
    Older {
        /// The file.
        file: &'static str,
        /// The number of the version.
        number: u64,
        /// The number of the version that this node had.
        known: u64,
    },
    /// Two nodes changed the file at once.
    #[error(
        "{file} was changed on the node {node} too, and its version {number} counts; yours is in {}: make your change again, and remove that file", aside.escaped()
    )]
    Conflict {
        /// The file.
        file: &'static str,
        /// The node whose version counts.
        node: String,
        /// The number of the version.
        number: u64,
        /// The file with this node's version.
        aside: PathBuf,
    },
    /// The policy cannot be written.
    #[error(transparent)]
    Write(#[from] EditError),
    /// The file with accounts cannot be written.
    #[error(transparent)]
    WriteAccounts(#[from] ConfigFileError),
    /// A file in the data folder cannot be written.
    #[error("what the node has of the cluster cannot be written into the data folder ({0}); make it writable")]
    Data(io::Error),
    /// Others change it all the time.
    #[error("{0} is changed by several nodes again and again; the next attempt follows")]
    Busy(&'static str),
    /// A task of the host ended.
    #[error("the files that the nodes share were not compared with the cluster: {0}")]
    Task(String),
}

impl From<ConfigError> for SharingError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

impl SharingError {
    /// Returns whether it may be over by itself.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Shared(error) => error.is_passing(),
            Self::Busy(_) => true,
            _ => false,
        }
    }
}
