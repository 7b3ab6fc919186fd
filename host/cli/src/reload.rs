//! `parlor reload`: lets the running host read its files again.

use clap::Args;
use parlor::control::views::Status;

use super::show::{print, print_json, width};
use super::status::screen;
use super::target::{self, AtNode, Target};

/// The arguments of `parlor reload`.
#[derive(Debug, Args)]
#[command(
    after_help = "The host reads parlor.toml, accounts.toml and plugins.toml again. New accounts log in, removed ones log out, settings take effect at once, and the host retries accounts that have failed. An account reconnects only if one of these changed:\njid, server, transport, tls, ca_file, certificates, authentication, or an address in its settings. Its password, allow_plain, channel_binding, keep_unsent and ping_interval take effect with its next connection; data, plugins, log and watch when the host starts again.\n\nExamples:\n  parlor reload           shows the host afterwards\n  parlor reload --json    the same for programs\n  parlor reload --all     on all nodes of a cluster\n\nExit codes: 0 done, 1 failed, and nothing that was wrong counts, 2 wrong usage, 4 no host runs, 5 a node of the cluster did not answer"
)]
pub struct ReloadArgs {
    /// Have all nodes of the cluster read their files.
    #[arg(long, conflicts_with = "node")]
    all: bool,
    #[command(flatten)]
    at: AtNode,
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
        let host = target::running(&config)?;
        let at = if self.all { "at=*".to_owned() } else { self.at.or_here() };
        let status: Status = host.post(&format!("/v1/configure?{at}"))?;
        let shown = if self.json { print_json(&status) } else { print(&screen(&status, width())) };
        shown.and_then(|()| target::whole(&host))
    }
}
