//! Reads the file of a plugin.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use parlor_base::atomic;
use parlor_base::escape::EscapedPath as _;

use super::{ComponentError, MAX_BYTES};

/// The reason why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{path} cannot be read ({cause}); put the plugin's file there, or correct its `source` in plugins.toml", path = path.escaped())]
    File {
        /// The file's path.
        path: PathBuf,
        /// The error of the file system.
        cause: std::io::Error,
    },
    /// The file is larger than a plugin may be.
    #[error("{path}: {cause}", path = path.escaped())]
    TooLarge {
        /// The file's path.
        path: PathBuf,
        /// The size and the limit.
        cause: ComponentError,
    },
}

/// Reads a file, up to one byte more than a plugin may have.
pub fn read(path: &Path) -> Result<Vec<u8>, ReadError> {
    let unreadable = |cause| ReadError::File { path: path.to_owned(), cause };
    let file = atomic::open_plain(path, 0).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    // The size is checked before the digest: the digest of a partial file would only seem to be a wrong one.
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if size > MAX_BYTES {
        return Err(ReadError::TooLarge { path: path.to_owned(), cause: ComponentError::TooLarge(size) });
    }
    let mut bytes = Vec::new();
    // Reads one byte more than allowed, so that a file that grows meanwhile is noticed.
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
