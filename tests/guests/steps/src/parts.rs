//! The steps of each part.

use parlor_sdk::bindings::parlor::plugin;
use parlor_sdk::prelude::*;
use parlor_sdk::stanza::{self, Element, IqKind, ns};

use crate::{Steps, hear, or_none};

/// Texts that must be escaped, and texts that must not be.
const TEXTS: [&str; 4] = ["<body>", "a & b", "'single' and \"double\"", "h\u{fc}\u{1f355}"];

pub(crate) async fn take(part: &str, steps: &mut Steps, message: &Message) {
    match part {
        "settings" => settings(steps).await,
        "storage" => storage(steps).await,
        "timers" => timers(steps).await,
        "listen" => listen(steps).await,
        "heard" => steps.heard(),
        "promises" => promises(steps).await,
        "wait" => {
            info!("waiting for {}", steps.rest);
            steps.note("wait for another's promise", wait_until(&steps.rest).await.map(json_of));
        }
        "messages" => messages(steps, message).await,
        "stanza" => stanzas(steps).await,
        "rooms" => rooms(steps).await,
        "account" => account(steps).await,
        "commands" => declares(steps).await,
        "schedules" => schedules(steps).await,
        "others" => others(steps).await,
        _ => {}
    }
}

fn json_of(payload: Payload) -> String {
    match payload {
        Payload::Json(json) => json,
        Payload::None => "none".to_owned(),
        _ => "something else".to_owned(),
    }
}

async fn settings(steps: &mut Steps) {
    steps.note("a text of the manifest", settings::get("greeting").map(or_none));
    steps.note("a number of the manifest", settings::get::<u32>("count").map(Option::unwrap_or_default));
    steps.note("a flag of the manifest", settings::get::<bool>("loud").map(|loud| loud.unwrap_or(true)));
    steps.note("a setting that nobody has", settings::get("nobody").map(or_none));
    steps.done("set a text", settings::set("greeting", "h\u{fc} \"\\ <&>").await);
    steps.note("read it", settings::get("greeting").map(or_none));
    steps.fails("set a number to a text", settings::set("count", "many").await);
    steps.fails("set what is the operator's", settings::set("password", "secret").await);
    steps.done("a new default", settings::update([("count", 9)]).await);
    steps.note("the new default", settings::get::<u32>("count").map(Option::unwrap_or_default));
}

async fn storage(steps: &mut Steps) {
    steps.note("nothing is kept", storage::get("a").await.map(or_none));
    steps.done("keep a text", storage::set("a", &"v\u{e4}l\"ue").await);
    steps.note("read it", storage::get("a").await.map(or_none));
    steps.done("keep another", storage::set("b/\u{fc}", &"two").await);
    steps.note("all keys", storage::keys("").await.map(|keys| keys.join(",")));
    steps.note("keys that begin so", storage::keys("b/").await.map(|keys| keys.join(",")));
    let page = storage::list("", None, 1).await;
    steps.note("a page of one", page.map(|page| format!("{} then {}", page.keys.join(","), or_none(page.next))));
    steps.note("forget it", storage::delete("b/\u{fc}").await);
    steps.note("forget it again", storage::delete("b/\u{fc}").await);
    let (one, two) = (|| Some(b"1".to_vec()), || Some(b"2".to_vec()));
    steps.note("put one where nothing is", storage::compare_and_set_bytes("n", None, one(), None).await);
    steps.note("put two where one is", storage::compare_and_set_bytes("n", one(), two(), None).await);
    steps.fails("keep too much", storage::set_bytes("much", vec![b'x'; 100_000], None).await);
    steps.fails("keep it under no key", storage::set("", &"x").await);
}

async fn timers(steps: &mut Steps) {
    timers::sleep(Duration::from_millis(5)).await;
    steps.done("sleep", Ok(()));
    steps.fails("a period that is too short", timers::every(Duration::from_millis(1), || async { Ok(()) }));
    steps.fails("cancel what is no timer", plugin::timers::cancel(123_456).map_err(Error::from));
    let friend = steps.friend.clone();
    let after = timers::after(Duration::from_millis(10), move || async move {
        hear("a timer fired", Ok("done"));
        chats::send(friend, "fired").await.map(drop)
    });
    steps.done("begin a timer", after.map(drop));
}

async fn listen(steps: &mut Steps) {
    let friend = steps.friend.clone();
    let heard = on("stepsEvent").once(move |event: Event| async move {
        hear("an event of one's own", event.payload.json::<Value>().map(|json| json["n"].to_string()));
        chats::send(friend, "heard").await.map(drop)
    });
    steps.done("listen once", heard.map(drop));
    let subscription = on("nobodyFiresIt").run(|_: Event| async { Ok(()) });
    steps.note("listen to what nobody fires", subscription.as_ref().map(|_| "done").map_err(Clone::clone));
    if let Ok(subscription) = subscription {
        steps.done("listen no more", subscription.end());
        steps.fails("end it again", subscription.end());
    }
    steps.fails("listen to no address", on("message").from("@").run(|_: Event| async { Ok(()) }));
    steps.done("fire an event", emit("stepsEvent", json!({ "n": 42 })).await);
}

async fn promises(steps: &mut Steps) {
    steps.fails("wait for what nobody promised", wait_until("stepsNever").await);
    steps.done("promise", promises::add("stepsDone").await);
    steps.done("keep it", emit("stepsDone", json!({ "kept": [1, "two"] })).await);
    steps.note("wait for what is kept", wait_until("stepsDone").await.map(json_of));
    steps.done("promise two", promises::add_all(["stepsOne", "stepsTwo"]).await);
    steps.done("break one", promises::reject("stepsOne", "no bread").await);
    steps.fails("wait for what is broken", wait_until("stepsOne").await);
    steps.fails("promise what is the host's", promises::add("roster").await);
    steps.fails("keep what is another's", emit("promised", 1).await);
    steps.note("wait for the host", wait_until("pluginsInitialized").await.map(json_of));
}

async fn messages(steps: &mut Steps, heard: &Message) {
    let friend = &steps.friend.clone();
    steps.note("what came", Ok::<_, Error>(format!("{} {} {}", heard.kind, heard.delayed, steps.rest)));
    steps.some("say something", chats::send(friend, "hello").await);
    steps.some("with subject and thread", chats::send(friend, Outgoing::new("on").subject("so").thread("t1")).await);
    steps.some("correct it", chats::send(friend, Outgoing::new("hallo").replacing("m1")).await);
    steps.some("say what one does", chats::send(friend, Outgoing::chat_state("composing")).await);
    steps.some("ask for a receipt", chats::send(friend, Outgoing::new("there?").with_receipt()).await);
    steps.fails("to nobody", chats::send("", "hello").await);
    steps.fails("to no address", chats::send("@", "hello").await);
    steps.fails("to whom nobody granted", chats::send("nobody@nowhere.invalid", "hello").await);
    steps.fails("nothing at all", chats::send(friend, Outgoing::default()).await);
    steps.fails("what XML cannot hold", chats::send(friend, "a\u{1}b").await);
}

async fn stanzas(steps: &mut Steps) {
    for text in TEXTS {
        let element = Element::new("a").attr("b", text).text(text).to_string();
        steps.note("escape", Ok::<_, Error>(element));
    }
    let friend = steps.friend.clone();
    let body = |text: &str| stanza::message().to(&friend).child(Element::new("body").text(text));
    steps.done("send what was built", api::send(body("<built> & sent")).await);
    steps.fails("under another's name", api::send(body("false").attr("from", &friend)).await);
    steps.fails("what is no XML", api::send("<message").await);
    steps.fails("two at once", api::send("<message/><message/>").await);
    steps.fails("presence without a grant", api::send(stanza::presence()).await);
    let ping = stanza::iq(IqKind::Get).to("localhost").child(Element::new("ping").ns(ns::PING));
    steps.note("ask", api::send_iq(ping).await.map(|answer| answer.contains("type='result'")));
    let nonsense = stanza::iq(IqKind::Get).to("localhost").child(Element::new("nonsense").ns("urn:test:nonsense"));
    steps.fails("ask what nobody knows", api::send_iq(nonsense).await);
}

async fn rooms(steps: &mut Steps) {
    let room = &steps.room.clone();
    let attributes = || rooms::nick("steps");
    let shown = |room: Room| format!("{} {} {} {}", room.nick, room.role, room.affiliation, room.joined);
    let none_or = |room: Option<Room>| or_none(room.map(shown));
    steps.note("not in the room", rooms::get(room).map(none_or));
    steps.note("enter", rooms::open(room, attributes()).await.map(shown));
    steps.note("in the room", rooms::get(room).map(none_or));
    let nicks = |occupants: Vec<Occupant>| occupants.into_iter().map(|one| one.nick).collect::<Vec<_>>().join(",");
    steps.note("who is there", rooms::occupants(room).map(nicks));
    steps.some("say something", rooms::send(room, "hello").await);
    steps.done("what it is about", rooms::set_subject(room, "steps & stairs").await);
    steps.done("keep an attribute", rooms::set_attribute(room, "height", 400).await);
    steps.note("read it", rooms::get_attribute::<u32>(room, "height").map(Option::unwrap_or_default));
    let owners = rooms::affiliations(room, Affiliation::Owner).await;
    steps.note("who owns it", owners.map(|owners| owners.len()));
    steps.fails("throw out who is not there", rooms::kick(room, "nobody", None).await);
    steps.done("leave", rooms::close(room).await);
    steps.fails("leave again", rooms::close(room).await);
    steps.fails("enter what is no room", rooms::open("@", attributes()).await);
    steps.fails("speak where one is not", rooms::send(room, "hello").await);
}

/// Returns the first words of the first and the last message.
async fn ends(friend: &str) -> Result<String> {
    let mut messages = archive::query_all(archive::Options::with(friend)).await?;
    let mut words = Vec::new();
    while let Some(archived) = messages.next().await? {
        let body = archived.message.body.unwrap_or_default();
        words.push(body.split(' ').next().unwrap_or_default().to_owned());
    }
    Ok(format!("{} to {}", or_none(words.first().cloned()), or_none(words.pop())))
}

async fn account(steps: &mut Steps) {
    let friend = &steps.friend.clone();
    let options = || archive::Options::with(friend).max(2);
    let page = archive::query(options()).await;
    steps.note("a page of the archive", page.as_ref().map(|page| page.messages.len()).map_err(Clone::clone));
    if let Ok(page) = page {
        let next = archive::query(page.rsm.next(3)).await;
        steps.note("the next", next.map(|page| page.messages.len()));
    }
    steps.fails("after what is not there", archive::query(options().after("nowhere")).await);
    steps.note("all of the archive", ends(friend).await);
    steps.note("somebody who is no contact", contacts::get(friend).map(|one| or_none(one.map(|one| one.fullname))));
    let added = contacts::add(friend, Some("Fr\u{e4}nd")).await;
    steps.note("add a contact", added.map(|one| format!("{} {}", one.fullname, one.subscription)));
    steps.done("put it into a group", contacts::set_groups(friend, ["climbers"]).await);
    let groups = contacts::get(friend).map(|one| or_none(one.map(|one| one.groups.join(","))));
    steps.note("its groups", groups);
    steps.done("remove it", contacts::remove(friend).await);
    let supports = disco::supports(ns::PING, "localhost").await;
    steps.note("what the server can do", supports.map(|answer| answer.supported));
    steps.note("say what one can do", disco::own_features_add("urn:test:steps").await);
    steps.note("say it again", disco::own_features_add("urn:test:steps").await);
    steps.done("be away", user::set_status("away", Some("on the stairs")).await);
    let status = user::get_status();
    steps.note("how one is", status.map(|status| format!("{} {}", status.value, status.message)));
    steps.fails("be what nobody is", user::set_status("asleep", None).await);
    let command = commands::add("climb", "Climbs", "[STEPS]", |_| async { Ok(()) });
    steps.done("add a command", command.await);
    steps.done("take it away", commands::remove("climb").await);
    steps.fails("take it away again", commands::remove("climb").await);
}

async fn declares(steps: &mut Steps) {
    let friend = steps.friend.clone();
    let stairs = commands::declare("stairs", "Climbs stairs")
        .integer("count", 1..=100)
        .default("1")
        .choice("how", ["slow", "fast"])
        .default("slow")
        .flag("loud")
        .rest("why")
        .optional();
    let declared = stairs.run(move |command: Command| {
        let friend = friend.clone();
        async move {
            let (count, how) = (command.integer("count")?, command.text("how")?);
            let (loud, why) = (command.flag("loud"), command.text("why")?);
            hear("a command came", Ok(format!("{count} {how} {loud} {why}")));
            chats::send(friend, "stairs").await.map(drop)
        }
    });
    steps.done("declare a command", declared.await);
    let nameless = commands::declare("no name", "Climbs nothing").run(|_| async { Ok(()) });
    steps.fails("declare what is no name", nameless.await);
}

async fn schedules(steps: &mut Steps) {
    const NOON: &str = "2026-07-01T12:00:00Z";
    steps.fails("a schedule that is due too often", schedules::every("often", Duration::from_millis(1)).await);
    steps.note("set a schedule", schedules::at("late", "2100-01-01T00:00:00Z").await);
    let names = schedules::list().await.map(|all| all.into_iter().map(|one| one.name).collect::<Vec<_>>().join(","));
    steps.note("all schedules", names);
    steps.note("a moment in a zone", schedules::format(NOON, "Europe/Berlin", "%H:%M"));
    steps.fails("a moment in no zone", schedules::format(NOON, "Nowhere/At_All", "%H:%M"));
    steps.note("end the schedule", schedules::cancel("late").await);
    steps.note("end it again", schedules::cancel("late").await);
}

/// Calls for somebody else, who is not there.
async fn others(steps: &mut Steps) {
    let nothing = || "none".to_owned();
    steps.fails("ask nobody", dialogs::ask("@", "Well?").await);
    let answered = plugin::iq::answer(nothing(), None).await;
    steps.fails("answer a request that nobody sent", answered.map_err(Error::from));
    steps.fails("give a verdict on nothing", plugin::hooks::allow(nothing()).await.map_err(Error::from));
    steps.fails("ask a plugin that is not there", plugins::call::<Value>("nobody", "rate", 1).await);
    steps.fails("read a node of the host", pubsub::items("pubsub.localhost", "storage:bookmarks", 1, None).await);
}
