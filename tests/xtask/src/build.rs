//! Building the host, the programs of the tests, and the plugins.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{Output, run};
use crate::workspace;

/// As for a release, what the workspace's profile does not optimize: the host, and what it is compared with. Few units, since
/// what stands in two of them is not inlined.
const AS_RELEASED: [&str; 5] = [
    "--config=profile.dev.package.parlor.opt-level=3",
    "--config=profile.dev.package.parlor.codegen-units=16",
    "--config=profile.dev.package.parlor-tests.opt-level=3",
    "--config=profile.dev.package.xmpp-parsers.opt-level=3",
    "--config=profile.dev.package.wasmtime-wasi.opt-level=3",
];

/// Always the whole workspace: cargo unites the features of what it builds together, and a part of the workspace has other
/// features than the whole, for which wasmtime would be compiled a second time.
const PROGRAMS: [&str; 4] = ["build", "--workspace", "--bins", "--lib"];

/// The host, the tests' programs and the plugins.
pub(crate) fn everything() -> Result<()> {
    begin();
    programs()?;
    plugins()
}

/// The same, and what a message passes through is compiled as for a release: to be measured.
pub(crate) fn to_be_measured() -> Result<()> {
    begin();
    build(workspace::cargo(PROGRAMS.into_iter().chain(AS_RELEASED)))?;
    plugins()
}

#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn begin() {
    eprintln!("building (the first time takes some minutes)");
}

/// The host and the tests' programs.
pub(crate) fn programs() -> Result<()> {
    build(workspace::cargo(PROGRAMS))
}

/// The same, with lints.
pub(crate) fn linted_programs() -> Result<()> {
    build(workspace::linting_cargo(PROGRAMS))
}

fn build(mut cargo: Command) -> Result<()> {
    run("building the host", &mut cargo, Output::Shown)
}

/// Every plugin of the workspace, by the host's own command, as their authors build them.
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
