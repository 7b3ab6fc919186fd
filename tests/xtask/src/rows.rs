//! The rows of the benchmark as its page has them, and which of them `--only` selects.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, bail};
use clap::ValueEnum as _;

use crate::flags::Part;

/// The page of the last whole run, below `docs`.
pub const PAGE: &str = "reference/performance.md";

/// Returns the page in the folder `docs`; empty before the first whole run.
pub fn page(docs: &Path) -> String {
    std::fs::read_to_string(docs.join(PAGE)).unwrap_or_default()
}

/// A row of the page. Its values are texts with units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRow<'a> {
    /// The part that it belongs to.
    pub part: Part,
    /// The quantity.
    pub what: &'a str,
    /// The measured value.
    pub measured: &'a str,
    /// What the value is compared with; empty if there is nothing.
    pub whose: &'a str,
    /// The ratio of both; empty if there is nothing.
    pub ratio: &'a str,
}

impl<'a> PageRow<'a> {
    /// Reads all rows of the page.
    pub fn all(page: &'a str) -> Vec<Self> {
        let (mut rows, mut part) = (Vec::new(), None);
        for line in page.lines() {
            if let Some(heading) = line.strip_prefix("## ") {
                part = Part::value_variants().iter().copied().find(|part| part.heading() == heading);
            }
            let (Some(part), Some(cells)) = (part, line.strip_prefix("| ")) else { continue };
            let cells: Vec<&str> = cells.split('|').map(str::trim).collect();
            let &[what, measured, beside, ratio, ..] = cells.as_slice() else { continue };
            if what != "what" {
                let whose = beside.rsplit_once(": ").map_or("", |(whose, _)| whose);
                rows.push(Self { part, what, measured, whose, ratio });
            }
        }
        rows
    }
}

/// The parts and rows that are wanted; all of them if nothing was selected.
#[derive(Debug, Default)]
pub struct Selection {
    parts: Vec<Part>,
    /// Texts of rows, each with a part that has such a row.
    texts: Vec<(Part, String)>,
}

impl Selection {
    /// Finds what the values of `--only` name: each is a part, text of a row's name on the page, or several of them with commas
    /// between. A row's name may have a comma, too.
    pub fn of(only: &[String], page: &str) -> Result<Self> {
        let (rows, mut selected) = (PageRow::all(page), Self::default());
        for value in only {
            if selected.add(value, &rows) {
                continue;
            }
            for text in value.split(',').map(str::trim) {
                if !selected.add(text, &rows) {
                    let parts: Vec<_> = Part::value_variants().iter().map(|part| part.name()).collect();
                    bail!(
                        "`--only {text}` names no part and no row of the last whole run; the parts are {}, and `cargo xtask bench \
                         --list` shows their rows",
                        parts.join(", ")
                    );
                }
            }
        }
        Ok(selected)
    }

    /// Adds a part, or the rows with this text. Returns whether there is one.
    fn add(&mut self, text: &str, rows: &[PageRow<'_>]) -> bool {
        if let Some(part) = Part::value_variants().iter().find(|part| part.name() == text) {
            self.parts.push(*part);
            return true;
        }
        let before = self.texts.len();
        let named = rows.iter().filter(|row| !text.is_empty() && row.what.contains(text));
        self.texts.extend(named.map(|row| (row.part, text.to_owned())));
        self.texts.len() > before
    }

    /// Returns whether nothing was selected, so that all is measured.
    pub fn is_whole(&self) -> bool {
        self.parts.is_empty() && self.texts.is_empty()
    }

    /// Returns whether a part must be measured.
    pub fn needs(&self, part: Part) -> bool {
        self.is_whole() || self.parts.contains(&part) || self.texts.iter().any(|(of, _)| *of == part)
    }

    /// Returns why another revision's host can be measured in none of the parts; `None` if it can.
    pub fn unpaired(&self) -> Option<&'static str> {
        let parts = Part::value_variants().iter().filter(|part| self.needs(**part));
        parts.map(|part| part.unpaired()).collect::<Option<Vec<_>>>()?.first().copied()
    }

    /// Returns whether a row is wanted.
    pub fn shows(&self, part: Part, what: &str) -> bool {
        let is_named = |(of, text): &(Part, String)| *of == part && what.contains(text.as_str());
        self.is_whole() || self.parts.contains(&part) || self.texts.iter().any(is_named)
    }
}

/// Lists all parts, each with its rows on the page.
pub fn listed(page: &str) -> String {
    let rows = PageRow::all(page);
    let mut text = "The parts, each with its rows in the last whole run:\n".to_owned();
    for part in Part::value_variants() {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "\n{}: {}", part.name(), part.title());
        // A row that is compared with several others is there several times.
        let mut names: Vec<&str> = Vec::new();
        for row in rows.iter().filter(|row| row.part == *part) {
            if !names.contains(&row.what) {
                let _ = writeln!(text, "  {}", row.what);
                names.push(row.what);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "# What parlor costs\n\n## Many plugins in one process, each answering\n\n\
        | what | measured | beside | ratio | goal | |\n|---|---|---|---|---|---|\n\
        | memory with 100, all awake | 20.1 MiB |  |  |  |  |\n\
        | memory of each of 100 | 108.2 KiB |  |  |  |  |\n\n\
        ## Plugins that are parked\n\n\
        | what | measured | beside | ratio | before | goal | |\n|---|---|---|---|---|---|---|\n\
        | memory of each of 1000 | 12.1 KiB |  |  | 12.0 KiB | at most 2.0 KiB | missed |\n\
        | first answer in C, p50 | 1210 µs | while it runs: 746.1 µs | 1.62 |  |  |  |\n\
        | first answer in C, p50 | 1210 µs | other revision: 1100 µs | 1.10 |  |  |  |\n";

    fn selected(only: &str) -> Selection {
        Selection::of(&[only.to_owned()], EXAMPLE).unwrap()
    }

    #[test]
    fn rows_are_read_from_a_page_with_and_without_the_run_before() {
        let rows = PageRow::all(EXAMPLE);
        assert_eq!(rows.len(), 5);
        assert_eq!(
            (rows[0].part, rows[0].what, rows[0].measured),
            (Part::Instances, "memory with 100, all awake", "20.1 MiB")
        );
        let first = PageRow {
            part: Part::Parked,
            what: "first answer in C, p50",
            measured: "1210 µs",
            whose: "while it runs",
            ratio: "1.62",
        };
        assert_eq!(rows[3], first);
    }

    #[test]
    fn text_of_rows_selects_the_parts_that_have_them_and_shows_only_these() {
        let both = selected("memory of each");
        assert!(both.needs(Part::Instances) && both.needs(Part::Parked) && !both.needs(Part::Echo));
        assert!(
            both.shows(Part::Parked, "memory of each of 100000") && !both.shows(Part::Parked, "first answer in C, p50")
        );
        // No row of the page has it there.
        assert!(!both.shows(Part::Accounts, "memory of each of 1000"));
        let with_comma = selected("answer in C, p50");
        assert!(with_comma.needs(Part::Parked) && !with_comma.needs(Part::Instances));
        assert!(Selection::of(&[], EXAMPLE).unwrap().is_whole());
    }

    #[test]
    fn a_part_is_selected_by_its_name_and_unknown_text_names_the_parts() {
        let parts = selected("echo,memory with");
        assert!(parts.shows(Part::Echo, "any row") && parts.shows(Part::Instances, "memory with 1"));
        assert!(!parts.shows(Part::Instances, "memory of each of 100") && !parts.is_whole());
        for unknown in ["ehco", "echo,", "what"] {
            let error = Selection::of(&[unknown.to_owned()], EXAMPLE).unwrap_err().to_string();
            assert!(error.contains("system-calls") && error.contains("--list"), "{error}");
        }
    }

    #[test]
    fn another_revision_needs_a_part_in_which_its_host_can_run() {
        for (only, can) in [("calls,storage", false), ("calls,echo", true), ("memory of each", true)] {
            assert_eq!(selected(only).unpaired().is_none(), can, "{only}");
        }
        assert_eq!(Selection::default().unpaired(), None);
    }

    #[test]
    fn a_list_has_all_parts_and_each_row_once() {
        let text = listed(EXAMPLE);
        assert!(Part::value_variants().iter().all(|part| text.contains(&format!("\n{}: ", part.name()))), "{text}");
        assert_eq!(text.matches("  first answer in C, p50\n").count(), 1, "{text}");
    }
}
