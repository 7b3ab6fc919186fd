//! Builds a folder with a plugin's source into the one file that an owner installs.
//!
//! Each language has a submodule that makes a component. Then the manifest is embedded, and both are checked by the
//! same code as before a start. This module never runs the result, and decides nothing about permissions.

mod c;
mod calls;
mod contract;
mod environment;
mod events;
mod fresh;
mod go;
mod javascript;
mod kept;
mod names;
mod pages;
mod python;
mod rust;
mod sections;
mod snapshot;
mod texts;
mod tokens;
mod tools;
mod trusted;
mod unimported;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use parlor_base::atomic::{self, Readers};
use parlor_base::child::NOWHERE;
use parlor_base::document::{Document, DocumentError};
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::Digest;
use parlor_base::permission::Permission;
use parlor_plugins::admission::{undeclared, unused};
use parlor_plugins::component::{Examined, MAX_BYTES, SERVED, examine, serves};
use parlor_plugins::manifest::{Manifest, ManifestError, SECTION};
use parlor_runtime::traces::Traces;
use parlor_session::permissions::example;
use wasm_encoder::{ComponentSection as _, CustomSection};
use wasm_metadata::Producers;

use self::fresh::{Sources, alone_in};
use self::trusted::Way;

pub use self::fresh::is_no_source;
pub use self::trusted::Outside;

/// The manifest's name in a plugin's folder.
const MANIFEST: &str = "plugin.toml";

/// A request to build a plugin.
#[derive(Debug, Clone)]
pub struct Request {
    /// The folder with `plugin.toml` and the file that determines the language.
    pub folder: PathBuf,
    /// The file to write; `None` = `target/plugins/<package>.wasm` in a Rust plugin's workspace, else `<name>.wasm` in
    /// the folder. A file with line information has another default path, so that it is not mistaken for the one for
    /// owners.
    pub output: Option<PathBuf>,
    /// The level of detail in a backtrace of the plugin. Lines make the file larger.
    pub traces: Traces,
    /// Whether the user agreed to a build [outside](Outside) of any sandbox, in case the compiler needs that.
    pub consent: Consent,
}

/// The user's consent to a build whose compiler works outside of any sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Given for this build.
    Given,
    /// Given before, if the folder is [trusted](Outside::is_trusted).
    Remembered,
}

/// The result of a build.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Built {
    /// The path of the component.
    pub file: PathBuf,
    /// The size in bytes.
    pub size: u64,
    /// The digest of its bytes, as `plugins.toml` names it.
    pub digest: Digest,
    /// Warnings for the author, one sentence each.
    pub warnings: Vec<String>,
}

/// Returns this user's folder for authors' files: tools, and code that was compiled for tests.
pub fn data_folder() -> Result<PathBuf, BuildError> {
    tools::data()
}

/// The maximum size of compiled code that is kept for authors, in bytes. It has room for some versions of several
/// Python plugins, which take some 40 MB each, and for hundreds of others.
pub const MOST_COMPILED: u64 = 1 << 30;

/// Returns the folder for that code. Without one, each process compiles it again.
pub fn compiled_folder() -> Option<PathBuf> {
    let folder = data_folder().ok()?.join("tried");
    atomic::make_private_folder(&folder).is_ok().then_some(folder)
}

/// Returns the languages, each with the reason why plugins in it cannot be built here, or `None` if they can. Nothing
/// is installed by this check.
pub fn toolchains() -> [(&'static str, Option<String>); 3] {
    let problem = |found: Result<(), BuildError>| found.err().map(|error| error.to_string());
    [
        ("Rust", problem(rust::Toolchain::find(Path::new(NOWHERE)).map(drop))),
        ("Python, Go and C", problem(tools::python_is_there())),
        ("JavaScript and TypeScript", problem(tools::npm_is_there())),
    ]
}

/// The reason why a build failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its case is")]
pub enum BuildError {
    #[error(
        "{} is no plugin's folder: it has none of {} (Rust), {} (Python), {} and {} (JavaScript, TypeScript), {} (Go) and \
         {} (C); name the folder of the plugin",
        .0.escaped(), rust::MARK, python::MARK, javascript::MARKS[0], javascript::MARKS[1], go::MARK, c::MARK
    )]
    NotAPlugin(PathBuf),
    #[error("to build {} {does}; if you trust its author, build it with --trust", folder.escaped())]
    NotTrusted { folder: PathBuf, does: &'static str },
    #[error("{} has no {MANIFEST}; write one that says what the plugin is called and what it asks for", .0.escaped())]
    NoManifest(PathBuf),
    // In the format that compilers use for a position, so that editors find it.
    #[error("{}:{error}", file.escaped())]
    InManifest { file: PathBuf, error: DocumentError },
    #[error("{}: {reason}", file.escaped())]
    Manifest { file: PathBuf, reason: String },
    #[error("cannot run {program}: {error}; install Rust from https://rustup.rs or with the system's package manager")]
    NoRust { program: &'static str, error: io::Error },
    #[error("cannot run python3: {0}; install Python 3.10 or later, on Debian or Ubuntu: apt-get install python3-venv")]
    NoPython(io::Error),
    #[error("python3 has no venv; on Debian or Ubuntu: apt-get install python3-venv")]
    NoVenv,
    #[error("{program} is of version {found}, and {oldest} or later is needed; {remedy}")]
    TooOld { program: &'static str, found: String, oldest: &'static str, remedy: &'static str },
    #[error("{program} is there and does not work: it does not say its version ({said}); {remedy}")]
    Broken { program: &'static str, said: String, remedy: &'static str },
    #[error("cannot install {what} ({program} ended with {status}); its output is above; {needs}")]
    Install { what: String, program: &'static str, status: ExitStatus, needs: &'static str },
    #[error("cannot run npm: {0}; install Node.js 20 or later with npm, on Debian or Ubuntu: apt-get install npm")]
    NoNode(io::Error),
    #[error("{} does not have the runtime of JavaScript that this parlor knows; remove the folder around it, and try again", .0.escaped())]
    NoRuntime(PathBuf),
    #[error("there is no place for the tools that build it: neither XDG_DATA_HOME nor HOME is set; set one of them")]
    NoHome,
    #[error("cargo cannot read {}: {reason}", folder.escaped())]
    Project { folder: PathBuf, reason: String },
    #[error("{package} is not a library of the type cdylib; write in its Cargo.toml: [lib] crate-type = [\"cdylib\"]")]
    NotCdylib { package: String },
    #[error(
        "no Rust compiler here can compile for {0}; with rustup: rustup target add {0}; \
         on Debian or Ubuntu: apt-get install rustc-web rust-web-src lld",
        rust::TARGET
    )]
    NoTarget,
    #[error("{package} did not compile ({program} ended with {status}); its output is above")]
    Compile { package: String, program: &'static str, status: ExitStatus },
    #[error("{package} did not compile: {reason}")]
    Source { package: String, reason: String },
    #[error("no component can be made of {package}: {reason}")]
    Component { package: String, reason: String },
    #[error("the component of {package} would be refused: {reason}")]
    Refused { package: String, reason: String },
    #[error("{}: {error}", path.escaped())]
    File { path: PathBuf, error: io::Error },
}

/// The result of a language's build: a component without its manifest.
struct Made {
    component: Vec<u8>,
    /// The custom sections that registries and tools read, with their contents.
    metadata: Vec<(&'static str, String)>,
    /// The name of the package.
    package: String,
    /// The output path if the request names none.
    output: PathBuf,
}

/// The language of a plugin's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Rust,
    Python,
    JavaScript,
    TypeScript,
    Go,
    C,
}

impl Language {
    /// Determines the language by the file that marks a folder.
    fn of(folder: &Path) -> Option<Self> {
        let [js, ts] = javascript::MARKS;
        let marks = [
            (Self::Rust, rust::MARK),
            (Self::Python, python::MARK),
            (Self::JavaScript, js),
            (Self::TypeScript, ts),
            (Self::Go, go::MARK),
            (Self::C, c::MARK),
        ];
        marks.into_iter().find(|(_, mark)| folder.join(mark).is_file()).map(|(language, _)| language)
    }

    /// Returns the language's usual name.
    fn name(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::Python => "Python",
            Self::JavaScript => "JavaScript",
            Self::TypeScript => "TypeScript",
            Self::Go => "Go",
            Self::C => "C",
        }
    }
}

/// Puts the files that authors, compilers and editors need into a plugin's folder, under `.parlor`, unless they are
/// there.
pub fn equip(folder: &Path) -> Result<(), BuildError> {
    match Language::of(folder) {
        Some(Language::Rust) => rust::equip(folder)?,
        Some(Language::JavaScript | Language::TypeScript) => javascript::equip(folder)?,
        Some(Language::Go) => go::equip(folder)?,
        Some(Language::C) => c::equip(folder)?,
        Some(Language::Python) => python::equip(folder)?,
        None => {}
    }
    // A folder next to the SDK's own source has the pages there, too.
    if folder.join(kept::OURS).is_dir() { pages::equip(folder) } else { Ok(()) }
}

/// Returns a command that runs the machine's Python, if that is new enough. It runs in a folder without files.
pub(crate) fn machine_python() -> Result<Command, BuildError> {
    tools::machine_python()
}

/// Returns the default output path for this folder; `None` if another program decides it.
fn output(folder: &Path, manifest: &Manifest, traces: Traces) -> Option<PathBuf> {
    let package = manifest.name.as_str();
    match Language::of(folder)? {
        Language::Rust => None,
        Language::C => Some(c::output(folder, package, traces)),
        // Error output of these languages has lines in any case.
        Language::Python | Language::JavaScript | Language::TypeScript | Language::Go => {
            Some(folder.join(format!("{package}.wasm")))
        }
    }
}

/// Returns whether the folder looks like a plugin that can be built.
pub fn is_plugin(folder: &Path) -> bool {
    Language::of(folder).is_some() && folder.join(MANIFEST).is_file()
}

/// Returns the path of the file for owners that a build of this folder makes. For Rust it is known only after a build.
pub fn made_of(folder: &Path) -> Option<PathBuf> {
    match Language::of(folder)? {
        Language::Rust => rust::made_of(folder),
        _ => output(folder, &read_manifest(folder).ok()?.1, Traces::Functions),
    }
}

/// Builds the plugin in a folder. Compilers write to standard error as they run.
pub fn build(request: &Request) -> Result<Built, BuildError> {
    let _alone = alone_in(&request.folder);
    build_alone(request)
}

/// Returns the file with lines that is used for tests. It is built if anything has changed since the last build.
pub fn fresh(folder: &Path, consent: Consent) -> Result<PathBuf, BuildError> {
    let _alone = alone_in(folder);
    if let Some(file) = fresh::file(folder) {
        return Ok(file);
    }
    let request = Request { folder: folder.to_owned(), output: None, traces: Traces::Lines, consent };
    build_alone(&request).map(|built| built.file)
}

/// Refuses a folder whose compiler works outside of any sandbox, unless the user has agreed. This is checked for each
/// build and not where users are asked, since the contents of a watched folder may change.
fn check_trust(folder: &Path, way: Way) -> Result<(), BuildError> {
    let outside = Outside::of_way(folder, way).map_err(|error| BuildError::File { path: folder.to_owned(), error })?;
    match outside.filter(|outside| !outside.is_trusted()) {
        Some(outside) => Err(BuildError::NotTrusted { folder: folder.to_owned(), does: outside.does() }),
        None => Ok(()),
    }
}

/// Builds the folder, which the caller has locked.
fn build_alone(request: &Request) -> Result<Built, BuildError> {
    let folder = &request.folder;
    let Some(way) = Way::of(folder) else {
        return Err(BuildError::NotAPlugin(folder.clone()));
    };
    match request.consent {
        Consent::Given => {}
        Consent::Remembered => check_trust(folder, way)?,
    }
    let language = way.language;
    // This comes before anything is read: files saved from now on may or may not be in the result.
    let sources = Sources::of(folder);
    let (text, manifest) = read_manifest(folder)?;
    equip(folder)?;
    let made = match language {
        Language::Rust => rust::make(folder, request.traces)?,
        Language::Python => python::make(folder, &manifest, way.is_linked)?,
        Language::JavaScript | Language::TypeScript => javascript::make(folder, &manifest)?,
        Language::Go => go::make(folder, &manifest)?,
        Language::C => c::make(folder, &manifest, request.traces)?,
    };

    let mut component = written_in(language, &made.component)
        .map_err(|reason| BuildError::Component { package: made.package.clone(), reason })?;
    for (name, text) in &made.metadata {
        section(&mut component, name, text);
    }
    section(&mut component, SECTION, &text);
    let mut warnings = check_component(&component, folder, language)
        .map_err(|reason| BuildError::Refused { package: made.package, reason })?;
    warnings.extend(events::slips(folder, language));
    warnings.extend(unimported::fetches(folder, language));

    let file = request.output.clone().unwrap_or(made.output);
    let around = file.parent().filter(|around| !around.as_os_str().is_empty());
    around
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| atomic::write(&file, &component, Readers::Usual))
        .map_err(|error| BuildError::File { path: file.clone(), error })?;
    fresh::mark(folder, &manifest, sources.as_ref(), &file)?;
    Ok(Built { file, size: component.len() as u64, digest: Digest::of(&component), warnings })
}

/// Reads the manifest, as text and parsed. It is checked before the slow part.
fn read_manifest(folder: &Path) -> Result<(String, Manifest), BuildError> {
    let file = folder.join(MANIFEST);
    let text = match read_text(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BuildError::NoManifest(folder.to_owned()));
        }
        Err(error) => return Err(BuildError::File { path: file, error }),
    };
    let manifest = match Manifest::parse(&text) {
        Ok(manifest) => manifest,
        Err(ManifestError::Invalid(error)) => return Err(BuildError::InManifest { file, error }),
        Err(error @ ManifestError::TooLong(_)) => return Err(BuildError::Manifest { file, reason: error.to_string() }),
    };
    let Err(error) = serves(&manifest) else { return Ok((text, manifest)) };
    let reason = format!("{error}, and write `api = \"{}\"` here", SERVED[0]);
    let (Ok(error) | Err(error)) = at_api(&text, &reason);
    Err(BuildError::InManifest { file, error })
}

/// Returns an error about the line of a manifest with the version of the contract.
fn at_api(text: &str, reason: &str) -> Result<DocumentError, DocumentError> {
    let document = Document::parse(text)?;
    let plugin = document.root().require("plugin", reason)?.section()?;
    Ok(plugin.require("api", reason)?.error(reason))
}

/// Reads a file of the author's, if it is a regular file and not too long.
fn read_text(file: &Path) -> io::Result<String> {
    read_text_within(file, 1 << 20)
}

/// Does the same with another maximum length in bytes.
fn read_text_within(file: &Path, longest: u64) -> io::Result<String> {
    let mut text = String::new();
    atomic::open_plain(file, 0)?.take(longest + 1).read_to_string(&mut text)?;
    if text.len() as u64 > longest {
        return Err(io::Error::other(format!("it has more than {longest} bytes")));
    }
    Ok(text)
}

/// Reads a component that parlor made.
fn read_bytes(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    atomic::open_plain(file, 0)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Examines and admits the component as a host would, so that no file is shipped that would not run. Returns warnings.
fn check_component(component: &[u8], folder: &Path, language: Language) -> Result<Vec<String>, String> {
    let examined = examine(component).map_err(|error| error.to_string())?;
    let undeclared = undeclared(&examined);
    if !undeclared.is_empty() {
        let missing: BTreeSet<_> = undeclared.iter().map(|(_, permission)| *permission).collect();
        let line = |permission: Permission| {
            format!("\"{permission}\" = {{ scope = {}, reason = \"…\" }}", example(permission))
        };
        return Err(format!(
            "{MANIFEST} does not declare what its calls need: {}; write under [permissions]: {}",
            calls::in_need(folder, language, &undeclared).join(", "),
            missing.into_iter().map(line).collect::<Vec<_>>().join(" and ")
        ));
    }
    Ok(warnings(&examined))
}

/// Returns warnings about a plugin that can run nevertheless, one sentence each.
pub fn warnings(examined: &Examined) -> Vec<String> {
    let warning = |permission| {
        format!("{MANIFEST} asks for {permission}, and no call of the plugin needs it; take it out of [permissions]")
    };
    unused(examined).into_iter().map(warning).collect()
}

/// Returns the custom sections that registries and tools read, from the manifest.
fn metadata(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let texts = [
        ("version", manifest.version.to_string()),
        ("authors", manifest.authors.join(", ")),
        ("description", manifest.description.clone()),
        ("licenses", manifest.license.clone().unwrap_or_default()),
    ];
    texts.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// Adds the author's language to the component's producers section. Runtimes and adapters in it may name other
/// languages, so it would otherwise be unclear which one is the author's.
fn written_in(language: Language, component: &[u8]) -> Result<Vec<u8>, String> {
    let mut producers = Producers::empty();
    producers.add("language", language.name(), "");
    producers.add_to_wasm(component).map_err(|error| format!("{error:#}"))
}

fn section(component: &mut Vec<u8>, name: &str, text: &str) {
    CustomSection { name: name.into(), data: text.as_bytes().into() }.append_to_component(component);
}

#[cfg(test)]
mod tests;
