//! Copies of messages of the account's other clients (XEP-0280), of which one has OMEMO too.

use parlor_tests::counterparts::Counterpart;
use serde_json::json;

use super::{BOTH, finds, person_by, plan};
use crate::test_host::{FULL, prosody};

/// Row 172. Events `message` `undecryptable`.
#[tokio::test(flavor = "multi_thread")]
async fn copies_are_read_if_they_are_for_the_host_too_and_told_as_others_if_not() {
    let server = prosody().await;
    for namespace in BOTH {
        let host = plan().await.three().start().await;
        let bot = host.account().jid.clone();
        let mut juliet = person_by(namespace, "juliet").await;
        let nurse = person_by(namespace, "nurse").await;
        let (person, other) = (juliet.jid().clone(), nurse.jid().clone());
        for account in [&bot, &other] {
            finds(&mut juliet, account, &[namespace]).await;
        }
        // The host is listed by now, so that the other client knows it.
        let mut phone = Counterpart::omemo_by(namespace, server, host.account()).await.unwrap();
        finds(&mut phone, &person, &[namespace]).await;
        let own = |name: &str| json!({ "name": name, "own": true });
        let heard = host.listen_with(FULL, own("message")).await;
        let refused = host.listen_with(FULL, own("undecryptable")).await;
        // The other client writes, for all devices of both.
        let order = json!({ "to": person.as_str(), "body": "from the phone", "for": [person.as_str(), bot.as_str()] });
        phone.order("send", order).await.unwrap();
        let at = juliet.message("from the phone").await.unwrap()["from"].as_str().unwrap().to_owned();
        let message = host.heard(FULL, heard).await["payload"]["message"].take();
        assert_eq!((&message["body"], &message["carbon"]), (&json!("from the phone"), &json!("sent")), "{message}");
        assert_eq!((&message["own"], &message["encryption"]), (&json!(true), &json!("omemo")), "{message}");
        assert_eq!(message["chat"], person.as_str(), "{message}");
        // Somebody writes to that client, for all devices of the account.
        let to_phone = |xml: &str, to: &str| {
            let changed = xml.replacen(&format!("to=\"{to}\""), &format!("to=\"{at}\""), 1);
            assert_ne!(changed, xml, "it is not to {to}");
            changed
        };
        let xml = juliet.encrypted(namespace, &bot, "to the phone").await.unwrap();
        juliet.raw(&to_phone(&xml, bot.as_str())).await.unwrap();
        let message = host.heard(FULL, heard).await["payload"]["message"].take();
        assert_eq!((&message["body"], &message["carbon"]), (&json!("to the phone"), &json!("received")), "{message}");
        assert_eq!((&message["own"], &message["encryption"]), (&json!(false), &json!("omemo")), "{message}");
        // And for none that the host has keys of.
        let xml = juliet.encrypted(namespace, &other, "for others").await.unwrap();
        juliet.raw(&to_phone(&xml, other.as_str())).await.unwrap();
        let told = host.heard(FULL, refused).await["payload"]["undecryptable"].take();
        assert_eq!((&told["reason"], &told["encryption"]), (&json!("other-device"), &json!("omemo")), "{told}");
        assert_eq!((&told["own"], &told["chat"]), (&json!(false), &json!(person.as_str())), "{told}");
        assert!(host.heard_so_far(FULL, heard).await.is_empty(), "one was told twice");
        host.stop().await;
    }
}
