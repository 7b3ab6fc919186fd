//! The workspace's paths.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// Returns the workspace's root.
pub(crate) fn root() -> PathBuf {
    // Cargo says where this package is now. Without cargo, it is still where it was built.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&package).ancestors().nth(2).expect("this package lies two folders deep");
    root.to_owned()
}

/// Returns the path of a program that cargo built with the same profile as this one.
pub(crate) fn program(name: &str) -> PathBuf {
    profile().join(name)
}

/// Returns the path of a program that cargo built by the profile of a release.
pub(crate) fn released(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// Returns the folder of the built plugins.
pub(crate) fn plugins() -> PathBuf {
    target().join("plugins")
}

/// Returns the folder of the index of the example plugins.
pub(crate) fn index() -> PathBuf {
    target().join("index")
}

/// Returns the folder for programs of others that tasks install.
pub(crate) fn tools() -> PathBuf {
    target().join("tools")
}

/// Returns the folder for another revision that is measured beside this one.
pub(crate) fn against() -> PathBuf {
    target().join("against")
}

/// Returns the folder for programs that are built by a profile.
pub(crate) fn by_profile() -> PathBuf {
    target().join("by-profile")
}

fn target() -> PathBuf {
    profile().parent().expect("a profile's folder lies in the target folder").to_owned()
}

fn profile() -> PathBuf {
    let program = std::env::current_exe().expect("a program knows where it lies");
    program.parent().expect("a program lies in a folder").to_owned()
}

/// Returns the folders of all plugins in Rust in this workspace: the examples and the suite's guests. The suite builds
/// the plugins in other languages itself.
pub(crate) fn plugin_folders() -> Result<Vec<PathBuf>> {
    let mut folders = [folders("example-plugins")?, folders("tests/guests")?].concat();
    folders.retain(|folder| folder.join("Cargo.toml").is_file());
    folders.sort();
    Ok(folders)
}

/// Returns the folders of the example plugins, in all languages.
pub(crate) fn examples() -> Result<Vec<PathBuf>> {
    folders("example-plugins")
}

/// Returns the folders of plugins in a folder of the workspace, by name.
fn folders(group: &str) -> Result<Vec<PathBuf>> {
    let group = root().join(group);
    let mut folders = Vec::new();
    let entries = std::fs::read_dir(&group).with_context(|| format!("cannot read {}", group.display()))?;
    for entry in entries {
        let folder = entry.with_context(|| format!("cannot read {}", group.display()))?.path();
        if folder.join("plugin.toml").is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    Ok(folders)
}

/// Like [`cargo`], with clippy as the compiler of our own crates, and each warning an error.
///
/// Third-party crates are compiled only once this way, under the same name as without lints. `cargo clippy` would check
/// them a second time first, which takes six minutes on a machine that begins with nothing.
pub(crate) fn linting_cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = cargo(["--config=build.rustc-workspace-wrapper='clippy-driver'"].into_iter().chain(arguments));
    // The variable through which `cargo clippy` passes the arguments after `--`.
    command.env("CLIPPY_ARGS", "--deny__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    command
}

/// Returns a cargo command in the workspace's root, without the variables that the parent cargo set for this program.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "CARGO_BIN_NAME" {
            command.env_remove(name);
        }
    }
    command
}
