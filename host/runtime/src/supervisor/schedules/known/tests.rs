//! Tests of the choice of the next due time, and of the due times in a file after kills.

use std::collections::BTreeSet;

use parlor_base::clock::Clock;
use parlor_store::{DueOutcome, LastDue, NewSchedule, Owner, Schedules, Store, StoredTiming};

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

/// Delivers a due time to a plugin, by a host that may be killed meanwhile. Returns the due time if the plugin got it, and whether
/// its end was written.
async fn deliver(
    stored: &Schedules,
    row: &StoredSchedule,
    work: &Work,
    numbers: &mut Numbers,
) -> (Option<Timestamp>, bool) {
    let Work::Tell { due, left_out, is_last } = *work else { panic!("{}: {work:?}", row.name) };
    // Killed before the first write, before the event, or before the second write; else not at all.
    let lives = numbers.below(8);
    if let Some(left_out) = left_out.filter(|_| lives > 0) {
        assert!(stored.begin(row.id, due.as_millisecond(), left_out).await.unwrap(), "{}", row.name);
    }
    let is_over = lives > 2;
    if is_over {
        stored.note(row.id, DueOutcome::Over { failed: false, is_last }).await.unwrap();
    }
    ((lives > 1).then_some(due), is_over)
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
        let new = NewSchedule { name: (*zone).to_owned(), timing: weekly, catch_up: 1_000 };
        let row = stored.set(new, begin.as_millisecond(), 9).await.unwrap().unwrap();
        let all = timing(&row).unwrap().between(begin, end, usize::MAX).latest;
        assert!(all.len() > 500, "{zone}: {}", all.len());
        let (mut known, mut told, mut repeats) = (known(vec![row]), Vec::new(), 0);
        let mut over = BTreeSet::new();
        let (mut now, mut since) = (begin, begin);
        while now < end {
            let hours = i64::try_from(numbers.below(24 * 21)).unwrap();
            now = (now + SignedDuration::from_hours(hours + 1)).min(end);
            while let Some((row, work)) = known.take_due(now, since) {
                let (came, is_over) = deliver(&stored, &row, &work, &mut numbers).await;
                told.extend(came);
                if is_over {
                    // Otherwise they would come again and again, without end.
                    assert!(over.insert(came), "{zone}: {came:?} was over");
                    known.settle(row.id, &Done::Over);
                } else {
                    repeats += usize::from(came.is_some());
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

/// Row 148. One file has schedules of each kind, in all of these zones, and is opened anew after kills.
#[tokio::test]
async fn in_ten_years_on_one_file_each_due_time_of_each_kind_of_schedule_is_told() {
    const DAY: u64 = 24 * 60 * 60_000;
    let year = |year: i16| format!("{year}-01-01T00:00:00Z").parse::<Timestamp>().unwrap();
    let (begin, end) = (year(2026), year(2036));
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    let mut timings = vec![("every".to_owned(), StoredTiming::Every(40 * DAY))];
    timings.extend(ZONES.map(|zone| {
        let expression = "30 2 1 */2 *".to_owned();
        (zone.to_owned(), StoredTiming::Cron { expression, zone: zone.to_owned() })
    }));
    timings.extend((0..12).map(|number| {
        let after = i64::try_from(numbers.below(3_650 * DAY)).unwrap();
        (format!("at {number}"), StoredTiming::At(begin.as_millisecond() + 1 + after))
    }));
    let schedules = |store: &Store| {
        let owner = Owner { account: "bot@example.org".parse().unwrap(), plugin: "clock".parse().unwrap() };
        store.data(Clock::Machine).schedules(owner)
    };
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path()).unwrap();
    let mut stored = schedules(&store);
    let mut expected = BTreeMap::new();
    for (name, timing) in timings {
        let new = NewSchedule { name: name.clone(), timing, catch_up: 1_000 };
        let row = stored.set(new, begin.as_millisecond(), 99).await.unwrap().unwrap();
        expected.insert(name, self::timing(&row).unwrap().between(begin, end, usize::MAX).latest);
    }
    let mut known = known(stored.all().await.unwrap());
    let (mut told, mut repeats) = (BTreeMap::<String, Vec<Timestamp>>::new(), 0);
    let mut over = BTreeSet::new();
    let (mut now, mut since) = (begin, begin);
    while now < end {
        let hours = i64::try_from(numbers.below(24 * 21)).unwrap();
        now = (now + SignedDuration::from_hours(hours + 1)).min(end);
        while let Some((row, work)) = known.take_due(now, since) {
            let (came, is_over) = deliver(&stored, &row, &work, &mut numbers).await;
            if let Some(due) = came {
                told.entry(row.name.clone()).or_default().push(due);
            }
            if is_over {
                // Otherwise they would come again and again, without end.
                assert!(over.insert((row.name.clone(), came)), "{}: {came:?} was over", row.name);
                known.settle(row.id, &Done::Over);
                continue;
            }
            repeats += usize::from(came.is_some());
            drop(stored);
            store.close().await;
            store = Store::open(folder.path()).unwrap();
            stored = schedules(&store);
            known = self::known(stored.all().await.unwrap());
            since = now;
        }
    }
    let mut dropped = 0;
    for times in told.values_mut() {
        let count = times.len();
        times.dedup();
        dropped += count - times.len();
    }
    assert_eq!(told, expected);
    assert_eq!(dropped, repeats, "others came again");
    let left: Vec<_> = stored.all().await.unwrap().into_iter().filter(|row| row.name.starts_with("at ")).collect();
    assert!(left.is_empty(), "they were due once: {left:?}");
}
