//! The clocks that a plugin can read, in steps: what its neighbours do to caches and to the processor is a matter of
//! nanoseconds, and is no business of its.
//!
//! Times in events are written to the millisecond as well, so there is no finer clock that a plugin can make events of.

use std::time::Duration;

use tokio::time::Instant;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

use crate::clock::Clock;

/// A step of both: a millisecond, as in events.
const STEP: Duration = Duration::from_millis(1);

/// The clock that never goes back. It says how long the plugin has run, not the machine, and one step more: runtimes such as Go's
/// take one that says nought for a clock that is not there.
pub(super) struct Monotonic(Instant);

impl Monotonic {
    /// It begins now.
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

/// The account's clock, which somebody may set to anything.
pub(super) struct Wall(pub(super) Clock);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        STEP
    }

    fn now(&self) -> Duration {
        // Before 1970 is 1970: the contract has no earlier time, and a clock that is wrong is nobody's end.
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
