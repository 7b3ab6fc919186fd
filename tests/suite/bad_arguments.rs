//! Bad input to each call of the contract: for each argument what is empty, far too long, has control characters or is no
//! address, date or stanza. Each is answered with `invalid` and the argument's name before anything is sent.

use std::iter;

use serde_json::{Value, json};

use crate::house::{FULL, Plan, SOON, client, friend, prosody};

/// What kind of thing an argument is, and so what is wrong for it.
#[derive(Clone, Copy)]
enum Kind {
    /// An address.
    Jid,
    /// Several of them, in a call that takes all or none.
    Jids,
    /// Several of them, each with a result of its own.
    EachJid,
    /// A name that must be there.
    Name,
    /// A text that may be empty.
    Text,
    /// One of a few words.
    Word,
    /// A point in time.
    Date,
    /// A stanza.
    Stanza,
    /// JSON.
    Json,
}

use Kind::{Date, EachJid, Jid, Jids, Json, Name, Stanza, Text, Word};

/// A MiB of one letter, which the plugin makes itself.
fn long() -> Value {
    json!({ "$repeat": ["x", 1 << 20] })
}

impl Kind {
    fn wrong(self) -> Vec<Value> {
        let addresses = || vec![json!(""), json!("@@"), json!("a\u{1}@localhost"), json!("a b@localhost"), long()];
        match self {
            Jid => addresses(),
            Jids | EachJid => {
                addresses().into_iter().map(|one| json!([one])).chain([vec![json!("@@"); 1_001].into()]).collect()
            }
            Name => vec![json!(""), json!("a\u{1}"), long()],
            Text => vec![json!("a\u{1}"), json!("a\u{fffe}"), long()],
            Word => vec![json!(""), json!("no such word"), json!("a\u{1}"), long()],
            Date => vec![json!(""), json!("yesterday"), json!("2026-02-30T00:00:00Z"), json!("\u{1}"), long()],
            Stanza => vec![
                json!(""),
                json!("<message"),
                json!("<message/><message/>"),
                json!("<message><body>\u{1}</body></message>"),
                json!("<x xmlns='y'/>"),
                long(),
            ],
            Json => vec![long()],
        }
    }
}

/// A call that works but for the argument that is made wrong, the argument as the plugin is told it, and as the error
/// names it.
type Case = (&'static str, Value, &'static [(&'static str, &'static str, Kind)]);

fn cases(jid: &str, room: &str) -> Vec<Case> {
    let one = json!({ "jid": jid });
    let many = json!({ "jids": [jid] });
    let in_room = json!({ "jid": room });
    let rooms = json!({ "jids": [room] });
    vec![
        ("api.emit", json!({ "name": "mine" }), &[("name", "name", Name), ("payload", "payload", Json)]),
        ("api.send", json!({}), &[("stanza", "stanza", Stanza)]),
        ("api.send-iq", json!({}), &[("iq", "iq", Stanza)]),
        ("api.wait-until", json!({}), &[("promise", "promise", Name)]),
        (
            "archive.query",
            json!({}),
            &[
                ("with", "with", Jid),
                ("start", "start", Date),
                ("end", "end", Date),
                ("before", "before", Text),
                ("after", "after", Text),
            ],
        ),
        ("archive.query-all", json!({}), &[("with", "with", Jid), ("start", "start", Date), ("end", "end", Date)]),
        ("chats.get", one.clone(), &[("jid", "jid", Jid)]),
        ("chats.get-many", many.clone(), &[("jids", "jids", Jids)]),
        ("chats.open", one.clone(), &[("jid", "jid", Jid)]),
        ("chats.open-many", many.clone(), &[("jids", "jids", EachJid)]),
        ("chats.close", one.clone(), &[("jid", "jid", Jid)]),
        ("chats.close-many", many.clone(), &[("jids", "jids", EachJid)]),
        (
            "chats.send",
            json!({ "jid": jid, "body": "no" }),
            &[
                ("jid", "jid", Jid),
                ("body", "message.body", Text),
                ("subject", "message.subject", Text),
                ("thread", "message.thread", Text),
            ],
        ),
        ("contacts.get", one.clone(), &[("jid", "jid", Jid)]),
        ("contacts.get-many", many, &[("jids", "jids", Jids)]),
        ("contacts.add", one.clone(), &[("jid", "jid", Jid), ("fullname", "fullname", Text)]),
        ("contacts.remove", one.clone(), &[("jid", "jid", Jid)]),
        (
            "contacts.rename",
            json!({ "jid": jid, "fullname": "x" }),
            &[("jid", "jid", Jid), ("fullname", "fullname", Text)],
        ),
        ("contacts.set-groups", json!({ "jid": jid, "groups": [] }), &[("jid", "jid", Jid)]),
        ("contacts.accept", one.clone(), &[("jid", "jid", Jid)]),
        ("contacts.deny", one, &[("jid", "jid", Jid)]),
        (
            "listen.on",
            json!({ "name": "message" }),
            &[
                ("name", "name", Name),
                ("from", "filter.from", Jid),
                ("room", "filter.room", Jid),
                ("kind", "filter.kind", Word),
                ("prefix", "filter.prefix", Json),
            ],
        ),
        ("listen.once", json!({ "name": "message" }), &[("name", "name", Name)]),
        ("promises.add", json!({}), &[("name", "name", Name)]),
        ("rooms.get", in_room.clone(), &[("jid", "jid", Jid)]),
        ("rooms.get-many", rooms.clone(), &[("jids", "jids", Jids)]),
        ("rooms.occupants", in_room.clone(), &[("jid", "jid", Jid)]),
        ("rooms.open", in_room.clone(), &[("jid", "jid", Jid), ("nick", "attributes.nick", Name)]),
        ("rooms.open-many", rooms.clone(), &[("jids", "jids", EachJid)]),
        ("rooms.close", in_room, &[("jid", "jid", Jid)]),
        ("rooms.close-many", rooms, &[("jids", "jids", EachJid)]),
        ("rooms.send", json!({ "jid": room, "body": "no" }), &[("jid", "jid", Jid), ("body", "message.body", Text)]),
        ("settings.set", json!({ "key": "mine", "value": 1 }), &[("key", "key", Name), ("value", "value", Json)]),
        ("user.set-status", json!({ "value": "away" }), &[("value", "value", Word), ("message", "message", Text)]),
        ("user.set-status-message", json!({}), &[("message", "message", Text)]),
    ]
}

/// Rows 9-11, 38, 66, 76-78, 91, 97, 105, 118.
#[tokio::test(flavor = "multi_thread")]
async fn each_wrong_argument_is_named_and_nothing_is_sent() {
    let house = Plan::new().await.set("allow_non_roster_messaging", true).three().start().await;
    let mut friend = friend("friend").await;
    // Another client of the account sees what it tells the server.
    let mut other = client(house.account()).await;
    other.catch_up(SOON).await.unwrap();
    other.forget();
    let room = prosody().await.fresh_room().to_string();
    let mut wrongs = Vec::new();
    for (call, good, arguments) in cases(friend.jid().to_bare().as_str(), &room) {
        for (argument, named, kind) in arguments {
            for wrong in kind.wrong() {
                let mut args = good.clone();
                args[*argument] = wrong.clone();
                let shown = format!("{call} {}", short(&args));
                let answer = house.call(FULL, call, args).await;
                let errors: Vec<Value> = match (&answer.result, kind) {
                    (Err(error), _) => vec![error.clone()],
                    (Ok(Value::Array(each)), EachJid) => each.iter().map(|one| one["err"].clone()).collect(),
                    (Ok(value), _) => vec![json!({ "case": "none at all", "gave": value })],
                };
                let named = |error: &Value| {
                    let each = matches!(kind, EachJid) && error["argument"] == "jid";
                    error["case"] == "invalid" && (error["argument"] == *named || each)
                };
                if !errors.iter().all(named) {
                    wrongs.push(format!("{shown}: {}", short(&errors.into())));
                }
            }
        }
    }
    assert!(wrongs.is_empty(), "{} of them:\n{}", wrongs.len(), wrongs.join("\n"));
    house.call(FULL, "user.jid", Value::Null).await.ok();
    for who in [&mut friend, &mut other] {
        who.catch_up(SOON).await.unwrap();
        let came = who.received_xml();
        let told = came.iter().filter(|xml| xml.starts_with("<message") || xml.starts_with("<presence"));
        let told: Vec<_> = told.filter(|xml| !xml.contains(&format!("from='{}'", who.jid()))).collect();
        assert!(told.iter().all(|xml| !xml.contains("body") && !xml.contains("status")), "{told:?}");
    }
}

/// A value as a person wants to read it.
fn short(value: &Value) -> String {
    let text = value.to_string();
    let cut: String = text.chars().take(160).collect();
    cut.chars().chain(iter::repeat_n('…', usize::from(cut.len() < text.len()))).collect()
}
