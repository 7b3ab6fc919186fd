//! `contacts`: the roster (API rows 62–65).

use parlor_tests::client::Client;
use serde_json::{Value, json};
use xmpp_parsers::presence::{Presence, Show};

use crate::house::{FULL, House, NARROW, Plan, friend, refuses, refuses_to_tell};

/// A house and somebody in its roster, both sides subscribed.
async fn house_with_contact() -> (House, Client) {
    let house = Plan::new().await.set("auto_subscribe", true).three().start().await;
    let mut friend = friend("friend").await;
    let jid = friend.jid().to_bare();
    let pushed = house.listen(FULL, "rosterPush").await;
    let item = format!("<item jid='{jid}' name='Juliet'><group>Verona</group></item>");
    let iq = format!("<iq type='set'><query xmlns='jabber:iq:roster'>{item}</query></iq>");
    house.call(FULL, "api.send-iq", json!({ "iq": iq })).await.ok();
    house.heard(FULL, pushed).await;
    for kind in ["subscribe", "subscribed"] {
        house.call(FULL, "api.send", json!({ "stanza": format!("<presence type='{kind}' to='{jid}'/>") })).await.ok();
    }
    friend.befriend(&house.account().jid).await.unwrap();
    loop {
        let contact = house.call(FULL, "contacts.get", json!({ "jid": jid.to_string() })).await.ok();
        if contact["subscription"] == "both" {
            break;
        }
        house.heard(FULL, pushed).await;
    }
    (house, friend)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_given_with_its_attributes() {
    let (house, mut friend) = house_with_contact().await;
    let jid = friend.jid().to_bare().to_string();
    let changed = house.listen(FULL, "contactPresenceChanged").await;
    let presence = Presence::available().with_show(Show::Dnd).with_priority(7);
    let mut presence = presence.with_from(friend.jid().clone());
    presence.set_status("en", "reading");
    presence.from = None;
    friend.send(presence).await.unwrap();
    while house.heard(FULL, changed).await["payload"]["contact"]["chat-status"] != "busy" {}
    let contact = house.call(FULL, "contacts.get", json!({ "jid": format!("{jid}/balcony") })).await.ok();
    for (field, value) in [
        ("jid", json!(jid)),
        ("fullname", json!("Juliet")),
        ("user-id", json!(friend.jid().node().unwrap().as_str())),
        ("subscription", json!("both")),
        ("ask", Value::Null),
        ("requesting", json!(false)),
        ("groups", json!(["Verona"])),
        ("chat-status", json!("busy")),
        ("status", json!("reading")),
    ] {
        assert_eq!(contact[field], value, "{field}: {contact}");
    }
    let resource = &contact["resources"][0];
    assert_eq!(
        (&resource["name"], &resource["priority"], &resource["show"]),
        (&json!("suite"), &json!(7), &json!("dnd"))
    );
    let many = house.call(FULL, "contacts.get-many", json!({ "jids": ["nobody@localhost", jid] })).await.ok();
    assert_eq!((&many[0], &many[1]["jid"]), (&Value::Null, &json!(jid)));
    let all = house.call(FULL, "contacts.get-all", Value::Null).await.ok();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["jid"]), (1, &json!(jid)));
    house.call(FULL, "contacts.get", json!({ "jid": "" })).await.invalid("jid");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roster_is_nobodys_without_the_grant() {
    let house = Plan::new().await.three().start().await;
    let jid = "juliet@localhost";
    refuses(
        &house,
        &[
            ("contacts.get", json!({ "jid": jid }), "contacts.read", None),
            ("contacts.get-many", json!({ "jids": [jid] }), "contacts.read", None),
            ("contacts.get-all", Value::Null, "contacts.read", None),
        ],
    )
    .await;
    let events = [
        "roster",
        "rosterInitialized",
        "rosterGroupsFetched",
        "rosterContactsFetched",
        "rosterPush",
        "contactRequest",
        "contactRemoved",
        "contactPresenceChanged",
        "contactStatusChanged",
        "contactStatusMessageChanged",
    ];
    refuses_to_tell(&house, "contacts.read", &events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_who_comes_and_who_is_removed_is_told() {
    let house = Plan::new().await.three().start().await;
    let mut stranger = friend("stranger").await;
    let jid = stranger.jid().to_bare().to_string();
    let (requested, removed) = (house.listen(FULL, "contactRequest").await, house.listen(FULL, "contactRemoved").await);
    stranger.send(Presence::subscribe().with_to(house.account().jid.clone())).await.unwrap();
    let contact = house.heard(FULL, requested).await["payload"]["contact"].clone();
    assert_eq!((&contact["jid"], &contact["requesting"]), (&json!(jid), &json!(true)));

    let pushed = house.listen(FULL, "rosterPush").await;
    let iq = |item: &str| json!({ "iq": format!("<iq type='set'><query xmlns='jabber:iq:roster'><item jid='{jid}'{item}/></query></iq>") });
    house.call(FULL, "api.send-iq", iq(" name='Paris'")).await.ok();
    let push = house.heard(FULL, pushed).await["payload"]["stanza"].clone();
    assert!(push.as_str().unwrap().contains("Paris"), "{push}");
    house.call(FULL, "api.send-iq", iq(" subscription='remove'")).await.ok();
    assert_eq!(house.heard(FULL, removed).await["payload"]["contact"]["jid"], jid);
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_is_told_under_both_names_and_the_text_under_its_own() {
    let (house, mut friend) = house_with_contact().await;
    let names = ["contactPresenceChanged", "contactStatusChanged", "contactStatusMessageChanged"];
    let mut heard = Vec::new();
    for name in names {
        heard.push(house.listen(FULL, name).await);
    }
    let mut away = Presence::available().with_show(Show::Away);
    away.set_status("en", "at lunch");
    friend.send(away).await.unwrap();
    for (name, n) in names.iter().zip(heard) {
        loop {
            let event = house.heard(FULL, n).await;
            assert_eq!(event["name"], *name);
            if event["payload"]["contact"]["status"] == "at lunch" {
                break;
            }
        }
    }
    // Who may not read messages may still know of contacts: the grants are apart.
    house.call(NARROW, "contacts.get-all", Value::Null).await.ok();
}
