//! Runs the tests that name something, and reads how each ended.
#![expect(clippy::print_stderr, reason = "progress beside the table")]

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use parlor_tests::conformance::record;
use parlor_tests::conformance::root;
use parlor_tests::conformance::tests_of::Test;
use parlor_tests::conformance::verdict::Run;
use parlor_tests::folder::Folder;
use parlor_tests::log::{Log, Mark};
use parlor_tests::packages;
use parlor_tests::process::Process;
use parlor_tests::programs;
use parlor_tests::server::Software;
use tokio::time::{Instant, timeout};

/// The time limit for building the test programs. Cargo waits while another one builds in the same folder.
const BUILD: Duration = Duration::from_mins(45);
/// The time limit for the end of the next test.
const LIMIT: Duration = Duration::from_mins(15);
/// How long nothing happens before a line says that this program waits.
const QUIET: Duration = Duration::from_secs(30);
/// Every how many tests a line is printed where no terminal shows the count.
const STEP: usize = 20;

/// The test programs, by path.
pub(crate) struct Programs {
    suite: PathBuf,
    built: programs::Programs,
}

impl Programs {
    /// Builds the test programs and asks cargo where they are.
    pub(crate) async fn build() -> Result<Self> {
        let arguments = ["test", "--workspace", "--test", "suite", "--lib", "--no-run"];
        eprintln!("  building the test programs; this waits while another cargo builds in the same folder");
        let building = timeout(BUILD, programs::Programs::build(&root(), arguments)).await;
        let built = building.with_context(|| {
            format!("the test programs are not built after {BUILD:?}: does another cargo hold the target folder?")
        })??;
        Ok(Self { suite: built.of("suite")?, built })
    }

    /// Runs these unit tests of the host's packages.
    pub(crate) async fn run_units(&self, tests: &[&Test]) -> Result<Run> {
        let mut all = Run::default();
        for package in &packages::ALL {
            let names: Vec<_> = tests
                .iter()
                .map(|test| packages::of_test(&test.name))
                .filter(|(of, _)| *of == package)
                .map(|(_, name)| name)
                .collect();
            let mut command = Command::new(self.built.of(package.library)?);
            command.current_dir(root().join(package.folder));
            let run = run(&format!("unit tests of {}", package.folder), command, &names).await?;
            all.passed.extend(run.passed.iter().map(|name| package.test(name)));
            all.failed.extend(run.failed.iter().map(|name| package.test(name)));
        }
        Ok(all)
    }

    /// Runs these tests of the suite on this server.
    pub(crate) async fn run_suite(&self, tests: &[&Test], software: Software, folder: &Folder) -> Result<Run> {
        let record = folder.join(software.as_str());
        let mut command = Command::new(&self.suite);
        command.current_dir(root().join("tests"));
        command.env("PARLOR_TEST_SERVER", software.as_str()).env(record::FILE, &record);
        let names: Vec<_> = tests.iter().map(|test| test.name.as_str()).collect();
        let mut run = run(software.as_str(), command, &names).await?;
        run.seen = record::read(&record)?;
        Ok(run)
    }
}

/// Runs a test program to its end. Failing tests are not an error here.
async fn run(title: &str, mut command: Command, tests: &[&str]) -> Result<Run> {
    let mut run = Run::default();
    if tests.is_empty() {
        return Ok(run);
    }
    command.arg("--exact").args(tests);
    let process = Process::start(title, command)?;
    let live = std::io::stderr().is_terminal();
    let (mut from, mut done) = (Mark::default(), 0);
    loop {
        if live || done % STEP == 0 {
            show(live, &format!("{title}: {done} of {}", tests.len()));
        }
        let waits = |seconds: u64| {
            show(live, &format!("{title}: {done} of {}, and no test has ended for {seconds} s", tests.len()));
        };
        let end = next_end(process.log(), &mut from, &mut run, waits).await;
        let unended = || {
            let slow = slow(&process.log().all(), &run);
            format!("{title}: {done} of {} tests have ended{slow}", tests.len())
        };
        // The summary line, the last one before the failures, says how many passed.
        if end.with_context(unended)? {
            break;
        }
        done += 1;
    }
    let clear = if live { "\r\x1b[K" } else { "" };
    eprintln!("{clear}  {title}: {} passed, {} failed", run.passed.len(), run.failed.len());
    let log = process.log().all();
    for name in &run.failed {
        eprintln!("    ✗ {name}");
        for line in programs::last_words(&log, name) {
            eprintln!("      {line}");
        }
    }
    if run.passed.is_empty() && run.failed.is_empty() {
        bail!("{title}: no test ran\n{}", process.log().tail());
    }
    Ok(run)
}

/// Waits for the end of the next test, or of all of them: then it is true. While none ends, `waits` is called with the
/// number of seconds so far.
async fn next_end(log: &Log, from: &mut Mark, run: &mut Run, waits: impl Fn(u64)) -> Result<bool> {
    let begin = Instant::now();
    let next = log.wait("the end of a test", from, LIMIT, |line| step(line, run));
    tokio::pin!(next);
    loop {
        match timeout(QUIET, &mut next).await {
            Ok(end) => return end,
            Err(_) => waits(begin.elapsed().as_secs()),
        }
    }
}

/// Shows progress: on a terminal one line that is overwritten, otherwise a new line.
fn show(live: bool, text: &str) {
    if live {
        eprint!("\r\x1b[K  {text}");
        // A failure to show progress is ignored.
        let _ = std::io::stderr().flush();
    } else {
        eprintln!("  {text}");
    }
}

/// Returns a clause about the tests that have not ended and that, as their program has said, take more than a minute.
fn slow(log: &[String], run: &Run) -> String {
    let said = log.iter().filter_map(|line| {
        let (name, _) = line.strip_prefix("test ")?.split_once(" has been running for over ")?;
        Some(name)
    });
    let names: Vec<_> = said.filter(|name| !run.passed.contains(*name) && !run.failed.contains(*name)).collect();
    if names.is_empty() { String::new() } else { format!(", and these take long: {}", names.join(", ")) }
}

/// Reads a line of a test program's output. Returns false for the end of a test, and true for the end of all tests.
fn step(line: &str, run: &mut Run) -> Option<bool> {
    if line.starts_with("test result: ") {
        return Some(true);
    }
    let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let list: &mut BTreeSet<String> = match outcome {
        "ok" => &mut run.passed,
        _ if outcome.starts_with("FAILED") => &mut run.failed,
        _ => return None,
    };
    list.insert(name.to_owned());
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_test_program_are_read() {
        let mut run = Run::default();
        assert_eq!(step("running 3 tests", &mut run), None);
        assert_eq!(step("test chats::a ... ok", &mut run), Some(false));
        assert_eq!(step("test chats::b ... FAILED", &mut run), Some(false));
        assert_eq!(step("test result: FAILED. 1 passed; 1 failed;", &mut run), Some(true));
        assert_eq!((run.passed.len(), run.failed.len()), (1, 1));
        let long = ["a", "c"].map(|name| format!("test chats::{name} has been running for over 60 seconds"));
        assert_eq!(step(&long[1], &mut run), None);
        assert_eq!(slow(&long, &run), ", and these take long: chats::c");
        assert_eq!(slow(&long[..1], &run), "");
    }
}
