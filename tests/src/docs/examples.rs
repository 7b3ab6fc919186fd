//! The examples on the pages of groupings: parts of real files, each of which a test compiles.
//!
//! Those in Rust are the first ones in the SDK's own documentation, which are doc tests. The others stand in `tests/pages`, between
//! the marks `== GROUPING` and `==`; a test of the suite builds those plugins.

use std::fmt::Write as _;

use anyhow::{Context, Result};

/// The languages of `tests/pages`: as people call them, as a block of code has it, and the file.
const OTHERS: [(&str, &str, &str); 4] = [
    ("Python", "python", "python/plugin.py"),
    ("JavaScript, TypeScript", "ts", "ts/plugin.ts"),
    ("Go", "go", "go/plugin.go"),
    ("C", "c", "c/plugin.c"),
];

/// The examples of a grouping in each language.
pub(super) fn of(grouping: &str) -> Result<String> {
    let source = super::read(&format!("plugins-sdk/src/{grouping}.rs"))?;
    let rust =
        documented(&source).with_context(|| format!("plugins-sdk/src/{grouping}.rs has no example at its top"))?;
    let mut text = format!("## In each language\n\n**Rust**\n\n```rust\n{rust}```\n\n");
    for (language, block, file) in OTHERS {
        let source = super::read(&format!("tests/pages/{file}"))?;
        let part = marked(&source, grouping).with_context(|| format!("tests/pages/{file} has no part {grouping}"))?;
        // Writing to a string does not fail.
        let _ = write!(text, "**{language}**\n\n```{block}\n{part}```\n\n");
    }
    Ok(text)
}

/// The first example in the comment at the top of a module, without the lines that are not shown.
fn documented(source: &str) -> Option<String> {
    let comment = source.lines().map_while(|line| line.strip_prefix("//!"));
    let mut lines =
        comment.map(|line| line.strip_prefix(' ').unwrap_or(line)).skip_while(|line| !line.starts_with("```"));
    lines.next()?;
    let shown = lines.take_while(|line| *line != "```").filter(|line| *line != "#" && !line.starts_with("# "));
    Some(shown.flat_map(|line| [line, "\n"]).collect())
}

/// The part between the marks of a grouping, as far to the left as it goes.
fn marked(source: &str, grouping: &str) -> Option<String> {
    let is_mark = |line: &str, mark: &str| line.trim_start().trim_start_matches(['/', '#']).trim_start() == mark;
    let begin = format!("== {grouping}");
    let mut lines = source.lines().skip_while(|line| !is_mark(line, &begin));
    lines.next()?;
    let part: Vec<&str> = lines.take_while(|line| !is_mark(line, "==")).collect();
    let indented = part.iter().filter(|line| !line.trim().is_empty());
    let margin = indented.map(|line| line.len() - line.trim_start().len()).min()?;
    Some(part.iter().flat_map(|line| [line.get(margin..).unwrap_or_default(), "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_stands_between_its_marks() {
        let source = "a\n  // == rooms\n  b(\n    c\n\n  )\n  // ==\n  // == user\n  d\n  // ==\n";
        assert_eq!(marked(source, "rooms").unwrap(), "b(\n  c\n\n)\n");
        assert_eq!(marked(source, "user").unwrap(), "d\n");
        assert_eq!(marked(source, "room"), None);
    }

    #[test]
    fn what_doc_tests_hide_is_not_shown() {
        let source =
            "//! Rooms.\n//!\n//! ```no_run\n//! # use x;\n//! a();\n//!\n//! b();\n//! # }\n//! ```\n//!\n//! More.\n";
        assert_eq!(documented(source).unwrap(), "a();\n\nb();\n");
        assert_eq!(documented("//! Rooms.\n"), None);
    }
}
