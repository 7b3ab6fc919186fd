//! `dialogs`: questions to people (row 153 of `tests/conformance.toml`).

use std::collections::BTreeSet;
use std::time::Duration;

use parlor_runtime::instance::Instance;
use parlor_runtime::supervisor::State;
use parlor_tests::client::Client;
use parlor_tests::component::that_parks;
use parlor_tests::plugins;
use parlor_tests::policy::Entry;
use serde_json::{Value, json};
use xmpp_parsers::minidom::Element;

use crate::test_host::{A_MOMENT, BARE, FULL, NARROW, Plan, SOON, TestHost, friend, granted, id, running};

/// The timeout of hundreds of questions on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// Returns how much of a limit a plugin uses.
fn used(instance: &Instance, limit: &str) -> f64 {
    let limits = instance.usage(None).limits;
    limits.into_iter().find(|one| one.name == limit).and_then(|one| one.used).unwrap()
}

/// Waits until this number of a plugin's questions is open.
pub(crate) async fn until_open(host: &TestHost, plugin: &str, count: f64) {
    let instance = host.instance(plugin).await;
    let wait = async {
        while used(&instance, "dialogs").to_bits() != count.to_bits() {
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    let late = |_| panic!("{} questions are open, not {count}", used(&instance, "dialogs"));
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(late);
}

/// Waits until the handlers of a plugin hold at most this number of places: one that asks returns its place a moment
/// later.
pub(crate) async fn until_at_rest(host: &TestHost, plugin: &str, most: f64) {
    let instance = host.instance(plugin).await;
    let wait = async {
        while used(&instance, "handlers") > most {
            tokio::time::sleep(A_MOMENT).await;
        }
    };
    let late = |_| panic!("{} handlers hold places, and not {most}", used(&instance, "handlers"));
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(late);
}

/// Orders a question to this person.
async fn asks(host: &TestHost, plugin: &str, to: &str, choices: &[&str]) -> u64 {
    host.order(plugin, "dialogs.ask", json!({ "to": to, "text": "Which?", "choices": choices })).await
}

/// Waits until a person is asked.
async fn is_asked(host: &TestHost, client: &mut Client, text: &str) {
    let bot = host.account().jid.clone();
    client.wait_body(&bot, text, SOON).await.unwrap();
}

fn swift(entry: Entry) -> Entry {
    let entry = entry.limit("messages_per_second", 10_000).limit("messages_burst", 10_000).limit("mailbox", 4_096);
    entry.limit("calls_per_second", 10_000).limit("events_per_second", 10_000)
}

/// Row 153. Events `dialog`.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_by_the_next_message_of_the_person() {
    let host = Plan::new().await.three().start().await;
    let mut juliet = friend("juliet").await;
    let (person, bot) = (juliet.jid().to_bare(), host.account().jid.clone());
    for call in ["dialogs.ask", "dialogs.begin"] {
        let args = json!({ "to": person.as_str(), "text": "Which?" });
        host.call(BARE, call, args).await.denied("messages.send", Some(person.as_str()));
    }
    for call in ["dialogs.ask-in-room", "dialogs.begin-in-room"] {
        let args = json!({ "room": "hall@conference.localhost", "nick": "x", "text": "Which?" });
        host.call(BARE, call, args).await.denied("rooms.send", Some("hall@conference.localhost"));
    }
    let (own, others) = (host.listen(FULL, "message").await, host.listen(FULL, "messageAdded").await);
    let order = asks(&host, FULL, person.as_str(), &["red", "blue"]).await;
    is_asked(&host, &mut juliet, "Which?\n1. red\n2. blue").await;
    juliet.chat(bot.clone(), "green").await.unwrap();
    let again = "That is none of the choices. Answer with one of these, or with its number:\n1. red\n2. blue";
    is_asked(&host, &mut juliet, again).await;
    juliet.chat(bot.clone(), "2").await.unwrap();
    host.answer(FULL, "dialogs.ask", order).await.is(json!({ "text": "blue", "choice": 1 }));
    assert!(host.heard_so_far(FULL, own).await.is_empty() && host.heard_so_far(FULL, others).await.is_empty());

    let order = asks(&host, FULL, person.as_str(), &[]).await;
    is_asked(&host, &mut juliet, "Which?").await;
    juliet.chat(bot.clone(), "Cancel").await.unwrap();
    assert_eq!(host.answer(FULL, "dialogs.ask", order).await.fails("rejected")["what"], "cancelled");
    let args = json!({ "to": person.as_str(), "text": "Now?", "timeout": 1 });
    host.call(FULL, "dialogs.ask", args).await.fails("timed-out");
    is_asked(&host, &mut juliet, "Now?").await;

    let args = json!({ "to": person.as_str(), "text": "Later?" });
    let order = host.order(FULL, "dialogs.begin", args).await;
    host.answer(FULL, "dialogs.begin", order).await.ok();
    is_asked(&host, &mut juliet, "Later?").await;
    juliet.chat(bot.clone(), "as you like").await.unwrap();
    let heard = host.heard(FULL, order).await;
    assert_eq!((&heard["name"], &heard["end"]["text"]), (&json!("dialog"), &json!("as you like")));
    for call in ["dialogs.take", "dialogs.wait", "dialogs.cancel"] {
        host.call(FULL, call, json!({ "dialog": 1 })).await.fails("not-found");
    }
}

/// Row 153: other plugins see the answer, with a mark, and an event of the plugin's own is none.
#[tokio::test(flavor = "multi_thread")]
async fn other_plugins_see_an_answer_with_a_mark() {
    let host = Plan::new().await.three().caller("reader", granted).start().await;
    running(&host, "reader").await;
    let listens = host.listen("reader", "message").await;
    let mut juliet = friend("juliet").await;
    let order = asks(&host, FULL, juliet.jid().to_bare().as_str(), &[]).await;
    is_asked(&host, &mut juliet, "Which?").await;
    juliet.chat(host.account().jid.clone(), "this one").await.unwrap();
    host.answer(FULL, "dialogs.ask", order).await.is(json!({ "text": "this one", "choice": null }));
    assert_eq!(host.heard("reader", listens).await["payload"]["message"]["command"], "?");
}

/// Row 153: in a room, the person who leaves ends the question.
#[tokio::test(flavor = "multi_thread")]
async fn an_occupant_who_leaves_ends_the_question() {
    let host = Plan::new().await.three().start().await;
    let room: jid::BareJid = format!("asks-{}@conference.localhost", host.name()).parse().unwrap();
    host.call(FULL, "rooms.open", json!({ "jid": room.as_str(), "nick": "bot" })).await.ok();
    let mut juliet = friend("juliet").await;
    juliet.join(&room, "Juliet", SOON).await.unwrap();
    let ask = |call: &'static str| {
        let args = json!({ "room": room.as_str(), "nick": "Juliet", "text": "Which?", "choices": ["red", "blue"] });
        host.order(FULL, call, args)
    };
    let args = json!({ "room": room.as_str(), "nick": "nobody", "text": "Which?" });
    host.call(FULL, "dialogs.ask-in-room", args).await.fails("not-found");
    let order = ask("dialogs.ask-in-room").await;
    juliet
        .wait_text("the question", &room, SOON, |text| text.starts_with("Juliet: Which?").then_some(()))
        .await
        .unwrap();
    juliet.say(&room, "bot: red").await.unwrap();
    host.answer(FULL, "dialogs.ask-in-room", order).await.is(json!({ "text": "red", "choice": 0 }));
    let order = ask("dialogs.ask-in-room").await;
    let begun = ask("dialogs.begin-in-room").await;
    host.answer(FULL, "dialogs.begin-in-room", begun).await.ok();
    host.answer(FULL, "dialogs.ask-in-room", order).await.fails("stopped");
    juliet.leave(&room, "Juliet").await.unwrap();
    let heard = host.heard(FULL, begun).await;
    assert!(heard["end"].as_str().unwrap().contains("not found"), "{heard}");
}

/// Row 153: five hundred handlers wait at once, and none of them holds a place.
#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_handlers_wait_for_answers_and_hold_no_place() {
    let plan = Plan::scripted_without_archive().await.set("allow_non_roster_messaging", true);
    let host = plan
        .answering(answers_of_people)
        .caller(FULL, |entry| swift(granted(entry)).limit("handlers", 4))
        .start()
        .await;
    running(&host, FULL).await;
    let mut orders = Vec::new();
    for number in 0..500 {
        orders.push(asks(&host, FULL, &person(number), &["yes", "no"]).await);
    }
    until_open(&host, FULL, 500.0).await;
    until_at_rest(&host, FULL, 4.0).await;
    // Another handler runs, and 500 answers come.
    people_answer(&host, 500).await;
    for order in orders {
        host.answer(FULL, "dialogs.ask", order).await.is(json!({ "text": "yes", "choice": 0 }));
    }
    until_open(&host, FULL, 0.0).await;
}

/// Row 153.
#[tokio::test(flavor = "multi_thread")]
async fn dialogs() {
    let plan = Plan::scripted_without_archive().await.set("allow_non_roster_messaging", true);
    let few = |entry: Entry| swift(granted(entry)).limit("dialogs", 2);
    let host = plan.answering(answers_of_people).caller(FULL, few).caller(NARROW, granted).start().await;
    let first = asks(&host, FULL, &person(0), &[]).await;
    let args = json!({ "to": person(1), "text": "?" });
    host.call(FULL, "dialogs.begin", args).await.ok();
    let args = json!({ "to": person(2), "text": "?" });
    let error = host.call(FULL, "dialogs.begin", args.clone()).await.fails("over-limit");
    assert_eq!(error["what"], "2 dialogs");
    running(&host, NARROW).await;
    host.call(NARROW, "dialogs.begin", args.clone()).await.ok();
    people_answer(&host, 2).await;
    host.answer(FULL, "dialogs.ask", first).await.is(json!({ "text": "yes", "choice": null }));
    until_open(&host, FULL, 0.0).await;
    host.call(FULL, "dialogs.begin", args).await.ok();
}

/// Row 153: the time of a handler stands still while it waits for an answer, and goes on afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_a_handler_does_not_run_while_it_waits_for_an_answer() {
    let plan = Plan::scripted_without_archive().await.set("allow_non_roster_messaging", true);
    let short = |entry: Entry| swift(granted(entry)).limit("handler", "200 ms");
    let host = plan.answering(answers_of_people).caller(FULL, short).start().await;
    running(&host, FULL).await;
    for _ in 0..2 {
        let args = json!({ "to": person(0), "text": "Are you there?", "timeout": 1 });
        host.call(FULL, "dialogs.ask", args).await.fails("timed-out");
    }
}

/// Row 153: questions end with the instance, and the person's next message is one like any other.
#[tokio::test(flavor = "multi_thread")]
async fn questions_end_with_the_plugin_and_keep_it_from_being_parked() {
    let parks = that_parks(&plugins::built("caller").unwrap().bytes().unwrap()).unwrap();
    let idle = |entry: Entry| granted(entry).set("name", "parks").limit("idle", "10 ms");
    let host = Plan::new().await.three().bytes("parks", &parks, idle).start().await;
    let mut juliet = friend("juliet").await;
    let person = juliet.jid().to_bare();
    running(&host, FULL).await;
    asks(&host, FULL, person.as_str(), &[]).await;
    is_asked(&host, &mut juliet, "Which?").await;
    until_open(&host, FULL, 1.0).await;
    assert!(host.host.restart_plugin(&id(FULL)).await);
    running(&host, FULL).await;
    until_open(&host, FULL, 0.0).await;
    let listens = host.listen(FULL, "message").await;
    juliet.chat(host.account().jid.clone(), "this one").await.unwrap();
    let heard = host.heard(FULL, listens).await;
    assert_eq!(
        (&heard["payload"]["message"]["body"], &heard["payload"]["message"]["command"]),
        (&json!("this one"), &Value::Null)
    );
    // It is idle for long enough while the question is open.
    let begun =
        host.order("parks", "dialogs.begin", json!({ "to": person.as_str(), "text": "Awake?", "timeout": 200 })).await;
    host.answer("parks", "dialogs.begin", begun).await.ok();
    is_asked(&host, &mut juliet, "Awake?").await;
    host.heard("parks", begun).await;
    assert_eq!(host.restarts("parks").await, 0);
    assert!(matches!(host.state("parks").await, State::Running | State::Parked));
}

/// The address of one of many people on a scripted server.
pub(crate) fn person(number: usize) -> String {
    format!("person-{number}@localhost")
}

/// Lets a number of people answer a scripted server's questions.
pub(crate) async fn people_answer(host: &TestHost, count: usize) {
    let asks =
        format!("<iq type='get' to='people@localhost'><answer xmlns='urn:example:people' count='{count}'/></iq>");
    host.call(FULL, "api.send-iq", json!({ "iq": asks })).await.ok();
}

/// Answers as a number of people, when it is asked to.
pub(crate) fn answers_of_people(request: &parlor_tests::peer::Request) -> Option<Vec<Element>> {
    if request.to.as_ref()?.as_str() != "people@localhost" {
        return None;
    }
    let count: usize = request.payload.attr("count")?.parse().ok()?;
    let says = |number: usize| -> Element {
        let (from, id) = (person(number), format!("answer-{number}"));
        let body = "<body>yes</body>";
        format!("<message xmlns='jabber:client' from='{from}/home' type='chat' id='{id}'>{body}</message>")
            .parse()
            .unwrap()
    };
    let id = &request.id;
    let result =
        format!("<iq xmlns='jabber:client' type='result' id='{id}' from='people@localhost'/>").parse().unwrap();
    let people: BTreeSet<usize> = (0..count).collect();
    Some(people.into_iter().map(says).chain([result]).collect())
}
