//! Plugins in Rust, outside of parlor's own workspace.

use std::fs;

use parlor_tests::folder::Folder;
use parlor_tests::policy::Entry;

use serde_json::json;

use super::{begins_and_answers, begun_in_rust, built, is_ready_again, is_refused, parlor, passes, rust_place, talks};
use crate::test_host::{FULL, Plan, SOON, friend, prosody, running};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_in_rust_builds_at_once_and_answers_and_a_mistake_is_shown_where_it_is() {
    let folder = Folder::new().unwrap();
    let (_alone, place) = rust_place().await;
    let plugin = place.join("repeat");
    begins_and_answers("rust", &place, &folder).await;

    let lib = plugin.join("src/lib.rs");
    let text = fs::read_to_string(&lib).unwrap();
    fs::write(&lib, text.replace("Ok(())\n}\n", "Ok(1)\n}\n")).unwrap();
    is_refused(&plugin, &folder, &["src/lib.rs:", "repeat did not compile"]).await;

    // A permission that no call needs causes a warning, but the file is still written.
    fs::write(&lib, text).unwrap();
    let manifest = fs::read_to_string(plugin.join("plugin.toml")).unwrap();
    let more = "\"vcard.read\" = { scope = [\"*\"], reason = \"for nothing\" }\n";
    fs::write(plugin.join("plugin.toml"), manifest.clone() + more).unwrap();
    let output = folder.path().join("idle.wasm");
    let arguments = ["plugin", "build", "--trust", plugin.to_str().unwrap(), "--json", "-o", output.to_str().unwrap()];
    let finished = parlor(&arguments).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stderr.contains("warning: plugin.toml asks for vcard.read, and no call"), "{finished:?}");
    let warnings = finished.json().unwrap()["warnings"].as_array().unwrap().len();
    assert!(warnings == 1 && output.exists(), "{finished:?}");

    // A call without its permission in the manifest is named.
    let without: Vec<_> = manifest.lines().filter(|line| !line.starts_with("\"messages.send\"")).collect();
    fs::write(plugin.join("plugin.toml"), without.join("\n")).unwrap();
    is_refused(
        &plugin,
        &folder,
        &[
            ": chats::reply needs messages.send; write under [permissions]: \"messages.send\" =",
            "src/lib.rs:",
            "plugin.toml does not declare",
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_in_rust_is_ready_once_is_given_what_was_typed_and_hears_its_name() {
    let (_alone, place) = rust_place().await;
    let plugin = begun_in_rust("actions", &place).await;
    fs::write(plugin.join("src/lib.rs"), READY).unwrap();
    let manifest = fs::read_to_string(plugin.join("plugin.toml")).unwrap();
    let asks = "\"rooms.send\" = { scope = [\"*\"], reason = \"to answer\" }\n\"rooms.read\" = { scope = [\"*\"], reason = \"to know whom\" }\n\
                \"storage\" = { scope = [\"1 MiB\"], reason = \"to keep\" }\n\"stanza.send\" = { scope = [\"iq\"], reason = \"to ask\" }\n\
                [settings.pause]\ntype = \"duration\"\ndefault = \"1500 ms\"\ndescription = \"How long\"\n";
    fs::write(plugin.join("plugin.toml"), manifest + asks).unwrap();
    // The template's README describes this change.
    let cargo = fs::read_to_string(plugin.join("Cargo.toml")).unwrap();
    let crates = "[dependencies]\nfutures = { version = \"0.3\", default-features = false, features = [\"alloc\"] }\n\
                  rand = { version = \"0.10\", default-features = false }\n";
    fs::write(plugin.join("Cargo.toml"), cargo.replace("[dependencies]\n", crates)).unwrap();
    let folder = Folder::new().unwrap();
    let actions = built(&plugin, &folder).await;
    folder.write("tests/cut.chat", CUT).unwrap();
    passes(&folder.path().join("tests"), &folder, "1 passed, 0 failed\n").await;
    let all = |entry: Entry| {
        let entry = talks(entry).grant("rooms.send", &["*"]).grant("rooms.read", &["*"]);
        entry.grant("storage", &["1 MiB"]).grant("stanza.send", &["iq"])
    };
    let host = Plan::new().await.three().bytes("actions", &actions, all).start().await;
    running(&host, "actions").await;
    let (mut juliet, bot) = (friend("juliet").await, host.account().jid.clone());
    for (said, answer) in [
        ("ready", "ready once"),
        ("now", "true true"),
        ("swap", "[true, false, true, true, true] Some(1.5s)"),
        ("count", "[Some(1), Some(2), Some(3)] None []"),
        ("range", "-3 2 [true, false] [(\"r/2\", 2), (\"r/1\", 1)] [(\"n\", 3)]"),
        ("migrate", "[0, 1] 1 invalid version: the data is of version 2, and this plugin knows 1"),
        ("ask", "server"),
        ("within", "Err(TimedOut) Ok(())"),
        ("join", "20540"),
        ("many", "1000 true"),
        ("draw", "first"),
        ("cannot", "true true true true true"),
        ("!actions.whole I don't  know", "I|don't|know / I don't  know"),
        ("refuse", "true true"),
        ("!actions.whole once more", "once|more / once more"),
        ("help", "invalid name: the command help is the host's; choose another name, or actions.help"),
    ] {
        juliet.chat(bot.clone(), said).await.unwrap();
        juliet.wait_body(&bot, answer, SOON).await.unwrap();
    }
    is_ready_again(&host).await;
    juliet.chat(bot.clone(), "!fails").await.unwrap();
    juliet.wait_body(&bot, "Sorry, that failed.", SOON).await.unwrap();
    juliet.chat(bot.clone(), "lose").await.unwrap();
    juliet.chat(bot.clone(), "parse").await.unwrap();
    juliet.chat(bot.clone(), "draw").await.unwrap();
    juliet.wait_body(&bot, "another", SOON).await.unwrap();
    let lines = crate::trace::with("account", host.name());
    // The message has the call and its argument, or the author's line.
    for (failed, place) in [
        ("a handler of command fails failed: told to", "(at src/lib.rs:"),
        ("a handler of message failed: invalid jid: ", "(chats.send \"@\" at src/lib.rs:"),
        ("a handler of message failed: invalid digit found in string", "(at src/lib.rs:"),
    ] {
        let is_told = |line: &crate::trace::Line| {
            let message = line.get("message");
            message.contains(failed) && message.contains(place)
        };
        assert!(lines.iter().any(is_told), "{failed}: {lines:?}");
    }

    let room = prosody().await.fresh_room();
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Bot" })).await.ok();
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    juliet.say(&room, "nobody is meant").await.unwrap();
    juliet.say(&room, "hello Bot!").await.unwrap();
    juliet.wait_body(&room, "you said hello Bot!, none", SOON).await.unwrap();

    // Ending in a handler does not count as an answer either.
    juliet.chat(bot.clone(), "!dies").await.unwrap();
    juliet.wait_body(&bot, "Sorry, that failed.", SOON).await.unwrap();
    host.stop().await;
}

/// chrono does this with its default features.
#[tokio::test(flavor = "multi_thread")]
async fn a_crate_that_is_made_for_browsers_is_named_as_what_it_is() {
    let (_alone, place) = rust_place().await;
    let plugin = begun_in_rust("repeat", &place).await;
    let lib = plugin.join("src/lib.rs");
    let browser = "\n#[link(wasm_import_module = \"__wbindgen_placeholder__\")]\nunsafe extern \"C\" {\n    \
                   fn __wbindgen_describe(v: u32);\n}\n\n#[unsafe(no_mangle)]\npub extern \"C\" fn described() {\n    \
                   unsafe { __wbindgen_describe(1) }\n}\n";
    let text = fs::read_to_string(&lib).unwrap();
    fs::write(&lib, text + browser).unwrap();
    let folder = Folder::new().unwrap();
    is_refused(&plugin, &folder, &["__wbindgen_placeholder__", "without its default features"]).await;
}

/// During a connection loss, promises that were fulfilled stay fulfilled, but no room can be entered.
const CUT: &str = "== who starts during a cut is ready when that is over, and once
alice: ready
  to alice: ready once
cut
restart
after 1 min
back
alice: ready
  to alice: ready once
";

const READY: &str = r#"use std::cell::Cell;
use std::rc::Rc;

use parlor_sdk::prelude::*;
use parlor_sdk::stanza::{Element, IqKind, ns};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

parlor_sdk::plugin!(start);

async fn start() -> Result<()> {
    let ready = Rc::new(Cell::new(0));
    let count = Rc::clone(&ready);
    on_ready(|| async move {
        // In a cut it is not there.
        count.set(count.get() + if connection::connected() { 1 } else { 10 });
        Ok(())
    })?;
    commands::add("actions.Whole", "Does it", "", |command: Command| async move {
        chats::reply(&command.message, format!("{} / {}", command.args.join("|"), command.rest())).await.map(drop)
    })
    .await?;
    commands::add("fails", "Does not work", "", |_| async { Err(Error::other("told to")) }).await?;
    commands::add("dies", "Ends the plugin", "", |command: Command| async move {
        assert!(command.args.len() > 9, "told to");
        Ok(())
    })
    .await?;
    on_mention(|message| async move {
        let who = rooms::occupant_of(&message)?.map_or_else(|| "nobody".to_owned(), |one| one.affiliation);
        let body = message.body.as_deref().unwrap_or_default();
        rooms::reply(&message, format!("you said {body}, {who}")).await.map(drop)
    })?;
    on("message").kinds(["chat", "normal"]).run(move |message: Message| answer(Rc::clone(&ready), message))?;
    Ok(())
}

async fn answer(ready: Rc<Cell<u32>>, message: Message) -> Result<()> {
    match message.body.as_deref() {
        Some("ready") => {
            while ready.get() == 0 {
                timers::sleep(Duration::from_millis(10)).await;
            }
            let text = if ready.get() == 1 { "ready once" } else { "ready often" };
            chats::reply(&message, text).await.map(drop)
        }
        Some("now") => {
            let age = now().as_second() - message.time()?.as_second();
            chats::reply(&message, format!("{} {}", age.abs() < 3600, random() != random())).await.map(drop)
        }
        Some("swap") => {
            let mut swapped = Vec::new();
            for (expected, value) in [(None, Some(&1)), (None, Some(&2)), (Some(&1), Some(&3)), (Some(&3), None)] {
                swapped.push(storage::compare_and_set("k", expected, value).await?);
            }
            swapped.push(storage::compare_and_set_for("k", None, &4, Duration::from_secs(3600)).await?);
            chats::reply(&message, format!("{swapped:?} {:?}", settings::duration("pause")?)).await.map(drop)
        }
        Some("count") => {
            let add = || storage::change("count", |count: Option<u32>| Some(count.unwrap_or_default() + 1));
            let mut counts = futures::future::try_join_all([add(), add(), add()]).await?;
            counts.sort();
            let gone = storage::change_for("count", |_: Option<u32>| None, Duration::from_secs(3600)).await?;
            let keys = storage::keys("count").await?;
            chats::reply(&message, format!("{counts:?} {gone:?} {keys:?}")).await.map(drop)
        }
        Some("range") => {
            let (first, second) = (storage::add("n", -3).await?, storage::add("n", 5).await?);
            let mut made = Vec::new();
            for _ in 0..2 {
                let changes = storage::Changes::new().expect_bytes("r/1", None).set("r/1", &1).set("r/2", &2).add("n", 1);
                made.push(storage::change_all(changes).await?);
            }
            let last: Vec<(String, u32)> = storage::range(storage::Range::of("r/").descending()).await?;
            let some: Vec<(String, u32)> = storage::range(storage::Range::of("").from("n").to("r/2").limit(1)).await?;
            chats::reply(&message, format!("{first} {second} {made:?} {last:?} {some:?}")).await.map(drop)
        }
        Some("migrate") => {
            let mut ran = Vec::new();
            for version in [1, 2, 2] {
                let step = async |from: u32| -> Result<storage::Changes> {
                    ran.push(from);
                    Ok(storage::Changes::new().set("now", &from))
                };
                storage::migrate("version", version, step).await?;
            }
            let now: Option<u32> = storage::get("now").await?;
            let older = storage::migrate("version", 1, async |_| Ok(storage::Changes::new())).await;
            chats::reply(&message, format!("{ran:?} {} {}", now.unwrap_or(9), older.unwrap_err())).await.map(drop)
        }
        Some("ask") => {
            let query = Element::new("query").ns(ns::DISCO_INFO);
            let answer = api::ask(stanza::iq(IqKind::Get).to("localhost").child(query)).await?;
            let query = answer.find("query", ns::DISCO_INFO);
            let identity = query.and_then(|query| query.find("identity", ns::DISCO_INFO));
            let category = identity.and_then(|identity| identity.attribute("category"));
            chats::reply(&message, category.unwrap_or("nothing")).await.map(drop)
        }
        Some("within") => {
            let late = timers::within(Duration::from_millis(10), std::future::pending::<()>()).await;
            let soon = timers::within(Duration::from_secs(3600), timers::sleep(Duration::from_millis(10))).await;
            chats::reply(&message, format!("{late:?} {soon:?}")).await.map(drop)
        }
        Some("join") => {
            let squares = futures::future::join_all((0..40).map(|n| async move {
                timers::sleep(Duration::from_millis(40 - n)).await;
                n * n
            }))
            .await;
            chats::reply(&message, squares.iter().sum::<u64>().to_string()).await.map(drop)
        }
        Some("many") => {
            let keys: Vec<String> = (0..1_000).map(|n| format!("m/{n:04}")).collect();
            let keep = keys.iter().enumerate().map(|(n, key)| async move { storage::set(key, &n).await });
            futures::future::try_join_all(keep).await?;
            let read = futures::future::try_join_all(keys.iter().map(storage::get::<usize>)).await?;
            let entries = storage::entries::<usize>("m/").await?;
            let is_whole = (0..1_000).all(|n| read[n] == Some(n) && entries[n] == (keys[n].clone(), n));
            chats::reply(&message, format!("{} {is_whole}", entries.len())).await.map(drop)
        }
        Some("lose") => chats::send("@", "hello").await.map(drop),
        Some("parse") => {
            let _: u8 = "six".parse()?;
            Ok(())
        }
        Some("draw") => {
            let drawn: u64 = SmallRng::seed_from_u64(random()).random();
            let earlier: Option<u64> = storage::get("drawn").await?;
            storage::set("drawn", &drawn).await?;
            let text = earlier.map_or("first", |earlier| if earlier == drawn { "as before" } else { "another" });
            chats::reply(&message, text).await.map(drop)
        }
        Some("cannot") => {
            let file = std::fs::read("plugin.toml").is_err();
            let socket = std::net::TcpStream::connect("127.0.0.1:80").is_err();
            let thread = std::thread::Builder::new().spawn(|| ()).is_err();
            let environment = std::env::var("HOME").is_err();
            let text = include_str!("../plugin.toml").contains("actions");
            chats::reply(&message, format!("{file} {socket} {thread} {environment} {text}")).await.map(drop)
        }
        Some("refuse") => {
            let add = |says: &'static str| {
                commands::add("actions.whole", "is to be\none line", "", move |command: Command| async move {
                    chats::reply(&command.message, says).await.map(drop)
                })
            };
            let (one, other) = futures::future::join(add("one"), add("other")).await;
            chats::reply(&message, format!("{} {}", one.is_err(), other.is_err())).await.map(drop)
        }
        Some("help") => {
            let error = commands::add("help", "Helps", "", |_| async { Ok(()) }).await.unwrap_err();
            chats::reply(&message, error.to_string()).await.map(drop)
        }
        _ => Ok(()),
    }
}
"#;

/// The bot has created the room, and so owns it.
#[tokio::test(flavor = "multi_thread")]
async fn the_moderator_warns_puts_out_obeys_and_bans_in_a_real_room() {
    let all = |entry: Entry| {
        let entry = entry.grant("messages.read", &["*"]).grant("rooms.read", &["*"]);
        let entry = entry.grant("rooms.send", &["*"]).grant("rooms.moderate", &["*"]);
        entry.set("forbidden", vec!["spam"]).set("warnings", 1)
    };
    let host = Plan::new().await.three().plugin("moderator", "moderator", all).start().await;
    running(&host, "moderator").await;
    let room = prosody().await.fresh_room();
    let jid = room.to_string();
    host.call(FULL, "rooms.open", json!({ "jid": jid, "nick": "Bot" })).await.ok();
    let (mut paris, mut juliet) = (friend("paris").await, friend("juliet").await);
    let admin = json!({ "jid": jid, "user": juliet.jid().to_bare().to_string(), "affiliation": "admin" });
    host.call(FULL, "rooms.set-affiliation", admin).await.ok();
    paris.join(&room, "Paris", SOON).await.unwrap();
    juliet.join(&room, "Juliet", SOON).await.unwrap();

    let gone = host.listen(FULL, "occupantLeft").await;
    paris.say(&room, "buy SPAM!").await.unwrap();
    let says = |text: &'static str| move |said: &str| (said == text).then_some(());
    let warning = "Paris: please do not say \u{201c}spam\u{201d} here (1 of 1)";
    paris.wait_text("the warning", &room, SOON, says(warning)).await.unwrap();
    paris.say(&room, "spam").await.unwrap();
    let left = host.heard(FULL, gone).await["payload"]["occupant"].clone();
    assert_eq!((&left["nick"], &left["left"]), (&json!("Paris"), &json!("kicked")));

    // An admin may give orders; orders from others are ignored.
    let mut paris = friend("paris").await;
    paris.join(&room, "Paris", SOON).await.unwrap();
    paris.say(&room, "!ban Juliet").await.unwrap();
    let gone = host.listen(FULL, "occupantLeft").await;
    juliet.say(&room, "!ban Paris enough of that").await.unwrap();
    let left = host.heard(FULL, gone).await["payload"]["occupant"].clone();
    assert_eq!((&left["nick"], &left["left"]), (&json!("Paris"), &json!("banned")));
    let banned = host.call(FULL, "rooms.affiliations", json!({ "jid": jid, "affiliation": "outcast" })).await.ok();
    assert_eq!(banned[0]["jid"], paris.jid().to_bare().to_string());
    host.stop().await;
}
