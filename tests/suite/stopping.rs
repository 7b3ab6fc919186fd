//! A host that stops: delivered messages are handled, and later ones are left to the server.
#![allow(clippy::doc_markdown, reason = "what a test shows is named as the list of the API spells it")]

use serde_json::{Value, json};

use crate::test_host::{FULL, Plan, SOON, friend, granted};
use crate::trace;

/// Adds a plugin with this setting `behaviour`, which has time to stop.
fn with_unruly(plan: Plan, behaviour: &str) -> Plan {
    plan.plugin("unruly", "unruly", |entry| entry.set("behaviour", behaviour).limit("stop", "30 s"))
}

/// Settings keepalive. A message that comes while plugins stop is delivered once, by the next host.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_plugins_stop_is_told_by_the_next_host() {
    let listens = |entry| granted(entry).set("listens", "message+delayed");
    let plan = with_unruly(Plan::new().await.caller(FULL, listens), "stop-waits-for-word");
    let host = plan.start().await;
    let (mut friend, bot) = (friend("late").await, host.account().jid.clone());
    let heard = host.listen(FULL, "message").await;
    friend.chat(bot.clone(), "before").await.unwrap();
    assert_eq!(host.heard(FULL, heard).await["payload"]["message"]["body"], "before");
    host.ears().promise("word").await;
    let host = host
        .restart_during(async |name, ears| {
            let waits = |line: &trace::Line| line.is("waits for the word", &[("plugin", "unruly")]).then_some(());
            trace::wait("a plugin that stops", name, SOON, waits).await;
            friend.chat(bot.clone(), "late").await.unwrap();
            // The server has routed the message by then.
            friend.catch_up(SOON).await.unwrap();
            ears.emit("word", &Value::Null).await;
        })
        .await;
    friend.chat(bot, "after").await.unwrap();
    let mut told = Vec::new();
    while told.last().is_none_or(|last| last != "after") {
        let noted = host.call(FULL, "action.noted", Value::Null).await.ok();
        let bodies = noted.as_array().unwrap().iter().map(|event| event["payload"]["message"]["body"].clone());
        told = bodies.collect::<Vec<Value>>();
    }
    assert_eq!(told, ["late", "after"]);
    host.stop().await;
}

/// A plugin handles all events that it received before it stops, including those that it has not begun.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_heard_is_handled_before_a_plugin_stops() {
    let slow = |entry| granted(entry).limit("handlers", 1).limit("stop", "30 s");
    let host = with_unruly(Plan::offline().caller(FULL, slow), "stop-lets-go").start().await;
    let order = host.order(FULL, "listen.on-and-wait", json!({ "name": "work", "promise": "go" })).await;
    host.answer(FULL, "listen.on-and-wait", order).await.ok();
    for number in 1..=3 {
        host.ears().emit("work", &json!(number)).await;
    }
    assert_eq!(host.heard(FULL, order).await["payload"]["json"], 1);
    assert!(host.ears().heard_nothing(FULL, order), "it handles one after the other");
    // The other plugin lets it continue when the host stops, and not before.
    let ears = host.stop_and_listen().await;
    for number in 2..=3 {
        assert_eq!(ears.heard(FULL, order).await["payload"]["json"], number);
    }
}
