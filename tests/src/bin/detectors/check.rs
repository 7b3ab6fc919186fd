//! The check that must notice: a test or an attack, built from the copy and run there.
#![expect(clippy::print_stderr, reason = "progress beside the report")]

use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use parlor_tests::packages;
use parlor_tests::process::Process;
use parlor_tests::programs::{Programs, last_words};
use serde::Deserialize;
use serde_json::Value;

use crate::tree::Tree;

/// The time limit of one check. The check's own deadlines are shorter and take effect first.
const LIMIT: Duration = Duration::from_mins(5);
/// How often a line reports progress.
const QUIET: Duration = Duration::from_secs(30);
/// A check that must notice a broken promise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Check {
    /// A unit test of a package of the host, by its full name; see [`parlor_tests::packages`].
    Unit(String),
    /// A test of the suite, by its full name.
    Suite(String),
    /// A case of `cargo xtask attack`.
    Attack(u8),
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(test) => write!(f, "unit test {test}"),
            Self::Suite(test) => write!(f, "suite {test}"),
            Self::Attack(case) => write!(f, "attack {case}"),
        }
    }
}

/// The result of a check.
pub(crate) enum Outcome {
    /// It found nothing wrong.
    Green,
    /// It failed, with this message.
    Red(String),
}

/// A check that is built and can be run.
pub(crate) struct Built<'a> {
    check: &'a Check,
    command: Command,
}

impl Check {
    /// Builds the programs that the check needs.
    pub(crate) async fn build(&self, tree: &Tree) -> Result<Built<'_>> {
        // The whole workspace is built, as in `cargo xtask test`, since a part of it has other features.
        let arguments: &[&str] = match self {
            Self::Unit(_) => &["test", "--workspace", "--lib", "--no-run"],
            Self::Suite(_) => &["build", "--workspace", "--bin", "parlor", "--test", "suite"],
            Self::Attack(_) => &["build", "--workspace", "--bin", "parlor", "--bin", "attack"],
        };
        let building = Programs::build(tree.root(), arguments.iter().copied());
        let programs = patiently(&format!("building {self}"), building).await?;
        let (program, folder) = match self {
            Self::Unit(test) => {
                let (package, _) = packages::of_test(test);
                (programs.of(package.library)?, package.folder)
            }
            Self::Suite(_) => (programs.of("suite")?, "tests"),
            Self::Attack(_) => (programs.of("attack")?, "tests"),
        };
        let mut command = Command::new(program);
        // The failure message is needed, and not a backtrace through library code.
        command.current_dir(tree.root().join(folder)).env("RUST_BACKTRACE", "0");
        match self {
            Self::Unit(test) => command.args(["--exact", packages::of_test(test).1]),
            Self::Suite(test) => command.args(["--exact", test]),
            Self::Attack(case) => command.args(["--json", "--case", &case.to_string()]),
        };
        Ok(Built { check: self, command })
    }
}

impl Built<'_> {
    /// Runs the check.
    pub(crate) async fn run(self) -> Result<Outcome> {
        let title = self.check.to_string();
        let mut process = Process::start(&title, self.command)?;
        let status = patiently(&title, process.wait(LIMIT)).await?;
        let log = process.log().all();
        let read = match self.check {
            Check::Unit(test) => of_test(&log, packages::of_test(test).1, status.code()),
            Check::Suite(test) => of_test(&log, test, status.code()),
            Check::Attack(_) => of_attack(&log),
        };
        read.with_context(|| format!("it ended with {status}\n{}", process.log().tail()))
    }
}

/// Reads a test program's output. Exit code 101 means that a test failed; a signal does not count as the test's own
/// failure.
fn of_test(log: &[String], test: &str, code: Option<i32>) -> Result<Outcome> {
    match code {
        Some(0) if log.iter().any(|line| line.starts_with("test result: ok. 1 passed")) => Ok(Outcome::Green),
        Some(0) => bail!("there is no test {test}"),
        // The first line says where the failure is.
        Some(101) => match last_words(log, test).get(1..) {
            Some(words) if !words.is_empty() => Ok(Outcome::Red(words.join(" "))),
            _ => bail!("{test} failed, and does not say why"),
        },
        _ => bail!("{test} did not come to its end"),
    }
}

/// Reads the output of `cargo xtask attack --json`. The last line has the result. The ending is cut from the case's
/// line, which may be too long to be parsed as JSON.
fn of_attack(log: &[String]) -> Result<Outcome> {
    let lines = log.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let count = lines.into_iter().find(|line| line["of"].is_number()).context("it came to no end")?;
    let words = || log.iter().find_map(|line| line.split_once("\"ending\":\"")).map(|(_, words)| words);
    let ending = || words().unwrap_or_default().split("\",\"outcome\"").next().unwrap_or_default().to_owned();
    match (count["contained"].as_u64(), count["escaped"].as_u64()) {
        (Some(1), Some(0)) => Ok(Outcome::Green),
        (Some(0), Some(1)) => Ok(Outcome::Red(ending())),
        _ => bail!("it cannot be tried here: {}", ending()),
    }
}

/// Waits for something, and reports from time to time that it still waits.
async fn patiently<T>(title: &str, work: impl Future<Output = T>) -> T {
    let begin = Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(QUIET, work.as_mut()).await {
            Ok(done) => return done,
            Err(_) => eprintln!("  … {title}, {} s", begin.elapsed().as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn a_test_is_red_only_in_its_own_words() {
        let passed = log(&["test a ... ok", "test result: ok. 1 passed; 0 failed; 0 ignored"]);
        assert!(matches!(of_test(&passed, "a", Some(0)).unwrap(), Outcome::Green));
        let failed = log(&["---- a stdout ----", "thread 'a' panicked at x:1:", "2 is not 3", "test result: FAILED."]);
        let outcome = of_test(&failed, "a", Some(101)).unwrap();
        assert!(matches!(outcome, Outcome::Red(why) if why.starts_with("2 is not 3")));
        let none = log(&["running 0 tests", "test result: ok. 0 passed; 0 failed; 0 ignored"]);
        assert!(of_test(&none, "a", Some(0)).is_err());
        assert!(of_test(&log(&["test result: FAILED."]), "a", Some(101)).is_err());
        assert!(of_test(&failed, "a", None).is_err());
    }

    #[test]
    fn an_attack_is_red_when_it_escaped() {
        let ended = |contained: u64, escaped: u64| {
            let line = serde_json::json!({ "case": 1, "ending": "why", "outcome": "…" }).to_string();
            let count = serde_json::json!({ "contained": contained, "escaped": escaped, "of": 85 }).to_string();
            of_attack(&[line, "the rest of it".to_owned(), count])
        };
        assert!(matches!(ended(1, 0).unwrap(), Outcome::Green));
        assert!(matches!(ended(0, 1).unwrap(), Outcome::Red(why) if why == "why"));
        // A case that does not apply is an error.
        assert!(ended(0, 0).is_err());
        assert!(of_attack(&log(&["error: no server"])).is_err());
    }
}
