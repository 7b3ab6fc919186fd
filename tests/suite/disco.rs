//! `disco`: the features of entities, including this account (rows 109–115 of `tests/conformance.toml`).

use parlor_tests::client::Client;
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;

use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, TestHost, client, friend, id, refuses, refuses_to_tell};

const INFO: &str = "http://jabber.org/protocol/disco#info";
const MAM: &str = "urn:xmpp:mam:2";

/// Returns the caps hash in the account's next presence, as a client sees it.
async fn told(watcher: &mut Client, host: &TestHost) -> String {
    let bot = host.shared().snapshot().jid.clone();
    let caps = |stanza: &Stanza| match stanza {
        Stanza::Presence(presence) if presence.from.as_ref() == Some(&bot) => {
            let c = presence.payloads.iter().find(|one| one.is("c", "http://jabber.org/protocol/caps"))?;
            assert_eq!(c.attr("hash"), Some("sha-1"));
            Some(format!("{}#{}", c.attr("node")?, c.attr("ver")?))
        }
        _ => None,
    };
    watcher.wait_for("presence of the host with its caps", SOON, caps).await.unwrap()
}

/// Returns the host's own disco information.
async fn info(watcher: &mut Client, host: &TestHost, node: Option<&str>) -> Element {
    let node = node.map(|node| format!("node='{node}'")).unwrap_or_default();
    let payload: Element = format!("<query xmlns='{INFO}' {node}/>").parse().unwrap();
    let to = Some(host.shared().snapshot().jid.clone());
    let request = Iq::Get { from: None, to, id: String::new(), payload };
    watcher.ask(request, SOON).await.unwrap().unwrap()
}

fn features(info: &Element) -> Vec<&str> {
    info.children().filter(|child| child.name() == "feature").filter_map(|feature| feature.attr("var")).collect()
}

/// Rows 109-110.
#[tokio::test(flavor = "multi_thread")]
async fn own_features_are_told_by_hash_and_gone_with_the_plugin() {
    let host = Plan::new().await.three().start().await;
    // Another client of the account sees its presence.
    let mut watcher = client(host.account()).await;
    let first = told(&mut watcher, &host).await;
    let add = |name: &str| host.call(FULL, "disco.own-features-add", json!({ "name": name }));
    for name in ["urn:test:one", "urn:test:two", "urn:test:three"] {
        add(name).await.is(true);
        add(name).await.is(false);
    }
    add(INFO).await.is(false);
    let own = host.call(FULL, "disco.own-features-get", Value::Null).await.ok();
    assert!(own.as_array().unwrap().contains(&json!("urn:test:two")), "{own}");
    let second = told(&mut watcher, &host).await;
    assert_ne!(first, second);
    let said = info(&mut watcher, &host, Some(&second)).await;
    assert_eq!(said.attr("node"), Some(second.as_str()));
    assert!(features(&said).contains(&"urn:test:three"), "{said:?}");
    assert_eq!(own, json!(features(&said)), "the plugin reads what others are told");
    assert!(host.host.remove_plugin(&id(FULL)).await);
    assert_eq!(told(&mut watcher, &host).await, first, "as it was before");
    assert!(!features(&info(&mut watcher, &host, None).await).contains(&"urn:test:one"));
}

/// An owner revokes the grant while the plugin runs, and gives it back.
#[tokio::test(flavor = "multi_thread")]
async fn own_features_go_with_the_grant_and_come_back_with_it() {
    let mut host = Plan::new().await.three().start().await;
    let mut watcher = client(host.account()).await;
    let first = told(&mut watcher, &host).await;
    host.call(FULL, "disco.own-features-add", json!({ "name": "urn:test:one" })).await.is(true);
    let second = told(&mut watcher, &host).await;
    let granted = host.policy.plugin[FULL].clone();
    let mut revoked = granted.clone();
    assert!(revoked.grants.remove("disco.own").is_some());
    for (entry, hash) in [(revoked, first), (granted, second)] {
        host.policy = std::mem::take(&mut host.policy).with(FULL, entry);
        host.home.set_policy(&host.policy).unwrap();
        host.host.reload().await.unwrap();
        assert_eq!(told(&mut watcher, &host).await, hash);
    }
}

/// Rows 111-113.
#[tokio::test(flavor = "multi_thread")]
async fn own_identities_are_added_and_cleared() {
    let host = Plan::new().await.three().start().await;
    let mut watcher = client(host.account()).await;
    let add = |args: Value| host.call(FULL, "disco.own-identities-add", args);
    let get = || host.call(FULL, "disco.own-identities-get", Value::Null);
    let default = json!({ "category": "client", "kind": "bot", "name": "parlor", "lang": null });
    get().await.is(json!([default]));
    let web = json!({ "category": "client", "kind": "web", "name": "Tester", "lang": null });
    add(web.clone()).await.is(true);
    add(web.clone()).await.is(false);
    let german = json!({ "category": "client", "kind": "web", "name": "Prüfer", "lang": "de" });
    add(german.clone()).await.is(true);
    get().await.is(json!([default, web, german]));
    let said = info(&mut watcher, &host, None).await;
    assert!(
        String::from(&said).contains("xml:lang='de'") || String::from(&said).contains("xml:lang=\"de\""),
        "{said:?}"
    );
    host.call(FULL, "disco.own-identities-clear", Value::Null).await.ok();
    get().await.is(json!([]));
    add(web.clone()).await.is(true);
    get().await.is(json!([web]));
    assert!(host.host.remove_plugin(&id(FULL)).await);
    let said = info(&mut watcher, &host, None).await;
    let identities: Vec<_> = said.children().filter(|one| one.name() == "identity").collect();
    assert_eq!(identities.iter().map(|one| one.attr("type")).collect::<Vec<_>>(), [Some("bot")]);
}

/// Events discoExtensionFieldDiscovered: the extended information of a room, beyond its features.
#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_a_form_is_told_once_with_its_values() {
    let host = Plan::new().await.three().start().await;
    let heard = host.listen(FULL, "discoExtensionFieldDiscovered").await;
    let room = crate::test_host::prosody().await.fresh_room().to_string();
    host.call(FULL, "rooms.open", json!({ "jid": room, "nick": "Romeo" })).await.ok();
    for _ in 0..2 {
        let asked = json!({ "feature": "http://jabber.org/protocol/muc", "jid": room });
        assert_eq!(host.call(FULL, "disco.supports", asked).await.ok()["supported"], true);
    }
    let fields = host.heard_so_far(FULL, heard).await;
    let of = |var: &str| {
        let fields = fields.iter().map(|event| &event["payload"]["json"]);
        fields.filter(|field| field["entity"] == room && field["var"] == var).cloned().collect::<Vec<_>>()
    };
    let occupants = of("muc#roominfo_occupants");
    assert_eq!(occupants.len(), 1, "{fields:?}");
    assert_eq!(occupants[0]["form_type"], "http://jabber.org/protocol/muc#roominfo");
    assert_eq!((&occupants[0]["value"], &occupants[0]["values"]), (&json!("1"), &json!(["1"])));
}

/// Rows 109, 111.
#[tokio::test(flavor = "multi_thread")]
async fn bad_names_are_refused_by_name() {
    let host = Plan::offline().three().start().await;
    let long = "x".repeat(1 << 20);
    for name in ["", "a\u{1}b", "a<b", &long[..513]] {
        host.call(FULL, "disco.own-features-add", json!({ "name": name })).await.invalid("name");
        for argument in ["category", "kind"] {
            let mut args = json!({ "category": "client", "kind": "pc", "name": "" });
            args[argument] = name.into();
            host.call(FULL, "disco.own-identities-add", args).await.invalid(argument);
        }
    }
    let identity = json!({ "category": "client", "kind": "pc", "name": "", "lang": "" });
    host.call(FULL, "disco.own-identities-add", identity).await.invalid("lang");
    let identity = json!({ "category": "client", "kind": "pc", "name": "a\nb" });
    host.call(FULL, "disco.own-identities-add", identity).await.invalid("name");
    for number in 0..128 {
        host.call(FULL, "disco.own-features-add", json!({ "name": format!("urn:{number}") })).await.is(true);
    }
    host.call(FULL, "disco.own-features-add", json!({ "name": "urn:more" })).await.fails("over-limit");
    // It is kept while offline.
    let own = host.call(FULL, "disco.own-features-get", Value::Null).await.ok();
    assert!(own.as_array().unwrap().contains(&json!("urn:127")));
}

/// Rows 114-115.
#[tokio::test(flavor = "multi_thread")]
async fn others_are_asked_what_they_are_and_can_do() {
    let host = Plan::new().await.three().start().await;
    let account = host.account().jid.to_string();
    let supports =
        |feature: &str, jid: &str| host.call(FULL, "disco.supports", json!({ "feature": feature, "jid": jid }));
    let expected = json!({ "supported": true, "feature": { "var": MAM, "entity": account } });
    supports(MAM, &account).await.is(expected);
    supports("urn:nobody:can", &account).await.is(json!({ "supported": false, "feature": null }));
    supports("urn:xmpp:carbons:2", "localhost").await.ok();
    let identity = |category: &str, kind: &str, jid: &str| {
        host.call(FULL, "disco.get-identity", json!({ "category": category, "kind": kind, "jid": jid }))
    };
    let found = identity("pubsub", "pep", &account).await.ok();
    assert_eq!((&found["category"], &found["kind"]), (&json!("pubsub"), &json!("pep")));
    assert_eq!(identity("conference", "text", "conference.localhost").await.ok()["category"], "conference");
    identity("conference", "irc", "conference.localhost").await.is(Value::Null);
    // An invalid answer is an error, and does not count as a missing feature.
    let mut friend = friend("friend").await;
    let jid = friend.jid().to_string();
    // The client answers only while it reads.
    let refused = tokio::select! {
        answer = supports(INFO, &jid) => answer,
        _ = friend.wait_for("nothing in particular", SOON, |_: &Stanza| None::<()>) => panic!("{jid} was not asked"),
    };
    assert_eq!(refused.fails("stanza")["condition"], "service-unavailable");
    supports(INFO, "nobody@localhost/nowhere").await.fails("stanza");
    supports("", &account).await.invalid("feature");
    supports("a\u{1}", &account).await.invalid("feature");
    supports(&"x".repeat(1 << 18), &account).await.invalid("feature");
    supports(INFO, "@@").await.invalid("jid");
    supports(INFO, &"x".repeat(1 << 18)).await.invalid("jid");
    identity("", "pep", &account).await.invalid("category");
    identity("pubsub", "", &account).await.invalid("kind");
    identity("pubsub", "pep", "").await.invalid("jid");
}

/// Rows 109-115.
/// Events serviceDiscovered, discoExtensionFieldDiscovered.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_grants_nothing_is_said_or_asked() {
    let host = Plan::offline().three().start().await;
    let identity = json!({ "category": "client", "kind": "web", "name": "x" });
    refuses(
        &host,
        &[
            ("disco.own-features-add", json!({ "name": "urn:x" }), "disco.own", None),
            ("disco.own-features-get", Value::Null, "disco.own", None),
            ("disco.own-identities-add", identity.clone(), "disco.own", None),
            ("disco.own-identities-get", Value::Null, "disco.own", None),
            ("disco.own-identities-clear", Value::Null, "disco.own", None),
            ("disco.supports", json!({ "feature": INFO, "jid": "localhost" }), "disco.read", None),
            ("disco.get-identity", json!({ "category": "a", "kind": "b", "jid": "localhost" }), "disco.read", None),
            ("disco.last-activity", json!({ "jid": "localhost" }), "disco.read", None),
            ("disco.time", json!({ "jid": "localhost" }), "disco.read", None),
            ("disco.version", json!({ "jid": "localhost" }), "disco.read", None),
        ],
    )
    .await;
    refuses_to_tell(&host, "disco.read", &["serviceDiscovered", "discoExtensionFieldDiscovered"]).await;
    // Without a connection no other entity can be asked, but the account's own information is known.
    host.call(FULL, "disco.supports", json!({ "feature": INFO, "jid": "localhost" })).await.fails("offline");
    host.call(NARROW, "disco.own-features-add", json!({ "name": "urn:x" })).await.is(true);
}

/// Rows 31, 50.
/// Events discoInitialized, serviceDiscovered, discoExtensionFieldDiscovered.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_and_its_services_are_told_once_each() {
    let listens = "discoInitialized,serviceDiscovered,discoExtensionFieldDiscovered";
    let host = Plan::new()
        .await
        .caller(FULL, |new| crate::test_host::granted(new.set("listens", listens)))
        .caller(BARE, |new| new);
    let host = host.start().await;
    host.call(BARE, "api.wait-until", json!({ "promise": "discoInitialized" })).await.is("none");
    host.call(FULL, "archive.query", json!({ "max": 1 })).await.ok();
    let account = host.account().jid.to_string();
    let wanted = [("localhost", INFO), (account.as_str(), MAM), ("conference.localhost", INFO)];
    let begun = std::time::Instant::now();
    let noted = loop {
        let noted = host.call(FULL, "action.noted", Value::Null).await.ok();
        let all: Vec<Value> = noted.as_array().unwrap().clone();
        let told = |(entity, var): &(&str, &str)| {
            all.iter().any(|one| one["payload"]["feature"] == json!({ "var": var, "entity": entity }))
        };
        if wanted.iter().all(told) {
            break all;
        }
        assert!(begun.elapsed() < SOON, "{noted}");
    };
    let features: Vec<_> = noted.iter().filter(|one| one["name"] == "serviceDiscovered").collect();
    assert!(features.iter().enumerate().all(|(at, one)| !features[..at].contains(one)), "once for each: {features:?}");
    assert_eq!(noted.iter().filter(|one| one["name"] == "discoInitialized").count(), 1);
    assert!(noted.iter().filter(|one| one["name"] == "discoExtensionFieldDiscovered").all(|one| {
        let field = &one["payload"]["json"];
        field["entity"].is_string() && field["var"].is_string() && field["values"].is_array()
    }));
}
