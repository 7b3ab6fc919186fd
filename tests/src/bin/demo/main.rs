//! Demonstrates the host: a real server, four plugins from files, and a client that talks to them.
//!
//! `cargo xtask demo` builds everything and runs this program. It drives `parlor run` from outside, as a user would:
//! through its files, signals, log and XMPP. Every step has a deadline. The exit code is 0 only if every step
//! succeeded.

mod report;
mod stage;
mod steps;

use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;
use parlor_tests::interrupt::{Interrupt, Interrupted, ended};
use parlor_tests::transport::Transport;

use crate::report::Report;
use crate::stage::Stage;

/// Demonstrate the host.
#[derive(Debug, Parser)]
struct Arguments {
    /// Leave it running at the end, and say how to join with an ordinary client.
    #[arg(long)]
    keep: bool,
    /// How the host reaches its server.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// Print one JSON object for each step.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut report = Report::new(arguments.json);
    let shown = show(&arguments, &mut report).await;
    report.end(shown.is_ok());
    ended(shown.map(|()| true))
}

async fn show(arguments: &Arguments, report: &mut Report) -> anyhow::Result<()> {
    let mut interrupt = Interrupt::new()?;
    // An interruption drops this future and with it the stage, which ends its processes and removes its folders.
    let mut stage = Box::pin(interrupt.or(Stage::set(arguments.transport, report))).await?;
    let (host, server) = (stage.host.log().clone(), stage.prosody.log().clone());
    let shown = interrupt
        .or(async {
            // If one of these ends, the step would wait in vain.
            tokio::select! {
                shown = steps::converse(&mut stage, report) => shown,
                () = host.ended() => bail!("`parlor run` ended in the middle\n{}", host.tail()),
                () = server.ended() => bail!("the server ended in the middle\n{}", server.tail()),
            }
        })
        .await;
    if let Err(error) = shown {
        if !error.is::<Interrupted>() {
            stage.keep_logs();
        }
        return Err(error);
    }
    if arguments.keep {
        stage.invite();
        interrupt.came().await;
    }
    let traces = stage.traces();
    Box::pin(interrupt.or(steps::stop(stage, report))).await?;
    report.step("nothing is left behind", async { traces.gone().await }).await
}
