//! Parses the author's tests: each is a list of steps with the expected actions of the plugin.
//!
//! ```text
//! == it answers            begins a test, which ends at the next such line
//! alice: hello             a step: something that happens, at the left margin
//!   to alice: hello        what the plugin must do, indented; it may do nothing else
//! # a comment
//! ```

use std::fs;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use parlor_base::atomic;

pub use super::act::{Act, act};
pub use super::rows::{ACTIONS, Row, STEPS};

/// The largest size of a script, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// The most invalid lines that are reported for one test.
const MOST_WRONG: usize = 20;

/// A parsed file of tests.
#[derive(Debug, Clone)]
pub struct Script {
    /// The file's lines, for messages and updates.
    pub lines: Vec<String>,
    /// The tests in the file.
    pub tests: Vec<Test>,
}

/// A test of a script.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// The name, which says what the test shows.
    pub name: String,
    /// The line of the name, from 1.
    pub line: usize,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The invalid lines and the reasons, up to a limit. A test with any is not run.
    pub wrong: Vec<ScriptError>,
}

/// A step: an event, and the plugin's reactions to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The step's line, from 1.
    pub line: usize,
    /// The action to perform.
    pub act: Act,
    /// Whether it happens together with the step before it, so that the plugin has no chance to act in between.
    pub at_once: bool,
    /// The lines of the script that say what the plugin does, counted from 0.
    pub expected: Range<usize>,
}

/// An error in a line of a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {reason}")]
pub struct ScriptError {
    /// The line number, from 1.
    pub line: usize,
    /// The reason, with a suggestion for the author where there is one.
    pub reason: String,
}

impl Script {
    /// Reads a file of tests. A file that cannot be read becomes one failing test.
    pub fn load(path: &Path) -> Self {
        Self::text(path).map_or_else(Self::unreadable, |text| Self::parse(&text))
    }

    fn unreadable(reason: String) -> Self {
        let wrong = vec![ScriptError { line: 1, reason }];
        let test = Test { name: "the file as a whole".to_owned(), line: 1, steps: Vec::new(), wrong };
        Self { lines: Vec::new(), tests: vec![test] }
    }

    fn text(path: &Path) -> Result<String, String> {
        let unreadable = |error| format!("it cannot be read ({error})");
        let mut text = Vec::new();
        // A test that fails shows lines of its file, also in the public logs of a project that builds what strangers send.
        if path.is_symlink() && fs::canonicalize(path).map_err(unreadable)?.extension() != path.extension() {
            return Err("it is a link to a file of another kind; put the tests themselves there".to_owned());
        }
        // Reads one byte more than allowed, so that a file that is too long is recognized.
        let file = atomic::open_plain(path, 0).map_err(unreadable)?;
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut text).map_err(unreadable)?;
        if text.len() > MAX_BYTES {
            return Err(format!("it has more than {MAX_BYTES} bytes"));
        }
        String::from_utf8(text).map_err(|_| "it is not UTF-8".to_owned())
    }

    /// Parses tests. A test with an invalid line is kept, and reports it.
    pub fn parse(text: &str) -> Self {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut tests: Vec<Test> = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            let line = at + 1;
            let step = lines[at].trim_end();
            if step.is_empty() || step == "#" || step.starts_with("# ") {
                at += 1;
                continue;
            }
            if let Some(name) = step.strip_prefix("==") {
                let name = name.trim_matches(['=', ' ']).to_owned();
                let reason = if name.is_empty() {
                    Some("say what the test shows: == it answers".to_owned())
                } else {
                    let is_there = tests.iter().any(|test| test.name == name);
                    is_there.then(|| format!("there is a test of the name {name:?} above"))
                };
                let wrong = reason.map(|reason| ScriptError { line, reason }).into_iter().collect();
                tests.push(Test { name, line, steps: Vec::new(), wrong });
                at += 1;
                continue;
            }
            if tests.is_empty() {
                let reason = "a test begins with what it shows: == it answers".to_owned();
                let wrong = vec![ScriptError { line, reason }];
                tests.push(Test { name: "what stands above all tests".to_owned(), line, steps: Vec::new(), wrong });
            }
            let read = one_step(&lines, &mut at);
            let expected = read.as_ref().map_or(0..0, |step| step.expected.clone());
            if let Some(test) = tests.last_mut().filter(|test| test.wrong.len() < MOST_WRONG) {
                let put = read.and_then(|step| test.put(step));
                test.wrong.extend(put.err().map(|reason| ScriptError { line, reason }));
                let left = MOST_WRONG.saturating_sub(test.wrong.len());
                test.wrong.extend(never_seen(&lines, expected).take(left));
            }
        }
        Self { lines, tests }
    }

    /// Returns the lines that the test expects at a step.
    pub fn expected(&self, step: &Step) -> Vec<&str> {
        let lines = self.lines[step.expected.clone()].iter().map(|line| line.trim());
        lines.filter(|line| *line != NOTHING).collect()
    }
}

impl Test {
    /// Adds a step, unless an earlier line of the test is invalid.
    fn put(&mut self, step: Step) -> Result<(), String> {
        if !self.wrong.is_empty() {
            return Ok(());
        }
        let is_begun = self.steps.iter().any(|step| !step.act.may_prepare());
        let has_started = self.steps.iter().any(|step| !step.act.may_prepare() && !step.act.may_come_before());
        if step.act.is_preparation() && is_begun {
            return Err("this comes before anything happens, at the top of the test".to_owned());
        }
        if step.act == Act::Start && has_started {
            return Err("the plugin has started by what is above".to_owned());
        }
        if step.at_once {
            let before = self.steps.last().filter(|before| !before.act.may_prepare() && !step.act.may_prepare());
            let before = before.ok_or("`and` stands before something that happens at once with the step above")?;
            if !before.expected.is_empty() {
                return Err("what the plugin does about both stands under the last of them".to_owned());
            }
        }
        self.steps.push(step);
        Ok(())
    }

    /// Returns whether the test has an explicit `start`.
    pub fn says_start(&self) -> bool {
        self.steps.iter().any(|step| step.act == Act::Start)
    }
}

/// Parses one step with its continuation lines and expected lines, and advances `at` behind them.
fn one_step(lines: &[String], at: &mut usize) -> Result<Step, String> {
    let (line, text) = (*at + 1, lines[*at].trim_end());
    *at += 1;
    let mut more = Vec::new();
    while let Some(rest) = lines.get(*at).and_then(|line| line.strip_prefix('|')) {
        more.push(rest.strip_prefix(' ').unwrap_or(rest).trim_end().to_owned());
        *at += 1;
    }
    let begin = *at;
    while lines.get(*at).is_some_and(|line| is_indented(line)) {
        *at += 1;
    }
    if is_indented(text) {
        return Err("what the plugin does stands under what happens, and here nothing does".to_owned());
    }
    let (at_once, text) = text.strip_prefix(AT_ONCE).map_or((false, text), |rest| (true, rest.trim_start()));
    Ok(Step { line, act: act(text, &more)?, at_once, expected: begin..*at })
}

/// The levels of log entries that no transcript has.
const UNSEEN_LEVELS: [&str; 3] = ["info", "debug", "trace"];

/// Returns an error for each expected line that nothing can match: an entry of the log below a warning.
fn never_seen(lines: &[String], expected: Range<usize>) -> impl Iterator<Item = ScriptError> {
    expected.filter_map(move |at| {
        let level = lines[at].trim().strip_prefix("log ")?.split(':').next()?;
        UNSEEN_LEVELS.contains(&level).then(|| {
            let reason = format!("a test sees `log error:` and `log warn:`, but no `log {level}:`; remove this line");
            ScriptError { line: at + 1, reason }
        })
    })
}

/// The prefix of a step that happens together with the one above it.
const AT_ONCE: &str = "and ";

/// A placeholder that authors may write where the plugin must do nothing, for readers.
pub const NOTHING: &str = "(nothing)";

fn is_indented(line: &str) -> bool {
    line.starts_with([' ', '\t']) && !line.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::super::names;
    use super::super::server::Said;
    use super::*;

    fn refusal(text: &str) -> String {
        Script::parse(text).tests.into_iter().flat_map(|test| test.wrong).next().unwrap().to_string()
    }

    #[test]
    fn a_script_is_tests_of_steps_with_what_is_expected() {
        let script = Script::parse(
            "# about greetings\n\n== it answers ==\ncontact alice \"Alice A.\"\nroom garden: bob, carol\n\nalice: one\n| two\n  to alice: one\n  | two\nafter 10 min\n  (nothing)\n\n== other\ngarden/bob: hi\n",
        );
        let names: Vec<_> = script.tests.iter().map(|test| (test.name.as_str(), test.line, test.steps.len())).collect();
        assert_eq!(names, [("it answers", 3, 4), ("other", 14, 1)]);
        let steps = &script.tests[0].steps;
        assert_eq!(steps[2].act, Act::Say(Said::by(names::person("alice").unwrap(), false, "one\ntwo".to_owned())));
        assert_eq!(script.expected(&steps[2]), ["to alice: one", "| two"]);
        assert_eq!(script.expected(&steps[3]), [""; 0]);
        assert!(matches!(&script.tests[1].steps[0].act, Act::Say(Said { to_room: true, .. })));
    }

    #[test]
    fn two_things_happen_at_once_where_the_second_says_so() {
        let script = Script::parse("== a\nalice: one\nand bob: two\n  to bob: two\n");
        let steps: Vec<_> = script.tests[0].steps.iter().map(|step| (step.line, step.at_once)).collect();
        assert_eq!(steps, [(2, false), (3, true)]);
        assert_eq!(
            refusal("== a\nand alice: one\n"),
            "2: `and` stands before something that happens at once with the step above"
        );
        let between = "== a\nalice: one\n  to alice: one\nand bob: two\n";
        assert_eq!(refusal(between), "4: what the plugin does about both stands under the last of them");
        assert!(matches!(act("and: hello", &[]), Ok(Act::Say(_))), "somebody may be called so");
    }

    #[test]
    fn a_link_leads_to_tests_and_to_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::write(place("secret"), "password = hunter2\n").unwrap();
        fs::write(place("shared.chat"), "== a\nalice: one\n").unwrap();
        for (to, is_read) in [("secret", false), ("shared.chat", true)] {
            let link = place(&format!("of-{to}.chat"));
            std::os::unix::fs::symlink(place(to), &link).unwrap();
            let script = Script::load(&link);
            assert_eq!(script.tests[0].wrong.is_empty(), is_read, "{:?}", script.tests);
            assert!(!format!("{script:?}").contains("hunter2"), "{to}");
        }
    }

    #[test]
    fn a_line_that_is_none_spoils_no_other_test() {
        let text = "alice: hi\n  to alice: hi\n== one\nalice waves\n  to alice: hi\nbob jumps\n== two\nalice: hi\n== one\nalice: hi\n== \n";
        let script = Script::parse(text);
        let wrong = |test: &Test| test.wrong.iter().map(|wrong| wrong.line).collect::<Vec<_>>();
        let tests: Vec<_> = script.tests.iter().map(|test| (test.line, wrong(test), test.steps.len())).collect();
        assert_eq!(tests, [(1, vec![1], 0), (3, vec![4, 6], 0), (7, vec![], 1), (9, vec![9], 0), (11, vec![11], 0)]);
        let many = Script::parse(&format!("== many\n{}", "alice waves\n".repeat(2 * MOST_WRONG)));
        assert_eq!(many.tests[0].wrong.len(), MOST_WRONG);
        let none = Script::load(Path::new("/nowhere/at/all.chat"));
        assert!(none.tests[0].wrong[0].reason.starts_with("it cannot be read ("), "{none:?}");
    }

    /// An update would remove such a line, and say nothing.
    #[test]
    fn an_expected_line_of_the_log_that_no_test_sees_is_wrong() {
        let text = "== a\nalice: hi\n  to alice: hi\n  log info: it said so\n  log debug: it thinks\n== b\nalice: hi\n  log warn: x\n  to alice: log info: x\n  | log info: x\n";
        let script = Script::parse(text);
        let wrong: Vec<_> = script.tests[0].wrong.iter().map(ScriptError::to_string).collect();
        assert_eq!(
            wrong,
            [
                "4: a test sees `log error:` and `log warn:`, but no `log info:`; remove this line",
                "5: a test sees `log error:` and `log warn:`, but no `log debug:`; remove this line"
            ]
        );
        assert!(script.tests[1].wrong.is_empty(), "{:?}", script.tests[1]);
        let many = Script::parse(&format!("== many\nalice: hi\n{}", "  log info: x\n".repeat(2 * MOST_WRONG)));
        assert_eq!(many.tests[0].wrong.len(), MOST_WRONG);
    }

    #[test]
    fn people_may_be_there_before_the_plugin_where_its_start_is_written() {
        let first = |text: &str| Script::parse(text).tests.remove(0);
        let test = first("== a\ngarden/alice enters\ngarden/alice is now called al\nbob is away\nstart\n");
        assert!(test.wrong.is_empty() && test.says_start(), "{test:?}");
        assert_eq!(refusal("== a\nalice: hi\nstart\n"), "3: the plugin has started by what is above");
        assert_eq!(refusal("== a\nstart\nstart\n"), "3: the plugin has started by what is above");
        assert!(!first("== a\ngarden/alice enters\n").says_start());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_what_to_write() {
        assert_eq!(refusal("alice: hi\n"), "1: a test begins with what it shows: == it answers");
        assert_eq!(
            refusal("== a\n\n  to alice: hi\n"),
            "3: what the plugin does stands under what happens, and here nothing does"
        );
        assert_eq!(refusal("== a\nrom garden\n"), "2: nobody knows what this is; perhaps: room garden: alice, bob");
        for line in ["to alice: Whom?", "log error: no", "enters garden as bot", "(nothing)", "is away"] {
            let told = refusal(&format!("== a\nalice: hi\n{line}\n"));
            assert!(told.starts_with("3: what the plugin does is indented, below what happens: two spaces"), "{told}");
        }
        assert_eq!(refusal("== a\nalice waves\n"), "2: nobody knows what this is; perhaps: alice: hello");
        assert_eq!(
            refusal("== a\nalice: hi\nroom garden\n"),
            "3: this comes before anything happens, at the top of the test"
        );
        assert_eq!(refusal("== a\n== a\n"), "2: there is a test of the name \"a\" above");
        assert_eq!(
            refusal("== a\nafter 10 parsecs\n"),
            "2: write a whole number and a unit, one of ms, s, min, h, d, such as `10 s`"
        );
        assert_eq!(refusal("== a\nalice enters\n"), "2: say in which room: garden/alice enters");
        assert_eq!(
            refusal("== a\ndeny mesages.send\n"),
            "2: unknown permission \"mesages.send\", did you mean \"messages.send\"?"
        );
    }
}
