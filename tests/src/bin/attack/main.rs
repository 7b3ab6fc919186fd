//! `cargo xtask attack`: attacks of hostile plugins, peers and packages on the real `parlor run`.
//!
//! Each case of `SECURITY.md` runs on a separate host with a well-behaved neighbour. A case is contained if three
//! things hold: the attempt ended as it must, the neighbour and the host's footprint are back where they were, and
//! nothing was sent that no grant allows.

mod bots;
mod case;
mod neighbours;
mod nodes;
mod report;
mod soak;
mod stage;
mod stranger;
mod trial;

// The headings of the cases in `SECURITY.md`.
mod addresses;
mod audit;
mod between;
mod calls;
mod cluster;
mod commands;
mod cpu;
mod dialogs;
mod encryption;
mod fairness;
mod files;
mod forms;
mod hooks;
mod loading;
mod memory;
mod operator;
mod peer;
mod people;
mod requests;
mod schedules;
mod secrets;
mod sends;
mod wasi;
mod web;
mod webhooks;
mod window;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser as _;
use parlor_tests::interrupt::{Interrupt, ended};
use xtask::Attack;

use crate::case::{Case, QUICK, TOTAL};
use crate::report::Report;

#[tokio::main]
async fn main() -> ExitCode {
    ended(run(&Attack::parse()).await)
}

/// Returns whether all chosen cases that apply are contained.
async fn run(arguments: &Attack) -> Result<bool> {
    let known = case::all();
    for number in &arguments.case {
        ensure!((1..=TOTAL).contains(number), "there is no case {number}; the cases are 1 to {TOTAL}");
        let there = known.iter().any(|case| case.number == *number);
        ensure!(there, "case {number} is not written yet; `--list` shows those that are");
    }
    let chosen = |case: &Case| {
        (arguments.case.is_empty() || arguments.case.contains(&case.number))
            && (!arguments.quick || QUICK.contains(&case.number))
    };
    let cases: Vec<Case> = known.into_iter().filter(chosen).collect();
    let mut report = Report::new(arguments.json);
    if arguments.list {
        for case in &cases {
            report.list(case);
        }
        return Ok(true);
    }
    let mut interrupt = Interrupt::new()?;
    if arguments.soak {
        let soaked = interrupt.or(soak::soak(Duration::from_mins(arguments.minutes))).await?;
        return Ok(report.soak(&soaked));
    }
    if arguments.neighbours {
        let mut is_well = true;
        for (kind, crowd) in neighbours::all() {
            is_well &= report.neighbour(&interrupt.or(neighbours::measure(kind, crowd)).await?);
        }
        is_well &= report.flooded(&interrupt.or(webhooks::flood::measure()).await?);
        return Ok(is_well);
    }
    for case in &cases {
        // An interruption drops the trial and with it the host: its process ends, and its folders are removed.
        let verdict = interrupt.or(async { Ok(trial::judge(case).await) }).await?;
        report.case(case, &verdict);
    }
    Ok(report.end())
}
