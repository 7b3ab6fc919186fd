//! The reasons why an index is not used, or has no such plugin.

use std::io;
use std::path::PathBuf;

use parlor_base::document::DocumentError;
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::PluginId;
use parlor_base::nearest::suggestion;
use semver::Version;

use super::MAX_BYTES;
use super::known::{MAX_INDEXES, MAX_PINS};
use crate::listing::{IndexName, Listing, Wanted};
use crate::signature::PublisherKey;
use crate::source::{DownloadError, Source};

/// The reason why an index was not used. The known one stays.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The download failed.
    #[error(transparent)]
    Download(Box<DownloadError>),
    /// The file cannot be read.
    #[error("{path} cannot be read ({cause}); give the path of an index, such as index.toml", path = path.escaped())]
    NoFile {
        /// The file's path.
        path: PathBuf,
        /// The error of the file system.
        cause: io::Error,
    },
    /// The source is a registry.
    #[error("{0}: a registry has no indexes; give a file, or an address that begins with https://")]
    Registry(Box<Source>),
    /// The file is too large.
    #[error("{0} has more than {MAX_BYTES} bytes, which no index has")]
    TooLong(Box<Source>),
    /// The file has no signature.
    #[error("{0} is not signed; the signature of an index lies beside it as {0}.minisig")]
    Unsigned(Box<Source>),
    /// The file was not signed by the key that was expected.
    #[error(
        "{from} is not signed by the key {key}: the file or the signature was changed on the way, or its publisher has another key now. If the publisher says so elsewhere, remove the index and add it with the new key"
    )]
    Signature {
        /// The source of the index.
        from: Box<Source>,
        /// The key that should have signed it.
        key: Box<PublisherKey>,
    },
    /// The file is not UTF-8.
    #[error("{0} is not an index: it is not a text")]
    NotText(Box<Source>),
    /// The file has a mistake.
    #[error("{from}:{error}")]
    Invalid {
        /// The source of the index.
        from: Box<Source>,
        /// The mistake and its place.
        error: DocumentError,
    },
    /// A version is at a place that no index may name.
    #[error("{from}: the source of {what} does not fit: {cause}")]
    Source {
        /// The source of the index.
        from: Box<Source>,
        /// The plugin and its version.
        what: String,
        /// The reason.
        cause: String,
    },
    /// The index is older than the known one.
    #[error(
        "the index {name} has the serial number {offered}, but {known} is known: an older one came, which may list what was withdrawn since; it is not used"
    )]
    Older {
        /// The index.
        name: IndexName,
        /// The number of the known one.
        known: u64,
        /// The serial number of the fetched one.
        offered: u64,
    },
    /// The index changed, and its serial number did not.
    #[error("the index {name} has other contents under the same serial number {serial}; ask its publisher")]
    SameSerial {
        /// The index.
        name: IndexName,
        /// The number of both.
        serial: u64,
    },
    /// The file is an index with another name.
    #[error("the index that came for {name} calls itself {found}, and the one that you added called itself {was}")]
    Other {
        /// The owner's name for it.
        name: IndexName,
        /// The name in the known one.
        was: IndexName,
        /// The name in the fetched one.
        found: IndexName,
    },
    /// The name is in use.
    #[error("there is an index {name} already, from {from}; remove it, or give this one another name by --name")]
    Taken {
        /// The name.
        name: IndexName,
        /// The source of the known one.
        from: Box<Source>,
    },
    /// There are too many indexes.
    #[error("there are {MAX_INDEXES} indexes, and more are not kept; remove one")]
    TooMany,
    /// The index has listed more plugins over time than are remembered.
    #[error("the index {0} has had more than {MAX_PINS} plugins over time; remove it and add it again")]
    TooManyPins(IndexName),
    /// The index does not exist.
    #[error("there is no index {name}{}; `parlor index list` shows them", suggestion(near.as_deref()))]
    Unknown {
        /// The name.
        name: IndexName,
        /// The name that was probably meant.
        near: Option<String>,
    },
    /// No index has the plugin.
    #[error(
        "no index that you added has {wanted}{}; `parlor search` shows what they have, `parlor index refresh` gets them anew",
        suggestion(near.as_deref())
    )]
    NoPlugin {
        /// The name that was asked for.
        wanted: Wanted,
        /// The name that was probably meant.
        near: Option<String>,
    },
    /// Several indexes have the plugin.
    #[error("{plugin} is in several indexes: give one of {}", all.join(", "))]
    Several {
        /// The plugin.
        plugin: PluginId,
        /// Each with its index.
        all: Vec<String>,
    },
    /// The index does not have the version.
    #[error("{listing} has no version {version}; the index has {}", known.join(", "))]
    NoVersion {
        /// The plugin.
        listing: Listing,
        /// The version.
        version: Version,
        /// The versions that it has.
        known: Vec<String>,
    },
    /// No version is for this program.
    #[error("{listing} asks for {permission}, which this parlor does not know; a newer parlor may")]
    NotForThis {
        /// The plugin.
        listing: Listing,
        /// A permission that is not known.
        permission: String,
    },
    /// The stored index cannot be read.
    #[error("{} cannot be read ({cause}); remove the file, and add the index again", path.escaped())]
    Unreadable {
        /// The file in the data folder.
        path: PathBuf,
        /// The reason.
        cause: String,
    },
    /// The data folder cannot be written.
    #[error("{} cannot be written ({cause}); nothing has changed", path.escaped())]
    Unwritten {
        /// The path in the data folder.
        path: PathBuf,
        /// The error of the file system.
        cause: io::Error,
    },
}

impl From<DownloadError> for IndexError {
    fn from(error: DownloadError) -> Self {
        Self::Download(Box::new(error))
    }
}
