//! Each limit of a plugin takes effect at the owner's value, and no other plugin is affected.

use std::time::{Duration, Instant};

use parlor_runtime::supervisor::State;
use parlor_tests::component::graft;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use serde_json::{Value, json};

use crate::test_host::{BARE, FULL, Plan, SOON, TestHost, friend, granted, prosody, running};
use crate::trace;

/// Starts a host that needs no server, with a good plugin and a bad one.
async fn with_unruly(behaviour: &str, limit: impl FnOnce(Entry) -> Entry) -> TestHost {
    let plan = Plan::offline().caller(BARE, |entry| entry);
    plan.plugin("unruly", "unruly", |entry| limit(entry.set("behaviour", behaviour))).start().await
}

/// Checks that the bad plugin is ended for this reason, and that the good one runs.
async fn ends(host: TestHost, reason: &str) {
    let line = host.logged("plugin ended", &[("plugin", "unruly")]).await;
    assert_eq!(line.get("reason"), reason);
    host.call(BARE, "user.jid", Value::Null).await.ok();
    host.stop().await;
}

/// Waits until the bad plugin logs this line.
async fn says(host: &TestHost, line: &str) {
    host.logged(line, &[("plugin", "unruly")]).await;
    assert_eq!(host.state("unruly").await, State::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    let host = with_unruly("grow-memory", |entry| entry.limit("memory", "4 MiB")).await;
    ends(host, "it wanted more memory than its limit of 4 MiB").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_all_memories_together() {
    let more = "(module (memory 48) (func $start (drop (memory.grow (i32.const 1)))) (start $start))";
    let fits = with_modules(&[more], |entry| entry.limit("memory", "8 MiB")).await;
    assert_eq!(fits.state("grafted").await, State::Running);
    let host = with_modules(&[more, more, more], |entry| entry.limit("memory", "8 MiB")).await;
    grafted_ends(&host, "it wanted more memory than its limit of 8 MiB").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memories() {
    let memory = "(module (memory 1))";
    let fits = with_modules(&[memory], |entry| entry.limit("memories", 2)).await;
    assert_eq!(fits.state("grafted").await, State::Running);
    let host = with_modules(&[memory, memory], |entry| entry.limit("memories", 2)).await;
    grafted_ends(&host, "resource limit exceeded: memory count too high at 3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables() {
    let host = with_modules(&["(module (table 1 funcref))"; 4], |entry| entry.limit("tables", 4)).await;
    let line = host.logged("plugin ended", &[("plugin", "grafted")]).await;
    assert!(line.get("reason").contains("table count too high"), "{line:?}");
    host.call(BARE, "user.jid", Value::Null).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn table_elements() {
    let table =
        "(module (table 500 funcref) (func $start (drop (table.grow (ref.null func) (i32.const 1)))) (start $start))";
    let fits = with_modules(&[table], |entry| entry.limit("table_elements", 501)).await;
    assert_eq!(fits.state("grafted").await, State::Running);
    let host = with_modules(&[table], |entry| entry.limit("table_elements", 500)).await;
    grafted_ends(&host, "it wanted more table elements than its limit of 500").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn core_instances() {
    let host = with_modules(&["(module)"; 20], |entry| entry.limit("instances", 20)).await;
    let line = host.logged("plugin ended", &[("plugin", "grafted")]).await;
    assert!(line.get("reason").contains("instance count too high"), "{line:?}");
    let fits = with_modules(&["(module)"; 20], |entry| entry).await;
    assert_eq!(fits.state("grafted").await, State::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn handles() {
    let host = with_unruly("handles", |entry| entry.limit("handles", 64)).await;
    ends(host, "it wanted more handles than its limit of 64").await;

    let few = |entry: Entry| entry.limit("handles", 64);
    let host = Plan::offline().caller(FULL, few).start().await;
    let asleep = host.order(FULL, "action.sleep", json!({ "times": 20 })).await;
    host.call(FULL, "user.jid", Value::Null).await.ok();
    assert!(host.ears().nothing_from(FULL, asleep));
    host.order(FULL, "action.sleep", json!({ "times": 100 })).await;
    let line = host.logged("plugin ended", &[("plugin", FULL)]).await;
    assert_eq!(line.get("reason"), "it wanted more handles than its limit of 64 while it handled full.order");
}

#[tokio::test(flavor = "multi_thread")]
async fn hostcall_bytes() {
    let host = with_unruly("big-argument", |entry| entry.limit("memory", "128 MiB")).await;
    ends(host, "it handed over more in one call than its limit `hostcall_bytes` of 4 MiB").await;

    let host = Plan::offline().caller(FULL, |entry| entry.limit("hostcall_bytes", "64 KiB")).start().await;
    let emit = |length: usize| json!({ "name": "big", "payload": "x".repeat(length) });
    host.call(FULL, "api.emit", emit(30 << 10)).await.ok();
    host.order(FULL, "log.write", json!({ "level": "info", "message": "x".repeat(60 << 10), "times": 2 })).await;
    host.call(FULL, "user.jid", Value::Null).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn recursion() {
    ends(with_unruly("recursion", |entry| entry).await, "it used up its stack").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_without_a_pause() {
    for behaviour in ["spin", "copy-memory", "flood-calls"] {
        let host = with_unruly(behaviour, |entry| entry.limit("cpu_slice", "50 ms")).await;
        ends(host, "it computed for 50 ms without a pause (limit `cpu_slice`)").await;
    }
}

/// A busy plugin that sometimes waits is moved to the background runtime, and back once it has become idle.
#[tokio::test(flavor = "multi_thread")]
async fn cpu_share() {
    let plan = Plan::offline().caller(BARE, |entry| entry);
    let busy = |entry: Entry| entry.limit("cpu_burst", "10 ms").limit("cpu_share", 0.2);
    let host = plan.caller(FULL, busy).start().await;
    let instance = host.instance(FULL).await;
    let began = Instant::now();
    let work = host.order(FULL, "action.work", json!({ "times": 40 })).await;
    host.logged("plugin moved", &[("plugin", FULL), ("in_background", "true")]).await;
    host.call(BARE, "user.jid", Value::Null).await.ok();
    host.answer(FULL, "action.work", work).await.ok();
    let (used, wall) = (instance.cpu.used(), began.elapsed());
    assert!(used > Duration::from_millis(20), "{used:?} is no work");
    assert!(
        used <= wall.mul_f64(0.2) + Duration::from_millis(20),
        "{used:?} of CPU in {wall:?} is more than its share"
    );
    // It is checked whenever it is woken.
    while instance.cpu.in_background() {
        assert!(began.elapsed() < wall + SOON, "it does not come back");
        host.call(FULL, "user.jid", Value::Null).await.ok();
    }
    host.logged("plugin moved", &[("plugin", FULL), ("in_background", "false")]).await;
    host.call(FULL, "user.jid", Value::Null).await.ok();
    assert_eq!(host.state(FULL).await, State::Running);
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_in_flight() {
    let plan = Plan::offline().caller(BARE, |entry| entry);
    let host = plan.caller(FULL, |entry| entry.limit("handlers", 2)).start().await;
    host.ears().promise("go").await;
    let slow = host.order(FULL, "listen.on-and-wait", json!({ "name": "work", "promise": "go" })).await;
    host.answer(FULL, "listen.on-and-wait", slow).await.ok();
    for number in 1..=3 {
        host.ears().emit("work", &json!(number)).await;
    }
    for number in 1..=2 {
        assert_eq!(host.heard(FULL, slow).await["payload"]["json"], number);
    }
    for _ in 0..20 {
        host.call(BARE, "user.jid", Value::Null).await.ok();
    }
    assert!(host.ears().heard_nothing(FULL, slow), "a third handler began");
    host.ears().emit("go", &Value::Null).await;
    assert_eq!(host.heard(FULL, slow).await["payload"]["json"], 3);
}

/// Events `lagged`.
#[tokio::test(flavor = "multi_thread")]
async fn the_mailbox_and_what_it_lost_is_told() {
    let host = Plan::offline().caller(FULL, |entry| entry.limit("handlers", 1).limit("mailbox", 4)).start().await;
    let lagged = host.listen(FULL, "lagged").await;
    let mut all = 0;
    for lost in [10, 3] {
        host.ears().promise("go").await;
        let slow = host.order(FULL, "listen.on-and-wait", json!({ "name": "work", "promise": "go" })).await;
        host.answer(FULL, "listen.on-and-wait", slow).await.ok();
        host.ears().emit("work", &json!("first")).await;
        host.heard(FULL, slow).await;
        // One event is being handled, four wait, and the others are lost.
        for number in 0..4 + lost {
            host.ears().emit("work", &json!(number)).await;
        }
        // The count is visible before the plugin is notified.
        all += lost;
        assert_eq!(host.instance(FULL).await.usage(None).lost, all);
        host.ears().emit("go", &Value::Null).await;
        assert_eq!(host.heard(FULL, lagged).await["payload"], json!({ "json": { "lost": lost } }));
        for number in 0..4 {
            assert_eq!(host.heard(FULL, slow).await["payload"]["json"], number);
        }
        host.call(FULL, "listen.not", json!({ "order": slow })).await.ok();
        assert!(host.heard_so_far(FULL, slow).await.is_empty());
        assert!(host.heard_so_far(FULL, lagged).await.is_empty());
        assert_eq!(host.instance(FULL).await.usage(None).lost, all);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions() {
    let host = with_unruly("many-subscriptions", |entry| entry.limit("subscriptions", 5)).await;
    says(&host, "ManySubscriptions: got 4 subscriptions: over limit: 5 subscriptions").await;
    let instance = host.instance("unruly").await;
    assert_eq!(host.shared().router.count(instance.id), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn promises() {
    let host = with_unruly("many-promises", |entry| entry.limit("promises", 3)).await;
    says(&host, "ManyPromises: got 3 promises: over limit: 3 promises").await;
    let host = with_unruly("many-promises", |entry| entry.limit("promises", 100)).await;
    says(&host, "ManyPromises: got 100 promises: over limit: 100 promises").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timers() {
    let host = with_unruly("many-timers", |entry| entry.limit("timers", 7)).await;
    says(&host, "ManyTimers: got 7 timers: over limit: 7 timers").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn open_calls() {
    let host = Plan::offline().caller(FULL, |entry| entry.limit("open_calls", 8)).start().await;
    host.ears().promise("go").await;
    let waits = host.order(FULL, "action.wait-until", json!({ "promise": "go", "times": 13 })).await;
    assert_eq!(host.instance(FULL).await.until_waiting(8).await, 8);
    host.ears().emit("go", &Value::Null).await;
    let outcome = host.answer(FULL, "action.wait-until", waits).await.ok();
    assert_eq!((&outcome["came"], &outcome["failed"]), (&json!(8), &json!(5)), "{outcome}");
    assert_eq!(outcome["error"], json!({ "case": "over-limit", "what": "8 open calls" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_nobody_answers() {
    let host = Plan::new().await.caller(FULL, |entry| granted(entry).limit("iqs", 2)).start().await;
    let silent = friend("silent").await;
    let iq = json!({ "iq": format!("<iq type='get' to='{}'><x xmlns='urn:x'/></iq>", silent.jid()) });
    for _ in 0..2 {
        host.order(FULL, "api.send-iq", iq.clone()).await;
    }
    let error = host.call(FULL, "api.send-iq", iq).await.fails("over-limit");
    assert_eq!(error["what"], "2 IQ requests at once (iqs)");
    host.call(FULL, "disco.supports", json!({ "feature": "urn:x", "jid": silent.jid().to_string() }))
        .await
        .fails("over-limit");
    // Calls without a request to others continue to work.
    host.call(FULL, "chats.send", json!({ "jid": silent.jid().to_string(), "body": "hello" })).await.ok();
}

/// IQs stay pending whether or not the plugin waits for the answer.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_given_up() {
    let host = Plan::new().await.caller(FULL, |entry| granted(entry).limit("iqs", 2)).start().await;
    let silent = friend("silent").await;
    let iq = format!("<iq type='get' to='{}'><x xmlns='urn:x'/></iq>", silent.jid());
    let counts = host.call(FULL, "action.ask-and-give-up", json!({ "iq": iq, "times": 5 })).await.ok();
    assert_eq!((&counts["came"], &counts["failed"]), (&json!(2), &json!(3)), "{counts}");
    assert_eq!(counts["error"]["case"], "over-limit", "{counts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms() {
    let host = Plan::new().await.caller(FULL, |entry| granted(entry).limit("rooms", 1)).start().await;
    let server = prosody().await;
    let (one, two, three) = (server.fresh_room(), server.fresh_room(), server.fresh_room());
    let named = |room: &jid::BareJid| json!({ "jid": room.to_string() });
    host.call(FULL, "rooms.open", named(&one)).await.ok();
    let error = host.call(FULL, "rooms.open", named(&two)).await.fails("over-limit");
    assert_eq!(error["what"], "1 rooms");
    host.call(FULL, "rooms.open", named(&one)).await.ok();
    host.call(FULL, "rooms.close", named(&one)).await.ok();
    host.call(FULL, "rooms.open", named(&two)).await.ok();
    // A restart does not reset the limit.
    host.order(FULL, "action.panic", Value::Null).await;
    host.logged("plugin ended", &[("plugin", FULL)]).await;
    running(&host, FULL).await;
    host.call(FULL, "rooms.open", named(&three)).await.fails("over-limit");
    host.call(FULL, "rooms.close", named(&two)).await.ok();
    host.call(FULL, "rooms.open", named(&three)).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn commands() {
    let host = Plan::offline().caller(FULL, |entry| entry.limit("commands", 1)).start().await;
    let named = |name: &str| json!({ "name": name });
    host.call(FULL, "commands.add", named("one")).await.ok();
    let error = host.call(FULL, "commands.add", named("two")).await.fails("over-limit");
    assert_eq!(error["what"], "1 commands");
    host.call(FULL, "commands.remove", named("one")).await.ok();
    host.call(FULL, "commands.add", named("two")).await.ok();
}

/// A call that the account's task carries out for one plugin delays all others.
#[tokio::test(flavor = "multi_thread")]
async fn calls_a_second() {
    let host = Plan::offline().caller(FULL, |entry| entry.limit("calls_per_second", 2)).start().await;
    let add = json!({ "name": "mine" });
    let all: Vec<_> =
        futures_util::future::join_all((0..20).map(|_| host.order(FULL, "promises.add", add.clone()))).await;
    let mut refused = 0;
    for order in all {
        if let Err(error) = host.answer(FULL, "promises.add", order).await.result {
            assert_eq!(
                (&error["case"], &error["what"]),
                (&json!("over-limit"), &json!("2 calls a second (calls_per_second)"))
            );
            refused += 1;
        }
    }
    // The bound is a burst of two, and the amount of two seconds. Some calls wait for each other's turn.
    assert!((10..=17).contains(&refused), "{refused}");
}

/// Otherwise a few hundred calls with long values would take a few hundred MiB.
#[tokio::test(flavor = "multi_thread")]
async fn memory_of_calls_that_wait() {
    let little = |entry: Entry| granted(entry).limit("host_memory", "1 MiB").limit("storage_per_second", "512 KiB");
    let host = Plan::offline().caller(FULL, little).start().await;
    // Five of these leave room for the events that tell how each call ended.
    let set = |number: u32| json!({ "key": format!("k{number}"), "length": 180 << 10 });
    let all: Vec<_> =
        futures_util::future::join_all((0..24).map(|number| host.order(FULL, "storage.set-long", set(number)))).await;
    let mut refused = 0;
    for order in all {
        if let Err(error) = host.answer(FULL, "storage.set-long", order).await.result {
            assert_eq!(error["case"], "over-limit");
            refused += usize::from(error["what"] == "1 MiB of memory for calls that wait (host_memory)");
        }
    }
    assert!(refused > 0);
    host.call(FULL, "storage.set-long", json!({ "key": "k", "length": 1 })).await.ok();
}

/// The plugins share the connection.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_a_second() {
    let little = |entry: Entry| granted(entry).limit("bytes_per_second", "256 KiB");
    let host = Plan::offline().caller(FULL, little).start().await;
    let send = json!({ "jid": "friend@localhost", "body": "x".repeat(60_000) });
    let began = Instant::now();
    let all: Vec<_> =
        futures_util::future::join_all((0..20).map(|_| host.order(FULL, "chats.send", send.clone()))).await;
    for order in all {
        // They wait for their turn, and fail because the account is offline.
        host.answer(FULL, "chats.send", order).await.fails("offline");
    }
    assert!(began.elapsed() >= Duration::from_secs(3), "1.2 MB took {:?}", began.elapsed());
}

/// The plugins share the disk.
#[tokio::test(flavor = "multi_thread")]
async fn storage_a_second() {
    let little = |entry: Entry| granted(entry).limit("storage_per_second", "512 KiB");
    let host = Plan::offline().caller(FULL, little).start().await;
    let set = |number: u32| json!({ "key": format!("k{number}"), "length": 200 << 10 });
    let all: Vec<_> =
        futures_util::future::join_all((0..16).map(|number| host.order(FULL, "storage.set-long", set(number)))).await;
    let mut refused = 0;
    for order in all {
        if let Err(error) = host.answer(FULL, "storage.set-long", order).await.result {
            assert_eq!(
                (&error["case"], &error["what"]),
                (&json!("over-limit"), &json!("512 KiB of storage a second (storage_per_second)"))
            );
            refused += 1;
        }
    }
    // The bound is a burst of two, and the amount of two seconds. Some calls wait for each other's turn.
    assert!((6..=12).contains(&refused), "{refused}");
    // Sequential calls wait, and are never refused.
    for number in 0..6 {
        host.call(FULL, "storage.set-long", set(number)).await.ok();
    }
    // Each key of several changes counts as a separate call.
    let several =
        json!({ "changes": (0..256).map(|number| json!(["add", number.to_string(), 1])).collect::<Vec<_>>() });
    let all: Vec<_> =
        futures_util::future::join_all((0..16).map(|_| host.order(FULL, "storage.change", several.clone()))).await;
    let mut refused = 0;
    for order in all {
        refused += usize::from(host.answer(FULL, "storage.change", order).await.result.is_err());
    }
    assert!((2..=12).contains(&refused), "{refused}");
}

/// Returns how many lines a limit of so many a second lets through since this moment: those of one second at once, and then
/// some each second. How long a flood takes depends on the machine.
fn most_since(began: Instant, a_second: usize) -> usize {
    a_second * (2 + usize::try_from(began.elapsed().as_secs()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_a_second() {
    let host = Plan::offline().caller(FULL, |entry| entry.limit("log_lines_per_second", 5)).start().await;
    let flood = json!({ "level": "info", "message": "flood", "times": 1_000 });
    let began = Instant::now();
    host.call(FULL, "log.write", flood).await.ok();
    let most = most_since(began, 5);
    // The next line that is written reports how many were dropped.
    let dropped = loop {
        host.call(FULL, "log.write", json!({ "level": "info", "message": "after" })).await.ok();
        let lines = trace::with("account", host.name());
        if lines.iter().any(|line| line.get("message") == "after") {
            break lines;
        }
    };
    let written = dropped.iter().filter(|line| line.get("message") == "flood").count();
    assert!((5..=most).contains(&written), "{written} lines, and at most {most}");
    let told: usize = dropped.iter().map(|line| line.get("dropped").parse().unwrap_or(0)).sum();
    assert!(told >= 1_000 - written, "{told} of {} were told", 1_000 - written);
}

/// Warnings that a plugin causes count against its limit for log lines.
#[tokio::test(flavor = "multi_thread")]
async fn warnings_of_names_are_lines_of_the_plugins() {
    let host = Plan::offline().caller(FULL, |entry| entry.limit("log_lines_per_second", 5)).start().await;
    let began = Instant::now();
    for number in 0..60 {
        host.listen(FULL, &format!("nonsense{number}")).await;
    }
    // Once the first warning is written, all others within the limit are as well.
    host.logged("nobody declares the event that a plugin listens to", &[("event", "nonsense0")]).await;
    let lines = trace::with("account", host.name());
    let warned = lines.iter().filter(|line| line.get("event").starts_with("nonsense")).count();
    let most = most_since(began, 5);
    assert!(warned <= most, "{warned} lines of 60, and at most {most}");
}

/// Calls beyond the limit wait for their turn.
#[tokio::test(flavor = "multi_thread")]
async fn messages_a_second() {
    let slow = |entry: Entry| granted(entry).limit("messages_per_second", 4).limit("messages_burst", 2);
    let host = Plan::new().await.caller(FULL, slow).start().await;
    let mut friend = friend("friend").await;
    let jid = friend.jid().to_bare();
    let began = Instant::now();
    let three = host.call(FULL, "action.send", json!({ "jid": jid.to_string(), "times": 3 })).await.ok();
    assert_eq!(three["came"], 3, "{three}");
    assert!(began.elapsed() >= Duration::from_millis(200), "the third was not slowed down: {:?}", began.elapsed());
    let many = host.call(FULL, "action.send", json!({ "jid": jid.to_string(), "times": 20 })).await.ok();
    assert_eq!((&many["came"], &many["failed"]), (&json!(20), &json!(0)), "{many}");
    assert!(began.elapsed() >= Duration::from_secs(5), "{:?} for 23 messages", began.elapsed());
    host.call(FULL, "api.send", json!({ "stanza": format!("<message to='{jid}'><body>end</body></message>") })).await;
    friend.catch_up(SOON).await.unwrap();
    let arrived = friend.received_xml().iter().filter(|xml| xml.starts_with("<message")).count();
    assert!((23..=24).contains(&arrived), "{arrived} arrived of 23");
}

/// The same for events: those that were fired are heard, and no others.
#[tokio::test(flavor = "multi_thread")]
async fn events_a_second() {
    let plan = Plan::offline().caller(BARE, |entry| entry);
    let host = plan.caller(FULL, |entry| entry.limit("events_per_second", 20)).start().await;
    let heard = host.listen(BARE, "flood").await;
    let many = host.call(FULL, "action.emit", json!({ "name": "flood", "times": 200 })).await.ok();
    let (came, failed) = (many["came"].as_u64().unwrap(), many["failed"].as_u64().unwrap());
    // The bucket refills while they wait, by an amount that depends on the machine.
    assert!(came + failed == 200 && came >= 20 && failed > 0, "{many}");
    assert_eq!(many["error"], json!({ "case": "over-limit", "what": "20 events a second (events_per_second)" }));
    for _ in 0..came {
        host.heard(BARE, heard).await;
    }
    assert!(host.heard_so_far(BARE, heard).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn time_to_initialize() {
    let host = with_unruly("initialize-sleeps", |entry| entry.limit("initialize", "100 ms")).await;
    ends(host, "its initialize did not return within 100 ms (limit `initialize`)").await;
    let host = with_unruly("initialize-spins", |entry| entry.limit("cpu_slice", "50 ms")).await;
    ends(host, "it computed for 50 ms without a pause (limit `cpu_slice`)").await;
}

/// Row 7: deadlines are suspended while a plugin waits for the session, and the host does not wait for the plugin.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_promise_is_not_held_against_it() {
    let host = with_unruly("initialize-never-returns", |entry| entry.limit("initialize", "100 ms")).await;
    let timer = host.order(BARE, "timers.sleep", json!({ "milliseconds": 300 })).await;
    host.answer(BARE, "timers.sleep", timer).await.ok();
    assert_eq!(host.state("unruly").await, State::Starting);
    host.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_to_stop() {
    for (behaviour, message) in [
        ("stop-never-returns", "plugin did not stop within 100 ms and was ended"),
        ("stop-spins", "plugin did not stop within 100 ms and was ended"),
        ("stop-traps", "plugin failed while stopping"),
    ] {
        let host = with_unruly(behaviour, |entry| entry.limit("stop", "100 ms")).await;
        let name = host.name().to_owned();
        host.stop().await;
        assert!(trace::with("account", &name).iter().any(|line| line.is(message, &[])), "{}", trace::tail(&name));
    }
}

/// The time limit of a handler includes its waits. Exceeding it ends the whole plugin.
#[tokio::test(flavor = "multi_thread")]
async fn time_of_a_handler() {
    let plan = Plan::offline().caller(BARE, |entry| entry);
    let host = plan.caller(FULL, |entry| entry.limit("handler", "200 ms")).start().await;
    host.call(FULL, "timers.sleep", json!({ "milliseconds": 20 })).await.ok();
    let began = Instant::now();
    host.order(FULL, "timers.sleep", json!({ "milliseconds": 60_000 })).await;
    let line = host.logged("plugin ended", &[("plugin", FULL)]).await;
    assert_eq!(line.get("reason"), "a handler of full.order did not return within 200 ms (limit `handler`)");
    assert!(began.elapsed() >= Duration::from_millis(200));
    host.call(BARE, "timers.sleep", json!({ "milliseconds": 300 })).await.ok();
    running(&host, FULL).await;
}

/// A plugin that fails repeatedly is restarted after pauses, and finally quarantined.
#[tokio::test(flavor = "multi_thread")]
async fn failures() {
    let host = with_unruly("trap", |entry| entry).await;
    let line = host.logged("plugin quarantined", &[("plugin", "unruly")]).await;
    assert_eq!((line.get("failures"), line.get("reason")), ("5", "it panicked or aborted"));
    assert_eq!(host.state("unruly").await, State::Quarantined("it panicked or aborted".to_owned()));
    host.call(BARE, "user.jid", Value::Null).await.ok();
}

/// Starts a host with a good plugin, and the same plugin with more core modules in it.
async fn with_modules(modules: &[&str], limit: impl FnOnce(Entry) -> Entry) -> TestHost {
    let mut bytes = plugins::built("caller").unwrap().bytes().unwrap();
    for module in modules {
        graft(&mut bytes, &wat::parse_str(module).unwrap()).unwrap();
    }
    let plan = Plan::offline().caller(BARE, |entry| entry);
    plan.bytes("grafted", &bytes, |entry| limit(entry.set("name", "grafted"))).start().await
}

async fn grafted_ends(host: &TestHost, reason: &str) {
    let line = host.logged("plugin ended", &[("plugin", "grafted")]).await;
    assert_eq!(line.get("reason"), reason);
    host.call(BARE, "user.jid", Value::Null).await.ok();
}

/// The bindings leak the block of each event's fields, 416 bytes, unless the SDK frees it.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_needs_no_more_memory_for_many_events_than_for_few() {
    const EVENTS: u64 = 20_000;
    let entry = |entry: Entry| entry.limit("memory", "2 MiB").limit("mailbox", 32_768).limit("cpu_share", 1.0);
    let host = Plan::offline().plugin("meter", "meter", entry).start().await;
    running(&host, "meter").await;
    let meter = host.instance("meter").await;
    for _ in 0..EVENTS {
        host.ears().emit("tick", &Value::Null).await;
    }
    let handled = || meter.counters.handled.load(std::sync::atomic::Ordering::Relaxed);
    let began = Instant::now();
    while handled() < EVENTS {
        assert_eq!(host.state("meter").await, State::Running);
        assert!(began.elapsed() < SOON, "{} of {EVENTS} handled within {SOON:?}", handled());
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    }
    assert_eq!(host.state("meter").await, State::Running);
}
