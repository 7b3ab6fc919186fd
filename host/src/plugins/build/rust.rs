//! A plugin in Rust: `Cargo.toml`, and a library of the type `cdylib` that calls `parlor_sdk::plugin!`.

mod project;
mod sdk;
mod toolchain;

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use wit_component::ComponentEncoder;

use self::project::Project;
pub(super) use self::toolchain::TARGET;
pub(super) use self::toolchain::Toolchain;
use super::{BuildError, Made, Traces, environment, names};

/// The file that makes a folder one of Rust.
pub(super) const MARK: &str = "Cargo.toml";

/// Puts what the plugin is compiled with into its folder.
pub(super) fn equip(folder: &Path) -> Result<(), BuildError> {
    sdk::equip(folder)
}

/// Compiles it, and makes a component of the result.
pub(super) fn make(folder: &Path, traces: Traces) -> Result<Made, BuildError> {
    let project = Project::find(folder)?;
    let toolchain = Toolchain::find(folder)?;
    let module = compile(folder, &project, &toolchain)?;
    let unmade = |reason: String| BuildError::Component { package: project.package.clone(), reason };
    let module = names::keep(module, project.kept(traces)).map_err(|error| unmade(error.to_string()))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(ComponentEncoder::encode)
        .map_err(|error| unmade(advised(&format!("{error:#}"))))?;
    let metadata = project.metadata().map(|(name, text)| (name, text.to_owned())).collect();
    Ok(Made { component, metadata, output: project.output(traces), package: project.package })
}

/// Why no component can be made of what cargo made, with what usually helps.
fn advised(reason: &str) -> String {
    let advice = if reason.contains("__wbindgen") {
        "a crate that it depends on is made for browsers as it comes: take that without its default features, such as chrono with \
         default-features = false (and features = [\"alloc\"]), and the time from parlor_sdk::prelude::now"
    } else {
        "does it call parlor_sdk::plugin! once?"
    };
    format!("{reason}; {advice}")
}

/// Runs cargo, and gives the core module that it made.
fn compile(folder: &Path, project: &Project, toolchain: &Toolchain) -> Result<Vec<u8>, BuildError> {
    let mut cargo = Command::new("cargo");
    environment::forget_outer_cargo(&mut cargo);
    cargo
        .current_dir(folder)
        .args(["build", "--lib", "--package", &project.package, "--target", TARGET])
        .args(project.profile.arguments())
        .arg("--target-dir")
        .arg(project.target_directory())
        .arg("--config")
        .arg(project.anonymous_paths(toolchain))
        .args(project.with_names());
    toolchain.apply(&mut cargo);
    // Its messages belong to people; the standard output is kept for the result.
    cargo.stdin(Stdio::null()).stdout(Stdio::from(io::stderr()));
    let status = cargo.status().map_err(|error| BuildError::NoRust { program: "cargo", error })?;
    if !status.success() && !has_dependencies(folder) {
        let what = format!("what {} depends on", project.package);
        return Err(BuildError::Install { what, program: "cargo", status, needs: "cargo has to reach its registry" });
    }
    if !status.success() {
        return Err(BuildError::Compile { package: project.package.clone(), program: "cargo", status });
    }
    let path = project.module();
    fs::read(&path).map_err(|error| BuildError::File { path, error })
}

/// Whether all that the plugin depends on is on this machine.
fn has_dependencies(folder: &Path) -> bool {
    let mut cargo = Command::new("cargo");
    environment::forget_outer_cargo(&mut cargo);
    cargo.current_dir(folder).args(["metadata", "--offline", "--format-version", "1"]);
    cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // Where cargo does not even run, it is not for this.
    cargo.status().is_ok_and(|status| status.success())
}
