//! Questions to others about themselves, and voice, registration and ids in rooms (rows 158 and 159 of `tests/conformance.toml`).

use jid::BareJid;
use parlor_tests::client::{Client, body};
use parlor_tests::policy::Entry;
use parlor_tests::server::{DOMAIN, Software};
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Lang, Message};
use xmpp_parsers::minidom::Element;

use crate::cut::befriend;
use crate::test_host::{FULL, Plan, SOON, TestHost, friend, prosody, refuses_to_tell, running, software};

/// The form of a visitor who asks for voice.
const ASKS: &str = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
                    <value>http://jabber.org/protocol/muc#request</value></field><field var='muc#role' type='list-single'>\
                    <value>participant</value></field></x>";

/// Rows 158.
#[tokio::test(flavor = "multi_thread")]
async fn entities_say_how_long_they_were_idle_their_time_and_their_software() {
    let host = Plan::new().await.set("auto_subscribe", true).three().start().await;
    let server = json!({ "jid": DOMAIN });
    let clock = host.call(FULL, "disco.time", server.clone()).await.ok();
    let utc: jiff::Timestamp = clock["utc"].as_str().unwrap().parse().unwrap();
    let away = jiff::Timestamp::now().duration_since(utc).unsigned_abs();
    assert!(away.as_secs() < 3_600 && clock["offset"].as_i64().unwrap().abs() <= 1_080, "{clock}");
    let software = host.call(FULL, "disco.version", server).await.ok();
    let name = software["name"].as_str().unwrap().to_lowercase();
    assert_eq!(name, self::software().as_str(), "{software}");

    // The server tells only people who see the presence.
    let mut paris = friend("paris").await;
    let person = json!({ "jid": paris.jid().to_bare().to_string() });
    let refused = host.call(FULL, "disco.last-activity", person.clone()).await.fails("stanza");
    let condition = refused["condition"].as_str().unwrap();
    assert!(["forbidden", "subscription-required", "not-authorized"].contains(&condition), "{refused}");
    befriend(&host, &mut paris).await;
    assert_eq!(host.call(FULL, "disco.last-activity", person).await.ok()["seconds"], 0, "a client is connected");

    // A client that knows none of this, and one that does not exist.
    let jid = paris.jid().to_string();
    for call in ["disco.last-activity", "disco.time", "disco.version"] {
        let refused = tokio::select! {
            answer = host.call(FULL, call, json!({ "jid": jid })) => answer,
            _ = paris.wait_for("nothing in particular", SOON, |_: &Stanza| None::<()>) => panic!("{jid} was not asked"),
        };
        assert_eq!(refused.fails("stanza")["condition"], "service-unavailable", "{call}");
        host.call(FULL, call, json!({ "jid": "nobody@localhost/nowhere" })).await.fails("stanza");
    }
}

/// Rows 158.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_without_a_connection() {
    let host = Plan::offline().three().start().await;
    for call in ["disco.last-activity", "disco.time", "disco.version"] {
        host.call(FULL, call, json!({ "jid": DOMAIN })).await.fails("offline");
    }
    let room = json!({ "jid": "hall@rooms.example.org", "nick": "x", "allow": true, "fields": [] });
    for call in
        ["rooms.request-voice", "rooms.answer-voice", "rooms.register", "rooms.unregister", "rooms.reserved-nick"]
    {
        host.call(FULL, call, room.clone()).await.fails("offline");
    }
    refuses_to_tell(&host, "rooms.read", &["voiceRequest"]).await;
}

/// Opens a new room of which the bot is the owner, and returns it.
async fn own_room(host: &TestHost) -> BareJid {
    let room = prosody().await.fresh_room();
    let attributes = json!({ "jid": room.to_string(), "nick": "Romeo", "auto-configure": true });
    host.call(FULL, "rooms.open", attributes).await.ok();
    room
}

/// Sends a form to a room.
async fn submit(client: &mut Client, room: &BareJid, form: &str) {
    let mut message = Message::normal(Some(room.clone().into()));
    message.payloads.push(form.parse().unwrap());
    client.send(message).await.unwrap();
}

/// Rows 158. Events voiceRequest, occupantChanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_visitor_asks_for_voice_and_a_moderator_gives_it() {
    let host = Plan::new().await.three().start().await;
    let room = own_room(&host).await;
    let jid = room.to_string();
    let mut paris = friend("paris").await;
    paris.join(&room, "Paris", SOON).await.unwrap();
    let changed = host.listen(FULL, "occupantChanged").await;
    let visitor = json!({ "jid": jid, "nick": "Paris", "role": "visitor" });
    host.call(FULL, "rooms.set-role", visitor).await.ok();
    assert_eq!(host.heard(FULL, changed).await["payload"]["occupant"]["role"], "visitor");
    let answer = json!({ "jid": jid, "nick": "Paris", "allow": true });
    host.call(FULL, "rooms.answer-voice", answer.clone()).await.fails("not-found");

    let asked = host.listen(FULL, "voiceRequest").await;
    submit(&mut paris, &room, ASKS).await;
    let asking = host.heard(FULL, asked).await["payload"]["occupant"].clone();
    let expected = (&json!(jid), &json!("Paris"), &json!("visitor"), &json!(paris.jid().to_string()));
    assert_eq!((&asking["room"], &asking["nick"], &asking["role"], &asking["jid"]), expected, "{asking}");
    host.call(FULL, "rooms.answer-voice", answer.clone()).await.ok();
    assert_eq!(host.heard(FULL, changed).await["payload"]["occupant"]["role"], "participant");
    host.call(FULL, "rooms.answer-voice", answer).await.fails("not-found");
}

/// Rows 158.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_asks_for_voice_where_it_is_a_visitor() {
    let host = Plan::new().await.three().start().await;
    let room = prosody().await.fresh_room();
    let mut juliet = friend("juliet").await;
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    let jid = json!({ "jid": room.to_string(), "nick": "Romeo" });
    host.call(FULL, "rooms.request-voice", jid.clone()).await.fails("not-found");
    host.call(FULL, "rooms.open", jid.clone()).await.ok();
    let changed = host.listen(FULL, "occupantChanged").await;
    let admin = "<query xmlns='http://jabber.org/protocol/muc#admin'><item nick='Romeo' role='visitor'/></query>";
    let payload: Element = admin.parse().unwrap();
    let order = Iq::Set { from: None, to: Some(room.clone().into()), id: String::new(), payload };
    juliet.ask(order, SOON).await.unwrap();
    assert_eq!(host.heard(FULL, changed).await["payload"]["occupant"]["role"], "visitor");

    host.call(FULL, "rooms.request-voice", jid).await.ok();
    let own = host.account().jid.to_string();
    let names_us = |stanza: &Stanza| match stanza {
        Stanza::Message(_) => {
            let xml = String::from(&Element::from(stanza));
            (xml.contains("muc#request") && xml.contains(&own)).then_some(())
        }
        _ => None,
    };
    juliet.wait_for("the request of the bot", SOON, names_us).await.unwrap();
}

/// Rows 158.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_registers_with_a_room_and_reserves_its_nickname() {
    let host = Plan::new().await.three().start().await;
    let room = own_room(&host).await.to_string();
    let register = |nick: &str| json!({ "jid": room, "nick": nick, "fields": [] });
    let one = json!({ "jid": room });
    if software() == Software::Ejabberd {
        host.call(FULL, "rooms.register", register("Bard")).await.fails("stanza");
        host.call(FULL, "rooms.unregister", one).await.fails("stanza");
        return;
    }
    host.call(FULL, "rooms.reserved-nick", one.clone()).await.is(Value::Null);
    for nick in ["Bard", "Poet"] {
        host.call(FULL, "rooms.register", register(nick)).await.ok();
        host.call(FULL, "rooms.reserved-nick", one.clone()).await.is(json!(nick));
    }
    let unknown = json!({ "jid": room, "nick": "Bard", "fields": [["shoesize", "12"]] });
    host.call(FULL, "rooms.register", unknown).await.invalid("fields.shoesize");
    host.call(FULL, "rooms.unregister", one.clone()).await.ok();
    host.call(FULL, "rooms.reserved-nick", one).await.is(Value::Null);
}

/// Rows 158. Rules occupant-id. Events message, occupantJoined.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_knows_authors_by_ids_that_nobody_else_can_write() {
    let host = Plan::new().await.three().start().await;
    let room = own_room(&host).await;
    let heard = host.listen_with(FULL, json!({ "name": "message", "room": room.to_string() })).await;
    let mut paris = friend("paris").await;
    paris.join(&room, "Paris", SOON).await.unwrap();
    let mut message = Message::groupchat(Some(room.clone().into())).with_body(Lang::default(), "hi".to_owned());
    message.payloads.push("<occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>".parse().unwrap());
    paris.send(message).await.unwrap();
    let told = host.heard(FULL, heard).await["payload"]["message"].clone();
    let occupants = host.call(FULL, "rooms.occupants", json!({ "jid": room.to_string() })).await.ok();
    let paris = occupants.as_array().unwrap().iter().find(|one| one["nick"] == "Paris").unwrap();
    assert_eq!(told["occupant-id"], paris["occupant-id"], "{told} {paris}");
    assert_ne!(told["occupant-id"], "forged");
    assert_eq!(told["occupant-id"].is_string(), software() == Software::Prosody, "{told}");
    assert_eq!(paris["hats"], json!([]));
}

/// Grants the guard what it asks for.
fn guard(entry: Entry) -> Entry {
    let scopes = ["messages.read", "rooms.read", "rooms.send", "rooms.moderate", "archive.read"];
    scopes.into_iter().fold(entry, |entry, permission| entry.grant(permission, &["*"])).grant("storage", &["4 MiB"])
}

/// Rows 159.
#[tokio::test(flavor = "multi_thread")]
async fn the_guard_retracts_junk_or_puts_its_author_out() {
    let host = Plan::new().await.three().plugin("guard", "guard", guard).start().await;
    let room = own_room(&host).await;
    let mut paris = friend("paris").await;
    paris.join(&room, "Paris", SOON).await.unwrap();
    paris.say(&room, "see https://junk.example/").await.unwrap();
    let is_over = |stanza: &Stanza| {
        let xml = String::from(&Element::from(stanza));
        let is_done = match software() {
            Software::Prosody => xml.contains("urn:xmpp:message-moderate:"),
            Software::Ejabberd => xml.contains("unavailable") && xml.contains("307"),
        };
        is_done.then_some(())
    };
    paris.wait_for("the retraction, or the kick", SOON, is_over).await.unwrap();
}

/// Rows 159. A moderator has the past of a room swept, what a person said retracted, and the person banned; the log room is told.
#[tokio::test(flavor = "multi_thread")]
async fn the_guard_looks_back_retracts_and_bans_as_a_moderator_orders() {
    let log = prosody().await.fresh_room();
    let tells = |entry: Entry| guard(entry).set("log_room", log.to_string());
    let host = Plan::new().await.three().plugin("guard", "guard", tells).start().await;
    running(&host, "guard").await;
    let room = own_room(&host).await;
    let opens = json!({ "jid": log.to_string(), "nick": "Romeo", "auto-configure": true });
    host.call(FULL, "rooms.open", opens).await.ok();
    let (mut juliet, mut paris) = (friend("juliet").await, friend("paris").await);
    let admin = json!({ "jid": room.to_string(), "user": juliet.jid().to_bare().to_string(), "affiliation": "admin" });
    host.call(FULL, "rooms.set-affiliation", admin).await.ok();
    for entered in [&room, &log] {
        juliet.join(entered, "Juliet", SOON).await.unwrap();
    }
    paris.join(&room, "Paris", SOON).await.unwrap();
    let mut ids = Vec::new();
    for text in ["cheap watches here", "good morning", "even more Cheap Watches"] {
        paris.say(&room, text).await.unwrap();
        let numbered = |stanza: &Stanza| match stanza {
            Stanza::Message(one) if body(one) == Some(text) => {
                let id = one.payloads.iter().find(|payload| payload.is("stanza-id", "urn:xmpp:sid:0"))?;
                id.attr("id").map(str::to_owned)
            }
            _ => None,
        };
        ids.push(paris.wait_for("what was said", SOON, numbered).await.unwrap());
    }
    let is_retracted = |client: &Client, id: &str| {
        let is_of = |xml: &String| xml.contains("urn:xmpp:message-moderate:") && xml.contains(id);
        client.received_xml().iter().any(is_of)
    };

    if software() == Software::Prosody {
        juliet.say(&room, "!sweep 'cheap watches'").await.unwrap();
        paris.wait_body(&room, "Juliet: 2 messages retracted", SOON).await.unwrap();
        let swept: Vec<_> = ids.iter().map(|id| is_retracted(&paris, id)).collect();
        assert_eq!(swept, [true, false, true], "{ids:?}");
        juliet.wait_body(&log, &format!("{room}: swept 2 messages for Juliet"), SOON).await.unwrap();
        juliet.say(&room, "!purge Paris").await.unwrap();
        paris.wait_body(&room, "Juliet: 1 message of Paris retracted", SOON).await.unwrap();
        assert!(is_retracted(&paris, &ids[1]), "{ids:?}");
    } else {
        juliet.say(&room, "!purge Paris").await.unwrap();
        paris.wait_body(&room, "Juliet: this room cannot retract the messages of others", SOON).await.unwrap();
    }

    let gone = host.listen(FULL, "occupantLeft").await;
    juliet.say(&room, "!ban Paris he sells watches").await.unwrap();
    let left = host.heard(FULL, gone).await["payload"]["occupant"].clone();
    assert_eq!((&left["nick"], &left["left"]), (&json!("Paris"), &json!("banned")), "{left}");
    let told = format!("{room}: banned Paris for Juliet: he sells watches");
    juliet.wait_body(&log, &told, SOON).await.unwrap();
}
