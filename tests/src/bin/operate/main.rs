//! The owner's side from end to end: a house is set up, plugins are installed from everywhere, changed under load, broken and
//! mended, and taken down, all with the program that a user has.
//!
//! `cargo xtask operate` builds everything and runs this. A line for each step, and last `operated N/N`; the end is 0 only when
//! every step was seen.

mod screens;
mod steps;
mod story;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;
use parlor_tests::interrupt::{Interrupt, ended};

use crate::story::Story;

/// How long one step may take.
const STEP: Duration = Duration::from_mins(3);

/// Go through all that an owner does.
#[derive(Debug, Parser)]
struct Arguments {
    /// Write what each command showed into `docs/screens.md`, and do not compare it.
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
    // An interruption drops what is going on, and with it the story: its processes end, its folders go.
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
