//! Tests that the tables, the contract and the sources of the API agree.

use std::collections::BTreeSet;
use std::path::Path;

use parlor_base::permission::Permission::MessagesRead;

use super::events::EVENTS_DEPEND;
use super::*;

/// Returns `(interface, function)` of every function in a WIT file, by lines: `name: func(` or `name: async func(`.
fn functions(text: &str) -> Vec<(String, String)> {
    let mut interface = None;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("interface ") {
            interface = rest.split_whitespace().next().map(str::to_owned);
        } else if let (Some((name, rest)), Some(interface)) = (line.split_once(':'), &interface)
            && !name.starts_with('/')
            && (rest.trim_start().starts_with("func(") || rest.trim_start().starts_with("async func("))
        {
            found.push((interface.clone(), name.trim_start_matches('%').to_owned()));
        }
    }
    found
}

#[test]
fn each_function_of_the_contract_has_exactly_one_row() {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let mut counted = 0;
    for file in std::fs::read_dir(wit).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert_eq!(text.matches(" func(").count() + text.matches(":func(").count(), functions(&text).len());
        for (grouping, function) in functions(&text).into_iter().filter(|(grouping, _)| grouping != "guest") {
            let rows = CALLS.iter().filter(|call| call.grouping == grouping && call.function == function).count();
            assert_eq!(rows, 1, "rows of {grouping}.{function}");
            counted += 1;
        }
    }
    assert!(counted > 40, "the contract was read: {counted} functions");
}

#[test]
fn the_contract_mentions_each_permission_that_its_calls_need() {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    for file in std::fs::read_dir(wit).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for (grouping, function) in functions(&text) {
            let Some(needed) = call(&grouping, &function).and_then(|call| call.permission) else { continue };
            assert!(
                text.contains(&format!("`{needed}`")),
                "the contract of {grouping}.{function} does not mention {needed}"
            );
        }
    }
}

#[test]
fn names_are_unique() {
    let events: BTreeSet<_> = EVENTS.iter().map(|rule| rule.name).collect();
    assert_eq!(events.len(), EVENTS.len());
    let calls: BTreeSet<_> = CALLS.iter().map(|call| (call.grouping, call.function)).collect();
    assert_eq!(calls.len(), CALLS.len());
}

#[test]
fn the_seventeen_promises_are_there() {
    let promises: Vec<_> = EVENTS.iter().filter(|rule| rule.promise).map(|rule| rule.name).collect();
    assert_eq!(promises.len(), 17, "{promises:?}");
}

/// Every plugin that may see the event at all may await its promise, with any scope.
#[test]
fn no_promise_of_the_host_carries_anything_that_a_scope_could_leave_out() {
    assert!(EVENTS.iter().filter(|rule| rule.promise).all(|rule| rule.payload == "none"));
}

#[test]
fn payloads_are_cases_of_the_contract() {
    let types = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/types.wit")).unwrap();
    let payload = types.split("variant payload {").nth(1).unwrap();
    for rule in EVENTS {
        let case = |end| payload.contains(&format!("\n    {}{end}", rule.payload));
        assert!(case("(") || case(","), "{} carries {}", rule.name, rule.payload);
    }
}

#[test]
fn every_permission_guards_something() {
    for &permission in Permission::ALL {
        let guards = CALLS.iter().chain(BESIDES).any(|call| call.permission == Some(permission))
            || EVENTS.iter().any(|rule| rule.permission == Some(permission));
        assert!(guards, "{permission} guards nothing");
    }
}

#[test]
fn each_event_that_may_be_about_an_address_says_what_it_depends_on() {
    let about = ["chat", "command", "contact", "invite", "message", "occupant", "room", "undecryptable"];
    let mut wanted: Vec<_> = EVENTS.iter().filter(|rule| about.contains(&rule.payload)).map(|rule| rule.name).collect();
    let mut found: Vec<_> = EVENTS_DEPEND.iter().map(|(name, _)| *name).collect();
    wanted.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, wanted);
    let local = EVENTS.iter().filter(|event| !event.needs_connection()).count();
    assert_eq!(local, 17, "each that is named is an event");
}

#[test]
fn what_calls_need_besides_is_of_calls_that_are_there_and_something_else() {
    for besides in BESIDES {
        let row = call(besides.grouping, besides.function);
        assert!(row.is_some_and(|row| row.permission != besides.permission), "{besides:?}");
    }
}

/// Returns the permissions that the source files of a grouping name, except in tests.
fn named_in_sources() -> BTreeSet<(String, String)> {
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src/api");
    let mut named = BTreeSet::new();
    let mut folders = vec![api.clone()];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
            if file.is_dir() {
                folders.push(file);
                continue;
            }
            if file.ends_with("tests.rs") {
                continue;
            }
            let grouping = file.strip_prefix(&api).unwrap().components().next().unwrap();
            let grouping = Path::new(&grouping).file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&file).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            for rest in code.split("Permission::").skip(1) {
                let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
                named.insert((grouping.clone(), rest[..end].to_owned()));
            }
        }
    }
    named
}

#[test]
fn a_call_in_place_of_a_permission_is_answered_with_what_it_needs() {
    for (call, needs) in [
        ("rooms.kick", "\"rooms.moderate\""),
        ("rooms.set_subject", "\"rooms.moderate\""),
        ("chats.send", "\"messages.send\""),
        ("commands.add", "none"),
    ] {
        let error = permission(call).unwrap_err();
        assert_eq!(error.to_string(), format!("unknown permission {call:?}; the call of that name needs {needs}"));
    }
    assert_eq!(permission("rooms.moderate"), Ok(RoomsModerate));
}

/// The permission of a call itself follows from its name. This is about those that some of its arguments need.
#[test]
fn each_permission_that_a_grouping_asks_for_is_in_its_rows() {
    let named = named_in_sources();
    assert!(named.len() > 5, "{named:?}");
    let row = |call: &Call| call.permission.map(|needed| (call.grouping.to_owned(), format!("{needed:?}")));
    let mut rows: BTreeSet<_> = CALLS.iter().chain(BESIDES).filter_map(row).collect();
    // The password of an invitation, which comes with an event.
    rows.insert(("listen".to_owned(), "RoomsJoin".to_owned()));
    assert_eq!(named.difference(&rows).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
}

#[test]
fn looking_up_finds_the_row() {
    assert_eq!(call("chats", "send").unwrap().permission, Some(MessagesSend));
    assert_eq!(call("chats", "fly"), None);
    assert_eq!(event("message").unwrap().permission, Some(MessagesRead));
    assert_eq!(event("my-own"), None);
}
