//! A plugin's file that is as new as its source.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::plugins::Traces;
use crate::plugins::build::{self, Request};

/// How many files of a folder are looked at; one with more is built anew.
const MOST_FILES: usize = 10_000;

/// The file itself, or the one with lines that the folder is built into. It is built if anything in the folder is newer.
pub(super) fn built(plugin: &Path) -> anyhow::Result<PathBuf> {
    if !plugin.is_dir() {
        return Ok(plugin.to_owned());
    }
    if let Some(file) = installed().and_then(|program| up_to_date(plugin, program)) {
        return Ok(file);
    }
    Ok(build::build(&Request { folder: plugin.to_owned(), output: None, traces: Traces::Lines })?.file)
}

/// Since when this program lies where it does: another one may bring another SDK.
fn installed() -> Option<SystemTime> {
    let program = std::env::current_exe().and_then(|program| program.metadata()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(program.ctime()).ok()?))
}

/// What the folder was built into, if nothing in it has changed since, nor the program that builds it. What Cargo builds may
/// depend on other folders, and Cargo itself knows best.
fn up_to_date(folder: &Path, program: SystemTime) -> Option<PathBuf> {
    let (_, manifest) = build::read_manifest(folder).ok()?;
    let file = build::output(folder, &manifest, Traces::Lines)?;
    let built = file.metadata().and_then(|file| file.modified()).ok()?;
    let newest = newest(folder, &mut 0)?;
    (newest.max(program) < built).then_some(file)
}

/// When the newest of the source was changed; none if that cannot be said.
fn newest(folder: &Path, seen: &mut usize) -> Option<SystemTime> {
    let mut newest = folder.metadata().and_then(|folder| folder.modified()).ok().map(|_| SystemTime::UNIX_EPOCH)?;
    for entry in fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if is_no_source(&name) {
            continue;
        }
        *seen += 1;
        if *seen > MOST_FILES {
            return None;
        }
        let kind = entry.file_type().ok()?;
        let changed = if kind.is_dir() {
            self::newest(&entry.path(), seen)?
        } else {
            entry.path().metadata().and_then(|file| file.modified()).ok()?
        };
        newest = newest.max(changed);
    }
    Some(newest)
}

/// What is made of source, or tries it, or is nobody's but a tool's.
pub(super) fn is_no_source(name: &str) -> bool {
    let made = ["target", "node_modules", "__pycache__", "tests"];
    name.starts_with('.') || made.contains(&name) || Path::new(name).extension().is_some_and(|end| end == "wasm")
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    const MANIFEST: &str =
        "[plugin]\nname = \"echo\"\nversion = \"0.1.0\"\napi = \"0.1.0\"\ndescription = \"Says what it hears\"\n";

    #[test]
    fn a_file_is_used_while_nothing_is_newer_but_tests() {
        let folder = tempfile::tempdir().unwrap();
        let time = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let at = |name: &str, seconds: u64| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, MANIFEST).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(time(seconds)).unwrap();
        };
        at("plugin.toml", 1000);
        at("plugin.py", 1000);
        assert_eq!(up_to_date(folder.path(), time(500)), None);
        at("echo.wasm", 2000);
        at("tests/echo.chat", 3000);
        at(".git/index", 3000);
        assert_eq!(up_to_date(folder.path(), time(500)), Some(folder.path().join("echo.wasm")));
        assert_eq!(up_to_date(folder.path(), time(2500)), None, "another parlor may bring another SDK");
        at("lib/part.py", 3000);
        assert_eq!(up_to_date(folder.path(), time(500)), None);
    }
}
