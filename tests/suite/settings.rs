//! `settings`: a plugin's own, and a look at the host's (API rows 116–119).

use serde_json::{Value, json};

use crate::house::{BARE, FULL, Plan, refuses};

/// Rows 116-118.
#[tokio::test(flavor = "multi_thread")]
async fn set_wins_over_the_owner_the_owner_over_update_and_update_over_the_default() {
    let plan = Plan::offline().caller("plain", |entry| entry);
    let house = plan.caller("owned", |entry| entry.set("greeting", "ahoy")).start().await;
    let get = json!({ "key": "greeting" });
    let update = json!({ "values": [["greeting", "hi"], ["added", [1, 2]]] });
    for (plugin, first, updated) in [("plain", "hello", "hi"), ("owned", "ahoy", "ahoy")] {
        house.call(plugin, "settings.get", get.clone()).await.is(json!({ "value": first }));
        house.call(plugin, "settings.update", update.clone()).await.ok();
        house.call(plugin, "settings.get", get.clone()).await.is(json!({ "value": updated }));
        house.call(plugin, "settings.get", json!({ "key": "added" })).await.is(json!({ "value": [1, 2] }));
        house.call(plugin, "settings.set", json!({ "key": "greeting", "value": plugin })).await.ok();
        house.call(plugin, "settings.get", get.clone()).await.is(json!({ "value": plugin }));
    }
    house.call("plain", "settings.get", get).await.is(json!({ "value": "plain" }));
    house.call("plain", "settings.get", json!({ "key": "nobody knows it" })).await.is(Value::Null);
}

/// Rows 118, 119.
#[tokio::test(flavor = "multi_thread")]
async fn several_are_set_or_none() {
    let house = Plan::offline().caller(BARE, |entry| entry).start().await;
    let set = |values: Value| house.call(BARE, "settings.set-many", json!({ "values": values }));
    set(json!([["one", 1], ["greeting", 2]])).await.invalid("value");
    house.call(BARE, "settings.get", json!({ "key": "one" })).await.is(Value::Null);
    set(json!([["one", 1], ["greeting", "two"]])).await.ok();
    house.call(BARE, "settings.get", json!({ "key": "one" })).await.is(json!({ "value": 1 }));
    house.call(BARE, "settings.set", json!({ "key": "greeting", "value": true })).await.invalid("value");
    house.call(BARE, "settings.set", json!({ "key": "", "value": 1 })).await.invalid("key");
    let long = "x".repeat(65 << 10);
    house.call(BARE, "settings.set", json!({ "key": "long", "value": long })).await.invalid("value");
    let many: Vec<_> = (0..65).map(|number| json!([format!("key{number}"), number])).collect();
    set(many.into()).await.fails("over-limit");
}

/// Rows 117.
/// Settings `password`, `sid`, `rid`.
#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_are_read_with_the_grant_and_its_secrets_never() {
    let house = Plan::offline().set("nickname", "Benvolio").set("priority", 5).three().start().await;
    house.call(FULL, "settings.get", json!({ "key": "nickname" })).await.is(json!({ "value": "Benvolio" }));
    house.call(FULL, "settings.get", json!({ "key": "priority" })).await.is(json!({ "value": 5 }));
    refuses(
        &house,
        &[
            ("settings.get", json!({ "key": "nickname" }), "settings.read", None),
            ("settings.get", json!({ "key": "password" }), "settings.read", None),
        ],
    )
    .await;
    for secret in ["password", "sid", "rid"] {
        house.call(FULL, "settings.get", json!({ "key": secret })).await.is(Value::Null);
    }
}

/// Settings `allow_otr`, `auto_list_rooms`, `hide_muc_server`, `hide_offline_users`, `i18n`, `play_sounds`,
/// `roster_groups`, `show_controlbox_by_default`.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_front_end_is_told_is_kept_and_read() {
    let mut plan = Plan::offline();
    let given = [
        ("allow_otr", json!(true), json!(false)),
        ("auto_list_rooms", json!(false), json!(true)),
        ("hide_muc_server", json!(false), json!(true)),
        ("hide_offline_users", json!(false), json!(true)),
        ("i18n", Value::Null, json!("de")),
        ("play_sounds", json!(false), json!(true)),
        ("roster_groups", json!(false), json!(true)),
        ("show_controlbox_by_default", json!(false), json!(true)),
    ];
    let house = Plan::offline().three().start().await;
    for (key, default, other) in &given {
        let read = house.call(FULL, "settings.get", json!({ "key": key })).await.ok();
        assert_eq!(read["value"], *default, "{key}: {read}");
        plan = plan.set(key, toml::Value::try_from(other).unwrap());
    }
    let house = plan.three().start().await;
    for (key, _, other) in given {
        house.call(FULL, "settings.get", json!({ "key": key })).await.is(json!({ "value": other }));
    }
}

/// Row 119.
/// Rows 118.
/// Settings `bosh_service_url`, `jid`, `expose_rid_and_sid`, `debug`.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_settings_are_denied_whatever_the_grant() {
    let house = Plan::offline().three().start().await;
    for plugin in [BARE, FULL] {
        for key in ["whitelisted_plugins", "bosh_service_url", "password", "jid", "expose_rid_and_sid", "debug"] {
            refused_for_good(house.call(plugin, "settings.set", json!({ "key": key, "value": "x" })).await, key);
        }
        let mixed = json!({ "values": [["own", 1], ["password", "x"]] });
        refused_for_good(house.call(plugin, "settings.set-many", mixed).await, "password");
        house.call(plugin, "settings.get", json!({ "key": "own" })).await.is(Value::Null);
    }
}

#[track_caller]
fn refused_for_good(answer: crate::answer::Answer, key: &str) {
    let error = answer.fails("denied");
    assert_eq!((&error["permission"], &error["scope"]), (&json!("settings.write"), &json!(key)));
    assert!(error["hint"].as_str().unwrap().starts_with("no grant helps"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_its_own_comes_to_its_holder_alone() {
    let house = Plan::offline().caller("holder", |new| new.set("token", "canary-7319")).three().start().await;
    house.call("holder", "settings.get", json!({ "key": "token" })).await.is(json!({ "value": "canary-7319" }));
    house.call(FULL, "settings.get", json!({ "key": "token" })).await.is(Value::Null);
    let lines = crate::trace::with("account", house.name());
    assert!(!format!("{lines:?}").contains("canary-7319"));
}
