//! The copy of the sources that is changed, in the target folder. It is kept, with everything that was compiled in it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use parlor_tests::conformance::root;
use parlor_tests::plugins;
use tokio::process::Command;

use crate::table::Detector;

/// The copy of the sources.
pub(crate) struct Tree {
    root: PathBuf,
}

impl Tree {
    /// Copies the current sources: the files that git knows, with uncommitted changes. Files that are already the same
    /// are not touched, so that cargo does not rebuild them.
    pub(crate) async fn copy() -> Result<Self> {
        let tree = Self { root: plugins::target().join("detectors") };
        make_folder(&tree.root)?;
        let changed = git(&["stash", "create"], &tree.root).await?;
        let commit = if changed.is_empty() { "HEAD" } else { &changed };
        git(&["read-tree", "--reset", "-u", commit], &tree.root).await?;
        tree.copy_plugins()?;
        Ok(tree)
    }

    /// Returns the copy's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Copies the plugins that were built from the real sources. They do not depend on the host's code.
    fn copy_plugins(&self) -> Result<()> {
        let (from, to) = (plugins::target().join("plugins"), self.root.join("target/plugins"));
        make_folder(&to)?;
        let entries = std::fs::read_dir(&from).with_context(|| format!("cannot read {}", from.display()))?;
        for entry in entries {
            let file = entry.with_context(|| format!("cannot read {}", from.display()))?.path();
            if file.extension().is_some_and(|extension| extension == "wasm") {
                let name = file.file_name().expect("a file in a folder has a name");
                std::fs::copy(&file, to.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
            }
        }
        Ok(())
    }

    /// Applies a detector's change until the returned guard is dropped.
    pub(crate) fn break_on_purpose(&self, detector: &Detector) -> Result<Broken> {
        let path = self.root.join(&detector.file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let broken = detector.applied_to(&text)?;
        std::fs::write(&path, broken).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Broken { path, text })
    }
}

/// A changed file. Dropping this restores it.
pub(crate) struct Broken {
    path: PathBuf,
    text: String,
}

impl Drop for Broken {
    fn drop(&mut self) {
        // If it cannot be restored now, the next copy restores it.
        let _ = std::fs::write(&self.path, &self.text);
    }
}

fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

/// Runs git in the workspace's root, for another work tree with a separate index. The index of the sources is not
/// touched.
async fn git(arguments: &[&str], work_tree: &Path) -> Result<String> {
    let mut command = Command::new("git");
    if arguments.first() == Some(&"read-tree") {
        command.arg("--work-tree").arg(work_tree).env("GIT_INDEX_FILE", work_tree.with_extension("index"));
    }
    let command = command.args(arguments).current_dir(root()).kill_on_drop(true);
    let output = command.output().await.context("cannot start git, which says what the sources are")?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "git {} failed: {}", arguments.join(" "), words.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Check;

    #[test]
    fn what_was_broken_is_mended_however_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("limit.rs");
        std::fs::write(&file, "at most 3").unwrap();
        let tree = Tree { root: folder.path().to_owned() };
        let detector = Detector {
            name: "limit".to_owned(),
            broken: "there is no limit".to_owned(),
            file: "limit.rs".to_owned(),
            find: "3".to_owned(),
            instead: "all".to_owned(),
            seen_by: Check::Attack(1),
        };
        let broken = tree.break_on_purpose(&detector).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "at most all");
        assert!(tree.break_on_purpose(&detector).is_err(), "it is broken already");
        drop(broken);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "at most 3");
    }
}
