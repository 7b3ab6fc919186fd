//! Attacks by nodes of publish-subscribe: items that are large, forged, or too many.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::case::{Case, case};
use crate::cpu::remove;
use crate::stage::{MALLORY, Plan, Stage};
use crate::trial::Trial;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        case!(126, "an item of 1 MiB from a node", large),
        case!(127, "a forged item of a node", forged),
        case!(128, "a flood of items from a node", flood),
    ]
}

const SERVICE: &str = "pubsub.localhost";
const NODE: &str = "news";

/// Writes a message with an item of a node.
fn item(from: &str, node: &str, id: &str, text: &str) -> String {
    format!(
        "<message xmlns='jabber:client' type='headline' from='{from}' to='bot@localhost'>\
         <event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{node}'><item id='{id}'>\
         <entry xmlns='urn:example:news'>{text}</entry></item></items></event></message>"
    )
}

/// Has the plugin subscribe to the node, which is all that it is granted.
async fn subscribed(stage: &mut Stage) -> Result<()> {
    stage.allow("http://jabber.org/protocol/pubsub");
    stage.keep_requests("<subscribe");
    stage.order_call(1, "pubsub.subscribe", &json!({ "service": SERVICE, "node": NODE })).await?;
    let (id, _) = stage.request().await?;
    let subscription = format!("<subscription node='{NODE}' jid='bot@localhost' subscription='subscribed'/>");
    stage
        .raw(format!(
            "<iq xmlns='jabber:client' type='result' id='{id}' from='{SERVICE}' to='bot@localhost/parlor'>\
             <pubsub xmlns='http://jabber.org/protocol/pubsub'>{subscription}</pubsub></iq>"
        ))
        .await?;
    let answer = stage.result().await?;
    ensure!(answer["ok"] == true, "it cannot subscribe: {answer}");
    Ok(())
}

fn plan() -> Result<Plan> {
    Plan::new()?.caller(|entry| entry.grant("pubsub.read", &[&format!("{SERVICE}/{NODE}")]).limit("handlers", 1))
}

async fn next(stage: &mut Stage) -> Result<Value> {
    Ok(stage.heard().await?["event"]["payload"]["pubsub-item"].take())
}

async fn large(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(plan()?).await?;
    subscribed(stage).await?;
    stage.call("listen.on", &json!({ "name": "pubsub-item" })).await?;
    for _ in 0..8 {
        stage.raw(item(SERVICE, NODE, "huge", &"x".repeat(1 << 20))).await?;
    }
    stage.during().await?;
    stage.raw(item(SERVICE, NODE, "large", &"x".repeat(512 << 10))).await?;
    stage.raw(item(SERVICE, NODE, "small", "x")).await?;
    let first = next(stage).await?;
    ensure!(first["id"] == "large" && first["cut"] == true && first["xml"].is_null(), "it heard {first:.200}");
    let second = next(stage).await?;
    ensure!(second["id"] == "small" && second["cut"] == false, "it heard {second:.200}");
    Ok("left out with all of its message; of one of 512 KiB the id is told alone".to_owned())
}

async fn forged(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(plan()?).await?;
    stage.call("listen.on", &json!({ "name": "pubsub-item" })).await?;
    // Before it is subscribed, the service is a stranger as well.
    stage.raw(item(SERVICE, NODE, "early", "x")).await?;
    stage.during().await?;
    subscribed(stage).await?;
    let full = format!("{SERVICE}/x");
    let lair = format!("{MALLORY}/lair");
    let senders = [
        MALLORY,
        &lair,
        &full,
        "pubsub.evil.example",
        "localhost",
        "bot@localhost",
        "bot@localhost/parlor",
        "xpubsub.localhost",
    ];
    for sender in senders {
        stage.raw(item(sender, NODE, "forged", "x")).await?;
        stage.raw(item(sender, "storage:bookmarks", "forged", "x")).await?;
    }
    stage.raw(item(SERVICE, "other", "forged", "x")).await?;
    stage.raw(item(SERVICE, NODE, "genuine", "x")).await?;
    let first = next(stage).await?;
    ensure!(first["id"] == "genuine" && first["service"] == SERVICE, "it heard {first:.200}");
    stage.during().await?;
    Ok(format!("ignored from each of {} other senders", senders.len()))
}

async fn flood(trial: &mut Trial) -> Result<String> {
    let stage = trial.start(plan()?).await?;
    subscribed(stage).await?;
    stage.call("promises.add", &json!({ "name": "later" })).await?;
    stage.call("listen.on-and-wait", &json!({ "name": "pubsub-item", "promise": "later" })).await?;
    for round in 0..40 {
        let many = (0..100).map(|number| item(SERVICE, NODE, &format!("{round}-{number}"), "flood"));
        stage.raw(many.collect::<String>()).await?;
    }
    stage.during().await?;
    let lost = |status: &Value| status["usage"]["lost"].as_u64().unwrap_or_default();
    let (own, neighbours) = (lost(&stage.status("caller").await?), lost(&stage.status("echo").await?));
    ensure!(own > 0 && neighbours == 0, "it lost {own}, and the neighbour {neighbours}");
    let how = format!("counted as lost by it alone: {own} of 4000");
    remove(stage).await?;
    Ok(how)
}
