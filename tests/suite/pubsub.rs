//! `pubsub`: nodes of publish-subscribe services and of accounts (row 156 of `tests/conformance.toml`).

use jid::BareJid;
use parlor_tests::client::Client;
use parlor_tests::server::{LIBRARIAN, PUBSUB, Software};
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::message::{Lang, Message};
use xmpp_parsers::minidom::Element;

use crate::cut::befriend;
use crate::test_host::{
    BARE, FULL, NARROW, Plan, SOON, TestHost, client, friend, granted, prosody, refuses, refuses_to_tell, running,
    software,
};

const MOOD: &str = "urn:example:mood";
const MOODS: &str = "moods";

/// Returns the XML of an item.
fn entry(text: &str) -> String {
    format!("<entry xmlns='urn:example:news'>{text}</entry>")
}

/// Sends a request about nodes from another client.
async fn ask(client: &mut Client, service: Option<&str>, payload: &str) {
    let (to, payload) = (service.map(|service| service.parse().unwrap()), payload.parse::<Element>().unwrap());
    client.ask(Iq::Set { from: None, to, id: String::new(), payload }, SOON).await.unwrap();
}

/// Creates a node that everybody may read, and in which this account may publish. Returns its owner.
async fn node_for(node: &str, publisher: &BareJid) -> Client {
    let librarian = prosody().await.add_account(LIBRARIAN).unwrap();
    let mut librarian = client(&librarian).await;
    let field = |var: &str, value: &str| format!("<field var='pubsub#{var}'><value>{value}</value></field>");
    let kind = "http://jabber.org/protocol/pubsub#node_config";
    let fields = [field("access_model", "open"), field("max_items", "20")].concat();
    let create = format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='{node}'/><configure><x xmlns='jabber:x:data' \
         type='submit'><field var='FORM_TYPE' type='hidden'><value>{kind}</value></field>{fields}</x></configure></pubsub>"
    );
    ask(&mut librarian, Some(PUBSUB), &create).await;
    let affiliate = format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><affiliations node='{node}'><affiliation \
         jid='{publisher}' affiliation='publisher'/></affiliations></pubsub>"
    );
    ask(&mut librarian, Some(PUBSUB), &affiliate).await;
    librarian
}

/// Waits until the account announces this feature, or until it does not any more.
async fn announced(host: &TestHost, feature: &str, is_there: bool) {
    let wait = async {
        while host.shared().snapshot().own.features.iter().any(|one| one == feature) != is_there {
            tokio::time::sleep(crate::test_host::A_MOMENT).await;
        }
    };
    assert!(tokio::time::timeout(SOON, wait).await.is_ok(), "{feature} is announced: {}", !is_there);
}

/// Returns the next item that a plugin gets.
async fn item(host: &TestHost, plugin: &str, order: u64) -> Value {
    host.heard(plugin, order).await["payload"]["pubsub-item"].clone()
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// Row 156. Events `pubsub-item`.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_publishes_reads_and_hears_of_a_node_that_it_is_granted() {
    const NODE: &str = "news";
    let host = Plan::new().await.three().start().await;
    let at = |more: Value| {
        let mut args = json!({ "service": PUBSUB, "node": NODE });
        for (name, value) in more.as_object().unwrap() {
            args[name] = value.clone();
        }
        args
    };
    let scope = format!("{PUBSUB}/{NODE}");
    let publish = at(json!({ "xml": entry("x"), "id": "one" }));
    refuses(
        &host,
        &[
            ("pubsub.publish", publish.clone(), "pubsub.publish", Some(scope.as_str())),
            ("pubsub.retract", at(json!({ "id": "one" })), "pubsub.publish", Some(scope.as_str())),
            ("pubsub.items", at(json!({ "max": 1 })), "pubsub.read", Some(scope.as_str())),
            ("pubsub.item", at(json!({ "id": "one" })), "pubsub.read", Some(scope.as_str())),
            ("pubsub.subscribe", at(json!({})), "pubsub.read", Some(scope.as_str())),
            ("pubsub.unsubscribe", at(json!({})), "pubsub.read", Some(scope.as_str())),
            ("pubsub.create", at(json!({})), "pubsub.configure", Some(scope.as_str())),
            ("pubsub.configure", at(json!({ "title": "x" })), "pubsub.configure", Some(scope.as_str())),
            ("pubsub.purge", at(json!({})), "pubsub.configure", Some(scope.as_str())),
            ("pubsub.delete", at(json!({})), "pubsub.configure", Some(scope.as_str())),
        ],
    )
    .await;
    refuses_to_tell(&host, "pubsub.read", &["pubsub-item"]).await;
    let mut librarian = node_for(NODE, &host.account().jid).await;
    running(&host, FULL).await;
    let connected = json!({ "promise": "rosterContactsFetched" });
    host.call(FULL, "api.wait-until", connected).await.ok();
    host.call(FULL, "pubsub.unsubscribe", at(json!({}))).await.fails("not-found");
    let (heard, narrow) = (host.listen(FULL, "pubsub-item").await, host.listen(NARROW, "pubsub-item").await);
    host.call(FULL, "pubsub.subscribe", at(json!({}))).await.is(true);
    host.call(FULL, "pubsub.publish", publish).await.is("one");
    let told = item(&host, FULL, heard).await;
    for (field, expected) in [("kind", "item"), ("service", PUBSUB), ("node", NODE), ("id", "one")] {
        assert_eq!(told[field], expected, "{told}");
    }
    assert!(told["xml"].as_str().unwrap().contains("urn:example:news") && told["cut"] == false, "{told}");
    let made_up = host.call(FULL, "pubsub.publish", at(json!({ "xml": entry("y") }))).await.ok();
    assert_eq!(item(&host, FULL, heard).await["id"], made_up);
    let one = host.call(FULL, "pubsub.item", at(json!({ "id": "one" }))).await.ok();
    assert!(one["xml"].as_str().unwrap().contains('x'), "{one}");
    host.call(FULL, "pubsub.item", at(json!({ "id": "nosuch" }))).await.is(Value::Null);
    let page = host.call(FULL, "pubsub.items", at(json!({ "max": 10_000 }))).await.ok();
    assert!(ids(&page).contains(&"one".to_owned()) && ids(&page).len() == 2, "{page}");
    host.call(FULL, "pubsub.retract", at(json!({ "id": "one" }))).await.ok();
    let gone = item(&host, FULL, heard).await;
    assert_eq!((gone["kind"].as_str(), gone["id"].as_str()), (Some("retracted"), Some("one")), "{gone}");
    let purge = format!("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><purge node='{NODE}'/></pubsub>");
    ask(&mut librarian, Some(PUBSUB), &purge).await;
    let gone = item(&host, FULL, heard).await;
    assert_eq!((gone["kind"].as_str(), &gone["id"]), (Some("purged"), &Value::Null), "{gone}");
    host.call(FULL, "pubsub.unsubscribe", at(json!({}))).await.ok();
    host.call(FULL, "pubsub.publish", at(json!({ "xml": entry("z"), "id": "two" }))).await.is("two");
    host.call(FULL, "pubsub.item", at(json!({ "id": "two" }))).await.ok();
    assert!(host.heard_so_far(FULL, heard).await.is_empty(), "it is not subscribed any more");
    assert!(host.heard_so_far(NARROW, narrow).await.is_empty(), "it is granted another node");
    // The service refuses what only an owner may do.
    host.call(FULL, "pubsub.delete", at(json!({}))).await.fails("stanza");
}

/// Row 156: nodes of the account itself, and those that are the host's.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_makes_nodes_of_the_account_but_has_none_of_the_hosts() {
    let host = Plan::new().await.three().start().await;
    running(&host, FULL).await;
    let own = host.account().jid.to_string();
    let at = |node: &str, more: Value| {
        let mut args = json!({ "service": own, "node": node });
        for (name, value) in more.as_object().unwrap() {
            args[name] = value.clone();
        }
        args
    };
    host.call(FULL, "api.wait-until", json!({ "promise": "rosterContactsFetched" })).await.ok();
    let options = json!({ "access": "open", "max-items": 10, "persist": true });
    host.call(FULL, "pubsub.create", at("urn:example:log", options)).await.ok();
    host.call(FULL, "pubsub.create", at("urn:example:log", json!({}))).await.fails("stanza");
    host.call(FULL, "pubsub.configure", at("urn:example:log", json!({ "title": "a log" }))).await.ok();
    for number in 0..5 {
        let args = at("urn:example:log", json!({ "xml": entry("x"), "id": number.to_string() }));
        host.call(FULL, "pubsub.publish", args).await.is(number.to_string());
    }
    let first = host.call(FULL, "pubsub.items", at("urn:example:log", json!({ "max": 2 }))).await.ok();
    assert_eq!(ids(&first).len(), 2, "{first}");
    let after = first["last"].as_str().unwrap_or("1");
    let second = host.call(FULL, "pubsub.items", at("urn:example:log", json!({ "max": 2, "after": after }))).await;
    // 0.12 gives no pages of items.
    if software() == Software::Prosody {
        second.fails("unsupported");
    } else {
        let second = second.ok();
        assert!(ids(&second).iter().all(|id| !ids(&first).contains(id)), "{first} {second}");
    }
    host.call(FULL, "pubsub.purge", at("urn:example:log", json!({}))).await.ok();
    let page = host.call(FULL, "pubsub.items", at("urn:example:log", json!({ "max": 10 }))).await.ok();
    assert_eq!(ids(&page), [""; 0], "all items are gone, and the node is not");
    // A node is created with the options with which it is first published in.
    let published = at(MOOD, json!({ "xml": entry("glad"), "id": "current", "access": "open", "persist": true }));
    host.call(FULL, "pubsub.publish", published).await.is("current");
    for node in ["storage:bookmarks", "urn:xmpp:bookmarks:1", "urn:xmpp:omemo:2:devices", "urn:xmpp:avatar:data"] {
        for (call, permission) in [
            ("pubsub.publish", "pubsub.publish"),
            ("pubsub.retract", "pubsub.publish"),
            ("pubsub.items", "pubsub.read"),
            ("pubsub.subscribe", "pubsub.read"),
            ("pubsub.configure", "pubsub.configure"),
            ("pubsub.purge", "pubsub.configure"),
            ("pubsub.delete", "pubsub.configure"),
        ] {
            let args = at(node, json!({ "xml": entry("x"), "id": "1", "max": 1, "access": "open" }));
            let error = host.call(FULL, call, args).await.fails("denied");
            assert_eq!(error["permission"], permission, "{call} {node}: {error}");
            assert!(error["hint"].as_str().unwrap().contains("no grant helps"), "{call} {node}: {error}");
        }
    }
    for node in ["urn:example:log", MOOD] {
        host.call(FULL, "pubsub.delete", at(node, json!({}))).await.ok();
    }
    host.call(BARE, "pubsub.delete", at(MOOD, json!({})))
        .await
        .denied("pubsub.configure", Some("own/urn:example:mood"));
}

/// Row 156: nodes of contacts, which the account asks for in its capabilities, and forged items of strangers.
#[tokio::test(flavor = "multi_thread")]
async fn contacts_tell_of_their_nodes_and_strangers_of_none() {
    let scope = format!("contacts/{MOOD}");
    let plan = Plan::new().await.set("auto_subscribe", true);
    let plan = plan.caller(FULL, granted).caller(NARROW, |entry| entry.grant("pubsub.read", &["contacts/x"]));
    let host = plan.caller(MOODS, |entry| entry.grant("pubsub.read", &[&scope])).start().await;
    for plugin in [FULL, NARROW, MOODS] {
        running(&host, plugin).await;
    }
    announced(&host, &format!("{MOOD}+notify"), true).await;
    let mut heard = Vec::new();
    for plugin in [FULL, NARROW, MOODS] {
        heard.push(host.listen(plugin, "pubsub-item").await);
    }
    let said = host.listen(FULL, "message").await;
    let mut mallory = friend("mallory").await;
    let forged: Element = format!(
        "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{MOOD}'><item id='forged'>{}</item></items>\
         </event>",
        entry("forged")
    )
    .parse()
    .unwrap();
    let mut message = Message::headline(host.shared().snapshot().jid.clone());
    message.payloads.push(forged);
    mallory.send(Stanza::Message(message)).await.unwrap();
    let hello = Message::chat(host.shared().snapshot().jid.clone()).with_body(Lang::default(), "hello".to_owned());
    mallory.send(Stanza::Message(hello)).await.unwrap();
    while host.heard(FULL, said).await["payload"]["message"]["body"] != "hello" {}
    for (plugin, order) in [FULL, NARROW, MOODS].into_iter().zip(&heard) {
        assert!(host.heard_so_far(plugin, *order).await.is_empty(), "{plugin} heard of a stranger's");
    }
    let mut juliet = friend("juliet").await;
    befriend(&host, &mut juliet).await;
    let publish = format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{MOOD}'><item id='current'>{}</item></publish>\
         </pubsub>",
        entry("in love")
    );
    // ejabberd asks a client once for its subscriptions, and sends it no events until it has answered.
    let mut told = Vec::new();
    for _ in 0..500 {
        ask(&mut juliet, None, &publish).await;
        told = host.heard_so_far(MOODS, heard[2]).await;
        if !told.is_empty() {
            break;
        }
    }
    let told = &told.first().expect("none of 500 items was told of")["payload"]["pubsub-item"];
    assert_eq!(told["service"], juliet.jid().to_bare().to_string(), "{told}");
    assert!(told["xml"].as_str().unwrap().contains("in love"), "{told}");
    assert!(host.heard_so_far(NARROW, heard[1]).await.is_empty(), "it is granted another node");
    assert!(host.host.remove_plugin(&crate::test_host::id(MOODS)).await);
    announced(&host, &format!("{MOOD}+notify"), false).await;
}
