//! Connection losses after which the session cannot be resumed: everything is set up again, and plugins get exactly the
//! changes.
#![allow(clippy::doc_markdown, reason = "what a test shows is named as the list of the API spells it")]

use jid::BareJid;
use parlor_tests::client::Client;
use parlor_tests::faults::{Fault, Faults, Way};
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::presence::{Presence, Type};

use crate::test_host::{FULL, Plan, SOON, TestHost, friend, prosody};

/// Starts a host that reaches its server through a fault proxy.
async fn start() -> (TestHost, Faults) {
    let faults = Faults::before(prosody().await.ports().starttls).await.unwrap();
    let plan = Plan::new().await.through(faults.port()).await;
    (plan.set("auto_subscribe", true).three().start().await, faults)
}

/// Cuts the connection, runs a callback, and lets the connection recover. The server forgets the session, since another
/// client takes its full JID.
pub(crate) async fn cut_for_good(host: &TestHost, faults: &Faults, meanwhile: impl AsyncFnOnce()) {
    let (cut, back) = (host.listen(FULL, "disconnected").await, host.listen(FULL, "reconnected").await);
    faults.set(Way { limit: Some((1, Fault::Reset)), ..Way::default() });
    faults.strike(Fault::Reset);
    host.heard(FULL, cut).await;
    let jid = host.shared().snapshot().jid.clone();
    let resource = jid.resource().unwrap().as_str();
    let other = Client::login(&prosody().await.connector().unwrap(), host.account(), resource).await.unwrap();
    meanwhile().await;
    other.close().await.unwrap();
    faults.set(Way::default());
    host.heard(FULL, back).await;
}

/// Waits until a client sees this occupant come.
async fn sees(client: &mut Client, room: &BareJid, nick: &str) {
    sees_as(client, room, nick, Type::None).await;
}

/// Waits until a client sees this occupant come or go.
async fn sees_as(client: &mut Client, room: &BareJid, nick: &str, way: Type) {
    let address = jid::Jid::from(room.with_resource_str(nick).unwrap());
    let comes = |stanza: &Stanza| match stanza {
        Stanza::Presence(one) => (one.from.as_ref() == Some(&address) && one.type_ == way).then_some(()),
        _ => None,
    };
    client.wait_for(&format!("{address} as {way:?}"), SOON, comes).await.unwrap();
}

/// Subscribes the host's account and a client to each other's presence.
pub(crate) async fn befriend(host: &TestHost, other: &mut Client) {
    let (pushed, came) = (host.listen(FULL, "rosterPush").await, host.listen(FULL, "contactPresenceChanged").await);
    other.send(Presence::subscribe().with_to(host.account().jid.clone())).await.unwrap();
    // The host must have subscribed in turn: some servers ignore an approval that was not requested.
    let asks = |stanza: &Stanza| match stanza {
        Stanza::Presence(one) => (one.type_ == Type::Subscribe).then_some(()),
        _ => None,
    };
    other.wait_for("the request", SOON, asks).await.unwrap();
    other.send(Presence::subscribed().with_to(host.account().jid.clone())).await.unwrap();
    loop {
        host.heard(FULL, pushed).await;
        let all = host.call(FULL, "contacts.get-all", Value::Null).await.ok();
        if all.as_array().unwrap().iter().any(|one| one["subscription"] == "both") {
            break;
        }
    }
    assert_eq!(host.heard(FULL, came).await["payload"]["contact"]["chat-status"], "online");
}

fn bodies(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["payload"]["message"]["body"].as_str()).collect()
}

/// Rows 11, 14, 21, 34. Events disconnected, reconnected, roster, message.
/// Rules rejoin.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_resumed_is_built_up_anew() {
    let (host, faults) = start().await;
    let (bot, room) = (host.account().jid.clone(), prosody().await.fresh_room());
    let mut juliet = friend("juliet").await;
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    befriend(&host, &mut juliet).await;
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    sees(&mut juliet, &room, "Romeo").await;
    host.call(FULL, "promises.add", json!({ "name": "own" })).await.ok();
    let own = host.order(FULL, "api.wait-until", json!({ "promise": "own" })).await;
    // This is never answered, since the client reads nothing.
    let mute = friend("mute").await;
    let request = format!("<iq type='get' to='{}'><query xmlns='urn:example:query'/></iq>", mute.jid());
    let request = host.order(FULL, "api.send-iq", json!({ "iq": request })).await;
    let mut untold = Vec::new();
    for name in
        ["roomLeft", "chatRoomOpened", "occupantJoined", "occupantLeft", "contactPresenceChanged", "initialized"]
    {
        untold.push((name, host.listen(FULL, name).await));
    }
    let said = json!({ "name": "message", "room": room.to_string(), "delayed": true });
    let (roster, said) = (host.listen(FULL, "roster").await, host.listen_with(FULL, said).await);
    cut_for_good(&host, &faults, async || {
        for body in ["one", "two"] {
            let to = json!({ "jid": juliet.jid().to_string(), "body": body });
            host.call(FULL, "chats.send", to).await.ok();
        }
        host.call(FULL, "rooms.send", json!({ "jid": room.to_string(), "body": "to all" })).await.ok();
        juliet.say(&room, "meanwhile").await.unwrap();
        juliet.catch_up(SOON).await.unwrap();
    })
    .await;
    host.answer(FULL, "api.send-iq", request).await.fails("offline");
    host.heard(FULL, roster).await;
    host.call(FULL, "api.wait-until", json!({ "promise": "roster" })).await.ok();
    assert!(host.ears().nothing_from(FULL, own), "a plugin's own promise is no business of the connection's");
    host.call(FULL, "api.emit", json!({ "name": "own" })).await.ok();
    host.answer(FULL, "api.wait-until", own).await.ok();
    for body in ["one", "two"] {
        juliet.wait_body(&bot, body, SOON).await.unwrap();
    }
    sees(&mut juliet, &room, "Romeo").await;
    juliet.wait_body(&room, "to all", SOON).await.unwrap();
    juliet.say(&room, "now").await.unwrap();
    let mut heard = Vec::new();
    while !bodies(&heard).contains(&"now") {
        heard.push(host.heard(FULL, said).await);
    }
    let past = heard.iter().find(|event| event["payload"]["message"]["body"] == "meanwhile").unwrap();
    assert_eq!(past["payload"]["message"]["delayed"], true);
    assert_eq!(bodies(&heard).iter().filter(|body| **body == "meanwhile").count(), 1, "{heard:?}");
    juliet.catch_up(SOON).await.unwrap();
    for once in [">one</body>", ">two</body>", ">to all</body>"] {
        assert_eq!(juliet.received_xml().iter().filter(|xml| xml.contains(once)).count(), 1, "{once}");
    }
    for (name, n) in untold {
        let told = host.heard_so_far(FULL, n).await;
        assert!(told.is_empty(), "{name} is told though nothing became different: {told:?}");
    }
}

/// Rows 95, 108. Events occupantJoined, occupantLeft.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_took_our_nickname_meanwhile_keeps_it() {
    let (host, faults) = start().await;
    let room = prosody().await.fresh_room();
    let mut juliet = friend("juliet").await;
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    let joined = host.listen(FULL, "occupantJoined").await;
    let mut mercutio = friend("mercutio").await;
    cut_for_good(&host, &faults, async || {
        // The nickname is taken until the room has noticed the end of the session.
        sees_as(&mut juliet, &room, "Romeo", Type::Unavailable).await;
        mercutio.join(&room, "Romeo", SOON).await.unwrap();
    })
    .await;
    sees(&mut juliet, &room, "Romeo_2").await;
    let new = host.heard(FULL, joined).await["payload"]["occupant"].clone();
    assert_eq!((&new["nick"], &new["own"]), (&json!("Romeo"), &json!(false)));
    let known = host.call(FULL, "rooms.get", json!({ "jid": room.to_string() })).await.ok();
    assert_eq!((&known["nick"], &known["joined"]), (&json!("Romeo_2"), &json!(true)), "{known}");
}
