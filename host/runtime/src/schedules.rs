//! The schedules of a plugin on an account: the state that its calls, its owner and the task that delivers due times
//! share.
//!
//! All lasting state is in the store. A plugin with any number of schedules has one task, which sleeps until the next
//! one is due. A plugin without schedules has none.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parlor_base::clock::Clock;
use parlor_base::quantity::show_duration;
use parlor_schedules::{Cron, Timing, Zone};
use parlor_store::{LastDue, StoreError, StoredSchedule, StoredTiming};
use tokio::sync::{Notify, OwnedMutexGuard};

use crate::instance::Lasting;

/// The longest time for which a clock that was set back keeps a schedule silent, so that no due time is told twice.
const LONGEST_SILENCE: SignedDuration = SignedDuration::from_hours(48);
/// The most schedules of a plugin that are warned about because no subscription matches them. A plugin may set schedules
/// of ever new names.
const MAX_UNHEARD: usize = 64;

/// The state of delivering due times to the plugin.
#[derive(Default)]
pub(crate) struct Schedules(Mutex<Teller>);

/// The state of a plugin with schedules.
#[derive(Default)]
struct Telling {
    /// Notified when a schedule was set, ended, paused or resumed, while somebody tells.
    changed: Notify,
    /// Held by the task that delivers. A version that replaces another one waits for it: otherwise a due time would be
    /// delivered twice. Then it has the moment since which that one took due times, if it did so to the end.
    turn: Arc<tokio::sync::Mutex<Option<Timestamp>>>,
    /// The names of schedules that were due while no subscription matched them.
    unheard: Mutex<BTreeSet<String>>,
}

/// The task that delivers due times.
#[derive(Default)]
struct Teller {
    is_there: bool,
    /// How often schedules were changed.
    changes: u32,
    /// Made when it is first used, since most plugins have no schedules.
    telling: Option<Arc<Telling>>,
    /// Starts the task.
    start: Option<Weak<dyn StartsTelling>>,
}

/// Starts the task that delivers due times.
pub(crate) trait StartsTelling: Send + Sync {
    /// Starts it.
    fn start_telling(self: Arc<Self>);
}

impl std::fmt::Debug for Schedules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schedules").field("changes", &self.changes()).finish_non_exhaustive()
    }
}

impl Schedules {
    /// Returns those of a version that is to replace this one.
    pub(crate) fn passed_on(&self) -> Self {
        let telling = Telling { turn: Arc::clone(&self.telling().turn), ..Telling::default() };
        Self(Mutex::new(Teller { telling: Some(Arc::new(telling)), ..Teller::default() }))
    }

    /// Sets what starts the task, and does not keep it.
    pub(crate) fn start_with(&self, start: Weak<dyn StartsTelling>) {
        self.teller().start = Some(start);
    }

    /// Returns whether the task is there.
    pub(crate) fn are_told(&self) -> bool {
        self.teller().is_there
    }

    /// Notes that the schedules in the store have changed: they are read again, by a new task if there is none.
    pub(crate) fn has_changed(&self) {
        let mut teller = self.teller();
        teller.changes = teller.changes.wrapping_add(1);
        if teller.is_there {
            teller.telling.get_or_insert_default().changed.notify_one();
        } else if let Some(start) = &teller.start {
            if let Some(start) = start.upgrade() {
                start.start_telling();
            }
            teller.is_there = true;
        }
    }

    /// Returns how often they have changed.
    pub(crate) fn changes(&self) -> u32 {
        self.teller().changes
    }

    /// Ends the task, which found no schedule after this number of changes. Returns false if there was another change.
    pub(crate) fn ends(&self, changes: u32) -> bool {
        let mut teller = self.teller();
        teller.is_there = teller.changes != changes;
        !teller.is_there
    }

    /// Notes that this schedule is due and no subscription matches it. Returns whether to warn about it: it is the first
    /// time, and few others were warned about.
    pub(crate) fn is_first_unheard(&self, name: &str) -> bool {
        let telling = self.telling();
        let mut unheard = telling.unheard.lock().unwrap_or_else(PoisonError::into_inner);
        unheard.len() < MAX_UNHEARD && unheard.insert(name.to_owned())
    }

    /// Waits for the turn to tell.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<Option<Timestamp>> {
        Arc::clone(&self.telling().turn).lock_owned().await
    }

    /// Waits until a schedule was set, ended, paused or resumed, while somebody tells.
    pub(crate) async fn changed(&self) {
        self.telling().changed.notified().await;
    }

    fn telling(&self) -> Arc<Telling> {
        Arc::clone(self.teller().telling.get_or_insert_default())
    }

    fn teller(&self) -> MutexGuard<'_, Teller> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The schedules of a plugin on one account, for its owner.
pub struct PluginSchedules {
    pub(crate) stored: parlor_store::Schedules,
    pub(crate) of: Arc<Lasting>,
    pub(crate) clock: Clock,
}

/// A schedule as owners are shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleState {
    /// Its name.
    pub name: String,
    /// When it is due, in words, or that the plugin has not set it now.
    pub when: String,
    /// The next due time, if another one follows.
    pub next: Option<Timestamp>,
    /// The due time that is being delivered.
    pub due: Option<Timestamp>,
    /// The number of failed attempts to deliver it.
    pub attempts: u32,
    /// The due times that were left out before that one, or before the next one.
    pub missed: u32,
    /// The last due time that is over, and whether the plugin failed too often on it.
    pub last: Option<(Timestamp, bool)>,
    /// Whether the owner has paused it.
    pub paused: bool,
}

impl PluginSchedules {
    /// Returns them, by name, with the names that the owner paused and that are not set now.
    pub async fn states(&self) -> Result<Vec<ScheduleState>, StoreError> {
        let now = self.clock.now();
        let state = |stored: StoredSchedule| ScheduleState {
            when: in_words(&stored.timing),
            next: next(&stored, now),
            due: stored.due.map(moment),
            attempts: stored.attempts,
            missed: stored.missed,
            last: stored.last.map(|LastDue { due, failed }| (moment(due), failed)),
            paused: stored.paused,
            name: stored.name,
        };
        let unset = |name: String| ScheduleState {
            name,
            when: "not set now".to_owned(),
            next: None,
            due: None,
            attempts: 0,
            missed: 0,
            last: None,
            paused: true,
        };
        let (all, paused) = self.stored.all_and_unset().await?;
        let mut states: Vec<_> = all.into_iter().map(state).chain(paused.into_iter().map(unset)).collect();
        states.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(states)
    }

    /// Pauses or resumes a schedule. Returns false if there is none of this name, and none that is paused and not set.
    pub async fn pause(&self, name: &str, is_paused: bool) -> Result<bool, StoreError> {
        let is_there = self.stored.pause(name.to_owned(), is_paused, self.clock.now().as_millisecond()).await?;
        self.of.schedules.has_changed();
        Ok(is_there)
    }
}

/// Returns when a schedule is due. None: its expression or zone cannot be read, since another version of the host wrote it.
pub(crate) fn timing(stored: &StoredSchedule) -> Option<Timing> {
    Some(match &stored.timing {
        StoredTiming::Every(period) => Timing::Every { since: moment(stored.set_at), period: *period },
        StoredTiming::At(due) => Timing::At(moment(*due)),
        StoredTiming::Cron { expression, zone } => {
            Timing::Cron(Box::new(Cron::parse(expression, Zone::named(zone).ok()?).ok()?))
        }
    })
}

/// Returns the next due time of a schedule that is still to come. None: there is none, or the schedule cannot be read.
pub(crate) fn next(stored: &StoredSchedule, now: Timestamp) -> Option<Timestamp> {
    let mut timing = timing(stored)?;
    let over = moment(stored.due.map_or(stored.over, |due| due.max(stored.over)));
    if was_ahead(over, now) {
        timing.reach_back_to(now);
        let told = stored.last.map(|last| moment(last.due));
        return timing.next(over_by(told, now).max(now));
    }
    timing.next(over.max(now))
}

/// Returns whether the clock was so far ahead when due times until `over` ended that a schedule does not wait until it
/// shows that time again.
pub(crate) fn was_ahead(over: Timestamp, now: Timestamp) -> bool {
    over.duration_since(now) > LONGEST_SILENCE
}

/// Returns until when due times are over by a clock that was set back far: until the last one that was told since, or until now.
/// The clock may go a small step back after that, and no due time comes a second time.
pub(crate) fn over_by(told: Option<Timestamp>, now: Timestamp) -> Timestamp {
    told.filter(|told| !was_ahead(*told, now)).unwrap_or(now)
}

/// Converts milliseconds since the Unix epoch to a time.
pub(crate) fn moment(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or_default()
}

fn in_words(timing: &StoredTiming) -> String {
    match timing {
        StoredTiming::Every(period) => format!("every {}", show_duration(Duration::from_millis(*period))),
        StoredTiming::At(due) => format!("once, {}", moment(*due)),
        StoredTiming::Cron { expression, zone } => format!("{expression} {zone}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    /// Counts the starts.
    impl StartsTelling for AtomicU32 {
        fn start_telling(self: Arc<Self>) {
            self.fetch_add(1, Relaxed);
        }
    }

    /// Otherwise owners would see a schedule that is due in ten years, though it is due in an hour.
    #[test]
    fn the_next_due_time_follows_a_clock_that_was_far_ahead_and_was_set_back() {
        const HOUR: i64 = 3_600_000;
        let set_at = 100_000 * HOUR;
        let mut stored = StoredSchedule {
            id: 1,
            name: "hourly".to_owned(),
            timing: StoredTiming::Every(HOUR.unsigned_abs()),
            catch_up: 1,
            set_at,
            over: set_at + 2 * HOUR,
            due: None,
            attempts: 0,
            missed: 0,
            runs_from: set_at,
            paused: false,
            last: None,
        };
        let next_at = |stored: &StoredSchedule, now: i64| next(stored, moment(now)).map(Timestamp::as_millisecond);
        assert_eq!(next_at(&stored, 5 * HOUR + 1), Some(6 * HOUR));
        // Two days back are near: no due time is told twice.
        assert_eq!(next_at(&stored, set_at - 46 * HOUR), Some(set_at + 3 * HOUR));
        assert_eq!(next_at(&stored, set_at - 47 * HOUR), Some(set_at - 46 * HOUR));
        // Told by the clock that was set back, which then went back by half an hour once more.
        let told = StoredSchedule { last: Some(LastDue { due: 5 * HOUR, failed: false }), ..stored.clone() };
        assert_eq!(next_at(&told, 5 * HOUR - HOUR / 2), Some(6 * HOUR));
        stored.timing = StoredTiming::Cron { expression: "30 * * * *".to_owned(), zone: "UTC".to_owned() };
        assert_eq!(next_at(&stored, 5 * HOUR), Some(5 * HOUR + HOUR / 2));
        stored.timing = StoredTiming::Cron { expression: "?".to_owned(), zone: "UTC".to_owned() };
        assert_eq!(next_at(&stored, 5 * HOUR), None);
    }

    #[test]
    fn a_schedule_that_nobody_listens_to_is_warned_about_once() {
        let schedules = Schedules::default();
        assert!(schedules.is_first_unheard("standup") && !schedules.is_first_unheard("standup"));
        assert!(schedules.is_first_unheard("lunch"));
        assert!(schedules.passed_on().is_first_unheard("standup"), "the next version may have another filter");
        let warned = (0..2 * MAX_UNHEARD).filter(|number| schedules.is_first_unheard(&number.to_string())).count();
        assert_eq!(warned, MAX_UNHEARD - 2);
    }

    /// A plugin without schedules has no task, and one that sets a schedule while its task ends gets another one.
    #[test]
    fn the_task_is_started_when_it_is_needed_and_ends_when_nothing_changed() {
        let (schedules, started) = (Schedules::default(), Arc::new(AtomicU32::new(0)));
        schedules.has_changed();
        let starts: Weak<AtomicU32> = Arc::downgrade(&started);
        schedules.start_with(starts);
        schedules.has_changed();
        schedules.has_changed();
        assert_eq!(started.load(Relaxed), 1);
        let seen = schedules.changes();
        schedules.has_changed();
        assert!(!schedules.ends(seen));
        assert!(schedules.ends(schedules.changes()));
        schedules.has_changed();
        assert_eq!(started.load(Relaxed), 2);
    }
}
