//! Detects whether a folder's source has changed since its last build, and serialises the builds of a folder.
//!
//! A build is identified by the names, sizes and times of its sources, taken before anything was read. So a file that
//! is saved during a build makes the result outdated. So does a file that is removed, or replaced with its old
//! modification time.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use parlor_base::atomic::{self, Locked};
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::Digest;
use parlor_plugins::manifest::Manifest;

use super::tools::announce;
use super::{BuildError, Traces, kept, output, read_manifest, read_text};

/// The maximum number of files and folders that are checked. A larger folder is built each time.
const MOST: usize = 10_000;

/// The file in parlor's subfolder that records the sources of the file used for tests.
const STAMP: &str = "built";

/// Returns whether a file is not source: build results, tests, and files of tools.
pub fn is_no_source(name: &str) -> bool {
    let made = ["target", "node_modules", "__pycache__", "tests"];
    name.starts_with('.') || made.contains(&name) || Path::new(name).extension().is_some_and(|end| end == "wasm")
}

/// The state of a folder's source at one moment, and of the program that builds it, which includes the SDK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sources(Digest);

impl Sources {
    /// Returns the present state; `None` if it cannot be determined, or has too many files.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        Self::built_by(&std::env::current_exe().ok()?, folder)
    }

    fn built_by(program: &Path, folder: &Path) -> Option<Self> {
        let mut found = Found::default();
        found.look(folder)?;
        let mut text = identity(&program.metadata().ok()?);
        for (path, identity) in &found.files {
            // The folder may be given under another name the next time.
            let name = path.strip_prefix(folder).unwrap_or(path);
            let _ = write!(text, "\n{} {identity}", name.escaped());
        }
        Some(Self(Digest::of(text.as_bytes())))
    }

    /// Returns the text that records that this file was built from this source.
    fn stamp(&self, file: &Path) -> Option<String> {
        Some(format!("{}\n{}\n", self.0, identity(&file.metadata().ok()?)))
    }
}

/// The contents of a folder.
#[derive(Debug, Default)]
struct Found {
    files: BTreeMap<PathBuf, String>,
    folders: HashSet<(u64, u64)>,
}

impl Found {
    fn look(&mut self, folder: &Path) -> Option<()> {
        let own = folder.metadata().ok()?;
        // Symbolic links are followed, as compilers do, and may lead in a circle.
        if !self.folders.insert((own.dev(), own.ino())) {
            return Some(());
        }
        for entry in fs::read_dir(folder).ok()? {
            let entry = entry.ok()?;
            if is_no_source(&entry.file_name().to_string_lossy()) {
                continue;
            }
            if self.files.len() + self.folders.len() > MOST {
                return None;
            }
            let path = entry.path();
            match path.metadata() {
                Ok(metadata) if metadata.is_dir() => self.look(&path)?,
                // A broken link may lead somewhere later.
                metadata => drop(self.files.insert(path, metadata.map_or(String::new(), |found| identity(&found)))),
            }
        }
        Some(())
    }
}

/// Returns a text that changes when the file is written or replaced.
fn identity(file: &Metadata) -> String {
    let (size, place) = (file.size(), (file.dev(), file.ino()));
    let (written, changed) = ((file.mtime(), file.mtime_nsec()), (file.ctime(), file.ctime_nsec()));
    format!("{size} {place:?} {written:?} {changed:?}")
}

/// Returns the file used for tests, if it is up to date.
pub(super) fn file(folder: &Path) -> Option<PathBuf> {
    let (_, manifest) = read_manifest(folder).ok()?;
    // This is `None` if another program knows better what has changed, such as Cargo.
    let file = output(folder, &manifest, Traces::Lines)?;
    let stamp = read_text(&folder.join(kept::OURS).join(STAMP)).ok()?;
    (Sources::of(folder)?.stamp(&file)? == stamp).then_some(file)
}

/// Records the sources of a file, if it is the one used for tests.
pub(super) fn mark(
    folder: &Path,
    manifest: &Manifest,
    sources: Option<&Sources>,
    file: &Path,
) -> Result<(), BuildError> {
    let tried = output(folder, manifest, Traces::Lines).filter(|tried| tried == file);
    match tried.and_then(|file| sources?.stamp(&file)) {
        Some(stamp) => kept::write(&folder.join(kept::OURS).join(STAMP), stamp),
        None => Ok(()),
    }
}

/// Locks a folder against other processes, and reports it if it must wait for them.
pub(super) fn alone_in(folder: &Path) -> Option<Locked> {
    atomic::alone_in(folder, || announce(&format!("waiting for another parlor that works in {}", folder.escaped())))
}

#[cfg(test)]
mod tests {
    use std::fs::{File, TryLockError};
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use super::*;

    const MANIFEST: &str =
        "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says what it hears\"\n";

    /// Returns a Python plugin as if it had just been built.
    fn built() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("plugin.toml"), MANIFEST).unwrap();
        fs::write(folder.path().join("plugin.py"), "import lib.part").unwrap();
        fs::write(folder.path().join("lib/part.py"), "part").unwrap();
        is_built(folder.path());
        folder
    }

    fn is_built(folder: &Path) {
        let sources = Sources::of(folder);
        is_built_of(folder, sources.as_ref());
    }

    fn is_built_of(folder: &Path, sources: Option<&Sources>) {
        let file = folder.join("echo.wasm");
        fs::write(&file, "component").unwrap();
        let (_, manifest) = read_manifest(folder).unwrap();
        mark(folder, &manifest, sources, &file).unwrap();
    }

    fn is_fresh(folder: &tempfile::TempDir) -> bool {
        file(folder.path()).is_some()
    }

    #[test]
    fn a_file_is_used_while_nothing_but_tests_and_tools_files_is_written() {
        let folder = built();
        assert_eq!(file(folder.path()), Some(folder.path().join("echo.wasm")));
        for name in ["tests/echo.chat", ".git/index", "__pycache__/plugin.pyc"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert!(is_fresh(&folder));
        let same = folder.path().join("lib/..");
        assert_eq!(file(&same), Some(same.join("echo.wasm")), "by another name");
        fs::write(folder.path().join("lib/part.py"), "other").unwrap();
        assert!(!is_fresh(&folder));
    }

    #[test]
    fn what_is_saved_while_it_is_built_is_not_in_the_file() {
        let folder = built();
        let before = Sources::of(folder.path());
        fs::write(folder.path().join("plugin.py"), "import lib.part, and_more").unwrap();
        is_built_of(folder.path(), before.as_ref());
        assert!(!is_fresh(&folder));
        is_built(folder.path());
        assert!(is_fresh(&folder));
    }

    #[test]
    fn what_is_removed_linked_or_put_back_with_its_old_time_is_seen() {
        let (folder, outside) = (built(), tempfile::tempdir().unwrap());
        fs::remove_file(folder.path().join("lib/part.py")).unwrap();
        assert!(!is_fresh(&folder), "a module is gone");

        let folder = built();
        let (part, other) = (folder.path().join("lib/part.py"), outside.path().join("part.py"));
        let time = part.metadata().unwrap().modified().unwrap() - Duration::from_mins(1);
        fs::write(&other, "trap").unwrap();
        File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        fs::rename(&other, &part).unwrap();
        assert!(!is_fresh(&folder), "an older one took its place");

        let folder = built();
        symlink(outside.path(), folder.path().join("shared")).unwrap();
        // Compilers would go in circles as well.
        symlink(folder.path(), folder.path().join("lib/back")).unwrap();
        is_built(folder.path());
        assert!(is_fresh(&folder));
        fs::write(outside.path().join("more.py"), "more").unwrap();
        assert!(!is_fresh(&folder), "what lies behind a link is new");
    }

    #[test]
    fn another_file_or_another_parlor_is_seen() {
        let folder = built();
        fs::write(folder.path().join("echo.wasm"), "another").unwrap();
        assert!(!is_fresh(&folder));
        let program = folder.path().join("plugin.py");
        let by = |program: &Path| Sources::built_by(program, folder.path());
        let before = by(&program);
        assert_eq!(before, by(&program));
        assert_ne!(before, by(&folder.path().join("plugin.toml")));
    }

    #[test]
    fn who_is_alone_in_a_folder_is_so_until_it_leaves() {
        let folder = tempfile::tempdir().unwrap();
        let first = alone_in(folder.path());
        assert!(first.is_some());
        let other = File::open(folder.path()).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(first);
        other.try_lock().unwrap();
        assert!(alone_in(Path::new("/nowhere/at/all")).is_none());
    }
}
