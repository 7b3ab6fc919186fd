//! Files in a plugin's folder that run code on the machine that builds it, with all that its user may do.
//!
//! A plugin runs within wasm, and so do Python and JavaScript while they are evaluated for a build. Cargo is different: it runs build
//! scripts and procedural macros, and programs that a configuration in the folder names. Only what lies in the folder is looked for;
//! what its dependencies bring along is the registry's.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::fresh::is_no_source;
use super::{data_folder, read_text, rust};
use crate::atomic::{self, Readers};
use crate::harmless::EscapedPath as _;
use crate::plugins::id::Digest;

/// How many files and folders are looked at. A folder with more counts as one that runs something.
const MOST: usize = 10_000;
/// How many folders are remembered.
const REMEMBERED: usize = 1_000;

/// The files of a folder that have code run by a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// Their paths within the folder, in order.
    pub files: Vec<PathBuf>,
    /// The folder, and what is in these files.
    digest: Digest,
}

impl Hooks {
    /// Looks for them in this folder; none: nothing in it runs when it is built.
    pub fn of(folder: &Path) -> io::Result<Option<Self>> {
        if !folder.join(rust::MARK).is_file() {
            return Ok(None);
        }
        let folder = fs::canonicalize(folder)?;
        let (mut files, mut left) = (Vec::new(), MOST);
        look(&folder, &folder, &mut files, &mut left)?;
        if files.is_empty() {
            return Ok(None);
        }
        files.sort();
        let mut text = folder.escaped().to_string();
        for file in &files {
            // One that cannot be read cannot be run, either.
            let content = fs::read(folder.join(file)).unwrap_or_default();
            // Writing into a String cannot fail.
            let _ = write!(text, "\n{} {}", file.escaped(), Digest::of(&content));
        }
        Ok(Some(Self { files, digest: Digest::of(text.as_bytes()) }))
    }

    /// Whether the user agreed to run them as they are now.
    pub fn are_trusted(&self) -> bool {
        let Ok(path) = trusted() else { return false };
        let known = fs::read_to_string(path).unwrap_or_default();
        known.lines().any(|line| line == self.digest.to_string())
    }

    /// Remembers that the user agreed. Where that cannot be written, the next build asks again.
    pub fn trust(&self) -> io::Result<()> {
        let path = trusted()?;
        if let Some(folder) = path.parent() {
            atomic::make_private_folder(folder)?;
        }
        let known = fs::read_to_string(&path).unwrap_or_default();
        let skipped = known.lines().count().saturating_sub(REMEMBERED - 1);
        let own = self.digest.to_string();
        let lines: Vec<_> = known.lines().skip(skipped).chain([own.as_str(), ""]).collect();
        atomic::write(&path, lines.join("\n").as_bytes(), Readers::Owner)
    }
}

/// The file with the digests of folders that somebody agreed to build.
fn trusted() -> io::Result<PathBuf> {
    let data = data_folder().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(data.join("trusted"))
}

fn look(root: &Path, folder: &Path, files: &mut Vec<PathBuf>, left: &mut usize) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let within = path.strip_prefix(root).unwrap_or(&path).to_owned();
        let Some(rest) = left.checked_sub(1) else {
            files.push(within);
            return Ok(());
        };
        *left = rest;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // A link to a folder is followed, as cargo does. One that leads around in a circle is too much to look at.
        if path.is_dir() {
            // Cargo reads this one, although its name is hidden.
            if name == ".cargo" {
                let configs = ["config.toml", "config"].into_iter().filter(|config| path.join(config).exists());
                files.extend(configs.map(|config| within.join(config)));
            } else if !is_left_out(&name) {
                look(root, &path, files, left)?;
            }
        } else if is_hook(&name, &path) {
            files.push(within);
        }
    }
    Ok(())
}

/// Whether cargo or rustup run something because of this file.
fn is_hook(name: &str, path: &Path) -> bool {
    let table = || read_text(path).ok().and_then(|text| text.parse::<toml::Table>().ok()).unwrap_or_default();
    let section = |table: &toml::Table, section: &str| table.get(section).and_then(toml::Value::as_table).cloned();
    match name {
        "build.rs" => true,
        rust::MARK => {
            let manifest = table();
            let runs = |name: &str, keys: &[&str]| {
                section(&manifest, name).is_some_and(|section| keys.iter().any(|key| section.contains_key(*key)))
            };
            let hidden = paths(&toml::Value::Table(manifest.clone())).iter().any(|path| is_passed_over(path));
            runs("package", &["build"]) || runs("lib", &["proc-macro", "proc_macro"]) || hidden
        }
        // A tool chain of its own is a compiler of its own.
        "rust-toolchain.toml" | "rust-toolchain" => {
            section(&table(), "toolchain").is_some_and(|section| section.contains_key("path"))
        }
        _ => false,
    }
}

/// The paths that a manifest names, such as those of dependencies.
fn paths(value: &toml::Value) -> Vec<String> {
    match value {
        toml::Value::Table(table) => {
            let own = table.get("path").and_then(toml::Value::as_str).map(str::to_owned);
            own.into_iter().chain(table.values().flat_map(paths)).collect()
        }
        toml::Value::Array(all) => all.iter().flat_map(paths).collect(),
        _ => Vec::new(),
    }
}

/// Whether a folder is not looked into. Parlor puts the SDK into `.parlor` itself, but a stranger may have put more there.
fn is_left_out(name: &str) -> bool {
    name != ".parlor" && is_no_source(name)
}

/// Whether a path leads into a folder that is not looked into.
fn is_passed_over(path: &str) -> bool {
    Path::new(path).components().any(|part| match part {
        Component::Normal(name) => is_left_out(&name.to_string_lossy()),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let hooks = Hooks::of(root.path()).unwrap();
        hooks.into_iter().flat_map(|hooks| hooks.files).map(|file| file.display().to_string()).collect()
    }

    const PLAIN: (&str, &str) = ("Cargo.toml", "[package]\nname = \"parrot\"\n[lib]\ncrate-type = [\"cdylib\"]\n");

    #[test]
    fn what_cargo_runs_is_found_wherever_it_lies_in_the_folder() {
        assert!(found(&[PLAIN, ("src/lib.rs", ""), ("target/debug/build.rs", ""), ("plugin.toml", "")]).is_empty());
        assert_eq!(found(&[PLAIN, ("build.rs", "")]), ["build.rs"]);
        assert_eq!(found(&[PLAIN, (".cargo/config.toml", "")]), [".cargo/config.toml"]);
        assert_eq!(found(&[PLAIN, ("helper/.cargo/config", "")]), ["helper/.cargo/config"]);
        let hidden = [
            PLAIN,
            ("helper/Cargo.toml", "[package]\nname = \"x\"\nbuild = \"other.rs\"\n"),
            ("macros/Cargo.toml", "[lib]\nproc-macro = true\n"),
            ("rust-toolchain.toml", "[toolchain]\npath = \"./bin\"\n"),
        ];
        assert_eq!(found(&hidden), ["helper/Cargo.toml", "macros/Cargo.toml", "rust-toolchain.toml"]);
        assert!(found(&[PLAIN, ("rust-toolchain.toml", "[toolchain]\nchannel = \"1.95\"\n")]).is_empty());
        let elsewhere = "[package]\nname = \"parrot\"\n[dependencies]\nhelper = { path = \"tests/helper\" }\n";
        assert_eq!(found(&[("Cargo.toml", elsewhere)]), ["Cargo.toml"], "it is not looked into");
        let usual =
            ("Cargo.toml", "[package]\nname = \"parrot\"\n[dependencies]\nparlor-sdk = { path = \".parlor/sdk\" }\n");
        assert!(found(&[usual, (".parlor/sdk/Cargo.toml", "[package]\nname = \"parlor-sdk\"\n")]).is_empty());
        assert_eq!(found(&[usual, (".parlor/sdk/build.rs", "")]), [".parlor/sdk/build.rs"]);
        // Nothing of another language's folder is run by its build.
        assert!(found(&[("plugin.py", ""), ("build.rs", "")]).is_empty());
    }

    #[test]
    fn another_text_in_one_of_them_is_another_question() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(PLAIN.0), PLAIN.1).unwrap();
        let with = |text: &str| {
            fs::write(root.path().join("build.rs"), text).unwrap();
            Hooks::of(root.path()).unwrap().unwrap()
        };
        let (one, other) = (with("fn main() {}"), with("fn main() { steal() }"));
        assert!(one != other && one.files == other.files);
        assert_eq!(with("fn main() {}"), one);
    }
}
