//! Tells a plugin of the due times of its schedules.
//!
//! One task delivers all of them. Due times do not take mailbox places that other events need, and at most a few wait
//! for the plugin at the same time. So sixty schedules that are due at once are delivered one after another.

mod known;
mod since;

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use parlor_base::clock::{Clock, ClockJumpDetector};
use parlor_base::nearest::nearest;
use parlor_session::DueTime;
use parlor_session::event::{Event, EventName, Payload};
use parlor_session::router::Mail;
use parlor_store::{DueOutcome, Owner, StoredSchedule};

use super::staying::{Attempt, attempt, is_alone, running, running_now, stays_for, stays_until, until_done};
use super::{Shared, Supervised};
use crate::instance::Instance;
use crate::schedules::{PluginSchedules, StartsTelling};
use known::{Known, Work};
use since::Since;

/// The maximum number of due times that are being delivered at the same time, each of another schedule. A slow one does
/// not delay other schedules.
const AT_ONCE: usize = 8;
/// How often to read the clock, which may be set at any time.
const LOOK_AT_CLOCK: Duration = Duration::from_mins(1);
/// The same for the clock of a runtime, which cannot be set.
const LONGEST_SLEEP: Duration = Duration::from_hours(24);
/// A clock that was set forward by more than that has left out due times: the machine slept, or showed a wrong time.
const JUMP: SignedDuration = SignedDuration::from_mins(1);

/// The end of a piece of work on a schedule.
enum Done {
    /// The plugin is to end, or the store has ended.
    Ends,
    /// The schedule is there no longer.
    Gone,
    /// The plugin does not take it now.
    NotTaken,
    /// The due times until this one are skipped without delivery.
    LeftOut,
    /// It must be delivered again after this pause.
    Again(Duration),
    /// The due time is over.
    Over,
}

/// Begins to tell the plugin of due times, before its instance is there: at once if it has schedules, and otherwise when it
/// sets one.
pub(super) async fn begin(shared: &Arc<Shared>) {
    let schedules = &shared.lasting.schedules;
    if schedules.are_told() {
        return;
    }
    let starts: Weak<Shared> = Arc::downgrade(shared);
    schedules.start_with(starts);
    // If they cannot be read, the task tries again.
    if stored(shared).may_be_there().await.unwrap_or(true) {
        schedules.has_changed();
    }
}

impl StartsTelling for Shared {
    fn start_telling(self: Arc<Self>) {
        let runtime = self.account.place.runtime.clone();
        runtime.spawn(tell_all(self));
    }
}

impl Supervised {
    /// Returns its schedules.
    pub fn schedules(&self) -> PluginSchedules {
        let shared = &self.shared;
        PluginSchedules { stored: stored(shared), of: Arc::clone(&shared.lasting), clock: shared.account.clock }
    }
}

fn stored(shared: &Shared) -> parlor_store::Schedules {
    let owner = Owner { account: shared.account.own.clone(), plugin: shared.admitted.id.clone() };
    shared.account.data().schedules(owner)
}

/// Tells the plugin of due times until it has no schedule, or is to end.
async fn tell_all(shared: Arc<Shared>) {
    // Until then, the version that it replaces gets the due times.
    if !stays_until(&shared, is_alone(&shared)).await {
        return;
    }
    let (schedules, stored) = (&shared.lasting.schedules, stored(&shared));
    let Some(mut turn) = stays_for(&shared, schedules.turn()).await else { return };
    let clock = shared.account.clock;
    let mut jumps = ClockJumpDetector::of(clock);
    let (mut all, mut under_way, mut taken) = (Known::default(), FuturesUnordered::new(), Since::after(turn.take()));
    let (mut is_stale, mut seen, mut last) = (true, 0, None);
    loop {
        if std::mem::take(&mut is_stale) {
            seen = schedules.changes();
            let Some(rows) = until_done(&shared, "schedules cannot be read", || stored.all()).await else { break };
            all.read(rows);
        }
        if all.is_empty() && under_way.is_empty() {
            if schedules.ends(seen) {
                return;
            }
            is_stale = true;
            continue;
        }
        let instance = running_now(&shared);
        let (has_jumped, now) = (jumps.look().is_some_and(|by| by > JUMP), clock.now());
        if has_jumped {
            taken.jumped(now);
        }
        let since = instance.map(|instance| taken.of(instance.id, instance.since, now));
        last = since;
        if let Some(since) = since {
            while under_way.len() < AT_ONCE
                && let Some((row, work)) = all.take_due(now, since)
            {
                under_way.push(work_on(&shared, &stored, row, work));
            }
        }
        let has_room = under_way.len() < AT_ONCE;
        let pause = if has_room { all.pause(now) } else { LONGEST_SLEEP };
        tokio::select! {
            biased;
            () = shared.standing.is_to_end() => break,
            Some((id, done)) = under_way.next() => {
                is_stale |= matches!(done, Done::Gone);
                if matches!(done, Done::Ends) {
                    break;
                }
                all.settle(id, &done);
            }
            () = schedules.changed() => is_stale = true,
            _ = running(&shared), if since.is_none() => {}
            () = tokio::time::sleep(pause.min(longest(clock))), if since.is_some() => {}
        }
    }
    // A handler may return while the plugin ends, and that is written.
    while under_way.next().await.is_some() {}
    *turn = last;
}

fn longest(clock: Clock) -> Duration {
    if matches!(clock, Clock::Runtime { .. }) { LONGEST_SLEEP } else { LOOK_AT_CLOCK }
}

/// The words of a failure of the store.
const UNWRITTEN: &str = "due times of a schedule cannot be written";

/// Does what is due for a schedule, and returns its id.
async fn work_on(shared: &Shared, stored: &parlor_store::Schedules, row: StoredSchedule, work: Work) -> (i64, Done) {
    let id = row.id;
    let done = match work {
        Work::LeaveOut { over, left_out, is_last } => {
            tracing::info!(
                plugin = %shared.admitted.id, account = %shared.account.name, schedule = row.name, left_out,
                "due times of a schedule were missed, and are left out"
            );
            let over = over.as_millisecond();
            let leave_out = || stored.leave_out(id, over, left_out, is_last);
            until_done(shared, UNWRITTEN, leave_out).await.map_or(Done::Ends, |()| Done::LeftOut)
        }
        Work::Tell { due, left_out, is_last } => {
            let due_ms = due.as_millisecond();
            // Write this before delivery: if the host is killed in between, the due time is delivered again, and does
            // not count as missed.
            let begun = match left_out {
                None => Some(true),
                Some(left_out) => until_done(shared, UNWRITTEN, || stored.begin(id, due_ms, left_out)).await,
            };
            match begun {
                None => Done::Ends,
                Some(false) => Done::Gone,
                Some(true) => tell_and_note(shared, stored, &row, due, is_last).await,
            }
        }
    };
    (id, done)
}

/// Tells the plugin of a due time once, and writes how that ended.
async fn tell_and_note(
    shared: &Shared,
    stored: &parlor_store::Schedules,
    row: &StoredSchedule,
    due: Timestamp,
    is_last: bool,
) -> Done {
    let (outcome, done) = match tell(shared, row, due).await {
        Attempt::Untold => return Done::NotTaken,
        Attempt::Again(pause, _) => (DueOutcome::Again(row.attempts + 1), Done::Again(pause)),
        Attempt::Well => (DueOutcome::Over { failed: false, is_last }, Done::Over),
        Attempt::GivenUp => (DueOutcome::Over { failed: true, is_last }, Done::Over),
    };
    until_done(shared, UNWRITTEN, || stored.note(row.id, outcome)).await.map_or(Done::Ends, |()| done)
}

/// Tells the plugin of a due time once.
async fn tell(shared: &Shared, row: &StoredSchedule, due: Timestamp) -> Attempt {
    let Some(instance) = running_now(shared) else { return Attempt::Untold };
    // It is safe on disk, so it takes no room that events need which are not.
    if !instance.mailbox.has_room_for_a_request() {
        return Attempt::Untold;
    }
    let Some(mail) = mail(&instance, row, due) else {
        warn_of_unheard(shared, &instance, &row.name);
        return Attempt::Untold;
    };
    let outcome = attempt(shared, &instance, mail, row.attempts).await;
    if outcome == Attempt::GivenUp {
        tracing::warn!(
            plugin = %shared.admitted.id, account = %shared.account.name, schedule = row.name, %due,
            "plugin failed too often on a due time of its schedule, which is given up"
        );
    }
    outcome
}

/// Warns once about a schedule that is due and that no subscription of the plugin matches: it waits until one does, and a
/// misspelt filter never does.
fn warn_of_unheard(shared: &Shared, instance: &Instance, schedule: &str) {
    if !shared.lasting.schedules.is_first_unheard(schedule) {
        return;
    }
    let filters = instance.account.router.filters(instance.id, "schedule");
    let nearest = nearest(schedule, filters.iter().filter_map(|(filter, _)| filter.schedule.as_deref()));
    tracing::warn!(
        plugin = %shared.admitted.id, account = %shared.account.name, schedule, nearest,
        "a schedule is due that the plugin does not listen to"
    );
}

/// Returns the mail for a due time; `None` if the plugin does not listen for it.
fn mail(instance: &Instance, row: &StoredSchedule, due: Timestamp) -> Option<Mail> {
    let now = instance.account.clock.now();
    let due = DueTime {
        name: row.name.clone(),
        due,
        late: Duration::try_from(now.duration_since(due)).unwrap_or_default(),
        missed: row.missed,
        attempt: row.attempts + 1,
    };
    let event = Event { name: EventName::from("schedule"), at: now, payload: Payload::Schedule(Arc::new(due)) };
    instance.account.router.mail_for(instance.id, event)
}
