//! The page about the command line, made from each command's `--help`.

use std::fmt::Write as _;

use clap::{Command, CommandFactory as _};

/// The width of the lines.
const WIDTH: usize = 120;

pub(super) fn page() -> String {
    let mut page = "# Commands\n\nEach command of `parlor`, as `--help` shows it. The commands for authors are missing in a program that was built with \
        `--no-default-features`, and `--traces` in one that was built without `--features opentelemetry`.\n"
        .to_owned();
    let mut parlor = parlor_cli::Arguments::command().term_width(WIDTH);
    // Names the program in the usage of each subcommand.
    parlor.build();
    add(&mut parlor, "parlor", &mut page);
    page
}

/// Adds a command, and then those below it.
fn add(command: &mut Command, name: &str, page: &mut String) {
    // The values of this process' environment must not appear as defaults.
    let help = command.clone().mut_args(|argument| argument.hide_env_values(true)).render_long_help().to_string();
    // Writing to a string does not fail.
    let _ = write!(page, "\n## {name}\n\n```text\n");
    for line in help.trim_end().lines() {
        let _ = writeln!(page, "{}", line.trim_end());
    }
    page.push_str("```\n");
    let below: Vec<_> =
        command.get_subcommands_mut().filter(|one| !one.is_hide_set() && one.get_name() != "help").collect();
    for one in below {
        let name = format!("{name} {}", one.get_name());
        add(one, &name, page);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_has_commands_of_each_depth_and_none_that_is_hidden() {
        let page = super::page();
        for heading in ["parlor", "parlor run", "parlor plugin", "parlor plugin data export"] {
            assert!(page.contains(&format!("\n## {heading}\n\n```text\n")), "{heading} is missing");
        }
        assert!(!page.contains(parlor_runtime::compiler::COMMAND), "only the host runs that");
        assert!(!page.contains("[env: PARLOR_DATA=]"), "values of the environment are hidden");
    }
}
