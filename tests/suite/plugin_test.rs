//! `parlor plugin test`: a plugin's own tests, as an author runs them. No server is started for any of this.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use parlor_tests::component::with_manifest;
use parlor_tests::folder::Folder;
use parlor_tests::host::{Finished, Home};
use parlor_tests::plugins;
use serde_json::Value;

/// Creates a folder with a plugin's file and these tests.
fn stage(plugin: &str, tests: &str) -> Folder {
    let folder = Folder::new().unwrap();
    std::fs::copy(plugins::built(plugin).unwrap().file, folder.join("plugin.wasm")).unwrap();
    folder.write("tests/own.chat", tests).unwrap();
    folder
}

async fn tried(folder: &Folder, flags: &[&str]) -> Finished {
    let file = folder.join("plugin.wasm").display().to_string();
    let arguments: Vec<&str> = ["plugin", "test", &file].into_iter().chain(flags.iter().copied()).collect();
    Home::new().unwrap().run(&arguments).await.unwrap()
}

#[track_caller]
fn ended(finished: &Finished, code: i32) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
}

fn written(folder: &Folder) -> String {
    std::fs::read_to_string(folder.join("tests/own.chat")).unwrap()
}

fn tests_of(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../example-plugins").join(example).join("tests")
}

/// Rows 136 and 137: one of them asks a server of the web.
#[tokio::test]
async fn the_examples_pass_their_own_tests() {
    for (example, passed) in [("echo", 5), ("greeter", 2), ("moderator", 3), ("guard", 30), ("share", 6)] {
        let (file, tests) = (plugins::built(example).unwrap().file, tests_of(example));
        let arguments = ["plugin", "test", file.to_str().unwrap(), "--tests", tests.to_str().unwrap()];
        let finished = Home::new().unwrap().run(&arguments).await.unwrap();
        ended(&finished, 0);
        assert_eq!(finished.stdout, format!("{passed} passed, 0 failed\n"));
    }
}

/// Replaces the plugin by one whose manifest declares that it catches up.
fn catching_up(folder: &Folder) {
    let says = |text: &str| text.replacen("[plugin]", "[plugin]\ncatch_up = true", 1);
    let file = folder.join("plugin.wasm");
    std::fs::write(&file, with_manifest(&std::fs::read(&file).unwrap(), says).unwrap()).unwrap();
}

#[tokio::test]
async fn a_plugin_that_catches_up_is_tried_without_a_word_about_archives() {
    let steps = "set answer_late = true\nroom garden: bob\nalice: one\n  to alice: one\nrestart\n";
    let folder = stage("echo", &format!("== it answers, and once\n{steps}"));
    catching_up(&folder);
    let finished = tried(&folder, &[]).await;
    ended(&finished, 0);
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("1 passed, 0 failed\n", ""));
}

/// Runs these steps with the caller, whose manifest begins with these lines.
async fn takes_orders(lines: &str, steps: &[&str]) {
    let folder = stage("caller", &format!("== it takes orders\nset chat = true\n{}\n", steps.join("\n")));
    let says = |text: &str| text.replacen("[plugin]", &format!("[plugin]\n{lines}"), 1);
    let file = folder.join("plugin.wasm");
    std::fs::write(&file, with_manifest(&std::fs::read(&file).unwrap(), says).unwrap()).unwrap();
    ended(&tried(&folder, &[]).await, 0);
}

#[tokio::test]
async fn the_messages_of_one_person_are_handled_in_order_and_nobody_elses_wait() {
    let steps = [
        r#"alice: call {"n":1,"call":"timers.sleep","args":{"milliseconds":1000}}"#,
        r#"alice: call {"n":2,"call":"user.jid","args":{}}"#,
        r#"bob: call {"n":3,"call":"user.jid","args":{}}"#,
        r#"  to bob: done *"n":3* (glob)"#,
        "after 1 s",
        // It answers whoever gave the last order.
        r#"  to bob: done *"n":1* (glob)"#,
        r#"  to alice: done *"n":2* (glob)"#,
    ];
    takes_orders("in_order = true", &steps).await;
}

/// A room may hide addresses, so the person and the occupant are not known to be the same.
#[tokio::test]
async fn private_messages_through_a_room_take_the_turn_of_the_room_and_not_of_the_person() {
    let steps = [
        "room garden: alice, bob",
        r#"garden/alice whispers: call {"n":1,"call":"timers.sleep","args":{"milliseconds":1000}}"#,
        r#"garden/bob whispers: call {"n":2,"call":"user.jid","args":{}}"#,
        r#"alice: call {"n":3,"call":"user.jid","args":{}}"#,
        r#"  to alice: done *"n":3* (glob)"#,
        "after 1 s",
        // It answers whoever gave the last order.
        r#"  to alice: done *"n":1* (glob)"#,
        r#"  to garden/bob: done *"n":2* (glob)"#,
    ];
    takes_orders("in_order = true", &steps).await;
}

#[tokio::test]
async fn a_message_that_waits_for_its_turn_is_not_handled_if_its_subscription_ends_meanwhile() {
    let steps = [
        r#"alice: call {"n":1,"call":"listen.on","args":{"name":"message","kind":"chat","prefix":"hey"}}"#,
        r#"  to alice: done *"n":1* (glob)"#,
        r#"alice: call {"n":2,"call":"timers.sleep","args":{"milliseconds":1000}}"#,
        "alice: hey",
        r#"alice: call {"n":3,"call":"user.jid","args":{}}"#,
        r#"bob: call {"n":4,"call":"listen.not","args":{"order":1}}"#,
        r#"  to bob: done *"n":4* (glob)"#,
        "after 1 s",
        r#"  to bob: done *"n":2* (glob)"#,
        r#"  to alice: done *"n":3* (glob)"#,
    ];
    takes_orders("in_order = true", &steps).await;
}

/// One of the handlers may be waiting for the timer.
#[tokio::test]
async fn a_timer_fires_while_messages_that_wait_for_their_turns_fill_the_mailbox() {
    let mut steps = vec![
        r#"alice: call {"n":1,"call":"timers.after","args":{"milliseconds":5000}}"#,
        "  to alice: done * (glob)",
        r#"alice: call {"n":2,"call":"timers.sleep","args":{"milliseconds":20000}}"#,
        r#"bob: call {"n":3,"call":"timers.sleep","args":{"milliseconds":20000}}"#,
    ];
    // Half of the mailbox for each of them.
    let waits =
        [r#"alice: call {"n":4,"call":"user.jid","args":{}}"#, r#"bob: call {"n":4,"call":"user.jid","args":{}}"#];
    steps.extend(waits.iter().cycle().take(256));
    steps.extend(["after 5 s", r#"  to bob: heard *"n":1* (glob)"#]);
    takes_orders("in_order = true", &steps).await;
}

/// The messages of all private chats are in one archive, and a position in it has to pass all of them.
#[tokio::test]
async fn a_plugin_that_catches_up_handles_all_private_messages_in_order() {
    let steps = [
        r#"alice: call {"n":1,"call":"timers.sleep","args":{"milliseconds":1000}}"#,
        r#"bob: call {"n":2,"call":"user.jid","args":{}}"#,
        "after 1 s",
        r#"  to alice: done *"n":1* (glob)"#,
        r#"  to bob: done *"n":2* (glob)"#,
    ];
    takes_orders("in_order = true\ncatch_up = true", &steps).await;
}

#[tokio::test]
async fn a_handler_that_asks_somebody_lets_the_next_one_begin_and_gets_the_answer() {
    let steps = [
        r#"alice: call {"n":1,"call":"dialogs.ask","args":{"to":"bob@example.org","text":"Which?"}}"#,
        "  to bob: Which?",
        r#"alice: call {"n":2,"call":"user.jid","args":{}}"#,
        r#"  to alice: done *"n":2* (glob)"#,
        "bob: this one",
        "  to alice: done *this one* (glob)",
        r#"alice: call {"n":3,"call":"dialogs.ask","args":{"to":"alice@example.org","text":"And you?"}}"#,
        "  to alice: And you?",
        "alice: that one",
        "  to alice: done *that one* (glob)",
    ];
    takes_orders("in_order = true", &steps).await;
}

#[tokio::test]
async fn a_setting_that_has_to_be_given_is_given_in_a_test_as_well() {
    let folder =
        stage("echo", "== without\nalice: one\n== with\nset room_prefix = \"x\"\nalice: one\n  to alice: one\n");
    let requires = |text: &str| text.replacen("default = \"echo \"", "required = true", 1);
    let file = folder.join("plugin.wasm");
    std::fs::write(&file, with_manifest(&std::fs::read(&file).unwrap(), requires).unwrap()).unwrap();
    let finished = tried(&folder, &[]).await;
    assert!(finished.stdout.ends_with("1 passed, 1 failed\n"), "{finished:?}");
    assert!(finished.stdout.contains("an owner has to give the setting `room_prefix`"), "{finished:?}");
}

/// Tells the plugin to report what it has heard.
const NOTED: &str = "alice: call {\"n\":1,\"call\":\"action.noted\",\"args\":{}}\n";

#[tokio::test]
async fn a_plugin_is_put_out_of_a_room_and_the_room_is_gone() {
    let tests = [
        "== it is kicked\nset chat = true\nset listens = \"roomLeft\"\nroom garden: alice\ngarden/alice kicks bot: spam\n",
        NOTED,
        "  to alice: done *roomLeft*garden@rooms.example.org* (glob)\n",
        "== nobody else is\nset chat = true\ngarden/alice kicks bot\n",
        "== it is gone\nset chat = true\nset listens = \"roomLeft\"\nroom garden\ngarden is destroyed: moved\n",
        NOTED,
        "  to alice: done *roomLeft*garden@rooms.example.org* (glob)\n",
    ];
    let folder = stage("caller", &tests.concat());
    let finished = tried(&folder, &[]).await;
    assert!(finished.stdout.ends_with("2 passed, 1 failed\n"), "{finished:?}");
    assert!(finished.stdout.contains("the plugin's account is not in garden@rooms.example.org"), "{finished:?}");
}

#[tokio::test]
async fn what_a_plugin_says_comes_back_with_an_error() {
    let steps = [
        "== it comes back\nset chat = true\nset listens = \"messageError\"\n",
        NOTED,
        "  to alice: done * (glob)\nalice bounces \"done\": item-not-found\n",
        NOTED,
        "  to alice: done *messageError*item-not-found* (glob)\n",
        "== nothing was said\nset chat = true\nalice bounces \"done\"\n",
    ];
    let folder = stage("caller", &steps.concat());
    let finished = tried(&folder, &[]).await;
    assert!(finished.stdout.ends_with("1 passed, 1 failed\n"), "{finished:?}");
    assert!(
        finished.stdout.contains("the plugin wrote nothing to alice@example.org that begins with \"done\""),
        "{finished:?}"
    );
}

#[tokio::test]
async fn people_answer_the_iqs_of_a_plugin() {
    let ask = |who: &str, namespace: &str, answer: &str| {
        let iq = format!("<iq type='get' to='{who}@example.org/home'><query xmlns='{namespace}'/></iq>");
        let order = format!("alice: call {{\"n\":1,\"call\":\"api.send-iq\",\"args\":{{\"iq\":\"{iq}\"}}}}\n");
        format!("{order}  asks {who}: <query xmlns='{namespace}'>\n  to alice: done {answer} (glob)\n")
    };
    let version = |name: &str| format!("alice answers: <query xmlns='jabber:iq:version'><name>{name}</name></query>\n");
    let none = "*service-unavailable*";
    let steps = [
        "== people answer\nset chat = true\n".to_owned(),
        ask("alice", "jabber:iq:version", none),
        version("profanity"),
        ask("alice", "jabber:iq:version", "*type='result'*<name>profanity</name>*"),
        // Neither others nor other requests have that answer.
        ask("bob", "jabber:iq:version", none),
        ask("alice", "jabber:iq:last", none),
        version("poezio"),
        ask("alice", "jabber:iq:version", "*type='result'*<name>poezio</name>*"),
        "== it is no answer\nset chat = true\nstart\nalice answers: yes\n".to_owned(),
    ];
    let finished = tried(&stage("caller", &steps.concat()), &[]).await;
    assert!(finished.stdout.ends_with("1 passed, 1 failed\n"), "{finished:?}");
    assert!(finished.stdout.contains("!   that is no answer to an IQ, which is one element"), "{finished:?}");
}

#[tokio::test]
async fn a_banned_plugin_cannot_come_back_and_a_kicked_one_can() {
    let enter = r#"{"n":2,"call":"rooms.open","args":{"jid":"garden@rooms.example.org","nick":"bot"}}"#;
    let steps = |verb: &str, affiliation: &str, left: &str, answer: &str| {
        let noted =
            format!("*\"nick\":\"alice\"*\"affiliation\":\"{affiliation}\"*\"left\":\"{left}\"*\"reason\":\"spam\"*");
        [
            format!("== alice {verb} it\nset chat = true\nset listens = \"roomLeft\"\nroom garden: alice\n"),
            format!("garden/alice {verb} bot: spam\n{NOTED}  to alice: done {noted} (glob)\n"),
            format!("alice: call {enter}\n  enters garden as bot\n  to alice: done {answer} (glob)\n"),
        ]
        .concat()
    };
    let kicked = steps("kicks", "owner", "kicked", "{\"n\":2,\"ok\":*");
    let banned = steps("bans", "outcast", "banned", "*\"condition\":\"forbidden\"*");
    let finished = tried(&stage("caller", &(kicked + &banned)), &[]).await;
    assert_eq!(finished.stdout, "2 passed, 0 failed\n", "{finished:?}");
}

/// A plugin may end after its last step as well, as one in Go does where a goroutine of it panics.
#[tokio::test]
async fn a_plugin_that_ends_soon_after_a_test_fails_its_last_step() {
    let late = "alice: do trap-late\n  to alice: spawned\n";
    let ends = "  plugin ends: it panicked* (glob)\n";
    let steps = [
        format!("== as the last step\n{late}{ends}"),
        // Between two steps no time is waited for: it ends at the step that lets time go by.
        format!(
            "== before another step\n{late}alice: do ping\n  to alice: pong\nafter 1 s\n  log error: * (glob)\n{ends}"
        ),
        format!("== unnoticed\n{late}"),
    ];
    let finished = tried(&stage("unruly", &steps.concat()), &[]).await;
    assert!(finished.stdout.ends_with("2 passed, 1 failed\n"), "{finished:?}");
    assert!(finished.stdout.contains("+   plugin ends: it panicked"), "{finished:?}");
}

/// A message that could not be sent for too long was not received.
#[tokio::test]
async fn what_is_not_sent_after_a_long_cut_comes_back_as_well() {
    let say = |body: &str| {
        let args = format!("{{\"jid\":\"bob@example.org\",\"body\":\"{body}\"}}");
        format!("alice: call {{\"n\":1,\"call\":\"chats.send\",\"args\":{args}}}\nand cut\n")
    };
    let error = |body: &str| format!("*\"body\":\"{body}\"*\"error\":\"remote-server-timeout\"*");
    let steps = [
        "== it comes back\nset chat = true\nset listens = \"messageError\"\n".to_owned(),
        // `keep_unsent` is an hour.
        format!("{}after 59 min\nback\n  to bob: late\n  to alice: done * (glob)\n", say("late")),
        format!("{}after 61 min\nback\n", say("too late")),
        // The answer to the order was not sent either.
        format!("{NOTED}  to alice: done {{\"n\":1,\"ok\":[{}{}]}} (glob)\n", error("too late"), error("done *")),
    ];
    let finished = tried(&stage("caller", &steps.concat()), &[]).await;
    assert_eq!(finished.stdout, "1 passed, 0 failed\n", "{finished:?}");
}

#[tokio::test]
async fn two_things_happen_before_a_plugin_does_anything_about_the_first() {
    let folder = stage("echo", "== both\nalice: one\nand bob: two\n  to alice: one\n  to bob: two\n");
    ended(&tried(&folder, &[]).await, 0);
}

#[tokio::test]
async fn a_host_starts_anew_in_a_test() {
    let steps = "== it is there again\nroom garden: bob\nalice: one\n  to alice: one\nrestart host\n  is offline\n  is online\nalice: two\n  to alice: two\n";
    let folder = stage("echo", steps);
    ended(&tried(&folder, &[]).await, 0);
}

/// As on a host, the messages come from the archive, as history.
#[tokio::test]
async fn what_is_said_before_a_plugin_comes_back_is_caught_up_with() {
    let call = |call: &str| format!("alice: call {{\"n\":1,\"call\":\"action.{call}\",\"args\":{{}}}}\n");
    let steps = [
        "== it catches up\nset chat = true\nset listens = \"message+delayed\"\nbob: before\n".to_owned(),
        call("panic"),
        "  log error: panicked at * (glob)\n  plugin ends: it panicked* (glob)\n".to_owned(),
        "bob: meanwhile\nafter 1 s\n".to_owned(),
        call("noted"),
        "  to alice: done *\"body\":\"meanwhile\"*\"delayed\":true* (glob)\n".to_owned(),
    ];
    let folder = stage("caller", &steps.concat());
    catching_up(&folder);
    let finished = tried(&folder, &[]).await;
    assert_eq!(finished.stdout, "1 passed, 0 failed\n", "{finished:?}");
}

/// Builds the order for an archive query, and the expected answer.
fn query(args: &str, answer: &str) -> String {
    let order = format!("{{\"n\":1,\"call\":\"archive.query\",\"args\":{args}}}");
    format!("alice: call {order}\n  to alice: done {answer} (glob)\n")
}

/// As on a server (XEP-0313), the account's archive has its chats, and a room's archive the room's messages.
#[tokio::test]
async fn what_was_said_is_in_the_archives() {
    let page = |bodies: &[&str], end: &str| {
        let bodies: Vec<_> = bodies.iter().map(|body| format!("\"body\":\"{body}\"*")).collect();
        format!("{{\"n\":1,\"ok\":{{\"messages\":[*{}]*\"complete\":{end}*", bodies.concat())
    };
    let steps = [
        "bob: one\nbob: two\nbob: three\n".to_owned(),
        query(r#"{"with":"bob@example.org","max":2}"#, &page(&["one", "two"], "false,\"count\":3")),
        query(r#"{"with":"bob@example.org","max":2,"before":""}"#, &page(&["two", "three"], "false,\"count\":3")),
        query(r#"{"with":"bob@example.org","after":"archive-2"}"#, &page(&["three"], "true,\"count\":3")),
        query(r#"{"with":"carol@example.org"}"#, "{\"n\":1,\"ok\":{\"messages\":[]*"),
        query(r#"{"start":"2026-01-01T12:30:00Z"}"#, "{\"n\":1,\"ok\":{\"messages\":[]*"),
        "after 1 h\n".to_owned(),
        "xml <message from='bob@example.org/home' type='chat'><body>late</body></message>\n".to_owned(),
        query(r#"{"with":"bob@example.org","start":"2026-01-01T12:30:00Z"}"#, &page(&["late"], "true,\"count\":1")),
        // The plugin's own answers are in the archive as well.
        query(r#"{"with":"alice@example.org","max":2}"#, &page(&["call *", "done *"], "false*")),
        "garden/bob: here\n".to_owned(),
        query(r#"{"with":"garden@rooms.example.org"}"#, &page(&["here"], "true,\"count\":1")),
        query(r#"{"after":"nowhere"}"#, "{\"err\":*not-found*"),
    ]
    .concat();
    let folder = stage("caller", &format!("== archives\nset chat = true\nroom garden: bob\n{steps}"));
    let finished = tried(&folder, &[]).await;
    assert_eq!(finished.stdout, "1 passed, 0 failed\n", "{finished:?}");
}

#[tokio::test]
async fn a_server_may_have_no_archive() {
    let none = "{\"err\":*unsupported*";
    let asked = [query("{}", none), query(r#"{"with":"garden@rooms.example.org"}"#, none)].concat();
    let folder = stage("caller", &format!("== none\nset chat = true\nno archive\nroom garden: bob\n{asked}"));
    let finished = tried(&folder, &[]).await;
    assert_eq!(finished.stdout, "1 passed, 0 failed\n", "{finished:?}");
}

#[tokio::test]
async fn what_differs_is_shown_line_by_line() {
    let folder = stage("echo", "== it answers\nalice: one\n  to alice: one\n  to alice: two\nalice: three\n");
    let finished = tried(&folder, &[]).await;
    ended(&finished, 1);
    let shown = "\
        :1: it answers\n\
    \x20   2   alice: one\n\
    \x20         to alice: one\n\
    \x20     -   to alice: two\n\
    \x20   5   alice: three\n\
    \x20     +   to alice: three\n";
    assert!(finished.stdout.starts_with("FAILED ") && finished.stdout.contains(shown), "{}", finished.stdout);
    assert!(finished.stdout.ends_with("0 passed, 1 failed\n"), "{}", finished.stdout);
    assert!(finished.stderr.contains("1 of 1 tests failed"), "{finished:?}");
}

#[tokio::test]
async fn an_update_writes_what_was_seen_and_what_fits_stays() {
    let folder = stage(
        "echo",
        "# about echoes\n\n== it answers\nalice: one\n  to alice: o* (glob)\nalice: two\n\n== quiet\nroom garden: bob\ngarden/bob: hi\n  to garden: hi\n",
    );
    let finished = tried(&folder, &["--update"]).await;
    ended(&finished, 0);
    let expected = "# about echoes\n\n== it answers\nalice: one\n  to alice: o* (glob)\nalice: two\n  to alice: two\n\n== quiet\nroom garden: bob\ngarden/bob: hi\n";
    assert_eq!(written(&folder), expected);
    ended(&tried(&folder, &[]).await, 0);
}

#[tokio::test]
async fn some_of_the_tests_are_chosen_and_programs_read_how_they_went() {
    let folder = stage("echo", "== good\nalice: a\n  to alice: a\n== bad\nalice: b\n  to alice: c\n");
    let finished = tried(&folder, &["-f", "good", "--json"]).await;
    ended(&finished, 0);
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((&report["passed"], &report["failed"]), (&1.into(), &0.into()));
    assert_eq!(report["tests"][0]["name"], "good");

    let finished = tried(&folder, &["--json"]).await;
    ended(&finished, 1);
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert_eq!((&report["passed"], &report["failed"]), (&1.into(), &1.into()));
    let difference = &report["tests"][1]["differences"][0];
    assert_eq!(difference["line"], 5);
    assert_eq!((&difference["expected"][0], &difference["actual"][0]), (&"to alice: c".into(), &"to alice: b".into()));

    let none = tried(&folder, &["-f", "ugly"]).await;
    ended(&none, 1);
    assert!(none.stderr.contains("no test has ugly in its name"), "{none:?}");
}

/// The clock is paused until the test advances it; an hour of test time takes no time.
#[tokio::test]
async fn time_goes_by_when_the_test_says_so() {
    let folder = stage(
        "unruly",
        "== it waits\nalice: do sleep\nalice: do ping\n  to alice: pong\nafter 59 min\nafter 1 min\n  to alice: * (glob)\n",
    );
    let finished = tried(&folder, &[]).await;
    ended(&finished, 0);
}

/// The random seed is the same in each test, but a restarted plugin draws other numbers, as on a host.
#[tokio::test]
async fn what_is_drawn_is_the_same_in_each_run() {
    let test = "alice: do draw\nrestart\nalice: do draw\n";
    let folder = stage("unruly", &format!("== one\n{test}\n== like it\n{test}"));
    ended(&tried(&folder, &["--update"]).await, 0);
    let again = tried(&folder, &[]).await;
    ended(&again, 0);
    assert_eq!(again.stdout, "2 passed, 0 failed\n");
    let written = written(&folder);
    let drawn = written.lines().filter_map(|line| line.strip_prefix("  to alice: drew "));
    let drawn: Vec<&str> = drawn.flat_map(str::split_whitespace).collect();
    assert_eq!(drawn.len(), 8, "{written}");
    assert_eq!(drawn[..4], drawn[4..]);
    assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 4, "{drawn:?}");
}

/// As clients do, a reply begins with a quote, and a message keeps its first id however often it is corrected.
#[tokio::test]
async fn people_answer_and_correct_what_was_said() {
    let folder = stage(
        "echo",
        "== words about words\nalice: helo\n  to alice: helo\nalice corrects \"hel\": hello\n  to alice: hello\nalice corrects \"hello\": hullo\n  to alice: hullo\nalice replies to \"hul\": yes\n| indeed\n  to alice: > hullo\n  | yes\n  | indeed\nalice reacts 👍 to \"yes\"\nbob reacts 👍 to \"nothing\"\n",
    );
    let finished = tried(&folder, &[]).await;
    ended(&finished, 1);
    assert!(finished.stdout.contains("nobody said anything there that begins with \"nothing\""), "{}", finished.stdout);
    assert!(!finished.stdout.contains("-   to") && !finished.stdout.contains("+   to"), "{}", finished.stdout);
}

/// If several messages have the same beginning, the last one is meant, or the one with the number.
#[tokio::test]
async fn people_speak_of_an_earlier_message_by_its_number() {
    let folder = stage(
        "echo",
        "== words about words\nalice: tea\n| black\n  to alice: tea\n  | black\nalice: tea\n  to alice: tea\nalice replies to 1st \"tea\": yes\n  to alice: > tea\n  | > black\n  | yes\nalice replies to \"tea\\u{a}bl\": no\n  to alice: > tea\n  | > black\n  | no\nalice replies to 9th \"tea\": two\n== another's\nroom garden: alice, bob\ngarden/bob: tea\ngarden/alice: tea\ngarden/alice corrects 2nd \"tea\": two\n",
    );
    let finished = tried(&folder, &[]).await;
    ended(&finished, 1);
    for why in ["there are no 9 messages there that begin with", "its author said no 2 messages there that begin with"]
    {
        assert!(finished.stdout.contains(&format!("!   {why} \"tea\"\n")), "{}", finished.stdout);
    }
    assert!(!finished.stdout.contains("-   to") && !finished.stdout.contains("+   to"), "{}", finished.stdout);
}

#[tokio::test]
async fn what_is_withheld_is_named_where_it_was_wanted() {
    let folder = stage(
        "echo",
        "== it may not\nstart\ndeny messages.send\nalice: hi\n  denied messages.send for alice\n  log error: * (glob)\ngrant messages.send = [\"contacts\"]\ncontact bob\nbob: hi\n  to bob: hi\nalice: hi\n  denied messages.send for alice\n  log error: * (glob)\n",
    );
    let finished = tried(&folder, &[]).await;
    ended(&finished, 0);
}

#[tokio::test]
async fn a_plugin_that_breaks_shows_how_and_comes_back() {
    let folder = stage(
        "unruly",
        "== it traps\nalice: do trap\n  log error: panicked at * (glob)\n  plugin ends: it panicked or aborted while it handled message (chat)\nalice: do ping\nafter 1 s\nalice: do ping\n  to alice: pong\n",
    );
    let finished = tried(&folder, &[]).await;
    ended(&finished, 0);
}

/// A stack trace, for instance, is one line of the log.
#[tokio::test]
async fn what_is_logged_is_read_below_line_by_line() {
    let order = r#"call {"n":1,"call":"log.write","args":{"level":"error","message":"it went wrong\n    at lost"}}"#;
    let folder = stage("caller", &format!("== it says much\nset chat = true\nalice: {order}\n"));
    let finished = tried(&folder, &[]).await;
    ended(&finished, 1);
    let shown = "      #   line 3, log error: it went wrong\n      #       at lost\n";
    assert!(finished.stdout.contains(shown), "{}", finished.stdout);
    assert!(finished.stdout.contains("+   log error: it went wrong\\u{a}    at lost\n"), "{}", finished.stdout);
}

#[tokio::test]
async fn settings_change_and_what_is_told_of_a_start_has_to_be_written() {
    let folder = stage(
        "echo",
        "== settings\nroom garden: bob\nstart\nset room_prefix = \"say \"\ngarden/bob: say a\n  to garden: a\ngarden/bob: echo a\n",
    );
    ended(&tried(&folder, &[]).await, 0);
    for (line, why) in [
        ("set room_prefix = 1", "the setting `room_prefix` does not fit: it has to be a text"),
        ("set rom_prefix = \"a\"", "the plugin has no setting `rom_prefix`; did you mean `room_prefix`?"),
        ("grant rooms.join", "the plugin does not ask for rooms.join, so it never has it"),
        ("garden/bob: hi", "the plugin's account is not in garden@rooms.example.org; write `room garden` at the top"),
        ("host nickame = \"a\"", "the host has no setting `nickame`; did you mean `nickname`?"),
        ("host owners = \"alice\"", "it has to be a list, such as [\"alice\"]"),
        ("host owners = [1]", "somebody's name is missing, such as alice"),
        ("back", "the connection is not cut"),
        ("alice reacts 👍 to \"Pizza\"", "nobody said anything there that begins with \"Pizza\""),
        ("alice corrects \"helo\": hello", "its author said nothing there that begins with \"helo\""),
    ] {
        let folder = stage("echo", &format!("== wrong\n{line}\n"));
        let finished = tried(&folder, &[]).await;
        ended(&finished, 1);
        assert!(finished.stdout.contains(&format!("    2   {line}\n      !   {why}")), "{line}: {}", finished.stdout);
    }
}

#[tokio::test]
async fn who_comes_to_a_room_is_seen_and_a_cut_is_survived() {
    let folder = stage(
        "greeter",
        "== rooms\nroom garden: alice\nstart\ngarden/bob enters\n  to garden: Welcome, bob!\ngarden/bob leaves\ncut\nback\ngarden/carol enters\n  to garden: Welcome, carol!\n",
    );
    let finished = tried(&folder, &[]).await;
    ended(&finished, 0);
}

/// The room sends this as in XEP-0045, section 7.6: unavailable with 303 and the new nickname, then available under it.
#[tokio::test]
async fn who_takes_another_nickname_stays_in_the_room() {
    let folder = stage(
        "greeter",
        "== names\nroom garden: alice\nstart\ngarden/alice is now called al\ngarden/alice enters\n  to garden: Welcome, alice!\ngarden/al leaves\ngarden/alice is now called al\n",
    );
    ended(&tried(&folder, &[]).await, 0);
    let folder = stage("greeter", "== names\nroom garden: alice, bob\ngarden/alice is now called bob\n");
    let finished = tried(&folder, &[]).await;
    ended(&finished, 1);
    assert!(finished.stdout.contains("!   somebody is in the room as bob already\n"), "{}", finished.stdout);
}

/// A person who enters before the start is in the room when the plugin comes, and is not greeted as new.
#[tokio::test]
async fn people_are_in_a_room_before_the_plugin_runs() {
    let enter = r#"{"n":1,"call":"rooms.open","args":{"jid":"garden@rooms.example.org","nick":"bot"}}"#;
    let look = r#"{"n":2,"call":"rooms.occupants","args":{"jid":"garden@rooms.example.org"}}"#;
    let folder = stage(
        "caller",
        &format!(
            "== before\nset chat = true\ngarden/bob enters\ngarden/bob is now called bo\ncarol is away\nstart\nalice: call {enter}\n  enters garden as bot\n  to alice: done {{\"n\":1,\"ok\":* (glob)\nalice: call {look}\n  to alice: done *\"bo\"* (glob)\n"
        ),
    );
    let finished = tried(&folder, &[]).await;
    assert_eq!(finished.stdout, "1 passed, 0 failed\n", "{finished:?}");
}

/// A test sets an occupant's affiliation and role, and whether the address and the occupant id are visible.
#[tokio::test]
async fn people_in_rooms_are_what_a_test_says_they_are() {
    let look = |what: &str| {
        let order = r#"{"n":1,"call":"rooms.occupants","args":{"jid":"garden@rooms.example.org"}}"#;
        format!("alice: call {order}\n  to alice: done {what} (glob)\n")
    };
    let seen = |nick: &str, affiliation: &str, id: &str, address: &str, role: &str| {
        let who = format!("\"affiliation\":\"{affiliation}\",*\"jid\":{address},\"left\":*\"nick\":\"{nick}\"");
        let what = format!("\"previous-nick\":*,\"reason\":null,\"role\":\"{role}\"");
        format!("*{who},\"occupant-id\":{id},\"own\":false,{what}*")
    };
    let (bob, address) = ("\"garden-occupant-1\"", "\"bob@example.org*\"");
    let steps = [
        look(&seen("bob", "admin", bob, address, "moderator")),
        "garden/bob is now called bo\n".to_owned(),
        look(&seen("bo", "admin", bob, address, "moderator")),
        "garden/bo is member\n".to_owned(),
        look(&seen("bo", "member", bob, address, "participant")),
        "garden/bo is visitor\n".to_owned(),
        look(&seen("bo", "member", bob, address, "visitor")),
        "garden/bo is outcast\ngarden/carol is owner\ngarden/carol enters\n".to_owned(),
        look(&seen("carol", "owner", "\"garden-occupant-*\"", "\"carol@example.org*\"", "moderator")),
    ]
    .concat();
    let args = r#"{"jid":"garden@rooms.example.org","user":"bob@example.org"}"#;
    let subject = r#"{"jid":"garden@rooms.example.org","subject":"tea"}"#;
    let anonymous = [
        look(&seen("bob", "none", bob, "null", "participant")),
        format!("alice: call {{\"n\":1,\"call\":\"rooms.ban\",\"args\":{args}}}\n"),
        "  bans bob in garden\n  to alice: done *forbidden* (glob)\n".to_owned(),
        format!("alice: call {{\"n\":1,\"call\":\"rooms.set-subject\",\"args\":{subject}}}\n"),
        "  subject of garden: tea\n  to alice: done *forbidden* (glob)\n".to_owned(),
    ]
    .concat();
    let ranks = format!("== ranks\nset chat = true\nroom garden: bob (admin)\n{steps}");
    let strangers = format!("== strangers\nset chat = true\nroom garden, anonymous: bob\n{anonymous}");
    let folder = stage("caller", &format!("{ranks}{strangers}"));
    let finished = tried(&folder, &[]).await;
    assert_eq!(finished.stdout, "2 passed, 0 failed\n", "{finished:?}");
}

#[tokio::test]
async fn a_visitor_is_not_heard_in_a_room_before_he_is_more() {
    let says = "garden/bob: echo hi\n  to garden: hi\n";
    let heard = format!("== heard\nroom garden: bob (visitor)\ngarden/bob is participant\n{says}");
    let steps = "room garden: bob\ngarden/bob is visitor\ngarden/bob whispers: hi\n  to garden/bob: hi\n";
    let folder = stage("echo", &format!("{heard}== not heard\n{steps}{says}"));
    let finished = tried(&folder, &[]).await;
    ended(&finished, 1);
    let why = "!   bob is a visitor in garden, whom nobody hears; write `garden/bob is participant` before\n";
    assert!(finished.stdout.contains(why), "{}", finished.stdout);
    assert!(finished.stdout.ends_with("1 passed, 1 failed\n"), "{}", finished.stdout);
}

#[tokio::test]
async fn voice_is_asked_for_and_given_and_the_account_registers_with_rooms() {
    let call = |call: &str, args: &str, comes: &str| {
        let args = format!("{{\"jid\":\"garden@rooms.example.org\"{args}}}");
        format!("alice: call {{\"n\":1,\"call\":\"rooms.{call}\",\"args\":{args}}}\n{comes}")
    };
    let done = "  to alice: done {\"n\":1,\"ok\":* (glob)\n";
    let answer = |allow: bool| format!(",\"nick\":\"bob\",\"allow\":{allow}");
    let role = |role: &str| {
        call(
            "occupants",
            "",
            &format!("  to alice: done *\"nick\":\"bot\",*\"own\":true,*\"role\":\"{role}\"* (glob)\n"),
        )
    };
    let asked = [
        "== a visitor asks\nset chat = true\nroom garden: bob (visitor)\n".to_owned(),
        call("answer-voice", &answer(true), "  to alice: done *not-found* (glob)\n"),
        "garden/bob asks for voice\n".to_owned(),
        call("answer-voice", &answer(false), &format!("  refuses voice to garden/bob\n{done}")),
        "garden/bob asks for voice\n".to_owned(),
        call("answer-voice", &answer(true), &format!("  gives voice to garden/bob\n{done}")),
        "garden/bob: now I am heard\n".to_owned(),
    ];
    let given = [
        "== the account asks\nset chat = true\nroom garden, moderated: ann (moderator)\n".to_owned(),
        role("visitor"),
        call("request-voice", "", &format!("  asks for voice in garden\n{done}")),
        "garden/ann gives voice to bot\n".to_owned(),
        role("participant"),
    ];
    let registers = |nick: &str| format!("  registers with garden as {nick}\n");
    let ends = "  ends its registration with garden\n";
    let reserved = |nick: &str| call("reserved-nick", "", &format!("  to alice: done {{\"n\":1,\"ok\":{nick}}}\n"));
    let registered = [
        "== the account registers\nset chat = true\nroom garden, moderated: ann\n".to_owned(),
        reserved("null"),
        call("register", ",\"nick\":\"ann\"", &format!("{}  to alice: done *conflict* (glob)\n", registers("ann"))),
        call("register", ",\"nick\":\"bot\"", &format!("{}{done}", registers("bot"))),
        reserved("\"bot\""),
        role("participant"),
        call("register", ",\"nick\":\"robot\"", &format!("{}{done}", registers("robot"))),
        call("unregister", "", &format!("{ends}{done}")),
        role("visitor"),
        call("unregister", "", &format!("{ends}  to alice: done *registration-required* (glob)\n")),
    ];
    let folder = stage("caller", &[asked.concat(), given.concat(), registered.concat()].concat());
    let finished = tried(&folder, &[]).await;
    assert_eq!(finished.stdout, "3 passed, 0 failed\n", "{finished:?}");
}

/// A hook is asked about messages of other plugins.
#[tokio::test]
async fn a_hook_is_tried_with_the_plugins_beside_it() {
    let args = r#"{"name":"hookOutgoing","verdict":{"call":"alter","body":"changed"}}"#;
    let judge = format!("alice: call {{\"n\":1,\"call\":\"listen.on-and-judge\",\"args\":{args}}}\n");
    let done = "  to alice: done {\"n\":1,\"ok\":* (glob)\n";
    let test = |name: &str, order: &str, (heard, says): (&str, &str)| {
        let top = format!("== {name}\nbeside greeter.wasm\n{order}set chat = true\nroom garden\n");
        format!("{top}{judge}{done}garden/bob enters\n{heard}  to garden: {says}\n")
    };
    let asked = test("it is asked", "order outgoing caller\n", ("  to alice: heard * (glob)\n", "changed"));
    let folder = stage("caller", &format!("{asked}{}", test("it is in no order", "", ("", "Welcome, bob!"))));
    std::fs::copy(plugins::built("greeter").unwrap().file, folder.join("greeter.wasm")).unwrap();
    let finished = tried(&folder, &[]).await;
    assert_eq!(finished.stdout, "2 passed, 0 failed\n", "{finished:?}");

    for (lines, why) in [
        ("beside plugin.wasm\n", "plugin.wasm is a plugin caller, and there is one of that name in this test already"),
        ("beside greeter.wasm\norder outgoing greetr\n", "greetr is not in this test; did you mean greeter?"),
        ("order outgoing stamp\n", "stamp is not in this test; write `beside ../stamp` above"),
    ] {
        folder.write("tests/own.chat", format!("== it is wrong\n{lines}start\n")).unwrap();
        let finished = tried(&folder, &[]).await;
        ended(&finished, 1);
        assert!(finished.stdout.contains(why), "{finished:?}");
    }
    let others = "== it is not there\nbeside nosuch.wasm\nstart\n== it is no plugin\nbeside text.wasm\nstart\n";
    folder.write("text.wasm", "no component").unwrap();
    folder.write("tests/own.chat", format!("{others}== without it\nset chat = true\nroom garden\nstart\n")).unwrap();
    let finished = tried(&folder, &[]).await;
    ended(&finished, 1);
    assert!(finished.stdout.contains("nosuch.wasm: name the folder or the file of a plugin"), "{finished:?}");
    assert!(finished.stdout.contains("text.wasm: "), "{finished:?}");
    assert!(finished.stdout.ends_with("1 passed, 2 failed\n"), "{finished:?}");
}

#[tokio::test]
async fn nobody_acts_for_the_account_in_a_room() {
    for line in ["garden/bot: hi", "garden/bot is outcast", "garden/bot is now called bo", "garden/bot leaves"] {
        let folder = stage("echo", &format!("== it is the account\nroom garden\nstart\n{line}\n"));
        let finished = tried(&folder, &[]).await;
        ended(&finished, 1);
        let why = format!("    4   {line}\n      !   bot is the plugin's account itself in garden, which does ");
        assert!(finished.stdout.contains(&why), "{line}: {}", finished.stdout);
    }
}

/// As on a server, a plugin that asks for the nickname gets an error, and automatic joins try another one.
#[tokio::test]
async fn a_nickname_may_be_taken_when_the_account_comes() {
    let call = |call: &str, more: &str| {
        let args = format!("{{\"jid\":\"garden@rooms.example.org\"{more}}}");
        format!("alice: call {{\"n\":1,\"call\":\"rooms.{call}\",\"args\":{args}}}\n")
    };
    let steps = [
        "== asked\nset chat = true\ngarden/bot enters\nstart\n".to_owned(),
        call("open", ",\"nick\":\"bot\""),
        "  enters garden as bot\n  to alice: done *conflict* (glob)\n".to_owned(),
        call("open", ",\"nick\":\"robot\""),
        "  enters garden as robot\n  to alice: done {\"n\":1,\"ok\":* (glob)\n".to_owned(),
        "== automatic\nset chat = true\nroom garden: bot\n".to_owned(),
        call("occupants", ""),
        "  to alice: done *\"nick\":\"bot_2\",\"occupant-id\":*,\"own\":true* (glob)\n".to_owned(),
    ];
    let folder = stage("caller", &steps.concat());
    let finished = tried(&folder, &[]).await;
    assert_eq!(finished.stdout, "2 passed, 0 failed\n", "{finished:?}");
}

/// The session is resumed, so nothing is lost and messages only come later.
#[tokio::test]
async fn what_happens_during_a_cut_comes_when_it_is_over() {
    let folder = stage("echo", "== cut\nstart\ncut\nalice: hello\n  (nothing)\nback\n  to alice: hello\n");
    let finished = tried(&folder, &[]).await;
    ended(&finished, 0);
}

/// This is the default of `keep_unsent`, by the test's clock.
#[tokio::test]
async fn what_is_to_be_sent_is_kept_over_a_cut_of_an_hour_and_no_longer() {
    let folder = stage(
        "unruly",
        "== kept\nalice: do sleep\nafter 59 min\ncut\nafter 2 min\nback\n  to alice: * (glob)\n== dropped\nalice: do sleep\ncut\nafter 2 h\nback\nalice: do ping\n  to alice: pong\n",
    );
    let finished = tried(&folder, &[]).await;
    assert_eq!(finished.stdout, "2 passed, 0 failed\n", "{finished:?}");
}

#[tokio::test]
async fn people_in_rooms_may_have_spaces_in_their_names() {
    let folder = stage(
        "echo",
        "== spaces\nroom garden: Al Ice\n\"garden/Al Ice\": echo hi\n  to garden: hi\n\"garden/Al Ice\" leaves\n\"garden/Al Ice\" enters\n",
    );
    ended(&tried(&folder, &[]).await, 0);
}

/// As on a server, a person who enters a room that does not exist creates it.
#[tokio::test]
async fn rooms_are_made_and_configured_and_keep_who_is_what_in_them() {
    let call = |call: &str, args: &str, comes: &str| {
        let args = format!("{{\"jid\":\"garden@rooms.example.org\"{args}}}");
        format!("alice: call {{\"n\":1,\"call\":\"rooms.{call}\",\"args\":{args}}}\n{comes}")
    };
    let done = "  to alice: done {\"n\":1,\"ok\":* (glob)\n";
    let steps = [
        call(
            "open",
            ",\"nick\":\"bot\",\"auto-configure\":true,\"roomconfig\":[[\"roomname\",\"The garden\"]]",
            &format!("  enters garden as bot\n  configures garden\n{done}"),
        ),
        call(
            "configure",
            ",\"fields\":[[\"roomname\",\"x\"],[\"whois\",\"anyone\"],[\"membersonly\",true]]",
            &format!("  configures garden\n{done}"),
        ),
        call("configure", ",\"fields\":[[\"colour\",\"red\"]]", "  to alice: done *fields.colour* (glob)\n"),
        "garden/bob enters\n".to_owned(),
        call("ban", ",\"user\":\"bob@example.org\"", &format!("  bans bob in garden\n{done}")),
        call("affiliations", ",\"affiliation\":\"outcast\"", "  to alice: done *bob@example.org* (glob)\n"),
        "garden/bob enters\n".to_owned(),
    ]
    .concat();
    let folder = stage("caller", &format!("== rooms\nset chat = true\n{steps}"));
    let finished = tried(&folder, &[]).await;
    ended(&finished, 1);
    assert!(finished.stdout.contains("!   bob is banned from the room\n"), "{}", finished.stdout);
    assert!(!finished.stdout.contains("\n      -   "), "{}", finished.stdout);
    assert!(!finished.stdout.contains("\n      +   "), "{}", finished.stdout);
}

#[tokio::test]
async fn a_line_that_is_none_fails_its_test_and_no_other() {
    let text = "== it waves\nalice: hi\n  to alice: hi\nalice waves\nto alice: hi\n== it answers\nalice: hi\n";
    let folder = stage("echo", text);
    folder.write("tests/a.chat", "alice: hi\n").unwrap();
    std::fs::write(folder.join("tests/b.chat"), b"\xff\n").unwrap();
    let finished = tried(&folder, &["--update"]).await;
    ended(&finished, 1);
    for shown in [
        "tests/a.chat:1: what stands above all tests\n    1   alice: hi\n      !   a test begins with what it shows: == it answers\n",
        "tests/b.chat:1: the file as a whole\n    1   \n      !   it is not UTF-8\n",
        "tests/own.chat:1: it waves\n    4   alice waves\n      !   nobody knows what this is; perhaps: alice: hello\n    5   to alice: hi\n      !   what the plugin does is indented, below what happens: two spaces before `to`\n",
        "tests/own.chat:6: it answers\n",
        "1 passed, 3 failed\n",
    ] {
        assert!(finished.stdout.contains(shown), "{shown}: {}", finished.stdout);
    }
    assert_eq!(written(&folder), format!("{text}  to alice: hi\n"));
    assert_eq!(std::fs::read(folder.join("tests/b.chat")).unwrap(), b"\xff\n");
}

/// The paused clock advances only when everything waits, so no wait may take zero time.
#[tokio::test]
async fn a_plugin_that_may_say_no_more_at_once_is_not_busy() {
    let folder = stage("echo", &format!("== many\nstart\n{}", "alice: hi\n".repeat(150)));
    let finished = tried(&folder, &[]).await;
    ended(&finished, 1);
    assert!(finished.stdout.contains("\n      +   to alice: hi\n"), "{finished:?}");
    assert!(!finished.stdout.contains("still busy"), "{finished:?}");
}

/// The plugin may be a stranger's.
#[tokio::test]
async fn what_a_plugin_says_moves_no_cursor_where_a_test_is_shown() {
    let folder = stage("echo", "== it answers\nalice: a\u{2028}b\u{202e}c\n");
    let finished = tried(&folder, &[]).await;
    ended(&finished, 1);
    assert!(finished.stdout.contains("\n      +   to alice: a\\u{2028}b\\u{202e}c\n"), "{finished:?}");
    assert!(!finished.stdout.contains(['\u{2028}', '\u{202e}']), "{finished:?}");
}

#[tokio::test]
async fn what_cannot_be_tried_is_said_with_what_to_do() {
    let empty = Folder::new().unwrap();
    std::fs::copy(plugins::built("echo").unwrap().file, empty.join("plugin.wasm")).unwrap();
    let finished = tried(&empty, &[]).await;
    ended(&finished, 1);
    assert!(
        finished.stderr.contains("has no tests: write ") && finished.stderr.contains("`== it answers`"),
        "{finished:?}"
    );

    let folder = stage("echo", "== it answers\nalice: hi\n");
    folder.write("plugin.wasm", "no component").unwrap();
    let finished = tried(&folder, &[]).await;
    ended(&finished, 1);
    assert!(finished.stderr.contains("plugin.wasm: "), "{finished:?}");
}

/// Compiling takes most of a test's time, and many seconds for a plugin in Python.
#[tokio::test]
async fn what_was_compiled_to_be_tried_is_kept_for_the_next_time() {
    let (folder, data) = (stage("echo", "== it answers\nalice: hi\n  to alice: hi\n"), Folder::new().unwrap());
    let mut home = Home::new().unwrap();
    home.set_environment("XDG_DATA_HOME", data.path().to_str().unwrap());
    let file = folder.join("plugin.wasm").display().to_string();
    let mut kept = Vec::new();
    for _ in 0..2 {
        ended(&home.run(&["plugin", "test", &file]).await.unwrap(), 0);
        let entries = std::fs::read_dir(data.join("parlor/tried/compiled")).unwrap();
        // A file that is written again has another inode.
        kept.push(entries.map(|entry| entry.unwrap().metadata().unwrap().ino()).collect::<Vec<_>>());
    }
    assert_eq!(kept[0].len(), 1);
    assert_eq!(kept[0], kept[1], "it was compiled anew");
}

/// The help shows everything that a script may contain.
#[test]
fn the_help_names_every_word_of_the_language() {
    let help = Command::new(plugins::program("parlor").unwrap()).args(["plugin", "test", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for word in ["start", "after 10 min", "garden/alice: hello", "deny messages.send", "restart", "(glob)", "--update"]
    {
        assert!(help.contains(word), "{word}: {help}");
    }
}
