//! Tests the owner's side from end to end, with the program that users have. A host is set up, plugins are installed
//! from all sources, changed under load, broken and repaired, and everything is removed.
//!
//! `cargo xtask operate` builds everything and runs this program. It prints a line for each step, and `operated N/N` at
//! the end. The exit code is 0 only if every step succeeded.

mod screens;
mod steps;
mod story;
mod trust;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use parlor_tests::interrupt::{Interrupt, ended};

use crate::story::Story;

/// The time limit of one step.
const STEP: Duration = Duration::from_mins(3);

/// Run everything that an owner does.
#[derive(Debug, Parser)]
struct Arguments {
    /// Write the output of each command into `docs/reference/screens.md` instead of comparing it.
    #[arg(long)]
    screens: bool,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "a command shows what it does")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut seen = 0;
    let result = operate(&arguments, &mut seen).await;
    println!("operated {seen}/{}", steps::ALL.len());
    ended(result.map(|()| true))
}

#[expect(clippy::print_stdout, reason = "showing is what it is for")]
async fn operate(arguments: &Arguments, seen: &mut usize) -> Result<()> {
    let mut interrupt = Interrupt::new()?;
    // An interruption drops this future and with it the story, which ends its processes and removes its folders.
    let mut story = Box::pin(interrupt.or(Story::begin(arguments.screens))).await?;
    for (name, step) in steps::ALL {
        let begin = Instant::now();
        let work = async {
            let done = tokio::time::timeout(STEP, step(&mut story)).await;
            done.unwrap_or_else(|_| Err(anyhow::anyhow!("it took more than {} s", STEP.as_secs())))
        };
        let done = Box::pin(interrupt.or(work)).await;
        let millis = begin.elapsed().as_millis();
        match done {
            Ok(detail) => println!("  ✓ {name:<62} {millis:>6} ms  {detail}"),
            Err(error) => {
                println!("  ✗ {name:<62} {millis:>6} ms");
                return Err(error).with_context(|| format!("step {}, {name}", *seen + 1));
            }
        }
        *seen += 1;
    }
    Ok(())
}
