//! A program that embeds the host as a library, with a log layer that is broken: it panics when a plugin logs a certain
//! word.
//!
//! No input is known that makes a host function panic. This program makes one panic: `log.write` calls the log, which
//! the embedding program has set up.

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use parlor::host::Host;
use parlor_config::{Config, Overrides};
use parlor_runtime::compiler::{Bounds, Compiler};
use parlor_runtime::threads::Threads;
use parlor_runtime::traces::Traces;
use parlor_tests::plugins;
use tokio::signal::unix::{SignalKind, signal};
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

/// The word at which the log panics.
const WORD: &str = "the log breaks here";

struct Fragile;

impl<S: tracing::Subscriber> Layer<S> for Fragile {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        struct Message(bool);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.0 |= field.name() == "message" && format!("{value:?}").contains(WORD);
            }
        }
        let mut message = Message(false);
        event.record(&mut message);
        assert!(!message.0, "the log breaks");
    }
}

#[tokio::main]
#[expect(clippy::print_stderr, reason = "a command says why it failed")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Takes the arguments of `parlor run`, and uses only the log's filter.
async fn run() -> Result<()> {
    let arguments: Vec<_> = std::env::args().collect();
    let filter = arguments.iter().skip_while(|one| *one != "--log").nth(1).map_or("info", String::as_str);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).json().flatten_event(true);
    tracing_subscriber::registry().with(EnvFilter::try_new(filter)?).with(lines).with(Fragile).init();
    // The panic is expected, so it is not printed.
    std::panic::set_hook(Box::new(|_| {}));
    let config = Config::load(Path::new("parlor.toml"), &Overrides::default())?;
    let compiler = Compiler::Process {
        program: plugins::program("parlor")?,
        bounds: Bounds::default(),
        traces: Traces::Functions,
    };
    let (mut reload, mut stop) = (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?);
    let host = Host::start(config, compiler, Threads::of_this_machine()?).await?;
    loop {
        tokio::select! {
            _ = reload.recv() => host.reload().await?,
            _ = stop.recv() => break,
        }
    }
    host.stop().await;
    Ok(())
}
