//! `parlor completions` and `parlor man`: completion scripts and manual pages, generated from the commands.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Arg, Args, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use parlor_base::escape::EscapedPath as _;
use parlor_base::id::PluginId;
use parlor_config::AccountName;

use super::Ended;
use super::show::{Put as _, print};

/// The arguments of `parlor completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  parlor completions bash > /usr/share/bash-completion/completions/parlor\n  parlor completions zsh > /usr/share/zsh/site-functions/_parlor\n  parlor completions fish > ~/.config/fish/completions/parlor.fish\n\nExit codes: 0 printed, 1 failed, 2 wrong usage"
)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints the script.
    pub fn run(&self) -> anyhow::Result<()> {
        print(&completions(self.shell))
    }
}

/// Names that shells complete in addition to commands and flags.
struct Names {
    /// Returns whether an argument takes such a name.
    is_taken_by: fn(&Arg) -> bool,
    /// The id of these arguments.
    argument: &'static str,
    /// The command that prints the names. They contain no characters that are special to a shell.
    command: &'static str,
}

/// The ids of installed plugins ([`PluginId`]), and the accounts ([`AccountName`]).
const ALL: [Names; 2] = [
    Names {
        is_taken_by: |one| one.get_value_parser().type_id() == TypeId::of::<PluginId>(),
        argument: "plugin",
        command: "parlor plugin list --names 2>/dev/null",
    },
    Names {
        is_taken_by: |one| one.get_value_parser().type_id() == TypeId::of::<AccountName>(),
        argument: "account",
        command: "parlor account list --names 2>/dev/null",
    },
];

/// Generates clap's script for a shell. In bash, zsh and fish it also completes names, which it queries from parlor.
fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut typed(), "parlor", &mut text);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    for names in &ALL {
        let mut commands = Vec::new();
        find_commands(&typed(), names, &mut Vec::new(), &mut commands);
        text = match shell {
            Shell::Bash => with_names_in_bash(&text, names, &commands),
            Shell::Zsh => with_names_in_zsh(&text, names),
            Shell::Fish => text + &names_in_fish(names, &commands),
            _ => text,
        };
    }
    text
}

/// Finds the commands that take such a name, each as its words.
fn find_commands(command: &Command, names: &Names, words: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let takes = |one: &Arg| one.get_id() == names.argument && (names.is_taken_by)(one);
    if command.get_positionals().any(takes) {
        found.push(words.clone());
    }
    for one in command.get_subcommands() {
        words.push(one.get_name().to_owned());
        find_commands(one, names, words, found);
        words.pop();
    }
}

/// Adds names to bash's script, which lists the words of a command in its branch of one `case`.
fn with_names_in_bash(text: &str, names: &Names, commands: &[Vec<String>]) -> String {
    let branches: Vec<_> =
        commands.iter().map(|words| format!("parlor__subcmd__{})", words.join("__subcmd__"))).collect();
    let (mut script, mut is_named) = (String::new(), false);
    for line in text.lines() {
        let trimmed = line.trim();
        is_named |= branches.iter().any(|branch| branch == trimmed);
        match line.strip_suffix('"').filter(|_| is_named && trimmed.starts_with("opts=\"")) {
            Some(words) => {
                script.put(format_args!("{words} $({})\"\n", names.command));
                is_named = false;
            }
            None => script.put(format_args!("{line}\n")),
        }
    }
    script
}

/// Adds names to zsh's script, in which each argument names its completion function.
fn with_names_in_zsh(text: &str, names: &Names) -> String {
    let Names { argument, command, .. } = names;
    let mut script = String::new();
    for line in text.lines() {
        // The function must be defined before the script calls itself.
        if line.starts_with("if [ \"$funcstack[1]\"") {
            script.put(format_args!(
                "(( $+functions[_parlor_{argument}s] )) ||\n_parlor_{argument}s() {{\n    compadd -- ${{(f)\"$({command})\"}}\n}}\n\n"
            ));
        }
        let begins = ["':", "'::", "'*:", "'*::"].map(|begin| format!("{begin}{argument} -- "));
        let is_taken = begins.iter().any(|begin| line.starts_with(begin.as_str()));
        match line.split_once(":_default'").filter(|_| is_taken) {
            Some((before, after)) => script.put(format_args!("{before}:_parlor_{argument}s'{after}\n")),
            None => script.put(format_args!("{line}\n")),
        }
    }
    script
}

/// Returns lines for fish, each of which completes names for several commands.
fn names_in_fish(names: &Names, commands: &[Vec<String>]) -> String {
    let (mut plain, mut below) = (Vec::new(), BTreeMap::<&str, Vec<&str>>::new());
    for words in commands {
        match words.as_slice() {
            [one] => plain.push(one.as_str()),
            [first, second, ..] => below.entry(first).or_default().push(second),
            [] => {}
        }
    }
    let mut lines = String::new();
    let mut put =
        |seen: &str| lines.put(format_args!("complete -c parlor -n \"{seen}\" -f -a \"({})\"\n", names.command));
    if !plain.is_empty() {
        put(&format!("__fish_parlor_using_subcommand {}", plain.join(" ")));
    }
    for (first, all) in below {
        put(&format!("__fish_parlor_using_subcommand {first}; and __fish_seen_subcommand_from {}", all.join(" ")));
    }
    lines
}

/// Returns the commands for users. Shells would offer the host's internal ones, although help hides them.
fn typed() -> Command {
    let all = super::Arguments::command();
    let typed = all.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("parlor").version(env!("CARGO_PKG_VERSION")).subcommands(typed)
}

/// The arguments of `parlor man`.
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
    /// Prints one page, or writes all.
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

    /// Returns the words that bash offers after these, with two plugins installed.
    fn offered(words: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("parlor.bash");
        std::fs::write(&file, completions(Shell::Bash)).unwrap();
        let script = r#"parlor() { case "$*" in
                "plugin list --names") printf '%s\n' echo repeat ;;
                "account list --names") printf '%s\n' main second ;;
            esac; }
            source "$0"; COMP_WORDS=(parlor "$@"); COMP_CWORD=$#
            _parlor parlor "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"; printf '%s\n' "${COMPREPLY[@]}""#;
        let output = std::process::Command::new("bash").args(["-c", script]).arg(file).args(words).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn bash_completes_the_id_of_a_plugin_where_one_is_asked_for() {
        assert_eq!(offered(&["plugin", "remove", "e"]), ["echo"]);
        assert_eq!(offered(&["status", "re"]), ["repeat"]);
        let all = offered(&["explain", ""]);
        assert!(["echo", "repeat", "--json"].iter().all(|word| all.iter().any(|one| one == word)), "{all:?}");
        // These take a new name, a folder, or a command, but no plugin id.
        for words in [&["plugin", "new", "e"][..], &["plugin", "test", "e"], &["doctor", "e"], &["plugin", "ec"]] {
            assert!(!offered(words).contains(&"echo".to_owned()), "{words:?}");
        }
    }

    #[test]
    fn bash_completes_the_name_of_an_account_where_one_is_asked_for() {
        assert_eq!(offered(&["account", "remove", "s"]), ["second"]);
        assert!(offered(&["keys", "m"]).contains(&"main".to_owned()));
        // A new account has a new name.
        assert!(!offered(&["account", "add", "m"]).contains(&"main".to_owned()));
        assert!(offered(&["account", "r"]).contains(&"remove".to_owned()));
    }

    /// These shells are not available everywhere, so the scripts are not run.
    #[test]
    fn zsh_and_fish_ask_for_the_ids_at_the_same_places() {
        let zsh = completions(Shell::Zsh);
        assert!(zsh.contains("':plugin -- The plugin:_parlor_plugins' \\\n"), "{zsh}");
        assert!(!zsh.lines().any(|line| line.contains(":plugin -- ") && line.contains(":_default'")), "{zsh}");
        assert!(
            zsh.find("_parlor_plugins() {\n    compadd -- ").unwrap() < zsh.find("compdef _parlor parlor").unwrap()
        );
        let fish = completions(Shell::Fish);
        let plugins = ALL[0].command;
        let asks = format!("-f -a \"({plugins})\"\n");
        assert!(fish.contains(&format!("\"__fish_parlor_using_subcommand status logs explain\" {asks}")), "{fish}");
        let below: Vec<_> =
            fish.lines().filter(|line| line.contains("plugin; and __fish_seen") && line.contains(plugins)).collect();
        assert!(below.len() == 1 && below[0].contains(" remove ") && !below[0].contains(" new"), "{below:?}");
    }

    /// The width of help in clap.
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

    fn lists_its_exit_codes(command: &Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Exit codes"), "{} lists no exit codes", command.get_name());
        command.get_subcommands().for_each(lists_its_exit_codes);
    }

    /// docs/owner/control.md says so.
    #[test]
    fn help_of_each_command_lists_its_exit_codes() {
        typed().get_subcommands().for_each(lists_its_exit_codes);
    }

    /// A line that is broken by hand is broken again by a narrow terminal. An example that is broken cannot be copied.
    #[test]
    fn help_leaves_it_to_the_terminal_where_lines_end() {
        look(&super::super::Arguments::command());
    }
}
