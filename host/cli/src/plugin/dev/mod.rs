//! `parlor plugin dev`: rebuilds a plugin's folder at each save, and lets the author talk to the plugin.
//!
//! `chat` parses typed lines, `credentials` reads those that the plugin gets, `line` is the line editor, `console` the
//! terminal, `real` an account on a server, and `session` the main loop. The output reads like a test: events at the margin, the plugin's acts indented, and remarks
//! after a `#`.

mod chat;
mod console;
mod credentials;
mod line;
mod real;
mod session;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use credentials::Named;
use parlor_authoring::build::Consent;
use parlor_authoring::plugin_test::ByHand;
use parlor_base::escape::EscapedPath as _;
use parlor_config::AccountName;
use parlor_https::trust::client_config_with;
use session::Session;
use tokio::signal::unix::{SignalKind, signal};

use super::trust;

/// The arguments of `parlor plugin dev`.
#[derive(Debug, Args)]
#[command(
    long_about = "Work on a plugin: build it at each save, replace the old build by the new one, and talk to it. People, rooms and the server are simulated, unless you name an account; the clock is the machine's. Requests over the web go to the network. If a build fails, the command shows why, and the former build keeps running. The data of the plugin is deleted at the end.",
    after_help = "At the prompt: a line is said to the plugin. /as bob speaks as bob, /join garden enters a room, /room hello says something there, /help shows the rest, /quit ends.\n\nExamples:\n  parlor plugin dev                     the plugin of this folder, and you\n  parlor plugin dev --account main      on an account of ./parlor.toml\n  parlor plugin dev --credential key    asks for this credential, which goes to its `hosts` alone\n  echo hello | parlor plugin dev        a script: each line waits for the answer to the one before\n\nWithout a terminal it ends when the script does. Exit codes: 0 left, 1 it could not begin, or a script ended before the plugin ever ran, 2 wrong usage"
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
    /// Build a folder in Rust, C or Go, or in Python with libraries in other languages, without asking: its build is not wholly in a sandbox, and works as your user
    #[arg(long)]
    trust: bool,
    /// Give the plugin a credential, as its owner does: asked for and not shown, or from a file that only you can read
    #[arg(long, value_name = "SETTING[=FILE]")]
    credential: Vec<Named>,
    /// Trust these certificates (PEM) in requests of the plugin, in addition to the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl DevArgs {
    /// Runs until the user quits.
    pub fn run(&self) -> anyhow::Result<()> {
        let consent = trust::check(&self.folder, self.trust, false)?;
        let by_hand = ByHand { credentials: credentials::read(&self.credential)?, ca_file: self.certificates()? };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.context("the runtime cannot start")?;
        let result = runtime.block_on(self.work(consent, by_hand));
        // A compiler that received the same signal may take its time, and so may a name look-up.
        runtime.shutdown_background();
        result
    }

    /// Returns the file with certificates to trust, after reading it.
    fn certificates(&self) -> anyhow::Result<Option<PathBuf>> {
        let Some(file) = &self.ca_file else { return Ok(None) };
        let file = file.canonicalize().with_context(|| format!("the certificates in {}", file.escaped()))?;
        client_config_with(Some(&file)).context("--ca-file")?;
        Ok(Some(file))
    }

    async fn work(&self, consent: Consent, by_hand: ByHand) -> anyhow::Result<()> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        let (mut interrupt, mut terminate, mut hang_up) =
            (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
        let mut session = Session::open(self, consent, by_hand)?;
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
