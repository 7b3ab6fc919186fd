//! `cargo xtask faults`: connections that break at random under traffic, and whether anything was lost or came twice.

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use parlor_tests::endurance::{self, Plan};
use parlor_tests::transport::Transport;

/// Break connections at random under traffic, and count what was lost or came twice.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often a connection breaks, in all.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    cuts: u32,
    /// How many accounts share that.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=64))]
    accounts: u32,
    /// How connections reach the server.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// What decides about faults; a new one each time, unless given.
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a command says why it failed")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = tokio::select! {
        done = run(&arguments) => done,
        _ = tokio::signal::ctrl_c() => return ExitCode::from(130),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what was asked for")]
async fn run(arguments: &Arguments) -> Result<()> {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let cuts = usize::try_from(arguments.cuts)?;
    let transport = arguments.transport;
    eprintln!("seed {seed}");
    let plan =
        Plan { cuts, accounts: usize::try_from(arguments.accounts)?.min(cuts), transport, silence: cuts >= 50, seed };
    let step = (cuts / 10).max(1);
    let progress = |count: usize| {
        if count.is_multiple_of(step) {
            eprintln!("{count} of {cuts} connections broken");
        }
    };
    let report = endurance::run(plan, progress).await?;
    println!("{report}");
    ensure!(report.is_good(), "the bot did not answer each message once; seed {seed}");
    Ok(())
}
