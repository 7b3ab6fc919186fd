//! `parlor completions` and `parlor man`: what shells and manuals know of the commands, made from the commands themselves.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Ended;
use super::show::print;
use crate::harmless::EscapedPath as _;

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
            let cannot = || format!("cannot write manual pages into {}", folder.escaped());
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How wide help is at most, as clap has it.
    const WIDTH: usize = 100;

    fn look(command: &Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
        for (line, next) in help.lines().zip(help.lines().skip(1)) {
            assert!(!is_prose(line) || !is_prose(next), "{}: {line:?} goes on in {next:?}", command.get_name());
        }
        for line in help.lines().filter(|line| line.starts_with(' ')) {
            assert!(line.chars().count() <= WIDTH, "{}: {line:?}", command.get_name());
        }
        command.get_subcommands().for_each(look);
    }

    /// What is broken by hand is broken by the terminal once more, elsewhere; and an example that it breaks is no line to copy.
    #[test]
    fn help_leaves_it_to_the_terminal_where_lines_end() {
        look(&super::super::Arguments::command());
    }
}
