//! A timer for the next deadline of the account.

use std::pin::Pin;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, Sleep};

/// How long to sleep if a deadline is further away than a timer can count.
const FAR: Duration = Duration::from_hours(24);

/// Fires when a deadline passes. One timer serves all successive deadlines and is reset only if the deadline changes: a
/// new timer for each message would wake the thread that waits for the next timer.
pub(super) struct Alarm {
    at: Option<Timestamp>,
    timer: Pin<Box<Sleep>>,
}

impl Alarm {
    pub(super) fn new() -> Self {
        Self { at: None, timer: Box::pin(tokio::time::sleep(Duration::ZERO)) }
    }

    /// Returns whether it is set to this deadline already.
    pub(super) fn is_set_to(&self, at: Option<Timestamp>) -> bool {
        self.at == at
    }

    pub(super) fn set(&mut self, at: Option<Timestamp>, now: Timestamp) {
        if self.is_set_to(at) {
            return;
        }
        self.at = at;
        if let Some(at) = at {
            let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
            let now = Instant::now();
            // Deadlines may lie beyond what a timer can count.
            self.timer.as_mut().reset(now.checked_add(wait).unwrap_or(now + FAR));
        }
    }

    /// Waits for the deadline. Cancel-safe. If it fires a little early, setting it again makes it fire once more.
    pub(super) async fn ring(&mut self) {
        if self.at.is_none() {
            return std::future::pending().await;
        }
        self.timer.as_mut().await;
        self.at = None;
    }
}
