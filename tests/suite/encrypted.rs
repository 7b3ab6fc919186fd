//! Encryption from end to end, as far as plugins see it without another client that encrypts (rows 87, 88 and 172 of
//! `tests/conformance.toml`).

use parlor_session::permissions::question::{Outcome, Question};
use parlor_tests::policy::Entry;
use serde_json::{Value, json};
use xmpp_parsers::message::Message;
use xmpp_parsers::minidom::Element;

use crate::archive::archive_is_known;
use crate::test_host::{FULL, NARROW, Plan, SOON, friend, id, prosody, refuses, refuses_to_tell, running};

/// A plugin that may read encrypted messages alone.
const PICKY: &str = "picky";

/// Grants a plugin to read encrypted messages alone, as an owner may write it.
fn picky(entry: Entry) -> Entry {
    entry.grant("messages.read", &["encrypted:*"]).grant("archive.read", &["encrypted:*"])
}

/// Rows 87-88. Setting `allow_otr`.
#[tokio::test(flavor = "multi_thread")]
async fn off_the_record_is_for_open_chats_of_accounts_that_allow_it() {
    let jid = "nobody-here@localhost";
    let one = json!({ "jid": jid });
    let calls = ["chats.initiate-otr", "chats.end-otr"];
    let host = Plan::new().await.set("allow_non_roster_messaging", true).three().start().await;
    refuses(&host, &calls.map(|call| (call, one.clone(), "messages.send", Some(jid)))).await;
    refuses_to_tell(&host, "chats.read", &["otrStatusChanged"]).await;
    for call in calls {
        host.call(FULL, call, one.clone()).await.fails("not-found");
        host.call(FULL, call, json!({ "jid": "@@" })).await.invalid("jid");
    }
    let chat = host.call(FULL, "chats.open", one.clone()).await.ok();
    assert_eq!(chat["otr-status"], Value::Null, "it is not used: {chat}");
    for name in ["otr-status", "otr_status", "otrStatus"] {
        host.call(FULL, "chats.get-attribute", json!({ "jid": jid, "name": name })).await.is(Value::Null);
        host.call(FULL, "chats.set-attribute", json!({ "jid": jid, "name": name, "value": "verified" }))
            .await
            .invalid("name");
    }
    host.call(FULL, "chats.end-otr", one.clone()).await.is(Value::Null);
    let room = prosody().await.fresh_room().to_string();
    host.call(FULL, "rooms.open", json!({ "jid": room, "nick": "Bot" })).await.ok();
    for call in calls {
        host.call(FULL, call, json!({ "jid": room })).await.invalid("jid");
    }

    let plan = Plan::new().await.set("allow_non_roster_messaging", true).set("allow_otr", false);
    let host = plan.three().start().await;
    host.call(FULL, "chats.open", one.clone()).await.ok();
    for call in calls {
        let error = host.call(FULL, call, one.clone()).await.fails("unsupported");
        assert!(error["what"].as_str().unwrap().contains("allow_otr"), "{error}");
    }
}

/// Row 172.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_to_be_encrypted_is_not_sent_where_nobody_could_read_it() {
    let host = Plan::new().await.three().start().await;
    let mut juliet = friend("juliet").await;
    let (jid, bot) = (juliet.jid().to_bare().to_string(), host.account().jid.clone());
    let wish = |body: &str, wish: &str| json!({ "jid": jid, "body": body, "encryption": wish });
    let error = host.call(FULL, "chats.send", wish("secret", "required")).await.fails("unsupported");
    assert!(error["what"].as_str().unwrap().contains(&jid), "{error}");
    host.call(FULL, "chats.send", wish("secret", "sometimes")).await.invalid("message.encryption");
    for plain in ["as-the-chat", "none"] {
        host.call(FULL, "chats.send", wish(plain, plain)).await.ok();
        juliet.wait_body(&bot, plain, SOON).await.unwrap();
    }
    // In a room that anybody may enter.
    let room = prosody().await.fresh_room();
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Bot" })).await.ok();
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    let wish = |body: &str, wish: &str| json!({ "jid": room.to_string(), "body": body, "encryption": wish });
    host.call(FULL, "rooms.send", wish("secret", "required")).await.fails("unsupported");
    host.call(FULL, "rooms.send", wish("hello all", "none")).await.ok();
    juliet.wait_body(&room, "hello all", SOON).await.unwrap();
    assert!(juliet.received_xml().iter().all(|xml| !xml.contains("secret")), "it was sent");
}

/// Row 172.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_encrypted_messages_alone_hears_no_others() {
    let host = Plan::new().await.three().caller(PICKY, picky).start().await;
    running(&host, PICKY).await;
    archive_is_known(&host).await;
    let mut juliet = friend("juliet").await;
    let jid = juliet.jid().to_bare().to_string();
    let events = ["message", "messageAdded", "messageNotification"];
    let mut ears = Vec::new();
    for event in events {
        ears.push((host.listen(PICKY, event).await, host.listen(FULL, event).await));
    }
    let sent = juliet.chat(host.account().jid.clone(), "hello").await.unwrap();
    let message = host.heard(FULL, ears[0].1).await["payload"]["message"].clone();
    assert_eq!((&message["id"], &message["encryption"]), (&json!(sent), &Value::Null), "{message}");
    assert_eq!(message["device-trust"], Value::Null, "{message}");
    for (picky, _) in ears {
        assert!(host.heard_so_far(PICKY, picky).await.is_empty(), "it was not encrypted");
    }

    let asked = json!({ "with": jid });
    let whole = host.call(FULL, "archive.query", asked.clone()).await.ok();
    let [archived] = whole["messages"].as_array().unwrap().as_slice() else { panic!("one message: {whole}") };
    assert_eq!(archived["undecryptable"], Value::Null, "{archived}");
    let part = host.call(PICKY, "archive.query", asked).await.ok();
    assert_eq!((&part["messages"], &part["rsm"]["complete"]), (&json!([]), &json!(true)), "{part}");
    let all = host.call(PICKY, "archive.query-all", json!({})).await.ok();
    assert_eq!((&all["count"], &all["end"]), (&json!(0), &Value::Null), "{all}");

    for (what, outcome) in [
        ("message", Outcome::Partly),
        ("messages.read", Outcome::Partly),
        ("messages.read=encrypted:@localhost", Outcome::Yes),
        ("messages.read=*", Outcome::Partly),
        ("archive.query", Outcome::Partly),
    ] {
        let about = (!what.contains('=')).then_some(jid.as_str());
        let answers = host.host.explain(&id(PICKY), &Question::parse(what, about).unwrap()).await;
        assert_eq!(answers[0].answer.outcome, outcome, "{what}: {answers:?}");
        let remedy = answers[0].answer.remedy(PICKY);
        assert_eq!(remedy.is_some(), outcome == Outcome::Partly, "{what}: {answers:?}");
    }
}

/// Row 172. Events `undecryptable`.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_encrypted_for_others_is_told_without_what_it_says() {
    let host = Plan::new().await.three().caller(PICKY, picky).start().await;
    refuses_to_tell(&host, "messages.read", &["undecryptable"]).await;
    running(&host, PICKY).await;
    let mut juliet = friend("juliet").await;
    let (jid, bot) = (juliet.jid().clone(), host.account().jid.clone());
    let (full, picky) = (host.listen(FULL, "undecryptable").await, host.listen(PICKY, "undecryptable").await);
    let (narrow, message) = (host.listen(NARROW, "undecryptable").await, host.listen(FULL, "message").await);
    let xml = format!(
        "<message xmlns='jabber:client' to='{bot}' type='chat' id='sealed'><encrypted xmlns='eu.siacs.conversations.axolotl'>\
         <header sid='7'><key rid='1'>AAAA</key><iv>AAAAAAAAAAAAAAAA</iv></header><payload>AAAA</payload></encrypted>\
         <body>I sent you an encrypted message</body></message>"
    );
    juliet.send(Message::try_from(xml.parse::<Element>().unwrap()).unwrap()).await.unwrap();
    for (plugin, ear) in [(FULL, full), (PICKY, picky)] {
        let told = host.heard(plugin, ear).await["payload"]["undecryptable"].clone();
        let bare = jid.to_bare().to_string();
        assert_eq!((&told["chat"], &told["from"]), (&json!(bare), &json!(jid.to_string())), "{told}");
        assert_eq!((&told["kind"], &told["id"]), (&json!("chat"), &json!("sealed")), "{told}");
        assert_eq!((&told["encryption"], &told["reason"]), (&json!("omemo"), &json!("no-key-for-us")), "{told}");
        assert_eq!((&told["own"], &told["delayed"], &told["nick"]), (&json!(false), &json!(false), &Value::Null));
    }
    assert!(host.heard_so_far(NARROW, narrow).await.is_empty(), "its grant is for somebody else");
    assert!(host.heard_so_far(FULL, message).await.is_empty(), "nobody is shown the text for other clients");
}
