//! `parlor plugin dev`: rebuilds a plugin's folder at each save, and lets the author talk to the plugin.
//!
//! `chat` parses typed lines, `line` is the line editor, `console` the terminal, `real` an account on a server, and
//! `session` the main loop. The output reads like a test: events at the margin, the plugin's acts indented, and remarks
//! after a `#`.

mod chat;
mod console;
mod line;
mod real;
mod session;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use parlor_authoring::build::Consent;
use parlor_config::AccountName;
use session::Session;
use tokio::signal::unix::{SignalKind, signal};

use super::trust;

/// The arguments of `parlor plugin dev`.
#[derive(Debug, Args)]
#[command(
    long_about = "Work on a plugin: build it at each save, replace the old build by the new one, and talk to it. People, rooms and the server are simulated, unless you name an account; the clock is the machine's. If a build fails, the command shows why, and the former build keeps running. The data of the plugin is deleted at the end.",
    after_help = "At the prompt: a line is said to the plugin. /as bob speaks as bob, /join garden enters a room, /room hello says something there, /help shows the rest, /quit ends.\n\nExamples:\n  parlor plugin dev                     the plugin of this folder, and you\n  parlor plugin dev --account main      on an account of ./parlor.toml\n  echo hello | parlor plugin dev        a script: each line waits for the answer to the one before\n\nWithout a terminal it ends when the script does. Exit codes: 0 left, 1 it could not begin, or a script ended before the plugin ever ran, 2 wrong usage"
)]
pub struct DevArgs {
    /// The plugin's folder
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Run it on this account, on its real server, with every requested permission granted; no other plugin runs there
    #[arg(long, value_name = "NAME")]
    account: Option<AccountName>,
    /// The configuration with the account
    #[arg(long, value_name = "FILE", default_value = "parlor.toml", env = "PARLOR_CONFIG")]
    config: PathBuf,
    /// Build a folder in Rust, C or Go without asking: its compiler runs outside of any sandbox, as your user
    #[arg(long)]
    trust: bool,
}

impl DevArgs {
    /// Runs until the user quits.
    pub fn run(&self) -> anyhow::Result<()> {
        let consent = trust::check(&self.folder, self.trust, false)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.context("the runtime cannot start")?;
        let result = runtime.block_on(self.work(consent));
        // A compiler that received the same signal may take its time, and so may a name look-up.
        runtime.shutdown_background();
        result
    }

    async fn work(&self, consent: Consent) -> anyhow::Result<()> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        let (mut interrupt, mut terminate, mut hang_up) =
            (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
        let mut session = Session::open(self, consent)?;
        let ended = tokio::select! {
            ended = session.go_on() => ended,
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
            _ = hang_up.recv() => Ok(()),
        };
        session.close().await;
        ended
    }
}
