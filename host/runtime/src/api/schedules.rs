//! `schedules`: times at which the host wakes a plugin, and local times.

use std::sync::Arc;

use jiff::Timestamp;
use parlor_schedules::local::{self, LONGEST_TEXT, NoTime};
use parlor_schedules::{Cron, Zone};
use parlor_session::permissions::{CallName, Granted, Target};
use parlor_stanza::error::CallError;
use parlor_stanza::raw::is_one_line;
use parlor_store::{NewSchedule, StoreError, StoredSchedule, StoredTiming};
use wasmtime::component::Accessor;

use super::pacing::pace_storage;
use super::storage::{CALL, failed, owner};
use super::types::date_time;
use super::{answer, caller, text, time};
use crate::bindings::parlor::plugin::schedules::{Host, HostWithStore, LocalTime, Schedule, Timing};
use crate::bindings::parlor::plugin::types::Error;
use crate::instance::{Context, Grouping, Instance};
use crate::schedules::{moment, next};

/// Maximum length of a name, in bytes.
const LONGEST_NAME: usize = 64;
/// The shortest period, in milliseconds.
const SHORTEST_PERIOD: u64 = 60_000;
/// The longest period: ten years.
const LONGEST_PERIOD: u64 = 3_653 * 24 * 60 * 60_000;
/// Maximum number of missed due times that are delivered.
const MOST_CAUGHT_UP: u32 = 1_000;

impl Host for Context {
    fn to_local(&mut self, moment: String, zone: String) -> Result<LocalTime, Error> {
        answer(to_local(&moment, &zone))
    }

    fn format(&mut self, moment: String, zone: String, pattern: String) -> Result<String, Error> {
        answer(format_moment(&moment, &zone, &pattern))
    }

    fn parse(&mut self, text: String, zone: String) -> Result<String, Error> {
        answer(parse(&text, self.instance.account.clock.now(), &zone))
    }
}

impl<T: Send + 'static> HostWithStore<T> for Grouping {
    async fn every(
        accessor: &Accessor<T, Self>,
        name: String,
        milliseconds: u64,
        catch_up: u32,
    ) -> Result<String, Error> {
        answer(
            async {
                let (instance, call) = caller(accessor, CallName::SchedulesEvery)?;
                let granted = call.granted(Target::None)?;
                if !(SHORTEST_PERIOD..=LONGEST_PERIOD).contains(&milliseconds) {
                    let reason = format!("from {SHORTEST_PERIOD} (a minute) to {LONGEST_PERIOD} (ten years)");
                    return Err(CallError::invalid("milliseconds", reason));
                }
                let timing = StoredTiming::Every(milliseconds);
                first_due(&instance, &granted, new(name, timing, catch_up)?).await
            }
            .await,
        )
    }

    async fn at(accessor: &Accessor<T, Self>, name: String, due: String, catch_up: u32) -> Result<bool, Error> {
        answer(
            async {
                let (instance, call) = caller(accessor, CallName::SchedulesAt)?;
                let granted = call.granted(Target::None)?;
                let due = time("due", &due)?.as_millisecond();
                let new = new(name, StoredTiming::At(due), catch_up)?;
                if due <= instance.account.clock.now().as_millisecond() {
                    return Ok(false);
                }
                set(&instance, &granted, new).await?;
                Ok(true)
            }
            .await,
        )
    }

    async fn cron(
        accessor: &Accessor<T, Self>,
        name: String,
        expression: String,
        zone: String,
        catch_up: u32,
    ) -> Result<String, Error> {
        answer(
            async {
                let (instance, call) = caller(accessor, CallName::SchedulesCron)?;
                let granted = call.granted(Target::None)?;
                let cron = Cron::parse(&expression, named(&zone)?);
                let cron = cron.map_err(|error| CallError::invalid("expression", error.to_string()))?;
                let zone = cron.zone().name().to_owned();
                let timing = StoredTiming::Cron { expression: cron.expression().to_owned(), zone };
                first_due(&instance, &granted, new(name, timing, catch_up)?).await
            }
            .await,
        )
    }

    async fn list(accessor: &Accessor<T, Self>) -> Result<Vec<Schedule>, Error> {
        answer(
            async {
                let (instance, call) = caller(accessor, CallName::SchedulesList)?;
                let granted = call.granted(Target::None)?;
                pace_storage(&instance, &granted, CALL).await?;
                let stored = instance.data(&granted).schedules(owner(&instance));
                let all = instance.in_turn(stored.all()).await.map_err(|error| failed(&error))?;
                let now = instance.account.clock.now();
                Ok(all.into_iter().map(|one| shown(one, now)).collect())
            }
            .await,
        )
    }

    async fn cancel(accessor: &Accessor<T, Self>, name: String) -> Result<bool, Error> {
        answer(
            async {
                let (instance, call) = caller(accessor, CallName::SchedulesCancel)?;
                let granted = call.granted(Target::None)?;
                let name = check_name(name)?;
                pace_storage(&instance, &granted, CALL).await?;
                let stored = instance.data(&granted).schedules(owner(&instance));
                change(&instance, async move { stored.cancel(name).await }).await
            }
            .await,
        )
    }
}

/// Sets a schedule, and returns its first due time.
async fn first_due(instance: &Arc<Instance>, granted: &Granted, new: NewSchedule) -> Result<String, CallError> {
    let stored = set(instance, granted, new).await?;
    let due = next(&stored, instance.account.clock.now());
    due.map(date_time).ok_or_else(|| CallError::invalid("expression", "is never due: no day matches it"))
}

async fn set(instance: &Arc<Instance>, granted: &Granted, new: NewSchedule) -> Result<StoredSchedule, CallError> {
    let most = instance.limits.schedules;
    pace_storage(instance, granted, CALL).await?;
    let now = instance.account.clock.now().as_millisecond();
    let stored = instance.data(granted).schedules(owner(instance));
    let set = change(instance, async move { stored.set(new, now, most).await }).await?;
    set.ok_or_else(|| CallError::OverLimit(format!("{most} schedules")))
}

/// Changes the schedules in the store, and makes the task that delivers due times read them again, even if the call is
/// given up meanwhile.
async fn change<R: Send + 'static>(
    instance: &Arc<Instance>,
    change: impl Future<Output = Result<R, StoreError>> + Send + 'static,
) -> Result<R, CallError> {
    let lasting = Arc::clone(&instance.lasting);
    let task = instance.account.place.runtime.spawn(async move {
        let result = change.await;
        lasting.schedules.has_changed();
        result
    });
    let result = instance.in_turn(task).await.map_err(|_| CallError::Stopped)?;
    result.map_err(|error| failed(&error))
}

fn new(name: String, timing: StoredTiming, catch_up: u32) -> Result<NewSchedule, CallError> {
    if catch_up > MOST_CAUGHT_UP {
        return Err(CallError::invalid("catch-up", format!("at most {MOST_CAUGHT_UP}")));
    }
    Ok(NewSchedule { name: check_name(name)?, timing, catch_up })
}

fn check_name(name: String) -> Result<String, CallError> {
    if name.is_empty() || name.len() > LONGEST_NAME || !is_one_line(&name) {
        let reason = format!("a name has 1 to {LONGEST_NAME} bytes and no control characters");
        return Err(CallError::invalid("name", reason));
    }
    Ok(name)
}

fn named(zone: &str) -> Result<Zone, CallError> {
    Zone::named(zone).map_err(|error| CallError::invalid("zone", error.to_string()))
}

fn shown(stored: StoredSchedule, now: Timestamp) -> Schedule {
    Schedule {
        next: next(&stored, now).map(date_time),
        timing: match stored.timing {
            StoredTiming::Every(period) => Timing::Every(period),
            StoredTiming::At(due) => Timing::At(date_time(moment(due))),
            StoredTiming::Cron { expression, zone } => Timing::Cron((expression, zone)),
        },
        name: stored.name,
        catch_up: stored.catch_up,
        paused: stored.paused,
    }
}

fn to_local(moment: &str, zone: &str) -> Result<LocalTime, CallError> {
    let local::LocalTime { shown, offset, abbreviation } = local::to_local(time("moment", moment)?, &named(zone)?);
    Ok(LocalTime {
        year: shown.year(),
        month: shown.month().unsigned_abs(),
        day: shown.day().unsigned_abs(),
        hour: shown.hour().unsigned_abs(),
        minute: shown.minute().unsigned_abs(),
        second: shown.second().unsigned_abs(),
        weekday: shown.weekday().to_monday_one_offset().unsigned_abs(),
        offset,
        abbreviation,
    })
}

fn format_moment(moment: &str, zone: &str, pattern: &str) -> Result<String, CallError> {
    let (moment, zone) = (time("moment", moment)?, named(zone)?);
    local::format(moment, &zone, pattern).map_err(|error| CallError::invalid("pattern", error.to_string()))
}

fn parse(written: &str, now: Timestamp, zone: &str) -> Result<String, CallError> {
    let written = text("text", written, LONGEST_TEXT)?;
    let odd = |error: NoTime| CallError::invalid("text", error.to_string());
    local::parse(written, now, &named(zone)?).map(date_time).map_err(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_count_are_bounded() {
        let every = || StoredTiming::Every(60_000);
        for name in [String::new(), "x".repeat(65), "a\nb".to_owned()] {
            assert!(matches!(new(name, every(), 0), Err(CallError::Invalid { argument, .. }) if argument == "name"));
        }
        assert!(new("x".repeat(64), every(), MOST_CAUGHT_UP).is_ok());
        assert!(new("x".to_owned(), every(), MOST_CAUGHT_UP + 1).is_err());
    }

    #[test]
    fn local_times_are_those_of_the_zone() {
        let local = to_local("2026-07-05T22:30:15Z", "Europe/Berlin").unwrap();
        assert_eq!((local.year, local.month, local.day, local.hour, local.weekday), (2026, 7, 6, 0, 1));
        assert_eq!((local.offset, local.abbreviation.as_str()), (7_200, "CEST"));
        assert!(to_local("2026-07-05T22:30:15Z", "Europe/Nowhere").is_err());
        assert!(format_moment("2026-07-05T22:30:15Z", "UTC", "%!").is_err());
        let now = "2026-07-05T22:30:15Z".parse().unwrap();
        assert_eq!(parse("in 1 minute", now, "UTC").as_deref(), Ok("2026-07-05T22:31:15.000Z"));
    }
}
