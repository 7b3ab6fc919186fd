//! Formats the backtrace of a plugin that ended, for its author.

use std::fmt::Write as _;

/// The path prefix of the author's own files when the compiler must not name this machine's folders.
const OWN: &str = "/plugin/";
/// The path prefix of the SDK's files, in the plugin's folder.
const SDK: &str = ".parlor/";
/// The prefix of the author's own functions in Go, whose backtraces have no locations.
const MAIN: &str = "main.";

/// A frame of the backtrace.
#[derive(Debug, PartialEq, Eq)]
struct Frame {
    name: String,
    /// The file, line and column.
    place: Option<String>,
}

impl Frame {
    /// Returns whether wasmtime had no name for the function: `<unknown>!<wasm function 672>`.
    fn is_nameless(&self) -> bool {
        self.place.is_none() && self.name.ends_with('>') && self.name.contains("<wasm function ")
    }

    /// Returns the name if the name alone shows that the function is the author's.
    fn of_main(&self) -> Option<&str> {
        let (_, name) = self.name.split_once('!').filter(|_| self.place.is_none())?;
        name.starts_with(MAIN).then_some(name)
    }
}

/// Returns the author's own functions from wasmtime's report of a trap, innermost first. Each has its file and line, or
/// in Go only its name. A function that calls itself is shown once, with the innermost line.
///
/// If no function is known to be the author's, returns the whole report. If the report has no names at all, says so.
pub fn for_authors(detail: &str) -> String {
    let frames = frames(detail);
    let mut text = String::new();
    let mut others = 0;
    let mut last = None;
    // Writing into a String cannot fail.
    for frame in &frames {
        if let Some(place) = frame.place.as_deref().and_then(own) {
            if last.replace(frame.name.as_str()) != Some(frame.name.as_str()) {
                let _ = writeln!(text, "in {}\n   at {place}", frame.name);
            }
        } else if let Some(name) = frame.of_main() {
            if last.replace(name) != Some(name) {
                let _ = writeln!(text, "in {name}");
            }
        } else {
            others += 1;
        }
    }
    if text.is_empty() {
        return if !frames.is_empty() && frames.iter().all(Frame::is_nameless) {
            "where it was cannot be said: what it was built with keeps no names of functions".to_owned()
        } else {
            detail.trim_end().to_owned()
        };
    }
    if others > 0 { text + &and_others(others) } else { text.trim_end().to_owned() }
}

/// Says how many functions are not shown.
pub(super) fn and_others(count: usize) -> String {
    format!("and {count} function{} of the SDK and the language's own", if count == 1 { "" } else { "s" })
}

/// Parses the frames of a report. A frame is `  6:   0xa43d - name`; functions that the compiler inlined have no
/// numbers. Below each name follows `  at file:line:column` if it is known.
fn frames(detail: &str) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for line in detail.lines().map(str::trim_start) {
        let numbered = line.split_once(": ").filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()));
        let inner = numbered.map_or(line, |(_, rest)| rest.trim_start());
        let named = match (numbered, inner.split_once(" - ")) {
            (Some(_), Some((_, name))) => Some(name),
            _ => line.strip_prefix("- "),
        };
        match (named, line.strip_prefix("at "), frames.last_mut()) {
            (Some(name), _, _) => frames.push(Frame { name: plain(name), place: None }),
            (None, Some(place), Some(frame)) if frame.place.is_none() => frame.place = Some(place.to_owned()),
            _ => {}
        }
    }
    frames
}

/// Returns the location as the author writes it, if the file is the author's.
fn own(place: &str) -> Option<&str> {
    let place = place.strip_prefix(OWN).unwrap_or(place);
    let place = place.strip_prefix("./").unwrap_or(place);
    (!place.starts_with('/') && !place.starts_with(SDK)).then_some(place)
}

/// Removes the hashes by which compilers distinguish functions of the same name: `repeat[5c1a]::fall`,
/// `repeat::fall::hbdf65071a6c3f153`.
fn plain(name: &str) -> String {
    /// The number of hexadecimal digits in the hash at the end.
    const DIGITS: usize = 16;
    let is_number = |end: &str| end.len() == DIGITS && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = name.rsplit_once("::h").filter(|(_, end)| is_number(end)).map_or(name, |(name, _)| name);
    let mut plain = String::new();
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        match after.split_once(']') {
            Some((number, after)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                rest = after;
            }
            _ => {
                plain.push('[');
                rest = after;
            }
        }
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAP: &str = "\
error while executing at wasm backtrace:
    0:  0x1151a - std[a543996e6e7dbf1e]::process::abort
                    at /rustc/5980/library/std/src/process.rs:2533:5
                - __rustc[b7974e8690430dd9]::__rust_abort
                    at /rustc/5980/library/std/src/rt.rs:33:5
    6:   0xa43d - repeat[0a]::fall::<[u8]>
                    at /plugin/src/lib.rs:23:5
                - repeat::answer::{{closure}}::he8a7393de1e83f76
                    at /plugin/src/lib.rs:14:5
    7:   0x7ace - parlor_sdk[0b]::runtime::dispatch
                    at /plugin/.parlor/sdk/src/runtime.rs:80:52
    8:   0x7acf - lone

Caused by:
    wasm trap: wasm `unreachable` instruction executed";

    #[test]
    fn the_authors_own_functions_are_shown_with_their_lines() {
        let expected = "\
in repeat::fall::<[u8]>
   at src/lib.rs:23:5
in repeat::answer::{{closure}}
   at src/lib.rs:14:5
and 4 functions of the SDK and the language's own";
        assert_eq!(for_authors(TRAP), expected);
        assert_eq!(for_authors(&TRAP.replace("/plugin/src/", "./")), expected.replace("src/", ""));
    }

    #[test]
    fn where_no_line_is_known_the_whole_account_is_shown() {
        let without = TRAP.replace("/plugin/src", "/elsewhere");
        assert_eq!(for_authors(&without), without);
        assert_eq!(for_authors("it is full\n"), "it is full");
    }

    /// An interpreter may have been compiled without names, as that of JavaScript is.
    #[test]
    fn numbers_without_names_are_not_shown() {
        let nameless = "error while executing at wasm backtrace:\n    0: 0x11c405 - <unknown>!<wasm function 672>\n    1: 0x7a - \
                        <unknown>!<wasm function 3>\n\nCaused by:\n    wasm trap: interrupt";
        assert!(for_authors(nameless).starts_with("where it was cannot be said"));
        let named = nameless.replace("<unknown>!<wasm function 3>", "main.answer");
        assert_eq!(for_authors(&named), named);
    }

    #[test]
    fn a_function_that_calls_itself_is_shown_once() {
        let frame = |number: usize, line: usize| {
            format!("{number:5}: 0xa43d - repeat[0a]::fall\n                    at /plugin/src/lib.rs:{line}:5\n")
        };
        let trap: String = "error while executing at wasm backtrace:\n".to_owned()
            + &(0..20).map(|at| frame(at, 7 + at % 2)).collect::<String>();
        assert_eq!(for_authors(&trap), "in repeat::fall\n   at src/lib.rs:7:5");
    }

    /// Backtraces of Go have function names and no lines.
    #[test]
    fn the_authors_own_functions_in_go_are_shown_by_their_names_and_once_where_one_calls_itself() {
        let trap = "\
error while executing at wasm backtrace:
    0: <unknown>!main.fall
    1: 0x24926a - <unknown>!main.fall
    2: 0x24926a - <unknown>!main.fall
    3: 0x247aab - <unknown>!main.answer
    4: 0x24792d - <unknown>!parlor.OnMessage.func1

Caused by:
    wasm trap: call stack exhausted";
        let expected = "in main.fall\nin main.answer\nand 1 function of the SDK and the language's own";
        assert_eq!(for_authors(trap), expected);
    }
}
