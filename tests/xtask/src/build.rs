//! Builds the host, the test programs, and the plugins.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run::{Output, run};
use crate::workspace;

/// The crates with a profile of their own that no measurement is about: tools, texts of test modules, spans that leave the
/// machine.
const UNMEASURED: [&str; 4] = ["\"*\"", "opentelemetry_sdk", "wast", "xtask"];

/// Returns the options that compile all others of them as for a release: the host's packages, and the programs that the host
/// is compared with. They use few codegen units, since code in different units is not inlined.
fn as_released(manifest: &str) -> Vec<String> {
    let profiles = manifest.lines().filter_map(|line| line.strip_prefix("[profile.dev.package.")?.strip_suffix(']'));
    let of = |name: &str| {
        ["opt-level=3", "codegen-units=16"].map(|key| format!("--config=profile.dev.package.{name}.{key}"))
    };
    profiles.filter(|name| !UNMEASURED.contains(name)).flat_map(of).collect()
}

/// Returns the text of a workspace's manifest.
fn manifest(root: &Path) -> Result<String> {
    let file = root.join("Cargo.toml");
    std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
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
    let options = as_released(&manifest(&workspace::root())?);
    build(workspace::cargo(PROGRAMS.into_iter().chain(options.iter().map(String::as_str))))?;
    plugins()
}

#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn begin() {
    eprintln!("building (the first time takes some minutes)");
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
    let options = as_released(&manifest(&tree)?);
    let mut cargo = workspace::cargo(PROGRAMS.into_iter().chain(options.iter().map(String::as_str)));
    run(&format!("building {revision}"), cargo.current_dir(&tree).env("CARGO_TARGET_DIR", &target), Output::Shown)?;
    let plugins = target.join("plugins");
    std::fs::create_dir_all(&plugins).with_context(|| format!("cannot make {}", plugins.display()))?;
    let mut parlor = Command::new(target.join("debug/parlor"));
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
        let manifest = manifest(&workspace::root()).unwrap();
        let options = as_released(&manifest);
        let (members, _) = manifest.split_once("members = [").unwrap().1.split_once(']').unwrap();
        let members = members.split(", ").map(|name| name.trim_matches('"'));
        let packages: Vec<_> = members.filter_map(|folder| folder.strip_prefix("host/")).collect();
        assert!(packages.len() > 10, "{packages:?}");
        let forgotten: Vec<_> = packages
            .into_iter()
            .filter(|name| *name != "stringprep")
            .map(|name| format!("--config=profile.dev.package.parlor-{name}.opt-level=3"))
            .filter(|option| !options.contains(option))
            .collect();
        assert!(forgotten.is_empty(), "{forgotten:?}");
        for name in ["parlor", "parlor-tests", "xmpp-parsers", "wasmtime-wasi"] {
            assert!(options.contains(&format!("--config=profile.dev.package.{name}.opt-level=3")), "{name}");
        }
    }
}
