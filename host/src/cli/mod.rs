//! The command line: arguments become calls into the library. One file for each command.

pub mod init;
pub mod plugin;
pub mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A bot house for XMPP: plugins that strangers wrote, held to what you granted.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  parlor init --jid bot@example.org    write a commented parlor.toml\n  parlor run                           log in and run the plugins of plugins.toml\n  parlor plugin build my-plugin        make a plugin from its folder"
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Log in and run the plugins that the policy allows.
    Run(run::Run),
    /// Write a commented configuration.
    Init(Init),
    /// Work on plugins.
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),
}

/// Where `parlor init` writes.
#[derive(Debug, clap::Args)]
struct Init {
    /// The configuration to write; it must not be there yet.
    #[arg(long, default_value = "parlor.toml")]
    config: PathBuf,
    /// The account's address.
    #[arg(long)]
    jid: Option<String>,
}

impl Arguments {
    /// Does what was asked, and says how it went: 0 fine, 1 failed (2, a wrong usage, is clap's).
    pub fn execute(self) -> ExitCode {
        let result = match self.command {
            Command::Run(run) => run.execute(),
            Command::Init(Init { config, jid }) => init::init(&config, jid.as_deref()).map(|written| {
                for file in written {
                    say(&format!("wrote {}", file.display()));
                }
            }),
            Command::Plugin(plugin) => plugin.run(),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                fail(&format!("{error:#}"));
                ExitCode::FAILURE
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "what the command was asked for")]
fn say(message: &str) {
    println!("{message}");
}

#[expect(clippy::print_stderr, reason = "the last word to whoever typed the command")]
fn fail(message: &str) {
    eprintln!("parlor: {message}");
}
