//! Runs one case from its start to its verdict.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::case::Case;
use crate::stage::{Plan, Stage};

/// The result of a case.
pub(crate) enum Outcome {
    /// It ended as it must, and left nothing behind.
    Contained(String),
    /// It was not contained.
    Escaped(anyhow::Error),
    /// The machine lacks what the case attacks.
    Absent(&'static str),
}

/// The verdict on a case, for its line in the report.
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    /// The p99 of the neighbour's answers before, during and after the attack.
    pub(crate) p99: [Option<Duration>; 3],
    /// The host's memory before and after.
    pub(crate) memory_kib: [Option<u64>; 2],
    pub(crate) took: Duration,
}

/// An error that says why the case does not apply on this machine.
#[derive(Debug)]
pub(crate) struct Absent(pub(crate) &'static str);

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Absent {}

/// A running case.
#[derive(Default)]
pub(crate) struct Trial {
    stage: Option<Stage>,
}

impl Trial {
    /// Starts a host, and lets the neighbour and the rest settle. In a case with several hosts, also checks that
    /// nothing is left on the previous one.
    pub(crate) async fn start(&mut self, plan: Plan) -> Result<&mut Stage> {
        if let Some(before) = &mut self.stage {
            Box::pin(before.aftermath()).await.context("afterwards, in the stage before")?;
        }
        let stage = Box::pin(Stage::set(plan)).await?;
        Ok(self.stage.insert(stage))
    }
}

/// Runs the attack, and checks that it left nothing behind.
pub(crate) async fn judge(case: &Case) -> Verdict {
    let begin = Instant::now();
    let mut trial = Trial::default();
    let ended = (case.run)(&mut trial).await;
    let ended = match (ended, &mut trial.stage) {
        (Ok(how), Some(stage)) => stage.aftermath().await.context("afterwards").map(|()| how),
        (ended, _) => ended,
    };
    let (p99, memory_kib) = trial.stage.as_ref().map(Stage::measured).unwrap_or_default();
    let outcome = match ended {
        Ok(how) => Outcome::Contained(how),
        Err(error) => {
            if let Some(Absent(why)) = error.downcast_ref::<Absent>() {
                Outcome::Absent(why)
            } else {
                trial.stage.iter().for_each(Stage::keep_log);
                Outcome::Escaped(error)
            }
        }
    };
    Verdict { outcome, p99, memory_kib, took: begin.elapsed() }
}
