//! A machine that sleeps: its timers sleep with it, and its connections may be gone when it wakes.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::{Interval, MissedTickBehavior};

use super::Worker;

/// How often it is looked whether the machine slept.
const LOOK: Duration = Duration::from_secs(15);

/// A sleep that is longer than this may have cost the connection: servers and what lies between give up whoever is silent.
const LONG: SignedDuration = SignedDuration::from_secs(30);

/// When to look.
pub(super) fn looks() -> Interval {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks
}

impl Worker {
    /// Before the session hears of something new: a machine that slept, or whose clock was wrong, has not waited so long.
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
