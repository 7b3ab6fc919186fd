//! Rust, outside of parlor's own workspace.

use std::fs;

use parlor_tests::folder::Folder;
use parlor_tests::policy::Entry;

use serde_json::json;

use super::{begins_and_answers, is_refused, rust_place};
use crate::house::{FULL, Plan, SOON, friend, prosody, running};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_plugin_in_rust_builds_at_once_and_answers_and_a_mistake_is_shown_where_it_is() {
    let folder = Folder::new().unwrap();
    let (_alone, place) = rust_place().await;
    let plugin = place.join("parrot");
    begins_and_answers("rust", &place, &folder).await;

    let lib = plugin.join("src/lib.rs");
    let text = fs::read_to_string(&lib).unwrap();
    fs::write(&lib, text.replace("Ok(())\n}\n", "Ok(1)\n}\n")).unwrap();
    is_refused(&plugin, &folder, &["src/lib.rs:", "parrot did not compile"]).await;

    // Who takes away what the plugin declares is told which call needs it.
    fs::write(&lib, text).unwrap();
    let manifest = fs::read_to_string(plugin.join("plugin.toml")).unwrap();
    let without: Vec<_> = manifest.lines().filter(|line| !line.starts_with("\"messages.send\"")).collect();
    fs::write(plugin.join("plugin.toml"), without.join("\n")).unwrap();
    is_refused(&plugin, &folder, &["chats.send needs messages.send", "plugin.toml does not declare"]).await;
}

/// In a room that the bot made, and so owns.
#[tokio::test(flavor = "multi_thread")]
async fn the_moderator_warns_puts_out_obeys_and_bans_in_a_real_room() {
    let all = |entry: Entry| {
        let entry = entry.grant("messages.read", &["*"]).grant("rooms.read", &["*"]);
        let entry = entry.grant("rooms.send", &["*"]).grant("rooms.moderate", &["*"]);
        entry.set("forbidden", vec!["spam"]).set("warnings", 1)
    };
    let house = Plan::new().await.three().plugin("moderator", "moderator", all).start().await;
    running(&house, "moderator").await;
    let room = prosody().await.fresh_room();
    let jid = room.to_string();
    house.call(FULL, "rooms.open", json!({ "jid": jid, "nick": "Bot" })).await.ok();
    let (mut paris, mut juliet) = (friend("paris").await, friend("juliet").await);
    let admin = json!({ "jid": jid, "user": juliet.jid().to_bare().to_string(), "affiliation": "admin" });
    house.call(FULL, "rooms.set-affiliation", admin).await.ok();
    paris.join(&room, "Paris", SOON).await.unwrap();
    juliet.join(&room, "Juliet", SOON).await.unwrap();

    let gone = house.listen(FULL, "occupantLeft").await;
    paris.say(&room, "buy SPAM!").await.unwrap();
    let says = |text: &'static str| move |said: &str| (said == text).then_some(());
    let warning = "Paris: please do not say \u{201c}spam\u{201d} here (1 of 1)";
    paris.wait_text("the warning", &room, SOON, says(warning)).await.unwrap();
    paris.say(&room, "spam").await.unwrap();
    let left = house.heard(FULL, gone).await["payload"]["occupant"].clone();
    assert_eq!((&left["nick"], &left["left"]), (&json!("Paris"), &json!("kicked")));

    // An admin gives orders; nobody else is heard.
    let mut paris = friend("paris").await;
    paris.join(&room, "Paris", SOON).await.unwrap();
    paris.say(&room, "!ban Juliet").await.unwrap();
    let gone = house.listen(FULL, "occupantLeft").await;
    juliet.say(&room, "!ban Paris enough of that").await.unwrap();
    let left = house.heard(FULL, gone).await["payload"]["occupant"].clone();
    assert_eq!((&left["nick"], &left["left"]), (&json!("Paris"), &json!("banned")));
    let banned = house.call(FULL, "rooms.affiliations", json!({ "jid": jid, "affiliation": "outcast" })).await.ok();
    assert_eq!(banned[0]["jid"], paris.jid().to_bare().to_string());
    house.stop().await;
}
