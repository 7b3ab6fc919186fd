//! `storage`: a plugin's stored data on this machine (row 126 of `tests/conformance.toml`).

use serde_json::{Value, json};

use crate::test_host::{BARE, FULL, Plan, TestHost, granted, id};

async fn host() -> TestHost {
    Plan::offline().three().caller("other", granted).start().await
}

async fn set(host: &TestHost, key: &str, value: &str) {
    host.call(FULL, "storage.set", json!({ "key": key, "value": value })).await.ok();
}

async fn get(host: &TestHost, plugin: &str, key: &str) -> Value {
    host.call(plugin, "storage.get", json!({ "key": key })).await.ok()
}

/// Rows 126.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_keeps_it_finds_again_and_nobody_else_does() {
    let host = host().await;
    assert_eq!(get(&host, FULL, "k").await, Value::Null);
    set(&host, "k", "one").await;
    assert_eq!(get(&host, FULL, "k").await, "one");
    assert_eq!(get(&host, "other", "k").await, Value::Null);
    set(&host, "k", "").await;
    assert_eq!(get(&host, FULL, "k").await, "");
    host.call(FULL, "storage.delete", json!({ "key": "k" })).await.is(true);
    host.call(FULL, "storage.delete", json!({ "key": "k" })).await.is(false);
    assert_eq!(get(&host, FULL, "k").await, Value::Null);
}

/// Rows 126.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_there_after_a_restart_of_the_host() {
    let host = Plan::new().await.three().start().await;
    set(&host, "k", "kept").await;
    let host = host.restart().await;
    assert_eq!(get(&host, FULL, "k").await, "kept");
}

/// Rows 126.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_grant_nothing_is_kept_or_shown() {
    let host = host().await;
    let swap = json!({ "key": "k", "expected": null, "value": "x" });
    for (call, args) in [
        ("storage.get", json!({ "key": "k" })),
        ("storage.set", json!({ "key": "k", "value": "x" })),
        ("storage.delete", json!({ "key": "k" })),
        ("storage.list", json!({ "prefix": "", "limit": 10 })),
        ("storage.entries", json!({ "prefix": "", "limit": 10 })),
        ("storage.compare-and-set", swap),
    ] {
        let error = host.call(BARE, call, args).await.fails("denied");
        assert_eq!(error["permission"], "storage", "{call}: {error}");
    }
}

/// Rows 126.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_kept_and_what_is_forgotten_makes_room() {
    let small = |entry: parlor_tests::policy::Entry| entry.grant("storage", &["1 KiB"]);
    let host = Plan::offline().caller(FULL, small).start().await;
    let set =
        |key: &'static str, length: u32| host.call(FULL, "storage.set-long", json!({ "key": key, "length": length }));
    set("a", 500).await.ok();
    set("b", 500).await.fails("over-limit");
    assert_eq!(get(&host, FULL, "b").await, Value::Null);
    set("a", 900).await.ok();
    set("a", 1_000).await.fails("over-limit");
    assert_eq!(get(&host, FULL, "a").await.as_str().unwrap().len(), 900);
    host.call(FULL, "storage.delete", json!({ "key": "a" })).await.is(true);
    set("b", 900).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn how_much_of_its_quota_a_plugin_keeps_is_shown() {
    let small = |entry: parlor_tests::policy::Entry| entry.grant("storage", &["1 KiB"]);
    let host = Plan::offline().caller(FULL, small).start().await;
    let shown = async || {
        let status = host.host.status_with_storage().await.into_iter().find(|one| one.id == id(FULL)).unwrap();
        let storage = status.usage.unwrap().limits.into_iter().find(|one| one.name == "storage").unwrap();
        (storage.used, storage.of, storage.most)
    };
    assert_eq!(shown().await, (Some(0.0), "1 KiB".to_owned(), Some(1024.0)));
    host.call(FULL, "storage.set-long", json!({ "key": "k", "length": 500 })).await.ok();
    // The key, the value, and the overhead of each entry.
    assert_eq!(shown().await.0, Some(565.0));
    host.call(FULL, "storage.delete", json!({ "key": "k" })).await.is(true);
    assert_eq!(shown().await.0, Some(0.0));
}

/// Rows 126.
#[tokio::test(flavor = "multi_thread")]
async fn bad_arguments_are_named_and_nothing_is_kept() {
    let host = host().await;
    let long = "k".repeat(513);
    for key in ["", "a\nb", "\u{7f}", &long] {
        host.call(FULL, "storage.get", json!({ "key": key })).await.invalid("key");
        host.call(FULL, "storage.set", json!({ "key": key, "value": "x" })).await.invalid("key");
        host.call(FULL, "storage.delete", json!({ "key": key })).await.invalid("key");
        host.call(FULL, "storage.compare-and-set", json!({ "key": key, "value": "x" })).await.invalid("key");
    }
    host.call(FULL, "storage.set-long", json!({ "key": "k", "length": (256 << 10) + 1 })).await.invalid("value");
    host.call(FULL, "storage.set-long", json!({ "key": "k", "length": 256 << 10 })).await.ok();
    host.call(FULL, "storage.delete", json!({ "key": "k" })).await.is(true);
    host.call(FULL, "storage.set", json!({ "key": "k", "value": "x", "expires": 0 })).await.invalid("expires");
    for limit in [0, 1_001, u32::MAX] {
        host.call(FULL, "storage.list", json!({ "prefix": "", "limit": limit })).await.invalid("limit");
    }
    host.call(FULL, "storage.list", json!({ "prefix": long, "limit": 1 })).await.invalid("prefix");
    host.call(FULL, "storage.list", json!({ "prefix": "", "after": "", "limit": 1 })).await.invalid("after");
    host.call(FULL, "storage.list", json!({ "prefix": "", "limit": 10 })).await.is(json!({ "keys": [], "next": null }));
    set(&host, &"k".repeat(512), "x").await;
}

/// Rows 126.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_listed_by_prefix_and_in_pages() {
    let host = host().await;
    for number in 0..7 {
        set(&host, &format!("p/{number}"), "x").await;
    }
    set(&host, "q", "x").await;
    let page = |after: Value| host.call(FULL, "storage.list", json!({ "prefix": "p/", "after": after, "limit": 3 }));
    page(Value::Null).await.is(json!({ "keys": ["p/0", "p/1", "p/2"], "next": "p/2" }));
    page("p/2".into()).await.is(json!({ "keys": ["p/3", "p/4", "p/5"], "next": "p/5" }));
    page("p/5".into()).await.is(json!({ "keys": ["p/6"], "next": null }));
    let all = host.call(FULL, "storage.keys", json!({ "prefix": "" })).await.ok();
    assert_eq!(all.as_array().unwrap().len(), 8);
}

/// Rows 126.
#[tokio::test(flavor = "multi_thread")]
async fn entries_come_by_prefix_and_in_pages_of_so_many_bytes() {
    let host = host().await;
    for number in 0..3 {
        set(&host, &format!("p/{number}"), &format!("value {number}")).await;
    }
    set(&host, "q", "x").await;
    let page = |after: Value, limit: u32| {
        host.call(FULL, "storage.entries", json!({ "prefix": "p/", "after": after, "limit": limit }))
    };
    let (first, second) = (["p/0", "value 0"], ["p/1", "value 1"]);
    page(Value::Null, 2).await.is(json!({ "entries": [first, second], "next": "p/1" }));
    page("p/1".into(), 2).await.is(json!({ "entries": [["p/2", "value 2"]], "next": null }));
    host.call("other", "storage.entries", json!({ "prefix": "", "limit": 9 }))
        .await
        .is(json!({ "entries": [], "next": null }));

    for number in 3..6 {
        host.call(FULL, "storage.set-long", json!({ "key": format!("p/{number}"), "length": 200 << 10 })).await.ok();
    }
    let found = page("p/3".into(), 1_000).await.ok();
    assert_eq!(found["entries"].as_array().unwrap().len(), 1, "one of them fills a page");
    assert_eq!(found["next"], "p/4");
}

/// Rows 126.
#[tokio::test(flavor = "multi_thread")]
async fn a_swap_needs_the_value_that_it_expects() {
    let host = host().await;
    let swap = |expected: Value, value: Value| {
        host.call(FULL, "storage.compare-and-set", json!({ "key": "k", "expected": expected, "value": value }))
    };
    swap("x".into(), "1".into()).await.is(false);
    swap(Value::Null, "1".into()).await.is(true);
    swap(Value::Null, "2".into()).await.is(false);
    swap("1".into(), "2".into()).await.is(true);
    assert_eq!(get(&host, FULL, "k").await, "2");
    swap("2".into(), Value::Null).await.is(true);
    assert_eq!(get(&host, FULL, "k").await, Value::Null);
}

/// Rows 126.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_expired_is_gone() {
    let host = host().await;
    host.call(FULL, "storage.set", json!({ "key": "short", "value": "x", "expires": 1 })).await.ok();
    host.call(FULL, "storage.set", json!({ "key": "long", "value": "x", "expires": u64::MAX })).await.ok();
    host.call(FULL, "timers.sleep", json!({ "milliseconds": 20 })).await.ok();
    assert_eq!(get(&host, FULL, "short").await, Value::Null);
    host.call(FULL, "storage.list", json!({ "prefix": "", "limit": 10 }))
        .await
        .is(json!({ "keys": ["long"], "next": null }));
}
