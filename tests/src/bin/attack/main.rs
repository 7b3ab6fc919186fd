//! `cargo xtask attack`: what a hostile plugin, peer or package may try, tried on the real `parlor run`.
//!
//! Each case of `SECURITY.md` is mounted on a house of its own, with a good neighbour in it. It is contained when the attempt
//! ended as it has to, the neighbour and the host's footprint are back where they were, and nothing went out that no grant
//! allows.

mod case;
mod neighbours;
mod report;
mod soak;
mod stage;
mod trial;

// The headings of the list of threats.
mod between;
mod calls;
mod cpu;
mod fairness;
mod loading;
mod memory;
mod operator;
mod peer;
mod secrets;
mod sends;
mod wasi;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use parlor_tests::interrupt::{Interrupt, ended};

use crate::case::{Case, QUICK, TOTAL};
use crate::report::Report;

/// Try on a real host what a hostile plugin, peer or package may try.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
struct Arguments {
    /// Only this case; may be given several times.
    #[arg(long, value_name = "N")]
    case: Vec<u8>,
    /// Only some of each heading, in less than a minute.
    #[arg(long)]
    quick: bool,
    /// Instead of cases: thirty bad plugins beside a good one, for minutes.
    #[arg(long, conflicts_with_all = ["case", "quick", "list"])]
    soak: bool,
    /// Instead of cases: what a good plugin feels of two, four and eight hostile ones of each kind, against idle ones.
    #[arg(long, conflicts_with_all = ["case", "quick", "list", "soak"])]
    neighbours: bool,
    /// For how many.
    #[arg(long, value_name = "MINUTES", default_value_t = 10, requires = "soak")]
    minutes: u64,
    /// Only list the cases.
    #[arg(long)]
    list: bool,
    /// One JSON object for each line.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    ended(run(&Arguments::parse()).await)
}

/// Whether all of the chosen cases that apply are contained.
async fn run(arguments: &Arguments) -> Result<bool> {
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
        return Ok(is_well);
    }
    for case in &cases {
        // An interruption drops the trial, and with it the house: its process ends, its folders go.
        let verdict = interrupt.or(async { Ok(trial::judge(case).await) }).await?;
        report.case(case, &verdict);
    }
    Ok(report.end())
}
