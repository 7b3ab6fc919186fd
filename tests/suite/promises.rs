//! `promises`: a plugin's own promises, for others to wait for (rows 13–16 of `tests/conformance.toml`).

use serde_json::{Value, json};

use crate::test_host::{BARE, FULL, NARROW, Plan};

/// Rows 8, 13-14.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_gets_the_payload_early_or_late_and_a_second_add_is_fresh() {
    let host = Plan::offline().three().start().await;
    let wait = json!({ "promise": "ready" });
    host.call(FULL, "api.wait-until", wait.clone()).await.fails("not-found");
    host.call(BARE, "promises.add", json!({ "name": "ready" })).await.ok();
    let early = host.order(FULL, "api.wait-until", wait.clone()).await;
    host.call(BARE, "api.emit", json!({ "name": "ready", "payload": [1, 2] })).await.ok();
    host.answer(FULL, "early", early).await.is(json!({ "json": [1, 2] }));
    host.call(NARROW, "api.wait-until", wait.clone()).await.is(json!({ "json": [1, 2] }));
    host.call(BARE, "promises.add", json!({ "name": "ready" })).await.ok();
    let again = host.order(FULL, "api.wait-until", wait).await;
    host.call(BARE, "api.emit", json!({ "name": "ready" })).await.ok();
    host.answer(FULL, "again", again).await.is("none");
}

/// Row 15.
#[tokio::test(flavor = "multi_thread")]
async fn several_are_added_or_none() {
    let host = Plan::offline().three().start().await;
    host.call(BARE, "promises.add-all", json!({ "names": ["one", "two"] })).await.ok();
    host.call(FULL, "promises.add-all", json!({ "names": ["three", "one"] })).await.fails("denied");
    host.call(FULL, "promises.add-all", json!({ "names": ["three", "roster"] })).await.fails("invalid");
    host.call(FULL, "promises.add-all", json!({ "names": [] })).await.fails("invalid");
    host.call(NARROW, "api.wait-until", json!({ "promise": "three" })).await.fails("not-found");
    for name in ["one", "two"] {
        host.call(BARE, "api.emit", json!({ "name": name })).await.ok();
        host.call(NARROW, "api.wait-until", json!({ "promise": name })).await.ok();
    }
}

/// Rows 13, 16.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_reaches_who_waits_as_a_typed_error() {
    let host = Plan::offline().three().start().await;
    let wait = json!({ "promise": "ready" });
    host.call(BARE, "promises.add", json!({ "name": "ready" })).await.ok();
    let early = host.order(FULL, "api.wait-until", wait.clone()).await;
    let reject = json!({ "name": "ready", "reason": "no bread" });
    assert_eq!(host.call(FULL, "promises.reject", reject.clone()).await.fails("denied")["permission"], "owner");
    host.call(BARE, "promises.reject", reject.clone()).await.ok();
    assert_eq!(host.answer(FULL, "early", early).await.fails("rejected")["what"], "no bread");
    assert_eq!(host.call(NARROW, "api.wait-until", wait).await.fails("rejected")["what"], "no bread");
    host.call(BARE, "promises.reject", reject).await.fails("invalid");
    host.call(BARE, "promises.reject", json!({ "name": "other", "reason": "" })).await.fails("not-found");
}

/// Rows 13-16.
#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_and_anothers_are_nobodys_to_take() {
    let host = Plan::offline().three().start().await;
    host.call(BARE, "promises.add", json!({ "name": "ready" })).await.ok();
    let error = host.call(FULL, "promises.add", json!({ "name": "ready" })).await.fails("denied");
    assert!(error["scope"].as_str().unwrap().contains("ready"), "{error}");
    for name in ["roster", "connected", "message", "", &"x".repeat(129)] {
        host.call(FULL, "promises.add", json!({ "name": name })).await.invalid("name");
    }
    host.call(FULL, "promises.reject", json!({ "name": "roster", "reason": "" })).await.fails("invalid");
    host.call(FULL, "api.wait-until", json!({ "promise": "pluginsInitialized" })).await.is("none");
    host.call(FULL, "connection.connected", Value::Null).await.is(false);
}

/// A name that a manifest provides belongs to that plugin, and others rely on that.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_plugin_provides_nobody_fires_or_owns() {
    let host = Plan::offline().caller(FULL, |entry| entry).plugin("unruly", "unruly", |entry| entry).start().await;
    host.call(FULL, "promises.add", json!({ "name": "unrulyNever" })).await.fails("denied");
    host.call(FULL, "api.emit", json!({ "name": "unruly" })).await.fails("denied");
    host.call(FULL, "promises.add", json!({ "name": "unrulySometimes" })).await.ok();
}
