//! Prints the results: a line for each detector, and the count.
#![expect(clippy::print_stdout, reason = "showing is what it is for")]

use std::time::Duration;

use serde_json::json;

use crate::table::Detector;

/// How many characters are shown of a check's message, and of the reason why a detector could not be tried.
const WORDS: usize = 160;
const CAUSE: usize = 4_000;

/// The result of one detector.
pub(crate) enum Verdict {
    /// Its check failed, with this message.
    Fired(String),
    /// Its check did not notice.
    Silent,
    /// It could not be tried, for this reason.
    Untried(anyhow::Error),
}

pub(crate) struct Report {
    json: bool,
    of: usize,
    fired: usize,
}

impl Report {
    pub(crate) fn new(json: bool, of: usize) -> Self {
        Self { json, of, fired: 0 }
    }

    pub(crate) fn list(&self, detector: &Detector) {
        let Detector { name, broken, seen_by, .. } = detector;
        if self.json {
            println!("{}", json!({ "detector": name, "broken": broken, "seen_by": seen_by.to_string() }));
        } else {
            println!("{name:<26} {broken}  [{seen_by}]");
        }
    }

    pub(crate) fn detector(&mut self, detector: &Detector, verdict: &Verdict, took: Duration) {
        let Detector { name, broken, seen_by, .. } = detector;
        let (mark, outcome, ending) = match verdict {
            Verdict::Fired(why) => {
                self.fired += 1;
                ("✓", "fired", cut(&why.lines().collect::<Vec<_>>().join(" "), WORDS))
            }
            Verdict::Silent => ("✗", "silent", "it saw nothing".to_owned()),
            Verdict::Untried(error) => ("✗", "untried", cut(&format!("{error:#}"), CAUSE)),
        };
        if self.json {
            let line = json!({
                "detector": name, "broken": broken, "seen_by": seen_by.to_string(), "outcome": outcome, "ending": ending,
                "seconds": took.as_secs_f64(),
            });
            println!("{line}");
        } else {
            println!("{mark} {name:<26} {broken}\n    {seen_by}, {} s: {ending}", took.as_secs());
        }
    }

    /// Prints the last line. Returns whether all detectors fired.
    pub(crate) fn end(&self) -> bool {
        if self.json {
            println!("{}", json!({ "fired": self.fired, "of": self.of }));
        } else {
            println!("detectors {}/{}", self.fired, self.of);
        }
        self.fired == self.of
    }
}

fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        text.to_owned()
    } else {
        text.chars().take(longest - 1).chain(['…']).collect()
    }
}
