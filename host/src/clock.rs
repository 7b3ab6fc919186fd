//! What time it is: the machine's, or that of a runtime whose clock stands still, where an author's tests run.

use jiff::Timestamp;
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
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_of_a_runtime_goes_as_that_does() {
        let clock = Clock::of_runtime(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        tokio::time::sleep(Duration::from_hours(1)).await;
        assert_eq!(clock.now().as_second(), 3600);
    }
}
