//! Ports plugins of errbot and maubot: makes of a folder with one a folder with the same plugin for parlor, and lists
//! what it lacks there.
//!
//! The plugin's source is read by Python's own parser, in a separate process that runs none of it. That program gets
//! the texts of the folder and returns those of the new one. The new folder also gets a layer with the decorators and
//! objects that such plugins use (`plugins-sdk/python/ports`).

mod folder;
mod layer;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Output, Stdio};

use parlor_base::atomic::folder_of;
use parlor_base::escape::{EscapedPath as _, escape_untrusted};
use parlor_plugins::manifest::{Manifest, ManifestError};
use serde::{Deserialize, Serialize};

use crate::build::{self, BuildError};

pub use self::folder::Skipped;
use self::layer::{LAYER, PROGRAM};

/// The command to run the program that reads the source, with its folder and the file with its task.
const CALL: &str = "import sys; sys.path.insert(0, sys.argv[1]); import main; main.main(sys.argv[2])";

/// The names that git ignores in the new folder.
const GITIGNORE: &str = include_str!("../../../plugins-sdk/templates/python/gitignore");

/// The maximum length of the program's own error that is shown, in bytes.
const MAX_SAID: usize = 300;

/// A framework that plugins come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framework {
    /// Plugins with a `.plug` file.
    Errbot,
    /// Plugins with a `maubot.yaml`.
    Maubot,
}

/// A request to port a plugin.
#[derive(Debug, Clone)]
pub struct Request {
    /// The folder with the plugin. Nothing is written there.
    pub folder: PathBuf,
    /// The folder to make; `None` = one that is called as the plugin, in the current folder.
    pub into: Option<PathBuf>,
    /// The framework; `None` = the one that the folder's files tell.
    pub framework: Option<Framework>,
}

/// The effect of a finding on the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Neither the layer nor parlor has it: this part does not work.
    Lacks,
    /// A package must be added.
    Package,
    /// It works, but its author must check it.
    Check,
    /// The line was changed, and works.
    Changed,
}

/// Something about a line of the plugin's source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The effect on the plugin.
    pub kind: Kind,
    /// The file in the old folder.
    pub file: String,
    /// The line, from 1 on.
    pub line: u32,
    /// The thing that the line uses.
    pub what: String,
    /// Why it does not work as before.
    pub why: String,
    /// The replacement; may be empty.
    pub instead: String,
}

/// The result of a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ported {
    /// The folder that was made.
    pub folder: PathBuf,
    /// The plugin's name.
    pub name: String,
    /// The framework that it comes from.
    pub framework: Framework,
    /// The findings, in the order of files and lines.
    pub findings: Vec<Finding>,
    /// The number of findings above the maximum, which are not listed.
    pub left_out: usize,
    /// The packages that must be added, by their names for pip.
    pub packages: Vec<String>,
    /// The files of the old folder that were not read.
    pub skipped: Vec<Skipped>,
}

impl Ported {
    /// Returns the number of findings of a kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.findings.iter().filter(|finding| finding.kind == kind).count()
    }

    /// Returns whether the plugin is ported whole: it lacks nothing, and needs no package.
    pub fn is_whole(&self) -> bool {
        self.left_out == 0 && self.count(Kind::Lacks) == 0 && self.count(Kind::Package) == 0
    }
}

/// Why a plugin was not ported. Nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// A file or folder cannot be read or written.
    #[error("{}: {error}", path.escaped())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// The folder holds no plugin that can be ported.
    #[error("{} cannot be ported: {reason}", folder.escaped())]
    NoPlugin {
        /// The folder.
        folder: PathBuf,
        /// The reason, which may quote the plugin's files.
        reason: String,
    },
    /// The new folder exists.
    #[error("{} is there already; name another folder with --into, or remove it first", .0.escaped())]
    Exists(PathBuf),
    /// Python is missing, or the SDK cannot be written.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The program that reads the source failed.
    #[error("the source cannot be read: {0}")]
    Program(String),
    /// The new manifest would be refused.
    #[error("the plugin has no manifest that a host would take: {0}")]
    Manifest(#[from] ManifestError),
}

/// The task of the program that reads the source.
#[derive(Debug, Serialize)]
struct Task<'a> {
    files: &'a BTreeMap<String, String>,
    framework: Option<Framework>,
    /// The name of the folder.
    folder: String,
}

/// The answer of that program.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Answer {
    Refused { error: String },
    Plan(Plan),
}

/// The files of the new folder, and the findings.
#[derive(Debug, Deserialize)]
struct Plan {
    framework: Framework,
    name: String,
    files: BTreeMap<String, String>,
    /// The parts of the layer that the plugin needs.
    parts: Vec<String>,
    findings: Vec<Finding>,
    left_out: usize,
    packages: Vec<String>,
}

/// Ports a plugin: makes the new folder, completely or not at all.
pub fn port(request: &Request) -> Result<Ported, PortError> {
    let folder = &request.folder;
    let failed = |error| PortError::File { path: folder.clone(), error };
    if let Some(into) = request.into.as_ref().filter(|into| into.symlink_metadata().is_ok()) {
        return Err(PortError::Exists(into.clone()));
    }
    let read = folder::read(folder).map_err(failed)?;
    let named = fs::canonicalize(folder).map_err(failed)?;
    let name = named.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let plan = match analyse(&Task { files: &read.files, framework: request.framework, folder: name })? {
        Answer::Plan(plan) => plan,
        Answer::Refused { error: reason } => return Err(PortError::NoPlugin { folder: folder.clone(), reason }),
    };
    let manifest = Manifest::parse(plan.files.get("plugin.toml").map_or("", String::as_str))?;
    let into = request.into.clone().unwrap_or_else(|| PathBuf::from(manifest.name.as_str()));
    if into.symlink_metadata().is_ok() {
        return Err(PortError::Exists(into));
    }
    make(&into, manifest.name.as_str(), &plan)?;
    let Plan { framework, name, findings, left_out, packages, .. } = plan;
    Ok(Ported { folder: into, name, framework, findings, left_out, packages, skipped: read.skipped })
}

/// Runs the program that reads the source.
fn analyse(task: &Task<'_>) -> Result<Answer, PortError> {
    let place = tempfile::tempdir().map_err(|error| PortError::File { path: std::env::temp_dir(), error })?;
    let write = |name: &str, bytes: &[u8]| {
        let path = place.path().join(name);
        fs::write(&path, bytes).map_err(|error| PortError::File { path, error })
    };
    for (name, text) in PROGRAM {
        write(name, text.as_bytes())?;
    }
    let text = serde_json::to_vec(task).map_err(|error| PortError::Program(error.to_string()))?;
    write("task.json", &text)?;
    let mut python = build::machine_python()?;
    python.args(["-I", "-B", "-c", CALL]).arg(place.path()).arg(place.path().join("task.json")).stdin(Stdio::null());
    let output = python.output().map_err(BuildError::NoPython)?;
    if output.status.success() {
        return serde_json::from_slice(&output.stdout).map_err(|error| PortError::Program(error.to_string()));
    }
    Err(PortError::Program(reason(&output)))
}

/// Returns why the program failed.
fn reason(output: &Output) -> String {
    if output.status.signal() == Some(libc::SIGALRM) {
        return "it takes longer than a minute".to_owned();
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    escape_untrusted(&format!("{last} ({})", output.status), MAX_SAID)
}

/// Makes the new folder under a temporary name, and renames it.
fn make(into: &Path, name: &str, plan: &Plan) -> Result<(), PortError> {
    let failed = |error| PortError::File { path: into.to_owned(), error };
    let around = folder_of(into);
    fs::create_dir_all(around).map_err(failed)?;
    let fresh = tempfile::Builder::new().prefix(".port-").tempdir_in(around).map_err(failed)?;
    let place = fresh.path().join(name);
    let layer = LAYER.iter().filter(|(file, _)| {
        let part = file.split('/').next().unwrap_or_default();
        plan.parts.iter().any(|wanted| wanted == part)
    });
    let own = plan.files.iter().map(|(file, text)| (file.as_str(), text.as_str()));
    for (file, text) in [(".gitignore", GITIGNORE)].into_iter().chain(layer.copied()).chain(own) {
        if !is_within(Path::new(file)) {
            let reason = format!("{} leads out of the folder", Path::new(file).escaped());
            return Err(PortError::NoPlugin { folder: into.to_owned(), reason });
        }
        let path = place.join(file);
        fs::create_dir_all(path.parent().unwrap_or(&place)).and_then(|()| fs::write(&path, text)).map_err(failed)?;
    }
    build::equip(&place)?;
    fs::rename(&place, into).map_err(failed)
}

/// Returns whether a relative path stays in its folder.
fn is_within(path: &Path) -> bool {
    !path.as_os_str().is_empty() && path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &str, inner: &str, found: &mut Vec<String>) {
        for entry in fs::read_dir(Path::new(folder).join(inner)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            let path = if inner.is_empty() { name.clone() } else { format!("{inner}/{name}") };
            if entry.file_type().unwrap().is_dir() {
                if name != "__pycache__" {
                    names(folder, &path, found);
                }
            } else if Path::new(&name).extension().is_some_and(|end| end == "py") {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_file_of_the_layer_and_of_the_program_is_there() {
        for (folder, known) in [("../../plugins-sdk/python/ports", LAYER), ("src/port", PROGRAM)] {
            let mut found = Vec::new();
            names(folder, "", &mut found);
            found.sort();
            assert_eq!(found, known.iter().map(|(name, _)| *name).collect::<Vec<_>>(), "{folder}");
        }
    }

    #[test]
    fn a_path_that_leads_out_is_none() {
        for path in ["a.py", "a/b.py", ".gitignore"] {
            assert!(is_within(Path::new(path)), "{path}");
        }
        for path in ["", "/a", "../a", "a/../../b", "./a"] {
            assert!(!is_within(Path::new(path)), "{path}");
        }
    }

    /// Files by their names.
    type Files<'a> = &'a [(&'a str, &'a str)];

    fn ported(files: Files<'_>, framework: Option<Framework>) -> (tempfile::TempDir, Result<Ported, PortError>) {
        let around = tempfile::tempdir().unwrap();
        let folder = around.path().join("old");
        for (name, text) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        let into = Some(around.path().join("new"));
        let result = port(&Request { folder, into, framework });
        (around, result)
    }

    const PLUG: &str = "[Core]\nName = Greeter\nModule = greeter\n[Documentation]\nDescription = Greets people\n";

    #[test]
    fn a_plugin_becomes_a_folder_whose_manifest_a_host_reads() {
        let source = "from errbot import BotPlugin, botcmd\nimport requests\nclass Greeter(BotPlugin):\n    @botcmd\n    \
                      def greet(self, msg, args):\n        return requests.get('https://api.example.org/x').text\n";
        let (around, result) = ported(&[("greeter.plug", PLUG), ("greeter.py", source)], None);
        let ported = result.unwrap();
        assert_eq!((ported.framework, ported.name.as_str(), ported.is_whole()), (Framework::Errbot, "greeter", true));
        let new = around.path().join("new");
        let text = fs::read_to_string(new.join("greeter.py")).unwrap();
        assert_eq!(
            text,
            source.replace("    def", "    async def").replace(
                "requests.get('https://api.example.org/x')",
                "(await requests.get('https://api.example.org/x'))"
            )
        );
        let manifest = Manifest::parse(&fs::read_to_string(new.join("plugin.toml")).unwrap()).unwrap();
        assert_eq!(manifest.description, "Greets people");
        assert!(new.join("errbot/plugin.py").is_file() && new.join("requests/__init__.py").is_file());
        assert!(!new.join("maubot").exists() && new.join(".parlor").is_dir());
        // An existing folder is not changed.
        let again = port(&Request { folder: around.path().join("old"), into: Some(new), framework: None });
        assert!(matches!(again, Err(PortError::Exists(_))), "{again:?}");
    }

    #[test]
    fn missing_features_are_reported_with_their_line() {
        let source = "import subprocess\nfrom errbot import BotPlugin, botcmd\nclass Greeter(BotPlugin):\n    @botcmd\n    \
                      def greet(self, msg, args):\n        return self._bot.name\n";
        let (_around, result) = ported(&[("greeter.plug", PLUG), ("greeter.py", source)], None);
        let ported = result.unwrap();
        let told: Vec<_> =
            ported.findings.iter().map(|one| (one.kind, one.file.as_str(), one.line, one.what.as_str())).collect();
        assert_eq!(told, [(Kind::Lacks, "greeter.py", 1, "subprocess"), (Kind::Lacks, "greeter.py", 6, "self._bot")]);
        assert!(!ported.is_whole());
    }

    #[test]
    fn a_folder_without_a_plugin_is_refused_and_nothing_is_made() {
        let deep = format!("x = {}1{}\n", "(".repeat(5_000), ")".repeat(5_000));
        let cases: [(Files<'_>, &str); 7] = [
            (&[("a.py", "")], "neither a .plug file"),
            (&[("a.plug", "[Core]\nModule = a\n")], "can be read"),
            (&[("a.plug", "nothing")], "a.plug: "),
            (&[("a.plug", "[Core]\nModule = a\n"), ("a.py", "x = 1\n")], "no class that inherits from BotPlugin"),
            (&[("a.plug", "[Core]\nModule = ../a\n"), ("a.py", "x = 1\n")], "can be read"),
            (&[("a.plug", "[Core]\nModule = a\n"), ("a.py", &deep)], ""),
            (&[("maubot.yaml", "modules:\n- a\nmain_class: B\n  c: d\n")], "maubot.yaml"),
        ];
        for (files, says) in cases {
            let (around, result) = ported(files, None);
            let error = result.unwrap_err().to_string();
            assert!(error.contains(says), "{files:?}: {error}");
            assert!(!around.path().join("new").exists());
            assert_eq!(fs::read_dir(around.path()).unwrap().count(), 1, "{files:?}");
        }
        let (_around, result) = ported(&[("greeter.plug", PLUG), ("greeter.py", "")], Some(Framework::Maubot));
        assert!(result.unwrap_err().to_string().contains("it has no maubot.yaml"));
    }
}
