//! Archives: encrypted messages that arrived while the host was offline, and queried messages.

use jid::BareJid;
use parlor_tests::counterparts::{AXOLOTL, Counterpart};
use parlor_tests::policy::Entry;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{BOTH, finds, person_by, plan, says};
use crate::archive::archive_is_known;
use crate::catch_up::catching_up;
use crate::test_host::{FULL, SOON, TestHost, client, granted};

/// A second plugin that catches up, on its own.
const OTHER: &str = "other";

/// Starts a host with two plugins that catch up, and note all messages that they get.
async fn host() -> TestHost {
    let notes = |id: &'static str| {
        move |new: Entry| granted(new).set("name", id).set("listens", "message+delayed,undecryptable+delayed")
    };
    let plan = plan().await.set("keepalive", false);
    let plan = plan.bytes(FULL, &catching_up(), notes(FULL)).bytes(OTHER, &catching_up(), notes(OTHER));
    let host = plan.start().await;
    for plugin in [FULL, OTHER] {
        host.logged("plugin will catch up from here on", &[("plugin", plugin)]).await;
    }
    host
}

/// Returns the messages that a plugin got since it started: the text of each, or the reason why it cannot be decrypted,
/// and whether it is history.
async fn told(host: &TestHost, plugin: &str) -> Vec<(String, bool)> {
    let events = host.call(plugin, "action.noted", Value::Null).await.ok();
    let told = events.as_array().unwrap().iter().map(|event| {
        let (message, reason) = (&event["payload"]["message"], &event["payload"]["undecryptable"]);
        let (one, what) = if reason.is_null() { (message, &message["body"]) } else { (reason, &reason["reason"]) };
        assert_eq!(one["encryption"], "omemo", "{event}");
        (what.as_str().unwrap_or("nothing").to_owned(), one["delayed"] == true)
    });
    told.collect()
}

/// Waits until a plugin got this.
async fn hears(host: &TestHost, plugin: &str, what: &str, is_past: bool) {
    let wait = async { while !told(host, plugin).await.contains(&(what.to_owned(), is_past)) {} };
    let is_told = timeout(SOON, wait).await.is_ok();
    assert!(is_told, "{plugin} is not told of {what:?}, but of {:?}", told(host, plugin).await);
}

/// Logs in a person who has exchanged messages with the host, so that both have a session.
async fn partner(host: &TestHost, bot: &BareJid, namespace: &str) -> Counterpart {
    let mut juliet = person_by(namespace, "juliet").await;
    let person = juliet.jid().clone();
    finds(&mut juliet, bot, &[namespace]).await;
    juliet.send(bot, "before").await.unwrap();
    hears(host, FULL, "before", false).await;
    says(host, &person, "answer").await;
    juliet.message("answer").await.unwrap();
    juliet
}

/// Restarts the host, and has a person send these messages while it is down. Another client of the account is online, so that the
/// server keeps none of them for later: they are in the archive alone.
async fn down_while(host: TestHost, juliet: &mut Counterpart, sent: &[String]) -> TestHost {
    let account = host.account().clone();
    let meanwhile = async || {
        let other = client(&account).await;
        for xml in sent {
            juliet.raw(xml).await.unwrap();
        }
        // The server has handled all of them.
        juliet.ping().await.unwrap();
        other.close().await.unwrap();
    };
    host.restart_after(meanwhile).await
}

/// Returns a message without what it says: it carries keys alone.
fn emptied(xml: &str) -> String {
    let (before, payload) = xml.split_once("<payload>").unwrap();
    format!("{before}{}", payload.split_once("</payload>").unwrap().1)
}

fn past(texts: &[&str], now: &str) -> Vec<(String, bool)> {
    let past = texts.iter().map(|text| ((*text).to_owned(), true));
    past.chain([(now.to_owned(), false)]).collect()
}

/// Row 172. Events `message`.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_encrypted_while_the_host_was_down_is_read_from_the_archive_once() {
    let mut host = host().await;
    let bot = host.account().jid.clone();
    for namespace in BOTH {
        let mut juliet = partner(&host, &bot, namespace).await;
        let mut sent = Vec::new();
        for text in ["one", "two", "three"] {
            sent.push(juliet.encrypted(namespace, &bot, text).await.unwrap());
        }
        sent.insert(1, emptied(&juliet.encrypted(namespace, &bot, "keys alone").await.unwrap()));
        host = down_while(host, &mut juliet, &sent).await;
        for plugin in [FULL, OTHER] {
            hears(&host, plugin, "three", true).await;
        }
        juliet.send(&bot, "after").await.unwrap();
        for plugin in [FULL, OTHER] {
            hears(&host, plugin, "after", false).await;
            assert_eq!(told(&host, plugin).await, past(&["one", "two", "three"], "after"), "{namespace}");
        }
        // Neither the next start nor the next message brings one of them again.
        host = host.restart().await;
        juliet.send(&bot, "later").await.unwrap();
        for plugin in [FULL, OTHER] {
            hears(&host, plugin, "later", false).await;
            assert_eq!(told(&host, plugin).await, past(&[], "later"), "{namespace}");
        }
        archive_is_known(&host).await;
        let asked = json!({ "with": juliet.jid().as_str() });
        let page = host.call(FULL, "archive.query", asked).await.ok();
        let (own, others): (Vec<_>, Vec<_>) =
            page["messages"].as_array().unwrap().iter().partition(|one| one["message"]["own"] == true);
        // The host keeps the keys of messages that it decrypted. A device cannot decrypt its own messages to others.
        let texts: Vec<_> = others.iter().filter_map(|one| one["message"]["body"].as_str()).collect();
        assert_eq!(texts, ["before", "one", "two", "three", "after", "later"], "{page}");
        assert!(others.iter().all(|one| one["undecryptable"].is_null()), "{page}");
        assert!(!own.is_empty() && own.iter().all(|one| one["message"]["body"].is_null()), "{page}");
        assert!(own.iter().any(|one| one["undecryptable"] == "no-key-for-us"), "{page}");
    }
    host.stop().await;
}

/// Row 172. Events `undecryptable`.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_read_of_the_archive_is_told_with_its_reason() {
    let host = host().await;
    let bot = host.account().jid.clone();
    let namespace = AXOLOTL;
    let mut juliet = partner(&host, &bot, namespace).await;
    let nurse = person_by(namespace, "nurse").await;
    let other = nurse.jid().clone();
    finds(&mut juliet, &other, &[namespace]).await;
    let for_other = juliet.encrypted(namespace, &other, "for the nurse").await.unwrap();
    let for_other = for_other.replacen(other.as_str(), bot.as_str(), 1);
    let once = juliet.encrypted(namespace, &bot, "once").await.unwrap();
    // The server may know its id, so it gets another one.
    let again = once.replacen("id=\"", "id=\"again-", 1);
    let broken = juliet.encrypted(namespace, &bot, "not as it was written").await.unwrap();
    let (before, payload) = broken.split_once("<payload>").unwrap();
    let flipped = if payload.starts_with('A') { "B" } else { "A" };
    let broken = format!("{before}<payload>{flipped}{}", &payload[1..]);
    let last = juliet.encrypted(namespace, &bot, "last").await.unwrap();
    let host = down_while(host, &mut juliet, &[for_other, once, again, broken, last]).await;
    for plugin in [FULL, OTHER] {
        hears(&host, plugin, "last", true).await;
    }
    juliet.send(&bot, "after").await.unwrap();
    hears(&host, FULL, "after", false).await;
    let expected = past(&["other-device", "once", "replayed", "broken", "last"], "after");
    assert_eq!(told(&host, FULL).await, expected);
    archive_is_known(&host).await;
    let page = host.call(FULL, "archive.query", json!({ "with": juliet.jid().as_str() })).await.ok();
    let others = page["messages"].as_array().unwrap().iter().filter(|one| one["message"]["own"] == false);
    let told: Vec<_> = others.map(|one| (&one["message"]["body"], &one["undecryptable"])).collect();
    let (text, why) = (|text: &str| (json!(text), Value::Null), |why: &str| (Value::Null, json!(why)));
    let expected = [
        text("before"),
        why("other-device"),
        text("once"),
        why("replayed"),
        why("broken"),
        text("last"),
        text("after"),
    ];
    assert_eq!(told, expected.each_ref().map(|(body, why)| (body, why)), "{page}");
    host.stop().await;
}
