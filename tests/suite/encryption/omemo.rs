//! OMEMO in chats.

use parlor_tests::counterparts::{AXOLOTL, Counterpart, OMEMO_2};
use parlor_tests::policy::Entry;
use parlor_tests::server::XmppServer;
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::message::{Lang, Message};

use super::{BOTH, cannot_read, finds, hears, person, person_by, plan, plan_on, required, says};
use crate::archive::archive_is_known;
use crate::test_host::{BARE, FULL, NARROW, SOON, friend, granted, prosody, running};

/// Row 172. Events `message`.
#[tokio::test(flavor = "multi_thread")]
async fn messages_go_both_ways_by_both_namespaces() {
    go_both_ways(prosody().await).await;
}

/// Lets messages of both namespaces go both ways on this server.
pub(super) async fn go_both_ways(server: &XmppServer) {
    let host = plan_on(server).three().start().await;
    let bot = host.account().jid.clone();
    let heard = host.listen(FULL, "message").await;
    for namespace in BOTH {
        let account = server.fresh_account("juliet").unwrap();
        let mut juliet = Counterpart::omemo_by(namespace, server, &account).await.unwrap();
        let person = juliet.jid().clone();
        finds(&mut juliet, &bot, &[namespace]).await;
        for round in 0..3 {
            let text = format!("round {round} <&> \u{1f347}");
            juliet.send(&bot, &text).await.unwrap();
            let message = hears(&host, heard).await;
            assert_eq!((&message["body"], &message["encryption"]), (&json!(text), &json!("omemo")), "{message}");
            assert_eq!((&message["chat"], &message["device-trust"]), (&json!(person.as_str()), &json!("blind")));
            let answer = format!("answer {round}");
            says(&host, &person, &answer).await;
            let came = juliet.message(&answer).await.unwrap();
            assert_eq!((&came["encryption"], &came["version"]), (&json!("omemo"), &json!(namespace)), "{came}");
            // Only the first can be part of an exchange of keys: from then on both sides know that it succeeded.
            assert!(round == 0 || came["prekey"] == false, "{came}");
        }
        let strange = juliet.rest().into_iter().find(|line| line["event"] == "undecryptable");
        assert_eq!(strange, None);
    }
}

/// Row 172.
#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_decides_whether_a_message_is_encrypted() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    for namespace in BOTH {
        let mut juliet = person_by(namespace, "juliet").await;
        let person = juliet.jid().clone();
        finds(&mut juliet, &bot, &[namespace]).await;
        // There was no message before, so the host begins the exchange of keys.
        host.call(FULL, "chats.send", required(&person, "first")).await.ok();
        let came = juliet.message("first").await.unwrap();
        assert_eq!((&came["encryption"], &came["prekey"]), (&json!("omemo"), &json!(true)), "{came}");
        juliet.send(&bot, "thanks").await.unwrap();
        let plain = json!({ "jid": person.as_str(), "body": "in the open", "encryption": "none" });
        host.call(FULL, "chats.send", plain).await.ok();
        assert_eq!(juliet.message("in the open").await.unwrap()["encryption"], "none");
    }
    // A person without keys.
    let mut romeo = friend("romeo").await;
    let person = romeo.jid().to_bare();
    host.call(FULL, "chats.send", required(&person, "secret")).await.fails("unsupported");
    let heard = host.listen(FULL, "message").await;
    romeo.chat(bot.clone(), "hello").await.unwrap();
    let message = hears(&host, heard).await;
    assert_eq!((&message["encryption"], &message["device-trust"]), (&Value::Null, &Value::Null), "{message}");
    says(&host, &person, "and hello").await;
    romeo.wait_body(&bot, "and hello", SOON).await.unwrap();
    assert!(!romeo.received_xml().iter().any(|xml| xml.contains("secret") || xml.contains("<encrypted")));
}

/// Row 172: a plugin that knows nothing of encryption answers as it was asked.
#[tokio::test(flavor = "multi_thread")]
async fn an_echo_comes_back_encrypted() {
    let host = plan().await.plugin("echo", "echo", granted).start().await;
    running(&host, "echo").await;
    let bot = host.account().jid.clone();
    let mut juliet = person("juliet").await;
    finds(&mut juliet, &bot, &BOTH).await;
    for namespace in [AXOLOTL, OMEMO_2, AXOLOTL] {
        let text = format!("say it by {namespace}");
        juliet.send_by(namespace, &bot, &text).await.unwrap();
        assert_eq!(juliet.message(&text).await.unwrap()["encryption"], "omemo");
    }
    // Someone on the path may have sent it, so the answer is still encrypted.
    juliet.order("plain", json!({ "to": bot.as_str(), "body": "in the open" })).await.unwrap();
    assert_eq!(juliet.message("in the open").await.unwrap()["encryption"], "omemo");
}

/// Row 172.
#[tokio::test(flavor = "multi_thread")]
async fn messages_may_be_lost_and_come_in_any_order_but_never_twice() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let (heard, refused) = (host.listen(FULL, "message").await, host.listen(FULL, "undecryptable").await);
    for namespace in BOTH {
        let mut juliet = person_by(namespace, "juliet").await;
        finds(&mut juliet, &bot, &[namespace]).await;
        juliet.send(&bot, "begin").await.unwrap();
        assert_eq!(hears(&host, heard).await["body"], "begin");
        let mut written = Vec::new();
        for number in 0..12 {
            written.push(juliet.encrypted(namespace, &bot, &format!("number {number}")).await.unwrap());
        }
        // Each third is lost, and the last comes first.
        let sent: Vec<_> = (0..12).rev().filter(|number| number % 3 != 1).collect();
        for number in &sent {
            juliet.raw(&written[*number]).await.unwrap();
            assert_eq!(hears(&host, heard).await["body"], format!("number {number}"));
        }
        for number in [sent[0], sent[3]] {
            // The server may know its id, so it gets another one.
            let again = written[number].replacen("id=\"", "id=\"again-", 1);
            juliet.raw(&again).await.unwrap();
            let told = cannot_read(&host, refused).await;
            assert_eq!((&told["reason"], &told["encryption"]), (&json!("replayed"), &json!("omemo")), "{told}");
        }
        juliet.send(&bot, "end").await.unwrap();
        assert_eq!(hears(&host, heard).await["body"], "end");
    }
    assert!(host.heard_so_far(FULL, heard).await.is_empty());
}

/// Row 172. Events `undecryptable`.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decrypted_is_told_with_its_reason() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let (heard, refused) = (host.listen(FULL, "message").await, host.listen(FULL, "undecryptable").await);
    for namespace in BOTH {
        let mut juliet = person_by(namespace, "juliet").await;
        let nurse = person_by(namespace, "nurse").await;
        finds(&mut juliet, &bot, &[namespace]).await;
        let other = nurse.jid().clone();
        finds(&mut juliet, &other, &[namespace]).await;
        // For another person's device.
        let xml = juliet.encrypted(namespace, &other, "for the nurse").await.unwrap();
        juliet.raw(&xml.replacen(other.as_str(), bot.as_str(), 1)).await.unwrap();
        let told = cannot_read(&host, refused).await;
        assert_eq!(told["reason"], "no-key-for-us", "{told}");
        assert_eq!((&told["chat"], &told["kind"]), (&json!(juliet.jid().as_str()), &json!("chat")), "{told}");
        // Damaged on its way. The genuine one can still be read after that.
        let xml = juliet.encrypted(namespace, &bot, "as it was written").await.unwrap();
        let (before, payload) = xml.split_once("<payload>").unwrap();
        let flipped = if payload.starts_with('A') { "B" } else { "A" };
        juliet.raw(&format!("{before}<payload>{flipped}{}", &payload[1..])).await.unwrap();
        assert_eq!(cannot_read(&host, refused).await["reason"], "broken");
        juliet.raw(&xml.replacen("id=\"", "id=\"genuine-", 1)).await.unwrap();
        assert_eq!(hears(&host, heard).await["body"], "as it was written");
    }
    host.call(BARE, "listen.on", json!({ "name": "undecryptable" })).await.denied("messages.read", None);
}

/// Row 172: nobody else's plugin has what was said, and no plugin has what encrypted it.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_without_the_grant_has_nothing_of_what_was_said() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let heard = host.listen(FULL, "message").await;
    for plugin in [BARE, NARROW] {
        running(&host, plugin).await;
    }
    host.listen(NARROW, "message").await;
    let mut juliet = person("juliet").await;
    finds(&mut juliet, &bot, &BOTH).await;
    let text = format!("the word is {:016x}", rand::random::<u64>());
    juliet.send(&bot, &text).await.unwrap();
    assert_eq!(hears(&host, heard).await["body"], text);
    let masked: Vec<u8> = text.bytes().map(|byte| byte ^ 0x5a).collect();
    for (plugin, found) in [(FULL, json!([0])), (BARE, json!([])), (NARROW, json!([]))] {
        host.call(plugin, "action.search", json!({ "masked": [masked] })).await.is(found);
    }
}

/// Row 172. Events `message`: a plugin that may read encrypted messages alone gets those, live and from the archive.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_read_encrypted_messages_alone_gets_those() {
    const PICKY: &str = "picky";
    let alone = |entry: Entry| entry.grant("messages.read", &["encrypted:*"]).grant("archive.read", &["encrypted:*"]);
    let host = plan().await.three().caller(PICKY, alone).start().await;
    running(&host, PICKY).await;
    archive_is_known(&host).await;
    let bot = host.account().jid.clone();
    let (all, sealed) = (host.listen(FULL, "message").await, host.listen(PICKY, "message").await);
    let mut juliet = person("juliet").await;
    finds(&mut juliet, &bot, &BOTH).await;
    juliet.order("plain", json!({ "to": bot.as_str(), "body": "in the open" })).await.unwrap();
    assert_eq!(hears(&host, all).await["body"], "in the open");
    for namespace in BOTH {
        juliet.send_by(namespace, &bot, namespace).await.unwrap();
        assert_eq!(hears(&host, all).await["body"], namespace);
        let message = host.heard(PICKY, sealed).await["payload"]["message"].take();
        assert_eq!((&message["body"], &message["encryption"]), (&json!(namespace), &json!("omemo")), "{message}");
    }
    assert!(host.heard_so_far(PICKY, sealed).await.is_empty(), "it heard the plain one");
    for (plugin, texts) in [(FULL, &["in the open", AXOLOTL, OMEMO_2][..]), (PICKY, &[AXOLOTL, OMEMO_2])] {
        let page = host.call(plugin, "archive.query", json!({ "with": juliet.jid().as_str() })).await.ok();
        let messages = page["messages"].as_array().unwrap().iter().map(|one| &one["message"]);
        let found: Vec<_> = messages.filter_map(|one| one["body"].as_str()).collect();
        assert_eq!(found, texts, "{plugin}: {page}");
    }
}

/// Row 172.
#[tokio::test(flavor = "multi_thread")]
async fn sessions_go_on_after_a_restart_of_either_side() {
    let mut host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let server = prosody().await;
    let keys = |devices: Value| -> Vec<_> {
        let devices = devices.as_array().unwrap().iter();
        devices.map(|one| (one["device"].clone(), one["fingerprint"].clone())).collect()
    };
    for namespace in BOTH {
        let mut juliet = person_by(namespace, "juliet").await;
        let person = juliet.jid().clone();
        finds(&mut juliet, &bot, &[namespace]).await;
        let own = keys(juliet.order("devices", json!({ "jid": bot.as_str() })).await.unwrap());
        for round in 0..2 {
            let heard = host.listen(FULL, "message").await;
            juliet.send(&bot, "before").await.unwrap();
            assert_eq!(hears(&host, heard).await["body"], "before");
            says(&host, &person, "answer").await;
            juliet.message("answer").await.unwrap();
            if round == 0 {
                host = host.restart().await;
            } else {
                juliet = juliet.again(server).await.unwrap();
            }
            let heard = host.listen(FULL, "message").await;
            says(&host, &person, "after").await;
            let came = juliet.message("after").await.unwrap();
            assert_eq!((&came["encryption"], &came["prekey"]), (&json!("omemo"), &json!(false)), "{came}");
            juliet.send(&bot, "heard").await.unwrap();
            assert_eq!(hears(&host, heard).await["body"], "heard");
        }
        assert_eq!(keys(juliet.order("devices", json!({ "jid": bot.as_str() })).await.unwrap()), own);
    }
    host.stop().await;
}

/// Row 172. Events `undecryptable`: what is encrypted in another way, or while OMEMO is off, is no message with the text for other clients.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_decrypted_here_is_told_and_not_answered() {
    let host = plan().await.encrypting("omemo", false).three().start().await;
    let bot = host.account().jid.clone();
    let (heard, told) = (host.listen(FULL, "message").await, host.listen(FULL, "undecryptable").await);
    let mut romeo = friend("romeo").await;
    for (payload, encryption) in [
        ("<openpgp xmlns='urn:xmpp:openpgp:0'>AAAA</openpgp>", "openpgp"),
        ("<x xmlns='jabber:x:encrypted'>AAAA</x>", "pgp"),
        ("<encryption xmlns='urn:xmpp:eme:0' namespace='urn:example:later' name='Later'/>", "other"),
        ("<encrypted xmlns='eu.siacs.conversations.axolotl'><payload>AAAA</payload></encrypted>", "omemo"),
    ] {
        let said = "I sent you a message that your client cannot read".to_owned();
        let mut message = Message::chat(jid::Jid::from(bot.clone())).with_body(Lang::default(), said);
        message.payloads.push(payload.parse().unwrap());
        romeo.send(Stanza::Message(message)).await.unwrap();
        let event = cannot_read(&host, told).await;
        assert_eq!((&event["encryption"], &event["reason"]), (&json!(encryption), &json!("unsupported")), "{event}");
    }
    romeo.chat(bot, "in the open").await.unwrap();
    assert_eq!(hears(&host, heard).await["body"], "in the open");
}
