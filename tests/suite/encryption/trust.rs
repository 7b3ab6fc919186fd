//! Trust: the devices that get messages, and the devices whose messages are decrypted.

use parlor_runtime::account::Asker;
use parlor_session::SetTrust;
use parlor_session::permissions::Granted;
use parlor_stanza::types::DeviceTrust;
use parlor_tests::counterparts::{Counterpart, OMEMO_2};
use serde_json::json;

use super::{BOTH, cannot_read, finds, hears, person, plan, required, says};
use crate::test_host::{FULL, TestHost, prosody};

/// Decides about one key of a person, or about all.
async fn decide(host: &TestHost, person: &Counterpart, fingerprint: Option<&str>, trust: DeviceTrust) {
    let decision = SetTrust { jid: person.jid().clone(), fingerprint: fingerprint.map(str::to_owned), trust };
    host.shared().ask(Asker::Host, &Granted::HOST, decision).await.unwrap();
}

/// Row 172. Events `undecryptable`.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_the_owner_refuses_is_neither_read_nor_written_to() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let (heard, refused) = (host.listen(FULL, "message").await, host.listen(FULL, "undecryptable").await);
    let mut juliet = person("juliet").await;
    finds(&mut juliet, &bot, &BOTH).await;
    juliet.send(&bot, "hello").await.unwrap();
    assert_eq!(hears(&host, heard).await["device-trust"], "blind");
    decide(&host, &juliet, None, DeviceTrust::Distrusted).await;
    juliet.send(&bot, "and again").await.unwrap();
    let told = cannot_read(&host, refused).await;
    assert_eq!((&told["reason"], &told["encryption"]), (&json!("distrusted"), &json!("omemo")), "{told}");
    host.call(FULL, "chats.send", required(juliet.jid(), "no")).await.fails("unsupported");
    decide(&host, &juliet, None, DeviceTrust::Trusted).await;
    juliet.send(&bot, "and now").await.unwrap();
    let message = hears(&host, heard).await;
    assert_eq!((&message["body"], &message["device-trust"]), (&json!("and now"), &json!("trusted")), "{message}");
    host.call(FULL, "chats.send", required(juliet.jid(), "yes")).await.ok();
    juliet.message("yes").await.unwrap();
}

/// Row 172.
#[tokio::test(flavor = "multi_thread")]
async fn a_strict_account_writes_only_to_devices_that_the_owner_accepted() {
    let host = plan().await.encrypting("trust", "strict").three().start().await;
    let bot = host.account().jid.clone();
    let mut juliet = person("juliet").await;
    finds(&mut juliet, &bot, &BOTH).await;
    host.call(FULL, "chats.send", required(juliet.jid(), "too early")).await.fails("unsupported");
    let own = juliet.order("own", json!({})).await.unwrap();
    decide(&host, &juliet, own["fingerprint"].as_str(), DeviceTrust::Trusted).await;
    host.call(FULL, "chats.send", required(juliet.jid(), "now")).await.ok();
    let came = juliet.message("now").await.unwrap();
    assert_eq!((&came["encryption"], &came["version"]), (&json!("omemo"), &json!(OMEMO_2)), "{came}");
}

/// Row 172: whose key was verified gets no blind trust for the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_further_device_of_a_verified_person_gets_nothing() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let heard = host.listen(FULL, "message").await;
    let server = prosody().await;
    let account = server.fresh_account("juliet").unwrap();
    let mut first = Counterpart::omemo(server, &account).await.unwrap();
    finds(&mut first, &bot, &BOTH).await;
    first.send(&bot, "hello").await.unwrap();
    hears(&host, heard).await;
    let own = first.order("own", json!({})).await.unwrap();
    decide(&host, &first, own["fingerprint"].as_str(), DeviceTrust::Trusted).await;
    let mut second = Counterpart::omemo(server, &account).await.unwrap();
    finds(&mut second, &bot, &BOTH).await;
    first.send(&bot, "only for me").await.unwrap();
    hears(&host, heard).await;
    says(&host, &account.jid, "only for you").await;
    first.message("only for you").await.unwrap();
    // The other device gets a copy or the message itself, without a key for it.
    let other = second.event("undecryptable").await.unwrap();
    assert_eq!(other["reason"], "MessageNotForUs", "{other}");
}

/// Row 172: a plugin that may send any stanza cannot add a device of its own to the account.
#[tokio::test(flavor = "multi_thread")]
async fn no_plugin_adds_a_device_to_the_account() {
    const DEVICE: &str = "2147480647";
    const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let mut juliet = person("juliet").await;
    finds(&mut juliet, &bot, &BOTH).await;
    for (node, element, namespace) in [
        ("eu.siacs.conversations.axolotl.devicelist", "list", "eu.siacs.conversations.axolotl"),
        ("urn:xmpp:omemo:2:devices", "devices", "urn:xmpp:omemo:2"),
    ] {
        let list = format!("<{element} xmlns='{namespace}'><device id='{DEVICE}'/></{element}>");
        let item = format!("<item id='current'>{list}</item>");
        for to in [String::new(), format!(" to='{bot}'")] {
            for (kind, content) in [
                ("set", format!("<publish node='{node}'>{item}</publish>")),
                ("set", format!("<retract node='{node}'><item id='current'/></retract>")),
                ("get", format!("<items node='{node}'/>")),
            ] {
                let iq = format!("<iq type='{kind}' id='k1'{to}><pubsub xmlns='{PUBSUB}'>{content}</pubsub></iq>");
                for (call, name) in [("api.send", "stanza"), ("api.send-iq", "iq")] {
                    let error = host.call(FULL, call, json!({ name: iq })).await.fails("denied");
                    assert_eq!(error["permission"], "stanza.send", "{call} {iq}: {error}");
                    assert!(error["hint"].as_str().unwrap().contains("no grant helps"), "{call} {iq}: {error}");
                }
            }
        }
        let event = format!("<event xmlns='{PUBSUB}#event'><items node='{node}'>{item}</items></event>");
        let message = format!("<message type='headline' to='{}'>{event}</message>", juliet.jid());
        host.call(FULL, "api.send", json!({ "stanza": message })).await.fails("denied");
    }
    let devices = juliet.order("devices", json!({ "jid": bot.as_str() })).await.unwrap().to_string();
    assert!(!devices.contains(DEVICE), "{devices}");
    host.call(FULL, "chats.send", required(juliet.jid(), "nobody else reads this")).await.ok();
    juliet.message("nobody else reads this").await.unwrap();
}
