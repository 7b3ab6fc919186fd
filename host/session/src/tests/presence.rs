//! Contacts, their presence and their requests.

use parlor_stanza::types::Show;

use super::*;
use crate::features::MAX_HELD;

fn romeo(test: &TestSession) -> Arc<Contact> {
    Arc::clone(&test.session.snapshot().contacts.unwrap()[&bare(ROMEO)])
}

fn client(name: &str, priority: i8, show: Option<Show>, status: Option<&str>) -> Presence {
    let status = status.map(str::to_owned);
    Presence { show, status, priority, ..presence(&format!("{ROMEO}/{name}"), PresenceKind::Available) }
}

fn unreachable() -> PresenceKind {
    PresenceKind::Error(stanza_error("remote-server-not-found"))
}

fn not_acceptable(xml: &str) -> PresenceKind {
    let mut error = stanza_error("not-acceptable");
    error.xml = xml.to_owned();
    PresenceKind::Error(error)
}

/// Rules priority.
#[test]
fn the_highest_priority_speaks_for_a_contact_and_ties_go_to_the_newest() {
    let mut test = TestSession::connected(Settings::default());
    let both = ["contactPresenceChanged", "contactStatusChanged"];
    let all = ["contactPresenceChanged", "contactStatusChanged", "contactStatusMessageChanged"];
    let gone = |name: &str| presence(&format!("{ROMEO}/{name}"), PresenceKind::Unavailable);
    for (step, chat_status, status, first, events) in [
        (client("a", 0, None, None), "online", None, Some("a"), &both[..]),
        (client("a", 0, None, None), "online", None, Some("a"), &[]),
        (client("b", 0, Some(Show::Dnd), Some("busy")), "busy", Some("busy"), Some("b"), &all[..]),
        (client("c", -1, None, Some("low")), "busy", Some("busy"), Some("b"), &[]),
        (client("a", 5, Some(Show::Away), Some("busy")), "away", Some("busy"), Some("a"), &both[..]),
        (client("a", 5, Some(Show::Xa), None), "xa", None, Some("a"), &all[..]),
        (client("a", 5, Some(Show::Chat), None), "online", None, Some("a"), &both[..]),
        (gone("a"), "busy", Some("busy"), Some("b"), &all[..]),
        (gone("nobody"), "busy", Some("busy"), Some("b"), &[]),
        (presence(ROMEO, PresenceKind::Unavailable), "offline", None, None, &all[..]),
        (client("a", 0, None, None), "online", None, Some("a"), &both[..]),
        // An unreachable client does not affect others; an unreachable bare address does.
        (presence(&format!("{ROMEO}/a"), unreachable()), "online", None, Some("a"), &[]),
        // MongooseIM answers so to a status that a privacy list keeps from the contact, and to one for a blocked address.
        (presence(ROMEO, not_acceptable("")), "online", None, Some("a"), &[]),
        (presence(ROMEO, unreachable()), "offline", None, None, &both[..]),
        (client("a", 0, None, None), "online", None, Some("a"), &both[..]),
        (
            presence(ROMEO, not_acceptable("<blocked xmlns='urn:xmpp:blocking:errors'/>")),
            "offline",
            None,
            None,
            &both[..],
        ),
    ] {
        test.now += Duration::from_secs(1);
        test.presence(step);
        let contact = romeo(&test);
        assert_eq!(contact.chat_status(), chat_status);
        assert_eq!(contact.status(), status);
        assert_eq!(contact.resources.first().map(|client| client.name.as_str()), first);
        assert_eq!(test.lines(), events);
    }
}

#[test]
fn since_says_when_the_state_began() {
    let mut test = TestSession::connected(Settings::default());
    let start = test.now;
    test.presence(client("a", 0, None, None));
    test.now += Duration::from_mins(1);
    test.presence(client("a", 0, None, None));
    assert_eq!(romeo(&test).resources[0].since, start);
    test.presence(Presence { delay: Some(start), ..client("a", 0, Some(Show::Away), None) });
    assert_eq!(romeo(&test).resources[0].since, start);
    test.presence(client("a", 0, Some(Show::Dnd), None));
    assert_eq!(romeo(&test).resources[0].since, test.now);
}

#[test]
fn presence_of_strangers_and_of_ourselves_is_nobodys() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(presence("tybalt@example.org/x", PresenceKind::Available));
    test.presence(presence("bot@example.org/other", PresenceKind::Available));
    assert!(test.lines().is_empty());
    assert_eq!(test.session.snapshot().contacts.unwrap().len(), 2);
}

/// A server may need longer for the roster than it is waited for, and says only once who is online.
#[test]
fn who_is_online_is_known_if_the_roster_comes_late() {
    let client = |name: &str, kind: PresenceKind| presence(&format!("{name}@example.org/home"), kind);
    let status = |test: &TestSession, name: &str| {
        let contacts = test.session.snapshot().contacts.unwrap();
        contacts[&bare(&format!("{name}@example.org"))].chat_status()
    };
    let mut test = TestSession::new(Settings::default());
    test.bind();
    let id = test.asked(|ask| matches!(ask, Ask::Roster { .. }));
    test.presence(client("romeo", PresenceKind::Available));
    test.wait(20);
    for name in ["nurse", "paris", "tybalt"] {
        test.presence(client(name, PresenceKind::Available));
    }
    test.presence(client("paris", PresenceKind::Unavailable));
    test.forget();
    let entries = ["romeo", "nurse", "paris"].map(|name| item(&format!("{name}@example.org"), "both"));
    test.answer(None, id, Ok(Body::Roster { version: None, items: entries.to_vec() }));
    assert_eq!(["romeo", "nurse", "paris"].map(|name| status(&test, name)), ["online", "online", "offline"]);
    assert_eq!(test.count("contactPresenceChanged"), 4);

    // Presence that came on an earlier stream does not count.
    let mut test = TestSession::new(Settings::default());
    test.bind();
    test.presence(client("romeo", PresenceKind::Available));
    test.run(Session::suspended);
    test.bind();
    test.roster(vec![item(ROMEO, "both")]);
    assert_eq!(status(&test, "romeo"), "offline");
}

/// Otherwise a contact who left while there was no space would stay online.
#[test]
fn the_newest_presence_counts_if_there_is_no_space_before_the_roster() {
    let nurse = "nurse@example.org";
    let mut test = TestSession::new(Settings::default());
    test.bind();
    let id = test.asked(|ask| matches!(ask, Ask::Roster { .. }));
    test.wait(20);
    test.presence(client("a", 0, None, None));
    test.presence(client("b", 0, None, None));
    test.presence(presence(&format!("{nurse}/home"), PresenceKind::Available));
    for number in 3..MAX_HELD {
        test.presence(presence(&format!("stranger{number}@example.org/home"), PresenceKind::Available));
    }
    let told = test.now;
    test.presence(client("a", 0, Some(Show::Away), None));
    test.presence(presence(nurse, PresenceKind::Unavailable));
    test.wait(5);
    test.answer(None, id, Ok(Body::Roster { version: None, items: vec![item(ROMEO, "both"), item(nurse, "both")] }));
    let of = |name: &str| romeo(&test).resources.iter().find(|client| client.name == name).cloned().unwrap();
    assert_eq!((of("a").show, of("b").show), (Some(Show::Away), None));
    assert!(of("a").since == told && of("b").since == told, "the time of the presence, and not of the roster");
    assert_eq!(test.session.snapshot().contacts.unwrap()[&bare(nurse)].chat_status(), "offline");
}

#[test]
fn what_a_room_said_before_it_was_entered_does_not_count_once_the_roster_has_come() {
    let mut test = TestSession::new(Settings::default());
    test.bind();
    let id = test.asked(|ask| matches!(ask, Ask::Roster { .. }));
    test.wait(20);
    test.presence(presence(&format!("{ROOM}/nurse"), PresenceKind::Available));
    test.in_room();
    test.answer(None, id, Ok(Body::Roster { version: None, items: Vec::new() }));
    let rooms = test.session.snapshot().rooms;
    let occupants: Vec<&str> = rooms[&bare(ROOM)].occupants.keys().map(|nick| &**nick).collect();
    assert_eq!(occupants, ["bot", "juliet"]);
}

/// Prosody (its issue 1121) takes an account for gone when an older session of the same client ends late, and tells it so.
#[test]
fn an_account_that_its_server_takes_for_gone_shows_itself_again() {
    let own = "bot@example.org/parlor";
    let shown = |test: &mut TestSession, who: &str| {
        test.sent.clear();
        test.presence(presence(who, PresenceKind::Unavailable));
        let is_shown = |stanza: &&Outgoing| {
            matches!(stanza, Outgoing::Presence(PresenceOut { to: None, kind: PresenceOutKind::Available, .. }))
        };
        let pings = test.count_asked(|ask| *ask == Ask::Ping);
        (test.sent.iter().filter(is_shown).count(), pings)
    };
    let status = |test: &mut TestSession, value: StatusValue| {
        let _set = test.ask(SetStatus { value: Some(value), message: None });
    };
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    assert_eq!(shown(&mut test, "bot@example.org/other"), (0, 0), "it is another client of ours");
    assert_eq!(shown(&mut test, own), (1, 1), "rooms are asked as well");
    assert_eq!(shown(&mut test, own), (0, 0), "a server that says so again and again is not followed");
    test.wait(30);
    assert_eq!(shown(&mut test, own).0, 1);
    test.wait(30);
    status(&mut test, StatusValue::Offline);
    assert_eq!(shown(&mut test, own), (0, 0), "it is gone");
    status(&mut test, StatusValue::Online);
    assert_eq!(shown(&mut test, own), (0, 0), "it was gone a moment ago");
    test.bind();
    test.roster(Vec::new());
    assert_eq!(shown(&mut test, own).0, 1, "it was gone on another stream");
}

/// Events contactPresenceChanged, contactStatusMessageChanged.
#[test]
fn after_a_cut_only_what_became_different_is_told() {
    let who = |name: &str| format!("{name}@example.org/home");
    let all = ["same", "away", "gone", "less", "unsubscribed"];
    let roster = |names: &[&str]| names.iter().map(|name| item(&format!("{name}@example.org"), "both")).collect();
    let mut test = TestSession::connected(Settings::default());
    test.run(Session::suspended);
    test.bind();
    test.roster(roster(&all));
    for name in all {
        test.presence(presence(&who(name), PresenceKind::Available));
    }
    test.presence(Presence { priority: 5, ..presence("less@example.org/work", PresenceKind::Available) });
    let status = |test: &TestSession, name: &str| {
        let contacts = test.session.snapshot().contacts.unwrap();
        contacts.get(&bare(&format!("{name}@example.org"))).map(|contact| contact.chat_status())
    };
    // The whole connect order, twice: the second stream is lost before any presence was received.
    for _ in 0..2 {
        test.run(Session::suspended);
        test.forget();
        test.bind();
        test.roster(roster(&all[..4]));
    }
    assert_eq!(test.count("contactPresenceChanged"), 0, "{:?}", test.lines);
    assert_eq!(status(&test, "same"), Some("online"), "what was known serves until something else is known");
    assert_eq!(status(&test, "unsubscribed"), None);
    test.forget();
    test.presence(presence(&who("same"), PresenceKind::Available));
    assert!(test.lines().is_empty());
    test.presence(Presence { show: Some(Show::Away), ..presence(&who("away"), PresenceKind::Available) });
    assert_eq!(test.lines(), ["contactPresenceChanged", "contactStatusChanged"]);
    test.presence(presence(&who("less"), PresenceKind::Available));
    // The duration of a lost connection that is resumed does not count.
    test.wait(9);
    test.run(Session::suspended);
    test.wait(600);
    test.run(Session::resumed);
    test.forget();
    test.wait(9);
    assert_eq!((test.lines(), status(&test, "gone")), (Vec::new(), Some("online")));
    test.wait(1);
    assert_eq!(test.lines(), ["contactPresenceChanged", "contactStatusChanged"]);
    let statuses = ["same", "away", "gone", "less"].map(|name| status(&test, name).unwrap());
    assert_eq!(statuses, ["online", "away", "offline", "online"]);
    let contacts = test.session.snapshot().contacts.unwrap();
    assert_eq!(contacts[&bare("less@example.org")].resources.len(), 1, "one of its clients is gone");
}

/// Events contactPresenceChanged, contactRemoved.
#[test]
fn who_was_taken_out_of_the_roster_meanwhile_is_told_as_gone() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(presence("romeo@example.org/orchard", PresenceKind::Available));
    test.run(Session::suspended);
    test.bind();
    test.forget();
    test.roster(vec![item("juliet@example.org", "both")]);
    assert_eq!(
        test.lines()[..4],
        ["contactPresenceChanged", "contactStatusChanged", "contactRemoved", "roster"].map(str::to_owned)
    );
    test.wait(60);
    assert_eq!(test.count("contactPresenceChanged"), 1);
}

/// Events contactPresenceChanged.
#[test]
fn after_hiding_only_what_became_different_is_told() {
    let mut test = TestSession::connected(Settings::default());
    let juliet = "juliet@example.org/balcony";
    let status = |test: &mut TestSession, value| {
        let _set = test.ask(SetStatus { value: Some(value), message: None });
    };
    for who in ["romeo@example.org/orchard", juliet] {
        test.presence(presence(who, PresenceKind::Available));
    }
    test.forget();
    status(&mut test, StatusValue::Offline);
    // An equivalent status, and a lost connection that is resumed.
    status(&mut test, StatusValue::Unavailable);
    test.run(Session::suspended);
    test.run(Session::resumed);
    test.wait(3_600);
    assert_eq!(romeo(&test).chat_status(), "online", "nobody says anything else");
    // Presence that was on its way when the account hid proves nothing once it is visible again.
    test.presence(presence("romeo@example.org/orchard", PresenceKind::Available));
    status(&mut test, StatusValue::Online);
    test.presence(presence(juliet, PresenceKind::Available));
    test.wait(9);
    assert_eq!((test.count("contactPresenceChanged"), romeo(&test).chat_status()), (0, "online"));
    test.wait(1);
    assert_eq!((test.count("contactPresenceChanged"), romeo(&test).chat_status()), (1, "offline"));
    test.presence(presence("romeo@example.org/orchard", PresenceKind::Available));
    test.wait(60);
    status(&mut test, StatusValue::Away);
    test.wait(60);
    assert_eq!(romeo(&test).chat_status(), "online", "who stays in sight is told everything");
}

/// Events contactPresenceChanged.
#[test]
fn who_hides_knows_of_nobody_and_an_end_is_told_at_once() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(presence("romeo@example.org/orchard", PresenceKind::Available));
    let _set = test.ask(SetStatus { value: Some(StatusValue::Offline), message: None });
    test.run(Session::suspended);
    test.forget();
    test.bind();
    test.roster(vec![item(ROMEO, "both")]);
    test.wait(0);
    assert_eq!(test.count("contactPresenceChanged"), 1);
    let mut test = TestSession::connected(Settings::default());
    test.presence(presence("romeo@example.org/orchard", PresenceKind::Available));
    test.forget();
    test.run(Session::closed);
    assert_eq!(test.count("contactPresenceChanged"), 1);
}

#[test]
fn a_roster_push_is_applied_and_answered() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(client("a", 0, None, None));
    test.forget();
    test.push(RosterItem { name: Some("Romeo".to_owned()), ..item(ROMEO, "to") });
    assert_eq!(test.lines(), ["rosterPush", "> reply Done"]);
    assert_eq!((romeo(&test).fullname.as_str(), romeo(&test).subscription.as_str()), ("Romeo", "to"));
    assert_eq!(romeo(&test).chat_status(), "online", "a new name takes nobody offline");
    test.push(item("nurse@example.org", "none"));
    assert_eq!(test.session.snapshot().contacts.unwrap().len(), 3);
    test.forget();
    test.push(item(ROMEO, "remove"));
    let offline = ["contactPresenceChanged", "contactStatusChanged"];
    assert_eq!(test.lines(), ["rosterPush", offline[0], offline[1], "contactRemoved", "> reply Done"]);
    let Payload::Contact(gone) = test.last("contactPresenceChanged") else { panic!() };
    assert_eq!(gone.chat_status(), "offline", "its presence is not known any more");
    assert!(!test.session.snapshot().contacts.unwrap().contains_key(&bare(ROMEO)));
    test.push(item(ROMEO, "remove"));
    assert_eq!(test.lines(), ["rosterPush", "> reply Done"]);
}

#[test]
fn requests_are_told_answered_or_refused_as_the_settings_say() {
    let subscribe = || presence("paris@example.org", PresenceKind::Subscribe);
    let mut test = TestSession::connected(Settings::default());
    test.presence(subscribe());
    test.presence(subscribe());
    assert_eq!(test.lines(), ["contactRequest"], "the server repeats requests");
    let asking =
        |test: &TestSession| test.session.snapshot().contacts.unwrap().get(&bare("paris@example.org")).cloned();
    assert!(asking(&test).unwrap().requesting);
    test.presence(presence("paris@example.org", PresenceKind::Unsubscribe));
    assert!(asking(&test).is_none());
    assert_eq!(test.lines(), ["contactRemoved"]);
    test.presence(subscribe());
    test.push(item("paris@example.org", "from"));
    assert!(!asking(&test).unwrap().requesting, "let in");
    test.forget();
    test.presence(subscribe());
    assert_eq!(test.lines(), ["> subscribed to paris@example.org"]);

    let mut test = TestSession::connected(settings(&[("allow_contact_requests", false.into())]));
    test.presence(subscribe());
    assert_eq!(test.lines(), ["> unsubscribed to paris@example.org"]);

    let mut test = TestSession::connected(settings(&[("auto_subscribe", true.into())]));
    test.presence(subscribe());
    assert_eq!(test.lines(), ["> subscribed to paris@example.org", "> subscribe to paris@example.org"]);
    test.presence(presence(ROMEO, PresenceKind::Subscribe));
    assert_eq!(test.lines(), ["> subscribed to romeo@example.org"], "he sees us both ways already");
}

/// ejabberd forgets capabilities that came with presence before.
#[test]
fn a_contact_gets_the_presence_once_more_when_the_account_may_see_theirs() {
    let paris = "paris@example.org";
    let mut test = TestSession::connected(settings(&[("priority", Value::from(5))]));
    let mut pushed = |subscription: &str| {
        test.forget();
        test.push(item(paris, subscription));
        test.lines().into_iter().filter(|line| line.starts_with("> available")).collect::<Vec<_>>()
    };
    for (subscription, told) in
        [("from", 0), ("both", 1), ("both", 0), ("to", 0), ("both", 0), ("none", 0), ("both", 0)]
    {
        assert_eq!(pushed(subscription), vec![format!("> available priority 5 to {paris}"); told], "{subscription}");
    }
    pushed("from");
    let _set = test.ask(SetStatus { value: Some(StatusValue::Offline), message: None });
    test.forget();
    test.push(item(paris, "both"));
    assert_eq!(test.lines(), ["rosterPush", "> reply Done"], "a hidden account shows nothing");
}

#[test]
fn a_stranger_who_asks_is_no_contact_to_chat_with() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(presence("paris@example.org", PresenceKind::Subscribe));
    test.message(message("paris@example.org/x", MessageKind::Chat, "let me in"));
    assert_eq!(test.lines(), ["contactRequest", "message", "messageNotification"]);
}

/// Otherwise grants for `contacts` would cover everyone: asking costs nothing.
#[test]
fn a_stranger_who_asks_is_no_contact_to_grants() {
    let mut test = TestSession::connected(Settings::default());
    let paris = bare("paris@example.org");
    test.presence(presence("paris@example.org", PresenceKind::Subscribe));
    let snapshot = test.session.snapshot();
    assert!(snapshot.contacts.as_ref().unwrap().contains_key(&paris), "it can be seen who asks");
    assert!(!snapshot.is_contact(&paris));
    assert!(snapshot.is_contact(&bare(ROMEO)));
    test.push(item("paris@example.org", "from"));
    assert!(test.session.snapshot().is_contact(&paris));
}

#[test]
fn a_new_roster_keeps_who_is_online_and_who_asks() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(presence("paris@example.org", PresenceKind::Subscribe));
    test.bind();
    test.roster(vec![item("nurse@example.org", "both")]);
    let contacts = test.session.snapshot().contacts.unwrap();
    let known: Vec<_> = contacts.keys().map(ToString::to_string).collect();
    assert_eq!(known, ["nurse@example.org", "paris@example.org"]);
}

fn who_asks(test: &TestSession) -> Vec<String> {
    let contacts = test.session.snapshot().contacts.unwrap();
    contacts.values().filter(|contact| contact.requesting).map(|contact| contact.jid.to_string()).collect()
}

/// Events contactRemoved.
#[test]
fn a_request_that_is_not_repeated_on_a_new_stream_was_answered_by_another_client() {
    let (nurse, paris, tybalt) = ("nurse@example.org", "paris@example.org", "tybalt@example.org");
    let mut test = TestSession::connected(Settings::default());
    test.push(item(nurse, "none"));
    for who in [nurse, paris, tybalt] {
        test.presence(presence(who, PresenceKind::Subscribe));
    }
    test.run(Session::suspended);
    test.run(Session::resumed);
    test.wait(10);
    assert_eq!(who_asks(&test), [nurse, paris, tybalt], "a stream that goes on repeats nothing");
    test.run(Session::suspended);
    test.bind();
    test.roster(vec![item(nurse, "none")]);
    test.forget();
    test.presence(presence(paris, PresenceKind::Subscribe));
    test.wait(9);
    assert_eq!(who_asks(&test), [nurse, paris, tybalt]);
    assert_eq!((test.count("contactRequest"), test.count("contactRemoved")), (0, 0));
    test.wait(1);
    assert_eq!(who_asks(&test), [paris]);
    assert_eq!(test.count("contactRemoved"), 1, "one of them is a contact all the same");
    test.presence(presence(tybalt, PresenceKind::Subscribe));
    assert_eq!((who_asks(&test).len(), test.count("contactRequest")), (2, 1), "he asks anew");
}

#[test]
fn requests_stay_where_the_server_does_not_repeat_them() {
    for (key, value) in [("priority", Value::from(-1)), ("default_state", Value::from("offline"))] {
        let mut test = TestSession::connected(settings(&[(key, value)]));
        test.presence(presence("paris@example.org", PresenceKind::Subscribe));
        test.bind();
        test.roster(Vec::new());
        test.wait(10);
        assert_eq!(who_asks(&test), ["paris@example.org"], "{key}");
    }
}
