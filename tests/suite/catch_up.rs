//! Catching up: a plugin receives the messages that it missed from the archive, once, as history, and only if its
//! grants allow them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use jid::BareJid;
use parlor_tests::client::Client;
use parlor_tests::component::with_manifest;
use parlor_tests::faults::Faults;
use parlor_tests::peer::Request;
use parlor_tests::peer::archive::{Asked, careless, honest, id as uid, text};
use parlor_tests::plugins::built;
use parlor_tests::policy::{Entry, Policy};
use serde_json::{Value, json};
use xmpp_parsers::minidom::Element;

use crate::cut::cut_for_good;
use crate::test_host::{FULL, NARROW, Plan, SOON, TestHost, client, friend, granted, narrowly_granted, prosody};
use crate::trace::BREAKS;

/// The id of a caller that does not catch up.
const LATE: &str = "late";

/// Builds a caller whose manifest declares that it catches up.
pub(crate) fn catching_up() -> Vec<u8> {
    let says = |text: &str| text.replacen("[plugin]", "[plugin]\ncatch_up = true", 1);
    with_manifest(&built("caller").unwrap().bytes().unwrap(), says).unwrap()
}

/// Configures it to note all messages from the start on, including history.
fn noting(id: &str) -> impl FnOnce(Entry) -> Entry {
    move |entry| entry.set("name", id).set("listens", "message+delayed")
}

trait CatchesUp {
    fn catches_up(self, id: &str, entry: impl FnOnce(Entry) -> Entry) -> Self;
}

impl CatchesUp for Plan {
    fn catches_up(self, id: &str, entry: impl FnOnce(Entry) -> Entry) -> Self {
        self.bytes(id, &catching_up(), |new| entry(noting(id)(new)))
    }
}

/// Starts a host with three plugins: one catches up with a full grant, one with a grant for nobody here, and one does
/// not catch up.
async fn host() -> TestHost {
    let plan = Plan::new().await.set("keepalive", false).catches_up(FULL, granted).catches_up(NARROW, narrowly_granted);
    begun(plan.caller(LATE, |entry| granted(noting(LATE)(entry))).start().await).await
}

async fn begun(host: TestHost) -> TestHost {
    host.logged("plugin will catch up from here on", &[("plugin", FULL)]).await;
    host
}

async fn caught_up(host: &TestHost, messages: &str) {
    host.logged("plugin caught up", &[("plugin", FULL), ("messages", messages)]).await;
}

/// Returns the messages that a plugin has noted since it started, each with whether it was history.
async fn noted(host: &TestHost, plugin: &str) -> Vec<(String, bool)> {
    let events = host.call(plugin, "action.noted", Value::Null).await.ok();
    let texts = events.as_array().unwrap().iter().filter_map(|event| {
        let message = &event["payload"]["message"];
        Some((message["body"].as_str()?.to_owned(), message["delayed"] == true))
    });
    texts.collect()
}

fn past(texts: &[&str]) -> Vec<(String, bool)> {
    texts.iter().map(|text| ((*text).to_owned(), true)).collect()
}

async fn says(friend: &mut Client, host: &TestHost, texts: &[&str]) {
    tell(friend, &host.account().jid.clone(), texts).await;
}

async fn tell(friend: &mut Client, to: &BareJid, texts: &[&str]) {
    for text in texts {
        friend.chat(to.clone(), text).await.unwrap();
    }
    // The server has received all of these messages.
    friend.catch_up(SOON).await.unwrap();
}

/// Restarts a host, and sends these messages to its account while it is down. Another client of the account is online,
/// so that the server stores none of them for later delivery.
async fn down_while(host: TestHost, friend: &mut Client, texts: &[&str]) -> TestHost {
    let (bot, account) = (host.account().jid.clone(), host.account().clone());
    let meanwhile = async || {
        let other = client(&account).await;
        tell(friend, &bot, texts).await;
        other.close().await.unwrap();
    };
    host.restart_after(meanwhile).await
}

/// Waits until a plugin has heard this as a live message.
async fn hears_now(host: &TestHost, plugin: &str, text: &str) {
    while !noted(host, plugin).await.contains(&(text.to_owned(), false)) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_while_the_host_was_down_is_told_once_and_as_history() {
    let host = host().await;
    let mut friend = friend("friend").await;
    says(&mut friend, &host, &["before"]).await;
    hears_now(&host, FULL, "before").await;
    let host = down_while(host, &mut friend, &["one", "two", "three"]).await;
    caught_up(&host, "3").await;
    says(&mut friend, &host, &["after"]).await;
    hears_now(&host, FULL, "after").await;
    let mut expected = past(&["one", "two", "three"]);
    expected.push(("after".to_owned(), false));
    assert_eq!(noted(&host, FULL).await, expected);
    assert_eq!(noted(&host, NARROW).await, [], "its grants show nobody who is here");
    assert_eq!(noted(&host, LATE).await, [("after".to_owned(), false)], "it does not catch up");

    let bot = host.account().jid.clone();
    let host = host.restart_after(async || tell(&mut friend, &bot, &["put aside"]).await).await;
    hears(&host, "put aside").await;
    says(&mut friend, &host, &["again"]).await;
    hears_now(&host, FULL, "again").await;
    let told = [("put aside".to_owned(), true), ("again".to_owned(), false)];
    assert_eq!(noted(&host, FULL).await, told, "the server said it, too, and so does the archive");
}

/// Waits until the plugin that catches up has heard this as history.
async fn hears(host: &TestHost, text: &str) {
    while !noted(host, FULL).await.contains(&(text.to_owned(), true)) {}
}

/// Starts a host with a plugin that catches up and enters this room automatically. Somebody is in the room.
async fn host_in(room: &BareJid, juliet: &mut Client, plan: Plan) -> TestHost {
    juliet.join(room, "Juliet", SOON).await.unwrap();
    juliet.unlock(room, SOON).await.unwrap();
    say(juliet, room, &["long ago".to_owned()]).await;
    let rooms = vec![toml::Value::from(room.to_string())];
    let plan = plan.set("keepalive", false).set("auto_join_rooms", rooms);
    let host = plan.catches_up(FULL, granted).start().await;
    host.logged("plugin will catch up from here on", &[("plugin", FULL), ("room", room.as_str())]).await;
    host
}

async fn say(somebody: &mut Client, room: &BareJid, texts: &[String]) {
    for text in texts {
        somebody.say(room, text).await.unwrap();
    }
    // Everybody has received these messages.
    somebody.catch_up(SOON).await.unwrap();
}

/// Returns more messages than rooms send as history.
fn many(what: &str) -> Vec<String> {
    (0..30).map(|number| format!("{what} {number}")).collect()
}

fn told(past: &[String], now: &str) -> Vec<(String, bool)> {
    past.iter().map(|text| (text.clone(), true)).chain([(now.to_owned(), false)]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_room_said_while_the_host_was_down_is_told_once_however_much_it_was() {
    let (room, mut juliet) = (prosody().await.fresh_room(), friend("juliet").await);
    let host = host_in(&room, &mut juliet, Plan::new().await).await;
    say(&mut juliet, &room, &["before".to_owned()]).await;
    hears_now(&host, FULL, "before").await;
    assert_eq!(noted(&host, FULL).await, told(&["long ago".to_owned()], "before"), "a plugin begins with now");
    let meanwhile = many("meanwhile");
    let host = host.restart_after(async || say(&mut juliet, &room, &meanwhile).await).await;
    caught_up_in(&host, &room, "30").await;
    say(&mut juliet, &room, &["after".to_owned()]).await;
    hears_now(&host, FULL, "after").await;
    assert_eq!(noted(&host, FULL).await, told(&meanwhile, "after"));
    let host = host.restart_after(async || {}).await;
    host.logged("plugin missed nothing", &[("plugin", FULL), ("room", room.as_str())]).await;
    say(&mut juliet, &room, &["again".to_owned()]).await;
    hears_now(&host, FULL, "again").await;
    assert_eq!(noted(&host, FULL).await, told(&[], "again"), "what it has handled is not told again");
}

async fn caught_up_in(host: &TestHost, room: &BareJid, messages: &str) {
    host.logged("plugin caught up", &[("plugin", FULL), ("room", room.as_str()), ("messages", messages)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_room_said_during_a_cut_that_nothing_resumes_is_told_once_however_much_it_was() {
    let (room, mut juliet) = (prosody().await.fresh_room(), friend("juliet").await);
    let faults = Faults::before(prosody().await.ports().starttls).await.unwrap();
    let host = host_in(&room, &mut juliet, Plan::new().await.through(faults.port()).await).await;
    let meanwhile = many("meanwhile");
    cut_for_good(&host, &faults, async || say(&mut juliet, &room, &meanwhile).await).await;
    caught_up_in(&host, &room, "30").await;
    say(&mut juliet, &room, &["after".to_owned()]).await;
    hears_now(&host, FULL, "after").await;
    let mut expected = past(&["long ago"]);
    expected.extend(told(&meanwhile, "after"));
    assert_eq!(noted(&host, FULL).await, expected);
}

/// With the setting `keepalive` the host leaves its session to the next process, so both the server and its archive may
/// have the messages of the meantime.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_kept_for_the_next_process_is_told_once() {
    let host = begun(Plan::new().await.catches_up(FULL, granted).start().await).await;
    let (bot, mut friend) = (host.account().jid.clone(), friend("friend").await);
    let host = host.restart_after(async || tell(&mut friend, &bot, &["meanwhile"]).await).await;
    // On a busy machine the session is not always kept. Then the archive has the message, a little later.
    while noted(&host, FULL).await.is_empty() {}
    says(&mut friend, &host, &["after"]).await;
    hears_now(&host, FULL, "after").await;
    let texts: Vec<_> = noted(&host, FULL).await.into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts, ["meanwhile", "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_during_a_cut_that_nothing_resumes_is_told_once() {
    let faults = Faults::before(prosody().await.ports().starttls).await.unwrap();
    let plan = Plan::new().await.through(faults.port()).await.catches_up(FULL, granted);
    let host = begun(plan.start().await).await;
    let mut friend = friend("friend").await;
    says(&mut friend, &host, &["before"]).await;
    hears_now(&host, FULL, "before").await;
    cut_for_good(&host, &faults, async || {
        let other = client(host.account()).await;
        says(&mut friend, &host, &["one", "two"]).await;
        other.close().await.unwrap();
    })
    .await;
    caught_up(&host, "2").await;
    says(&mut friend, &host, &["after"]).await;
    hears_now(&host, FULL, "after").await;
    let texts: Vec<_> = noted(&host, FULL).await.into_iter().map(|(text, _)| text).collect();
    assert_eq!(texts, ["before", "one", "two", "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plugin_missed_while_it_was_down_itself_is_told_and_what_broke_it_is_not() {
    let host = begun(Plan::new().await.catches_up(FULL, granted).start().await).await;
    let mut friend = friend("friend").await;
    let entry = host.policy.plugin[FULL].clone();
    host.home.set_policy(&Policy::default()).unwrap();
    host.host.reload().await.unwrap();
    says(&mut friend, &host, &["while it was away"]).await;
    host.home.set_policy(&Policy::default().with(FULL, entry)).unwrap();
    host.host.reload().await.unwrap();
    caught_up(&host, "1").await;
    assert_eq!(noted(&host, FULL).await, past(&["while it was away"]));
    // It fails while it handles a message, which may be the cause, and has lost its notes.
    host.ears().promise("go").await;
    let slow = host.order(FULL, "listen.on-and-wait", json!({ "name": "message", "promise": "go" })).await;
    host.answer(FULL, "listen.on-and-wait", slow).await.ok();
    says(&mut friend, &host, &["what it breaks over"]).await;
    host.heard(FULL, slow).await;
    host.order(FULL, "action.panic", Value::Null).await;
    host.logged("plugin ended", &[("plugin", FULL)]).await;
    host.logged("plugin missed nothing", &[("plugin", FULL)]).await;
    says(&mut friend, &host, &["after"]).await;
    hears_now(&host, FULL, "after").await;
    assert_eq!(noted(&host, FULL).await, [("after".to_owned(), false)]);
}

/// It would fail over this message each time until it is quarantined, and again after its owner restarts it.
#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_host_under_a_plugin_is_not_told_again_either() {
    let host = begun(Plan::new().await.catches_up(FULL, granted).start().await).await;
    let mut friend = friend("friend").await;
    host.ears().promise("go").await;
    let slow = host.order(FULL, "listen.on-and-wait", json!({ "name": "message", "promise": "go" })).await;
    host.answer(FULL, "listen.on-and-wait", slow).await.ok();
    says(&mut friend, &host, &["what it breaks over"]).await;
    host.heard(FULL, slow).await;
    host.order(FULL, "log.write", json!({ "level": "info", "message": BREAKS })).await;
    let reason = "the host failed while it served a call; please report this";
    host.logged("plugin ended", &[("plugin", FULL), ("reason", reason)]).await;
    host.logged("plugin missed nothing", &[("plugin", FULL)]).await;
    says(&mut friend, &host, &["after"]).await;
    hears_now(&host, FULL, "after").await;
    assert_eq!(noted(&host, FULL).await, [("after".to_owned(), false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_too_much_so_many_are_told_and_the_log_says_so() {
    let limited = |entry| granted(entry).limit("catch_up_messages", 2);
    let host = begun(Plan::new().await.set("keepalive", false).catches_up(FULL, limited).start().await).await;
    let mut friend = friend("friend").await;
    let host = down_while(host, &mut friend, &["one", "two", "three"]).await;
    let more = "plugin missed more than its limit catch_up_messages; the rest stays in the archive";
    host.logged(more, &[("plugin", FULL), ("messages", "2")]).await;
    assert_eq!(noted(&host, FULL).await, past(&["one", "two"]));
    host.restart().await.logged("plugin running", &[("plugin", FULL)]).await;
}

/// An archive also stores the account's own messages.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_account_said_itself_is_no_part_of_what_is_told() {
    let limited = |entry| granted(entry).limit("catch_up_messages", 3);
    let host = begun(Plan::new().await.set("keepalive", false).catches_up(FULL, limited).start().await).await;
    let (bot, account, mut friend) = (host.account().jid.clone(), host.account().clone(), friend("friend").await);
    let meanwhile = async || {
        let mut other = client(&account).await;
        for text in ["one", "two", "three"] {
            tell(&mut friend, &bot, &[text]).await;
            tell(&mut other, &friend.jid().to_bare(), &["an answer", "and another"]).await;
        }
        other.close().await.unwrap();
    };
    let host = host.restart_after(meanwhile).await;
    caught_up(&host, "3").await;
    assert_eq!(noted(&host, FULL).await, past(&["one", "two", "three"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_archive_the_log_says_so_and_all_else_goes_on() {
    let host = Plan::scripted_without_archive().await.catches_up(FULL, granted).start().await;
    let error = "the account's server keeps no archive (XEP-0313)";
    host.logged("plugin is not told what it missed", &[("plugin", FULL), ("error", error)]).await;
    host.call(FULL, "user.jid", Value::Null).await.ok();
}

/// This happens while a server starts.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_archive_cannot_say_for_a_while_is_told_as_soon_as_it_can() {
    let (busy, is_longer) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (mut before, mut after) = (honest(3), honest(5));
    let (still_busy, longer) = (Arc::clone(&busy), Arc::clone(&is_longer));
    let script = move |asked: &Asked| match still_busy.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
        Ok(_) => vec![asked.put_off()],
        Err(_) if longer.load(Relaxed) => after(asked),
        Err(_) => before(asked),
    };
    let host = begun(Plan::scripted(Box::new(script)).await.catches_up(FULL, granted).start().await).await;
    let meanwhile = async || {
        busy.store(3, Relaxed);
        is_longer.store(true, Relaxed);
    };
    let host = host.restart_after(meanwhile).await;
    host.logged("it cannot be said now what a plugin missed; asking again", &[("plugin", FULL)]).await;
    caught_up(&host, "2").await;
    assert_eq!(noted(&host, FULL).await, past(&[&text(3), &text(4)]));
}

const ROOM: &str = "hall@rooms.localhost";

/// A room of a scripted server. It answers disco requests, and on request admits us, says something, or removes us.
fn hall(request: &Request) -> Option<Vec<Element>> {
    if request.to.as_ref()?.as_str() != ROOM {
        return None;
    }
    let id = &request.id;
    let result = |content: &str| {
        format!("<iq xmlns='jabber:client' type='result' id='{id}' from='{ROOM}'>{content}</iq>").parse().unwrap()
    };
    if request.payload.is("query", "http://jabber.org/protocol/disco#info") {
        let features = ["urn:xmpp:mam:2", "urn:xmpp:sid:0"].map(|var| format!("<feature var='{var}'/>")).concat();
        let identity = "<identity category='conference' type='text'/>";
        let xmlns = "http://jabber.org/protocol/disco#info";
        return Some(vec![result(&format!("<query xmlns='{xmlns}'>{identity}{features}</query>"))]);
    }
    let (asked, presence) = (&request.payload, |nick: &str, attributes: &str, inside: &str| -> Element {
        let user = format!("<x xmlns='http://jabber.org/protocol/muc#user'>{inside}<status code='110'/></x>");
        format!("<presence xmlns='jabber:client' from='{ROOM}/{nick}' {attributes}>{user}</presence>").parse().unwrap()
    });
    let said = match asked.name() {
        "let-in" => presence(asked.attr("nick")?, "", "<item affiliation='member' role='participant'/>"),
        "put-out" => presence(asked.attr("nick")?, "type='unavailable'", "<item role='none'/><status code='307'/>"),
        "say" => {
            let number = asked.attr("number")?.parse().ok()?;
            let mut message = said_in_hall(number);
            let id = format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='{}'/>", uid(number));
            message.append_child(id.parse().unwrap());
            message
        }
        _ => return None,
    };
    Some(vec![said, result("")])
}

fn said_in_hall(number: u64) -> Element {
    let body = format!("<body>{}</body>", text(number));
    let from = format!("from='{ROOM}/Juliet' type='groupchat' id='by-{number}'");
    format!("<message xmlns='jabber:client' {from}>{body}</message>").parse().unwrap()
}

async fn enter_hall(host: &TestHost, nick: &str) {
    let opened = host.order(FULL, "rooms.open", json!({ "jid": ROOM, "nick": nick })).await;
    host.says(&format!("{ROOM}/{nick}")).await;
    have_hall(host, &format!("let-in nick='{nick}'")).await;
    host.answer(FULL, "rooms.open", opened).await.ok();
}

async fn have_hall(host: &TestHost, what: &str) {
    let asks = format!("<iq type='get' to='{ROOM}'><{what} xmlns='urn:example:hall'/></iq>");
    host.call(FULL, "api.send-iq", json!({ "iq": asks })).await.ok();
}

/// Returns a page of its archive, which has this many messages.
fn page_of_hall(asked: &Asked, total: u64) -> Vec<Element> {
    let number = |part| asked.part(part).map(|id: &str| id.strip_prefix("uid-").and_then(|id| id.parse().ok()));
    let (begin, end) = match (number("before"), number("after")) {
        (Some(before), _) => (before.unwrap_or(total).saturating_sub(asked.max()), before.unwrap_or(total)),
        (None, Some(after)) => (after.unwrap() + 1, total.min(after.unwrap() + 1 + asked.max())),
        (None, None) => (0, total.min(asked.max())),
    };
    let results = (begin..end).map(|number| asked.wrap(&asked.archive(), &uid(number), said_in_hall(number)));
    let mut stanzas: Vec<_> = results.collect();
    stanzas.push(asked.fin((begin < end).then(|| (begin, end - 1)), end == total, Some(total)));
    stanzas
}

/// The limit counts across several pages.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_room_cannot_say_for_a_while_is_told_as_soon_as_it_can_up_to_the_limit() {
    let (total, busy) = (Arc::new(AtomicU64::new(3)), Arc::new(AtomicUsize::new(0)));
    let (there, still_busy, mut own) = (Arc::clone(&total), Arc::clone(&busy), honest(0));
    let script = move |asked: &Asked| {
        if asked.to.is_none() {
            return own(asked);
        }
        match still_busy.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) {
            Ok(_) => vec![asked.put_off()],
            Err(_) => page_of_hall(asked, there.load(Relaxed)),
        }
    };
    let limited = |entry| granted(entry).limit("catch_up_messages", 120);
    let plan = Plan::scripted(Box::new(script)).await.answering(hall).catches_up(FULL, limited);
    let host = begun(plan.start().await).await;
    enter_hall(&host, "bot").await;
    host.logged("plugin will catch up from here on", &[("plugin", FULL), ("room", ROOM)]).await;
    let meanwhile = async || {
        total.store(133, Relaxed);
        busy.store(2, Relaxed);
    };
    let host = host.restart_after(meanwhile).await;
    enter_hall(&host, "again").await;
    let asks_again = "it cannot be said now what a plugin missed; asking again";
    host.logged(asks_again, &[("plugin", FULL), ("room", ROOM)]).await;
    let more = "plugin missed more than its limit catch_up_messages; the rest stays in the archive";
    host.logged(more, &[("plugin", FULL), ("room", ROOM), ("messages", "120")]).await;
    let expected: Vec<_> = (3..123).map(|number| (text(number), true)).collect();
    assert_eq!(noted(&host, FULL).await, expected);
}

/// A server may have written a message into a broken connection and continued over another one.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_brought_between_what_was_is_told_once() {
    let total = Arc::new(AtomicU64::new(3));
    let (there, mut own) = (Arc::clone(&total), honest(0));
    let script = move |asked: &Asked| match asked.to {
        None => own(asked),
        Some(_) => page_of_hall(asked, there.load(Relaxed)),
    };
    let plan = Plan::scripted(Box::new(script)).await.answering(hall).catches_up(FULL, granted);
    let host = begun(plan.start().await).await;
    enter_hall(&host, "bot").await;
    host.logged("plugin will catch up from here on", &[("plugin", FULL), ("room", ROOM)]).await;
    for number in [3, 4, 7] {
        have_hall(&host, &format!("say number='{number}'")).await;
        hears_now(&host, FULL, &text(number)).await;
    }
    let mut expected: Vec<_> = [3, 4, 7].map(|number| (text(number), false)).into();
    // The second time, nothing is missing any more.
    for (all, nick, missed) in [(9, "again", &[8, 5, 6][..]), (10, "third", &[9])] {
        let former = if nick == "again" { "bot" } else { "again" };
        have_hall(&host, &format!("put-out nick='{former}'")).await;
        total.store(all, Relaxed);
        enter_hall(&host, nick).await;
        host.logged("plugin caught up", &[("room", ROOM), ("messages", &missed.len().to_string())]).await;
        expected.extend(missed.iter().map(|number| (text(*number), true)));
        assert_eq!(noted(&host, FULL).await, expected);
    }
}

/// The archive is replaced by another one, which lacks the message that the plugin handled last.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_has_forgotten_where_it_was_gives_what_it_has_since_then() {
    for after in [honest, careless] {
        let is_another = Arc::new(AtomicBool::new(false));
        let (is_now, mut before, mut after) = (Arc::clone(&is_another), honest(7), after(2));
        let script = move |asked: &Asked| if is_now.load(Relaxed) { after(asked) } else { before(asked) };
        let host = begun(Plan::scripted(Box::new(script)).await.catches_up(FULL, granted).start().await).await;
        let host = host.restart_after(async || is_another.store(true, Relaxed)).await;
        let forgotten =
            "the archive has forgotten the message that a plugin handled last; telling what it has since then";
        host.logged(forgotten, &[("plugin", FULL)]).await;
        caught_up(&host, "2").await;
        assert_eq!(noted(&host, FULL).await, past(&[&text(0), &text(1)]));
    }
}
