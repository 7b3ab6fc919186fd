//! The clocks that a plugin can read, with a coarse resolution. Timing attacks on neighbours through caches and the
//! processor need nanoseconds.
//!
//! Times in events are rounded to milliseconds too, so a plugin cannot build a finer clock from events.

use std::time::Duration;

use parlor_base::clock::Clock;
use tokio::time::Instant;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// The resolution of both clocks: a millisecond, as in events.
const STEP: Duration = Duration::from_millis(1);

/// The monotonic clock. It shows how long the plugin has run, not the machine, plus one step: runtimes such as Go's
/// take a clock that reads zero for a missing one.
pub(super) struct Monotonic(Instant);

impl Monotonic {
    /// Returns a clock that starts now.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }
}

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        nanoseconds(STEP)
    }

    fn now(&self) -> u64 {
        nanoseconds(stepped(self.0.elapsed()) + STEP)
    }
}

/// The account's wall clock, which may be set to any time.
pub(super) struct Wall(pub(super) Clock);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        // Times before 1970 become 1970: the contract has no earlier time, and a wrong clock must not end the plugin.
        stepped(Duration::try_from(self.0.now().as_duration()).unwrap_or_default())
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn stepped(time: Duration) -> Duration {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_never_goes_back_never_says_nought() {
        let clock = Monotonic::start();
        assert_eq!(clock.now(), clock.resolution());
        tokio::time::sleep(STEP).await;
        assert_eq!(clock.now(), 2 * clock.resolution());
    }

    #[test]
    fn clocks_step_by_what_they_say() {
        let (monotonic, wall) = (Monotonic::start(), Wall(Clock::Machine));
        for _ in 0..1_000 {
            assert_eq!(monotonic.now() % monotonic.resolution(), 0);
            assert_eq!(wall.now().as_nanos() % wall.resolution().as_nanos(), 0);
        }
        assert_eq!(stepped(Duration::from_nanos(1_999_999)), STEP);
    }
}
