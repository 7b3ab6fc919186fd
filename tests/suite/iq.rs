//! `iq`: requests of others that plugins answer (row 155 of `tests/conformance.toml`).

use parlor_tests::client::Client;
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::minidom::Element;
use xmpp_parsers::stanza_error::DefinedCondition;

use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, TestHost, friend, id, refuses_to_tell, running};

const WEATHER: &str = "urn:example:weather";
const OTHER: &str = "urn:example:other";

/// Returns a request to the host's account.
fn request(host: &TestHost, kind: &str, namespace: &str, id: &str) -> Iq {
    let payload: Element = format!("<place xmlns='{namespace}' name='Verona'/>").parse().unwrap();
    let (to, id) = (Some(host.shared().snapshot().jid.clone()), id.to_owned());
    match kind {
        "set" => Iq::Set { from: None, to, id, payload },
        _ => Iq::Get { from: None, to, id, payload },
    }
}

/// Sends a request, and returns the answer, or the condition of the error.
async fn ask(client: &mut Client, host: &TestHost, kind: &str, namespace: &str) -> Result<Option<Element>, String> {
    client.ask(request(host, kind, namespace, ""), SOON).await.map_err(|error| error.to_string())
}

/// Lets a plugin hear requests in a handler that returns only when this promise is resolved.
async fn hears(host: &TestHost, plugin: &str, promise: &str) -> u64 {
    host.ears().promise(promise).await;
    let order = host.order(plugin, "listen.on-and-wait", json!({ "name": "iq", "promise": promise })).await;
    host.answer(plugin, "listen.on-and-wait", order).await.ok();
    order
}

/// Waits until the account announces this namespace, or until it does not any more.
async fn announced(host: &TestHost, namespace: &str, is_there: bool) {
    let wait = async {
        while host.shared().snapshot().own.features.iter().any(|one| one == namespace) != is_there {
            tokio::time::sleep(crate::test_host::A_MOMENT).await;
        }
    };
    assert!(tokio::time::timeout(SOON, wait).await.is_ok(), "{namespace} is announced: {}", !is_there);
}

/// Row 155. Events `iq`.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_answers_requests_of_its_namespace_which_the_account_announces() {
    let plan = Plan::new().await.caller(FULL, |entry| entry.grant("iq.answer", &[WEATHER]));
    let host = plan.caller(BARE, |entry| entry).start().await;
    refuses_to_tell(&host, "iq.answer", &["iq"]).await;
    for call in ["iq.answer", "iq.refuse"] {
        let args = json!({ "id": "1", "condition": "forbidden" });
        host.call(BARE, call, args).await.denied("iq.answer", None);
    }
    running(&host, FULL).await;
    announced(&host, WEATHER, true).await;
    announced(&host, OTHER, false).await;
    let mut juliet = friend("juliet").await;
    // There is no listener, or none for this namespace.
    for namespace in [WEATHER, OTHER, "urn:example:third", "urn:xmpp:ping"] {
        let refused = ask(&mut juliet, &host, "set", namespace).await.unwrap_err();
        assert!(refused.contains("ServiceUnavailable"), "{namespace}: {refused}");
    }
    let asked = hears(&host, FULL, "answered").await;
    let from = juliet.jid().to_string();
    let answers = async {
        let event = host.heard(FULL, asked).await;
        let told = event["payload"]["iq-request"].clone();
        let answer = json!({ "id": told["id"], "xml": format!("<temperature xmlns='{WEATHER}'>7</temperature>") });
        host.call(FULL, "iq.answer", answer.clone()).await.ok();
        host.call(FULL, "iq.answer", answer).await.fails("not-found");
        told
    };
    let (answer, told) = tokio::join!(ask(&mut juliet, &host, "get", WEATHER), answers);
    let answer = answer.unwrap().unwrap();
    assert_eq!((answer.name(), answer.ns().as_str(), answer.text().as_str()), ("temperature", WEATHER, "7"));
    for (field, expected) in [("from", &*from), ("kind", "get"), ("namespace", WEATHER), ("name", "place")] {
        assert_eq!(told[field], expected, "{told}");
    }
    assert!(told["xml"].as_str().unwrap().contains("Verona"), "{told}");
    let set = async {
        let told = host.heard(FULL, asked).await["payload"]["iq-request"].clone();
        assert_eq!(told["kind"], "set");
        host.call(FULL, "iq.answer", json!({ "id": told["id"] })).await.ok();
    };
    let (answer, ()) = tokio::join!(ask(&mut juliet, &host, "set", WEATHER), set);
    assert_eq!(answer, Ok(None), "an answer may be empty");
    let refuses = async {
        let told = host.heard(FULL, asked).await["payload"]["iq-request"].clone();
        let refusal = json!({ "id": told["id"], "condition": "item-not-found", "text": "there is no such place" });
        host.call(FULL, "iq.refuse", refusal).await.ok();
    };
    let (answer, ()) = tokio::join!(ask(&mut juliet, &host, "get", WEATHER), refuses);
    assert!(answer.unwrap_err().contains("ItemNotFound"));
    host.ears().emit("answered", &Value::Null).await;
    assert!(host.host.remove_plugin(&id(FULL)).await);
    announced(&host, WEATHER, false).await;
}

/// Row 155: each request is answered, whatever the plugin does.
#[tokio::test(flavor = "multi_thread")]
async fn the_host_answers_what_the_plugin_does_not_and_bounds_what_waits() {
    let entry = |entry: parlor_tests::policy::Entry| entry.grant("iq.answer", &[WEATHER]).limit("iq_time", "1 s");
    let host = Plan::new().await.caller(FULL, entry).start().await;
    announced(&host, WEATHER, true).await;
    let mut juliet = friend("juliet").await;
    // A handler that returns at once.
    let listens = host.listen(FULL, "iq").await;
    assert!(ask(&mut juliet, &host, "get", WEATHER).await.unwrap_err().contains("ServiceUnavailable"));
    host.heard(FULL, listens).await;
    let asked = hears(&host, FULL, "late").await;
    let told = async { host.heard(FULL, asked).await["payload"]["iq-request"]["id"].clone() };
    let (answer, told) = tokio::join!(ask(&mut juliet, &host, "get", WEATHER), told);
    assert!(answer.unwrap_err().contains("RemoteServerTimeout"));
    host.call(FULL, "iq.answer", json!({ "id": told })).await.fails("not-found");
    // A sender gets some of the places, but not all.
    for number in 0..17 {
        juliet.send(request(&host, "get", WEATHER, &format!("many-{number}"))).await.unwrap();
    }
    let mut conditions = Vec::new();
    for _ in 0..17 {
        let refused = |stanza: &Stanza| match stanza {
            Stanza::Iq(Iq::Error { id, error, .. }) if id.starts_with("many-") => Some(error.defined_condition.clone()),
            _ => None,
        };
        conditions.push(juliet.wait_for("a refusal", SOON, refused).await.unwrap());
    }
    let busy = conditions.iter().filter(|one| **one == DefinedCondition::ResourceConstraint).count();
    assert_eq!(busy, 1, "{conditions:?}");
    host.ears().emit("late", &Value::Null).await;
}

/// Row 155: the plugin that came first has a namespace, and its owner is told that another one wants it.
#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_one_plugins_and_another_has_it_when_that_one_is_gone() {
    let entry = |entry: parlor_tests::policy::Entry| entry.grant("iq.answer", &[WEATHER]);
    let host = Plan::new().await.caller(FULL, entry).caller(NARROW, entry).start().await;
    let words = "another plugin answers the requests of this namespace, so this one is not asked; revoke iq.answer for it from one of them";
    host.logged(words, &[("plugin", NARROW), ("other", FULL), ("namespace", WEATHER)]).await;
    running(&host, NARROW).await;
    announced(&host, WEATHER, true).await;
    let mut juliet = friend("juliet").await;
    let (first, second) = (host.listen(FULL, "iq").await, host.listen(NARROW, "iq").await);
    assert!(ask(&mut juliet, &host, "get", WEATHER).await.is_err());
    host.heard(FULL, first).await;
    assert!(host.heard_so_far(NARROW, second).await.is_empty());
    assert!(host.host.remove_plugin(&id(FULL)).await);
    announced(&host, WEATHER, true).await;
    assert!(ask(&mut juliet, &host, "get", WEATHER).await.is_err());
    host.heard(NARROW, second).await;
}
