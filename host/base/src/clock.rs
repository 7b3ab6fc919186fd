//! The current time: the machine's, that of a runtime whose clock is paused, in which an author's tests run, or the time of
//! a source that the caller passes in.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The source of the time.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The machine's clock, which may be set at any time.
    Machine,
    /// The runtime's clock: a start time, plus the time that passed on the runtime's clock since.
    Runtime {
        /// The time at the start.
        then: Timestamp,
        /// The start on the runtime's clock.
        at: Instant,
    },
    /// The caller's own source of the time.
    Source(&'static dyn TimeSource),
}

/// A source of the time that the caller of the host passes in, such as one that a test sets.
pub trait TimeSource: fmt::Debug + Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

impl Clock {
    /// Returns the runtime's clock, which shows `now` at this moment.
    pub fn of_runtime(now: Timestamp) -> Self {
        Self::Runtime { then: now, at: Instant::now() }
    }

    /// Returns the current time.
    pub fn now(self) -> Timestamp {
        match self {
            Self::Machine => Timestamp::now(),
            Self::Runtime { then, at } => then.checked_add(at.elapsed()).unwrap_or(Timestamp::MAX),
            Self::Source(source) => source.now(),
        }
    }
}

/// Largest difference that counts as drift: a clock that runs a little faster or slower than another one was not set.
const DRIFT: Duration = Duration::from_secs(1);

/// A clock jump detector. A jump means that someone or a time server set the clock, or that the machine slept and its
/// timers with it.
#[derive(Debug)]
pub struct ClockJumpDetector {
    clock: Clock,
    then: Timestamp,
    at: Instant,
}

impl ClockJumpDetector {
    /// Reads the clock for the first time.
    pub fn of(clock: Clock) -> Self {
        Self { clock, then: clock.now(), at: Instant::now() }
    }

    /// Returns by how much the clock was set since the last call. None: it was not set.
    pub fn look(&mut self) -> Option<SignedDuration> {
        let (now, at) = (self.clock.now(), Instant::now());
        let passed = SignedDuration::try_from(at - self.at).unwrap_or(SignedDuration::MAX);
        let by = now.duration_since(self.then).saturating_sub(passed);
        (self.then, self.at) = (now, at);
        (by.unsigned_abs() > DRIFT).then_some(by)
    }

    /// Returns the time at which it last looked.
    pub fn last(&self) -> Timestamp {
        self.then
    }
}

/// The clock of tests that set it.
#[cfg(any(test, feature = "test-support"))]
pub mod settable {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::{Clock, Instant, SignedDuration, TimeSource, Timestamp};

    /// The clock of a machine that is set now and then. It runs as the runtime's clock does.
    #[derive(Debug)]
    pub struct SettableClock {
        then: Timestamp,
        at: Instant,
        /// The number of seconds by which it was set in total.
        by: AtomicI64,
    }

    impl SettableClock {
        /// Creates a clock that shows `now` at this moment. It is never freed.
        pub fn leak(now: Timestamp) -> &'static Self {
            Box::leak(Box::new(Self { then: now, at: Instant::now(), by: AtomicI64::new(0) }))
        }

        /// Sets the clock forward by this many seconds, or back if negative.
        pub fn set_by(&self, seconds: i64) {
            self.by.fetch_add(seconds, Ordering::Relaxed);
        }

        /// Returns the clock to pass in.
        pub fn clock(&'static self) -> Clock {
            Clock::Source(self)
        }
    }

    impl TimeSource for SettableClock {
        fn now(&self) -> Timestamp {
            self.then + self.at.elapsed() + SignedDuration::from_secs(self.by.load(Ordering::Relaxed))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::settable::SettableClock;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_of_a_runtime_goes_as_that_does() {
        let clock = Clock::of_runtime(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert_eq!(clock.now().as_second(), 3600);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_is_noticed_once_and_one_that_runs_is_not() {
        let machine = SettableClock::leak(Timestamp::UNIX_EPOCH);
        let mut watch = ClockJumpDetector::of(machine.clock());
        for set in [0_i64, 3600, -7200] {
            tokio::time::sleep(Duration::from_mins(10)).await;
            machine.set_by(set);
            assert_eq!(watch.look(), (set != 0).then(|| SignedDuration::from_secs(set)));
            assert_eq!(watch.look(), None);
            assert_eq!(watch.last(), machine.clock().now());
        }
    }
}
