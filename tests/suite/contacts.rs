//! `contacts`: the roster (rows 62–68 of `tests/conformance.toml`).

use parlor_tests::client::Client;
use parlor_tests::peer::Request;
use parlor_tests::policy::Entry;
use parlor_tests::prosody::DOMAIN;
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;
use xmpp_parsers::ns;
use xmpp_parsers::presence::{Presence, Show, Type};

use crate::test_host::{FULL, NARROW, Plan, SOON, TestHost, client, friend, granted, refuses, refuses_to_tell};

/// Starts a host with a contact in its roster; both sides are subscribed.
async fn host_with_contact() -> (TestHost, Client) {
    let host = Plan::new().await.set("auto_subscribe", true).three().start().await;
    let mut friend = interested("friend").await;
    let jid = friend.jid().to_bare();
    let pushed = host.listen(FULL, "rosterPush").await;
    let item = format!("<item jid='{jid}' name='Juliet'><group>Verona</group></item>");
    let iq = format!("<iq type='set'><query xmlns='jabber:iq:roster'>{item}</query></iq>");
    host.call(FULL, "api.send-iq", json!({ "iq": iq })).await.ok();
    host.heard(FULL, pushed).await;
    for kind in ["subscribe", "subscribed"] {
        host.call(FULL, "api.send", json!({ "stanza": format!("<presence type='{kind}' to='{jid}'/>") })).await.ok();
    }
    // The request must have arrived: some servers ignore an approval that was not requested.
    let asks = |stanza: &Stanza| match stanza {
        Stanza::Presence(one) => (one.type_ == Type::Subscribe).then_some(()),
        _ => None,
    };
    friend.wait_for("the request", SOON, asks).await.unwrap();
    friend.befriend(&host.account().jid).await.unwrap();
    loop {
        let contact = host.call(FULL, "contacts.get", json!({ "jid": jid.to_string() })).await.ok();
        if contact["subscription"] == "both" {
            break;
        }
        host.heard(FULL, pushed).await;
    }
    (host, friend)
}

/// Rules own-contact.
/// Otherwise a plugin that may add contacts could extend its own grants to everybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_a_plugin_added_is_none_for_its_own_grants() {
    const ADDS: &str = "adds";
    const OTHER: &str = "other";
    let of_contacts = |entry: Entry| entry.grant("messages.send", &["contacts"]).grant_whole("contacts.write");
    let host =
        Plan::new().await.caller(FULL, granted).caller(ADDS, of_contacts).caller(OTHER, of_contacts).start().await;
    let friend = friend("friend").await;
    let jid = friend.jid().to_bare().to_string();
    let says = json!({ "jid": jid, "body": "hello" });
    let has_roster = json!({ "promise": "rosterContactsFetched" });
    host.call(FULL, "api.wait-until", has_roster.clone()).await.ok();
    host.call(ADDS, "contacts.add", json!({ "jid": jid })).await.ok();
    host.call(ADDS, "chats.send", says.clone()).await.denied("messages.send", Some(jid.as_str()));
    host.call(OTHER, "chats.send", says.clone()).await.ok();
    // This is still known after a restart.
    let host = host.restart().await;
    host.call(FULL, "api.wait-until", has_roster).await.ok();
    host.call(ADDS, "chats.send", says.clone()).await.denied("messages.send", Some(jid.as_str()));
    // Another plugin removes the contact and adds it again. A moment after the log-in, the first may have asked for that, too.
    host.call(OTHER, "contacts.remove", json!({ "jid": jid })).await.ok();
    host.call(OTHER, "contacts.add", json!({ "jid": jid })).await.ok();
    host.call(ADDS, "chats.send", says.clone()).await.denied("messages.send", Some(jid.as_str()));
    host.call(OTHER, "chats.send", says).await.denied("messages.send", Some(jid.as_str()));
}

/// Rules plugin-contact.
/// Otherwise a plugin that may change contacts could let strangers give the commands of another plugin.
#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_a_plugin_gave_a_contact_lets_nobody_give_a_command_of_another_plugin() {
    const ADDS: &str = "adds";
    let gives = |entry: Entry| granted(entry).allow("wipe", &["group:admins"]);
    let adds = |entry: Entry| entry.grant_whole("contacts.write").grant("stanza.send", &["iq"]);
    let host = Plan::new().await.caller(FULL, gives).caller(ADDS, adds).start().await;
    let (mut juliet, mut nurse) = (friend("juliet").await, friend("nurse").await);
    let [juliets, nurses] = [&juliet, &nurse].map(|friend| friend.jid().to_bare().to_string());
    let set = |jid: &str| {
        let item = format!("<item jid='{jid}'><group>admins</group></item>");
        format!("<query xmlns='jabber:iq:roster'>{item}</query>")
    };
    let has_roster = json!({ "promise": "rosterContactsFetched" });
    let wipe = json!({ "name": "wipe", "help": "Wipes it", "usage": "" });
    host.call(FULL, "api.wait-until", has_roster.clone()).await.ok();
    // The owner puts the nurse into the group, in another client.
    let pushed = host.listen(FULL, "rosterPush").await;
    let mut phone = client(host.account()).await;
    let payload: Element = set(&nurses).parse().unwrap();
    phone.ask(Iq::Set { from: None, to: None, id: String::new(), payload }, SOON).await.unwrap();
    host.heard(FULL, pushed).await;
    // The plugin puts both into it: Juliet by calls, and the nurse by a raw stanza.
    host.call(ADDS, "contacts.add", json!({ "jid": juliets })).await.ok();
    host.call(ADDS, "contacts.set-groups", json!({ "jid": juliets, "groups": ["admins"] })).await.ok();
    let iq = format!("<iq type='set'>{}</iq>", set(&nurses));
    host.call(ADDS, "api.send-iq", json!({ "iq": iq })).await.ok();
    let host = host.restart().await;
    host.call(FULL, "api.wait-until", has_roster).await.ok();
    for jid in [&juliets, &nurses] {
        assert_eq!(contact(&host, jid).await["groups"], json!(["admins"]));
    }
    let n = host.order(FULL, "commands.add", wipe).await;
    host.answer(FULL, "commands.add", n).await.ok();
    let bot = host.account().jid.clone();
    juliet.chat(bot.clone(), "!wipe").await.unwrap();
    let refused = juliet.wait_text("an answer", &bot, SOON, |text| Some(text.to_owned())).await.unwrap();
    assert_eq!(refused, "You may not give !wipe here.");
    nurse.chat(bot, "!wipe").await.unwrap();
    let by = host.heard(FULL, n).await["payload"]["command"]["message"]["chat"].clone();
    assert_eq!(by, json!(nurses));
}

/// Rules own-contact.
/// The same holds for raw presence, which bypasses the calls of `contacts`.
#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_a_raw_stanza_added_is_none_for_its_plugins_grants() {
    const ADDS: &str = "adds";
    let raw = |entry: Entry| entry.grant("messages.send", &["contacts"]).grant("stanza.send", &["presence"]);
    let host = Plan::new().await.caller(FULL, granted).caller(ADDS, raw).start().await;
    let friend = friend("friend").await;
    let jid = friend.jid().to_bare().to_string();
    host.call(FULL, "api.wait-until", json!({ "promise": "rosterContactsFetched" })).await.ok();
    let pushed = host.listen(FULL, "rosterPush").await;
    let stanza = format!("<presence type='subscribe' to='{jid}'/>");
    host.call(ADDS, "api.send", json!({ "stanza": stanza })).await.ok();
    host.heard(FULL, pushed).await;
    assert_eq!(contact(&host, &jid).await["jid"], jid);
    let says = json!({ "jid": jid, "body": "hello" });
    host.call(ADDS, "chats.send", says).await.denied("messages.send", Some(jid.as_str()));
}

/// Rows 62-65.
#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_given_with_its_attributes() {
    let (host, mut friend) = host_with_contact().await;
    let jid = friend.jid().to_bare().to_string();
    let changed = host.listen(FULL, "contactPresenceChanged").await;
    let presence = Presence::available().with_show(Show::Dnd).with_priority(7);
    let mut presence = presence.with_from(friend.jid().clone());
    presence.set_status("en", "reading");
    presence.from = None;
    friend.send(presence).await.unwrap();
    while host.heard(FULL, changed).await["payload"]["contact"]["chat-status"] != "busy" {}
    let contact = host.call(FULL, "contacts.get", json!({ "jid": format!("{jid}/balcony") })).await.ok();
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
    let many = host.call(FULL, "contacts.get-many", json!({ "jids": ["nobody@localhost", jid] })).await.ok();
    assert_eq!((&many[0], &many[1]["jid"]), (&Value::Null, &json!(jid)));
    let all = host.call(FULL, "contacts.get-all", Value::Null).await.ok();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["jid"]), (1, &json!(jid)));
    host.call(FULL, "contacts.get", json!({ "jid": "" })).await.invalid("jid");
}

/// Rows 62-68.
/// Events `roster`, `rosterInitialized`, `rosterGroupsFetched`, `rosterContactsFetched`, `cachedRoster`, `rosterPush`, `contactRequest`.
/// Events `contactRemoved`, `contactPresenceChanged`, `contactStatusChanged`, `contactStatusMessageChanged`, `vcardUpdated`.
#[tokio::test(flavor = "multi_thread")]
async fn the_roster_is_nobodys_without_the_grant() {
    let host = Plan::new().await.three().start().await;
    let jid = "juliet@localhost";
    refuses(
        &host,
        &[
            ("contacts.get", json!({ "jid": jid }), "contacts.read", None),
            ("contacts.get-many", json!({ "jids": [jid] }), "contacts.read", None),
            ("contacts.get-all", Value::Null, "contacts.read", None),
            ("contacts.add", json!({ "jid": jid }), "contacts.write", None),
            ("contacts.remove", json!({ "jid": jid }), "contacts.write", None),
            ("contacts.rename", json!({ "jid": jid, "fullname": "J" }), "contacts.write", None),
            ("contacts.set-groups", json!({ "jid": jid, "groups": ["g"] }), "contacts.write", None),
            ("contacts.accept", json!({ "jid": jid }), "contacts.write", None),
            ("contacts.deny", json!({ "jid": jid }), "contacts.write", None),
            ("contacts.block", json!({ "jid": jid }), "contacts.write", None),
            ("contacts.unblock", json!({ "jid": jid }), "contacts.write", None),
            ("contacts.blocked", Value::Null, "contacts.read", None),
        ],
    )
    .await;
    let events = [
        "roster",
        "rosterInitialized",
        "rosterGroupsFetched",
        "rosterContactsFetched",
        "cachedRoster",
        "rosterPush",
        "contactRequest",
        "contactRemoved",
        "contactPresenceChanged",
        "contactStatusChanged",
        "contactStatusMessageChanged",
        "vcardUpdated",
    ];
    refuses_to_tell(&host, "contacts.read", &events).await;
}

/// Events `contactRequest`, `contactRemoved`, `rosterPush`.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_who_comes_and_who_is_removed_is_told() {
    let host = Plan::new().await.three().start().await;
    let mut stranger = friend("stranger").await;
    let jid = stranger.jid().to_bare().to_string();
    let (requested, removed) = (host.listen(FULL, "contactRequest").await, host.listen(FULL, "contactRemoved").await);
    stranger.send(Presence::subscribe().with_to(host.account().jid.clone())).await.unwrap();
    let contact = host.heard(FULL, requested).await["payload"]["contact"].clone();
    assert_eq!((&contact["jid"], &contact["requesting"]), (&json!(jid), &json!(true)));

    let pushed = host.listen(FULL, "rosterPush").await;
    let iq = |item: &str| json!({ "iq": format!("<iq type='set'><query xmlns='jabber:iq:roster'><item jid='{jid}'{item}/></query></iq>") });
    host.call(FULL, "api.send-iq", iq(" name='Paris'")).await.ok();
    let push = host.heard(FULL, pushed).await["payload"]["stanza"].clone();
    assert!(push.as_str().unwrap().contains("Paris"), "{push}");
    host.call(FULL, "api.send-iq", iq(" subscription='remove'")).await.ok();
    assert_eq!(host.heard(FULL, removed).await["payload"]["contact"]["jid"], jid);
}

/// Events `contactPresenceChanged`, `contactStatusChanged`, `contactStatusMessageChanged`.
#[tokio::test(flavor = "multi_thread")]
async fn presence_is_told_under_both_names_and_the_text_under_its_own() {
    let (host, mut friend) = host_with_contact().await;
    let names = ["contactPresenceChanged", "contactStatusChanged", "contactStatusMessageChanged"];
    let mut heard = Vec::new();
    for name in names {
        heard.push(host.listen(FULL, name).await);
    }
    let mut away = Presence::available().with_show(Show::Away);
    away.set_status("en", "at lunch");
    friend.send(away).await.unwrap();
    for (name, n) in names.iter().zip(heard) {
        loop {
            let event = host.heard(FULL, n).await;
            assert_eq!(event["name"], *name);
            if event["payload"]["contact"]["status"] == "at lunch" {
                break;
            }
        }
    }
    // A plugin without a grant for messages may still read contacts, since the grants are separate.
    host.call(NARROW, "contacts.get-all", Value::Null).await.ok();
}

/// Logs in and requests the roster, since servers report subscription changes only to such clients (RFC 6121, section
/// 3.1.5).
async fn interested(prefix: &str) -> Client {
    let mut friend = friend(prefix).await;
    let query = Element::builder("query", ns::ROSTER).build();
    friend.ask(Iq::Get { from: None, to: None, id: String::new(), payload: query }, SOON).await.unwrap();
    friend
}

/// Returns the contact as the plugin reads it.
async fn contact(host: &TestHost, jid: &str) -> Value {
    host.call(FULL, "contacts.get", json!({ "jid": jid })).await.ok()
}

/// Rows 66-68, 128.
#[tokio::test(flavor = "multi_thread")]
async fn contacts_are_added_changed_and_removed_and_the_next_read_shows_it() {
    let host = Plan::new().await.three().start().await;
    let mut friend = friend("friend").await;
    let jid = friend.jid().to_bare().to_string();
    let added = host.call(FULL, "contacts.add", json!({ "jid": format!("{jid}/suite") })).await.ok();
    assert_eq!((&added["jid"], &added["fullname"], &added["groups"]), (&json!(jid), &json!(jid), &json!([])));
    assert_eq!(contact(&host, &jid).await["ask"], "subscribe");
    let wanted = format!("{}/", host.account().jid);
    friend
        .wait_for("the request", SOON, |stanza| match stanza {
            Stanza::Presence(one) if one.type_ == Type::Subscribe => {
                wanted.starts_with(one.from.as_ref()?.as_str()).then_some(())
            }
            _ => None,
        })
        .await
        .unwrap();

    // The other side subscribes in return and approves our subscription: no request is reported again.
    let asked = host.listen(FULL, "contactRequest").await;
    let pushed = host.listen(FULL, "rosterPush").await;
    for type_ in [Type::Subscribed, Type::Subscribe] {
        let presence = Presence::new(type_).with_to(host.account().jid.clone());
        friend.send(presence).await.unwrap();
    }
    while contact(&host, &jid).await["subscription"] != "both" {
        host.heard(FULL, pushed).await;
    }
    assert!(host.heard_so_far(FULL, asked).await.is_empty());

    let name = "Jülïet 👩‍🚀 \u{4e2d}\u{6587} <&'\">";
    host.call(FULL, "contacts.rename", json!({ "jid": jid, "fullname": name })).await.ok();
    assert_eq!(contact(&host, &jid).await["fullname"], name);
    let groups = json!(["Verona", "Capulet & Sons", "Verona"]);
    host.call(FULL, "contacts.set-groups", json!({ "jid": jid, "groups": groups })).await.ok();
    let mut shown: Vec<String> = serde_json::from_value(contact(&host, &jid).await["groups"].clone()).unwrap();
    shown.sort();
    assert_eq!(shown, ["Capulet & Sons", "Verona"]);
    let again = host.call(FULL, "contacts.add", json!({ "jid": jid, "fullname": "Juliet" })).await.ok();
    assert_eq!((&again["fullname"], again["groups"].as_array().unwrap().len()), (&json!("Juliet"), 2));
    host.call(FULL, "contacts.get-attribute", json!({ "jid": jid, "name": "fullname" })).await.is("Juliet");
    host.call(FULL, "contacts.get-attribute", json!({ "jid": jid, "name": "image" })).await.is(Value::Null);

    // The server has stored it as well, as another client of the account can see.
    let mut other = client(host.account()).await;
    let query = Element::builder("query", ns::ROSTER).build();
    let asked = Iq::Get { from: None, to: None, id: "roster".to_owned(), payload: query };
    let answer = String::from(&other.ask(asked, SOON).await.unwrap().unwrap());
    assert!(answer.contains("Juliet") && answer.contains("Capulet"), "{answer}");

    let removed = host.listen(FULL, "contactRemoved").await;
    host.call(FULL, "contacts.remove", json!({ "jid": jid })).await.ok();
    assert_eq!(contact(&host, &jid).await, Value::Null);
    assert_eq!(host.heard(FULL, removed).await["payload"]["contact"]["jid"], jid);
    assert!(host.heard_so_far(FULL, removed).await.is_empty(), "told once");
    for call in ["contacts.remove", "contacts.accept", "contacts.deny"] {
        host.call(FULL, call, json!({ "jid": jid })).await.fails("not-found");
    }
    host.call(FULL, "contacts.rename", json!({ "jid": jid, "fullname": "x" })).await.fails("not-found");
    host.call(FULL, "contacts.set-groups", json!({ "jid": jid, "groups": ["x"] })).await.fails("not-found");
}

/// Rows 66-68.
/// Bad input.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_contact_is_refused_by_the_argument_that_is_wrong() {
    let host = Plan::new().await.three().start().await;
    let own = host.account().jid.to_string();
    let (long, control) = ("x".repeat(1 << 19), "a\u{1}b");
    for jid in ["", "@", "a b@c", &long, control] {
        for call in ["get", "add", "remove", "accept", "deny"] {
            host.call(FULL, &format!("contacts.{call}"), json!({ "jid": jid })).await.invalid("jid");
        }
        host.call(FULL, "contacts.get-many", json!({ "jids": [jid] })).await.is(json!([null]));
        host.call(FULL, "contacts.rename", json!({ "jid": jid, "fullname": "x" })).await.invalid("jid");
        host.call(FULL, "contacts.set-groups", json!({ "jid": jid, "groups": [] })).await.invalid("jid");
    }
    host.call(FULL, "contacts.add", json!({ "jid": own })).await.invalid("jid");
    let jid = format!("juliet@{DOMAIN}");
    for name in [&long[..2_000], control] {
        host.call(FULL, "contacts.add", json!({ "jid": jid, "fullname": name })).await.invalid("fullname");
        host.call(FULL, "contacts.rename", json!({ "jid": jid, "fullname": name })).await.invalid("fullname");
        host.call(FULL, "contacts.set-groups", json!({ "jid": jid, "groups": [name] })).await.invalid("groups");
    }
    host.call(FULL, "contacts.set-groups", json!({ "jid": jid, "groups": [""] })).await.invalid("groups");
    assert_eq!(host.call(FULL, "contacts.get-all", Value::Null).await.ok(), json!([]));

    // Before the first log-in there is no roster, which is not the same as an empty one.
    let host = Plan::offline().three().start().await;
    for call in ["contacts.get", "contacts.get-all"] {
        let error = host.call(FULL, call, json!({ "jid": jid })).await.fails("not-ready");
        assert_eq!(error["what"], "rosterContactsFetched");
    }
    host.call(FULL, "contacts.get-many", json!({ "jids": [jid] })).await.fails("not-ready");
    host.call(FULL, "contacts.add", json!({ "jid": jid })).await.fails("offline");
}

/// Rows 68.
/// Events `contactRequest`.
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_accepted_and_denied() {
    let host = Plan::new().await.three().start().await;
    let requested = host.listen(FULL, "contactRequest").await;
    let (mut welcome, mut unwelcome) = (interested("welcome").await, interested("unwelcome").await);
    for (friend, call, reply) in
        [(&mut welcome, "contacts.accept", Type::Subscribed), (&mut unwelcome, "contacts.deny", Type::Unsubscribed)]
    {
        let jid = friend.jid().to_bare().to_string();
        friend.send(Presence::subscribe().with_to(host.account().jid.clone())).await.unwrap();
        let asking = host.heard(FULL, requested).await["payload"]["contact"].clone();
        assert_eq!((&asking["jid"], &asking["requesting"]), (&json!(jid), &json!(true)));
        host.call(FULL, call, json!({ "jid": jid })).await.ok();
        let shown = contact(&host, &jid).await;
        match reply {
            Type::Subscribed => {
                assert_eq!((&shown["subscription"], &shown["requesting"]), (&json!("from"), &json!(false)));
            }
            _ => assert_eq!(shown, Value::Null),
        }
        let answered = |stanza: &Stanza| match stanza {
            Stanza::Presence(one) if one.type_ == reply => Some(()),
            _ => None,
        };
        friend.wait_for("the answer", SOON, answered).await.unwrap();
    }
}

/// Settings `allow_contact_requests`.
#[tokio::test(flavor = "multi_thread")]
async fn where_requests_are_not_allowed_nobody_hears_of_them() {
    let host = Plan::new().await.set("allow_contact_requests", false).three().start().await;
    let requested = host.listen(FULL, "contactRequest").await;
    let mut stranger = interested("stranger").await;
    stranger.send(Presence::subscribe().with_to(host.account().jid.clone())).await.unwrap();
    let denied = |stanza: &Stanza| match stanza {
        Stanza::Presence(one) if one.type_ == Type::Unsubscribed => Some(()),
        _ => None,
    };
    stranger.wait_for("the denial", SOON, denied).await.unwrap();
    assert!(host.heard_so_far(FULL, requested).await.is_empty());
    assert_eq!(host.call(FULL, "contacts.get-all", Value::Null).await.ok(), json!([]));
}

/// Settings `auto_subscribe`.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_let_in_and_asked_in_turn_where_that_is_set() {
    let host = Plan::new().await.set("auto_subscribe", true).three().start().await;
    let pushed = host.listen(FULL, "rosterPush").await;
    let mut stranger = interested("stranger").await;
    let jid = stranger.jid().to_bare().to_string();
    stranger.send(Presence::subscribe().with_to(host.account().jid.clone())).await.unwrap();
    let asks = |stanza: &Stanza| match stanza {
        Stanza::Presence(one) if one.type_ == Type::Subscribe => Some(()),
        _ => None,
    };
    stranger.wait_for("the request in turn", SOON, asks).await.unwrap();
    stranger.send(Presence::subscribed().with_to(host.account().jid.clone())).await.unwrap();
    while contact(&host, &jid).await["subscription"] != "both" {
        host.heard(FULL, pushed).await;
    }
}

/// Rows 17, 21-24.
/// Events `cachedRoster`, `roster`, `rosterInitialized`, `rosterGroupsFetched`, `rosterContactsFetched`.
#[tokio::test(flavor = "multi_thread")]
async fn a_roster_is_kept_across_restarts() {
    let names = ["rosterInitialized", "cachedRoster", "roster", "rosterGroupsFetched", "rosterContactsFetched"];
    let host = Plan::new().await.caller(FULL, |new| granted(new).set("listens", names.join(","))).start().await;
    let error = host.call(FULL, "api.wait-until", json!({ "promise": "cachedRoster" })).await.fails("unsupported");
    assert!(error["what"].as_str().unwrap().contains("roster"), "{error}");
    let jid = format!("juliet@{DOMAIN}");
    let pushed = host.listen(FULL, "rosterPush").await;
    host.call(FULL, "contacts.add", json!({ "jid": jid, "fullname": "Juliet" })).await.ok();
    // The whole entry must have arrived, since a server need not report changes from before, and Prosody does not.
    while !host.heard(FULL, pushed).await["payload"]["stanza"].as_str().unwrap().contains("ask=") {}
    let host = host.restart().await;
    for promise in names {
        host.call(FULL, "api.wait-until", json!({ "promise": promise })).await.is("none");
    }
    assert_eq!(contact(&host, &jid).await["fullname"], "Juliet");
    let noted = host.call(FULL, "action.noted", Value::Null).await.ok();
    let noted: Vec<&Value> = noted.as_array().unwrap().iter().map(|event| &event["name"]).collect();
    assert_eq!(noted, names, "in this order");

    // A corrupt file only causes the roster to be fetched again.
    let file = host.home.path().join("data/parlor.db");
    assert!(file.is_file());
    host.call(FULL, "contacts.rename", json!({ "jid": jid, "fullname": "J." })).await.ok();
    let host = host.restart_after(async || std::fs::write(&file, "no database at all".repeat(1_000)).unwrap()).await;
    host.call(FULL, "api.wait-until", json!({ "promise": "cachedRoster" })).await.fails("unsupported");
    assert_eq!(contact(&host, &jid).await["fullname"], "J.");
}

/// The number of contacts in a large roster.
const MANY: usize = 10_000;

/// A server with a large roster, and a contact that echoes the payload of a request.
fn of_many(request: &Request) -> Option<Vec<Element>> {
    let id = &request.id;
    if request.payload.is("query", ns::ROSTER) && request.payload.children().next().is_none() {
        let item = |n| {
            format!(
                "<item jid='contact{n:05}@far.example' name='Contact number {n}, {}' subscription='both'>\
                 <group>Verona</group></item>",
                "of a long name ".repeat(5)
            )
        };
        let items = (0..MANY).map(item).collect::<String>();
        let roster = format!("<query xmlns='jabber:iq:roster'>{items}</query>");
        return Some(vec![format!("<iq xmlns='jabber:client' type='result' id='{id}'>{roster}</iq>").parse().unwrap()]);
    }
    request.payload.is("say", "urn:example:say").then(|| {
        let (to, body) = (request.to.as_ref().unwrap(), request.payload.text());
        let said = format!("<message xmlns='jabber:client' from='{to}' type='chat'><body>{body}</body></message>");
        let answer = format!("<iq xmlns='jabber:client' type='result' id='{id}' from='{to}'/>");
        vec![said.parse().unwrap(), answer.parse().unwrap()]
    })
}

/// Rows 64, 65. The whole roster arrives with the default limits, and a plugin that answers messages is not delayed by
/// it.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_contacts_reach_a_plugin_and_hold_up_no_other() {
    const TIMES: usize = 5;
    let echo = |entry: Entry| {
        let entry =
            ["messages.read", "messages.send", "rooms.send"].iter().fold(entry, |entry, one| entry.grant(one, &["*"]));
        entry.limit("messages_per_second", 10_000).limit("messages_burst", 10_000).limit("cpu_share", 1.0)
    };
    let plan = Plan::scripted_without_archive().await.answering(of_many).caller(FULL, granted);
    let asks = |entry| granted(entry).limit("messages_per_second", 10_000).limit("messages_burst", 10_000);
    let host = plan.caller("asker", asks).plugin("echo", "echo", echo).start().await;
    let all = host.order(FULL, "contacts.count-all", json!({ "times": TIMES })).await;
    let all = host.answer(FULL, "contacts.count-all", all);
    tokio::pin!(all);
    let mut echoed = 0;
    let all = loop {
        let say =
            format!("<iq type='get' to='friend@far.example/x'><say xmlns='urn:example:say'>say {echoed}.</say></iq>");
        let echo = async {
            host.call("asker", "api.send-iq", json!({ "iq": say })).await.ok();
            host.says(&format!("say {echoed}.</body>")).await;
        };
        tokio::select! {
            biased;
            all = &mut all => break all.ok(),
            () = echo => echoed += 1,
        }
    };
    assert_eq!(all["counts"], json!(vec![MANY; TIMES]));
    assert_eq!((&all["last"]["jid"], &all["last"]["groups"]), (&json!("contact09999@far.example"), &json!(["Verona"])));
    assert!(echoed >= TIMES, "only {echoed} messages were answered while it came {TIMES} times");
    assert_eq!(host.restarts(FULL).await, 0);
}

/// Row 64. A roster that exceeds the plugin's memory is reported as an error, and does not end the plugin.
#[tokio::test(flavor = "multi_thread")]
async fn more_contacts_than_a_plugin_can_hold_are_over_its_limit() {
    let small = |entry| granted(entry).limit("memory", "2 MiB");
    let host = Plan::scripted_without_archive().await.answering(of_many).caller(FULL, small).start().await;
    let error = host.call(FULL, "contacts.get-all", Value::Null).await.fails("over-limit");
    let what = error["what"].as_str().unwrap();
    assert!(
        ["10000 contacts", "`memory` is 2 MiB", "`contacts.get-many`"].iter().all(|it| what.contains(it)),
        "{what}"
    );
    let one = json!({ "jids": ["contact00007@far.example"] });
    assert_eq!(host.call(FULL, "contacts.get-many", one).await.ok()[0]["subscription"], "both");
    assert_eq!(host.restarts(FULL).await, 0);
}

/// Rows 158.
#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_address_is_heard_by_nobody_until_it_is_unblocked() {
    let host = Plan::new().await.three().start().await;
    // Then it is known what the server can do.
    host.call(FULL, "api.wait-until", json!({ "promise": "discoInitialized" })).await.ok();
    let mut rude = friend("rude").await;
    let jid = rude.jid().to_bare().to_string();
    let heard = host.listen_with(FULL, json!({ "name": "message", "from": jid })).await;
    host.call(FULL, "contacts.blocked", Value::Null).await.is(json!([]));
    for _ in 0..2 {
        host.call(FULL, "contacts.block", json!({ "jid": jid })).await.ok();
        host.call(FULL, "contacts.blocked", Value::Null).await.is(json!([jid]));
    }
    rude.chat(host.account().jid.clone(), "buy now").await.unwrap();
    rude.catch_up(SOON).await.unwrap();
    for _ in 0..2 {
        host.call(FULL, "contacts.unblock", json!({ "jid": jid })).await.ok();
        host.call(FULL, "contacts.blocked", Value::Null).await.is(json!([]));
    }
    rude.chat(host.account().jid.clone(), "sorry").await.unwrap();
    assert_eq!(host.heard(FULL, heard).await["payload"]["message"]["body"], "sorry");

    // The bot would be deaf.
    for own in [host.account().jid.to_string(), format!("{}/x", host.account().jid), DOMAIN.to_owned()] {
        host.call(FULL, "contacts.block", json!({ "jid": own })).await.invalid("jid");
    }
    // This server takes no reports, and a block without its report is not what was asked for.
    let report = json!({ "jid": jid, "kind": "spam", "text": "swords", "stanza-ids": [[jid, "7"]] });
    host.call(FULL, "contacts.block", report).await.fails("unsupported");
    host.call(FULL, "contacts.blocked", Value::Null).await.is(json!([]));
}

/// Rows 158. The servers of the suite take no reports (XEP-0377), so a scripted one does.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_reports_gets_one_with_the_block() {
    const BLOCKING: &str = "urn:xmpp:blocking";
    const REPORTING: &str = "urn:xmpp:reporting:1";
    let takes_reports = |request: &Request| {
        let asks_server = request.is_disco() && request.to.as_ref().is_some_and(|to| to.as_str() == DOMAIN);
        let features = || format!("<feature var='{BLOCKING}'/><feature var='{REPORTING}'/>");
        let payload = asks_server.then(|| format!("<query xmlns='{}'>{}</query>", ns::DISCO_INFO, features()));
        let is_answered = asks_server || request.payload.is("block", BLOCKING);
        is_answered.then(|| vec![Element::from(request.result(payload.map(|query| query.parse().unwrap())))])
    };
    let plan = Plan::scripted_without_archive().await.answering(takes_reports);
    let host = plan.caller(FULL, granted).start().await;
    host.call(FULL, "api.wait-until", json!({ "promise": "discoInitialized" })).await.ok();
    let (rude, text) = ("rude@far.example", "swords < shields");
    let report = |kind: &str| json!({ "jid": rude, "kind": kind, "text": text, "stanza-ids": [["a@localhost", "'7"]] });
    for kind in ["spam", "abuse"] {
        host.call(FULL, "contacts.block", report(kind)).await.ok();
        let said = host.said().await;
        let stanza: Element = said.iter().rfind(|stanza| stanza.contains("<block")).unwrap().parse().unwrap();
        let item = stanza.get_child("block", BLOCKING).and_then(|block| block.get_child("item", BLOCKING)).unwrap();
        assert_eq!((stanza.attr("type"), item.attr("jid")), (Some("set"), Some(rude)), "{said:?}");
        let told = item.get_child("report", REPORTING).unwrap();
        assert_eq!(told.attr("reason"), Some(format!("urn:xmpp:reporting:{kind}").as_str()));
        let about = told.get_child("stanza-id", "urn:xmpp:sid:0").unwrap();
        assert_eq!((about.attr("by"), about.attr("id")), (Some("a@localhost"), Some("'7")));
        assert_eq!(told.get_child("text", REPORTING).map(Element::text).as_deref(), Some(text));
    }
    host.call(FULL, "contacts.block", report("rude")).await.invalid("report.kind");
}

/// Rows 158.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_blocked_without_a_connection() {
    let host = Plan::offline().three().start().await;
    for call in ["contacts.block", "contacts.unblock"] {
        host.call(FULL, call, json!({ "jid": "a@b" })).await.fails("offline");
    }
    host.call(FULL, "contacts.blocked", Value::Null).await.fails("offline");
}
