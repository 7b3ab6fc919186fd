//! Attacks by hooks: plugins that the owner lets see, change and stop what others send and get.

use anyhow::{Context as _, Result, ensure};
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use serde_json::{Value, json};
use toml::Table;

use crate::between::order;
use crate::case::{Case, case};
use crate::stage::{JULIET, MALLORY, Plan, Stage};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(133, "a hook that never answers", silent),
        case!(134, "a hook that stops everything", stopping),
        case!(135, "hooks that send in their handlers", sending),
    ]
}

/// The text of the message that a hook sends in its handler.
const SENT: &str = "sent by a hook";

/// Grants a plugin to be a hook for these people.
fn hook(entry: Entry, people: &[&str]) -> Entry {
    ["hooks.outgoing", "hooks.incoming"].iter().fold(entry, |entry, name| entry.grant(name, people))
}

/// A second plugin of the same kind, which receives its orders as events.
fn victim(plan: Plan, change: impl FnOnce(Entry) -> Entry) -> Result<Plan> {
    let entry = plan.home.install("victim", &plugins::built("caller")?)?;
    Ok(plan.with("victim", change(entry.set("name", "victim").grant("messages.send", &[MALLORY]))))
}

/// Removes the hooks from the policy, and the hostile plugin with them.
async fn remove(stage: &mut Stage) -> Result<()> {
    let policy = stage.policy.clone().hooks(Table::new()).without("caller");
    stage.reload(policy).await
}

/// Returns one of the numbers of a hook in the status.
async fn counted(stage: &Stage, plugin: &str, what: &str) -> Result<u64> {
    let status = stage.status(plugin).await?;
    status["record"]["hooks"][what].as_u64().with_context(|| format!("no {what} of hooks in {status}"))
}

async fn silent(trial: &mut Trial) -> Result<String> {
    let plan = Plan::new()?.caller(|entry| hook(entry, &["*"]))?;
    let plan =
        plan.hooks("outgoing = [\"caller\"]\nincoming = [\"caller\"]\ndeadline = \"10 ms\"\non_failure = \"pass\"")?;
    let stage = trial.start(plan).await?;
    stage.call("promises.add", &json!({ "name": "never" })).await?;
    for event in ["hookOutgoing", "hookIncoming"] {
        stage.call("listen.on-and-wait", &json!({ "name": event, "promise": "never" })).await?;
    }
    // The neighbour is still answered: each message waits until the deadline, and no longer.
    stage.during().await?;
    let failed = counted(stage, "caller", "failed").await?;
    ensure!(failed > 0, "it was never asked");
    ensure!(
        !stage.host_lines("a hook gave no verdict, so on_failure decided").is_empty(),
        "the log says nothing of it"
    );
    remove(stage).await?;
    Ok(format!("each message waits for its deadline: {failed} times without a verdict"))
}

/// Lets the other plugin make a call. Returns the result.
async fn makes(stage: &mut Stage, n: u64, call: &str, args: &Value) -> Result<Value> {
    stage.call("api.emit", &order(n, call, args)).await?;
    loop {
        let done = stage.heard().await?["event"]["payload"]["json"].take();
        if done["n"] == n {
            return Ok(done);
        }
    }
}

async fn stopping(trial: &mut Trial) -> Result<String> {
    let plan = victim(Plan::new()?.caller(|entry| hook(entry, &[MALLORY]))?, |entry| entry)?;
    let plan =
        plan.hooks("outgoing = [\"caller\"]\nincoming = [\"caller\"]\ndeadline = \"1 s\"\non_failure = \"pass\"")?;
    let stage = trial.start(plan).await?;
    stage.logged("plugin running", "victim").await?;
    stage.call("listen.on", &json!({ "name": "victim.done" })).await?;
    let stop = json!({ "call": "stop", "reason": "no" });
    for event in ["hookOutgoing", "hookIncoming"] {
        stage.call("listen.on-and-judge", &json!({ "name": event, "verdict": stop })).await?;
    }
    // A question to a person is a message, too.
    let calls = [
        ("chats.send", json!({ "jid": MALLORY, "body": "of the victim" })),
        ("dialogs.ask", json!({ "to": MALLORY, "text": "of the victim" })),
        ("dialogs.begin", json!({ "to": MALLORY, "text": "of the victim" })),
    ];
    for (n, (call, args)) in (7..).zip(&calls) {
        let done = makes(stage, n, call, args).await?;
        ensure!(done["err"]["case"] == "rejected", "the victim was told {done} of {call}");
    }
    // The grant does not cover juliet, so the neighbour does not notice.
    stage.during().await?;
    ensure!(!stage.messages().iter().any(|(_, body)| body == "of the victim"), "it was sent");
    let to_juliet = stage.messages().iter().filter(|(to, _)| to.starts_with(JULIET)).count();
    let stopped = counted(stage, "caller", "stopped").await?;
    ensure!(to_juliet > 0 && stopped > 0, "{to_juliet} messages to juliet, {stopped} stopped");
    remove(stage).await?;
    Ok(format!("{stopped} messages of those whom its grant covers; nobody else's"))
}

async fn sending(trial: &mut Trial) -> Result<String> {
    let plan = victim(Plan::new()?.caller(|entry| hook(entry, &["*"]))?, |entry| hook(entry, &["*"]))?;
    let plan = plan.hooks("outgoing = [\"caller\", \"victim\"]\ndeadline = \"1 s\"\non_failure = \"pass\"")?;
    let stage = trial.start(plan).await?;
    stage.logged("plugin running", "victim").await?;
    let judges = json!({ "name": "hookOutgoing", "verdict": { "send": MALLORY, "call": "allow" } });
    stage.call("listen.on", &json!({ "name": "victim.done" })).await?;
    stage.call("api.emit", &order(7, "listen.on-and-judge", &judges)).await?;
    stage.call("listen.on-and-judge", &judges).await?;
    stage.during().await?;
    let sent = stage.messages();
    let by_hooks = sent.iter().filter(|(_, body)| body == SENT).count();
    let others = sent.len() - by_hooks;
    // For each other message one of each hook, and one of the second hook for that of the first.
    ensure!(by_hooks > 0 && by_hooks <= 3 * others, "{by_hooks} of hooks, {others} others");
    let running = stage.status("caller").await?;
    ensure!(running["state"] == "running", "{running}");
    remove(stage).await?;
    Ok(format!("what a hook sends passes those behind it alone: {by_hooks} messages of hooks to {others} others"))
}
