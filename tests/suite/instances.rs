//! Several plugins of one component on one account, each restricted to its own rooms.

use jid::{BareJid, Jid};
use parlor_tests::client::Client;
use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use crate::test_host::{FULL, Plan, SOON, TestHost, friend, granted, prosody, running};

/// The plugins that are kept to one room each.
const ONE: &str = "one";
const TWO: &str = "two";

/// Starts a host with both of them and one that may do everything, and enters a room for each.
async fn start() -> (TestHost, Client, [BareJid; 2]) {
    let rooms = [prosody().await.fresh_room(), prosody().await.fresh_room()];
    let [here, there] = [0, 1].map(|at: usize| rooms[at].to_string());
    let plan = Plan::new().await.caller(FULL, granted);
    let plan = plan.caller(ONE, |entry| granted(entry).rooms(&[&here]));
    let host = plan.caller(TWO, |entry| granted(entry).rooms(&[&there])).start().await;
    let mut juliet = friend("juliet").await;
    for room in &rooms {
        juliet.join(room, "Juliet", SOON).await.unwrap();
        juliet.unlock(room, SOON).await.unwrap();
        host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Bot" })).await.ok();
    }
    (host, juliet, rooms)
}

/// Asserts that the owner's rooms kept a plugin from a call, and that the hint says which command changes that.
async fn kept(host: &TestHost, call: &str, args: Value, room: &BareJid) {
    let error = host.call(ONE, call, args).await.fails("denied");
    let hint = error["hint"].as_str().unwrap();
    assert_eq!(hint, format!("parlor plugin rooms {ONE} --add {room}"), "{call}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_is_kept_to_rooms_hears_and_does_nothing_in_others() {
    let (host, mut juliet, [here, there]) = start().await;
    let (one, full) = (host.listen(ONE, "message").await, host.listen(FULL, "message").await);
    juliet.say(&there, "not for one").await.unwrap();
    host.heard(FULL, full).await;
    assert!(host.heard_so_far(ONE, one).await.is_empty(), "it is kept to the other room");
    juliet.say(&here, "for one").await.unwrap();
    assert_eq!(host.heard(ONE, one).await["payload"]["message"]["body"], "for one");

    let occupant = format!("{there}/Juliet");
    let raw = format!("<message type='groupchat' to='{there}'><body>x</body></message>");
    let unknown = there.to_string().replacen('@', "-unknown@", 1);
    kept(&host, "rooms.send", json!({ "jid": there.to_string(), "body": "x" }), &there).await;
    kept(&host, "rooms.get", json!({ "jid": there.to_string() }), &there).await;
    kept(&host, "rooms.close", json!({ "jid": there.to_string() }), &there).await;
    kept(&host, "chats.send", json!({ "jid": occupant, "body": "x" }), &there).await;
    kept(&host, "archive.query", json!({ "with": there.to_string() }), &there).await;
    kept(&host, "api.send", json!({ "stanza": raw }), &there).await;
    // Neither may it ask there, or have the server block the room for all plugins.
    let about = json!({ "jid": there.to_string() });
    for call in ["disco.last-activity", "disco.time", "disco.version"] {
        kept(&host, call, json!({ "jid": occupant }), &there).await;
    }
    kept(&host, "disco.supports", json!({ "feature": "urn:x", "jid": there.to_string() }), &there).await;
    let identity = json!({ "category": "conference", "kind": "text", "jid": there.to_string() });
    kept(&host, "disco.get-identity", identity, &there).await;
    for call in ["contacts.add", "contacts.block", "contacts.unblock", "chats.open"] {
        kept(&host, call, about.clone(), &there).await;
    }
    let everybody = json!({ "jid": there.domain().to_string() });
    for call in ["contacts.block", "contacts.unblock"] {
        let error = host.call(ONE, call, everybody.clone()).await.fails("denied");
        assert!(error["hint"].as_str().unwrap().starts_with("no grant helps: "), "{call}: {error}");
    }
    kept(&host, "rooms.open", json!({ "jid": unknown, "nick": "Bot" }), &unknown.parse().unwrap()).await;
    let all = host.call(ONE, "rooms.get-all", Value::Null).await.ok();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["jid"]), (1, &json!(here.to_string())));
    host.call(ONE, "rooms.send", json!({ "jid": here.to_string(), "body": "here" })).await.ok();
    host.call(ONE, "chats.send", json!({ "jid": format!("{here}/Juliet"), "body": "psst" })).await.ok();

    // A change counts at once, on the running instance.
    let before = host.instance(ONE).await.id;
    host.decide(ONE, |entry| entry.rooms(&[there.as_str()])).await;
    assert_eq!(host.instance(ONE).await.id, before);
    juliet.say(&here, "not for one").await.unwrap();
    juliet.say(&there, "now for one").await.unwrap();
    let heard = host.heard(ONE, one).await;
    assert_eq!(heard["payload"]["message"]["body"], "now for one");
    kept(&host, "rooms.send", json!({ "jid": here.to_string(), "body": "x" }), &here).await;
    host.call(ONE, "rooms.send", json!({ "jid": there.to_string(), "body": "there" })).await.ok();
}

/// Rows 116-117.
#[tokio::test(flavor = "multi_thread")]
async fn a_setting_has_the_rooms_own_value_while_its_message_is_handled() {
    let room = prosody().await.fresh_room();
    let everywhere = |entry: Entry| granted(entry).set("chat", true).set("greeting", "everywhere");
    let plan = Plan::new().await.caller(FULL, granted);
    let plan = plan.caller(ONE, |entry| everywhere(entry).set_in(room.as_str(), "greeting", "in the room"));
    let host = plan.start().await;
    running(&host, ONE).await;
    let mut juliet = friend("juliet").await;
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Bot" })).await.ok();
    let bot = host.account().jid.clone();
    let occupant: Jid = format!("{room}/Bot").parse().unwrap();
    let mut number = 0;
    let mut greeting = async |juliet: &mut Client, to: Jid| {
        number += 1;
        let order = json!({ "n": number, "call": "settings.get", "args": { "key": "greeting" } });
        juliet.chat(to.clone(), &format!("call {order}")).await.unwrap();
        let answer = |text: &str| {
            let answer: Value = serde_json::from_str(text.strip_prefix("done ")?).ok()?;
            (answer["n"] == number).then(|| answer["ok"]["value"].clone())
        };
        juliet.wait_text("the answer", &to.to_bare(), SOON, answer).await.unwrap()
    };
    assert_eq!(greeting(&mut juliet, occupant.clone()).await, "in the room");
    assert_eq!(greeting(&mut juliet, bot.clone().into()).await, "everywhere");
    // A change applies to the next message, and no general value is needed.
    host.decide(ONE, |entry| everywhere(entry).set_in(room.as_str(), "greeting", "changed")).await;
    running(&host, ONE).await;
    assert_eq!(greeting(&mut juliet, occupant.clone()).await, "changed");
    host.decide(ONE, |mut entry| {
        entry.settings_in.clear();
        entry
    })
    .await;
    running(&host, ONE).await;
    assert_eq!(greeting(&mut juliet, occupant).await, "everywhere");
    assert_eq!(greeting(&mut juliet, bot.into()).await, "everywhere");
}

/// Row 127.
#[tokio::test(flavor = "multi_thread")]
async fn plugins_in_different_rooms_answer_to_the_same_command_each_in_its_own() {
    let (host, mut juliet, [here, there]) = start().await;
    let mut added = Vec::new();
    for plugin in [ONE, TWO] {
        let n = host.order(plugin, "commands.add", json!({ "name": "ban", "help": "Bans", "usage": "" })).await;
        host.answer(plugin, "commands.add", n).await.ok();
        added.push(n);
    }
    let error =
        host.call(FULL, "commands.add", json!({ "name": "ban", "help": "", "usage": "" })).await.fails("denied");
    assert_eq!(error["scope"], "the command ban of the plugin one", "this one acts in both rooms");
    juliet.say(&here, "!ban here").await.unwrap();
    assert_eq!(host.heard(ONE, added[0]).await["payload"]["command"]["args"], json!(["here"]));
    juliet.say(&there, "!ban there").await.unwrap();
    assert_eq!(host.heard(TWO, added[1]).await["payload"]["command"]["args"], json!(["there"]));
    let full = host.listen(FULL, "message").await;
    juliet.say(&here, "!two.ban x").await.unwrap();
    juliet.chat(host.account().jid.clone(), "!one.ban x").await.unwrap();
    for _ in 0..2 {
        host.heard(FULL, full).await;
    }
    assert!(host.heard_so_far(ONE, added[0]).await.is_empty() && host.heard_so_far(TWO, added[1]).await.is_empty());
}
