//! Attacks between plugins: one plugin tries to access another one's data and requests.

use anyhow::{Result, ensure};
use parlor_session::permissions::EVENTS;
use parlor_tests::plugins::built;
use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use crate::case::{Case, case};
use crate::cpu::remove;
use crate::report::short;
use crate::stage::{JULIET, Plan, SOON};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(67, "emitting the host's own event names", reserved_names),
        case!(68, "resolving another's promise", foreign_promise),
        case!(69, "another's storage, settings, mailbox and logs", foreign_data),
        case!(70, "a plugin with more rights made to act", confused_deputy),
        case!(71, "data of the previous plugin in a reused slot", reused_slot),
        case!(176, "an event and a promise of a plugin that does not run", not_running),
    ]
}

async fn reserved_names(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(|entry| entry)?).await?;
    // These names are reserved for the host, since plugins trust events with them. Some are repeated by hand, in case a
    // row of the table is lost.
    let by_hand = ["message", "connected", "initialized", "command", "timer", "lagged", "settingsChanged"];
    for name in EVENTS.iter().map(|rule| rule.name).chain(by_hand) {
        stage.refused("api.emit", &json!({ "name": name, "payload": { "forged": true } }), "invalid").await?;
    }
    stage.during().await?;
    Ok(format!("invalid, all {} of them", EVENTS.len()))
}

/// A second plugin of the same kind. It receives its orders as events, so that mallory cannot write to it.
fn victim(entry: Entry) -> Entry {
    entry.set("name", "victim").set("token", kept_in("victim.token")).set("greeting", "canary-greeting-of-victim")
}

/// The value of a secret setting in the owner's file: the path of the file that holds the secret.
pub(crate) fn kept_in(file: &str) -> toml::Table {
    [("file".to_owned(), toml::Value::from(file))].into_iter().collect()
}

fn with_victim(change: impl FnOnce(Entry) -> Entry) -> Result<Plan> {
    let mut plan = Plan::new()?.caller(change)?;
    // A host setting may have the name of the victim's secret setting, and the other plugin claims the same name.
    plan.home.set("token", "canary-token-under-settings")?;
    let entry = plan.home.install("victim", &built("caller")?)?;
    plan.home.write("victim.token", "canary-token-of-victim\n")?;
    Ok(plan.with("victim", victim(entry).grant_whole("storage")))
}

/// Builds an order to the victim. The victim accepts the event from every plugin, as a well-behaved plugin might.
pub(crate) fn order(n: u64, call: &str, args: &Value) -> Value {
    json!({ "name": "victim.order", "payload": { "n": n, "call": call, "args": args } })
}

async fn foreign_promise(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(with_victim(|entry| entry)?).await?;
    stage.logged("plugin running", "victim").await?;
    let add = order(1, "promises.add", &json!({ "name": "victimReady" }));
    stage.call("api.emit", &add).await?;
    // Waits until the victim owns the promise.
    loop {
        let answer = stage.call("api.emit", &json!({ "name": "victimReady", "payload": 1 })).await?;
        if answer["err"]["case"] == "denied" {
            break;
        }
        ensure!(answer.get("ok").is_some(), "{}", short(&answer));
    }
    stage.refused("promises.reject", &json!({ "name": "victimReady", "reason": "evil" }), "denied").await?;
    stage.refused("promises.add", &json!({ "name": "victimReady" }), "denied").await?;
    stage.refused("api.emit", &json!({ "name": "connected" }), "invalid").await?;
    stage.during().await?;
    Ok("denied: emit, reject and add".to_owned())
}

/// Plugins that listen to these names trust the plugin that provides them, which is disabled and may run again.
async fn not_running(trial: &mut Trial) -> Result<String> {
    let plan = Plan::new()?.caller(|entry| entry)?.unruly(|entry| Entry { enabled: false, ..entry })?;
    let stage = trial.start(plan).await?;
    stage.logged("plugin running", "caller").await?;
    for name in ["unruly", "unruly.unrulyNever"] {
        stage.refused("api.emit", &json!({ "name": name, "payload": 1 }), "denied").await?;
    }
    stage.refused("promises.add", &json!({ "name": "unrulyNever" }), "denied").await?;
    let free = stage.call("api.emit", &json!({ "name": "unrulyOther", "payload": 1 })).await?;
    ensure!(free.get("ok").is_some(), "nobody provides it, but {}", short(&free));
    stage.during().await?;
    Ok("denied: emit and add".to_owned())
}

async fn foreign_data(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(with_victim(|entry| entry.grant_whole("storage").grant_whole("settings.read"))?).await?;
    stage.logged("plugin running", "victim").await?;
    let set = json!({ "key": "secret", "value": "canary-stored-by-victim" });
    stage.call("api.emit", &order(1, "storage.set", &set)).await?;
    stage.open_storage().await?;
    let mut seen = Vec::new();
    for key in ["secret", "victim/secret", "../victim/secret", "victim\u{1f}secret", "%", "victim.secret"] {
        seen.push(stage.call("storage.get", &json!({ "key": key })).await?);
        seen.push(stage.call("storage.list", &json!({ "prefix": key, "limit": 1000 })).await?);
        seen.push(stage.call("storage.entries", &json!({ "prefix": key, "limit": 1000 })).await?);
        seen.push(stage.call("storage.keys", &json!({ "prefix": key })).await?);
    }
    seen.push(stage.call("storage.keys", &json!({ "prefix": "" })).await?);
    for key in ["token", "greeting", "victim.token", "victim/token", "plugin.victim.settings.token", "settings.token"] {
        seen.push(stage.call("settings.get", &json!({ "key": key })).await?);
    }
    // Claiming a name does not reveal its value.
    seen.push(stage.call("settings.update", &json!({ "values": [["victim.token", "mine"]] })).await?);
    seen.push(stage.call("settings.get", &json!({ "key": "victim.token" })).await?);
    for (call, args) in
        [("listen.on", json!({ "name": "victim.done" })), ("listen.on", json!({ "name": "message", "from": JULIET }))]
    {
        seen.push(stage.call(call, &args).await?);
    }
    stage.during().await?;
    let text = serde_json::to_string(&seen)?;
    ensure!(!text.contains("canary"), "{text}");
    let heard = stage.messages();
    let is_anothers = |body: &str| body.contains("canary") || body.contains("\"message ");
    let wrong = heard.iter().find(|(to, body)| !to.starts_with(JULIET) && is_anothers(body));
    ensure!(wrong.is_none(), "it heard what was said to another: {wrong:?}");
    Ok("nothing of another's storage, settings or messages".to_owned())
}

async fn confused_deputy(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(Plan::new()?.caller(|entry| entry)?).await?;
    // Echo may write to juliet. Only a message from her makes it write, and no event may pass for one.
    let forged = json!({ "from": JULIET, "body": "forged", "kind": "chat", "text": "forged" });
    for name in ["message", "command", "messageSend", "chatBoxOpened", "send"] {
        let answer = stage.call("api.emit", &json!({ "name": name, "payload": forged })).await?;
        ensure!(answer["err"]["case"] == "invalid" || answer.get("ok").is_some(), "{name}: {}", short(&answer));
    }
    // The host handles commands and their help, and answers only the sender, not other people who are named.
    for (name, case) in [("help", "invalid"), ("echo.say", "invalid"), ("../x", "invalid")] {
        stage.refused("commands.add", &json!({ "name": name, "help": "evil", "usage": "" }), case).await?;
    }
    for (call, args) in [
        ("chats.send", json!({ "jid": JULIET, "body": "forged" })),
        ("api.send", json!({ "stanza": format!("<message to='{JULIET}'><body>forged</body></message>") })),
        ("rooms.send", json!({ "jid": "lobby@rooms.localhost", "body": "forged" })),
    ] {
        stage.refused(call, &args, "denied").await?;
    }
    stage.during().await?;
    ensure!(stage.messages().iter().all(|(to, body)| !to.starts_with(JULIET) || body != "forged"), "it was said");
    Ok("nothing makes echo speak but juliet".to_owned())
}

async fn reused_slot(trial: &mut Trial) -> Result<String> {
    let stage = trial
        .start(Plan::new()?.unruly(|entry| entry)?.named("next", "unruly", |entry| entry.set("behaviour", ""))?)
        .await?;
    // Both plugins receive the order. Each fills its memory with the mark, and another instance gets the slot
    // afterwards.
    stage.order("do mark-memory").await?;
    for _ in 0..2 {
        let marked = stage.answer().await?;
        ensure!(marked.starts_with("marked ") && marked != "marked 0 MiB", "{marked}");
    }
    stage.order("do trap").await?;
    for plugin in ["unruly", "next"] {
        stage.host.wait_count("plugin running", &[("plugin", plugin)], 2, SOON).await?;
    }
    stage.order("do search-memory").await?;
    for _ in 0..2 {
        let found = stage.answer().await?;
        ensure!(found.starts_with("found 0 bytes") && !found.ends_with(" 0 MiB"), "{found}");
    }
    // The plugins that searched hold as much memory as they may.
    remove(stage).await?;
    let rest = stage.policy.clone().without("next");
    stage.reload(rest).await?;
    stage.during().await?;
    Ok("all of it was zero".to_owned())
}
