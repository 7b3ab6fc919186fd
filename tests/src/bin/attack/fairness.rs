//! Attacks on shared resources: the account's task and the disk. A plugin that holds as much of these as it may,
//! without running, must not delay other plugins.
//!
//! The case asserts counts and states: each message is answered, once, and no other plugin is ended. How long the
//! answers take is reported only, since a busy machine delays them, too. `attack --neighbours` judges that.

use anyhow::{Result, ensure};
use parlor_tests::plugins;
use serde_json::json;

use crate::case::{Case, case};
use crate::stage::{Plan, SOON, Stage, share};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![case!(85, "calls that hold what all share, of plugins that do not run", convoy)]
}

/// The number of hostile plugins of each kind.
const CROWD: usize = 4;
/// The number of writes by the neighbour.
const WRITES: u64 = 20;
/// How often the neighbour's conversation is measured.
const ROUNDS: usize = 3;

/// Returns the neighbour's p50 and p99 in milliseconds. Fails if a message is not answered, or not once.
async fn measured(stage: &mut Stage) -> Result<(f64, f64)> {
    let mut trips = Vec::new();
    for _ in 0..ROUNDS {
        trips.extend(stage.answers().await?);
    }
    trips.sort_unstable();
    let milliseconds = |percent| share(&trips, percent).as_secs_f64() * 1_000.0;
    Ok((milliseconds(50), milliseconds(99)))
}

/// A host with this crowd, a plugin that writes to its storage, and one that fails and is restarted.
fn plan(behaviours: [&str; 2]) -> Result<Plan> {
    let mut plan = Plan::new()?
        .caller(|entry| entry.grant_whole("storage"))?
        .named("innocent", "unruly", |entry| entry.set("behaviour", "initialize-lets-go"))?;
    for number in 0..CROWD {
        for (kind, behaviour) in [("emits", behaviours[0]), ("writes", behaviours[1])] {
            let id = format!("{kind}{number}");
            let entry = plan.home.install(&id, &plugins::built("unruly")?)?.set("behaviour", behaviour);
            // Even on a slow machine, it computes for less time than would end it.
            let entry = entry.limit("cpu_slice", "10 s");
            let entry = if kind == "writes" { entry.grant("storage", &["1 MiB"]) } else { entry };
            plan = plan.with(&id, entry);
        }
    }
    Ok(plan)
}

async fn convoy(trial: &mut Trial) -> Result<String> {
    let idle = measured(trial.start(plan(["", ""])?).await?).await?;
    let stage = trial.start(plan(["convoy", "convoy-storage"])?).await?;
    let beside = measured(stage).await?;
    stage.order("do trap").await?;
    stage.ended("innocent", "it panicked or aborted").await?;
    for number in 0..WRITES {
        let answer = stage.call("storage.set", &json!({ "key": format!("k{number}"), "value": "v" })).await?;
        ensure!(answer["err"].is_null(), "a write of the neighbour failed: {answer}");
    }
    stage.host.wait_count("plugin running", &[("plugin", "innocent")], 2, SOON).await?;
    stage.answers().await?;
    ensure!(stage.host.lines("plugin quarantined", &[]).is_empty(), "a plugin was quarantined");
    ensure!(stage.host.lines("plugin ended", &[]).len() == 1, "more than one plugin was ended");
    for (line, expected) in [("account connected", 1), ("connection lost, reconnecting", 0)] {
        let times = stage.host.lines(line, &[]).len();
        ensure!(times == expected, "the log says {line:?} {times} times, and {expected} is right");
    }
    let mut policy = stage.policy.clone();
    for number in 0..CROWD {
        policy = policy.without(&format!("emits{number}")).without(&format!("writes{number}"));
    }
    stage.reload(policy).await?;
    Ok(format!(
        "the neighbour's p50 and p99: {:.1} and {:.1} ms beside {} that are idle, {:.1} and {:.1} ms beside as many that hold \
         all they may; one that fails meanwhile starts again",
        idle.0,
        idle.1,
        2 * CROWD,
        beside.0,
        beside.1
    ))
}
