//! From a folder with a Rust plugin to the one file that an owner installs.
//!
//! It compiles, makes a component of the result, puts the manifest inside, and has both checked by those who check them
//! before a start. It never runs what it built, and decides nothing about permissions.

mod environment;
mod project;
mod toolchain;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use wasm_encoder::{ComponentSection as _, CustomSection};
use wit_component::ComponentEncoder;

use self::project::Project;
use self::toolchain::{TARGET, Toolchain};
use super::admission::undeclared;
use super::component::examine;
use super::id::Digest;
use super::manifest::{Manifest, SECTION};
use crate::atomic::{self, Readers};

/// The manifest's name in a plugin's folder.
const MANIFEST: &str = "plugin.toml";

/// What is to be built, and where it goes.
#[derive(Debug, Clone)]
pub struct Request {
    /// The folder with `Cargo.toml` and `plugin.toml`.
    pub folder: PathBuf,
    /// The file to write; none = `target/plugins/<package>.wasm` of its workspace.
    pub output: Option<PathBuf>,
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Built {
    /// The component's file.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// `sha256:` and the digest of its bytes in lower-case hex, as `plugins.toml` names it.
    pub digest: Digest,
}

/// Why nothing can be built here, in one sentence; none if it can.
pub fn toolchain_problem() -> Option<String> {
    Toolchain::find(Path::new(".")).err().map(|error| error.to_string())
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its case is")]
pub enum BuildError {
    #[error("{} is not a Rust plugin: it has no Cargo.toml; name the folder of the plugin", .0.display())]
    NotAPlugin(PathBuf),
    #[error("{} has no {MANIFEST}; write one that says what the plugin is called and what it asks for", .0.display())]
    NoManifest(PathBuf),
    #[error("{}: {reason}", file.display())]
    Manifest { file: PathBuf, reason: String },
    #[error("cannot run {program}: {error}; install Rust from https://rustup.rs or with the system's package manager")]
    Run { program: &'static str, error: io::Error },
    #[error("cargo cannot read {}: {reason}", folder.display())]
    Project { folder: PathBuf, reason: String },
    #[error("{package} is not a library of the type cdylib; write in its Cargo.toml: [lib] crate-type = [\"cdylib\"]")]
    NotCdylib { package: String },
    #[error(
        "no Rust compiler here can compile for {TARGET}; with rustup: rustup target add {TARGET}; \
         on Debian or Ubuntu: apt-get install rustc-web rust-web-src lld"
    )]
    NoTarget,
    #[error("{package} did not compile (cargo ended with {status}); its output is above")]
    Compile { package: String, status: ExitStatus },
    #[error("no component can be made of {package}: {reason}; does it call parlor_sdk::plugin! once?")]
    Component { package: String, reason: String },
    #[error("the component of {package} would be refused: {reason}")]
    Refused { package: String, reason: String },
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
}

/// Builds the plugin in a folder. Cargo's own output goes to the standard error, as it comes.
pub fn build(request: &Request) -> Result<Built, BuildError> {
    let folder = &request.folder;
    if !folder.join("Cargo.toml").is_file() {
        return Err(BuildError::NotAPlugin(folder.clone()));
    }
    let manifest = read_manifest(folder)?;
    let project = Project::find(folder)?;
    let toolchain = Toolchain::find(folder)?;

    let module = compile(folder, &project, &toolchain)?;
    let component = componentize(&module, &manifest, &project)
        .map_err(|reason| BuildError::Component { package: project.package.clone(), reason })?;
    check_component(&component).map_err(|reason| BuildError::Refused { package: project.package.clone(), reason })?;

    let file = request.output.clone().unwrap_or_else(|| project.default_output());
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| atomic::write(&file, &component, Readers::Usual))
        .map_err(|error| BuildError::File { path: file.clone(), error })?;
    Ok(Built { file, size: component.len() as u64, digest: Digest::of(&component) })
}

fn read_manifest(folder: &Path) -> Result<String, BuildError> {
    let file = folder.join(MANIFEST);
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BuildError::NoManifest(folder.to_owned()));
        }
        Err(error) => return Err(BuildError::File { path: file, error }),
    };
    check_manifest(&text).map_err(|reason| BuildError::Manifest { file, reason })?;
    Ok(text)
}

/// The manifest as a host would read it, before the slow part.
fn check_manifest(text: &str) -> Result<(), String> {
    Manifest::parse(text).map(drop).map_err(|error| error.to_string())
}

/// The component as a host would examine and admit it: nobody ships what no host would run.
fn check_component(component: &[u8]) -> Result<(), String> {
    let examined = examine(component).map_err(|error| error.to_string())?;
    let undeclared: Vec<_> = undeclared(&examined)
        .into_iter()
        .map(|(import, permission)| format!("{}.{} needs {permission}", import.grouping, import.function))
        .collect();
    if undeclared.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{MANIFEST} does not declare what its calls need: {}; add it under [permissions] with a reason",
        undeclared.join(", ")
    ))
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
        .arg(project.anonymous_paths(toolchain));
    toolchain.apply(&mut cargo);
    // Its messages belong to people; the standard output is kept for the result.
    cargo.stdin(Stdio::null()).stdout(Stdio::from(io::stderr()));
    let status = cargo.status().map_err(|error| BuildError::Run { program: "cargo", error })?;
    if !status.success() {
        return Err(BuildError::Compile { package: project.package.clone(), status });
    }
    let path = project.module();
    fs::read(&path).map_err(|error| BuildError::File { path, error })
}

/// Makes a component of a core module, and puts into it what people and hosts want to know of it.
fn componentize(module: &[u8], manifest: &str, project: &Project) -> Result<Vec<u8>, String> {
    let mut component = ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(ComponentEncoder::encode)
        .map_err(|error| format!("{error:#}"))?;
    for (name, text) in project.metadata() {
        section(&mut component, name, text);
    }
    section(&mut component, SECTION, manifest);
    Ok(component)
}

fn section(component: &mut Vec<u8>, name: &str, text: &str) {
    CustomSection { name: name.into(), data: text.as_bytes().into() }.append_to_component(component);
}

#[cfg(test)]
mod tests;
