//! The clock of a node.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the time since the machine was started. It includes the time that the machine slept, unlike that of
/// [`std::time::Instant`]: a lease goes on during sleep.
pub fn now() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    // The kernel's values are never negative.
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Returns a moment of this clock as a number for an atomic; it lasts for 584 years.
pub(crate) fn nanoseconds(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(u64::MAX)
}
