//! How tests went: what differs line by line for people, the same as JSON for programs, and the script as it was seen.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::notes::LINE_END;
use super::run::{Outcome, Seen, fits};
use super::script::Script;

/// How many asides are shown of one test.
const MOST_ASIDES: usize = 40;

/// A line of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// Both have it, as it was seen.
    Same(&'a str),
    /// It was to come and did not.
    Missing(&'a str),
    /// It came and was not to.
    Unexpected(&'a str),
}

/// What is different, by the longest part that both have.
pub fn compare(seen: &Seen) -> Vec<Line<'_>> {
    let (expected, actual) = (&seen.expected, &seen.actual);
    // How many lines both have from here on.
    let mut common = vec![vec![0_usize; actual.len() + 1]; expected.len() + 1];
    for e in (0..expected.len()).rev() {
        for a in (0..actual.len()).rev() {
            common[e][a] = if fits(&expected[e], &actual[a]) {
                common[e + 1][a + 1] + 1
            } else {
                common[e + 1][a].max(common[e][a + 1])
            };
        }
    }
    let (mut e, mut a, mut lines) = (0, 0, Vec::new());
    while e < expected.len() || a < actual.len() {
        if e < expected.len() && a < actual.len() && fits(&expected[e], &actual[a]) {
            lines.push(Line::Same(&actual[a]));
            (e, a) = (e + 1, a + 1);
        } else if a == actual.len() || (e < expected.len() && common[e + 1][a] >= common[e][a + 1]) {
            lines.push(Line::Missing(&expected[e]));
            e += 1;
        } else {
            lines.push(Line::Unexpected(&actual[a]));
            a += 1;
        }
    }
    lines
}

/// A test that did not pass, for people: where, what happened, and what is different.
pub fn show(file: &str, script: &Script, outcome: &Outcome) -> String {
    let mut text = format!("FAILED {file}:{}: {}\n", outcome.line, outcome.name);
    let source = |line: usize| script.lines.get(line - 1).map(String::as_str).unwrap_or_default();
    for seen in outcome.seen.iter().filter(|seen| !seen.fits()) {
        let (number, step) = if seen.is_unwritten_start {
            ("     ".to_owned(), "start   # write it, with what the plugin does then")
        } else {
            (format!("{:5}", seen.line), source(seen.line))
        };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{number}   {step}");
        for line in compare(seen) {
            let _ = match line {
                Line::Same(line) => writeln!(text, "          {line}"),
                Line::Missing(line) => writeln!(text, "      -   {line}"),
                Line::Unexpected(line) => writeln!(text, "      +   {line}"),
            };
        }
    }
    if let Some((line, why)) = &outcome.trouble {
        let _ = writeln!(text, "{line:5}   {}\n      !   {why}", source(*line));
    }
    for aside in outcome.asides.iter().take(MOST_ASIDES) {
        let _ = writeln!(text, "      #   {aside}");
    }
    if let Some(left) = outcome.asides.len().checked_sub(MOST_ASIDES).filter(|left| *left > 0) {
        let _ = writeln!(text, "      #   … and {left} lines more");
    }
    text
}

/// A test for programs.
pub fn json(file: &str, outcome: &Outcome) -> Value {
    let differing = outcome.seen.iter().filter(|seen| !seen.fits());
    let differing =
        differing.map(|seen| json!({ "line": seen.line, "expected": seen.expected, "actual": seen.actual }));
    json!({
        "file": file,
        "line": outcome.line,
        "name": outcome.name,
        "passed": outcome.passed(),
        "differences": differing.collect::<Vec<_>>(),
        "trouble": outcome.trouble.as_ref().map(|(line, reason)| json!({ "line": line, "reason": reason })),
    })
}

/// The script with what was seen in the place of what was expected; lines that fit stay as they are written.
pub fn updated(script: &Script, outcomes: &[Outcome]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let all: Vec<&Seen> = outcomes.iter().flat_map(|outcome| &outcome.seen).collect();
    let steps: Vec<_> = script.tests.iter().flat_map(|test| &test.steps).collect();
    let mut at = 0;
    for step in steps {
        let of_step =
            |start| all.iter().copied().find(move |seen| seen.line == step.line && seen.is_unwritten_start == start);
        lines.extend(script.lines[at..step.line - 1].iter().cloned());
        if let Some(start) = of_step(true) {
            lines.push("start".to_owned());
            lines.extend(start.actual.iter().map(|line| format!("  {}", held(line))));
        }
        lines.extend(script.lines[step.line - 1..step.expected.start].iter().cloned());
        match of_step(false).filter(|seen| !seen.fits()) {
            None => lines.extend(script.lines[step.expected.clone()].iter().cloned()),
            Some(seen) => {
                let mut written = seen.expected.iter();
                lines.extend(compare(seen).into_iter().filter_map(|line| match line {
                    Line::Same(line) => {
                        let kept = written.find(|expected| fits(expected, line)).map_or(line, String::as_str);
                        Some(format!("  {kept}"))
                    }
                    Line::Missing(_) => None,
                    Line::Unexpected(line) => Some(format!("  {}", held(line))),
                }));
            }
        }
        at = step.expected.end;
    }
    lines.extend(script.lines[at..].iter().cloned());
    lines.join("\n") + "\n"
}

/// A line as a test holds it to be true: of what is logged with a stack, what went wrong, and not where in whose code, which is
/// another place after the next change.
fn held(line: &str) -> String {
    if !line.starts_with("log ") {
        return line.to_owned();
    }
    let (mut text, mut is_cut, mut goes_on) = (String::new(), false, false);
    for part in sentences(line) {
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

/// The lines of what was logged at once; none in the place of each that says where in the code it was.
fn sentences(line: &str) -> Vec<Option<&str>> {
    /// What Python begins a stack with; its lines are indented.
    const TRACEBACK: &str = "Traceback (most recent call last):";
    let mut sentences = Vec::new();
    let mut in_traceback = false;
    for part in line.split(LINE_END) {
        // Rust.
        if let Some((before, _)) = part.split_once("panicked at ").filter(|_| part.ends_with(':')) {
            sentences.extend([Some(&part[..before.len() + "panicked at ".len()]), None]);
            continue;
        }
        // Go, where nothing else comes behind it.
        if part.starts_with("goroutine ") && part.ends_with("]:") {
            sentences.push(None);
            break;
        }
        in_traceback = part == TRACEBACK || (in_traceback && part.starts_with(' '));
        // JavaScript.
        let is_place = in_traceback || (part.starts_with("    at ") && part.ends_with(')'));
        sentences.push((!is_place).then_some(part));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(line: usize, expected: &[&str], actual: &[&str]) -> Seen {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Seen { line, is_unwritten_start: false, expected: owned(expected), actual: owned(actual) }
    }

    #[test]
    fn what_both_have_is_found_between_what_differs() {
        let seen = seen(1, &["a", "b", "c* (glob)"], &["x", "b", "cc", "d"]);
        let lines = compare(&seen);
        let expected =
            [Line::Missing("a"), Line::Unexpected("x"), Line::Same("b"), Line::Same("cc"), Line::Unexpected("d")];
        assert_eq!(lines, expected);
    }

    #[test]
    fn an_update_changes_what_differs_and_nothing_else() {
        let text = "# top\n== one\nalice: a\n  to alice: *x (glob)\n  to alice: old\n\n# between\n== two\nalice: b\nafter 1 s\n  gone\n\n";
        let script = Script::parse(text);
        let outcome = |seen| Outcome { name: String::new(), line: 1, seen, trouble: None, asides: Vec::new() };
        let start = Seen { is_unwritten_start: true, ..seen(9, &[], &["is away"]) };
        let outcomes = [
            outcome(vec![seen(3, &["to alice: *x (glob)", "to alice: old"], &["to alice: yx", "to alice: new"])]),
            outcome(vec![start, seen(9, &[], &["to alice: b"]), seen(10, &["gone"], &[])]),
        ];
        let expected = "# top\n== one\nalice: a\n  to alice: *x (glob)\n  to alice: new\n\n# between\n== two\nstart\n  is away\nalice: b\n  to alice: b\nafter 1 s\n\n";
        assert_eq!(updated(&script, &outcomes), expected);
        assert_eq!(updated(&script, &[]), text);
    }

    /// What the SDK of each language logs of a handler that fails.
    #[test]
    fn an_update_writes_what_went_wrong_and_not_where() {
        let failed = "log error: a handler of message failed";
        let line = |parts: &[&str]| parts.join(LINE_END);
        let own = "    at fail (/plugin.js:16:29)";
        let python = [
            failed,
            "Traceback (most recent call last):",
            "  File \"/0/plugin.py\", line 31, in fail",
            "ValueError: boom",
        ];
        let cases = [
            (
                line(&[&format!("{failed}: Error: boom"), own, "    at map (native)"]),
                format!("{failed}: Error: boom* (glob)"),
            ),
            (
                line(&[&format!("{failed}: RangeError: worse"), own, "caused by Error: boom", own]),
                format!("{failed}: RangeError: worse*caused by Error: boom* (glob)"),
            ),
            (line(&python), format!("{failed}*ValueError: boom (glob)")),
            (
                line(&[
                    &format!("{failed}: panic: nil map"),
                    "goroutine 1 [running]:",
                    "main.answer()",
                    "\\u{9}plugin.go:24",
                    "",
                ]),
                format!("{failed}: panic: nil map* (glob)"),
            ),
            (
                line(&["log error: panicked at src/lib.rs:24:5:", "boom"]),
                "log error: panicked at *boom (glob)".to_owned(),
            ),
        ];
        for (logged, expected) in cases {
            assert_eq!(held(&logged), expected);
            assert!(fits(&expected, &logged), "{expected}");
            let seen = seen(1, &[], &[&logged]);
            let script = Script::parse("== one\nalice: a\n");
            let outcome = Outcome {
                name: String::new(),
                line: 1,
                seen: vec![Seen { line: 2, ..seen }],
                trouble: None,
                asides: Vec::new(),
            };
            assert_eq!(updated(&script, &[outcome]), format!("== one\nalice: a\n  {expected}\n"));
        }
        for whole in
            ["log warn: one\\u{a}two\\u{a}  three", "log error: panicked at noon", "to alice: boom\\u{a}    at f (a:1)"]
        {
            assert_eq!(held(whole), whole);
        }
    }
}
