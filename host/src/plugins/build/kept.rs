//! Files that parlor puts into a plugin's folder for compilers and editors, and keeps as they should be.

use std::fs;
use std::path::Path;

use super::BuildError;

/// Writes a file with the folders that it lies in. One that says this already is left alone: compilers go by its time.
pub(super) fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), BuildError> {
    let text = text.as_ref();
    if fs::read(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let folder = path.parent().expect("a file lies in a folder");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(path, text))
        .map_err(|error| BuildError::File { path: path.to_owned(), error })
}
