//! A host that stops, and a version of a plugin that another one replaces: delivered messages are handled, and later ones are left to
//! the server, or to the next version.
#![allow(clippy::doc_markdown, reason = "what a test shows is named as the list of the API spells it")]

use std::time::Duration;

use parlor_tests::component::with_manifest;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use crate::test_host::{A_MOMENT, FULL, Plan, SOON, friend, granted};
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

/// The new version does not see the handlers of the old one.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_version_of_a_plugin_begins_with_a_persons_messages_when_the_old_one_has_handled_those_before() {
    let version = |number: &str| {
        let lines = format!("version = \"{number}\"\nin_order = true");
        let says = |manifest: &str| manifest.replace("version = \"0.1.0\"", &lines);
        with_manifest(&plugins::built("caller").unwrap().bytes().unwrap(), says).unwrap()
    };
    let listens = |entry: Entry| granted(entry).set("name", FULL).set("listens", "message");
    let host = Plan::new().await.bytes(FULL, &version("0.1.0"), listens).start().await;
    let (mut friend, bot) = (friend("orderly").await, host.account().jid.clone());
    host.ears().promise("go").await;
    let order = host.order(FULL, "listen.on-and-wait", json!({ "name": "message", "promise": "go" })).await;
    host.answer(FULL, "listen.on-and-wait", order).await.ok();
    friend.chat(bot.clone(), "one").await.unwrap();
    assert_eq!(host.heard(FULL, order).await["payload"]["message"]["body"], "one");
    friend.chat(bot, "two").await.unwrap();
    friend.catch_up(SOON).await.unwrap();

    let old = host.instance(FULL).await.id;
    let next = host.home.install_bytes("next", &version("0.2.0")).unwrap();
    let replaced = host.decide(FULL, |entry| Entry { source: next.source, digest: next.digest, ..entry });
    let lets_go = async {
        while host.instance(FULL).await.id == old {
            tokio::time::sleep(A_MOMENT).await;
        }
        let new = host.instance(FULL).await;
        let handles = async {
            while new.usage(None).handled == 0 {
                tokio::time::sleep(A_MOMENT).await;
            }
        };
        let early = tokio::time::timeout(Duration::from_millis(500), handles).await;
        host.ears().emit("go", &Value::Null).await;
        early
    };
    let ((), early) = tokio::join!(replaced, lets_go);
    assert!(early.is_err(), "the new version began beside a handler of the old one");
    let noted = host.call(FULL, "action.noted", Value::Null).await.ok();
    let bodies = noted.as_array().unwrap().iter().map(|event| event["payload"]["message"]["body"].clone());
    assert_eq!(bodies.collect::<Vec<Value>>(), ["two"]);
    host.stop().await;
}
