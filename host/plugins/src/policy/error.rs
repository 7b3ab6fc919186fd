//! Why a policy is not used.

use std::io;
use std::path::PathBuf;

use parlor_base::document::DocumentError;
use parlor_base::escape::EscapedPath as _;

use super::MAX_BYTES;

/// The error for a policy that is not used. The policy in force stays in force.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file exists and cannot be read.
    #[error("cannot read {} ({cause}); it has to be a text file that you can read", path.escaped())]
    Read {
        /// The file's path.
        path: PathBuf,
        /// The error of the file system.
        cause: io::Error,
    },
    /// The file is gone while plugins run that it allowed.
    #[error("{} is gone; put it back, or write an empty one and reload if no plugin is to run", path.escaped())]
    Gone {
        /// The file's path.
        path: PathBuf,
    },
    /// The file is too large to be a policy.
    #[error("{} has more than {MAX_BYTES} bytes, which no policy has", path.escaped())]
    TooLong {
        /// The file's path.
        path: PathBuf,
    },
    /// The file has a mistake.
    #[error("{}:{error}", path.escaped())]
    Invalid {
        /// The file's path.
        path: PathBuf,
        /// The mistake and its position.
        error: DocumentError,
    },
}
