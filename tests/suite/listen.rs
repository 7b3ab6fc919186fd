//! `listen`: subscriptions and filters (rows 122–124 of `tests/conformance.toml`), and the order of events.

use serde_json::{Value, json};

use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, client, friend, granted};

/// Rows 122-124.
#[tokio::test(flavor = "multi_thread")]
async fn on_hears_all_once_hears_one_and_not_ends_it() {
    let host = Plan::offline().three().start().await;
    let on = host.listen(BARE, "tick").await;
    let once = host.order(BARE, "listen.once", json!({ "name": "tick" })).await;
    host.answer(BARE, "listen.once", once).await.ok();
    for number in 1..=3 {
        host.ears().emit("tick", &json!(number)).await;
    }
    let payloads = |events: Vec<Value>| events.iter().map(|event| event["payload"]["json"].clone()).collect::<Vec<_>>();
    assert_eq!(payloads(host.heard_so_far(BARE, on).await), [1, 2, 3]);
    assert_eq!(payloads(host.heard_so_far(BARE, once).await), [1]);
    host.call(BARE, "listen.not", json!({ "order": on })).await.ok();
    host.ears().emit("tick", &json!(4)).await;
    assert!(host.heard_so_far(BARE, on).await.is_empty());
    host.call(BARE, "listen.not", json!({ "order": on })).await.fails("not-found");
    host.call(BARE, "listen.not", json!({ "order": once })).await.fails("not-found");
    host.call(BARE, "listen.on", json!({ "name": "" })).await.invalid("name");
}

/// Rows 124.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_ends_anothers_subscription() {
    let host = Plan::offline().three().start().await;
    let mine = host.listen(BARE, "tick").await;
    let shared = host.shared();
    let (id, other) = (host.instance(BARE).await.id, host.instance(FULL).await.id);
    let before = shared.router.count(id);
    // Tries all subscription ids that were ever assigned.
    let newest = parlor_session::router::SubscriptionId::next().0;
    assert!((0..newest).all(|number| {
        !shared.router.unsubscribe(other, parlor_session::router::SubscriptionId(number))
            || shared.router.count(id) == before
    }));
    host.ears().emit("tick", &json!(1)).await;
    host.heard(BARE, mine).await;
}

/// Row 122.
/// Events message.
#[tokio::test(flavor = "multi_thread")]
async fn the_host_matches_filters() {
    let host = Plan::new().await.caller(FULL, granted).start().await;
    let (mut juliet, mut romeo) = (friend("juliet").await, friend("romeo").await);
    let (bot, jid) = (host.account().jid.clone(), juliet.jid().to_bare().to_string());
    let filters = [
        ("all", json!({ "name": "message" })),
        ("from", json!({ "name": "message", "from": jid })),
        ("full", json!({ "name": "message", "from": juliet.jid().to_string() })),
        ("prefix", json!({ "name": "message", "prefix": "!" })),
        ("kind", json!({ "name": "message", "kind": "headline" })),
        ("kinds", json!({ "name": "message", "kind": "normal chat" })),
        ("room", json!({ "name": "message", "room": "room@conference.localhost" })),
    ];
    let mut numbers = Vec::new();
    for (name, filter) in filters {
        numbers.push((name, host.listen_with(FULL, filter).await));
    }
    let end = host.listen_with(FULL, json!({ "name": "message", "prefix": "the end" })).await;
    juliet.chat(bot.clone(), "hello").await.unwrap();
    juliet.chat(bot.clone(), "!help").await.unwrap();
    juliet.catch_up(SOON).await.unwrap();
    romeo.chat(bot.clone(), "!go").await.unwrap();
    romeo.chat(bot, "the end").await.unwrap();
    host.heard(FULL, end).await;
    for (name, n) in numbers {
        let events = host.heard_so_far(FULL, n).await;
        let bodies: Vec<_> = events.iter().map(|event| event["payload"]["message"]["body"].as_str().unwrap()).collect();
        let expected: &[&str] = match name {
            "all" | "kinds" => &["hello", "!help", "!go", "the end"],
            "from" | "full" => &["hello", "!help"],
            "prefix" => &["!help", "!go"],
            _ => &[],
        };
        assert_eq!(bodies, expected, "{name}");
    }
    let on = |filter: Value| host.call(FULL, "listen.on", filter);
    on(json!({ "name": "message", "kind": "loud" })).await.invalid("filter.kind");
    on(json!({ "name": "message", "kind": "chat loud" })).await.invalid("filter.kind");
    on(json!({ "name": "message", "from": "@@" })).await.invalid("filter.from");
    on(json!({ "name": "message", "room": "@@" })).await.invalid("filter.room");
}

/// Row 122.
#[tokio::test(flavor = "multi_thread")]
async fn own_messages_and_xml_come_to_who_asks_and_may() {
    let host = Plan::new().await.three().start().await;
    let friend = friend("friend").await;
    let jid = friend.jid().to_bare().to_string();
    let plain = host.listen(FULL, "message").await;
    let own = host.listen_with(FULL, json!({ "name": "message", "own": true, "xml": true })).await;
    // Another client of the account sends a message, and the host gets a copy (XEP-0280).
    let mut other = client(host.account()).await;
    other.chat(friend.jid().to_bare(), "from my telephone").await.unwrap();
    let copy = host.heard(FULL, own).await["payload"]["message"].clone();
    assert_eq!((&copy["own"], &copy["carbon"], &copy["chat"]), (&json!(true), &json!("sent"), &json!(jid)));
    assert!(copy["xml"].as_str().unwrap().contains("from my telephone"), "{copy}");
    assert!(host.heard_so_far(FULL, plain).await.is_empty());
    let xml = json!({ "name": "message", "xml": true });
    host.call(BARE, "listen.on", xml).await.denied("messages.read", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn xml_needs_a_grant_of_its_own() {
    let reads = |entry: parlor_tests::policy::Entry| entry.grant("messages.read", &["*"]);
    let host = Plan::offline().caller("reader", reads).start().await;
    host.call("reader", "listen.on", json!({ "name": "message" })).await.ok();
    host.call("reader", "listen.on", json!({ "name": "message", "xml": true }))
        .await
        .denied("stanza.read", Some("message"));
}

/// The events of connecting that a plugin without any grant hears.
const FREE: [&str; 6] = [
    "pluginsInitialized",
    "connectionInitialized",
    "connected",
    "statusInitialized",
    "discoInitialized",
    "initialized",
];

/// The order in which the host fires the events of connecting. None of them waits for a plugin.
/// Events `pluginsInitialized`, `connectionInitialized`, `connected`, `statusInitialized`, `discoInitialized`,
/// `rosterInitialized`, `roster`, `rosterGroupsFetched`, `rosterContactsFetched`, `chatBoxesInitialized`,
/// `chatBoxesFetched`, `bookmarksInitialized`, `roomsPanelRendered`, `roomsAutoJoined`, `privateChatsAutoJoined`,
/// `initialized`.
#[tokio::test(flavor = "multi_thread")]
async fn events_of_connecting_come_in_their_order() {
    let order = [
        "pluginsInitialized",
        "connectionInitialized",
        "connected",
        "statusInitialized",
        "discoInitialized",
        "rosterInitialized",
        "roster",
        "rosterGroupsFetched",
        "rosterContactsFetched",
        "chatBoxesInitialized",
        "chatBoxesFetched",
        "bookmarksInitialized",
        "roomsPanelRendered",
        "roomsAutoJoined",
        "privateChatsAutoJoined",
        "initialized",
    ];
    let mut plan = Plan::new().await;
    for (id, entry) in [(FULL, true), (NARROW, false)] {
        let names = order.join(",");
        plan = plan.caller(id, |new| {
            let new = new.set("listens", names);
            if entry { granted(new) } else { new }
        });
    }
    let host = plan.start().await;
    for (plugin, expected) in [(FULL, &order[..]), (NARROW, &FREE)] {
        let noted = host.call(plugin, "action.noted", Value::Null).await.ok();
        let names: Vec<_> = noted.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{plugin}");
        assert!(noted.as_array().unwrap().iter().all(|one| one["payload"] == "none"), "{noted}");
    }
}

/// Rows 50.
/// Events `serviceDiscovered`.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_can_do_is_told_to_who_may_know() {
    let host = Plan::new()
        .await
        .caller(FULL, |new| granted(new.set("listens", "serviceDiscovered")))
        .caller(BARE, |new| new)
        .start()
        .await;
    host.call(BARE, "listen.on", json!({ "name": "serviceDiscovered" })).await.denied("disco.read", None);
    let begun = std::time::Instant::now();
    loop {
        let noted = host.call(FULL, "action.noted", Value::Null).await.ok();
        let feature = |one: &Value| {
            let feature = &one["payload"]["feature"];
            assert_eq!(feature["entity"], "localhost", "{one}");
            feature["var"] == "http://jabber.org/protocol/disco#info"
        };
        if noted.as_array().unwrap().iter().any(feature) {
            return;
        }
        assert!(begun.elapsed() < SOON, "{noted}");
    }
}

const WARNING: &str = "nobody declares the event that a plugin listens to";

/// Row 122.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_nobody_declares_is_warned_about_with_the_nearest() {
    let host = Plan::offline().caller(BARE, |new| new.set("listens", "mesage")).start().await;
    let line = host.logged(WARNING, &[("plugin", BARE), ("event", "mesage")]).await;
    assert!(line.get("nearest").contains("message"), "{line:?}");
    for _ in 0..3 {
        host.listen(BARE, "conected").await;
    }
    host.listen(BARE, "connected").await;
    let line = host.logged(WARNING, &[("event", "conected")]).await;
    assert!(line.get("nearest").contains("connected"), "{line:?}");
    let lines = crate::trace::with("account", host.name());
    let about = |name: &str| lines.iter().filter(|line| line.is(WARNING, &[("event", name)])).count();
    assert_eq!((about("mesage"), about("conected"), about("connected")), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_the_manifest_does_not_have_is_warned_about_with_the_nearest() {
    const UNDECLARED: &str = "plugin listens to a webhook that its plugin.toml does not declare";
    let host = Plan::offline().three().start().await;
    for name in ["github", "githb"] {
        host.listen_with(FULL, json!({ "name": "webhook", "webhook": name })).await;
    }
    let line = host.logged(UNDECLARED, &[("plugin", FULL), ("webhook", "githb")]).await;
    assert!(line.get("nearest").contains("github"), "{line:?}");
    let lines = crate::trace::with("account", host.name());
    assert!(!lines.iter().any(|line| line.is(UNDECLARED, &[("webhook", "github")])));
}
