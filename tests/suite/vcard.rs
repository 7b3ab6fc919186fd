//! `vcard`: vCards (rows 69–72 of `tests/conformance.toml`).

use parlor_tests::client::Client;
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;

use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, client, friend, granted, refuses};

/// "abc" in base64, and its SHA-1.
const IMAGE: &str = "YWJj";
const HASH: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

async fn set(client: &mut Client, content: &str) {
    let payload: Element = format!("<vCard xmlns='vcard-temp'>{content}</vCard>").parse().unwrap();
    client.ask(Iq::Set { from: None, to: None, id: String::new(), payload }, SOON).await.unwrap();
}

async fn own(client: &mut Client) -> String {
    let payload: Element = "<vCard xmlns='vcard-temp'/>".parse().unwrap();
    let asked = Iq::Get { from: None, to: None, id: String::new(), payload };
    String::from(&client.ask(asked, SOON).await.unwrap().unwrap())
}

/// Rows 65, 69, 70, 72.
/// Events `vcardUpdated`.
#[tokio::test(flavor = "multi_thread")]
async fn a_card_is_read_kept_and_shown_by_the_contact() {
    let host = Plan::new().await.three().start().await;
    let mut juliet = friend("juliet").await;
    let jid = juliet.jid().to_bare().to_string();
    let content = |name: &str| {
        format!(
            "<FN>{name}</FN><NICKNAME>jul</NICKNAME><URL>https://example.org/j</URL><ROLE>Daughter</ROLE>\
             <EMAIL><USERID>j@example.org</USERID></EMAIL><PHOTO><TYPE>image/png</TYPE><BINVAL>{IMAGE}</BINVAL></PHOTO>"
        )
    };
    set(&mut juliet, &content("Juliet Capulet")).await;
    let card = host.call(FULL, "vcard.get", json!({ "jid": jid })).await.ok();
    for (field, value) in [
        ("fn", "Juliet Capulet"),
        ("nickname", "jul"),
        ("url", "https://example.org/j"),
        ("role", "Daughter"),
        ("email", "j@example.org"),
        ("image", IMAGE),
        ("image-type", "image/png"),
    ] {
        assert_eq!(card[field], value, "{field}: {card}");
    }
    assert!(card["vcard-updated"].as_str().unwrap().ends_with('Z'), "{card}");

    set(&mut juliet, &content("Juliet Montague")).await;
    let kept = host.call(FULL, "vcard.get", json!({ "jid": format!("{jid}/suite") })).await.ok();
    assert_eq!(kept, card, "as it was fetched");
    let fresh = host.call(FULL, "vcard.get", json!({ "jid": jid, "force": true })).await.ok();
    assert_eq!(fresh["fn"], "Juliet Montague");

    host.call(FULL, "contacts.add", json!({ "jid": jid })).await.ok();
    let updated = host.listen(FULL, "vcardUpdated").await;
    host.call(FULL, "vcard.update", json!({ "jid": jid, "force": true })).await.ok();
    let told = host.heard(FULL, updated).await["payload"]["contact"].clone();
    let shown = host.call(FULL, "contacts.get", json!({ "jid": jid })).await.ok();
    for contact in [&told, &shown] {
        assert_eq!(
            (&contact["jid"], &contact["image"], &contact["image-type"]),
            (&json!(jid), &json!(IMAGE), &json!("image/png"))
        );
        assert_eq!(contact["url"], "https://example.org/j");
        assert!(contact["vcard-updated"].is_string(), "{contact}");
    }
    host.call(FULL, "contacts.get-attribute", json!({ "jid": jid, "name": "image" })).await.is(IMAGE);
}

/// Rows 69, 72. Events chatBoxChanged, occupantChanged. An occupant is named by room and nickname. A chat with a
/// stranger gets an event as well.
#[tokio::test(flavor = "multi_thread")]
async fn occupants_and_strangers_have_cards_too() {
    let host = Plan::new().await.set("allow_non_roster_messaging", true).three().start().await;
    let mut juliet = friend("juliet").await;
    let photo = format!("<PHOTO><TYPE>image/png</TYPE><BINVAL>{IMAGE}</BINVAL></PHOTO>");
    set(&mut juliet, &format!("<FN>Juliet Capulet</FN><URL>https://example.org/j</URL>{photo}")).await;
    let room = crate::test_host::prosody().await.fresh_room();
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    let updated = host.listen(FULL, "vcardUpdated").await;
    let person = juliet.jid().to_bare().to_string();
    host.call(FULL, "chats.open", json!({ "jid": person })).await.ok();
    let (chats, rooms) = (host.listen(FULL, "chatBoxChanged").await, host.listen(FULL, "occupantChanged").await);
    for jid in [format!("{room}/Juliet"), person.clone()] {
        assert_eq!(host.call(FULL, "vcard.get", json!({ "jid": jid })).await.ok()["fn"], "Juliet Capulet");
        host.heard_so_far(FULL, updated).await;
        host.call(FULL, "vcard.update", json!({ "jid": jid, "force": true })).await.ok();
        let told = host.heard(FULL, updated).await["payload"]["contact"].clone();
        assert_eq!((&told["jid"], &told["url"]), (&json!(jid), &json!("https://example.org/j")), "{told}");
    }
    // The chat and the occupant show the card, and plugins that see only chats or rooms get an event.
    let occupants = host.call(FULL, "rooms.occupants", json!({ "jid": room.to_string() })).await.ok();
    let occupant = occupants.as_array().unwrap().iter().find(|one| one["nick"] == "Juliet").unwrap();
    let chat = host.call(FULL, "chats.get", json!({ "jid": person })).await.ok();
    let view = host.call(FULL, "chatviews.get", json!({ "jid": person })).await.ok();
    let chat_told = host.heard(FULL, chats).await["payload"]["chat"].clone();
    let occupant_told = host.heard(FULL, rooms).await["payload"]["occupant"].clone();
    for one in [occupant, &chat, &view, &chat_told, &occupant_told] {
        assert_eq!((&one["image"], &one["image-type"]), (&json!(IMAGE), &json!("image/png")), "{one}");
        assert_eq!(one["url"], "https://example.org/j", "{one}");
        assert!(one["vcard-updated"].is_string(), "{one}");
    }
    let read = |name: &str| json!({ "jid": person, "name": name });
    host.call(FULL, "chats.get-attribute", read("image_type")).await.is("image/png");
    host.call(FULL, "chats.get-attribute", read("url")).await.is("https://example.org/j");
    host.call(FULL, "chats.set-attribute", json!({ "jid": person, "name": "url", "value": "x:y" })).await.ok();
    host.call(FULL, "chats.get-attribute", read("url")).await.is("x:y");
}

/// Rows 71.
#[tokio::test(flavor = "multi_thread")]
async fn the_own_card_is_changed_and_the_rest_stays() {
    let host = Plan::new().await.three().start().await;
    let mut other = client(host.account()).await;
    set(&mut other, "<FN>Old</FN><N><FAMILY>Bot</FAMILY></N>").await;
    let jid = host.account().jid.to_string();
    let data =
        json!({ "jid": jid, "fn": "A <new> & näme 🤖", "nickname": "bot", "image": IMAGE, "image-type": "image/png" });
    host.call(FULL, "vcard.set", data).await.ok();
    let card = host.call(FULL, "vcard.get", json!({ "jid": jid, "force": true })).await.ok();
    assert_eq!(
        (&card["fn"], &card["nickname"], &card["image"]),
        (&json!("A <new> & näme 🤖"), &json!("bot"), &json!(IMAGE))
    );
    let stored = own(&mut other).await;
    assert!(stored.contains("<FAMILY>Bot</FAMILY>"), "{stored}");
    let full = host.shared().snapshot().jid.clone();
    let with_hash = |stanza: &Stanza| match stanza {
        Stanza::Presence(one) if one.from.as_ref() == Some(&full) => {
            one.payloads.iter().any(|payload| String::from(payload).contains(HASH)).then_some(())
        }
        _ => None,
    };
    other.wait_for("the hash of the picture", SOON, with_hash).await.unwrap();
    host.call(FULL, "vcard.set", json!({ "nickname": "" })).await.ok();
    let card = host.call(FULL, "vcard.get", json!({ "jid": jid, "force": true })).await.ok();
    assert_eq!((&card["nickname"], &card["image"]), (&Value::Null, &json!(IMAGE)));
}

/// Rows 69-72.
#[tokio::test(flavor = "multi_thread")]
async fn cards_are_nobodys_without_the_grant_and_bad_input_names_the_argument() {
    let host = Plan::new().await.three().start().await;
    let jid = "juliet@localhost";
    let scope = Some(jid);
    refuses(
        &host,
        &[
            ("vcard.get", json!({ "jid": jid }), "vcard.read", scope),
            ("vcard.update", json!({ "jid": jid }), "vcard.read", scope),
            ("vcard.set", json!({ "fn": "x" }), "vcard.write", None),
        ],
    )
    .await;
    host.call(BARE, "listen.on", json!({ "name": "vcardUpdated" })).await.denied("contacts.read", None);
    let long = "x".repeat(1 << 19);
    for jid in ["", "@", "a b@c", &long] {
        host.call(FULL, "vcard.get", json!({ "jid": jid })).await.invalid("jid");
        host.call(FULL, "vcard.update", json!({ "jid": jid })).await.invalid("jid");
        host.call(FULL, "vcard.set", json!({ "jid": jid, "fn": "x" })).await.invalid("data.jid");
    }
    host.call(FULL, "vcard.set", json!({ "jid": "juliet@localhost", "fn": "x" })).await.invalid("data.jid");
    for field in ["fn", "nickname", "url", "role", "email", "image-type"] {
        for bad in [&long[..5_000], "a\u{1}b"] {
            host.call(FULL, "vcard.set", json!({ field: bad })).await.invalid(&format!("data.{field}"));
        }
    }
    for bad in ["no picture!", &"A".repeat(200_000), &long] {
        host.call(FULL, "vcard.set", json!({ "image": bad })).await.invalid("data.image");
    }
    host.call(FULL, "vcard.set", json!({})).await.invalid("data");
    host.call(FULL, "vcard.set", json!({ "image-type": "image/png" })).await.invalid("data.image-type");
    let error = host.call(FULL, "vcard.get", json!({ "jid": "nobody@elsewhere.invalid" })).await.fails("stanza");
    assert!(error["condition"].is_string(), "{error}");
    let host = Plan::offline().caller(FULL, granted).caller(NARROW, |new| new).start().await;
    host.call(FULL, "vcard.get", json!({ "jid": jid })).await.fails("offline");
    host.call(FULL, "vcard.set", json!({ "fn": "x" })).await.fails("offline");
}
