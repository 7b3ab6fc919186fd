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

use anyhow::{Context, Result, anyhow, bail};
use clap::{Parser as _, ValueEnum as _};
use parlor_tests::docs;
use parlor_tests::interrupt::{ended, interruptible};
use xtask::rows::Selection;
use xtask::{Bench, Part};

use crate::bots::{Build, Programs};
use crate::row::Row;
use crate::slixmpp::Slixmpp;

/// The time limit of `--languages`, which builds plugins from their sources; a run that exceeds it hangs.
const LANGUAGES: Duration = Duration::from_hours(1);
/// The time limit of installing what is compared with.
const INSTALLED: Duration = Duration::from_mins(10);

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Bench::parse();
    // Dropping the future ends its processes and removes its folders.
    ended(Box::pin(interruptible(bench(&flags))).await.map(|()| true))
}

#[expect(clippy::print_stdout, reason = "the table is what was asked for")]
async fn bench(flags: &Bench) -> Result<()> {
    if flags.languages {
        let rows = within(LANGUAGES, Box::pin(languages::rows())).await?;
        let page = languages::write(&rows)?;
        if flags.json {
            println!("{}", languages::to_json(&rows));
        } else {
            println!("{}\nwritten to {}", languages::to_text(&rows), page.display());
        }
        // After the table, which shows by how much a promise was missed.
        return languages::kept(&rows);
    }
    let selection = Selection::of(&flags.only, &xtask::rows::page(&docs::folder()))?;
    let (mut rows, failures) = rows(flags, &selection).await?;
    rows.retain(|row| selection.shows(row.part, &row.what));
    if flags.json {
        println!("{}", row::to_json(&rows));
    } else {
        println!("{}", row::to_text(&rows));
    }
    // A page of some parts would lack the others.
    if selection.is_whole() {
        let command = match &flags.against {
            Some(revision) => format!("cargo xtask bench --against {revision}"),
            None if flags.by_profile => "cargo xtask bench --by-profile".to_owned(),
            None => "cargo xtask bench".to_owned(),
        };
        let missing: Vec<_> = failures.iter().map(|failure| failure.part).collect();
        let page = page::write(&rows, &missing, &command)?;
        if !flags.json {
            println!("written to {}", page.display());
        }
    }
    // After the rows of the other parts, which took minutes.
    failed(&failures)?;
    if rows.is_empty() {
        bail!("none of the rows that `--only` names is there any more");
    }
    Ok(())
}

/// A part that cannot be measured.
struct Failure {
    part: Part,
    why: String,
}

/// Measures the parts that are wanted, in their order. Also returns those that cannot be measured.
async fn rows(flags: &Bench, selection: &Selection) -> Result<(Vec<Row>, Vec<Failure>)> {
    let programs = programs(flags, selection.needs(Part::Echo)).await?;
    let parts = Part::value_variants().iter().copied().filter(|part| selection.needs(*part));
    // Another revision is measured within the same part.
    let turns: u32 = if programs.before.is_some() { 2 } else { 1 };
    Ok(each(parts, |part| limit(part) * turns, async |part| measured(part, flags, &programs).await).await)
}

/// Measures parts one after the other, each within its limit. If one fails, the others are measured all the same.
#[expect(clippy::print_stderr, reason = "progress beside the table")]
async fn each(
    parts: impl IntoIterator<Item = Part>,
    limit: impl Fn(Part) -> Duration,
    measure: impl AsyncFn(Part) -> Result<Vec<Row>>,
) -> (Vec<Row>, Vec<Failure>) {
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for part in parts {
        eprintln!("measuring {}", part.name());
        match within(limit(part), Box::pin(measure(part))).await {
            Ok(measured) => rows.extend(measured),
            Err(error) => {
                let why = format!("cannot measure {}: {error:#}", part.name());
                eprintln!("{why}");
                failures.push(Failure { part, why });
            }
        }
    }
    (rows, failures)
}

fn failed(failures: &[Failure]) -> Result<()> {
    if failures.is_empty() {
        return Ok(());
    }
    let reasons: Vec<_> = failures.iter().map(|failure| failure.why.as_str()).collect();
    bail!("{}", reasons.join("; "))
}

/// Returns the time limit of a part, some three times as long as it takes on two cores; one that exceeds it hangs.
fn limit(part: Part) -> Duration {
    Duration::from_mins(match part {
        Part::SystemCalls | Part::Calls | Part::Storage | Part::Web | Part::Archive => 10,
        // Rounds of echo begin within four minutes.
        Part::Echo | Part::Scopes | Part::Instances | Part::Accounts | Part::Guard | Part::Encrypted => 15,
        // Each waits for many hosts until their memory has settled.
        Part::Parked => 30,
        Part::Cluster => 45,
    })
}

/// Returns the result of what is done within this time, and an error otherwise.
async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => bail!("not done within {limit:?}"),
    }
}

/// Measures a part, and then the same with the host of another revision if there is one.
#[expect(clippy::print_stderr, reason = "a missing row has a reason")]
async fn measured(part: Part, flags: &Bench, programs: &Programs) -> Result<Vec<Row>> {
    let own = Box::pin(of_build(part, flags, programs, &programs.own)).await?;
    // In these, both revisions have taken turns already.
    let takes_turns = matches!(part, Part::Echo | Part::SystemCalls);
    let Some(before) = programs.before.as_ref().filter(|_| !takes_turns) else { return Ok(own) };
    let others = match part.unpaired() {
        Some(why) => Err(anyhow!(why)),
        None => within(limit(part), Box::pin(of_build(part, flags, programs, before))).await,
    };
    match others {
        Ok(others) => {
            let (rows, unpaired) = row::paired(own, &others);
            if !unpaired.is_empty() {
                let names = unpaired.join("; ");
                eprintln!(
                    "of this revision alone, since the other one's host is not in them or cannot do them: {names}"
                );
            }
            Ok(rows)
        }
        // A host of long ago may not do what is measured here.
        Err(error) => {
            eprintln!("the rows of {} are of this revision alone: {error:#}", part.name());
            Ok(own)
        }
    }
}

/// Measures a part with one host.
async fn of_build(part: Part, flags: &Bench, programs: &Programs, build: &Build) -> Result<Vec<Row>> {
    match part {
        Part::Echo => echo::rows(programs, flags.rounds).await,
        Part::SystemCalls => system_calls::rows(programs).await,
        Part::Calls => calls::rows().await,
        Part::Scopes => scopes::rows(build).await,
        Part::Instances => instances::rows(build).await,
        Part::Parked => parked::rows(build).await,
        Part::Accounts => accounts::rows(build).await,
        Part::Archive => Box::pin(archive::rows()).await,
        Part::Storage => storage::rows().await,
        Part::Web => web::rows(build, flags.rounds).await,
        Part::Guard => guard::rows(build).await,
        Part::Encrypted => encrypted::rows(build).await,
        Part::Cluster => of_clusters(build).await,
    }
}

/// Measures nodes of a cluster, the stream of a component, and its addresses that sleep.
async fn of_clusters(build: &Build) -> Result<Vec<Row>> {
    let mut rows = cluster::rows(build).await?;
    if build.is_own {
        rows.extend(domain::rows().await.context("the stream of a component")?);
    }
    rows.extend(sleepers::rows(build).await.context("addresses that sleep")?);
    Ok(rows)
}

/// Finds the other programs besides parlor. Only slixmpp may be missing, since it comes over the network.
#[expect(clippy::print_stderr, reason = "a missing row has a reason")]
async fn programs(flags: &Bench, has_echo: bool) -> Result<Programs> {
    let before = flags.against.as_ref().map(|_| Build::before()).transpose()?;
    let own = Build::own()?;
    if !has_echo {
        return Ok(Programs { own, before, slixmpp: None });
    }
    let slixmpp =
        within(INSTALLED, Slixmpp::install()).await.inspect_err(|error| eprintln!("no rows for slixmpp: {error:#}"));
    Ok(Programs { own, before, slixmpp: slixmpp.ok() })
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use anyhow::anyhow;

    use super::*;
    use crate::row::Unit;

    #[tokio::test(start_paused = true)]
    async fn a_part_that_hangs_or_fails_is_named_and_the_rows_of_the_others_are_kept() {
        let parts = [Part::Echo, Part::Calls, Part::Storage, Part::Web];
        let (rows, failures) = each(parts, limit, async |part| match part {
            Part::Calls => pending().await,
            Part::Storage => Err(anyhow!("no disk")),
            _ => Ok(vec![Row::alone(part, "a row", 1.0, Unit::Calls)]),
        })
        .await;
        let of: Vec<_> = rows.iter().map(|row| row.part).collect();
        assert_eq!(of, [Part::Echo, Part::Web]);
        let error = failed(&failures).unwrap_err().to_string();
        assert_eq!(error, "cannot measure calls: not done within 600s; cannot measure storage: no disk");
    }

    #[tokio::test(start_paused = true)]
    async fn parts_that_are_measured_one_after_the_other_share_no_limit() {
        let slow = Duration::from_mins(9);
        let (rows, failures) = each(Part::value_variants().iter().copied(), limit, async |part| {
            tokio::time::sleep(slow).await;
            Ok(vec![Row::alone(part, "a row", 1.0, Unit::Calls)])
        })
        .await;
        assert!(failed(&failures).is_ok() && rows.len() == Part::value_variants().len());
    }
}
