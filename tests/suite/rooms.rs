//! `rooms`: rooms with several people (API rows 92–108).

use jid::BareJid;
use parlor_tests::client::Client;
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::minidom::Element;

use crate::house::{BARE, FULL, House, NARROW, Plan, SOON, friend, prosody, refuses, refuses_to_tell};

async fn start() -> (House, BareJid) {
    (Plan::new().await.three().start().await, prosody().await.fresh_room())
}

/// Somebody who made a room.
async fn host_of(room: &BareJid) -> Client {
    let mut host = friend("juliet").await;
    host.join(room, "Juliet", SOON).await.unwrap();
    host.unlock(room, SOON).await.unwrap();
    host
}

/// Rows 92-94, 97, 105, 108.
#[tokio::test(flavor = "multi_thread")]
async fn open_enters_a_room_get_shows_it_and_close_leaves_it() {
    let (house, room) = start().await;
    let mut juliet = host_of(&room).await;
    let jid = json!({ "jid": room.to_string() });
    house.call(FULL, "rooms.get", jid.clone()).await.is(Value::Null);
    house.call(FULL, "rooms.occupants", jid.clone()).await.fails("not-found");
    let opened = house.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    for (field, value) in [("jid", json!(room.to_string())), ("nick", json!("Romeo")), ("joined", json!(true))] {
        assert_eq!(opened[field], value, "{opened}");
    }
    assert_eq!((&opened["role"], &opened["affiliation"]), (&json!("participant"), &json!("none")));
    house.call(FULL, "rooms.get", json!({ "jid": format!("{room}/somebody") })).await.is(opened.clone());
    house.call(FULL, "rooms.get-all", Value::Null).await.is(json!([opened]));
    let many = json!({ "jids": ["else@conference.localhost", room.to_string()] });
    house.call(FULL, "rooms.get-many", many).await.is(json!([null, opened]));
    let occupants = house.call(FULL, "rooms.occupants", jid.clone()).await.ok();
    let nicks: Vec<_> = occupants.as_array().unwrap().iter().map(|one| (&one["nick"], &one["own"])).collect();
    assert_eq!(nicks, [(&json!("Juliet"), &json!(false)), (&json!("Romeo"), &json!(true))]);

    house.call(FULL, "rooms.close", jid.clone()).await.ok();
    house.call(FULL, "rooms.get", jid.clone()).await.is(Value::Null);
    house.call(FULL, "rooms.close", jid).await.fails("not-found");
    let left = |stanza: &Stanza| match stanza {
        Stanza::Presence(presence) => {
            let from = presence.from.as_ref()?;
            (from.resource()?.as_str() == "Romeo" && String::from(&Element::from(stanza)).contains("unavailable"))
                .then_some(())
        }
        _ => None,
    };
    juliet.wait_for("Romeo leaves", SOON, left).await.unwrap();
}

/// Rows 95, 98 and 107.
/// Rows 106.
#[tokio::test(flavor = "multi_thread")]
async fn several_are_opened_and_closed_each_with_its_own_result() {
    let (house, room) = start().await;
    let other = prosody().await.fresh_room();
    let jids = json!({ "jids": [room.to_string(), "@@", other.to_string()] });
    let opened = house.call(FULL, "rooms.open-many", jids).await.ok();
    let own = house.account().jid.node().unwrap().to_string();
    assert_eq!((&opened[0]["ok"]["nick"], &opened[2]["ok"]["joined"]), (&json!(own), &json!(true)), "{opened}");
    assert_eq!(opened[1]["err"]["case"], "invalid", "{opened}");
    let closed = house.call(FULL, "rooms.close-many", json!({ "jids": [room.to_string(), "@@"] })).await.ok();
    assert_eq!((&closed[0]["ok"], &closed[1]["err"]["case"]), (&Value::Null, &json!("invalid")), "{closed}");
    house.call(FULL, "rooms.close-many", json!({ "jids": [] })).await.is(json!([{ "ok": null }]));
    house.call(FULL, "rooms.get-all", Value::Null).await.is(json!([]));
}

/// Row 97.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_refuses_says_why() {
    let (house, room) = start().await;
    let _juliet = host_of(&room).await;
    let taken = json!({ "jid": room.to_string(), "nick": "Juliet" });
    assert_eq!(house.call(FULL, "rooms.open", taken).await.fails("stanza")["condition"], "conflict");
    house.call(FULL, "rooms.get", json!({ "jid": room.to_string() })).await.is(Value::Null);
    house.call(FULL, "rooms.open", json!({ "jid": "@@" })).await.invalid("jid");
}

/// Rows 101 and 102.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_room_is_configured_as_asked() {
    let (house, room) = start().await;
    let fields = json!([["membersonly", ["1"]], ["roomname", ["The hall"]]]);
    let no = json!({ "jid": room.to_string(), "roomconfig": fields });
    house.call(FULL, "rooms.open", no).await.invalid("attributes.roomconfig");
    let asked = json!({ "jid": room.to_string(), "auto-configure": true, "roomconfig": fields });
    house.call(FULL, "rooms.open", asked).await.ok();
    let info = format!("<iq type='get' to='{room}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
    let info = house.call(FULL, "api.send-iq", json!({ "iq": info })).await.ok();
    let info = info.as_str().unwrap();
    assert!(info.contains("muc_membersonly") && info.contains("The hall"), "{info}");
    let mut stranger = friend("stranger").await;
    assert!(stranger.join(&room, "Paris", SOON).await.is_err(), "it is for members");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_heard_by_who_may_and_is_in() {
    let (house, room) = start().await;
    let mut juliet = host_of(&room).await;
    let say = json!({ "jid": room.to_string(), "body": "good evening" });
    house.call(FULL, "rooms.send", say.clone()).await.fails("not-found");
    let plain = house.listen_with(FULL, json!({ "name": "message", "room": room.to_string() })).await;
    let own = house.listen_with(FULL, json!({ "name": "message", "room": room.to_string(), "own": true })).await;
    let narrow = house.listen(NARROW, "message").await;
    house.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    let id = house.call(FULL, "rooms.send", say).await.ok();
    juliet.wait_body(&room, "good evening", SOON).await.unwrap();
    let echo = loop {
        // The room's subject comes first.
        let message = house.heard(FULL, own).await["payload"]["message"].clone();
        if message["body"] != Value::Null {
            break message;
        }
    };
    assert_eq!((&echo["id"], &echo["own"], &echo["nick"]), (&id, &json!(true), &json!("Romeo")));
    juliet.say(&room, "and to you").await.unwrap();
    let message = loop {
        let message = house.heard(FULL, plain).await["payload"]["message"].clone();
        if message["body"] != Value::Null {
            break message;
        }
    };
    assert_eq!((&message["body"], &message["nick"]), (&json!("and to you"), &json!("Juliet")));
    assert_eq!((&message["kind"], &message["chat"]), (&json!("groupchat"), &json!(room.to_string())));
    assert!(house.heard_so_far(NARROW, narrow).await.is_empty());
}

/// Rows 92-94, 97, 105-107.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_or_seen_in_a_room_without_the_grant_for_it() {
    let (house, room) = start().await;
    let mut juliet = host_of(&room).await;
    house.call(FULL, "rooms.open", json!({ "jid": room.to_string() })).await.ok();
    let (jid, text) = (room.to_string(), Some(room.as_str()));
    let (one, configured) =
        (json!({ "jid": jid }), json!({ "jid": jid, "auto-configure": true, "roomconfig": [["x", []]] }));
    refuses(
        &house,
        &[
            ("rooms.get", one.clone(), "rooms.read", text),
            ("rooms.get-many", json!({ "jids": [jid] }), "rooms.read", text),
            ("rooms.occupants", one.clone(), "rooms.read", text),
            ("rooms.open", one.clone(), "rooms.join", text),
            ("rooms.open", configured, "rooms.join", text),
            ("rooms.close", one, "rooms.join", text),
            ("rooms.send", json!({ "jid": jid, "body": "no" }), "rooms.send", text),
        ],
    )
    .await;
    for plugin in [BARE, NARROW] {
        for call in ["rooms.open-many", "rooms.close-many"] {
            let each = house.call(plugin, call, json!({ "jids": [jid] })).await.ok();
            assert_eq!(each[0]["err"]["permission"], "rooms.join", "{call} by {plugin}: {each}");
        }
    }
    let all = json!({ "jids": [] });
    house.call(BARE, "rooms.close-many", all.clone()).await.denied("rooms.join", None);
    house.call(NARROW, "rooms.close-many", all).await.is(json!([]));
    house.call(BARE, "rooms.get-all", Value::Null).await.denied("rooms.read", None);
    house.call(NARROW, "rooms.get-all", Value::Null).await.is(json!([]));
    assert_eq!(house.call(FULL, "rooms.get", json!({ "jid": jid })).await.ok()["joined"], true);
    juliet.catch_up(SOON).await.unwrap();
    let said = juliet.received_xml().into_iter().filter(|xml| xml.starts_with("<message") && xml.contains("<body"));
    assert_eq!(said.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn entering_a_room_needs_another_grant_to_configure_it() {
    let joins = |entry: parlor_tests::policy::Entry| entry.grant("rooms.join", &["*"]);
    let house = Plan::new().await.caller("joiner", joins).start().await;
    let room = prosody().await.fresh_room().to_string();
    let asked = json!({ "jid": room, "auto-configure": true, "roomconfig": [["roomname", ["mine"]]] });
    house.call("joiner", "rooms.open", asked).await.denied("rooms.configure", Some(&room));
    house.call("joiner", "rooms.open", json!({ "jid": room })).await.ok();
}

/// Events `chatRoomOpened`, `roomLeft`, `occupantJoined`, `occupantLeft`, `occupantChanged`, `roomSubjectChanged`.
#[tokio::test(flavor = "multi_thread")]
async fn comings_goings_and_subjects_are_told_to_who_may_know() {
    let (house, room) = start().await;
    let events =
        ["chatRoomOpened", "roomLeft", "occupantJoined", "occupantLeft", "occupantChanged", "roomSubjectChanged"];
    refuses_to_tell(&house, "rooms.read", &events).await;
    refuses_to_tell(&house, "rooms.read", &["roomInviteReceived", "configurationNeeded", "roomsAutoJoined"]).await;
    let mut juliet = host_of(&room).await;
    let (mut full, mut narrow) = (Vec::new(), Vec::new());
    for event in events {
        full.push(house.listen(FULL, event).await);
        narrow.push(house.listen(NARROW, event).await);
    }
    let [opened, left, joined, gone, changed, subject] = full[..] else { unreachable!("six of them") };
    house.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    assert_eq!(house.heard(FULL, opened).await["payload"]["room"]["jid"], room.to_string());

    let mut paris = friend("paris").await;
    paris.join(&room, "Paris", SOON).await.unwrap();
    let occupant = loop {
        let occupant = house.heard(FULL, joined).await["payload"]["occupant"].clone();
        if occupant["nick"] == "Paris" {
            break occupant;
        }
    };
    assert_eq!((&occupant["room"], &occupant["role"]), (&json!(room.to_string()), &json!("participant")));
    let address = room.with_resource_str("Tybalt").unwrap();
    paris.send(xmpp_parsers::presence::Presence::available().with_to(address)).await.unwrap();
    let occupant = house.heard(FULL, changed).await["payload"]["occupant"].clone();
    assert_eq!((&occupant["nick"], &occupant["previous-nick"]), (&json!("Tybalt"), &json!("Paris")));
    paris.leave(&room, "Tybalt").await.unwrap();
    let occupant = house.heard(FULL, gone).await["payload"]["occupant"].clone();
    assert_eq!((&occupant["nick"], &occupant["left"]), (&json!("Tybalt"), &json!("left")));

    let mut message = xmpp_parsers::message::Message::groupchat(Some(room.clone().into()));
    message.subjects.insert(String::new().into(), "News".to_owned());
    juliet.send(message).await.unwrap();
    while house.heard(FULL, subject).await["payload"]["room"]["subject"] != "News" {}
    house.call(FULL, "rooms.close", json!({ "jid": room.to_string() })).await.ok();
    assert_eq!(house.heard(FULL, left).await["payload"]["room"]["joined"], false);
    for (event, n) in events.iter().zip(narrow) {
        assert!(house.heard_so_far(NARROW, n).await.is_empty(), "{event} is about a room that its grant leaves out");
    }
}

/// Events `roomInviteReceived`.
#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_told() {
    let (house, room) = start().await;
    let mut juliet = host_of(&room).await;
    let (full, narrow) =
        (house.listen(FULL, "roomInviteReceived").await, house.listen(NARROW, "roomInviteReceived").await);
    let bot = &house.account().jid;
    let invite = Element::builder("invite", "http://jabber.org/protocol/muc#user")
        .attr("to".try_into().unwrap(), bot.to_string())
        .append(Element::builder("reason", "http://jabber.org/protocol/muc#user").append("come over").build());
    let x = Element::builder("x", "http://jabber.org/protocol/muc#user").append(invite.build()).build();
    let mut message = xmpp_parsers::message::Message::new(Some(room.clone().into()));
    message.type_ = xmpp_parsers::message::MessageType::Normal;
    message.payloads.push(x);
    juliet.send(message).await.unwrap();
    juliet.catch_up(SOON).await.unwrap();
    let invite = house.heard(FULL, full).await["payload"]["invite"].clone();
    assert_eq!((&invite["room"], &invite["reason"]), (&json!(room.to_string()), &json!("come over")));
    // The room may name the occupant or the account behind it.
    let from = invite["from"].as_str().unwrap();
    assert!(from == format!("{room}/Juliet") || from.starts_with(juliet.jid().to_bare().as_str()), "{invite}");
    assert!(house.heard_so_far(NARROW, narrow).await.is_empty());
}
