//! The error of a file that is read or changed as a whole.

use std::path::PathBuf;

use parlor_base::escape::EscapedPath as _;

/// An error from reading or changing the file.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The file cannot be used.
    #[error("{} cannot be used ({cause})", path.escaped())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The reason that it cannot be used.
        cause: String,
    },
    /// The import would exceed the plugin's quota of this many bytes.
    #[error("that is more than the {0} bytes that the plugin may keep; nothing was imported")]
    TooMuch(u64),
}
