//! `hooks`: plugins that see what others send and get, and commands (rows 160 to 162 of `tests/conformance.toml`).

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use jid::BareJid;
use parlor_tests::client::Client;
use parlor_tests::policy::Entry;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tokio_xmpp::Stanza;
use xmpp_parsers::message::{Lang, Message};

use crate::test_host::{BARE, FULL, Plan, SOON, TestHost, friend, prosody, refuses_to_tell, running};

/// The hooks, in the owner's order.
const FIRST: &str = "first";
const SECOND: &str = "second";

/// The orders of both hooks. Each has long enough for a test that decides by hand.
fn orders(on_failure: &str) -> String {
    let both = format!("[\"{FIRST}\", \"{SECOND}\"]");
    format!(
        "outgoing = {both}\nincoming = {both}\ncommands = {both}\ndeadline = \"5 s\"\non_failure = \"{on_failure}\""
    )
}

/// Grants a plugin to be a hook for everybody.
fn hook(entry: Entry) -> Entry {
    ["hooks.outgoing", "hooks.incoming", "hooks.commands"].iter().fold(entry, |entry, name| entry.grant(name, &["*"]))
}

/// Grants a plugin to read and to send.
fn speaker(entry: Entry) -> Entry {
    ["messages.read", "messages.send", "rooms.send", "rooms.join"]
        .iter()
        .fold(entry, |entry, name| entry.grant(name, &["*"]))
        .grant("stanza.send", &["message"])
}

/// Starts a host with two hooks, and a plugin that reads and sends.
async fn start(hooks: &str) -> TestHost {
    let plan = Plan::new().await.hooks(hooks).caller(FIRST, hook).caller(SECOND, |entry| speaker(hook(entry)));
    let host = plan.caller(FULL, speaker).caller(BARE, |entry| entry).start().await;
    for plugin in [FIRST, SECOND, FULL] {
        running(&host, plugin).await;
    }
    host.ears().promise("judged").await;
    host
}

/// Lets a hook hear questions in handlers that return only at the end of the test.
async fn asked(host: &TestHost, plugin: &str, event: &str) -> u64 {
    let order = host.order(plugin, "listen.on-and-wait", json!({ "name": event, "promise": "judged" })).await;
    host.answer(plugin, "listen.on-and-wait", order).await.ok();
    order
}

/// Lets a hook give the same verdict on everything.
async fn judges(host: &TestHost, plugin: &str, event: &str, verdict: Value) -> u64 {
    let order = host.order(plugin, "listen.on-and-judge", json!({ "name": event, "verdict": verdict })).await;
    host.answer(plugin, "listen.on-and-judge", order).await.ok();
    order
}

/// Returns the next question that a hook hears.
async fn question(host: &TestHost, plugin: &str, order: u64) -> Value {
    host.heard(plugin, order).await["payload"]["hook"].clone()
}

/// Begins to send a message to somebody. Returns the order's number.
async fn sends(host: &TestHost, plugin: &str, to: &Client, body: &str) -> u64 {
    let jid = to.jid().to_bare().to_string();
    host.order(plugin, "chats.send", json!({ "jid": jid, "body": body })).await
}

fn bot(host: &TestHost) -> BareJid {
    host.account().jid.clone()
}

/// Row 160. Events `hookOutgoing`.
#[tokio::test(flavor = "multi_thread")]
async fn hooks_see_change_and_stop_what_others_send_in_the_owners_order() {
    let host = start(&orders("stop")).await;
    refuses_to_tell(&host, "hooks.outgoing", &["hookOutgoing"]).await;
    host.call(BARE, "hooks.alter", json!({ "id": "hookOutgoing-1", "body": "x" })).await.denied("hooks.outgoing", None);
    let mut juliet = friend("juliet").await;
    let (jid, bot) = (juliet.jid().to_bare().to_string(), bot(&host));
    let (first, second) = (asked(&host, FIRST, "hookOutgoing").await, asked(&host, SECOND, "hookOutgoing").await);

    let order = sends(&host, FULL, &juliet, "hello").await;
    let told = question(&host, FIRST, first).await;
    assert_eq!((&told["plugin"], &told["args"]), (&json!(FULL), &json!([])), "{told}");
    let message = &told["message"];
    assert_eq!((&message["to"], &message["chat"]), (&json!(jid), &json!(jid)), "{told}");
    assert_eq!((&message["kind"], &message["body"], &message["own"]), (&json!("chat"), &json!("hello"), &json!(true)));
    let id = told["id"].clone();
    let nothing = json!({ "id": id });
    host.call(FIRST, "hooks.alter", nothing.clone()).await.invalid("body");
    host.call(FIRST, "hooks.mark", json!({ "id": id, "label": "x" })).await.invalid("id");
    host.call(SECOND, "hooks.allow", nothing.clone()).await.fails("not-found");
    host.call(FIRST, "hooks.alter", json!({ "id": id, "body": "hello there" })).await.ok();
    host.call(FIRST, "hooks.alter", json!({ "id": id, "body": "again" })).await.fails("not-found");
    let told = question(&host, SECOND, second).await;
    assert_eq!(told["message"]["body"], "hello there", "it sees what the one before it changed");
    assert!(host.early(FULL, order).is_none(), "it is not sent yet");
    host.call(SECOND, "hooks.allow", json!({ "id": told["id"] })).await.ok();
    host.answer(FULL, "chats.send", order).await.ok();
    juliet.wait_body(&bot, "hello there", SOON).await.unwrap();

    // A stanza, with several texts.
    let xml = format!("<message to='{jid}' type='chat'><body>one</body><body xml:lang='de'>eins</body></message>");
    let order = host.order(FULL, "api.send", json!({ "stanza": xml })).await;
    let told = question(&host, FIRST, first).await;
    assert_eq!(told["message"]["bodies"].as_array().map(Vec::len), Some(2), "{told}");
    host.call(FIRST, "hooks.alter", json!({ "id": told["id"], "body": "both", "subject": "about" })).await.ok();
    let told = question(&host, SECOND, second).await;
    assert_eq!((&told["message"]["bodies"], &told["message"]["subject"]), (&json!([]), &json!("about")), "{told}");
    host.call(SECOND, "hooks.allow", json!({ "id": told["id"] })).await.ok();
    host.answer(FULL, "api.send", order).await.ok();
    juliet.wait_body(&bot, "both", SOON).await.unwrap();

    let order = sends(&host, FULL, &juliet, "secret").await;
    let told = question(&host, FIRST, first).await;
    host.call(FIRST, "hooks.stop", json!({ "id": told["id"], "reason": "not that" })).await.ok();
    assert_eq!(host.answer(FULL, "chats.send", order).await.fails("rejected")["what"], "not that");
    assert!(host.heard_so_far(SECOND, second).await.is_empty(), "the next one is not asked");
    // Nothing is left of this one, and it is not sent as it was.
    let order = sends(&host, FULL, &juliet, "secret").await;
    let told = question(&host, FIRST, first).await;
    host.call(FIRST, "hooks.alter", json!({ "id": told["id"], "body": "" })).await.invalid("body");
    let stopped = host.answer(FULL, "chats.send", order).await.fails("rejected");
    assert!(stopped["what"].as_str().unwrap().contains("is empty"), "{stopped}");

    // In a room.
    let room = prosody().await.fresh_room();
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Bot" })).await.ok();
    let order = host.order(FULL, "rooms.send", json!({ "jid": room.to_string(), "body": "hello all" })).await;
    let told = question(&host, FIRST, first).await;
    assert_eq!((&told["message"]["kind"], &told["message"]["chat"]), (&json!("groupchat"), &json!(room.to_string())));
    host.call(FIRST, "hooks.alter", json!({ "id": told["id"], "body": "hello everybody" })).await.ok();
    let told = question(&host, SECOND, second).await;
    host.call(SECOND, "hooks.allow", json!({ "id": told["id"] })).await.ok();
    host.answer(FULL, "rooms.send", order).await.ok();
    juliet.wait_body(&room, "hello everybody", SOON).await.unwrap();

    // A message of a hook passes only the hooks behind it.
    let order = sends(&host, SECOND, &juliet, "of the last hook").await;
    host.answer(SECOND, "chats.send", order).await.ok();
    juliet.wait_body(&bot, "of the last hook", SOON).await.unwrap();
    assert!(host.heard_so_far(FIRST, first).await.is_empty());
    host.ears().emit("judged", &Value::Null).await;
}

/// Row 160: a hook without a verdict leaves the decision to the owner, and ends nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_does_not_answer_leaves_the_decision_to_the_owner() {
    let short = |rule: &str| format!("outgoing = [\"{FIRST}\"]\ndeadline = \"500 ms\"\non_failure = \"{rule}\"");
    let host = start(&short("stop")).await;
    let (mut juliet, bot) = (friend("juliet").await, bot(&host));
    let send = async |body: &str| {
        let order = sends(&host, FULL, &juliet, body).await;
        host.answer(FULL, "chats.send", order).await
    };
    let what = |error: Value| error["what"].as_str().unwrap().to_owned();
    assert!(what(send("nobody listens").await.fails("rejected")).contains("did not answer"));
    host.logged("a hook gave no verdict, so on_failure decided", &[("plugin", FIRST), ("hook", "outgoing")]).await;
    let late = asked(&host, FIRST, "hookOutgoing").await;
    assert!(what(send("too late").await.fails("rejected")).contains("did not answer"));
    let id = question(&host, FIRST, late).await["id"].clone();
    host.call(FIRST, "hooks.allow", json!({ "id": id })).await.fails("not-found");
    host.set_hooks(&short("pass")).await;
    let began = Instant::now();
    send("passes").await.ok();
    assert!(began.elapsed() >= Duration::from_millis(500), "it has its time");
    let totals = host.instance(FIRST).await.counters.totals().hooks;
    assert_eq!((totals.seen, totals.failed, totals.stopped), (2, 2, 0));
    host.set_hooks("").await;
    send("nobody is asked").await.ok();
    assert_eq!(host.instance(FIRST).await.counters.totals().hooks.seen, 2);
    // Each message that was sent arrives once, in its order.
    juliet.wait_body(&bot, "passes", SOON).await.unwrap();
    juliet.wait_body(&bot, "nobody is asked", SOON).await.unwrap();
    assert!(!juliet.received_xml().iter().any(|xml| xml.contains("too late") || xml.contains("nobody listens")));
    host.ears().emit("judged", &Value::Null).await;
}

/// Row 160: a slow hook keeps the order of what one plugin sends to one recipient, and the grant says whose messages it sees.
#[tokio::test(flavor = "multi_thread")]
async fn messages_stay_in_order_and_a_hook_sees_those_of_its_scope() {
    let scoped = |entry: Entry| entry.grant("hooks.outgoing", &["@nowhere.invalid"]);
    let plan = Plan::new()
        .await
        .hooks(&format!("outgoing = [\"{SECOND}\", \"{FIRST}\"]\ndeadline = \"5 s\"\non_failure = \"stop\""));
    let host = plan.caller(FIRST, hook).caller(SECOND, scoped).caller(FULL, speaker).start().await;
    for plugin in [FIRST, SECOND, FULL] {
        running(&host, plugin).await;
    }
    host.ears().promise("judged").await;
    let (mut juliet, bot) = (friend("juliet").await, bot(&host));
    let (first, second) = (asked(&host, FIRST, "hookOutgoing").await, asked(&host, SECOND, "hookOutgoing").await);
    let mut orders = Vec::new();
    let mut ids = Vec::new();
    for number in 0..3 {
        orders.push(sends(&host, FULL, &juliet, &format!("number {number}")).await);
        ids.push(question(&host, FIRST, first).await["id"].clone());
    }
    // The last one is allowed first.
    for id in ids.iter().rev() {
        host.call(FIRST, "hooks.allow", json!({ "id": id })).await.ok();
    }
    for order in orders {
        host.answer(FULL, "chats.send", order).await.ok();
    }
    let mut came = Vec::new();
    while came.len() < 3 {
        came.push(juliet.wait_text("a message", &bot, SOON, |text| Some(text.to_owned())).await.unwrap());
    }
    assert_eq!(came, ["number 0", "number 1", "number 2"]);
    assert!(host.heard_so_far(SECOND, second).await.is_empty(), "it may not see these");
    host.ears().emit("judged", &Value::Null).await;
}

/// Row 161. Events `hookIncoming`.
#[tokio::test(flavor = "multi_thread")]
async fn hooks_mark_and_hide_messages_before_other_plugins_hear_of_them() {
    let host = start(&orders("pass")).await;
    refuses_to_tell(&host, "hooks.incoming", &["hookIncoming"]).await;
    host.call(BARE, "hooks.mark", json!({ "id": "hookIncoming-1", "label": "x" })).await.denied("hooks.incoming", None);
    let (mut juliet, bot) = (friend("juliet").await, bot(&host));
    let (first, second) = (asked(&host, FIRST, "hookIncoming").await, asked(&host, SECOND, "hookIncoming").await);
    let subscription = host.listen(FULL, "message").await;
    let commands = host.order(FULL, "commands.add", json!({ "name": "say", "help": "Says it", "usage": "WHAT" })).await;
    host.answer(FULL, "commands.add", commands).await.ok();

    juliet.chat(bot.clone(), "buy this").await.unwrap();
    let told = question(&host, FIRST, first).await;
    assert_eq!((&told["plugin"], &told["message"]["body"]), (&Value::Null, &json!("buy this")), "{told}");
    let id = told["id"].clone();
    host.call(FIRST, "hooks.mark", json!({ "id": id, "label": "a\nb" })).await.invalid("label");
    host.call(FIRST, "hooks.mark", json!({ "id": id, "label": "advertisement" })).await.ok();
    let told = question(&host, SECOND, second).await;
    assert_eq!(told["message"]["labels"], json!([[FIRST, "advertisement"]]), "{told}");
    assert!(host.heard_so_far(FULL, subscription).await.is_empty(), "it hears nothing before the last verdict");
    host.call(SECOND, "hooks.allow", json!({ "id": told["id"] })).await.ok();
    let heard = host.heard(FULL, subscription).await["payload"]["message"].clone();
    assert_eq!(heard["labels"], json!([[FIRST, "advertisement"]]), "{heard}");

    // A message that is hidden, with the command in it. The one behind it waits for it, and stays behind it.
    juliet.chat(bot.clone(), "!say spam").await.unwrap();
    let told = question(&host, FIRST, first).await;
    juliet.chat(bot, "behind it").await.unwrap();
    let behind = question(&host, FIRST, first).await;
    host.call(FIRST, "hooks.allow", json!({ "id": behind["id"] })).await.ok();
    let last = question(&host, SECOND, second).await;
    host.call(SECOND, "hooks.allow", json!({ "id": last["id"] })).await.ok();
    assert!(host.heard_so_far(FULL, subscription).await.is_empty(), "it stays behind the first one");
    host.call(FIRST, "hooks.stop", json!({ "id": told["id"] })).await.ok();
    assert_eq!(host.heard(FULL, subscription).await["payload"]["message"]["body"], "behind it");
    assert!(host.heard_so_far(FULL, commands).await.is_empty(), "nor does the command come");
    let totals = host.instance(FIRST).await.counters.totals().hooks;
    assert_eq!((totals.seen, totals.marked, totals.stopped, totals.failed), (3, 1, 1, 0));
    host.ears().emit("judged", &Value::Null).await;
}

/// Returns a message for the bot in an encryption that the host does not know.
fn sealed(bot: &BareJid) -> Stanza {
    let said = "I sent you a message that your client cannot read".to_owned();
    let mut message = Message::chat(jid::Jid::from(bot.clone())).with_body(Lang::default(), said);
    message.payloads.push("<openpgp xmlns='urn:xmpp:openpgp:0'>AAAA</openpgp>".parse().unwrap());
    Stanza::Message(message)
}

/// Row 161. Events `hookIncoming` and `undecryptable`.
#[tokio::test(flavor = "multi_thread")]
async fn hooks_see_and_hide_messages_that_cannot_be_decrypted_without_their_text() {
    let host = start(&orders("pass")).await;
    let (mut juliet, bot) = (friend("juliet").await, bot(&host));
    let (first, second) = (asked(&host, FIRST, "hookIncoming").await, asked(&host, SECOND, "hookIncoming").await);
    let (heard, refused) = (host.listen(FULL, "message").await, host.listen(FULL, "undecryptable").await);
    juliet.send(sealed(&bot)).await.unwrap();
    for (plugin, order) in [(FIRST, first), (SECOND, second)] {
        assert!(host.heard_so_far(FULL, refused).await.is_empty(), "it hears nothing before the last verdict");
        let told = question(&host, plugin, order).await;
        let message = &told["message"];
        assert_eq!(
            [&message["body"], &message["encryption"], &message["device-trust"], &message["chat"]],
            [&Value::Null, &json!("openpgp"), &Value::Null, &json!(juliet.jid().to_bare().as_str())],
            "{told}"
        );
        host.call(plugin, "hooks.allow", json!({ "id": told["id"] })).await.ok();
    }
    assert_eq!(host.heard(FULL, refused).await["payload"]["undecryptable"]["encryption"], "openpgp");
    // One that is hidden, and a message behind it.
    juliet.send(sealed(&bot)).await.unwrap();
    let hidden = question(&host, FIRST, first).await;
    juliet.chat(bot, "behind it").await.unwrap();
    let behind = question(&host, FIRST, first).await;
    host.call(FIRST, "hooks.stop", json!({ "id": hidden["id"] })).await.ok();
    host.call(FIRST, "hooks.allow", json!({ "id": behind["id"] })).await.ok();
    let last = question(&host, SECOND, second).await;
    assert_eq!(last["message"]["body"], "behind it", "{last}");
    host.call(SECOND, "hooks.allow", json!({ "id": last["id"] })).await.ok();
    assert_eq!(host.heard(FULL, heard).await["payload"]["message"]["body"], "behind it");
    assert!(host.heard_so_far(FULL, refused).await.is_empty());
    host.ears().emit("judged", &Value::Null).await;
}

/// Row 162. Events `hookCommand`.
#[tokio::test(flavor = "multi_thread")]
async fn hooks_refuse_commands_and_answer_the_person() {
    let host = start(&orders("pass")).await;
    refuses_to_tell(&host, "hooks.commands", &["hookCommand"]).await;
    host.set_hooks(&format!("commands = [\"{FIRST}\"]\ndeadline = \"5 s\"")).await;
    let (mut juliet, bot) = (friend("juliet").await, bot(&host));
    let first = asked(&host, FIRST, "hookCommand").await;
    let add = async |plugin: &str, name: &str| {
        let order =
            host.order(plugin, "commands.add", json!({ "name": name, "help": "Does it", "usage": "CODE" })).await;
        host.answer(plugin, "commands.add", order).await.ok();
        order
    };
    let (opens, own) = (add(FULL, "open").await, add(FIRST, "own").await);
    juliet.chat(bot.clone(), "!open door 000000").await.unwrap();
    let told = question(&host, FIRST, first).await;
    assert_eq!((&told["plugin"], &told["args"]), (&json!(FULL), &json!(["door", "000000"])), "{told}");
    assert_eq!(told["message"]["command"], "open");
    let stop = json!({ "id": told["id"], "reason": "That code is not valid." });
    host.call(FIRST, "hooks.stop", stop.clone()).await.ok();
    host.call(FIRST, "hooks.stop", stop).await.fails("not-found");
    juliet.wait_body(&bot, "That code is not valid.", SOON).await.unwrap();
    // A reason that repeats what the person wrote may be too long, and the command is refused anyway.
    juliet.chat(bot.clone(), "!open window").await.unwrap();
    let told = question(&host, FIRST, first).await;
    let stop = json!({ "id": told["id"], "reason": "x".repeat(5_000) });
    host.call(FIRST, "hooks.stop", stop).await.fails("invalid");
    juliet.chat(bot.clone(), "!open door 123456").await.unwrap();
    let told = question(&host, FIRST, first).await;
    assert!(host.heard_so_far(FULL, opens).await.is_empty());
    host.call(FIRST, "hooks.allow", json!({ "id": told["id"] })).await.ok();
    assert_eq!(host.heard(FULL, opens).await["payload"]["command"]["args"], json!(["door", "123456"]));
    // A plugin is not asked about its own commands.
    juliet.chat(bot, "!own 1").await.unwrap();
    assert_eq!(host.heard(FIRST, own).await["payload"]["command"]["name"], "own");
    assert!(host.heard_so_far(FIRST, first).await.is_empty());
    host.ears().emit("judged", &Value::Null).await;
}

/// Rows 151, 162: a person who is refused, as for want of a code, may try again at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_hooks_refuse_begins_no_cooldown() {
    let host = start(&orders("pass")).await;
    host.set_hooks(&format!("commands = [\"{FIRST}\"]\ndeadline = \"5 s\"")).await;
    let (mut juliet, bot) = (friend("juliet").await, bot(&host));
    let first = asked(&host, FIRST, "hookCommand").await;
    let declaration = json!({ "name": "open", "help": "Does it", "person-cooldown": 3_600_000 });
    let opens = host.order(FULL, "commands.declare", declaration).await;
    host.answer(FULL, "commands.declare", opens).await.ok();
    juliet.chat(bot.clone(), "!open").await.unwrap();
    let told = question(&host, FIRST, first).await;
    host.call(FIRST, "hooks.stop", json!({ "id": told["id"], "reason": "Not now." })).await.ok();
    juliet.wait_body(&bot, "Not now.", SOON).await.unwrap();
    juliet.chat(bot, "!open").await.unwrap();
    let told = question(&host, FIRST, first).await;
    host.call(FIRST, "hooks.allow", json!({ "id": told["id"] })).await.ok();
    assert_eq!(host.heard(FULL, opens).await["payload"]["command"]["name"], "open");
    host.ears().emit("judged", &Value::Null).await;
}

/// Row 160: the grant alone, or the order alone, makes no hook; and a hook that sends in its handler ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_needs_the_grant_and_the_order_and_what_it_sends_does_not_come_back() {
    let plan = Plan::new().await.hooks(&format!("outgoing = [\"{BARE}\"]\ndeadline = \"5 s\"\non_failure = \"stop\""));
    let host = plan
        .caller(FIRST, |entry| speaker(hook(entry)))
        .caller(FULL, speaker)
        .caller(BARE, |entry| entry)
        .start()
        .await;
    for plugin in [FIRST, FULL, BARE] {
        running(&host, plugin).await;
    }
    let (mut juliet, bot) = (friend("juliet").await, bot(&host));
    let jid = juliet.jid().to_bare().to_string();
    let first = judges(&host, FIRST, "hookOutgoing", json!({ "send": jid, "call": "allow" })).await;
    // The one in the order may not listen, so the owner's rule decides.
    let order = sends(&host, FULL, &juliet, "no").await;
    host.answer(FULL, "chats.send", order).await.fails("rejected");
    assert!(host.heard_so_far(FIRST, first).await.is_empty(), "it is in no order");
    host.set_hooks(&format!("outgoing = [\"{FIRST}\"]\ndeadline = \"5 s\"\non_failure = \"stop\"")).await;
    let order = sends(&host, FULL, &juliet, "hello").await;
    host.answer(FULL, "chats.send", order).await.ok();
    juliet.wait_body(&bot, "sent by a hook", SOON).await.unwrap();
    juliet.wait_body(&bot, "hello", SOON).await.unwrap();
    question(&host, FIRST, first).await;
    assert!(host.heard_so_far(FIRST, first).await.is_empty(), "it is not asked about what it sends");
    assert_eq!(host.instance(FIRST).await.counters.sent.load(Relaxed), 1);
    let nothing = timeout(Duration::from_millis(100), juliet.wait_body(&bot, "sent by a hook", SOON)).await;
    assert!(nothing.is_err(), "it was sent once");
}

/// Rows 153, 160 and 161: questions to people pass hooks as messages do, and an answer that a hook hides does not count.
#[tokio::test(flavor = "multi_thread")]
async fn questions_and_their_answers_pass_hooks() {
    let alone =
        format!("outgoing = [\"{FIRST}\"]\nincoming = [\"{FIRST}\"]\ndeadline = \"5 s\"\non_failure = \"stop\"");
    let host = start(&alone).await;
    let (mut juliet, bot) = (friend("juliet").await, bot(&host));
    let question_to = json!({ "to": juliet.jid().to_bare().as_str(), "text": "Which?", "choices": ["red", "blue"] });
    let sent = asked(&host, FIRST, "hookOutgoing").await;
    let came = asked(&host, FIRST, "hookIncoming").await;
    let listens = host.listen(SECOND, "message").await;

    for call in ["dialogs.ask", "dialogs.begin"] {
        let order = host.order(FULL, call, question_to.clone()).await;
        let told = question(&host, FIRST, sent).await;
        assert_eq!((&told["plugin"], &told["message"]["body"]), (&json!(FULL), &json!("Which?\n1. red\n2. blue")));
        host.call(FIRST, "hooks.stop", json!({ "id": told["id"], "reason": "not that" })).await.ok();
        assert_eq!(host.answer(FULL, call, order).await.fails("rejected")["what"], "not that");
    }
    let order = host.order(FULL, "dialogs.ask", question_to).await;
    let told = question(&host, FIRST, sent).await;
    host.call(FIRST, "hooks.alter", json!({ "id": told["id"], "body": "Which one?" })).await.ok();
    juliet.wait_body(&bot, "Which one?", SOON).await.unwrap();

    // A hidden answer is none, and nobody else hears of it.
    juliet.chat(bot.clone(), "red").await.unwrap();
    let told = question(&host, FIRST, came).await;
    assert_eq!((&told["message"]["body"], &told["message"]["command"]), (&json!("red"), &json!("?")));
    host.call(FIRST, "hooks.stop", json!({ "id": told["id"] })).await.ok();
    assert!(host.early(FULL, order).is_none() && host.heard_so_far(SECOND, listens).await.is_empty());

    // The choices that are sent again are a message of the plugin, too.
    for (verdict, with) in [("hooks.alter", "body"), ("hooks.stop", "reason")] {
        juliet.chat(bot.clone(), "green").await.unwrap();
        let told = question(&host, FIRST, came).await;
        host.call(FIRST, "hooks.allow", json!({ "id": told["id"] })).await.ok();
        let told = question(&host, FIRST, sent).await;
        assert_eq!(told["plugin"], FULL, "{told}");
        assert!(told["message"]["body"].as_str().unwrap().ends_with("1. red\n2. blue"), "{told}");
        host.call(FIRST, verdict, json!({ "id": told["id"], with: "Red or blue?" })).await.ok();
    }
    juliet.wait_body(&bot, "Red or blue?", SOON).await.unwrap();
    assert_eq!(host.answer(FULL, "dialogs.ask", order).await.fails("rejected")["what"], "Red or blue?");
    assert!(!juliet.received_xml().iter().any(|xml| xml.contains("1. red")), "only what the hook let pass");

    // In a room.
    host.set_hooks(&format!("outgoing = [\"{FIRST}\"]\ndeadline = \"5 s\"\non_failure = \"stop\"")).await;
    let room = prosody().await.fresh_room();
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Bot" })).await.ok();
    for call in ["dialogs.ask-in-room", "dialogs.begin-in-room"] {
        let args = json!({ "room": room.to_string(), "nick": "Juliet", "text": "Which?" });
        let order = host.order(FULL, call, args).await;
        let told = question(&host, FIRST, sent).await;
        let (kind, body) = (&told["message"]["kind"], &told["message"]["body"]);
        assert_eq!((kind, body), (&json!("groupchat"), &json!("Juliet: Which?")), "{told}");
        host.call(FIRST, "hooks.stop", json!({ "id": told["id"], "reason": "not here" })).await.ok();
        assert_eq!(host.answer(FULL, call, order).await.fails("rejected")["what"], "not here");
    }
    host.ears().emit("judged", &Value::Null).await;
}

/// Rows 153, 160 and 161: a hook that asks gets the answer although it gives no verdict itself, and with it nobody else does.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_asks_does_not_wait_for_itself() {
    let both = format!("outgoing = [\"{SECOND}\"]\nincoming = [\"{FIRST}\", \"{SECOND}\"]");
    let host = start(&format!("{both}\ndeadline = \"3 s\"\non_failure = \"stop\"")).await;
    let (mut juliet, bot) = (friend("juliet").await, bot(&host));
    let sent = asked(&host, SECOND, "hookOutgoing").await;
    let (first, second) = (asked(&host, FIRST, "hookIncoming").await, asked(&host, SECOND, "hookIncoming").await);
    let hidden = host.listen(FULL, "message").await;
    let args = json!({ "to": juliet.jid().to_bare().as_str(), "text": "Which?" });
    let order = host.order(SECOND, "dialogs.ask", args).await;
    juliet.wait_body(&bot, "Which?", SOON).await.unwrap();
    assert!(host.heard_so_far(SECOND, sent).await.is_empty(), "it is not asked about its own question");

    juliet.chat(bot, "this one").await.unwrap();
    let told = question(&host, FIRST, first).await;
    host.call(FIRST, "hooks.mark", json!({ "id": told["id"], "label": "seen" })).await.ok();
    let told = question(&host, SECOND, second).await;
    assert_eq!((&told["message"]["command"], &told["message"]["labels"]), (&json!("?"), &json!([[FIRST, "seen"]])));
    host.answer(SECOND, "dialogs.ask", order).await.is(json!({ "text": "this one", "choice": null }));
    assert!(host.heard_so_far(FULL, hidden).await.is_empty(), "others hear nothing, since it gave no verdict");
    host.ears().emit("judged", &Value::Null).await;
}

/// Rows 160 and 163: a hook that calls back the plugin whose message waits for it gets an answer, within the usual deadline.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_asks_the_plugin_whose_message_it_judges() {
    let within = |deadline: &str| format!("outgoing = [\"{FIRST}\"]\ndeadline = \"{deadline}\"\non_failure = \"stop\"");
    let plan = Plan::new().await.hooks(&within("5 s"));
    let plan = plan.caller(FIRST, |entry| hook(entry).grant("plugins.call", &[FULL]));
    let answers = |entry: Entry| speaker(entry).grant("plugins.answer", &[FIRST]).limit("request_time", "30 s");
    let host = plan.caller(FULL, answers).start().await;
    for plugin in [FIRST, FULL] {
        running(&host, plugin).await;
    }
    for promise in ["judged", "answered"] {
        host.ears().promise(promise).await;
    }
    let (mut juliet, bot) = (friend("juliet").await, bot(&host));
    let requests = host.order(FULL, "listen.on-and-wait", json!({ "name": "request", "promise": "answered" })).await;
    host.answer(FULL, "listen.on-and-wait", requests).await.ok();
    let questions = asked(&host, FIRST, "hookOutgoing").await;
    let asks_back = async || {
        let args = json!({ "plugin": FULL, "name": "rate", "value": "whose?" });
        let order = host.order(FIRST, "plugins.call", args).await;
        let request = host.heard(FULL, requests).await["payload"]["plugin-request"].clone();
        (order, json!({ "id": request["id"], "value": "mine" }))
    };

    let sent = sends(&host, FULL, &juliet, "hello").await;
    let told = question(&host, FIRST, questions).await;
    let (order, answer) = asks_back().await;
    host.call(FULL, "plugins.answer", answer).await.ok();
    host.answer(FIRST, "plugins.call", order).await.is("mine");
    assert!(host.early(FULL, sent).is_none(), "it waits for the verdict");
    host.call(FIRST, "hooks.alter", json!({ "id": told["id"], "body": "hello, it is mine" })).await.ok();
    host.answer(FULL, "chats.send", sent).await.ok();
    juliet.wait_body(&bot, "hello, it is mine", SOON).await.unwrap();

    // Both wait for one another, until the time of the hook is over.
    host.set_hooks(&within("500 ms")).await;
    let sent = sends(&host, FULL, &juliet, "again").await;
    question(&host, FIRST, questions).await;
    let (order, answer) = asks_back().await;
    let stopped = host.answer(FULL, "chats.send", sent).await.fails("rejected");
    assert!(stopped["what"].as_str().unwrap().contains("did not answer"), "{stopped}");
    host.call(FULL, "plugins.answer", answer).await.ok();
    host.answer(FIRST, "plugins.call", order).await.is("mine");
    for promise in ["judged", "answered"] {
        host.ears().emit(promise, &Value::Null).await;
    }
}
