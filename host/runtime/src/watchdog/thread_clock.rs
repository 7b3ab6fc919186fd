//! The CPU time of polls.
//!
//! Only the thread's CPU clock is fair, and reading it costs a system call. A short poll is charged with its time on
//! the wall instead, which costs none and is never less than the CPU time. The next long poll of the thread is charged
//! correspondingly less, so that the charges of all polls add up to the CPU clock.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::nanos;

/// A poll that took less time than this is charged with all of it. A thread that loses its core does so for longer.
const SHORT: Duration = Duration::from_micros(100);
/// The time for which a reading of the thread's CPU clock is used. If the thread also works for no plugin in that time,
/// for example decodes a stanza, its next long poll is charged with that, too.
const FRESH: Duration = Duration::from_millis(1);

thread_local! {
    static LAST: Cell<Option<Reading>> = const { Cell::new(None) };
}

/// A reading of the thread's CPU clock.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// The CPU time of the thread, in nanoseconds.
    cpu: u64,
    at: Instant,
    /// The sum that short polls were charged with since, in nanoseconds.
    charged: u64,
}

/// The start of a poll.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    at: Instant,
    /// The last reading before it.
    last: Reading,
}

impl Began {
    /// Begins to measure a poll on this thread.
    pub(super) fn now() -> Self {
        let at = Instant::now();
        let last = LAST.get().filter(|last| at.saturating_duration_since(last.at) < FRESH);
        let last = last.unwrap_or_else(|| {
            let read = Reading { cpu: thread_cpu(), at, charged: 0 };
            LAST.set(Some(read));
            read
        });
        Self { at, last }
    }

    /// Returns the time of the start.
    pub(super) fn at(self) -> Instant {
        self.at
    }

    /// Returns the CPU time of the thread at the start, in nanoseconds, if it is known.
    pub(super) fn cpu(self) -> u64 {
        self.last.cpu + self.last.charged
    }

    /// Returns the CPU time since the start, in nanoseconds. `end` is the present time.
    pub(super) fn used_until(self, end: Instant) -> u64 {
        let wall = end.saturating_duration_since(self.at);
        if wall < SHORT {
            LAST.set(Some(Reading { charged: self.last.charged + nanos(wall), ..self.last }));
            return nanos(wall);
        }
        let cpu = thread_cpu();
        LAST.set(Some(Reading { cpu, at: end, charged: 0 }));
        cpu.saturating_sub(self.cpu()).min(nanos(wall))
    }
}

/// Returns the CPU time that this thread has used, in nanoseconds.
pub(super) fn thread_cpu() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computes until the thread has used this much more CPU time.
    fn compute(time: Duration) {
        let until = thread_cpu() + nanos(time);
        while thread_cpu() < until {}
    }

    #[test]
    fn a_short_poll_is_charged_with_its_time_on_the_wall() {
        let began = Began::now();
        assert_eq!(began.used_until(began.at + SHORT / 2), nanos(SHORT / 2));
    }

    #[test]
    fn a_poll_that_waits_long_is_charged_with_what_it_computed() {
        let began = Began::now();
        compute(2 * SHORT);
        let before = thread_cpu();
        let used = began.used_until(began.at + Duration::from_mins(1));
        assert!(used >= nanos(2 * SHORT) && used <= thread_cpu(), "{used}, {before}");
        assert!(used < nanos(Duration::from_mins(1)), "the time on the wall");
    }

    #[test]
    fn all_polls_of_a_thread_are_charged_with_what_its_clock_says() {
        let first = Began::now();
        let since = first.cpu();
        let short = first.used_until(first.at + SHORT / 2);
        let long = Began::now();
        compute(FRESH);
        let long = long.used_until(long.at + Duration::from_mins(1));
        let cpu = LAST.get().unwrap().cpu;
        // The thread may have lost its core in between, and its clock was read again then.
        assert!(short + long <= cpu - since + nanos(SHORT) && long >= nanos(FRESH) - nanos(SHORT), "{short}, {long}");
    }
}
