//! `cargo xtask web`: the owner's pages in a real browser. Each page is looked at with and without JavaScript, narrow and wide,
//! light and dark, and each change is made as a person makes it, against the programs that users have.
//!
//! It prints a line for each step, and `seen N/N` at the end. The exit code is 0 only if every step was seen.

mod browser;
mod changes;
mod compared;
mod fetched;
mod hooks;
mod looks;
mod questions;
mod report;
mod sessions;
mod stage;
mod steps;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use clap::Parser as _;
use parlor_tests::interrupt::{Interrupt, ended};
use xtask::Web;

use crate::report::Report;
use crate::stage::Stage;
use crate::steps::Step;

/// The time limit of one step.
const STEP: Duration = Duration::from_mins(3);

#[tokio::main]
async fn main() -> ExitCode {
    ended(run(&Web::parse()).await)
}

/// Returns whether every chosen step was seen.
async fn run(arguments: &Web) -> Result<bool> {
    let is_chosen =
        |step: &Step| arguments.only.is_empty() || arguments.only.iter().any(|text| step.name.contains(text.as_str()));
    let chosen: Vec<Step> = steps::all(arguments.screens).into_iter().filter(is_chosen).collect();
    ensure!(!chosen.is_empty(), "no step has {:?} in its name; `--list` shows them", arguments.only);
    let mut report = Report::new(arguments.json, chosen.len());
    if arguments.list {
        for step in &chosen {
            report.list(&step.name);
        }
        return Ok(true);
    }
    let mut interrupt = Interrupt::new()?;
    // An interruption drops what is being done, and then the stage: its processes end, and its folders are removed.
    let mut stage = Box::pin(interrupt.or(Stage::set())).await?;
    for step in chosen {
        let begin = Instant::now();
        let work = async {
            let done = tokio::time::timeout(STEP, step.what.run(&mut stage)).await;
            Ok(done.unwrap_or_else(|_| Err(anyhow!("it took more than {} s", STEP.as_secs()))))
        };
        let done = Box::pin(interrupt.or(work)).await?;
        report.step(&step.name, begin.elapsed(), &done);
    }
    let is_well = report.end();
    if !is_well {
        stage.keep_logs();
    }
    Ok(is_well)
}
