//! Measures the cost of a plugin, compared with a native bot, other bots, and bare wasmtime.
//!
//! Bots run as processes of their own, against Prosody and against a scripted peer that costs next to nothing. They take
//! turns in one run, so that other load on the machine affects all of them. Each ratio compares two turns of the same
//! round, and the table shows medians. The table is printed by the program and never edited by hand.

mod accounts;
mod archive;
mod bots;
mod calls;
mod cluster;
mod domain;
mod echo;
mod encrypted;
mod guard;
mod host;
mod instances;
mod languages;
mod measure;
mod page;
mod parked;
mod row;
mod scopes;
mod sleepers;
mod slixmpp;
mod storage;
mod system_calls;
mod web;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser as _, ValueEnum as _};
use parlor_tests::interrupt::{ended, interruptible};
use xtask::{Bench, Part};

use crate::bots::{Before, Programs};
use crate::row::Row;
use crate::slixmpp::Slixmpp;

/// The time limit of the whole benchmark, with building and installing; a run that exceeds it hangs.
const LIMIT: Duration = Duration::from_mins(30);

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Bench::parse();
    let measured = async {
        let done = tokio::time::timeout(LIMIT, bench(&flags)).await;
        done.with_context(|| format!("not done within {LIMIT:?}")).flatten().map(|()| true)
    };
    // Dropping the future ends its processes and removes its folders.
    ended(Box::pin(interruptible(measured)).await)
}

#[expect(clippy::print_stdout, reason = "the table is what was asked for")]
async fn bench(flags: &Bench) -> Result<()> {
    if flags.languages {
        let rows = languages::rows().await?;
        let page = languages::write(&rows)?;
        if flags.json {
            println!("{}", languages::to_json(&rows));
        } else {
            println!("{}\nwritten to {}", languages::to_text(&rows), page.display());
        }
        // After the table, which shows by how much a promise was missed.
        return languages::kept(&rows);
    }
    let (rows, measured) = rows(flags).await?;
    if flags.json {
        println!("{}", row::to_json(&rows));
    } else {
        println!("{}", row::to_text(&rows));
    }
    // The rows that were measured until then are shown: they took minutes.
    measured?;
    // A page of some parts would lack the others.
    if flags.only.is_empty() {
        let command = if flags.by_profile { "cargo xtask bench --by-profile" } else { "cargo xtask bench" };
        let page = page::write(&rows, command)?;
        if !flags.json {
            println!("written to {}", page.display());
        }
    }
    Ok(())
}

/// Measures the parts that are wanted, in their order, until one cannot be measured.
#[expect(clippy::print_stderr, reason = "progress beside the table")]
async fn rows(flags: &Bench) -> Result<(Vec<Row>, Result<()>)> {
    let is_wanted = |part: Part| flags.only.is_empty() || flags.only.contains(&part);
    let programs = programs(flags, is_wanted(Part::Echo)).await?;
    let mut rows = Vec::new();
    for part in Part::value_variants().iter().copied().filter(|part| is_wanted(*part)) {
        eprintln!("measuring {}", part.name());
        let measured = match part {
            Part::Echo => echo::rows(&programs, flags.rounds).await,
            Part::SystemCalls => system_calls::rows(&programs).await,
            Part::Calls => calls::rows().await,
            Part::Scopes => scopes::rows().await,
            Part::Instances => instances::rows().await,
            Part::Parked => parked::rows().await,
            Part::Accounts => accounts::rows().await,
            Part::Archive => Box::pin(archive::rows()).await,
            Part::Storage => storage::rows().await,
            Part::Web => web::rows(flags.rounds).await,
            Part::Guard => guard::rows().await,
            Part::Encrypted => encrypted::rows().await,
            Part::Cluster => of_clusters().await,
        };
        match measured.with_context(|| format!("cannot measure {}", part.name())) {
            Ok(measured) => rows.extend(measured),
            Err(error) => return Ok((rows, Err(error))),
        }
    }
    Ok((rows, Ok(())))
}

/// Measures nodes of a cluster, the stream of a component, and its addresses that sleep.
async fn of_clusters() -> Result<Vec<Row>> {
    let mut rows = cluster::rows().await?;
    rows.extend(domain::rows().await.context("the stream of a component")?);
    rows.extend(sleepers::rows().await.context("addresses that sleep")?);
    Ok(rows)
}

/// Finds the other programs besides parlor. Only slixmpp may be missing, since it comes over the network.
#[expect(clippy::print_stderr, reason = "a missing row has a reason")]
async fn programs(flags: &Bench, has_echo: bool) -> Result<Programs> {
    let before = flags.against.as_ref().map(|_| Before::find()).transpose()?;
    if !has_echo {
        return Ok(Programs { before, slixmpp: None });
    }
    let slixmpp = Slixmpp::install().await.inspect_err(|error| eprintln!("no rows for slixmpp: {error:#}"));
    Ok(Programs { before, slixmpp: slixmpp.ok() })
}
