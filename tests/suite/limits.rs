//! Each limit of a plugin takes effect at the owner's value, and no other plugin is affected.

use std::time::{Duration, Instant};

use parlor_runtime::supervisor::State;
use parlor_tests::component::graft;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use crate::house::{BARE, FULL, House, Plan, SOON, friend, granted, prosody, running};
use crate::trace;

/// Starts a host that needs no server, with a good plugin and a bad one.
async fn with_unruly(behaviour: &str, limit: impl FnOnce(Entry) -> Entry) -> House {
    let plan = Plan::offline().caller(BARE, |entry| entry);
    plan.plugin("unruly", "unruly", |entry| limit(entry.set("behaviour", behaviour))).start().await
}

/// Checks that the bad plugin is ended for this reason, and that the good one runs.
async fn ends(house: House, reason: &str) {
    let line = house.logged("plugin ended", &[("plugin", "unruly")]).await;
    assert_eq!(line.get("reason"), reason);
    house.call(BARE, "user.jid", Value::Null).await.ok();
    house.stop().await;
}

/// Waits until the bad plugin logs this line.
async fn says(house: &House, line: &str) {
    house.logged(line, &[("plugin", "unruly")]).await;
    assert_eq!(house.state("unruly").await, State::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    let house = with_unruly("grow-memory", |entry| entry.limit("memory", "4 MiB")).await;
    ends(house, "it wanted more memory than its limit of 4 MiB").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_all_memories_together() {
    let more = "(module (memory 48) (func $start (drop (memory.grow (i32.const 1)))) (start $start))";
    let fits = with_modules(&[more], |entry| entry.limit("memory", "8 MiB")).await;
    assert_eq!(fits.state("grafted").await, State::Running);
    let house = with_modules(&[more, more, more], |entry| entry.limit("memory", "8 MiB")).await;
    grafted_ends(&house, "it wanted more memory than its limit of 8 MiB").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memories() {
    let memory = "(module (memory 1))";
    let fits = with_modules(&[memory], |entry| entry.limit("memories", 2)).await;
    assert_eq!(fits.state("grafted").await, State::Running);
    let house = with_modules(&[memory, memory], |entry| entry.limit("memories", 2)).await;
    grafted_ends(&house, "resource limit exceeded: memory count too high at 3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables() {
    let house = with_modules(&["(module (table 1 funcref))"; 4], |entry| entry.limit("tables", 4)).await;
    let line = house.logged("plugin ended", &[("plugin", "grafted")]).await;
    assert!(line.get("reason").contains("table count too high"), "{line:?}");
    house.call(BARE, "user.jid", Value::Null).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn table_elements() {
    let table =
        "(module (table 500 funcref) (func $start (drop (table.grow (ref.null func) (i32.const 1)))) (start $start))";
    let fits = with_modules(&[table], |entry| entry.limit("table_elements", 501)).await;
    assert_eq!(fits.state("grafted").await, State::Running);
    let house = with_modules(&[table], |entry| entry.limit("table_elements", 500)).await;
    grafted_ends(&house, "it wanted more table elements than its limit of 500").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn core_instances() {
    let house = with_modules(&["(module)"; 20], |entry| entry.limit("instances", 20)).await;
    let line = house.logged("plugin ended", &[("plugin", "grafted")]).await;
    assert!(line.get("reason").contains("instance count too high"), "{line:?}");
    let fits = with_modules(&["(module)"; 20], |entry| entry).await;
    assert_eq!(fits.state("grafted").await, State::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn handles() {
    let house = with_unruly("handles", |entry| entry.limit("handles", 64)).await;
    ends(house, "it wanted more handles than its limit of 64").await;

    let few = |entry: Entry| entry.limit("handles", 64);
    let house = Plan::offline().caller(FULL, few).start().await;
    let asleep = house.order(FULL, "deed.sleep", json!({ "times": 20 })).await;
    house.call(FULL, "user.jid", Value::Null).await.ok();
    assert!(house.ears().nothing_from(FULL, asleep));
    house.order(FULL, "deed.sleep", json!({ "times": 100 })).await;
    let line = house.logged("plugin ended", &[("plugin", FULL)]).await;
    assert_eq!(line.get("reason"), "it wanted more handles than its limit of 64 while it handled full.order");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostcall_bytes() {
    let house = with_unruly("big-argument", |entry| entry.limit("memory", "128 MiB")).await;
    ends(house, "it handed over more in one call than its limit of 4 MiB").await;

    let house = Plan::offline().caller(FULL, |entry| entry.limit("hostcall_bytes", "64 KiB")).start().await;
    let emit = |length: usize| json!({ "name": "big", "payload": "x".repeat(length) });
    house.call(FULL, "api.emit", emit(30 << 10)).await.ok();
    house.order(FULL, "log.write", json!({ "level": "info", "message": "x".repeat(60 << 10), "times": 2 })).await;
    house.call(FULL, "user.jid", Value::Null).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn recursion() {
    ends(with_unruly("recursion", |entry| entry).await, "it used up its stack").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_without_a_pause() {
    for behaviour in ["spin", "copy-memory", "flood-calls"] {
        let house = with_unruly(behaviour, |entry| entry.limit("cpu_slice", "50 ms")).await;
        ends(house, "it computed for 50 ms without a pause").await;
    }
}

/// A busy plugin that sometimes waits is moved to the background runtime, and back once it has become idle.
#[tokio::test(flavor = "multi_thread")]
async fn cpu_share() {
    let plan = Plan::offline().caller(BARE, |entry| entry);
    let busy = |entry: Entry| entry.limit("cpu_burst", "10 ms").limit("cpu_share", 0.2);
    let house = plan.caller(FULL, busy).start().await;
    let instance = house.instance(FULL).await;
    let began = Instant::now();
    let work = house.order(FULL, "deed.work", json!({ "times": 40 })).await;
    house.logged("plugin moved", &[("plugin", FULL), ("in_yard", "true")]).await;
    house.call(BARE, "user.jid", Value::Null).await.ok();
    house.answer(FULL, "deed.work", work).await.ok();
    let (used, wall) = (instance.cpu.used(), began.elapsed());
    assert!(used > Duration::from_millis(20), "{used:?} is no work");
    assert!(
        used <= wall.mul_f64(0.2) + Duration::from_millis(20),
        "{used:?} of CPU in {wall:?} is more than its share"
    );
    // It is checked whenever it is woken.
    while instance.cpu.in_yard() {
        assert!(began.elapsed() < wall + SOON, "it does not come back");
        house.call(FULL, "user.jid", Value::Null).await.ok();
    }
    house.logged("plugin moved", &[("plugin", FULL), ("in_yard", "false")]).await;
    house.call(FULL, "user.jid", Value::Null).await.ok();
    assert_eq!(house.state(FULL).await, State::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_in_flight() {
    let plan = Plan::offline().caller(BARE, |entry| entry);
    let house = plan.caller(FULL, |entry| entry.limit("handlers", 2)).start().await;
    house.ears().promise("go").await;
    let slow = house.order(FULL, "listen.on-and-wait", json!({ "name": "work", "promise": "go" })).await;
    house.answer(FULL, "listen.on-and-wait", slow).await.ok();
    for number in 1..=3 {
        house.ears().emit("work", &json!(number)).await;
    }
    for number in 1..=2 {
        assert_eq!(house.heard(FULL, slow).await["payload"]["json"], number);
    }
    for _ in 0..20 {
        house.call(BARE, "user.jid", Value::Null).await.ok();
    }
    assert!(house.ears().heard_nothing(FULL, slow), "a third handler began");
    house.ears().emit("go", &Value::Null).await;
    assert_eq!(house.heard(FULL, slow).await["payload"]["json"], 3);
}

/// Events `lagged`.
#[tokio::test(flavor = "multi_thread")]
async fn the_mailbox_and_what_it_lost_is_told() {
    let house = Plan::offline().caller(FULL, |entry| entry.limit("handlers", 1).limit("mailbox", 4)).start().await;
    let lagged = house.listen(FULL, "lagged").await;
    let mut all = 0;
    for lost in [10, 3] {
        house.ears().promise("go").await;
        let slow = house.order(FULL, "listen.on-and-wait", json!({ "name": "work", "promise": "go" })).await;
        house.answer(FULL, "listen.on-and-wait", slow).await.ok();
        house.ears().emit("work", &json!("first")).await;
        house.heard(FULL, slow).await;
        // One event is being handled, four wait, and the others are lost.
        for number in 0..4 + lost {
            house.ears().emit("work", &json!(number)).await;
        }
        // The count is visible before the plugin is told.
        all += lost;
        assert_eq!(house.instance(FULL).await.usage(None).lost, all);
        house.ears().emit("go", &Value::Null).await;
        assert_eq!(house.heard(FULL, lagged).await["payload"], json!({ "json": { "lost": lost } }));
        for number in 0..4 {
            assert_eq!(house.heard(FULL, slow).await["payload"]["json"], number);
        }
        house.call(FULL, "listen.not", json!({ "order": slow })).await.ok();
        assert!(house.heard_so_far(FULL, slow).await.is_empty());
        assert!(house.heard_so_far(FULL, lagged).await.is_empty());
        assert_eq!(house.instance(FULL).await.usage(None).lost, all);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions() {
    let house = with_unruly("many-subscriptions", |entry| entry.limit("subscriptions", 5)).await;
    says(&house, "ManySubscriptions: got 5 subscriptions: over limit: 5 subscriptions").await;
    let instance = house.instance("unruly").await;
    assert_eq!(house.shared().router.count(instance.id), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn promises() {
    let house = with_unruly("many-promises", |entry| entry.limit("promises", 3)).await;
    says(&house, "ManyPromises: got 3 promises: over limit: 3 promises").await;
    let house = with_unruly("many-promises", |entry| entry.limit("promises", 100)).await;
    says(&house, "ManyPromises: got 100 promises: over limit: 100 promises").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timers() {
    let house = with_unruly("many-timers", |entry| entry.limit("timers", 7)).await;
    says(&house, "ManyTimers: got 7 timers: over limit: 7 timers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_calls() {
    let house = Plan::offline().caller(FULL, |entry| entry.limit("open_calls", 8)).start().await;
    house.ears().promise("go").await;
    let waits = house.order(FULL, "deed.wait-until", json!({ "promise": "go", "times": 13 })).await;
    let mut open = house.instance(FULL).await.waits();
    assert_eq!(open.wait_for(|waits| waits.for_session >= 8).await.unwrap().for_session, 8);
    house.ears().emit("go", &Value::Null).await;
    let outcome = house.answer(FULL, "deed.wait-until", waits).await.ok();
    assert_eq!((&outcome["came"], &outcome["failed"]), (&json!(8), &json!(5)), "{outcome}");
    assert_eq!(outcome["error"], json!({ "case": "over-limit", "what": "8 open calls" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_nobody_answers() {
    let house = Plan::new().await.caller(FULL, |entry| granted(entry).limit("iqs", 2)).start().await;
    let silent = friend("silent").await;
    let iq = json!({ "iq": format!("<iq type='get' to='{}'><x xmlns='urn:x'/></iq>", silent.jid()) });
    for _ in 0..2 {
        house.order(FULL, "api.send-iq", iq.clone()).await;
    }
    let error = house.call(FULL, "api.send-iq", iq).await.fails("over-limit");
    assert_eq!(error["what"], "2 questions at once");
    house
        .call(FULL, "disco.supports", json!({ "feature": "urn:x", "jid": silent.jid().to_string() }))
        .await
        .fails("over-limit");
    // Calls without a request to others continue to work.
    house.call(FULL, "chats.send", json!({ "jid": silent.jid().to_string(), "body": "hello" })).await.ok();
}

/// IQs stay pending whether or not the plugin waits for the answer.
#[tokio::test(flavor = "multi_thread")]
async fn questions_that_are_given_up() {
    let house = Plan::new().await.caller(FULL, |entry| granted(entry).limit("iqs", 2)).start().await;
    let silent = friend("silent").await;
    let iq = format!("<iq type='get' to='{}'><x xmlns='urn:x'/></iq>", silent.jid());
    let counts = house.call(FULL, "deed.ask-and-give-up", json!({ "iq": iq, "times": 5 })).await.ok();
    assert_eq!((&counts["came"], &counts["failed"]), (&json!(2), &json!(3)), "{counts}");
    assert_eq!(counts["error"]["case"], "over-limit", "{counts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms() {
    let house = Plan::new().await.caller(FULL, |entry| granted(entry).limit("rooms", 1)).start().await;
    let server = prosody().await;
    let (one, two, three) = (server.fresh_room(), server.fresh_room(), server.fresh_room());
    let named = |room: &jid::BareJid| json!({ "jid": room.to_string() });
    house.call(FULL, "rooms.open", named(&one)).await.ok();
    let error = house.call(FULL, "rooms.open", named(&two)).await.fails("over-limit");
    assert_eq!(error["what"], "1 rooms");
    house.call(FULL, "rooms.open", named(&one)).await.ok();
    house.call(FULL, "rooms.close", named(&one)).await.ok();
    house.call(FULL, "rooms.open", named(&two)).await.ok();
    // A restart does not reset the limit.
    house.order(FULL, "deed.panic", Value::Null).await;
    house.logged("plugin ended", &[("plugin", FULL)]).await;
    running(&house, FULL).await;
    house.call(FULL, "rooms.open", named(&three)).await.fails("over-limit");
    house.call(FULL, "rooms.close", named(&two)).await.ok();
    house.call(FULL, "rooms.open", named(&three)).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands() {
    let house = Plan::offline().caller(FULL, |entry| entry.limit("commands", 1)).start().await;
    let named = |name: &str| json!({ "name": name });
    house.call(FULL, "commands.add", named("one")).await.ok();
    let error = house.call(FULL, "commands.add", named("two")).await.fails("over-limit");
    assert_eq!(error["what"], "1 commands");
    house.call(FULL, "commands.remove", named("one")).await.ok();
    house.call(FULL, "commands.add", named("two")).await.ok();
}

/// A call that the account's task carries out for one plugin delays all others.
#[tokio::test(flavor = "multi_thread")]
async fn calls_a_second() {
    let house = Plan::offline().caller(FULL, |entry| entry.limit("calls_per_second", 2)).start().await;
    let add = json!({ "name": "mine" });
    let all: Vec<_> =
        futures_util::future::join_all((0..20).map(|_| house.order(FULL, "promises.add", add.clone()))).await;
    let mut refused = 0;
    for order in all {
        if let Err(error) = house.answer(FULL, "promises.add", order).await.result {
            assert_eq!((&error["case"], &error["what"]), (&json!("over-limit"), &json!("2 calls a second")));
            refused += 1;
        }
    }
    // The bound is a burst of two, and what two seconds bring. Some calls wait for each other's turn.
    assert!((10..=17).contains(&refused), "{refused}");
}

/// Otherwise a few hundred calls with long values would take a few hundred MiB.
#[tokio::test(flavor = "multi_thread")]
async fn memory_of_calls_that_wait() {
    let little = |entry: Entry| granted(entry).limit("host_memory", "1 MiB").limit("storage_per_second", "512 KiB");
    let house = Plan::offline().caller(FULL, little).start().await;
    let set = |number: u32| json!({ "key": format!("k{number}"), "length": 200 << 10 });
    let all: Vec<_> =
        futures_util::future::join_all((0..24).map(|number| house.order(FULL, "storage.set-long", set(number)))).await;
    let mut refused = 0;
    for order in all {
        if let Err(error) = house.answer(FULL, "storage.set-long", order).await.result {
            assert_eq!(error["case"], "over-limit");
            refused += usize::from(error["what"] == "1 MiB of memory for calls that wait");
        }
    }
    assert!(refused > 0);
    house.call(FULL, "storage.set-long", json!({ "key": "k", "length": 1 })).await.ok();
}

/// The plugins share the connection.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_a_second() {
    let little = |entry: Entry| granted(entry).limit("bytes_per_second", "256 KiB");
    let house = Plan::offline().caller(FULL, little).start().await;
    let send = json!({ "jid": "friend@localhost", "body": "x".repeat(60_000) });
    let all: Vec<_> =
        futures_util::future::join_all((0..20).map(|_| house.order(FULL, "chats.send", send.clone()))).await;
    let mut refused = 0;
    for order in all {
        if let Err(error) = house.answer(FULL, "chats.send", order).await.result {
            refused += usize::from(error["what"] == "256 KiB sent a second");
        }
    }
    // The bound is a burst of four, and what two seconds bring. The others fail because the account is offline.
    assert!((1..=16).contains(&refused), "{refused}");
}

/// The plugins share the disk.
#[tokio::test(flavor = "multi_thread")]
async fn storage_a_second() {
    let little = |entry: Entry| granted(entry).limit("storage_per_second", "512 KiB");
    let house = Plan::offline().caller(FULL, little).start().await;
    let set = |number: u32| json!({ "key": format!("k{number}"), "length": 200 << 10 });
    let all: Vec<_> =
        futures_util::future::join_all((0..16).map(|number| house.order(FULL, "storage.set-long", set(number)))).await;
    let mut refused = 0;
    for order in all {
        if let Err(error) = house.answer(FULL, "storage.set-long", order).await.result {
            assert_eq!((&error["case"], &error["what"]), (&json!("over-limit"), &json!("512 KiB of storage a second")));
            refused += 1;
        }
    }
    // The bound is a burst of two, and what two seconds bring. Some calls wait for each other's turn.
    assert!((6..=12).contains(&refused), "{refused}");
    // Sequential calls wait, and are never refused.
    for number in 0..6 {
        house.call(FULL, "storage.set-long", set(number)).await.ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_a_second() {
    let house = Plan::offline().caller(FULL, |entry| entry.limit("log_lines_per_second", 5)).start().await;
    let flood = json!({ "level": "info", "message": "flood", "times": 1_000 });
    house.call(FULL, "log.write", flood).await.ok();
    // The next line that is written reports how many were dropped.
    let dropped = loop {
        house.call(FULL, "log.write", json!({ "level": "info", "message": "after" })).await.ok();
        let lines = trace::with("account", house.name());
        if lines.iter().any(|line| line.get("message") == "after") {
            break lines;
        }
    };
    let written = dropped.iter().filter(|line| line.get("message") == "flood").count();
    assert!((5..=10).contains(&written), "{written} lines at once");
    let told: usize = dropped.iter().map(|line| line.get("dropped").parse().unwrap_or(0)).sum();
    assert!(told >= 1_000 - written, "{told} of {} were told", 1_000 - written);
}

/// Warnings that a plugin causes count against its limit for log lines.
#[tokio::test(flavor = "multi_thread")]
async fn warnings_of_names_are_lines_of_the_plugins() {
    let house = Plan::offline().caller(FULL, |entry| entry.limit("log_lines_per_second", 5)).start().await;
    let began = Instant::now();
    for number in 0..60 {
        house.listen(FULL, &format!("nonsense{number}")).await;
    }
    // Once the first warning is written, all others within the limit are as well.
    house.logged("nobody declares the event that a plugin listens to", &[("event", "nonsense0")]).await;
    let lines = trace::with("account", house.name());
    let warned = lines.iter().filter(|line| line.get("event").starts_with("nonsense")).count();
    let room = 10 + 5 * began.elapsed().as_secs();
    assert!(u64::try_from(warned).unwrap() <= room, "{warned} lines of 60, where there is room for {room}");
}

/// A flood is first slowed down, and refused if that is not enough.
#[tokio::test(flavor = "multi_thread")]
async fn messages_a_second() {
    let slow = |entry: Entry| granted(entry).limit("messages_per_second", 4).limit("messages_burst", 2);
    let house = Plan::new().await.caller(FULL, slow).start().await;
    let mut friend = friend("friend").await;
    let jid = friend.jid().to_bare();
    let began = Instant::now();
    let three = house.call(FULL, "deed.send", json!({ "jid": jid.to_string(), "times": 3 })).await.ok();
    assert_eq!(three["came"], 3, "{three}");
    assert!(began.elapsed() >= Duration::from_millis(200), "the third was not slowed down: {:?}", began.elapsed());
    let many = house.call(FULL, "deed.send", json!({ "jid": jid.to_string(), "times": 30 })).await.ok();
    let (came, failed) = (many["came"].as_u64().unwrap(), many["failed"].as_u64().unwrap());
    assert!(came + failed == 30 && (2..=14).contains(&came), "{many}");
    assert_eq!(many["error"], json!({ "case": "over-limit", "what": "4 stanzas a second" }));
    house.call(FULL, "api.send", json!({ "stanza": format!("<message to='{jid}'><body>end</body></message>") })).await;
    friend.catch_up(SOON).await.unwrap();
    let arrived = friend.received_xml().iter().filter(|xml| xml.starts_with("<message")).count();
    assert!((came + 3..=came + 4).contains(&(arrived as u64)), "{arrived} arrived of {came} + 3");
}

/// The same for events: those that were fired are heard, and no others.
#[tokio::test(flavor = "multi_thread")]
async fn events_a_second() {
    let plan = Plan::offline().caller(BARE, |entry| entry);
    let house = plan.caller(FULL, |entry| entry.limit("events_per_second", 20)).start().await;
    let heard = house.listen(BARE, "flood").await;
    let many = house.call(FULL, "deed.emit", json!({ "name": "flood", "times": 200 })).await.ok();
    let (came, failed) = (many["came"].as_u64().unwrap(), many["failed"].as_u64().unwrap());
    // The bucket refills while they wait, by an amount that depends on the machine.
    assert!(came + failed == 200 && came >= 20 && failed > 0, "{many}");
    assert_eq!(many["error"], json!({ "case": "over-limit", "what": "20 events a second" }));
    for _ in 0..came {
        house.heard(BARE, heard).await;
    }
    assert!(house.heard_so_far(BARE, heard).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn time_to_initialize() {
    let house = with_unruly("initialize-sleeps", |entry| entry.limit("initialize", "100 ms")).await;
    ends(house, "its initialize did not return within 100 ms").await;
    let house = with_unruly("initialize-spins", |entry| entry.limit("cpu_slice", "50 ms")).await;
    ends(house, "it computed for 50 ms without a pause").await;
}

/// Row 7: deadlines are suspended while a plugin waits for the session, and the host does not wait for the plugin.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_promise_is_not_held_against_it() {
    let house = with_unruly("initialize-never-returns", |entry| entry.limit("initialize", "100 ms")).await;
    let timer = house.order(BARE, "timers.sleep", json!({ "milliseconds": 300 })).await;
    house.answer(BARE, "timers.sleep", timer).await.ok();
    assert_eq!(house.state("unruly").await, State::Starting);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_to_stop() {
    for (behaviour, message) in [
        ("stop-never-returns", "plugin did not stop within 100 ms and was ended"),
        ("stop-spins", "plugin did not stop within 100 ms and was ended"),
        ("stop-traps", "plugin failed while stopping"),
    ] {
        let house = with_unruly(behaviour, |entry| entry.limit("stop", "100 ms")).await;
        let name = house.name().to_owned();
        house.stop().await;
        assert!(trace::with("account", &name).iter().any(|line| line.is(message, &[])), "{}", trace::tail(&name));
    }
}

/// The time limit of a handler includes its waits. Exceeding it ends the whole plugin.
#[tokio::test(flavor = "multi_thread")]
async fn time_of_a_handler() {
    let plan = Plan::offline().caller(BARE, |entry| entry);
    let house = plan.caller(FULL, |entry| entry.limit("handler", "200 ms")).start().await;
    house.call(FULL, "timers.sleep", json!({ "milliseconds": 20 })).await.ok();
    let began = Instant::now();
    house.order(FULL, "timers.sleep", json!({ "milliseconds": 60_000 })).await;
    let line = house.logged("plugin ended", &[("plugin", FULL)]).await;
    assert_eq!(line.get("reason"), "a handler of full.order did not return within 200 ms");
    assert!(began.elapsed() >= Duration::from_millis(200));
    house.call(BARE, "timers.sleep", json!({ "milliseconds": 300 })).await.ok();
    running(&house, FULL).await;
}

/// A plugin that fails repeatedly is restarted after pauses, and finally quarantined.
#[tokio::test(flavor = "multi_thread")]
async fn failures() {
    let house = with_unruly("trap", |entry| entry).await;
    let line = house.logged("plugin quarantined", &[("plugin", "unruly")]).await;
    assert_eq!((line.get("failures"), line.get("reason")), ("5", "it panicked or aborted"));
    assert_eq!(house.state("unruly").await, State::Quarantined("it panicked or aborted".to_owned()));
    house.call(BARE, "user.jid", Value::Null).await.ok();
}

/// Starts a host with a good plugin, and the same plugin with more core modules in it.
async fn with_modules(modules: &[&str], limit: impl FnOnce(Entry) -> Entry) -> House {
    let mut bytes = plugins::built("caller").unwrap().bytes().unwrap();
    for module in modules {
        graft(&mut bytes, &wat::parse_str(module).unwrap()).unwrap();
    }
    let plan = Plan::offline().caller(BARE, |entry| entry);
    plan.bytes("grafted", &bytes, |entry| limit(entry.set("name", "grafted"))).start().await
}

async fn grafted_ends(house: &House, reason: &str) {
    let line = house.logged("plugin ended", &[("plugin", "grafted")]).await;
    assert_eq!(line.get("reason"), reason);
    house.call(BARE, "user.jid", Value::Null).await.ok();
}

/// The bindings leak the block of each event's fields, 416 bytes, unless the SDK frees it.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_needs_no_more_memory_for_many_events_than_for_few() {
    const EVENTS: u64 = 20_000;
    let entry = |entry: Entry| entry.limit("memory", "2 MiB").limit("mailbox", 32_768).limit("cpu_share", 1.0);
    let house = Plan::offline().plugin("meter", "meter", entry).start().await;
    let meter = house.instance("meter").await;
    for _ in 0..EVENTS {
        house.ears().emit("tick", &Value::Null).await;
    }
    let began = Instant::now();
    while meter.counters.handled.load(std::sync::atomic::Ordering::Relaxed) < EVENTS {
        assert_eq!(house.state("meter").await, State::Running);
        assert!(began.elapsed() < SOON, "not handled within {SOON:?}");
        tokio::task::yield_now().await;
    }
    assert_eq!(house.state("meter").await, State::Running);
}
