//! The CPU time of polls.
//!
//! Only the thread's CPU clock is fair, and reading it costs a system call. A short poll is charged with its time on
//! the wall instead, which costs none and is never less than the CPU time. The next long poll of the thread is charged
//! correspondingly less, so that the charges of all polls add up to the CPU clock.
//!
//! A guest that has not computed lately is measured from an older reading, if there is one. Its next long poll may be charged
//! with too much, but never with more than its time on the wall.

use std::cell::Cell;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::nanos;

/// A poll that took less time than this is charged with all of it. A thread that loses its core does so for longer.
const SHORT: Duration = Duration::from_micros(100);
/// The time for which a reading of the thread's CPU clock is exact. If the thread also works for no plugin in that time,
/// for example decodes a stanza, its next long poll is charged with that, too.
const FRESH: Duration = Duration::from_millis(1);
/// The time for which a reading is used where it need not be exact.
const OLD: Duration = Duration::from_millis(10);

thread_local! {
    static LAST: Cell<Option<Reading>> = const { Cell::new(None) };
    /// The poll that runs on the thread, for the ticks in it.
    static RUNNING: Cell<Option<Began>> = const { Cell::new(None) };
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
    /// Whether that reading was fresh.
    is_exact: bool,
}

impl Began {
    /// Begins to measure a poll on this thread, `exactly` or from an old reading.
    pub(super) fn now(exactly: bool) -> Self {
        let at = Instant::now();
        let age = |last: &Reading| at.saturating_duration_since(last.at);
        let last = LAST.get().filter(|last| age(last) < if exactly { FRESH } else { OLD });
        let last = last.unwrap_or_else(|| {
            let read = Reading { cpu: thread_cpu(), at, charged: 0 };
            LAST.set(Some(read));
            read
        });
        let began = Self { at, last, is_exact: age(&last) < FRESH };
        RUNNING.set(Some(began));
        began
    }

    /// Returns the poll that runs on this thread.
    pub(super) fn running() -> Option<Self> {
        RUNNING.get()
    }

    /// Returns the time of the start.
    pub(super) fn at(self) -> Instant {
        self.at
    }

    /// Returns whether its CPU time is exact. Otherwise it may have used less: what the thread did before it, since the
    /// last reading, is included.
    pub(super) fn is_exact(self) -> bool {
        self.is_exact
    }

    /// Returns the CPU time of the thread at the start, in nanoseconds, or an earlier one. An old reading takes no account of
    /// what short polls were charged with since: that may be more than they used, and a long poll would be charged too little.
    fn cpu(self) -> u64 {
        self.last.cpu + if self.is_exact { self.last.charged } else { 0 }
    }

    /// Returns the CPU time since the start, in nanoseconds, after this time on the wall. Reads the thread's clock.
    pub(super) fn used_in(self, wall: Duration) -> u64 {
        thread_cpu().saturating_sub(self.cpu()).min(nanos(wall))
    }

    /// Ends the poll. Returns the CPU time since the start, in nanoseconds. `end` is the present time.
    pub(super) fn used_until(self, end: Instant) -> u64 {
        RUNNING.set(None);
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
        let began = Began::now(true);
        assert_eq!(began.used_until(began.at + SHORT / 2), nanos(SHORT / 2));
    }

    #[test]
    fn a_poll_that_waits_long_is_charged_with_what_it_computed() {
        let began = Began::now(true);
        compute(2 * SHORT);
        let before = thread_cpu();
        let used = began.used_until(began.at + Duration::from_mins(1));
        assert!(used >= nanos(2 * SHORT) && used <= thread_cpu(), "{used}, {before}");
        assert!(used < nanos(Duration::from_mins(1)), "the time on the wall");
    }

    /// Otherwise a guest could compute on the account of those that lost their core in short polls.
    #[test]
    fn a_poll_from_an_old_reading_is_charged_with_no_less_than_it_computed_and_no_more_than_its_time_on_the_wall() {
        let at = Instant::now();
        let last = Reading { cpu: thread_cpu(), at, charged: nanos(Duration::from_hours(1)) };
        let began = Began { at, last, is_exact: false };
        compute(2 * SHORT);
        assert!(began.used_in(Duration::from_mins(1)) >= nanos(2 * SHORT));
        assert_eq!(began.used_in(SHORT / 2), nanos(SHORT / 2));
        assert!(began.used_until(at + Duration::from_mins(1)) >= nanos(2 * SHORT));
        assert!(
            Began { is_exact: true, ..began }.used_until(at + Duration::from_mins(1)) == 0,
            "it was charged already"
        );
    }

    #[test]
    fn a_reading_is_made_again_when_it_is_too_old_for_what_is_asked() {
        for (age, exactly) in [(FRESH, true), (OLD, true), (OLD, false)] {
            LAST.set(Instant::now().checked_sub(age).map(|at| Reading { cpu: 0, at, charged: 0 }));
            let began = Began::now(exactly);
            assert!(began.is_exact() && began.last.at == began.at, "{age:?}");
            assert!(Began::running().is_some());
            began.used_until(began.at);
            assert!(Began::running().is_none());
        }
    }

    #[test]
    fn all_polls_of_a_thread_are_charged_with_what_its_clock_says() {
        let first = Began::now(true);
        let since = first.cpu();
        let short = first.used_until(first.at + SHORT / 2);
        let long = Began::now(true);
        compute(FRESH);
        let long = long.used_until(long.at + Duration::from_mins(1));
        let cpu = LAST.get().unwrap().cpu;
        // The thread may have lost its core in between, and its clock was read again then.
        assert!(short + long <= cpu - since + nanos(SHORT) && long >= nanos(FRESH) - nanos(SHORT), "{short}, {long}");
    }
}
