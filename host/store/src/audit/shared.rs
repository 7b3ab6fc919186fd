//! The part of the audit that all its handles share: the retention, and whether the clock can be trusted with it.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::tallies::DAY;
use super::waiting::Waiting;
use super::{Retention, now};

/// As [`Retention::days`]: entries of any age stay for now.
pub(super) const ANY_AGE: u32 = u32::MAX;
/// How long the clock has to run evenly before anything is removed by age. A clock that is wrong after a boot is usually set
/// within minutes.
const EVEN_FOR: Duration = Duration::from_hours(1);

/// The part that all handles share.
#[derive(Debug)]
pub(crate) struct SharedAudit {
    days: AtomicU32,
    bytes: AtomicU64,
    clock: EvenClock,
    /// The day on which entries were last removed by age.
    cut: AtomicI64,
    /// The day on which the counts of expired days were last added up.
    added_up: AtomicI64,
    /// The number of the newest entry that this process added.
    pub(super) newest: watch::Sender<i64>,
    /// The entries that nobody waits for.
    pub(super) waiting: Waiting,
}

impl Default for SharedAudit {
    fn default() -> Self {
        Self::new(now(), Instant::now())
    }
}

impl SharedAudit {
    /// Begins at this time of the clock, and at this moment.
    pub(super) fn new(at: i64, moment: Instant) -> Self {
        let Retention { days, bytes } = Retention::default();
        Self {
            days: days.into(),
            bytes: bytes.into(),
            clock: EvenClock::new(at, moment),
            cut: AtomicI64::new(0),
            added_up: AtomicI64::new(0),
            newest: watch::Sender::new(0),
            waiting: Waiting::default(),
        }
    }

    /// Sets the retention.
    pub(super) fn keep(&self, Retention { days, bytes }: Retention) {
        self.days.store(days, Relaxed);
        self.bytes.store(bytes, Relaxed);
        self.cut.store(0, Relaxed);
    }

    /// Returns the retention for an entry that is added now. Entries go by age once a day at most, and only by a clock that
    /// runs evenly.
    pub(super) fn retention(&self, at: i64) -> Retention {
        self.retention_at(at, Instant::now())
    }

    pub(super) fn retention_at(&self, at: i64, moment: Instant) -> Retention {
        let days = if self.is_due(&self.cut, at, moment) { self.days.load(Relaxed) } else { ANY_AGE };
        Retention { days, bytes: self.bytes.load(Relaxed) }
    }

    /// Returns the first day whose counts are still kept by day, if those of earlier days are to be added up now.
    pub(super) fn first_day(&self, at: i64) -> Option<i64> {
        self.first_day_at(at, Instant::now())
    }

    pub(super) fn first_day_at(&self, at: i64, moment: Instant) -> Option<i64> {
        self.is_due(&self.added_up, at, moment).then(|| at / DAY - i64::from(self.days.load(Relaxed)))
    }

    /// Returns whether something that is done once a day is to be done now.
    fn is_due(&self, done: &AtomicI64, at: i64, moment: Instant) -> bool {
        let today = at / DAY;
        self.clock.is_even(at, moment) && done.swap(today, Relaxed) != today
    }

    /// Trusts the clock from the beginning.
    #[cfg(test)]
    pub(crate) fn trust_clock(&self) {
        self.clock.trust();
    }
}

/// The machine's clock, compared with the monotonic one. A clock that was wrong when the host started, or that was set
/// since, must not erase the audit.
#[derive(Debug)]
struct EvenClock(Mutex<(i64, Instant)>);

impl EvenClock {
    fn new(at: i64, moment: Instant) -> Self {
        Self(Mutex::new((at, moment)))
    }

    /// Returns whether the clock shows the time that it should show at this moment, and has done so for long enough. Less than
    /// a day makes no difference: ages are counted in days.
    fn is_even(&self, at: i64, moment: Instant) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = moment.saturating_duration_since(since.1);
        let expected = since.0.saturating_add(i64::try_from(passed.as_millis()).unwrap_or(i64::MAX));
        if at.abs_diff(expected) > DAY.unsigned_abs() {
            *since = (at, moment);
            return false;
        }
        passed >= EVEN_FOR
    }

    /// Makes the clock one that has run evenly for long enough.
    #[cfg(test)]
    fn trust(&self) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.1 = since.1.checked_sub(EVEN_FOR).expect("an hour before now can be expressed");
    }
}
