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
mod tests {
    use parlor_base::clock::Clock;
    use parlor_store::{DueOutcome, LastDue, NewSchedule, Owner, Store, StoredTiming};

    use super::*;

    const MINUTE: i64 = 60_000;

    fn row(id: i64, timing: StoredTiming, catch_up: u32) -> StoredSchedule {
        StoredSchedule {
            id,
            name: format!("schedule {id}"),
            timing,
            catch_up,
            set_at: 0,
            over: 0,
            due: None,
            attempts: 0,
            missed: 0,
            runs_from: 0,
            paused: false,
            last: None,
        }
    }

    fn every_minute(id: i64) -> StoredSchedule {
        row(id, StoredTiming::Every(60_000), 0)
    }

    fn known(rows: Vec<StoredSchedule>) -> Known {
        let mut known = Known::default();
        known.read(rows);
        known
    }

    /// Takes what is due in a minute, for a plugin that runs since another one.
    fn take(known: &mut Known, minute: i64, since: i64) -> Option<(i64, Work)> {
        let taken = known.take_due(moment(minute * MINUTE), moment(since * MINUTE));
        taken.map(|(row, work)| (row.id, work))
    }

    fn tell(minute: i64, left_out: Option<u32>) -> Work {
        Work::Tell { due: moment(minute * MINUTE), left_out, is_last: false }
    }

    #[tokio::test(start_paused = true)]
    async fn due_times_of_one_schedule_come_one_after_the_other_and_the_earliest_first() {
        let mut known = known(vec![every_minute(1), row(2, StoredTiming::Every(90_000), 0)]);
        assert_eq!(known.pause(moment(0)), Duration::from_mins(1));
        assert_eq!(take(&mut known, 3, 0), Some((1, tell(1, Some(0)))));
        assert!(matches!(take(&mut known, 3, 0), Some((2, Work::Tell { .. }))));
        assert_eq!(take(&mut known, 3, 0), None, "both are under way");
        known.settle(1, &Done::Over);
        assert_eq!(take(&mut known, 3, 0), Some((1, tell(2, Some(0)))));
        known.settle(1, &Done::Over);
        known.settle(2, &Done::Over);
        // Of two at the same time, the one that was set first.
        assert_eq!(take(&mut known, 3, 0), Some((1, tell(3, Some(0)))));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_not_taken_or_fails_waits_and_holds_up_no_other() {
        let mut known = known(vec![every_minute(1), every_minute(2)]);
        assert_eq!(take(&mut known, 1, 0), Some((1, tell(1, Some(0)))));
        known.settle(1, &Done::NotTaken);
        assert_eq!(take(&mut known, 1, 0), Some((2, tell(1, Some(0)))));
        known.settle(2, &Done::Again(Duration::from_secs(1)));
        assert_eq!((take(&mut known, 1, 0), known.pause(moment(MINUTE))), (None, Duration::from_secs(1)));
        tokio::time::advance(LOOK).await;
        // It was written down before.
        assert_eq!(take(&mut known, 9, 8), Some((1, tell(1, None))));
        let (row, work) = known.take_due(moment(9 * MINUTE), moment(8 * MINUTE)).unwrap();
        assert_eq!((row.attempts, work), (1, tell(1, None)));
    }

    /// It was not taken, its handler failed, or the host was killed in between.
    #[tokio::test(start_paused = true)]
    async fn a_due_time_that_has_begun_is_told_again_also_after_the_clock_was_set_back() {
        let mut known = known(vec![every_minute(1)]);
        assert_eq!(take(&mut known, 9, 8), Some((1, tell(9, Some(8)))));
        known.settle(1, &Done::Again(Duration::from_secs(1)));
        assert_eq!((take(&mut known, 2, 2), known.pause(moment(2 * MINUTE))), (None, Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(known.pause(moment(2 * MINUTE)), Duration::ZERO);
        assert_eq!(take(&mut known, 2, 2), Some((1, tell(9, None))));
        known.settle(1, &Done::Over);
        assert_eq!(take(&mut known, 9, 2), None, "and it is over then");
        let begun = StoredSchedule { due: Some(9 * MINUTE), ..every_minute(1) };
        assert_eq!(take(&mut self::known(vec![begun]), 2, 2), Some((1, tell(9, None))));
    }

    /// Ten years, after a wrong year was set: otherwise it would be silent for ten years.
    #[tokio::test(start_paused = true)]
    async fn after_the_clock_was_far_ahead_due_times_are_told_by_the_clock_that_was_set_back() {
        const AHEAD: i64 = 10 * 366 * 24 * 60;
        let mut known = known(vec![every_minute(1)]);
        let is_told = |known: &mut Known, minute: i64, since: i64| {
            assert_eq!(take(known, minute, since), Some((1, tell(minute, Some(0)))));
            known.settle(1, &Done::Over);
        };
        is_told(&mut known, 1, 0);
        assert!(matches!(take(&mut known, AHEAD, AHEAD), Some((1, Work::LeaveOut { .. }))));
        known.settle(1, &Done::LeftOut);
        is_told(&mut known, AHEAD + 1, AHEAD);
        assert_eq!((take(&mut known, 5, 5), known.pause(moment(5 * MINUTE))), (None, Duration::from_mins(1)));
        is_told(&mut known, 6, 5);
        assert_eq!(take(&mut known, 6, 5), None, "once");
        is_told(&mut known, 7, 5);
        assert_eq!((take(&mut known, 6, 5), take(&mut known, 7, 5)), (None, None), "nor after a small step back");
        // The host is started again: the store has the time that was wrong, and the last due time that was told.
        let stored = StoredSchedule {
            over: (AHEAD + 1) * MINUTE,
            last: Some(LastDue { due: 7 * MINUTE, failed: false }),
            catch_up: 1,
            ..every_minute(1)
        };
        let mut known = self::known(vec![stored]);
        assert_eq!(take(&mut known, 9, 9), Some((1, tell(9, Some(1)))), "8 and 9 were missed");
        known.settle(1, &Done::Over);
        // Soon it is that time, or a clock that was wrong meanwhile is set right: what was told then does not come again.
        assert_eq!(take(&mut known, AHEAD - 60, AHEAD - 60), None);
        assert_eq!(take(&mut known, AHEAD + 1, AHEAD - 60), None);
        is_told(&mut known, AHEAD + 2, AHEAD - 60);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_set_and_paused_while_the_clock_was_ahead_is_due_after_it_was_set_back() {
        const AHEAD: i64 = 10 * 366 * 24 * 60 * MINUTE + MINUTE / 2;
        let stored = StoredSchedule { set_at: AHEAD, over: AHEAD, runs_from: AHEAD, ..every_minute(1) };
        let daily = StoredTiming::Cron { expression: "6 0 * * *".to_owned(), zone: "UTC".to_owned() };
        let mut known = known(vec![stored.clone(), StoredSchedule { id: 2, timing: daily, ..stored }]);
        assert_eq!(take(&mut known, 5, 5), None);
        let half_past = Work::Tell { due: moment(5 * MINUTE + MINUTE / 2), left_out: Some(0), is_last: false };
        assert_eq!(take(&mut known, 6, 5), Some((1, half_past)));
        assert_eq!(take(&mut known, 6, 5), Some((2, tell(6, Some(0)))));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_missed_is_left_out_and_counted_with_the_next_one() {
        let mut known = known(vec![every_minute(1)]);
        let left_out = Work::LeaveOut { over: moment(5 * MINUTE), left_out: 5, is_last: false };
        assert_eq!(take(&mut known, 5, 5), Some((1, left_out)));
        known.settle(1, &Done::LeftOut);
        assert_eq!(take(&mut known, 5, 5), None);
        let (row, work) = known.take_due(moment(6 * MINUTE), moment(5 * MINUTE)).unwrap();
        assert_eq!((row.missed, work), (5, tell(6, Some(0))));
        known.settle(1, &Done::Over);
        let (row, _) = known.take_due(moment(7 * MINUTE), moment(5 * MINUTE)).unwrap();
        assert_eq!(row.missed, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_due_once_ends_with_that_whether_told_or_left_out() {
        for (catch_up, done) in [(0, Done::LeftOut), (1, Done::Over)] {
            let mut known = known(vec![row(1, StoredTiming::At(MINUTE), catch_up)]);
            let (_, work) = take(&mut known, 2, 2).unwrap();
            assert!(matches!(work, Work::Tell { is_last: true, .. } | Work::LeaveOut { is_last: true, .. }));
            known.settle(1, &done);
            assert!(known.is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_paused_or_cannot_be_read_is_never_due() {
        let odd = StoredTiming::Cron { expression: "?".to_owned(), zone: "UTC".to_owned() };
        let mut known = known(vec![StoredSchedule { paused: true, ..every_minute(1) }, row(2, odd, 0)]);
        assert_eq!((take(&mut known, 5, 0), known.pause(moment(0))), (None, Duration::MAX));
        // It resumes, and the due times during the pause are missed.
        known.read(vec![StoredSchedule { runs_from: 5 * MINUTE, ..every_minute(1) }]);
        assert!(matches!(take(&mut known, 5, 0), Some((1, Work::LeaveOut { left_out: 5, .. }))));
    }
    /// Zones whose clocks are changed at different hours and days, by half an hour or two hours, or never.
    const ZONES: [&str; 14] = [
        "Africa/Cairo",
        "Africa/Casablanca",
        "America/New_York",
        "America/Nuuk",
        "America/Santiago",
        "Antarctica/Troll",
        "Asia/Gaza",
        "Asia/Jerusalem",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Europe/Berlin",
        "Europe/Dublin",
        "Pacific/Chatham",
        "UTC",
    ];

    /// Numbers that look random, and are the same in each run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % end
        }
    }

    /// Row 148. The store is there: what is in memory is lost again and again, at each step of telling a due time, and also
    /// while the host is off for weeks.
    #[tokio::test]
    async fn in_ten_years_with_kills_each_due_time_is_told_and_again_only_if_its_end_was_not_written() {
        let year = |year: i16| format!("{year}-01-01T00:00:00Z").parse::<Timestamp>().unwrap();
        let (begin, end) = (year(2026), year(2036));
        let (store, mut numbers) = (Store::in_memory(), Numbers(0x9e37_79b9_7f4a_7c15));
        for (number, zone) in ZONES.iter().enumerate() {
            let account = "bot@example.org".parse().unwrap();
            let owner = Owner { account, plugin: format!("z{number}").parse().unwrap() };
            let stored = store.data(Clock::Machine).schedules(owner);
            let weekly = StoredTiming::Cron { expression: "30 2 * * SUN".to_owned(), zone: (*zone).to_owned() };
            let new = NewSchedule { name: "weekly".to_owned(), timing: weekly, catch_up: 1_000 };
            let row = stored.set(new, begin.as_millisecond(), 9).await.unwrap().unwrap();
            let all = timing(&row).unwrap().between(begin, end, usize::MAX).latest;
            assert!(all.len() > 500, "{zone}: {}", all.len());
            let (mut known, mut told, mut repeats) = (known(vec![row]), Vec::new(), 0);
            let (mut now, mut since) = (begin, begin);
            while now < end {
                let hours = i64::try_from(numbers.below(24 * 21)).unwrap();
                now = (now + SignedDuration::from_hours(hours + 1)).min(end);
                while let Some((row, work)) = known.take_due(now, since) {
                    let Work::Tell { due, left_out, is_last } = work else { panic!("{zone}: {work:?}") };
                    // Killed before the first write, before the event, or before the second write; else not at all.
                    let lives = numbers.below(8);
                    if let Some(left_out) = left_out.filter(|_| lives > 0) {
                        assert!(stored.begin(row.id, due.as_millisecond(), left_out).await.unwrap(), "{zone}");
                    }
                    if lives > 1 {
                        told.push(due);
                    }
                    if lives > 2 {
                        stored.note(row.id, DueOutcome::Over { failed: false, is_last }).await.unwrap();
                        known.settle(row.id, &Done::Over);
                    } else {
                        repeats += usize::from(lives == 2);
                        known = self::known(stored.all().await.unwrap());
                        since = now;
                    }
                }
            }
            let count = told.len();
            told.dedup();
            assert_eq!(told, all, "{zone}");
            assert_eq!(count - told.len(), repeats, "{zone}");
        }
    }
}
