//! Contacts, their presence and their requests.

use parlor_stanza::types::Show;

use super::*;

fn romeo(desk: &Desk) -> Arc<Contact> {
    Arc::clone(&desk.session.snapshot().contacts.unwrap()[&bare(ROMEO)])
}

fn client(name: &str, priority: i8, show: Option<Show>, status: Option<&str>) -> Presence {
    let status = status.map(str::to_owned);
    Presence { show, status, priority, ..presence(&format!("{ROMEO}/{name}"), PresenceKind::Available) }
}

fn unreachable() -> PresenceKind {
    PresenceKind::Error(stanza_error("remote-server-not-found"))
}

/// Rules priority.
#[test]
fn the_highest_priority_speaks_for_a_contact_and_ties_go_to_the_newest() {
    let mut desk = Desk::connected(Settings::default());
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
        (presence(ROMEO, unreachable()), "offline", None, None, &both[..]),
    ] {
        desk.now += Duration::from_secs(1);
        desk.presence(step);
        let contact = romeo(&desk);
        assert_eq!(contact.chat_status(), chat_status);
        assert_eq!(contact.status(), status);
        assert_eq!(contact.resources.first().map(|client| client.name.as_str()), first);
        assert_eq!(desk.lines(), events);
    }
}

#[test]
fn since_says_when_the_state_began() {
    let mut desk = Desk::connected(Settings::default());
    let start = desk.now;
    desk.presence(client("a", 0, None, None));
    desk.now += Duration::from_mins(1);
    desk.presence(client("a", 0, None, None));
    assert_eq!(romeo(&desk).resources[0].since, start);
    desk.presence(Presence { delay: Some(start), ..client("a", 0, Some(Show::Away), None) });
    assert_eq!(romeo(&desk).resources[0].since, start);
    desk.presence(client("a", 0, Some(Show::Dnd), None));
    assert_eq!(romeo(&desk).resources[0].since, desk.now);
}

#[test]
fn presence_of_strangers_and_of_ourselves_is_nobodys() {
    let mut desk = Desk::connected(Settings::default());
    desk.presence(presence("tybalt@example.org/x", PresenceKind::Available));
    desk.presence(presence("bot@example.org/other", PresenceKind::Available));
    assert!(desk.lines().is_empty());
    assert_eq!(desk.session.snapshot().contacts.unwrap().len(), 2);
}

/// Events contactPresenceChanged, contactStatusMessageChanged.
#[test]
fn after_a_cut_only_what_became_different_is_told() {
    let who = |name: &str| format!("{name}@example.org/home");
    let all = ["same", "away", "gone", "less", "unsubscribed"];
    let roster = |names: &[&str]| names.iter().map(|name| item(&format!("{name}@example.org"), "both")).collect();
    let mut desk = Desk::connected(Settings::default());
    desk.run(Session::suspended);
    desk.bind();
    desk.roster(roster(&all));
    for name in all {
        desk.presence(presence(&who(name), PresenceKind::Available));
    }
    desk.presence(Presence { priority: 5, ..presence("less@example.org/work", PresenceKind::Available) });
    let status = |desk: &Desk, name: &str| {
        let contacts = desk.session.snapshot().contacts.unwrap();
        contacts.get(&bare(&format!("{name}@example.org"))).map(|contact| contact.chat_status())
    };
    // The whole connect order, twice: the second stream is lost before any presence came.
    for _ in 0..2 {
        desk.run(Session::suspended);
        desk.forget();
        desk.bind();
        desk.roster(roster(&all[..4]));
    }
    assert_eq!(desk.count("contactPresenceChanged"), 0, "{:?}", desk.lines);
    assert_eq!(status(&desk, "same"), Some("online"), "what was known serves until something else is known");
    assert_eq!(status(&desk, "unsubscribed"), None);
    desk.forget();
    desk.presence(presence(&who("same"), PresenceKind::Available));
    assert!(desk.lines().is_empty());
    desk.presence(Presence { show: Some(Show::Away), ..presence(&who("away"), PresenceKind::Available) });
    assert_eq!(desk.lines(), ["contactPresenceChanged", "contactStatusChanged"]);
    desk.presence(presence(&who("less"), PresenceKind::Available));
    // A lost connection that is resumed takes nobody's time.
    desk.wait(9);
    desk.run(Session::suspended);
    desk.wait(600);
    desk.run(Session::resumed);
    desk.forget();
    desk.wait(9);
    assert_eq!((desk.lines(), status(&desk, "gone")), (Vec::new(), Some("online")));
    desk.wait(1);
    assert_eq!(desk.lines(), ["contactPresenceChanged", "contactStatusChanged"]);
    let statuses = ["same", "away", "gone", "less"].map(|name| status(&desk, name).unwrap());
    assert_eq!(statuses, ["online", "away", "offline", "online"]);
    let contacts = desk.session.snapshot().contacts.unwrap();
    assert_eq!(contacts[&bare("less@example.org")].resources.len(), 1, "one of its clients is gone");
}

/// Events contactPresenceChanged, contactRemoved.
#[test]
fn who_was_taken_out_of_the_roster_meanwhile_is_told_as_gone() {
    let mut desk = Desk::connected(Settings::default());
    desk.presence(presence("romeo@example.org/orchard", PresenceKind::Available));
    desk.run(Session::suspended);
    desk.bind();
    desk.forget();
    desk.roster(vec![item("juliet@example.org", "both")]);
    assert_eq!(
        desk.lines()[..4],
        ["contactPresenceChanged", "contactStatusChanged", "contactRemoved", "roster"].map(str::to_owned)
    );
    desk.wait(60);
    assert_eq!(desk.count("contactPresenceChanged"), 1);
}

/// Events contactPresenceChanged.
#[test]
fn after_hiding_only_what_became_different_is_told() {
    let mut desk = Desk::connected(Settings::default());
    let juliet = "juliet@example.org/balcony";
    let status = |desk: &mut Desk, value| {
        let _set = desk.ask(SetStatus { value: Some(value), message: None });
    };
    for who in ["romeo@example.org/orchard", juliet] {
        desk.presence(presence(who, PresenceKind::Available));
    }
    desk.forget();
    status(&mut desk, StatusValue::Offline);
    // An equivalent status, and a lost connection that is resumed.
    status(&mut desk, StatusValue::Unavailable);
    desk.run(Session::suspended);
    desk.run(Session::resumed);
    desk.wait(3_600);
    assert_eq!(romeo(&desk).chat_status(), "online", "nobody says anything else");
    // Presence that was on its way when the account hid proves nothing once it is visible again.
    desk.presence(presence("romeo@example.org/orchard", PresenceKind::Available));
    status(&mut desk, StatusValue::Online);
    desk.presence(presence(juliet, PresenceKind::Available));
    desk.wait(9);
    assert_eq!((desk.count("contactPresenceChanged"), romeo(&desk).chat_status()), (0, "online"));
    desk.wait(1);
    assert_eq!((desk.count("contactPresenceChanged"), romeo(&desk).chat_status()), (1, "offline"));
    desk.presence(presence("romeo@example.org/orchard", PresenceKind::Available));
    desk.wait(60);
    status(&mut desk, StatusValue::Away);
    desk.wait(60);
    assert_eq!(romeo(&desk).chat_status(), "online", "who stays in sight is told everything");
}

/// Events contactPresenceChanged.
#[test]
fn who_hides_knows_of_nobody_and_an_end_is_told_at_once() {
    let mut desk = Desk::connected(Settings::default());
    desk.presence(presence("romeo@example.org/orchard", PresenceKind::Available));
    let _set = desk.ask(SetStatus { value: Some(StatusValue::Offline), message: None });
    desk.run(Session::suspended);
    desk.forget();
    desk.bind();
    desk.roster(vec![item(ROMEO, "both")]);
    desk.wait(0);
    assert_eq!(desk.count("contactPresenceChanged"), 1);
    let mut desk = Desk::connected(Settings::default());
    desk.presence(presence("romeo@example.org/orchard", PresenceKind::Available));
    desk.forget();
    desk.run(Session::closed);
    assert_eq!(desk.count("contactPresenceChanged"), 1);
}

#[test]
fn a_roster_push_is_applied_and_answered() {
    let mut desk = Desk::connected(Settings::default());
    desk.presence(client("a", 0, None, None));
    desk.forget();
    desk.push(RosterItem { name: Some("Romeo".to_owned()), ..item(ROMEO, "to") });
    assert_eq!(desk.lines(), ["rosterPush", "> reply Done"]);
    assert_eq!((romeo(&desk).fullname.as_str(), romeo(&desk).subscription.as_str()), ("Romeo", "to"));
    assert_eq!(romeo(&desk).chat_status(), "online", "a new name takes nobody offline");
    desk.push(item("nurse@example.org", "none"));
    assert_eq!(desk.session.snapshot().contacts.unwrap().len(), 3);
    desk.forget();
    desk.push(item(ROMEO, "remove"));
    assert_eq!(desk.lines(), ["rosterPush", "contactRemoved", "> reply Done"]);
    assert!(!desk.session.snapshot().contacts.unwrap().contains_key(&bare(ROMEO)));
    desk.push(item(ROMEO, "remove"));
    assert_eq!(desk.lines(), ["rosterPush", "> reply Done"]);
}

#[test]
fn requests_are_told_answered_or_refused_as_the_settings_say() {
    let subscribe = || presence("paris@example.org", PresenceKind::Subscribe);
    let mut desk = Desk::connected(Settings::default());
    desk.presence(subscribe());
    desk.presence(subscribe());
    assert_eq!(desk.lines(), ["contactRequest"], "the server repeats requests");
    let asking = |desk: &Desk| desk.session.snapshot().contacts.unwrap().get(&bare("paris@example.org")).cloned();
    assert!(asking(&desk).unwrap().requesting);
    desk.presence(presence("paris@example.org", PresenceKind::Unsubscribe));
    assert!(asking(&desk).is_none());
    assert_eq!(desk.lines(), ["contactRemoved"]);
    desk.presence(subscribe());
    desk.push(item("paris@example.org", "from"));
    assert!(!asking(&desk).unwrap().requesting, "let in");
    desk.forget();
    desk.presence(subscribe());
    assert_eq!(desk.lines(), ["> subscribed to paris@example.org"]);

    let mut desk = Desk::connected(settings(&[("allow_contact_requests", false.into())]));
    desk.presence(subscribe());
    assert_eq!(desk.lines(), ["> unsubscribed to paris@example.org"]);

    let mut desk = Desk::connected(settings(&[("auto_subscribe", true.into())]));
    desk.presence(subscribe());
    assert_eq!(desk.lines(), ["> subscribed to paris@example.org", "> subscribe to paris@example.org"]);
    desk.presence(presence(ROMEO, PresenceKind::Subscribe));
    assert_eq!(desk.lines(), ["> subscribed to romeo@example.org"], "he sees us both ways already");
}

#[test]
fn a_stranger_who_asks_is_no_contact_to_chat_with() {
    let mut desk = Desk::connected(Settings::default());
    desk.presence(presence("paris@example.org", PresenceKind::Subscribe));
    desk.message(message("paris@example.org/x", MessageKind::Chat, "let me in"));
    assert_eq!(desk.lines(), ["contactRequest", "message", "messageNotification"]);
}

/// Otherwise grants for `contacts` would cover everyone: asking costs nothing.
#[test]
fn a_stranger_who_asks_is_no_contact_to_grants() {
    let mut desk = Desk::connected(Settings::default());
    let paris = bare("paris@example.org");
    desk.presence(presence("paris@example.org", PresenceKind::Subscribe));
    let snapshot = desk.session.snapshot();
    assert!(snapshot.contacts.as_ref().unwrap().contains_key(&paris), "it can be seen who asks");
    assert!(!snapshot.is_contact(&paris));
    assert!(snapshot.is_contact(&bare(ROMEO)));
    desk.push(item("paris@example.org", "from"));
    assert!(desk.session.snapshot().is_contact(&paris));
}

#[test]
fn a_new_roster_keeps_who_is_online_and_who_asks() {
    let mut desk = Desk::connected(Settings::default());
    desk.presence(presence("paris@example.org", PresenceKind::Subscribe));
    desk.bind();
    desk.roster(vec![item("nurse@example.org", "both")]);
    let contacts = desk.session.snapshot().contacts.unwrap();
    let known: Vec<_> = contacts.keys().map(ToString::to_string).collect();
    assert_eq!(known, ["nurse@example.org", "paris@example.org"]);
}

fn who_asks(desk: &Desk) -> Vec<String> {
    let contacts = desk.session.snapshot().contacts.unwrap();
    contacts.values().filter(|contact| contact.requesting).map(|contact| contact.jid.to_string()).collect()
}

/// Events contactRemoved.
#[test]
fn a_request_that_is_not_repeated_on_a_new_stream_was_answered_by_another_client() {
    let (nurse, paris, tybalt) = ("nurse@example.org", "paris@example.org", "tybalt@example.org");
    let mut desk = Desk::connected(Settings::default());
    desk.push(item(nurse, "none"));
    for who in [nurse, paris, tybalt] {
        desk.presence(presence(who, PresenceKind::Subscribe));
    }
    desk.run(Session::suspended);
    desk.run(Session::resumed);
    desk.wait(10);
    assert_eq!(who_asks(&desk), [nurse, paris, tybalt], "a stream that goes on repeats nothing");
    desk.run(Session::suspended);
    desk.bind();
    desk.roster(vec![item(nurse, "none")]);
    desk.forget();
    desk.presence(presence(paris, PresenceKind::Subscribe));
    desk.wait(9);
    assert_eq!(who_asks(&desk), [nurse, paris, tybalt]);
    assert_eq!((desk.count("contactRequest"), desk.count("contactRemoved")), (0, 0));
    desk.wait(1);
    assert_eq!(who_asks(&desk), [paris]);
    assert_eq!(desk.count("contactRemoved"), 1, "one of them is a contact all the same");
    desk.presence(presence(tybalt, PresenceKind::Subscribe));
    assert_eq!((who_asks(&desk).len(), desk.count("contactRequest")), (2, 1), "he asks anew");
}

#[test]
fn requests_stay_where_the_server_does_not_repeat_them() {
    for (key, value) in [("priority", Value::from(-1)), ("default_state", Value::from("offline"))] {
        let mut desk = Desk::connected(settings(&[(key, value)]));
        desk.presence(presence("paris@example.org", PresenceKind::Subscribe));
        desk.bind();
        desk.roster(Vec::new());
        desk.wait(10);
        assert_eq!(who_asks(&desk), ["paris@example.org"], "{key}");
    }
}
