//! Builds the host, the test programs, and the plugins.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{Output, run};
use crate::workspace;

/// Compiles as for a release those crates that the workspace's profile does not optimize: the host, and the programs it
/// is compared with. It uses few codegen units, since code in different units is not inlined.
const AS_RELEASED: [&str; 5] = [
    "--config=profile.dev.package.parlor.opt-level=3",
    "--config=profile.dev.package.parlor.codegen-units=16",
    "--config=profile.dev.package.parlor-tests.opt-level=3",
    "--config=profile.dev.package.xmpp-parsers.opt-level=3",
    "--config=profile.dev.package.wasmtime-wasi.opt-level=3",
];

/// Builds the whole workspace, always. Cargo unifies the features of everything it builds together. A part of the
/// workspace has other features than the whole, and wasmtime would be compiled a second time for it.
const PROGRAMS: [&str; 4] = ["build", "--workspace", "--bins", "--lib"];

/// Builds the host, the test programs and the plugins.
pub(crate) fn everything() -> Result<()> {
    begin();
    programs()?;
    plugins()
}

/// Builds the same for measurements: the crates that handle a message are compiled as for a release.
pub(crate) fn to_be_measured() -> Result<()> {
    begin();
    build(workspace::cargo(PROGRAMS.into_iter().chain(AS_RELEASED)))?;
    plugins()
}

#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn begin() {
    eprintln!("building (the first time takes some minutes)");
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
    let target = workspace::plugins();
    std::fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
    for folder in workspace::plugin_folders()? {
        plugin(&folder, &target)?;
    }
    Ok(())
}

fn plugin(folder: &Path, target: &Path) -> Result<()> {
    let name = folder.file_name().expect("a folder that was listed has a name");
    let file = target.join(name).with_extension("wasm");
    let mut command = Command::new(workspace::program("parlor"));
    command.args(["plugin", "build", "--trust"]).arg(folder).arg("-o").arg(file).current_dir(workspace::root());
    run(&format!("building the plugin {}", name.display()), &mut command, Output::Kept)
}
