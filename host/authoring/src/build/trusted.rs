//! Folders whose build works outside of any sandbox and which the user agreed to build.
//!
//! A plugin runs in wasm, and so do Python and JavaScript when they are evaluated for a build, with only read access to
//! the folder. But componentize-py, which links libraries in other languages, lets code in Python write to all folders
//! that it reads: a file such as `.git/config` there is run by another program later. Compilers are different as well.
//! Cargo runs build scripts, procedural macros, wrappers and whole toolchains. These are named by the folder, by folders
//! above it, by its dependencies, or by files that those name in turn. The compilers of C and Go run nothing of the
//! folder, but read any file that its sources name. No list of such files is complete, so the user is asked about the
//! folder and not about its content.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parlor_base::atomic::{self, Readers};
use parlor_base::id::Digest;

use super::{Language, data_folder, python};

/// The maximum number of folders that are remembered.
const REMEMBERED: usize = 1_000;

/// How a folder is built. A build decides this once, before it asks whether the user agreed: the folder may change meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) language: Language,
    /// Whether componentize-py links it. Only then can code in Python write.
    pub(super) is_linked: bool,
}

impl Way {
    /// Returns `None` if the folder is no plugin's. Folders in Python are searched for libraries.
    pub(super) fn of(folder: &Path) -> Option<Self> {
        let language = Language::of(folder)?;
        Some(Self { language, is_linked: language == Language::Python && python::is_linked(folder) })
    }
}

/// A folder whose build works outside of any sandbox.
#[derive(Debug)]
pub struct Outside {
    /// Its path, with symbolic links resolved.
    folder: PathBuf,
    does: Does,
}

/// The access that the compiler has there, as the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// It runs the author's code.
    RunsCode,
    /// It reads the files that the sources name, wherever they are.
    ReadsFiles,
    /// It lets the author's code write in the folder, and among the packages of the active environment.
    WritesFiles,
}

impl Outside {
    /// Returns `None` if a build of the folder is sandboxed.
    pub fn of(folder: &Path) -> io::Result<Option<Self>> {
        Way::of(folder).map_or(Ok(None), |way| Self::of_way(folder, way))
    }

    /// Does the same for a folder that is built in this way.
    pub(super) fn of_way(folder: &Path, way: Way) -> io::Result<Option<Self>> {
        let does = match way.language {
            Language::Rust => Does::RunsCode,
            Language::Go | Language::C => Does::ReadsFiles,
            Language::Python if way.is_linked => Does::WritesFiles,
            Language::Python | Language::JavaScript | Language::TypeScript => return Ok(None),
        };
        Ok(Some(Self { folder: fs::canonicalize(folder)?, does }))
    }

    /// Describes what its build does, to follow the folder's name.
    pub fn does(&self) -> &'static str {
        match self.does {
            Does::RunsCode => {
                "runs code of its author and of the crates that it names, as you, outside of any sandbox, with all that you may read \
                 and do"
            }
            Does::ReadsFiles => "reads whatever files of yours its sources name, and may put them into the plugin",
            Does::WritesFiles => {
                "lets its author write in that folder and in the active virtual environment, where other programs of yours may run what \
                 was written: one of the two has libraries that componentize-py links, or too many files to search for these"
            }
        }
    }

    /// Returns whether its build also runs something above the folder, by cargo or rustup, except in the home folder.
    pub fn is_within_another(&self) -> bool {
        const READ: [&str; 4] = ["Cargo.toml", ".cargo", "rust-toolchain", "rust-toolchain.toml"];
        let home = std::env::home_dir().and_then(|home| fs::canonicalize(home).ok());
        let above = self.folder.ancestors().skip(1).filter(|folder| Some(*folder) != home.as_deref());
        let is_run = |folder: &Path| READ.iter().any(|name| folder.join(name).exists());
        match self.does {
            Does::ReadsFiles | Does::WritesFiles => false,
            Does::RunsCode => above.into_iter().any(is_run),
        }
    }

    /// Returns whether the user agreed to build it.
    pub fn is_trusted(&self) -> bool {
        trusted().is_ok_and(|file| self.is_in(&file))
    }

    /// Remembers that the user agreed, or created the folder. If that cannot be written, the next build asks again.
    pub fn trust(&self) -> io::Result<()> {
        self.note_in(&trusted()?)
    }

    fn is_in(&self, file: &Path) -> bool {
        let own = self.line();
        fs::read_to_string(file).unwrap_or_default().lines().any(|line| line == own)
    }

    fn note_in(&self, file: &Path) -> io::Result<()> {
        let (own, known) = (self.line(), fs::read_to_string(file).unwrap_or_default());
        if known.lines().any(|line| line == own) {
            return Ok(());
        }
        if let Some(folder) = file.parent() {
            atomic::make_private_folder(folder)?;
        }
        let skipped = known.lines().count().saturating_sub(REMEMBERED - 1);
        let lines: Vec<_> = known.lines().skip(skipped).chain([own.as_str(), ""]).collect();
        atomic::write(file, lines.join("\n").as_bytes(), Readers::Owner)
    }

    /// Returns the folder's line in the file: a digest, since a path may contain line breaks.
    fn line(&self) -> String {
        Digest::of(self.folder.as_os_str().as_encoded_bytes()).to_string()
    }
}

/// Returns the path of the file with the folders.
fn trusted() -> io::Result<PathBuf> {
    let data = data_folder().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(data.join("trusted"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(root: &Path, name: &str, mark: &str) -> Option<Outside> {
        fs::create_dir_all(root.join(name)).unwrap();
        fs::write(root.join(name).join(mark), "").unwrap();
        Outside::of(&root.join(name)).unwrap()
    }

    #[test]
    fn a_folder_is_trusted_by_itself_and_by_whatever_name_it_is_reached() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("data/trusted");
        let one = folder(root.path(), "one", "Cargo.toml").unwrap();
        let other = folder(root.path(), "one\nmore", "Cargo.toml").unwrap();
        assert!(!one.is_in(&file));
        one.note_in(&file).unwrap();
        one.note_in(&file).unwrap();
        assert!(one.is_in(&file) && !other.is_in(&file));
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 1);
        std::os::unix::fs::symlink(root.path().join("one"), root.path().join("link")).unwrap();
        assert!(Outside::of(&root.path().join("link")).unwrap().unwrap().is_in(&file));
        assert!(!one.is_within_another());
        assert!(folder(root.path(), "one/inner", "Cargo.toml").unwrap().is_within_another());
        // Compilers of C and Go only read files that they are given.
        for (name, mark) in [("c", "plugin.c"), ("go", "go.mod")] {
            let one = folder(root.path(), name, mark).unwrap();
            assert_eq!((one.does, one.is_within_another()), (Does::ReadsFiles, false));
        }
        // The others are evaluated in wasm.
        for (name, mark) in [("python", "plugin.py"), ("javascript", "plugin.js"), ("typescript", "plugin.ts")] {
            assert!(folder(root.path(), name, mark).is_none(), "{name}");
        }
    }

    /// The code could write a `.git/config` or a `.pth` file, which other programs run.
    #[test]
    fn a_folder_in_python_that_is_linked_is_asked_about_since_its_code_can_write() {
        let root = tempfile::tempdir().unwrap();
        for (name, linked) in [("toml", "lib/componentize-py.toml"), ("library", "fast-wasm32-wasi.so")] {
            assert!(folder(root.path(), name, "plugin.py").is_none(), "{name}");
            let file = root.path().join(name).join(linked);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
            let one = folder(root.path(), name, "plugin.py").unwrap();
            assert_eq!((one.does, one.is_within_another()), (Does::WritesFiles, false), "{name}");
        }
    }

    /// Otherwise a folder that changes between the two could write without the user's consent.
    #[test]
    fn what_the_user_is_asked_about_is_what_is_built_although_the_folder_changes() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("plugin.py"), "").unwrap();
        let (before, library) = (Way::of(root.path()).unwrap(), root.path().join("fast-wasm32-wasi.so"));
        fs::write(&library, "").unwrap();
        assert!(!before.is_linked && Outside::of_way(root.path(), before).unwrap().is_none());
        let linked = Way::of(root.path()).unwrap();
        fs::remove_file(&library).unwrap();
        assert!(linked.is_linked && Outside::of_way(root.path(), linked).unwrap().is_some());
        // A build has no other search than that.
        let (build, python) = (include_str!("../build.rs"), include_str!("python.rs"));
        assert_eq!(build.matches("Way::of(").count(), 1);
        assert!(!build.contains("is_linked(") && python.matches(" is_linked(").count() == 1, "python.rs declares it");
    }

    #[test]
    fn the_file_forgets_the_folders_that_came_first() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("trusted");
        fs::write(&file, "x\n".repeat(REMEMBERED + 5)).unwrap();
        let one = folder(root.path(), "one", "Cargo.toml").unwrap();
        one.note_in(&file).unwrap();
        assert!(one.is_in(&file));
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), REMEMBERED);
    }
}
