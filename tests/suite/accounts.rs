//! Two accounts in one process with one plugin on both: nothing passes from one to the other.

use serde_json::{Value, json};

use crate::test_host::{FULL, Plan, TestHost, friend, granted};

async fn two() -> TestHost {
    let mut plan = Plan::new().await;
    plan.account().await;
    plan.set("allow_non_roster_messaging", true).caller(FULL, granted).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_instance_knows_its_own_account() {
    let host = two().await;
    for (at, (_, account)) in host.accounts.iter().enumerate() {
        host.call_on(at, FULL, "user.bare-jid", Value::Null).await.is(account.jid.to_string());
    }
    assert_eq!(host.host.status().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_plugins_and_of_the_host_stay_on_their_account() {
    let host = two().await;
    let mut heard = Vec::new();
    for at in [0, 1] {
        let own = host.listen_on(at, FULL, json!({ "name": "greeted" })).await;
        let message = host.listen_on(at, FULL, json!({ "name": "message" })).await;
        let opened = host.listen_on(at, FULL, json!({ "name": "chatBoxOpened" })).await;
        heard.push([own, message, opened]);
    }
    let mut friend = friend("friend").await;
    for (at, other) in [(0, 1), (1, 0)] {
        let body = format!("to {at}");
        host.call_on(at, FULL, "api.emit", json!({ "name": "greeted", "payload": at })).await.ok();
        friend.chat(host.accounts[at].1.jid.clone(), &body).await.unwrap();
        host.call_on(at, FULL, "chats.open", json!({ "jid": format!("a{at}@localhost") })).await.ok();
        assert_eq!(host.heard_on(at, FULL, heard[at][0]).await["payload"]["json"], at);
        assert_eq!(host.heard_on(at, FULL, heard[at][1]).await["payload"]["message"]["body"], body);
        host.heard_on(at, FULL, heard[at][2]).await;
        for n in heard[other] {
            let crossed = host.heard_so_far_on(other, FULL, n).await;
            assert!(crossed.is_empty(), "from {at} to {other}: {crossed:?}");
        }
        host.heard_so_far_on(at, FULL, heard[at][2]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promises_of_one_name_are_two() {
    let host = two().await;
    for at in [0, 1] {
        host.call_on(at, FULL, "promises.add", json!({ "name": "ready" })).await.ok();
    }
    host.call_on(0, FULL, "api.emit", json!({ "name": "ready", "payload": "first" })).await.ok();
    host.call_on(0, FULL, "api.wait-until", json!({ "promise": "ready" })).await.is(json!({ "json": "first" }));
    host.call_on(1, FULL, "promises.reject", json!({ "name": "ready", "reason": "not yet" })).await.ok();
    host.call_on(1, FULL, "api.wait-until", json!({ "promise": "ready" })).await.fails("rejected");
    host.call_on(0, FULL, "promises.add", json!({ "name": "only here" })).await.ok();
    host.call_on(1, FULL, "api.wait-until", json!({ "promise": "only here" })).await.fails("not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_status_chats_and_the_connection_are_apart() {
    let host = two().await;
    host.call_on(0, FULL, "settings.set", json!({ "key": "greeting", "value": "ahoy" })).await.ok();
    host.call_on(0, FULL, "settings.update", json!({ "values": [["more", 1]] })).await.ok();
    host.call_on(1, FULL, "settings.get", json!({ "key": "greeting" })).await.is(json!({ "value": "hello" }));
    host.call_on(1, FULL, "settings.get", json!({ "key": "more" })).await.is(Value::Null);
    host.call_on(0, FULL, "user.set-status", json!({ "value": "dnd" })).await.ok();
    assert_eq!(host.call_on(1, FULL, "user.get-status", Value::Null).await.ok()["value"], "online");
    host.call_on(0, FULL, "chats.open", json!({ "jid": "juliet@localhost" })).await.ok();
    host.call_on(1, FULL, "chats.get-all", Value::Null).await.is(json!([]));
    host.call_on(0, FULL, "connection.disconnect", Value::Null).await.ok();
    host.call_on(0, FULL, "connection.connected", Value::Null).await.is(false);
    host.call_on(1, FULL, "connection.connected", Value::Null).await.is(true);
}

/// If one instance fails, the one on the other account does not notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_stays_on_its_account() {
    let host = two().await;
    let other = host.accounts[1].0.clone();
    let _ = host.order(FULL, "action.panic", Value::Null).await;
    host.logged("plugin ended", &[("plugin", FULL)]).await;
    host.call_on(1, FULL, "user.jid", Value::Null).await.ok();
    assert!(!crate::trace::with("account", &other).iter().any(|line| line.get("message") == "plugin ended"));
}
