//! What commands print: tables for people, JSON for programs, and colours where eyes are.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write as _};

use anyhow::Context as _;
use serde::Serialize;

use super::is_closed_pipe;
use crate::harmless::harmless;
use crate::permissions::Risk;

/// Adding what is formatted to a text.
pub(super) trait Put {
    /// Puts it at the end.
    fn put(&mut self, more: fmt::Arguments<'_>);
}

impl Put for String {
    fn put(&mut self, more: fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = self.write_fmt(more);
    }
}

/// Prints a text and a line's end. Whoever has read enough and left keeps nothing from being done, or from being told by the
/// exit code.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{}", text.trim_end()) {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        written => written.context("standard output"),
    }
}

/// What went wrong, in lines that move no cursor: it may repeat words out of a stranger's file, before anybody agreed to it.
pub(super) fn harmless_lines(text: &str) -> String {
    text.lines().map(|line| harmless(line, usize::MAX)).collect::<Vec<_>>().join("\n")
}

/// Prints a value as JSON, for programs.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

/// Columns under their heads, each as wide as its widest cell; the last one runs free.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(head.get(column).map(|cell| cell.len())).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    let head: Vec<_> = head.iter().map(ToString::to_string).collect();
    for row in std::iter::once(&head).chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.put(format_args!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A size with two digits or so: `12 KiB`, `1.5 MiB`.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn size(bytes: u64) -> String {
    let (unit, factor) = match bytes {
        0..1024 => return format!("{bytes} B"),
        1024..1_048_576 => ("KiB", 1_u64 << 10),
        1_048_576..1_073_741_824 => ("MiB", 1 << 20),
        _ => ("GiB", 1 << 30),
    };
    let amount = bytes as f64 / factor as f64;
    if amount < 10.0 { format!("{amount:.1} {unit}") } else { format!("{amount:.0} {unit}") }
}

/// A span of time by its largest two units: `3 h 12 min`.
pub(super) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days} d {} h", hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min {} s", seconds % 60),
        () => format!("{seconds} s"),
    }
}

/// How something is marked on a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// It matters.
    Bold,
    /// Look at this twice.
    Red,
    /// Take note.
    Yellow,
    /// Of less importance.
    Dim,
}

impl Mark {
    /// How much harm something can do.
    pub(super) fn of(risk: Risk) -> Self {
        match risk {
            Risk::High => Self::Red,
            Risk::Medium => Self::Yellow,
            Risk::Low => Self::Dim,
        }
    }
}

/// Whether colours are in place there: it is a terminal that has them, and its owner does not mind.
pub(super) fn is_for_eyes(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && has_colours(|name| std::env::var_os(name))
}

/// What the environment says of colours: nobody minds (`NO_COLOR`), and the terminal does not show them as letters, as those within
/// editors do.
fn has_colours(environment: impl Fn(&str) -> Option<OsString>) -> bool {
    environment("NO_COLOR").is_none_or(|value| value.is_empty())
        && environment("TERM").is_none_or(|term| term != "dumb")
}

/// The text, marked if the output is for eyes.
pub(super) fn marked(text: &str, mark: Mark) -> String {
    let plain = !is_for_eyes(&io::stdout());
    if plain {
        return text.to_owned();
    }
    let code = match mark {
        Mark::Bold => 1,
        Mark::Red => 31,
        Mark::Yellow => 33,
        Mark::Dim => 2,
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["echo".to_owned(), "ä".to_owned()], vec!["x".to_owned(), "running".to_owned()]];
        assert_eq!(table(&["PLUGIN", "ST"], &rows), "PLUGIN  ST\necho    ä\nx       running\n");
        assert_eq!(table(&["A"], &[]), "A\n");
    }

    #[test]
    fn colours_are_for_terminals_that_have_them_and_owners_who_want_them() {
        let has = |name: &'static str, value: &'static str| has_colours(|asked| (asked == name).then(|| value.into()));
        assert!(has("TERM", "xterm") && has("NO_COLOR", "") && has("NEITHER", "1"));
        assert!(!has("TERM", "dumb") && !has("NO_COLOR", "1"));
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!([0, 1023, 1024, 1_600_000, 5 << 30].map(size), ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 GiB"]);
        assert_eq!([5, 65, 3_700, 90_000].map(span), ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }
}
