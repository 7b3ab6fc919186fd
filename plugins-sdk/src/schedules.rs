//! Times at which the host wakes the plugin: every so often, once, or as a cron expression says, in any time zone. Free for every
//! plugin; the limit `schedules` says how many there may be at once.
//!
//! The host keeps a schedule on disk: it outlives restarts and updates. At each due time it fires the event `schedule`. Subscribe to it
//! when the plugin starts.
//!
//! ```no_run
//! # use parlor_sdk::prelude::*;
//! # async fn example() -> Result<()> {
//! on("schedule").schedule("standup").run(|due: DueTime| async move {
//!     let time = schedules::format(due.time()?, "Europe/Berlin", "%H:%M")?;
//!     rooms::send("hall@rooms.example.org", format!("It is {time}, time for the standup.")).await?;
//!     Ok(())
//! })?;
//! schedules::cron("standup", "0 9 * * MON-FRI", "Europe/Berlin").await?;
//!
//! schedules::every("backup", Duration::from_secs(6 * 3_600)).await?;
//! let noon = schedules::parse("tomorrow 12:00", "Europe/Berlin")?;
//! schedules::at("lunch", noon).await?;
//! schedules::cancel("lunch").await?;
//! # Ok(()) }
//! ```
//!
//! Due times that pass while the plugin or the host does not run are missed, and the latest of them is delivered when
//! it runs again. The calls that end in `_catching_up` take the number to deliver: 0 skips them all, the maximum is
//! 1,000.

use std::time::Duration;

use jiff::Timestamp;

use crate::archive::Time;
use crate::bindings::parlor::plugin::schedules;
use crate::error::{Error, Result};
use crate::failure::{located, of_call, placed};
use crate::timers::milliseconds;
use crate::turns::in_turn;

pub use schedules::{LocalTime, Schedule, Timing};

/// The default number of missed due times that are delivered.
const CATCH_UP: u32 = 1;

/// Sets a schedule that is due again and again after a period of at least a minute, counted from now. Returns its first due time.
///
/// An existing schedule with this name is replaced. If nothing changes, it continues.
#[track_caller]
pub fn every(name: impl AsRef<str>, period: Duration) -> impl Future<Output = Result<Timestamp>> {
    every_catching_up(name, period, CATCH_UP)
}

/// The same, with the number of missed due times to deliver: at most 1,000, the latest ones.
#[track_caller]
pub fn every_catching_up(
    name: impl AsRef<str>,
    period: Duration,
    catch_up: u32,
) -> impl Future<Output = Result<Timestamp>> {
    located(async move {
        let name = name.as_ref();
        let call = || schedules::every(name.to_owned(), milliseconds(period), catch_up);
        time(&in_turn(call).await.map_err(of_call("schedules.every", name))?)
    })
}

/// Sets a schedule that is due once. False: that time has passed, and nothing was set.
#[track_caller]
pub fn at(name: impl AsRef<str>, due: impl Time) -> impl Future<Output = Result<bool>> {
    at_catching_up(name, due, CATCH_UP)
}

/// The same. With 0, it is not told where the plugin does not run at that time.
#[track_caller]
pub fn at_catching_up(name: impl AsRef<str>, due: impl Time, catch_up: u32) -> impl Future<Output = Result<bool>> {
    located(async move {
        let (name, due) = (name.as_ref(), due.to_iso_8601());
        let call = || schedules::at(name.to_owned(), due.clone(), catch_up);
        in_turn(call).await.map_err(of_call("schedules.at", name))
    })
}

/// Sets a schedule by a cron expression of five fields, such as `0 9 * * MON-FRI`, in a zone such as `Europe/Berlin` or `UTC`.
/// Returns its first due time.
///
/// [`Error::Invalid`]: no such zone, no cron expression, or one that is never due.
#[track_caller]
pub fn cron(
    name: impl AsRef<str>,
    expression: impl AsRef<str>,
    zone: impl AsRef<str>,
) -> impl Future<Output = Result<Timestamp>> {
    cron_catching_up(name, expression, zone, CATCH_UP)
}

/// The same, with the number of missed due times to deliver: at most 1,000, the latest ones.
#[track_caller]
pub fn cron_catching_up(
    name: impl AsRef<str>,
    expression: impl AsRef<str>,
    zone: impl AsRef<str>,
    catch_up: u32,
) -> impl Future<Output = Result<Timestamp>> {
    located(async move {
        let (name, expression, zone) = (name.as_ref(), expression.as_ref(), zone.as_ref());
        let call = || schedules::cron(name.to_owned(), expression.to_owned(), zone.to_owned(), catch_up);
        time(&in_turn(call).await.map_err(of_call("schedules.cron", name))?)
    })
}

/// The plugin's schedules, by name.
#[track_caller]
pub fn list() -> impl Future<Output = Result<Vec<Schedule>>> {
    located(async move { in_turn(schedules::list).await.map_err(of_call("schedules.list", "")) })
}

/// Ends a schedule. False: there is none of this name.
#[track_caller]
pub fn cancel(name: impl AsRef<str>) -> impl Future<Output = Result<bool>> {
    located(async move {
        let name = name.as_ref();
        in_turn(|| schedules::cancel(name.to_owned())).await.map_err(of_call("schedules.cancel", name))
    })
}

/// Returns the time that clocks in a zone show at this moment.
#[track_caller]
pub fn to_local(moment: impl Time, zone: impl AsRef<str>) -> Result<LocalTime> {
    schedules::to_local(&moment.to_iso_8601(), zone.as_ref()).map_err(of_call("schedules.to-local", &zone))
}

/// Writes a moment as clocks in a zone show it, by a pattern of strftime, such as `%A, %H:%M`.
///
/// [`Error::Invalid`]: the zone does not exist, or the pattern has something that is unknown.
#[track_caller]
pub fn format(moment: impl Time, zone: impl AsRef<str>, pattern: impl AsRef<str>) -> Result<String> {
    let (moment, pattern) = (moment.to_iso_8601(), pattern.as_ref());
    schedules::format(&moment, zone.as_ref(), pattern).map_err(of_call("schedules.format", pattern))
}

/// Returns the moment that a text means, as a person in a zone writes it: `2026-11-20 09:00`, `9:00`, `today 9:00`, `tomorrow 9:00`,
/// `friday 9:00`, `in 2 hours 30 minutes`.
///
/// [`Error::Invalid`]: the zone does not exist, or the text cannot be read.
#[track_caller]
pub fn parse(text: impl AsRef<str>, zone: impl AsRef<str>) -> Result<Timestamp> {
    let moment = schedules::parse(text.as_ref(), zone.as_ref()).map_err(of_call("schedules.parse", &text))?;
    placed(time(&moment))
}

/// Reads a time of the contract.
fn time(text: &str) -> Result<Timestamp> {
    text.parse().map_err(|error| Error::invalid("time", error))
}
