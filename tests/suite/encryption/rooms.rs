//! OMEMO in rooms: of members who see each other's addresses.

use parlor_tests::counterparts::{AXOLOTL, Counterpart, OMEMO_2};
use parlor_tests::server::XmppServer;
use serde_json::{Value, json};

use super::{BOTH, finds, person, plan, plan_on};
use crate::test_host::{FULL, SOON, prosody};

/// Row 172. Events `message`.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_of_members_reads_what_the_plugin_says_and_it_them() {
    talk(prosody().await).await;
}

/// Lets the members of a room talk on this server.
pub(super) async fn talk(server: &XmppServer) {
    let host = plan_on(server).three().start().await;
    let bot = host.account().jid.clone();
    let room = server.fresh_room();
    let [juliet, nurse, romeo] = ["juliet", "nurse", "romeo"].map(|name| server.fresh_account(name).unwrap());
    let mut juliet = Counterpart::omemo(server, &juliet).await.unwrap();
    // The others know one namespace each, and cannot read each other.
    let mut nurse = Counterpart::omemo_by(AXOLOTL, server, &nurse).await.unwrap();
    let mut romeo = Counterpart::omemo_by(OMEMO_2, server, &romeo).await.unwrap();
    finds(&mut juliet, &bot, &BOTH).await;
    finds(&mut nurse, &bot, &[AXOLOTL]).await;
    finds(&mut romeo, &bot, &[OMEMO_2]).await;
    let of_bot = bot.to_string();
    let [of_juliet, of_nurse, of_romeo] = [&juliet, &nurse, &romeo].map(|person| person.jid().to_string());
    let members = [&of_bot, &of_nurse, &of_romeo];
    let join = json!({ "room": room.as_str(), "nick": "Juliet", "members": members });
    juliet.order("join", join).await.unwrap();
    nurse.order("join", json!({ "room": room.as_str(), "nick": "Nurse" })).await.unwrap();
    romeo.order("join", json!({ "room": room.as_str(), "nick": "Romeo" })).await.unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.as_str(), "nick": "bot" })).await.ok();
    let heard = host.listen_with(FULL, json!({ "name": "message", "room": room.as_str() })).await;
    for (speaker, nick, others) in [
        (&mut juliet, "Juliet", vec![&of_bot, &of_nurse, &of_romeo]),
        (&mut nurse, "Nurse", vec![&of_bot, &of_juliet]),
        (&mut romeo, "Romeo", vec![&of_bot, &of_juliet]),
    ] {
        let text = format!("{nick} speaks");
        let order = json!({ "to": room.as_str(), "kind": "groupchat", "body": text, "for": others });
        speaker.order("send", order).await.unwrap();
        let message = host.heard(FULL, heard).await["payload"]["message"].take();
        assert_eq!((&message["body"], &message["encryption"]), (&json!(text), &json!("omemo")), "{message}");
        assert_eq!((&message["nick"], &message["device-trust"]), (&json!(nick), &json!("blind")), "{message}");
    }
    let required = json!({ "jid": room.as_str(), "body": "I can hear you", "encryption": "required" });
    host.call(FULL, "rooms.send", required).await.ok();
    for (listener, known) in [(&mut juliet, &BOTH[..]), (&mut nurse, &[AXOLOTL][..]), (&mut romeo, &[OMEMO_2][..])] {
        let came = is_heard(listener, "I can hear you").await;
        assert_eq!(came["encryption"], "omemo", "{came}");
        assert!(known.contains(&came["version"].as_str().unwrap()), "{came}");
    }
}

/// Row 172: an occupant without keys keeps a message from being sent that must be encrypted.
#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_encrypted_is_not_said_before_an_occupant_without_keys() {
    let server = prosody().await;
    let host = plan().await.three().start().await;
    let bot = host.account().jid.clone();
    let room = server.fresh_room();
    let mut juliet = person("juliet").await;
    finds(&mut juliet, &bot, &BOTH).await;
    let plain = server.fresh_account("rosaline").unwrap();
    let members = [bot.as_str(), plain.jid.as_str()];
    juliet.order("join", json!({ "room": room.as_str(), "nick": "Juliet", "members": members })).await.unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.as_str(), "nick": "bot" })).await.ok();
    let secret = json!({ "jid": room.as_str(), "body": "for those with keys", "encryption": "required" });
    host.call(FULL, "rooms.send", secret.clone()).await.ok();
    assert_eq!(is_heard(&mut juliet, "for those with keys").await["encryption"], "omemo");
    let mut rosaline = crate::test_host::client(&plain).await;
    let joined = host.listen_with(FULL, json!({ "name": "occupantJoined", "room": room.as_str() })).await;
    rosaline.join(&room, "Rosaline", SOON).await.unwrap();
    host.heard(FULL, joined).await;
    let error = host.call(FULL, "rooms.send", secret).await.fails("unsupported");
    let error = error.to_string();
    assert!(error.contains(plain.jid.as_str()) && !error.contains(juliet.jid().as_str()), "{error}");
}

/// Returns a room message as a client heard it.
async fn is_heard(listener: &mut Counterpart, text: &str) -> Value {
    let came = listener.message(text).await.unwrap();
    assert_eq!(came["kind"], "groupchat", "{came}");
    came
}

/// Row 172.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_encrypted_for_a_room_that_anybody_may_enter() {
    let host = plan().await.three().start().await;
    let room = prosody().await.fresh_room();
    let mut juliet = person("juliet").await;
    juliet.order("join", json!({ "room": room.as_str(), "nick": "Juliet", "open": true })).await.unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.as_str(), "nick": "bot" })).await.ok();
    let send =
        |body: &str, encryption: Option<&str>| json!({ "jid": room.as_str(), "body": body, "encryption": encryption });
    host.call(FULL, "rooms.send", send("no", Some("required"))).await.fails("unsupported");
    host.call(FULL, "rooms.send", send("in the open", None)).await.ok();
    assert_eq!(is_heard(&mut juliet, "in the open").await["encryption"], "none");
}
