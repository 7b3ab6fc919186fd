//! `parlor reload`: lets the running host read its files again.

use clap::Args;
use parlor::control::views::Status;

use super::Ended;
use super::show::{print, print_json, width};
use super::status::screen;
use super::target::{self, Target};

/// The arguments of `parlor reload`.
#[derive(Debug, Args)]
#[command(
    after_help = "Reads parlor.toml and plugins.toml, and does what they say now: new accounts log in, those that are gone leave, settings count at once, and accounts that have failed are tried again. An account reconnects only if one of these changed:\njid, server, transport, tls, ca_file, certificates, authentication, or an address in its settings. Its password, allow_plain, channel_binding, keep_unsent and ping_interval count from its next connection; data, plugins, log and watch when the host is started again.\n\nExamples:\n  parlor reload           shows the host afterwards\n  parlor reload --json    the same for programs\n\nExit codes: 0 done, 1 failed, and nothing that was wrong counts, 2 wrong usage, 4 no host runs"
)]
pub struct ReloadArgs {
    #[command(flatten)]
    target: Target,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ReloadArgs {
    /// Tells the host, and shows the result.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load()?;
        let Some(host) = target::host(&config)? else { return Err(Ended::NotRunning(config.data).into()) };
        let status: Status = host.post("/v1/configure")?;
        if self.json { print_json(&status) } else { print(&screen(&status, width())) }
    }
}
