//! `user`: the account that a plugin runs for (rows 53–61 of `tests/conformance.toml`).

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
    // Another client of the account sees the same presence as contacts.
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

    // The text is kept if it is not given, may be set alone, and is cleared by an empty one.
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

/// Row 58. Contacts see each value, always with the priority.
#[tokio::test(flavor = "multi_thread")]
async fn each_status_is_seen_as_what_it_is() {
    let house = Plan::new().await.three().start().await;
    let sent = house.listen(FULL, "send").await;
    for (value, shows) in [
        ("away", "<show>away</show>"),
        ("dnd", "<show>dnd</show>"),
        ("xa", "<show>xa</show>"),
        ("chat", "<show>chat</show>"),
        ("unavailable", "type=\"unavailable\""),
        ("online", ""),
        ("offline", "type=\"unavailable\""),
    ] {
        house.call(FULL, "user.set-status", json!({ "value": value, "message": "kept" })).await.ok();
        let told = loop {
            let told = house.heard(FULL, sent).await["payload"]["stanza"].as_str().unwrap().replace('\'', "\"");
            if told.starts_with("<presence") && !told.contains(" to=") {
                break told;
            }
        };
        assert!(told.contains(shows) && told.contains("<priority>0</priority>"), "{value}: {told}");
        assert!(told.contains("<status>kept</status>"), "{value}: {told}");
        assert_eq!(told.contains("<show>"), shows.contains("<show>"), "{value}: {told}");
        assert_eq!(told.contains("unavailable"), shows.contains("unavailable"), "{value}: {told}");
        house.call(FULL, "connection.connected", Value::Null).await.is(true);
    }
}

/// Rows 57-61.
/// Events `statusChanged`, `statusMessageChanged`.
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

/// Rows 9, 57. Events statusChanged. A plugin may also send its presence as a raw stanza.
#[tokio::test(flavor = "multi_thread")]
async fn presence_that_is_sent_as_a_stanza_is_the_own_status() {
    let house = Plan::new().await.three().start().await;
    let room = crate::house::prosody().await.fresh_room().to_string();
    house.call(FULL, "rooms.open", json!({ "jid": room })).await.ok();
    let (changed, left) = (house.listen(FULL, "statusChanged").await, house.listen(FULL, "roomLeft").await);
    let send = |xml: &str| json!({ "stanza": xml });
    house.call(FULL, "api.send", send("<presence><show>dnd</show><status>busy</status></presence>")).await.ok();
    let busy = json!({ "value": "dnd", "message": "busy" });
    house.call(FULL, "user.get-status", Value::Null).await.is(busy.clone());
    assert_eq!(house.heard(FULL, changed).await["payload"]["status"], busy);
    house.call(FULL, "api.send", send("<presence type='unavailable'/>")).await.ok();
    house.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "unavailable", "message": "" }));
    // The server removes the account from its rooms, and the host returns when the account is visible again.
    assert_eq!(house.heard(FULL, left).await["payload"]["room"]["jid"], room);
    let opened = house.listen(FULL, "chatRoomOpened").await;
    house.call(FULL, "api.send", send("<presence/>")).await.ok();
    assert_eq!(house.heard(FULL, opened).await["payload"]["room"]["jid"], room);
    house.call(FULL, "connection.connected", Value::Null).await.is(true);
}

/// The status is kept while there is no connection.
/// Rows 57, 129.
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

/// Rows 34, 55, 56.
/// Events `logout`, `disconnected`, `connected`, `statusInitialized`.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_forgets_the_session_and_a_log_in_begins_another() {
    let house = Plan::new().await.three().start().await;
    house.call(FULL, "user.set-status", json!({ "value": "dnd", "message": "reading" })).await.ok();
    house.call(BARE, "promises.add", json!({ "name": "own" })).await.ok();
    house.call(BARE, "api.emit", json!({ "name": "own", "payload": 7 })).await.ok();
    let mut heard = Vec::new();
    for name in ["disconnected", "logout", "connected", "statusInitialized", "roster", "initialized"] {
        heard.push((name, house.listen(FULL, name).await));
    }
    house.call(FULL, "user.logout", Value::Null).await.ok();
    house.call(FULL, "connection.connected", Value::Null).await.is(false);
    house.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "online", "message": "" }));
    house.call(FULL, "contacts.get-all", Value::Null).await.fails("not-ready");
    house.call(FULL, "api.wait-until", json!({ "promise": "roster" })).await.fails("stopped");
    house.call(FULL, "api.wait-until", json!({ "promise": "pluginsInitialized" })).await.is("none");
    house.call(FULL, "api.wait-until", json!({ "promise": "own" })).await.is(json!({ "json": 7 }));
    // A status that is set meanwhile is sent on connecting.
    house.call(FULL, "user.set-status", json!({ "value": "xa" })).await.ok();
    house.call(FULL, "user.login", Value::Null).await.ok();
    house.call(FULL, "connection.connected", Value::Null).await.is(true);
    for promise in ["connected", "roster", "initialized"] {
        house.call(FULL, "api.wait-until", json!({ "promise": promise })).await.is("none");
    }
    for (name, n) in heard {
        assert_eq!(house.heard(FULL, n).await["name"], name);
    }
    house.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "xa", "message": "" }));
    house.call(FULL, "user.login", Value::Null).await.ok();
    let again = json!({ "jid": house.account().jid.to_string(), "password": house.account().password });
    house.call(FULL, "user.login", again).await.fails("other");
}

/// Rows 31, 51, 54.
/// Settings `auto_login`.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_logs_in_with_a_password_of_its_own() {
    let house = Plan::new().await.unconnected().three().start().await;
    house.call(FULL, "connection.connected", Value::Null).await.is(false);
    let jid = house.account().jid.to_string();
    let with = |jid: &str, password: &str| json!({ "jid": jid, "password": password });
    for (jid, password, argument) in [
        ("romeo@localhost", "x", "credentials.jid"),
        ("", "x", "credentials.jid"),
        ("@", "x", "credentials.jid"),
        (&jid, "", "credentials.password"),
        (&jid, "a\0b", "credentials.password"),
        (&jid, &"x".repeat(1 << 18), "credentials.password"),
    ] {
        house.call(FULL, "user.login", with(jid, password)).await.invalid(argument);
    }
    let error = house.call(FULL, "user.login", with(&jid, "wrong")).await.fails("stanza");
    assert_eq!((&error["condition"], &error["kind"]), (&json!("not-authorized"), &json!("auth")));
    house.call(FULL, "connection.connected", Value::Null).await.is(false);
    // The failed log-in does not end the account, so the next one works.
    house.call(FULL, "user.login", with(&format!("{jid}/mine"), &house.account().password)).await.ok();
    house.call(FULL, "user.jid", Value::Null).await.is(format!("{jid}/mine"));
    // The server's features are known by then, but the roster has not come yet.
    house.call(FULL, "archive.query", json!({ "max": 1 })).await.ok();
    house.call(FULL, "api.wait-until", json!({ "promise": "discoInitialized" })).await.is("none");
    house.call(FULL, "api.wait-until", json!({ "promise": "rosterContactsFetched" })).await.is("none");
    house.call(FULL, "connection.disconnect", Value::Null).await.ok();
    house.call(FULL, "contacts.get-all", Value::Null).await.is(json!([]));
}

/// Rows 54-56.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_logs_in_or_out_without_the_grant() {
    let house = Plan::new().await.three().start().await;
    let credentials = json!({ "jid": house.account().jid.to_string(), "password": "x" });
    let calls = [
        ("user.login", Value::Null, "session.control", None),
        ("user.login", credentials, "session.control", None),
        ("user.logout", Value::Null, "session.control", None),
    ];
    refuses(&house, &calls).await;
    house.call(BARE, "connection.connected", Value::Null).await.is(true);
}
