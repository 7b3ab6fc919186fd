//! `commands`: what people say to a plugin by name (row 127 of `tests/conformance.toml`).

use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use serde_json::json;

use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, TestHost, friend, granted, id, prosody, running};

async fn add(host: &TestHost, plugin: &str, name: &str) -> u64 {
    let args = json!({ "name": name, "help": "Says it", "usage": "WHAT" });
    let n = host.order(plugin, "commands.add", args).await;
    host.answer(plugin, "commands.add", n).await.ok();
    n
}

/// Row 127.
/// Events command.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_comes_to_its_plugin_alone_without_any_grant() {
    let host = Plan::new().await.three().start().await;
    let mut friend = friend("juliet").await;
    let (bot, jid) = (host.account().jid.clone(), friend.jid().to_bare().to_string());
    let n = add(&host, BARE, "say").await;
    let overheard = host.listen(FULL, "command").await;
    friend.chat(bot.clone(), "!say 'hello there' \"my \\\"love\\\"\" don't").await.unwrap();
    let heard = host.heard(BARE, n).await["payload"]["command"].clone();
    assert_eq!((&heard["name"], &heard["args"]), (&json!("say"), &json!(["hello there", "my \"love\"", "don't"])));
    assert_eq!((&heard["message"]["chat"], &heard["message"]["kind"]), (&json!(jid), &json!("chat")));
    assert!(host.heard_so_far(FULL, overheard).await.is_empty(), "somebody else's command");
    friend.chat(bot.clone(), "!bare.say again").await.unwrap();
    assert_eq!(host.heard(BARE, n).await["payload"]["command"]["args"], json!(["again"]));
    host.call(BARE, "commands.remove", json!({ "name": "say" })).await.ok();
    let last = add(&host, NARROW, "say").await;
    friend.chat(bot, "!say last").await.unwrap();
    assert_eq!(host.heard(NARROW, last).await["payload"]["command"]["args"], json!(["last"]));
    assert!(host.heard_so_far(BARE, n).await.is_empty());
}

/// A plugin that answers all messages leaves commands to their plugin, in a chat and in a room.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_answered_by_its_plugin_alone_beside_one_that_answers_everything() {
    let echo = plugins::built("echo").unwrap().bytes().unwrap();
    let grants = |entry: Entry| {
        let all = ["messages.read", "messages.send", "rooms.send"];
        all.iter().fold(entry, |entry, name| entry.grant(name, &["*"])).set("room_prefix", "!")
    };
    let host = Plan::new().await.caller(FULL, granted).bytes("echo", &echo, grants).start().await;
    running(&host, "echo").await;
    let (mut friend, bot) = (friend("juliet").await, host.account().jid.clone());
    let n = add(&host, FULL, "say").await;
    friend.chat(bot.clone(), "!say it").await.unwrap();
    let heard = host.heard(FULL, n).await["payload"]["command"].clone();
    assert_eq!(heard["message"]["command"], json!("say"));
    friend.chat(bot.clone(), "hello").await.unwrap();
    let first = friend.wait_text("an answer", &bot, SOON, |text| Some(text.to_owned())).await.unwrap();
    assert_eq!(first, "hello", "the command was answered by the other plugin, too");
    let room = prosody().await.fresh_room();
    friend.join(&room, "Juliet", SOON).await.unwrap();
    friend.unlock(&room, SOON).await.unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Bot" })).await.ok();
    friend.say(&room, "!say it").await.unwrap();
    host.heard(FULL, n).await;
    friend.say(&room, "!hello").await.unwrap();
    let is_bots = |text: &str| (!text.starts_with('!')).then(|| text.to_owned());
    assert_eq!(friend.wait_text("an answer", &room, SOON, is_bots).await.unwrap(), "hello");
}

/// Row 127.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_denied_and_the_owner_named() {
    let host = Plan::offline().three().start().await;
    add(&host, BARE, "say").await;
    let error = host.call(FULL, "commands.add", json!({ "name": "Say" })).await.fails("denied");
    assert_eq!(error["scope"], "the command say of the plugin bare");
    host.call(FULL, "commands.add", json!({ "name": "help" })).await.invalid("name");
    host.call(FULL, "commands.remove", json!({ "name": "say" })).await.fails("not-found");
    for name in ["", "two words", "bare.say", "a\u{1}", "!", &"x".repeat(33)] {
        host.call(FULL, "commands.add", json!({ "name": name })).await.invalid("name");
    }
    host.call(FULL, "commands.add", json!({ "name": "x", "help": "a\nb" })).await.invalid("help");
    host.call(FULL, "commands.add", json!({ "name": "x", "usage": "x".repeat(257) })).await.invalid("usage");
    host.call(FULL, "commands.add", json!({ "name": "full.say" })).await.ok();
    assert!(host.host.remove_plugin(&id(BARE)).await);
    host.call(FULL, "commands.add", json!({ "name": "say" })).await.ok();
    for number in 1..64 {
        host.call(NARROW, "commands.add", json!({ "name": format!("c{number}") })).await.ok();
    }
    host.call(NARROW, "commands.add", json!({ "name": "one" })).await.ok();
    host.call(NARROW, "commands.add", json!({ "name": "more" })).await.fails("over-limit");
}

/// Row 127.
/// Settings `command_prefix`.
#[tokio::test(flavor = "multi_thread")]
async fn the_host_answers_help_where_it_was_asked() {
    let host = Plan::new().await.set("command_prefix", "§").three().start().await;
    let mut friend = friend("juliet").await;
    let bot = host.account().jid.clone();
    add(&host, FULL, "say").await;
    // This plugin may speak to nobody, so the host's help does not list its command.
    add(&host, BARE, "silent").await;
    friend.chat(bot.clone(), "§help").await.unwrap();
    friend.wait_body(&bot, "Commands:\n§say – Says it", SOON).await.unwrap();
    friend.chat(bot.clone(), "§help say").await.unwrap();
    friend.wait_body(&bot, "Usage: §say WHAT\nSays it", SOON).await.unwrap();
    let room = prosody().await.fresh_room();
    friend.join(&room, "Juliet", SOON).await.unwrap();
    friend.unlock(&room, SOON).await.unwrap();
    friend.say(&room, "§say before").await.unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Bot" })).await.ok();
    friend.say(&room, "§help").await.unwrap();
    friend.wait_body(&room, "Commands:\n§say – Says it", SOON).await.unwrap();
    let n = host.listen_with(FULL, json!({ "name": "message", "own": true })).await;
    friend.say(&room, "!help").await.unwrap();
    host.heard(FULL, n).await;
}
