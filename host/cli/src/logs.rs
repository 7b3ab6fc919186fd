//! `parlor logs`: shows the log of the running host.

use std::io::{self, Write as _};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use parlor::control::client::ClientError;
use parlor::control::lines::SAYS;
use parlor::control::views::Line;
use parlor_base::escape::with_line_ends;
use parlor_base::id::PluginId;

use super::Ended;
use super::show::{Mark, Put as _, for_terminal, marked, moment, plain_json};
use super::target::{self, AtNode, Target};

/// The arguments of `parlor logs`.
#[derive(Debug, Args)]
#[command(
    after_help = "The host keeps the last ten thousand lines since its start. Earlier ones are in the output of its standard error, which for a service is the journal (`journalctl -u parlor`). Control characters are escaped. If a plugin logs several lines at once, the command indents those after the first.\n\nExamples:\n  parlor logs                       the last lines\n  parlor logs echo -f               those about echo, as they come\n  parlor logs --level warn -n 20    the last 20 warnings and errors\n  parlor logs --node two            the last lines of another node of the cluster\n  parlor logs --json | jq .message  for programs, one object a line\n\nExit codes: 0 done, 4 no host runs, or it has stopped, 1 failed, 2 wrong usage"
)]
pub struct LogsArgs {
    /// Only lines about this plugin.
    plugin: Option<PluginId>,
    /// Continue with each new line.
    #[arg(short, long)]
    follow: bool,
    /// The number of earlier lines to show.
    #[arg(short = 'n', long, default_value_t = 100)]
    lines: usize,
    /// Only lines that are at least this important.
    #[arg(long)]
    level: Option<Level>,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: AtNode,
    #[command(flatten)]
    target: Target,
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
    /// Prints the lines.
    pub fn run(&self) -> anyhow::Result<()> {
        let config = self.target.load_to_look()?;
        let host = target::running(&config)?;
        let at = self.at.or_here();
        let mut target = format!("/v1/logs?lines={}&follow={}&{at}", self.lines, self.follow);
        if let Some(plugin) = &self.plugin {
            // With a mistyped name it would wait forever. A removed plugin may still have lines.
            if let Err(error) = host.get::<serde_json::Value>(&format!("/v1/plugins/{plugin}"))
                && host.lines(&format!("/v1/logs?lines=1&plugin={plugin}&{at}"))?.next().is_none()
            {
                return Err(target::or_mistyped(&config, plugin, error.into()));
            }
            target.put(format_args!("&plugin={plugin}"));
        }
        if let Some(level) = self.level {
            target.put(format_args!("&level={}", level.as_str()));
        }
        for line in host.lines(&target)? {
            let line = match line {
                // The end is reported below.
                Err(ClientError::Broken(_)) if self.follow => break,
                line => line?,
            };
            let text = if self.json { plain_json(&serde_json::to_string(&line)?) } else { for_terminal(&show(&line)) };
            writeln!(io::stdout().lock(), "{text}").context("standard output")?;
        }
        if !self.follow {
            return Ok(());
        }
        // Report the end, so that the user does not mistake it for silence.
        if host.is_heard() {
            bail!(
                "the host no longer sends: it was started again meanwhile, or nobody read its lines for ten seconds; \
                 `parlor logs -f` follows it again"
            );
        }
        Err(Ended::Stopped(config.data).into())
    }
}

/// The prefix of further lines of one message of a plugin, so that none can imitate a line of the log.
const FURTHER: &str = "\n    ";

/// Formats one line for people. Untrusted text was escaped when the line was stored.
fn show(line: &Line) -> String {
    let level = format!("{:5}", line.level.to_ascii_uppercase());
    let level = match line.level.as_str() {
        "error" => marked(&level, Mark::Red),
        "warn" => marked(&level, Mark::Yellow),
        _ => marked(&level, Mark::Dim),
    };
    // To the second; JSON has the rest.
    let at = moment(&line.at);
    let who = match (line.fields.get("plugin"), line.fields.get("account")) {
        (Some(plugin), Some(account)) => format!("{plugin}@{account} "),
        (Some(one), None) | (None, Some(one)) => format!("{one} "),
        (None, None) => String::new(),
    };
    // Mark a plugin's own words, so that they cannot pass for the host's.
    let said = if line.target == SAYS {
        format!("says: {}", with_line_ends(&line.message).replace('\n', FURTHER))
    } else {
        line.message.clone()
    };
    let mut text = format!("{} {level} {who}{said}", marked(&at, Mark::Dim));
    for (name, value) in line.fields.iter().filter(|(name, _)| !["plugin", "account"].contains(&name.as_str())) {
        text.put(format_args!(" {}{value}", marked(&format!("{name}="), Mark::Dim)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(target: &str, message: &str) -> Line {
        Line {
            number: 1,
            at: "2026-01-01T12:00:00.5Z".to_owned(),
            level: "error".to_owned(),
            target: target.to_owned(),
            message: message.to_owned(),
            fields: [("plugin".to_owned(), "echo".to_owned())].into(),
        }
    }

    /// Returns the line without the host's own colours, which are present if the tests run on a terminal.
    fn shown(line: &Line) -> String {
        show(line).replace("\x1b[31m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
    }

    #[test]
    fn further_lines_of_what_a_plugin_said_are_indented_and_nothing_else_is_obeyed() {
        let said = "it went wrong\\u{a}    at lost\\u{a}\\u{a}2026-01-01T12:00:00 ERROR echo \\u{1b}[2J";
        let expected = "2026-01-01T12:00:00Z ERROR echo says: it went wrong\n        at lost\n    \n    \
                        2026-01-01T12:00:00 ERROR echo \\u{1b}[2J";
        let text = shown(&line(SAYS, said));
        assert_eq!(text, expected);
        assert!(text.lines().skip(1).all(|line| line.starts_with("    ")), "{text}");
        // A message of the host stays on one line.
        assert_eq!(shown(&line("parlor::host", "of a\\u{a}b")), "2026-01-01T12:00:00Z ERROR echo of a\\u{a}b");
    }
}
