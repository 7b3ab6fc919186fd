//! Long texts on a terminal: wrapped between words, and shown by pages, so that nothing scrolls away unread.

use std::io;

use super::ask::{Terminal, found};
use super::show::{print, width};

/// The height of a terminal that does not say it.
const HEIGHT: usize = 24;
/// The lines of a page that stay free: for the question, and for the line that the cursor is in.
const FREE: usize = 2;
/// The fewest lines of a page.
const FEWEST: usize = 4;
/// The column at which a word begins that is too long to stand below the text of its line.
const NARROW: usize = 4;
/// Up to this column a gap in a line counts as the one between a label and its text.
const LABELS: usize = 24;

/// Shows a text. If it does not fit, each page waits for Enter. Returns whether the user has seen all of it, and did not quit.
///
/// The last page stays in view when a question follows.
pub(super) fn show(terminal: &Terminal, text: &str) -> anyhow::Result<bool> {
    let rows = rows(text, width());
    let mut left = &rows[..];
    for page in pages(rows.len(), height()) {
        let (now, later) = left.split_at(page);
        print(&now.join("\n"))?;
        left = later;
        if left.is_empty() {
            break;
        }
        let question = format!("-- Enter for the next page, q to quit; lines: {} more --", left.len());
        let goes_on = |answer: String| found(&answer, &[&["q", "quit"]]).is_none();
        if !terminal.ask(&question)?.is_some_and(goes_on) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns the number of lines of each page.
fn pages(rows: usize, height: usize) -> Vec<usize> {
    let most = height.saturating_sub(FREE).max(FEWEST);
    let (whole, rest) = (rows / most, rows % most);
    let mut pages = vec![most; whole];
    if rest > 0 {
        pages.push(rest);
    }
    pages
}

/// Returns the height of the terminal in lines.
fn height() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok();
    size.map(|size| usize::from(size.ws_row)).filter(|rows| *rows > 0).unwrap_or(HEIGHT)
}

/// Wraps a text between words. Lines that begin with a label continue below its text.
pub(super) fn rows(text: &str, width: usize) -> Vec<String> {
    let mut rows = Vec::new();
    for line in text.trim_end().split('\n') {
        wrap(line, width, &mut rows);
    }
    rows
}

/// Wraps one line.
fn wrap(line: &str, width: usize, rows: &mut Vec<String>) {
    let hang = Some(hang(line)).filter(|hang| hang * 2 < width).unwrap_or(0);
    let (mut row, mut column, mut gap, mut is_begun) = (String::new(), 0, 0, false);
    for (position, word) in line.split(' ').enumerate() {
        gap += usize::from(position > 0);
        if word.is_empty() {
            continue;
        }
        let columns = columns(word);
        if is_begun && column + gap + columns > width {
            // A digest stays whole if it can.
            let begin = if hang + columns > width && NARROW + columns <= width { NARROW } else { hang };
            rows.push(std::mem::replace(&mut row, " ".repeat(begin)));
            column = begin;
        } else {
            row.push_str(&" ".repeat(gap));
            column += gap;
        }
        (gap, is_begun) = (0, true);
        if column + columns <= width || word.contains('\x1b') {
            row.push_str(word);
            column += columns;
            continue;
        }
        // A word that is longer than a line.
        for one in word.chars() {
            if column + columns_of(one) > width {
                rows.push(std::mem::replace(&mut row, " ".repeat(hang)));
                column = hang;
            }
            row.push(one);
            column += columns_of(one);
        }
    }
    rows.push(row);
}

/// Returns the column at which a line continues: that of its text, if it begins with a label.
fn hang(line: &str) -> usize {
    let line = without_marks(line);
    let leading = line.chars().take_while(|one| *one == ' ').count();
    let text = line.trim_start_matches(' ');
    let label = text.find("  ").map(|at| {
        let spaces = text[at..].chars().take_while(|one| *one == ' ').count();
        leading + columns(&text[..at]) + spaces
    });
    let plain = if leading >= 4 { leading } else { leading + 2 };
    label.filter(|column| *column <= LABELS).unwrap_or(plain)
}

/// Removes the escape sequences of styles.
fn without_marks(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain + rest
}

/// Returns the width of a word on a terminal, in columns.
fn columns(word: &str) -> usize {
    without_marks(word).chars().map(columns_of).sum()
}

/// Returns the width of a character: two columns for those of East Asia and for pictures.
fn columns_of(one: char) -> usize {
    match u32::from(one) {
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_go_on_below_their_text() {
        let text = "  source    echo.wasm\n  setting   room_prefix (string): how a message begins\n          storage, which it needs: “to keep”";
        assert_eq!(
            rows(text, 40),
            [
                "  source    echo.wasm",
                "  setting   room_prefix (string): how a",
                "            message begins",
                "          storage, which it needs: “to",
                "          keep”",
            ]
        );
        assert_eq!(rows("a sentence that goes on", 12), ["a sentence", "  that goes", "  on"]);
        assert_eq!(rows("one\n\ntwo\n\n", 80), ["one", "", "two"]);
    }

    #[test]
    fn marks_take_no_place_and_stay_whole() {
        let marked = "  \x1b[33mmedium\x1b[0m  reads all that is written";
        assert_eq!(rows(marked, 24), ["  \x1b[33mmedium\x1b[0m  reads all that", "          is written"]);
    }

    #[test]
    fn a_word_that_is_too_long_is_broken_and_counted() {
        assert_eq!(rows("abcdefghij", 6), ["abcdef", "  ghij"]);
        assert_eq!(rows("漢字漢字", 6), ["漢字漢", "  字"]);
        assert_eq!(rows("  digest    sha256:0123456789", 27), ["  digest", "    sha256:0123456789"]);
        for width in 1..30 {
            let rows = rows("  label     juliet@example.org, 漢字 and a", width);
            assert!(rows.iter().all(|row| columns(row) <= width.max(2)), "{width}: {rows:?}");
        }
    }

    #[test]
    fn a_page_leaves_room_for_the_question() {
        assert_eq!(pages(22, 24), [22]);
        assert_eq!(pages(23, 24), [22, 1]);
        assert_eq!(pages(60, 24), [22, 22, 16]);
        assert_eq!(pages(9, 1), [4, 4, 1], "a terminal that is too low for one");
        assert!(pages(0, 24).is_empty());
    }
}
