//! The echo bot on slixmpp, the Python library that most XMPP bots are written with.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use parlor_tests::host::Home;
use parlor_tests::plugins;

/// The version that is compared with.
const SLIXMPP: &str = "slixmpp==1.17.0";
/// The bot.
const SOURCE: &str = include_str!("slixmpp/echo.py");
/// Returns whether that version is in the environment.
const CHECK: &str = "import importlib.metadata, sys; sys.exit(importlib.metadata.version('slixmpp') != sys.argv[1])";

/// A Python environment with slixmpp.
pub(crate) struct Slixmpp {
    folder: PathBuf,
}

impl Slixmpp {
    /// Installs slixmpp into a folder next to cargo's output, unless it is there.
    pub(crate) async fn install() -> Result<Self> {
        let own = Self { folder: plugins::target().join("slixmpp") };
        if own.is_there().await {
            return Ok(own);
        }
        let mut venv = tokio::process::Command::new("python3");
        let made = venv.args(["-m", "venv"]).arg(&own.folder).output().await.context("cannot run python3")?;
        ensure!(made.status.success(), "python3 -m venv failed: {}", String::from_utf8_lossy(&made.stderr));
        let mut pip = tokio::process::Command::new(own.python());
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", SLIXMPP]).kill_on_drop(true);
        let made = pip.output().await.context("cannot run pip")?;
        ensure!(made.status.success(), "pip cannot install {SLIXMPP}: {}", String::from_utf8_lossy(&made.stderr));
        Ok(own)
    }

    /// Returns the command that runs the bot, whose source is written to this home.
    pub(crate) fn command(&self, home: &Home) -> Result<Command> {
        let mut command = Command::new(self.python());
        command.arg(home.write("echo.py", SOURCE)?);
        Ok(command)
    }

    fn python(&self) -> PathBuf {
        self.folder.join("bin/python3")
    }

    async fn is_there(&self) -> bool {
        let version = SLIXMPP.trim_start_matches("slixmpp==");
        let mut command = tokio::process::Command::new(self.python());
        command.args(["-c", CHECK, version]).output().await.is_ok_and(|output| output.status.success())
    }
}
