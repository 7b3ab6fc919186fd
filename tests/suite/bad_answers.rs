//! Bad answers to each call that sends a request: an error, nonsense, an answer from another sender, and duplicates.
//! The call must end with a typed error or with the trustworthy part, and leave nothing behind.
//!
//! Late and missing answers are tested in `host/session/src/tests/answers.rs`, on a simulated clock.

use jid::Jid;
use parlor_tests::peer::{Request, archive};
use serde_json::{Value, json};
use xmpp_parsers::minidom::Element;

use crate::test_host::{FULL, Plan, TestHost};

const FRIEND: &str = "friend@elsewhere.example";
const ROOM: &str = "room@rooms.localhost";

/// Returns the calls with their arguments, and whether any result counts as success: a command has no other answer.
fn calls() -> Vec<(&'static str, Value, bool)> {
    let user = json!({ "jid": ROOM, "user": FRIEND, "affiliation": "member" });
    let nick = json!({ "jid": ROOM, "nick": "juliet", "role": "visitor" });
    let iq = format!("<iq type='get' to='{FRIEND}'><x xmlns='urn:x'/></iq>");
    vec![
        ("api.send-iq", json!({ "iq": iq }), true),
        ("archive.query", json!({ "max": 5 }), false),
        ("archive.query", json!({}), false),
        ("archive.query", json!({ "with": ROOM }), false),
        ("archive.query-all", json!({}), false),
        ("disco.get-identity", json!({ "category": "client", "kind": "bot", "jid": FRIEND }), false),
        ("disco.supports", json!({ "feature": "urn:x", "jid": FRIEND }), false),
        ("disco.last-activity", json!({ "jid": FRIEND }), false),
        ("disco.time", json!({ "jid": FRIEND }), false),
        ("disco.version", json!({ "jid": FRIEND }), false),
        ("vcard.get", json!({ "jid": FRIEND, "force": true }), false),
        ("vcard.update", json!({ "jid": FRIEND, "force": true }), false),
        ("vcard.set", json!({ "fn": "Bot" }), false),
        ("contacts.add", json!({ "jid": FRIEND }), true),
        ("contacts.rename", json!({ "jid": FRIEND, "fullname": "x" }), true),
        ("contacts.set-groups", json!({ "jid": FRIEND, "groups": ["x"] }), true),
        ("contacts.remove", json!({ "jid": FRIEND }), true),
        ("rooms.set-role", nick.clone(), true),
        ("rooms.kick", nick, true),
        ("rooms.set-affiliation", user.clone(), true),
        ("rooms.ban", user.clone(), true),
        ("rooms.affiliations", user, false),
        ("rooms.register", json!({ "jid": ROOM, "nick": "x", "fields": [] }), false),
        ("rooms.unregister", json!({ "jid": ROOM }), true),
        ("rooms.reserved-nick", json!({ "jid": ROOM }), false),
        ("rooms.configure", json!({ "jid": ROOM, "fields": [["roomname", "x"]] }), false),
        ("rooms.destroy", json!({ "jid": ROOM }), true),
        ("rooms.set-bookmark", json!({ "jid": ROOM, "autojoin": false }), true),
        ("rooms.remove-bookmark", json!({ "jid": ROOM }), true),
    ]
}

fn answer(request: &Request, kind: &str, from: Option<&str>, content: &str) -> Element {
    let from = from.map(|from| format!("from='{from}'")).unwrap_or_default();
    let iq = format!("<iq xmlns='jabber:client' type='{kind}' id='{}' {from}>{content}</iq>", request.id);
    iq.parse().unwrap()
}

fn result(request: &Request, content: &str) -> Element {
    answer(request, "result", request.to.as_ref().map(Jid::as_str), content)
}

fn error(request: &Request) -> Element {
    let error = "<error type='cancel'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    answer(request, "error", request.to.as_ref().map(Jid::as_str), error)
}

async fn host() -> TestHost {
    Plan::scripted(archive::honest(3)).await.set("allow_non_roster_messaging", true).three().start().await
}

/// Asserts that no call is pending.
async fn nothing_waits(host: &TestHost) {
    let instance = host.instance(FULL).await;
    assert_eq!((instance.until_waiting(0).await, instance.open_archive_queries()), (0, 0));
}

/// Returns the error of an answer. A query of many pages reports it at the end of its stream.
fn told(call: &str, answered: Result<Value, Value>) -> Result<Value, Value> {
    match answered {
        Ok(all) if call == "archive.query-all" && !all["end"].is_null() => Err(all["end"].clone()),
        other => other,
    }
}

/// Rows 11, 38, 47, 66-68, 70-72, 108, 114, 115.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_told_with_its_condition() {
    let host = host().await;
    // The contact and the bookmark exist, so that they can be changed and removed.
    host.call(FULL, "rooms.set-bookmark", json!({ "jid": ROOM, "autojoin": false })).await.fails("stanza");
    host.answers(|request| vec![result(request, "")]);
    host.call(FULL, "contacts.add", json!({ "jid": FRIEND })).await.ok();
    host.call(FULL, "rooms.set-bookmark", json!({ "jid": ROOM, "autojoin": false })).await.ok();
    host.answers(|request| vec![error(request)]);
    for (call, args, _) in calls() {
        let outcome = told(call, host.call(FULL, call, args.clone()).await.result);
        let Err(error) = outcome else { panic!("{call} {args}: {outcome:?}") };
        assert_eq!((&error["case"], &error["condition"]), (&json!("stanza"), &json!("forbidden")), "{call}: {error}");
    }
    nothing_waits(&host).await;
}

/// Rows 11, 38, 47, 66-68, 70-72, 108, 114, 115.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_no_answer() {
    let host = host().await;
    host.answers(|request| vec![result(request, "<query xmlns='urn:nonsense'><item/></query>")]);
    for (call, args, is_order) in calls() {
        let outcome = told(call, host.call(FULL, call, args.clone()).await.result);
        assert_eq!(outcome.is_ok(), is_order, "{call} {args}: {outcome:?}");
        if let Err(error) = outcome {
            let known = ["other", "unsupported", "stanza"];
            assert!(known.contains(&error["case"].as_str().unwrap()), "{call} {args}: {error}");
        }
    }
    nothing_waits(&host).await;
}

/// Rows 11, 38, 47, 66-68, 70-72, 108, 114, 115. Rules iq-reply.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_answers_nothing_and_nobody_answers_twice() {
    let host = host().await;
    host.answers(|request| vec![result(request, "")]);
    host.call(FULL, "contacts.add", json!({ "jid": FRIEND })).await.ok();
    host.call(FULL, "rooms.set-bookmark", json!({ "jid": ROOM, "autojoin": false })).await.ok();
    host.answers(|request| {
        let forged = ["evil@elsewhere.example/x", "elsewhere.example", "bot@localhost/other"];
        let forged = forged.map(|from| answer(request, "result", Some(from), ""));
        // The genuine error comes twice, followed by a success.
        forged.into_iter().chain([error(request), error(request), result(request, "")]).collect()
    });
    for (call, args, _) in calls() {
        let outcome = told(call, host.call(FULL, call, args.clone()).await.result);
        let Err(error) = outcome else { panic!("{call} {args}: {outcome:?}") };
        assert_eq!(error["condition"], "forbidden", "{call}: {error}");
    }
    nothing_waits(&host).await;
}
