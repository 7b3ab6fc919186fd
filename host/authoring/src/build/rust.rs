//! Plugins in Rust: `Cargo.toml`, and a library of the type `cdylib` that calls `parlor_sdk::plugin!`.

mod project;
mod sdk;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use parlor_base::atomic::Locked;
use parlor_base::child;
use serde_json::Value;
use wit_component::ComponentEncoder;

use self::project::Project;
use super::fresh::alone_in;
use super::{BuildError, Made, Traces, environment, names, read_text};

pub(super) use self::sdk::SOURCES;
pub(super) use self::toolchain::TARGET;
pub(super) use self::toolchain::Toolchain;

/// The file that marks a folder as Rust.
pub(super) const MARK: &str = "Cargo.toml";

/// Puts the files for the compiler into the plugin's folder.
pub(super) fn equip(folder: &Path) -> Result<(), BuildError> {
    sdk::equip(folder)
}

/// Returns the file for owners from an earlier build of this folder, at its usual place in a workspace. It is not found
/// if Cargo is configured to use another folder.
pub(super) fn made_of(folder: &Path) -> Option<PathBuf> {
    let manifest = read_text(&folder.join(MARK)).ok()?.parse::<toml::Table>().ok()?;
    let package = manifest.get("package")?.get("name")?.as_str()?;
    // The author of the folder chose the name, and it may be shown.
    let is_name = package.bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_".contains(&letter));
    let file = is_name.then(|| format!("target/plugins/{package}.wasm"))?;
    let folder = fs::canonicalize(folder).ok()?;
    // A folder that is not in a project may belong to anybody, as in `/tmp`.
    let projects = folder.ancestors().filter(|around| around.join(MARK).is_file());
    projects.map(|around| around.join(&file)).find(|file| file.is_file())
}

/// Compiles the plugin, and makes a component of the result.
pub(super) fn make(folder: &Path, traces: Traces) -> Result<Made, BuildError> {
    let toolchain = match Toolchain::find(folder) {
        // The cargo of such a compiler has the same problem, and reports it less clearly.
        Err(useless @ (BuildError::TooOld { .. } | BuildError::Broken { .. })) => return Err(useless),
        found => found,
    };
    let project = Project::find(folder)?;
    let toolchain = toolchain?;
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

/// Adds advice to the reason why no component can be made of cargo's output.
fn advised(reason: &str) -> String {
    let advice = if reason.contains("__wbindgen") {
        "a crate that it depends on is made for browsers as it comes: take that without its default features, such as chrono with \
         default-features = false (and features = [\"alloc\"]), and the time from parlor_sdk::prelude::now, random numbers from \
         parlor_sdk::prelude::random"
    } else {
        "does it call parlor_sdk::plugin! once?"
    };
    format!("{reason}; {advice}")
}

/// Runs cargo, and returns the core module that it made.
fn compile(folder: &Path, project: &Project, toolchain: &Toolchain) -> Result<Vec<u8>, BuildError> {
    let target = project.target_directory()?;
    // The module of another plugin may have the same name.
    let _alone = project.shares().then(|| alone_in_cache(&target)).transpose()?.flatten();
    let mut cargo = child::command("cargo", folder);
    environment::forget_outer_cargo(&mut cargo);
    cargo
        .args(["rustc", "--lib", "--package", &project.package, "--target", TARGET])
        .args(project.profile.arguments())
        .arg("--target-dir")
        .arg(&target)
        .arg("--config")
        .arg(Project::anonymous_paths(toolchain))
        .args(project.with_names());
    toolchain.apply(&mut cargo);
    // Cargo's diagnostics go to the user, and its messages about results to this program.
    cargo.arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stderr(Stdio::inherit());
    cargo.arg("--").args(project.anonymous_root());
    let done = cargo.output().map_err(|error| BuildError::NoRust { program: "cargo", error })?;
    if !done.status.success() {
        return Err(failed(project.package.clone(), done.status, &done.stdout));
    }
    let path = project.module(&target);
    fs::read(&path).map_err(|error| BuildError::File { path, error })
}

/// Locks the folder that plugins share against other builds, until the result is dropped.
fn alone_in_cache(target: &Path) -> Result<Option<Locked>, BuildError> {
    fs::create_dir_all(target).map_err(|error| BuildError::File { path: target.to_owned(), error })?;
    Ok(alone_in(target))
}

/// Returns why cargo failed. If there is no message about the end of a build, cargo failed earlier, while fetching
/// dependencies.
fn failed(package: String, status: ExitStatus, said: &[u8]) -> BuildError {
    let has_built =
        |line: &[u8]| serde_json::from_slice::<Value>(line).is_ok_and(|message| message["reason"] == "build-finished");
    if said.split(|byte| *byte == b'\n').any(has_built) {
        return BuildError::Compile { package, program: "cargo", status };
    }
    let what = format!("what {package} depends on");
    let needs = "a path, name or version in Cargo.toml does not exist, or cargo cannot reach its registry";
    BuildError::Install { what, program: "cargo", status, needs }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn what_was_made_of_a_folder_is_found_also_in_its_workspace() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("plugins/repeat");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(MARK), "[package]\nname = \"my-repeat\"\n").unwrap();
        assert_eq!(made_of(&folder), None);
        let target = fs::canonicalize(root.path()).unwrap().join("target/plugins");
        fs::create_dir_all(&target).unwrap();
        fs::write(target.join("my-repeat.wasm"), "").unwrap();
        assert_eq!(made_of(&folder), None, "nobody builds there");
        fs::write(root.path().join(MARK), "[workspace]\n").unwrap();
        assert_eq!(made_of(&folder), Some(target.join("my-repeat.wasm")));
        fs::write(folder.join(MARK), "[package]\nname = \"../plugins/my-repeat\"\n").unwrap();
        assert_eq!(made_of(&folder), None);
    }

    #[test]
    fn a_mistake_of_the_author_is_told_from_what_is_not_to_be_had() {
        let because = |said: &str| failed("repeat".to_owned(), ExitStatus::from_raw(101 << 8), said.as_bytes());
        let compiled = "{\"reason\":\"compiler-artifact\"}\n{\"reason\":\"build-finished\",\"success\":false}\n";
        assert!(matches!(because(compiled), BuildError::Compile { .. }));
        for said in ["", "build-finished", "{\"reason\":\"compiler-artifact\"}\n"] {
            let error = because(said);
            assert!(matches!(error, BuildError::Install { .. }), "{said}");
            // A path that is missing is no fault of the registry.
            assert!(error.to_string().contains("a path, name or version in Cargo.toml does not exist, or"), "{error}");
        }
    }
}
