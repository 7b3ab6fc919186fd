//! `plugins`: requests of plugins to one another (row 163 of `tests/conformance.toml`).

use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use crate::test_host::{BARE, FULL, NARROW, Plan, TestHost, refuses_to_tell, running};

/// Lets a plugin hear requests in handlers that return only when this promise is kept.
async fn hears(host: &TestHost, plugin: &str, promise: &str) -> u64 {
    host.ears().promise(promise).await;
    let order = host.order(plugin, "listen.on-and-wait", json!({ "name": "request", "promise": promise })).await;
    host.answer(plugin, "listen.on-and-wait", order).await.ok();
    order
}

/// Lets one plugin ask another one. Returns the order's number.
async fn asks(host: &TestHost, plugin: &str, asked: &str) -> u64 {
    host.order(plugin, "plugins.call", json!({ "plugin": asked, "name": "rate", "value": { "of": "EUR" } })).await
}

/// Waits for the next request that a plugin heard.
async fn told(host: &TestHost, plugin: &str, order: u64) -> Value {
    host.heard(plugin, order).await["payload"]["plugin-request"].clone()
}

/// Row 163. Events `request`.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_answers_what_another_one_asks_if_both_were_granted_it() {
    let plan = Plan::new().await.caller(FULL, |entry| entry.grant("plugins.call", &[NARROW, "nobody"]));
    let plan = plan.caller(NARROW, |entry| entry.grant("plugins.answer", &[FULL]));
    let plan = plan.caller("nosy", |entry| entry.grant("plugins.call", &["*"]));
    let host = plan.caller(BARE, |entry| entry).start().await;
    refuses_to_tell(&host, "plugins.answer", &["request"]).await;
    for call in ["plugins.answer", "plugins.refuse"] {
        let args = json!({ "id": "1", "value": 1, "text": "no" });
        host.call(BARE, call, args).await.denied("plugins.answer", None);
    }
    for (plugin, asked) in [(BARE, NARROW), (FULL, BARE), (FULL, "nosy")] {
        let args = json!({ "plugin": asked, "name": "rate", "value": 1 });
        host.call(plugin, "plugins.call", args).await.denied("plugins.call", Some(asked));
    }
    for plugin in [FULL, NARROW, "nosy"] {
        running(&host, plugin).await;
    }
    // The answer does not reveal which plugins exist, their requests, and their grants.
    let missing = async |plugin: &str, asked: &str, name: &str| {
        let args = json!({ "plugin": asked, "name": name, "value": 1 });
        let error = host.call(plugin, "plugins.call", args).await.fails("not-found");
        error["what"].as_str().unwrap().replace(asked, "PLUGIN").replace(name, "NAME")
    };
    let nobody = missing("nosy", "nobody", "rate").await;
    assert_eq!(missing(FULL, NARROW, "rate").await, nobody, "it does not listen");
    let asked = hears(&host, NARROW, "answered").await;
    assert_eq!(missing(FULL, NARROW, "unlisted").await, nobody);
    assert_eq!(missing("nosy", NARROW, "rate").await, nobody, "it may not answer this one");
    assert_eq!(missing("nosy", BARE, "rate").await, nobody, "it may answer nobody");

    let order = asks(&host, FULL, NARROW).await;
    let request = told(&host, NARROW, asked).await;
    assert_eq!((&request["plugin"], &request["name"]), (&json!(FULL), &json!("rate")), "{request}");
    assert_eq!(request["value"], json!({ "of": "EUR" }));
    let answer = json!({ "id": request["id"], "value": [1.08, null] });
    host.call(NARROW, "plugins.answer", answer.clone()).await.ok();
    host.answer(FULL, "plugins.call", order).await.is(json!([1.08, null]));
    host.call(NARROW, "plugins.answer", answer).await.fails("not-found");

    let order = asks(&host, FULL, NARROW).await;
    let request = told(&host, NARROW, asked).await;
    host.call(NARROW, "plugins.refuse", json!({ "id": request["id"], "text": "closed today" })).await.ok();
    assert_eq!(host.answer(FULL, "plugins.call", order).await.fails("rejected")["what"], "closed today");
    host.ears().emit("answered", &Value::Null).await;
}

/// Row 163: who asks waits for a bounded time, and never for itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_whatever_the_other_plugin_does_and_none_waits_for_itself() {
    let entry = |entry: Entry| entry.grant("plugins.call", &["*"]).grant("plugins.answer", &["*"]);
    let plan = Plan::new().await.caller(FULL, |full| entry(full).limit("request_time", "3 s"));
    let host = plan.caller(NARROW, entry).start().await;
    for plugin in [FULL, NARROW] {
        running(&host, plugin).await;
    }
    let own = asks(&host, FULL, FULL).await;
    let error = host.answer(FULL, "plugins.call", own).await.fails("other");
    assert!(error["what"].as_str().unwrap().contains("cycle"), "{error}");
    // A handler that returns at once.
    let listens = host.listen(NARROW, "request").await;
    let order = asks(&host, FULL, NARROW).await;
    let error = host.answer(FULL, "plugins.call", order).await.fails("other");
    assert!(error["what"].as_str().unwrap().contains("did not answer"), "{error}");
    told(&host, NARROW, listens).await;
    // The time is that of the one that answers.
    let late = hears(&host, FULL, "late").await;
    let order = asks(&host, NARROW, FULL).await;
    let request = told(&host, FULL, late).await;
    // While it has not answered, it cannot ask who waits for that.
    let back = asks(&host, FULL, NARROW).await;
    let error = host.answer(FULL, "plugins.call", back).await.fails("other");
    assert!(error["what"].as_str().unwrap().contains("cycle"), "{error}");
    host.answer(NARROW, "plugins.call", order).await.fails("timed-out");
    host.call(FULL, "plugins.answer", json!({ "id": request["id"], "value": 1 })).await.fails("not-found");
    let again = asks(&host, FULL, NARROW).await;
    let error = host.answer(FULL, "plugins.call", again).await.fails("other");
    assert!(error["what"].as_str().unwrap().contains("did not answer"), "nobody waits any more: {error}");
    host.ears().emit("late", &Value::Null).await;
}
