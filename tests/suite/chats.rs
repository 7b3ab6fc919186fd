//! `chats`: private chats (API rows 73–78, 91).

use parlor_tests::client::Client;
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::minidom::Element;

use crate::house::{BARE, FULL, House, NARROW, Plan, SOON, friend, refuses, refuses_to_tell, running};

async fn open_house() -> (House, Client) {
    let house = Plan::new().await.set("allow_non_roster_messaging", true).three().start().await;
    (house, friend("friend").await)
}

fn jids(answer: &Value) -> Vec<Option<&str>> {
    answer.as_array().unwrap().iter().map(|chat| chat["jid"].as_str()).collect()
}

/// Rows 73-75.
#[tokio::test(flavor = "multi_thread")]
async fn get_gives_what_is_open_and_opens_nothing() {
    let (house, friend) = open_house().await;
    let jid = friend.jid().to_bare().to_string();
    house.call(FULL, "chats.get", json!({ "jid": jid })).await.is(Value::Null);
    house.call(FULL, "chats.get-all", Value::Null).await.is(json!([]));
    house.call(FULL, "chats.open", json!({ "jid": jid })).await.ok();
    let chat = house.call(FULL, "chats.get", json!({ "jid": format!("{jid}/anywhere") })).await.ok();
    assert_eq!((&chat["jid"], &chat["minimized"]), (&json!(jid), &json!(false)));
    let many = house.call(FULL, "chats.get-many", json!({ "jids": ["nobody@localhost", jid] })).await.ok();
    assert_eq!(jids(&many), [None, Some(&*jid)]);
    assert_eq!(jids(&house.call(FULL, "chats.get-all", Value::Null).await.ok()), [Some(&*jid)]);
    house.call(FULL, "chats.get", json!({ "jid": "@@" })).await.invalid("jid");
    house.call(FULL, "chats.get-many", json!({ "jids": [jid, "@@"] })).await.invalid("jids");
}

/// Row 128: a read that follows a call sees what the call did.
/// Rows 77, 78.
#[tokio::test(flavor = "multi_thread")]
async fn several_are_opened_and_closed_each_with_its_own_result() {
    let (house, friend) = open_house().await;
    let jid = friend.jid().to_bare().to_string();
    let opened = house.call(FULL, "chats.open-many", json!({ "jids": ["@@", jid, "b@localhost"] })).await.ok();
    assert_eq!(opened[0]["err"]["case"], "invalid", "{opened}");
    assert_eq!((&opened[1]["ok"]["jid"], &opened[2]["ok"]["jid"]), (&json!(jid), &json!("b@localhost")), "{opened}");
    assert_eq!(jids(&house.call(FULL, "chats.get-all", Value::Null).await.ok()).len(), 2);
    let closed = house.call(FULL, "chats.close-many", json!({ "jids": [jid, "c@localhost"] })).await.ok();
    assert_eq!((&closed[0]["ok"], &closed[1]["err"]["case"]), (&Value::Null, &json!("not-found")), "{closed}");
    house.call(FULL, "chats.get", json!({ "jid": jid })).await.is(Value::Null);
    house.call(FULL, "chats.close", json!({ "jid": jid })).await.fails("not-found");
    house.call(FULL, "chats.close", json!({ "jid": "b@localhost" })).await.ok();
    house.call(FULL, "chats.open-many", json!({ "jids": [] })).await.invalid("jids");
}

/// Row 76.
/// Settings `allow_non_roster_messaging`.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_opened_unless_the_owner_wants_it() {
    let house = Plan::new().await.three().start().await;
    let error = house.call(FULL, "chats.open", json!({ "jid": "stranger@localhost" })).await.fails("not-found");
    assert!(error["what"].as_str().unwrap().contains("allow_non_roster_messaging"), "{error}");
    house.call(FULL, "chats.get-all", Value::Null).await.is(json!([]));
}

/// Rows 73-78, 91.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_opened_or_sent_without_the_grant() {
    let (house, mut friend) = open_house().await;
    let jid = friend.jid().to_bare().to_string();
    let (one, many) = (json!({ "jid": jid }), json!({ "jids": [jid] }));
    refuses(
        &house,
        &[
            ("chats.get", one.clone(), "chats.read", None),
            ("chats.get-many", many.clone(), "chats.read", None),
            ("chats.get-all", Value::Null, "chats.read", None),
            ("chats.open", one.clone(), "chats.write", None),
            ("chats.open-many", many.clone(), "chats.write", None),
            ("chats.close", one, "chats.write", None),
            ("chats.close-many", many, "chats.write", None),
            ("chats.send", json!({ "jid": jid, "body": "no" }), "messages.send", Some(&jid)),
        ],
    )
    .await;
    house.call(FULL, "chats.get-all", Value::Null).await.is(json!([]));
    friend.catch_up(SOON).await.unwrap();
    assert!(!friend.received_xml().iter().any(|xml| xml.starts_with("<message")));
}

/// The line that a denial hints at, put into the owner's file, is what it says that it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_denials_hint_pasted_into_the_policy_makes_the_call_work() {
    let (house, mut friend) = open_house().await;
    let jid = friend.jid().to_bare().to_string();
    let send = json!({ "jid": jid, "body": "at last" });
    let hint = house.call(BARE, "chats.send", send.clone()).await.denied("messages.send", Some(&jid));
    let (place, line) = hint.split_once(": ").unwrap();
    let section = place.strip_prefix("in plugins.toml, under ").unwrap();
    assert_eq!(section, format!("[plugin.{BARE}.grants]"));
    let policy = house.policy.to_toml().unwrap();
    assert!(policy.contains(&format!("{section}\n")), "{policy}");
    let policy = policy.replace(&format!("{section}\n"), &format!("{section}\n{line}\n"));
    house.home.write("plugins.toml", &policy).unwrap();
    house.host.reload().await.unwrap();
    running(&house, BARE).await;
    house.call(BARE, "chats.send", send).await.ok();
    friend.wait_body(&house.account().jid, "at last", SOON).await.unwrap();
    house.call(BARE, "chats.send", json!({ "jid": "else@localhost", "body": "no" })).await.fails("denied");
}

/// Row 91.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_carries_what_it_was_given() {
    let (house, mut friend) = open_house().await;
    let jid = friend.jid().to_string();
    let extensions = json!({
        "reply": "r1", "replace": "r2", "reactions": ["r3", ["👍", "🎉"]], "receipt-requested": true,
        "chat-state": "active", "marker": "displayed", "marked": "r4",
    });
    let message =
        json!({ "jid": jid, "body": "hi & bye", "subject": "news", "thread": "t1", "extensions": extensions });
    let id = house.call(FULL, "chats.send", message).await.ok();
    let xml = friend
        .wait_for("the message", SOON, |stanza| match stanza {
            Stanza::Message(message) if message.id.as_ref().map(|id| &*id.0) == id.as_str() => {
                Some(String::from(&Element::from(stanza)))
            }
            _ => None,
        })
        .await
        .unwrap();
    for part in [
        "hi &amp; bye",
        "news",
        "t1",
        "urn:xmpp:reply:0",
        "urn:xmpp:message-correct:0",
        "urn:xmpp:reactions:0",
        "👍",
        "urn:xmpp:receipts",
        "http://jabber.org/protocol/chatstates",
        "urn:xmpp:chat-markers:0",
        "r1",
        "r2",
        "r3",
        "r4",
    ] {
        assert!(xml.contains(part), "{part} is missing: {xml}");
    }
    house.call(FULL, "chats.send", json!({ "jid": jid })).await.invalid("message");
    let long = "x".repeat((64 << 10) + 1);
    house.call(FULL, "chats.send", json!({ "jid": jid, "body": long })).await.invalid("message.body");
    house.call(FULL, "chats.send", json!({ "jid": jid, "body": "a\u{1}" })).await.invalid("message.body");
    house.call(FULL, "chats.send", json!({ "jid": "@@", "body": "hi" })).await.invalid("jid");
    let odd = json!({ "jid": jid, "extensions": { "chat-state": "asleep" } });
    house.call(FULL, "chats.send", odd).await.fails("invalid");
}

/// Rows 76, 78.
/// Events `chatBoxInitialized`, `chatBoxOpened`, `chatBoxClosed`.
#[tokio::test(flavor = "multi_thread")]
async fn opening_closing_and_hearing_of_it() {
    let (house, mut friend) = open_house().await;
    let jid = friend.jid().to_bare().to_string();
    refuses_to_tell(&house, "chats.read", &["chatBoxInitialized", "chatBoxOpened", "chatBoxClosed"]).await;
    let initialized = house.listen(FULL, "chatBoxInitialized").await;
    let opened = house.listen(FULL, "chatBoxOpened").await;
    let closed = house.listen(FULL, "chatBoxClosed").await;
    house.call(FULL, "chats.open", json!({ "jid": jid })).await.ok();
    for heard in [initialized, opened] {
        assert_eq!(house.heard(FULL, heard).await["payload"]["chat"]["jid"], jid);
    }
    house.call(FULL, "chats.open", json!({ "jid": jid })).await.ok();
    assert!(house.heard_so_far(FULL, opened).await.is_empty(), "it was open");
    house.call(FULL, "chats.close", json!({ "jid": jid })).await.ok();
    assert_eq!(house.heard(FULL, closed).await["payload"]["chat"]["jid"], jid);
    // What somebody says opens it again.
    friend.chat(house.account().jid.clone(), "hello").await.unwrap();
    assert_eq!(house.heard(FULL, opened).await["payload"]["chat"]["jid"], jid);
}

/// Events `message`, `messageError`.
#[tokio::test(flavor = "multi_thread")]
async fn messages_are_heard_by_who_may_read_them() {
    let (house, mut friend) = open_house().await;
    let jid = friend.jid().to_bare().to_string();
    refuses_to_tell(&house, "messages.read", &["message", "messageError"]).await;
    let (full, narrow) = (house.listen(FULL, "message").await, house.listen(NARROW, "message").await);
    let id = friend.chat(house.account().jid.clone(), "hello").await.unwrap();
    let message = house.heard(FULL, full).await["payload"]["message"].clone();
    assert_eq!((&message["id"], &message["body"], &message["kind"]), (&json!(id), &json!("hello"), &json!("chat")));
    assert_eq!((&message["chat"], &message["from"]), (&json!(jid), &json!(friend.jid().to_string())));
    assert_eq!((&message["own"], &message["delayed"], &message["xml"]), (&json!(false), &json!(false), &Value::Null));
    assert!(house.heard_so_far(NARROW, narrow).await.is_empty(), "its grant is for somebody else");

    let errors = (house.listen(FULL, "messageError").await, house.listen(NARROW, "messageError").await);
    house.call(FULL, "chats.send", json!({ "jid": "no-such-user@localhost", "body": "hi" })).await.ok();
    let error = house.heard(FULL, errors.0).await["payload"]["message"].clone();
    assert_eq!((&error["kind"], &error["chat"]), (&json!("error"), &json!("no-such-user@localhost")));
    assert!(house.heard_so_far(NARROW, errors.1).await.is_empty());
}
