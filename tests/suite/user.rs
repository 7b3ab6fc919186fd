//! `user`: the account that a plugin runs for (API rows 53, 57–61).

use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::presence::{Presence, Show, Type};

use crate::house::{BARE, FULL, NARROW, Plan, SOON, client, refuses, refuses_to_tell};

/// Rows 53.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_knows_for_whom_it_runs() {
    let house = Plan::new().await.three().start().await;
    let bare = house.account().jid.to_string();
    house.call(BARE, "user.bare-jid", Value::Null).await.is(bare.clone());
    let full = house.call(BARE, "user.jid", Value::Null).await.ok();
    assert!(full.as_str().unwrap().starts_with(&format!("{bare}/")), "{full}");
    let offline = Plan::offline().three().start().await;
    offline.call(BARE, "user.jid", Value::Null).await.is(offline.account().jid.to_string());
}

/// Rows 57-61.
/// Events `statusChanged`, `statusMessageChanged`.
/// Settings `priority`.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_read_set_and_seen() {
    let house = Plan::new().await.set("priority", 3).three().start().await;
    // Another client of the account sees what others see.
    let mut other = client(house.account()).await;
    let own = house.shared().snapshot().jid.clone();
    let changed = (house.listen(FULL, "statusChanged").await, house.listen(FULL, "statusMessageChanged").await);
    house.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "online", "message": "" }));

    let busy = json!({ "value": "dnd", "message": "reading" });
    house.call(FULL, "user.set-status", busy.clone()).await.ok();
    house.call(FULL, "user.get-status", Value::Null).await.is(busy.clone());
    assert_eq!(house.heard(FULL, changed.0).await["payload"]["status"], busy);
    assert_eq!(house.heard(FULL, changed.1).await["payload"]["status"], busy);
    let seen = |wanted: fn(&Presence) -> bool| {
        let own = own.clone();
        move |stanza: &Stanza| match stanza {
            Stanza::Presence(one) if one.from.as_ref() == Some(&own) && wanted(one) => Some(()),
            _ => None,
        }
    };
    let reading = |one: &Presence| {
        one.show == Some(Show::Dnd) && one.priority.0 == 3 && one.statuses.values().any(|text| text == "reading")
    };
    other.wait_for("dnd", SOON, seen(reading)).await.unwrap();

    // The text is kept, set alone, and cleared by an empty one.
    house.call(FULL, "user.set-status", json!({ "value": "online" })).await.ok();
    house.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "online", "message": "reading" }));
    house.call(FULL, "user.set-status-message", json!({ "message": "writing" })).await.ok();
    house.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "online", "message": "writing" }));
    let writing = |one: &Presence| one.show.is_none() && one.statuses.values().any(|text| text == "writing");
    other.wait_for("online, writing", SOON, seen(writing)).await.unwrap();
    house.call(FULL, "user.set-status", json!({ "value": "away", "message": "" })).await.ok();
    other.wait_for("away", SOON, seen(|one| one.show == Some(Show::Away) && one.statuses.is_empty())).await.unwrap();

    house.call(FULL, "user.set-status", json!({ "value": "offline" })).await.ok();
    other.wait_for("unavailable", SOON, seen(|one| one.type_ == Type::Unavailable)).await.unwrap();
    house.call(FULL, "connection.connected", Value::Null).await.is(true);
}

/// Rows 57, 58, 61.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_nobodys_without_the_grant() {
    let house = Plan::new().await.three().start().await;
    refuses(
        &house,
        &[
            ("user.get-status", Value::Null, "status.read", None),
            ("user.set-status", json!({ "value": "away" }), "status.write", None),
            ("user.set-status-message", json!({ "message": "no" }), "status.write", None),
        ],
    )
    .await;
    refuses_to_tell(&house, "status.read", &["statusChanged", "statusMessageChanged"]).await;
    house.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "online", "message": "" }));
    house.call(FULL, "user.set-status", json!({ "value": "sleepy" })).await.invalid("value");
    house.call(FULL, "user.set-status-message", json!({ "message": "x".repeat(5_000) })).await.invalid("message");
}

/// Row 129: kept while there is no connection.
/// Rows 57.
/// Settings `default_state`.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_kept_while_offline() {
    let house = Plan::offline()
        .set("default_state", "xa")
        .caller(NARROW, |new| new.grant_whole("status.read").grant_whole("status.write"));
    let house = house.start().await;
    house.call(NARROW, "user.get-status", Value::Null).await.is(json!({ "value": "xa", "message": "" }));
    house.call(NARROW, "user.set-status", json!({ "value": "chat", "message": "hi" })).await.ok();
    house.call(NARROW, "user.get-status", Value::Null).await.is(json!({ "value": "chat", "message": "hi" }));
}
