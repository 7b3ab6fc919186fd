//! Attacks on the CPU: plugins that do not yield.

use anyhow::{Context as _, Result, ensure};
use parlor_tests::policy::Entry;

use crate::case::{Case, case};
use crate::stage::{Plan, Stage};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(1, "endless loop in a handler", in_a_handler),
        case!(2, "endless loop in initialize", in_initialize),
        case!(3, "endless loop in realloc", in_realloc),
        case!(4, "endless loop while being stopped", in_stop),
        case!(5, "huge memory.copy and memory.fill", bulk),
        case!(6, "deep recursion", recursion),
        case!(7, "storm of zero waits", zero_waits),
        case!(8, "await that is never ready", never_ready),
        case!(9, "ten plugins spinning", ten_spinners),
    ]
}

const SLICE: &str = "it computed for 300 ms without a pause (limit `cpu_slice`)";

fn slice(entry: Entry) -> Entry {
    entry.limit("cpu_slice", "300 ms")
}

/// Orders a behaviour, checks the neighbour during it, and waits for the plugin to be ended.
pub(crate) async fn action_ends(trial: &mut Trial, plan: Plan, action: &str, reason: &str) -> Result<String> {
    let stage = trial.start(plan).await?;
    stage.order(&format!("do {action}")).await?;
    stage.during().await?;
    let how = stage.ended("unruly", reason).await?;
    lives_again(stage, "unruly").await?;
    Ok(how)
}

/// Waits until the plugin has been restarted and works again.
pub(crate) async fn lives_again(stage: &mut Stage, plugin: &str) -> Result<()> {
    stage.host.wait_count("plugin running", &[("plugin", plugin)], 2, crate::stage::SOON).await?;
    stage.order("do ping").await?;
    // Messages from before the restart arrive first.
    while stage.answer().await? != "pong" {}
    Ok(())
}

async fn in_a_handler(trial: &mut Trial) -> Result<String> {
    action_ends(trial, Plan::new()?.unruly(slice)?, "spin", SLICE).await
}

async fn in_initialize(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?).await?;
    let plan = Plan::new()?.unruly(|entry| slice(entry).set("behaviour", "initialize-spins"))?;
    let entry = plan.policy.plugin["unruly"].clone();
    stage.home.replace("unruly", &parlor_tests::plugins::built("unruly")?.bytes()?)?;
    let policy = stage.policy.clone().with("unruly", entry);
    stage.home.set_policy(&policy)?;
    stage.host.reload()?;
    stage.during().await?;
    let line = stage.logged("plugin quarantined", "unruly").await?;
    ensure!(line.get("reason") == SLICE, "{line}");
    Ok(format!("quarantined after {} starts: {SLICE}", line.get("failures")))
}

async fn in_realloc(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.unruly(slice)?).await?;
    stage.order("do arm-realloc").await?;
    stage.answer().await?;
    stage.order(&"x".repeat(77_777)).await?;
    stage.during().await?;
    let how = stage.ended("unruly", SLICE).await?;
    lives_again(stage, "unruly").await?;
    Ok(format!("{how}; the contract has no post-return, since every export is async"))
}

async fn in_stop(trial: &mut Trial) -> Result<String> {
    let spins = |entry: Entry| slice(entry).set("behaviour", "stop-spins").limit("stop", "500 ms");
    let stage = trial.start(Plan::new()?.unruly(spins)?).await?;
    let policy = stage.policy.clone().without("unruly");
    stage.home.set_policy(&policy)?;
    stage.host.reload()?;
    stage.during().await?;
    stage.host.wait_count("plugin removed", &[("plugin", "unruly")], 1, crate::stage::SOON).await?;
    // It depends on the load of the machine which of the two limits ends the plugin.
    let said = |message: &str, fields: &[(&str, &str)]| stage.host.lines(message, fields).len();
    let by_slice = said("plugin failed while stopping", &[("plugin", "unruly"), ("reason", SLICE)]);
    let by_time = said("plugin did not stop within 500 ms and was ended", &[("plugin", "unruly")]);
    ensure!(
        by_slice + by_time == 1,
        "{by_slice} times it was ended for what it computed, {by_time} times at its dead-line"
    );
    Ok("ended for what it computed or at its dead-line, and removed".to_owned())
}

async fn bulk(trial: &mut Trial) -> Result<String> {
    action_ends(trial, Plan::new()?.unruly(slice)?, "copy-memory", SLICE).await?;
    action_ends(trial, Plan::new()?.unruly(slice)?, "fill-memory", SLICE).await
}

async fn recursion(trial: &mut Trial) -> Result<String> {
    action_ends(trial, Plan::new()?.unruly(|entry| entry)?, "recursion", "it used up its stack").await
}

async fn zero_waits(trial: &mut Trial) -> Result<String> {
    let plan = Plan::new()?.log("info,parlor_runtime=debug").unruly(|entry| entry.limit("cpu_share", 0.1))?;
    let stage = trial.start(plan).await?;
    stage.order("do sleep-storm").await?;
    stage
        .host
        .wait_count("plugin moved", &[("plugin", "unruly"), ("in_background", "true")], 1, crate::stage::SOON)
        .await?;
    let (before, began) = computed(stage).await?;
    let (used, seconds) = loop {
        stage.during().await?;
        let (used, up) = computed(stage).await?;
        if up >= began + 3 {
            break (used - before, up - began);
        }
    };
    // The share is a tenth of the time, which is counted in whole seconds.
    ensure!(used <= 100 + 100 * (seconds + 1), "it used {used} ms of {seconds} s");
    // It may continue at its share as long as the owner lets it.
    remove(stage).await?;
    Ok(format!("moved to the background runtime, and held to its share: {used} ms in {seconds} s"))
}

/// Returns how many milliseconds the plugin has computed, and how many seconds it has run.
async fn computed(stage: &Stage) -> Result<(u64, u64)> {
    let plugin = stage.status("unruly").await?;
    let number = |name: &str| plugin["usage"][name].as_u64().with_context(|| format!("no {name} in {plugin}"));
    Ok((number("cpu_ms")?, number("uptime")?))
}

async fn never_ready(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.unruly(|entry| entry)?).await?;
    stage.order("do wait-for-ever").await?;
    stage.during().await?;
    // The endless wait does not hold up other handlers of the same plugin.
    stage.order("do ping").await?;
    ensure!(stage.answer().await? == "pong", "the plugin itself is held up");
    Ok("waits, and holds nobody up".to_owned())
}

async fn ten_spinners(trial: &mut Trial) -> Result<String> {
    let mut plan = Plan::new()?;
    for number in 0..10 {
        plan = plan.named(&format!("spinner{number}"), "unruly", slice)?;
    }
    let stage = trial.start(plan).await?;
    stage.order("do spin").await?;
    stage.during().await?;
    for number in 0..10 {
        stage.ended(&format!("spinner{number}"), SLICE).await?;
    }
    ensure!(stage.host.lines("plugin ended", &[("plugin", "echo")]).is_empty(), "the good plugin was ended, too");
    Ok("all ten ended, and nobody else".to_owned())
}

/// Removes the hostile plugins from the policy, as the owner would.
pub(crate) async fn remove(stage: &mut Stage) -> Result<()> {
    let policy = stage.policy.clone().without("unruly").without("caller");
    stage.reload(policy).await
}
