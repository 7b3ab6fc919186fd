//! What each command showed, as a page of `docs/`. What is different each time is written as it would be on anybody's machine.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use parlor_tests::docs;

const HEAD: &str = "<!-- Made by `cargo xtask operate --screens` from what the program printed; a change here is lost. -->\n\n\
    # Screens\n\nWhat each command of an owner's shows. Folders, ports and times are those of one run.\n";

/// The screens so far.
#[derive(Debug, Default)]
pub(crate) struct Screens {
    all: Vec<(String, String, String)>,
}

impl Screens {
    /// Keeps what a command printed, under a title.
    pub(crate) fn keep(&mut self, title: &str, arguments: &[&str], output: &str, home: &Path) {
        let quoted = arguments
            .iter()
            .map(|one| if one.contains([' ', '*', '"', '\'']) { format!("'{one}'") } else { (*one).to_owned() });
        let command = quoted.collect::<Vec<_>>().join(" ");
        let output: String = output.replace("\x1b[0m", "").replace('\r', "");
        let output = without_colours(&output).replace(&home.display().to_string(), "/srv/parlor");
        self.all.push((title.to_owned(), command.replace(&home.display().to_string(), "/srv/parlor"), output));
    }

    /// Writes the page.
    pub(crate) fn write(&self) -> Result<()> {
        let mut text = HEAD.to_owned();
        for (title, command, output) in &self.all {
            write!(text, "\n## {title}\n\n```console\n$ parlor {command}\n{}\n```\n", output.trim_end())?;
        }
        std::fs::write(docs::folder().join("screens.md"), text)?;
        Ok(())
    }
}

/// The text without the marks that a terminal takes for colours.
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain + rest
}
