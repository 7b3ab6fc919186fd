//! `commands`: what people say to a plugin by name (rows 127 and 150 to 152 of `tests/conformance.toml`).

use jid::{BareJid, Jid};
use std::time::Duration;

use parlor_tests::client::Client;
use parlor_tests::component::with_manifest;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use serde_json::{Value, json};
use tokio_xmpp::minidom::Element;
use xmpp_parsers::iq::Iq;

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

/// Otherwise nobody could have a name that an update has given up.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_version_of_a_plugin_gives_names_free_that_it_does_not_add() {
    let host = Plan::offline().three().start().await;
    add(&host, BARE, "say").await;
    host.call(FULL, "commands.add", json!({ "name": "say" })).await.fails("denied");
    let next = |manifest: &str| manifest.replace("version = \"0.1.0\"", "version = \"0.2.0\"");
    let bytes = with_manifest(&plugins::built("caller").unwrap().bytes().unwrap(), next).unwrap();
    let installed = host.home.install_bytes("next", &bytes).unwrap();
    host.decide(BARE, |entry| Entry { source: installed.source, digest: installed.digest, ..entry }).await;
    host.call(FULL, "commands.add", json!({ "name": "say" })).await.ok();
}

/// It keeps them while it is refused, since it may come back.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_disabled_while_it_is_refused_leaves_the_names_of_its_commands() {
    let host = Plan::offline().three().start().await;
    add(&host, BARE, "say").await;
    host.home.replace(BARE, b"another file").unwrap();
    host.host.reload().await.unwrap();
    host.call(FULL, "commands.add", json!({ "name": "say" })).await.fails("denied");
    host.decide(BARE, |entry| Entry { enabled: false, ..entry }).await;
    host.call(FULL, "commands.add", json!({ "name": "say" })).await.ok();
}

/// One that comes with the same change of the policy has them.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_leaves_an_account_leaves_the_names_of_its_commands() {
    let mut plan = Plan::new().await;
    plan.account().await;
    let host = plan.three().start().await;
    add(&host, BARE, "kick").await;
    let moderator = host.home.install("moderator", &plugins::built("moderator").unwrap()).unwrap();
    let asked = ["messages.read", "rooms.read", "rooms.send", "rooms.moderate"];
    let moderator = asked.into_iter().fold(moderator, |entry, name| entry.grant(name, &["*"]));
    let elsewhere = Entry { accounts: Some(vec![host.accounts[1].0.clone()]), ..host.policy.plugin[BARE].clone() };
    let policy = host.policy.clone().with("moderator", moderator).with(BARE, elsewhere);
    host.home.set_policy(&policy).unwrap();
    host.host.reload().await.unwrap();
    running(&host, "moderator").await;
    let error = host.call(FULL, "commands.add", json!({ "name": "kick" })).await.fails("denied");
    assert_eq!(error["scope"], "the command kick of the plugin moderator");
}

/// Row 127.
/// Settings `command_prefix`.
#[tokio::test(flavor = "multi_thread")]
async fn the_host_answers_help_where_it_was_asked() {
    let host = Plan::new().await.set("command_prefix", "§").three().start().await;
    let mut friend = friend("juliet").await;
    let bot = host.account().jid.clone();
    add(&host, FULL, "say").await;
    // This plugin may not send messages to anyone, so the host's help does not list its command.
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

/// Settings `command_prefix_optional_in_private`.
#[tokio::test(flavor = "multi_thread")]
async fn in_private_a_command_needs_no_prefix_if_the_owner_says_so() {
    let host = Plan::new().await.set("command_prefix_optional_in_private", true).three().start().await;
    let (mut friend, bot) = (friend("juliet").await, host.account().jid.clone());
    let declared = json!({ "name": "vote", "help": "Counts", "arguments": [{ "name": "what" }] });
    let vote = declare(&host, FULL, declared).await;
    let room = in_a_room(&host, &mut friend).await;
    let occupant: Jid = format!("{room}/Bot").parse().unwrap();
    for (to, said, args) in [(Jid::from(bot.clone()), "vote tea", "tea"), (occupant, "Vote milk", "milk")] {
        friend.chat(to, said).await.unwrap();
        let heard = host.heard(FULL, vote).await["payload"]["command"].clone();
        assert_eq!((&heard["args"], &heard["message"]["command"]), (&json!([args]), &json!("vote")));
        assert_eq!(heard["message"]["kind"], json!("chat"));
    }
    friend.chat(bot.clone(), "vote").await.unwrap();
    answered(&mut friend, &bot, &["what is missing", "usage: vote what"]).await;
    friend.forget();
    friend.chat(bot.clone(), "help vote").await.unwrap();
    answered(&mut friend, &bot, &["usage: vote what", "counts"]).await;

    // Any other message comes as always.
    let n = host.listen_with(FULL, json!({ "name": "message" })).await;
    for said in ["votes are in", "help me", "tea"] {
        friend.chat(bot.clone(), said).await.unwrap();
        let heard = host.heard(FULL, n).await["payload"]["message"].clone();
        assert_eq!((&heard["body"], &heard["command"]), (&json!(said), &Value::Null));
    }
    friend.say(&room, "vote water").await.unwrap();
    let heard = host.heard(FULL, n).await["payload"]["message"].clone();
    assert_eq!((&heard["body"], &heard["command"]), (&json!("vote water"), &Value::Null));
    assert!(host.heard_so_far(FULL, vote).await.is_empty());
}

/// Has a plugin declare a command, and returns the number under which it reports what people give.
async fn declare(host: &TestHost, plugin: &str, declaration: Value) -> u64 {
    let n = host.order(plugin, "commands.declare", declaration).await;
    host.answer(plugin, "commands.declare", n).await.ok();
    n
}

/// A command with an argument of each kind.
fn roll() -> Value {
    json!({
        "name": "roll", "help": "Rolls dice", "aliases": ["r"],
        "arguments": [
            { "name": "count", "integer": [1, 100] },
            { "name": "factor", "number": [0.0, 9.5], "default": "1" },
            { "name": "wait", "kind": "duration", "optional": true },
            { "name": "colour", "choice": ["red", "green"], "default": "green" },
            { "name": "whom", "kind": "jid", "optional": true },
            { "name": "secret", "kind": "flag" },
            { "name": "times", "integer": [-5, 5], "named": true, "optional": true, "help": "How often" },
            { "name": "day", "kind": "date", "named": true, "optional": true },
            { "name": "at", "kind": "time", "named": true, "default": "9:00" },
            { "name": "label", "named": true, "default": "none" },
            { "name": "why", "kind": "rest", "optional": true },
        ],
    })
}

/// Waits for an answer that is not a command, and contains these words, in any case of letters.
async fn answered(client: &mut Client, from: &BareJid, words: &[&str]) -> String {
    let what = format!("an answer with {words:?}");
    let wanted = |text: &str| {
        let small = text.to_lowercase();
        let has_all = words.iter().all(|word| small.contains(&word.to_lowercase()));
        (!text.starts_with('!') && has_all).then(|| text.to_owned())
    };
    client.wait_text(&what, from, SOON, wanted).await.unwrap()
}

/// Enters a fresh room with the friend as its owner and the plugin `full`.
async fn in_a_room(host: &TestHost, owner: &mut Client) -> BareJid {
    let room = prosody().await.fresh_room();
    owner.join(&room, "Juliet", SOON).await.unwrap();
    owner.unlock(&room, SOON).await.unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Bot" })).await.ok();
    room
}

/// Row 150.
#[tokio::test(flavor = "multi_thread")]
async fn the_arguments_of_a_command_arrive_as_values_of_their_kinds() {
    let host = Plan::new().await.three().start().await;
    let (mut friend, bot) = (friend("juliet").await, host.account().jid.clone());
    let twice = json!({ "name": "roll", "arguments": [{ "name": "a" }, { "name": "a" }] });
    host.call(FULL, "commands.declare", twice).await.invalid("command.arguments");
    let n = declare(&host, FULL, roll()).await;
    let given = "!roll 3 2.5 1m30s RED Romeo@Example.org --times=-2 --secret --day 2026-12-24 \
                 --label 'two words' what  is   'left'";
    friend.chat(bot.clone(), given).await.unwrap();
    let heard = host.heard(FULL, n).await["payload"]["command"].clone();
    let values = json!([
        ["count", { "integer": 3 }], ["factor", { "number": 2.5 }], ["wait", { "duration": 90_000 }],
        ["colour", { "text": "red" }], ["whom", { "jid": "romeo@example.org" }], ["secret", { "flag": true }],
        ["times", { "integer": -2 }], ["day", { "date": "2026-12-24" }], ["at", { "time": "09:00:00" }],
        ["label", { "text": "two words" }], ["why", { "text": "what  is   'left'" }],
    ]);
    assert_eq!(heard["values"], values);

    // The shortest, by the other name: omitted arguments have their defaults, or are missing.
    friend.chat(bot.clone(), "!r 100").await.unwrap();
    let heard = host.heard(FULL, n).await["payload"]["command"].clone();
    assert_eq!(heard["name"], "roll");
    let value = |name: &str| {
        let found = heard["values"].as_array().unwrap().iter().find(|one| one[0] == name);
        found.map_or(Value::Null, |one| one[1].clone())
    };
    assert_eq!((value("count"), value("factor")), (json!({ "integer": 100 }), json!({ "number": 1.0 })));
    assert_eq!((value("colour"), value("label")), (json!({ "text": "green" }), json!({ "text": "none" })));
    assert_eq!((value("wait"), value("times"), value("why")), (Value::Null, Value::Null, Value::Null));

    friend.chat(bot, "!full.roll 1 --secret").await.unwrap();
    let heard = host.heard(FULL, n).await["payload"]["command"].clone();
    assert!(heard["values"].as_array().unwrap().contains(&json!(["secret", { "flag": true }])), "{heard}");
}

/// Row 150.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_argument_is_answered_with_the_usage_and_the_plugin_is_not_told() {
    // The host answers no more than some at once.
    let wrongs = [
        ["!roll", "!roll many", "!roll 0", "!roll 101"],
        ["!roll 1 nan", "!roll 1 1 soon", "!roll 1 1 1s blue", "!roll 1 1 1s red @@"],
        ["!roll 1 --loud", "!roll 1 --times", "!roll 1 --times=6", "!roll 1 --secret=perhaps"],
    ];
    for wrongs in wrongs {
        let host = Plan::new().await.three().start().await;
        let (mut friend, bot) = (friend("juliet").await, host.account().jid.clone());
        let n = declare(&host, FULL, roll()).await;
        for wrong in wrongs {
            friend.chat(bot.clone(), wrong).await.unwrap();
            answered(&mut friend, &bot, &["usage: !roll"]).await;
            friend.forget();
        }
        friend.chat(bot, "!roll 1").await.unwrap();
        assert_eq!(host.heard(FULL, n).await["payload"]["command"]["args"], json!(["1"]));
        assert!(host.heard_so_far(FULL, n).await.is_empty());
        host.stop().await;
    }
}

/// Row 150.
#[tokio::test(flavor = "multi_thread")]
async fn too_many_arguments_are_wrong_and_help_shows_what_the_host_makes_of_them() {
    let host = Plan::new().await.three().start().await;
    let (mut friend, bot) = (friend("juliet").await, host.account().jid.clone());
    let arguments = json!([{ "name": "city", "help": "Where" }, { "name": "days", "integer": [1, 7], "default": "1" }]);
    let n = declare(&host, FULL, json!({ "name": "weather", "help": "Says it", "arguments": arguments })).await;
    friend.chat(bot.clone(), "!weather Verona 2 please").await.unwrap();
    answered(&mut friend, &bot, &["usage: !weather"]).await;
    friend.forget();
    friend.chat(bot.clone(), "!help weather").await.unwrap();
    answered(&mut friend, &bot, &["usage: !weather", "city", "days", "says it"]).await;
    friend.chat(bot.clone(), "!help").await.unwrap();
    answered(&mut friend, &bot, &["commands:", "!weather", "says it"]).await;
    // Declared again, it has other arguments; added, none that the host reads.
    declare(&host, FULL, json!({ "name": "weather", "help": "Says more" })).await;
    friend.forget();
    friend.chat(bot.clone(), "!weather Verona").await.unwrap();
    answered(&mut friend, &bot, &["usage: !weather"]).await;
    let added = add(&host, FULL, "weather").await;
    friend.chat(bot, "!weather Verona").await.unwrap();
    let heard = host.heard(FULL, added).await["payload"]["command"].clone();
    assert_eq!((&heard["args"], &heard["values"]), (&json!(["Verona"]), &json!([])));
    assert!(host.heard_so_far(FULL, n).await.iter().all(|one| one["payload"]["command"]["values"] == json!([])));
}

/// Row 150. The host speaks for a plugin only where the plugin may speak itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_argument_is_not_answered_where_the_plugin_may_not_answer() {
    let host = Plan::new().await.three().start().await;
    let (mut friend, bot) = (friend("juliet").await, host.account().jid.clone());
    let nobody = json!([["jid", "nobody@nowhere.invalid"]]);
    let n = declare(&host, BARE, json!({ "name": "silent", "arguments": [{ "name": "a", "integer": [1, 2] }] })).await;
    let closed = declare(&host, NARROW, json!({ "name": "closed", "allow": nobody })).await;
    friend.chat(bot.clone(), "!silent x").await.unwrap();
    friend.chat(bot.clone(), "!closed").await.unwrap();
    friend.chat(bot.clone(), "!help").await.unwrap();
    let first = friend.wait_text("an answer", &bot, SOON, |text| Some(text.to_owned())).await.unwrap();
    assert_eq!(first, "There are no commands here.");
    friend.chat(bot, "!silent 2").await.unwrap();
    assert_eq!(host.heard(BARE, n).await["payload"]["command"]["values"], json!([["a", { "integer": 2 }]]));
    assert!(host.heard_so_far(NARROW, closed).await.is_empty());
}

/// Row 150. In a room also by the nickname in place of the prefix.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_room_a_command_may_follow_the_nickname_and_an_occupant_stands_for_the_address() {
    let host = Plan::new().await.three().start().await;
    let mut friend = friend("juliet").await;
    let whom = json!([{ "name": "whom", "kind": "jid" }]);
    let n = declare(&host, FULL, json!({ "name": "greet", "arguments": whom })).await;
    let room = prosody().await.fresh_room();
    let open =
        json!({ "jid": room.to_string(), "nick": "Bot", "auto-configure": true, "roomconfig": [["whois", "anyone"]] });
    host.call(FULL, "rooms.open", open).await.ok();
    friend.join(&room, "Juliet", SOON).await.unwrap();
    for said in ["!greet Juliet", "Bot: greet Juliet"] {
        friend.say(&room, said).await.unwrap();
        let heard = host.heard(FULL, n).await["payload"]["command"].clone();
        assert_eq!(heard["name"], "greet");
        assert_eq!(heard["values"], json!([["whom", { "jid": friend.jid().to_bare().to_string() }]]), "{said}");
    }
    friend.say(&room, "!greet nobody-of-this-name").await.unwrap();
    answered(&mut friend, &room, &["usage: "]).await;
}

/// Row 151.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_for_moderators_is_refused_to_others_by_every_name() {
    let host = Plan::new().await.three().start().await;
    let (mut owner, mut stranger) = (friend("juliet").await, friend("tybalt").await);
    let kick = json!({ "name": "kick", "aliases": ["out"], "allow": [["role", "moderator"]] });
    let n = declare(&host, FULL, kick).await;
    let room = in_a_room(&host, &mut owner).await;
    stranger.join(&room, "Tybalt", SOON).await.unwrap();
    for said in ["!kick", "!KICK", "!out", "!full.kick"] {
        stranger.say(&room, said).await.unwrap();
    }
    answered(&mut stranger, &room, &["kick"]).await;
    // A moderator of another room has no rights here.
    owner.chat(host.account().jid.clone(), "!kick").await.unwrap();
    answered(&mut owner, &host.account().jid.clone(), &["kick"]).await;
    owner.say(&room, "!kick").await.unwrap();
    let heard = host.heard(FULL, n).await["payload"]["command"]["message"].clone();
    assert_eq!(heard["nick"], "Juliet");
    assert!(host.heard_so_far(FULL, n).await.is_empty());
}

/// Row 151.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_for_rooms_is_refused_in_private_and_a_private_one_in_rooms() {
    let host = Plan::new().await.three().start().await;
    let (mut friend, bot) = (friend("juliet").await, host.account().jid.clone());
    let topic = declare(&host, FULL, json!({ "name": "topic", "place": "room" })).await;
    let vote = declare(&host, FULL, json!({ "name": "vote", "place": "private" })).await;
    let room = in_a_room(&host, &mut friend).await;
    friend.chat(bot.clone(), "!topic").await.unwrap();
    answered(&mut friend, &bot, &["!topic", "only in a room"]).await;
    friend.say(&room, "!vote").await.unwrap();
    answered(&mut friend, &room, &["juliet: ", "!vote", "only in a private chat"]).await;
    friend.say(&room, "!topic").await.unwrap();
    let kind = |heard: &Value| heard["payload"]["command"]["message"]["kind"].clone();
    assert_eq!(kind(&host.heard(FULL, topic).await), "groupchat");
    let occupant: Jid = format!("{room}/Bot").parse().unwrap();
    for to in [Jid::from(bot), occupant] {
        friend.chat(to, "!vote").await.unwrap();
        assert_eq!(kind(&host.heard(FULL, vote).await), "chat");
    }
    for n in [topic, vote] {
        assert!(host.heard_so_far(FULL, n).await.is_empty());
    }
}

/// Row 151.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_for_the_address_that_the_plugin_names_unless_the_owner_says_otherwise() {
    let (mut juliet, mut romeo) = (friend("juliet").await, friend("romeo").await);
    let both = [juliet.jid().to_bare().to_string(), romeo.jid().to_bare().to_string()];
    let owned = |entry: Entry| granted(entry).allow("kick", &[both[1].as_str()]).off("ban");
    let host = Plan::new().await.caller(FULL, owned).start().await;
    let bot = host.account().jid.clone();
    let allow = json!([["jid", both[0]]]);
    let open = declare(&host, FULL, json!({ "name": "open", "allow": allow })).await;
    let kick = declare(&host, FULL, json!({ "name": "kick", "allow": allow })).await;
    let ban = declare(&host, FULL, json!({ "name": "ban" })).await;

    romeo.chat(bot.clone(), "!open").await.unwrap();
    answered(&mut romeo, &bot, &["open"]).await;
    juliet.chat(bot.clone(), "!open").await.unwrap();
    let from = |heard: &Value| heard["payload"]["command"]["message"]["chat"].clone();
    assert_eq!(from(&host.heard(FULL, open).await), both[0]);

    // The owner's word counts in place of the plugin's.
    juliet.chat(bot.clone(), "!kick").await.unwrap();
    answered(&mut juliet, &bot, &["kick"]).await;
    romeo.chat(bot.clone(), "!kick").await.unwrap();
    assert_eq!(from(&host.heard(FULL, kick).await), both[1]);

    juliet.chat(bot.clone(), "!ban").await.unwrap();
    romeo.forget();
    romeo.chat(bot.clone(), "!help").await.unwrap();
    let list = answered(&mut romeo, &bot, &["commands:"]).await;
    assert!(!list.contains("!ban"), "{list}");
    for n in [open, kick, ban] {
        assert!(host.heard_so_far(FULL, n).await.is_empty());
    }
}

/// Row 151.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_whose_cooldown_runs_is_answered_once_and_the_plugin_is_not_told() {
    let host = Plan::new().await.three().start().await;
    let (mut friend, mut other, bot) = (friend("juliet").await, friend("romeo").await, host.account().jid.clone());
    let n = declare(&host, FULL, json!({ "name": "roll", "help": "Rolls", "person-cooldown": 3_600_000 })).await;
    friend.chat(bot.clone(), "!roll").await.unwrap();
    host.heard(FULL, n).await;
    for _ in 0..3 {
        friend.chat(bot.clone(), "!roll").await.unwrap();
    }
    friend.chat(bot.clone(), "!help roll").await.unwrap();
    let first = friend.wait_text("how long it lasts", &bot, SOON, |text| Some(text.to_owned())).await.unwrap();
    assert!(!first.starts_with("Usage:"), "{first}");
    let second = friend.wait_text("the help", &bot, SOON, |text| Some(text.to_owned())).await.unwrap();
    assert!(second.starts_with("Usage:"), "{second}");
    // It is that person's alone.
    other.chat(bot, "!roll").await.unwrap();
    let heard = host.heard(FULL, n).await["payload"]["command"]["message"]["chat"].clone();
    assert_eq!(heard, other.jid().to_bare().to_string());
    assert!(host.heard_so_far(FULL, n).await.is_empty());
}

/// Row 151.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_a_full_mailbox_loses_begins_no_cooldown() {
    let small = |entry: Entry| granted(entry).limit("handlers", 1).limit("mailbox", 1);
    let host = Plan::new().await.caller(FULL, small).start().await;
    let (mut friend, bot) = (friend("juliet").await, host.account().jid.clone());
    let n = declare(&host, FULL, json!({ "name": "roll", "help": "Rolls", "person-cooldown": 3_600_000 })).await;
    host.ears().promise("go").await;
    let slow = host.order(FULL, "listen.on-and-wait", json!({ "name": "work", "promise": "go" })).await;
    host.answer(FULL, "listen.on-and-wait", slow).await.ok();
    host.ears().emit("work", &Value::Null).await;
    host.heard(FULL, slow).await;
    // It waits, and fills the mailbox.
    host.ears().emit("work", &Value::Null).await;
    friend.chat(bot.clone(), "!roll").await.unwrap();
    let instance = host.instance(FULL).await;
    let is_lost = async {
        while instance.usage(None).lost == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(SOON, is_lost).await.is_ok(), "the command is not lost");
    host.ears().emit("go", &Value::Null).await;
    host.heard(FULL, slow).await;
    friend.chat(bot, "!roll").await.unwrap();
    host.heard(FULL, n).await;
}

/// Row 151.
#[tokio::test(flavor = "multi_thread")]
async fn the_cooldown_of_a_room_is_everybodys_there() {
    let host = Plan::new().await.three().start().await;
    let (mut owner, mut other) = (friend("juliet").await, friend("romeo").await);
    let n = declare(&host, FULL, json!({ "name": "roll", "room-cooldown": 3_600_000 })).await;
    let room = in_a_room(&host, &mut owner).await;
    other.join(&room, "Romeo", SOON).await.unwrap();
    owner.say(&room, "!roll").await.unwrap();
    host.heard(FULL, n).await;
    other.say(&room, "!roll").await.unwrap();
    answered(&mut other, &room, &["roll"]).await;
    // In a chat there is no cooldown of a room.
    other.chat(host.account().jid.clone(), "!roll").await.unwrap();
    assert_eq!(host.heard(FULL, n).await["payload"]["command"]["message"]["kind"], "chat");
    assert!(host.heard_so_far(FULL, n).await.is_empty());
}

const AD_HOC: &str = "http://jabber.org/protocol/commands";
const FORMS: &str = "jabber:x:data";

/// Builds a step of an ad-hoc command, with these fields filled in.
fn step(to: &Jid, attributes: &str, fields: &[(&str, &str)]) -> Iq {
    let fields = fields.iter().map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"));
    let form = format!("<x xmlns='{FORMS}' type='submit'>{}</x>", fields.collect::<String>());
    let payload = format!("<command xmlns='{AD_HOC}' node='full.roll' {attributes}>{form}</command>");
    Iq::Set { from: None, to: Some(to.clone()), id: String::new(), payload: payload.parse().unwrap() }
}

async fn take(client: &mut Client, request: Iq) -> Result<Element, String> {
    client.ask(request, SOON).await.map(Option::unwrap).map_err(|error| format!("{error:?}"))
}

/// Row 152.
/// An ordinary client shows the command as a form, which is worth as much as what is written in a chat.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_a_form_for_who_may_give_it() {
    let (mut friend, mut stranger) = (friend("juliet").await, friend("romeo").await);
    let host = Plan::new().await.three().start().await;
    let bot: Jid = host.call(FULL, "user.jid", json!({})).await.ok().as_str().unwrap().parse().unwrap();
    let mut declaration = roll();
    declaration["allow"] = json!([["jid", friend.jid().to_bare().to_string()]]);
    let n = declare(&host, FULL, declaration).await;
    let items = format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{AD_HOC}'/>").parse().unwrap();
    let items = Iq::Get { from: None, to: Some(bot.clone()), id: String::new(), payload: items };
    let offered = take(&mut friend, items.clone()).await.unwrap();
    let nodes: Vec<_> = offered.children().filter_map(|item| item.attr("node")).collect();
    assert_eq!(nodes, ["full.roll"], "{offered:?}");
    take(&mut stranger, items).await.unwrap_err();
    take(&mut stranger, step(&bot, "action='execute'", &[])).await.unwrap_err();

    let begun = take(&mut friend, step(&bot, "action='execute'", &[])).await.unwrap();
    assert_eq!(begun.attr("status"), Some("executing"));
    let session = begun.attr("sessionid").unwrap();
    let form = begun.get_child("x", FORMS).unwrap();
    let kinds: Vec<_> = form.children().filter_map(|field| Some((field.attr("var")?, field.attr("type")?))).collect();
    for kind in [("count", "text-single"), ("colour", "list-single"), ("whom", "jid-single"), ("secret", "boolean")] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    // Others cannot continue it, and a wrong value leaves it open.
    let go_on = format!("action='complete' sessionid='{session}'");
    take(&mut stranger, step(&bot, &go_on, &[("count", "3")])).await.unwrap_err();
    let wrong = take(&mut friend, step(&bot, &go_on, &[("count", "many")])).await.unwrap();
    let note = wrong.get_child("note", AD_HOC).unwrap();
    assert_eq!((wrong.attr("status"), note.attr("type")), (Some("executing"), Some("error")), "{wrong:?}");
    assert!(host.heard_so_far(FULL, n).await.is_empty());

    let fields = [("count", "3"), ("colour", "red"), ("secret", "true"), ("why", "what  is left")];
    let done = take(&mut friend, step(&bot, &go_on, &fields)).await.unwrap();
    assert_eq!(done.attr("status"), Some("completed"), "{done:?}");
    let heard = host.heard(FULL, n).await["payload"]["command"].clone();
    assert_eq!(heard["message"]["from"], json!(friend.jid().to_string()));
    for value in [
        json!(["count", { "integer": 3 }]),
        json!(["colour", { "text": "red" }]),
        json!(["secret", { "flag": true }]),
        json!(["why", { "text": "what  is left" }]),
    ] {
        assert!(heard["values"].as_array().unwrap().contains(&value), "{value}: {heard}");
    }
    // The same form counts once.
    take(&mut friend, step(&bot, &go_on, &fields)).await.unwrap_err();
    let begun = take(&mut friend, step(&bot, "action='execute'", &[])).await.unwrap();
    let cancel = format!("action='cancel' sessionid='{}'", begun.attr("sessionid").unwrap());
    let cancelled = take(&mut friend, step(&bot, &cancel, &[])).await.unwrap();
    assert_eq!(cancelled.attr("status"), Some("canceled"));
    take(&mut friend, step(&bot, &cancel, &[])).await.unwrap_err();
    assert!(host.heard_so_far(FULL, n).await.is_empty());
}

/// A command whose form has three pages.
fn poll() -> Value {
    json!({
        "name": "roll", "help": "Asks a question",
        "arguments": [
            { "name": "question", "page": "What is asked" },
            { "name": "first", "page": "Answers", "optional": true },
            { "name": "second", "optional": true },
            { "name": "secret", "kind": "flag", "page": "How" },
        ],
    })
}

/// Returns the fields of a page with their values, and the possible actions.
fn page(step: &Element) -> (Vec<(&str, String)>, Vec<&str>) {
    let form = step.get_child("x", FORMS).unwrap();
    let value = |field: &Element| field.get_child("value", FORMS).map(Element::text).unwrap_or_default();
    let fields = form.children().filter_map(|field| Some((field.attr("var")?, value(field)))).collect();
    let actions = step.get_child("actions", AD_HOC).unwrap().children().map(Element::name).collect();
    (fields, actions)
}

fn note(step: &Element) -> String {
    step.get_child("note", AD_HOC).map(Element::text).unwrap_or_default()
}

/// Row 152: pages, back and forth, sent twice, by another client.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_several_pages_is_gone_through_by_whoever_began_it() {
    let (mut friend, mut stranger) = (friend("juliet").await, friend("romeo").await);
    let host = Plan::new().await.three().start().await;
    let bot: Jid = host.call(FULL, "user.jid", json!({})).await.ok().as_str().unwrap().parse().unwrap();
    let n = declare(&host, FULL, poll()).await;
    let begun = take(&mut friend, step(&bot, "action='execute'", &[])).await.unwrap();
    let session = begun.attr("sessionid").unwrap().to_owned();
    let go = |action: &str| format!("action='{action}' sessionid='{session}'");
    assert_eq!(page(&begun), (vec![("question", String::new())], vec!["next"]));
    // There is no page before, and this is not the last one.
    for action in ["prev", "complete", "jump"] {
        take(&mut friend, step(&bot, &go(action), &[("question", "Tea?")])).await.unwrap_err();
    }
    // A form without a required value is shown again, with the problem.
    let cut = take(&mut friend, step(&bot, &go("next"), &[])).await.unwrap();
    assert!(page(&cut).0.len() == 1 && note(&cut).contains("QUESTION"), "{cut:?}");
    let second = take(&mut friend, step(&bot, &go("next"), &[("question", "Tea?")])).await.unwrap();
    let empty = vec![("first", String::new()), ("second", String::new())];
    assert_eq!(page(&second), (empty.clone(), vec!["prev", "next"]));
    // The first page comes twice, and counts once.
    let twice = take(&mut friend, step(&bot, &go("next"), &[("question", "Tea?")])).await.unwrap();
    assert_eq!(page(&twice), (empty, vec!["prev", "next"]));
    take(&mut stranger, step(&bot, &go("next"), &[("first", "no")])).await.unwrap_err();
    let back = take(&mut friend, step(&bot, &go("prev"), &[("first", "yes")])).await.unwrap();
    assert_eq!(page(&back).0, [("question", "Tea?".to_owned())]);
    let again = take(&mut friend, step(&bot, &go("next"), &[("question", "Coffee?")])).await.unwrap();
    assert_eq!(page(&again).0, [("first", "yes".to_owned()), ("second", String::new())]);
    let last = take(&mut friend, step(&bot, &go("next"), &[("first", "yes"), ("second", "no")])).await.unwrap();
    assert_eq!(page(&last).1, ["prev", "complete"]);
    take(&mut friend, step(&bot, &go("next"), &[("secret", "1")])).await.unwrap_err();
    assert!(host.heard_so_far(FULL, n).await.is_empty());
    let done = take(&mut friend, step(&bot, &go("complete"), &[("secret", "1")])).await.unwrap();
    assert_eq!((done.attr("status"), note(&done).as_str()), (Some("completed"), "done"));
    let heard = host.heard(FULL, n).await["payload"]["command"].clone();
    assert_eq!(heard["args"], json!(["Coffee?", "yes", "no", "--secret"]));
    assert_eq!(heard["form"], json!(session));
    take(&mut friend, step(&bot, &go("complete"), &[("secret", "1")])).await.unwrap_err();
    assert!(host.heard_so_far(FULL, n).await.is_empty());
}

/// Row 152: the plugin's answer is shown in the form, and its progress to those who look again.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_answers_in_the_form_while_its_handler_runs() {
    let mut friend = friend("juliet").await;
    let host = Plan::new().await.three().start().await;
    let bot: Jid = host.call(FULL, "user.jid", json!({})).await.ok().as_str().unwrap().parse().unwrap();
    declare(&host, FULL, json!({ "name": "roll", "help": "Rolls dice" })).await;
    host.ears().promise("rolled").await;
    let order = host.order(FULL, "listen.on-and-wait", json!({ "name": "command", "promise": "rolled" })).await;
    host.answer(FULL, "listen.on-and-wait", order).await.ok();
    let answer = |form: &Value, text: &str, more: bool| json!({ "form": form, "text": text, "more": more });

    let answers = async {
        let form = host.heard(FULL, order).await["payload"]["command"]["form"].clone();
        host.call(FULL, "commands.answer", answer(&form, "rolling", true)).await.ok();
        host.call(NARROW, "commands.answer", answer(&form, "mine", false)).await.fails("not-found");
        host.call(FULL, "commands.answer", answer(&form, "4, 5\nsum 9", false)).await.ok();
        host.call(FULL, "commands.answer", answer(&form, "6", false)).await.fails("not-found");
    };
    let (done, ()) = tokio::join!(take(&mut friend, step(&bot, "action='execute'", &[])), answers);
    let done = done.unwrap();
    assert_eq!((done.attr("status"), note(&done).as_str()), (Some("completed"), "4, 5\nsum 9"));

    // A command that takes longer than a person waits.
    let progress = async {
        let form = host.heard(FULL, order).await["payload"]["command"]["form"].clone();
        host.call(FULL, "commands.answer", answer(&form, "still rolling", true)).await.ok();
        form
    };
    let (waits, form) = tokio::join!(take(&mut friend, step(&bot, "action='execute'", &[])), progress);
    let waits = waits.unwrap();
    assert_eq!((waits.attr("status"), note(&waits).as_str()), (Some("executing"), "still rolling"));
    host.call(FULL, "commands.answer", answer(&form, "6", false)).await.ok();
    let next = format!("action='next' sessionid='{}'", form.as_str().unwrap());
    let done = take(&mut friend, step(&bot, &next, &[])).await.unwrap();
    assert_eq!((done.attr("status"), note(&done).as_str()), (Some("completed"), "6"));

    // A cancelled command: the plugin is not notified, and its answer is dropped.
    let begins = async { host.heard(FULL, order).await["payload"]["command"]["form"].clone() };
    let (waits, form) = tokio::join!(take(&mut friend, step(&bot, "action='execute'", &[])), begins);
    assert_eq!(waits.unwrap().attr("status"), Some("executing"));
    let cancel = format!("action='cancel' sessionid='{}'", form.as_str().unwrap());
    let cancelled = take(&mut friend, step(&bot, &cancel, &[])).await.unwrap();
    assert_eq!(cancelled.attr("status"), Some("canceled"));
    host.call(FULL, "commands.answer", answer(&form, "7", false)).await.fails("not-found");
    host.ears().emit("rolled", &Value::Null).await;
}

/// Rows 152 and 160: what a plugin says in a form is to hooks a message to the person.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_a_form_passes_hooks() {
    let hooks = "outgoing = [\"filter\"]\ndeadline = \"5 s\"\non_failure = \"stop\"";
    let plan = Plan::new().await.hooks(hooks).caller("filter", |entry| entry.grant("hooks.outgoing", &["*"]));
    let host = plan.three().start().await;
    running(&host, "filter").await;
    let mut friend = friend("juliet").await;
    let jid = friend.jid().to_bare().to_string();
    let bot: Jid = host.call(FULL, "user.jid", json!({})).await.ok().as_str().unwrap().parse().unwrap();
    declare(&host, FULL, json!({ "name": "roll", "help": "Rolls dice" })).await;
    host.ears().promise("rolled").await;
    let listens = async |plugin: &str, event: &str| {
        let order = host.order(plugin, "listen.on-and-wait", json!({ "name": event, "promise": "rolled" })).await;
        host.answer(plugin, "listen.on-and-wait", order).await.ok();
        order
    };
    let (commands, hooked) = (listens(FULL, "command").await, listens("filter", "hookOutgoing").await);

    let answers = async {
        let form = host.heard(FULL, commands).await["payload"]["command"]["form"].clone();
        let answer = async |text: &str, verdict: &str, mut given: Value| {
            let args = json!({ "form": form, "text": text, "more": false });
            let order = host.order(FULL, "commands.answer", args).await;
            let told = host.heard("filter", hooked).await["payload"]["hook"].clone();
            assert_eq!((&told["plugin"], &told["message"]["body"]), (&json!(FULL), &json!(text)), "{told}");
            assert_eq!(told["message"]["chat"], json!(jid), "{told}");
            given["id"] = told["id"].clone();
            host.call("filter", verdict, given).await.ok();
            host.answer(FULL, "commands.answer", order).await
        };
        let stopped = answer("the password", "hooks.stop", json!({ "reason": "not that" })).await;
        assert_eq!(stopped.fails("rejected")["what"], "not that");
        let long = answer("short", "hooks.alter", json!({ "body": "x".repeat(5_000) })).await;
        assert!(long.fails("rejected")["what"].as_str().unwrap().contains("answer in a form"));
        answer("4, 5", "hooks.alter", json!({ "body": "4, 5 (signed)" })).await.ok();
    };
    let (done, ()) = tokio::join!(take(&mut friend, step(&bot, "action='execute'", &[])), answers);
    let done = done.unwrap();
    assert_eq!((done.attr("status"), note(&done).as_str()), (Some("completed"), "4, 5 (signed)"));
    host.ears().emit("rolled", &Value::Null).await;
}
