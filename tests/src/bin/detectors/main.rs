//! `cargo xtask detectors`: tests whether the checks of the host would notice a broken promise.
//!
//! Each entry of `tests/detectors.toml` breaks one promise of SECURITY.md on purpose in a copy of the sources, and
//! names the one check that must fail. First these checks must pass on the unchanged copy. Then one change after the
//! other is applied, built, checked and undone.

mod check;
mod report;
mod table;
mod tree;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser as _;
use parlor_tests::interrupt::{ended, interruptible};
use xtask::Detectors;

use crate::check::{Check, Outcome};
use crate::report::{Report, Verdict};
use crate::table::{Detector, Table};
use crate::tree::Tree;

#[tokio::main]
async fn main() -> ExitCode {
    // An interruption drops this future, which ends the programs and undoes the change.
    ended(interruptible(run(&Detectors::parse())).await)
}

/// Returns whether all chosen detectors fired.
async fn run(arguments: &Detectors) -> Result<bool> {
    let all = Table::read()?.detector;
    for name in &arguments.only {
        ensure!(all.iter().any(|one| one.name == *name), "there is no detector {name}; `--list` shows all of them");
    }
    let is_chosen = |one: &Detector| arguments.only.is_empty() || arguments.only.contains(&one.name);
    let chosen: Vec<Detector> = all.into_iter().filter(is_chosen).collect();
    let mut report = Report::new(arguments.json, chosen.len());
    if arguments.list {
        for detector in &chosen {
            report.list(detector);
        }
        return Ok(true);
    }
    let tree = Tree::copy().await?;
    for check in chosen.iter().map(|one| &one.seen_by).collect::<BTreeSet<_>>() {
        passes(&tree, check).await.with_context(|| format!("{check}, with nothing broken"))?;
    }
    for detector in &chosen {
        let begin = Instant::now();
        let verdict = judge(&tree, detector).await.unwrap_or_else(Verdict::Untried);
        report.detector(detector, &verdict, begin.elapsed());
    }
    Ok(report.end())
}

/// Checks that the check passes on the unchanged copy. A check that fails anyway notices nothing.
async fn passes(tree: &Tree, check: &Check) -> Result<()> {
    match check.build(tree).await?.run().await? {
        Outcome::Green => Ok(()),
        Outcome::Red(why) => bail!("it fails: {why}"),
    }
}

/// Applies the change, and tests whether the check fails.
async fn judge(tree: &Tree, detector: &Detector) -> Result<Verdict> {
    let _broken = tree.break_on_purpose(detector)?;
    let check = &detector.seen_by;
    let built = check.build(tree).await.context("the change has to be one that compiles")?;
    Ok(match built.run().await? {
        Outcome::Green => Verdict::Silent,
        Outcome::Red(why) => Verdict::Fired(why),
    })
}
