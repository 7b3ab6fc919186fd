//! Prints the results: a line for each step, and the count.
#![expect(clippy::print_stdout, reason = "showing is what it is for")]

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

pub(crate) struct Report {
    json: bool,
    of: usize,
    seen: usize,
}

impl Report {
    pub(crate) fn new(json: bool, of: usize) -> Self {
        Self { json, of, seen: 0 }
    }

    pub(crate) fn list(&self, name: &str) {
        if self.json {
            println!("{}", json!({ "step": name }));
        } else {
            println!("{name}");
        }
    }

    pub(crate) fn step(&mut self, name: &str, time: Duration, done: &Result<String>) {
        let millis = time.as_millis();
        let (outcome, detail) = match done {
            Ok(detail) => ("seen", detail.clone()),
            Err(error) => ("failed", format!("{error:#}")),
        };
        self.seen += usize::from(done.is_ok());
        if self.json {
            let millis = u64::try_from(millis).unwrap_or(u64::MAX);
            println!("{}", json!({ "step": name, "outcome": outcome, "ms": millis, "detail": detail }));
        } else {
            let mark = if done.is_ok() { "✓" } else { "✗" };
            println!("  {mark} {name:<64} {millis:>6} ms  {detail}");
        }
    }

    /// Prints the last line. Returns whether every step was seen.
    pub(crate) fn end(&self) -> bool {
        if self.json {
            println!("{}", json!({ "seen": self.seen, "of": self.of }));
        } else {
            println!("seen {}/{}", self.seen, self.of);
        }
        self.seen == self.of
    }
}
