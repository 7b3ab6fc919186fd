//! Shows whether a plugin can use the whole of the private API, on Prosody and on ejabberd: one line for each row,
//! call, event, setting and rule.
//!
//! `cargo xtask api` builds everything and runs this program. The rows are those of `tests/conformance.toml`. They are
//! shown by the tests of the suite that name them, in which a plugin receives the calls to make from outside. The tests
//! run once on each server and record what the plugin called, which answers it received and which events it heard. The
//! table is made from that record, so a test that only claims to show something does not count.

mod report;
mod run;

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use parlor_tests::conformance::list::List;
use parlor_tests::conformance::tests_of::{self, RunsIn, Test};
use parlor_tests::docs;
use parlor_tests::folder::Folder;
use parlor_tests::interrupt::{ended, interruptible};
use parlor_tests::server::Software;

use crate::report::Report;
use crate::run::Programs;

/// Show how much of the private API a plugin can use, on two real servers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only this row.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=172))]
    row: Option<u16>,
    /// Only on this server.
    #[arg(long, value_parser = ["prosody", "ejabberd"])]
    server: Option<String>,
    /// Print one JSON object for each line.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    // An interruption drops this future, which ends the processes and removes the folders.
    ended(interruptible(show(&Arguments::parse())).await)
}

/// Runs the tests and prints the table. Returns whether everything that is required was shown.
async fn show(arguments: &Arguments) -> Result<bool> {
    let mut list = List::read()?;
    let mut tests = tests_of::all()?;
    let mut calls = docs::calls()?;
    if let Some(row) = arguments.row {
        list.row.retain(|one| one.number == row);
        list.event.clear();
        list.setting.clear();
        list.rule.clear();
        calls.retain(|call| list.row.iter().any(|row| row.names(call)));
        tests.retain(|test| test.rows.contains(&row));
    }
    let server = arguments.server.as_deref().map(|name| Software::named(name).context("no such server")).transpose()?;
    let programs = Programs::build().await?;
    let folder = Folder::new()?;
    let named = |place| tests.iter().filter(move |test| test.place == place).collect::<Vec<&Test>>();
    let units = programs.run_units(&named(RunsIn::Unit)).await?;
    let mut runs = Vec::new();
    for software in Software::ALL.into_iter().filter(|one| server.is_none_or(|only| only == *one)) {
        runs.push((software, programs.run_suite(&named(RunsIn::Suite), software, &folder).await?));
    }
    ensure!(!runs.is_empty(), "no server was asked");
    Ok(Report { list: &list, calls: &calls, tests: &tests, runs: &runs, units: &units }.print(arguments.json))
}
