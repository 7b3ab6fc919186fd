//! The command `parlor`: maps arguments to calls of the packages below.
//!
//! **Owns:** arguments, questions on the terminal, screens and exit codes.
//!
//! **Must not** decide anything: lower layers decide which plugins may run, and what they may do.
//!
//! **Begin with** [`Arguments`]: each command has a file of its name.

pub mod account;
mod ask;
pub mod audit;
pub mod backup;
pub mod cluster;
pub mod compile;
pub mod contacts;
pub mod doctor;
pub mod explain;
mod file_watcher;
mod fleet;
pub mod index;
pub mod init;
pub mod keys;
mod listening;
mod login;
pub mod logs;
pub mod manual;
mod modes;
mod pages;
mod passphrase;
mod places;
pub mod plugin;
pub mod reload;
pub mod rooms;
pub mod run;
pub mod say;
pub mod search;
mod show;
pub mod status;
pub mod target;
mod tell;
pub mod top;
pub mod traces;
mod unfinished;
pub mod web;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use parlor_base::escape::EscapedPath as _;
use parlor_config::ConfigError;
use parlor_plugins::source::without_passwords;
use parlor_runtime::compiler::COMMAND;

/// A host for XMPP bots: it runs untrusted plugins within the permissions that you grant.
#[derive(Debug, Parser)]
#[command(
    name = "parlor",
    version,
    after_help = "Examples:\n  parlor init                          ask for an account, and write parlor.toml\n  parlor run                           log in and run the plugins of plugins.toml\n  parlor status                        show who is connected and what runs\n  parlor top                           the same, live\n  parlor doctor                        look for what is wrong\n  parlor logs -f                       show the log as it grows\n  parlor explain echo                  say what a plugin may do, and what it was denied\n  parlor audit --since 7d              show who changed what\n  parlor rooms                         show the rooms that accounts are in\n  parlor keys fingerprint              show the keys that others compare\n  parlor backup monday.parlor          write all of it into a file\n  parlor search weather                find plugins in the indexes that you added\n  parlor web                           serve a window in the browser\n  parlor plugin build my-plugin        make a plugin from its folder"
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
    /// Show the host: accounts, plugins, and what they use.
    Status(status::StatusArgs),
    /// Show the host live: what runs, what it uses, and its log.
    Top(top::TopArgs),
    /// Show the log of the running host.
    Logs(logs::LogsArgs),
    /// Say what a plugin may do, and why something was denied.
    Explain(explain::ExplainArgs),
    /// Show who changed what, and what plugins did.
    Audit(audit::AuditArgs),
    /// Find problems, and say how to fix them.
    Doctor(doctor::DoctorArgs),
    /// Let the running host read its files again.
    Reload(reload::ReloadArgs),
    /// Show the rooms of accounts, and enter or leave them.
    Rooms(rooms::RoomsArgs),
    /// Show the contacts of accounts.
    Contacts(contacts::ContactsArgs),
    /// Send a message as an account.
    Say(say::SayArgs),
    /// Show keys for encrypted messages, and decide which to trust.
    Keys(keys::KeysArgs),
    /// Find plugins in the indexes that you added.
    Search(search::SearchArgs),
    /// Add, show, refresh and remove indexes of plugins.
    #[command(subcommand)]
    Index(index::IndexCommand),
    /// Add, remove and list accounts.
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Show the cluster, drain nodes, make its key, and move accounts in and out.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Write a backup of the host into a file.
    Backup(backup::BackupArgs),
    /// Restore a backup, where no host runs.
    Restore(backup::RestoreArgs),
    /// Serve a window in the browser, and log in to it.
    Web(web::WebArgs),
    /// Work on plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
    /// Print a completion script for a shell.
    Completions(manual::CompletionsArgs),
    /// Print a manual page, or write all of them.
    Man(manual::ManArgs),
    /// Compile a plugin; only the host runs this.
    #[command(name = COMMAND, hide = true)]
    Compile(compile::Compile),
}

impl Arguments {
    /// Parses the command line, or exits with an error.
    pub fn typed() -> Self {
        Self::try_parse().unwrap_or_else(|error| without_secrets(error).exit())
    }

    /// Runs the command, and returns its exit code: 0 success, 1 failure, 2 wrong usage (mostly found by clap), others
    /// by [`Ended`].
    pub fn execute(self) -> ExitCode {
        // Mark the error for readers who filter the journal by level.
        let before = if let Command::Run(run) = &self.command { run.before_failure() } else { "" };
        let result = match self.command {
            Command::Run(run) => run.execute(),
            Command::Init(init) => init.run(),
            Command::Status(status) => status.run(),
            Command::Top(top) => top.run(),
            Command::Logs(logs) => logs.run(),
            Command::Explain(explain) => explain.run(),
            Command::Audit(audit) => audit.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Reload(reload) => reload.run(),
            Command::Rooms(rooms) => rooms.run(),
            Command::Contacts(contacts) => contacts.run(),
            Command::Say(say) => say.run(),
            Command::Keys(keys) => keys.run(),
            Command::Search(search) => search.run(),
            Command::Index(index) => index.run(),
            Command::Account(account) => account.run(),
            Command::Cluster(cluster) => cluster.run(),
            Command::Backup(backup) => backup.run(),
            Command::Restore(restore) => restore.run(),
            Command::Web(web) => web.run(),
            Command::Plugin(plugin) => plugin.run(),
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
            Command::Compile(compile) => return compile.execute(),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            // A reader that closed the pipe has read enough.
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

/// Removes passwords from an error of clap, which repeats the command line: an address in it may hold a password, and
/// others may read the output.
fn without_secrets(error: clap::Error) -> clap::Error {
    let said = error.to_string();
    let shown = without_passwords(&said);
    if shown == said {
        return error;
    }
    clap::Error::raw(error.kind(), shown.strip_prefix("error: ").unwrap_or(&shown))
}

/// The exit code for a wrong usage, as in clap.
const USAGE: u8 = 2;

/// A command result with its own exit code.
#[derive(Debug, thiserror::Error)]
enum Ended {
    /// The command line is wrong in a way that clap cannot detect.
    #[error("{0}")]
    Usage(String),
    /// The owner declined, or was not there to agree.
    #[error("{0}")]
    Declined(String),
    /// No host runs with this data folder.
    #[error("no host runs with the data folder {}; `parlor run` starts one", .0.escaped())]
    NotRunning(PathBuf),
    /// The host with this data folder has stopped meanwhile.
    #[error("the host with the data folder {} has stopped; `parlor run` starts it again", .0.escaped())]
    Stopped(PathBuf),
    /// `parlor doctor` found problems.
    #[error("broken: {0} of the checks above; the report says what to do")]
    Broken(usize),
    /// A host runs, and an account or a plugin does not work.
    #[error("not well: {0}")]
    Unwell(String),
    /// A node of the cluster did not answer, and what the others have was shown.
    #[error("not all is shown: {0}")]
    Incomplete(String),
    /// A secret was compared with somebody, and was not the same.
    #[error("{0}")]
    Different(String),
    /// A plugin was ported, and lacks something.
    #[cfg_attr(not(feature = "authoring"), expect(dead_code, reason = "only authors port plugins"))]
    #[error("{0}")]
    Lacking(String),
    /// No account can log in without a change by the owner. A service manager must not restart the host: servers lock
    /// out accounts and addresses.
    #[error("{0}")]
    Futile(String),
}

impl Ended {
    fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(USAGE),
            Self::Declined(_) => ExitCode::from(3),
            Self::NotRunning(_) | Self::Stopped(_) => ExitCode::from(4),
            Self::Broken(_) | Self::Unwell(_) | Self::Incomplete(_) | Self::Different(_) | Self::Lacking(_) => {
                ExitCode::from(5)
            }
            Self::Futile(_) => ExitCode::from(6),
        }
    }
}

fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Runs a future to completion on a separate runtime.
fn wait_for<T>(future: impl Future<Output = T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the runtime cannot start")?;
    let value = runtime.block_on(future);
    // A hanging name look-up must not delay the exit.
    runtime.shutdown_background();
    Ok(value)
}

/// Prints the last error, and ignores a closed output. `before` is the prefix of each line.
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
