//! A temporary folder that is removed when this process ends, also when the process is killed.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// Waits until its input ends, which happens when the owner ends for any reason, and then removes the folder. It
/// retries, since processes that end at the same moment may still write there.
const SWEEP: &str = r#"
trap '' INT TERM HUP
read -r _
for _ in 1 2 3 4 5; do
    rm -rf -- "$1" 2>/dev/null
    [ -e "$1" ] || break
    sleep 0.2
done
"#;

/// A temporary folder. Dropping it removes it with its contents.
#[derive(Debug)]
pub struct Folder {
    /// `None` only during drop.
    dir: Option<TempDir>,
    sweeper: Child,
}

impl Folder {
    /// Creates an empty folder that only this user can access.
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("parlor-").tempdir().context("cannot make a temporary folder")?;
        let sweeper = sweeper(dir.path()).context("cannot start sh, which removes the temporary folder")?;
        Ok(Self { dir: Some(dir), sweeper })
    }

    /// Returns the folder's path.
    pub fn path(&self) -> &Path {
        self.dir.as_ref().expect("there until it is dropped").path()
    }

    /// Returns the path of an entry in the folder.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Creates a folder in it, unless it exists.
    pub fn make_folder(&self, name: &str) -> Result<()> {
        std::fs::create_dir_all(self.join(name)).with_context(|| format!("cannot make the folder {name}"))
    }

    /// Writes a file in it that only this user can read, and returns its path. Missing parent folders are created.
    ///
    /// The file is written to a temporary name and then renamed, so that it is never seen half written.
    pub fn write(&self, name: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.join(name);
        write_private(&path, content.as_ref()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // If it cannot be removed now, the sweeper tries again.
        drop(self.dir.take());
        drop(self.sweeper.stdin.take());
        let _ = self.sweeper.wait();
    }
}

/// Starts the sweeper. Unlike other children, it must outlive this process.
fn sweeper(folder: &Path) -> io::Result<Child> {
    use std::os::unix::process::CommandExt as _;
    Command::new("sh")
        .args(["-c", SWEEP, "parlor-sweeper"])
        .arg(folder)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
}

/// Writes a file that only its owner may read.
pub fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    let folder = path.parent().expect("a file in a folder has a parent");
    std::fs::create_dir_all(folder)?;
    // Temporary files are created with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn it_goes_with_what_is_in_it() {
        let folder = Folder::new().unwrap();
        let path = folder.path().to_owned();
        let file = folder.write("a/secret", "x").unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let sweeper = folder.sweeper.id();
        drop(folder);
        assert!(!path.exists());
        assert!(!crate::process::exists(sweeper));
    }

    #[test]
    fn it_is_swept_when_the_owner_cannot() {
        let mut folder = Folder::new().unwrap();
        let path = folder.path().to_owned();
        folder.write("file", "x").unwrap();
        // As if this process had been killed: the pipe closes, and only the sweeper is left.
        drop(folder.sweeper.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(10);
        while path.exists() {
            assert!(Instant::now() < deadline, "{} is still there", path.display());
            std::thread::yield_now();
        }
    }
}
