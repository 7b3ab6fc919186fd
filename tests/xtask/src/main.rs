//! `cargo xtask`: the project's own commands, for a machine that has nothing but Rust.
//!
//! This program is small, so that it builds in seconds. It only starts other programs: apt, cargo, and the programs
//! that cargo built. It decides their order, shows progress, and reports whether all of them succeeded.

mod axe;
mod build;
mod dependencies;
mod docs;
mod index;
mod package;
mod profile;
mod run;
mod setup;
mod test;
mod workspace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser as _;
use xtask::rows::{self, Selection};
use xtask::{Arguments, Attack, Bench, Cluster, Faults, Task, Web};

use crate::run::Interrupted;
use crate::setup::Needs;

#[expect(clippy::print_stderr, reason = "a command says why it failed")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run::heed_signals();
    let done = match arguments.task {
        Task::Demo { keep, transport, json } => demo(keep, &transport, json),
        Task::Test => test::run_all(),
        Task::Api { row, server, json } => api(row, server, json),
        Task::Faults { seeds: Some(count), flags } => test::seeds(count, flags.seed.unwrap_or_default()),
        Task::Faults { seeds: None, flags } => faults(&flags),
        Task::Cluster(flags) => cluster(&flags),
        Task::Operate { screens } => operate(screens),
        Task::Web(flags) => web(&flags),
        Task::Attack(flags) => attack(&flags),
        Task::Detectors(_) => detectors(),
        Task::Package { no_build, by_profile } => package::debian(no_build, by_profile),
        Task::Index(flags) => index::write(&flags),
        Task::Dependencies { bill } => {
            dependencies::check().and_then(|()| bill.as_deref().map_or(Ok(()), dependencies::write_bill))
        }
        Task::Docs { run, site } => docs::docs(run, site),
        Task::Bench(flags) => bench(&flags),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            error.downcast_ref::<Interrupted>().map_or(ExitCode::FAILURE, Interrupted::exit_code)
        }
    }
}

fn demo(keep: bool, transport: &str, json: bool) -> anyhow::Result<()> {
    setup::prepare(Needs::Prosody)?;
    build::everything()?;
    let flags = [("--keep", keep), ("--json", json)].into_iter().filter(|(_, on)| *on).map(|(name, _)| name);
    Err(run::replace_by(&workspace::program("demo"), flags.chain(["--transport", transport])))
}

fn api(row: Option<u16>, server: Option<String>, json: bool) -> anyhow::Result<()> {
    setup::prepare(Needs::Suite)?;
    build::everything()?;
    let row = row.map(|row| format!("--row={row}"));
    let server = server.map(|server| format!("--server={server}"));
    let json = json.then(|| "--json".to_owned());
    Err(run::replace_by(&workspace::program("api"), [row, server, json].into_iter().flatten()))
}

fn faults(flags: &Faults) -> anyhow::Result<()> {
    setup::prepare(if flags.server == "prosody" { Needs::Prosody } else { Needs::Suite })?;
    build::everything()?;
    Err(run::replace_by(&workspace::program("faults"), own_flags()))
}

fn cluster(flags: &Cluster) -> anyhow::Result<()> {
    setup::prepare(if flags.servers > 1 { Needs::Servers } else { Needs::Cluster })?;
    build::everything()?;
    Err(run::replace_by(&workspace::program("cluster"), own_flags()))
}

/// Returns the flags behind the task's name, as they were written.
fn own_flags() -> impl Iterator<Item = OsString> {
    std::env::args_os().skip(2)
}

fn operate(screens: bool) -> anyhow::Result<()> {
    setup::prepare(Needs::Prosody)?;
    build::everything()?;
    Err(run::replace_by(&workspace::program("operate"), screens.then_some("--screens")))
}

fn web(flags: &Web) -> anyhow::Result<()> {
    // The list of steps needs no browser.
    if !flags.list {
        setup::prepare(Needs::Browser)?;
        axe::fetch()?;
    }
    build::everything()?;
    Err(run::replace_by(&workspace::program("web"), own_flags()))
}

fn attack(flags: &Attack) -> anyhow::Result<()> {
    setup::prepare(Needs::Cluster)?;
    // Effects on a neighbour are measured with the program as it is released.
    let attack = if flags.soak || flags.neighbours {
        build::to_be_measured()?;
        workspace::released("attack")
    } else {
        build::everything()?;
        workspace::program("attack")
    };
    Err(run::replace_by(&attack, own_flags()))
}

fn detectors() -> anyhow::Result<()> {
    setup::prepare(Needs::Cluster)?;
    build::everything()?;
    Err(run::replace_by(&workspace::program("detectors"), own_flags()))
}

#[expect(clippy::print_stdout, reason = "the list is what was asked for")]
fn bench(flags: &Bench) -> anyhow::Result<()> {
    let page = rows::page(&workspace::root().join("docs"));
    if flags.list {
        print!("{}", rows::listed(&page));
        return Ok(());
    }
    // Before the build, which may take twenty minutes.
    let selection = Selection::of(&flags.only, &page)?;
    if let (Some(revision), Some(why)) = (&flags.against, selection.unpaired()) {
        anyhow::bail!("`--against {revision}` has nothing to compare in these parts: {why}");
    }
    // Like the suite, it builds plugins in other languages.
    setup::prepare(if flags.languages { Needs::Suite } else { Needs::Bench })?;
    let bench = if flags.by_profile {
        let folder = profile::build(build::release())?;
        build::measured_plugins(&folder.join("parlor"))?;
        folder.join("bench")
    } else {
        build::to_be_measured()?;
        workspace::released("bench")
    };
    if let Some(revision) = &flags.against {
        build::revision(revision)?;
    }
    Err(run::replace_by(&bench, own_flags()))
}
