//! `chats`: private chats (rows 73–78 and 91 of `tests/conformance.toml`).
#![allow(clippy::doc_markdown, reason = "what a test shows is named as the list of the API spells it")]

use parlor_tests::client::Client;
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::minidom::Element;

use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, TestHost, client, friend, refuses, refuses_to_tell, running};

async fn open_host() -> (TestHost, Client) {
    let host = Plan::new().await.set("allow_non_roster_messaging", true).three().start().await;
    (host, friend("friend").await)
}

fn jids(answer: &Value) -> Vec<Option<&str>> {
    answer.as_array().unwrap().iter().map(|chat| chat["jid"].as_str()).collect()
}

/// Rows 73-75.
#[tokio::test(flavor = "multi_thread")]
async fn get_gives_what_is_open_and_opens_nothing() {
    let (host, friend) = open_host().await;
    let jid = friend.jid().to_bare().to_string();
    host.call(FULL, "chats.get", json!({ "jid": jid })).await.is(Value::Null);
    host.call(FULL, "chats.get-all", Value::Null).await.is(json!([]));
    host.call(FULL, "chats.open", json!({ "jid": jid })).await.ok();
    let chat = host.call(FULL, "chats.get", json!({ "jid": format!("{jid}/anywhere") })).await.ok();
    assert_eq!((&chat["jid"], &chat["minimized"]), (&json!(jid), &json!(false)));
    let many = host.call(FULL, "chats.get-many", json!({ "jids": ["nobody@localhost", jid] })).await.ok();
    assert_eq!(jids(&many), [None, Some(&*jid)]);
    assert_eq!(jids(&host.call(FULL, "chats.get-all", Value::Null).await.ok()), [Some(&*jid)]);
    host.call(FULL, "chats.get", json!({ "jid": "@@" })).await.invalid("jid");
    let many = host.call(FULL, "chats.get-many", json!({ "jids": ["@@", jid] })).await.ok();
    assert_eq!(jids(&many), [None, Some(&*jid)]);
}

/// Events `chatBoxesFetched`: a chat is no data, so that none is open when the host starts again.
#[tokio::test(flavor = "multi_thread")]
async fn no_chat_is_open_after_a_restart() {
    let (host, friend) = open_host().await;
    let jid = friend.jid().to_bare().to_string();
    host.call(FULL, "chats.open", json!({ "jid": jid })).await.ok();
    assert_eq!(jids(&host.call(FULL, "chats.get-all", Value::Null).await.ok()), [Some(&*jid)]);
    let host = host.restart().await;
    host.call(FULL, "api.wait-until", json!({ "promise": "chatBoxesFetched" })).await.is("none");
    host.call(FULL, "chats.get-all", Value::Null).await.is(json!([]));
}

/// Rows 76-78, 128: a read that follows a call sees what the call did.
#[tokio::test(flavor = "multi_thread")]
async fn several_are_opened_and_closed_each_with_its_own_result() {
    let (host, friend) = open_host().await;
    let jid = friend.jid().to_bare().to_string();
    let opened = host.call(FULL, "chats.open-many", json!({ "jids": ["@@", jid, "b@localhost"] })).await.ok();
    assert_eq!(opened[0]["err"]["case"], "invalid", "{opened}");
    assert_eq!((&opened[1]["ok"]["jid"], &opened[2]["ok"]["jid"]), (&json!(jid), &json!("b@localhost")), "{opened}");
    assert_eq!(jids(&host.call(FULL, "chats.get-all", Value::Null).await.ok()).len(), 2);
    let closed = host.call(FULL, "chats.close-many", json!({ "jids": [jid, "c@localhost"] })).await.ok();
    assert_eq!((&closed[0]["ok"], &closed[1]["err"]["case"]), (&Value::Null, &json!("not-found")), "{closed}");
    host.call(FULL, "chats.get", json!({ "jid": jid })).await.is(Value::Null);
    host.call(FULL, "chats.close", json!({ "jid": jid })).await.fails("not-found");
    host.call(FULL, "chats.close", json!({ "jid": "b@localhost" })).await.ok();
    host.call(FULL, "chats.open-many", json!({ "jids": [] })).await.invalid("jids");
}

/// Returns the contents of messages that people are shown as `BUY NOW`, each with the number of additional bodies that
/// a plugin gets, and whether a part of it is left out.
pub(crate) fn shown_as_buy_now() -> [(String, usize, bool); 6] {
    let deep = format!("{}{}", "<a>".repeat(70), "</a>".repeat(70));
    [
        ("<body>BUY NOW</body><body>good morning</body>".to_owned(), 2, false),
        ("<body xml:lang='en'>BUY NOW</body><body>good morning</body>".to_owned(), 2, false),
        ("<body>BUY NOW</body><subject>first</subject><subject>last</subject>".to_owned(), 0, false),
        (format!("<x xmlns='urn:x' a='{}'/><body>BUY NOW</body>", "y".repeat(9_000)), 0, true),
        (format!("<x xmlns='urn:x'>{deep}</x><body>BUY NOW</body>"), 0, true),
        (format!("<body>BUY NOW</body><x xmlns='urn:{}'/>", "y".repeat(300)), 0, true),
    ]
}

/// Rules first-text, oversized. A message that shows one text to people and another to bots would pass every moderator.
/// Clients show the first text, and show a text next to an extension of any size.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_told_what_people_are_shown() {
    let host = Plan::new().await.three().start().await;
    let heard = host.listen(FULL, "message").await;
    let stranger = friend("stranger").await;
    let to = host.account().jid.clone();
    let said = shown_as_buy_now();
    let xml: Vec<_> =
        said.iter().map(|(inside, ..)| format!("<message to='{to}' type='chat'>{inside}</message>")).collect();
    let _stream = stranger.write_raw(&xml.concat()).await.unwrap();
    for (inside, bodies, is_cut) in said {
        let message = host.heard(FULL, heard).await["payload"]["message"].clone();
        assert_eq!(message["body"], "BUY NOW", "{inside:.60}: {message}");
        assert_eq!(message["bodies"].as_array().unwrap().len(), bodies, "{inside:.60}: {message}");
        assert_eq!(message["cut"].is_string(), is_cut, "{inside:.60}: {message}");
        assert!(message["subject"].is_null() || message["subject"] == "first", "{message}");
    }
}

/// Row 76.
/// Settings `allow_non_roster_messaging`.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_not_opened_unless_the_owner_wants_it() {
    let host = Plan::new().await.three().start().await;
    let error = host.call(FULL, "chats.open", json!({ "jid": "stranger@localhost" })).await.fails("not-found");
    assert!(error["what"].as_str().unwrap().contains("allow_non_roster_messaging"), "{error}");
    host.call(FULL, "chats.get-all", Value::Null).await.is(json!([]));
}

/// Rows 73-78, 91.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_opened_or_sent_without_the_grant() {
    let (host, mut friend) = open_host().await;
    let jid = friend.jid().to_bare().to_string();
    let (one, many) = (json!({ "jid": jid }), json!({ "jids": [jid] }));
    refuses(
        &host,
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
    host.call(FULL, "chats.get-all", Value::Null).await.is(json!([]));
    friend.catch_up(SOON).await.unwrap();
    assert!(!friend.received_xml().iter().any(|xml| xml.starts_with("<message")));
}

/// The grant in a denial's hint is the one that makes the call work.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_denial_hints_at_makes_the_call_work_once_it_is_granted() {
    let (host, mut friend) = open_host().await;
    let jid = friend.jid().to_bare().to_string();
    let send = json!({ "jid": jid, "body": "at last" });
    let hint = host.call(BARE, "chats.send", send.clone()).await.denied("messages.send", Some(&jid));
    let wish = hint.strip_prefix(&format!("parlor plugin grant {BARE} ")).unwrap();
    let (permission, scope) = wish.split_once('=').unwrap();
    let (section, line) = (format!("[plugin.{BARE}.grants]"), format!("\"{permission}\" = [\"{scope}\"]"));
    let policy = host.policy.to_toml().unwrap();
    assert!(policy.contains(&format!("{section}\n")), "{policy}");
    let policy = policy.replace(&format!("{section}\n"), &format!("{section}\n{line}\n"));
    host.home.write("plugins.toml", &policy).unwrap();
    host.host.reload().await.unwrap();
    running(&host, BARE).await;
    host.call(BARE, "chats.send", send).await.ok();
    friend.wait_body(&host.account().jid, "at last", SOON).await.unwrap();
    host.call(BARE, "chats.send", json!({ "jid": "else@localhost", "body": "no" })).await.fails("denied");
}

/// Rows 91.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_carries_what_it_was_given() {
    let (host, mut friend) = open_host().await;
    let jid = friend.jid().to_string();
    let extensions = json!({
        "reply": ["r1", "juliet@localhost"], "fallback": [["urn:xmpp:reply:0", [0, 2]]], "replace": "r2",
        "reactions": ["r3", ["👍", "🎉"]], "receipt-requested": true, "markable": true, "chat-state": "active",
        "marker": "displayed", "marked": "r4", "thread-parent": "t0", "hints": ["store"],
    });
    let message =
        json!({ "jid": jid, "body": "hi & bye", "subject": "news", "thread": "t1", "extensions": extensions });
    let id = host.call(FULL, "chats.send", message).await.ok();
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
        "juliet@localhost",
        "urn:xmpp:fallback:0",
        "urn:xmpp:sid:0",
        "urn:xmpp:hints",
        "markable",
        "t0",
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
    host.call(FULL, "chats.send", json!({ "jid": jid })).await.invalid("message");
    let long = "x".repeat((64 << 10) + 1);
    host.call(FULL, "chats.send", json!({ "jid": jid, "body": long })).await.invalid("message.body");
    host.call(FULL, "chats.send", json!({ "jid": jid, "body": "a\u{1}" })).await.invalid("message.body");
    host.call(FULL, "chats.send", json!({ "jid": jid, "body": "" })).await.invalid("message.body");
    // Escaped, the text is twice as long as servers accept: they would end the stream.
    let ampersands = "&".repeat(64 << 10);
    host.call(FULL, "chats.send", json!({ "jid": jid, "body": ampersands })).await.invalid("message");
    for (extensions, argument) in [
        (json!({ "reply": ["r1", "@@"] }), "reply.to"),
        (json!({ "reply": "" }), "reply.id"),
        (json!({ "replace": "a\u{0}" }), "replace"),
        (json!({ "reactions": ["r", ["👍", "👍"]] }), "reactions.emojis"),
        (json!({ "reactions": ["", []] }), "reactions.id"),
        (json!({ "marker": "seen", "marked": "r" }), "marker"),
        (json!({ "marker": "displayed" }), "marker"),
        (json!({ "receipt": "r".repeat(1 << 20) }), "receipt"),
        (json!({ "hints": ["shred"] }), "hints"),
        (json!({ "fallback": [[null, [0, 99]]] }), "fallback"),
        (json!({ "thread-parent": "t" }), "thread-parent"),
    ] {
        let message = json!({ "jid": jid, "body": "hi", "extensions": extensions });
        host.call(FULL, "chats.send", message).await.invalid(&format!("message.extensions.{argument}"));
    }
    host.call(FULL, "chats.send", json!({ "jid": "@@", "body": "hi" })).await.invalid("jid");
    let odd = json!({ "jid": jid, "extensions": { "chat-state": "asleep" } });
    host.call(FULL, "chats.send", odd).await.fails("invalid");
}

/// Row 157.
#[tokio::test(flavor = "multi_thread")]
async fn a_retraction_has_a_text_for_clients_that_know_none() {
    let (host, mut friend) = open_host().await;
    let jid = friend.jid().to_string();
    let heard = host.listen(FULL, "message").await;
    let id = host.call(FULL, "chats.send", json!({ "jid": jid, "body": "oops" })).await.ok();
    let retraction = json!({ "jid": jid, "extensions": { "retract": id } });
    let sent = host.call(FULL, "chats.send", retraction).await.ok();
    let came = |stanza: &Stanza| match stanza {
        Stanza::Message(message) if message.id.as_ref().map(|id| &*id.0) == sent.as_str() => {
            Some(String::from(&Element::from(message.clone())))
        }
        _ => None,
    };
    let xml = friend.wait_for("the retraction", SOON, came).await.unwrap();
    for part in [
        "urn:xmpp:message-retract:1",
        id.as_str().unwrap(),
        "A message was retracted here.",
        "urn:xmpp:fallback:0",
        "urn:xmpp:hints",
        "<store",
    ] {
        assert!(xml.contains(part), "{part} is missing: {xml}");
    }

    let to = host.account().jid.clone();
    let mut message = xmpp_parsers::message::Message::chat(Some(to.into()));
    message.payloads.push("<retract xmlns='urn:xmpp:message-retract:1' id='7'/>".parse().unwrap());
    // Only a room moderates.
    let forged =
        "<retract xmlns='urn:xmpp:message-retract:1' id='8'><moderated xmlns='urn:xmpp:message-moderate:1'/></retract>";
    let mut other = message.clone();
    other.payloads = vec![forged.parse().unwrap(), "<markable xmlns='urn:xmpp:chat-markers:0'/>".parse().unwrap()];
    friend.send(message).await.unwrap();
    friend.send(other).await.unwrap();
    for retracted in [json!("7"), Value::Null] {
        let told = host.heard(FULL, heard).await["payload"]["message"].clone();
        let extensions = &told["extensions"];
        assert_eq!((&extensions["retract"], &extensions["moderated"]), (&retracted, &Value::Null), "{told}");
    }
}

/// Row 157.
#[tokio::test(flavor = "multi_thread")]
async fn a_spoiler_is_hidden_and_previews_are_of_links() {
    let (host, mut friend) = open_host().await;
    let jid = friend.jid().to_string();
    let heard = host.listen(FULL, "message").await;
    let previews = json!([{ "url": "https://example.org/a", "title": "Page" }]);
    let extensions = json!({ "spoiler": "the end", "unstyled": true, "previews": previews });
    let message = json!({ "jid": jid, "body": "https://example.org/a", "extensions": extensions });
    let sent = host.call(FULL, "chats.send", message).await.ok();
    let came = |stanza: &Stanza| match stanza {
        Stanza::Message(message) if message.id.as_ref().map(|id| &*id.0) == sent.as_str() => {
            Some(message.payloads.clone())
        }
        _ => None,
    };
    let payloads = friend.wait_for("the spoiler", SOON, came).await.unwrap();
    let expected = |xml: &str| assert!(payloads.contains(&xml.parse().unwrap()), "no {xml} in {payloads:?}");
    expected("<spoiler xmlns='urn:xmpp:spoiler:0'>the end</spoiler>");
    expected("<unstyled xmlns='urn:xmpp:styling:0'/>");
    let preview = "<r:Description xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#' r:about='https://example.org/a'>\
                   <title xmlns='https://ogp.me/ns#'>Page</title></r:Description>";
    expected(preview);

    let to = host.account().jid.clone();
    let mut message = xmpp_parsers::message::Message::chat(Some(to.into()));
    message = message.with_body(xmpp_parsers::message::Lang::default(), "look".to_owned());
    let forged = preview.replace("https://example.org/a", "javascript:alert(1)");
    message.payloads = [preview, forged.as_str(), "<spoiler xmlns='urn:xmpp:spoiler:0'>a&#10;b</spoiler>"]
        .map(|xml| xml.parse().unwrap())
        .to_vec();
    friend.send(message).await.unwrap();
    let told = host.heard(FULL, heard).await["payload"]["message"].clone();
    let (extensions, one) = (&told["extensions"], &told["extensions"]["previews"][0]);
    assert_eq!((&told["body"], &extensions["spoiler"]), (&json!("look"), &json!("a b")), "{told}");
    assert_eq!(extensions["previews"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!((&one["url"], &one["title"]), (&json!("https://example.org/a"), &json!("Page")), "{told}");
    let empty = json!({ "jid": jid, "extensions": { "spoiler": "x", "receipt": "r" } });
    host.call(FULL, "chats.send", empty).await.invalid("message.extensions.spoiler");
    let wrong = json!({ "jid": jid, "body": "x", "extensions": { "previews": [{ "url": "https://example.org/a" }] } });
    host.call(FULL, "chats.send", wrong).await.invalid("message.extensions.previews");
}

/// Rows 76, 78.
/// Events `chatBoxInitialized`, `chatBoxOpened`, `chatBoxClosed`.
#[tokio::test(flavor = "multi_thread")]
async fn opening_closing_and_hearing_of_it() {
    let (host, mut friend) = open_host().await;
    let jid = friend.jid().to_bare().to_string();
    let events = [
        "chatBoxesInitialized",
        "chatBoxesFetched",
        "chatBoxInitialized",
        "chatBoxOpened",
        "chatBoxClosed",
        "chatBoxFocused",
        "chatBoxMinimized",
        "chatBoxMaximized",
        "chatBoxToggled",
        "chatBoxChanged",
        "privateChatsAutoJoined",
    ];
    refuses_to_tell(&host, "chats.read", &events).await;
    let initialized = host.listen(FULL, "chatBoxInitialized").await;
    let opened = host.listen(FULL, "chatBoxOpened").await;
    let closed = host.listen(FULL, "chatBoxClosed").await;
    host.call(FULL, "chats.open", json!({ "jid": jid })).await.ok();
    for heard in [initialized, opened] {
        assert_eq!(host.heard(FULL, heard).await["payload"]["chat"]["jid"], jid);
    }
    host.call(FULL, "chats.open", json!({ "jid": jid })).await.ok();
    assert!(host.heard_so_far(FULL, opened).await.is_empty(), "it was open");
    host.call(FULL, "chats.close", json!({ "jid": jid })).await.ok();
    assert_eq!(host.heard(FULL, closed).await["payload"]["chat"]["jid"], jid);
    // A message from the contact opens it again.
    friend.chat(host.account().jid.clone(), "hello").await.unwrap();
    assert_eq!(host.heard(FULL, opened).await["payload"]["chat"]["jid"], jid);
}

/// Events `message`, `messageError`.
#[tokio::test(flavor = "multi_thread")]
async fn messages_are_heard_by_who_may_read_them() {
    let (host, mut friend) = open_host().await;
    let jid = friend.jid().to_bare().to_string();
    let events = ["message", "messageAdded", "messageSend", "messageNotification", "messageError"];
    refuses_to_tell(&host, "messages.read", &events).await;
    let (full, narrow) = (host.listen(FULL, "message").await, host.listen(NARROW, "message").await);
    let id = friend.chat(host.account().jid.clone(), "hello").await.unwrap();
    let message = host.heard(FULL, full).await["payload"]["message"].clone();
    assert_eq!((&message["id"], &message["body"], &message["kind"]), (&json!(id), &json!("hello"), &json!("chat")));
    assert_eq!((&message["chat"], &message["from"]), (&json!(jid), &json!(friend.jid().to_string())));
    assert_eq!((&message["own"], &message["delayed"], &message["xml"]), (&json!(false), &json!(false), &Value::Null));
    assert!(host.heard_so_far(NARROW, narrow).await.is_empty(), "its grant is for somebody else");

    let errors = (host.listen(FULL, "messageError").await, host.listen(NARROW, "messageError").await);
    let sent = host.call(FULL, "chats.send", json!({ "jid": "no-such-user@localhost", "body": "hi" })).await.ok();
    let error = host.heard(FULL, errors.0).await["payload"]["message"].clone();
    assert_eq!((&error["kind"], &error["chat"]), (&json!("error"), &json!("no-such-user@localhost")));
    assert_eq!(error["id"], sent, "the id of what could not be delivered");
    assert_eq!(error["error"], "service-unavailable", "{error}");
    assert!(host.heard_so_far(NARROW, errors.1).await.is_empty());
}

/// Events messageAdded, messageSend, messageNotification.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_and_leaves_is_told_by_more_names_than_one() {
    let (host, mut friend) = open_host().await;
    let jid = friend.jid().to_bare().to_string();
    let mut ears = Vec::new();
    for name in ["messageAdded", "messageSend", "messageNotification"] {
        ears.push((host.listen(FULL, name).await, host.listen(NARROW, name).await));
    }
    let [added, sent, notified] = ears[..] else { panic!() };
    let id = friend.chat(host.account().jid.clone(), "hello").await.unwrap();
    for ear in [added, notified] {
        let message = host.heard(FULL, ear.0).await["payload"]["message"].clone();
        assert_eq!((&message["id"], &message["own"]), (&json!(id), &json!(false)), "{message}");
    }
    assert!(host.heard_so_far(FULL, sent.0).await.is_empty(), "that was not ours");
    // The message opened a chat, so the answer belongs to one.
    let id = host.call(FULL, "chats.send", json!({ "jid": jid, "body": "well met" })).await.ok();
    for ear in [sent, added] {
        let message = host.heard(FULL, ear.0).await["payload"]["message"].clone();
        assert_eq!((&message["id"], &message["own"], &message["chat"]), (&id, &json!(true), &json!(jid)), "{message}");
        assert_eq!((&message["body"], &message["kind"]), (&json!("well met"), &json!("chat")), "{message}");
        assert_eq!(message["from"], host.shared().snapshot().jid.to_string(), "{message}");
    }
    // A stanza sent by `api.send` counts as sent as well. Without an open chat, it is added to none.
    let stanza = "<message to='nobody-here@localhost' type='chat' id='raw-1'><body>hi</body></message>";
    host.call(FULL, "api.send", json!({ "stanza": stanza })).await.ok();
    assert_eq!(host.heard(FULL, sent.0).await["payload"]["message"]["id"], "raw-1");
    assert!(host.heard_so_far(FULL, added.0).await.is_empty());
    assert!(host.heard_so_far(FULL, notified.0).await.is_empty(), "nobody is notified of what is his own");
    for ear in ears {
        assert!(host.heard_so_far(NARROW, ear.1).await.is_empty(), "its grant is for somebody else");
    }
    friend.catch_up(SOON).await.unwrap();
}

/// Settings message_carbons. Messages of the account's other clients are heard as carbon copies; those that these
/// clients sent are heard only on request.
#[tokio::test(flavor = "multi_thread")]
async fn copies_are_heard_and_those_of_own_messages_only_if_asked_for() {
    let (host, mut friend) = open_host().await;
    let mut phone = client(host.account()).await;
    let jid = friend.jid().to_bare();
    let (all, others) =
        (host.listen_with(FULL, json!({ "name": "message", "own": true })).await, host.listen(FULL, "message").await);
    // Prosody copies a message for one client's full JID to the others.
    friend.chat(phone.jid().clone(), "for the phone").await.unwrap();
    let received = host.heard(FULL, all).await["payload"]["message"].clone();
    assert_eq!((&received["body"], &received["carbon"]), (&json!("for the phone"), &json!("received")), "{received}");
    assert_eq!((&received["own"], &received["chat"]), (&json!(false), &json!(jid.to_string())), "{received}");
    assert_eq!(host.heard(FULL, others).await["payload"]["message"]["carbon"], "received");
    phone.chat(jid.clone(), "from the phone").await.unwrap();
    let sent = host.heard(FULL, all).await["payload"]["message"].clone();
    assert_eq!((&sent["body"], &sent["carbon"]), (&json!("from the phone"), &json!("sent")), "{sent}");
    assert_eq!((&sent["own"], &sent["chat"]), (&json!(true), &json!(jid.to_string())), "{sent}");
    assert!(host.heard_so_far(FULL, others).await.is_empty(), "nobody asked for own ones");
    friend.wait_body(&host.account().jid, "from the phone", SOON).await.unwrap();
}

/// Settings message_carbons.
#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_copies_where_nobody_wants_any() {
    let host = Plan::new().await.set("message_carbons", false).three().start().await;
    let mut friend = friend("friend").await;
    let phone = client(host.account()).await;
    let heard = host.listen_with(FULL, json!({ "name": "message", "own": true })).await;
    friend.chat(phone.jid().clone(), "for the phone").await.unwrap();
    let own = host.shared().snapshot().jid.clone();
    friend.chat(own, "for the host").await.unwrap();
    assert_eq!(host.heard(FULL, heard).await["payload"]["message"]["body"], "for the host");
}

/// Settings auto_join_private_chats. Events privateChatsAutoJoined.
#[tokio::test(flavor = "multi_thread")]
async fn chats_of_the_settings_are_open_from_the_start() {
    let jids = toml::Value::Array(vec!["nurse@localhost".into(), "friar@localhost".into()]);
    let host = Plan::new().await.set("auto_join_private_chats", jids).three().start().await;
    host.call(FULL, "api.wait-until", json!({ "promise": "privateChatsAutoJoined" })).await.is("none");
    let open = host.call(FULL, "chats.get-all", Value::Null).await.ok();
    assert_eq!(jids_of(&open), ["friar@localhost", "nurse@localhost"]);
    let view = host.call(FULL, "chatviews.get", json!({ "jid": "nurse@localhost" })).await.ok();
    assert_eq!(view["shown"], false, "nobody asked to see it");
}

fn jids_of(chats: &Value) -> Vec<&str> {
    jids(chats).into_iter().flatten().collect()
}

/// Rows 91. Another plugin can read a message field by field.
#[tokio::test(flavor = "multi_thread")]
async fn a_typed_message_arrives_as_it_was_sent() {
    let mut plan = Plan::new().await.set("allow_non_roster_messaging", true);
    plan.account().await;
    let host = plan.three().start().await;
    let to = host.accounts[1].1.jid.to_string();
    let heard = host.listen_on(1, FULL, json!({ "name": "message" })).await;
    for (extensions, body) in [
        (json!({ "reply": ["r1", "juliet@localhost"], "fallback": [["urn:xmpp:reply:0", [0, 5]]] }), Some("> hi\nyes")),
        (json!({ "replace": "r2" }), Some("better")),
        (json!({ "reactions": ["r3", ["👍", "👩‍👩‍👧‍👦"]], "hints": ["store"] }), None),
        (json!({ "reactions": ["r3", []] }), None),
        (json!({ "receipt-requested": true, "markable": true }), Some("read this")),
        (json!({ "receipt": "r4" }), None),
        (json!({ "marker": "displayed", "marked": "r5" }), None),
        (json!({ "chat-state": "composing" }), None),
        (json!({ "spoiler": "How it < ends", "unstyled": true }), Some("They *die*.")),
        (json!({ "spoiler": "" }), Some("They die.")),
        (
            json!({ "previews": [
                { "url": "https://example.org/?a&b", "title": "A < B", "description": "of\ntwo", "image": "https://h/i" },
                { "url": "http://example.org/", "title": null, "description": "d", "image": null },
            ] }),
            Some("https://example.org/?a&b and http://example.org/"),
        ),
    ] {
        let message = json!({ "jid": to, "body": body, "thread": "t", "extensions": extensions });
        let id = host.call(FULL, "chats.send", message).await.ok();
        let came = host.heard_on(1, FULL, heard).await["payload"]["message"].clone();
        assert_eq!((&came["id"], &came["origin-id"], &came["body"]), (&id, &id, &json!(body)), "{came}");
        assert_eq!(came["thread"], "t");
        for (name, value) in extensions.as_object().unwrap() {
            assert_eq!(&came["extensions"][name], value, "{name}: {came}");
        }
    }
}
