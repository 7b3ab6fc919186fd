//! The roster: versions, pushes, and changes of contacts by plugins.
use super::*;
use crate::roster::MAX_CONTACTS;

const NURSE: &str = "nurse@example.org";

fn with_versions(desk: &mut Desk) {
    let own = FullJid::new("bot@example.org/house").unwrap();
    desk.run(|session, now, effects| session.bound(own, Offers { roster_versions: true }, now, effects));
    desk.go_on_to_roster();
}

fn asked_version(desk: &Desk) -> Option<String> {
    desk.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Ask { ask: Ask::Roster { version }, .. } => Some(version.clone()),
        _ => None,
    })?
}

fn answer_roster(desk: &mut Desk, outcome: Body) {
    let id = desk.asked(|ask| matches!(ask, Ask::Roster { .. }));
    desk.answer(None, id, Ok(outcome));
}

fn whole(version: &str, items: Vec<RosterItem>) -> Body {
    Body::Roster { version: Some(version.to_owned()), items }
}

fn push(desk: &mut Desk, version: &str, item: RosterItem) {
    let query = Query::RosterPush { version: Some(version.to_owned()), item, xml: "<iq/>".to_owned() };
    desk.hear(Incoming::Request(Request { from: None, id: "push".to_owned(), query }));
}

fn known(desk: &Desk) -> Vec<String> {
    desk.session.snapshot().contacts.unwrap().keys().map(ToString::to_string).collect()
}

fn contact(desk: &Desk, jid: &str) -> Option<Arc<Contact>> {
    desk.session.snapshot().contacts?.get(&bare(jid)).cloned()
}

/// Rows 17.
/// Events `cachedRoster`.
#[test]
fn a_roster_that_was_kept_is_used_when_the_server_says_that_it_holds() {
    let mut desk = Desk::new(Settings::default());
    desk.session.roster_kept("v1".to_owned(), vec![item(ROMEO, "both")]);
    with_versions(&mut desk);
    assert_eq!(asked_version(&desk).as_deref(), Some("v1"));
    assert!(desk.session.snapshot().contacts.is_none(), "nobody sees it before the server has spoken");
    let mut cached = desk.wait_until("cachedRoster");
    desk.forget();
    answer_roster(&mut desk, Body::Empty);
    assert_eq!(desk.lines()[..4], ["cachedRoster", "roster", "rosterGroupsFetched", "rosterContactsFetched"]);
    assert!(matches!(got(&mut cached), Some(Ok(Payload::None))));
    assert_eq!(known(&desk), [ROMEO]);
    push(&mut desk, "v2", item(NURSE, "to"));
    push(&mut desk, "v3", item(ROMEO, "remove"));
    assert!(matches!(&desk.kept[..], [
        KeepRoster::Changed { version: Some(two), contact },
        KeepRoster::Removed { version: Some(three), jid },
    ] if two == "v2" && three == "v3" && contact.jid == bare(NURSE) && *jid == bare(ROMEO)));

    // The same after a lost stream that could not be resumed, and after a log-out.
    with_versions(&mut desk);
    assert_eq!(asked_version(&desk).as_deref(), Some("v3"));
    desk.forget();
    answer_roster(&mut desk, Body::Empty);
    assert_eq!(desk.count("cachedRoster"), 1);
    assert_eq!(known(&desk), [NURSE]);
    desk.run(Session::logged_out);
    assert!(desk.session.snapshot().contacts.is_none());
    with_versions(&mut desk);
    assert_eq!(asked_version(&desk).as_deref(), Some("v3"));
    desk.presence(presence("paris@example.org", PresenceKind::Subscribe));
    answer_roster(&mut desk, whole("v9", vec![item(ROMEO, "from")]));
    assert_eq!(known(&desk), [ROMEO]);
    let mut cached = desk.wait_until("cachedRoster");
    assert!(matches!(got(&mut cached), Some(Err(CallError::Unsupported(_)))), "it was out of date");
    assert!(matches!(desk.kept.last(), Some(KeepRoster::Whole { version, .. }) if version == "v9"));
}

/// Rows 17.
#[test]
fn versions_are_spoken_of_only_to_a_server_that_gives_them() {
    let mut desk = Desk::new(Settings::default());
    desk.session.roster_kept("v1".to_owned(), vec![item(ROMEO, "both")]);
    desk.bind();
    assert_eq!(asked_version(&desk), None);
    answer_roster(&mut desk, Body::Roster { version: None, items: vec![item(NURSE, "both")] });
    assert_eq!(known(&desk), [NURSE]);
    assert!(matches!(desk.kept[..], [KeepRoster::Nothing]));
    desk.push(item(ROMEO, "both"));
    assert_eq!(desk.kept.len(), 1, "what has no version is not kept");

    let mut desk = Desk::new(Settings::default());
    with_versions(&mut desk);
    assert_eq!(asked_version(&desk).as_deref(), Some(""), "the first time there is none yet");
    answer_roster(&mut desk, Body::Empty);
    assert!(desk.session.snapshot().contacts.is_none(), "nothing holds where nothing was known");
    let mut roster = desk.wait_until("roster");
    assert!(matches!(got(&mut roster), Some(Err(CallError::Rejected(_)))));
}

#[test]
fn a_push_without_a_version_changes_the_roster_and_not_its_version() {
    let mut desk = Desk::new(Settings::default());
    with_versions(&mut desk);
    answer_roster(&mut desk, whole("v1", vec![item(ROMEO, "both")]));
    desk.push(item(NURSE, "to"));
    assert!(matches!(desk.kept.last(), Some(KeepRoster::Changed { version: None, .. })));
    push(&mut desk, "", item(NURSE, "both"));
    push(&mut desk, &"v".repeat(5_000), item(NURSE, "from"));
    with_versions(&mut desk);
    assert_eq!(asked_version(&desk).as_deref(), Some("v1"));
}

/// A flood of presence does not copy the roster: each snapshot shares all unchanged contacts with the previous one.
#[test]
fn ten_thousand_contacts_come_and_go_one_at_a_time() {
    const MANY: usize = 10_000;
    let jid = |number: usize| format!("c{number:05}@example.org");
    let mut desk = Desk::new(Settings::default());
    with_versions(&mut desk);
    answer_roster(&mut desk, whole("v1", (0..MANY).map(|number| item(&jid(number), "both")).collect()));
    desk.forget();
    let mut before = desk.session.snapshot().contacts.unwrap();
    for number in (0..MANY).step_by(100) {
        desk.presence(presence(&format!("{}/a", jid(number)), PresenceKind::Available));
        let after = desk.session.snapshot().contacts.unwrap();
        let changed = before.values().zip(after.values()).filter(|(one, other)| !Arc::ptr_eq(one, other)).count();
        assert_eq!(changed, 1);
        before = after;
    }
    for number in 0..MANY {
        desk.presence(presence(&format!("{}/a", jid(number)), PresenceKind::Available));
    }
    assert_eq!((desk.count("contactPresenceChanged"), desk.events.len()), (MANY, 2 * MANY), "each once, by both names");
    desk.forget();
    for number in 0..MANY {
        push(&mut desk, &format!("p{number}"), item(&jid(number), "to"));
    }
    assert_eq!(desk.count("rosterPush"), MANY);
    assert_eq!(desk.kept.len(), MANY + 1, "a push is kept as one row");
    assert!(desk.kept[1..].iter().all(|kept| matches!(kept, KeepRoster::Changed { .. })));
    desk.forget();
    desk.run(Session::closed);
    assert_eq!(desk.count("contactPresenceChanged"), MANY);
}

#[test]
fn a_roster_that_is_cut_is_not_kept() {
    let mut desk = Desk::new(Settings::default());
    with_versions(&mut desk);
    answer_roster(
        &mut desk,
        whole("v1", (0..=MAX_CONTACTS).map(|number| item(&format!("c{number}@example.org"), "both")).collect()),
    );
    assert!(matches!(desk.kept[..], [KeepRoster::Nothing]));
    let mut desk = Desk::new(Settings::default());
    with_versions(&mut desk);
    let items = (0..MAX_CONTACTS).map(|number| item(&format!("c{number}@example.org"), "both"));
    answer_roster(&mut desk, whole("v1", items.collect()));
    push(&mut desk, "v2", item("one-more@example.org", "both"));
    assert!(matches!(desk.kept.last(), Some(KeepRoster::Nothing)));
    with_versions(&mut desk);
    assert_eq!(asked_version(&desk).as_deref(), Some(""));
}

#[test]
fn who_is_not_seen_any_more_is_not_there() {
    let mut desk = Desk::connected(Settings::default());
    desk.presence(presence("romeo@example.org/a", PresenceKind::Available));
    desk.forget();
    desk.push(item(ROMEO, "from"));
    assert_eq!(desk.lines(), ["rosterPush", "contactPresenceChanged", "contactStatusChanged", "> reply Done"]);
    assert_eq!(contact(&desk, ROMEO).unwrap().chat_status(), "offline");
}

fn wish(desk: &mut Desk, jid: &str, wish: ContactWish) -> Receiver<Result<(), CallError>> {
    desk.ask(ChangeContact { jid: bare(jid), wish })
}

fn set(desk: &Desk) -> (String, RosterItem) {
    let found = desk.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Ask { to: None, id, ask: Ask::SetRoster(item) } => Some((id.clone(), item.clone())),
        _ => None,
    });
    found.expect("the roster was set")
}

fn add(fullname: Option<&str>) -> ContactWish {
    ContactWish::Add { fullname: fullname.map(str::to_owned) }
}

/// Rows 66, 67, 128.
#[test]
fn who_is_added_is_there_when_the_call_returns_wherever_the_push_is() {
    for push_first in [true, false] {
        let mut desk = Desk::connected(Settings::default());
        let mut added = wish(&mut desk, NURSE, add(Some("Nurse 🩺")));
        let (id, asked) = set(&desk);
        assert_eq!((asked.jid, asked.name.as_deref()), (bare(NURSE), Some("Nurse 🩺")));
        assert!(got(&mut added).is_none() && contact(&desk, NURSE).is_none());
        let pushed = RosterItem { name: Some("Nurse 🩺".to_owned()), ..item(NURSE, "none") };
        desk.forget();
        if push_first {
            desk.push(pushed.clone());
            assert!(got(&mut added).is_none(), "a push is not yet the answer");
        }
        desk.answer(None, id, Ok(Body::Empty));
        assert_eq!(got(&mut added), Some(Ok(())));
        let nurse = contact(&desk, NURSE).unwrap();
        assert_eq!((nurse.fullname.as_str(), nurse.ask), ("Nurse 🩺", true));
        assert_eq!(desk.lines().last().unwrap(), "> subscribe to nurse@example.org");
        if !push_first {
            desk.push(pushed.clone());
            assert_eq!(contact(&desk, NURSE).unwrap(), nurse, "that one was on its way before the request");
        }
        desk.push(RosterItem { ask: true, ..pushed.clone() });
        assert_eq!(contact(&desk, NURSE).unwrap(), nurse);
        desk.push(pushed);
        assert!(!contact(&desk, NURSE).unwrap().ask, "this one says that the request was refused");
    }
}

/// Rows 66, 128.
#[test]
fn who_was_asked_before_is_asked_until_a_push_says_otherwise() {
    let mut desk = Desk::connected(Settings::default());
    let asked = RosterItem { ask: true, ..item(NURSE, "none") };
    desk.push(asked.clone());
    let mut added = wish(&mut desk, NURSE, add(None));
    let id = set(&desk).0;
    desk.push(asked);
    desk.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut added), Some(Ok(())));
    assert!(contact(&desk, NURSE).unwrap().ask);
    desk.push(item(NURSE, "none"));
    assert!(!contact(&desk, NURSE).unwrap().ask, "the request was refused");
}

/// Some servers send no push.
#[test]
fn a_refusal_is_known_by_the_presence_alone() {
    let mut desk = Desk::new(Settings::default());
    with_versions(&mut desk);
    answer_roster(&mut desk, whole("v1", vec![item(NURSE, "from")]));
    wish(&mut desk, NURSE, add(None));
    let id = set(&desk).0;
    desk.answer(None, id, Ok(Body::Empty));
    assert!(contact(&desk, NURSE).unwrap().ask);
    desk.presence(presence(NURSE, PresenceKind::Unsubscribed));
    let nurse = contact(&desk, NURSE).unwrap();
    assert_eq!((nurse.ask, nurse.subscription.as_str()), (false, "from"));
    assert!(matches!(desk.kept.last(), Some(KeepRoster::Changed { version: None, contact }) if !contact.ask));
    desk.push(item(NURSE, "from"));
    assert!(!contact(&desk, NURSE).unwrap().ask, "nothing is asked that a push could be too early for");
    let kept = desk.kept.len();
    desk.presence(presence(NURSE, PresenceKind::Unsubscribed));
    desk.presence(presence("tybalt@example.org", PresenceKind::Unsubscribed));
    assert_eq!((desk.kept.len(), known(&desk).len()), (kept, 1));
}

/// Rows 66-68.
#[test]
fn who_is_there_keeps_what_is_not_named() {
    let mut desk = Desk::connected(Settings::default());
    let groups = vec!["Verona".to_owned(), "Montague".to_owned()];
    desk.push(RosterItem { name: Some("Romeo".to_owned()), groups: groups.clone(), ..item(ROMEO, "both") });
    wish(&mut desk, ROMEO, add(None));
    assert_eq!(set(&desk).1.name.as_deref(), Some("Romeo"));
    assert_eq!(set(&desk).1.groups, groups);
    let mut renamed = wish(&mut desk, ROMEO, ContactWish::Rename("R.".to_owned()));
    let (id, asked) = set(&desk);
    assert_eq!((asked.name.as_deref(), &asked.groups), (Some("R."), &groups));
    desk.forget();
    desk.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut renamed), Some(Ok(())));
    assert!(desk.lines().is_empty(), "nobody is asked again for a presence that is seen");
    assert_eq!(contact(&desk, ROMEO).unwrap().fullname, "R.");
    let twice = ["Paris", "Verona", "Paris"].map(str::to_owned).to_vec();
    let mut grouped = wish(&mut desk, ROMEO, ContactWish::SetGroups(twice));
    let (id, asked) = set(&desk);
    assert_eq!((asked.name.as_deref(), asked.groups), (Some("R."), ["Paris", "Verona"].map(str::to_owned).to_vec()));
    desk.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut grouped), Some(Ok(())));
    assert_eq!(contact(&desk, ROMEO).unwrap().groups, ["Paris", "Verona"]);
    wish(&mut desk, ROMEO, ContactWish::Rename(String::new()));
    assert_eq!(set(&desk).1.name, None);
    let mut removed = wish(&mut desk, ROMEO, ContactWish::Remove);
    let (id, asked) = set(&desk);
    assert_eq!(asked.subscription, "remove");
    desk.forget();
    desk.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut removed), Some(Ok(())));
    assert!(contact(&desk, ROMEO).is_none());
    assert_eq!(desk.lines(), ["contactRemoved"]);
    desk.push(item(ROMEO, "remove"));
    assert_eq!(desk.lines(), ["rosterPush", "> reply Done"], "told once");
}

/// Rows 66-68.
#[test]
fn what_cannot_be_done_with_a_contact_is_said_before_anything_is_sent() {
    let mut desk = Desk::connected(Settings::default());
    desk.presence(presence("paris@example.org", PresenceKind::Subscribe));
    let long = "x".repeat(1_024);
    let groups = |groups: &[&str]| ContactWish::SetGroups(groups.iter().map(|group| (*group).to_owned()).collect());
    let before = desk.sent.len();
    for (jid, asked, argument) in [
        ("bot@example.org", add(None), "jid"),
        (NURSE, add(Some(&long)), "fullname"),
        (NURSE, add(Some("\u{1}")), "fullname"),
        (ROMEO, ContactWish::Rename(long.clone()), "fullname"),
        (ROMEO, groups(&[""]), "groups"),
        (ROMEO, groups(&[&long]), "groups"),
        (ROMEO, ContactWish::SetGroups((0..65).map(|number| number.to_string()).collect()), "groups"),
    ] {
        let result = got(&mut wish(&mut desk, jid, asked));
        assert!(
            matches!(&result, Some(Err(CallError::Invalid { argument: named, .. })) if named == argument),
            "{result:?}"
        );
    }
    for (jid, asked) in [
        (NURSE, ContactWish::Remove),
        (NURSE, ContactWish::Rename("x".to_owned())),
        (NURSE, groups(&["x"])),
        ("paris@example.org", ContactWish::Remove),
        (NURSE, ContactWish::Accept),
        (ROMEO, ContactWish::Deny),
    ] {
        assert!(matches!(got(&mut wish(&mut desk, jid, asked)), Some(Err(CallError::NotFound(_)))));
    }
    assert_eq!(desk.sent.len(), before);
    desk.run(Session::closed);
    assert_eq!(got(&mut wish(&mut desk, NURSE, add(None))), Some(Err(CallError::Offline)));
    let mut desk = Desk::new(Settings::default());
    desk.bind();
    let early = got(&mut wish(&mut desk, NURSE, add(None)));
    assert_eq!(early, Some(Err(CallError::NotReady("rosterContactsFetched"))));
}

/// RFC 6121, section 2.5.3.
#[test]
fn who_is_gone_from_the_servers_roster_can_be_removed() {
    let mut desk = Desk::connected(Settings::default());
    let mut removed = wish(&mut desk, ROMEO, ContactWish::Remove);
    let id = set(&desk).0;
    desk.forget();
    desk.answer(None, id, Err(stanza_error("item-not-found")));
    assert_eq!(got(&mut removed), Some(Ok(())));
    assert!(contact(&desk, ROMEO).is_none());
    assert_eq!(desk.lines(), ["contactRemoved"]);
    // A contact has to exist to be changed.
    let juliet = "juliet@example.org";
    let mut renamed = wish(&mut desk, juliet, ContactWish::Rename("J.".to_owned()));
    let id = set(&desk).0;
    desk.answer(None, id, Err(stanza_error("item-not-found")));
    assert!(matches!(got(&mut renamed), Some(Err(CallError::Stanza(error))) if error.condition == "item-not-found"));
    assert_eq!(contact(&desk, juliet).unwrap().fullname, juliet);
}

/// Rows 66-68.
#[test]
fn a_server_that_refuses_is_late_or_goes_away_is_told_to_who_asked() {
    let mut desk = Desk::connected(Settings::default());
    let mut refused = wish(&mut desk, NURSE, add(None));
    let id = set(&desk).0;
    desk.forget();
    desk.answer(None, id.clone(), Err(stanza_error("not-acceptable")));
    assert!(matches!(got(&mut refused), Some(Err(CallError::Stanza(error))) if error.condition == "not-acceptable"));
    desk.answer(None, id, Ok(Body::Empty));
    assert!(desk.lines().is_empty() && contact(&desk, NURSE).is_none(), "answered once");
    let mut late = wish(&mut desk, NURSE, add(None));
    let id = set(&desk).0;
    desk.answer(Some("evil.example"), id, Ok(Body::Empty));
    assert!(got(&mut late).is_none(), "somebody else's answer is none");
    desk.wait(30);
    assert_eq!(got(&mut late), Some(Err(CallError::TimedOut)));
    let mut cut = wish(&mut desk, NURSE, add(None));
    desk.bind();
    assert_eq!(got(&mut cut), Some(Err(CallError::Offline)));
    assert_eq!(desk.session.common.questions.len(), 3, "those of the new stream");
}

/// Rows 68.
/// Events `contactRequest`, `contactRemoved`.
#[test]
fn a_request_is_accepted_when_the_roster_says_so_and_denied_at_once() {
    let paris = "paris@example.org";
    let mut desk = Desk::connected(Settings::default());
    desk.presence(presence(paris, PresenceKind::Subscribe));
    let mut accepted = wish(&mut desk, paris, ContactWish::Accept);
    assert_eq!(desk.lines(), ["contactRequest", "> subscribed to paris@example.org"]);
    desk.push(item(paris, "none"));
    assert!(got(&mut accepted).is_none());
    desk.push(item(paris, "from"));
    assert_eq!(got(&mut accepted), Some(Ok(())));
    assert!(!contact(&desk, paris).unwrap().requesting);
    assert_eq!(desk.session.common.questions.len(), 2, "disco, twice");

    let tybalt = "tybalt@example.org";
    desk.presence(presence(tybalt, PresenceKind::Subscribe));
    desk.forget();
    assert_eq!(got(&mut wish(&mut desk, tybalt, ContactWish::Deny)), Some(Ok(())));
    assert_eq!(desk.lines(), ["contactRemoved", "> unsubscribed to tybalt@example.org"]);
    assert!(contact(&desk, tybalt).is_none());
    desk.push(item(NURSE, "none"));
    desk.presence(presence(NURSE, PresenceKind::Subscribe));
    assert_eq!(got(&mut wish(&mut desk, NURSE, ContactWish::Deny)), Some(Ok(())));
    assert!(!contact(&desk, NURSE).unwrap().requesting);

    desk.presence(presence(tybalt, PresenceKind::Subscribe));
    let mut late = wish(&mut desk, tybalt, ContactWish::Accept);
    desk.wait(30);
    assert_eq!(got(&mut late), Some(Err(CallError::TimedOut)), "a server that says nothing");
    let gone = wish(&mut desk, tybalt, ContactWish::Accept);
    drop(gone);
    desk.run(|session, _, effects| session.instance_gone(InstanceId(1), effects));
    assert_eq!(desk.session.common.questions.len(), 0);
}

/// Row 66: the request of someone whom we have asked needs no confirmation.
#[test]
fn a_contact_that_we_have_asked_to_see_is_let_see_us_in_return() {
    let asks = |settings: Settings, entry: RosterItem| {
        let mut desk = Desk::new(settings);
        desk.run(Session::plugins_initialized);
        desk.bind();
        desk.roster(vec![entry]);
        desk.forget();
        desk.presence(presence(ROMEO, PresenceKind::Subscribe));
        desk.lines()
    };
    let pending = RosterItem { ask: true, ..item(ROMEO, "none") };
    let accepted = ["> subscribed to romeo@example.org"];
    assert_eq!(asks(Settings::default(), pending.clone()), accepted);
    assert_eq!(asks(Settings::default(), item(ROMEO, "to")), accepted);
    assert_eq!(asks(Settings::default(), item(ROMEO, "none")), ["contactRequest"], "it was put down, and not asked");
    let closed = settings(&[("allow_contact_requests", false.into())]);
    assert_eq!(asks(closed, pending), ["> unsubscribed to romeo@example.org"], "the owner wants none");
}

/// XEP-0172, section 4.1. Events `contactRequest`.
#[test]
fn who_asks_may_say_what_it_is_called() {
    let paris = "paris@example.org";
    let asks = |nick: &str| {
        format!(
            "<presence from='{paris}' type='subscribe'><nick xmlns='http://jabber.org/protocol/nick'>{nick}</nick></presence>"
        )
    };
    let fullname = |desk: &Desk| match desk.last("contactRequest") {
        Payload::Contact(contact) => contact.fullname.clone(),
        other => panic!("{other:?}"),
    };
    let long = "é".repeat(1_000);
    for (nick, expected) in [
        ("Count Paris", "Count Paris"),
        (" Paris\n", "Paris"),
        ("", paris),
        ("  ", paris),
        ("a&#x9;b", paris),
        ("a&#x7f;b", paris),
        (&long, &long[..1_022]),
    ] {
        let mut desk = Desk::connected(settings(&[("allow_non_roster_messaging", true.into())]));
        desk.message(message("paris@example.org/x", MessageKind::Chat, "hi"));
        desk.hear_xml(&asks(nick));
        assert_eq!((fullname(&desk).as_str(), contact(&desk, paris).unwrap().fullname.as_str()), (expected, expected));
        assert_eq!(desk.session.snapshot().chats[&bare(paris)].fullname, paris, "no name of the roster");
        desk.push(item(paris, "from"));
        assert_eq!(contact(&desk, paris).unwrap().fullname, paris, "the owner gave it none");
    }
    let mut desk = Desk::connected(Settings::default());
    desk.hear_xml(&asks("Paris").replace(paris, ROMEO).replace(" type='subscribe'", ""));
    assert_eq!(contact(&desk, ROMEO).unwrap().fullname, ROMEO);
}

/// Rows 68.
#[test]
fn requests_can_be_answered_on_a_server_without_a_roster() {
    let mut desk = Desk::new(Settings::default());
    desk.bind();
    let early = got(&mut wish(&mut desk, "paris@example.org", ContactWish::Accept));
    assert_eq!(early, Some(Err(CallError::NotReady("rosterContactsFetched"))));
    let id = desk.asked(|ask| matches!(ask, Ask::Roster { .. }));
    desk.answer(None, id, Err(stanza_error("service-unavailable")));
    desk.forget();
    for (verdict, sent) in [(ContactWish::Accept, "subscribed"), (ContactWish::Deny, "unsubscribed")] {
        assert_eq!(got(&mut wish(&mut desk, "paris@example.org", verdict)), Some(Ok(())));
        assert_eq!(desk.lines(), [format!("> {sent} to paris@example.org")]);
    }
    let none = got(&mut wish(&mut desk, NURSE, add(None)));
    assert_eq!(none, Some(Err(CallError::NotReady("rosterContactsFetched"))), "the promise says why");
}

/// Settings `allow_contact_requests`, `auto_subscribe`.
#[test]
fn no_requests_means_none_even_where_everybody_would_be_let_in() {
    let mut desk =
        Desk::connected(settings(&[("allow_contact_requests", false.into()), ("auto_subscribe", true.into())]));
    desk.presence(presence("paris@example.org", PresenceKind::Subscribe));
    assert_eq!(desk.lines(), ["> unsubscribed to paris@example.org"]);
    desk.presence(presence(ROMEO, PresenceKind::Subscribe));
    assert_eq!(desk.lines(), ["> subscribed to romeo@example.org"], "he was let in before");
}
