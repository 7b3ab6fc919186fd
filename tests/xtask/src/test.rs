//! `cargo xtask test`: everything that has to pass, in the order of what fails soonest.

use std::num::NonZero;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context, Result};

use crate::run::{Output, clock, run};
use crate::setup::Servers;
use crate::{build, setup, workspace};

/// How many tests run at once.
const THREADS: &str = "RUST_TEST_THREADS";

type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("set-up", || setup::prepare(Servers::Both)),
    ("formatting", || cargo("formatting", &["fmt", "--all", "--check"], Output::Kept)),
    ("lints", || {
        cargo("lints", &["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"], Output::Shown)
    }),
    ("unit tests", || tests("unit tests", &["test", "--workspace", "--lib", "--bins"], 4)),
    ("doc tests", || cargo("doc tests", &["test", "--workspace", "--doc"], Output::Shown)),
    ("host", build::programs),
    ("plugins", build::plugins),
    ("suite", || tests("the suite", &["test", "--workspace", "--test", "suite"], 2)),
    // After the suite, which leaves nothing beside it: it writes 500 messages a second.
    ("the owner's story", || run("the owner's story", &mut Command::new(workspace::program("operate")), Output::Shown)),
];

#[expect(clippy::print_stderr, reason = "a command shows what it does")]
pub(crate) fn run_all() -> Result<()> {
    let start = Instant::now();
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for (name, step) in STEPS {
        eprintln!("── {name}");
        let begin = Instant::now();
        step().with_context(|| format!("{name} ✗ after {}", clock(begin.elapsed())))?;
        times.push((name, begin.elapsed()));
        eprintln!("   ✓ {name} {}", clock(begin.elapsed()));
    }
    eprintln!("\nall passed in {}", clock(start.elapsed()));
    for (name, time) in times {
        eprintln!("  ✓ {name:<12} {:>12}", clock(time));
    }
    Ok(())
}

/// Tests compute little and wait much, for servers, dead-lines and silence: more at once than there are cores.
fn tests(title: &str, arguments: &[&str], per_core: usize) -> Result<()> {
    let mut command = workspace::cargo(arguments.iter().copied());
    if env::var_os(THREADS).is_none() {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        command.env(THREADS, (per_core * cores).to_string());
    }
    run(title, &mut command, Output::Shown)
}

fn cargo(title: &str, arguments: &[&str], output: Output) -> Result<()> {
    run(title, &mut workspace::cargo(arguments.iter().copied()), output)
}
