//! When the account next has something to do by itself.

use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, Sleep};

/// Where a dead-line is further away than a timer can count, it is looked at again after this long.
const FAR: Duration = Duration::from_hours(24);

/// Rings when a dead-line passes. One timer for all that follow one another, touched only when that changes: a timer made
/// anew for each message wakes the thread that waits for the next one.
pub(super) struct Alarm {
    at: Option<Timestamp>,
    timer: Pin<Box<Sleep>>,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self { at: None, timer: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }

    pub(super) fn set(&mut self, at: Option<Timestamp>, now: Timestamp) {
        if self.at == at {
            return;
        }
        self.at = at;
        if let Some(at) = at {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            let now = Instant::now();
            // Dead-lines may lie beyond what a timer can count.
            self.timer.as_mut().reset(now.checked_add(wait).unwrap_or(now + FAR));
        }
    }

    /// Cancel-safe. Where it rings a little early, setting it again has it ring once more.
    pub(super) async fn ring(&mut self) {
        if self.at.is_none() {
            return std::future::pending().await;
        }
        self.timer.as_mut().await;
        self.at = None;
    }
}
