//! `api`: events of a plugin's own, raw stanzas, waiting for promises (API rows 8–13).

use serde_json::{Value, json};

use crate::house::{BARE, FULL, NARROW, Plan, SOON, friend, refuses};

/// Rows 8.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_heard_by_every_plugin_that_listens() {
    let house = Plan::offline().three().start().await;
    let (full, bare) = (house.listen(FULL, "greeted").await, house.listen(BARE, "greeted").await);
    house.call(NARROW, "api.emit", json!({ "name": "greeted", "payload": { "nick": "juliet" } })).await.ok();
    let expected = json!({ "name": "greeted", "payload": { "json": { "nick": "juliet" } } });
    assert_eq!(house.heard(FULL, full).await, expected);
    assert_eq!(house.heard(BARE, bare).await, expected);
    house.call(NARROW, "api.emit", json!({ "name": "greeted" })).await.ok();
    assert_eq!(house.heard(BARE, bare).await, json!({ "name": "greeted", "payload": "none" }));
}

/// Rows 8.
#[tokio::test(flavor = "multi_thread")]
async fn emit_refuses_the_hosts_names_and_odd_ones_and_what_is_too_long() {
    let house = Plan::offline().three().start().await;
    let heard = house.listen(FULL, "connected").await;
    for name in ["connected", "message", "lagged", "timer", "", "a\nb", &"x".repeat(129)] {
        house.call(FULL, "api.emit", json!({ "name": name })).await.invalid("name");
    }
    let payload = "x".repeat(256 << 10);
    house.call(FULL, "api.emit", json!({ "name": "mine", "payload": payload })).await.invalid("payload");
    assert!(house.heard_so_far(FULL, heard).await.is_empty());
}

/// Row 8: a promise's name belongs to who added it.
/// Rows 8, 14.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_promises_owner_fires_its_name() {
    let house = Plan::offline().three().start().await;
    let heard = house.listen(BARE, "ready").await;
    house.call(BARE, "promises.add", json!({ "name": "ready" })).await.ok();
    let error = house.call(FULL, "api.emit", json!({ "name": "ready" })).await.fails("denied");
    assert_eq!(error["permission"], "owner");
    assert!(house.heard_so_far(BARE, heard).await.is_empty());
    let waiting = house.order(NARROW, "api.wait-until", json!({ "promise": "ready" })).await;
    house.call(BARE, "api.emit", json!({ "name": "ready", "payload": 7 })).await.ok();
    house.answer(NARROW, "api.wait-until", waiting).await.is(json!({ "json": 7 }));
    assert_eq!(house.heard(BARE, heard).await["payload"], json!({ "json": 7 }));
}

/// Rows 9 and 10.
#[tokio::test(flavor = "multi_thread")]
async fn a_stanza_goes_out_as_one_stanza_from_this_account() {
    let house = Plan::new().await.three().start().await;
    let mut friend = friend("friend").await;
    let to = friend.jid().to_bare();
    let own = house.shared().snapshot().jid.to_string();
    for from in [String::new(), format!("from='{own}'"), format!("from='{}'", house.account().jid)] {
        let stanza = format!("<message to='{to}' type='chat' {from}><body>a &lt; b</body></message>");
        house.call(FULL, "api.send", json!({ "stanza": stanza })).await.ok();
        friend.wait_body(&house.account().jid, "a < b", SOON).await.unwrap();
    }
    for (stanza, argument) in [
        (format!("<message to='{to}' from='admin@localhost'/>"), "from"),
        (format!("<message to='{to}' from='{}/other'/>", house.account().jid), "from"),
        (format!("<message to='{to}'/><message to='{to}'/>"), "stanza"),
        ("</stream:stream>".to_owned(), "stanza"),
        ("<message".to_owned(), "stanza"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(), "stanza"),
    ] {
        let error = house.call(FULL, "api.send", json!({ "stanza": stanza })).await.fails("invalid");
        assert_eq!(error["argument"], argument, "{stanza}: {error}");
    }
    friend.catch_up(SOON).await.unwrap();
    let came = friend.received_xml().iter().filter(|xml| xml.starts_with("<message")).count();
    assert_eq!(came, 3, "{:?}", friend.received_xml());
}

/// Row 11.
#[tokio::test(flavor = "multi_thread")]
async fn an_iq_gets_its_answer_or_the_servers_error_whole() {
    let house = Plan::new().await.three().start().await;
    let iq =
        |to: &str| json!({ "iq": format!("<iq type='get' to='{to}' id='mine'><ping xmlns='urn:xmpp:ping'/></iq>") });
    let answer = house.call(FULL, "api.send-iq", iq("localhost")).await.ok();
    let answer = answer.as_str().unwrap();
    assert!(answer.starts_with("<iq") && answer.contains("result") && !answer.contains("'mine'"), "{answer}");
    let error = house.call(FULL, "api.send-iq", iq("nobody-at-all@localhost/x")).await.fails("stanza");
    assert_eq!(error["condition"], "service-unavailable", "{error}");
    assert!(error["xml"].as_str().unwrap().contains("service-unavailable"), "{error}");
    let result = json!({ "iq": "<iq type='result' id='guess'/>" });
    house.call(FULL, "api.send-iq", result).await.fails("invalid");
}

/// Rows 9, 11.
#[tokio::test(flavor = "multi_thread")]
async fn stanzas_need_the_grant_for_their_kind_and_recipient() {
    let house = Plan::new().await.three().start().await;
    let mut friend = friend("friend").await;
    let to = friend.jid().to_bare();
    let send = |stanza: String| json!({ "stanza": stanza });
    let message = send(format!("<message to='{to}'><body>no</body></message>"));
    let ping = json!({ "iq": "<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>" });
    refuses(
        &house,
        &[
            ("api.send", message, "stanza.send", Some(&format!("message:{to}"))),
            ("api.send", send("<presence type='unavailable'/>".to_owned()), "stanza.send", Some("presence")),
            ("api.send-iq", ping, "stanza.send", Some("iq:localhost")),
        ],
    )
    .await;
    friend.catch_up(SOON).await.unwrap();
    assert!(!friend.received_xml().iter().any(|xml| xml.starts_with("<message")));
}

/// Rows 13 and 17–33: the promises of the host have come, with the payload of their events.
#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_promises_come_true_for_who_may_know_of_them() {
    let house = Plan::new().await.three().start().await;
    for promise in [
        "connected",
        "pluginsInitialized",
        "roster",
        "rosterContactsFetched",
        "rosterGroupsFetched",
        "rosterInitialized",
        "statusInitialized",
        "roomsPanelRendered",
        "roomsAutoJoined",
        "initialized",
        "connectionInitialized",
        "chatBoxesInitialized",
        "chatBoxesFetched",
        "discoInitialized",
        "bookmarksInitialized",
        "privateChatsAutoJoined",
    ] {
        house.call(FULL, "api.wait-until", json!({ "promise": promise })).await.is("none");
    }
    // No cache was used (row 17).
    let cached = json!({ "promise": "cachedRoster" });
    house.call(FULL, "api.wait-until", cached.clone()).await.fails("unsupported");
    house.call(BARE, "api.wait-until", json!({ "promise": "connected" })).await.ok();
    for (promise, permission) in
        [("roster", "contacts.read"), ("chatBoxesFetched", "chats.read"), ("cachedRoster", "contacts.read")]
    {
        house.call(BARE, "api.wait-until", json!({ "promise": promise })).await.denied(permission, None);
    }
    house.call(BARE, "api.wait-until", json!({ "promise": "roomsAutoJoined" })).await.denied("rooms.read", None);
    house.call(FULL, "api.wait-until", json!({ "promise": "nobody added this" })).await.fails("not-found");
    house.call(FULL, "api.wait-until", json!({ "promise": "" })).await.invalid("promise");
}

/// Row 129.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_connection_what_needs_one_says_offline() {
    let house = Plan::offline().three().start().await;
    let stanza = json!({ "stanza": "<message to='juliet@localhost'><body>hi</body></message>" });
    house.call(FULL, "api.send", stanza).await.fails("offline");
    let iq = json!({ "iq": "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>" });
    house.call(FULL, "api.send-iq", iq).await.fails("offline");
    house.call(FULL, "chats.send", json!({ "jid": "juliet@localhost", "body": "hi" })).await.fails("offline");
    house.call(FULL, "rooms.open", json!({ "jid": "room@conference.localhost" })).await.fails("offline");
    house.call(FULL, "contacts.get-all", Value::Null).await.fails("not-ready");
}
