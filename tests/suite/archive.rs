//! `archive`: messages that servers and rooms store (rows 35–50 of `tests/conformance.toml`).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use parlor_tests::client::Client;
use parlor_tests::peer::archive::{Asked, Script, careless, honest, id, text};
use parlor_tests::policy::Entry;
use serde_json::{Value, json};
use xmpp_parsers::minidom::Element;

use crate::test_host::{BARE, FULL, NARROW, Plan, SOON, TestHost, friend, granted, prosody, refuses, refuses_to_tell};

/// Starts a host on the real server that may use its archive, with a friend who has sent it this many messages.
async fn talked(messages: usize) -> (TestHost, Client) {
    let host = Plan::new().await.set("allow_non_roster_messaging", true).three().start().await;
    archive_is_known(&host).await;
    let mut friend = friend("friend").await;
    let heard = host.listen(FULL, "message").await;
    for number in 0..messages {
        friend.chat(host.account().jid.clone(), &format!("message {number}")).await.unwrap();
    }
    for _ in 0..messages {
        host.heard(FULL, heard).await;
    }
    (host, friend)
}

/// Waits until the server is known to have an archive. The event for this comes only once, so the archive is queried
/// instead.
pub(crate) async fn archive_is_known(host: &TestHost) {
    loop {
        let answer = host.call(FULL, "archive.query", json!({ "max": 0 })).await;
        match answer.result {
            Ok(_) => return,
            // The server may not have reported its archive yet.
            Err(error) => assert!(error["case"] == "unsupported" || error["case"] == "timed-out", "{error}"),
        }
    }
}

/// Raises the limits, since the archive is what is tested here.
fn swift(entry: Entry) -> Entry {
    granted(entry).limit("messages_per_second", 10_000).limit("messages_burst", 10_000).limit("cpu_share", 1.0)
}

async fn scripted(script: Script) -> TestHost {
    let host = Plan::scripted(script).await.set("message_archiving_timeout", 5_000).caller(FULL, swift).start().await;
    archive_is_known(&host).await;
    host
}

fn bodies(page: &Value) -> Vec<&str> {
    page["messages"].as_array().unwrap().iter().map(|one| one["message"]["body"].as_str().unwrap()).collect()
}

fn numbered(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(text).collect()
}

/// Returns the options with one field changed.
fn with(mut options: Value, key: &str, value: Value) -> Value {
    options[key] = value;
    options
}

/// Rows 35, 37, 39, 43, 44.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_given_oldest_first_and_with_whom_may_be_said() {
    let (host, mut friend) = talked(5).await;
    let mut other = crate::test_host::friend("other").await;
    let heard = host.listen(FULL, "message").await;
    other.chat(host.account().jid.clone(), "from somebody else").await.unwrap();
    host.heard(FULL, heard).await;
    let jid = friend.jid().to_bare().to_string();
    host.call(FULL, "chats.send", json!({ "jid": jid, "body": "an answer" })).await.ok();
    friend.wait_body(&host.account().jid, "an answer", SOON).await.unwrap();

    let all = host.call(FULL, "archive.query", json!({})).await.ok();
    assert_eq!(all["messages"].as_array().unwrap().len(), 7, "{all}");
    let page = host.call(FULL, "archive.query", json!({ "with": jid })).await.ok();
    let expected = ["message 0", "message 1", "message 2", "message 3", "message 4", "an answer"];
    assert_eq!(bodies(&page), expected);
    assert_eq!(page["rsm"]["complete"], true, "{page}");
    let (first, last) = (&page["messages"][0], &page["messages"][5]);
    assert_eq!((&page["rsm"]["first"], &page["rsm"]["last"]), (&first["id"], &last["id"]));
    assert_eq!(first["id"], first["message"]["stanza-id"]);
    let told = ["delayed", "own"].map(|field| (&first["message"][field], &last["message"][field]));
    assert_eq!(told, [(&json!(true), &json!(true)), (&json!(false), &json!(true))]);
    assert_eq!((&first["message"]["chat"], &last["message"]["chat"]), (&json!(jid), &json!(jid)));
    assert!(first["stamp"].as_str().unwrap().ends_with('Z') && first["message"]["xml"].is_null(), "{first}");

    let two = host.call(FULL, "archive.query", json!({ "with": jid, "max": 2 })).await.ok();
    assert_eq!((bodies(&two), &two["rsm"]["complete"]), (vec!["message 0", "message 1"], &json!(false)));
    let older_name = host.call(FULL, "archive.query", json!({ "with": jid, "count": 2 })).await.ok();
    assert_eq!(bodies(&older_name), bodies(&two));
    let none = host.call(FULL, "archive.query", json!({ "with": "nobody@localhost" })).await.ok();
    assert_eq!((&none["messages"], &none["rsm"]["complete"]), (&json!([]), &json!(true)));
}

/// Rows 36, 38, 40, 41, 42, 45, 46, 47, 48.
#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_both_ways_and_keep_what_was_asked() {
    let (host, friend) = talked(7).await;
    let jid = friend.jid().to_bare().to_string();
    let begin = json!({ "with": jid, "start": "2020-01-01T00:00:00+01:00", "end": "2100-01-01", "max": 3 });
    let first = host.call(FULL, "archive.query", begin.clone()).await.ok();
    assert_eq!(bodies(&first), numbered(0..3));
    let next = host.call(FULL, "archive.next", json!({ "rsm": first["rsm"], "max": 3 })).await.ok();
    for (field, kept) in [("with", &begin), ("start", &begin), ("end", &begin), ("max", &begin)] {
        assert_eq!(next[field], kept[field], "{next}");
    }
    let second = host.call(FULL, "archive.query", next).await.ok();
    assert_eq!(bodies(&second), numbered(3..6));
    host.call(FULL, "archive.query", second["rsm"].clone()).await.is(second.clone());
    let previous = host.call(FULL, "archive.previous", json!({ "rsm": second["rsm"], "max": 2 })).await.ok();
    let back = host.call(FULL, "archive.query", previous).await.ok();
    assert_eq!(bodies(&back), numbered(1..3), "the two right before it");

    let newest = host.call(FULL, "archive.query", json!({ "with": jid, "before": "", "max": 2 })).await.ok();
    assert_eq!(bodies(&newest), numbered(5..7));
    host.call(FULL, "archive.query", newest["rsm"].clone()).await.is(newest.clone());
    let all = host.call(FULL, "archive.query", json!({ "with": jid, "before": newest["rsm"]["first"] })).await.ok();
    assert_eq!(bodies(&all), numbered(0..5), "all that came before it");
    for cursor in ["after", "before"] {
        let unknown = json!({ cursor: "no-such-id", "max": 2 });
        let error = host.call(FULL, "archive.query", unknown).await.fails("not-found");
        assert!(error["what"].as_str().unwrap().contains("no-such-id"), "{error}");
    }
    host.call(FULL, "archive.query", json!({ "index": 2, "max": 2 })).await.fails("unsupported");
    let whole = json!({ "count": 7, "first": text(0), "last": text(6), "end": null });
    host.call(FULL, "archive.query-all", json!({ "with": jid })).await.is(whole);
    let later = json!({ "with": jid, "start": "2100-01-01T00:00:00Z" });
    assert_eq!(host.call(FULL, "archive.query", later).await.ok()["messages"], json!([]));
}

/// Rows 37, 50.
/// Events serviceDiscovered.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_asked_whether_we_are_in_it_or_not() {
    let host = Plan::new().await.three().start().await;
    archive_is_known(&host).await;
    let room = prosody().await.fresh_room();
    let mut juliet = friend("juliet").await;
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    juliet.unlock(&room, SOON).await.unwrap();
    for number in 0..3 {
        juliet.say(&room, &format!("message {number}")).await.unwrap();
    }
    juliet.catch_up(SOON).await.unwrap();
    let features = host.listen(FULL, "serviceDiscovered").await;
    let options = json!({ "with": room.to_string(), "max": 50 });
    let outside = host.call(FULL, "archive.query", options.clone()).await.ok();
    let said: Vec<_> =
        outside["messages"].as_array().unwrap().iter().filter(|one| !one["message"]["body"].is_null()).collect();
    assert_eq!(said.len(), 3, "{outside}");
    for one in said {
        let message = &one["message"];
        assert_eq!((&message["kind"], &message["nick"]), (&json!("groupchat"), &json!("Juliet")), "{message}");
        assert_eq!((&message["chat"], &message["own"]), (&json!(room.to_string()), &json!(false)), "{message}");
    }
    let told = host.heard_so_far(FULL, features).await;
    let has_archive =
        |one: &&Value| one["payload"]["feature"] == json!({ "var": "urn:xmpp:mam:2", "entity": room.to_string() });
    assert_eq!(told.iter().filter(has_archive).count(), 1, "{told:?}");
    host.call(FULL, "rooms.open", json!({ "jid": room.to_string(), "nick": "Romeo" })).await.ok();
    host.call(FULL, "rooms.send", json!({ "jid": room.to_string(), "body": "mine" })).await.ok();
    juliet.catch_up(SOON).await.unwrap();
    let inside = host.call(FULL, "archive.query", with(options, "before", json!(""))).await.ok();
    let last = inside["messages"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["message"]["body"], &last["message"]["own"]), (&json!("mine"), &json!(true)), "{last}");
    host.call(NARROW, "archive.query", json!({ "with": room.to_string() }))
        .await
        .denied("archive.read", Some(room.as_str()));
}

/// Rows 37, 48.
#[tokio::test(flavor = "multi_thread")]
async fn a_room_that_does_not_exist_is_an_error_and_no_empty_page() {
    let host = Plan::new().await.three().start().await;
    // This makes the host recognize the domain as a rooms service.
    host.call(FULL, "disco.supports", json!({ "feature": "urn:x", "jid": "conference.localhost" })).await.ok();
    let room = prosody().await.fresh_room().to_string();
    let error = host.call(FULL, "archive.query", json!({ "with": room, "max": 5 })).await.fails("stanza");
    assert_eq!(error["condition"], "item-not-found", "{error}");
    // The archive has no messages with an unknown person.
    let page = host.call(FULL, "archive.query", json!({ "with": "nobody@localhost", "max": 5 })).await.ok();
    assert_eq!(page["messages"], json!([]));
}

/// Rows 44.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_without_the_grant_and_no_xml_without_its_own() {
    let (host, friend) = talked(1).await;
    let jid = friend.jid().to_bare().to_string();
    let calls = ["archive.query", "archive.query-all"];
    let narrow = calls.map(|call| (call, json!({ "with": jid }), "archive.read", Some(jid.as_str())));
    let wide = calls.map(|call| (call, json!({}), "archive.read", None));
    refuses(&host, &narrow).await;
    refuses(&host, &wide).await;
    refuses_to_tell(&host, "disco.read", &["serviceDiscovered"]).await;
    let with_xml = json!({ "with": jid, "xml": true });
    let page = host.call(FULL, "archive.query", with_xml.clone()).await.ok();
    let xml = page["messages"][0]["message"]["xml"].as_str().unwrap();
    assert!(xml.starts_with("<message") && xml.contains("message 0"), "{xml}");
    host.call(NARROW, "archive.query", with(with_xml, "with", json!("nobody@nowhere.invalid")))
        .await
        .denied("stanza.read", Some("message"));
    // These calls only compute and need no grant.
    host.call(BARE, "archive.next", json!({ "rsm": {}, "max": 3 })).await.ok();
    host.call(BARE, "archive.previous", json!({ "rsm": {}, "max": 3 })).await.ok();
}

/// Rows 38, 39, 40, 41, 42. Nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn bad_arguments_are_named() {
    let host = Plan::offline().caller(FULL, granted).start().await;
    let long = "x".repeat(1 << 20);
    let bad = [
        ("with", json!("@@")),
        ("with", json!("")),
        ("with", json!(long)),
        ("start", json!("yesterday")),
        ("start", json!("")),
        ("end", json!("not a real date")),
        ("end", json!("2010-02-30T00:00:00Z")),
        ("end", json!(long)),
        ("before", json!(long)),
        ("before", json!("a\u{0}b")),
        ("after", json!(long)),
        ("after", json!("\u{ffff}")),
        ("after", json!("")),
    ];
    for call in ["archive.query", "archive.query-all"] {
        for (argument, value) in &bad {
            let answer = host.call(FULL, call, json!({ *argument: value })).await;
            answer.invalid(&format!("options.{argument}"));
        }
        host.call(FULL, call, json!({ "before": "a", "after": "b" })).await.invalid("options.after");
        host.call(FULL, call, json!({ "before": "a", "index": 1 })).await.invalid("options.index");
        host.call(FULL, call, json!({})).await.fails("offline");
    }
}

/// Rows 49.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_an_archive_is_unsupported() {
    let host = Plan::scripted(honest(5)).await.caller(FULL, swift).start().await;
    archive_is_known(&host).await;
    for call in ["archive.query", "archive.query-all"] {
        host.call(FULL, call, json!({ "with": "hall@rooms.localhost", "max": 5 })).await.ok();
    }
    let host = Plan::scripted_without_archive().await.caller(FULL, swift).start().await;
    for call in ["archive.query", "archive.query-all"] {
        let error = host.call(FULL, call, json!({})).await.fails("unsupported");
        assert_eq!(error["what"], "This server does not support XEP-0313, Message Archive Management");
    }
}

/// Rows 41.
/// Some servers return their first page if the id in `after` is unknown.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_id_is_not_found_on_every_server() {
    for (script, fresh) in [(honest as fn(u64) -> Script, true), (honest, false), (careless, true), (careless, false)] {
        let host = scripted(script(100)).await;
        if !fresh {
            host.call(FULL, "archive.query", json!({})).await.ok();
        }
        for cursor in ["after", "before"] {
            for (unknown, filter) in
                [("no-such-id", Value::Null), ("uid-100", Value::Null), ("no-such-id", json!("2020-01-01"))]
            {
                let options = json!({ cursor: unknown, "max": 5, "start": filter });
                host.call(FULL, "archive.query", options.clone()).await.fails("not-found");
                host.call(FULL, "archive.query-all", options).await.fails("not-found");
            }
        }
        let after = host.call(FULL, "archive.query", json!({ "after": id(41), "max": 3 })).await.ok();
        assert_eq!(bodies(&after), numbered(42..45));
        let before = host.call(FULL, "archive.query", json!({ "before": id(41), "max": 3 })).await.ok();
        assert_eq!(bodies(&before), numbered(38..41));
        for (cursor, edge) in [("after", 99), ("before", 0)] {
            let nothing = host.call(FULL, "archive.query", json!({ cursor: id(edge), "max": 3 })).await.ok();
            assert_eq!(nothing["messages"], json!([]));
        }
    }
}

/// Rows 35.
/// Settings `archived_messages_limit`, `archived_messages_page_size`.
#[tokio::test(flavor = "multi_thread")]
async fn without_max_every_match_is_given_up_to_a_limit() {
    let host = Plan::scripted(honest(120)).await.set("archived_messages_limit", 120).caller(FULL, swift).start().await;
    archive_is_known(&host).await;
    for options in [json!({}), json!({ "before": "" })] {
        let all = host.call(FULL, "archive.query", options).await.ok();
        assert_eq!(bodies(&all), numbered(0..120), "in three pages");
        assert_eq!((&all["rsm"]["first"], &all["rsm"]["last"]), (&json!(id(0)), &json!(id(119))));
        assert_eq!((&all["rsm"]["count"], &all["rsm"]["complete"]), (&json!(120), &json!(true)));
        host.call(FULL, "archive.query", all["rsm"].clone()).await.is(all);
    }
    host.call(FULL, "archive.query", json!({ "max": 121 })).await.fails("over-limit");
    let host = Plan::scripted(honest(120)).await.set("archived_messages_limit", 119).caller(FULL, swift).start().await;
    archive_is_known(&host).await;
    let error = host.call(FULL, "archive.query", json!({})).await.fails("over-limit");
    assert!(error["what"].as_str().unwrap().contains("query-all"), "{error}");
}

/// Rows 36.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_gives_everything_and_says_that_it_ended_well() {
    let host = scripted(honest(1_234)).await;
    let whole =
        |from: u64, to: u64| json!({ "count": to - from, "first": text(from), "last": text(to - 1), "end": null });
    for (options, from, to) in [
        (json!({}), 0, 1_234),
        (json!({ "max": 70 }), 0, 70),
        (json!({ "after": id(1_200) }), 1_201, 1_234),
        (json!({ "before": id(60) }), 0, 60),
        (json!({ "before": "" }), 0, 1_234),
        (json!({ "before": "", "max": 70 }), 1_164, 1_234),
        (json!({ "before": id(1_000), "max": 3 }), 997, 1_000),
    ] {
        host.call(FULL, "archive.query-all", options.clone()).await.is(whole(from, to));
    }
    host.call(FULL, "archive.query-all", json!({ "max": 0 }))
        .await
        .is(json!({ "count": 0, "first": null, "last": null, "end": null }));
    host.call(FULL, "archive.query-all", json!({ "before": "", "max": 1_001 })).await.fails("over-limit");
    assert_eq!(host.instance(FULL).await.open_archive_queries(), 0);
}

/// Rows 36.
/// The next page is requested once the messages before it were read, and one plugin does not wait for another.
/// Settings `archived_messages_page_size`.
#[tokio::test(flavor = "multi_thread")]
async fn pages_are_asked_for_as_they_are_read_and_two_plugins_do_not_disturb_each_other() {
    let pages = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&pages);
    let mut archive = honest(300);
    let script: Script = Box::new(move |asked| {
        counted.fetch_add(u64::from(asked.max() == 10), Relaxed);
        archive(asked)
    });
    let plan = Plan::scripted(script).await.set("archived_messages_page_size", 10);
    let host = plan.caller(FULL, swift).caller("other", swift).start().await;
    archive_is_known(&host).await;
    let slow = host.call(FULL, "archive.open", json!({})).await.ok();
    assert_eq!(pages.load(Relaxed), 1);
    let ten = host.call(FULL, "archive.read", json!({ "stream": slow, "count": 10 })).await.ok();
    assert_eq!(bodies(&ten), numbered(0..10));
    assert_eq!(pages.load(Relaxed), 1, "nothing that was not read is asked for");
    let whole = host.call("other", "archive.query-all", json!({})).await.ok();
    assert_eq!((&whole["count"], &whole["end"]), (&json!(300), &Value::Null), "{whole}");
    assert!((31..=32).contains(&pages.load(Relaxed)), "{pages:?}");
    let rest = host.call(FULL, "archive.read", json!({ "stream": slow, "count": 1_000 })).await.ok();
    assert_eq!(bodies(&rest), numbered(10..300));
    assert_eq!(rest["end"], Value::Null);
}

/// Rows 36.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_has_so_many_streams_and_nothing_is_left_of_one_that_it_drops() {
    let host = Plan::scripted(honest(1_000))
        .await
        .caller(FULL, |entry| swift(entry).limit("archive_queries", 2))
        .start()
        .await;
    archive_is_known(&host).await;
    let one = host.call(FULL, "archive.open", json!({})).await.ok();
    host.call(FULL, "archive.open", json!({})).await.ok();
    for call in ["archive.open", "archive.query"] {
        host.call(FULL, call, json!({})).await.fails("over-limit");
    }
    host.call(FULL, "archive.close", json!({ "stream": one })).await.is(true);
    host.call(FULL, "archive.query", json!({ "max": 3 })).await.ok();
    let instance = host.instance(FULL).await;
    assert_eq!(instance.open_archive_queries(), 1);
    host.order(FULL, "action.panic", Value::Null).await;
    host.logged("plugin ended", &[("plugin", FULL)]).await;
    while instance.open_archive_queries() > 0 {
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    }
}

/// Rows 36.
/// Rules archive-result.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_forge_is_not_in_the_page() {
    let script: Script = Box::new(|asked| {
        let mut stanzas = Vec::new();
        for forger in ["juliet@localhost", "localhost", "bot@localhost/other", "hall@rooms.localhost", "evil.example"] {
            stanzas.push(asked.result_from(&forger.parse().unwrap(), 666));
        }
        let guess = Asked { queryid: "guess".to_owned(), ..asked.clone() };
        stanzas.push(guess.result(666));
        stanzas.push(asked.result(1));
        stanzas.push(asked.fin(Some((1, 1)), true, None));
        stanzas.push(asked.result(667));
        stanzas
    });
    let host = scripted(script).await;
    let news = host.listen_with(FULL, json!({ "name": "message", "delayed": true, "own": true })).await;
    for _ in 0..2 {
        let page = host.call(FULL, "archive.query", json!({})).await.ok();
        assert_eq!(bodies(&page), [text(1)]);
    }
    assert!(host.heard_so_far(FULL, news).await.is_empty(), "no result is news");
}

fn body(text: &str) -> Element {
    format!("<message xmlns='jabber:client' from='juliet@localhost/x' to='bot@localhost'><body>{text}</body></message>")
        .parse()
        .unwrap()
}

/// Returns archives that a client would not expect, each with the answer of `query-all`.
fn odd_archives() -> [(&'static str, Script, Value); 7] {
    [
        (
            "it gives all that it has, whatever is asked",
            Box::new(|asked| {
                let after = asked.part("after").and_then(|after| after.strip_prefix("uid-")?.parse::<u64>().ok());
                let begin = after.map_or(0, |after| after + 1);
                let mut stanzas: Vec<_> = (begin..400).map(|number| asked.result(number)).collect();
                stanzas.push(asked.fin((begin < 400).then_some((begin, 399)), true, None));
                stanzas
            }),
            json!({ "count": 400, "end": null }),
        ),
        (
            "there is always more, and it is nothing",
            Box::new(|asked| vec![asked.fin(None, false, None)]),
            json!({ "count": 0, "end": null }),
        ),
        (
            "it always gives the same page",
            Box::new(|asked| vec![asked.result(1), asked.fin(Some((1, 1)), false, None)]),
            json!({ "count": 1, "end": { "case": "other", "what": "the archive gives the same page again and again" } }),
        ),
        (
            "what cannot be read is left out, and the rest comes",
            Box::new(|asked| {
                let from = asked.archive();
                let wrong = "<message xmlns='urn:else'/>".parse().unwrap();
                let bare = "<message xmlns='jabber:client' from='juliet@localhost/x'><encrypted xmlns='e'/></message>";
                vec![
                    asked.wrap(&from, "uid-1", wrong),
                    asked.wrap(&from, "uid-2", bare.parse().unwrap()),
                    asked.wrap(&from, "uid-3", body("three")),
                    asked.fin(Some((1, 3)), true, None),
                ]
            }),
            json!({ "count": 2, "end": null }),
        ),
        (
            "it fails on the second page",
            Box::new(|asked| match asked.part("after") {
                None => vec![asked.result(1), asked.fin(Some((1, 1)), false, None)],
                Some(_) => vec![asked.refuse("internal-server-error")],
            }),
            json!({ "count": 1, "end": { "case": "stanza" } }),
        ),
        (
            "its answer has no end of the page",
            Box::new(|asked| match asked.part("after") {
                None => vec![asked.result(1), asked.fin(Some((1, 1)), false, None)],
                Some(_) => vec![asked.answer("<odd xmlns='urn:odd'/>".parse().unwrap())],
            }),
            json!({ "count": 1, "end": { "case": "other" } }),
        ),
        (
            "it answers the first page twice, and the second never",
            Box::new(|asked| match asked.part("after") {
                None => {
                    let fin = asked.fin(Some((1, 1)), false, None);
                    vec![asked.result(1), fin.clone(), fin]
                }
                Some(_) => Vec::new(),
            }),
            json!({ "count": 1, "end": { "case": "timed-out" } }),
        ),
    ]
}

/// Rows 36, 44, 48. Each query ends, with the readable part of the answer, for any data of a server.
#[tokio::test(flavor = "multi_thread")]
async fn odd_archives_end_every_query_in_a_typed_way() {
    for (what, script, expected) in odd_archives() {
        // Only the case without an answer has a short timeout; a busy machine needs time for the others.
        let patience = if expected["end"]["case"] == "timed-out" { 500 } else { 20_000 };
        let host =
            Plan::scripted(script).await.set("message_archiving_timeout", patience).caller(FULL, swift).start().await;
        archive_is_known(&host).await;
        let answer = host.call(FULL, "archive.query-all", json!({})).await.ok();
        assert_eq!(answer["count"], expected["count"], "{what}: {answer}");
        for field in ["case", "what"] {
            if !expected["end"][field].is_null() {
                assert_eq!(answer["end"][field], expected["end"][field], "{what}: {answer}");
            }
        }
        assert_eq!(answer["end"].is_null(), expected["end"].is_null(), "{what}: {answer}");
        let query = host.call(FULL, "archive.query", json!({})).await;
        assert_eq!(query.result.is_ok(), expected["end"].is_null(), "{what}");
    }
}

/// Rows 36.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_the_connection_and_says_so() {
    let held = Arc::new(Mutex::new(false));
    let asked_again = Arc::clone(&held);
    let mut archive = honest(1_000);
    let script: Script = Box::new(move |asked| {
        // The second page is never answered.
        if asked.part("after").is_some() {
            *asked_again.lock().unwrap() = true;
            return Vec::new();
        }
        archive(asked)
    });
    let host = Plan::scripted(script).await.caller(FULL, swift).start().await;
    archive_is_known(&host).await;
    let order = host.order(FULL, "archive.query-all", json!({})).await;
    while !*held.lock().unwrap() {
        tokio::time::sleep(crate::test_host::A_MOMENT).await;
    }
    host.cut();
    let answer = host.answer(FULL, "archive.query-all", order).await.ok();
    assert_eq!((&answer["count"], &answer["end"]["case"]), (&json!(50), &json!("offline")), "{answer}");
    assert_eq!(host.instance(FULL).await.open_archive_queries(), 0);
}
