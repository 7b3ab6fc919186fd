//! Bad input to each call of the contract. Each argument is tried empty, far too long, with control characters, and as
//! an invalid address, date or stanza. Each must fail with `invalid` and the argument's name before anything is sent.

mod contract;
mod table;

use std::collections::BTreeSet;
use std::iter;

use parlor_tests::peer::archive;
use serde_json::{Map, Value, json};

use self::table::{Kind, cases};
use crate::test_host::{FULL, Plan, TestHost};

const FRIEND: &str = "friend@localhost";
const ROOM: &str = "room@rooms.localhost";

/// Returns every call that has arguments, with valid ones, as far as the table needs them.
pub(crate) fn calls(jid: &str, room: &str) -> Vec<(&'static str, Value)> {
    cases(jid, room).into_iter().map(|(call, good, _)| (call, good)).collect()
}

/// Without this test, a call that is missing from the table would not be tested below.
#[test]
fn every_argument_of_every_call_is_in_the_table() {
    let mut table = BTreeSet::new();
    for (call, _, arguments) in cases(FRIEND, ROOM) {
        table.extend(arguments.into_iter().map(|(path, _)| (call.to_owned(), path.to_owned())));
    }
    let contract = contract::arguments();
    let absent: Vec<_> = contract.difference(&table).collect();
    assert!(absent.is_empty(), "the table lacks {absent:#?}");
    // The table may also have invalid values for a record as a whole.
    let is_record = |(call, path): &&(String, String)| {
        contract.iter().any(|(other, part)| other == call && part.starts_with(&format!("{path}.")))
    };
    let unknown: Vec<_> = table.difference(&contract).filter(|one| !is_record(one)).collect();
    assert!(unknown.is_empty(), "the contract lacks {unknown:#?}");
}

/// Rows 9-11, 38, 66, 76-78, 91, 97, 105, 118.
#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_argument_is_named_and_nothing_is_sent() {
    let plan = Plan::scripted(archive::honest(3)).await.set("allow_non_roster_messaging", true);
    let host = plan.three().start().await;
    let before = host.said().await;
    let mut wrongs = Vec::new();
    for (call, good, arguments) in cases(FRIEND, ROOM) {
        for (path, kind) in arguments {
            for value in kind.wrong() {
                let args = with(&good, path, value);
                wrongs.extend(fault(&host, call, path, &kind, args).await);
            }
        }
    }
    assert!(wrongs.is_empty(), "{} of them:\n{}", wrongs.len(), wrongs.join("\n"));
    let after = host.said().await;
    let pings = 1;
    assert_eq!(after[before.len() + pings..], [] as [String; 0]);
}

/// Rows 63, 74, 90, 93.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_address_is_nobodys_and_spoils_nothing_for_the_others() {
    let host = Plan::scripted(archive::honest(3)).await.set("allow_non_roster_messaging", true).three().start().await;
    host.call(FULL, "chats.open", json!({ "jid": FRIEND })).await.ok();
    for call in ["chats.get-many", "chatviews.get-many", "contacts.get-many", "rooms.get-many"] {
        let mut sought = Kind::Jid.wrong();
        let wrong = sought.len();
        sought.push(json!(FRIEND));
        let found = host.call(FULL, call, json!({ "jids": sought })).await.ok();
        let (nobody, friend) = found.as_array().unwrap().split_at(wrong);
        assert!(nobody.iter().all(Value::is_null), "{call}: {found}");
        assert_eq!(friend.len(), 1, "{call}");
        assert_eq!(friend[0].is_object(), call.starts_with("chat"), "{call}: {found}");
    }
}

/// Rows 74, 77-79, 81-86, 105. The arguments are well-formed, but name nothing that exists.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_knows_is_not_found_and_nothing_is_sent() {
    let host = Plan::scripted(archive::honest(3)).await.three().start().await;
    let before = host.said().await;
    let chat = json!({ "jid": FRIEND, "name": "x", "value": 1, "fullname": "x", "groups": [] });
    let room = json!({ "jid": ROOM, "name": "x", "value": 1, "body": "hi", "subject": "x" });
    let of = |grouping: &str, calls: &[&str], args: &Value| {
        calls.iter().map(|call| (format!("{grouping}.{call}"), args.clone())).collect::<Vec<_>>()
    };
    let views = ["close", "focus", "show", "maximize", "minimize", "get-attribute", "set-attribute"];
    let contacts = ["remove", "rename", "set-groups", "accept", "deny"];
    let more = ["occupants", "send", "set-subject", "remove-bookmark"];
    let mut calls = of("chats", &views, &chat);
    calls.extend(of("contacts", &contacts, &chat));
    calls.extend(of("rooms", &views, &room));
    calls.extend(of("rooms", &more, &room));
    calls.push(("api.wait-until".to_owned(), json!({ "promise": "nosuch" })));
    calls.push(("promises.reject".to_owned(), json!({ "name": "nosuch", "reason": "x" })));
    calls.push(("commands.remove".to_owned(), json!({ "name": "nosuch" })));
    for (call, args) in calls {
        let error = host.call(FULL, &call, args).await.fails("not-found");
        let what = error["what"].as_str().unwrap();
        assert!([FRIEND, ROOM, "nosuch"].iter().any(|name| what.contains(name)), "{call}: {error}");
    }
    for call in ["chats.close-many", "rooms.close-many"] {
        let jid = if call.starts_with("chats") { FRIEND } else { ROOM };
        let each = host.call(FULL, call, json!({ "jids": [jid] })).await.ok();
        assert_eq!(each[0]["err"]["case"], "not-found", "{call}: {each}");
    }
    assert_eq!(host.said().await[before.len() + 1..], [] as [String; 0]);
}

/// Returns what is wrong with the answer to a call with an invalid argument.
async fn fault(host: &TestHost, call: &str, path: &str, kind: &Kind, args: Value) -> Option<String> {
    let shown = format!("{call} {path} {}", short(&args));
    let answer = host.call(FULL, call, args).await;
    let errors: Vec<Value> = match &answer.result {
        Err(error) => vec![error.clone()],
        Ok(Value::Array(each)) if each.iter().all(|one| one.get("err").is_some()) && !each.is_empty() => {
            each.iter().map(|one| one["err"].clone()).collect()
        }
        Ok(value) => vec![json!({ "case": "none at all", "gave": value })],
    };
    let is_named = |error: &Value| {
        let argument = error["argument"].as_str().unwrap_or_default();
        let below = argument.strip_prefix(path);
        kind.case() != "invalid" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_short = |error: &Value| error.to_string().len() < 10_000;
    let is_right = |error: &Value| error["case"] == kind.case() && is_named(error) && is_short(error);
    (!errors.iter().all(is_right)).then(|| format!("{shown}: {}", short(&errors.into())))
}

/// Returns the arguments with one value replaced. The plugin receives a record's fields without the record's name.
fn with(good: &Value, path: &str, value: Value) -> Value {
    let mut args = good.clone();
    let told = match path.split_once('.') {
        Some((_, told)) => told,
        // The whole record is removed.
        None if path == "message" && good.get("body").is_some() => return json!({ "jid": good["jid"] }),
        None => path,
    };
    let mut place = &mut args;
    for name in told.split('.') {
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[name];
    }
    *place = value;
    args
}

/// Shortens a value for failure messages.
fn short(value: &Value) -> String {
    let text = value.to_string();
    let cut: String = text.chars().take(160).collect();
    cut.chars().chain(iter::repeat_n('…', usize::from(cut.len() < text.len()))).collect()
}
