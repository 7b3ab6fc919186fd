//! `api`: a plugin's own events, raw stanzas, waiting for promises (rows 8–13 of `tests/conformance.toml`).

use serde_json::{Value, json};

use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, friend, refuses, refuses_to_tell};

/// Rows 8.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_heard_by_every_plugin_that_listens() {
    let host = Plan::offline().three().start().await;
    let (full, bare) = (host.listen(FULL, "greeted").await, host.listen(BARE, "greeted").await);
    host.call(NARROW, "api.emit", json!({ "name": "greeted", "payload": { "nick": "juliet" } })).await.ok();
    let expected = json!({ "name": "greeted", "payload": { "json": { "nick": "juliet" } } });
    assert_eq!(host.heard(FULL, full).await, expected);
    assert_eq!(host.heard(BARE, bare).await, expected);
    host.call(NARROW, "api.emit", json!({ "name": "greeted" })).await.ok();
    assert_eq!(host.heard(BARE, bare).await, json!({ "name": "greeted", "payload": "none" }));
}

/// Rows 8.
#[tokio::test(flavor = "multi_thread")]
async fn emit_refuses_the_hosts_names_and_odd_ones_and_what_is_too_long() {
    let host = Plan::offline().three().start().await;
    let heard = host.listen(FULL, "connected").await;
    for name in ["connected", "message", "lagged", "timer", "", "a\nb", &"x".repeat(129)] {
        host.call(FULL, "api.emit", json!({ "name": name })).await.invalid("name");
    }
    let payload = "x".repeat(256 << 10);
    host.call(FULL, "api.emit", json!({ "name": "mine", "payload": payload })).await.invalid("payload");
    assert!(host.heard_so_far(FULL, heard).await.is_empty());
}

/// Row 8: a promise's name belongs to the plugin that added it.
/// Rows 8, 14.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_promises_owner_fires_its_name() {
    let host = Plan::offline().three().start().await;
    let heard = host.listen(BARE, "ready").await;
    host.call(BARE, "promises.add", json!({ "name": "ready" })).await.ok();
    let error = host.call(FULL, "api.emit", json!({ "name": "ready" })).await.fails("denied");
    assert_eq!(error["permission"], "owner");
    assert!(host.heard_so_far(BARE, heard).await.is_empty());
    let waiting = host.order(NARROW, "api.wait-until", json!({ "promise": "ready" })).await;
    host.call(BARE, "api.emit", json!({ "name": "ready", "payload": 7 })).await.ok();
    host.answer(NARROW, "api.wait-until", waiting).await.is(json!({ "json": 7 }));
    assert_eq!(host.heard(BARE, heard).await["payload"], json!({ "json": 7 }));
}

/// Rows 9-10.
#[tokio::test(flavor = "multi_thread")]
async fn a_stanza_goes_out_as_one_stanza_from_this_account() {
    let host = Plan::new().await.three().start().await;
    let mut friend = friend("friend").await;
    let to = friend.jid().to_bare();
    let own = host.shared().snapshot().jid.to_string();
    for from in [String::new(), format!("from='{own}'"), format!("from='{}'", host.account().jid)] {
        let stanza = format!("<message to='{to}' type='chat' {from}><body>a &lt; b</body></message>");
        host.call(FULL, "api.send", json!({ "stanza": stanza })).await.ok();
        friend.wait_body(&host.account().jid, "a < b", SOON).await.unwrap();
    }
    for (stanza, argument) in [
        (format!("<message to='{to}' from='admin@localhost'/>"), "stanza"),
        (format!("<message to='{to}' from='{}/other'/>", host.account().jid), "stanza"),
        (format!("<message to='{to}'/><message to='{to}'/>"), "stanza"),
        ("</stream:stream>".to_owned(), "stanza"),
        ("<message".to_owned(), "stanza"),
        ("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".to_owned(), "stanza"),
    ] {
        let error = host.call(FULL, "api.send", json!({ "stanza": stanza })).await.fails("invalid");
        assert_eq!(error["argument"], argument, "{stanza}: {error}");
    }
    friend.catch_up(SOON).await.unwrap();
    let came = friend.received_xml().iter().filter(|xml| xml.starts_with("<message")).count();
    assert_eq!(came, 3, "{:?}", friend.received_xml());
}

/// Row 10. The stanza arrives under the full JID, with any of the account's own addresses from the plugin, or none.
#[tokio::test(flavor = "multi_thread")]
async fn every_stanza_arrives_under_the_full_jid() {
    let host = Plan::new().await.three().start().await;
    let mut friend = friend("friend").await;
    let (full, to) = (host.shared().snapshot().jid.clone(), friend.jid().to_bare());
    for from in [String::new(), format!("from='{full}'"), format!("from='{}'", full.to_bare())] {
        let stanza = format!("<message to='{to}' {from}><body>hi</body></message>");
        host.call(FULL, "api.send", json!({ "stanza": stanza })).await.ok();
        let sender = |stanza: &tokio_xmpp::Stanza| match stanza {
            tokio_xmpp::Stanza::Message(message) => message.from.clone(),
            _ => None,
        };
        assert_eq!(friend.wait_for("a message", SOON, sender).await.unwrap(), full);
    }
}

/// Row 12. A stanza that a plugin builds arrives intact, with any content.
#[tokio::test(flavor = "multi_thread")]
async fn stanzas_are_built_without_writing_xml() {
    let host = Plan::new().await.three().start().await;
    let mut friend = friend("friend").await;
    let to = friend.jid().to_bare();
    let body = "</body><evil xmlns='urn:x' a=\"b\"/> &amp; 'both' \"kinds\" <![CDATA[ ]]> 中文 👩‍🚀";
    let id = "'/><id a='";
    host.call(FULL, "action.build", json!({ "jid": to.to_string(), "id": id, "body": body })).await.ok();
    friend.wait_body(&host.account().jid, body, SOON).await.unwrap();
    let came = friend.received().iter().find_map(|stanza| match stanza {
        tokio_xmpp::Stanza::Message(message) => Some(message),
        _ => None,
    });
    let came = came.unwrap();
    assert_eq!(came.id.as_ref().map(|id| id.0.as_str()), Some(id));
    assert!(came.payloads.iter().any(|one| one.is("attention", "urn:xmpp:attention:0")), "{came:?}");
    assert!(!came.payloads.iter().any(|one| one.name() == "evil"), "{came:?}");
    host.call(FULL, "log.write", json!({ "level": "fatal", "message": "built" })).await.ok();
}

/// Rows 11.
#[tokio::test(flavor = "multi_thread")]
async fn an_iq_gets_its_answer_or_the_servers_error_whole() {
    let host = Plan::new().await.three().start().await;
    let iq =
        |to: &str| json!({ "iq": format!("<iq type='get' to='{to}' id='mine'><ping xmlns='urn:xmpp:ping'/></iq>") });
    let answer = host.call(FULL, "api.send-iq", iq("localhost")).await.ok();
    let answer = answer.as_str().unwrap();
    assert!(answer.starts_with("<iq") && answer.contains("result") && !answer.contains("'mine'"), "{answer}");
    let error = host.call(FULL, "api.send-iq", iq("nobody-at-all@localhost/x")).await.fails("stanza");
    assert_eq!(error["condition"], "service-unavailable", "{error}");
    assert!(error["xml"].as_str().unwrap().contains("service-unavailable"), "{error}");
    let result = json!({ "iq": "<iq type='result' id='guess'/>" });
    host.call(FULL, "api.send-iq", result).await.fails("invalid");
}

/// Rows 9, 11.
#[tokio::test(flavor = "multi_thread")]
async fn stanzas_need_the_grant_for_their_kind_and_recipient() {
    let host = Plan::new().await.three().start().await;
    let mut friend = friend("friend").await;
    let to = friend.jid().to_bare();
    let send = |stanza: String| json!({ "stanza": stanza });
    let message = send(format!("<message to='{to}'><body>no</body></message>"));
    let ping = json!({ "iq": "<iq type='get' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>" });
    refuses(
        &host,
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

/// Rows 13 and 17–33: the host's promises are resolved with the payload of their events.
#[tokio::test(flavor = "multi_thread")]
async fn the_hosts_promises_come_true_for_who_may_know_of_them() {
    let host = Plan::new().await.three().start().await;
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
        host.call(FULL, "api.wait-until", json!({ "promise": promise })).await.is("none");
    }
    // No roster cache was used (row 17).
    let cached = json!({ "promise": "cachedRoster" });
    host.call(FULL, "api.wait-until", cached.clone()).await.fails("unsupported");
    host.call(BARE, "api.wait-until", json!({ "promise": "connected" })).await.ok();
    for (promise, permission) in
        [("roster", "contacts.read"), ("chatBoxesFetched", "chats.read"), ("cachedRoster", "contacts.read")]
    {
        host.call(BARE, "api.wait-until", json!({ "promise": promise })).await.denied(permission, None);
    }
    host.call(BARE, "api.wait-until", json!({ "promise": "roomsAutoJoined" })).await.denied("rooms.read", None);
    host.call(FULL, "api.wait-until", json!({ "promise": "nobody added this" })).await.fails("not-found");
    host.call(FULL, "api.wait-until", json!({ "promise": "" })).await.invalid("promise");
}

/// Row 129.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_connection_what_needs_one_says_offline() {
    let host = Plan::offline().three().start().await;
    let stanza = json!({ "stanza": "<message to='juliet@localhost'><body>hi</body></message>" });
    host.call(FULL, "api.send", stanza).await.fails("offline");
    let iq = json!({ "iq": "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>" });
    host.call(FULL, "api.send-iq", iq).await.fails("offline");
    host.call(FULL, "chats.send", json!({ "jid": "juliet@localhost", "body": "hi" })).await.fails("offline");
    host.call(FULL, "rooms.open", json!({ "jid": "room@conference.localhost" })).await.fails("offline");
    host.call(FULL, "contacts.get-all", Value::Null).await.fails("not-ready");
}

/// Rows 9-10. A stanza that plays tricks with namespaces, streams or entities is refused before anything is sent.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_more_or_less_than_one_stanza_is_not_sent() {
    let host = Plan::new().await.three().start().await;
    let mut friend = friend("friend").await;
    let to = friend.jid().to_bare();
    let deep = format!("<message to='{to}'>{}{}</message>", "<x xmlns='urn:x'>".repeat(70), "</x>".repeat(70));
    for stanza in [
        format!("<message to='{to}'/><iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"),
        format!("<message to='{to}'/>more"),
        format!("<message to='{to}'/></stream:stream>"),
        format!("<?xml version='1.0'?><message to='{to}'/>"),
        format!("<message to='{to}'><?evil instruction?></message>"),
        format!("<message to='{to}'><!-- hidden --></message>"),
        format!("<!DOCTYPE m [<!ENTITY a 'aaaa'>]><message to='{to}'><body>&a;</body></message>"),
        format!("<message to='{to}'><body>&undefined;</body></message>"),
        format!("<message xmlns='jabber:server' to='{to}'/>"),
        format!("<s:message xmlns:s='jabber:server' to='{to}'/>"),
        format!("<message xmlns='jabber:component:accept' to='{to}'/>"),
        "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' xmlns='jabber:client'/>".to_owned(),
        "<stream:error xmlns:stream='http://etherx.jabber.org/streams'/>".to_owned(),
        "<enable xmlns='urn:xmpp:sm:3' resume='true'/>".to_owned(),
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned(),
        format!("<iq to='{to}' type='result' id='1'/>"),
        format!("<iq to='{to}' type='error' id='1'><error type='cancel'/></iq>"),
        format!("<iq to='{to}' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"),
        format!("<iq to='{to}' type='get' id='1'/>"),
        format!("<message to='{to}'><body>\u{1}</body></message>"),
        format!("<message to='{to}'><body>{}</body></message>", "x".repeat(1 << 20)),
        format!("<message to='{to}'><body>{}</body></message>", "&gt;".repeat(66_000)),
        "<message to='@@'/>".to_owned(),
        String::new(),
        deep,
    ] {
        host.call(FULL, "api.send", json!({ "stanza": stanza })).await.invalid("stanza");
    }
    host.call(FULL, "chats.send", json!({ "jid": to.to_string(), "body": "still here" })).await.ok();
    friend.wait_body(&host.account().jid, "still here", SOON).await.unwrap();
    let came = friend.received_xml().iter().filter(|xml| xml.starts_with("<message")).count();
    assert_eq!(came, 1, "{:?}", friend.received_xml());
}

/// Rows 9, 11. A plugin that may send IQs to people may not, by that grant, change the account's data on the server.
#[tokio::test(flavor = "multi_thread")]
async fn the_own_account_is_asked_only_by_who_may_ask_everybody() {
    let some =
        |entry: parlor_tests::policy::Entry| entry.grant("stanza.send", &["iq:@localhost", "message:@localhost"]);
    let host = Plan::new().await.three().caller("some", some).start().await;
    let own = host.account().jid.to_string();
    let roster = |to: &str| {
        format!("<iq type='set' id='1' {to}><query xmlns='jabber:iq:roster'><item jid='evil@localhost'/></query></iq>")
    };
    for to in [String::new(), format!("to='{own}'")] {
        let stanza = roster(&to);
        host.call("some", "api.send", json!({ "stanza": stanza })).await.denied("stanza.send", Some("iq"));
        host.call("some", "api.send-iq", json!({ "iq": stanza })).await.denied("stanza.send", Some("iq"));
    }
    host.call(FULL, "contacts.get", json!({ "jid": "evil@localhost" })).await.is(Value::Null);
    let ping = "<iq type='get' to='nobody-at-all@localhost/x' id='1'><ping xmlns='urn:xmpp:ping'/></iq>";
    host.call("some", "api.send-iq", json!({ "iq": ping })).await.fails("stanza");
    host.call(FULL, "api.send-iq", json!({ "iq": roster("") })).await.ok();
}

/// Events send. Every outgoing stanza is shown to plugins that may see its kind, but no password and no other plugin's
/// IQs.
#[tokio::test(flavor = "multi_thread")]
async fn stanzas_that_leave_are_shown_without_secrets() {
    let host = Plan::new().await.three().caller("other", crate::test_host::granted).start().await;
    refuses_to_tell(&host, "stanza.read", &["send"]).await;
    let (full, other, narrow) =
        (host.listen(FULL, "send").await, host.listen("other", "send").await, host.listen(NARROW, "send").await);
    let message = "<message to='nobody@localhost' type='chat'><body>hi</body>\
                   <x xmlns='jabber:x:conference' jid='r@localhost' password='swordfish'/></message>";
    host.call(FULL, "api.send", json!({ "stanza": message })).await.ok();
    let ping = "<iq type='get' id='mine' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>";
    host.call(FULL, "api.send", json!({ "stanza": ping })).await.ok();
    let presence = "<presence to='nobody@localhost/x'><x xmlns='http://jabber.org/protocol/muc'>\
                    <password>swordfish</password></x></presence>";
    host.call(FULL, "api.send", json!({ "stanza": presence })).await.ok();
    host.call(FULL, "chats.send", json!({ "jid": "nobody@localhost", "body": "bye" })).await.ok();
    let shown = async |plugin: &str, ear: u64| -> Vec<String> {
        let events = host.heard_so_far(plugin, ear).await;
        let xml = events.iter().map(|event| event["payload"]["stanza"].as_str().unwrap().to_owned());
        // Answers to the server's own requests are sent meanwhile as well.
        xml.filter(|xml| xml.contains("nobody@localhost") || xml.contains("mine")).collect()
    };
    let (mine, others, narrows) = (shown(FULL, full).await, shown("other", other).await, shown(NARROW, narrow).await);
    let kinds = |xml: &[String]| xml.iter().map(|xml| xml[1..3].to_owned()).collect::<Vec<_>>();
    assert_eq!(kinds(&mine), ["me", "iq", "pr", "me"], "its own request it may see: {mine:?}");
    assert_eq!(kinds(&others), ["me", "pr", "me"], "{others:?}");
    assert_eq!(kinds(&narrows), ["pr"], "its grant is for presences: {narrows:?}");
    for xml in mine.iter().chain(&others).chain(&narrows) {
        assert!(!xml.contains("swordfish"), "{xml}");
    }
    assert!(others[2].contains("bye"), "{others:?}");
}
