//! The calls of `schedules`. They bypass the SDK, which takes times and gives them as values of the language.

use parlor_sdk::bindings::parlor::plugin::schedules;
use parlor_sdk::prelude::{Duration, Error, Result, Value, json};
use parlor_sdk::schedules::{LocalTime, Schedule, Timing};

use super::{all, arg, counted, text, unknown};

pub(super) async fn call(function: &str, args: &Value) -> Result<Value> {
    let name = || text(args, "name");
    let zone = || text(args, "zone");
    let catch_up = || arg::<Option<u32>>(args, "catch-up").map(|given| given.unwrap_or(1));
    let answer = match function {
        "every" => schedules::every(name()?, arg(args, "milliseconds")?, catch_up()?).await.map(Value::from),
        "at" => schedules::at(name()?, text(args, "due")?, catch_up()?).await.map(Value::from),
        "cron" => schedules::cron(name()?, text(args, "expression")?, zone()?, catch_up()?).await.map(Value::from),
        "list" => schedules::list().await.map(|all| all.iter().map(schedule).collect()),
        "cancel" => schedules::cancel(name()?).await.map(Value::from),
        "to-local" => schedules::to_local(&text(args, "moment")?, &zone()?).map(|one| local(&one)),
        "format" => schedules::format(&text(args, "moment")?, &zone()?, &text(args, "pattern")?).map(Value::from),
        "parse" => schedules::parse(&text(args, "text")?, &zone()?).map(Value::from),
        "churn" => return Ok(churn(arg(args, "times")?).await),
        _ => return Err(unknown(function)),
    };
    answer.map_err(Error::from)
}

/// Sets this many schedules at once and ends each of them, and counts the outcomes.
async fn churn(times: u32) -> Value {
    let one = |number: u32| async move {
        let name = format!("churn {}", number % 32);
        parlor_sdk::schedules::every(&name, Duration::from_hours(1)).await?;
        parlor_sdk::schedules::cancel(&name).await
    };
    counted(all((0..times).map(one).collect()).await)
}

fn schedule(one: &Schedule) -> Value {
    let timing = match &one.timing {
        Timing::Every(milliseconds) => json!({ "every": milliseconds }),
        Timing::At(due) => json!({ "at": due }),
        Timing::Cron((expression, zone)) => json!({ "cron": [expression, zone] }),
    };
    json!({ "name": one.name, "timing": timing, "catch-up": one.catch_up, "next": one.next, "paused": one.paused })
}

fn local(time: &LocalTime) -> Value {
    json!({
        "year": time.year, "month": time.month, "day": time.day, "hour": time.hour, "minute": time.minute,
        "second": time.second, "weekday": time.weekday, "offset": time.offset, "abbreviation": time.abbreviation,
    })
}
