//! The house at work: a real server, three plugins from files, and a client that talks to them.
//!
//! `cargo xtask demo` builds everything and runs this. It drives `parlor run` from outside, as a user would: by its files,
//! signals, log and XMPP. Every step has a deadline; the end is 0 only when every step was seen.

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

/// Show the house at work.
#[derive(Debug, Parser)]
struct Arguments {
    /// Leave it running at the end, and say how to join with an ordinary client.
    #[arg(long)]
    keep: bool,
    /// How the host reaches its server.
    #[arg(long, value_enum, default_value_t)]
    transport: Transport,
    /// One JSON object for each step.
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
    // An interruption drops what is going on, and with it the stage: its processes end, its folders go.
    let mut stage = Box::pin(interrupt.or(Stage::set(arguments.transport, report))).await?;
    let (host, server) = (stage.host.log().clone(), stage.prosody.log().clone());
    let shown = interrupt
        .or(async {
            // Whatever a step waits for, it does not come any more when one of these is gone.
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
