//! Builds by a profile: the programs that are measured are built once so that they count what they do, echo messages for a
//! minute, and are built again. The compiler then lays out together what runs often, and each function's usual way first.
//!
//! Both builds are for a target that is named, so that build scripts and macros are compiled as always.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};

use crate::build;
use crate::run::{Output, run};
use crate::workspace;

/// The parts of the bench that run while the programs count. Together they have all that a message passes.
const TRAINING: [&str; 4] = ["--only", "echo,calls,archive,storage,web", "--rounds", "2"];

/// Builds programs by this command of cargo, so that they have the features that they have without a profile. Returns the folder
/// that they are in.
pub(crate) fn build(cargo: Command) -> Result<PathBuf> {
    let (target, merge) = (host()?, llvm_profdata()?);
    let folder = workspace::by_profile();
    let counts = folder.join("counts");
    let count = format!("-Cprofile-generate={}", counts.display());
    let mut measured = build::release();
    // It counts before it optimizes, so optimizing across packages would only take time here.
    measured.env("CARGO_PROFILE_RELEASE_LTO", "off");
    let counting = compile(measured, &folder.join("counting"), &target, &count)?;
    build::measured_plugins(&counting.join("parlor"))?;
    // The programs have counted while they built plugins, too, and earlier programs have left counts.
    let gone = fs::remove_dir_all(&counts);
    ensure!(gone.is_ok() || !counts.exists(), "cannot remove {}", counts.display());
    run("counting what the bench runs", Command::new(counting.join("bench")).args(TRAINING), Output::Kept)?;
    let profile = folder.join("parlor.profdata");
    let mut merge = Command::new(merge);
    run("merging the counts", merge.args(["merge", "--sparse", "-o"]).arg(&profile).arg(&counts), Output::Kept)?;
    // Of a generic function, one count stands for the copies of all packages. Those that it does not fit go without.
    let quiet = "-Cllvm-args=-no-pgo-warn-mismatch";
    let used = format!("-Cprofile-use={} {quiet}", profile.display());
    compile(cargo, &folder.join("used"), &target, &used)
}

/// Compiles programs into this folder of cargo's. Returns the folder of the programs.
fn compile(mut cargo: Command, folder: &Path, target: &str, flags: &str) -> Result<PathBuf> {
    cargo.args(["--target", target]).env("CARGO_TARGET_DIR", folder).env("RUSTFLAGS", with_own(flags));
    run("building the host", &mut cargo, Output::Shown)?;
    Ok(folder.join(target).join("release"))
}

/// Returns the flag behind those that whoever builds has set.
fn with_own(flag: &str) -> String {
    match env::var("RUSTFLAGS") {
        Ok(own) if !own.is_empty() => format!("{own} {flag}"),
        _ => flag.to_owned(),
    }
}

/// Returns the name of this machine as a target.
fn host() -> Result<String> {
    let version = rustc(["-vV"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say for which machine it compiles")?.to_owned())
}

/// Returns the path of the program that merges counts. It has to be of the compiler's own LLVM.
fn llvm_profdata() -> Result<PathBuf> {
    let libraries = PathBuf::from(rustc(["--print", "target-libdir"])?.trim());
    let program = libraries.with_file_name("bin").join("llvm-profdata");
    if !program.is_file() {
        run("installing llvm-tools", Command::new("rustup").args(["component", "add", "llvm-tools"]), Output::Kept)
            .context(
                "llvm-profdata of the compiler's own LLVM is missing; rustup has it as the component llvm-tools",
            )?;
    }
    ensure!(program.is_file(), "{} is not there, though llvm-tools is installed", program.display());
    Ok(program)
}

fn rustc<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<String> {
    let mut rustc = Command::new("rustc");
    let output = rustc.args(arguments).current_dir(workspace::root()).stderr(Stdio::inherit()).output();
    let output = output.context("cannot start rustc")?;
    if !output.status.success() {
        bail!("rustc ended with {}", output.status);
    }
    String::from_utf8(output.stdout).context("rustc printed no text")
}
