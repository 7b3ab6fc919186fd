//! `storage`: a plugin's stored data on this machine (rows 126 and 154 of `tests/conformance.toml`).

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

/// Rows 126, 154.
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
        ("storage.range", json!({ "prefix": "", "limit": 10 })),
        ("storage.add", json!({ "key": "k", "amount": 1 })),
        ("storage.change", json!({ "changes": [["set", "k", "x"]] })),
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

/// Requests a page of a range, and returns its keys and the position of the next page.
async fn range(host: &TestHost, mut args: Value, after: Option<&str>, limit: u32) -> (Vec<String>, Value) {
    args["after"] = after.into();
    args["limit"] = limit.into();
    let page = host.call(FULL, "storage.range", args).await.ok();
    let entries = page["entries"].as_array().unwrap();
    (entries.iter().map(|entry| entry[0].as_str().unwrap().to_owned()).collect(), page["next"].clone())
}

/// Rows 154.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_has_its_keys_in_either_order() {
    let host = host().await;
    for key in ["p/", "p/1", "p/2", "p/3", "p0", "q", "\u{fc}"] {
        set(&host, key, key).await;
    }
    let cases: [(Value, &[&str]); 9] = [
        (json!({ "prefix": "" }), &["p/", "p/1", "p/2", "p/3", "p0", "q", "\u{fc}"]),
        (json!({ "prefix": "p/" }), &["p/", "p/1", "p/2", "p/3"]),
        (json!({ "prefix": "p/", "from": "p/1", "to": "p/3" }), &["p/1", "p/2"]),
        (json!({ "prefix": "p/", "from": "a", "to": "z" }), &["p/", "p/1", "p/2", "p/3"]),
        (json!({ "prefix": "", "from": "p/25" }), &["p/3", "p0", "q", "\u{fc}"]),
        (json!({ "prefix": "", "to": "p/" }), &[]),
        (json!({ "prefix": "", "from": "p/3", "to": "p/1" }), &[]),
        (json!({ "prefix": "p/", "from": "p/2", "to": "p/2" }), &[]),
        (json!({ "prefix": "nothing" }), &[]),
    ];
    for (mut args, expected) in cases {
        let mut expected: Vec<_> = expected.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(range(&host, args.clone(), None, 10).await, (expected.clone(), Value::Null), "{args}");
        args["descending"] = true.into();
        expected.reverse();
        assert_eq!(range(&host, args.clone(), None, 10).await, (expected, Value::Null), "{args}");
    }
    host.call("other", "storage.range", json!({ "prefix": "", "limit": 9 }))
        .await
        .is(json!({ "entries": [], "next": null }));
}

/// Rows 154.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_comes_in_pages_and_without_what_has_expired() {
    let host = host().await;
    for number in 0..5 {
        set(&host, &format!("p/{number}"), &format!("value {number}")).await;
    }
    host.call(FULL, "storage.set", json!({ "key": "p/3", "value": "x", "expires": 1 })).await.ok();
    host.call(FULL, "timers.sleep", json!({ "milliseconds": 20 })).await.ok();
    let newest = |after: Value| json!({ "prefix": "p/", "descending": true, "after": after, "limit": 2 });
    let page = |after: Value| host.call(FULL, "storage.range", newest(after));
    page(Value::Null).await.is(json!({ "entries": [["p/4", "value 4"], ["p/2", "value 2"]], "next": "p/2" }));
    page("p/2".into()).await.is(json!({ "entries": [["p/1", "value 1"], ["p/0", "value 0"]], "next": null }));
    // The key need not be there any more, and may be beyond the range.
    page("p/3".into()).await.is(json!({ "entries": [["p/2", "value 2"], ["p/1", "value 1"]], "next": "p/1" }));
    assert_eq!(
        range(&host, json!({ "prefix": "p/", "from": "p/1" }), Some("o"), 1).await,
        (vec!["p/1".into()], "p/1".into())
    );
    assert_eq!(range(&host, json!({ "prefix": "p/" }), Some("q"), 10).await, (vec![], Value::Null));
    for number in 5..8 {
        host.call(FULL, "storage.set-long", json!({ "key": format!("p/{number}"), "length": 200 << 10 })).await.ok();
    }
    let (keys, next) = range(&host, json!({ "prefix": "p/", "descending": true }), None, 1_000).await;
    assert_eq!((keys, next), (vec!["p/7".to_owned()], "p/7".into()), "one of them fills a page");
}

/// Rows 154.
#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_added_to() {
    let host = host().await;
    let add = |key: &'static str, amount: i64| host.call(FULL, "storage.add", json!({ "key": key, "amount": amount }));
    add("n", 3).await.is(3);
    add("n", -5).await.is(-2);
    assert_eq!(get(&host, FULL, "n").await, "-2");
    set(&host, "n", "40").await;
    add("n", 2).await.is(42);
    add("n", 0).await.is(42);
    add("least", i64::MIN).await.is(i64::MIN);
    add("least", -1).await.invalid("number.amount");
    add("most", i64::MAX).await.is(i64::MAX);
    add("most", 1).await.invalid("number.amount");
    assert_eq!(get(&host, FULL, "most").await, i64::MAX.to_string());
    for wrong in ["", "x", "1.5", "+1", " 1", "9223372036854775808", "\"1\""] {
        set(&host, "wrong", wrong).await;
        add("wrong", 1).await.invalid("number.key");
        assert_eq!(get(&host, FULL, "wrong").await, wrong);
    }
}

/// Rows 154.
#[tokio::test(flavor = "multi_thread")]
async fn a_sum_lasts_as_long_as_its_number_unless_it_says_otherwise() {
    let host = host().await;
    let gone = async |key: &str| {
        host.call(FULL, "timers.sleep", json!({ "milliseconds": 20 })).await.ok();
        get(&host, FULL, key).await.is_null()
    };
    let add = |key: &'static str, expires: Value| {
        host.call(FULL, "storage.add", json!({ "key": key, "amount": 1, "expires": expires }))
    };
    host.call(FULL, "storage.set", json!({ "key": "short", "value": "1", "expires": 1 })).await.ok();
    assert!(gone("short").await);
    // It counts as 0, and its time is over.
    add("short", Value::Null).await.is(1);
    assert!(!gone("short").await);
    add("short", json!(1)).await.is(2);
    assert!(gone("short").await);
    host.call(FULL, "storage.set", json!({ "key": "long", "value": "1", "expires": 600_000 })).await.ok();
    add("long", Value::Null).await.is(2);
    assert!(!gone("long").await);
}

/// Rows 154.
#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_add_at_once_lose_nothing() {
    let host = host().await;
    let orders = (0..40).map(|_| host.order(FULL, "storage.add", json!({ "key": "n", "amount": 1 })));
    let mut sums = Vec::new();
    for order in futures_util::future::join_all(orders).await {
        sums.push(host.answer(FULL, "storage.add", order).await.ok().as_i64().unwrap());
    }
    sums.sort_unstable();
    assert_eq!(sums, (1..=40).collect::<Vec<_>>());
}

/// Rows 154.
#[tokio::test(flavor = "multi_thread")]
async fn several_changes_are_made_together() {
    let host = host().await;
    let change = |changes: Value| host.call(FULL, "storage.change", json!({ "changes": changes }));
    change(json!([["set", "a", "1"], ["set", "b", "x"], ["add", "n", 5]])).await.is(true);
    // A key may be expected and changed; the expectation is about the value before.
    change(json!([["add", "a", 1], ["expect", "a", "1"], ["delete", "b"], ["delete", "none"]])).await.is(true);
    let keys = range(&host, json!({ "prefix": "" }), None, 10).await.0;
    assert_eq!(keys, ["a", "n"]);
    assert_eq!((get(&host, FULL, "a").await, get(&host, FULL, "n").await), ("2".into(), "5".into()));
    change(json!([["expect", "none", null]])).await.is(true);
    change(json!([["set", "short", "x", 1], ["set", "n", "7"]])).await.is(true);
    host.call(FULL, "timers.sleep", json!({ "milliseconds": 20 })).await.ok();
    change(json!([["expect", "short", null], ["expect", "n", "7"]])).await.is(true);
    let most: Vec<_> = (0..256).map(|number| json!(["set", format!("k{number}"), "x"])).collect();
    change(most.into()).await.is(true);
    assert_eq!(range(&host, json!({ "prefix": "k" }), None, 1_000).await.0.len(), 256);
}

/// Rows 154.
#[tokio::test(flavor = "multi_thread")]
async fn if_one_change_is_refused_none_is_made() {
    let host = host().await;
    let change = |changes: Value| host.call(FULL, "storage.change", json!({ "changes": changes }));
    change(json!([["set", "text", "x"], ["set", "most", i64::MAX.to_string()]])).await.is(true);
    let all = async || host.call(FULL, "storage.entries", json!({ "prefix": "", "limit": 10 })).await.ok();
    let before = all().await;
    let with = |last: Value| change(json!([["set", "new", "x"], ["add", "count", 1], ["delete", "text"], last]));
    for expected in [json!("y"), json!("xx"), json!(""), Value::Null] {
        with(json!(["expect", "text", expected])).await.is(false);
        assert_eq!(all().await, before, "{expected}");
    }
    with(json!(["expect", "none", ""])).await.is(false);
    with(json!(["add", "most", 1])).await.invalid("changes");
    with(json!(["set", "new", "y"])).await.invalid("changes");
    with(json!(["long", "long", 256 << 10])).await.invalid("changes");
    change(json!([["set", "new", "x"], ["add", "text", 1]])).await.invalid("changes");
    let many: Vec<_> = (0..257).map(|number| json!(["set", format!("k{number}"), "x"])).collect();
    change(many.into()).await.invalid("changes");
    assert_eq!(all().await, before);
}

/// Rows 154.
#[tokio::test(flavor = "multi_thread")]
async fn changes_over_the_quota_leave_all_as_it_was() {
    let small = |entry: parlor_tests::policy::Entry| entry.grant("storage", &["1 KiB"]);
    let host = Plan::offline().caller(FULL, small).start().await;
    let change = |changes: Value| host.call(FULL, "storage.change", json!({ "changes": changes }));
    change(json!([["long", "a", 600]])).await.is(true);
    let keys = async || range(&host, json!({ "prefix": "" }), None, 10).await.0;
    // Each of them fits alone.
    let error = change(json!([["long", "b", 150], ["long", "c", 150]])).await.fails("over-limit");
    assert_eq!(error["what"], "1024 bytes of storage; delete some, or let the owner grant more");
    assert_eq!(keys().await, ["a"]);
    // Only the sum counts, in any order.
    change(json!([["long", "b", 800], ["delete", "a"]])).await.is(true);
    assert_eq!(keys().await, ["b"]);
    change(json!([["add", "n", 1], ["long", "c", 100]])).await.fails("over-limit");
    host.call(FULL, "storage.add", json!({ "key": "n", "amount": 1 })).await.is(1);
}

/// Rows 154.
#[tokio::test(flavor = "multi_thread")]
async fn several_changes_are_there_after_a_restart_of_the_host() {
    let host = Plan::new().await.three().start().await;
    host.call(FULL, "storage.change", json!({ "changes": [["set", "a", "x"], ["add", "n", 7]] })).await.is(true);
    let host = host.restart().await;
    assert_eq!((get(&host, FULL, "a").await, get(&host, FULL, "n").await), ("x".into(), "7".into()));
}
