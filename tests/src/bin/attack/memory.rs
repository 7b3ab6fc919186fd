//! Attacks on memory: plugins that take all they can get, and arguments that are invalid values.

use anyhow::{Result, ensure};
use parlor_tests::component::graft;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use serde_json::json;

use crate::case::{Case, case};
use crate::cpu::{action_ends, lives_again, remove};
use crate::stage::{Plan, SOON};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(10, "memory.grow to the end", grow),
        case!(11, "many memories", memories),
        case!(12, "big tables", tables),
        case!(13, "many core instances inside one component", instances),
        case!(14, "GC heap", gc_heap),
        case!(15, "resource handles never dropped", handles),
        case!(16, "subtasks, futures and streams never dropped", subtasks),
        case!(17, "a stream nobody reads", unread_streams),
        case!(18, "a 1 GiB string across the boundary", gigabyte),
        case!(19, "nested lists that amplify", amplified),
        case!(20, "bad UTF-8, misaligned and out-of-range pointers", bad_pointers),
    ]
}

/// The reason for ending a plugin that passes more than a call may carry.
const TOO_MUCH: &str = "it handed over more in one call than its limit `hostcall_bytes` of 4 MiB";
/// The reason for ending a plugin that holds too many handles.
const TOO_MANY: &str = "it wanted more handles than its limit of 4096";
/// The reason for ending a plugin whose text lies outside its memory.
const OUTSIDE: &str = "out of bounds of memory";

async fn grow(trial: &mut Trial) -> Result<String> {
    let small = |entry: Entry| entry.limit("memory", "32 MiB");
    action_ends(trial, Plan::new()?.unruly(small)?, "grow-memory", "it wanted more memory than its limit of 32 MiB")
        .await
}

/// Checks that a plugin with these modules is ended at each start, and finally quarantined.
async fn grafted(trial: &mut Trial, modules: &[&str], reason: &str) -> Result<String> {
    let mut bytes = plugins::built("unruly")?.bytes()?;
    for module in modules {
        graft(&mut bytes, &wat::parse_str(module)?)?;
    }
    let stage = trial.start(Plan::new()?.bytes("grafted", &bytes, |entry| entry)?).await?;
    stage.during().await?;
    let line = stage.logged("plugin quarantined", "grafted").await?;
    let got = line.get("reason");
    ensure!(got.contains(reason), "it has to end with {reason:?}, but: {got}");
    Ok(format!("quarantined: {got}"))
}

async fn memories(trial: &mut Trial) -> Result<String> {
    grafted(trial, &["(module (memory 1))"; 40], "memory count too high").await?;
    let greedy = "(module (memory 600) (func $start (drop (memory.grow (i32.const 1)))) (start $start))";
    grafted(trial, &[greedy, greedy, greedy], "it wanted more memory than its limit of 64 MiB").await
}

async fn tables(trial: &mut Trial) -> Result<String> {
    grafted(trial, &["(module (table 1 funcref))"; 40], "table count too high").await?;
    let big = "(module (table 90000 funcref) (func $start (drop (table.grow (ref.null func) (i32.const 900000)))) (start $start))";
    grafted(trial, &[big], "it wanted more table elements than its limit of 100000").await
}

async fn instances(trial: &mut Trial) -> Result<String> {
    grafted(trial, &["(module)"; 150], "instance count too high").await
}

async fn gc_heap(trial: &mut Trial) -> Result<String> {
    let heap = "(module (type $a (array (mut i64))) (func $start (drop (array.new_default $a (i32.const 100000000)))) (start $start))";
    let mut bytes = plugins::built("unruly")?.bytes()?;
    graft(&mut bytes, &wat::parse_str(heap)?)?;
    let stage = trial.start(Plan::new()?.bytes("grafted", &bytes, |entry| entry)?).await?;
    stage.during().await?;
    let line = stage.logged("plugin refused", "grafted").await?;
    ensure!(line.get("reason").contains("malformed"), "{line}");
    Ok("refused: there is no GC for plugins".to_owned())
}

async fn handles(trial: &mut Trial) -> Result<String> {
    // The limit on open calls would be reached first, so it is raised here.
    let wide = |entry: Entry| entry.limit("open_calls", 65_536);
    let stage = trial.start(Plan::new()?.unruly(wide)?).await?;
    stage.order("do handles").await?;
    stage.during().await?;
    let how = stage.ended("unruly", TOO_MANY).await?;
    lives_again(stage, "unruly").await?;
    // Handles that WASI returns count as well.
    let stage = trial.start(Plan::new()?.named("intruder", "intruder", |entry| entry)?).await?;
    stage.order("pollables all").await?;
    stage.during().await?;
    let pollables = stage.ended("intruder", TOO_MANY).await?;
    Ok(format!("{how}; pollables of WASI: {pollables}"))
}

async fn subtasks(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.unruly(|entry| entry)?).await?;
    stage.order("do open-calls").await?;
    stage.during().await?;
    let how = stage.answer().await?;
    // One of the 256 open calls may be the plugin's own sleep before it reports.
    ensure!(["9744 of", "9745 of"].iter().any(|one| how.contains(one)), "256 may wait at once: {how}");
    remove(stage).await?;
    Ok(how)
}

async fn unread_streams(trial: &mut Trial) -> Result<String> {
    let plan = Plan::new()?.archive(20_000).unruly(|entry| entry.grant("archive.read", &["*"]))?;
    let stage = trial.start(plan).await?;
    stage.order("do unread-streams").await?;
    stage.during().await?;
    let how = stage.answer().await?;
    ensure!(how.contains("over limit: 8 queries"), "{how}");
    let asked = stage.wire().matches("urn:xmpp:mam:2").count();
    ensure!(asked < 100, "the archive was asked {asked} times for what nobody reads");
    remove(stage).await?;
    Ok(format!("{how}; asked for {asked} pages"))
}

async fn gigabyte(trial: &mut Trial) -> Result<String> {
    let wide = |entry: Entry| entry.limit("memory", "256 MiB");
    let stage = trial.start(Plan::new()?.unruly(wide)?).await?;
    stage.order("do big-argument").await?;
    stage.during().await?;
    let first = stage.ended("unruly", TOO_MUCH).await?;
    lives_again(stage, "unruly").await?;
    stage.order("do gigabyte").await?;
    stage.during().await?;
    let second = stage.host.wait_count("plugin ended", &[("plugin", "unruly")], 2, SOON).await?.get("reason");
    ensure!(second.contains(OUTSIDE), "it has to end with {OUTSIDE:?}, but: {second:?}");
    Ok(format!("{first}; {second}"))
}

async fn amplified(trial: &mut Trial) -> Result<String> {
    let how = action_ends(trial, Plan::new()?.unruly(|entry| entry)?, "aliased-list", TOO_MUCH).await?;
    // Three bytes of text take hundreds of bytes of memory when the host holds them.
    let stage = trial.start(Plan::new()?.caller(|entry| entry)?).await?;
    let objects = vec![json!({ "": 0 }); 2_000];
    stage.refused("settings.set", &json!({ "key": "large", "value": objects }), "over-limit").await?;
    let many: Vec<_> = (0..40).map(|number| json!([format!("k{number}"), objects[..50]])).collect();
    stage.refused("settings.set-many", &json!({ "values": many }), "over-limit").await?;
    stage.during().await?;
    Ok(format!("{how}; settings over the limit in memory"))
}

async fn bad_pointers(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.unruly(|entry| entry)?).await?;
    let mut reasons = Vec::new();
    let actions = [("bad-utf8", "invalid utf-8"), ("out-of-range", OUTSIDE), ("misaligned", "not aligned")];
    for (lives, (action, expected)) in actions.into_iter().enumerate() {
        stage.host.wait_count("plugin running", &[("plugin", "unruly")], lives + 1, SOON).await?;
        stage.order(&format!("do {action}")).await?;
        stage.during().await?;
        let line = stage.host.wait_count("plugin ended", &[("plugin", "unruly")], lives + 1, SOON).await?;
        let reason = line.get("reason");
        ensure!(reason.contains(expected), "{action} has to end with {expected:?}, but: {reason:?}");
        reasons.push(reason);
    }
    stage.host.wait_count("plugin running", &[("plugin", "unruly")], 4, SOON).await?;
    Ok(format!("ended each time: {}", reasons.join("; ")))
}
