//! Attacks on schedules: too many due times at once, changes without end, a clock that is set back, and times and zones
//! that there are not.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use parlor_tests::plugins;
use serde_json::{Value, json};

use crate::case::{Case, case};
use crate::cpu::remove;
use crate::report::short;
use crate::stage::{Plan, SOON, Stage};
use crate::trial::Trial;
use crate::web::fast;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(114, "64 schedules that are due at once", all_at_once),
        case!(115, "schedules set and cancelled without end", without_end),
        case!(116, "a clock set back over due times", set_back),
        case!(166, "times, zones and cron expressions in a stranger's words", strange_words),
    ]
}

/// The most schedules of a plugin, as by default.
const MOST: usize = 64;
const HOUR: i64 = 3_600;

/// Returns the time after this number of seconds, by a clock with an offset.
fn in_seconds(seconds: i64, wrong: i64) -> String {
    (Timestamp::now() + SignedDuration::from_secs(seconds + wrong)).to_string()
}

async fn all_at_once(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(fast)?).await?;
    stage.call("listen.on", &json!({ "name": "schedule" })).await?;
    stage.call("schedules.list", &json!({})).await?;
    stage.begin_anew().await?;
    let due = in_seconds(15, 0);
    for number in 0..MOST {
        let set = stage.call("schedules.at", &json!({ "name": number.to_string(), "due": due })).await?;
        ensure!(set["ok"] == true, "the schedule {number}: {}", short(&set));
    }
    let more = json!({ "name": "more", "due": due });
    stage.refused("schedules.at", &more, "over-limit").await?;
    let mut told = BTreeSet::new();
    while told.len() < MOST {
        let heard = stage.heard().await?;
        let due = &heard["event"]["payload"]["schedule"];
        ensure!(due["attempt"] == 1 && told.insert(due["name"].to_string()), "told again: {}", short(&heard));
        if told.len() == 1 {
            stage.during().await?;
        }
    }
    is_empty(stage).await?;
    remove(stage).await?;
    Ok(format!("each of the {MOST} is told once, and the neighbour answers meanwhile"))
}

/// Waits until the plugin has no schedules.
async fn is_empty(stage: &mut Stage) -> Result<()> {
    let deadline = Instant::now() + SOON;
    loop {
        let left = stage.call("schedules.list", &json!({})).await?;
        if left["ok"] == json!([]) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "there are schedules left: {}", short(&left));
    }
}

async fn without_end(trial: &mut Trial) -> Result<String> {
    /// How often the plugin sets a schedule and ends it.
    const TIMES: u32 = 500;
    let stage = trial.start(Plan::new()?.caller(fast)?).await?;
    stage.call("schedules.churn", &json!({ "times": 1 })).await?;
    stage.begin_anew().await?;
    stage.order_call(2, "schedules.churn", &json!({ "times": TIMES })).await?;
    stage.during().await?;
    let done = loop {
        if let Some(done) = stage.answer().await?.strip_prefix("done ") {
            break serde_json::from_str::<Value>(done)?;
        }
        stage.answers().await?;
    };
    let all = done["ok"]["came"].as_u64().zip(done["ok"]["failed"].as_u64()).map(|(came, failed)| came + failed);
    ensure!(all == Some(u64::from(TIMES)), "{}", short(&done));
    let left = stage.call("schedules.list", &json!({})).await?;
    let left = left["ok"].as_array().with_context(|| format!("no list: {}", short(&left)))?.len();
    ensure!(left <= MOST, "{left} schedules are left");
    remove(stage).await?;
    Ok(format!("{TIMES} of them take their turns with the neighbour's calls, and {left} are left"))
}

async fn set_back(trial: &mut Trial) -> Result<String> {
    let mut plan = Plan::new()?.caller(|entry| fast(entry).set("listens", "schedule"))?;
    let clock = plan.home.path().join("clock");
    let set_clock = |wrong: i64| std::fs::write(&clock, wrong.to_ne_bytes()).context("the clock cannot be set");
    set_clock(0)?;
    plan.home.set_environment("LD_PRELOAD", &plugins::program("libparlor_clock.so")?.display().to_string());
    plan.home.set_environment("PARLOR_CLOCK", &clock.display().to_string());
    let stage = trial.start(plan).await?;
    let tick = json!({ "name": "tick", "milliseconds": 1_000 * HOUR });
    let first = time(&stage.call("schedules.every", &tick).await?["ok"])?;
    set_clock(HOUR)?;
    stage.kill_and_start().await?;
    told(stage, "tick").await?;
    let second = next(stage).await?;
    ensure!(second > first, "the next due time is {second}, and {first} was told");
    // A day back: due times that were delivered are not delivered again when their time returns.
    let wrong = -24 * HOUR;
    set_clock(wrong)?;
    stage.kill_and_start().await?;
    let probe = json!({ "name": "probe", "due": in_seconds(5, wrong) });
    let set = stage.call("schedules.at", &probe).await?;
    ensure!(set["ok"] == true, "{}", short(&set));
    let all = told(stage, "probe").await?;
    ensure!(all.len() == 1, "it was told again after the clock was set back: {all:?}");
    ensure!(next(stage).await? > first, "a due time that was told is due again");
    set_clock(2 * HOUR)?;
    stage.kill_and_start().await?;
    let all = told(stage, "tick").await?;
    ensure!(all.len() == 1 && time(&all[0]["due"])? > first, "{all:?}");
    stage.during().await?;
    Ok("what was told is not told again, and the next due time comes once".to_owned())
}

/// Waits until a due time of a schedule is delivered, and returns all due times that the plugin got since it began.
async fn told(stage: &mut Stage, name: &str) -> Result<Vec<Value>> {
    let deadline = Instant::now() + SOON;
    loop {
        let noted = stage.call("action.noted", &json!({})).await?;
        let events = noted["ok"].as_array().into_iter().flatten();
        let all: Vec<Value> = events.map(|event| event["payload"]["schedule"].clone()).collect();
        if all.iter().any(|due| due["name"] == name) {
            return Ok(all);
        }
        ensure!(Instant::now() < deadline, "{name} is not told: {}", short(&noted));
    }
}

/// Waits until no due time of `tick` is being told, and returns its next one.
async fn next(stage: &mut Stage) -> Result<Timestamp> {
    let deadline = Instant::now() + SOON;
    loop {
        let list = stage.call("schedules.list", &json!({})).await?;
        let tick = list["ok"].as_array().into_iter().flatten().find(|one| one["name"] == "tick");
        let tick = tick.with_context(|| format!("there is no tick: {}", short(&list)))?;
        if !tick["next"].is_null() {
            return time(&tick["next"]);
        }
        ensure!(Instant::now() < deadline, "its handler does not end: {}", short(&list));
    }
}

fn time(value: &Value) -> Result<Timestamp> {
    let text = value.as_str().with_context(|| format!("no time: {value}"))?;
    text.parse().with_context(|| format!("no time: {text}"))
}

async fn strange_words(trial: &mut Trial) -> Result<String> {
    let (digits, parts, list) = ("9".repeat(8_000), "x/".repeat(4_000), "1,".repeat(4_000));
    let times = [
        "2026-02-30 9:00",
        "2026-13-01 9:00",
        "24:00",
        "in -1 hours",
        "in 9999999999 weeks",
        "in 99999999999999999999999 weeks",
        "\u{ff12}:00",
        "9:00\u{0}",
        "\u{202e}00:9",
        digits.as_str(),
    ];
    let zones = ["", "Nowhere/City", "Etc/Unknown", "../../etc/passwd", "Europe/Berlin\u{0}", "+02:00", parts.as_str()];
    let expressions = [
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "* * * * * *",
        "60 * * * *",
        "*/0 * * * *",
        "@daily",
        "5-1 * * * *",
        "\u{661} * * * *",
        list.as_str(),
    ];
    let stage = trial.start(Plan::new()?.caller(fast)?).await?;
    let moment = "2026-07-01T12:00:00Z";
    for text in times {
        stage.refused("schedules.parse", &json!({ "text": text, "zone": "Europe/Berlin" }), "invalid").await?;
    }
    for zone in zones {
        stage.refused("schedules.parse", &json!({ "text": "9:00", "zone": zone }), "invalid").await?;
        stage.refused("schedules.to-local", &json!({ "moment": moment, "zone": zone }), "invalid").await?;
        let daily = json!({ "name": "daily", "expression": "0 9 * * *", "zone": zone });
        stage.refused("schedules.cron", &daily, "invalid").await?;
    }
    for expression in expressions {
        let odd = json!({ "name": "odd", "expression": expression, "zone": "UTC" });
        stage.refused("schedules.cron", &odd, "invalid").await?;
    }
    stage.during().await?;
    is_empty(stage).await?;
    remove(stage).await?;
    Ok(format!("{} of them are invalid, and none is set", times.len() + zones.len() + expressions.len()))
}
