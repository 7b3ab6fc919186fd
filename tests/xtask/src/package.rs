//! `cargo xtask package`: builds the files that a Debian package needs beside the program, and then the package.
//! `host/cli/Cargo.toml` lists its contents.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result, bail};

use crate::run::{Output, run};
use crate::{dependencies, profile, workspace};

/// The file name of each shell's completions in `target/package`.
const SHELLS: [(&str, &str); 3] = [("bash", "parlor.bash"), ("zsh", "_parlor"), ("fish", "parlor.fish")];

/// Builds the package.
pub(crate) fn debian(no_build: bool, by_profile: bool) -> Result<()> {
    if !has_cargo_deb() {
        bail!("cargo-deb makes the package, and is not there: cargo install cargo-deb");
    }
    let mut cargo = workspace::cargo(["build", "--release", "--locked", "--package", "parlor-cli"]);
    if by_profile {
        let built = profile::build(cargo)?.join("parlor");
        let program = workspace::released("parlor");
        let folder = program.parent().context("a program lies in a folder")?;
        // Without a build for release, there is none yet.
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        // A new file: the old one may run.
        let _ = fs::remove_file(&program);
        fs::copy(&built, &program)
            .with_context(|| format!("cannot copy {} to {}", built.display(), program.display()))?;
    } else if !no_build {
        run("the program", &mut cargo, Output::Shown)?;
    }
    let target = workspace::root().join("target");
    // Not below `release`: cargo-deb takes files there for build products, and does not compress them.
    let (program, folder) = (target.join("release/parlor"), target.join("package"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    run("manual pages", Command::new(&program).arg("man").arg("--to").arg(folder.join("man1")), Output::Kept)?;
    for (shell, name) in SHELLS {
        completions(&program, shell, &folder.join(name))?;
    }
    dependencies::write_bill(&folder.join("parlor.cdx.json"))?;
    let mut package = workspace::cargo(["deb", "--package", "parlor-cli", "--no-build", "--strip"]);
    // As with all of Debian's tools, whoever builds the package is its maintainer.
    match (env::var("DEBFULLNAME"), env::var("DEBEMAIL")) {
        (Ok(name), Ok(address)) => drop(package.arg("--maintainer").arg(format!("{name} <{address}>"))),
        _ => warn("nobody can be written to about this package: set DEBFULLNAME and DEBEMAIL to be its maintainer"),
    }
    run("the package", &mut package, Output::Shown)
}

#[expect(clippy::print_stderr, reason = "a command says what its user may want to do otherwise")]
fn warn(what: &str) {
    eprintln!("{what}");
}

fn has_cargo_deb() -> bool {
    let asked = workspace::cargo(["deb", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

fn completions(program: &Path, shell: &str, to: &Path) -> Result<()> {
    let output = Command::new(program).args(["completions", shell]).output().context("cannot start parlor")?;
    if !output.status.success() {
        bail!("completions for {shell} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    fs::write(to, output.stdout).with_context(|| format!("cannot write {}", to.display()))
}
