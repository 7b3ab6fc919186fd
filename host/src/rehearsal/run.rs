//! Tries a test: lets happen what stands in it, and compares what the plugin does with what it is to do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::notes::{Happened, LINE_END, Notes};
use super::script::{Act, Script, Step, Test};
use super::shown::{FURTHER, Shown};
use super::stage::{Player, Stage};
use super::{stack, trace};
use crate::clock::Clock;

/// What time it is when a test begins, unless it says otherwise.
const BEGIN: &str = "2026-01-01T12:00:00Z";
/// How long the stage is let alone until it is quiet: everything that is due at once comes before a timer.
const QUIET: Duration = Duration::from_millis(1);
/// How often a plugin is let alone for as long, while it is in the middle of something: a language's own runtime may wait for a
/// moment between two steps, as Go's does when it writes down a panic.
const SETTLING: u32 = 5;
/// How long goes by after the last step. A goroutine that has more to do goes on 10 ms after its handler, and may end the plugin.
const AFTERWARDS: Duration = Duration::from_millis(50);
/// How long a test may take by the machine's clock: one that is never quiet never ends.
const PATIENCE: Duration = Duration::from_mins(1);
/// The most lines of one step.
const MOST_LINES: usize = 2_000;

/// How a test went.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What it shows.
    pub name: String,
    /// Its line.
    pub line: usize,
    /// What was seen at each step that was tried.
    pub seen: Vec<Seen>,
    /// Where and why it could not go on; of one that was not tried, each line that is none.
    pub trouble: Vec<(usize, String)>,
    /// What belongs in no transcript and helps to understand it: where in its code a plugin ended, and what it logged.
    pub asides: Vec<Aside>,
}

/// What is said beside a transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// The line of the step that it belongs to.
    pub line: usize,
    /// What it is, and in further lines where in the code it was.
    pub text: String,
}

/// What was seen at a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The step's line, from 1; for a start that is not written, that of the step before which it happened.
    pub line: usize,
    /// Whether it is a start that is not written.
    pub is_unwritten_start: bool,
    /// What the plugin was to do.
    pub expected: Vec<String>,
    /// What it did.
    pub actual: Vec<String>,
}

impl Seen {
    /// Whether it did what it was to do.
    pub fn fits(&self) -> bool {
        // Behind how many of the lines that came those expected so far may end.
        let mut ends = BTreeSet::from([0]);
        for expected in &self.expected {
            let further =
                |&end: &usize| covers(expected, &self.actual[end..]).into_iter().map(move |lines| end + lines);
            ends = ends.iter().flat_map(further).collect();
        }
        ends.contains(&self.actual.len())
    }

    /// Of a start: whether the plugin ended, and was not to.
    pub fn is_failed_start(&self) -> bool {
        !self.fits() && self.actual.iter().any(|line| line.starts_with("plugin ends: "))
    }
}

impl Outcome {
    /// Of a test that nothing was seen of yet.
    fn of(test: &Test) -> Self {
        Self { name: test.name.clone(), line: test.line, seen: Vec::new(), trouble: Vec::new(), asides: Vec::new() }
    }

    /// Whether all of it was as it was to be.
    pub fn passed(&self) -> bool {
        self.trouble.is_empty() && self.seen.iter().all(Seen::fits)
    }
}

/// For how many of the lines that came, from the first on, an expected one may stand: for one that is the same. One that ends
/// with ` (glob)` has `*` for anything, and so may stand for what is left of a text as well, and `?` for one character.
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
    // Where the last star stands, and how much of the text it has taken.
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

/// Tries a test on a stage of its own.
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
    let mut rehearsal = Rehearsal { script, notes: notes.clone(), shown: Shown::default(), outcome: Outcome::of(test) };
    let last = test.steps.last().map_or(test.line, |step| step.line);
    let in_time = runtime.block_on(async {
        tokio::select! {
            biased;
            () = late.notified() => false,
            () = rehearsal.play(player, test) => true,
        }
    });
    drop(done);
    // It ends as soon as `done` is gone.
    let _ = watch.join();
    let mut outcome = rehearsal.outcome;
    if !in_time {
        let line = outcome.seen.last().map_or(test.line, |seen| seen.line).min(last);
        let why = format!("the plugin was still busy {} s later", PATIENCE.as_secs());
        outcome.trouble = vec![(line, why)];
    }
    Ok(outcome)
}

struct Rehearsal<'a> {
    script: &'a Script,
    notes: Notes,
    shown: Shown,
    outcome: Outcome,
}

impl Rehearsal<'_> {
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

    /// Adds to the last step that the plugin ended behind it. Nothing else counts that time alone has brought.
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

    /// Takes down what was seen at a step.
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

/// What is said beside a transcript.
fn aside(happened: &Happened) -> Option<String> {
    match happened {
        Happened::Trace(trace) => Some(trace::for_authors(trace)),
        Happened::Logged { level, text } => {
            Some(stack::for_authors(&format!("log {}: {text}", level.as_str().to_ascii_lowercase())))
        }
        // Where it is not logged as well.
        Happened::Ended(why) if why.contains(LINE_END) => Some(stack::for_authors(&format!("plugin ends: {why}"))),
        _ => None,
    }
}

/// Waits until nothing is left to do: the clock stands still until then. A plugin that is in the middle of something comes to its
/// end first, so that a step fails in which it ends.
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
