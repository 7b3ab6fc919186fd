//! `parlor logs`: what the running host said.

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use std::io::{self, Write as _};

use super::Ended;
use super::place::{self, Place};
use super::show::{Mark, Put as _, marked};
use crate::control::client::ClientError;
use crate::control::lines::SAYS;
use crate::control::views::Line;
use crate::plugins::PluginId;

/// What `parlor logs` takes.
#[derive(Debug, Args)]
#[command(
    after_help = "The host keeps its last ten thousand lines. Control characters are shown and not obeyed.\n\nExamples:\n  parlor logs                       the last lines\n  parlor logs echo -f               those about echo, as they come\n  parlor logs --level warn -n 20    the last 20 warnings and errors\n  parlor logs --json | jq .message  for programs, one object a line\n\nExit codes: 0 done, 4 no host runs, or it has stopped, 1 failed, 2 wrong usage"
)]
pub struct LogsArgs {
    /// Only lines about this plugin.
    plugin: Option<PluginId>,
    /// Go on with each line as it comes.
    #[arg(short, long)]
    follow: bool,
    /// How many lines to begin with.
    #[arg(short = 'n', long, default_value_t = 100)]
    lines: usize,
    /// Only lines that are at least this important.
    #[arg(long)]
    level: Option<Level>,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl LogsArgs {
    /// Prints them.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.place.load_to_look()?;
        let Some(host) = place::host(&config)? else { return Err(Ended::NotRunning(config.data).into()) };
        let mut target = format!("/v1/logs?lines={}&follow={}", self.lines, self.follow);
        if let Some(plugin) = &self.plugin {
            // A name that was mistyped would wait for ever. One that was removed has left lines.
            if let Err(error) = host.get::<serde_json::Value>(&format!("/v1/plugins/{plugin}"))
                && host.lines(&format!("/v1/logs?lines=1&plugin={plugin}"))?.next().is_none()
            {
                return Err(error.into());
            }
            target.put(format_args!("&plugin={plugin}"));
        }
        if let Some(level) = self.level {
            target.put(format_args!("&level={}", level.as_str()));
        }
        for line in host.lines(&target)? {
            let line = match line {
                // That it ended is said below.
                Err(ClientError::Broken(_)) if self.follow => break,
                line => line?,
            };
            let text = if self.json { serde_json::to_string(&line)? } else { show(&line) };
            writeln!(io::stdout().lock(), "{text}").context("standard output")?;
        }
        if !self.follow {
            return Ok(());
        }
        // Nobody who waits for the next line is to take this for silence.
        if host.is_heard() {
            bail!(
                "the host no longer sends: it was started again meanwhile, or nobody read its lines for ten seconds; \
                 `parlor logs -f` follows it again"
            );
        }
        Err(Ended::Stopped(config.data).into())
    }
}

/// One line for people; what strangers wrote was made harmless where it was kept.
fn show(line: &Line) -> String {
    let level = format!("{:5}", line.level.to_ascii_uppercase());
    let level = match line.level.as_str() {
        "error" => marked(&level, Mark::Red),
        "warn" => marked(&level, Mark::Yellow),
        _ => marked(&level, Mark::Dim),
    };
    // To the second; the rest is for programs.
    let at = line.at.split('.').next().unwrap_or_default();
    let who = match (line.fields.get("plugin"), line.fields.get("account")) {
        (Some(plugin), Some(account)) => format!("{plugin}@{account} "),
        (Some(one), None) | (None, Some(one)) => format!("{one} "),
        (None, None) => String::new(),
    };
    // Nobody is to take a plugin's own words for the host's.
    let says = if line.target == SAYS { "says: " } else { "" };
    let mut text = format!("{} {level} {who}{says}{}", marked(at, Mark::Dim), line.message);
    for (name, value) in line.fields.iter().filter(|(name, _)| !["plugin", "account"].contains(&name.as_str())) {
        text.put(format_args!(" {}{value}", marked(&format!("{name}="), Mark::Dim)));
    }
    text
}
