//! `chatviews`: how private chats should be shown (rows 89 and 90 of `tests/conformance.toml`), and the calls that
//! change it (79–86).

use serde_json::{Value, json};

use crate::test_host::{FULL, Plan, refuses};

/// Rows 89-90.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_there_for_what_is_open_and_opens_nothing() {
    let host = Plan::new().await.set("allow_non_roster_messaging", true).three().start().await;
    host.call(FULL, "chatviews.get", json!({ "jid": "a@localhost" })).await.is(Value::Null);
    host.call(FULL, "chats.get-all", Value::Null).await.is(json!([]));
    host.call(FULL, "chats.open", json!({ "jid": "a@localhost" })).await.ok();
    let view = json!({
        "jid": "a@localhost", "minimized": false, "shown": true, "focused": false, "attributes": {}, "image": null,
        "image-type": null, "url": null, "vcard-updated": null,
    });
    host.call(FULL, "chatviews.get", json!({ "jid": "A@localhost/anywhere" })).await.is(view.clone());
    let many = json!({ "jids": ["b@localhost", "a@localhost"] });
    host.call(FULL, "chatviews.get-many", many).await.is(json!([null, view]));
    host.call(FULL, "chatviews.get-many", json!({ "jids": [] })).await.is(json!([]));
    host.call(FULL, "chats.close", json!({ "jid": "a@localhost" })).await.ok();
    host.call(FULL, "chatviews.get", json!({ "jid": "a@localhost" })).await.is(Value::Null);
    for jid in ["", "@@", "a\u{1}@localhost"] {
        host.call(FULL, "chatviews.get", json!({ "jid": jid })).await.invalid("jid");
        host.call(FULL, "chatviews.get-many", json!({ "jids": [jid] })).await.is(json!([null]));
    }
}

/// Rows 79-86, 89. Events chatBoxFocused, chatBoxOpened, chatBoxMinimized, chatBoxMaximized, chatBoxToggled.
#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_follows_what_plugins_ask_for() {
    let host = Plan::new().await.set("allow_non_roster_messaging", true).three().start().await;
    let (one, other) = (json!({ "jid": "a@localhost" }), json!({ "jid": "b@localhost" }));
    for jid in [&one, &other] {
        host.call(FULL, "chats.open", jid.clone()).await.ok();
    }
    let mut ears = Vec::new();
    for name in ["chatBoxFocused", "chatBoxOpened", "chatBoxMinimized", "chatBoxMaximized", "chatBoxToggled"] {
        ears.push((name, host.listen(FULL, name).await));
    }
    for (call, events, small, focused) in [
        ("chats.minimize", &["chatBoxMinimized", "chatBoxToggled"][..], true, false),
        ("chats.minimize", &[], true, false),
        ("chats.maximize", &["chatBoxMaximized", "chatBoxToggled"], false, false),
        ("chats.show", &["chatBoxOpened"], false, false),
        ("chats.focus", &["chatBoxFocused"], false, true),
        ("chats.minimize", &["chatBoxMinimized", "chatBoxToggled"], true, false),
        ("chats.focus", &["chatBoxFocused", "chatBoxMaximized", "chatBoxToggled"], false, true),
    ] {
        host.call(FULL, call, one.clone()).await.is(Value::Null);
        let view = host.call(FULL, "chatviews.get", one.clone()).await.ok();
        assert_eq!((&view["minimized"], &view["focused"]), (&json!(small), &json!(focused)), "{call}: {view}");
        for (name, ear) in &ears {
            let heard = host.heard_so_far(FULL, *ear).await;
            assert_eq!(heard.len(), usize::from(events.contains(name)), "{call} {name}: {heard:?}");
            assert!(heard.iter().all(|event| event["payload"]["chat"]["jid"] == "a@localhost"), "{heard:?}");
        }
    }
    host.call(FULL, "chats.focus", other.clone()).await.ok();
    assert_eq!(host.call(FULL, "chatviews.get", one).await.ok()["focused"], false, "one at most has the focus");
    for call in ["chats.focus", "chats.show", "chats.maximize", "chats.minimize"] {
        host.call(FULL, call, json!({ "jid": "nobody@localhost" })).await.fails("not-found");
        host.call(FULL, call, json!({ "jid": "@@" })).await.invalid("jid");
    }
}

/// Rows 83-86.
#[tokio::test(flavor = "multi_thread")]
async fn attributes_are_kept_while_a_chat_is_open() {
    let host = Plan::new().await.set("allow_non_roster_messaging", true).three().start().await;
    let jid = "a@localhost";
    let get = |name: &str| json!({ "jid": jid, "name": name });
    let set = |name: &str, value: Value| json!({ "jid": jid, "name": name, "value": value });
    host.call(FULL, "chats.get-attribute", get("height")).await.fails("not-found");
    host.call(FULL, "chats.set-attribute", set("height", json!(1))).await.fails("not-found");
    host.call(FULL, "chats.open", json!({ "jid": jid })).await.ok();
    host.call(FULL, "chats.get-attribute", get("height")).await.is(Value::Null);
    for (name, value) in [
        ("height", json!(250)),
        ("url", json!("https://example.org/?a=1&b=2")),
        ("mine", json!({ "a": [1, null, "ü"] })),
    ] {
        host.call(FULL, "chats.set-attribute", set(name, value.clone())).await.is(Value::Null);
        host.call(FULL, "chats.get-attribute", get(name)).await.is(value);
    }
    // Fields of the record are read in the same way, but have their own calls to change them.
    for (name, value) in [
        ("jid", json!(jid)),
        ("fullname", json!(jid)),
        ("minimized", json!(false)),
        ("last_active", Value::Null),
        ("vcard_updated", Value::Null),
    ] {
        host.call(FULL, "chats.get-attribute", get(name)).await.is(value);
        host.call(FULL, "chats.set-attribute", set(name, json!(1))).await.invalid("name");
    }
    let view = host.call(FULL, "chatviews.get", json!({ "jid": jid })).await.ok();
    assert_eq!(view["attributes"]["height"], 250, "{view}");
    for (name, value) in [("height", json!("250")), ("height", json!(-1)), ("url", json!(5))] {
        host.call(FULL, "chats.set-attribute", set(name, value)).await.invalid("value");
    }
    for name in ["", "a\nb", &"x".repeat(129)] {
        host.call(FULL, "chats.set-attribute", set(name, json!(1))).await.invalid("name");
        host.call(FULL, "chats.get-attribute", get(name)).await.invalid("name");
    }
    let long = "x".repeat(1 << 20);
    for raw in ["", "{", "nonsense", &format!("\"{long}\"")] {
        host.call(FULL, "chats.set-attribute", json!({ "jid": jid, "name": "m", "value": { "$raw": raw } }))
            .await
            .invalid("value");
    }
    host.call(FULL, "chats.set-attribute", json!({ "jid": long, "name": "m", "value": 1 })).await.invalid("jid");
    host.call(FULL, "chats.get-attribute", json!({ "jid": "@@", "name": "m" })).await.invalid("jid");
    let much = json!("x".repeat(9_000));
    host.call(FULL, "chats.set-attribute", set("much", much.clone())).await.ok();
    host.call(FULL, "chats.set-attribute", set("more", much)).await.fails("over-limit");
    host.call(FULL, "chats.set-attribute", set("much", Value::Null)).await.ok();
    host.call(FULL, "chats.get-attribute", get("much")).await.is(Value::Null);
    host.call(FULL, "chats.close", json!({ "jid": jid })).await.ok();
    host.call(FULL, "chats.open", json!({ "jid": jid })).await.ok();
    host.call(FULL, "chats.get-attribute", get("height")).await.is(Value::Null);
}

/// Rows 79-90. Without the grant nothing is shown, read or set.
#[tokio::test(flavor = "multi_thread")]
async fn views_need_their_grants() {
    let host = Plan::offline().three().start().await;
    let (one, many) = (json!({ "jid": "a@localhost" }), json!({ "jids": ["a@localhost"] }));
    let attribute = json!({ "jid": "a@localhost", "name": "height", "value": 1 });
    refuses(
        &host,
        &[
            ("chatviews.get", one.clone(), "chats.read", None),
            ("chatviews.get-many", many, "chats.read", None),
            ("chats.focus", one.clone(), "chats.write", None),
            ("chats.show", one.clone(), "chats.write", None),
            ("chats.maximize", one.clone(), "chats.write", None),
            ("chats.minimize", one, "chats.write", None),
            ("chats.get-attribute", attribute.clone(), "chats.read", None),
            ("chats.set-attribute", attribute, "chats.write", None),
        ],
    )
    .await;
}
