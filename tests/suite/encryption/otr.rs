//! OTR, with a client on python-potr.

use parlor_runtime::account::Asker;
use parlor_session::SetTrust;
use parlor_session::permissions::Granted;
use parlor_stanza::types::DeviceTrust;
use parlor_tests::counterparts::Counterpart;
use parlor_tests::server::XmppServer;
use serde_json::{Value, json};

use super::{hears, plan, plan_on, says};
use crate::test_host::{BARE, FULL, SOON, TestHost, friend, granted, prosody, running};

/// Logs a person with OTR in.
async fn person() -> Counterpart {
    let server = prosody().await;
    Counterpart::otr(server, &server.fresh_account("juliet").unwrap()).await.unwrap()
}

/// Waits until a person's client says that the conversation is in this state.
pub(super) async fn is(client: &mut Counterpart, state: &str) -> Value {
    let is_meant = |line: &Value| line["event"] == "state" && line["state"] == state;
    client.wait(state, |line| is_meant(line).then(|| line.clone())).await.unwrap()
}

/// Waits until the plugin gets this state of a chat; none if it is not used.
pub(super) async fn tells(host: &TestHost, order: u64, state: Option<&str>) {
    loop {
        let event = host.heard(FULL, order).await;
        if event["payload"]["chat"]["otr-status"].as_str() == state {
            return;
        }
    }
}

/// Rows 87 and 88. Events `message` `otrStatusChanged`.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_begins_and_ends_it() {
    begins_and_ends(prosody().await).await;
}

/// Lets a plugin begin and end it on this server.
pub(super) async fn begins_and_ends(server: &XmppServer) {
    let host = plan_on(server).three().start().await;
    let bot = host.account().jid.clone();
    let mut juliet = Counterpart::otr(server, &server.fresh_account("juliet").unwrap()).await.unwrap();
    let person = juliet.jid().clone();
    let chat = json!({ "jid": person.as_str() });
    let (heard, states) = (host.listen(FULL, "message").await, host.listen(FULL, "otrStatusChanged").await);
    host.call(FULL, "chats.initiate-otr", chat.clone()).await.fails("not-found");
    for call in ["chats.initiate-otr", "chats.end-otr"] {
        host.call(BARE, call, chat.clone()).await.denied("messages.send", Some(person.as_str()));
    }
    let opened = host.call(FULL, "chats.open", chat.clone()).await.ok();
    assert_eq!(opened["otr-status"], Value::Null);
    host.call(FULL, "chats.end-otr", chat.clone()).await.ok();
    // Until she has written, the server offers her messages to each of her clients, and there is one.
    host.call(FULL, "chats.initiate-otr", chat.clone()).await.ok();
    let begun = is(&mut juliet, "encrypted").await;
    assert_eq!(begun["jid"], bot.as_str(), "{begun}");
    tells(&host, states, Some("unverified")).await;
    assert_eq!(host.call(FULL, "chats.get", chat.clone()).await.ok()["otr-status"], "unverified");
    // Once more is nothing new.
    host.call(FULL, "chats.initiate-otr", chat.clone()).await.ok();
    for round in 0..5 {
        says(&host, &person, &format!("answer {round} <&> \u{1f347}")).await;
        let came = juliet.message(&format!("answer {round} <&> \u{1f347}")).await.unwrap();
        assert_eq!(came["encryption"], "otr", "{came}");
        let text = format!("round {round} <&> \u{1f347}");
        juliet.order("send", json!({ "to": bot.as_str(), "body": text })).await.unwrap();
        let message = hears(&host, heard).await;
        assert_eq!((&message["body"], &message["encryption"]), (&json!(text), &json!("otr")), "{message}");
    }
    host.call(FULL, "chats.end-otr", chat.clone()).await.ok();
    is(&mut juliet, "finished").await;
    tells(&host, states, None).await;
    says(&host, &person, "in the open").await;
    // A client with this setting still warns about plain text.
    assert_eq!(juliet.message("in the open").await.unwrap()["encryption"], "none");
}

/// Row 88. Events `otrStatusChanged`.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_begins_and_ends_it() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let mut juliet = person().await;
    let person = juliet.jid().clone();
    let chat = json!({ "jid": person.as_str() });
    let (heard, states) = (host.listen(FULL, "message").await, host.listen(FULL, "otrStatusChanged").await);
    host.call(FULL, "chats.open", chat.clone()).await.ok();
    for _ in 0..2 {
        juliet.order("start", json!({ "to": bot.as_str() })).await.unwrap();
        is(&mut juliet, "encrypted").await;
        tells(&host, states, Some("unverified")).await;
        juliet.order("send", json!({ "to": bot.as_str(), "body": "nobody else hears" })).await.unwrap();
        let message = hears(&host, heard).await;
        assert_eq!(
            (&message["body"], &message["encryption"]),
            (&json!("nobody else hears"), &json!("otr")),
            "{message}"
        );
        says(&host, &person, "nobody").await;
        assert_eq!(juliet.message("nobody").await.unwrap()["encryption"], "otr");
        juliet.order("end", json!({ "to": bot.as_str() })).await.unwrap();
        tells(&host, states, Some("finished")).await;
        // After she ended the conversation, no unencrypted answer is sent.
        let late = json!({ "jid": person.as_str(), "body": "too late", "encryption": "required" });
        assert!(host.call(FULL, "chats.send", late).await.result.is_err());
        host.call(FULL, "chats.end-otr", chat.clone()).await.ok();
        tells(&host, states, None).await;
    }
    let said = juliet.rest().into_iter().any(|line| line.to_string().contains("too late"));
    assert!(!said && host.heard_so_far(FULL, heard).await.is_empty());
}

/// Row 87: queries, keys and comparisons of secrets are no messages.
#[tokio::test(flavor = "multi_thread")]
async fn an_echo_comes_back_encrypted_and_in_parts() {
    let host = plan().await.plugin("echo", "echo", granted).start().await;
    running(&host, "echo").await;
    let bot = host.account().jid.clone();
    let server = prosody().await;
    let account = server.fresh_account("juliet").unwrap();
    let mut juliet = Counterpart::otr_in_parts(server, &account, 200).await.unwrap();
    juliet.order("start", json!({ "to": bot.as_str() })).await.unwrap();
    is(&mut juliet, "encrypted").await;
    let text = "all the world's a stage ".repeat(40);
    juliet.order("send", json!({ "to": bot.as_str(), "body": text })).await.unwrap();
    assert_eq!(juliet.message(&text).await.unwrap()["encryption"], "otr");
    // The conversation continues, with and without an answer.
    let question = json!({ "to": bot.as_str(), "secret": "a nightingale", "question": "what sang?" });
    juliet.order("compare", question).await.unwrap();
    juliet.order("send", json!({ "to": bot.as_str(), "body": "still there?" })).await.unwrap();
    assert_eq!(juliet.message("still there?").await.unwrap()["encryption"], "otr");
    juliet.order("abort", json!({ "to": bot.as_str() })).await.unwrap();
    juliet.order("send", json!({ "to": bot.as_str(), "body": "and now?" })).await.unwrap();
    assert_eq!(juliet.message("and now?").await.unwrap()["encryption"], "otr");
    let said: Vec<_> = juliet.rest().into_iter().filter(|line| line["event"] == "message").collect();
    assert!(said.is_empty(), "something else was echoed: {said:#?}");
}

/// Row 87. Events `message` `otrStatusChanged`: plugins are told what the owner has decided about the person's key.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_owner_has_compared_is_told_as_verified() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let (heard, states) = (host.listen(FULL, "message").await, host.listen(FULL, "otrStatusChanged").await);
    let mut juliet = person().await;
    let jid = juliet.jid().clone();
    host.call(FULL, "chats.open", json!({ "jid": jid.as_str() })).await.ok();
    juliet.order("start", json!({ "to": bot.as_str() })).await.unwrap();
    is(&mut juliet, "encrypted").await;
    tells(&host, states, Some("unverified")).await;
    juliet.send(&bot, "hello").await.unwrap();
    assert_eq!(hears(&host, heard).await["device-trust"], "blind");
    let own = juliet.order("own", json!({})).await.unwrap();
    let fingerprint = own["fingerprint"].as_str().map(str::to_owned);
    let decision = SetTrust { jid, fingerprint, trust: DeviceTrust::Trusted };
    host.shared().ask(Asker::Host, &Granted::HOST, decision).await.unwrap();
    tells(&host, states, Some("verified")).await;
    juliet.send(&bot, "and now").await.unwrap();
    let message = hears(&host, heard).await;
    assert_eq!((&message["encryption"], &message["device-trust"]), (&json!("otr"), &json!("trusted")), "{message}");
}

/// Row 87: a client that forgot everything begins again, and is not left alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_started_again_begins_anew() {
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let server = prosody().await;
    let mut juliet = person().await;
    let person = juliet.jid().clone();
    host.call(FULL, "chats.open", json!({ "jid": person.as_str() })).await.ok();
    host.call(FULL, "chats.initiate-otr", json!({ "jid": person.as_str() })).await.ok();
    is(&mut juliet, "encrypted").await;
    // It has another key now, as a client on another machine has.
    let mut juliet = juliet.again(server).await.unwrap();
    juliet.order("start", json!({ "to": bot.as_str() })).await.unwrap();
    is(&mut juliet, "encrypted").await;
    // The client is done before its last message of the exchange is here.
    let heard = host.listen(FULL, "message").await;
    juliet.send(&bot, "it is me").await.unwrap();
    assert_eq!(hears(&host, heard).await["body"], "it is me");
    says(&host, &person, "who is there?").await;
    assert_eq!(juliet.message("who is there?").await.unwrap()["encryption"], "otr");
}

/// Row 87: the key `otr` of `[account.NAME.encryption]`.
#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_required_a_first_message_begins_it() {
    let host = plan().await.encrypting("otr", "require").three().start().await;
    let mut juliet = person().await;
    let person = juliet.jid().clone();
    for text in ["nobody else hears", "nor this"] {
        let plain = json!({ "jid": person.as_str(), "body": text, "encryption": "none" });
        host.call(FULL, "chats.send", plain).await.ok();
        assert_eq!(juliet.message(text).await.unwrap()["encryption"], "otr");
    }
    let said = juliet.rest().into_iter().any(|line| line["event"] == "message" && line["encryption"] == "none");
    assert!(!said);
}

/// Setting `allow_otr`. Rows 87 and 88.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_owner_does_not_allow_it_a_query_is_a_text() {
    let host = plan().await.encrypting("otr", "never").three().start().await;
    let bot = host.account().jid.clone();
    let mut juliet = friend("juliet").await;
    let chat = json!({ "jid": juliet.jid().to_bare().as_str() });
    host.call(FULL, "chats.open", chat.clone()).await.ok();
    for call in ["chats.initiate-otr", "chats.end-otr"] {
        host.call(FULL, call, chat.clone()).await.fails("unsupported");
    }
    let heard = host.listen(FULL, "message").await;
    juliet.chat(bot, "?OTRv23?").await.unwrap();
    let message = hears(&host, heard).await;
    assert_eq!((&message["body"], &message["encryption"]), (&json!("?OTRv23?"), &Value::Null), "{message}");
    juliet.catch_up(SOON).await.unwrap();
    assert!(!juliet.received_xml().iter().any(|xml| xml.contains("?OTR:")));
}
