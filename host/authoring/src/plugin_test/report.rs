//! Reports the results of tests: a line-by-line diff for people, the same as JSON for programs, and the script updated
//! with the observed lines.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::run::{Aside, Outcome, Seen, covers};
use super::script::Script;
use super::stack::held;

/// The most lines of asides that are shown for one test.
const MOST_ASIDES: usize = 40;

/// A line of a comparison between expected and actual lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// An expected line, and all actual lines that it matches.
    Same(&'a str, &'a [String]),
    /// An expected line that did not come.
    Missing(&'a str),
    /// An actual line that was not expected.
    Unexpected(&'a str),
}

/// Compares expected and actual lines by their longest common subsequence.
pub fn compare(seen: &Seen) -> Vec<Line<'_>> {
    let (expected, actual) = (&seen.expected, &seen.actual);
    // For each pair of positions: the length of the common rest, counted on both sides, and how many actual lines the
    // expected line at this position matches.
    let mut common = vec![vec![(0_usize, 0_usize); actual.len() + 1]; expected.len() + 1];
    for e in (0..expected.len()).rev() {
        for a in (0..actual.len()).rev() {
            let without = common[e + 1][a].0.max(common[e][a + 1].0);
            let with = covers(&expected[e], &actual[a..]).into_iter();
            let with = with.map(|lines| (common[e + 1][a + lines].0 + 1 + lines, lines)).max();
            common[e][a] = with.filter(|(both, _)| *both >= without).unwrap_or((without, 0));
        }
    }
    let (mut e, mut a, mut lines) = (0, 0, Vec::new());
    while e < expected.len() || a < actual.len() {
        let (_, covered) = common[e][a];
        if covered > 0 {
            lines.push(Line::Same(&expected[e], &actual[a..a + covered]));
            (e, a) = (e + 1, a + covered);
        } else if a == actual.len() || (e < expected.len() && common[e + 1][a].0 >= common[e][a + 1].0) {
            lines.push(Line::Missing(&expected[e]));
            e += 1;
        } else {
            lines.push(Line::Unexpected(&actual[a]));
            a += 1;
        }
    }
    lines
}

/// The stack traces and failed starts that have been reported in one run, so that they are not repeated.
#[derive(Debug, Default)]
pub struct Reported {
    /// The asides with a stack trace that have been shown.
    stacks: HashSet<String>,
    /// The lines of each failed start that has been shown.
    starts: HashSet<Vec<String>>,
}

impl Reported {
    /// Returns the lines of an aside, of which at most `shown` are displayed. For a stack trace that has already been
    /// shown in full, returns only the first line.
    fn lines(&mut self, aside: &Aside, shown: usize) -> Vec<String> {
        let mut lines = aside.text.lines().map(str::to_owned);
        let first = format!("line {}, {}", aside.line, lines.next().unwrap_or_default());
        let rest: Vec<_> = lines.collect();
        if self.stacks.contains(&aside.text) {
            return vec![first + " (as above)"];
        }
        // A stack trace that is truncated does not count as shown.
        if (1..shown).contains(&rest.len()) {
            self.stacks.insert(aside.text.clone());
        }
        std::iter::once(first).chain(rest).collect()
    }
}

/// Returns whether an expected line ends as a pattern does, but without the space before the mark: it is compared as it
/// stands.
fn lacks_space(line: &str) -> bool {
    line.strip_suffix("(glob)").is_some_and(|pattern| !pattern.ends_with(' ') && pattern.contains(['*', '?']))
}

/// Describes a failed test for people: its place, the events, and the differences.
pub fn show(file: &str, script: &Script, outcome: &Outcome, told: &mut Reported) -> String {
    let mut text = format!("FAILED {file}:{}: {}\n", outcome.line, outcome.name);
    let source = |line: usize| script.lines.get(line - 1).map(String::as_str).unwrap_or_default();
    let is_start = |seen: &&Seen| seen.is_unwritten_start || source(seen.line).trim_end() == "start";
    let start = outcome.seen.iter().find(is_start).filter(|start| start.is_failed_start());
    let is_told = start.is_some_and(|start| !told.starts.insert(start.actual.iter().map(|line| held(line)).collect()));
    if is_told {
        text += "          the plugin does not start, as above\n";
    }
    for seen in outcome.seen.iter().filter(|seen| !is_told && !seen.fits()) {
        let (number, step) = if seen.is_unwritten_start {
            ("     ".to_owned(), "start   # write it, with what the plugin does then")
        } else {
            (format!("{:5}", seen.line), source(seen.line))
        };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{number}   {step}");
        let lines = compare(seen);
        let is_literal = lines.iter().any(|line| matches!(line, Line::Missing(line) if lacks_space(line)));
        for line in lines {
            // The stack trace is shown below, with the asides.
            let _ = match line {
                Line::Same(_, lines) => lines.iter().try_for_each(|line| writeln!(text, "          {}", held(line))),
                Line::Missing(line) => writeln!(text, "      -   {line}"),
                Line::Unexpected(line) => writeln!(text, "      +   {}", held(line)),
            };
        }
        if is_literal {
            text += "      !   `*` and `?` stand for themselves: write a space before `(glob)`\n";
        }
    }
    for (line, why) in &outcome.trouble {
        let why = why.replace('\n', "\n          ");
        let _ = writeln!(text, "{line:5}   {}\n      !   {why}", source(*line));
    }
    let mut asides = Vec::new();
    let mut left = 0;
    for aside in outcome.asides.iter().filter(|_| !is_told) {
        if asides.len() < MOST_ASIDES {
            asides.extend(told.lines(aside, MOST_ASIDES - asides.len()));
        } else {
            left += aside.text.lines().count();
        }
    }
    left += asides.len().saturating_sub(MOST_ASIDES);
    for aside in asides.iter().take(MOST_ASIDES) {
        let _ = writeln!(text, "      #   {aside}");
    }
    if left > 0 {
        let _ = writeln!(text, "      #   … and {left} lines more");
    }
    text
}

/// Describes a test's result as JSON.
pub fn json(file: &str, outcome: &Outcome) -> Value {
    let differing = outcome.seen.iter().filter(|seen| !seen.fits());
    let differing =
        differing.map(|seen| json!({ "line": seen.line, "expected": seen.expected, "actual": seen.actual }));
    let troubles = outcome.trouble.iter().map(|(line, reason)| json!({ "line": line, "reason": reason }));
    let troubles: Vec<_> = troubles.collect();
    json!({
        "file": file,
        "line": outcome.line,
        "name": outcome.name,
        "passed": outcome.passed(),
        "differences": differing.collect::<Vec<_>>(),
        "trouble": troubles.first(),
        "troubles": troubles,
    })
}

/// Returns the script with the expected lines replaced by the observed ones. Lines that match stay as they are written.
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
            Some(seen) => lines.extend(compare(seen).into_iter().filter_map(|line| match line {
                Line::Same(written, _) => Some(format!("  {written}")),
                Line::Missing(_) => None,
                Line::Unexpected(line) => Some(format!("  {}", held(line))),
            })),
        }
        at = step.expected.end;
    }
    lines.extend(script.lines[at..].iter().cloned());
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use parlor_base::escape::LINE_END;

    use super::*;
    use crate::plugin_test::stack;

    fn seen(line: usize, expected: &[&str], actual: &[&str]) -> Seen {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Seen { line, is_unwritten_start: false, expected: owned(expected), actual: owned(actual) }
    }

    fn outcome(seen: Vec<Seen>) -> Outcome {
        Outcome { name: String::new(), line: 1, seen, trouble: Vec::new(), asides: Vec::new() }
    }

    #[test]
    fn what_both_have_is_found_between_what_differs() {
        let seen = seen(1, &["a", "b", "c* (glob)", "e", "f*j (glob)"], &["x", "b", "cc", "d", "f", "| j"]);
        let same = |e: usize, actual: std::ops::Range<usize>| Line::Same(&seen.expected[e], &seen.actual[actual]);
        let expected = [
            Line::Missing("a"),
            Line::Unexpected("x"),
            same(1, 1..2),
            same(2, 2..3),
            Line::Missing("e"),
            Line::Unexpected("d"),
            same(4, 4..6),
        ];
        assert_eq!(compare(&seen), expected);
    }

    #[test]
    fn a_pattern_without_a_space_before_its_mark_is_said_to_be_none() {
        let script = Script::parse("== one\nalice: a\n");
        let hint = "write a space before `(glob)`";
        for (expected, actual, is_said) in [
            ("to alice: * dice*(glob)", "to alice: 2 dice", true),
            ("to alice: * dice* (glob)", "to alice: 2 cards", false),
            ("to alice: f(glob)", "to alice: g", false),
            ("to alice: f*(glob)", "to alice: f*(glob)", false),
        ] {
            let failed = outcome(vec![seen(2, &[expected], &[actual])]);
            let shown = show("a", &script, &failed, &mut Reported::default());
            assert_eq!(shown.contains(hint), is_said, "{shown}");
        }
    }

    #[test]
    fn an_update_changes_what_differs_and_nothing_else() {
        let text = "# top\n== one\nalice: a\n  to alice: *x (glob)\n  to alice: old\n\n# between\n== two\nalice: b\nafter 1 s\n  gone\n\n";
        let script = Script::parse(text);
        let start = Seen { is_unwritten_start: true, ..seen(9, &[], &["is away"]) };
        let outcomes = [
            outcome(vec![seen(3, &["to alice: *x (glob)", "to alice: old"], &["to alice: yx", "to alice: new"])]),
            outcome(vec![start, seen(9, &[], &["to alice: b"]), seen(10, &["gone"], &[])]),
        ];
        let expected = "# top\n== one\nalice: a\n  to alice: *x (glob)\n  to alice: new\n\n# between\n== two\nstart\n  is away\nalice: b\n  to alice: b\nafter 1 s\n\n";
        assert_eq!(updated(&script, &outcomes), expected);
        assert_eq!(updated(&script, &[]), text);
    }

    #[test]
    fn an_update_writes_what_went_wrong_and_not_where() {
        let logged = ["log error: it failed: Error: boom", "    at fail (/plugin.js:16:29)"].join(LINE_END);
        let script = Script::parse("== one\nalice: a\n");
        let text = updated(&script, &[outcome(vec![seen(2, &[], &[&logged])])]);
        assert_eq!(text, "== one\nalice: a\n  log error: it failed: Error: boom* (glob)\n");
    }

    #[test]
    fn what_is_told_with_a_stack_is_short_above_it_and_told_once() {
        let logged = ["log error: it failed: Error: boom", "    at fail (/plugin.js:16:29)", "    at map (native)"];
        let fails = || {
            let aside = Aside { line: 2, text: stack::for_authors(&logged.join(LINE_END)) };
            Outcome { asides: vec![aside], ..outcome(vec![seen(2, &[], &[&logged.join(LINE_END)])]) }
        };
        let (script, mut told) = (Script::parse("== one\nalice: a\n"), Reported::default());
        let first = "FAILED a:1: \n    2   alice: a\n      +   log error: it failed: Error: boom* (glob)\n      #   line 2, log error: it failed: Error: boom\n";
        let stack =
            "      #       at fail (/plugin.js:16:29)\n      #   and 1 function of the SDK and the language's own\n";
        assert_eq!(show("a", &script, &fails(), &mut told), format!("{first}{stack}"));
        assert_eq!(show("a", &script, &fails(), &mut told), first.trim_end().to_owned() + " (as above)\n");
    }

    #[test]
    fn programs_are_told_of_each_line_that_is_none() {
        let trouble = vec![(2, "it waves".to_owned()), (4, "it is not indented".to_owned())];
        let told = json("a", &Outcome { trouble, ..outcome(Vec::new()) });
        let expected =
            [json!({ "line": 2, "reason": "it waves" }), json!({ "line": 4, "reason": "it is not indented" })];
        assert_eq!((&told["trouble"], &told["troubles"]), (&expected[0], &json!(expected)));
        let told = json("a", &outcome(Vec::new()));
        assert_eq!((&told["trouble"], &told["troubles"]), (&Value::Null, &json!([])));
    }

    #[test]
    fn a_stack_that_is_cut_off_is_told_again() {
        let aside = |text: String| Aside { line: 2, text };
        let fails = |before: usize| {
            let before = (0..before).map(|number| aside(format!("log info: {number}")));
            let asides = before.chain([aside("log error: it failed\n    at fail\n    at once".to_owned())]).collect();
            Outcome { asides, ..outcome(vec![seen(2, &["to alice: a"], &[])]) }
        };
        let (script, mut told) = (Script::parse("== one\nalice: a\n  to alice: a\n"), Reported::default());
        let mut end = |before| {
            let text = show("a", &script, &fails(before), &mut told);
            text.lines().last().unwrap_or_default().trim_start().to_owned()
        };
        assert_eq!(end(MOST_ASIDES - 2), "#   … and 1 lines more");
        assert_eq!(end(MOST_ASIDES - 3), "#       at once");
        assert_eq!(end(0), "#   line 2, log error: it failed (as above)");
    }

    #[test]
    fn a_start_that_fails_is_told_once() {
        let start =
            Seen { is_unwritten_start: true, ..seen(2, &[], &["log error: it does not start", "plugin ends: x"]) };
        let fails = || outcome(vec![start.clone(), seen(2, &["to alice: a"], &[])]);
        let (script, mut told) = (Script::parse("== one\nalice: a\n  to alice: a\n"), Reported::default());
        let first = show("a", &script, &fails(), &mut told);
        assert!(first.contains("+   plugin ends: x\n") && first.contains("-   to alice: a\n"), "{first}");
        let then = show("a", &script, &fails(), &mut told);
        assert_eq!(then, "FAILED a:1: \n          the plugin does not start, as above\n");
    }
}
