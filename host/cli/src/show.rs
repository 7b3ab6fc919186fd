//! The output of commands: tables for people, JSON for programs, and colours for terminals.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write as _};

use anyhow::Context as _;
use parlor_base::escape::{Reader, escape_untrusted};
use parlor_base::permission::Risk;
use serde::Serialize;

use super::is_closed_pipe;

/// Appends formatted text to a string.
pub(super) trait Put {
    /// Appends the text.
    fn put(&mut self, more: fmt::Arguments<'_>);
}

impl Put for String {
    fn put(&mut self, more: fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = self.write_fmt(more);
    }
}

/// The escape sequences that commands write themselves.
const MARKS: [&str; 5] = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m"];

/// The least width that an indented text has on a narrow terminal.
const NARROWEST: usize = 24;

/// Escapes a text for a terminal, which then interprets only line ends and the marks of [`marked`]. File names,
/// manifests and peers' texts may contain any other characters.
pub(super) fn for_terminal(text: &str) -> String {
    text.split('\n').map(one_line).collect::<Vec<_>>().join("\n")
}

/// Escapes one line likewise.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        line.push_str(&escape_untrusted(&rest[..at], usize::MAX));
        let mark = MARKS.iter().find(|mark| rest[at..].starts_with(**mark));
        let end = at + mark.map_or(1, |mark| mark.len());
        line.push_str(&mark.map_or_else(|| escape_untrusted(&rest[at..end], usize::MAX), ToString::to_string));
        rest = &rest[end..];
    }
    line + &escape_untrusted(rest, usize::MAX)
}

/// Prints a text and a line end. A closed pipe is not an error: the command continues, and its exit code counts.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{}", for_terminal(text.trim_end())) {
        Err(error) if is_closed_pipe(&error) => Ok(()),
        written => written.context("standard output"),
    }
}

/// Escapes each line of a text.
pub(super) fn escape_lines(text: &str) -> String {
    text.lines().map(|line| escape_untrusted(line, usize::MAX)).collect::<Vec<_>>().join("\n")
}

/// Escapes the text of an error, which may quote an unapproved file. All lines but the first are indented, so that none
/// can imitate the start of a line of parlor.
pub(super) fn error_lines(text: &str) -> String {
    escape_lines(text).replace('\n', "\n  ")
}

/// Prints a value as JSON, for programs.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&plain_json(&serde_json::to_string_pretty(value)?))
}

/// Escapes control and invisible characters in JSON. They only occur in strings, so the value stays the same.
pub(super) fn plain_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut reader = Reader::default();
    for one in json.chars() {
        if one != '\n' && reader.is_harmful(one) {
            for unit in one.encode_utf16(&mut [0; 2]) {
                text.put(format_args!("\\u{unit:04x}"));
            }
        } else {
            text.push(one);
        }
    }
    text
}

/// Formats rows as a table. Each column is as wide as its widest cell; the last is not padded.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    // Escape before measuring, and also line breaks.
    let rows: Vec<Vec<_>> =
        rows.iter().map(|row| row.iter().map(|cell| escape_untrusted(cell, usize::MAX)).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(head.get(column).map(|cell| cell.len())).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    let head: Vec<_> = head.iter().map(ToString::to_string).collect();
    for row in std::iter::once(&head).chain(&rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.put(format_args!("{cell:width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Adds a column with the node of each row, if any row has one.
pub(super) fn node_column<'n>(
    heads: &mut Vec<&str>,
    rows: &mut [Vec<String>],
    nodes: impl Iterator<Item = Option<&'n str>> + Clone,
) {
    if nodes.clone().any(|node| node.is_some()) {
        heads.push("NODE");
        for (row, node) in rows.iter_mut().zip(nodes) {
            row.push(node.unwrap_or("-").to_owned());
        }
    }
}

/// Returns a clause that names the node of a cluster; empty if there is none.
pub(super) fn on_node(node: Option<&str>) -> String {
    node.map(|node| format!(", node {node}")).unwrap_or_default()
}

/// Formats rows as a table. If that is wider than the terminal, the first cell of each row has its own line, and the others stand
/// below it.
pub(super) fn fitted(head: &[&str], rows: &[Vec<String>], terminal: Option<usize>) -> String {
    let whole = table(head, rows);
    let (Some(width), [first, others @ ..]) = (terminal, head) else { return whole };
    if whole.lines().all(|line| line.chars().count() <= width) {
        return whole;
    }
    let rest: Vec<Vec<_>> = rows.iter().map(|row| row.iter().skip(1).cloned().collect()).collect();
    let name = |row: &Vec<String>| row.first().map(|cell| escape_untrusted(cell, usize::MAX)).unwrap_or_default();
    let names = std::iter::once((*first).to_owned()).chain(rows.iter().map(name));
    let mut text = String::new();
    for (name, line) in names.zip(table(others, &rest).lines()) {
        text.put(format_args!("{name}\n  {}\n", hanging(line, 2, terminal)));
    }
    text
}

/// Returns the width of the terminal in columns; none if standard output is no terminal, or the width is unknown.
pub(super) fn terminal_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Returns the width of the terminal in columns; 80 without a terminal, or if it is unknown.
pub(super) fn width() -> usize {
    terminal_width().unwrap_or(80)
}

/// Formats a text that begins in this column, so that its further lines begin there, too. Lines that are too long for the terminal are
/// wrapped.
pub(super) fn hanging(text: &str, column: usize, terminal: Option<usize>) -> String {
    let room = terminal.map_or(usize::MAX, |width| width.saturating_sub(column).max(NARROWEST));
    let fit = |line: &str| if line.chars().count() <= room { line.to_owned() } else { wrapped(line, room) };
    let lines: Vec<_> = text.split('\n').map(fit).collect();
    lines.join("\n").replace('\n', &format!("\n{:column$}", ""))
}

/// Wraps a sentence at `width` columns, with all but the first line indented. Words stay whole, however long, and so do
/// commands in backticks, which people copy.
pub(super) fn wrapped(sentence: &str, width: usize) -> String {
    // Escape before measuring.
    let sentence = escape_untrusted(sentence, usize::MAX);
    let (mut text, mut column, mut is_command) = (String::new(), 0, false);
    let parts = sentence.split_inclusive(|one: char| {
        is_command ^= one == '`';
        one == ' ' && !is_command
    });
    for part in parts {
        let word = part.trim_end_matches(' ');
        let columns = word.chars().count();
        if column == 0 {
            column = columns;
        } else if column + 1 + columns <= width {
            text.push(' ');
            column += 1 + columns;
        } else {
            text.push_str("\n  ");
            column = 2 + columns;
        }
        text.push_str(word);
    }
    text
}

/// Formats a time of RFC 3339 in UTC to the second: `2026-11-20 06:24:00`.
pub(super) fn second(at: &str) -> String {
    at.split('.').next().unwrap_or_default().trim_end_matches('Z').replace('T', " ")
}

/// Formats a size with about two digits: `12 KiB`, `1.5 MiB`.
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

/// Formats a duration by its largest two units: `3 h 12 min`.
pub(super) fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days} d {} h", hours % 24),
        () if hours > 0 => format!("{hours} h {} min", minutes % 60),
        () if minutes > 0 => format!("{minutes} min {} s", seconds % 60),
        () => format!("{seconds} s"),
    }
}

/// Formats a time to the second, as in RFC 3339: it removes the fraction, not the zone.
pub(super) fn moment(at: &str) -> String {
    match at.split_once('.') {
        Some((seconds, fraction)) => {
            let zone = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            format!("{seconds}{zone}")
        }
        None => at.to_owned(),
    }
}

/// A style on a terminal.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// Important text.
    Bold,
    /// High risk, or an error.
    Red,
    /// Medium risk, or a warning.
    Yellow,
    /// Less important text.
    Dim,
}

impl Mark {
    /// Returns the style for a risk.
    pub(super) fn of(risk: Risk) -> Self {
        match risk {
            Risk::High => Self::Red,
            Risk::Medium => Self::Yellow,
            Risk::Low => Self::Dim,
        }
    }
}

/// Returns whether a stream should have colours: it is a terminal that supports them, and the user does not object.
pub(super) fn is_for_eyes(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && has_colours(|name| std::env::var_os(name))
}

/// Returns whether the environment allows colours: no `NO_COLOR`, and no terminal that shows escapes as text, as those
/// in editors do.
fn has_colours(environment: impl Fn(&str) -> Option<OsString>) -> bool {
    environment("NO_COLOR").is_none_or(|value| value.is_empty())
        && environment("TERM").is_none_or(|term| term != "dumb")
}

/// Styles a text if standard output is a terminal with colours.
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
    fn a_table_that_is_too_wide_for_the_terminal_has_its_first_column_above() {
        let rows = [vec!["hall@muc.example.org".to_owned(), "joined".to_owned(), "12".to_owned()]];
        let head = ["ROOM", "STATE", "PEOPLE"];
        let whole = "ROOM                  STATE   PEOPLE\nhall@muc.example.org  joined  12\n";
        assert_eq!(fitted(&head, &rows, None), whole);
        assert_eq!(fitted(&head, &rows, Some(36)), whole);
        let above = "ROOM\n  STATE   PEOPLE\nhall@muc.example.org\n  joined  12\n";
        assert_eq!(fitted(&head, &rows, Some(35)), above);
        assert_eq!(fitted(&head, &[], Some(10)), "ROOM\n  STATE  PEOPLE\n");
    }

    #[test]
    fn further_lines_of_a_text_begin_where_the_first_one_does() {
        let text = "the server has no carbons: turn it on there\n  | x = 1";
        assert_eq!(hanging(text, 4, None), "the server has no carbons: turn it on there\n      | x = 1");
        let narrow = "the server has no carbons: turn\n      it on there\n      | x = 1";
        assert_eq!(hanging(text, 4, Some(36)), narrow);
        assert!(hanging(text, 60, Some(40)).lines().count() > 2, "it is never narrower than some words");
    }

    #[test]
    fn nothing_that_a_stranger_wrote_is_obeyed() {
        let wild = "a\x1b[2Jb\u{202e}c\u{3164}d\r";
        let escaped = "a\\u{1b}[2Jb\\u{202e}c\\u{3164}d\\u{d}";
        assert_eq!(for_terminal(&format!("{wild}\n{wild}")), format!("{escaped}\n{escaped}"));
        assert_eq!(for_terminal("\x1b[1mecho\x1b[0m: \x1b[33myes\x1b[0m"), "\x1b[1mecho\x1b[0m: \x1b[33myes\x1b[0m");
        let cell = "plugins/\x1b[31m\nPLUGIN  fake".to_owned();
        assert_eq!(table(&["SOURCE"], &[vec![cell]]), "SOURCE\nplugins/\\u{1b}[31m\\u{a}PLUGIN  fake\n");
        let json = plain_json(&serde_json::to_string_pretty(&[wild, "\u{e0041}", "größe"]).unwrap());
        assert!(!json.contains(['\x1b', '\u{202e}', '\u{3164}', '\u{e0041}']), "{json}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&json).unwrap(), [wild, "\u{e0041}", "größe"]);
    }

    #[test]
    fn a_sentence_is_broken_between_words_and_a_command_is_not() {
        let sentence = "echo on main: 26 calls denied; `parlor explain echo` says why";
        assert_eq!(wrapped(sentence, 80), sentence);
        assert_eq!(wrapped(sentence, 61), sentence);
        assert_eq!(wrapped(sentence, 60), "echo on main: 26 calls denied; `parlor explain echo` says\n  why");
        assert_eq!(wrapped(sentence, 40), "echo on main: 26 calls denied;\n  `parlor explain echo` says why");
        assert_eq!(wrapped("a longer-than-that b", 8), "a\n  longer-than-that\n  b");
        assert_eq!(wrapped("a\nb\u{a0}c ", 80), "a\\u{a}b\\u{a0}c");
    }

    #[test]
    fn no_further_line_of_an_error_passes_for_one_of_parlor() {
        let text = "no plugin at a\nparlor: z is safe\r\n\n  | x = 1\n";
        assert_eq!(error_lines(text), "no plugin at a\n  parlor: z is safe\n  \n    | x = 1");
    }

    #[test]
    fn colours_are_for_terminals_that_have_them_and_owners_who_want_them() {
        let has = |name: &'static str, value: &'static str| has_colours(|asked| (asked == name).then(|| value.into()));
        assert!(has("TERM", "xterm") && has("NO_COLOR", "") && has("NEITHER", "1"));
        assert!(!has("TERM", "dumb") && !has("NO_COLOR", "1"));
    }

    #[test]
    fn a_moment_keeps_its_zone() {
        assert_eq!(moment("2026-11-20T06:24:00.123456Z"), "2026-11-20T06:24:00Z");
        assert_eq!(moment("2026-11-20T06:24:00.5+01:00"), "2026-11-20T06:24:00+01:00");
        assert_eq!(moment("2026-11-20T06:24:00Z"), "2026-11-20T06:24:00Z");
    }

    #[test]
    fn amounts_are_short() {
        assert_eq!([0, 1023, 1024, 1_600_000, 5 << 30].map(size), ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "5.0 GiB"]);
        assert_eq!([5, 65, 3_700, 90_000].map(span), ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }
}
