//! Rooms and people: the commands that show and change them, and the alerts to owners, on a real server.

use std::net::TcpStream;
use std::time::Instant;

use jid::BareJid;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use parlor_tests::clerk::order as ordered;
use parlor_tests::client::Client;
use parlor_tests::host::{Home, Host, Server};
use parlor_tests::plugins::built;
use parlor_tests::policy::Policy;
use parlor_tests::ports;
use parlor_tests::prosody::Account;
use parlor_tests::terminal::Terminal;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::presence::Type;

use super::page::ask;
use super::{SOON, echo, ended, home, juliet, start};
use crate::test_host::prosody;

/// Makes a room that Juliet owns.
async fn room_of(juliet: &mut Client) -> BareJid {
    let room = prosody().await.fresh_room();
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    room
}

/// Starts a host with echo, whose owner is Juliet.
async fn owned(juliet: &Client, settings: &[(&str, &str)]) -> (Home, Host, Account) {
    let (mut home, account) = home().await;
    home.amend("main", "owners", Some(vec![juliet.jid().to_bare().to_string()].into())).unwrap();
    for (key, value) in settings {
        home.set(key, *value).unwrap();
    }
    let host = start(&home, &Policy::default().with("echo", echo(&home))).await;
    host.wait_count("plugin running", &[], 1, SOON).await.unwrap();
    (home, host, account)
}

/// Runs a command, and returns its output as JSON.
async fn shown(home: &Home, arguments: &[&str]) -> Value {
    ended(home.run(&[arguments, &["--json"]].concat()).await.unwrap(), 0).json().unwrap()
}

async fn order(juliet: &mut Client, room: &BareJid, item: &str) {
    let query = format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query>");
    let payload = query.parse().unwrap();
    let set = Iq::Set { from: None, to: Some(room.clone().into()), id: String::new(), payload };
    juliet.ask(set, SOON).await.unwrap();
}

#[tokio::test]
async fn an_owner_has_an_account_enter_speak_in_and_leave_a_room() {
    let mut juliet = juliet().await;
    let room = room_of(&mut juliet).await;
    let (home, _host, account) = owned(&juliet, &[]).await;
    let name = room.to_string();
    assert_eq!(shown(&home, &["rooms"]).await, json!([]));

    let joined = shown(&home, &["rooms", "join", &name, "--nick", "Bot"]).await;
    for (field, value) in [
        ("account", json!("main")),
        ("room", json!(name)),
        ("state", json!("joined")),
        ("kept", json!(false)),
        ("nick", json!("Bot")),
        ("role", json!("participant")),
        ("affiliation", json!("none")),
        ("occupants", json!(2)),
        ("plugins", json!([{ "plugin": "echo", "may": ["messages.read", "rooms.send"] }])),
    ] {
        assert_eq!(joined[field], value, "{field}: {joined}");
    }
    assert!(joined["since"].is_string() && joined.get("left").is_none(), "{joined}");
    assert_eq!(shown(&home, &["rooms", "list", "--account", "main"]).await[0]["room"], name);
    let status = shown(&home, &["status"]).await;
    assert_eq!(status["accounts"][0]["rooms"][0]["state"], "joined", "{status}");
    let screen = ended(home.run(&["status"]).await.unwrap(), 0).stdout;
    assert!(screen.contains("account main is in 1 room\n"), "{screen}");

    let said = shown(&home, &["say", &name, "Maintenance & more: 100 %"]).await;
    assert_eq!((&said["account"], &said["to"]), (&json!("main"), &json!(name)));
    juliet.wait_body(&room, "Maintenance & more: 100 %", SOON).await.unwrap();
    let person = juliet.jid().to_bare();
    let stranger = ended(home.run(&["say", person.as_str(), "psst"]).await.unwrap(), 1).stderr;
    assert!(stranger.contains("--new"), "{stranger}");
    let slip = ended(home.run(&["say", "lobby", "psst"]).await.unwrap(), 1).stderr;
    assert!(slip.contains("write the whole address") && slip.contains("to the domain itself"), "{slip}");
    let unquoted = ended(home.run(&["say", &name, "from", "all"]).await.unwrap(), 2).stderr;
    assert!(unquoted.contains("put it in quotes, such as 'from …'"), "{unquoted}");
    ended(home.run(&["say", person.as_str(), "psst", "--new"]).await.unwrap(), 0);
    juliet.wait_body(&account.jid, "psst", SOON).await.unwrap();

    let slip = name.replacen('@', "x@", 1);
    for what in ["show", "join", "leave"] {
        let error = ended(home.run(&["rooms", what, &slip]).await.unwrap(), 1).stderr;
        assert!(error.contains("did you mean") && error.contains(&name), "{what}: {error}");
    }
    let error = ended(home.run(&["rooms", "list", "--account", "mian"]).await.unwrap(), 1).stderr;
    assert!(error.contains("did you mean \"main\"?"), "{error}");
    for wrong in [
        &["rooms", "join", "conference.localhost"][..],
        &["rooms", "leave", "x@@y"],
        &["contacts", "accept", "x@@y"],
        &["say", "x@@y", "psst"],
    ] {
        let error = ended(home.run(wrong).await.unwrap(), 2).stderr;
        assert!(error.contains("is no address"), "{error}");
    }

    let left = shown(&home, &["rooms", "leave", &name]).await;
    assert_eq!((&left["state"], &left["left"]["why"]), (&json!("out"), &json!("left")), "{left}");
    let out = ended(home.run(&["say", &name, "psst"]).await.unwrap(), 1).stderr;
    assert!(out.contains(&format!("`parlor rooms join {name}`")), "{out}");
    ended(home.run(&["rooms", "leave", &name]).await.unwrap(), 0);
    assert_eq!(shown(&home, &["rooms"]).await, json!([]));
    ended(home.run(&["rooms", "leave", &name]).await.unwrap(), 1);

    let mistyped = "x@nowhere.invalid";
    let refused = ended(home.run(&["rooms", "join", mistyped]).await.unwrap(), 1).stderr;
    assert!(refused.contains(&format!("`parlor rooms leave {mistyped}`")), "{refused}");
    ended(home.run(&["rooms", "leave", mistyped]).await.unwrap(), 0);
    assert_eq!(shown(&home, &["rooms"]).await, json!([]));
}

/// Returns what the audit says that an owner had an account do.
async fn deeds(home: &Home, account: &str) -> Vec<String> {
    let audit = shown(home, &["audit", "--account", account, "--kind", "account"]).await;
    // Those of a file are about the configuration.
    let entries = audit["entries"].as_array().unwrap().iter().filter(|entry| entry["way"] == "control socket");
    entries.map(|entry| entry["what"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_audit_has_the_account_that_acted_and_also_what_failed() {
    let mut juliet = juliet().await;
    let room = room_of(&mut juliet).await;
    let (mut home, account) = home().await;
    let prosody = prosody().await;
    let second = prosody.fresh_account("second").unwrap();
    let server = Server::StartTls(prosody.ports().starttls, prosody.certificate());
    home.add_account("second", &second, server).unwrap();
    let host = start(&home, &Policy::default()).await;
    host.wait_count("account connected", &[], 2, SOON).await.unwrap();
    let name = room.to_string();
    ended(home.run(&["rooms", "join", &name, "--account", "main"]).await.unwrap(), 0);
    // The account that knows the room is meant.
    ended(home.run(&["say", &name, "from one of two"]).await.unwrap(), 0);
    juliet.wait_body(&room, "from one of two", SOON).await.unwrap();
    ended(home.run(&["rooms", "leave", &name]).await.unwrap(), 0);
    let ban = format!("<item affiliation='outcast' jid='{}'/>", account.jid);
    order(&mut juliet, &room, &ban).await;
    let refused = ended(home.run(&["rooms", "join", &name]).await.unwrap(), 1).stderr;
    assert!(refused.contains("banned") && refused.contains("lift the ban"), "{refused}");
    // Slips are not begun, so they have no entries.
    ended(home.run(&["rooms", "join", "conference.localhost", "--account", "main"]).await.unwrap(), 2);
    ended(home.run(&["rooms", "leave", &name, "--account", "second"]).await.unwrap(), 1);
    let person = juliet.jid().to_bare();
    let nobody = ended(home.run(&["contacts", "deny", person.as_str()]).await.unwrap(), 1).stderr;
    assert!(nobody.contains("does not ask any account"), "{nobody}");
    ended(home.run(&["say", person.as_str(), "psst", "--account", "main"]).await.unwrap(), 1);
    let entered = format!("the room {name} was entered");
    let all = [
        entered.clone(),
        format!("it was made to write to {name}"),
        format!("the room {name} was left"),
        entered.clone(),
        format!("{entered}: this failed, or was done in part"),
    ];
    assert_eq!(deeds(&home, "main").await, all);
    assert_eq!(deeds(&home, "second").await, [""; 0]);
    ended(home.run(&["rooms", "leave", &name]).await.unwrap(), 0);
    let last = deeds(&home, "main").await.pop().unwrap();
    assert_eq!(last, format!("the room {name} was taken off the list"), "the account was out of it");
}

#[tokio::test]
async fn words_of_an_owner_wait_while_the_account_is_not_connected() {
    let juliet = juliet().await;
    let (mut home, host, _) = owned(&juliet, &[]).await;
    let nobody = format!("127.0.0.1:{}", ports::free().unwrap());
    home.amend("main", "server", Some(nobody.into())).unwrap();
    host.wait_count("connection lost, reconnecting", &[("account", "main")], 1, SOON).await.unwrap();
    let person = juliet.jid().to_bare();
    let said = shown(&home, &["say", person.as_str(), "psst", "--new"]).await;
    assert_eq!(said["queued"], true, "{said}");
}

#[tokio::test]
async fn hooks_change_what_plugins_say_and_not_the_words_of_an_owner() {
    let (home, account) = home().await;
    let guard = home.install("guard", &built("caller").unwrap()).unwrap().set("chat", true);
    let grants = ["messages.read", "messages.send", "hooks.outgoing"];
    let guard = grants.iter().fold(guard, |entry, permission| entry.grant(permission, &["*"]));
    let hooks = "outgoing = [\"guard\"]\ndeadline = \"5 s\"\non_failure = \"stop\"".parse().unwrap();
    let policy = Policy::default().with("echo", echo(&home)).with("guard", guard).hooks(hooks);
    let host = start(&home, &policy).await;
    for plugin in ["echo", "guard"] {
        host.wait_count("plugin running", &[("plugin", plugin)], 1, SOON).await.unwrap();
    }
    let mut juliet = juliet().await;
    let verdict = json!({ "name": "hookOutgoing", "verdict": { "call": "alter", "body": "by order of the guard" } });
    let begun = ordered(&mut juliet, &account.jid, "listen.on-and-judge", &verdict).await.unwrap();
    assert!(begun.get("ok").is_some(), "{begun}");
    juliet.chat(account.jid.clone(), "hear me").await.unwrap();
    juliet.wait_body(&account.jid, "by order of the guard", SOON).await.unwrap();
    let person = juliet.jid().to_bare();
    ended(home.run(&["say", person.as_str(), "by order of the owner", "--new"]).await.unwrap(), 0);
    juliet.wait_body(&account.jid, "by order of the owner", SOON).await.unwrap();
}

#[tokio::test]
async fn contacts_are_listed() {
    let mut juliet = juliet().await;
    let (home, _host, account) = owned(&juliet, &[]).await;
    let people = shown(&home, &["contacts"]).await;
    assert_eq!(people, json!([{ "account": "main", "known": true, "contacts": [] }]));
    juliet.befriend(&account.jid).await.unwrap();
    // The server passes the request on when it likes.
    let until = Instant::now() + SOON;
    let text = loop {
        let text = ended(home.run(&["contacts", "--account", "main"]).await.unwrap(), 0).stdout;
        if text.contains("asks") {
            break text;
        }
        assert!(Instant::now() < until, "nobody asks: {text}");
    };
    let person = juliet.jid().to_bare();
    assert!(text.contains(person.as_str()), "{text}");
    let nobody = ended(home.run(&["contacts", "accept", "nobody@localhost"]).await.unwrap(), 1).stderr;
    assert!(nobody.contains("`parlor contacts` lists who asks"), "{nobody}");
    let slip = person.to_string().replacen('@', "x@", 1);
    let slip = ended(home.run(&["contacts", "accept", &slip]).await.unwrap(), 1).stderr;
    assert!(slip.contains(&format!("did you mean \"{person}\"?")), "{slip}");
    let people = shown(&home, &["contacts", "accept", person.as_str()]).await;
    let contact = &people[0]["contacts"][0];
    assert_eq!((&contact["subscription"], &contact["asks"]), (&json!("from"), &json!(false)), "{people}");
}

#[tokio::test]
async fn owners_are_told_at_once_who_put_the_account_out_and_why() {
    let mut juliet = juliet().await;
    let room = room_of(&mut juliet).await;
    let (home, host, account) = owned(&juliet, &[("rejoin", "kicked-once")]).await;
    let name = room.to_string();
    ended(home.run(&["rooms", "join", &name, "--nick", "Bot"]).await.unwrap(), 0);

    order(&mut juliet, &room, "<item nick='Bot' role='none'><reason>too loud</reason></item>").await;
    let line = host.wait_count("the account was put out of a room", &[("room", &name)], 1, SOON).await.unwrap();
    assert_eq!(
        ["why", "by", "reason", "account"].map(|field| line.get(field)),
        ["kicked", "Juliet", "too loud", "main"]
    );
    let alert = |text: &str| (text.contains("kicked by “Juliet”, with the words “too loud”")).then(|| text.to_owned());
    let told = juliet.wait_text("an alert", &account.jid, SOON, alert).await.unwrap();
    assert!(told.starts_with("parlor, account main: ") && told.contains("tries again by itself"), "{told}");
    let waits = shown(&home, &["rooms", "show", &name]).await;
    assert_eq!((&waits["state"], &waits["left"]["by"]), (&json!("waiting"), &json!("Juliet")), "{waits}");
    assert!(waits["next"].is_string(), "{waits}");

    // The owner does not wait for the next attempt.
    assert_eq!(shown(&home, &["rooms", "join", &name, "--nick", "Bot"]).await["state"], "joined");
    let ban = format!("<item affiliation='outcast' jid='{}'><reason>enough</reason></item>", account.jid);
    order(&mut juliet, &room, &ban).await;
    host.wait_count("the account was put out of a room", &[("room", &name)], 2, SOON).await.unwrap();
    let out = shown(&home, &["rooms", "show", &name]).await;
    assert_eq!((&out["state"], &out["left"]["why"]), (&json!("out"), &json!("banned")), "{out}");
    assert!(out["remedy"].as_str().unwrap().contains("lift the ban"), "{out}");
    let unwrapped = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let screen = unwrapped(ended(home.run(&["status"]).await.unwrap(), 0).stdout);
    assert!(screen.contains("account main is in 0 of 1 rooms ") && screen.contains("banned by Juliet"), "{screen}");
    let doctor = unwrapped(home.run(&["doctor", "--offline"]).await.unwrap().stdout);
    assert!(doctor.contains("is out of the room") && doctor.contains("lift the ban"), "{doctor}");
    let refused = ended(home.run(&["rooms", "join", &name]).await.unwrap(), 1).stderr;
    assert!(refused.contains("banned") && refused.contains("lift the ban"), "{refused}");
    // The owner has seen it.
    ended(home.run(&["rooms", "leave", &name]).await.unwrap(), 0);
    assert_eq!(shown(&home, &["rooms"]).await, json!([]));
}

/// Checks that `parlor top` shows these words.
fn top(home: &Home, words: &str) {
    let mut terminal = Terminal::start(home.command(["top"]).unwrap()).unwrap();
    terminal.resize(24, 140).unwrap();
    let picture = terminal.shows(words, SOON).unwrap();
    terminal.presses("q").unwrap();
    assert_eq!(terminal.ended(SOON).unwrap().0, Some(0), "{picture}");
}

/// Returns the metrics about rooms.
fn metrics(port: u16) -> Vec<String> {
    let (head, body) = ask(TcpStream::connect(("127.0.0.1", port)).unwrap(), "GET", "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    body.lines().filter(|line| line.starts_with("parlor_room")).map(str::to_owned).collect()
}

/// The terminal keeps a thread busy.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_never_rejoins_stays_out_of_a_room_and_everything_says_so() {
    let mut juliet = juliet().await;
    let room = room_of(&mut juliet).await;
    let (mut home, account) = home().await;
    home.amend("main", "owners", Some(vec![juliet.jid().to_bare().to_string()].into())).unwrap();
    home.set("rejoin", "never").unwrap();
    let port = ports::free().unwrap();
    home.set_environment("PARLOR_METRICS", &format!("127.0.0.1:{port}"));
    let host = start(&home, &Policy::default()).await;
    host.wait_count("metrics are served", &[], 1, SOON).await.unwrap();
    let name = room.to_string();
    ended(home.run(&["rooms", "join", &name, "--nick", "Bot"]).await.unwrap(), 0);
    assert!(metrics(port).contains(&"parlor_rooms{account=\"main\",state=\"joined\"} 1".to_owned()));
    top(&home, "in 1 room");

    order(&mut juliet, &room, "<item nick='Bot' role='none'><reason>too loud</reason></item>").await;
    host.wait_count("the account was put out of a room", &[("room", &name)], 1, SOON).await.unwrap();
    let alert = |text: &str| text.contains("kicked by “Juliet”").then(|| text.to_owned());
    let told = juliet.wait_text("an alert", &account.jid, SOON, alert).await.unwrap();
    assert!(told.contains("the setting `rejoin` decides") && !told.contains("tries again by itself"), "{told}");
    // With every other policy, the first kick has a next attempt.
    let out = shown(&home, &["rooms", "show", &name]).await;
    assert_eq!((&out["state"], &out["left"]["why"], &out["next"]), (&json!("out"), &json!("kicked"), &Value::Null));
    for line in [
        "parlor_rooms{account=\"main\",state=\"joined\"} 0",
        "parlor_rooms{account=\"main\",state=\"out\"} 1",
        "parlor_room_departures_total{account=\"main\",why=\"kicked\"} 1",
    ] {
        let all = metrics(port);
        assert!(all.contains(&line.to_owned()), "no {line}: {all:?}");
    }
    top(&home, "in 0 of 1 rooms");
    let doctor = home.run(&["doctor", "--offline"]).await.unwrap().stdout;
    assert!(doctor.contains(&format!("is out of the room {name}: kicked by Juliet (too loud)")), "{doctor}");

    // On a terminal of 80 columns, this is shown in lines that fit. Only addresses and commands are longer, and stay whole.
    for arguments in [&["rooms"][..], &["audit"], &["doctor", "--offline"]] {
        let mut terminal = Terminal::start(home.command(arguments.iter().copied()).unwrap()).unwrap();
        let (_, screen) = terminal.ended(SOON).unwrap();
        let plain = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[33m", "\r"];
        let screen = plain.iter().fold(screen, |screen, mark| screen.replace(mark, ""));
        let is_whole = |word: &str| word.chars().count() > 40 || word.contains('`');
        let is_wide = |line: &&str| line.chars().count() > 80 && !line.split_whitespace().any(is_whole);
        assert_eq!(screen.lines().find(is_wide), None, "{arguments:?}: {screen}");
        assert!(arguments[0] != "rooms" || screen.lines().any(|line| line == name), "{screen}");
    }
    assert_eq!(shown(&home, &["rooms", "join", &name, "--nick", "Bot"]).await["state"], "joined");
}

/// Protects a room of Juliet with this password.
async fn protect(juliet: &mut Client, room: &BareJid, password: &str) {
    let field = |name: &str, value: &str| format!("<field var='{name}'><value>{value}</value></field>");
    let fields = [
        field("FORM_TYPE", "http://jabber.org/protocol/muc#roomconfig"),
        field("muc#roomconfig_roomsecret", password),
        field("muc#roomconfig_passwordprotectedroom", "1"),
    ];
    let form = format!("<x xmlns='jabber:x:data' type='submit'>{}</x>", fields.concat());
    let payload = format!("<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>").parse().unwrap();
    let set = Iq::Set { from: None, to: Some(room.clone().into()), id: String::new(), payload };
    juliet.ask(set, SOON).await.unwrap();
}

/// Waits until Juliet sees an account in a room.
async fn sees(juliet: &mut Client, room: &BareJid, account: &Account) {
    let nick = account.jid.node().unwrap().to_string();
    let address = jid::Jid::from(room.with_resource_str(&nick).unwrap());
    let is_in = |stanza: &Stanza| match stanza {
        Stanza::Presence(one) => (one.from.as_ref() == Some(&address) && one.type_ == Type::None).then_some(()),
        _ => None,
    };
    juliet.wait_for(&address.to_string(), SOON, is_in).await.unwrap();
}

/// Settings `auto_join_rooms`.
#[tokio::test]
async fn a_listed_room_gets_its_password_and_a_wrong_one_is_tried_once() {
    const PASSWORD: &str = "canary-of-the-den";
    let mut juliet = juliet().await;
    let (den, hall) = (room_of(&mut juliet).await, room_of(&mut juliet).await);
    protect(&mut juliet, &den, PASSWORD).await;
    protect(&mut juliet, &hall, PASSWORD).await;
    let (mut home, account) = home().await;
    let file = home.write("den.password", "canary-of-before\n").unwrap();
    let list = |rooms: &[&BareJid]| -> Vec<toml::Value> {
        let of = |room: &&BareJid| {
            let keys = [("jid", room.to_string()), ("password_file", "den.password".to_owned())];
            let keys = keys.map(|(key, value)| (key.to_owned(), toml::Value::from(value)));
            toml::Value::from(toml::Table::from_iter(keys))
        };
        rooms.iter().map(of).collect()
    };
    home.set("auto_join_rooms", list(&[&den])).unwrap();
    let mut host = start(&home, &Policy::default()).await;
    let name = den.to_string();
    let refused = [("room", name.as_str()), ("why", "password")];
    let said = host.wait_count("a room cannot be entered", &refused, 1, SOON).await.unwrap();
    assert!(said.get("remedy").contains("`password_file` of the room in `auto_join_rooms`"), "{said:?}");
    let out = shown(&home, &["rooms", "show", &name]).await;
    assert_eq!((&out["state"], &out["left"]["why"], &out["next"]), (&json!("out"), &json!("password"), &Value::Null));
    ended(home.run(&["rooms", "join", &name]).await.unwrap(), 1);
    assert_eq!(host.lines("a room cannot be entered", &refused).len(), 1, "it does not try by itself");

    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    assert_eq!(shown(&home, &["rooms", "join", &name]).await["state"], "joined");
    sees(&mut juliet, &den, &account).await;
    // The next room counts while the host runs, and both count after a restart.
    home.set("auto_join_rooms", list(&[&den, &hall])).unwrap();
    host.reload().unwrap();
    sees(&mut juliet, &hall, &account).await;
    let mut texts = host.log().all();
    host.stop(SOON).await.unwrap();
    let host = start(&home, &Policy::default()).await;
    sees(&mut juliet, &den, &account).await;
    sees(&mut juliet, &hall, &account).await;
    texts.extend(host.log().all());
    for arguments in [&["rooms", "--json"][..], &["status", "--json"], &["audit", "--json"], &["doctor", "--offline"]] {
        let finished = home.run(arguments).await.unwrap();
        texts.extend([finished.stdout, finished.stderr]);
    }
    let shows = texts.iter().find(|text| text.contains("canary"));
    assert_eq!(shows, None, "the password is nowhere to be read");
}

#[tokio::test]
async fn a_destroyed_room_names_the_one_to_go_to() {
    let mut juliet = juliet().await;
    let room = room_of(&mut juliet).await;
    let (home, host, _) = owned(&juliet, &[("rejoin", "always")]).await;
    let name = room.to_string();
    ended(home.run(&["rooms", "join", &name]).await.unwrap(), 0);
    let query =
        "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy jid='tavern@conference.localhost'/></query>";
    let payload = query.parse().unwrap();
    let set = Iq::Set { from: None, to: Some(room.clone().into()), id: String::new(), payload };
    juliet.ask(set, SOON).await.unwrap();
    host.wait_count("the account was put out of a room", &[("why", "destroyed")], 1, SOON).await.unwrap();
    let out = shown(&home, &["rooms", "show", &name]).await;
    assert_eq!(out["left"]["instead"], "tavern@conference.localhost", "{out}");
    assert!(out["remedy"].as_str().unwrap().contains("parlor rooms join tavern@conference.localhost"), "{out}");
}

/// Gives the host a certificate for webhooks that ends in ten days.
fn certify(home: &mut Home) {
    let end = TimeZone::UTC.to_datetime(Timestamp::now() + SignedDuration::from_hours(10 * 24));
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(end.year().into(), end.month().unsigned_abs(), end.day().unsigned_abs());
    let key = KeyPair::generate().unwrap();
    home.write("web.pem", &params.self_signed(&key).unwrap().pem()).unwrap();
    home.write("web.key", &key.serialize_pem()).unwrap();
    home.set_web("certificate", "web.pem").unwrap();
    home.set_web("certificate_key", "web.key").unwrap();
}

/// Waits for an alert with all of these words.
async fn told(juliet: &mut Client, bot: &BareJid, words: &[&str]) {
    let pick = |text: &str| words.iter().all(|word| text.contains(*word)).then(|| text.to_owned());
    let text = juliet.wait_text(&format!("an alert with {words:?}"), bot, SOON, pick).await.unwrap();
    assert!(text.starts_with("parlor, account main: "), "{text}");
}

/// The host looks at its plugins twice a minute.
#[tokio::test]
async fn owners_are_told_of_plugins_that_fail_or_are_denied_often_and_of_a_certificate() {
    let mut juliet = juliet().await;
    let (mut home, account) = home().await;
    home.amend("main", "owners", Some(vec![juliet.jid().to_bare().to_string()].into())).unwrap();
    certify(&mut home);
    let bad = home.install("unruly", &built("unruly").unwrap()).unwrap().set("behaviour", "initialize-traps");
    let mute = home.install("echo", &built("echo").unwrap()).unwrap().grant("messages.read", &["*"]);
    let mute = mute.grant("messages.send", &["nobody@localhost"]).grant("rooms.send", &["*"]);
    let host = start(&home, &Policy::default().with("bad", bad).with("mute", mute)).await;

    let bot = &account.jid;
    told(&mut juliet, bot, &["the certificate", "web.pem", " ends on ", "renew it"]).await;
    host.wait_count("plugin running", &[("plugin", "mute")], 1, SOON).await.unwrap();
    for number in 0..120 {
        juliet.chat(bot.clone(), &number.to_string()).await.unwrap();
    }
    host.wait_count("plugin quarantined", &[("plugin", "bad")], 1, SOON).await.unwrap();
    told(&mut juliet, bot, &["plugin bad is quarantined", "`parlor plugin restart bad`"]).await;
    told(&mut juliet, bot, &["plugin mute was denied ", "within an hour; `parlor explain mute` says which"]).await;
}
