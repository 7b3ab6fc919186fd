//! The files that parlor puts into a plugin's folder for compilers and editors, and keeps up to date.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use parlor_base::atomic::{self, Readers};

use super::BuildError;

/// The subfolder of a plugin's folder that belongs to parlor.
pub(super) const OURS: &str = ".parlor";

/// Refuses to write through symbolic links: the author of a plugin's folder may have made some that lead out of it.
pub(super) fn refuse_links(path: &Path) -> Result<(), BuildError> {
    let is_ours = |place: &&Path| place.components().any(|part| part.as_os_str() == OURS);
    if let Some(link) = path.ancestors().take_while(is_ours).chain([path]).find(|place| place.is_symlink()) {
        let error = io::Error::other("it is a link, and nothing is written through it: remove it");
        return Err(BuildError::File { path: link.to_owned(), error });
    }
    Ok(())
}

/// Writes a file and creates its folders. An unchanged file is not written, since compilers check its modification
/// time.
pub(super) fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), BuildError> {
    refuse_links(path)?;
    let text = text.as_ref();
    let failed = |error| BuildError::File { path: path.to_owned(), error };
    if fs::read(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let folder = path.parent().expect("a file lies in a folder");
    fs::create_dir_all(folder).and_then(|()| atomic::write(path, text, Readers::Usual)).map_err(failed)
}

/// Removes what an earlier version of parlor put into a subfolder and this one does not have. `present` are the files that
/// it has, which are written by now, so no part of the path is a link. A link below is removed and not followed.
pub(super) fn keep_only(present: &BTreeSet<PathBuf>, subfolder: &Path) -> Result<(), BuildError> {
    let mut folders = vec![subfolder.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |error| BuildError::File { path: folder.clone(), error };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(entry.path());
            } else if !present.contains(&entry.path()) {
                fs::remove_file(entry.path()).map_err(|error| BuildError::File { path: entry.path(), error })?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn nothing_is_written_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (outside, ours) = (folder.path().join("outside"), folder.path().join("plugin/.parlor"));
        fs::create_dir_all(&ours).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "mine").unwrap();
        symlink(outside.join("file"), ours.join("file")).unwrap();
        symlink(&outside, ours.join("sdk")).unwrap();
        for path in ["file", "sdk/file"] {
            let refused = write(&ours.join(path), "theirs").unwrap_err().to_string();
            assert!(refused.contains("it is a link"), "{path}: {refused}");
        }
        assert_eq!(fs::read_to_string(outside.join("file")).unwrap(), "mine");
        write(&ours.join("own/file"), "theirs").unwrap();
        assert_eq!(fs::read_to_string(ours.join("own/file")).unwrap(), "theirs");
    }
}
