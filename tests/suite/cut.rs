//! After a cut that the server does not mend: everything is built up anew, and plugins are told the truth and no more.
#![allow(clippy::doc_markdown, reason = "what a test shows is named as the list of the API spells it")]

use jid::BareJid;
use parlor_tests::client::Client;
use parlor_tests::faults::{Fault, Faults, Way};
use serde_json::json;
use tokio_xmpp::Stanza;
use xmpp_parsers::presence::Type;

use crate::house::{FULL, House, Plan, SOON, friend, prosody};

/// A house, and its way to the server.
async fn start() -> (House, Faults) {
    let faults = Faults::before(prosody().await.ports().starttls).await.unwrap();
    let plan = Plan::new().await.through(faults.port()).await;
    (plan.three().start().await, faults)
}

/// Cuts the connection until this is done, and has the server forget the session: somebody else takes its address.
async fn cut_for_good(house: &House, faults: &Faults, meanwhile: impl AsyncFnOnce()) {
    let (cut, back) = (house.listen(FULL, "disconnected").await, house.listen(FULL, "reconnected").await);
    faults.set(Way { limit: Some((1, Fault::Reset)), ..Way::default() });
    faults.strike(Fault::Reset);
    house.heard(FULL, cut).await;
    let jid = house.shared().snapshot().jid.clone();
    let resource = jid.resource().unwrap().as_str();
    let other = Client::login(&prosody().await.connector().unwrap(), house.account(), resource).await.unwrap();
    meanwhile().await;
    other.close().await.unwrap();
    faults.set(Way::default());
    house.heard(FULL, back).await;
}

/// Waits until somebody sees this occupant come.
async fn sees(client: &mut Client, room: &BareJid, nick: &str) {
    let address = jid::Jid::from(room.with_resource_str(nick).unwrap());
    let comes = |stanza: &Stanza| match stanza {
        Stanza::Presence(one) => (one.from.as_ref() == Some(&address) && one.type_ == Type::None).then_some(()),
        _ => None,
    };
    client.wait_for(&format!("{address} to come"), SOON, comes).await.unwrap();
}

/// Rows 95, 108. Events occupantJoined, occupantLeft.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_took_our_nickname_meanwhile_keeps_it() {
    let (house, faults) = start().await;
    let room = prosody().await.fresh_room();
    let mut juliet = friend("juliet").await;
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    house.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    let joined = house.listen(FULL, "occupantJoined").await;
    let mut mercutio = friend("mercutio").await;
    cut_for_good(&house, &faults, async || mercutio.join(&room, "Romeo", SOON).await.unwrap()).await;
    sees(&mut juliet, &room, "Romeo_2").await;
    let new = house.heard(FULL, joined).await["payload"]["occupant"].clone();
    assert_eq!((&new["nick"], &new["own"]), (&json!("Romeo"), &json!(false)));
    let known = house.call(FULL, "rooms.get", json!({ "jid": room.to_string() })).await.ok();
    assert_eq!((&known["nick"], &known["joined"]), (&json!("Romeo_2"), &json!(true)), "{known}");
}
