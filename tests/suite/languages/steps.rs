//! A hundred steps that are the same in every language on a real server. Their output must be the same, byte for byte.
//!
//! The plugin in Rust is `tests/guests/steps`, the others are in `tests/steps`.

use jid::BareJid;
use parlor_tests::client::Client;
use parlor_tests::folder::Folder;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use serde_json::json;

use super::{built, example};
use crate::test_host::{FULL, Plan, SOON, TestHost, friend, granted, running};

/// Returns the output of all plugins, with placeholders for the addresses that differ in each run.
fn expected() -> String {
    std::fs::read_to_string(example("../tests/suite/languages/steps.txt")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_steps_come_out_in_rust_as_they_should() {
    let steps = plugins::built("steps").unwrap().bytes().unwrap();
    assert!(expected().lines().count() >= 100);
    come_out(&steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_steps_come_out_in_python_as_in_rust() {
    come_out(&built_in("python").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_steps_come_out_in_javascript_as_in_rust() {
    come_out(&built_in("js").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_steps_come_out_in_typescript_as_in_rust() {
    come_out(&built_in("ts").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_steps_come_out_in_go_as_in_rust() {
    come_out(&built_in("go").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_steps_come_out_in_c_as_in_rust() {
    come_out(&built_in("c").await).await;
}

async fn built_in(language: &str) -> Vec<u8> {
    let folder = example("../tests/steps").join(language);
    let manifest = |folder: &std::path::Path| std::fs::read_to_string(folder.join("plugin.toml")).unwrap();
    assert_eq!(manifest(&folder), manifest(&example("../tests/guests/steps")), "they ask for the same");
    built(&folder, &Folder::new().unwrap()).await
}

async fn come_out(plugin: &[u8]) {
    let (transcript, expected) = (Walk::begin(plugin).await.transcript().await, expected());
    // The lines are compared one by one first, since such a failure is easier to read.
    for (came, expected) in transcript.lines().zip(expected.lines()) {
        assert_eq!(came, expected, "in\n{transcript}");
    }
    assert_eq!(transcript, expected);
}

/// A plugin that carries out the steps, and the client that orders them.
struct Walk {
    host: TestHost,
    friend: Client,
    bot: BareJid,
    room: BareJid,
    lines: String,
}

impl Walk {
    async fn begin(plugin: &[u8]) -> Self {
        // The archive is read in several pages.
        let plan = Plan::new().await.set("archived_messages_page_size", 5).set("archived_messages_limit", 5);
        let host = plan.caller(FULL, granted).bytes("steps", plugin, grants).start().await;
        running(&host, "steps").await;
        let (friend, bot) = (friend("friend").await, host.account().jid.clone());
        let room = format!("steps-{}@conference.localhost", host.name()).parse().unwrap();
        Self { host, friend, bot, room, lines: String::new() }
    }

    async fn transcript(mut self) -> String {
        self.part("settings", "-").await;
        self.part("storage", "-").await;
        self.part("timers", "-").await;
        self.says("fired").await;
        self.part("heard", "-").await;
        self.part("listen", "-").await;
        self.says("heard").await;
        self.part("heard", "-").await;
        let promise = json!({ "name": "promised" });
        self.host.call(FULL, "promises.add", promise).await.ok();
        self.part("promises", "-").await;
        self.waits().await;
        self.part("messages", "<came> & 'went'  h\u{fc}\u{1f355}").await;
        self.part("stanza", "-").await;
        self.part("rooms", "-").await;
        self.part("account", "-").await;
        self.part("commands", "-").await;
        let (bot, given) = (self.bot.clone(), "!stairs 7 FAST --loud to the   top");
        self.friend.chat(bot, given).await.unwrap();
        self.says("stairs").await;
        self.part("heard", "-").await;
        self.part("schedules", "-").await;
        self.part("others", "-").await;
        let whom = self.friend.jid().to_bare();
        self.host.stop().await;
        self.lines.replace(whom.as_str(), "FRIEND").replace(self.room.as_str(), "ROOM")
    }

    /// Tells the plugin to wait for a promise, fulfils it meanwhile, and then lets the plugin wait again.
    async fn waits(&mut self) {
        self.tell("wait", "promised").await;
        self.host.logged("waiting for promised", &[("plugin", "steps")]).await;
        let kept = json!({ "name": "promised", "payload": { "kept": true } });
        self.host.call(FULL, "api.emit", kept).await.ok();
        self.answer("wait").await;
        self.part("wait", "promised").await;
    }

    /// Has the plugin take the steps of a part.
    async fn part(&mut self, part: &str, rest: &str) {
        self.tell(part, rest).await;
        self.answer(part).await;
    }

    async fn tell(&mut self, part: &str, rest: &str) {
        let (friend, room) = (self.friend.jid().to_bare(), &self.room);
        self.friend.chat(self.bot.clone(), &format!("{part} {friend} {room} {rest}")).await.unwrap();
    }

    async fn answer(&mut self, part: &str) {
        let head = format!("{part}\n");
        let rest = |text: &str| text.strip_prefix(&head).map(str::to_owned);
        let lines = self.friend.wait_text(part, &self.bot, SOON, rest).await.unwrap();
        self.lines.push_str(&lines);
        self.lines.push('\n');
    }

    async fn says(&mut self, text: &str) {
        self.friend.wait_body(&self.bot, text, SOON).await.unwrap();
    }
}

/// Grants everything that the plugin asks for, but messages only to people of this server, and no presence.
fn grants(entry: Entry) -> Entry {
    let everywhere = ["archive.read", "messages.read"];
    let rooms = ["rooms.configure", "rooms.join", "rooms.moderate", "rooms.read", "rooms.send"];
    let whole = ["contacts.read", "contacts.write", "disco.own", "disco.read", "status.read", "status.write"];
    let entry = everywhere.iter().chain(&rooms).fold(entry, |entry, name| entry.grant(name, &["*"]));
    let entry = whole.iter().fold(entry, |entry, name| entry.grant_whole(name));
    let entry = entry.grant("messages.send", &["@localhost"]).grant("storage", &["64 KiB"]);
    let entry = entry.grant("iq.answer", &["urn:test:asked"]).grant("plugins.call", &["nobody"]);
    entry.grant("pubsub.read", &["pubsub.localhost/steps"]).grant("stanza.send", &["message", "iq"])
}
