//! `promises`: a plugin's own promises, for others to wait for (rows 13–16 of `tests/conformance.toml`).

use serde_json::{Value, json};

use crate::house::{BARE, FULL, NARROW, Plan};

/// Rows 8, 13-14.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_gets_the_payload_early_or_late_and_a_second_add_is_fresh() {
    let house = Plan::offline().three().start().await;
    let wait = json!({ "promise": "ready" });
    house.call(FULL, "api.wait-until", wait.clone()).await.fails("not-found");
    house.call(BARE, "promises.add", json!({ "name": "ready" })).await.ok();
    let early = house.order(FULL, "api.wait-until", wait.clone()).await;
    house.call(BARE, "api.emit", json!({ "name": "ready", "payload": [1, 2] })).await.ok();
    house.answer(FULL, "early", early).await.is(json!({ "json": [1, 2] }));
    house.call(NARROW, "api.wait-until", wait.clone()).await.is(json!({ "json": [1, 2] }));
    house.call(BARE, "promises.add", json!({ "name": "ready" })).await.ok();
    let again = house.order(FULL, "api.wait-until", wait).await;
    house.call(BARE, "api.emit", json!({ "name": "ready" })).await.ok();
    house.answer(FULL, "again", again).await.is("none");
}

/// Row 15.
#[tokio::test(flavor = "multi_thread")]
async fn several_are_added_or_none() {
    let house = Plan::offline().three().start().await;
    house.call(BARE, "promises.add-all", json!({ "names": ["one", "two"] })).await.ok();
    house.call(FULL, "promises.add-all", json!({ "names": ["three", "one"] })).await.fails("denied");
    house.call(FULL, "promises.add-all", json!({ "names": ["three", "roster"] })).await.fails("invalid");
    house.call(FULL, "promises.add-all", json!({ "names": [] })).await.fails("invalid");
    house.call(NARROW, "api.wait-until", json!({ "promise": "three" })).await.fails("not-found");
    for name in ["one", "two"] {
        house.call(BARE, "api.emit", json!({ "name": name })).await.ok();
        house.call(NARROW, "api.wait-until", json!({ "promise": name })).await.ok();
    }
}

/// Rows 13, 16.
#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_reaches_who_waits_as_a_typed_error() {
    let house = Plan::offline().three().start().await;
    let wait = json!({ "promise": "ready" });
    house.call(BARE, "promises.add", json!({ "name": "ready" })).await.ok();
    let early = house.order(FULL, "api.wait-until", wait.clone()).await;
    let reject = json!({ "name": "ready", "reason": "no bread" });
    assert_eq!(house.call(FULL, "promises.reject", reject.clone()).await.fails("denied")["permission"], "owner");
    house.call(BARE, "promises.reject", reject.clone()).await.ok();
    assert_eq!(house.answer(FULL, "early", early).await.fails("rejected")["what"], "no bread");
    assert_eq!(house.call(NARROW, "api.wait-until", wait).await.fails("rejected")["what"], "no bread");
    house.call(BARE, "promises.reject", reject).await.fails("invalid");
    house.call(BARE, "promises.reject", json!({ "name": "other", "reason": "" })).await.fails("not-found");
}

/// Rows 13-16.
#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_and_anothers_are_nobodys_to_take() {
    let house = Plan::offline().three().start().await;
    house.call(BARE, "promises.add", json!({ "name": "ready" })).await.ok();
    let error = house.call(FULL, "promises.add", json!({ "name": "ready" })).await.fails("denied");
    assert!(error["scope"].as_str().unwrap().contains("ready"), "{error}");
    for name in ["roster", "connected", "message", "", &"x".repeat(129)] {
        house.call(FULL, "promises.add", json!({ "name": name })).await.invalid("name");
    }
    house.call(FULL, "promises.reject", json!({ "name": "roster", "reason": "" })).await.fails("invalid");
    house.call(FULL, "api.wait-until", json!({ "promise": "pluginsInitialized" })).await.is("none");
    house.call(FULL, "connection.connected", Value::Null).await.is(false);
}

/// A name that a manifest provides belongs to that plugin, and others rely on that.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_plugin_provides_nobody_fires_or_owns() {
    let house = Plan::offline().caller(FULL, |entry| entry).plugin("unruly", "unruly", |entry| entry).start().await;
    house.call(FULL, "promises.add", json!({ "name": "unrulyNever" })).await.fails("denied");
    house.call(FULL, "api.emit", json!({ "name": "unruly" })).await.fails("denied");
    house.call(FULL, "promises.add", json!({ "name": "unrulySometimes" })).await.ok();
}
