//! Builds the host, the test programs, and the plugins.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{Output, run};
use crate::workspace;

/// Builds the whole workspace, always. Cargo unifies the features of everything it builds together. A part of the
/// workspace has other features than the whole, and wasmtime would be compiled a second time for it.
const PROGRAMS: [&str; 4] = ["build", "--workspace", "--bins", "--lib"];

/// The programs that are measured, those that they are compared with, and those that measure.
const MEASURED: [&str; 6] = ["parlor", "native-echo", "bare-echo", "bare-fetch", "bench", "attack"];

/// Builds the host, the test programs and the plugins.
pub(crate) fn everything() -> Result<()> {
    begin("building (the first time takes some minutes)");
    programs()?;
    plugins()
}

/// Builds what is measured, by the profile of a release: its code is inlined across packages, which saves a fifth of the CPU
/// time of a message. Also builds the plugins.
pub(crate) fn to_be_measured() -> Result<()> {
    begin("building as for a release (the first time takes twenty minutes)");
    build(release())?;
    measured_plugins(&workspace::released("parlor"))
}

/// Builds the plugins that are measured, into the folder where this host's neighbours look for them.
pub(crate) fn measured_plugins(parlor: &Path) -> Result<()> {
    let target = parlor.ancestors().nth(2).expect("a program lies in a profile's folder").join("plugins");
    plugins_with(parlor, &target)?;
    // The one in C whose first answer is measured.
    plugin(parlor, &workspace::root().join("example-plugins/dice"), &target)
}

/// Returns the command that builds what is measured.
pub(crate) fn release() -> Command {
    let programs = MEASURED.into_iter().flat_map(|name| ["--bin", name]);
    workspace::cargo(["build", "--release", "--workspace", "--lib"].into_iter().chain(programs))
}

#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn begin(words: &str) {
    eprintln!("{words}");
}

/// Builds the host and the echo plugin of another revision for measurements, below `target/against`.
pub(crate) fn revision(revision: &str) -> Result<()> {
    let (tree, target) = (workspace::against().join("tree"), workspace::against().join("target"));
    let mut git = Command::new("git");
    git.current_dir(workspace::root());
    if tree.is_dir() {
        git.arg("-C").arg(&tree).args(["checkout", "--quiet", "--detach", "--force", revision]);
    } else {
        git.args(["worktree", "add", "--quiet", "--detach", "--force"]).arg(&tree).arg(revision);
    }
    run(&format!("checking out {revision}"), &mut git, Output::Kept)?;
    let mut cargo = workspace::cargo(["build", "--release", "--bin", "parlor"]);
    run(&format!("building {revision}"), cargo.current_dir(&tree).env("CARGO_TARGET_DIR", &target), Output::Shown)?;
    let plugins = target.join("plugins");
    std::fs::create_dir_all(&plugins).with_context(|| format!("cannot make {}", plugins.display()))?;
    let mut parlor = Command::new(target.join("release/parlor"));
    parlor.args(["plugin", "build", "--trust"]).arg(tree.join("example-plugins/echo"));
    run("building its echo plugin", parlor.arg("-o").arg(plugins.join("echo.wasm")).current_dir(&tree), Output::Kept)
}

/// Builds the host and the test programs.
pub(crate) fn programs() -> Result<()> {
    build(workspace::cargo(PROGRAMS))
}

/// Builds the same with lints.
pub(crate) fn linted_programs() -> Result<()> {
    build(workspace::linting_cargo(PROGRAMS))
}

fn build(mut cargo: Command) -> Result<()> {
    run("building the host", &mut cargo, Output::Shown)
}

/// Builds every plugin of the workspace with the host's own command, as authors do.
pub(crate) fn plugins() -> Result<()> {
    plugins_with(&workspace::program("parlor"), &workspace::plugins())
}

fn plugins_with(parlor: &Path, target: &Path) -> Result<()> {
    std::fs::create_dir_all(target).with_context(|| format!("cannot make {}", target.display()))?;
    for folder in workspace::plugin_folders()? {
        plugin(parlor, &folder, target)?;
    }
    Ok(())
}

/// Builds the plugin in a folder with this host's command, as `NAME.wasm` in `target`.
pub(crate) fn plugin(parlor: &Path, folder: &Path, target: &Path) -> Result<()> {
    let name = folder.file_name().expect("a folder that was listed has a name");
    let file = target.join(name).with_extension("wasm");
    let mut command = Command::new(parlor);
    command.args(["plugin", "build", "--trust"]).arg(folder).arg("-o").arg(file).current_dir(workspace::root());
    run(&format!("building the plugin {}", name.display()), &mut command, Output::Kept)
}
