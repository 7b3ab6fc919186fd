//! A plugin about which an owner asks ten questions, and its past: the same for the command line and for the pages.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jid::BareJid;
use serde_json::{Value, json};

use crate::client::Client;
use crate::component::with_manifest;
use crate::host::Home;
use crate::plugins;

/// The timeout of each step.
const SOON: Duration = Duration::from_mins(1);

/// The plugin's id.
pub const ID: &str = "clerk";
/// Somebody whom it may not write to, and wrote to.
pub const STRANGER: &str = "stranger@nowhere.invalid";
/// A key and a value that it keeps.
pub const KEPT: [&str; 2] = ["ledger", "42 coins"];
/// The name of the next run.
pub const SCHEDULE: &str = "stocktaking";
/// The text that it says to the person.
pub const SAID: &str = "the books are in order";
/// Its source file, in the host's folder.
pub const FILE: &str = "clerk.wasm";
/// The version that is installed, and that of the file [`NEXT`].
pub const VERSIONS: [&str; 2] = ["0.1.0", "0.2.0"];
/// The file of the next version, in the host's folder.
pub const NEXT: &str = "clerk-next.wasm";
/// The permission for which only the next version asks.
pub const ASKED: &str = "stanza.read";
/// Why it asks for that, in its author's words.
pub const REASON: &str = "to see who reads the books";

/// The plugin with its surroundings.
#[derive(Debug, Clone)]
pub struct Clerk {
    /// The person that it may write to, and did.
    pub person: BareJid,
    /// The room that it is in.
    pub room: BareJid,
}

impl Clerk {
    /// Installs it, and has it write to a person, be denied to write to a stranger, store something, set a schedule, and speak in
    /// a room that this person owns.
    pub async fn settle(home: &Home, person: &mut Client, bot: &BareJid, room: BareJid) -> Result<Self> {
        let bytes = plugins::built("caller")?.bytes()?;
        let present = present(&bytes)?;
        for (file, bytes) in [(FILE, &present), (NEXT, &next(&present)?)] {
            std::fs::write(home.path().join(file), bytes).with_context(|| format!("cannot write {file}"))?;
        }
        let clerk = Self { person: person.jid().to_bare(), room };
        let to = |permission: &str, whom: &BareJid| format!("--grant={permission}={whom}");
        let grants = [
            to("messages.read", &clerk.person),
            to("messages.send", &clerk.person),
            to("rooms.send", &clerk.room),
            "--grant=storage".to_owned(),
        ];
        let mut add = vec!["plugin", "add", FILE, "--id", ID, "--yes", "--disabled"];
        add.extend(grants.iter().map(String::as_str));
        done(home, &add).await?;
        done(home, &["plugin", "config", ID, "chat", "true"]).await?;
        let enabled = done(home, &["plugin", "enable", ID]).await?;
        ensure!(enabled.contains("clerk on main is running"), "{enabled}");
        person.join(&clerk.room, "owner", SOON).await?;
        person.unlock(&clerk.room, SOON).await?;
        done(home, &["rooms", "join", clerk.room.as_str(), "--nick", "bot"]).await?;
        for (call, args, case) in [
            ("chats.send", json!({ "jid": clerk.person.as_str(), "body": SAID }), "ok"),
            ("chats.send", json!({ "jid": STRANGER, "body": "psst" }), "err"),
            ("storage.set", json!({ "key": KEPT[0], "value": KEPT[1] }), "ok"),
            ("schedules.every", json!({ "name": SCHEDULE, "milliseconds": 3_600_000 }), "ok"),
            ("rooms.send", json!({ "jid": clerk.room.as_str(), "body": "stocktaking in an hour" }), "ok"),
        ] {
            let answer = order(person, bot, call, &args).await?;
            ensure!(answer.get(case).is_some(), "{call} {args}: {answer}");
        }
        Ok(clerk)
    }
}

/// Makes a plugin that takes orders by chat (`tests/guests/caller`) make a call, and returns the outcome.
pub async fn order(person: &mut Client, bot: &BareJid, call: &str, args: &Value) -> Result<Value> {
    let n = rand::random::<u32>();
    person.chat(bot.clone(), &format!("call {}", json!({ "n": n, "call": call, "args": args }))).await?;
    let pick = |text: &str| {
        let answer: Value = serde_json::from_str(text.strip_prefix("done ")?).ok()?;
        (answer["n"] == n).then_some(answer)
    };
    person.wait_text(&format!("what came of {call}"), bot, SOON, pick).await
}

async fn done(home: &Home, arguments: &[&str]) -> Result<String> {
    let finished = home.run(arguments).await?;
    ensure!(finished.code == Some(0), "parlor {}: {finished:?}", arguments.join(" "));
    Ok(finished.stdout)
}

/// Returns the plugin as it is installed, which does not ask for [`ASKED`].
fn present(bytes: &[u8]) -> Result<Vec<u8>> {
    let asks = format!("\"{ASKED}\"");
    with_manifest(bytes, |text| {
        text.lines().filter(|line| !line.starts_with(&asks)).flat_map(|line| [line, "\n"]).collect()
    })
}

/// Returns the next version of the plugin.
fn next(present: &[u8]) -> Result<Vec<u8>> {
    let asks = format!("[permissions]\n\"{ASKED}\" = {{ scope = [\"message\"], reason = \"{REASON}\" }}\n");
    let version = |number: &str| format!("version = \"{number}\"");
    let next = with_manifest(present, |text| {
        text.replacen("[permissions]\n", &asks, 1).replacen(&version(VERSIONS[0]), &version(VERSIONS[1]), 1)
    });
    next.context("the next version of the clerk")
}
