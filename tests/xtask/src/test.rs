//! `cargo xtask test`: everything that has to pass, with the steps that fail soonest first. It also runs `cargo xtask
//! faults --seeds`, which are unit tests with more seeds.

use std::num::NonZero;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, thread};

use anyhow::{Context, Result, bail};

use crate::run::{Ended, Output, clock, run, run_and_read};
use crate::setup::Needs;
use crate::{build, dependencies, setup, workspace};

/// The environment variable for how many tests run at once.
const THREADS: &str = "RUST_TEST_THREADS";

/// The tests in which all faults follow from a seed: of an account on a network, of a cluster, and of a cluster whose store
/// loses everything.
const WHATEVER_BREAKS: [&str; 3] = [
    "account::tests::simulated_network::nothing_is_lost_whatever_breaks",
    "tests::simulation::an_account_runs_once_whatever_breaks",
    "tests::simulation::a_node_that_starts_right_after_a_loss_takes_no_account_that_another_still_runs",
];

type Step = (&'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("set-up", || setup::prepare(Needs::Suite)),
    ("formatting", || run("formatting", &mut workspace::cargo(["fmt", "--all", "--check"]), Output::Kept)),
    ("dependencies", dependencies::check),
    ("lints and programs", programs),
    ("the host alone", host_alone),
    ("unit tests", || tests("unit tests", &["test", "--workspace", "--lib", "--bins", "--no-fail-fast"], 4)),
    ("doc tests", || run("doc tests", &mut workspace::linting_cargo(["test", "--workspace", "--doc"]), Output::Shown)),
    ("plugins", build::plugins),
    ("suite", || tests("the suite", &["test", "--workspace", "--test", "suite"], 2)),
    // It runs after the suite and not beside it, since it writes 500 messages a second.
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

/// Runs these tests with this many seeds, beginning with `first`. Each reports the seed that fails.
#[expect(clippy::print_stderr, reason = "a command shows what it does")]
pub(crate) fn seeds(count: u64, first: u64) -> Result<()> {
    // The whole workspace is built, as by all other commands.
    let unit_tests = ["test", "--workspace", "--lib"];
    let building = unit_tests.into_iter().chain(["--no-run"]);
    run("building the unit tests", &mut workspace::cargo(building), Output::Shown)?;
    let start = Instant::now();
    let mut command = workspace::cargo(unit_tests.into_iter().chain(["--", "--exact"]).chain(WHATEVER_BREAKS));
    command.env("PARLOR_SEED", first.to_string()).env("PARLOR_SEEDS", count.to_string());
    let what = format!("seeds from {first} on: {count}");
    run(&what, &mut command, Output::Kept)?;
    eprintln!("{what}, all good, in {}", clock(start.elapsed()));
    Ok(())
}

/// Builds all programs and tests at once. The last crates to finish are a few large programs, each of which keeps one
/// core busy for a minute or two.
fn programs() -> Result<()> {
    let tests = ["test", "--workspace", "--lib", "--bins", "--test", "suite", "--no-run"];
    run("building the tests", &mut workspace::linting_cargo(tests), Output::Shown)?;
    build::linted_programs()
}

/// Checks the host with the features that it is packaged and installed with. The suite's own package enables all of the
/// host's features, also for everything that is built beside it.
///
/// On two cores this takes 10 s after a change of the host. The first run also checks other crates: a minute for those
/// that have other features here, and more if nothing has checked the rest of them.
fn host_alone() -> Result<()> {
    let checking = ["check", "--package", "parlor-cli", "--lib", "--bins"];
    run("the host without features", &mut workspace::linting_cargo(checking), Output::Shown)?;
    let checking = checking.into_iter().chain(["--no-default-features"]);
    run("the host without the authors' commands", &mut workspace::linting_cargo(checking), Output::Shown)
}

/// Runs tests, more at once than there are cores, since they compute little and mostly wait for servers, deadlines and
/// silence. Those that fail run once more, alone: what fails there as well has failed.
#[expect(clippy::print_stderr, reason = "a command shows what it does")]
fn tests(title: &str, arguments: &[&str], per_core: usize) -> Result<()> {
    let mut command = workspace::linting_cargo(arguments.iter().copied());
    if env::var_os(THREADS).is_none() {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        command.env(THREADS, (per_core * cores).to_string());
    }
    let Ended { status, printed } = run_and_read(title, &mut command)?;
    if status.success() {
        return Ok(());
    }
    let failed = failures(&printed);
    let names: Vec<_> = failed.iter().map(|(name, _)| name.as_str()).collect();
    // Without names no test failed: something was not built.
    if !(1..=MOST_AGAIN).contains(&names.len()) || !is_whole(&printed) {
        bail!("{title} failed: cargo ended with {status}, and of the tests {} failed\n{}", names.len(), list(&failed));
    }
    eprintln!("   {title}: {} failed, and run once more, alone\n{}", names.len(), list(&failed));
    let again = arguments.iter().chain(&["--", "--exact", "--test-threads", "1"]).chain(&names);
    let Ended { printed, .. } = run_and_read(title, &mut workspace::linting_cargo(again.copied()))?;
    let has_passed = |name: &str| printed.contains(&format!("\ntest {name} ... ok\n"));
    if !is_whole(&printed) || !names.iter().all(|name| has_passed(name)) {
        bail!("{title} failed, also alone\n{}\n{}", list(&failed), list(&failures(&printed)));
    }
    eprintln!("   {title}: {} passed alone, and why they failed beside others is to be found", names.len());
    Ok(())
}

/// If more tests than these fail, the machine was not just busy.
const MOST_AGAIN: usize = 5;

/// Returns the tests that failed according to what libtest printed, each with the beginning of its message.
fn failures(printed: &str) -> Vec<(String, String)> {
    let failed = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned());
    let names = printed.lines().filter_map(failed);
    names
        .map(|name| {
            let said = said(printed, &name);
            (name, said)
        })
        .collect()
}

/// Returns whether each program of tests came to its end.
fn is_whole(printed: &str) -> bool {
    let begin_with = |word| printed.lines().filter(|line| line.starts_with(word)).count();
    begin_with("running ") == begin_with("test result: ")
}

/// Returns the first lines of the message with which a test failed.
fn said(printed: &str, name: &str) -> String {
    let output = printed.split_once(&format!("---- {name} stdout ----\n")).map_or("", |(_, after)| after);
    let output = output.split("\n---- ").next().unwrap_or_default();
    let message = output.lines().skip_while(|line| line.is_empty());
    let message = message.take_while(|line| !line.starts_with("stack backtrace:") && !line.starts_with("note: "));
    message
        .take(MOST_LINES)
        .map(|line| line.chars().take(MOST_CHARACTERS).collect::<String>())
        .collect::<Vec<_>>()
        .join("\n")
}

/// How much of a message is repeated at the end, where it is found.
const MOST_LINES: usize = 8;
const MOST_CHARACTERS: usize = 400;

fn list(failed: &[(String, String)]) -> String {
    let lines: Vec<_> = failed.iter().map(|(name, said)| format!("- {name}\n{said}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "running 3 tests
test a::one ... ok
test a::two ... FAILED
test b::three ... FAILED

failures:

---- a::two stdout ----

thread 'a::two' (1) panicked at a.rs:1:2:
assertion `left == right` failed
  left: 1
 right: 2
stack backtrace:
   0: begin
---- b::three stdout ----
Error: nothing
note: see there

failures:
    a::two
    b::three

test result: FAILED. 1 passed; 2 failed";

    #[test]
    fn tests_that_failed_are_named_with_what_they_said() {
        let two = "thread 'a::two' (1) panicked at a.rs:1:2:\nassertion `left == right` failed\n  left: 1\n right: 2";
        let expected = [("a::two", two), ("b::three", "Error: nothing")];
        assert_eq!(failures(PRINTED), expected.map(|(name, said)| (name.to_owned(), said.to_owned())));
        assert_eq!(failures("error: could not compile"), []);
    }

    #[test]
    fn a_program_of_tests_that_was_ended_is_missed() {
        assert!(is_whole(PRINTED));
        assert!(!is_whole(&format!("{PRINTED}\nrunning 2 tests\ntest c::four ... ")));
    }

    /// Cargo succeeds without running anything if no test has the name.
    #[test]
    fn the_tests_that_take_numbers_are_there() {
        let network = include_str!("../../../host/runtime/src/account/tests/simulated_network.rs");
        let cluster = include_str!("../../../host/cluster/src/tests/simulation.rs");
        let files = [network, cluster, cluster];
        for (test, file) in WHATEVER_BREAKS.into_iter().zip(files) {
            let (_, name) = test.rsplit_once("::").unwrap();
            assert!(file.contains(&format!("\nfn {name}()")) && file.contains("number(\"PARLOR_SEEDS\")"));
        }
        let of_clusters = WHATEVER_BREAKS.iter().filter(|test| test.starts_with("tests::simulation::")).count();
        assert_eq!(cluster.matches("\n    try_seeds(").count(), of_clusters, "a test of the cluster is left out");
    }
}
