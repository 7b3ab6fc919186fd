//! `rooms`: rooms with several people (rows 92–108 of `tests/conformance.toml`).
#![allow(clippy::doc_markdown, reason = "what a test shows is named as the list of the API spells it")]

use jid::BareJid;
use parlor_tests::client::{Client, body};
use parlor_tests::server::Software;
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;

use crate::chats::shown_as_buy_now;
use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, TestHost, friend, prosody, refuses, refuses_to_tell, software};

async fn start() -> (TestHost, BareJid) {
    (Plan::new().await.three().start().await, prosody().await.fresh_room())
}

/// Logs in a client that creates the room.
async fn host_of(room: &BareJid) -> Client {
    let mut host = friend("juliet").await;
    host.join(room, "Juliet", SOON).await.unwrap();
    host.unlock(room, SOON).await.unwrap();
    host
}

/// Rows 92-94, 97, 100, 105, 108.
#[tokio::test(flavor = "multi_thread")]
async fn open_enters_a_room_get_shows_it_and_close_leaves_it() {
    let (host, room) = start().await;
    let mut juliet = host_of(&room).await;
    let jid = json!({ "jid": room.to_string() });
    host.call(FULL, "rooms.get", jid.clone()).await.is(Value::Null);
    host.call(FULL, "rooms.occupants", jid.clone()).await.fails("not-found");
    let opened = host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    for (field, value) in [("jid", json!(room.to_string())), ("nick", json!("Romeo")), ("joined", json!(true))] {
        assert_eq!(opened[field], value, "{opened}");
    }
    assert_eq!((&opened["role"], &opened["affiliation"]), (&json!("participant"), &json!("none")));
    // Addresses are compared as in RFC 7622.
    let shouted = format!("{}/somebody", room.to_string().to_uppercase());
    assert_eq!(host.call(FULL, "rooms.get", json!({ "jid": shouted })).await.ok()["jid"], room.to_string());
    let all = host.call(FULL, "rooms.get-all", Value::Null).await.ok();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["jid"]), (1, &json!(room.to_string())));
    let many = json!({ "jids": ["else@conference.localhost", room.to_string()] });
    let many = host.call(FULL, "rooms.get-many", many).await.ok();
    assert_eq!((&many[0], &many[1]["nick"]), (&Value::Null, &json!("Romeo")));
    let occupants = host.call(FULL, "rooms.occupants", jid.clone()).await.ok();
    let nicks: Vec<_> = occupants.as_array().unwrap().iter().map(|one| (&one["nick"], &one["own"])).collect();
    assert_eq!(nicks, [(&json!("Juliet"), &json!(false)), (&json!("Romeo"), &json!(true))]);

    host.call(FULL, "rooms.close", jid.clone()).await.ok();
    host.call(FULL, "rooms.get", jid.clone()).await.is(Value::Null);
    host.call(FULL, "rooms.close", jid).await.fails("not-found");
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

/// Rows 95, 98, 99, 106, 107.
#[tokio::test(flavor = "multi_thread")]
async fn several_are_opened_and_closed_each_with_its_own_result() {
    let (host, room) = start().await;
    let other = prosody().await.fresh_room();
    let jids = json!({ "jids": [room.to_string(), "@@", other.to_string()] });
    let opened = host.call(FULL, "rooms.open-many", jids).await.ok();
    let own = host.account().jid.node().unwrap().to_string();
    assert_eq!((&opened[0]["ok"]["nick"], &opened[2]["ok"]["joined"]), (&json!(own), &json!(true)), "{opened}");
    assert_eq!(opened[1]["err"]["case"], "invalid", "{opened}");
    let all = host.call(FULL, "rooms.open-many", json!({ "jids": [] })).await.ok();
    assert_eq!(all.as_array().unwrap().iter().filter(|one| one["ok"]["joined"] == true).count(), 2, "{all}");
    host.call(NARROW, "rooms.open-many", json!({ "jids": [] })).await.is(json!([]));
    host.call(BARE, "rooms.open-many", json!({ "jids": [] })).await.denied("rooms.join", None);
    let closed = host.call(FULL, "rooms.close-many", json!({ "jids": [room.to_string(), "@@"] })).await.ok();
    assert_eq!((&closed[0]["ok"], &closed[1]["err"]["case"]), (&Value::Null, &json!("invalid")), "{closed}");
    host.call(FULL, "rooms.close-many", json!({ "jids": [] })).await.is(json!([{ "ok": null }]));
    host.call(FULL, "rooms.get-all", Value::Null).await.is(json!([]));
}

/// Rows 97, 100.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_refuses_says_why() {
    let (host, room) = start().await;
    let _juliet = host_of(&room).await;
    let taken = json!({ "jid": room.to_string(), "nick": "Juliet" });
    assert_eq!(host.call(FULL, "rooms.open", taken).await.fails("stanza")["condition"], "conflict");
    host.call(FULL, "rooms.get", json!({ "jid": room.to_string() })).await.is(Value::Null);
    host.call(FULL, "rooms.open", json!({ "jid": "@@" })).await.invalid("jid");
}

/// Rows 101, 102.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_room_is_configured_as_asked() {
    let (host, room) = start().await;
    let fields = json!([["membersonly", ["1"]], ["roomname", ["The hall"]]]);
    let no = json!({ "jid": room.to_string(), "roomconfig": fields });
    host.call(FULL, "rooms.open", no).await.invalid("attributes.roomconfig");
    let asked = json!({ "jid": room.to_string(), "auto-configure": true, "roomconfig": fields });
    host.call(FULL, "rooms.open", asked).await.ok();
    let info = format!("<iq type='get' to='{room}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
    let info = host.call(FULL, "api.send-iq", json!({ "iq": info })).await.ok();
    let info = info.as_str().unwrap();
    assert!(info.contains("muc_membersonly") && info.contains("The hall"), "{info}");
    let mut stranger = friend("stranger").await;
    assert!(stranger.join(&room, "Paris", SOON).await.is_err(), "it is for members");
}

/// Row 108. Events message.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_heard_by_who_may_and_is_in() {
    let (host, room) = start().await;
    let mut juliet = host_of(&room).await;
    let say = json!({ "jid": room.to_string(), "body": "good evening" });
    host.call(FULL, "rooms.send", say.clone()).await.fails("not-found");
    let plain = host.listen_with(FULL, json!({ "name": "message", "room": room.to_string() })).await;
    let own = host.listen_with(FULL, json!({ "name": "message", "room": room.to_string(), "own": true })).await;
    let narrow = host.listen(NARROW, "message").await;
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    let id = host.call(FULL, "rooms.send", say).await.ok();
    juliet.wait_body(&room, "good evening", SOON).await.unwrap();
    let echo = loop {
        // The room's subject comes first.
        let message = host.heard(FULL, own).await["payload"]["message"].clone();
        if message["body"] != Value::Null {
            break message;
        }
    };
    assert_eq!((&echo["id"], &echo["own"], &echo["nick"]), (&id, &json!(true), &json!("Romeo")));
    juliet.say(&room, "and to you").await.unwrap();
    let message = loop {
        let message = host.heard(FULL, plain).await["payload"]["message"].clone();
        if message["body"] != Value::Null {
            break message;
        }
    };
    assert_eq!((&message["body"], &message["nick"]), (&json!("and to you"), &json!("Juliet")));
    assert_eq!((&message["kind"], &message["chat"]), (&json!("groupchat"), &json!(room.to_string())));
    assert!(host.heard_so_far(NARROW, narrow).await.is_empty());
}

/// Row 108. Events messageSend.
#[tokio::test(flavor = "multi_thread")]
async fn what_we_say_in_a_room_is_told_to_who_may_read_the_room() {
    let room = prosody().await.fresh_room();
    let plan = Plan::new().await.three().caller("there", |entry| entry.grant("messages.read", &[room.as_str()]));
    let host = plan.caller("here", |entry| entry.grant("messages.read", &["@localhost"])).start().await;
    let said = json!({ "name": "messageSend", "room": room.to_string() });
    let (full, there) = (host.listen_with(FULL, said.clone()).await, host.listen_with("there", said).await);
    let (here, narrow) = (host.listen("here", "messageSend").await, host.listen(NARROW, "messageSend").await);
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    let id = host.call(FULL, "rooms.send", json!({ "jid": room.to_string(), "body": "good evening" })).await.ok();
    for (plugin, ear) in [(FULL, full), ("there", there)] {
        let message = host.heard(plugin, ear).await["payload"]["message"].clone();
        assert_eq!((&message["id"], &message["chat"]), (&id, &json!(room.to_string())), "{message}");
        assert_eq!((&message["nick"], &message["own"]), (&json!("Romeo"), &json!(true)), "{message}");
    }
    assert!(host.heard_so_far("here", here).await.is_empty(), "no account of that domain heard it");
    assert!(host.heard_so_far(NARROW, narrow).await.is_empty());
}

/// Rows 92-99, 105-108.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_or_seen_in_a_room_without_the_grant_for_it() {
    let (host, room) = start().await;
    let mut juliet = host_of(&room).await;
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string() })).await.ok();
    let (jid, text) = (room.to_string(), Some(room.as_str()));
    let (one, configured) =
        (json!({ "jid": jid }), json!({ "jid": jid, "auto-configure": true, "roomconfig": [["x", []]] }));
    refuses(
        &host,
        &[
            ("rooms.get", one.clone(), "rooms.read", text),
            ("rooms.get-many", json!({ "jids": [jid] }), "rooms.read", text),
            ("rooms.occupants", one.clone(), "rooms.read", text),
            ("rooms.open", one.clone(), "rooms.join", text),
            ("rooms.open", configured, "rooms.join", text),
            ("rooms.close", one.clone(), "rooms.join", text),
            ("rooms.get-or-create", one.clone(), "rooms.read", text),
            ("rooms.focus", one.clone(), "rooms.join", text),
            ("rooms.show", one.clone(), "rooms.join", text),
            ("rooms.maximize", one.clone(), "rooms.join", text),
            ("rooms.minimize", one.clone(), "rooms.join", text),
            ("rooms.get-attribute", json!({ "jid": jid, "name": "url" }), "rooms.read", text),
            ("rooms.set-attribute", json!({ "jid": jid, "name": "url", "value": "x" }), "rooms.join", text),
            ("rooms.set-subject", json!({ "jid": jid, "subject": "no" }), "rooms.moderate", text),
            ("rooms.set-role", json!({ "jid": jid, "nick": "Juliet", "role": "none" }), "rooms.moderate", text),
            ("rooms.kick", json!({ "jid": jid, "nick": "Juliet" }), "rooms.moderate", text),
            ("rooms.ban", json!({ "jid": jid, "user": "a@b" }), "rooms.moderate", text),
            ("rooms.retract", json!({ "jid": jid, "id": "7" }), "rooms.moderate", text),
            ("rooms.request-voice", one.clone(), "rooms.join", text),
            ("rooms.answer-voice", json!({ "jid": jid, "nick": "Juliet", "allow": true }), "rooms.moderate", text),
            ("rooms.register", json!({ "jid": jid, "nick": "x", "fields": [] }), "rooms.join", text),
            ("rooms.unregister", one.clone(), "rooms.join", text),
            ("rooms.reserved-nick", one.clone(), "rooms.read", text),
            (
                "rooms.set-affiliation",
                json!({ "jid": jid, "user": "a@b", "affiliation": "member" }),
                "rooms.moderate",
                text,
            ),
            ("rooms.affiliations", json!({ "jid": jid, "affiliation": "owner" }), "rooms.moderate", text),
            ("rooms.invite", json!({ "jid": jid, "user": "a@b" }), "rooms.moderate", text),
            ("rooms.decline", json!({ "jid": jid, "inviter": "a@b" }), "rooms.join", text),
            ("rooms.configure", json!({ "jid": jid, "fields": [["roomname", "x"]] }), "rooms.configure", text),
            ("rooms.destroy", one.clone(), "rooms.configure", text),
            ("rooms.set-bookmark", one.clone(), "rooms.join", text),
            ("rooms.remove-bookmark", one, "rooms.join", text),
            ("rooms.send", json!({ "jid": jid, "body": "no" }), "rooms.send", text),
        ],
    )
    .await;
    for plugin in [BARE, NARROW] {
        for call in ["rooms.open-many", "rooms.close-many"] {
            let each = host.call(plugin, call, json!({ "jids": [jid] })).await.ok();
            assert_eq!(each[0]["err"]["permission"], "rooms.join", "{call} by {plugin}: {each}");
        }
    }
    let all = json!({ "jids": [] });
    host.call(BARE, "rooms.close-many", all.clone()).await.denied("rooms.join", None);
    host.call(NARROW, "rooms.close-many", all).await.is(json!([]));
    host.call(BARE, "rooms.get-all", Value::Null).await.denied("rooms.read", None);
    host.call(BARE, "rooms.bookmarks", Value::Null).await.denied("rooms.read", None);
    host.call(NARROW, "rooms.bookmarks", Value::Null).await.is(json!([]));
    host.call(NARROW, "rooms.get-all", Value::Null).await.is(json!([]));
    assert_eq!(host.call(FULL, "rooms.get", json!({ "jid": jid })).await.ok()["joined"], true);
    juliet.catch_up(SOON).await.unwrap();
    let said = juliet.received_xml().into_iter().filter(|xml| xml.starts_with("<message") && xml.contains("<body"));
    assert_eq!(said.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn entering_a_room_needs_another_grant_to_configure_it() {
    let joins = |entry: parlor_tests::policy::Entry| entry.grant("rooms.join", &["*"]);
    let host = Plan::new().await.caller("joiner", joins).start().await;
    let room = prosody().await.fresh_room().to_string();
    let asked = json!({ "jid": room, "auto-configure": true, "roomconfig": [["roomname", ["mine"]]] });
    host.call("joiner", "rooms.open", asked).await.denied("rooms.configure", Some(&room));
    host.call("joiner", "rooms.open", json!({ "jid": room })).await.ok();
}

/// Rules occupant, oversized.
/// Otherwise an occupant who is not seen to enter could speak unnoticed.
#[tokio::test(flavor = "multi_thread")]
async fn an_occupant_is_seen_whatever_comes_with_its_presence() {
    let (host, room) = start().await;
    let _juliet = host_of(&room).await;
    let joined = host.listen(FULL, "occupantJoined").await;
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    let bomb = format!("<x xmlns='urn:x' xmlns:p='{}'>{}</x>", "u".repeat(254), "<p:a/>".repeat(30_000));
    let long = format!("<x xmlns='urn:x' a='{}'/>", "y".repeat(9_000));
    let mut streams = Vec::new();
    for (nick, bomb) in [("Paris", bomb), ("Tybalt", long)] {
        let join = format!(
            "<presence to='{room}/{nick}'>{bomb}<x xmlns='http://jabber.org/protocol/muc'/><status>1</status>\
             <status>2</status></presence>"
        );
        streams.push(friend("intruder").await.write_raw(&join).await.unwrap());
        let occupant = loop {
            let occupant = host.heard(FULL, joined).await["payload"]["occupant"].clone();
            if occupant["nick"] == nick {
                break occupant;
            }
        };
        assert_eq!((&occupant["role"], &occupant["status"]), (&json!("participant"), &json!("1")), "{occupant}");
    }
}

/// Rules first-text, oversized.
/// The same as in chats, for a message that a room has passed on, and for one that its archive gives again.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_told_what_people_in_a_room_are_shown() {
    let (host, room) = start().await;
    let _juliet = host_of(&room).await;
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    let heard = host.listen(FULL, "message").await;
    let said = shown_as_buy_now();
    let enters = format!("<presence to='{room}/Paris'><x xmlns='http://jabber.org/protocol/muc'/></presence>");
    let says = said.iter().map(|(inside, ..)| format!("<message to='{room}' type='groupchat'>{inside}</message>"));
    let xml: String = std::iter::once(enters).chain(says).collect();
    let _stream = friend("intruder").await.write_raw(&xml).await.unwrap();
    let check = |message: &Value, (inside, bodies, is_cut): &(String, usize, bool)| {
        assert_eq!(message["body"], "BUY NOW", "{inside:.60}: {message}");
        assert_eq!(message["bodies"].as_array().unwrap().len(), *bodies, "{inside:.60}: {message}");
        assert_eq!(message["cut"].is_string(), *is_cut, "{inside:.60}: {message}");
    };
    for one in &said {
        check(&host.heard(FULL, heard).await["payload"]["message"], one);
    }
    let kept = host.call(FULL, "archive.query", json!({ "with": room.to_string(), "max": 50 })).await.ok();
    let kept: Vec<_> =
        kept["messages"].as_array().unwrap().iter().filter(|one| one["message"]["body"].is_string()).collect();
    assert_eq!(kept.len(), said.len(), "{kept:?}");
    for (message, one) in kept.into_iter().zip(&said) {
        check(&message["message"], one);
    }
}

/// Rules occupant.
/// XEP-0045, section 7.2.1: ejabberd admits clients that enter with the older groupchat protocol, Prosody does not.
#[tokio::test(flavor = "multi_thread")]
async fn who_enters_in_the_older_way_is_heard_where_people_hear_them() {
    let (host, room) = start().await;
    let mut juliet = host_of(&room).await;
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    let (joined, heard) = (host.listen(FULL, "occupantJoined").await, host.listen(FULL, "message").await);
    let said = |text: &str| format!("<message to='{room}' type='groupchat'><body>{text}</body></message>");
    let enters = "<x xmlns='http://jabber.org/protocol/muc'/>";
    let old =
        format!("<presence to='{room}/Old'/>{}<presence to='{room}/Old' type='unavailable'/>", said("from before"));
    let new = format!("<presence to='{room}/New'>{enters}</presence>{}", said("of today"));
    let _stream = friend("intruder").await.write_raw(&(old + &new)).await.unwrap();
    let last = |stanza: &Stanza| match stanza {
        Stanza::Message(message) if body(message) == Some("of today") => Some(()),
        _ => None,
    };
    juliet.wait_for("the last word", SOON, last).await.unwrap();
    let people_hear = juliet.received_xml().iter().any(|xml| xml.contains("from before"));
    assert_eq!(people_hear, software() == Software::Ejabberd);
    let (nicks, texts) = if people_hear {
        (&["Old", "New"][..], &["from before", "of today"][..])
    } else {
        (&["New"][..], &["of today"][..])
    };
    for text in texts {
        assert_eq!(host.heard(FULL, heard).await["payload"]["message"]["body"], *text);
    }
    for nick in nicks {
        let occupant = host.heard(FULL, joined).await["payload"]["occupant"].clone();
        assert_eq!((&occupant["nick"], &occupant["role"]), (&json!(nick), &json!("participant")), "{occupant}");
    }
}

/// Events chatRoomOpened, roomLeft, occupantJoined, occupantLeft, occupantChanged, roomSubjectChanged.
#[tokio::test(flavor = "multi_thread")]
async fn comings_goings_and_subjects_are_told_to_who_may_know() {
    let (host, room) = start().await;
    let events =
        ["chatRoomOpened", "roomLeft", "occupantJoined", "occupantLeft", "occupantChanged", "roomSubjectChanged"];
    refuses_to_tell(&host, "rooms.read", &events).await;
    refuses_to_tell(&host, "rooms.read", &["roomInviteReceived", "configurationNeeded", "roomsAutoJoined"]).await;
    let mut juliet = host_of(&room).await;
    let (mut full, mut narrow) = (Vec::new(), Vec::new());
    for event in events {
        full.push(host.listen(FULL, event).await);
        narrow.push(host.listen(NARROW, event).await);
    }
    let [opened, left, joined, gone, changed, subject] = full[..] else { unreachable!("six of them") };
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    assert_eq!(host.heard(FULL, opened).await["payload"]["room"]["jid"], room.to_string());

    let mut paris = friend("paris").await;
    paris.join(&room, "Paris", SOON).await.unwrap();
    let occupant = loop {
        let occupant = host.heard(FULL, joined).await["payload"]["occupant"].clone();
        if occupant["nick"] == "Paris" {
            break occupant;
        }
    };
    assert_eq!((&occupant["room"], &occupant["role"]), (&json!(room.to_string()), &json!("participant")));
    let address = room.with_resource_str("Tybalt").unwrap();
    paris.send(xmpp_parsers::presence::Presence::available().with_to(address)).await.unwrap();
    let occupant = host.heard(FULL, changed).await["payload"]["occupant"].clone();
    assert_eq!((&occupant["nick"], &occupant["previous-nick"]), (&json!("Tybalt"), &json!("Paris")));
    paris.leave(&room, "Tybalt").await.unwrap();
    let occupant = host.heard(FULL, gone).await["payload"]["occupant"].clone();
    assert_eq!((&occupant["nick"], &occupant["left"]), (&json!("Tybalt"), &json!("left")));

    let mut message = xmpp_parsers::message::Message::groupchat(Some(room.clone().into()));
    message.subjects.insert(String::new().into(), "News".to_owned());
    juliet.send(message).await.unwrap();
    while host.heard(FULL, subject).await["payload"]["room"]["subject"] != "News" {}
    host.call(FULL, "rooms.close", json!({ "jid": room.to_string() })).await.ok();
    assert_eq!(host.heard(FULL, left).await["payload"]["room"]["joined"], false);
    for (event, n) in events.iter().zip(narrow) {
        assert!(host.heard_so_far(NARROW, n).await.is_empty(), "{event} is about a room that its grant leaves out");
    }
}

/// Events roomInviteReceived.
#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_told() {
    let (host, room) = start().await;
    let mut juliet = host_of(&room).await;
    let (full, narrow) =
        (host.listen(FULL, "roomInviteReceived").await, host.listen(NARROW, "roomInviteReceived").await);
    let bot = &host.account().jid;
    let invite = Element::builder("invite", "http://jabber.org/protocol/muc#user")
        .attr("to".try_into().unwrap(), bot.to_string())
        .append(Element::builder("reason", "http://jabber.org/protocol/muc#user").append("come over").build());
    let x = Element::builder("x", "http://jabber.org/protocol/muc#user").append(invite.build()).build();
    let mut message = xmpp_parsers::message::Message::new(Some(room.clone().into()));
    message.type_ = xmpp_parsers::message::MessageType::Normal;
    message.payloads.push(x);
    juliet.send(message).await.unwrap();
    juliet.catch_up(SOON).await.unwrap();
    let invite = host.heard(FULL, full).await["payload"]["invite"].clone();
    assert_eq!((&invite["room"], &invite["reason"]), (&json!(room.to_string()), &json!("come over")));
    // The room may name the occupant or the account behind it.
    let from = invite["from"].as_str().unwrap();
    assert!(from == format!("{room}/Juliet") || from.starts_with(juliet.jid().to_bare().as_str()), "{invite}");
    assert!(host.heard_so_far(NARROW, narrow).await.is_empty());
}

/// Sends an order to a room, which must obey it.
async fn order(client: &mut Client, room: &BareJid, payload: &str) {
    let payload: Element = payload.parse().unwrap();
    client.ask(Iq::Set { from: None, to: Some(room.clone().into()), id: String::new(), payload }, SOON).await.unwrap();
}

/// Sets fields of a room's configuration as its owner, and leaves the others unchanged.
async fn configure(owner: &mut Client, room: &BareJid, fields: &[(&str, &str)]) {
    let fields =
        fields.iter().map(|(name, value)| format!("<field var='muc#roomconfig_{name}'><value>{value}</value></field>"));
    let payload = format!(
        "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field \
         var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>{}</x></query>",
        fields.collect::<String>()
    );
    order(owner, room, &payload).await;
}

/// Builds an item of `muc#admin`.
fn admin(item: &str) -> String {
    format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query>")
}

/// Row 95. Settings nickname, muc_nickname_from_jid.
#[tokio::test(flavor = "multi_thread")]
async fn the_nickname_is_the_given_the_bookmarks_the_settings_or_our_own() {
    let host = Plan::new().await.set("nickname", "Host").three().start().await;
    let (room, other, third) = (fresh().await, fresh().await, fresh().await);
    let opened = host.call(FULL, "rooms.open", json!({ "jid": room })).await.ok();
    assert_eq!(opened["nick"], "Host");
    let opened = host.call(FULL, "rooms.open", json!({ "jid": other, "nick": "Given" })).await.ok();
    assert_eq!(opened["nick"], "Given");
    host.call(FULL, "rooms.set-bookmark", json!({ "jid": third, "nick": "Marked" })).await.ok();
    assert_eq!(host.call(FULL, "rooms.open", json!({ "jid": third })).await.ok()["nick"], "Marked");
    let host = Plan::new().await.set("nickname", "Host").set("muc_nickname_from_jid", true).three().start().await;
    let opened = host.call(FULL, "rooms.open", json!({ "jid": room })).await.ok();
    assert_eq!(opened["nick"], host.account().jid.node().unwrap().to_string());
}

async fn fresh() -> String {
    prosody().await.fresh_room().to_string()
}

/// Rows 95, 96.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_created_where_that_is_wanted() {
    let (host, room) = start().await;
    let jid = room.to_string();
    host.call(FULL, "rooms.get-or-create", json!({ "jid": jid, "nick": "Romeo" })).await.is(Value::Null);
    host.call(FULL, "rooms.get", json!({ "jid": jid })).await.is(Value::Null);
    let made = json!({ "jid": jid, "nick": "Romeo", "create": true });
    let room = host.call(FULL, "rooms.get-or-create", made).await.ok();
    assert_eq!(
        (&room["nick"], &room["joined"], &room["affiliation"]),
        (&json!("Romeo"), &json!(true), &json!("owner"))
    );
    let again = json!({ "jid": jid, "nick": "Tybalt" });
    assert_eq!(host.call(FULL, "rooms.get-or-create", again).await.ok()["nick"], "Romeo", "it is there");
    let reads = |entry: parlor_tests::policy::Entry| entry.grant("rooms.read", &["*"]);
    let host = Plan::new().await.caller("reader", reads).start().await;
    host.call("reader", "rooms.get-or-create", json!({ "jid": jid })).await.is(Value::Null);
    let create = json!({ "jid": jid, "create": true });
    host.call("reader", "rooms.get-or-create", create).await.denied("rooms.join", Some(&jid));
}

/// Rows 97, 100.
#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_refusal_has_its_condition() {
    let (host, room) = start().await;
    let jid = room.to_string();
    let refused = async |args: Value| host.call(FULL, "rooms.open", args).await.fails("stanza")["condition"].clone();
    let mut juliet = friend("juliet").await;
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    if software() == Software::Prosody {
        assert_eq!(refused(json!({ "jid": jid })).await, "item-not-found", "she has not unlocked it yet");
    }
    configure(&mut juliet, &room, &[("roomsecret", "open sesame"), ("passwordprotectedroom", "1")]).await;
    assert_eq!(refused(json!({ "jid": jid })).await, "not-authorized");
    assert_eq!(refused(json!({ "jid": jid, "password": "wrong" })).await, "not-authorized");
    let opened = host.call(FULL, "rooms.open", json!({ "jid": jid, "password": "open sesame" })).await.ok();
    assert_eq!(opened["joined"], true);
    host.call(FULL, "rooms.close", json!({ "jid": jid })).await.ok();
    configure(&mut juliet, &room, &[("roomsecret", ""), ("passwordprotectedroom", "0"), ("membersonly", "1")]).await;
    assert_eq!(refused(json!({ "jid": jid })).await, "registration-required");
    configure(&mut juliet, &room, &[("membersonly", "0")]).await;
    let bot = host.account().jid.to_string();
    order(&mut juliet, &room, &admin(&format!("<item affiliation='outcast' jid='{bot}'/>"))).await;
    assert_eq!(refused(json!({ "jid": jid })).await, "forbidden");
    host.call(FULL, "rooms.get-all", Value::Null).await.is(json!([]));
    // A server without federation may choose the error for this.
    assert!(refused(json!({ "jid": "room@nowhere.invalid" })).await.is_string());
}

/// Rows 97, 102. A server that limits the size of rooms reports a full one; the other server has no field for the
/// limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_room_lets_nobody_in_and_says_so() {
    let (host, room) = start().await;
    let bounded = json!({ "jid": fresh().await, "auto-configure": true, "roomconfig": [["maxusers", "5"]] });
    let made = host.call(FULL, "rooms.open", bounded.clone()).await;
    if software() == Software::Prosody {
        made.invalid("attributes.roomconfig.maxusers");
        // The host leaves the room again, which the room confirms.
        while host.call(FULL, "rooms.get-all", Value::Null).await.ok() != json!([]) {}
        return;
    }
    assert_eq!(made.ok()["joined"], true);
    let mut juliet = host_of(&room).await;
    configure(&mut juliet, &room, &[("maxusers", "1")]).await;
    let full = host.call(FULL, "rooms.open", json!({ "jid": room.to_string() })).await.fails("stanza");
    assert_eq!((&full["condition"], &full["kind"]), (&json!("resource-constraint"), &json!("wait")), "{full}");
    host.call(FULL, "rooms.get", json!({ "jid": room.to_string() })).await.is(Value::Null);
    configure(&mut juliet, &room, &[("maxusers", "5")]).await;
    assert_eq!(host.call(FULL, "rooms.open", json!({ "jid": room.to_string() })).await.ok()["joined"], true);
}

/// Rows 101, 102, 108.
#[tokio::test(flavor = "multi_thread")]
async fn a_rooms_configuration_takes_flags_and_lists_and_keeps_the_rest() {
    let (host, room) = start().await;
    let jid = room.to_string();
    let fields = json!([
        ["persistentroom", true],
        ["publicroom", false],
        ["roomname", "The hall"],
        ["presencebroadcast", ["participant", "moderator"]],
        ["whois", "anyone"],
    ]);
    let asked = json!({ "jid": jid, "auto-configure": true, "roomconfig": fields });
    let opened = host.call(FULL, "rooms.open", asked).await.ok();
    assert_eq!((&opened["joined"], &opened["affiliation"]), (&json!(true), &json!("owner")));
    let form = async || {
        let iq = format!("<iq type='get' to='{room}'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>");
        let answer = host.call(FULL, "api.send-iq", json!({ "iq": iq })).await.ok();
        let answer: Element = answer.as_str().unwrap().parse().unwrap();
        let query = answer.children().next().unwrap();
        let form = query.children().next().unwrap().clone();
        move |name: &str| -> Vec<String> {
            let name = format!("muc#roomconfig_{name}");
            let field = form.children().find(|field| field.attr("var") == Some(&*name)).unwrap();
            field.children().filter(|one| one.name() == "value").map(Element::text).collect()
        }
    };
    let value = form().await;
    assert_eq!((value("persistentroom"), value("publicroom")), (vec!["1".to_owned()], vec!["0".to_owned()]));
    assert_eq!((value("roomname"), value("whois")), (vec!["The hall".to_owned()], vec!["anyone".to_owned()]));
    let mut broadcast = value("presencebroadcast");
    broadcast.sort();
    assert_eq!(broadcast, ["moderator", "participant"]);

    let change = json!({ "jid": jid, "fields": [["moderatedroom", true], ["roomdesc", "Comfy"]] });
    host.call(FULL, "rooms.configure", change).await.ok();
    let value = form().await;
    assert_eq!((value("moderatedroom"), value("roomdesc")), (vec!["1".to_owned()], vec!["Comfy".to_owned()]));
    assert_eq!((value("roomname"), value("persistentroom")), (vec!["The hall".to_owned()], vec!["1".to_owned()]));

    for (fields, argument) in [
        (json!([["nonsense", true]]), "fields.nonsense"),
        (json!([["whois", "nobody"]]), "fields.whois"),
        (json!([["moderatedroom", "perhaps"]]), "fields.moderatedroom"),
        (json!([]), "fields"),
    ] {
        host.call(FULL, "rooms.configure", json!({ "jid": jid, "fields": fields })).await.invalid(argument);
    }
    // A room that cannot be configured as requested is not created at all.
    let other = prosody().await.fresh_room();
    let asked = json!({ "jid": other.to_string(), "auto-configure": true, "roomconfig": [["nonsense", true]] });
    host.call(FULL, "rooms.open", asked).await.invalid("attributes.roomconfig.nonsense");
    let gone = host.call(FULL, "rooms.close", json!({ "jid": other.to_string() })).await;
    assert!(gone.result.is_ok() || gone.result.as_ref().is_err_and(|error| error["case"] == "not-found"), "{gone:?}");
    let mut paris = host_of(&other).await;
    paris.leave(&other, "Juliet").await.unwrap();

    let not_ours = prosody().await.fresh_room();
    let _juliet = host_of(&not_ours).await;
    let change = json!({ "jid": not_ours.to_string(), "fields": [["roomname", "mine"]] });
    assert_eq!(host.call(FULL, "rooms.configure", change).await.fails("stanza")["condition"], "forbidden");
}

/// Row 101. Events configurationNeeded. Settings muc_instant_rooms.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_room_may_wait_for_somebody_to_configure_it() {
    let host = Plan::new().await.set("muc_instant_rooms", false).three().start().await;
    let room = prosody().await.fresh_room();
    let (full, narrow) =
        (host.listen(FULL, "configurationNeeded").await, host.listen(NARROW, "configurationNeeded").await);
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string() })).await.ok();
    assert_eq!(host.heard(FULL, full).await["payload"]["room"]["jid"], room.to_string());
    assert!(host.heard_so_far(NARROW, narrow).await.is_empty());
    let mut juliet = friend("juliet").await;
    if software() == Software::Prosody {
        assert!(juliet.join(&room, "Juliet", SOON).await.is_err(), "it is locked");
    }
    let change = json!({ "jid": room.to_string(), "fields": [["roomname", "Mine"]] });
    host.call(FULL, "rooms.configure", change).await.ok();
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    let info = format!("<iq type='get' to='{room}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
    let info = host.call(FULL, "api.send-iq", json!({ "iq": info })).await.ok();
    assert!(info.as_str().unwrap().contains("'Mine'") || info.as_str().unwrap().contains("\"Mine\""), "{info}");
}

/// Settings allow_muc.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_may_want_no_rooms_at_all() {
    let host = Plan::new().await.set("allow_muc", false).three().start().await;
    let jid = fresh().await;
    host.call(FULL, "rooms.open", json!({ "jid": jid })).await.fails("unsupported");
    host.call(FULL, "rooms.kick", json!({ "jid": jid, "nick": "x" })).await.fails("unsupported");
    host.call(FULL, "rooms.get-all", Value::Null).await.is(json!([]));
}

/// Row 108. Events roomLeft, occupantLeft, occupantChanged.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_looked_after() {
    let (host, room) = start().await;
    let jid = room.to_string();
    host.call(FULL, "rooms.open", json!({ "jid": jid, "nick": "Romeo" })).await.ok();
    let mut paris = friend("paris").await;
    let person = paris.jid().to_bare().to_string();
    paris.join(&room, "Paris", SOON).await.unwrap();

    let changed = host.listen(FULL, "occupantChanged").await;
    host.call(FULL, "rooms.set-role", json!({ "jid": jid, "nick": "Paris", "role": "visitor" })).await.ok();
    assert_eq!(host.heard(FULL, changed).await["payload"]["occupant"]["role"], "visitor");
    let occupants = host.call(FULL, "rooms.occupants", json!({ "jid": jid })).await.ok();
    let seen = occupants.as_array().unwrap().iter().find(|one| one["nick"] == "Paris").unwrap();
    assert_eq!(seen["jid"], paris.jid().to_string(), "an owner sees who it is");
    assert_eq!(seen["occupant-id"].is_string(), software() == Software::Prosody, "{seen}");

    let member = json!({ "jid": jid, "user": person, "affiliation": "member", "reason": "a friend" });
    host.call(FULL, "rooms.set-affiliation", member).await.ok();
    let members = host.call(FULL, "rooms.affiliations", json!({ "jid": jid, "affiliation": "member" })).await.ok();
    assert_eq!((members.as_array().unwrap().len(), &members[0]["jid"]), (1, &json!(person)));
    let owners = host.call(FULL, "rooms.affiliations", json!({ "jid": jid, "affiliation": "owner" })).await.ok();
    assert_eq!(owners[0]["jid"], host.account().jid.to_string());

    for _ in 0..2 {
        host.call(FULL, "rooms.set-subject", json!({ "jid": jid, "subject": "A plague" })).await.ok();
    }
    assert_eq!(host.call(FULL, "rooms.get", json!({ "jid": jid })).await.ok()["subject"], "A plague");

    let gone = host.listen(FULL, "occupantLeft").await;
    host.call(FULL, "rooms.kick", json!({ "jid": jid, "nick": "Paris", "reason": "rude" })).await.ok();
    let left = host.heard(FULL, gone).await["payload"]["occupant"].clone();
    assert_eq!((&left["left"], &left["reason"]), (&json!("kicked"), &json!("rude")));
    host.call(FULL, "rooms.ban", json!({ "jid": jid, "user": person, "reason": "very rude" })).await.ok();
    let banned = host.call(FULL, "rooms.affiliations", json!({ "jid": jid, "affiliation": "outcast" })).await.ok();
    assert_eq!(banned[0]["jid"], person);
    // ejabberd 23.01 readmits a banned person who was once given a role, so this one never had any.
    let mut tybalt = friend("tybalt").await;
    let ban = json!({ "jid": jid, "user": tybalt.jid().to_bare().to_string() });
    host.call(FULL, "rooms.ban", ban).await.ok();
    assert!(tybalt.join(&room, "Stranger", SOON).await.is_err(), "he is banned");

    let left = host.listen(FULL, "roomLeft").await;
    let end = json!({ "jid": jid, "reason": "closing time", "alternative": "tavern@conference.localhost" });
    host.call(FULL, "rooms.destroy", end).await.ok();
    let room = host.heard(FULL, left).await["payload"]["room"].clone();
    assert_eq!((&room["left"], &room["reason"]), (&json!("destroyed"), &json!("closing time")));
    assert_eq!((&room["alternative"], &room["joined"]), (&json!("tavern@conference.localhost"), &json!(false)));
}

/// Row 157. Events message.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_retracted_by_its_author_and_by_the_room() {
    let (host, room) = start().await;
    let jid = room.to_string();
    host.call(FULL, "rooms.open", json!({ "jid": jid, "nick": "Romeo" })).await.ok();
    let mut juliet = friend("juliet").await;
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    let heard = host.listen_with(FULL, json!({ "name": "message", "room": jid })).await;

    // Others refer to our message by the room's id.
    host.call(FULL, "rooms.send", json!({ "jid": jid, "body": "oops" })).await.ok();
    let numbered = |stanza: &Stanza| match stanza {
        Stanza::Message(one) if body(one) == Some("oops") => {
            let id = one.payloads.iter().find(|payload| payload.is("stanza-id", "urn:xmpp:sid:0"))?;
            id.attr("id").map(str::to_owned)
        }
        _ => None,
    };
    let id = juliet.wait_for("what was said", SOON, numbered).await.unwrap();
    host.call(FULL, "rooms.send", json!({ "jid": jid, "extensions": { "retract": id } })).await.ok();
    let retract = format!("<retract xmlns='urn:xmpp:message-retract:1' id='{id}'/>").parse::<Element>().unwrap();
    let retracted = |stanza: &Stanza| match stanza {
        Stanza::Message(one) => one.payloads.contains(&retract).then(|| body(one).is_some()),
        _ => None,
    };
    assert!(juliet.wait_for("the retraction", SOON, retracted).await.unwrap(), "it has a text for others");

    // An occupant speaks only for itself, even if it claims moderation.
    let moderated = format!("<moderated xmlns='urn:xmpp:message-moderate:1' by='{jid}/Romeo'/>");
    for (within, told_as) in [("", json!("7")), (&*moderated, Value::Null)] {
        let mut message = xmpp_parsers::message::Message::groupchat(Some(room.clone().into()));
        message = message.with_body(xmpp_parsers::message::Lang::default(), "gone".to_owned());
        let payload = format!("<retract xmlns='urn:xmpp:message-retract:1' id='7'>{within}</retract>");
        message.payloads.push(payload.parse().unwrap());
        juliet.send(message).await.unwrap();
        let told = host.heard(FULL, heard).await["payload"]["message"].clone();
        let extensions = &told["extensions"];
        assert_eq!((&told["nick"], &extensions["retract"]), (&json!("Juliet"), &told_as), "{told}");
        assert_eq!(extensions["moderated"], Value::Null, "{told}");
    }

    juliet.say(&room, "a plague").await.unwrap();
    let told = host.heard(FULL, heard).await["payload"]["message"].clone();
    let order = json!({ "jid": jid, "id": told["stanza-id"], "reason": "rude" });
    if software() == Software::Ejabberd {
        host.call(FULL, "rooms.retract", order).await.fails("unsupported");
        return;
    }
    host.call(FULL, "rooms.retract", order).await.ok();
    let said = host.heard(FULL, heard).await["payload"]["message"].clone();
    let moderated = &said["extensions"]["moderated"];
    assert_eq!((&said["nick"], &moderated["id"]), (&Value::Null, &told["stanza-id"]), "{said}");
    assert_eq!((&moderated["by"], &moderated["reason"]), (&json!(format!("{jid}/Romeo")), &json!("rude")), "{said}");
    let unknown = host.call(FULL, "rooms.retract", json!({ "jid": jid, "id": "no-such" })).await.fails("stanza");
    assert_eq!(unknown["condition"], "item-not-found");
}

/// Row 108.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_room_does_not_let_us_do_is_an_error_of_its_own() {
    let (host, room) = start().await;
    let jid = room.to_string();
    let mut juliet = host_of(&room).await;
    configure(&mut juliet, &room, &[("changesubject", "0")]).await;
    let person = juliet.jid().to_bare().to_string();
    host.call(FULL, "rooms.set-subject", json!({ "jid": jid, "subject": "x" })).await.fails("not-found");
    host.call(FULL, "rooms.open", json!({ "jid": jid })).await.ok();
    for (call, args) in [
        ("rooms.kick", json!({ "jid": jid, "nick": "Juliet" })),
        ("rooms.ban", json!({ "jid": jid, "user": person })),
        ("rooms.set-role", json!({ "jid": jid, "nick": "Juliet", "role": "visitor" })),
        ("rooms.set-affiliation", json!({ "jid": jid, "user": person, "affiliation": "none" })),
        ("rooms.affiliations", json!({ "jid": jid, "affiliation": "owner" })),
        ("rooms.set-subject", json!({ "jid": jid, "subject": "mine" })),
        ("rooms.destroy", json!({ "jid": jid })),
        ("rooms.kick", json!({ "jid": jid, "nick": "nobody" })),
        ("rooms.kick", json!({ "jid": "no-such@conference.localhost", "nick": "nobody" })),
    ] {
        let error = host.call(FULL, call, args.clone()).await.fails("stanza");
        assert!(error["condition"].is_string(), "{call} {args}: {error}");
    }
    assert_eq!(host.call(FULL, "rooms.get", json!({ "jid": jid })).await.ok()["joined"], true);
}

/// Events roomLeft, occupantLeft.
#[tokio::test(flavor = "multi_thread")]
async fn being_put_out_says_why() {
    let host = Plan::new().await.three().start().await;
    let left = host.listen(FULL, "roomLeft").await;
    let bot = host.account().jid.to_string();
    let destroy = "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy jid='tavern@conference.localhost'><reason>\
                   over</reason></destroy></query>";
    let reason = "<reason>over</reason>";
    for (payload, why) in [
        (admin(&format!("<item nick='Romeo' role='none'>{reason}</item>")), "kicked"),
        (admin(&format!("<item affiliation='outcast' jid='{bot}'>{reason}</item>")), "banned"),
        (destroy.to_owned(), "destroyed"),
    ] {
        let room = prosody().await.fresh_room();
        let mut juliet = host_of(&room).await;
        host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
        order(&mut juliet, &room, &payload).await;
        let left = host.heard(FULL, left).await["payload"]["room"].clone();
        assert_eq!((&left["jid"], &left["left"]), (&json!(room.to_string()), &json!(why)));
        assert_eq!((&left["reason"], &left["joined"]), (&json!("over"), &json!(false)), "{left}");
        let by = if why == "destroyed" { Value::Null } else { json!("Juliet") };
        assert_eq!(left["actor"]["nick"], by, "{left}");
        let known = host.call(FULL, "rooms.get", json!({ "jid": room.to_string() })).await.ok();
        assert_eq!((&known["left"], &known["occupants"]), (&json!(why), &json!(0)));
    }
    let room = prosody().await.fresh_room();
    let mut juliet = host_of(&room).await;
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    configure(&mut juliet, &room, &[("membersonly", "1")]).await;
    assert_eq!(host.heard(FULL, left).await["payload"]["room"]["left"], "members-only");
    order(&mut juliet, &room, &admin(&format!("<item affiliation='member' jid='{bot}'/>"))).await;
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    order(&mut juliet, &room, &admin(&format!("<item affiliation='none' jid='{bot}'/>"))).await;
    assert_eq!(host.heard(FULL, left).await["payload"]["room"]["left"], "affiliation");
}

fn muc_user<'a>(stanza: &'a Stanza, child: &str) -> Option<&'a Element> {
    let Stanza::Message(message) = stanza else { return None };
    let x = message.payloads.iter().find(|one| one.is("x", "http://jabber.org/protocol/muc#user"))?;
    x.children().find(|one| one.name() == child)
}

/// Row 108. Events affiliationChanged.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_there_and_has_another_affiliation_is_told_and_is_no_message() {
    let (host, room) = start().await;
    let mut juliet = host_of(&room).await;
    // With this setting, occupants who are not moderators see it.
    configure(&mut juliet, &room, &[("whois", "anyone")]).await;
    refuses_to_tell(&host, "rooms.read", &["affiliationChanged"]).await;
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    let (changed, messages) = (host.listen(FULL, "affiliationChanged").await, host.listen(FULL, "message").await);
    let narrow = host.listen(NARROW, "affiliationChanged").await;
    order(&mut juliet, &room, &admin("<item affiliation='member' jid='paris@localhost'/>")).await;
    let told = host.heard(FULL, changed).await["payload"]["occupant"].clone();
    assert_eq!((&told["jid"], &told["affiliation"]), (&json!("paris@localhost"), &json!("member")), "{told}");
    assert_eq!((&told["room"], &told["nick"]), (&json!(room.to_string()), &json!("")), "{told}");
    juliet.say(&room, "last").await.unwrap();
    let heard = loop {
        let message = host.heard(FULL, messages).await["payload"]["message"].clone();
        if message["subject"] == Value::Null {
            break message;
        }
    };
    assert_eq!(heard["body"], "last", "an empty one is told to nobody");
    assert!(host.heard_so_far(NARROW, narrow).await.is_empty());
    let occupants = host.call(FULL, "rooms.occupants", json!({ "jid": room.to_string() })).await.ok();
    assert_eq!(occupants.as_array().unwrap().len(), 2, "{occupants}");
}

/// Row 108. Events roomInviteSent, roomInviteDeclined.
#[tokio::test(flavor = "multi_thread")]
async fn people_are_invited_both_ways_and_may_be_declined() {
    let (host, room) = start().await;
    let jid = room.to_string();
    host.call(FULL, "rooms.open", json!({ "jid": jid, "nick": "Romeo" })).await.ok();
    refuses_to_tell(&host, "rooms.read", &["roomInviteSent", "roomInviteDeclined"]).await;
    let (full, narrow) = (host.listen(FULL, "roomInviteSent").await, host.listen(NARROW, "roomInviteSent").await);
    let (declined, hidden) =
        (host.listen(FULL, "roomInviteDeclined").await, host.listen(NARROW, "roomInviteDeclined").await);
    let mut paris = friend("paris").await;
    let person = paris.jid().to_bare().to_string();
    let direct = json!({ "jid": jid, "user": person, "reason": "come", "direct": true, "password": "p" });
    host.call(FULL, "rooms.invite", direct).await.ok();
    let sent = host.heard(FULL, full).await["payload"]["invite"].clone();
    assert_eq!((&sent["room"], &sent["to"], &sent["password"]), (&json!(jid), &json!(person), &json!("p")));
    let invited = |stanza: &Stanza| {
        let Stanza::Message(message) = stanza else { return None };
        let x = message.payloads.iter().find(|one| one.is("x", "jabber:x:conference"))?;
        Some((x.attr("jid")?.to_owned(), x.attr("reason")?.to_owned(), x.attr("password")?.to_owned()))
    };
    let found = paris.wait_for("a direct invitation", SOON, invited).await.unwrap();
    assert_eq!(found, (jid.clone(), "come".to_owned(), "p".to_owned()));
    host.call(FULL, "rooms.invite", json!({ "jid": jid, "user": person, "reason": "do" })).await.ok();
    assert_eq!(host.heard(FULL, full).await["payload"]["invite"]["reason"], "do");
    let who_invites = |stanza: &Stanza| Some(muc_user(stanza, "invite")?.attr("from")?.to_owned());
    let asker = paris.wait_for("an invitation", SOON, who_invites).await.unwrap();
    let no = format!(
        "<x xmlns='http://jabber.org/protocol/muc#user'><decline to='{asker}'><reason>too far</reason></decline></x>"
    );
    let mut message = xmpp_parsers::message::Message::normal(Some(room.clone().into()));
    message.payloads.push(no.parse().unwrap());
    paris.send(message).await.unwrap();
    let told = host.heard(FULL, declined).await["payload"]["invite"].clone();
    assert_eq!((&told["room"], &told["reason"]), (&json!(jid), &json!("too far")), "{told}");
    assert!(told["from"].as_str().unwrap().starts_with(&person), "{told}");
    assert!(host.heard_so_far(NARROW, narrow).await.is_empty());
    assert!(host.heard_so_far(NARROW, hidden).await.is_empty());

    // The other direction: the account is invited and declines.
    let hers = prosody().await.fresh_room();
    let mut juliet = host_of(&hers).await;
    let heard = host.listen(FULL, "roomInviteReceived").await;
    let x = format!(
        "<x xmlns='http://jabber.org/protocol/muc#user'><invite to='{}'><reason>ball</reason></invite></x>",
        host.account().jid
    );
    let mut message = xmpp_parsers::message::Message::normal(Some(hers.clone().into()));
    message.payloads.push(x.parse().unwrap());
    juliet.send(message).await.unwrap();
    let invite = host.heard(FULL, heard).await["payload"]["invite"].clone();
    let no = json!({ "jid": invite["room"], "inviter": invite["from"], "reason": "too busy" });
    host.call(FULL, "rooms.decline", no).await.ok();
    let declined =
        |stanza: &Stanza| muc_user(stanza, "decline").map(|no| no.children().map(Element::text).collect::<String>());
    assert_eq!(juliet.wait_for("a no", SOON, declined).await.unwrap(), "too busy");
}

/// Events roomInviteReceived, chatRoomOpened. Settings auto_join_on_invite.
#[tokio::test(flavor = "multi_thread")]
async fn invitations_are_followed_where_the_owner_wants_it() {
    let host = Plan::new().await.set("auto_join_on_invite", true).three().start().await;
    let room = prosody().await.fresh_room();
    let mut juliet = host_of(&room).await;
    configure(&mut juliet, &room, &[("roomsecret", "sesame"), ("passwordprotectedroom", "1")]).await;
    let opened = host.listen(FULL, "chatRoomOpened").await;
    let x = format!("<x xmlns='jabber:x:conference' jid='{room}' password='sesame' reason='ball'/>");
    let mut message = xmpp_parsers::message::Message::normal(Some(host.account().jid.clone().into()));
    message.payloads.push(x.parse().unwrap());
    juliet.send(message).await.unwrap();
    assert_eq!(host.heard(FULL, opened).await["payload"]["room"]["jid"], room.to_string());
}

/// Row 27. Events roomsAutoJoined, roomsPanelRendered, bookmarksInitialized. Settings auto_join_rooms.
#[tokio::test(flavor = "multi_thread")]
async fn rooms_of_the_settings_are_entered_on_connecting() {
    let (room, other) = (prosody().await.fresh_room(), prosody().await.fresh_room());
    let mut juliet = host_of(&room).await;
    let rooms = toml::Value::from(vec![
        toml::Value::from(toml::Table::from_iter([
            ("jid".to_owned(), toml::Value::from(room.to_string())),
            ("nick".to_owned(), toml::Value::from("Juliet")),
        ])),
        toml::Value::from(other.to_string()),
    ]);
    let host = Plan::new().await.set("auto_join_rooms", rooms).three().start().await;
    for promise in ["roomsAutoJoined", "roomsPanelRendered", "bookmarksInitialized"] {
        host.call(FULL, "api.wait-until", json!({ "promise": promise })).await.ok();
        host.call(BARE, "api.wait-until", json!({ "promise": promise })).await.denied("rooms.read", None);
    }
    refuses_to_tell(&host, "rooms.read", &["roomsAutoJoined", "roomsPanelRendered", "bookmarksInitialized"]).await;
    let all = host.call(FULL, "rooms.get-all", Value::Null).await.ok();
    assert_eq!(all.as_array().unwrap().iter().filter(|room| room["joined"] == true).count(), 2, "{all}");
    let here = host.call(FULL, "rooms.get", json!({ "jid": room.to_string() })).await.ok();
    assert_eq!(here["nick"], "Juliet_2", "nobody could be asked for another one");
    juliet.catch_up(SOON).await.unwrap();
}

/// Row 100. Settings muc_history_max_stanzas.
#[tokio::test(flavor = "multi_thread")]
async fn a_rooms_past_comes_as_such_and_as_much_as_was_asked_for() {
    let (host, room) = start().await;
    let jid = room.to_string();
    let mut juliet = host_of(&room).await;
    for number in 0..5 {
        juliet.say(&room, &format!("m{number}")).await.unwrap();
        juliet.wait_body(&room, &format!("m{number}"), SOON).await.unwrap();
    }
    let news = host.listen_with(FULL, json!({ "name": "message", "room": jid })).await;
    let all = host.listen_with(FULL, json!({ "name": "message", "room": jid, "delayed": true })).await;
    let past = async |history: Value| {
        host.call(FULL, "rooms.open", json!({ "jid": jid, "nick": "Romeo", "history": history })).await.ok();
        let mut bodies = Vec::new();
        loop {
            let message = host.heard(FULL, all).await["payload"]["message"].clone();
            assert_eq!(message["delayed"], true, "{message}");
            if message["body"].is_null() {
                break;
            }
            bodies.push(message["body"].as_str().unwrap().to_owned());
        }
        host.call(FULL, "rooms.close", json!({ "jid": jid })).await.ok();
        bodies
    };
    assert_eq!(past(json!({ "max-stanzas": 2 })).await, ["m3", "m4"]);
    assert_eq!(past(json!({ "max-stanzas": 0 })).await, [""; 0]);
    assert!(host.heard_so_far(FULL, news).await.is_empty(), "a bot that answers what is new answers nothing of this");
    host.call(FULL, "rooms.open", json!({ "jid": jid, "nick": "Romeo" })).await.ok();
    juliet.say(&room, "new").await.unwrap();
    assert_eq!(host.heard(FULL, news).await["payload"]["message"]["body"], "new");
    let since = json!({ "jid": jid, "history": { "since": "yesterday" } });
    host.call(FULL, "rooms.open", since).await.invalid("attributes.history.since");

    let host = Plan::new().await.set("muc_history_max_stanzas", 1).three().start().await;
    let all = host.listen_with(FULL, json!({ "name": "message", "room": jid, "delayed": true })).await;
    host.call(FULL, "rooms.open", json!({ "jid": jid, "nick": "Tybalt" })).await.ok();
    assert_eq!(host.heard(FULL, all).await["payload"]["message"]["body"], "new");
    assert_eq!(host.heard(FULL, all).await["payload"]["message"]["body"], Value::Null, "only the subject follows");
}

/// Row 108.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_says_what_it_is() {
    let (host, room) = start().await;
    let jid = room.to_string();
    let mut juliet = host_of(&room).await;
    configure(&mut juliet, &room, &[("roomname", "The hall"), ("whois", "anyone")]).await;
    host.call(FULL, "rooms.open", json!({ "jid": jid, "nick": "Romeo" })).await.ok();
    // The host's own request was sent before this one, so its answer comes first.
    let ping = format!("<iq type='get' to='{room}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>");
    host.call(FULL, "api.send-iq", json!({ "iq": ping })).await.ok();
    let known = host.call(FULL, "rooms.get", json!({ "jid": jid })).await.ok();
    assert_eq!((&known["name"], &known["shows-jids"]), (&json!("The hall"), &json!(true)), "{known}");
    assert!(known["features"].as_array().unwrap().contains(&json!("muc_nonanonymous")), "{known}");
    let occupants = host.call(FULL, "rooms.occupants", json!({ "jid": jid })).await.ok();
    let seen = occupants.as_array().unwrap().iter().find(|one| one["nick"] == "Juliet").unwrap();
    assert_eq!(seen["jid"], juliet.jid().to_string());
}

/// Rows 78-86, 103, 104, 108. Events roomViewChanged.
#[tokio::test(flavor = "multi_thread")]
async fn how_a_room_is_shown_is_kept_for_a_front_end() {
    let (host, room) = start().await;
    let jid = room.to_string();
    refuses_to_tell(&host, "rooms.read", &["roomViewChanged"]).await;
    let one = json!({ "jid": jid });
    for call in ["rooms.focus", "rooms.show", "rooms.maximize", "rooms.minimize"] {
        host.call(FULL, call, one.clone()).await.fails("not-found");
        host.call(FULL, call, json!({ "jid": "@@" })).await.invalid("jid");
    }
    host.call(FULL, "rooms.open", one.clone()).await.ok();
    let (full, narrow) = (host.listen(FULL, "roomViewChanged").await, host.listen(NARROW, "roomViewChanged").await);
    // Events and reads agree, so that a front end can distinguish being focused from being shown.
    for (call, minimized, focused) in [
        ("rooms.minimize", true, false),
        ("rooms.maximize", false, false),
        ("rooms.minimize", true, false),
        ("rooms.show", false, false),
        ("rooms.focus", false, true),
        ("rooms.show", false, true),
        ("rooms.minimize", true, false),
    ] {
        host.call(FULL, call, one.clone()).await.ok();
        let told = host.heard(FULL, full).await["payload"]["room"].clone();
        for room in [&told, &host.call(FULL, "rooms.get", one.clone()).await.ok()] {
            let shows = (&room["minimized"], &room["focused"], &room["shown"]);
            assert_eq!(shows, (&json!(minimized), &json!(focused), &json!(true)), "{call}: {room}");
        }
    }
    // With a single room, no other one can be in front.
    let front = json!({ "jid": jid, "bring-to-foreground": true });
    assert_eq!(host.call(FULL, "rooms.open", front.clone()).await.ok()["focused"], false);
    assert_eq!(host.call(FULL, "rooms.open", one.clone()).await.ok()["minimized"], true);
    assert_eq!(host.call(FULL, "rooms.open", json!({ "jid": jid, "maximize": true })).await.ok()["minimized"], false);
    host.call(FULL, "rooms.minimize", one.clone()).await.ok();
    let other = json!({ "jid": fresh().await });
    host.call(FULL, "rooms.open", other.clone()).await.ok();
    // Another room is open, and none has the focus.
    let opened = host.call(FULL, "rooms.open", front).await.ok();
    assert_eq!((&opened["minimized"], &opened["focused"]), (&json!(false), &json!(true)), "{opened}");
    host.heard_so_far(FULL, full).await;
    host.call(FULL, "rooms.focus", other.clone()).await.ok();
    let told = [host.heard(FULL, full).await, host.heard(FULL, full).await];
    let told = told.map(|one| (one["payload"]["room"]["jid"].clone(), one["payload"]["room"]["focused"].clone()));
    assert_eq!(told, [(json!(jid), json!(false)), (other["jid"].clone(), json!(true))], "one at most has it");
    assert!(host.heard_so_far(NARROW, narrow).await.is_empty());

    let named = |name: &str| json!({ "jid": jid, "name": name });
    host.call(FULL, "rooms.get-attribute", named("jid")).await.is(jid.clone());
    host.call(FULL, "rooms.get-attribute", named("focused")).await.is(false);
    host.call(FULL, "rooms.set-attribute", json!({ "jid": jid, "name": "jid", "value": 1 })).await.invalid("name");
    host.call(FULL, "rooms.get-attribute", named("height")).await.is(Value::Null);
    host.call(FULL, "rooms.set-attribute", json!({ "jid": jid, "name": "height", "value": 250 })).await.ok();
    host.call(FULL, "rooms.get-attribute", named("height")).await.is(json!(250));
    host.call(FULL, "rooms.set-attribute", json!({ "jid": jid, "name": "height", "value": "tall" }))
        .await
        .invalid("value");
    host.call(FULL, "rooms.set-attribute", json!({ "jid": jid, "name": "", "value": 1 })).await.invalid("name");
    host.call(FULL, "rooms.set-attribute", json!({ "jid": jid, "name": "height", "value": null })).await.ok();
    host.call(FULL, "rooms.get-attribute", named("height")).await.is(Value::Null);
    let nowhere = json!({ "jid": "no@conference.localhost", "name": "height" });
    host.call(FULL, "rooms.get-attribute", nowhere).await.fails("not-found");
}

/// Row 32. Settings allow_bookmarks.
#[tokio::test(flavor = "multi_thread")]
async fn bookmarks_are_put_down_entered_and_forgotten() {
    let (host, room) = start().await;
    let jid = room.to_string();
    host.call(FULL, "rooms.bookmarks", Value::Null).await.is(json!([]));
    let opened = host.listen(FULL, "chatRoomOpened").await;
    let mark = json!({ "jid": jid, "name": "Hall", "autojoin": true, "nick": "Puck" });
    host.call(FULL, "rooms.set-bookmark", mark).await.ok();
    let room = host.heard(FULL, opened).await["payload"]["room"].clone();
    assert_eq!((&room["jid"], &room["nick"]), (&json!(jid), &json!("Puck")));
    let kept = json!({ "jid": jid, "name": "Hall", "autojoin": true, "nick": "Puck", "password": null });
    host.call(FULL, "rooms.bookmarks", Value::Null).await.is(json!([kept]));
    let second = json!({ "jid": fresh().await, "name": null, "autojoin": false, "nick": null, "password": null });
    host.call(FULL, "rooms.set-bookmark", second.clone()).await.ok();

    // Only other clients of the account can read it.
    let mut phone = crate::test_host::client(host.account()).await;
    let items = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:bookmarks:1'/></pubsub>";
    let ask = |to| Iq::Get { from: None, to, id: String::new(), payload: items.parse().unwrap() };
    let found = phone.ask(ask(None), SOON).await.unwrap().unwrap();
    let found = String::from(&found);
    assert!(found.contains(&jid) && found.contains("Puck"), "{found}");
    assert!(found.contains(second["jid"].as_str().unwrap()), "the server keeps both: {found}");
    host.call(FULL, "rooms.remove-bookmark", json!({ "jid": second["jid"] })).await.ok();
    let mut mallory = friend("mallory").await;
    let theirs = mallory.ask(ask(Some(host.account().jid.clone().into())), SOON).await;
    assert!(theirs.is_err(), "{theirs:?}");

    let left = host.listen(FULL, "roomLeft").await;
    host.call(FULL, "rooms.remove-bookmark", json!({ "jid": jid })).await.ok();
    assert_eq!(host.heard(FULL, left).await["payload"]["room"]["jid"], jid);
    host.call(FULL, "rooms.bookmarks", Value::Null).await.is(json!([]));
    host.call(FULL, "rooms.remove-bookmark", json!({ "jid": jid })).await.fails("not-found");
    host.call(FULL, "rooms.set-bookmark", json!({ "jid": "@@" })).await.invalid("bookmark.jid");
    host.call(FULL, "rooms.set-bookmark", json!({ "jid": "conference.localhost" })).await.invalid("bookmark.jid");
    host.call(FULL, "rooms.set-bookmark", json!({ "jid": jid, "nick": "" })).await.invalid("bookmark.nick");
    let host = Plan::new().await.set("allow_bookmarks", false).three().start().await;
    host.call(FULL, "rooms.set-bookmark", json!({ "jid": jid })).await.fails("unsupported");
    host.call(FULL, "rooms.bookmarks", Value::Null).await.fails("unsupported");
}

/// Row 32. Events chatRoomOpened, roomLeft.
#[tokio::test(flavor = "multi_thread")]
async fn bookmarks_that_other_clients_change_are_followed() {
    let (host, room) = start().await;
    let jid = room.to_string();
    let (opened, left) = (host.listen(FULL, "chatRoomOpened").await, host.listen(FULL, "roomLeft").await);
    // Another occupant stays, since a room that has just lost its last occupant may not notice the next one.
    let _host = host_of(&room).await;
    let mut phone = crate::test_host::client(host.account()).await;
    // Some servers push only to sessions that the publisher's own session has seen.
    let bot = Some(host.shared().snapshot().jid.clone());
    let here = |stanza: &Stanza| matches!(stanza, Stanza::Presence(one) if one.from == bot).then_some(());
    phone.wait_for("the bot's presence", SOON, here).await.unwrap();
    let mut change = async |what: &str| {
        let pubsub = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{what}</pubsub>");
        let set = Iq::Set { from: None, to: None, id: String::new(), payload: pubsub.parse().unwrap() };
        phone.ask(set, SOON).await.unwrap();
    };
    let node = "node='urn:xmpp:bookmarks:1'";
    let publish = |autojoin: bool| {
        format!(
            "<publish {node}><item id='{jid}'><conference xmlns='urn:xmpp:bookmarks:1' name='Hall' \
             autojoin='{autojoin}'><nick>Puck</nick></conference></item></publish>"
        )
    };
    let retract = format!("<retract {node} notify='true'><item id='{jid}'/></retract>");
    let mut ways = vec![publish(false)];
    // ejabberd 23.01 reports items that are published, but not those that are retracted.
    if software() == Software::Prosody {
        ways.push(retract);
    }
    let gone = ways.len() > 1;
    for over in ways {
        change(&publish(true)).await;
        let entered = host.heard(FULL, opened).await["payload"]["room"].clone();
        assert_eq!((&entered["jid"], &entered["nick"]), (&json!(jid), &json!("Puck")));
        change(&over).await;
        assert_eq!(host.heard(FULL, left).await["payload"]["room"]["jid"], jid);
    }
    let left = host.call(FULL, "rooms.bookmarks", Value::Null).await.ok();
    assert_eq!(left.as_array().unwrap().is_empty(), gone, "{left}");
}

/// Rows 91, 108. Events message.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_in_a_room_carries_more_than_its_text() {
    let (host, room) = start().await;
    let mut juliet = host_of(&room).await;
    let jid = room.to_string();
    host.call(FULL, "rooms.open", json!({ "jid": jid, "nick": "Romeo" })).await.ok();
    let heard = host.listen_with(FULL, json!({ "name": "message", "room": jid })).await;
    let whom = format!("{jid}/Juliet");
    let cases = [
        (
            json!({ "reply": ["r1", whom] }),
            Some("yes"),
            format!("<reply xmlns='urn:xmpp:reply:0' id='r1' to='{whom}'/>"),
        ),
        (json!({ "replace": "r2" }), Some("no"), "<replace xmlns='urn:xmpp:message-correct:0' id='r2'/>".to_owned()),
        (
            json!({ "reactions": ["r3", ["👍"]] }),
            None,
            "<reactions xmlns='urn:xmpp:reactions:0' id='r3'><reaction>👍</reaction></reactions>".to_owned(),
        ),
        (
            json!({ "marker": "displayed", "marked": "r4" }),
            None,
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='r4'/>".to_owned(),
        ),
        (
            json!({ "chat-state": "composing" }),
            None,
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>".to_owned(),
        ),
    ];
    for (extensions, body, xml) in cases {
        let payload: Element = xml.parse().unwrap();
        let said = json!({ "jid": jid, "body": body, "extensions": extensions });
        let id = host.call(FULL, "rooms.send", said).await.ok();
        let came = |stanza: &Stanza| match stanza {
            Stanza::Message(one) if one.id.as_ref().map(|id| &*id.0) == id.as_str() => Some(one.payloads.clone()),
            _ => None,
        };
        let came = juliet.wait_for("what was said", SOON, came).await.unwrap();
        assert!(came.contains(&payload), "{payload:?} is not among {came:?}");

        let mut message = xmpp_parsers::message::Message::groupchat(Some(room.clone().into()));
        if let Some(body) = body {
            message = message.with_body(xmpp_parsers::message::Lang::default(), body.to_owned());
        }
        message.payloads.push(payload);
        juliet.send(message).await.unwrap();
        let told = host.heard(FULL, heard).await["payload"]["message"].clone();
        assert_eq!((&told["nick"], &told["body"]), (&json!("Juliet"), &json!(body)), "{told}");
        for (name, value) in extensions.as_object().unwrap() {
            assert_eq!(told["extensions"][name], *value, "{told}");
        }
    }
}

/// Rows 92-108.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused_by_name() {
    let (host, room) = start().await;
    let jid = room.to_string();
    let long = "x".repeat(100 << 10);
    let with = |more: Value| {
        let mut args = json!({ "jid": jid });
        args.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        args
    };
    for (call, more, argument) in [
        ("rooms.open", json!({ "jid": "conference.localhost" }), "jid"),
        ("rooms.open", json!({ "jid": "" }), "jid"),
        ("rooms.open", json!({ "jid": long }), "jid"),
        ("rooms.open", json!({ "nick": "" }), "attributes.nick"),
        ("rooms.open", json!({ "nick": "a\u{7}b" }), "attributes.nick"),
        ("rooms.open", json!({ "nick": long }), "attributes.nick"),
        ("rooms.open", json!({ "password": "a\u{0}b" }), "attributes.password"),
        ("rooms.open", json!({ "password": long }), "attributes.password"),
        ("rooms.open", json!({ "auto-configure": true, "roomconfig": [["", true]] }), "attributes.roomconfig"),
        ("rooms.open", json!({ "auto-configure": true, "roomconfig": [["a", long]] }), "attributes.roomconfig.a"),
        ("rooms.open", json!({ "auto-configure": true, "roomconfig": [["a", ["\u{1}"]]] }), "attributes.roomconfig.a"),
        ("rooms.get-or-create", json!({ "jid": "@@" }), "jid"),
        ("rooms.get-or-create", json!({ "roomconfig": [["a", true]] }), "attributes.roomconfig"),
        ("rooms.set-role", json!({ "nick": "", "role": "none" }), "nick"),
        ("rooms.set-role", json!({ "nick": "x", "role": "king" }), "role"),
        ("rooms.set-role", json!({ "nick": "x", "role": "none", "reason": "\u{0}" }), "reason"),
        ("rooms.set-affiliation", json!({ "user": "@@", "affiliation": "none" }), "user"),
        ("rooms.set-affiliation", json!({ "user": "a@b", "affiliation": "friend" }), "affiliation"),
        ("rooms.set-affiliation", json!({ "user": "a@b", "affiliation": "none", "reason": long }), "reason"),
        ("rooms.affiliations", json!({ "affiliation": "none" }), "affiliation"),
        ("rooms.kick", json!({ "nick": long }), "nick"),
        ("rooms.kick", json!({ "nick": "x", "reason": long }), "reason"),
        ("rooms.ban", json!({ "user": "" }), "user"),
        ("rooms.ban", json!({ "user": "a@b", "reason": "\u{b}" }), "reason"),
        ("rooms.retract", json!({ "id": "" }), "id"),
        ("rooms.retract", json!({ "id": "7", "reason": long }), "reason"),
        ("rooms.invite", json!({ "user": "@@" }), "user"),
        ("rooms.invite", json!({ "user": "a@b", "reason": long }), "invitation.reason"),
        ("rooms.invite", json!({ "user": "a@b", "password": "p" }), "invitation.password"),
        ("rooms.decline", json!({ "inviter": "@@" }), "inviter"),
        ("rooms.decline", json!({ "inviter": "a@b", "reason": long }), "reason"),
        ("rooms.set-subject", json!({ "subject": long }), "subject"),
        ("rooms.set-subject", json!({ "subject": "\u{1b}" }), "subject"),
        ("rooms.configure", json!({ "fields": [["a", "\u{0}"]] }), "fields.a"),
        ("rooms.destroy", json!({ "alternative": "@@" }), "alternative"),
        ("rooms.destroy", json!({ "reason": long }), "reason"),
        ("rooms.remove-bookmark", json!({ "jid": "@@" }), "jid"),
        ("rooms.set-attribute", json!({ "name": "x", "value": long }), "value"),
        ("rooms.get-attribute", json!({ "name": "" }), "name"),
    ] {
        host.call(FULL, call, with(more)).await.invalid(argument);
    }
    let many: Vec<_> = (0..1_001).map(|number| format!("r{number}@conference.localhost")).collect();
    for call in ["rooms.get-many", "rooms.open-many", "rooms.close-many"] {
        host.call(FULL, call, json!({ "jids": many })).await.invalid("jids");
    }
    let fields: Vec<_> = (0..101).map(|number| json!([format!("f{number}"), true])).collect();
    let asked = json!({ "jid": jid, "auto-configure": true, "roomconfig": fields });
    host.call(FULL, "rooms.open", asked).await.invalid("attributes.roomconfig");
    host.call(FULL, "rooms.get-all", Value::Null).await.is(json!([]));
}
