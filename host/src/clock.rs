//! What time it is: the machine's, or that of a runtime whose clock stands still, where an author's tests run.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Where the time is read.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// From the machine, which may set it right at any time.
    Machine,
    /// From the runtime: this time, and what went by on its own clock since.
    Runtime {
        /// The time that it was.
        then: Timestamp,
        /// On the runtime's clock.
        at: Instant,
    },
    /// That of a machine whose clock was set by so many seconds, in all, since then.
    #[cfg(test)]
    Set {
        /// The time that it was.
        then: Timestamp,
        /// On the runtime's clock.
        at: Instant,
        /// By how much.
        by: &'static std::sync::atomic::AtomicI64,
    },
}

impl Clock {
    /// The runtime's, at this time now.
    pub fn of_runtime(now: Timestamp) -> Self {
        Self::Runtime { then: now, at: Instant::now() }
    }

    /// What time it is.
    pub fn now(self) -> Timestamp {
        match self {
            Self::Machine => Timestamp::now(),
            Self::Runtime { then, at } => then.checked_add(at.elapsed()).unwrap_or(Timestamp::MAX),
            #[cfg(test)]
            Self::Set { then, at, by } => {
                then + at.elapsed() + SignedDuration::from_secs(by.load(std::sync::atomic::Ordering::Relaxed))
            }
        }
    }
}

/// A clock that runs a little faster or slower than another one was not set.
const DRIFT: Duration = Duration::from_secs(1);

/// Notices when a clock was set: by somebody, by a time server, or because the machine slept and its timers with it.
#[derive(Debug)]
pub struct Watch {
    clock: Clock,
    then: Timestamp,
    at: Instant,
}

impl Watch {
    /// Looks at the clock for the first time.
    pub fn of(clock: Clock) -> Self {
        Self { clock, then: clock.now(), at: Instant::now() }
    }

    /// By how much it was set since it was last looked at; none = it was not.
    pub fn look(&mut self) -> Option<SignedDuration> {
        let (now, at) = (self.clock.now(), Instant::now());
        let passed = SignedDuration::try_from(at - self.at).unwrap_or(SignedDuration::MAX);
        let by = now.duration_since(self.then).saturating_sub(passed);
        (self.then, self.at) = (now, at);
        (by.unsigned_abs() > DRIFT).then_some(by)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

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
        static BY: AtomicI64 = AtomicI64::new(0);
        let clock = Clock::Set { then: Timestamp::UNIX_EPOCH, at: Instant::now(), by: &BY };
        let mut watch = Watch::of(clock);
        for set in [0_i64, 3600, -7200] {
            tokio::time::sleep(Duration::from_mins(10)).await;
            BY.fetch_add(set, Ordering::Relaxed);
            assert_eq!(watch.look(), (set != 0).then(|| SignedDuration::from_secs(set)));
            assert_eq!(watch.look(), None);
        }
    }
}
