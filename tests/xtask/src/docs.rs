//! `cargo xtask docs`: generates and checks the pages, runs what they say, and has mdbook build the site.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::run::{Output, run};
use crate::setup::Servers;
use crate::{build, setup, workspace};

/// The part of the names of the suite's tests that follow pages.
const FOLLOWING: &str = "page::";

/// Generates and checks the pages; on request, runs their commands and builds the site.
pub(crate) fn docs(runs: bool, site: bool) -> Result<()> {
    if site && !has_mdbook() {
        bail!("mdbook makes the site, and is not there: cargo install mdbook");
    }
    let folder = workspace::root().join("target/book");
    if runs {
        setup::prepare(Servers::Both)?;
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
    if site {
        run("the site", Command::new("mdbook").arg("build").arg(&folder), Output::Kept)?;
        say(&format!("the site: {}", folder.join("site/index.html").display()));
    }
    Ok(())
}

fn has_mdbook() -> bool {
    let mut asked = Command::new("mdbook");
    asked.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    asked.status().is_ok_and(|status| status.success())
}

#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn say(line: &str) {
    eprintln!("  ✓ {line}");
}
