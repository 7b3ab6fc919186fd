//! Shows the steps of the demo: each with a tick and its time, or as JSON.
#![expect(clippy::print_stdout, reason = "showing is what it is for")]

use std::fmt::Display;
use std::future::Future;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

/// The steps so far.
#[derive(Debug)]
pub(crate) struct Report {
    start: Instant,
    steps: usize,
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The running step is shown, and overwritten when it is done.
    Live,
    /// A line for each step that is done.
    Lines,
    /// A JSON object for each step that is done.
    Json,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        let way = match (json, std::io::stdout().is_terminal()) {
            (true, _) => Way::Json,
            (false, true) => Way::Live,
            (false, false) => Way::Lines,
        };
        Self { start: Instant::now(), steps: 0, way }
    }

    /// Runs a step and shows the result, with a detail that was observed.
    pub(crate) async fn step<D: Display>(&mut self, name: &str, work: impl Future<Output = Result<D>>) -> Result<()> {
        if self.way == Way::Live {
            print!("  … {name}");
            // A failure to show progress does not stop the step.
            let _ = std::io::stdout().flush();
        }
        let begin = Instant::now();
        let done = work.await;
        let time = begin.elapsed();
        self.steps += 1;
        let (ok, detail) = match &done {
            Ok(detail) => (true, detail.to_string()),
            Err(error) => (false, format!("{error:#}")),
        };
        let clear = if self.way == Way::Live { "\r\x1b[K" } else { "" };
        match self.way {
            Way::Json => println!("{}", json!({ "step": name, "ok": ok, "ms": millis(time), "detail": detail })),
            Way::Live | Way::Lines if ok => println!("{clear}  ✓ {name:<58} {:>7.0} ms  {detail}", millis(time)),
            // The reason is printed once, at the end.
            Way::Live | Way::Lines => println!("{clear}  ✗ {name:<58} {:>7.0} ms", millis(time)),
        }
        done.map(drop).with_context(|| format!("step {}, {name}", self.steps))
    }

    /// Shows the result of the demo.
    pub(crate) fn end(&self, ok: bool) {
        let time = self.start.elapsed();
        match (self.way, ok) {
            (Way::Json, _) => println!("{}", json!({ "ok": ok, "steps": self.steps, "ms": millis(time) })),
            (_, true) => println!("all {} steps were seen in {:.1} s", self.steps, time.as_secs_f64()),
            (_, false) => println!("not all steps were seen"),
        }
    }
}

/// Returns milliseconds, rounded to a microsecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
