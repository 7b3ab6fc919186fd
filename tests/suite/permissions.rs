//! Each call that needs a grant: without one, and with one for other people.
#![allow(clippy::doc_markdown, reason = "what a test shows is named as the list of the API spells it")]

use std::collections::BTreeSet;

use parlor_base::permission::{Permission, ScopeKind};
use parlor_session::permissions::{CALLS, call};
use parlor_tests::peer::archive;
use serde_json::{Value, json};

use crate::bad_arguments::calls;
use crate::test_host::{BARE, FULL, NARROW, Plan, TestHost};

const FRIEND: &str = "friend@localhost";
const ROOM: &str = "room@rooms.localhost";

/// Calls whose arguments do not matter here.
const PLAIN: [&str; 13] = [
    "chats.get-all",
    "connection.disconnect",
    "contacts.blocked",
    "contacts.get-all",
    "disco.own-features-get",
    "disco.own-identities-get",
    "disco.own-identities-clear",
    "rooms.bookmarks",
    "rooms.get-all",
    "storage.entries",
    "storage.list",
    "user.get-status",
    "user.logout",
];

/// Calls that return only what the scope covers, which may be nothing.
const FILTERED: [&str; 2] = ["rooms.bookmarks", "rooms.get-all"];

/// Calls that continue an action that a granted call or an event has begun, and that find none here. `http`, `files`,
/// `hooks`, `iq` and `requests` try them.
const GOING_ON: [&str; 12] = [
    "http.write",
    "http.answer",
    "http.read",
    "files.write",
    "files.finish",
    "files.read",
    "hooks.alter",
    "hooks.mark",
    "iq.answer",
    "iq.refuse",
    "plugins.answer",
    "plugins.refuse",
];

/// Returns every call that needs a grant, with valid arguments.
fn guarded() -> Vec<(&'static str, Value, Permission)> {
    let calls = calls(FRIEND, ROOM).into_iter().chain(PLAIN.map(|call| (call, json!({}))));
    let guarded = calls.filter_map(|(name, args)| {
        let (grouping, function) = name.split_once('.').unwrap();
        let permission = call(grouping, function)?.permission?;
        let mut args = whole(args);
        if name == "vcard.set" {
            // Setting another entity's card is an error for everybody.
            args["jid"] = Value::Null;
        }
        Some((name, args, permission))
    });
    let guarded: Vec<_> = guarded.collect();
    let named: BTreeSet<&str> = guarded.iter().map(|(name, ..)| *name).collect();
    for row in CALLS.iter().filter(|row| row.permission.is_some()) {
        let name = format!("{}.{}", row.grouping, row.function);
        assert!(named.contains(name.as_str()), "{name} is not tried");
    }
    guarded
}

/// Adds the arguments that the table of bad arguments leaves out.
fn whole(args: Value) -> Value {
    let mut whole = json!({
        "stanza": format!("<message to='{FRIEND}'/>"),
        "iq": format!("<iq type='get' to='{FRIEND}'><ping xmlns='urn:xmpp:ping'/></iq>"),
        "key": "x", "name": "sid", "value": "x", "prefix": "", "feature": "x", "jid": FRIEND, "message": "x",
        "category": "client", "type": "bot", "kind": "bot", "role": "none", "affiliation": "member", "nick": "x",
        "user": FRIEND, "inviter": FRIEND, "fields": [["roomname", "x"]], "subject": "x", "fn": "x",
        "expected": null, "limit": 10, "url": "https://localhost:1/",
    });
    let (Some(all), Value::Object(given)) = (whole.as_object_mut(), args) else { panic!("arguments are objects") };
    all.extend(given);
    whole
}

/// Returns what is wrong with the answer to a call that must be denied.
async fn not_denied(host: &TestHost, plugin: &str, call: &str, args: &Value, permission: Permission) -> Option<String> {
    let answer = host.call(plugin, call, args.clone()).await;
    let is_denial = |error: &Value| error["case"] == "denied" && error["permission"] == permission.as_str();
    let is_right = match &answer.result {
        Err(error) => is_denial(error),
        Ok(Value::Array(each)) => !each.is_empty() && each.iter().all(|one| is_denial(&one["err"])),
        Ok(_) => false,
    };
    (!is_right).then(|| format!("{call} by {plugin}: {:?}", answer.result))
}

/// Rows 9-11, 35-36, 51-61, 62-72, 73-86, 91-100, 105-115, 120, 126.
#[tokio::test(flavor = "multi_thread")]
async fn each_call_is_denied_without_its_grant_and_beyond_its_scope_and_nothing_is_sent() {
    let plan = Plan::scripted(archive::honest(3)).await.set("allow_non_roster_messaging", true);
    let host = plan.three().start().await;
    let before = host.said().await;
    let mut wrongs = Vec::new();
    for (call, args, permission) in guarded().into_iter().filter(|(call, ..)| !GOING_ON.contains(call)) {
        wrongs.extend(not_denied(&host, BARE, call, &args, permission).await);
        let has_scope = !matches!(permission.scope_kind(), ScopeKind::None | ScopeKind::Quota);
        if has_scope && !FILTERED.contains(&call) {
            wrongs.extend(not_denied(&host, NARROW, call, &args, permission).await);
        }
    }
    assert!(wrongs.is_empty(), "{} of them:\n{}", wrongs.len(), wrongs.join("\n"));
    // This server does not support bookmarks, so they are tested where they are read.
    host.call(NARROW, "rooms.get-all", Value::Null).await.is(json!([]));
    let pings = 1;
    assert_eq!(host.said().await[before.len() + pings..], [] as [String; 0]);
    host.call(FULL, "connection.connected", Value::Null).await.is(true);
}
