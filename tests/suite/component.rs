//! Accounts that are addresses of a component (XEP-0114): one stream for all of them, on a server of their own.

use jid::BareJid;
use parlor_tests::client::Client;
use parlor_tests::component::that_parks;
use parlor_tests::ejabberd::Ejabberd;
use parlor_tests::host::{Home, Host};
use parlor_tests::plugins::built;
use parlor_tests::policy::{Entry, Policy};
use parlor_tests::process::Signal;
use parlor_tests::server::{BOTS, BOTS_SECRET, ROOMS, Software, XmppServer};
use serde_json::{Value, json};
use xmpp_parsers::message::MessageType;
use xmpp_parsers::presence::Type;
use xmpp_parsers::stanza::Stanza;

use crate::test_host::{FULL, Plan, SOON, TestHost, granted, software};

/// Runs a test on the suite's server, and on ejabberd as well if it is installed: servers check and route what components send.
#[expect(clippy::print_stderr, reason = "a failure is on the last of these servers")]
async fn on_each_server(test: impl AsyncFn(Software)) {
    let ejabberd = (software() != Software::Ejabberd && Ejabberd::is_installed()).then_some(Software::Ejabberd);
    for software in [software()].into_iter().chain(ejabberd) {
        eprintln!("on {software}");
        Box::pin(test(software)).await;
    }
}

/// Starts a host with so many addresses of a component, and logs a friend in to the same server. The server comes first, so it is
/// dropped last.
async fn bots(software: Software, count: usize) -> (XmppServer, Client, TestHost) {
    let server = software.start_with_component().await.unwrap();
    let plan = Plan::on_component(&server, count).set("allow_non_roster_messaging", true);
    let host = plan.caller(FULL, granted).start().await;
    let friend = friend_of(&server).await;
    (server, friend, host)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_address_of_a_component_hears_its_messages_and_answers_in_its_own_name() {
    on_each_server(async |software| {
        let (_server, mut friend, host) = bots(software, 2).await;
        for at in [0, 1] {
            let own = host.accounts[at].1.jid.clone();
            let heard = host.listen_on(at, FULL, json!({ "name": "message" })).await;
            friend.chat(own.clone(), &format!("to {at}")).await.unwrap();
            assert_eq!(host.heard_on(at, FULL, heard).await["payload"]["message"]["body"], format!("to {at}"));
            let answer = json!({ "jid": friend.jid().to_string(), "body": format!("from {at}") });
            host.call_on(at, FULL, "chats.send", answer).await.ok();
            friend.wait_body(&own, &format!("from {at}"), SOON).await.unwrap();
            // It is reached by the address that people know, without a client to look for.
            friend.ping(own, SOON).await.unwrap();
            let other = host.heard_so_far_on(at, FULL, heard).await;
            assert!(other.is_empty(), "{other:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_a_component_enters_rooms_and_leaves_them_when_it_goes() {
    on_each_server(async |software| {
        let (_server, mut friend, host) = bots(software, 1).await;
        let room: BareJid = format!("house@{ROOMS}").parse().unwrap();
        friend.join(&room, "Juliet", SOON).await.unwrap();
        friend.unlock(&room, SOON).await.unwrap();
        let opened = host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
        assert_eq!(opened["joined"], true, "{opened}");
        let heard = host.listen(FULL, "message").await;
        friend.say(&room, "hello").await.unwrap();
        assert_eq!(host.heard(FULL, heard).await["payload"]["message"]["body"], "hello");
        host.call(FULL, "connection.disconnect", Value::Null).await.ok();
        // No server tells the room in its place.
        let goes = |stanza: &Stanza| match stanza {
            Stanza::Presence(presence) => {
                let nick = presence.from.as_ref()?.resource()?.as_str();
                (nick == "Romeo" && presence.type_ == Type::Unavailable).then_some(())
            }
            _ => None,
        };
        friend.wait_for("Romeo leaves", SOON, goes).await.unwrap();
    })
    .await;
}

/// Each of these is kept by the server of an ordinary account.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_would_keep_is_unsupported_for_an_address_of_a_component() {
    on_each_server(async |software| {
        let (_server, friend, host) = bots(software, 1).await;
        let jid = friend.jid().to_bare().to_string();
        let room = format!("house@{ROOMS}");
        for (call, args) in [
            ("contacts.add", json!({ "jid": jid })),
            ("contacts.accept", json!({ "jid": jid })),
            ("rooms.set-bookmark", json!({ "jid": room, "autojoin": false })),
            ("rooms.remove-bookmark", json!({ "jid": room })),
            ("vcard.set", json!({ "fn": "Bot" })),
            ("archive.query", json!({})),
        ] {
            host.call(FULL, call, args).await.fails("unsupported");
        }
        host.call(FULL, "api.wait-until", json!({ "promise": "rosterContactsFetched" })).await.fails("unsupported");
    })
    .await;
}

/// A home whose component makes accounts of two addresses at most, on which a plugin answers each message with the same.
fn shop(server: &XmppServer) -> Home {
    let mut home = Home::new().unwrap();
    home.set("allow_non_roster_messaging", true).unwrap();
    home.add_component("bots", BOTS, BOTS_SECRET, server.ports().component.unwrap()).unwrap();
    let text = std::fs::read_to_string(home.path().join("parlor.toml")).unwrap();
    let rule =
        format!("new_addresses = [\"shop-*@{BOTS}\"]\nnew_addresses_group = \"bots\"\nnew_addresses_limit = 2\n");
    let text = text.replace("[component.bots]\n", &format!("[component.bots]\n{rule}"));
    assert!(text.contains(&rule), "{text}");
    home.write("parlor.toml", &format!("{text}\n[group.bots]\n")).unwrap();
    let entry = home.install("echo", &built("echo").unwrap()).unwrap();
    let mut entry = entry.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"]);
    entry.accounts = Some(vec!["group:bots".to_owned()]);
    home.set_policy(&Policy::default().with("echo", entry)).unwrap();
    home
}

async fn connected(home: &Home) -> Host {
    let mut host = home.start().unwrap();
    host.wait("component connected", &[("component", BOTS)], SOON).await.unwrap();
    host
}

/// Sends a message, and waits until it is answered.
async fn is_answered(friend: &mut Client, jid: &BareJid, body: &str) {
    friend.chat(jid.clone(), body).await.unwrap();
    friend.wait_body(jid, body, SOON).await.unwrap();
}

/// Sends a message, and waits until it comes back.
async fn is_nobody(friend: &mut Client, jid: &BareJid) {
    friend.chat(jid.clone(), "anybody?").await.unwrap();
    let comes_back = |stanza: &Stanza| match stanza {
        Stanza::Message(message) => {
            let is_of = message.from.as_ref().is_some_and(|from| from.to_bare() == *jid);
            (message.type_ == MessageType::Error && is_of).then_some(())
        }
        _ => None,
    };
    friend.wait_for("the message comes back", SOON, comes_back).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_becomes_an_account_when_somebody_writes_to_it_and_stays_one() {
    on_each_server(async |software| {
        let server = software.start_with_component().await.unwrap();
        let home = shop(&server);
        let mut host = connected(&home).await;
        let mut friend = friend_of(&server).await;
        let [one, two] = ["shop-1", "shop-2"].map(address);
        is_answered(&mut friend, &one, "hello").await;
        is_answered(&mut friend, &one, "again").await;
        is_nobody(&mut friend, &address("other")).await;
        is_answered(&mut friend, &two, "hello").await;
        is_nobody(&mut friend, &address("shop-3")).await;
        let listed = home.run(&["account", "list", "--names", "--group", "bots"]).await.unwrap();
        assert_eq!(listed.stdout.lines().collect::<Vec<_>>(), ["bots--shop-1", "bots--shop-2"], "{listed:?}");
        // No server keeps contacts for them, so none is waited for.
        let contacts = home.run(&["contacts", "--account", "bots--shop-1"]).await.unwrap();
        assert_eq!(contacts.stdout, "account bots--shop-1\nno contacts\n", "{contacts:?}");
        assert!(host.stop(SOON).await.unwrap().success());
        let mut host = connected(&home).await;
        host.wait("account connected", &[("account", "bots--shop-1")], SOON).await.unwrap();
        is_answered(&mut friend, &one, "still there?").await;
        assert!(host.stop(SOON).await.unwrap().success());
        // A wrong secret is one error, whatever the number of accounts.
        home.write("bots.secret", "another one\n").unwrap();
        let mut host = home.start().unwrap();
        let line = host.wait("component failed", &[("component", BOTS)], SOON).await.unwrap();
        assert!(line.get("accounts").parse::<u8>().is_ok_and(|count| count <= 2), "{line:?}");
        assert!(host.stop(SOON).await.unwrap().success());
        assert!(host.lines("account failed", &[]).is_empty());
    })
    .await;
}

/// While no address is an account, nothing else shows why nobody is answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_secret_is_shown_while_there_is_no_account() {
    on_each_server(async |software| {
        let server = software.start_with_component().await.unwrap();
        let home = shop(&server);
        home.write("bots.secret", "another one\n").unwrap();
        let mut host = home.start().unwrap();
        host.wait("component failed", &[("component", BOTS)], SOON).await.unwrap();
        let status = home.run(&["status"]).await.unwrap();
        assert_eq!(status.code, Some(5), "{status:?}");
        assert!(status.stderr.contains("component bots is failed: the server refused the secret"), "{status:?}");
        let status = home.run(&["status", "--json"]).await.unwrap().json().unwrap();
        let component = &status["components"][0];
        assert_eq!(component["domain"], BOTS, "{status}");
        assert_eq!(component["connection"], "failed", "{status}");
        let doctor = home.run(&["doctor", "--offline"]).await.unwrap();
        assert!(doctor.stdout.contains("its component bots is failed: the server refused the secret"), "{doctor:?}");
        let says = "it may run, on addresses that become accounts when somebody writes to them";
        assert!(doctor.stdout.contains(says), "{doctor:?}");
        home.write("bots.secret", &format!("{BOTS_SECRET}\n")).unwrap();
        let reload = home.run(&["reload"]).await.unwrap();
        assert_eq!(reload.code, Some(0), "{reload:?}");
        host.wait("component connected", &[("component", BOTS)], SOON).await.unwrap();
        let status = home.run(&["status", "--json"]).await.unwrap().json().unwrap();
        assert_eq!(status["components"][0]["connection"], "connected", "{status}");
        assert!(host.stop(SOON).await.unwrap().success());
    })
    .await;
}

/// The accounts of a home whose addresses sleep.
const SLEEPERS: [&str; 2] = ["clock", "echo"];

/// An entry for a plugin that answers each message with the same, and is parked a moment later.
fn echoes(home: &Home, id: &str) -> Entry {
    let bytes = that_parks(&built("echo").unwrap().bytes().unwrap()).unwrap();
    let entry = home.install_bytes(id, &bytes).unwrap().limit("idle", "100 ms");
    entry.grant("messages.read", &["*"]).grant("messages.send", &["*"]).grant("rooms.send", &["*"])
}

/// A home with two addresses of a component that sleep after a second, each with such a plugin.
fn sleepy(server: &XmppServer) -> Home {
    let mut home = Home::new().unwrap();
    home.set("allow_non_roster_messaging", true).unwrap();
    home.add_component("bots", BOTS, BOTS_SECRET, server.ports().component.unwrap()).unwrap();
    home.amend_component("bots", "sleep_after", "1 s").unwrap();
    for name in SLEEPERS {
        home.add_address(name, &address(name), "bots").unwrap();
    }
    home.set_policy(&Policy::default().with("echo", echoes(&home, "echo"))).unwrap();
    home
}

fn address(name: &str) -> BareJid {
    format!("{name}@{BOTS}").parse().unwrap()
}

/// Waits until all addresses sleep, and returns the status.
async fn asleep(home: &Home) -> Value {
    let all = async {
        loop {
            let status = home.run(&["status", "--json"]).await.unwrap().json().unwrap();
            if status["components"][0]["asleep"] == json!(SLEEPERS.len()) {
                return status;
            }
        }
    };
    tokio::time::timeout(SOON, all).await.expect("they fall asleep")
}

async fn friend_of(server: &XmppServer) -> Client {
    let account = server.add_account("friend").unwrap();
    let mut friend = Client::login(&server.connector().unwrap(), &account, "suite").await.unwrap();
    friend.available().await.unwrap();
    friend
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_nothing_to_do_sleeps_until_somebody_writes_also_over_a_restart() {
    on_each_server(async |software| {
        let server = software.start_with_component().await.unwrap();
        let home = sleepy(&server);
        let mut friend = friend_of(&server).await;
        let mut host = connected(&home).await;
        is_answered(&mut friend, &address("echo"), "hello").await;
        let shown = asleep(&home).await;
        let accounts = shown["accounts"].as_array().unwrap();
        assert!(accounts.iter().all(|one| one["connection"] == "asleep" && one["since"].is_string()), "{shown}");
        let doctor = home.run(&["doctor", "--offline"]).await.unwrap();
        assert!(!doctor.stdout.contains("asleep"), "{doctor:?}");
        let status = home.run(&["status"]).await.unwrap();
        assert_eq!(
            (status.code, status.stdout.contains("account clock is asleep since")),
            (Some(0), true),
            "{status:?}"
        );
        // Each message wakes it, and is answered once.
        is_answered(&mut friend, &address("echo"), "again").await;
        asleep(&home).await;
        is_answered(&mut friend, &address("echo"), "and again").await;
        assert!(host.lines("address woke up", &[("account", "clock")]).is_empty(), "nobody wrote to it");
        asleep(&home).await;
        host.signal(Signal::Kill).unwrap();
        host.ended(SOON).await.unwrap();
        let mut host = connected(&home).await;
        host.wait_count("addresses sleep on", &[], 1, SOON).await.unwrap();
        is_answered(&mut friend, &address("echo"), "still there?").await;
        assert!(host.lines("account connected", &[("account", "clock")]).is_empty(), "it sleeps on");
        assert!(host.stop(SOON).await.unwrap().success());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_and_commands_of_an_owner_reach_an_address_that_sleeps() {
    on_each_server(async |software| {
        let server = software.start_with_component().await.unwrap();
        let home = sleepy(&server);
        let mut friend = friend_of(&server).await;
        let mut host = connected(&home).await;
        asleep(&home).await;
        let to = friend.jid().to_bare().to_string();
        let said = home.run(&["say", &to, "hello from echo", "--new", "--account", "echo"]).await.unwrap();
        assert_eq!(said.code, Some(0), "{said:?}");
        friend.wait_body(&address("echo"), "hello from echo", SOON).await.unwrap();
        assert!(host.lines("address woke up", &[("account", "clock")]).is_empty());
        asleep(&home).await;
        let both = Policy::default().with("echo", echoes(&home, "echo")).with("second", echoes(&home, "second"));
        home.set_policy(&both).unwrap();
        host.reload().unwrap();
        host.wait("policy read again", &[], SOON).await.unwrap();
        host.wait("address woke up", &[("account", "clock")], SOON).await.unwrap();
        asleep(&home).await;
        assert_eq!(host.lines("address woke up", &[("account", "clock")]).len(), 1, "once");
        assert!(host.stop(SOON).await.unwrap().success());
    })
    .await;
}
