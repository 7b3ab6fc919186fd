//! `cargo xtask faults`: breaks connections at random under traffic, and counts lost and duplicated messages.

use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser as _, ValueEnum as _};
use parlor_tests::endurance::{self, Plan, Report};
use parlor_tests::interrupt::{ended, interruptible};
use parlor_tests::kills::{self, Acknowledged};
use parlor_tests::server::Software;
use parlor_tests::transport::Transport;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use xtask::Faults;

/// How many messages are answered before anything breaks.
const WARM_UP: usize = 1_000;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Faults::parse();
    ended(Box::pin(interruptible(run(&arguments))).await.map(|()| true))
}

fn servers(name: &str) -> Result<Vec<Software>> {
    if name == "both" {
        return Ok(Software::ALL.to_vec());
    }
    let server =
        Software::named(name).with_context(|| format!("there is no server {name}; prosody, ejabberd, both"))?;
    Ok(vec![server])
}

fn transports(name: &str) -> Result<Vec<Transport>> {
    if name == "all" {
        return Ok(Transport::ALL.to_vec());
    }
    let known = Transport::from_str(name, false).ok();
    Ok(vec![known.with_context(|| format!("there is no way {name}; starttls, tls, ws, bosh, all"))?])
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what was asked for")]
async fn run(arguments: &Faults) -> Result<()> {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let cuts = usize::try_from(arguments.cuts)?;
    let accounts = usize::try_from(arguments.accounts)?.min(cuts);
    let (servers, transports) = (servers(&arguments.server)?, transports(&arguments.transport)?);
    eprintln!("seed {seed}");
    if let Some(kills) = arguments.kills {
        return kill(kills, seed).await;
    }
    let step = (cuts / 10).max(1);
    let (mut total, mut kept_memory) = (Report::default(), false);
    println!("{}", Report::HEAD);
    for &server in &servers {
        for &transport in &transports {
            let plan = Plan { cuts, accounts, server, transport, warm_up: WARM_UP, silence: cuts >= 50, seed };
            let progress = |count: usize| {
                if count.is_multiple_of(step) {
                    eprintln!("{server}, {}: {count} of {cuts} connections broken", transport.as_str());
                }
            };
            let report = endurance::run(plan, progress).await?;
            println!("{}", report.line(&plan));
            kept_memory |= !report.memory_is_back();
            total.add(report);
        }
    }
    println!("{total}");
    ensure!(total.is_good(), "a bot did not answer each message once; seed {seed}");
    ensure!(!kept_memory, "a host had more than 8 MiB more in memory after all than after its warm-up; seed {seed}");
    Ok(())
}

/// Kills a host with a webhook so often.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the count is what was asked for")]
async fn kill(kills: u32, seed: u64) -> Result<()> {
    let step = (kills / 10).max(1);
    let progress = |count: u32| {
        if count.is_multiple_of(step) {
            eprintln!("killed {count} of {kills} times");
        }
    };
    let acknowledged = kills::run(kills, &mut StdRng::seed_from_u64(seed), progress).await?;
    let (count, lost) = (acknowledged.count, acknowledged.lost.len());
    println!("{kills} kills: {count} requests to a webhook acknowledged, {lost} lost");
    ensure!(lost == 0, "lost: {}; seed {seed}", acknowledged.lost.join(" "));
    let least = Acknowledged::least(kills);
    ensure!(count >= least, "{count} requests show too little; {least} have to be acknowledged; seed {seed}");
    Ok(())
}
