//! `commands`: what people say to a plugin by name (row 127 of `tests/conformance.toml`).

use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use serde_json::json;

use crate::house::{BARE, FULL, House, NARROW, Plan, SOON, friend, granted, id, prosody, running};

async fn add(house: &House, plugin: &str, name: &str) -> u64 {
    let args = json!({ "name": name, "help": "Says it", "usage": "WHAT" });
    let n = house.order(plugin, "commands.add", args).await;
    house.answer(plugin, "commands.add", n).await.ok();
    n
}

/// Row 127.
/// Events command.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_comes_to_its_plugin_alone_without_any_grant() {
    let house = Plan::new().await.three().start().await;
    let mut friend = friend("juliet").await;
    let (bot, jid) = (house.account().jid.clone(), friend.jid().to_bare().to_string());
    let n = add(&house, BARE, "say").await;
    let overheard = house.listen(FULL, "command").await;
    friend.chat(bot.clone(), "!say 'hello there' \"my \\\"love\\\"\" don't").await.unwrap();
    let heard = house.heard(BARE, n).await["payload"]["command"].clone();
    assert_eq!((&heard["name"], &heard["args"]), (&json!("say"), &json!(["hello there", "my \"love\"", "don't"])));
    assert_eq!((&heard["message"]["chat"], &heard["message"]["kind"]), (&json!(jid), &json!("chat")));
    assert!(house.heard_so_far(FULL, overheard).await.is_empty(), "somebody else's command");
    friend.chat(bot.clone(), "!bare.say again").await.unwrap();
    assert_eq!(house.heard(BARE, n).await["payload"]["command"]["args"], json!(["again"]));
    house.call(BARE, "commands.remove", json!({ "name": "say" })).await.ok();
    let last = add(&house, NARROW, "say").await;
    friend.chat(bot, "!say last").await.unwrap();
    assert_eq!(house.heard(NARROW, last).await["payload"]["command"]["args"], json!(["last"]));
    assert!(house.heard_so_far(BARE, n).await.is_empty());
}

/// A plugin that answers all messages leaves commands to their plugin, in a chat and in a room.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_answered_by_its_plugin_alone_beside_one_that_answers_everything() {
    let echo = plugins::built("echo").unwrap().bytes().unwrap();
    let grants = |entry: Entry| {
        let all = ["messages.read", "messages.send", "rooms.send"];
        all.iter().fold(entry, |entry, name| entry.grant(name, &["*"])).set("room_prefix", "!")
    };
    let house = Plan::new().await.caller(FULL, granted).bytes("echo", &echo, grants).start().await;
    running(&house, "echo").await;
    let (mut friend, bot) = (friend("juliet").await, house.account().jid.clone());
    let n = add(&house, FULL, "say").await;
    friend.chat(bot.clone(), "!say it").await.unwrap();
    let heard = house.heard(FULL, n).await["payload"]["command"].clone();
    assert_eq!(heard["message"]["command"], json!("say"));
    friend.chat(bot.clone(), "hello").await.unwrap();
    let first = friend.wait_text("an answer", &bot, SOON, |text| Some(text.to_owned())).await.unwrap();
    assert_eq!(first, "hello", "the command was answered by the other plugin, too");
    let room = prosody().await.fresh_room();
    friend.join(&room, "Juliet", SOON).await.unwrap();
    friend.unlock(&room, SOON).await.unwrap();
    house.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Bot" })).await.ok();
    friend.say(&room, "!say it").await.unwrap();
    house.heard(FULL, n).await;
    friend.say(&room, "!hello").await.unwrap();
    let is_bots = |text: &str| (!text.starts_with('!')).then(|| text.to_owned());
    assert_eq!(friend.wait_text("an answer", &room, SOON, is_bots).await.unwrap(), "hello");
}

/// Row 127.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_denied_and_the_owner_named() {
    let house = Plan::offline().three().start().await;
    add(&house, BARE, "say").await;
    let error = house.call(FULL, "commands.add", json!({ "name": "Say" })).await.fails("denied");
    assert_eq!(error["scope"], "the command say of the plugin bare");
    house.call(FULL, "commands.add", json!({ "name": "help" })).await.invalid("name");
    house.call(FULL, "commands.remove", json!({ "name": "say" })).await.fails("not-found");
    for name in ["", "two words", "bare.say", "a\u{1}", "!", &"x".repeat(33)] {
        house.call(FULL, "commands.add", json!({ "name": name })).await.invalid("name");
    }
    house.call(FULL, "commands.add", json!({ "name": "x", "help": "a\nb" })).await.invalid("help");
    house.call(FULL, "commands.add", json!({ "name": "x", "usage": "x".repeat(257) })).await.invalid("usage");
    house.call(FULL, "commands.add", json!({ "name": "full.say" })).await.ok();
    assert!(house.host.remove_plugin(&id(BARE)).await);
    house.call(FULL, "commands.add", json!({ "name": "say" })).await.ok();
    for number in 1..64 {
        house.call(NARROW, "commands.add", json!({ "name": format!("c{number}") })).await.ok();
    }
    house.call(NARROW, "commands.add", json!({ "name": "one" })).await.ok();
    house.call(NARROW, "commands.add", json!({ "name": "more" })).await.fails("over-limit");
}

/// Row 127.
/// Settings `command_prefix`.
#[tokio::test(flavor = "multi_thread")]
async fn the_host_answers_help_where_it_was_asked() {
    let house = Plan::new().await.set("command_prefix", "§").three().start().await;
    let mut friend = friend("juliet").await;
    let bot = house.account().jid.clone();
    add(&house, FULL, "say").await;
    // This plugin may speak to nobody, so the host's help does not list its command.
    add(&house, BARE, "silent").await;
    friend.chat(bot.clone(), "§help").await.unwrap();
    friend.wait_body(&bot, "Commands:\n§say – Says it", SOON).await.unwrap();
    friend.chat(bot.clone(), "§help say").await.unwrap();
    friend.wait_body(&bot, "Usage: §say WHAT\nSays it", SOON).await.unwrap();
    let room = prosody().await.fresh_room();
    friend.join(&room, "Juliet", SOON).await.unwrap();
    friend.unlock(&room, SOON).await.unwrap();
    friend.say(&room, "§say before").await.unwrap();
    house.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Bot" })).await.ok();
    friend.say(&room, "§help").await.unwrap();
    friend.wait_body(&room, "Commands:\n§say – Says it", SOON).await.unwrap();
    let n = house.listen_with(FULL, json!({ "name": "message", "own": true })).await;
    friend.say(&room, "!help").await.unwrap();
    house.heard(FULL, n).await;
}
