//! The command line: arguments become calls into the library. One file for each command.

mod ask;
pub mod compile;
pub mod doctor;
pub mod explain;
pub mod init;
pub mod logs;
pub mod manual;
mod modes;
pub mod place;
pub mod plugin;
pub mod reload;
pub mod run;
mod show;
pub mod status;
mod tell;
pub mod top;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::config::ConfigError;
use crate::harmless::EscapedPath as _;
use crate::plugins::compiler::COMMAND;
use crate::plugins::source::without_passwords;

/// A bot house for XMPP: plugins that strangers wrote, held to what you granted.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  parlor init                          ask for an account, and write parlor.toml\n  parlor run                           log in and run the plugins of plugins.toml\n  parlor status                        show who is connected and what runs\n  parlor top                           the same, live\n  parlor doctor                        look for what is wrong\n  parlor logs -f                       show the log as it grows\n  parlor explain echo                  say what a plugin may do, and what it was denied\n  parlor plugin build my-plugin        make a plugin from its folder"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Log in and run the plugins that the policy allows.
    Run(run::Run),
    /// Write a configuration, after testing the log-in.
    Init(init::InitArgs),
    /// Show the house: accounts, plugins, what they use.
    Status(status::StatusArgs),
    /// Show the house while you look: what runs, what it uses, what it says.
    Top(top::TopArgs),
    /// Show what the running host said.
    Logs(logs::LogsArgs),
    /// Say what a plugin may do, and why something was denied.
    Explain(explain::ExplainArgs),
    /// Look for what is wrong, and say what to do about it.
    Doctor(doctor::DoctorArgs),
    /// Let the running host read its files again.
    Reload(reload::ReloadArgs),
    /// Work on plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Print what a shell needs to complete commands.
    Completions(manual::CompletionsArgs),
    /// Print a manual page, or write all of them.
    Man(manual::ManArgs),
    /// What a host runs for itself.
    #[command(name = COMMAND, hide = true)]
    Compile(compile::Compile),
}

impl Arguments {
    /// What was typed, or the end with what is wrong about it.
    pub fn typed() -> Self {
        Self::try_parse().unwrap_or_else(|error| without_secrets(error).exit())
    }

    /// Does what was asked, and says how it went: 0 fine, 1 failed, 2 a wrong usage (mostly found by clap), others as [`Ended`]
    /// says.
    pub fn execute(self) -> ExitCode {
        // Whoever reads the journal by its levels finds why a host ended, too.
        let before = if let Command::Run(run) = &self.command { run.before_failure() } else { "" };
        let result = match self.command {
            Command::Run(run) => run.execute(),
            Command::Init(init) => init.run(),
            Command::Status(status) => status.run(),
            Command::Top(top) => top.run(),
            Command::Logs(logs) => logs.run(),
            Command::Explain(explain) => explain.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Reload(reload) => reload.run(),
            Command::Plugin(plugin) => plugin.run(),
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
            Command::Compile(compile) => return compile.execute(),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever read what was printed has read enough.
            Err(error) if error.downcast_ref().is_some_and(is_closed_pipe) => ExitCode::SUCCESS,
            Err(error) => {
                fail(before, &format!("{error:#}"));
                match error.downcast_ref() {
                    Some(ended) => Ended::code(ended),
                    None if error.downcast_ref().is_some_and(ConfigError::is_usage) => ExitCode::from(USAGE),
                    None => ExitCode::FAILURE,
                }
            }
        }
    }
}

/// What clap says repeats what was typed, which may be an address with a password in it, and others may read where it ends up.
fn without_secrets(error: clap::Error) -> clap::Error {
    let said = error.to_string();
    let shown = without_passwords(&said);
    if shown == said {
        return error;
    }
    clap::Error::raw(error.kind(), shown.strip_prefix("error: ").unwrap_or(&shown))
}

/// The exit code for a wrong usage, as clap has it.
const USAGE: u8 = 2;

/// An end of a command that programs can tell from a failure.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// What was typed is wrong in a way that clap does not know of.
    #[error("{0}")]
    Usage(String),
    /// The owner said no, or was not there to say yes.
    #[error("{0}")]
    Declined(String),
    /// No host runs with this data folder.
    #[error("no host runs with the data folder {}; `parlor run` starts one", .0.escaped())]
    NotRunning(PathBuf),
    /// The host with this data folder was there, and is not any more.
    #[error("the host with the data folder {} has stopped; `parlor run` starts it again", .0.escaped())]
    Stopped(PathBuf),
    /// Something is broken.
    #[error("broken: {0}")]
    Broken(usize),
    /// A host runs, and something that it is to do it does not.
    #[error("not well: {0}")]
    Unwell(String),
    /// No account can be logged in to before somebody changes something. Whoever starts the host again by itself must not: servers
    /// lock accounts and addresses out.
    #[error("{0}")]
    Futile(String),
}

impl Ended {
    fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(USAGE),
            Self::Declined(_) => ExitCode::from(3),
            Self::NotRunning(_) | Self::Stopped(_) => ExitCode::from(4),
            Self::Broken(_) | Self::Unwell(_) => ExitCode::from(5),
            Self::Futile(_) => ExitCode::from(6),
        }
    }
}

fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Waits for something that needs a runtime.
fn wait_for<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the runtime cannot start")?;
    let value = runtime.block_on(future);
    // A name look-up that hangs must not hold up the end.
    runtime.shutdown_background();
    Ok(value)
}

/// The last word to whoever typed the command, who may have left. Each of its lines begins with what is to stand `before` it.
fn fail(before: &str, message: &str) {
    let says = show::error_lines(message).replace('\n', &format!("\n{before}"));
    let _ = writeln!(io::stderr(), "{before}parlor: {says}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_that_was_typed_is_not_repeated() {
        for typed in [
            "parlor plugin add https://me:s3cr3t@example.org/x.wasm",
            "parlor plugin update https://me:s3cr3t@example.org/x.wasm",
            "parlor plugin list oci://me:s3cr3t@example.org/x:1",
            "parlor oci://me:s3cr3t@example.org/x:1",
            "parlor run --metrics=http://me:s3cr3t@example.org/x",
        ] {
            let error = Arguments::try_parse_from(typed.split(' ')).unwrap_err();
            let (kind, error) = (error.kind(), without_secrets(error));
            let said = error.to_string();
            assert!(said.contains("://…@example.org/x") && !said.contains("s3cr3t"), "{said}");
            assert!(said.starts_with("error: ") && !said.contains("error: error: "), "{said}");
            assert_eq!((error.kind(), error.exit_code()), (kind, i32::from(USAGE)));
        }
        let help = Arguments::try_parse_from(["parlor", "plugin", "add", "--help"]).unwrap_err();
        assert_eq!(without_secrets(help).exit_code(), 0);
    }
}
