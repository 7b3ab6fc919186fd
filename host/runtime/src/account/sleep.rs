//! Suspension of the machine: timers stop while it sleeps, and connections may be gone when it wakes.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::{Interval, MissedTickBehavior};

use super::Worker;

/// Interval for checking whether the machine slept.
const LOOK: Duration = Duration::from_secs(15);

/// A sleep longer than this may have cost the connection: servers and middleboxes drop silent peers.
const LONG: SignedDuration = SignedDuration::from_secs(30);

/// Returns the interval of these checks.
pub(super) fn looks() -> Interval {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

impl Worker {
    /// Corrects the session's deadlines before it handles something new: time that the machine slept, or by which its
    /// clock was wrong, was not spent waiting.
    pub(super) fn mind_clock(&mut self) {
        if let Some(by) = self.watch.look() {
            tracing::info!(account = %self.shared.name, seconds = by.as_secs(), "the machine's clock was set");
            self.session.clock_set(by);
            if by > LONG
                && let Some(link) = &mut self.link
            {
                link.ask();
            }
        }
    }
}
