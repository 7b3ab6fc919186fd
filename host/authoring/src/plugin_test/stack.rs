//! Recognizes stack traces in a plugin's log, as the languages and their SDKs write them: the lines with the error, and
//! the lines with the places.
//!
//! A log entry is one line here; the line ends within it are written `\u{a}`.

use parlor_base::escape::{LINE_END, with_line_ends};

use super::trace::and_others;

/// The first line of a stack trace in Python; the lines after it are indented.
const TRACEBACK: &str = "Traceback (most recent call last):";
/// The beginning of a line in it that names a file.
const FILE: &str = "  File \"/";
/// The folder of the author's files when a plugin in Python is built. The SDK and Python's library have other numbers.
const OWN_FILE: &str = "  File \"/0/";
/// The indentation of a function's location in Go.
const TAB: &str = "\\u{9}";
/// The text before each function of a stack trace in JavaScript.
const AT: &str = "    at ";

/// The kind of a line within one log entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A message.
    Words,
    /// The first line of a stack trace.
    Head,
    /// A function of the author's.
    Own,
    /// A function of the SDK or of the language.
    Others,
}

/// Splits a transcript line into its prefix and the text that was logged, or the reason for which the plugin ended.
/// Returns `None` for any other line.
fn split(line: &str) -> Option<(&str, &str)> {
    let said = match line.strip_prefix("log ") {
        Some(logged) => logged.split_once(": ")?.1,
        None => line.strip_prefix("plugin ends: ")?,
    };
    Some((line.strip_suffix(said)?, said))
}

/// Returns a line in the form that a test stores. Of a log entry with a stack trace it keeps what went wrong. The
/// locations are dropped, since they move with the next change of the code.
pub(super) fn held(line: &str) -> String {
    let Some((before, said)) = split(line) else { return line.to_owned() };
    let (mut text, mut is_cut, mut goes_on) = (before.to_owned(), false, false);
    for part in sentences(said) {
        if let Some(part) = part {
            if goes_on {
                text += LINE_END;
            }
            text += part;
        } else {
            is_cut = true;
            if !text.ends_with('*') {
                text.push('*');
            }
        }
        goes_on = part.is_some();
    }
    if is_cut { text + " (glob)" } else { text }
}

/// Formats a log entry over several lines for authors. If the stack trace contains functions of the author's, those of
/// the SDK and the language are only counted.
pub fn for_authors(line: &str) -> String {
    let (before, said) = split(line).unwrap_or(("", line));
    let parts = parts(said);
    if !parts.iter().any(|(kind, _)| *kind == Kind::Own) {
        return with_line_ends(line);
    }
    let mut lines: Vec<_> = parts
        .iter()
        .filter_map(|(kind, part)| match kind {
            Kind::Others => None,
            Kind::Own => Some(without_numbers(part)),
            Kind::Words | Kind::Head => Some((*part).to_owned()),
        })
        .collect();
    let others = parts.iter().filter(|(kind, part)| *kind == Kind::Others && is_place(part)).count();
    if others > 0 {
        lines.push(and_others(others));
    }
    with_line_ends(&(before.to_owned() + &lines.join("\n")))
}

/// Removes a Go function's arguments, which are numbers: `main.answer({0x19b0b8, 0x1bb1c0}, 0x2ee000)`.
fn without_numbers(part: &str) -> String {
    match part.rsplit_once('(') {
        Some((name, given)) if !part.starts_with([' ', '\\']) && given.ends_with(')') && given.contains("0x") => {
            format!("{name}(...)")
        }
        _ => part.to_owned(),
    }
}

/// Returns the lines of a log entry, with `None` for each line that is a location in the code.
fn sentences(line: &str) -> Vec<Option<&str>> {
    let mut sentences = Vec::new();
    for (kind, part) in parts(line) {
        // A panic message of Rust.
        if let Some((before, _)) = part.split_once("panicked at ").filter(|_| part.ends_with(':')) {
            sentences.extend([Some(&part[..before.len() + "panicked at ".len()]), None]);
            continue;
        }
        sentences.push((kind == Kind::Words).then_some(part));
    }
    sentences
}

/// Returns the lines of a log entry, each with its kind.
fn parts(line: &str) -> Vec<(Kind, &str)> {
    let lines: Vec<&str> = line.split(LINE_END).collect();
    let (mut parts, mut in_traceback, mut is_go) = (Vec::new(), None, false);
    for (index, &part) in lines.iter().enumerate() {
        let kind = if is_go {
            // The function's location is on the line below it.
            of_go(if part.starts_with(TAB) { Some(part) } else { lines.get(index + 1).copied() })
        } else if part.starts_with("goroutine ") && part.ends_with("]:") {
            // Everything after this line belongs to the stack trace.
            is_go = true;
            Kind::Head
        } else if part == TRACEBACK {
            in_traceback = Some(Kind::Head);
            Kind::Head
        } else if let Some(before) = in_traceback.filter(|_| part.starts_with(' ')) {
            let kind = of_python(part).unwrap_or(before);
            in_traceback = Some(kind);
            kind
        } else {
            in_traceback = None;
            of_javascript(part)
        };
        parts.push((kind, part));
    }
    parts
}

/// Classifies a function in Go by its location.
fn of_go(place: Option<&str>) -> Kind {
    let others = ["parlor@", "runtime/", "<"];
    match place.and_then(|place| place.strip_prefix(TAB)) {
        Some(place) if !others.iter().any(|begin| place.starts_with(begin)) => Kind::Own,
        _ => Kind::Others,
    }
}

/// Classifies a line of a stack trace in Python. Returns `None` if it belongs to the line above it.
fn of_python(part: &str) -> Option<Kind> {
    part.starts_with(FILE).then(|| if part.starts_with(OWN_FILE) { Kind::Own } else { Kind::Others })
}

/// Classifies a line in JavaScript. The author's files have a path; the SDK is named `parlor`.
fn of_javascript(part: &str) -> Kind {
    match part.strip_prefix(AT).and_then(|part| part.strip_suffix(')')?.rsplit_once('(')) {
        Some((_, place)) if place.starts_with('/') => Kind::Own,
        Some(_) => Kind::Others,
        None => Kind::Words,
    }
}

/// Returns whether the line names a function's file. Each function has one such line.
fn is_place(part: &str) -> bool {
    [AT, FILE, TAB].iter().any(|begin| part.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin_test::run::covers;

    const FAILED: &str = "log error: a handler of message failed";

    fn line(parts: &[&str]) -> String {
        parts.join(LINE_END)
    }

    /// These are the entries that the SDK of each language logs for a handler that fails.
    #[test]
    fn a_test_holds_what_went_wrong_and_not_where() {
        let own = "    at fail (/plugin.js:16:29)";
        let go = ["panic: nil map", "goroutine 1 [running]:", "main.answer()", "\\u{9}plugin.go:24", ""];
        let cases = [
            (
                line(&[&format!("{FAILED}: Error: boom"), own, "    at map (native)"]),
                format!("{FAILED}: Error: boom* (glob)"),
            ),
            (
                line(&[&format!("{FAILED}: RangeError: worse"), own, "caused by Error: boom", own]),
                format!("{FAILED}: RangeError: worse*caused by Error: boom* (glob)"),
            ),
            (
                line(&[FAILED, TRACEBACK, "  File \"/0/plugin.py\", line 31, in fail", "ValueError: boom"]),
                format!("{FAILED}*ValueError: boom (glob)"),
            ),
            (format!("{FAILED}: {}", line(&go)), format!("{FAILED}: panic: nil map* (glob)")),
            (format!("plugin ends: {}", line(&go)), "plugin ends: panic: nil map* (glob)".to_owned()),
            // An entry that is nothing but a stack trace, and begins with it.
            (
                line(&[
                    "log error: Traceback (most recent call last):",
                    "  File \"/0/plugin.py\", line 3, in a",
                    "E: b",
                ]),
                "log error: *E: b (glob)".to_owned(),
            ),
            (
                line(&["log warn: goroutine 1 [running]:", "main.a()", "\\u{9}plugin.go:2"]),
                "log warn: * (glob)".to_owned(),
            ),
            (line(&[&format!("plugin ends: {own}"), own]), "plugin ends: * (glob)".to_owned()),
            (
                line(&["log error: panicked at src/lib.rs:24:5:", "boom"]),
                "log error: panicked at *boom (glob)".to_owned(),
            ),
        ];
        for (logged, expected) in cases {
            assert_eq!(held(&logged), expected);
            assert_eq!(covers(&expected, &[logged]), [1], "{expected}");
        }
        for whole in
            ["log warn: one\\u{a}two\\u{a}  three", "log error: panicked at noon", "to alice: boom\\u{a}    at f (a:1)"]
        {
            assert_eq!(held(whole), whole);
        }
    }

    #[test]
    fn authors_read_their_own_functions_and_how_many_others_there_are() {
        let javascript = [
            "it failed: TypeError: no length",
            "    at helper (/plugin.js:14:10)",
            "    at <anonymous> (parlor:418:34)",
            "    at map (native)",
        ];
        let python = [
            "it failed",
            TRACEBACK,
            "  File \"/2/parlor/listen.py\", line 180, in _call",
            "    of the SDK",
            "  File \"/0/plugin.py\", line 14, in answer",
            "    helper(None)",
            "ValueError: boom",
        ];
        let go = [
            "it failed: panic: nil map",
            "goroutine 1 [running]:",
            "runtime/debug.Stack()",
            "\\u{9}runtime/debug/stack.go:26 +0xa",
            "main.(*Count).add({0x19b0b8, 0x1bb1c0}, 0x2ee000)",
            "\\u{9}plugins/count/plugin.go:30 +0xb",
            "parlor.guard(0x294d20)",
            "\\u{9}parlor@v0.1.0/plugin.go:133 +0x4",
            "",
        ];
        let begins =
            ["log error: Traceback (most recent call last):", python[4], python[5], python[2], python[3], python[6]];
        let cases = [
            (
                &begins[..],
                "log error: Traceback (most recent call last):\n  File \"/0/plugin.py\", line 14, in answer\n    helper(None)\nValueError: boom\nand 1 function of the SDK and the language's own",
            ),
            (
                &["log error:     at map (native)", "    at helper (/plugin.js:14:10)"],
                "log error:     at helper (/plugin.js:14:10)\nand 1 function of the SDK and the language's own",
            ),
            (
                &javascript[..],
                "it failed: TypeError: no length\n    at helper (/plugin.js:14:10)\nand 2 functions of the SDK and the language's own",
            ),
            (
                &python[..],
                "it failed\nTraceback (most recent call last):\n  File \"/0/plugin.py\", line 14, in answer\n    helper(None)\nValueError: boom\nand 1 function of the SDK and the language's own",
            ),
            (
                &go[..],
                "it failed: panic: nil map\ngoroutine 1 [running]:\nmain.(*Count).add(...)\n    plugins/count/plugin.go:30 +0xb\nand 2 functions of the SDK and the language's own",
            ),
        ];
        for (logged, expected) in cases {
            assert_eq!(for_authors(&line(logged)), expected);
        }
        // A failure within the SDK alone is shown unchanged.
        let whole = line(&[javascript[0], javascript[2]]);
        assert_eq!(for_authors(&whole), with_line_ends(&whole));
        assert_eq!(for_authors("(0x10) of 0x20)"), "(0x10) of 0x20)");
    }
}
