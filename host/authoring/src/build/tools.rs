//! The tools for building plugins that parlor does not include. They are installed once, by their own package managers,
//! into a folder of parlor's. Nothing else on the machine changes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use parlor_base::atomic::{self, Locked};
use parlor_base::child::{self, NOWHERE};
use parlor_base::escape::{EscapedPath as _, escape_untrusted};

use super::BuildError;
use super::fresh::alone_in;

/// The maximum length of a broken program's output as shown, in bytes.
const MAX_SAID: usize = 300;

/// Python, in a virtual environment.
const PYTHON: &str = "bin/python3";

/// A program of the system that is used in any version that is new enough.
pub(super) struct InUse {
    program: &'static str,
    /// The arguments that print its version, as `3.11`, `v20.1.0` or `rustc 1.95.0 (59807616e 2026-04-14)`.
    asked: &'static [&'static str],
    oldest: (u32, u32),
    oldest_said: &'static str,
    remedy: &'static str,
}

const PYTHON_IN_USE: InUse = InUse {
    program: "python3",
    asked: &["-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
    oldest: (3, 10),
    oldest_said: "3.10",
    remedy: "install a newer one, or put it first in PATH; on Debian or Ubuntu: apt-get install python3-venv",
};

const NODE_IN_USE: InUse = InUse {
    program: "node",
    asked: &["--version"],
    oldest: (20, 0),
    oldest_said: "20",
    remedy: "install a newer Node.js with npm, or put it first in PATH: https://nodejs.org",
};

/// The oldest version is that of the SDK; cargo refuses an older one.
pub(super) const RUSTC_IN_USE: InUse = InUse {
    program: "rustc",
    asked: &["--version"],
    oldest: (1, 95),
    oldest_said: "1.95",
    remedy: "with rustup: rustup update; else install it from https://rustup.rs, and put it first in PATH",
};

impl InUse {
    /// Checks its version before anything is installed with it, since later errors would be less clear.
    fn check(&self, missing: fn(io::Error) -> BuildError) -> Result<(), BuildError> {
        self.check_with(&mut child::command(self.program, NOWHERE), missing)
    }

    /// Does the same with this command.
    pub(super) fn check_with(
        &self,
        command: &mut Command,
        missing: fn(io::Error) -> BuildError,
    ) -> Result<(), BuildError> {
        let (program, remedy) = (self.program, self.remedy);
        let output = heard(command.args(self.asked)).map_err(missing)?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let named = said.split_whitespace().find_map(|word| Some((word, version(word)?)));
        match named.filter(|_| output.status.success()) {
            None => {
                let error = String::from_utf8_lossy(&output.stderr);
                let status = output.status.to_string();
                // The message is one line, and most programs write several.
                let words = [said.as_str(), &error, &status].into_iter().flat_map(str::split_whitespace);
                let said = words.collect::<Vec<_>>().join(" ");
                Err(BuildError::Broken { program, said: escape_untrusted(&said, MAX_SAID), remedy })
            }
            Some((word, version)) if version < self.oldest => {
                Err(BuildError::TooOld { program, found: word.to_owned(), oldest: self.oldest_said, remedy })
            }
            Some(_) => Ok(()),
        }
    }
}

/// Returns the first two numbers of a version.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut numbers = said.strip_prefix('v').unwrap_or(said).split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// A package of `PyPI` in a tested version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pip {
    /// The package and version, such as `ziglang==0.15.2`.
    pub(super) package: &'static str,
    /// The module to import.
    pub(super) module: &'static str,
    /// A description of the plugins that it builds.
    pub(super) serves: &'static str,
}

impl Pip {
    /// Returns the Python that has the package, and installs it if it is missing.
    pub(super) fn python(self) -> Result<PathBuf, BuildError> {
        let home = folder()?.join(self.package.replace("==", "-"));
        if !self.works(&home) {
            let say = format!("{} by pip", self.package);
            PYTHON_IN_USE.check(BuildError::NoPython)?;
            install(
                &home,
                &say,
                self.serves,
                |home| self.works(home),
                |place| {
                    let needs = "on Debian or Ubuntu it needs: apt-get install python3-venv";
                    self.run(
                        child::command("python3", NOWHERE).args(["-I", "-m", "venv"]).arg(place),
                        "python3 -m venv",
                        needs,
                    )?;
                    let mut pip = child::command(place.join(PYTHON), NOWHERE);
                    pip.args(["-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", self.package]);
                    self.run(&mut pip, "pip", "pip has to reach its package index")
                },
            )?;
        }
        is_used(&home, self.package.split("==").next().unwrap_or_default());
        Ok(home.join(PYTHON))
    }

    /// Returns whether it works with the Python that it refers to. That is the machine's program, whose version may
    /// have changed.
    fn works(self, home: &Path) -> bool {
        let mut python = child::command(home.join(PYTHON), NOWHERE);
        let asked = silent(python.args(["-I", "-c", &format!("import {}", self.module)])).status();
        asked.is_ok_and(|status| status.success())
    }

    fn run(self, command: &mut Command, program: &'static str, needs: &'static str) -> Result<(), BuildError> {
        let status = quiet(command).status().map_err(BuildError::NoPython)?;
        if status.success() {
            return Ok(());
        }
        Err(BuildError::Install { what: self.package.to_owned(), program, status, needs })
    }
}

/// Packages of npm in tested versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Npm {
    /// The packages and versions, such as `amaro@1.2.1`.
    pub(super) packages: &'static [&'static str],
    /// The name of the folder for these versions.
    pub(super) home: &'static str,
    /// A description of the plugins that they build.
    pub(super) serves: &'static str,
}

impl Npm {
    /// Returns the folder with `node_modules`, and installs the packages if they are missing.
    pub(super) fn folder(self) -> Result<PathBuf, BuildError> {
        let home = folder()?.join(self.home);
        let is_there = |home: &Path| home.join("node_modules").is_dir();
        if !is_there(&home) {
            let say = format!("{} by npm", self.packages.join(" and "));
            NODE_IN_USE.check(BuildError::NoNode)?;
            install(&home, &say, self.serves, is_there, |place| self.fill(place))?;
        }
        is_used(&home, self.packages.first().and_then(|first| first.rsplit_once('@')).unwrap_or_default().0);
        Ok(home)
    }

    fn fill(self, place: &Path) -> Result<(), BuildError> {
        fs::create_dir_all(place).map_err(|error| BuildError::File { path: place.to_owned(), error })?;
        let mut npm = child::command("npm", place);
        npm.args(["install", "--prefix"]).arg(place).args([
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
            // Otherwise it silently retries an unreachable registry for minutes.
            "--fetch-retries=1",
        ]);
        let status = quiet(npm.args(self.packages)).status().map_err(BuildError::NoNode)?;
        if status.success() {
            return Ok(());
        }
        let needs = "npm has to reach its registry";
        Err(BuildError::Install { what: self.packages.join(" and "), program: "npm", status, needs })
    }
}

/// Checks that packages of pip can be installed.
pub(super) fn python_is_there() -> Result<(), BuildError> {
    let mut python = child::command("python3", NOWHERE);
    match silent(python.args(["-I", "-c", "import ensurepip, venv"])).status().map_err(BuildError::NoPython)? {
        status if status.success() => Ok(()),
        _ => Err(BuildError::NoVenv),
    }
}

/// Returns a command that runs the machine's Python, if that is new enough.
pub(super) fn machine_python() -> Result<Command, BuildError> {
    PYTHON_IN_USE.check(BuildError::NoPython)?;
    Ok(child::command(PYTHON_IN_USE.program, NOWHERE))
}

/// Checks that packages of npm can be installed.
pub(super) fn npm_is_there() -> Result<(), BuildError> {
    silent(child::command("npm", NOWHERE).arg("--version")).status().map(drop).map_err(BuildError::NoNode)
}

fn silent(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// Configures a program without input, whose output goes to standard error: standard output is reserved for the result.
pub(super) fn quiet(command: &mut Command) -> &mut Command {
    without_traces(command).stdin(Stdio::null()).stdout(Stdio::from(io::stderr()))
}

/// Runs such a program and returns its output.
pub(super) fn heard(command: &mut Command) -> io::Result<Output> {
    without_traces(command).stdin(Stdio::null()).output()
}

/// Disables backtraces: some tools are written in Rust, and an author who wants those of their own program does not
/// want theirs.
fn without_traces(command: &mut Command) -> &mut Command {
    command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE")
}

/// Announces slow work before it begins, even without a terminal. Standard output is reserved for the result.
pub(super) fn announce(what: &str) {
    // If standard error is closed, the build continues.
    let _ = writeln!(io::stderr().lock(), "{what}");
}

/// Shows the author the plugin's output during the build. Its lines are escaped and indented, so that they cannot move
/// the cursor or be mistaken for parlor's own.
pub(super) fn show_output(text: &str) {
    for line in text.lines() {
        announce(&format!("  {}", escape_untrusted(line, usize::MAX)));
    }
}

/// Returns the folder of all tools.
pub(super) fn folder() -> Result<PathBuf, BuildError> {
    Ok(data()?.join("tools"))
}

/// A compiler's cache folder, which is not emptied while this is held.
pub(super) struct Cache {
    folder: PathBuf,
    _used: Option<Locked>,
}

impl Cache {
    /// Opens the folder where a compiler keeps its downloads or compiled files.
    pub(super) fn open(name: &str) -> Result<Self, BuildError> {
        let folder = folder()?.join(name);
        bound(&folder, MOST_CACHED, SystemTime::now());
        Self::used(folder)
    }

    /// Does the same, and announces that `first` is compiled for all plugins if the folder does not exist yet.
    pub(super) fn begin(name: &str, first: &str) -> Result<Self, BuildError> {
        Self::used(bounded(folder()?.join(name), first))
    }

    fn used(folder: PathBuf) -> Result<Self, BuildError> {
        fs::create_dir_all(&folder).map_err(|error| BuildError::File { path: folder.clone(), error })?;
        // If it cannot be locked, it may be emptied during use, and that build fails.
        let used = atomic::shared(&folder);
        Ok(Self { folder, _used: used })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Returns the target folder for all plugins that share their crates. It is not among the tools, which are never
/// incomplete.
pub(super) fn crates_folder() -> Result<PathBuf, BuildError> {
    Ok(bounded(data()?.join("rust-crates"), "the crates of the SDK"))
}

/// Limits the size of a compiler's cache. If it does not exist yet, announces what is compiled first.
fn bounded(cache: PathBuf, first: &str) -> PathBuf {
    bound(&cache, MOST_CACHED, SystemTime::now());
    if !cache.is_dir() {
        announce(&format!("compiling {first} once for all plugins, which takes a while"));
    }
    cache
}

/// The maximum size of a cache in bytes. The dependencies of plugins take some hundred megabytes in each language.
const MOST_CACHED: u64 = 2 << 30;
/// The interval at which a cache is measured.
const MEASURED: Duration = Duration::from_hours(24);
/// The file in a cache whose modification time is that of the last measurement.
const MEASURED_AT: &str = ".measured";

/// Removes a cache that has become too large, checked once a day. The parts that are still needed are compiled or
/// downloaded again, since only the compiler knows which they are.
fn bound(cache: &Path, most: u64, now: SystemTime) {
    let stamp = cache.join(MEASURED_AT);
    let measured = stamp.metadata().and_then(|found| found.modified());
    // A file may be a moment younger than the time at hand, and the machine's clock may have been set.
    let age = |at: SystemTime| now.duration_since(at).unwrap_or_else(|early| early.duration());
    let is_recent = measured.is_ok_and(|at| age(at) < MEASURED);
    if is_recent || !cache.is_dir() {
        return;
    }
    if size(cache) > most
        && let Some(_alone) = atomic::try_alone_in(cache)
    {
        remove(cache, cache.parent().expect("a folder of its own"));
    } else {
        // If this fails, it is measured again next time.
        let _ = fs::write(&stamp, "");
    }
}

/// Returns the total size of the files in a folder, in bytes. Symbolic links are not followed.
fn size(folder: &Path) -> u64 {
    let sizes = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size(&entry.path()),
        Ok(_) => entry.metadata().map_or(0, |found| found.len()),
        Err(_) => 0,
    });
    sizes.sum()
}

/// Returns the folder for everything that authors need.
pub(super) fn data() -> Result<PathBuf, BuildError> {
    let data = data_home(std::env::var_os("XDG_DATA_HOME"), std::env::home_dir()).ok_or(BuildError::NoHome)?;
    Ok(data.join("parlor"))
}

fn data_home(xdg: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    // The XDG Base Directory Specification requires that a relative path is ignored.
    let xdg = xdg.map(PathBuf::from).filter(|folder| folder.is_absolute());
    xdg.or_else(|| Some(home?.join(".local/share")))
}

/// The prefix of folders with an incomplete installation.
const HALF: &str = "new-";

/// Installs a tool in a temporary folder and then moves it into place, so that it is never incomplete. An existing one
/// that does not work is replaced.
fn install(
    home: &Path,
    what: &str,
    serves: &str,
    works: impl Fn(&Path) -> bool,
    into: impl FnOnce(&Path) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let around = home.parent().expect("a folder of its own");
    let failed = |error| BuildError::File { path: around.to_owned(), error };
    fs::create_dir_all(around).map_err(failed)?;
    let alone = alone_in(around);
    if works(home) {
        // Another process was faster.
        return Ok(());
    }
    // Without the lock, another process may be at work on them.
    if alone.is_some() {
        sweep(around);
    }
    let is_old = home.symlink_metadata().is_ok();
    let why = if is_old { "; what is there does not work any more" } else { "" };
    announce(&format!("installing {what} into {}, once for all {serves}{why}", home.escaped()));
    let fresh = tempfile::Builder::new().prefix(HALF).tempdir_in(around).map_err(failed)?;
    let place = fresh.path().join("it");
    into(&place)?;
    if is_old {
        fs::rename(home, fresh.path().join("old")).map_err(failed)?;
    }
    fs::rename(&place, home).map_err(failed)
}

/// How long an unused tool is kept.
const LONGEST_UNUSED: Duration = Duration::from_hours(30 * 24);

/// Records that a tool is in use, and removes other versions of it that were not used for long. These remain when a new
/// parlor brings a newer version, and an older parlor may still use one for a while.
fn is_used(home: &Path, tool: &str) {
    let (around, now) = (home.parent().expect("a folder of its own"), SystemTime::now());
    // If the time cannot be set, the tool may be removed during use, and is installed again.
    let _ = File::open(home).and_then(|place| place.set_modified(now));
    for entry in fs::read_dir(around).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let version = name.to_str().and_then(|name| name.strip_prefix(tool)?.strip_prefix('-'));
        let is_another = version.is_some_and(|version| version.starts_with(|sign: char| sign.is_ascii_digit()))
            && Some(&*name) != home.file_name();
        let used = entry.metadata().and_then(|found| found.modified());
        let unused = used.ok().and_then(|used| now.duration_since(used).ok());
        if is_another && unused.is_some_and(|unused| unused > LONGEST_UNUSED) {
            remove(&entry.path(), around);
        }
    }
    // An interrupted process may have left an incomplete one. A process at work is not waited for.
    if let Some(_alone) = atomic::try_alone_in(around) {
        sweep(around);
    }
}

/// Moves a tool away at once, and then removes its files, which takes longer.
fn remove(tool: &Path, around: &Path) {
    if let Ok(away) = tempfile::Builder::new().prefix(HALF).tempdir_in(around) {
        let old = away.path().join("old");
        // It may be gone already if another parlor does the same.
        if fs::rename(tool, &old).is_ok() {
            open_folders(&old);
        }
    }
}

/// Makes the folders below one writable, so that they can be removed: Go makes those of modules read-only.
fn open_folders(folder: &Path) {
    // If this fails, the next sweep tries again.
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_folders(&entry.path());
        }
    }
}

/// Removes incomplete installations: an interrupted one leaves some hundred megabytes.
fn sweep(around: &Path) {
    for entry in fs::read_dir(around).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(HALF) {
            // A failure does no harm, and the next sweep tries again.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests;
