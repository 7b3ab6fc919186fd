//! Attacks that end a plugin or the host while requests are under way, and that use what belongs to another plugin.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use parlor_tests::plugins;
use parlor_tests::webhooks::{github, status};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::hooks::{Hooks, SECRET, SENDER, bearer, has_stored, receiver, say, shown, stored, told};
use super::open;
use crate::between::order;
use crate::case::{Case, case};
use crate::cpu::remove;
use crate::stage::{Plan, SOON, Stage};
use crate::trial::Trial;
use crate::web::servers::{Answer, Server, until};
use crate::web::{fails, fast};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(102, "killed in mid-request and in mid-delivery", killed_plugin),
        case!(103, "SIGKILL while requests to webhooks wait", killed_host),
        case!(107, "another's requests, files and webhooks by number", foreign_numbers),
    ]
}

async fn killed_plugin(trial: &mut Trial) -> Result<String> {
    let server = Server::start(|target| match target {
        "/body" => Answer::Trickle(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n".to_vec(), b"x".to_vec()),
        _ => Answer::Begun(Vec::new()),
    })
    .await?;
    let scope = server.url("/");
    let plan = Plan::new()?.caller(|entry| fast(entry).grant("http.fetch", &[&scope]).limit("stop", "0 ms"))?;
    let stage = trial.start(receiver(plan, |entry| entry)?).await?;
    let hooks = Hooks::open(stage).await?;
    let (with, without) = (stage.policy.clone(), stage.policy.clone().without("caller"));
    let put = json!({ "url": server.url("/put"), "method": "PUT" });
    let calls = [
        ("http.fetch", json!({ "url": server.url("/silent") })),
        ("http.fetch", json!({ "url": server.url("/body") })),
        ("http.open", json!({ "url": server.url("/body") })),
        ("http.open", put.clone()),
    ];
    for (lives, (call, args)) in calls.iter().enumerate() {
        stage.host.wait_count("plugin running", &[("plugin", "caller")], lives + 1, SOON).await?;
        stage.order_call(1, call, args).await?;
        server.has_open(1).await?;
        stage.reload(without.clone()).await?;
        server.has_open(0).await?;
        stage.reload(with.clone()).await?;
    }
    stage.host.wait_count("plugin running", &[("plugin", "caller")], calls.len() + 1, SOON).await?;
    let exchange = stage.call("http.open", &put).await?["ok"].clone();
    stage.call("http.write", &json!({ "exchange": exchange, "part": "half" })).await?;
    server.has_open(1).await?;
    stage.order_call(1, "action.panic", &Value::Null).await?;
    stage.ended("caller", "it panicked or aborted").await?;
    server.has_open(0).await?;
    stage.during().await?;
    killed_in_mid_delivery(stage, &hooks).await?;
    stage.reload(without).await?;
    Ok("connections end with the plugin; a queued request is told again, and the others get an error".to_owned())
}

/// Ends the plugin during deliveries.
async fn killed_in_mid_delivery(stage: &mut Stage, hooks: &Hooks) -> Result<()> {
    // A request that waits for the plugin's answer gets an error.
    let answer = hooks.post("answer", &bearer(), "panic").await?;
    ensure!(status(&answer) == 500, "a plugin that panics answers: {answer}");
    stage.host.wait_count("plugin running", &[("plugin", "receiver")], 2, SOON).await?;
    let waiting = {
        let hooks = hooks.clone();
        tokio::spawn(async move { hooks.post("answer", &bearer(), "wait").await })
    };
    told(stage, "None [] wait").await?;
    let (with, without) = (stage.policy.clone(), stage.policy.clone().without("receiver"));
    stage.reload(without).await?;
    is_unanswered(&waiting.await??)?;
    stage.host.wait_count("webhooks are no longer listened for", &[], 1, SOON).await?;
    stage.reload(with).await?;
    stage.host.wait_count("plugin running", &[("plugin", "receiver")], 3, SOON).await?;
    let hooks = Hooks::open(stage).await?;
    // A queued request is delivered again, and those behind it after that.
    for body in ["panic-once", "after"] {
        ensure!(hooks.signed(body).await? == 202, "{body} is refused");
    }
    has_stored(stage, "queue", "after").await?;
    let log = stage.host.log().all().join("\n");
    let place = |text: &str| log.find(&format!("told queue {text}")).with_context(|| format!("it was not told {text}"));
    let places = [
        place("1 1 POST None [] panic-once")?,
        place("2 2 POST None [] panic-once")?,
        place("1 1 POST None [] after")?,
    ];
    ensure!(places.is_sorted(), "it was told in another order: {places:?}");
    ensure!(stage.host.lines("plugin quarantined", &[]).is_empty(), "a plugin was quarantined");
    Ok(())
}

/// Checks that a sender got an error, or no answer at all.
fn is_unanswered(answer: &str) -> Result<()> {
    let status = status(answer);
    ensure!(status == 0 || status >= 500, "a plugin that was removed answers: {answer}");
    Ok(())
}

/// How often the host is killed.
const KILLS: u32 = 3;

/// Sends requests until one is not acknowledged. Returns the bodies of those that were.
async fn send_until_killed(at: SocketAddr, path: String, kill: u32) -> Result<Vec<String>> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let body = format!("{kill}-{number}.");
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{}", github(&SECRET, &body));
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        if status(&say(SENDER, at, request.as_bytes()).await?) != 202 {
            break;
        }
        acknowledged.push(body);
    }
    Ok(acknowledged)
}

async fn killed_host(trial: &mut Trial) -> Result<String> {
    let (stage, mut hooks) = open(trial, |entry| entry.limit("webhook_queue", 100_000)).await?;
    let mut acknowledged = Vec::new();
    for kill in 0..KILLS {
        let sending = tokio::spawn(send_until_killed(hooks.at, hooks.path("queue")?.to_owned(), kill));
        sleep(Duration::from_millis(rand::random_range(50..400))).await;
        stage.kill_and_start().await?;
        acknowledged.extend(sending.await??);
        hooks = Hooks::open(stage).await?;
    }
    ensure!(!acknowledged.is_empty(), "nothing was acknowledged");
    let deadline = Instant::now() + 2 * SOON;
    while shown(stage, &[]).await?["waiting"] != 0 {
        ensure!(Instant::now() < deadline, "some requests still wait\n{}", stage.host.log().tail());
    }
    let told = stored(stage).await?;
    let lost: Vec<_> = acknowledged.iter().filter(|body| !told.contains(&format!("\"queue/{body}\""))).collect();
    ensure!(lost.is_empty(), "{} of {} were acknowledged and not told: {lost:?}", lost.len(), acknowledged.len());
    stage.during().await?;
    Ok(format!("all {} that were acknowledged were told, over {KILLS} kills", acknowledged.len()))
}

async fn foreign_numbers(trial: &mut Trial) -> Result<String> {
    /// The numbers and ids that are tried. They are counted from 1 on.
    const TRIED: u64 = 30;
    let server = Server::start(|_| Answer::Begun(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart".to_vec())).await?;
    let scope = server.url("/");
    let plan = Plan::new()?.caller(|entry| {
        let entry = fast(entry).grant("http.fetch", &[&scope]).grant("files.send", &["*"]);
        entry.grant_whole("files.read").grant_whole("webhooks.receive")
    })?;
    let victim = plan.home.install("victim", &plugins::built("caller")?)?.set("name", "victim");
    let plan = plan.with("victim", victim.grant("http.fetch", &[&scope]));
    let stage = trial.start(receiver(plan, |entry| entry.limit("webhook_time", "5 min"))?).await?;
    let hooks = Hooks::open(stage).await?;
    stage.logged("plugin running", "victim").await?;
    // The victim has a request open, and a sender waits for an answer of the third plugin.
    stage.call("api.emit", &order(1, "http.open", &json!({ "url": server.url("/victim") }))).await?;
    until("the request of the victim", || server.heard().iter().any(|head| head.starts_with("GET /victim "))).await?;
    let waiting = {
        let hooks = hooks.clone();
        tokio::spawn(async move { hooks.post("answer", &bearer(), "wait").await })
    };
    told(stage, "None [] wait").await?;
    for number in 0..=TRIED {
        let exchange = json!({ "exchange": number, "part": "forged" });
        for call in ["http.read", "http.write", "http.answer", "http.close"] {
            fails(stage, call, &exchange, &["not-found"]).await?;
        }
        let transfer = json!({ "transfer": number, "part": "forged" });
        for call in ["files.read", "files.write", "files.finish", "files.close"] {
            fails(stage, call, &transfer, &["not-found"]).await?;
        }
        let answer = json!({ "id": number.to_string(), "status": 200, "body": "forged" });
        fails(stage, "webhooks.answer", &answer, &["not-found"]).await?;
    }
    stage.refused("webhooks.address", &json!({ "name": "queue" }), "not-found").await?;
    stage.during().await?;
    ensure!(server.open() == 1, "the request of the victim was ended");
    ensure!(!waiting.is_finished(), "the sender was answered");
    remove(stage).await?;
    let policy = stage.policy.clone().without("victim").without("receiver");
    stage.reload(policy).await?;
    is_unanswered(&waiting.await??)?;
    Ok(format!("not-found, of the numbers and ids up to {TRIED}"))
}
