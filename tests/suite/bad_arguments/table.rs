//! Every call with valid arguments, and the invalid values to try for each argument.

use serde_json::{Value, json};

/// The kind of an argument, which determines its invalid values.
pub(super) enum Kind {
    /// An address.
    Jid,
    /// A list of addresses.
    Jids,
    /// A list of addresses to look up, where an invalid address is simply not found.
    Sought,
    /// A required, non-empty name.
    Name,
    /// A text that may be empty.
    Text,
    /// An optional id, which must not be empty.
    Id,
    /// A choice of a few fixed words.
    Word,
    /// A point in time.
    Date,
    /// A stanza.
    Stanza,
    /// A JSON value.
    Json,
    /// Names with JSON values.
    Settings,
    /// The fields of a room's configuration.
    Fields,
    /// A list of names.
    Names,
    /// A picture in base64.
    Base64,
    /// A password.
    Password,
    /// Exactly these invalid values.
    These(Vec<Value>),
    /// A value that names nothing known, which must fail with `not-found` instead of `invalid`.
    Unknown(Value),
    /// A value that is too large, which must fail with `over-limit` instead of `invalid`.
    TooMuch(Value),
    /// Every value is valid, or another test covers the invalid ones.
    Anything,
}

pub(super) use Kind::{
    Anything, Base64, Date, Fields, Id, Jid, Jids, Json, Name, Names, Password, Settings, Sought, Stanza, Text, These,
    TooMuch, Unknown, Word,
};

/// A MiB of one letter, which the plugin generates itself.
fn long() -> Value {
    json!({ "$repeat": ["x", 1 << 20] })
}

/// Texts that XML or a single line cannot contain.
fn unfit() -> [Value; 4] {
    ["a\u{1}", "a\u{0}", "a\u{fffe}", "a\u{ffff}"].map(Value::from)
}

/// Texts that are not JSON, or that not every parser accepts.
fn no_json() -> Vec<Value> {
    let deep = "[".repeat(10_000);
    let raw = ["", "{", "'x'", "1 2", "\"\u{1}\"", r#""\ud800""#, r#"{"\udc00":1}"#, "nul", "\u{fffe}", &deep];
    raw.iter().map(|raw| json!({ "$raw": raw })).chain([long()]).collect()
}

impl Kind {
    pub(super) fn wrong(&self) -> Vec<Value> {
        let jids = || {
            let odd = ["", "@@", "a@", "@b", "a b@localhost", "a@localhost/", "a@b..", "a\u{202e}@b"].map(Value::from);
            let unfit = ["\u{0}", "\u{1}", "\u{fffe}", "\u{ffff}"].map(|one| format!("a{one}@localhost").into());
            let all: Vec<Value> = odd.into_iter().chain(unfit).chain([long()]).collect();
            all
        };
        let names = || [json!("")].into_iter().chain(unfit()).chain([long()]);
        match self {
            Jid => jids(),
            Sought => vec![vec![json!("a@b"); 1_001].into()],
            Jids => jids().into_iter().map(|one| json!([one])).chain([vec![json!("a@b"); 1_001].into()]).collect(),
            Name | Id => names().collect(),
            Text => unfit().into_iter().chain([long()]).collect(),
            Word => names().chain([json!("no such word")]).collect(),
            Date => names().chain(["yesterday", "2026-02-30T00:00:00Z", "-0044-03-15"].map(Value::from)).collect(),
            Stanza => [
                "",
                "<message",
                "<message/><message/>",
                "<message><body>\u{1}</body></message>",
                "<message><body>\u{0}</body></message>",
                "<message id='\u{fffe}'/>",
                "<message><body>&#xffff;</body></message>",
                "<message from='@@'/>",
                "<message from='boss@localhost'/>",
                "<message to='@@'/>",
                "<iq type='result' id='1'/>",
                "<iq type='get' id='1'/>",
                "<x xmlns='y'/>",
                "</stream:stream>",
            ]
            .into_iter()
            .map(Value::from)
            .chain([long()])
            .collect(),
            Json => no_json(),
            Settings => names()
                .map(|key| json!([["mine", 1], [key, 1]]))
                .chain(no_json().into_iter().map(|value| json!([["mine", value]])))
                .chain([vec![json!(["mine", 1]); 1_001].into()])
                .collect(),
            Fields => names()
                .map(|name| json!([[name, true]]))
                .chain(unfit().map(|text| json!([["roomname", text]])))
                .chain(unfit().map(|text| json!([["roomname", [text]]])))
                .chain([json!([["roomname", long()]]), json!([["roomname", vec!["x"; 1_001]]])])
                .chain([vec![json!(["roomname", "x"]); 101].into()])
                .collect(),
            Names => names().map(|name| json!(["fine", name])).chain([vec![json!("x"); 1_001].into()]).collect(),
            Base64 => unfit().into_iter().chain([json!("%%%"), json!("YQ"), long()]).collect(),
            Password => vec![json!(""), json!("a\u{0}b"), long()],
            These(values) => values.clone(),
            Unknown(value) | TooMuch(value) => vec![value.clone()],
            Anything => Vec::new(),
        }
    }

    /// Returns the case of error that is expected.
    pub(super) fn case(&self) -> &'static str {
        match self {
            Unknown(_) => "not-found",
            TooMuch(_) => "over-limit",
            _ => "invalid",
        }
    }
}

/// A call with valid arguments, and the arguments to vary by their paths in the contract. The plugin receives a
/// record's fields without the record's name.
pub(super) type Case = (&'static str, Value, Vec<(&'static str, Kind)>);

pub(super) fn cases(jid: &str, room: &str) -> Vec<Case> {
    let mut cases = plain(jid);
    cases.extend(kept());
    cases.extend(timed());
    cases.extend(web());
    cases.extend(files());
    cases.extend(hooks());
    cases.extend(nodes());
    cases.extend(private(jid));
    cases.extend(in_rooms(jid, room));
    cases.extend(questions(jid, room));
    cases
}

/// The cases of questions to people.
fn questions(jid: &str, room: &str) -> Vec<Case> {
    let question = |mut place: Vec<(&'static str, Kind)>| {
        let choices = [json!([""]), json!(["a", "A"]), json!(["a\nb"]), json!([long()]), json!(vec!["x"; 33])];
        place.push(("question.text", Name));
        place.push(("question.choices", These(choices.to_vec())));
        place.push(("question.timeout", These(vec![json!(0), json!(86_400_001), json!(u64::MAX)])));
        place
    };
    let person = || (json!({ "to": jid, "text": "?" }), question(vec![("to", Jid)]));
    let occupant = || {
        let place = vec![("room", Jid), ("nick", Text)];
        (json!({ "room": room, "nick": "nobody", "text": "?" }), question(place))
    };
    let asked = [
        ("dialogs.ask", person()),
        ("dialogs.ask-in-room", occupant()),
        ("dialogs.begin", person()),
        ("dialogs.begin-in-room", occupant()),
    ];
    let mut cases: Vec<Case> = asked.into_iter().map(|(call, (good, wrong))| (call, good, wrong)).collect();
    for call in ["dialogs.take", "dialogs.wait", "dialogs.cancel"] {
        cases.push((call, json!({}), vec![("dialog", Unknown(json!(u64::MAX)))]));
    }
    cases
}

/// The cases of the other groupings without a chat, contact or room.
fn plain(jid: &str) -> Vec<Case> {
    let mut query = options();
    query[3] = ("options.max", TooMuch(json!(u32::MAX)));
    vec![
        ("api.emit", json!({ "name": "mine" }), vec![("name", Name), ("payload", Json)]),
        ("api.send", json!({}), vec![("stanza", Stanza)]),
        ("api.send-iq", json!({}), vec![("iq", Stanza)]),
        ("api.wait-until", json!({}), vec![("promise", Name)]),
        ("archive.query", json!({}), query),
        ("archive.query-all", json!({}), options()),
        ("commands.add", json!({ "name": "x" }), vec![("name", Word), ("help", line()), ("usage", line())]),
        ("commands.declare", json!({ "name": "x" }), declaration()),
        ("commands.remove", json!({}), vec![("name", Word), ("name", Unknown(json!("nosuch")))]),
        ("disco.own-features-add", json!({}), vec![("name", Name)]),
        (
            "disco.own-identities-add",
            json!({ "category": "client", "kind": "bot", "name": "x" }),
            vec![("category", Name), ("kind", Name), ("name", Text), ("lang", Name)],
        ),
        (
            "disco.get-identity",
            json!({ "category": "client", "kind": "bot", "jid": jid }),
            vec![("category", Name), ("kind", Name), ("jid", Jid)],
        ),
        ("disco.supports", json!({ "feature": "x", "jid": jid }), vec![("feature", Name), ("jid", Jid)]),
        ("disco.last-activity", json!({ "jid": jid }), vec![("jid", Jid)]),
        ("disco.time", json!({ "jid": jid }), vec![("jid", Jid)]),
        ("disco.version", json!({ "jid": jid }), vec![("jid", Jid)]),
        ("listen.on", json!({ "name": "message" }), filter()),
        ("listen.once", json!({ "name": "message" }), filter()),
        ("listen.not", json!({}), vec![("subscription", Unknown(json!(u64::MAX)))]),
        ("promises.add", json!({}), vec![("name", Name)]),
        ("promises.add-all", json!({}), vec![("names", Names)]),
        ("promises.reject", json!({ "name": "mine", "reason": "x" }), vec![("name", Name), ("reason", Text)]),
        // Longer times are capped at a year.
        ("timers.after", json!({}), vec![("milliseconds", Anything)]),
        ("timers.every", json!({}), vec![("milliseconds", These(vec![json!(0), json!(9)]))]),
        ("timers.cancel", json!({}), vec![("timer", Unknown(json!(u64::MAX)))]),
        ("tokens.get", json!({}), vec![("name", Word)]),
        ("user.set-status", json!({ "value": "away" }), vec![("value", Word), ("message", Text)]),
        ("user.set-status-message", json!({}), vec![("message", Text)]),
        (
            "user.login",
            // The account on the scripted server.
            json!({ "jid": "bot@localhost", "password": "x" }),
            vec![
                ("credentials.jid", Jid),
                ("credentials.jid", These(vec![json!(jid)])),
                ("credentials.password", Password),
            ],
        ),
    ]
}

/// The cases of files.
fn files() -> Vec<Case> {
    let none = || Unknown(json!(u64::MAX));
    let part = These(vec![json!({ "$repeat": ["x", (1 << 20) + 1] })]);
    let upload = |call| {
        let names = ["", "a/b", "a\\b", "a\nb"].map(Value::from);
        let types = ["", "x", "a b/c", "*/*", "a/b; c"].map(Value::from);
        (
            call,
            json!({ "name": "a.png", "media-type": "image/png", "size": 1 }),
            vec![("name", These(names.into())), ("media-type", These(types.into())), ("size", Anything)],
        )
    };
    let urls = ["", "x", "ftp://h/", "https://u@h/", "aesgcm://h/a", "aesgcm://h/a#00"].map(Value::from);
    vec![
        upload("files.upload"),
        upload("files.upload-encrypted"),
        ("files.write", json!({ "transfer": 1, "part": "x" }), vec![("transfer", none()), ("part", part)]),
        ("files.finish", json!({}), vec![("transfer", none())]),
        ("files.open", json!({}), vec![("url", These(urls.into()))]),
        ("files.read", json!({}), vec![("transfer", none())]),
        ("files.close", json!({}), vec![("transfer", none())]),
    ]
}

/// The cases of the web.
fn web() -> Vec<Case> {
    let request = |follow: Kind| {
        let urls = ["x", "ftp://localhost/", "https://a b/", "https://u@localhost/"].map(Value::from);
        let methods = ["", "get", "CONNECT", "GET / HTTP/1.1\r\n"].map(Value::from);
        vec![
            ("request.method", These(methods.into())),
            ("request.url", These(urls.into())),
            ("request.headers", These(vec![json!([["host", "x"]]), json!([["a b", "x"]]), json!([["x", "a\r\nb"]])])),
            // Anything may be sent.
            ("request.body", Anything),
            ("request.credentials", These(vec![json!(["nosuch"]), json!(["name"]), json!(vec!["pass"; 9])])),
            ("request.follow", follow),
            // Longer times are capped at the limit.
            ("request.timeout", Anything),
        ]
    };
    let url = json!({ "url": "https://localhost:1/" });
    let none = || Unknown(json!(u64::MAX));
    // A byte more than a part may have.
    let part = || These(vec![json!({ "$repeat": ["x", (1 << 20) + 1] })]);
    let elements =
        ["", "x", "<x/>", "<x xmlns='a'/><x xmlns='a'/>", "<x xmlns='a'>\u{1}</x>", "<message xmlns='jabber:client'/>"];
    let elements = elements.map(Value::from);
    vec![
        ("http.fetch", url.clone(), request(These(vec![json!(11), json!(255)]))),
        ("http.open", url, request(These(vec![json!(1), json!(255)]))),
        ("http.write", json!({ "exchange": 1, "part": "x" }), vec![("exchange", none()), ("part", part())]),
        ("http.answer", json!({}), vec![("exchange", none())]),
        ("http.read", json!({}), vec![("exchange", none())]),
        ("http.close", json!({}), vec![("exchange", none())]),
        (
            "commands.answer",
            json!({ "form": "1", "text": "x" }),
            vec![("form", Unknown(json!("nosuch"))), ("text", Text)],
        ),
        (
            "iq.answer",
            json!({ "id": "1" }),
            vec![("id", Unknown(json!("nosuch"))), ("xml", These(elements.into_iter().chain([long()]).collect()))],
        ),
        (
            "iq.refuse",
            json!({ "id": "1", "condition": "forbidden" }),
            vec![("id", Unknown(json!("nosuch"))), ("condition", Word), ("text", Text)],
        ),
        (
            "plugins.call",
            json!({ "plugin": "nosuch", "name": "mine", "value": 1 }),
            vec![
                (
                    "plugin",
                    These(["", "A", "a b", "-a", "../a"].map(Value::from).into_iter().chain([long()]).collect()),
                ),
                ("name", Name),
                ("value", Json),
            ],
        ),
        ("plugins.answer", json!({ "id": "1", "value": 1 }), vec![("id", Unknown(json!("nosuch"))), ("value", Json)]),
        ("plugins.refuse", json!({ "id": "1", "text": "no" }), vec![("id", Unknown(json!("nosuch"))), ("text", Text)]),
        ("webhooks.address", json!({}), vec![("name", Unknown(json!("nosuch")))]),
        (
            "webhooks.answer",
            json!({ "id": "1" }),
            vec![
                ("id", Unknown(json!("nosuch"))),
                ("answer.status", These(vec![json!(0), json!(101), json!(600)])),
                ("answer.headers", These(vec![json!([["set-cookie", "a"]]), json!([["etag", "a\r\nb"]])])),
                ("answer.body", These(vec![json!({ "$repeat": ["x", (1 << 20) + 1] })])),
            ],
        ),
    ]
}

/// The cases of hooks.
fn hooks() -> Vec<Case> {
    vec![
        ("hooks.allow", json!({}), vec![("id", Unknown(json!("nosuch")))]),
        (
            "hooks.alter",
            json!({ "id": "hookOutgoing-1", "body": "x" }),
            vec![("id", These(vec![json!("nosuch"), json!("hookIncoming-1")])), ("body", Text), ("subject", Text)],
        ),
        ("hooks.stop", json!({ "id": "1" }), vec![("id", Unknown(json!("nosuch"))), ("reason", Text)]),
        (
            "hooks.mark",
            json!({ "id": "hookIncoming-1", "label": "x" }),
            vec![
                ("id", These(vec![json!("nosuch"), json!("hookOutgoing-1")])),
                ("label", These(["", "a\nb"].map(Value::from).into_iter().chain([long()]).collect())),
            ],
        ),
    ]
}

/// The cases of nodes of publish-subscribe.
fn nodes() -> Vec<Case> {
    let node = || json!({ "service": "pubsub.localhost", "node": "news" });
    let with = |more: Value| {
        let mut args = node();
        for (name, value) in more.as_object().into_iter().flatten() {
            args[name] = value.clone();
        }
        args
    };
    let of = |more: Vec<(&'static str, Kind)>| {
        let own = ["pubsub.localhost/x", "own", "contacts"].map(Value::from);
        let mut all = vec![("service", Jid), ("service", These(own.into())), ("node", Name)];
        all.extend(more);
        all
    };
    let options = || {
        let counts = These(vec![json!(0), json!(10_001), json!(u32::MAX)]);
        vec![
            ("options.access", Word),
            ("options.publishers", Word),
            ("options.max-items", counts),
            ("options.title", Text),
        ]
    };
    let elements = ["", "x", "<x/>", "<x xmlns='a'/><x xmlns='a'/>", "<x xmlns='a'>\u{1}</x>"].map(Value::from);
    let elements = elements.into_iter().chain([long()]).collect();
    let publish = [("xml", These(elements)), ("id", Id)].into_iter().chain(options()).collect();
    let page = vec![("max", These(vec![json!(0), json!(10_001), json!(u32::MAX)])), ("after", Id)];
    vec![
        ("pubsub.publish", with(json!({ "xml": "<x xmlns='urn:x'/>" })), of(publish)),
        ("pubsub.retract", with(json!({ "id": "1" })), of(vec![("id", Name)])),
        ("pubsub.items", with(json!({ "max": 1 })), of(page)),
        ("pubsub.item", with(json!({ "id": "1" })), of(vec![("id", Name)])),
        ("pubsub.subscribe", node(), of(Vec::new())),
        ("pubsub.unsubscribe", node(), of(Vec::new())),
        ("pubsub.create", node(), of(options())),
        ("pubsub.configure", with(json!({ "persist": true })), of(options())),
        // Options without any field are invalid, too.
        ("pubsub.configure", node(), vec![("options", These(vec![json!({})]))]),
        ("pubsub.purge", node(), of(Vec::new())),
        ("pubsub.delete", node(), of(Vec::new())),
    ]
}

/// The cases of settings and storage.
fn kept() -> Vec<Case> {
    vec![
        ("settings.get", json!({}), vec![("key", Name)]),
        (
            "settings.get-in",
            json!({ "room": "hall@rooms.localhost", "key": "greeting" }),
            vec![("room", Jid), ("key", Name)],
        ),
        ("settings.set", json!({ "key": "mine", "value": 1 }), vec![("key", Name), ("value", Json)]),
        ("settings.set-many", json!({}), vec![("values", Settings)]),
        ("settings.update", json!({}), vec![("values", Settings)]),
        ("storage.get", json!({}), vec![("key", Name)]),
        (
            "storage.set",
            json!({ "key": "k", "value": "v" }),
            vec![("key", Name), ("value", These(vec![long()])), ("expires", These(vec![json!(0)]))],
        ),
        ("storage.delete", json!({}), vec![("key", Name)]),
        (
            "storage.list",
            json!({ "prefix": "", "limit": 1 }),
            // An empty prefix matches every key.
            vec![("prefix", Text), ("after", Name), ("limit", These(vec![json!(0), json!(1_001), json!(u32::MAX)]))],
        ),
        (
            "storage.entries",
            json!({ "prefix": "", "limit": 1 }),
            // An empty prefix matches every key.
            vec![("prefix", Text), ("after", Name), ("limit", These(vec![json!(0), json!(1_001), json!(u32::MAX)]))],
        ),
        (
            "storage.compare-and-set",
            json!({ "key": "k", "value": "v" }),
            vec![
                ("key", Name),
                ("expected", These(vec![long()])),
                ("value", These(vec![long()])),
                ("expires", These(vec![json!(0)])),
            ],
        ),
        (
            "storage.range",
            json!({ "prefix": "", "limit": 1 }),
            vec![
                ("range.prefix", Text),
                ("range.from", Name),
                ("range.to", Name),
                ("after", Name),
                ("limit", These(vec![json!(0), json!(1_001), json!(u32::MAX)])),
            ],
        ),
        (
            "storage.add",
            json!({ "key": "number", "amount": 1 }),
            // Each amount is valid on its own.
            vec![("number.key", Name), ("number.amount", Anything), ("number.expires", These(vec![json!(0)]))],
        ),
        ("storage.change", json!({ "changes": [["delete", "k"]] }), vec![("changes", These(no_changes()))]),
    ]
}

/// Changes that are refused before one of them is made.
fn no_changes() -> Vec<Value> {
    let many: Vec<_> = (0..257).map(|number| json!(["delete", number.to_string()])).collect();
    vec![
        json!([]),
        many.into(),
        json!([["set", "k", "v"], ["delete", ""]]),
        json!([["set", "a\nb", "v"]]),
        json!([["expect", long(), "v"]]),
        json!([["set", "k", "v", 0]]),
        json!([["add", "k", 1, 0]]),
        json!([["set", "k", "v"], ["delete", "k"]]),
        json!([["expect", "k", "v"], ["expect", "k", "v"]]),
        json!([["set", "k", long()]]),
        json!([["expect", "k", long()]]),
    ]
}

/// The cases of schedules and local times.
fn timed() -> Vec<Case> {
    let names = || {
        These(
            ["", "a\nb", "a\u{0}", "a\u{7f}"]
                .map(Value::from)
                .into_iter()
                .chain([json!("x".repeat(65)), long()])
                .collect(),
        )
    };
    let zone = || {
        let wrong = ["", "Nowhere/None", "Europe", "../../etc/passwd", "Europe/Berlin\u{0}", "5"].map(Value::from);
        These(wrong.into_iter().chain([long()]).collect())
    };
    let catch_up = || These(vec![json!(1_001), json!(u32::MAX)]);
    let periods = vec![json!(0), json!(59_999), json!(11_u64 * 366 * 86_400_000), json!(u64::MAX)];
    let expressions = ["", "* * * *", "0 0 9 * * MON", "61 * * * *", "0 9 * * FOO", "a\u{1}", "0 0 30 2 *"];
    let expressions = expressions.map(Value::from).into_iter().chain([long()]).collect();
    let patterns = ["%", "%~", "a\u{1}%!"].map(Value::from).into_iter().chain([long()]).collect();
    let texts = ["", "soon", "25:00", "2026-02-30 09:00", "in", "in 2 fortnights", "9:00\u{0}"];
    let texts = texts.map(Value::from).into_iter().chain([long()]).collect();
    let moment = json!({ "moment": "2026-11-20T09:00:00Z", "zone": "UTC", "pattern": "%H:%M" });
    vec![
        (
            "schedules.every",
            json!({ "name": "x", "milliseconds": 3_600_000 }),
            vec![("name", names()), ("milliseconds", These(periods)), ("catch-up", catch_up())],
        ),
        (
            "schedules.at",
            json!({ "name": "x", "due": "2999-01-01T00:00:00Z" }),
            vec![("name", names()), ("due", Date), ("catch-up", catch_up())],
        ),
        (
            "schedules.cron",
            json!({ "name": "x", "expression": "0 9 * * *", "zone": "UTC" }),
            vec![("name", names()), ("expression", These(expressions)), ("zone", zone()), ("catch-up", catch_up())],
        ),
        ("schedules.cancel", json!({}), vec![("name", names())]),
        ("schedules.to-local", moment.clone(), vec![("moment", Date), ("zone", zone())]),
        ("schedules.format", moment, vec![("moment", Date), ("zone", zone()), ("pattern", These(patterns))]),
        ("schedules.parse", json!({ "text": "9:00", "zone": "UTC" }), vec![("text", These(texts)), ("zone", zone())]),
    ]
}

/// The arguments of a subscription.
fn filter() -> Vec<(&'static str, Kind)> {
    vec![
        ("name", Name),
        ("filter.from", Jid),
        ("filter.room", Jid),
        ("filter.kind", Word),
        ("filter.webhook", Text),
        ("filter.schedule", Text),
        // An empty prefix matches everything.
        ("filter.prefix", Text),
    ]
}

/// The arguments of an archive query.
fn options() -> Vec<(&'static str, Kind)> {
    vec![
        ("options.with", Jid),
        ("options.start", Date),
        ("options.end", Date),
        ("options.max", Anything),
        // An empty value means from the newest message on.
        ("options.before", Text),
        ("options.after", Id),
        ("options.index", Anything),
        // Parts of answers, which are ignored in a request.
        ("options.first", Anything),
        ("options.last", Anything),
        ("options.count", Anything),
    ]
}

/// A line of a command's help.
fn line() -> Kind {
    These(unfit().into_iter().chain([json!("a\nb"), json!("x".repeat(257)), long()]).collect())
}

/// The fields of a command with typed arguments.
fn declaration() -> Vec<(&'static str, Kind)> {
    let aliases = ["", "two words", "a\u{1}", "!", &"x".repeat(33)].map(|name| json!([name]));
    let names = ["", "two words", "a\u{1}", "--a", &"x".repeat(33)].map(|name| json!([{ "name": name }]));
    let helps = ["a\nb", "a\u{1}", &"x".repeat(257)].map(|help| json!([{ "name": "a", "help": help }]));
    let arguments = names.into_iter().chain(helps).chain([
        // A page without a title, or with a title that is not one line.
        json!([{ "name": "a", "page": " " }]),
        json!([{ "name": "a", "page": "a\nb" }]),
        json!([{ "name": "a", "page": "x".repeat(257) }]),
        // They would be ambiguous.
        json!([{ "name": "a" }, { "name": "a" }]),
        json!([{ "name": "a", "optional": true }, { "name": "b" }]),
        json!([{ "name": "a", "kind": "rest" }, { "name": "b" }]),
        // No value is right.
        json!([{ "name": "a", "integer": [2, 1] }]),
        json!([{ "name": "a", "number": [2.0, 1.0] }]),
        json!([{ "name": "a", "choice": [] }]),
        json!([{ "name": "a", "choice": [""] }]),
        json!([{ "name": "a", "choice": (0..65).map(|n| n.to_string()).collect::<Vec<_>>() }]),
        // A default that is not such a value.
        json!([{ "name": "a", "integer": [1, 6], "default": "7" }]),
        json!([{ "name": "a", "integer": [1, 6], "default": "x" }]),
        json!([{ "name": "a", "number": [0.0, 1.0], "default": "1.5" }]),
        json!([{ "name": "a", "choice": ["red"], "default": "blue" }]),
        json!([{ "name": "a", "kind": "duration", "default": "soon" }]),
        json!([{ "name": "a", "kind": "jid", "default": "@@" }]),
        (0..17).map(|n| json!({ "name": format!("a{n}") })).collect(),
    ]);
    let people =
        [("role", "owner"), ("role", ""), ("affiliation", "outcast"), ("affiliation", ""), ("jid", "@@"), ("jid", "")];
    let people = people.map(|one| json!([one])).into_iter().chain([vec![json!("contacts"); 17].into()]);
    // A millisecond more than a day.
    let cooldown = || These(vec![json!(86_400_001), json!(u64::MAX)]);
    vec![
        ("command.name", Word),
        ("command.help", line()),
        ("command.aliases", These(aliases.into_iter().chain([vec![json!("x"); 9].into()]).collect())),
        ("command.arguments", These(arguments.collect())),
        ("command.allow", These(people.collect())),
        ("command.person-cooldown", cooldown()),
        ("command.room-cooldown", cooldown()),
        ("command.place", These(["", "Room", "rooms", "chat", "a\u{1}"].map(|place| json!(place)).to_vec())),
    ]
}

/// The cases of chats, contacts and vCards.
fn private(jid: &str) -> Vec<Case> {
    let one = json!({ "jid": jid });
    let many = json!({ "jids": [jid] });
    let mut cases = vec![
        ("chats.get", one.clone(), vec![("jid", Jid)]),
        ("chats.get-many", many.clone(), vec![("jids", Sought)]),
        ("chats.open", one.clone(), vec![("jid", Jid)]),
        ("chats.open-many", many.clone(), vec![("jids", Jids)]),
        ("chats.close", one.clone(), vec![("jid", Jid)]),
        ("chats.close-many", many.clone(), vec![("jids", Jids)]),
        ("chats.focus", one.clone(), vec![("jid", Jid)]),
        ("chats.show", one.clone(), vec![("jid", Jid)]),
        ("chats.maximize", one.clone(), vec![("jid", Jid)]),
        ("chats.minimize", one.clone(), vec![("jid", Jid)]),
        ("chats.get-attribute", json!({ "jid": jid, "name": "x" }), vec![("jid", Jid), ("name", Name)]),
        (
            "chats.set-attribute",
            json!({ "jid": jid, "name": "x", "value": 1 }),
            vec![("jid", Jid), ("name", Name), ("value", Json)],
        ),
        ("chats.initiate-otr", one.clone(), vec![("jid", Jid)]),
        ("chats.end-otr", one.clone(), vec![("jid", Jid)]),
        ("chats.send", message(jid), message_arguments()),
        ("chatviews.get", one.clone(), vec![("jid", Jid)]),
        ("chatviews.get-many", many.clone(), vec![("jids", Sought)]),
        ("contacts.get", one.clone(), vec![("jid", Jid)]),
        ("contacts.get-many", many, vec![("jids", Sought)]),
        ("contacts.add", one.clone(), vec![("jid", Jid), ("fullname", Text)]),
        ("contacts.remove", one.clone(), vec![("jid", Jid)]),
        ("contacts.rename", json!({ "jid": jid, "fullname": "x" }), vec![("jid", Jid), ("fullname", Text)]),
        ("contacts.set-groups", json!({ "jid": jid, "groups": [] }), vec![("jid", Jid), ("groups", Names)]),
        ("contacts.accept", one.clone(), vec![("jid", Jid)]),
        ("contacts.deny", one.clone(), vec![("jid", Jid)]),
        ("contacts.block", json!({ "jid": jid, "kind": "spam" }), blocking()),
        ("contacts.unblock", one.clone(), vec![("jid", Jid)]),
        ("vcard.get", one.clone(), vec![("jid", Jid)]),
        ("vcard.update", one, vec![("jid", Jid)]),
    ];
    let card = ["data.fn", "data.nickname", "data.url", "data.role", "data.email", "data.image-type"];
    let card = card.into_iter().map(|field| (field, Text));
    let rest = [("data.jid", Jid), ("data.jid", These(vec![json!(jid)])), ("data.image", Base64)];
    cases.push(("vcard.set", json!({ "fn": "x" }), card.chain(rest).collect()));
    // A card without any field is invalid, too.
    cases.push(("vcard.set", json!({}), vec![("data", These(vec![json!({})]))]));
    cases
}

/// The arguments of a block with its report.
fn blocking() -> Vec<(&'static str, Kind)> {
    let ids = unfit().into_iter().chain([json!(""), long()]).map(|id| json!([["a@b", id]]));
    let ids = ids.chain([json!([["@@", "1"]]), vec![json!(["a@b", "1"]); 17].into()]).collect();
    vec![("jid", Jid), ("report.kind", Word), ("report.text", Text), ("report.stanza-ids", These(ids))]
}

/// A valid message with every extension.
fn message(jid: &str) -> Value {
    json!({
        "jid": jid, "body": "no", "subject": "no", "thread": "t",
        "extensions": {
            "thread-parent": "p", "reply": { "id": "r", "to": jid }, "fallback": [["urn:x", [0, 1]]], "replace": "o",
            "retract": "q", "reactions": { "id": "e", "emojis": ["x"] }, "receipt": "g", "marker": "displayed", "marked": "m",
            "chat-state": "active", "hints": ["store"], "spoiler": "s", "unstyled": true,
            "previews": [{ "url": "https://h/", "title": "t" }],
        },
    })
}

fn message_arguments() -> Vec<(&'static str, Kind)> {
    let parts = [json!([["\u{1}", null]]), json!([["", null]]), json!([[long(), null]]), json!([["x", [2, 1]]])];
    let parts = parts.into_iter().chain([json!([["x", [0, 3]]]), vec![json!(["x", null]); 9].into()]).collect();
    let emojis = unfit().into_iter().chain([json!(""), long()]).map(|one| json!([one]));
    let emojis = emojis.chain([json!(["a", "a"]), (0..65).map(|n| n.to_string()).collect()]).collect();
    let files = ["", "x", "file:///a", "https://u@h/"].map(|url| json!([{ "url": url }]));
    let named = ["", "../a", "a\nb"].map(|name| json!([{ "url": "https://h/", "name": name }]));
    let files = files.into_iter().chain(named).chain([
        json!([{ "url": "https://h/", "media-type": "png" }]),
        vec![json!({ "url": "https://h/" }); 17].into(),
    ]);
    let files: Vec<_> = files.collect();
    let hints = unfit().into_iter().chain([json!(""), json!("x"), long()]).map(|one| json!([one]));
    let links = ["", "x", "javascript:a", "https://u@h/"].map(|url| json!([{ "url": url, "title": "t" }]));
    let wrong = unfit().into_iter().chain([json!(""), json!("a\nb"), long()]);
    let titled = wrong.map(|title| json!([{ "url": "https://h/", "title": title }]));
    let previews = links.into_iter().chain(titled).chain([
        json!([{ "url": "https://h/" }]),
        json!([{ "url": "https://h/", "description": long() }]),
        json!([{ "url": "https://h/", "image": "cid:1" }]),
        vec![json!({ "url": "https://h/", "title": "t" }); 2].into(),
    ]);
    let previews: Vec<_> = previews.collect();
    vec![
        ("jid", Jid),
        ("message", These(vec![json!({})])),
        ("message.body", Name),
        ("message.subject", Text),
        ("message.thread", Id),
        ("message.encryption", Word),
        ("message.extensions.thread-parent", Id),
        ("message.extensions.reply.id", Id),
        ("message.extensions.reply.to", Jid),
        ("message.extensions.fallback", These(parts)),
        ("message.extensions.replace", Id),
        ("message.extensions.retract", Id),
        // Only rooms say it.
        ("message.extensions.moderated", These(vec![json!({ "id": "m" }), json!({ "id": "m", "by": "@@" })])),
        ("message.extensions.moderated.id", Anything),
        ("message.extensions.moderated.by", Anything),
        ("message.extensions.moderated.occupant-id", Anything),
        ("message.extensions.moderated.reason", Anything),
        ("message.extensions.reactions.id", Id),
        ("message.extensions.reactions.emojis", These(emojis)),
        ("message.extensions.receipt", Id),
        ("message.extensions.files", These(files)),
        ("message.extensions.marker", Word),
        ("message.extensions.marked", Id),
        ("message.extensions.chat-state", Word),
        ("message.extensions.hints", These(hints.chain([json!(["store", "store"])]).collect())),
        ("message.extensions.spoiler", Text),
        ("message.extensions.previews", These(previews)),
    ]
}

/// The arguments of a call that enters rooms, after the one that names them.
fn attributes(rooms: (&'static str, Kind)) -> Vec<(&'static str, Kind)> {
    vec![
        rooms,
        ("attributes.nick", Name),
        ("attributes.password", Text),
        // Every count is valid.
        ("attributes.history.max-chars", Anything),
        ("attributes.history.max-stanzas", Anything),
        ("attributes.history.seconds", Anything),
        ("attributes.history.since", Date),
        ("attributes.roomconfig", Fields),
    ]
}

/// The cases of rooms.
fn in_rooms(jid: &str, room: &str) -> Vec<Case> {
    let one = json!({ "jid": room });
    let many = json!({ "jids": [room] });
    let user = json!({ "jid": room, "user": jid, "affiliation": "member" });
    vec![
        ("rooms.get", one.clone(), vec![("jid", Jid)]),
        ("rooms.get-many", many.clone(), vec![("jids", Sought)]),
        (
            "rooms.get-or-create",
            json!({ "jid": room, "create": true, "auto-configure": true }),
            attributes(("jid", Jid)),
        ),
        ("rooms.open", json!({ "jid": room, "auto-configure": true }), attributes(("jid", Jid))),
        ("rooms.open-many", json!({ "jids": [room], "auto-configure": true }), attributes(("jids", Jids))),
        ("rooms.close", one.clone(), vec![("jid", Jid)]),
        ("rooms.close-many", many, vec![("jids", Jids)]),
        ("rooms.send", message(room), message_arguments()),
        ("rooms.occupants", one.clone(), vec![("jid", Jid)]),
        ("rooms.focus", one.clone(), vec![("jid", Jid)]),
        ("rooms.show", one.clone(), vec![("jid", Jid)]),
        ("rooms.maximize", one.clone(), vec![("jid", Jid)]),
        ("rooms.minimize", one.clone(), vec![("jid", Jid)]),
        ("rooms.get-attribute", json!({ "jid": room, "name": "x" }), vec![("jid", Jid), ("name", Name)]),
        (
            "rooms.set-attribute",
            json!({ "jid": room, "name": "x", "value": 1 }),
            vec![("jid", Jid), ("name", Name), ("value", Json)],
        ),
        ("rooms.set-subject", json!({ "jid": room, "subject": "x" }), vec![("jid", Jid), ("subject", Text)]),
        (
            "rooms.set-role",
            json!({ "jid": room, "nick": "x", "role": "visitor" }),
            vec![("jid", Jid), ("nick", Name), ("role", Word), ("reason", Text)],
        ),
        (
            "rooms.set-affiliation",
            user.clone(),
            vec![("jid", Jid), ("user", Jid), ("affiliation", Word), ("reason", Text)],
        ),
        ("rooms.affiliations", user.clone(), vec![("jid", Jid), ("affiliation", Word)]),
        ("rooms.kick", json!({ "jid": room, "nick": "x" }), vec![("jid", Jid), ("nick", Name), ("reason", Text)]),
        ("rooms.ban", user.clone(), vec![("jid", Jid), ("user", Jid), ("reason", Text)]),
        ("rooms.retract", json!({ "jid": room, "id": "7" }), vec![("jid", Jid), ("id", Name), ("reason", Text)]),
        ("rooms.request-voice", one.clone(), vec![("jid", Jid)]),
        ("rooms.answer-voice", json!({ "jid": room, "nick": "x", "allow": true }), vec![("jid", Jid), ("nick", Name)]),
        (
            "rooms.register",
            json!({ "jid": room, "nick": "x", "fields": [] }),
            vec![("jid", Jid), ("nick", Name), ("fields", Fields)],
        ),
        ("rooms.unregister", one.clone(), vec![("jid", Jid)]),
        ("rooms.reserved-nick", one.clone(), vec![("jid", Jid)]),
        (
            "rooms.invite",
            json!({ "jid": room, "user": jid, "direct": true }),
            vec![("jid", Jid), ("user", Jid), ("invitation.reason", Text), ("invitation.password", Text)],
        ),
        (
            "rooms.decline",
            json!({ "jid": room, "inviter": jid }),
            vec![("jid", Jid), ("inviter", Jid), ("reason", Text)],
        ),
        (
            "rooms.configure",
            json!({ "jid": room, "fields": [["roomname", "x"]] }),
            vec![("jid", Jid), ("fields", Fields), ("fields", These(vec![json!([])]))],
        ),
        ("rooms.destroy", one.clone(), vec![("jid", Jid), ("reason", Text), ("alternative", Jid)]),
        (
            "rooms.set-bookmark",
            one.clone(),
            vec![
                ("bookmark.jid", Jid),
                ("bookmark.jid", These(vec![json!("conference.localhost")])),
                ("bookmark.name", Text),
                ("bookmark.nick", Name),
                ("bookmark.password", Text),
            ],
        ),
        ("rooms.remove-bookmark", one, vec![("jid", Jid)]),
    ]
}
