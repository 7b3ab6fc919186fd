//! Builds the host, the test programs, and the plugins.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{Output, run};
use crate::workspace;

/// The crates that the workspace's profile does not optimize and that a measurement is about: the host's packages, and the
/// programs that the host is compared with.
const MEASURED: [&str; 15] = [
    "parlor",
    "parlor-authoring",
    "parlor-base",
    "parlor-cli",
    "parlor-config",
    "parlor-https",
    "parlor-plugins",
    "parlor-runtime",
    "parlor-session",
    "parlor-stanza",
    "parlor-store",
    "parlor-tests",
    "parlor-xmpp",
    "wasmtime-wasi",
    "xmpp-parsers",
];

/// Returns the options that compile these as for a release. They use few codegen units, since code in different units is
/// not inlined.
fn as_released() -> Vec<String> {
    let of = |name: &str| {
        ["opt-level=3", "codegen-units=16"].map(|key| format!("--config=profile.dev.package.{name}.{key}"))
    };
    MEASURED.into_iter().flat_map(of).collect()
}

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
    let options = as_released();
    build(workspace::cargo(PROGRAMS.into_iter().chain(options.iter().map(String::as_str))))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A package that is left out would be measured as it is compiled for tests.
    #[test]
    fn every_package_that_handles_a_message_is_compiled_as_for_a_release() {
        let manifest = std::fs::read_to_string(workspace::root().join("Cargo.toml")).unwrap();
        let tables = manifest.lines().filter_map(|line| line.strip_prefix("[profile.dev.package.")?.strip_suffix(']'));
        // Tools, texts of test modules, and spans that leave the machine are on no path of a message.
        let apart = ["xtask", "wast", "opentelemetry_sdk", "\"*\""];
        let slow: Vec<_> = tables.filter(|name| !apart.contains(name)).collect();
        assert!(slow.len() > 10, "{slow:?}");
        let forgotten: Vec<_> = slow.iter().filter(|name| !MEASURED.contains(name)).collect();
        assert!(forgotten.is_empty(), "{forgotten:?}");
    }
}
