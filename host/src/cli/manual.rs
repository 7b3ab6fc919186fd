//! `parlor completions` and `parlor man`: what shells and manuals know of the commands, made from the commands themselves.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Ended;
use super::show::print;

/// For which shell.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor completions bash > /usr/share/bash-completion/completions/parlor\n  parlor completions zsh > /usr/share/zsh/site-functions/_parlor\n  parlor completions fish > ~/.config/fish/completions/parlor.fish\n\nExit codes: 0 printed, 1 failed, 2 wrong usage"
)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints them.
    pub fn run(&self) -> anyhow::Result<()> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut typed(), "parlor", &mut text);
        print(&String::from_utf8_lossy(&text))
    }
}

/// The commands that people type. Those that a host runs for itself would be offered by shells, although no help shows them.
fn typed() -> Command {
    let all = super::Arguments::command();
    let typed = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("parlor").version(env!("CARGO_PKG_VERSION")).subcommands(typed)
}

/// Of which command.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor man plugin add | man -l -\n  parlor man --to /usr/share/man/man1     all pages, one file each\n\nExit codes: 0 done, 1 failed, 2 wrong usage"
)]
pub struct ManArgs {
    /// The command, such as `plugin add`; none: parlor itself.
    command: Vec<String>,
    /// Write all pages into this folder.
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    to: Option<PathBuf>,
}

impl ManArgs {
    /// Prints one, or writes all.
    pub fn run(&self) -> anyhow::Result<()> {
        let mut command = super::Arguments::command();
        command.build();
        if let Some(folder) = &self.to {
            let cannot = || format!("cannot write manual pages into {}", folder.display());
            std::fs::create_dir_all(folder).with_context(cannot)?;
            return clap_mangen::generate_to(super::Arguments::command(), folder).with_context(cannot);
        }
        let mut found: &Command = &command;
        for name in &self.command {
            let Some(next) = found.find_subcommand(name) else {
                bail!(Ended::Usage(format!("{} has no command {name:?}", found.get_name())));
            };
            found = next;
        }
        let mut text = Vec::new();
        Man::new(found.clone()).render(&mut text).context("the manual page")?;
        std::io::stdout().lock().write_all(&text).context("standard output")
    }
}
