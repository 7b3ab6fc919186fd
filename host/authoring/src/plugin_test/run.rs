//! Runs a test: performs its steps, and compares the plugin's actions with the expected ones.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use jiff::Timestamp;
use parlor_base::clock::Clock;
use parlor_base::escape::LINE_END;
use tokio::sync::Notify;

use super::notes::{Happened, Notes};
use super::script::{Act, Script, Step, Test};
use super::shown::{FURTHER, Shown};
use super::stage::{Player, Stage};
use super::{stack, trace};

/// The time at which a test begins unless it sets another.
const BEGIN: &str = "2026-01-01T12:00:00Z";
/// How long to let the plugin settle before each check. Everything that is due at once happens before a timer fires.
const QUIET: Duration = Duration::from_millis(1);
/// How many more times to let the plugin settle while it is busy. A language's runtime may wait for a moment between
/// two steps, as Go's does when it writes out a panic.
const SETTLING: u32 = 5;
/// How much time passes after the last step. A goroutine that has more to do continues 10 ms after its handler, and may
/// end the plugin.
const AFTERWARDS: Duration = Duration::from_millis(50);
/// How long a test may take by the machine's clock, since a plugin that never becomes idle would never end it.
const PATIENCE: Duration = Duration::from_mins(1);
/// The most lines that are recorded for one step.
const MOST_LINES: usize = 2_000;

/// The result of a test.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The test's name, which says what it shows.
    pub name: String,
    /// The line on which the test begins.
    pub line: usize,
    /// The observations, one for each step that was run.
    pub seen: Vec<Seen>,
    /// The lines at which the test could not continue, and why. If the test was not run, its invalid lines.
    pub trouble: Vec<(usize, String)>,
    /// Information that belongs in no transcript but helps to understand a failure: backtraces and log entries.
    pub asides: Vec<Aside>,
}

/// Information shown next to a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The line of the step that it belongs to.
    pub line: usize,
    /// The text; further lines say where in the code it happened.
    pub text: String,
}

/// The observations at one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The step's line, from 1. For an implicit start, the line of the step before which the plugin started.
    pub line: usize,
    /// Whether this is an implicit start, which the script does not contain.
    pub is_unwritten_start: bool,
    /// The lines that the test expects.
    pub expected: Vec<String>,
    /// The lines that were observed.
    pub actual: Vec<String>,
}

impl Seen {
    /// Returns whether the observed lines match the expected ones.
    pub fn fits(&self) -> bool {
        // The positions in `actual` up to which the expected lines so far can match.
        let mut ends = BTreeSet::from([0]);
        for expected in &self.expected {
            let further =
                |&end: &usize| covers(expected, &self.actual[end..]).into_iter().map(move |lines| end + lines);
            ends = ends.iter().flat_map(further).collect();
        }
        ends.contains(&self.actual.len())
    }

    /// Returns whether the plugin ended at this start although the test did not expect it.
    pub fn is_failed_start(&self) -> bool {
        !self.fits() && self.actual.iter().any(|line| line.starts_with("plugin ends: "))
    }
}

impl Outcome {
    /// Creates the outcome of a test without observations.
    fn of(test: &Test) -> Self {
        Self { name: test.name.clone(), line: test.line, seen: Vec::new(), trouble: Vec::new(), asides: Vec::new() }
    }

    /// Returns whether the whole test passed.
    pub fn passed(&self) -> bool {
        self.trouble.is_empty() && self.seen.iter().all(Seen::fits)
    }
}

/// Returns for how many actual lines, from the first on, an expected line can stand. Usually it stands for one equal
/// line. In a line that ends with ` (glob)`, `?` stands for one character and `*` for any text, which may include the
/// continuation lines that follow.
pub fn covers(expected: &str, actual: &[String]) -> Vec<usize> {
    let Some((first, rest)) = actual.split_first() else { return Vec::new() };
    let Some(pattern) = expected.strip_suffix(" (glob)") else {
        return if expected == first { vec![1] } else { Vec::new() };
    };
    let pattern: Vec<_> = pattern.chars().collect();
    let mut text: Vec<_> = first.chars().collect();
    let mut covers = Vec::new();
    if glob(&pattern, &text) {
        covers.push(1);
    }
    let further: Vec<_> = rest.iter().map_while(|line| line.strip_prefix(FURTHER)).collect();
    if !further.is_empty() && pattern.contains(&'*') {
        for line in &further {
            text.push('\n');
            text.extend(line.strip_prefix(' ').unwrap_or(line).chars());
        }
        if glob(&pattern, &text) {
            covers.push(1 + further.len());
        }
    }
    covers
}

fn glob(pattern: &[char], text: &[char]) -> bool {
    // `star` holds the position of the last star, and how much of the text it has taken.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(one) if (*one == '?' && text[t] != '\n') || *one == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|rest| *rest == '*')
}

/// Runs a test in a separate environment.
pub fn run(player: &Player, script: &Script, test: &Test) -> anyhow::Result<Outcome> {
    if !test.wrong.is_empty() {
        let trouble = test.wrong.iter().map(|wrong| (wrong.line, wrong.reason.clone())).collect();
        return Ok(Outcome { trouble, ..Outcome::of(test) });
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?;
    let notes = Notes::default();
    let _listening = notes.listen();
    let late = Arc::new(Notify::new());
    let (done, waiting) = channel::<()>();
    let alarm = Arc::clone(&late);
    let watch = std::thread::spawn(move || {
        if waiting.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            alarm.notify_one();
        }
    });
    let mut plugin_test = TestRun { script, notes: notes.clone(), shown: Shown::default(), outcome: Outcome::of(test) };
    let last = test.steps.last().map_or(test.line, |step| step.line);
    let in_time = runtime.block_on(async {
        tokio::select! {
            biased;
            () = late.notified() => false,
            () = plugin_test.play(player, test) => true,
        }
    });
    drop(done);
    // The thread ends as soon as `done` is dropped.
    let _ = watch.join();
    let mut outcome = plugin_test.outcome;
    if !in_time {
        let line = outcome.seen.last().map_or(test.line, |seen| seen.line).min(last);
        let why = format!("the plugin was still busy {} s later", PATIENCE.as_secs());
        outcome.trouble = vec![(line, why)];
    }
    Ok(outcome)
}

struct TestRun<'a> {
    script: &'a Script,
    notes: Notes,
    shown: Shown,
    outcome: Outcome,
}

impl TestRun<'_> {
    async fn play(&mut self, player: &Player, test: &Test) {
        let begin = test.steps.iter().find_map(|step| match step.act {
            Act::Clock(time) => Some(time),
            _ => None,
        });
        let begin = begin.unwrap_or_else(|| BEGIN.parse().unwrap_or(Timestamp::UNIX_EPOCH));
        let mut stage = Stage::new(player.clone(), Clock::of_runtime(begin), &self.notes);
        let says_start = test.says_start();
        for (at, step) in test.steps.iter().enumerate() {
            let begins = step.act == Act::Start || (!step.act.may_prepare() && !says_start);
            if let Some(name) = stage.given.unset().filter(|_| begins && !stage.has_begun()) {
                let why = format!(
                    "an owner has to give the setting `{name}` before the plugin runs; write `set {name} = …` above"
                );
                self.outcome.trouble = vec![(step.line, why)];
                break;
            }
            if !stage.has_begun() && !step.act.may_prepare() && !says_start {
                stage.begin().await;
                settled(&stage).await;
                self.look(step, true);
            }
            self.outcome.asides.extend(stage.hint(&step.act).map(|text| Aside { line: step.line, text }));
            if let Err(why) = stage.act(&step.act, &mut self.shown).await {
                self.outcome.trouble = vec![(step.line, why)];
                break;
            }
            if test.steps.get(at + 1).is_some_and(|next| next.at_once) {
                continue;
            }
            if stage.has_begun() {
                settled(&stage).await;
            }
            self.look(step, false);
        }
        if stage.has_begun() && self.outcome.trouble.is_empty() {
            tokio::time::sleep(AFTERWARDS).await;
            settled(&stage).await;
            self.look_afterwards();
        }
        if !stage.has_begun() && self.outcome.trouble.is_empty() {
            self.outcome.trouble = vec![(test.line, "nothing happens in this test; write `start` at least".to_owned())];
        }
        stage.close().await;
    }

    /// Records at the last step that the plugin ended after it. Other events that only the passage of time caused are
    /// ignored.
    fn look_afterwards(&mut self) {
        let happened = self.notes.take();
        let is_end = |one: &Happened| matches!(one, Happened::Ended(_));
        let Some(seen) = self.outcome.seen.last_mut().filter(|_| happened.iter().any(is_end)) else { return };
        let line = seen.line;
        for one in &happened {
            self.outcome.asides.extend(aside(one).map(|text| Aside { line, text }));
            if is_end(one) {
                seen.actual.extend(self.shown.lines(one));
            }
        }
    }

    /// Records what was observed at a step.
    fn look(&mut self, step: &Step, is_unwritten_start: bool) {
        let mut actual = Vec::new();
        for happened in self.notes.take() {
            self.outcome.asides.extend(aside(&happened).map(|text| Aside { line: step.line, text }));
            actual.extend(self.shown.lines(&happened));
        }
        if actual.len() > MOST_LINES {
            actual.truncate(MOST_LINES);
            actual.push("… and more".to_owned());
        }
        if is_unwritten_start && actual.is_empty() {
            return;
        }
        let expected = if is_unwritten_start { Vec::new() } else { self.script.expected(step) };
        let expected = expected.into_iter().map(str::to_owned).collect();
        self.outcome.seen.push(Seen { line: step.line, is_unwritten_start, expected, actual });
    }
}

/// Returns the text to show next to the transcript for an event, if there is any.
fn aside(happened: &Happened) -> Option<String> {
    match happened {
        Happened::Trace(trace) => Some(trace::for_authors(trace)),
        Happened::Logged { level, text } => {
            Some(stack::for_authors(&format!("log {}: {text}", level.as_str().to_ascii_lowercase())))
        }
        // Only if the reason has a stack trace that is not logged as well.
        Happened::Ended(why) if why.contains(LINE_END) => Some(stack::for_authors(&format!("plugin ends: {why}"))),
        _ => None,
    }
}

/// Waits until nothing is left to do; the clock is paused until then. A plugin that is busy may finish first, so that
/// the step during which it ends is the one that fails.
async fn settled(stage: &Stage) {
    tokio::time::sleep(QUIET).await;
    for _ in 0..SETTLING {
        if !stage.is_at_work() {
            return;
        }
        tokio::time::sleep(QUIET).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_lines() {
        for (pattern, text, expected) in [
            ("to alice: You rolled * (glob)", "to alice: You rolled 7", true),
            ("to alice: You rolled ? (glob)", "to alice: You rolled 12", false),
            ("*a*b* (glob)", "xxaxxbxx", true),
            ("*a*b (glob)", "xxaxxbxx", false),
            ("* (glob)", "", true),
            ("to alice: *", "to alice: x", false),
            ("to alice: x", "to alice: x", true),
        ] {
            assert_eq!(!covers(pattern, &[text.to_owned()]).is_empty(), expected, "{pattern} / {text}");
        }
    }

    #[test]
    fn a_star_stands_for_further_lines_of_a_text_as_well() {
        let help = ["to alice: Commands:", "| !help", "|", "| !whoami: you", "to alice: more"];
        for (expected, fits) in [
            (&["to alice: Commands:*whoami* (glob)", "to alice: more"][..], true),
            (&["to alice: Com* (glob)", "| !help", "|", "| !who* (glob)", "to alice: more"], true),
            (&["to alice: Commands:", "| * (glob)", "to alice: more"], true),
            (&["* (glob)", "to alice: more"], true),
            (&["to alice: Com* (glob)", "| !who* (glob)", "to alice: more"], false),
            (&["to alice: Commands:*whoami (glob)", "to alice: more"], false),
            (&["to alice: Commands:?!help* (glob)", "to alice: more"], false),
            (&["to alice: Commands:*more (glob)"], false),
            (&["to alice: Commands:*whoami* (glob)"], false),
        ] {
            let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
            let seen = Seen { line: 1, is_unwritten_start: false, expected: owned(expected), actual: owned(&help) };
            assert_eq!(seen.fits(), fits, "{expected:?}");
        }
    }
}
