//! `cargo xtask`: the project's own commands, for a machine that has nothing but Rust.
//!
//! This program is small, so that it builds in seconds. It only starts other programs: apt, cargo, and the programs
//! that cargo built. It decides their order, shows progress, and reports whether all of them succeeded.

mod build;
mod dependencies;
mod docs;
mod package;
mod run;
mod setup;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::Parser as _;
use xtask::{Arguments, Task};

use crate::run::Interrupted;
use crate::setup::Servers;

#[expect(clippy::print_stderr, reason = "a command says why it failed")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    run::heed_signals();
    let done = match arguments.task {
        Task::Demo { keep, transport, json } => demo(keep, &transport, json),
        Task::Test => test::run_all(),
        Task::Api { row, server, json } => api(row, server, json),
        Task::Faults { seeds: Some(count), seed, .. } => test::seeds(count, seed.unwrap_or_default()),
        Task::Faults { cuts, accounts, transport, server, seed, seeds: None } => {
            faults(cuts, accounts, transport, server, seed)
        }
        Task::Operate { screens } => operate(screens),
        Task::Attack { case, quick, soak, neighbours, minutes, list, json } => attack(
            case.iter()
                .map(|case| format!("--case={case}"))
                .chain(soak.then(|| format!("--minutes={minutes}")))
                .collect(),
            [("--quick", quick), ("--soak", soak), ("--neighbours", neighbours), ("--list", list), ("--json", json)],
        ),
        Task::Detectors { only, list, json } => detectors(&only, [("--list", list), ("--json", json)]),
        Task::Package { no_build } => package::debian(no_build),
        Task::Dependencies { bill } => {
            dependencies::check().and_then(|()| bill.as_deref().map_or(Ok(()), dependencies::write_bill))
        }
        Task::Docs { run, site } => docs::docs(run, site),
        Task::Bench { languages, json } => bench([("--languages", languages), ("--json", json)]),
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
    setup::prepare(Servers::One)?;
    build::everything()?;
    let flags = [("--keep", keep), ("--json", json)].into_iter().filter(|(_, on)| *on).map(|(name, _)| name);
    Err(run::replace_by(&workspace::program("demo"), flags.chain(["--transport", transport])))
}

fn api(row: Option<u16>, server: Option<String>, json: bool) -> anyhow::Result<()> {
    setup::prepare(Servers::Both)?;
    build::everything()?;
    let row = row.map(|row| format!("--row={row}"));
    let server = server.map(|server| format!("--server={server}"));
    let json = json.then(|| "--json".to_owned());
    Err(run::replace_by(&workspace::program("api"), [row, server, json].into_iter().flatten()))
}

fn faults(cuts: u32, accounts: u32, transport: String, server: String, seed: Option<u64>) -> anyhow::Result<()> {
    setup::prepare(if server == "prosody" { Servers::One } else { Servers::Both })?;
    build::everything()?;
    let mut arguments = vec![
        "--cuts".to_owned(),
        cuts.to_string(),
        "--accounts".to_owned(),
        accounts.to_string(),
        "--transport".to_owned(),
        transport,
        "--server".to_owned(),
        server,
    ];
    if let Some(seed) = seed {
        arguments.extend(["--seed".to_owned(), seed.to_string()]);
    }
    Err(run::replace_by(&workspace::program("faults"), arguments))
}

fn operate(screens: bool) -> anyhow::Result<()> {
    setup::prepare(Servers::One)?;
    build::everything()?;
    Err(run::replace_by(&workspace::program("operate"), screens.then_some("--screens")))
}

fn attack(numbers: Vec<String>, flags: [(&'static str, bool); 5]) -> anyhow::Result<()> {
    setup::prepare(Servers::One)?;
    // Effects on a neighbour are measured with the program as it is released.
    let is_measured = flags.contains(&("--soak", true)) || flags.contains(&("--neighbours", true));
    if is_measured {
        build::to_be_measured()?;
    } else {
        build::everything()?;
    }
    let flags = flags.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.to_owned());
    Err(run::replace_by(&workspace::program("attack"), numbers.into_iter().chain(flags)))
}

fn detectors(only: &[String], flags: [(&'static str, bool); 2]) -> anyhow::Result<()> {
    setup::prepare(Servers::One)?;
    build::everything()?;
    let flags = flags.into_iter().filter(|(_, on)| *on).map(|(name, _)| name.to_owned());
    let only = only.iter().map(|name| format!("--only={name}"));
    Err(run::replace_by(&workspace::program("detectors"), only.chain(flags)))
}

fn bench(flags: [(&'static str, bool); 2]) -> anyhow::Result<()> {
    // Like the suite, it builds plugins in other languages.
    setup::prepare(if flags[0].1 { Servers::Both } else { Servers::One })?;
    build::to_be_measured()?;
    let flags = flags.into_iter().filter(|(_, on)| *on).map(|(name, _)| name);
    Err(run::replace_by(&workspace::program("bench"), flags))
}
