//! `cargo xtask docs`: generates and checks the pages, runs what they say, and has mdbook build the site.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::run::{Output, run};
use crate::setup::Needs;
use crate::{build, setup, workspace};

/// The part of the names of the suite's tests that follow pages.
const FOLLOWING: &str = "page::";
/// The version of mdbook that builds the site.
const MDBOOK: &str = "0.5.4";

/// Generates and checks the pages; on request, runs their commands and builds the site.
pub(crate) fn docs(runs: bool, site: bool) -> Result<()> {
    let mdbook = if site { Some(mdbook()?) } else { None };
    let folder = workspace::root().join("target/book");
    if runs {
        setup::prepare(Needs::Suite)?;
        build::everything()?;
    } else {
        build::programs()?;
    }
    let mut command = Command::new(workspace::program("docs"));
    if site {
        command.arg("--site").arg(&folder);
    }
    run("the pages", &mut command, Output::Shown)?;
    if runs {
        let tests = ["test", "--workspace", "--test", "suite", "--", FOLLOWING];
        run("the commands of the pages", &mut workspace::cargo(tests), Output::Shown)?;
    }
    if let Some(mdbook) = mdbook {
        run("the site", Command::new(mdbook).arg("build").arg(&folder), Output::Kept)?;
        say(&format!("the site: {}", folder.join("site/index.html").display()));
    }
    Ok(())
}

/// Returns the path of mdbook. The first time, cargo compiles it into a folder of its own, so that nothing outside of the
/// workspace changes and everyone has the same version.
fn mdbook() -> Result<PathBuf> {
    let folder = workspace::tools().join(format!("mdbook-{MDBOOK}"));
    let program = folder.join("bin/mdbook");
    if !program.is_file() {
        let mut install = workspace::cargo(["install", "mdbook", "--locked", "--version", MDBOOK]);
        // Without its server, which would be half of the work.
        install.args(["--no-default-features", "--features", "search", "--root"]).arg(&folder);
        run("compiling mdbook", &mut install, Output::Shown)?;
    }
    Ok(program)
}

#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn say(line: &str) {
    eprintln!("  ✓ {line}");
}
