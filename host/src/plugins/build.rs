//! From a folder with a plugin's source to the one file that an owner installs.
//!
//! Each language makes a component in its own file here; then the manifest is put inside, and both are checked by those who
//! check them before a start. It never runs what it built, and decides nothing about permissions.

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

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use wasm_encoder::{ComponentSection as _, CustomSection};
use wasm_metadata::Producers;

pub use self::fresh::is_no_source;
use self::fresh::{Sources, alone_in};
pub use self::trusted::Outside;
use super::Traces;
use super::admission::{undeclared, unused};
use super::component::{Examined, MAX_BYTES, SERVED, examine, serves};
use super::id::Digest;
use super::manifest::{Manifest, ManifestError, SECTION};
use crate::atomic::{self, Readers};
use crate::child::NOWHERE;
use crate::document::{Document, DocumentError};
use crate::harmless::EscapedPath as _;
use crate::permissions::{Permission, example};

/// The manifest's name in a plugin's folder.
const MANIFEST: &str = "plugin.toml";

/// What is to be built, and where it goes.
#[derive(Debug, Clone)]
pub struct Request {
    /// The folder with `plugin.toml`, and the file that says which language it is in.
    pub folder: PathBuf,
    /// The file to write; none = `target/plugins/<package>.wasm` of a Rust plugin's workspace, else `<name>.wasm` in the folder.
    /// One with lines goes to another place, where nobody takes it for the one that is given to owners.
    pub output: Option<PathBuf>,
    /// What a trace shows when the plugin ends. Lines make a larger file.
    pub traces: Traces,
    /// Whether the user agreed, which counts where the compiler works [outside](Outside) of any sandbox.
    pub consent: Consent,
}

/// The user's word on a build whose compiler works outside of any sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Given for this time.
    Given,
    /// Given before, if the folder is one of those that are [trusted](Outside::is_trusted).
    Remembered,
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
    /// What its author should know, one sentence each.
    pub warnings: Vec<String>,
}

/// Where parlor keeps what authors need, for this user: tools, and what was compiled to be tried.
pub fn data_folder() -> Result<PathBuf, BuildError> {
    tools::data()
}

/// How much of what was compiled is kept for authors, in bytes: some versions of several plugins in Python, which take some 40 MB
/// each, and hundreds of others.
pub const MOST_COMPILED: u64 = 1 << 30;

/// Where that is kept, in parlor's own folder for this user; where there is none, it is compiled anew in each process.
pub fn compiled_folder() -> Option<PathBuf> {
    let folder = data_folder().ok()?.join("tried");
    atomic::make_private_folder(&folder).is_ok().then_some(folder)
}

/// Languages, and why plugins in them cannot be built here, in one sentence; none where they can. Nothing is installed by asking.
pub fn toolchains() -> [(&'static str, Option<String>); 3] {
    let problem = |found: Result<(), BuildError>| found.err().map(|error| error.to_string());
    [
        ("Rust", problem(rust::Toolchain::find(Path::new(NOWHERE)).map(drop))),
        ("Python, Go and C", problem(tools::python_is_there())),
        ("JavaScript and TypeScript", problem(tools::npm_is_there())),
    ]
}

/// Why there is no component.
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
    // As compilers name a place, so that editors find it.
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

/// What a language makes of a folder: a component without its manifest.
struct Made {
    component: Vec<u8>,
    /// The custom sections that registries and tools read, with what they hold.
    metadata: Vec<(&'static str, String)>,
    /// What it is called.
    package: String,
    /// Where it goes when nobody says.
    output: PathBuf,
}

/// A language that a plugin's folder is in.
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
    /// By the file that makes a folder one of it.
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

    /// As people call it.
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

/// Puts what authors, compilers and editors need into a plugin's folder, under `.parlor`, as far as it is not there.
pub fn equip(folder: &Path) -> Result<(), BuildError> {
    match Language::of(folder) {
        Some(Language::Rust) => rust::equip(folder)?,
        Some(Language::JavaScript | Language::TypeScript) => javascript::equip(folder)?,
        Some(Language::Go) => go::equip(folder)?,
        Some(Language::C) => c::equip(folder)?,
        Some(Language::Python) => python::equip(folder)?,
        None => {}
    }
    // One that lies beside the SDK's own source has the pages there, too.
    if folder.join(kept::OURS).is_dir() { pages::equip(folder) } else { Ok(()) }
}

/// Where a build of this folder goes when nobody says; none where another program decides it.
fn output(folder: &Path, manifest: &Manifest, traces: Traces) -> Option<PathBuf> {
    let package = manifest.name.as_str();
    match Language::of(folder)? {
        Language::Rust => None,
        Language::C => Some(c::output(folder, package, traces)),
        // What these say when they fail has lines in any case.
        Language::Python | Language::JavaScript | Language::TypeScript | Language::Go => {
            Some(folder.join(format!("{package}.wasm")))
        }
    }
}

/// Whether a plugin can be built of this folder, as far as one sees without doing so.
pub fn is_plugin(folder: &Path) -> bool {
    Language::of(folder).is_some() && folder.join(MANIFEST).is_file()
}

/// The file for owners that a build of this folder makes. Cargo alone knows where it puts one, unless it has before.
pub fn made_of(folder: &Path) -> Option<PathBuf> {
    match Language::of(folder)? {
        Language::Rust => rust::made_of(folder),
        _ => output(folder, &read_manifest(folder).ok()?.1, Traces::Functions),
    }
}

/// Builds the plugin in a folder. The output of compilers goes to the standard error, as it comes.
pub fn build(request: &Request) -> Result<Built, BuildError> {
    let _alone = alone_in(&request.folder);
    build_alone(request)
}

/// The file with lines that a folder is built into, to be tried. It is built if anything has changed since it was.
pub fn fresh(folder: &Path, consent: Consent) -> Result<PathBuf, BuildError> {
    let _alone = alone_in(folder);
    if let Some(file) = fresh::file(folder) {
        return Ok(file);
    }
    let request = Request { folder: folder.to_owned(), output: None, traces: Traces::Lines, consent };
    build_alone(&request).map(|built| built.file)
}

/// Refuses a folder whose compiler works outside of any sandbox, if the user has not agreed. Here and not where people are asked: a folder
/// that is watched may become another one.
fn check_trust(folder: &Path, language: Language) -> Result<(), BuildError> {
    let outside =
        Outside::of_language(folder, language).map_err(|error| BuildError::File { path: folder.to_owned(), error })?;
    match outside.filter(|outside| !outside.is_trusted()) {
        Some(outside) => Err(BuildError::NotTrusted { folder: folder.to_owned(), does: outside.does() }),
        None => Ok(()),
    }
}

/// Builds it where nobody else does.
fn build_alone(request: &Request) -> Result<Built, BuildError> {
    let folder = &request.folder;
    let Some(language) = Language::of(folder) else {
        return Err(BuildError::NotAPlugin(folder.clone()));
    };
    match request.consent {
        Consent::Given => {}
        Consent::Remembered => check_trust(folder, language)?,
    }
    // Before anything is read: what is saved from now on may be in the file, or not.
    let sources = Sources::of(folder);
    let (text, manifest) = read_manifest(folder)?;
    equip(folder)?;
    let made = match language {
        Language::Rust => rust::make(folder, request.traces)?,
        Language::Python => python::make(folder, &manifest)?,
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

    let file = request.output.clone().unwrap_or(made.output);
    let around = file.parent().filter(|around| !around.as_os_str().is_empty());
    around
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| atomic::write(&file, &component, Readers::Usual))
        .map_err(|error| BuildError::File { path: file.clone(), error })?;
    fresh::mark(folder, &manifest, sources.as_ref(), &file)?;
    Ok(Built { file, size: component.len() as u64, digest: Digest::of(&component), warnings })
}

/// The manifest as it is written, and as a host would read it: looked at before the slow part.
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

/// An error about the line of a manifest that says for which version of the contract it is.
fn at_api(text: &str, reason: &str) -> Result<DocumentError, DocumentError> {
    let document = Document::parse(text)?;
    let plugin = document.root().require("plugin", reason)?.section()?;
    Ok(plugin.require("api", reason)?.error(reason))
}

/// What is in a file of the author's, if it is one and not too long to be.
fn read_text(file: &Path) -> io::Result<String> {
    read_text_within(file, 1 << 20)
}

/// The same of one that may have so many bytes.
fn read_text_within(file: &Path, longest: u64) -> io::Result<String> {
    let mut text = String::new();
    atomic::open_plain(file, 0)?.take(longest + 1).read_to_string(&mut text)?;
    if text.len() as u64 > longest {
        return Err(io::Error::other(format!("it has more than {longest} bytes")));
    }
    Ok(text)
}

/// The bytes of a component that parlor made.
fn read_bytes(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    atomic::open_plain(file, 0)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The component as a host would examine and admit it: nobody ships what no host would run. Gives what its author should know.
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

/// What the author of a plugin should know that can be run all the same, one sentence each.
pub fn warnings(examined: &Examined) -> Vec<String> {
    let warning = |permission| {
        format!("{MANIFEST} asks for {permission}, and no call of the plugin needs it; take it out of [permissions]")
    };
    unused(examined).into_iter().map(warning).collect()
}

/// The custom sections that registries and tools read, from the manifest.
fn metadata(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let texts = [
        ("version", manifest.version.to_string()),
        ("authors", manifest.authors.join(", ")),
        ("description", manifest.description.clone()),
        ("licenses", manifest.license.clone().unwrap_or_default()),
    ];
    texts.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// The component with its language beside what the tools that made it say of themselves: of several languages that runtimes and
/// adapters in it name, nobody could tell which is the author's.
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
