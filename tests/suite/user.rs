//! `user`: the account that a plugin runs for (rows 53–61 of `tests/conformance.toml`).

use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::presence::{Presence, Show, Type};

use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, client, refuses, refuses_to_tell};

/// Rows 53.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_knows_for_whom_it_runs() {
    let host = Plan::new().await.three().start().await;
    let bare = host.account().jid.to_string();
    host.call(BARE, "user.bare-jid", Value::Null).await.is(bare.clone());
    let full = host.call(BARE, "user.jid", Value::Null).await.ok();
    assert!(full.as_str().unwrap().starts_with(&format!("{bare}/")), "{full}");
    let offline = Plan::offline().three().start().await;
    offline.call(BARE, "user.jid", Value::Null).await.is(offline.account().jid.to_string());
}

/// Rows 57-61.
/// Events `statusChanged`, `statusMessageChanged`.
/// Settings `priority`.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_read_set_and_seen() {
    let host = Plan::new().await.set("priority", 3).three().start().await;
    // Another client of the account sees the same presence as contacts.
    let mut other = client(host.account()).await;
    let own = host.shared().snapshot().jid.clone();
    let changed = (host.listen(FULL, "statusChanged").await, host.listen(FULL, "statusMessageChanged").await);
    host.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "online", "message": "" }));

    let busy = json!({ "value": "dnd", "message": "reading" });
    host.call(FULL, "user.set-status", busy.clone()).await.ok();
    host.call(FULL, "user.get-status", Value::Null).await.is(busy.clone());
    assert_eq!(host.heard(FULL, changed.0).await["payload"]["status"], busy);
    assert_eq!(host.heard(FULL, changed.1).await["payload"]["status"], busy);
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
    host.call(FULL, "user.set-status", json!({ "value": "online" })).await.ok();
    host.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "online", "message": "reading" }));
    host.call(FULL, "user.set-status-message", json!({ "message": "writing" })).await.ok();
    host.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "online", "message": "writing" }));
    let writing = |one: &Presence| one.show.is_none() && one.statuses.values().any(|text| text == "writing");
    other.wait_for("online, writing", SOON, seen(writing)).await.unwrap();
    host.call(FULL, "user.set-status", json!({ "value": "away", "message": "" })).await.ok();
    other.wait_for("away", SOON, seen(|one| one.show == Some(Show::Away) && one.statuses.is_empty())).await.unwrap();

    host.call(FULL, "user.set-status", json!({ "value": "offline" })).await.ok();
    other.wait_for("unavailable", SOON, seen(|one| one.type_ == Type::Unavailable)).await.unwrap();
    host.call(FULL, "connection.connected", Value::Null).await.is(true);
}

/// Row 58. Contacts see each value, always with the priority.
#[tokio::test(flavor = "multi_thread")]
async fn each_status_is_seen_as_what_it_is() {
    let host = Plan::new().await.three().start().await;
    let sent = host.listen(FULL, "send").await;
    for (value, shows) in [
        ("away", "<show>away</show>"),
        ("dnd", "<show>dnd</show>"),
        ("xa", "<show>xa</show>"),
        ("chat", "<show>chat</show>"),
        ("unavailable", "type=\"unavailable\""),
        ("online", ""),
        ("offline", "type=\"unavailable\""),
    ] {
        host.call(FULL, "user.set-status", json!({ "value": value, "message": "kept" })).await.ok();
        let told = loop {
            let told = host.heard(FULL, sent).await["payload"]["stanza"].as_str().unwrap().replace('\'', "\"");
            if told.starts_with("<presence") && !told.contains(" to=") {
                break told;
            }
        };
        assert!(told.contains(shows) && told.contains("<priority>0</priority>"), "{value}: {told}");
        assert!(told.contains("<status>kept</status>"), "{value}: {told}");
        assert_eq!(told.contains("<show>"), shows.contains("<show>"), "{value}: {told}");
        assert_eq!(told.contains("unavailable"), shows.contains("unavailable"), "{value}: {told}");
        host.call(FULL, "connection.connected", Value::Null).await.is(true);
    }
}

/// Rows 57-61.
/// Events `statusChanged`, `statusMessageChanged`.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_is_nobodys_without_the_grant() {
    let host = Plan::new().await.three().start().await;
    refuses(
        &host,
        &[
            ("user.get-status", Value::Null, "status.read", None),
            ("user.set-status", json!({ "value": "away" }), "status.write", None),
            ("user.set-status-message", json!({ "message": "no" }), "status.write", None),
        ],
    )
    .await;
    refuses_to_tell(&host, "status.read", &["statusChanged", "statusMessageChanged"]).await;
    host.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "online", "message": "" }));
    host.call(FULL, "user.set-status", json!({ "value": "sleepy" })).await.invalid("value");
    host.call(FULL, "user.set-status-message", json!({ "message": "x".repeat(5_000) })).await.invalid("message");
}

/// Rows 9, 57. Events statusChanged. A plugin may also send its presence as a raw stanza.
#[tokio::test(flavor = "multi_thread")]
async fn presence_that_is_sent_as_a_stanza_is_the_own_status() {
    let host = Plan::new().await.three().start().await;
    let room = crate::test_host::prosody().await.fresh_room().to_string();
    host.call(FULL, "rooms.open", json!({ "jid": room })).await.ok();
    let (changed, left) = (host.listen(FULL, "statusChanged").await, host.listen(FULL, "roomLeft").await);
    let send = |xml: &str| json!({ "stanza": xml });
    host.call(FULL, "api.send", send("<presence><show>dnd</show><status>busy</status></presence>")).await.ok();
    let busy = json!({ "value": "dnd", "message": "busy" });
    host.call(FULL, "user.get-status", Value::Null).await.is(busy.clone());
    assert_eq!(host.heard(FULL, changed).await["payload"]["status"], busy);
    host.call(FULL, "api.send", send("<presence type='unavailable'/>")).await.ok();
    host.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "unavailable", "message": "" }));
    // The server removes the account from its rooms, and the host returns when the account is visible again.
    assert_eq!(host.heard(FULL, left).await["payload"]["room"]["jid"], room);
    let opened = host.listen(FULL, "chatRoomOpened").await;
    host.call(FULL, "api.send", send("<presence/>")).await.ok();
    assert_eq!(host.heard(FULL, opened).await["payload"]["room"]["jid"], room);
    host.call(FULL, "connection.connected", Value::Null).await.is(true);
}

/// The status is kept without a connection. Rows 57, 129. Settings `default_state`.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_is_kept_while_offline() {
    let host = Plan::offline()
        .set("default_state", "xa")
        .caller(NARROW, |new| new.grant_whole("status.read").grant_whole("status.write"));
    let host = host.start().await;
    host.call(NARROW, "user.get-status", Value::Null).await.is(json!({ "value": "xa", "message": "" }));
    host.call(NARROW, "user.set-status", json!({ "value": "chat", "message": "hi" })).await.ok();
    host.call(NARROW, "user.get-status", Value::Null).await.is(json!({ "value": "chat", "message": "hi" }));
}

/// Rows 60, 61. Settings `default_status_message`.
#[tokio::test(flavor = "multi_thread")]
async fn people_read_the_owners_text_until_a_plugin_sets_another() {
    let host = Plan::new().await.set("default_status_message", "Type !help").three().start().await;
    // Another client of the account sees the same presence as contacts.
    let mut other = client(host.account()).await;
    let own = host.shared().snapshot().jid.clone();
    let shows = |text: &'static str| {
        let own = own.clone();
        move |stanza: &Stanza| match stanza {
            Stanza::Presence(one) if one.from.as_ref() == Some(&own) => {
                one.statuses.values().any(|status| status == text).then_some(())
            }
            _ => None,
        }
    };
    host.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "online", "message": "Type !help" }));
    let away = json!({ "value": "away" });
    host.call(FULL, "user.set-status", away).await.ok();
    other.wait_for("the owner's text", SOON, shows("Type !help")).await.unwrap();
    host.call(FULL, "user.set-status-message", json!({ "message": "lunch" })).await.ok();
    other.wait_for("the plugin's text", SOON, shows("lunch")).await.unwrap();
    // A new session begins with the owner's.
    host.call(FULL, "user.logout", Value::Null).await.ok();
    host.call(FULL, "user.login", Value::Null).await.ok();
    other.wait_for("the owner's text again", SOON, shows("Type !help")).await.unwrap();
    host.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "online", "message": "Type !help" }));
}

/// Rows 34, 55, 56.
/// Events `logout`, `disconnected`, `connected`, `statusInitialized`.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_out_forgets_the_session_and_a_log_in_begins_another() {
    let host = Plan::new().await.three().start().await;
    host.call(FULL, "user.set-status", json!({ "value": "dnd", "message": "reading" })).await.ok();
    host.call(BARE, "promises.add", json!({ "name": "own" })).await.ok();
    host.call(BARE, "api.emit", json!({ "name": "own", "payload": 7 })).await.ok();
    let mut heard = Vec::new();
    for name in ["disconnected", "logout", "connected", "statusInitialized", "roster", "initialized"] {
        heard.push((name, host.listen(FULL, name).await));
    }
    host.call(FULL, "user.logout", Value::Null).await.ok();
    host.call(FULL, "connection.connected", Value::Null).await.is(false);
    host.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "online", "message": "" }));
    host.call(FULL, "contacts.get-all", Value::Null).await.fails("not-ready");
    host.call(FULL, "api.wait-until", json!({ "promise": "roster" })).await.fails("stopped");
    host.call(FULL, "api.wait-until", json!({ "promise": "pluginsInitialized" })).await.is("none");
    host.call(FULL, "api.wait-until", json!({ "promise": "own" })).await.is(json!({ "json": 7 }));
    // A status that is set meanwhile is sent on connecting.
    host.call(FULL, "user.set-status", json!({ "value": "xa" })).await.ok();
    host.call(FULL, "user.login", Value::Null).await.ok();
    host.call(FULL, "connection.connected", Value::Null).await.is(true);
    for promise in ["connected", "roster", "initialized"] {
        host.call(FULL, "api.wait-until", json!({ "promise": promise })).await.is("none");
    }
    for (name, n) in heard {
        assert_eq!(host.heard(FULL, n).await["name"], name);
    }
    host.call(FULL, "user.get-status", Value::Null).await.is(json!({ "value": "xa", "message": "" }));
    host.call(FULL, "user.login", Value::Null).await.ok();
    let again = json!({ "jid": host.account().jid.to_string(), "password": host.account().password });
    host.call(FULL, "user.login", again).await.fails("other");
}

/// Rows 31, 51, 54.
/// Settings `auto_login`.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_logs_in_with_a_password_of_its_own() {
    let host = Plan::new().await.unconnected().three().start().await;
    host.call(FULL, "connection.connected", Value::Null).await.is(false);
    let jid = host.account().jid.to_string();
    let with = |jid: &str, password: &str| json!({ "jid": jid, "password": password });
    for (jid, password, argument) in [
        ("romeo@localhost", "x", "credentials.jid"),
        ("", "x", "credentials.jid"),
        ("@", "x", "credentials.jid"),
        (&jid, "", "credentials.password"),
        (&jid, "a\0b", "credentials.password"),
        (&jid, &"x".repeat(1 << 18), "credentials.password"),
    ] {
        host.call(FULL, "user.login", with(jid, password)).await.invalid(argument);
    }
    let error = host.call(FULL, "user.login", with(&jid, "wrong")).await.fails("stanza");
    assert_eq!((&error["condition"], &error["kind"]), (&json!("not-authorized"), &json!("auth")));
    host.call(FULL, "connection.connected", Value::Null).await.is(false);
    // The failed log-in does not end the account, so the next one works.
    host.call(FULL, "user.login", with(&format!("{jid}/mine"), &host.account().password)).await.ok();
    host.call(FULL, "user.jid", Value::Null).await.is(format!("{jid}/mine"));
    // The server's features are known by then, but the roster has not come yet.
    host.call(FULL, "archive.query", json!({ "max": 1 })).await.ok();
    host.call(FULL, "api.wait-until", json!({ "promise": "discoInitialized" })).await.is("none");
    host.call(FULL, "api.wait-until", json!({ "promise": "rosterContactsFetched" })).await.is("none");
    host.call(FULL, "connection.disconnect", Value::Null).await.ok();
    host.call(FULL, "contacts.get-all", Value::Null).await.is(json!([]));
}

/// Rows 54-56.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_logs_in_or_out_without_the_grant() {
    let host = Plan::new().await.three().start().await;
    let credentials = json!({ "jid": host.account().jid.to_string(), "password": "x" });
    let calls = [
        ("user.login", Value::Null, "session.control", None),
        ("user.login", credentials, "session.control", None),
        ("user.logout", Value::Null, "session.control", None),
    ];
    refuses(&host, &calls).await;
    host.call(BARE, "connection.connected", Value::Null).await.is(true);
}
