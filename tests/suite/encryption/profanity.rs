//! profanity at its terminal, with OTR by libotr, and with OMEMO by a library in C.

use std::time::{Duration, Instant};

use jid::BareJid;
use parlor_runtime::account::{Asker, encryption};
use parlor_session::permissions::Granted;
use parlor_session::{AnswerComparison, ComparisonEnd, KeyNewsKind, Secret};
use parlor_tests::client::Client;
use parlor_tests::counterparts::profanity::{Profanity, grouped};
use parlor_tests::counterparts::{AXOLOTL, Counterpart, SOON};
use serde_json::json;
use tokio::time::timeout;

use super::{finds, hears, plan, says};
use crate::test_host::{FULL, TestHost, granted, prosody, running};

/// After this time it is asked again.
const A_MOMENT: Duration = Duration::from_secs(1);
/// Its words about a message that it did not send.
const REFUSED: &str = "cannot be decrypted for any recipient";
/// Its words about a room until it knows which kind of room that is.
const NOT_YET: &str = "MUC must be non-anonymous";

/// Rows 87 and 88. Events `message`.
#[tokio::test(flavor = "multi_thread")]
async fn it_begins_talks_compares_and_ends_off_the_record() {
    let host = plan().await.plugin("echo", "echo", granted).caller(FULL, granted).start().await;
    running(&host, "echo").await;
    let bot = host.account().jid.clone();
    let server = prosody().await;
    let mut client = Profanity::start(server, &server.fresh_account("juliet").unwrap()).unwrap();
    client.with_otr().unwrap();
    let heard = host.listen(FULL, "message").await;
    client.types(&format!("/msg {bot}")).unwrap();
    client.shows("[unencrypted]").unwrap();
    for _ in 0..2 {
        client.types("/otr start").unwrap();
        client.shows("[OTR]").unwrap();
        client.types("hello there").unwrap();
        let message = hears(&host, heard).await;
        assert_eq!((&message["body"], &message["encryption"]), (&json!("hello there"), &json!("otr")), "{message}");
        is_echoed(&client, "hello there");
        client.types("/otr question \"what sang?\" nightingale").unwrap();
        client.types("still there").unwrap();
        hears(&host, heard).await;
        is_echoed(&client, "still there");
        client.types("/otr end").unwrap();
        client.shows("[unencrypted]").unwrap();
        client.types("/clear").unwrap();
    }
}

/// Waits until a text is there twice: as it was typed, and as it was answered.
fn is_echoed(client: &Profanity, text: &str) {
    client.shows_what("the echo", |screen| screen.matches(text).count() >= 2, SOON).unwrap();
}

/// Row 87: its user asks for a secret, and the owner of the account answers.
#[tokio::test(flavor = "multi_thread")]
async fn its_user_and_the_owner_compare_a_secret() {
    let host = plan().await.three().start().await;
    let server = prosody().await;
    let account = server.fresh_account("juliet").unwrap();
    let mut client = Profanity::start(server, &account).unwrap();
    client.with_otr().unwrap();
    let mut news = encryption::news(host.shared());
    client.types(&format!("/msg {}", host.account().jid)).unwrap();
    client.types("/otr start").unwrap();
    client.shows("[OTR]").unwrap();
    for (entered, end, shown) in [
        ("lark", ComparisonEnd::Different, "Authentication failed"),
        ("nightingale", ComparisonEnd::Same, "Authentication successful"),
    ] {
        client.types("/otr question \"what sang?\" nightingale").unwrap();
        loop {
            let news = timeout(SOON, news.recv()).await.unwrap().unwrap();
            if news.what == KeyNewsKind::AskedToCompare {
                assert_eq!(news.question.as_deref(), Some("what sang?"));
                break;
            }
        }
        let secret = Secret::new(entered.as_bytes().to_vec());
        let answer = AnswerComparison { jid: account.jid.clone(), number: None, secret };
        let compared = host.shared().ask(Asker::Host, &Granted::HOST, answer).await.unwrap();
        assert_eq!(compared.end, end);
        client.shows(shown).unwrap();
    }
}

/// Row 87.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_begins_off_the_record_with_it() {
    let host = plan().await.three().start().await;
    let server = prosody().await;
    let account = server.fresh_account("juliet").unwrap();
    let mut client = Profanity::start(server, &account).unwrap();
    client.with_otr().unwrap();
    client.types(&format!("/msg {}", host.account().jid)).unwrap();
    let chat = json!({ "jid": account.jid.as_str() });
    host.call(FULL, "chats.open", chat.clone()).await.ok();
    host.call(FULL, "chats.initiate-otr", chat.clone()).await.ok();
    client.shows("[OTR]").unwrap();
    says(&host, &account.jid, "nobody else hears").await;
    client.shows("nobody else hears").unwrap();
    host.call(FULL, "chats.end-otr", chat).await.ok();
    client.shows("OTR session ended").unwrap();
}

/// Waits until profanity has fetched a key, of which it says nothing.
fn knows(client: &mut Profanity, bot: &BareJid, fingerprint: &str) {
    let begin = Instant::now();
    loop {
        client.types(&format!("/omemo fingerprint {bot}")).unwrap();
        match client.shows_what("the key", |screen| screen.contains(fingerprint), A_MOMENT) {
            Ok(_) => break,
            Err(error) => assert!(begin.elapsed() < SOON, "{error:#}"),
        }
    }
}

/// Lets profanity trust the account's key.
async fn trusts(host: &TestHost, client: &mut Profanity) {
    let server = prosody().await;
    let bot = host.account().jid.clone();
    // Another client looks the key up, as a person reads it at `parlor keys`.
    let mut helper = Counterpart::omemo(server, &server.fresh_account("helper").unwrap()).await.unwrap();
    finds(&mut helper, &bot, &[AXOLOTL]).await;
    let devices = helper.order("devices", json!({ "jid": bot.as_str() })).await.unwrap();
    let fingerprint = grouped(devices[0]["fingerprint"].as_str().unwrap());
    client.types(&format!("/msg {bot}")).unwrap();
    client.types("/omemo start").unwrap();
    client.shows("[OMEMO]").unwrap();
    knows(client, &bot, &fingerprint);
    client.types(&format!("/omemo trust {fingerprint}")).unwrap();
    client.shows("(trusted)").unwrap();
    // With the first key nothing was begun yet, since it was not trusted.
    begins_again(client);
}

/// Ends OMEMO and begins it again, so that profanity fetches the keys once more.
fn begins_again(client: &mut Profanity) {
    client.types("/omemo end").unwrap();
    client.shows_what("the end of OMEMO", |screen| !screen.contains("[OMEMO]"), SOON).unwrap();
    client.types("/omemo start").unwrap();
    client.shows("[OMEMO]").unwrap();
}

/// Sends a text by OMEMO. As long as profanity has not fetched the keys, it refuses and says what to do: to begin again.
fn sends(client: &mut Profanity, text: &str) {
    let (begin, sent) = (Instant::now(), format!("~ me: {text}"));
    loop {
        client.types(text).unwrap();
        let is_told = |screen: &str| screen.contains(&sent) || screen.contains(REFUSED);
        if client.shows_what("the text, or why it was not sent", is_told, SOON).unwrap().contains(&sent) {
            break;
        }
        assert!(begin.elapsed() < SOON, "profanity fetched no keys");
        client.types("/clear").unwrap();
        begins_again(client);
    }
}

/// Row 172. Events `message`.
#[tokio::test(flavor = "multi_thread")]
async fn it_talks_with_omemo_in_a_chat() {
    let host = plan().await.plugin("echo", "echo", granted).caller(FULL, granted).start().await;
    running(&host, "echo").await;
    let server = prosody().await;
    let account = server.fresh_account("juliet").unwrap();
    let mut client = Profanity::start(server, &account).unwrap();
    client.with_omemo(server).await.unwrap();
    trusts(&host, &mut client).await;
    let heard = host.listen(FULL, "message").await;
    for text in ["hello there", "still there"] {
        sends(&mut client, text);
        let message = hears(&host, heard).await;
        assert_eq!((&message["body"], &message["encryption"]), (&json!(text), &json!("omemo")), "{message}");
        is_echoed(&client, text);
    }
}

/// Row 172.
#[tokio::test(flavor = "multi_thread")]
async fn it_reads_a_first_message_that_the_host_encrypted() {
    let host = plan().await.three().start().await;
    let server = prosody().await;
    let account = server.fresh_account("juliet").unwrap();
    let mut client = Profanity::start(server, &account).unwrap();
    client.with_omemo(server).await.unwrap();
    client.types(&format!("/msg {}", host.account().jid)).unwrap();
    let first = json!({ "jid": account.jid.as_str(), "body": "you have mail", "encryption": "required" });
    host.call(FULL, "chats.send", first).await.ok();
    client.shows("you have mail").unwrap();
}

/// Enters a room and begins OMEMO in it, as soon as profanity knows which kind of room it is.
fn begins_in_room(client: &mut Profanity, room: &BareJid) {
    client.types(&format!("/join {room} nick Juliet")).unwrap();
    let is_there = |screen: &str| screen.contains("joined the room as Juliet") && !screen.contains("[OMEMO]");
    client.shows_what("the room", is_there, SOON).unwrap();
    let begin = Instant::now();
    loop {
        client.types("/omemo start").unwrap();
        let is_told = |screen: &str| screen.contains("[OMEMO]") || screen.contains(NOT_YET);
        if client.shows_what("OMEMO in the room", is_told, SOON).unwrap().contains("[OMEMO]") {
            break;
        }
        assert!(begin.elapsed() < SOON, "profanity takes the room for one that anybody may enter");
        client.types("/clear").unwrap();
        client.shows_what("an empty screen", |screen| !screen.contains(NOT_YET), SOON).unwrap();
    }
}

/// Says a text in a room by OMEMO. profanity shows it even if it was not sent, and says so above.
fn speaks(client: &mut Profanity, text: &str) {
    let (begin, shown) = (Instant::now(), format!("~ Juliet: {text}"));
    loop {
        client.types(text).unwrap();
        if !client.shows(&shown).unwrap().contains(REFUSED) {
            break;
        }
        assert!(begin.elapsed() < SOON, "profanity fetched no keys");
        client.types("/clear").unwrap();
        begins_again(client);
    }
}

/// Row 172. Events `message`. profanity counts some members twice, so that a message may have two keys for one device.
#[tokio::test(flavor = "multi_thread")]
async fn it_talks_with_omemo_in_a_room_of_members() {
    let host = plan().await.three().start().await;
    let server = prosody().await;
    let (account, room) = (server.fresh_account("juliet").unwrap(), server.fresh_room());
    // Another client of the same person makes the room.
    let mut maker = Client::login(&server.connector().unwrap(), &account, "maker").await.unwrap();
    maker.join(&room, "Maker", SOON).await.unwrap();
    maker.for_members(&room, &[host.account().jid.clone()], SOON).await.unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.as_str(), "nick": "bot" })).await.ok();
    let heard = host.listen_with(FULL, json!({ "name": "message", "room": room.as_str() })).await;
    let mut client = Profanity::start(server, &account).unwrap();
    client.with_omemo(server).await.unwrap();
    trusts(&host, &mut client).await;
    begins_in_room(&mut client, &room);
    for text in ["hello there", "still there"] {
        speaks(&mut client, text);
        let message = hears(&host, heard).await;
        assert_eq!((&message["body"], &message["encryption"]), (&json!(text), &json!("omemo")), "{message}");
        assert_eq!((&message["nick"], &message["device-trust"]), (&json!("Juliet"), &json!("blind")), "{message}");
        let answer = format!("{text}, too");
        let required = json!({ "jid": room.as_str(), "body": answer, "encryption": "required" });
        host.call(FULL, "rooms.send", required).await.ok();
        client.shows(&answer).unwrap();
    }
    maker.close().await.unwrap();
}
