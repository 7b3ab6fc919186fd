//! Attacks by host calls: floods of calls, and calls that are interrupted.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use parlor_tests::host::Surroundings;
use parlor_tests::policy::Entry;
use serde_json::json;

use crate::case::{Case, case};
use crate::cpu::{action_ends, remove};
use crate::report::short;
use crate::stage::{Plan, SOON};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(34, "flood of calls", flood),
        case!(35, "flood of log lines", flood_log),
        case!(36, "ANSI codes and newlines in log lines", odd_log),
        case!(37, "re-entrance: host to plugin to host", reentrance),
        case!(38, "trap while the host holds something for it", trap_in_flight),
        case!(39, "a call that blocks", blocking),
        case!(40, "dropped or killed in mid-call", killed_in_mid_call),
        case!(41, "an answer that comes after unload", late_answer),
        case!(42, "a panic in a host function", host_panic),
        case!(43, "a million timers", timers),
        case!(44, "storage over quota, key collision, prefix escape", storage),
    ]
}

async fn flood(trial: &mut Trial) -> Result<String> {
    let slice = |entry: Entry| entry.limit("cpu_slice", "300 ms");
    action_ends(
        trial,
        Plan::new()?.unruly(slice)?,
        "flood-calls",
        "it computed for 300 ms without a pause (limit `cpu_slice`)",
    )
    .await
}

async fn flood_log(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.unruly(|entry| entry)?).await?;
    stage.order("do flood-log").await?;
    stage.during().await?;
    let wrote = stage.answer().await?;
    ensure!(wrote == "wrote 10000 lines", "{wrote}");
    let lines = stage.host.log().all().iter().filter(|line| line.contains("flood ")).count();
    ensure!(lines <= 200, "{lines} lines were written");
    Ok(format!("{lines} of 10000 lines were written"))
}

async fn odd_log(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.unruly(|entry| entry)?).await?;
    stage.order("do odd-log").await?;
    stage.during().await?;
    stage.answer().await?;
    let shown = stage.home.run(&["logs", "--lines", "200"]).await?;
    let shown = if shown.code == Some(0) { shown } else { stage.home.run(&["logs"]).await? };
    ensure!(shown.code == Some(0), "{shown:?}");
    let bad = |text: &str| text.chars().any(|one| (one.is_control() && one != '\n') || one == '\u{202e}');
    ensure!(shown.stdout.contains("a second line"), "the line is not shown: {}", shown.stdout);
    ensure!(!bad(&shown.stdout), "`parlor logs` writes control characters: {:?}", shown.stdout);
    let forged = shown.stdout.lines().find(|line| !line.starts_with("20") && !line.starts_with("    "));
    ensure!(forged.is_none(), "`parlor logs` shows a line that was forged: {forged:?}");
    for line in stage.host.log().all() {
        ensure!(!bad(&line), "the log has control characters: {line:?}");
        ensure!(!line.starts_with("ERROR"), "a line was forged: {line:?}");
        ensure!(line.len() < 16 << 10, "a line has {} bytes", line.len());
    }
    Ok("one harmless line each, and short".to_owned())
}

async fn reentrance(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.unruly(|entry| entry)?).await?;
    // The plugin handles each event that it fires, and fires the next one before the first call has returned.
    let begin = std::time::Instant::now();
    stage.order("do flood-emit").await?;
    // The bound is the burst, the rate after that, and some other events that the plugin receives.
    let mut handled = 0;
    while handled < 500 {
        ensure!(begin.elapsed() < SOON, "{handled} events were handled");
        stage.during().await?;
        handled = stage.status("unruly").await?["usage"]["handled"].as_u64().context("nothing is counted")?;
    }
    stage.during().await?;
    handled = stage.status("unruly").await?["usage"]["handled"].as_u64().context("nothing is counted")?;
    let most = 1_000 + 500 * (begin.elapsed().as_secs() + 1);
    ensure!(handled <= most, "{handled} events were handled in {:?}", begin.elapsed());
    remove(stage).await?;
    ensure!(stage.host.lines("plugin running", &[("plugin", "echo")]).len() == 1, "the neighbour was started anew");
    Ok(format!("held to 500 events a second, {handled} in all; nothing is entered twice"))
}

async fn trap_in_flight(trial: &mut Trial) -> Result<String> {
    action_ends(trial, Plan::new()?.unruly(|entry| entry)?, "trap-in-flight", "it panicked or aborted").await
}

async fn blocking(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.unruly(|entry| entry.limit("handlers", 2))?).await?;
    for _ in 0..5 {
        stage.order("do sleep").await?;
    }
    stage.during().await?;
    let policy = stage.policy.clone().without("unruly");
    let begin = std::time::Instant::now();
    stage.reload(policy).await?;
    let took = begin.elapsed();
    // The plugin has two seconds for its stop handler, and all pending calls are then interrupted.
    ensure!(took < Duration::from_secs(10), "it was removed after {took:?}");
    Ok(format!("holds up nothing but itself; removed in {:.1} s", took.as_secs_f64()))
}

async fn killed_in_mid_call(trial: &mut Trial) -> Result<String> {
    let grants =
        |entry: Entry| entry.grant_whole("storage").grant("stanza.send", &["iq:@localhost"]).limit("stop", "0 ms");
    let plan = Plan::new()?.caller(grants)?;
    // The keeper holds on to the compiled code, so that each restart is quick.
    let keeper = plan.home.install("keeper", &parlor_tests::plugins::built("caller")?)?.set("name", "keeper");
    let stage = trial.start(plan.with("keeper", keeper)).await?;
    stage.keep_requests("never-answered");
    stage.allow("iq:nurse@localhost");
    stage.open_storage().await?;
    let (with, without) = (stage.policy.clone(), stage.policy.clone().without("caller"));
    let calls = [
        ("api.send-iq", json!({ "iq": "<iq type='get' to='nurse@localhost'><x xmlns='never-answered'/></iq>" })),
        ("api.wait-until", json!({ "promise": "never" })),
        ("timers.sleep", json!({ "milliseconds": 3_600_000 })),
        ("storage.set", json!({ "key": "k", "value": "v" })),
        ("storage.get", json!({ "key": "k" })),
        ("api.emit", json!({ "name": "x", "payload": 1 })),
        ("action.wait-until", json!({ "promise": "never", "times": 100 })),
        ("action.sleep", json!({ "times": 100 })),
        ("action.emit", json!({ "name": "x", "times": 100 })),
        ("action.work", json!({ "times": 1_000 })),
        ("chats.send", json!({ "jid": "mallory@localhost", "body": "half" })),
        ("log.write", json!({ "level": "info", "message": "x", "times": 10_000 })),
    ];
    for (call, args) in &calls {
        stage.order_call(1, "promises.add", &json!({ "name": "never" })).await?;
        stage.order_call(2, call, args).await?;
        stage.reload(without.clone()).await?;
        stage.reload(with.clone()).await?;
    }
    stage.during().await?;
    stage.reload(without).await?;
    Ok(format!("{} calls cut off, nothing left", calls.len()))
}

async fn late_answer(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(|entry| entry.grant("stanza.send", &["iq:@localhost"]))?).await?;
    stage.keep_requests("late-query");
    stage.allow("iq:nurse@localhost");
    let ask = json!({ "iq": "<iq type='get' to='nurse@localhost'><x xmlns='late-query'/></iq>" });
    stage.order_call(1, "api.send-iq", &ask).await?;
    let (id, _) = stage.request().await?;
    let policy = stage.policy.clone().without("caller");
    stage.reload(policy).await?;
    for _ in 0..2 {
        let payload = "<x xmlns='late-query'/>";
        stage
            .raw(format!(
                "<iq xmlns='jabber:client' type='result' id='{id}' from='nurse@localhost' to='bot@localhost/parlor'>{payload}</iq>"
            ))
            .await?;
    }
    stage.during().await?;
    Ok("dropped: nobody waits for it any more".to_owned())
}

async fn host_panic(trial: &mut Trial) -> Result<String> {
    let plan = Plan::new()?.surroundings(Surroundings::Embedded).caller(|entry| entry)?;
    let stage = trial.start(plan).await?;
    for life in 1..=2 {
        let write = json!({ "level": "info", "message": "and now the log breaks here" });
        stage.order_call(1, "log.write", &write).await?;
        stage.during().await?;
        let running = [("plugin", "caller")];
        stage.host.wait_count("plugin running", &running, life + 1, SOON).await?;
    }
    let how = stage.ended("caller", "the host failed while it served a call; please report this").await?;
    let answer = stage.call("user.jid", &json!(null)).await?;
    ensure!(answer.get("ok").is_some(), "{}", short(&answer));
    ensure!(stage.host.lines("plugin ended", &[("plugin", "echo")]).is_empty(), "it took the neighbour along");
    Ok(format!("{how}; it lives again, twice"))
}

async fn timers(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.unruly(|entry| entry)?).await?;
    stage.order("do many-timers").await?;
    stage.during().await?;
    let got = stage.answer().await?;
    ensure!(got.starts_with("got 64 timers: over limit"), "{got}");
    Ok(got)
}

async fn storage(trial: &mut Trial) -> Result<String> {
    let plan = Plan::new()?.caller(|entry| entry.grant("storage", &["1 MiB"]))?;
    let stage = trial.start(plan).await?;
    stage.open_storage().await?;
    let mut over = None;
    for number in 0..10 {
        let long = json!({ "key": format!("k{number}"), "length": 200 << 10 });
        let answer = stage.call("storage.set-long", &long).await?;
        if answer["err"]["case"] == "over-limit" {
            over = Some(number);
            break;
        }
        ensure!(answer.get("ok").is_some(), "{}", short(&answer));
    }
    ensure!(over == Some(5), "1 MiB holds five values of 200 KiB, but {over:?} were taken");
    for key in ["", "\0", "a\nb", "\u{1b}[31m", &"k".repeat(513)] {
        stage.refused("storage.set", &json!({ "key": key, "value": "x" }), "invalid").await?;
    }
    stage.refused("storage.set-long", &json!({ "key": "long", "length": 300 << 10 }), "invalid").await?;
    // Keys that a file system or a database might interpret are ordinary keys.
    for key in ["../../x", "/etc/passwd", "%", "_", "'; drop table data; --", "K0", "k0\u{301}"] {
        stage.call("storage.set", &json!({ "key": key, "value": key })).await?;
        let back = stage.call("storage.get", &json!({ "key": key })).await?;
        ensure!(back["ok"] == key, "{key}: {}", short(&back));
    }
    let some = stage.call("storage.keys", &json!({ "prefix": "%" })).await?;
    ensure!(some["ok"] == json!(["%"]), "a prefix is a pattern: {}", short(&some));
    stage.during().await?;
    let outside: Vec<_> = std::fs::read_dir(stage.home.path())?.flatten().map(|entry| entry.file_name()).collect();
    ensure!(!outside.iter().any(|name| name == "x"), "{outside:?}");
    Ok("over-limit, invalid; each key is itself".to_owned())
}
