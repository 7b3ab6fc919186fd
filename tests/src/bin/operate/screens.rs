//! The output of each command, as a page of `docs/`. Values that differ in each run are replaced by typical ones.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use parlor_tests::docs;

const PAGE: &str = "reference/screens.md";
const HEAD: &str = "<!-- Made by `cargo xtask operate --screens` from what the program printed; a change here is lost. -->\n\n\
    # Screens\n\nThe output of each owner's command. Folders, ports and times are those of one run.\n";

/// The screens so far.
#[derive(Debug)]
pub(crate) struct Screens {
    /// Whether the page is rewritten instead of compared.
    pub(crate) rewrites: bool,
    all: Vec<(String, String, String)>,
}

impl Screens {
    pub(crate) fn new(rewrites: bool) -> Self {
        Self { rewrites, all: Vec::new() }
    }

    /// Adds a command's output under a title.
    pub(crate) fn keep(&mut self, title: &str, arguments: &[&str], output: &str, home: &Path) {
        let quoted = arguments
            .iter()
            .map(|one| if one.contains([' ', '*', '"', '\'']) { format!("'{one}'") } else { (*one).to_owned() });
        let command = quoted.collect::<Vec<_>>().join(" ");
        let output: String = output.replace("\x1b[0m", "").replace('\r', "");
        let output = without_colours(&output).replace(&home.display().to_string(), "/srv/parlor");
        self.all.push((title.to_owned(), command.replace(&home.display().to_string(), "/srv/parlor"), output));
    }

    /// Returns the number of screens.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Writes the page.
    pub(crate) fn write(&self) -> Result<()> {
        std::fs::write(docs::folder().join(PAGE), self.page()?).context(PAGE)
    }

    /// Compares with the page, ignoring values that differ in each run.
    pub(crate) fn compare(&self) -> Result<()> {
        let (written, shown) = (std::fs::read_to_string(docs::folder().join(PAGE)).context(PAGE)?, self.page()?);
        let (mut written, mut shown) = (lasting(&written).into_iter(), lasting(&shown).into_iter());
        loop {
            match (written.next(), shown.next()) {
                (None, None) => return Ok(()),
                (written, shown) if written == shown => {}
                (written, shown) => bail!(
                    "docs/{PAGE} says {:?}, the program {:?}; `cargo xtask operate --screens` writes it anew",
                    written.unwrap_or_default(),
                    shown.unwrap_or_default()
                ),
            }
        }
    }

    fn page(&self) -> Result<String> {
        let mut text = HEAD.to_owned();
        for (title, command, output) in &self.all {
            write!(text, "\n## {title}\n\n```console\n$ parlor {command}\n{}\n```\n", output.trim_end())?;
        }
        Ok(text)
    }
}

/// Returns the lines of a page without values that differ in each run: figures, names made of them, units, and the
/// width of columns.
fn lasting(page: &str) -> Vec<String> {
    let is_figure = |word: &str| word == "-" || word.contains(|letter: char| letter.is_ascii_digit());
    let is_unit = |word: &str| matches!(word.trim_end_matches(','), "B" | "KiB" | "MiB" | "GiB" | "TiB");
    let mask = |word| if is_figure(word) { "#" } else { word };
    page.lines()
        .map(|line| line.split_whitespace().filter(|word| !is_unit(word)).map(mask).collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect()
}

/// Returns the text without terminal colours.
fn without_colours(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain + rest
}
