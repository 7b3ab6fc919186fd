//! The state of each schedule in the task that delivers due times, and the choice of the next one.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parlor_schedules::{Timing, judge};
use parlor_store::StoredSchedule;
use tokio::time::Instant;

use super::Done;
use crate::schedules::{moment, over_by, timing, was_ahead};
use crate::supervisor::staying::LOOK;

/// The longest pause before a due time is delivered again to a plugin that did not take it, such as one that has not
/// subscribed.
const LONGEST_LOOK: Duration = Duration::from_mins(1);

/// The schedules of a plugin, by their ids.
#[derive(Default)]
pub(super) struct Known(BTreeMap<i64, One>);

/// Something to do for a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Work {
    /// A due time must be delivered to the plugin.
    Tell {
        /// The due time.
        due: Timestamp,
        /// The number of due times that were left out before it, if it is delivered for the first time.
        left_out: Option<u32>,
        /// Whether no other due time follows.
        is_last: bool,
    },
    /// Due times are skipped without delivery.
    LeaveOut {
        /// They are over until then.
        over: Timestamp,
        /// How many these are.
        left_out: u32,
        /// Whether no other due time follows.
        is_last: bool,
    },
}

struct One {
    row: StoredSchedule,
    /// None: it cannot be read, and so is never due.
    timing: Option<Timing>,
    /// The next due time that nothing was done for yet.
    next: Option<Timestamp>,
    /// The last due time that was told, and is over.
    told: Option<Timestamp>,
    /// While the clock is far behind the due times that are over: by this clock they are over until then.
    set_back: Option<Timestamp>,
    /// Nothing is done for it before.
    waits_until: Option<Instant>,
    /// The last pause because the plugin did not take a due time.
    pause: Duration,
    is_under_way: bool,
    /// Whether it ends with the current delivery.
    is_last: bool,
}

impl Known {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Loads the schedules from the store. For schedules that are already known, the state here may be newer.
    pub(super) fn read(&mut self, rows: Vec<StoredSchedule>) {
        let mut before = std::mem::take(&mut self.0);
        let known = |row: StoredSchedule| {
            let one = match before.remove(&row.id) {
                Some(mut one) => {
                    (one.row.paused, one.row.runs_from) = (row.paused, row.runs_from);
                    one
                }
                None => One::of(row),
            };
            (one.row.id, one)
        };
        self.0 = rows.into_iter().map(known).collect();
    }

    /// Takes what is to be done first, for a plugin that runs since then. That schedule is not processed further until
    /// it is settled.
    pub(super) fn take_due(&mut self, now: Timestamp, since: Timestamp) -> Option<(StoredSchedule, Work)> {
        let at = Instant::now();
        for one in self.0.values_mut() {
            one.follow(now);
        }
        loop {
            let ready = self.0.values_mut().filter(|one| one.is_free(at) && one.due_by(now).is_some());
            let one = ready.min_by_key(|one| one.due_by(now))?;
            if let Some(work) = one.begin(now, since) {
                return Some((one.row.clone(), work));
            }
        }
    }

    /// Returns how long nothing is to be done.
    pub(super) fn pause(&self, now: Timestamp) -> Duration {
        let at = Instant::now();
        let pause = |one: &One| {
            let due = one.due()?;
            let until_due = if one.due_by(now).is_some() { SignedDuration::ZERO } else { due.duration_since(now) };
            let until_due = Duration::try_from(until_due).unwrap_or_default();
            let waits = one.waits_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(at));
            Some(until_due.max(waits))
        };
        let waiting = self.0.values().filter(|one| !one.is_under_way && !one.row.paused);
        waiting.filter_map(pause).min().unwrap_or(Duration::MAX)
    }

    /// Notes how what was under way for a schedule ended.
    pub(super) fn settle(&mut self, id: i64, done: &Done) {
        let Some(one) = self.0.get_mut(&id) else { return };
        one.is_under_way = false;
        one.waits_until = None;
        match done {
            Done::NotTaken => {
                one.pause = (one.pause * 2).clamp(LOOK, LONGEST_LOOK);
                one.waits_until = Some(Instant::now() + one.pause);
            }
            Done::Again(pause) => {
                one.row.attempts += 1;
                one.waits_until = Some(Instant::now() + *pause);
            }
            Done::Over | Done::LeftOut if one.is_last => _ = self.0.remove(&id),
            Done::Over => one.is_over(),
            Done::LeftOut | Done::Ends => {}
            Done::Gone => _ = self.0.remove(&id),
        }
    }
}

impl One {
    fn of(row: StoredSchedule) -> Self {
        let timing = timing(&row);
        if timing.is_none() {
            tracing::warn!(
                schedule = row.name,
                "a schedule cannot be read, and is never due; its plugin can set it again"
            );
        }
        let next = timing.as_ref().and_then(|timing| timing.next(moment(row.over)));
        Self {
            told: row.last.map(|last| moment(last.due)),
            row,
            timing,
            next,
            set_back: None,
            waits_until: None,
            pause: Duration::ZERO,
            is_under_way: false,
            is_last: false,
        }
    }

    /// Returns until when due times are over.
    fn over(&self) -> Timestamp {
        self.set_back.unwrap_or_else(|| moment(self.row.over))
    }

    /// Follows the clock if it is far behind the due times that are over: otherwise the schedule would be silent until
    /// it shows that time again, perhaps for years. The times in the store stay as they are. A clock that is wrong now,
    /// as after a start without a battery, is set right later, and then no due time comes twice.
    fn follow(&mut self, now: Timestamp) {
        let before = self.set_back;
        self.set_back = was_ahead(moment(self.row.over), now).then(|| over_by(before.or(self.told), now));
        if self.set_back == before {
            return;
        }
        if before.is_none() {
            tracing::warn!(
                schedule = self.row.name, over = %moment(self.row.over), %now,
                "the clock is days behind the last due time of a schedule, so it was ahead then; the schedule follows it"
            );
        }
        let over = self.over();
        if let Some(timing) = &mut self.timing {
            timing.reach_back_to(now);
            self.next = timing.next(over);
        }
    }

    /// Returns the due time that something is to be done for first.
    fn due(&self) -> Option<Timestamp> {
        self.timing.as_ref()?;
        self.row.due.map(moment).or(self.next)
    }

    /// Returns the same if it is due by now. A due time whose delivery has begun stays due, also if the clock was set
    /// back since: otherwise it would be delivered again only when the clock shows it again.
    fn due_by(&self, now: Timestamp) -> Option<Timestamp> {
        let has_begun = self.row.due.is_some();
        self.due().filter(|due| has_begun || *due <= now)
    }

    fn is_free(&self, at: Instant) -> bool {
        !self.is_under_way && !self.row.paused && self.waits_until.is_none_or(|until| until <= at)
    }

    /// Begins what is to be done now. None: nothing after all.
    fn begin(&mut self, now: Timestamp, since: Timestamp) -> Option<Work> {
        let timing = self.timing.as_ref()?;
        let (due, left_out) = if let Some(due) = self.row.due {
            (moment(due), None)
        } else {
            let resumed = moment(self.row.runs_from);
            // A pause that ended while the clock was ahead is none by this clock.
            let since = if self.set_back.is_some() && resumed > now { since } else { since.max(resumed) };
            let catch_up = usize::try_from(self.row.catch_up).unwrap_or(usize::MAX);
            let judged = judge(timing, self.over(), since, now, catch_up);
            let left_out = u32::try_from(judged.left_out).unwrap_or(u32::MAX);
            self.row.missed = self.row.missed.saturating_add(left_out);
            let Some(due) = judged.due else {
                self.next = timing.next(judged.over.max(now));
                if left_out == 0 {
                    return None;
                }
                self.row.over = self.row.over.max(judged.over.as_millisecond());
                self.set_back = self.set_back.map(|_| judged.over);
                (self.is_under_way, self.is_last) = (true, self.next.is_none());
                return Some(Work::LeaveOut { over: judged.over, left_out, is_last: self.is_last });
            };
            (self.row.due, self.row.attempts) = (Some(due.as_millisecond()), 0);
            self.pause = Duration::ZERO;
            (due, Some(left_out))
        };
        (self.is_under_way, self.is_last) = (true, timing.next(due).is_none());
        Some(Work::Tell { due, left_out, is_last: self.is_last })
    }

    /// Notes that the present due time is over.
    fn is_over(&mut self) {
        let Some(due) = self.row.due.take() else { return };
        self.row.over = self.row.over.max(due);
        (self.row.attempts, self.row.missed) = (0, 0);
        self.told = Some(moment(due));
        self.set_back = self.set_back.map(|over| over.max(moment(due)));
        let over = self.over();
        self.next = self.timing.as_ref().and_then(|timing| timing.next(over));
    }
}

#[cfg(test)]
mod tests;
