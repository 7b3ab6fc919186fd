//! OTR with a client on libotr, the library of the protocol's authors, in both versions.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jid::BareJid;
use parlor_runtime::account::{Asker, encryption};
use parlor_session::permissions::Granted;
use parlor_session::{AnswerComparison, BeginComparison, ComparisonEnd, KeyNews, KeyNewsKind, Secret};
use parlor_tests::counterparts::Counterpart;
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use super::otr::{is, tells};
use super::{cannot_read, hears, plan, says};
use crate::test_host::{FULL, SOON, TestHost, client, prosody};

/// The versions of the protocol, each with the beginning of its data messages.
const VERSIONS: [(&str, &str); 2] = [("2", "?OTR:AAID"), ("3", "?OTR:AAMD")];

/// Logs a person in who knows this version.
async fn person(version: &str, most: usize) -> Counterpart {
    let server = prosody().await;
    Counterpart::libotr(server, &server.fresh_account("juliet").unwrap(), version, most).await.unwrap()
}

/// Lets both sides say something.
async fn both_talk(host: &TestHost, heard: u64, juliet: &mut Counterpart, text: &str) {
    let (bot, person) = (host.account().jid.clone(), juliet.jid().clone());
    let sent = juliet.send(&bot, text).await.unwrap();
    assert_eq!(sent["encrypted"], true, "{sent}");
    let message = hears(host, heard).await;
    assert_eq!((&message["body"], &message["encryption"]), (&json!(text), &json!("otr")), "{message}");
    let answer = format!("{text}, too");
    says(host, &person, &answer).await;
    assert_eq!(juliet.message(&answer).await.unwrap()["encryption"], "otr");
}

/// Returns the texts that came for a person so far, each with the address that it was for.
fn came(juliet: &mut Counterpart) -> Vec<(String, String)> {
    let lines = juliet.rest().into_iter().filter(|line| line["event"] == "came");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    lines.map(|line| (text(&line["body"]), text(&line["to"]))).collect()
}

/// Rows 87 and 88. Events `message` `otrStatusChanged`.
#[tokio::test(flavor = "multi_thread")]
async fn both_sides_begin_talk_and_end_in_both_versions() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let (heard, states) = (host.listen(FULL, "message").await, host.listen(FULL, "otrStatusChanged").await);
    for ((version, mark), most) in VERSIONS.into_iter().flat_map(|version| [(version, 0), (version, 300)]) {
        let mut juliet = person(version, most).await;
        let chat = json!({ "jid": juliet.jid().as_str() });
        host.call(FULL, "chats.open", chat.clone()).await.ok();
        // The person begins and ends.
        juliet.order("start", json!({ "to": bot.as_str() })).await.unwrap();
        is(&mut juliet, "encrypted").await;
        tells(&host, states, Some("unverified")).await;
        for round in 0..3 {
            both_talk(&host, heard, &mut juliet, &format!("round {round} <&> \u{1f347}")).await;
        }
        let texts = came(&mut juliet);
        let data: Vec<_> = texts.iter().filter(|(text, _)| text.starts_with(mark)).collect();
        assert!(data.len() >= 3 && data.iter().all(|(_, to)| to.contains('/')), "{texts:#?}");
        juliet.order("end", json!({ "to": bot.as_str() })).await.unwrap();
        tells(&host, states, Some("finished")).await;
        host.call(FULL, "chats.end-otr", chat.clone()).await.ok();
        tells(&host, states, None).await;
        // The plugin begins and ends.
        host.call(FULL, "chats.initiate-otr", chat.clone()).await.ok();
        is(&mut juliet, "encrypted").await;
        tells(&host, states, Some("unverified")).await;
        both_talk(&host, heard, &mut juliet, "once more").await;
        host.call(FULL, "chats.end-otr", chat.clone()).await.ok();
        is(&mut juliet, "finished").await;
        tells(&host, states, None).await;
    }
}

/// Row 87: a text that is too long for one stanza goes out in parts, and parts of theirs are put together.
#[tokio::test(flavor = "multi_thread")]
async fn long_texts_come_in_parts_both_ways() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let heard = host.listen(FULL, "message").await;
    for (version, mark) in [("2", "?OTR,"), ("3", "?OTR|")] {
        let mut juliet = person(version, 2_000).await;
        juliet.order("start", json!({ "to": bot.as_str() })).await.unwrap();
        is(&mut juliet, "encrypted").await;
        both_talk(&host, heard, &mut juliet, &"all the world's a stage ".repeat(2_100)).await;
        let parts = came(&mut juliet).into_iter().filter(|(text, _)| text.starts_with(mark)).count();
        assert_eq!(parts, 2, "version {version}");
    }
}

/// Row 87: secrets are compared by either side, and only the same one changes what is trusted.
#[tokio::test(flavor = "multi_thread")]
async fn both_sides_compare_a_secret() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    for (version, _) in VERSIONS {
        let mut juliet = person(version, 0).await;
        let (jid, mut news) = (juliet.jid().clone(), encryption::news(host.shared()));
        juliet.order("start", json!({ "to": bot.as_str() })).await.unwrap();
        is(&mut juliet, "encrypted").await;
        for (entered, end) in [("lark", ComparisonEnd::Different), ("nightingale", ComparisonEnd::Same)] {
            let is_same = end == ComparisonEnd::Same;
            // The person asks.
            let question = json!({ "to": bot.as_str(), "secret": "nightingale", "question": "what sang?" });
            juliet.order("compare", question).await.unwrap();
            while timeout(SOON, news.recv()).await.unwrap().unwrap().what != KeyNewsKind::AskedToCompare {}
            let answer = AnswerComparison { jid: jid.clone(), number: None, secret: secret(entered) };
            let compared = host.shared().ask(Asker::Host, &Granted::HOST, answer).await.unwrap();
            assert_eq!(compared.end, end, "version {version}");
            assert_eq!(juliet.event("compared").await.unwrap()["same"], is_same);
            // The owner asks.
            let question = Some("what sang?".to_owned());
            let begin = BeginComparison { jid: jid.clone(), secret: secret("nightingale"), question };
            let answers = async {
                assert_eq!(juliet.event("asked").await.unwrap()["question"], "what sang?");
                let answer = json!({ "to": bot.as_str(), "secret": entered });
                juliet.order("answer", answer).await.unwrap();
                juliet.event("compared").await.unwrap()["same"] == is_same
            };
            let (compared, is_told) = tokio::join!(host.shared().ask(Asker::Host, &Granted::HOST, begin), answers);
            assert_eq!((compared.unwrap().end, is_told), (end, true), "version {version}");
        }
    }
}

/// Lets a person ask for a secret, and waits until the owner is told.
async fn asks(juliet: &mut Counterpart, bot: &BareJid, news: &mut Receiver<Arc<KeyNews>>) {
    let question = json!({ "to": bot.as_str(), "secret": "nightingale", "question": "what sang?" });
    juliet.order("compare", question).await.unwrap();
    while timeout(SOON, news.recv()).await.unwrap().unwrap().what != KeyNewsKind::AskedToCompare {}
}

/// Row 87: a person gives comparisons up at each step. That changes nothing, and the next one has a result.
#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_that_is_given_up_has_no_result() {
    let host = plan().await.three().start().await;
    let (bot, heard) = (host.account().jid.clone(), host.listen(FULL, "message").await);
    let secret = || Secret::new(b"nightingale".to_vec());
    for (version, _) in VERSIONS {
        let mut juliet = person(version, 0).await;
        let (jid, mut news, to) =
            (juliet.jid().clone(), encryption::news(host.shared()), json!({ "to": bot.as_str() }));
        let answer = || AnswerComparison { jid: jid.clone(), number: None, secret: secret() };
        let begin = || BeginComparison { jid: jid.clone(), secret: secret(), question: None };
        juliet.order("start", to.clone()).await.unwrap();
        is(&mut juliet, "encrypted").await;
        // Before the owner answers. Once both have talked, the host knows it.
        asks(&mut juliet, &bot, &mut news).await;
        juliet.order("abort", to.clone()).await.unwrap();
        both_talk(&host, heard, &mut juliet, "never mind").await;
        let refused = host.shared().ask(Asker::Host, &Granted::HOST, answer()).await.unwrap_err().to_string();
        assert!(refused.contains("asks for no secret now"), "version {version}: {refused}");
        // After the owner has answered: what her client says to that is lost.
        asks(&mut juliet, &bot, &mut news).await;
        juliet.order("way", json!({ "open": false })).await.unwrap();
        let gives_up = async {
            juliet.event("lost").await.unwrap();
            juliet.order("way", json!({ "open": true })).await.unwrap();
            juliet.order("abort", to.clone()).await.unwrap();
        };
        let (answered, ()) = tokio::join!(host.shared().ask(Asker::Host, &Granted::HOST, answer()), gives_up);
        // After the owner has asked.
        let gives_up = async {
            juliet.event("asked").await.unwrap();
            juliet.order("abort", to.clone()).await.unwrap();
        };
        let (asked, ()) = tokio::join!(host.shared().ask(Asker::Host, &Granted::HOST, begin()), gives_up);
        for compared in [answered.unwrap(), asked.unwrap()] {
            assert_eq!((compared.end, compared.trust), (ComparisonEnd::Aborted, compared.before), "version {version}");
        }
        both_talk(&host, heard, &mut juliet, "still there").await;
        let answers = async {
            juliet.event("asked").await.unwrap();
            juliet.order("answer", json!({ "to": bot.as_str(), "secret": "nightingale" })).await.unwrap();
            juliet.event("compared").await.unwrap()["same"] == true
        };
        let (compared, is_same) = tokio::join!(host.shared().ask(Asker::Host, &Granted::HOST, begin()), answers);
        assert_eq!((compared.unwrap().end, is_same), (ComparisonEnd::Same, true), "version {version}");
    }
}

/// Row 87. Events `undecryptable`: data messages for another instance, or of another one, are not read, and end nothing.
#[tokio::test(flavor = "multi_thread")]
async fn messages_with_wrong_instance_tags_are_not_read() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let (heard, refused) = (host.listen(FULL, "message").await, host.listen(FULL, "undecryptable").await);
    let mut juliet = person("3", 0).await;
    juliet.order("start", json!({ "to": bot.as_str() })).await.unwrap();
    is(&mut juliet, "encrypted").await;
    both_talk(&host, heard, &mut juliet, "hello").await;
    let data = |line: &Value| {
        let text = line["body"].as_str().filter(|text| line["event"] == "sent" && text.starts_with("?OTR:AAMD"));
        text.map(str::to_owned)
    };
    let genuine = juliet.wait("an encrypted text", data).await.unwrap();
    let bytes = BASE64_STANDARD.decode(&genuine["?OTR:".len()..genuine.len() - 1]).unwrap();
    // The sender's tag is at 3, and that of the recipient at 7.
    let with = |place: usize, tag: [u8; 4]| {
        let mut bytes = bytes.clone();
        bytes[place..place + 4].copy_from_slice(&tag);
        format!("?OTR:{}.", BASE64_STANDARD.encode(bytes))
    };
    let (other, reserved) = ([0x42; 4], [0, 0, 0, 0xff]);
    let own = bytes[7..11].try_into().unwrap();
    for (text, reason) in [
        (with(7, other), None),
        (with(3, own), None),
        ("?OTR|12345678|42424242,1,2,x,".to_owned(), None),
        (with(3, other), Some("no-session")),
        (with(3, reserved), Some("broken")),
        (with(7, reserved), Some("broken")),
        (genuine.clone(), Some("replayed")),
    ] {
        juliet.order("put", json!({ "to": bot.as_str(), "body": text })).await.unwrap();
        if let Some(reason) = reason {
            let told = cannot_read(&host, refused).await;
            assert_eq!((&told["reason"], &told["encryption"]), (&json!(reason), &json!("otr")), "{text}: {told}");
        }
    }
    both_talk(&host, heard, &mut juliet, "still there").await;
    assert!(host.heard_so_far(FULL, refused).await.is_empty());
}

/// Row 87: another client of the person gets nothing of the conversation, which it would show as it is.
#[tokio::test(flavor = "multi_thread")]
async fn another_client_of_the_person_gets_nothing_of_it() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let heard = host.listen(FULL, "message").await;
    let server = prosody().await;
    for (version, _) in VERSIONS {
        let account = server.fresh_account("juliet").unwrap();
        let mut juliet = Counterpart::libotr(server, &account, version, 0).await.unwrap();
        juliet.order("start", json!({ "to": bot.as_str() })).await.unwrap();
        is(&mut juliet, "encrypted").await;
        both_talk(&host, heard, &mut juliet, "at the phone").await;
        let mut desk = client(&account).await;
        desk.chat(bot.clone(), "at the desk").await.unwrap();
        assert_eq!(hears(&host, heard).await["encryption"], Value::Null);
        says(&host, &account.jid, "for the phone alone").await;
        assert_eq!(juliet.message("for the phone alone").await.unwrap()["encryption"], "otr");
        desk.catch_up(SOON).await.unwrap();
        assert!(!desk.received_xml().iter().any(|xml| xml.contains("?OTR")), "version {version}");
    }
}
