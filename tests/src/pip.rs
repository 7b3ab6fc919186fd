//! Python packages that tests install with pip, each list into a folder of its own next to cargo's output.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

use crate::plugins;

/// The file that says which packages an environment has.
const MARK: &str = "installed.txt";

/// Installs a list of packages with their versions, one a line, into the folder of this name, unless they are there. Only the first
/// call needs the network. Returns the environment; its programs are in `bin`.
pub async fn installed(name: &str, packages: &str) -> Result<PathBuf> {
    let folder = plugins::target().join(name);
    let is_there = || std::fs::read_to_string(folder.join(MARK)).is_ok_and(|there| there == packages);
    if is_there() {
        return Ok(folder);
    }
    // It is moved to its place when it is complete: another program of the tests may install at the same time.
    let made = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(plugins::target())?;
    let mut venv = tokio::process::Command::new("python3");
    let output = venv.args(["-m", "venv"]).arg(made.path()).output().await.context("cannot run python3")?;
    ensure!(output.status.success(), "python3 -m venv failed: {}", String::from_utf8_lossy(&output.stderr));
    let list = made.path().join("requirements.txt");
    std::fs::write(&list, packages)?;
    let mut pip = tokio::process::Command::new(made.path().join("bin/python3"));
    // The list is complete, and one package asks for another that cannot be built any more.
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"]).arg(&list);
    let output = pip.output().await.context("cannot run pip")?;
    ensure!(output.status.success(), "pip cannot install {packages}: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(made.path().join(MARK), packages)?;
    if is_there() {
        return Ok(folder);
    }
    // Remove a folder of another version.
    if folder.exists() {
        std::fs::remove_dir_all(&folder).context("cannot remove the packages of another version")?;
    }
    let moved = std::fs::rename(made.path(), &folder);
    ensure!(moved.is_ok() || is_there(), "cannot move the packages to {}: {moved:?}", folder.display());
    Ok(folder)
}
