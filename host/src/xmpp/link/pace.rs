//! When to log in again. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// The least time between two log-ins, whatever became of the first: two clients that share a resource throw each other
/// out, hundreds of times a second if nothing slows them down.
const MIN_INTERVAL: Duration = Duration::from_secs(2);
/// The first and the longest back-off.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);
/// A connection that lived this long was a good one.
const STABLE: Duration = Duration::from_secs(10);

/// Remembers how log-ins went.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How many went wrong in a row.
    failures: u32,
    /// When the last one began.
    began: Option<Instant>,
    /// When the last good one was handed on.
    delivered: Option<Instant>,
}

impl Pace {
    /// How long to wait before a log-in that is wanted at `now`. `random` is in [0, 1).
    pub(super) fn wait(&self, now: Instant, random: f64) -> Duration {
        let interval = self.began.map_or(Duration::ZERO, |began| MIN_INTERVAL.saturating_sub(now - began));
        if self.failures == 0 {
            return interval;
        }
        // Full jitter: a thousand clients that lost the same server do not come back in step.
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        interval.max(ceiling.mul_f64(random))
    }

    /// A connection is wanted: the last one is over, if there was one.
    pub(super) fn wanted(&mut self, now: Instant) {
        match self.delivered.take() {
            None => {}
            Some(delivered) if now - delivered >= STABLE => self.failures = 0,
            Some(_) => self.failures = self.failures.saturating_add(1),
        }
    }

    /// A log-in begins.
    pub(super) fn began(&mut self, now: Instant) {
        self.began = Some(now);
    }

    /// It went wrong.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// It worked.
    pub(super) fn delivered(&mut self, now: Instant) {
        self.delivered = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_first_log_in_waits_for_nothing() {
        assert_eq!(Pace::default().wait(Instant::now(), 0.99), Duration::ZERO);
    }

    #[test]
    fn two_log_ins_are_never_closer_than_the_interval() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.began(start);
        pace.delivered(start);
        pace.wanted(start);
        assert_eq!(pace.wait(start, 0.0), MIN_INTERVAL);
        assert_eq!(pace.wait(start + seconds(1), 0.0), seconds(1));
    }

    #[test]
    fn the_back_off_doubles_to_a_minute() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.began(start);
        let later = start + seconds(10);
        let ceilings: Vec<u64> = (0..8)
            .map(|_| {
                pace.failed();
                pace.wait(later, 1.0).as_secs()
            })
            .collect();
        assert_eq!(ceilings, [2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn a_connection_that_broke_at_once_counts_as_a_failure_and_a_good_one_forgives() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.delivered(start);
        pace.wanted(start + seconds(1));
        assert_eq!(pace.wait(start + seconds(9), 1.0), seconds(2));
        pace.delivered(start + seconds(10));
        pace.wanted(start + seconds(20));
        assert_eq!(pace.wait(start + seconds(20), 1.0), Duration::ZERO);
    }
}
