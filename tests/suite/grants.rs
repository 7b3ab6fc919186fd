//! Random calls by a plugin with random grants, compared with a model of grants. No call succeeds that the model
//! forbids, and none is denied that it allows.
//!
//! The model knows the table and the terms of `docs/reference/permissions.md`, but not how the host checks. Each call is about
//! people, rooms and words that no other call names, so that a stanza it caused is recognized by them, however late it
//! is sent.

use std::sync::Arc;

use parlor_base::permission::{Permission, ScopeKind};
use parlor_session::permissions::Grants;
use parlor_session::permissions::table::{CALLS, Call};
use parlor_tests::peer::archive;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};

use crate::seed;
use crate::test_host::{FULL, Plan, TestHost};

/// The id of the plugin with random grants.
const SUBJECT: &str = "subject";
/// The number of calls.
const CALLS_MADE: usize = 1_000;
const DOMAINS: [&str; 2] = ["localhost", "elsewhere.example"];
const ROOMS: [&str; 2] = ["rooms.localhost", "rooms.elsewhere.example"];
/// Calls that would end the session or the rest of the test, if they are allowed.
const LAST_THINGS: [&str; 3] = ["connection.disconnect", "user.logout", "user.login"];
/// Calls that return only what the plugin may see, which is an empty list if it may see nothing.
const FILTERED: [&str; 2] = ["rooms.get-all", "rooms.bookmarks"];

/// A call and the grants that it is made with.
struct Trial {
    call: &'static Call,
    name: String,
    /// A word that only this call uses.
    token: String,
    person: String,
    room: String,
    /// The kind of stanza that it sends, if it sends one.
    stanza: &'static str,
    /// The grants, as in `plugins.toml`.
    granted: Vec<(Permission, Vec<String>)>,
}

impl Trial {
    fn draw(number: usize, random: &mut StdRng) -> Self {
        // Requests over the web and files are not stanzas, and are tested in `http` and `files`. Requests and their
        // answers are tried in `iq` and `requests`, verdicts in `hooks`, and nodes in `pubsub`.
        let call = loop {
            let call = CALLS.choose(random).unwrap();
            if !["http", "files", "hooks", "iq", "plugins", "pubsub"].contains(&call.grouping) {
                break call;
            }
        };
        let token = format!("t{number:04}x");
        let person = format!("{token}@{}", DOMAINS.choose(random).unwrap());
        let room = format!("{token}@{}", ROOMS.choose(random).unwrap());
        let stanza =
            if call.function == "send-iq" { "iq" } else { ["message", "presence", "iq"].choose(random).unwrap() };
        let mut granted = Vec::new();
        for permission in Permission::ALL {
            if random.random_bool(0.5) {
                granted.push((*permission, scope(*permission, &person, &room, random)));
            }
        }
        Self { call, name: format!("{}.{}", call.grouping, call.function), token, person, room, stanza, granted }
    }

    fn grants(&self) -> Grants {
        let mut grants = Grants::default();
        for (permission, entries) in &self.granted {
            grants.grant(*permission, entries).unwrap();
        }
        grants
    }

    /// Returns whether the model allows the call. There are no contacts.
    fn is_allowed(&self) -> bool {
        let Some(permission) = self.call.permission else { return true };
        let Some((_, scope)) = self.granted.iter().find(|(granted, _)| *granted == permission) else { return false };
        if matches!(permission.scope_kind(), ScopeKind::None | ScopeKind::Quota) {
            return true;
        }
        let domain = |address: &str| address.split_once('@').unwrap().1.to_owned();
        let covers = |entry: &str, address: &str| {
            entry == "*" || entry == address || entry.strip_prefix('@').is_some_and(|rest| rest == domain(address))
        };
        scope.iter().any(|entry| match permission.scope_kind() {
            ScopeKind::None | ScopeKind::Quota => unreachable!("these have no scope"),
            ScopeKind::Jids => covers(entry, &self.person),
            // A plugin that may read encrypted messages may query; there are none.
            ScopeKind::Messages => covers(entry.strip_prefix("encrypted:").unwrap_or(entry), &self.person),
            ScopeKind::Rooms => FILTERED.contains(&self.name.as_str()) || covers(entry, &self.room),
            ScopeKind::Servers | ScopeKind::Files | ScopeKind::Namespaces | ScopeKind::Plugins | ScopeKind::Nodes => {
                unreachable!("no such call is drawn")
            }
            ScopeKind::Stanzas => {
                let (kind, to) = entry.split_once(':').unwrap_or((entry, "*"));
                kind == self.stanza && covers(to, &self.person)
            }
        })
    }

    /// Returns arguments for every call. Each call uses those that it has.
    fn arguments(&self) -> Value {
        let Self { token, person, room, stanza, .. } = self;
        let jid = if self.call.grouping == "rooms" { room } else { person };
        let typed = if *stanza == "iq" { "type='get'" } else { "" };
        let xml = format!("<{stanza} to='{person}' {typed}><x xmlns='urn:x'>{token}</x></{stanza}>");
        json!({
            "jid": jid, "jids": [jid], "with": person, "user": person, "nick": token, "name": token, "value": "away",
            "body": token, "subject": token, "message": token, "reason": token, "fullname": token, "fn": token,
            "groups": [token], "role": "visitor", "affiliation": "member", "stanza": xml, "iq": xml, "key": token,
            "feature": token, "category": "client", "kind": "bot", "promise": token, "prefix": token, "limit": 1,
            "fields": [["roomname", token]], "names": [token], "milliseconds": 1_000_000, "create": false,
            "autojoin": true, "force": true, "password": token, "max": 1, "level": "info", "help": "", "usage": "",
        })
    }
}

/// Returns entries for a grant, some of which cover this person or room.
fn scope(permission: Permission, person: &str, room: &str, random: &mut StdRng) -> Vec<String> {
    let kind = permission.scope_kind();
    let address = |own: &str, domains: [&str; 2], random: &mut StdRng| match random.random_range(0..4) {
        0 => "*".to_owned(),
        1 => own.to_owned(),
        2 => format!("@{}", domains.choose(random).unwrap()),
        _ => format!("nobody@{}", domains.choose(random).unwrap()),
    };
    let entry = |random: &mut StdRng| match kind {
        ScopeKind::None => String::new(),
        ScopeKind::Quota | ScopeKind::Files => "1 MiB".to_owned(),
        ScopeKind::Jids => address(person, DOMAINS, random),
        ScopeKind::Messages => {
            let word = ["", "encrypted:"].choose(random).unwrap();
            format!("{word}{}", address(person, DOMAINS, random))
        }
        ScopeKind::Rooms => address(room, ROOMS, random),
        ScopeKind::Servers => "nobody.invalid".to_owned(),
        ScopeKind::Namespaces => "urn:example:nobody".to_owned(),
        ScopeKind::Plugins => "nobody".to_owned(),
        ScopeKind::Nodes => "nobody.invalid/none".to_owned(),
        ScopeKind::Stanzas => {
            let stanza = ["message", "presence", "iq"].choose(random).unwrap();
            match address(person, DOMAINS, random).as_str() {
                // A grant for reading stanzas covers all senders.
                "*" => (*stanza).to_owned(),
                _ if permission == Permission::StanzaRead => (*stanza).to_owned(),
                to => format!("{stanza}:{to}"),
            }
        }
    };
    match kind {
        ScopeKind::None => Vec::new(),
        ScopeKind::Quota
        | ScopeKind::Servers
        | ScopeKind::Files
        | ScopeKind::Namespaces
        | ScopeKind::Plugins
        | ScopeKind::Nodes => vec![entry(random)],
        ScopeKind::Jids | ScopeKind::Messages | ScopeKind::Rooms | ScopeKind::Stanzas => {
            (0..random.random_range(1..4)).map(|_| entry(random)).collect()
        }
    }
}

/// Returns whether the plugin's call was denied.
fn is_denied(result: &Result<Value, Value>) -> bool {
    let denied = |error: &Value| error["case"] == "denied";
    match result {
        Err(error) => denied(error),
        Ok(Value::Array(each)) => !each.is_empty() && each.iter().all(|one| denied(&one["err"])),
        Ok(_) => false,
    }
}

/// Returns whether the call had no success at all: an argument may be invalid before the grant is checked.
fn got_nothing(result: &Result<Value, Value>) -> bool {
    match result {
        Err(_) => true,
        Ok(Value::Array(each)) => !each.is_empty() && each.iter().all(|one| one.get("err").is_some()),
        Ok(_) => false,
    }
}

async fn host() -> TestHost {
    let much = ["handlers", "open_calls", "iqs", "subscriptions", "promises", "timers", "rooms", "commands"];
    let plan = Plan::scripted(archive::honest(3)).await.set("allow_non_roster_messaging", true);
    let plan = plan.caller(FULL, crate::test_host::granted).caller(SUBJECT, |entry| {
        let rates = ["messages_per_second", "messages_burst", "calls_per_second", "events_per_second"];
        let entry = rates.into_iter().fold(entry, |entry, limit| entry.limit(limit, 1_000_000));
        much.into_iter().fold(entry, |entry, limit| entry.limit(limit, 1_000))
    });
    plan.start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_gets_through_that_a_model_of_grants_forbids() {
    let mut random = seed::random();
    let host = host().await;
    let subject = host.instance(SUBJECT).await;
    let (mut forbidden, mut denied, mut allowed) = (Vec::new(), 0, 0);
    for number in 0..CALLS_MADE {
        let trial = Trial::draw(number, &mut random);
        let may = trial.is_allowed();
        if may && LAST_THINGS.contains(&trial.name.as_str()) {
            continue;
        }
        subject.account.router.grant(&subject.mailbox, Arc::new(trial.grants()));
        let arguments = trial.arguments();
        let about = format!("{} {arguments} with {:?}", trial.name, trial.granted);
        let reads =
            trial.call.permission.is_some_and(|permission| permission.as_str().split('.').next_back() == Some("read"));
        if may && !reads {
            // Its result may never come. The words in its request are unique to it.
            let order = host.order(SUBJECT, &trial.name, arguments).await;
            // The request has been sent by the time that a later call is answered.
            host.call(SUBJECT, "user.jid", Value::Null).await.ok();
            let early = host.early(SUBJECT, order);
            assert!(!early.is_some_and(|answer| is_denied(&answer.result)), "denied: {about}");
            allowed += 1;
            continue;
        }
        let answer = host.call(SUBJECT, &trial.name, arguments).await.result;
        if may {
            assert!(!is_denied(&answer), "denied: {about}");
            allowed += 1;
        } else {
            assert!(got_nothing(&answer), "got {answer:?}: {about}");
            denied += usize::from(is_denied(&answer));
            forbidden.push((trial.token, about));
        }
    }
    // Most calls were decided by grants, and not by invalid arguments.
    assert!(denied > forbidden.len() * 3 / 4 && allowed > CALLS_MADE / 4, "{denied} of {}, {allowed}", forbidden.len());
    let said = host.said().await.join("\n");
    assert!(said.contains("t0"), "nothing at all was sent");
    for (token, about) in forbidden {
        assert!(!said.contains(&token), "sent: {about}");
    }
}
