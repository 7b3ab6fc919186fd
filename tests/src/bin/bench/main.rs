//! Measures what a plugin costs: the echo plugin in the host, beside the same bot without a plugin host on the same
//! connector.
//!
//! Both bots run as processes of their own, against Prosody and against a scripted peer that costs next to nothing.
//! They take turns in one run, so that other load on the machine affects both. Each ratio compares two consecutive
//! turns, and the table shows medians. The table is printed by the program and never edited by hand.

mod archive;
mod bots;
mod calls;
mod host;
mod languages;
mod measure;
mod storage;
mod table;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use parlor_tests::interrupt::{ended, interruptible};

use crate::bots::{Pairing, Stage};
use crate::measure::Round;
use crate::table::Table;

/// Measure the echo plugin beside the same bot without a plugin host.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
struct Arguments {
    /// Print the table as one JSON object.
    #[arg(long)]
    json: bool,
    /// How often each pair takes its turn, as long as there is time.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Measure only the calls between host and guest; takes a few seconds.
    #[arg(long)]
    calls: bool,
    /// Measure only the archive of messages; takes some ten seconds.
    #[arg(long, conflicts_with = "calls")]
    archive: bool,
    /// Measure only the plugins' storage; takes some ten seconds.
    #[arg(long, conflicts_with_all = ["calls", "archive"])]
    storage: bool,
    /// Instead, measure what a plugin costs in each language; writes docs/reference/languages.md, and takes some minutes.
    #[arg(long, conflicts_with_all = ["calls", "archive", "storage"])]
    languages: bool,
}

/// No further round begins after this time: on a slow or busy machine fewer rounds must do.
const ROUNDS: Duration = Duration::from_secs(80);
/// The time limit of the whole benchmark; a run that exceeds it hangs.
const LIMIT: Duration = Duration::from_secs(170);
/// The time limit for languages, where build tools are installed and plugins are built first.
const LANGUAGES_LIMIT: Duration = Duration::from_mins(30);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let limit = if arguments.languages { LANGUAGES_LIMIT } else { LIMIT };
    let measured = async {
        let done = tokio::time::timeout(limit, bench(&arguments)).await;
        done.with_context(|| format!("not done within {limit:?}")).flatten().map(|()| true)
    };
    // Dropping the future ends its processes and removes its folders.
    ended(Box::pin(interruptible(measured)).await)
}

#[expect(clippy::print_stdout, reason = "the table is what was asked for")]
async fn bench(arguments: &Arguments) -> Result<()> {
    if arguments.languages {
        let rows = languages::rows().await?;
        let page = languages::write(&rows)?;
        if arguments.json {
            println!("{}", languages::to_json(&rows));
        } else {
            println!("{}\nwritten to {}", languages::to_text(&rows), page.display());
        }
        // After the table, which shows by how much a promise was missed.
        return languages::kept(&rows);
    }
    let mut table = Table::default();
    let whole = !arguments.calls && !arguments.archive && !arguments.storage;
    if whole {
        bots(arguments.rounds, &mut table).await?;
    }
    if whole || arguments.archive {
        table.archive = Some(archive::figures().await.context("cannot measure the archive of messages")?);
    }
    if whole || arguments.storage {
        table.storage = Some(storage::figures().await.context("cannot measure what plugins keep")?);
    }
    let calls = if whole || arguments.calls {
        calls::rows().await.context("cannot measure calls between host and guest")?
    } else {
        Vec::new()
    };
    if arguments.json {
        println!("{}", table.to_json(&calls));
    } else {
        println!("{}", table.to_text(&calls));
    }
    Ok(())
}

/// Measures both bots in turns, against both servers.
#[expect(clippy::print_stderr, reason = "progress beside the table")]
async fn bots(rounds: u32, table: &mut Table) -> Result<()> {
    let mut stage = Stage::set().await?;
    // Everything is paged in, compiled and connected before measuring.
    for pairing in &mut stage.pairings {
        for bot in [&mut pairing.plugin, &mut pairing.native] {
            measure::warm_up(bot).await?;
        }
    }
    let begin = Instant::now();
    for round in 1..=rounds {
        if begin.elapsed() > ROUNDS {
            eprintln!("no time for more");
            break;
        }
        eprintln!("round {round} of {rounds}");
        for Pairing { side, plugin, native } in &mut stage.pairings {
            // The bots alternate in going first, since the second may find the machine warmer.
            let (plugin, native) = if round % 2 == 0 {
                let plugin = Round::run(plugin).await?;
                (plugin, Round::run(native).await?)
            } else {
                let native = Round::run(native).await?;
                (Round::run(plugin).await?, native)
            };
            table.add(*side, plugin, native);
        }
    }
    Ok(())
}
