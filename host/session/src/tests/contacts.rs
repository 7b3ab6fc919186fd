//! The roster: versions, pushes, and changes of contacts by plugins.
use super::*;
use crate::roster::MAX_CONTACTS;

const NURSE: &str = "nurse@example.org";

fn with_versions(test: &mut TestSession) {
    let own = FullJid::new("bot@example.org/parlor").unwrap();
    test.run(|session, now, effects| session.bound(own, Offers { roster_versions: true }, now, effects));
    test.go_on_to_roster();
}

fn asked_version(test: &TestSession) -> Option<String> {
    test.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Ask { ask: Ask::Roster { version }, .. } => Some(version.clone()),
        _ => None,
    })?
}

fn answer_roster(test: &mut TestSession, outcome: Body) {
    let id = test.asked(|ask| matches!(ask, Ask::Roster { .. }));
    test.answer(None, id, Ok(outcome));
}

fn whole(version: &str, items: Vec<RosterItem>) -> Body {
    Body::Roster { version: Some(version.to_owned()), items }
}

fn push(test: &mut TestSession, version: &str, item: RosterItem) {
    let query =
        Query::RosterPush { version: Some(version.to_owned()), item, of_client: false, xml: "<iq/>".to_owned() };
    test.hear(Incoming::Request(Request { from: None, id: "push".to_owned(), query }));
}

fn known(test: &TestSession) -> Vec<String> {
    test.session.snapshot().contacts.unwrap().keys().map(ToString::to_string).collect()
}

fn contact(test: &TestSession, jid: &str) -> Option<Arc<Contact>> {
    test.session.snapshot().contacts?.get(&bare(jid)).cloned()
}

/// Rows 17.
/// Events `cachedRoster`.
#[test]
fn a_roster_that_was_kept_is_used_when_the_server_says_that_it_holds() {
    let mut test = TestSession::new(Settings::default());
    test.session.roster_kept("v1".to_owned(), vec![item(ROMEO, "both")]);
    with_versions(&mut test);
    assert_eq!(asked_version(&test).as_deref(), Some("v1"));
    assert!(test.session.snapshot().contacts.is_none(), "nobody sees it before the server has spoken");
    let mut cached = test.wait_until("cachedRoster");
    test.forget();
    answer_roster(&mut test, Body::Empty);
    assert_eq!(test.lines()[..4], ["cachedRoster", "roster", "rosterGroupsFetched", "rosterContactsFetched"]);
    assert!(matches!(got(&mut cached), Some(Ok(Payload::None))));
    assert_eq!(known(&test), [ROMEO]);
    push(&mut test, "v2", item(NURSE, "to"));
    push(&mut test, "v3", item(ROMEO, "remove"));
    assert!(matches!(&test.kept[..], [
        KeepRoster::Changed { version: Some(two), contact },
        KeepRoster::Removed { version: Some(three), jid },
    ] if two == "v2" && three == "v3" && contact.jid == bare(NURSE) && *jid == bare(ROMEO)));

    // The same after a lost stream that could not be resumed, and after a log-out.
    with_versions(&mut test);
    assert_eq!(asked_version(&test).as_deref(), Some("v3"));
    test.forget();
    answer_roster(&mut test, Body::Empty);
    assert_eq!(test.count("cachedRoster"), 1);
    assert_eq!(known(&test), [NURSE]);
    test.run(Session::logged_out);
    assert!(test.session.snapshot().contacts.is_none());
    with_versions(&mut test);
    assert_eq!(asked_version(&test).as_deref(), Some("v3"));
    test.presence(presence("paris@example.org", PresenceKind::Subscribe));
    answer_roster(&mut test, whole("v9", vec![item(ROMEO, "from")]));
    assert_eq!(known(&test), [ROMEO]);
    let mut cached = test.wait_until("cachedRoster");
    assert!(matches!(got(&mut cached), Some(Err(CallError::Unsupported(_)))), "it was out of date");
    assert!(matches!(test.kept.last(), Some(KeepRoster::Whole { version, .. }) if version == "v9"));
}

/// Rows 17.
#[test]
fn versions_are_spoken_of_only_to_a_server_that_gives_them() {
    let mut test = TestSession::new(Settings::default());
    test.session.roster_kept("v1".to_owned(), vec![item(ROMEO, "both")]);
    test.bind();
    assert_eq!(asked_version(&test), None);
    answer_roster(&mut test, Body::Roster { version: None, items: vec![item(NURSE, "both")] });
    assert_eq!(known(&test), [NURSE]);
    assert!(matches!(test.kept[..], [KeepRoster::Nothing]));
    test.push(item(ROMEO, "both"));
    assert_eq!(test.kept.len(), 1, "what has no version is not kept");
}

/// RFC 6121, section 2.6.3: it may send the contacts as pushes, or have none.
#[test]
fn a_server_that_knows_of_no_change_since_no_version_is_asked_without_one() {
    let all = Body::Roster { version: None, items: vec![item(NURSE, "both")] };
    for (answer, expected) in [(Body::Empty, vec![]), (all, vec![NURSE])] {
        let mut test = TestSession::new(Settings::default());
        with_versions(&mut test);
        assert_eq!(asked_version(&test).as_deref(), Some(""), "the first time there is none yet");
        let mut roster = test.wait_until("roster");
        answer_roster(&mut test, Body::Empty);
        assert!(test.session.snapshot().contacts.is_none(), "nothing holds where nothing was known");
        assert!(got(&mut roster).is_none(), "it may still come");
        assert_eq!(asked_version(&test), None);
        answer_roster(&mut test, answer);
        assert!(matches!(got(&mut roster), Some(Ok(Payload::None))));
        assert_eq!(known(&test), expected);
    }
}

/// RFC 6121, section 2.1.4, demands an empty list.
#[test]
fn an_answer_without_a_list_is_an_empty_roster_on_a_server_without_versions() {
    for (outcome, is_one) in [(Body::Empty, true), (Body::Other, false)] {
        let mut test = TestSession::new(Settings::default());
        test.bind();
        assert_eq!(asked_version(&test), None);
        let mut fetched = test.wait_until("rosterContactsFetched");
        answer_roster(&mut test, outcome);
        assert_eq!(matches!(got(&mut fetched), Some(Ok(Payload::None))), is_one);
        assert_eq!(test.session.snapshot().contacts.is_some(), is_one);
        assert!(!is_one || known(&test).is_empty());
    }
}

#[test]
fn a_push_without_a_version_changes_the_roster_and_not_its_version() {
    let mut test = TestSession::new(Settings::default());
    with_versions(&mut test);
    answer_roster(&mut test, whole("v1", vec![item(ROMEO, "both")]));
    test.push(item(NURSE, "to"));
    assert!(matches!(test.kept.last(), Some(KeepRoster::Changed { version: None, .. })));
    push(&mut test, "", item(NURSE, "both"));
    push(&mut test, &"v".repeat(5_000), item(NURSE, "from"));
    with_versions(&mut test);
    assert_eq!(asked_version(&test).as_deref(), Some("v1"));
}

/// ejabberd permits an entry for one client of a contact, beside that of the contact.
#[test]
fn what_becomes_of_the_entry_of_one_client_is_nothing_to_the_contact() {
    let mut test = TestSession::connected(Settings::default());
    let push_of_client = |test: &mut TestSession, item: RosterItem| {
        let query = Query::RosterPush { version: None, item, of_client: true, xml: "<iq/>".to_owned() };
        test.hear(Incoming::Request(Request { from: None, id: "push".to_owned(), query }));
    };
    push_of_client(&mut test, item(ROMEO, "none"));
    push_of_client(&mut test, item(ROMEO, "remove"));
    assert_eq!(test.lines(), ["> reply Done", "> reply Done"]);
    assert_eq!(contact(&test, ROMEO).unwrap().subscription, "both");
    // A gateway may have no other entry.
    push_of_client(&mut test, item("icq.example.org", "both"));
    assert_eq!(contact(&test, "icq.example.org").unwrap().subscription, "both");
    push_of_client(&mut test, item("icq.example.org", "remove"));
    assert!(contact(&test, "icq.example.org").is_none());
}

/// A flood of presence does not copy the roster: each snapshot shares all unchanged contacts with the previous one.
#[test]
fn ten_thousand_contacts_come_and_go_one_at_a_time() {
    const MANY: usize = 10_000;
    let jid = |number: usize| format!("c{number:05}@example.org");
    let mut test = TestSession::new(Settings::default());
    with_versions(&mut test);
    answer_roster(&mut test, whole("v1", (0..MANY).map(|number| item(&jid(number), "both")).collect()));
    test.forget();
    let mut before = test.session.snapshot().contacts.unwrap();
    for number in (0..MANY).step_by(100) {
        test.presence(presence(&format!("{}/a", jid(number)), PresenceKind::Available));
        let after = test.session.snapshot().contacts.unwrap();
        let changed = before.values().zip(after.values()).filter(|(one, other)| !Arc::ptr_eq(one, other)).count();
        assert_eq!(changed, 1);
        before = after;
    }
    for number in 0..MANY {
        test.presence(presence(&format!("{}/a", jid(number)), PresenceKind::Available));
    }
    assert_eq!((test.count("contactPresenceChanged"), test.events.len()), (MANY, 2 * MANY), "each once, by both names");
    test.forget();
    for number in 0..MANY {
        push(&mut test, &format!("p{number}"), item(&jid(number), "to"));
    }
    assert_eq!(test.count("rosterPush"), MANY);
    assert_eq!(test.kept.len(), MANY + 1, "a push is kept as one row");
    assert!(test.kept[1..].iter().all(|kept| matches!(kept, KeepRoster::Changed { .. })));
    test.forget();
    test.run(Session::closed);
    assert_eq!(test.count("contactPresenceChanged"), MANY);
}

#[test]
fn a_roster_that_is_cut_is_not_kept() {
    let mut test = TestSession::new(Settings::default());
    with_versions(&mut test);
    answer_roster(
        &mut test,
        whole("v1", (0..=MAX_CONTACTS).map(|number| item(&format!("c{number}@example.org"), "both")).collect()),
    );
    assert!(matches!(test.kept[..], [KeepRoster::Nothing]));
    let mut test = TestSession::new(Settings::default());
    with_versions(&mut test);
    let items = (0..MAX_CONTACTS).map(|number| item(&format!("c{number}@example.org"), "both"));
    answer_roster(&mut test, whole("v1", items.collect()));
    push(&mut test, "v2", item("one-more@example.org", "both"));
    assert!(matches!(test.kept.last(), Some(KeepRoster::Nothing)));
    with_versions(&mut test);
    assert_eq!(asked_version(&test).as_deref(), Some(""));
}

#[test]
fn who_is_not_seen_any_more_is_not_there() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(presence("romeo@example.org/a", PresenceKind::Available));
    test.forget();
    test.push(item(ROMEO, "from"));
    assert_eq!(test.lines(), ["rosterPush", "contactPresenceChanged", "contactStatusChanged", "> reply Done"]);
    assert_eq!(contact(&test, ROMEO).unwrap().chat_status(), "offline");
}

fn change(test: &mut TestSession, jid: &str, change: ContactChange) -> Receiver<Result<(), CallError>> {
    test.ask(ChangeContact { jid: bare(jid), change })
}

fn set(test: &TestSession) -> (String, RosterItem) {
    let found = test.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Ask { to: None, id, ask: Ask::SetRoster(item) } => Some((id.clone(), item.clone())),
        _ => None,
    });
    found.expect("the roster was set")
}

fn add(fullname: Option<&str>) -> ContactChange {
    ContactChange::Add { fullname: fullname.map(str::to_owned) }
}

/// Rows 66, 67, 128.
#[test]
fn who_is_added_is_there_when_the_call_returns_wherever_the_push_is() {
    for push_first in [true, false] {
        let mut test = TestSession::connected(Settings::default());
        let mut added = change(&mut test, NURSE, add(Some("Nurse 🩺")));
        let (id, asked) = set(&test);
        assert_eq!((asked.jid, asked.name.as_deref()), (bare(NURSE), Some("Nurse 🩺")));
        assert!(got(&mut added).is_none() && contact(&test, NURSE).is_none());
        let pushed = RosterItem { name: Some("Nurse 🩺".to_owned()), ..item(NURSE, "none") };
        test.forget();
        if push_first {
            test.push(pushed.clone());
            assert!(got(&mut added).is_none(), "a push is not yet the answer");
        }
        test.answer(None, id, Ok(Body::Empty));
        assert_eq!(got(&mut added), Some(Ok(())));
        let nurse = contact(&test, NURSE).unwrap();
        assert_eq!((nurse.fullname.as_str(), nurse.ask), ("Nurse 🩺", true));
        assert_eq!(test.lines().last().unwrap(), "> subscribe to nurse@example.org");
        if !push_first {
            test.push(pushed.clone());
            assert_eq!(contact(&test, NURSE).unwrap(), nurse, "that one was on its way before the request");
        }
        test.push(RosterItem { ask: true, ..pushed.clone() });
        assert_eq!(contact(&test, NURSE).unwrap(), nurse);
        test.push(pushed);
        assert!(!contact(&test, NURSE).unwrap().ask, "this one says that the request was refused");
    }
}

/// Rows 66, 128.
#[test]
fn who_was_asked_before_is_asked_until_a_push_says_otherwise() {
    let mut test = TestSession::connected(Settings::default());
    let asked = RosterItem { ask: true, ..item(NURSE, "none") };
    test.push(asked.clone());
    let mut added = change(&mut test, NURSE, add(None));
    let id = set(&test).0;
    test.push(asked);
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut added), Some(Ok(())));
    assert!(contact(&test, NURSE).unwrap().ask);
    test.push(item(NURSE, "none"));
    assert!(!contact(&test, NURSE).unwrap().ask, "the request was refused");
}

/// Some servers send no push.
#[test]
fn a_refusal_is_known_by_the_presence_alone() {
    let mut test = TestSession::new(Settings::default());
    with_versions(&mut test);
    answer_roster(&mut test, whole("v1", vec![item(NURSE, "from")]));
    change(&mut test, NURSE, add(None));
    let id = set(&test).0;
    test.answer(None, id, Ok(Body::Empty));
    assert!(contact(&test, NURSE).unwrap().ask);
    test.presence(presence(NURSE, PresenceKind::Unsubscribed));
    let nurse = contact(&test, NURSE).unwrap();
    assert_eq!((nurse.ask, nurse.subscription.as_str()), (false, "from"));
    assert!(matches!(test.kept.last(), Some(KeepRoster::Changed { version: None, contact }) if !contact.ask));
    test.push(item(NURSE, "from"));
    assert!(!contact(&test, NURSE).unwrap().ask, "nothing is asked that a push could be too early for");
    let kept = test.kept.len();
    test.presence(presence(NURSE, PresenceKind::Unsubscribed));
    test.presence(presence("tybalt@example.org", PresenceKind::Unsubscribed));
    assert_eq!((test.kept.len(), known(&test).len()), (kept, 1));
}

/// ejabberd sends no push if a contact whose presence we see, and who does not see ours, removes us.
#[test]
fn a_contact_that_ends_our_subscription_is_known_by_the_presence_alone() {
    for (before, after) in [("both", "from"), ("to", "none")] {
        let mut test = TestSession::connected(Settings::default());
        test.push(item(NURSE, before));
        test.presence(presence(&format!("{NURSE}/home"), PresenceKind::Available));
        assert_eq!(contact(&test, NURSE).unwrap().chat_status(), "online");
        test.forget();
        test.presence(presence(NURSE, PresenceKind::Unsubscribed));
        let nurse = contact(&test, NURSE).unwrap();
        assert_eq!((nurse.subscription.as_str(), nurse.ask, nurse.chat_status()), (after, false, "offline"));
        assert_eq!(test.count("contactPresenceChanged"), 1);
        change(&mut test, NURSE, add(None));
        let id = set(&test).0;
        test.forget();
        test.answer(None, id, Ok(Body::Empty));
        assert_eq!(test.lines(), [format!("> subscribe to {NURSE}")], "it can be asked again");
    }
}

/// Rows 66-68.
#[test]
fn who_is_there_keeps_what_is_not_named() {
    let mut test = TestSession::connected(Settings::default());
    let groups = vec!["Verona".to_owned(), "Montague".to_owned()];
    test.push(RosterItem { name: Some("Romeo".to_owned()), groups: groups.clone(), ..item(ROMEO, "both") });
    change(&mut test, ROMEO, add(None));
    assert_eq!(set(&test).1.name.as_deref(), Some("Romeo"));
    assert_eq!(set(&test).1.groups, groups);
    let mut renamed = change(&mut test, ROMEO, ContactChange::Rename("R.".to_owned()));
    let (id, asked) = set(&test);
    assert_eq!((asked.name.as_deref(), &asked.groups), (Some("R."), &groups));
    test.forget();
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut renamed), Some(Ok(())));
    assert!(test.lines().is_empty(), "nobody is asked again for a presence that is seen");
    assert_eq!(contact(&test, ROMEO).unwrap().fullname, "R.");
    let twice = ["Paris", "Verona", "Paris"].map(str::to_owned).to_vec();
    let mut grouped = change(&mut test, ROMEO, ContactChange::SetGroups(twice));
    let (id, asked) = set(&test);
    assert_eq!((asked.name.as_deref(), asked.groups), (Some("R."), ["Paris", "Verona"].map(str::to_owned).to_vec()));
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut grouped), Some(Ok(())));
    assert_eq!(contact(&test, ROMEO).unwrap().groups, ["Paris", "Verona"]);
    change(&mut test, ROMEO, ContactChange::Rename(String::new()));
    assert_eq!(set(&test).1.name, None);
    let mut removed = change(&mut test, ROMEO, ContactChange::Remove);
    let (id, asked) = set(&test);
    assert_eq!(asked.subscription, "remove");
    test.forget();
    test.answer(None, id, Ok(Body::Empty));
    assert_eq!(got(&mut removed), Some(Ok(())));
    assert!(contact(&test, ROMEO).is_none());
    assert_eq!(test.lines(), ["contactRemoved"]);
    test.push(item(ROMEO, "remove"));
    assert_eq!(test.lines(), ["rosterPush", "> reply Done"], "told once");
}

/// Rows 66-68.
#[test]
fn what_cannot_be_done_with_a_contact_is_said_before_anything_is_sent() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(presence("paris@example.org", PresenceKind::Subscribe));
    let long = "x".repeat(1_024);
    let groups = |groups: &[&str]| ContactChange::SetGroups(groups.iter().map(|group| (*group).to_owned()).collect());
    let before = test.sent.len();
    for (jid, asked, argument) in [
        ("bot@example.org", add(None), "jid"),
        (NURSE, add(Some(&long)), "fullname"),
        (NURSE, add(Some("\u{1}")), "fullname"),
        (ROMEO, ContactChange::Rename(long.clone()), "fullname"),
        (ROMEO, groups(&[""]), "groups"),
        (ROMEO, groups(&[&long]), "groups"),
        (ROMEO, ContactChange::SetGroups((0..65).map(|number| number.to_string()).collect()), "groups"),
    ] {
        let result = got(&mut change(&mut test, jid, asked));
        assert!(
            matches!(&result, Some(Err(CallError::Invalid { argument: named, .. })) if named == argument),
            "{result:?}"
        );
    }
    for (jid, asked) in [
        (NURSE, ContactChange::Remove),
        (NURSE, ContactChange::Rename("x".to_owned())),
        (NURSE, groups(&["x"])),
        ("paris@example.org", ContactChange::Remove),
        (NURSE, ContactChange::Accept),
        (ROMEO, ContactChange::Deny),
    ] {
        assert!(matches!(got(&mut change(&mut test, jid, asked)), Some(Err(CallError::NotFound(_)))));
    }
    assert_eq!(test.sent.len(), before);
    test.run(Session::closed);
    assert_eq!(got(&mut change(&mut test, NURSE, add(None))), Some(Err(CallError::Offline)));
    let mut test = TestSession::new(Settings::default());
    test.bind();
    let early = got(&mut change(&mut test, NURSE, add(None)));
    assert_eq!(early, Some(Err(CallError::NotReady("rosterContactsFetched"))));
}

/// Plugins may change a contact at the same time.
#[test]
fn a_change_does_not_undo_one_that_is_on_its_way() {
    let group = |name: &str| ContactChange::SetGroups(vec![name.to_owned()]);
    let mut test = TestSession::connected(Settings::default());
    let mut renamed = change(&mut test, ROMEO, ContactChange::Rename("R.".to_owned()));
    let first = set(&test).0;
    let mut grouped = change(&mut test, ROMEO, group("Verona"));
    let (second, asked) = set(&test);
    assert_eq!((asked.name.as_deref(), asked.groups.len()), (Some("R."), 1));
    for id in [first, second] {
        test.answer(None, id, Ok(Body::Empty));
    }
    assert_eq!((got(&mut renamed), got(&mut grouped)), (Some(Ok(())), Some(Ok(()))));
    let romeo = contact(&test, ROMEO).unwrap();
    assert_eq!((romeo.fullname.as_str(), romeo.groups.len(), romeo.subscription.as_str()), ("R.", 1, "both"));
    // Somebody who is being added can be changed already.
    change(&mut test, NURSE, add(Some("Nurse")));
    change(&mut test, NURSE, group("Capulet"));
    assert_eq!(set(&test).1.name.as_deref(), Some("Nurse"));
}

#[test]
fn who_is_added_again_while_they_are_removed_is_asked_again() {
    for push_first in [true, false] {
        let mut test = TestSession::connected(Settings::default());
        let mut removed = change(&mut test, ROMEO, ContactChange::Remove);
        let first = set(&test).0;
        let mut renamed = change(&mut test, ROMEO, ContactChange::Rename("R.".to_owned()));
        assert!(matches!(got(&mut renamed), Some(Err(CallError::NotFound(_)))));
        let mut added = change(&mut test, ROMEO, add(None));
        let (second, asked) = set(&test);
        assert_eq!(asked.subscription, "none");
        if push_first {
            test.push(item(ROMEO, "remove"));
        }
        test.answer(None, first, Ok(Body::Empty));
        if !push_first {
            test.push(item(ROMEO, "remove"));
        }
        assert_eq!(got(&mut removed), Some(Ok(())));
        assert!(contact(&test, ROMEO).is_none());
        test.forget();
        test.answer(None, second, Ok(Body::Empty));
        assert_eq!(got(&mut added), Some(Ok(())));
        let romeo = contact(&test, ROMEO).unwrap();
        assert_eq!((romeo.subscription.as_str(), romeo.ask), ("none", true));
        assert_eq!(test.lines(), [format!("> subscribe to {ROMEO}")]);
    }
}

/// RFC 6121, section 2.5.3.
#[test]
fn who_is_gone_from_the_servers_roster_can_be_removed() {
    let mut test = TestSession::connected(Settings::default());
    let mut removed = change(&mut test, ROMEO, ContactChange::Remove);
    let id = set(&test).0;
    test.forget();
    test.answer(None, id, Err(stanza_error("item-not-found")));
    assert_eq!(got(&mut removed), Some(Ok(())));
    assert!(contact(&test, ROMEO).is_none());
    assert_eq!(test.lines(), ["contactRemoved"]);
    // A contact must exist to be changed.
    let juliet = "juliet@example.org";
    let mut renamed = change(&mut test, juliet, ContactChange::Rename("J.".to_owned()));
    let id = set(&test).0;
    test.answer(None, id, Err(stanza_error("item-not-found")));
    assert!(matches!(got(&mut renamed), Some(Err(CallError::Stanza(error))) if error.condition == "item-not-found"));
    assert_eq!(contact(&test, juliet).unwrap().fullname, juliet);
}

/// Rows 66-68.
#[test]
fn a_server_that_refuses_is_late_or_goes_away_is_told_to_who_asked() {
    let mut test = TestSession::connected(Settings::default());
    let mut refused = change(&mut test, NURSE, add(None));
    let id = set(&test).0;
    test.forget();
    test.answer(None, id.clone(), Err(stanza_error("not-acceptable")));
    assert!(matches!(got(&mut refused), Some(Err(CallError::Stanza(error))) if error.condition == "not-acceptable"));
    test.answer(None, id, Ok(Body::Empty));
    assert!(test.lines().is_empty() && contact(&test, NURSE).is_none(), "answered once");
    let mut late = change(&mut test, NURSE, add(None));
    let id = set(&test).0;
    test.answer(Some("evil.example"), id, Ok(Body::Empty));
    assert!(got(&mut late).is_none(), "somebody else's answer is none");
    test.wait(30);
    assert_eq!(got(&mut late), Some(Err(CallError::TimedOut)));
    let mut cut = change(&mut test, NURSE, add(None));
    test.bind();
    assert_eq!(got(&mut cut), Some(Err(CallError::Offline)));
    assert_eq!(test.session.common.iqs.len(), 3, "those of the new stream");
}

/// Rows 68.
/// Events `contactRequest`, `contactRemoved`.
#[test]
fn a_request_is_accepted_when_the_roster_says_so_and_denied_at_once() {
    let paris = "paris@example.org";
    let mut test = TestSession::connected(Settings::default());
    test.presence(presence(paris, PresenceKind::Subscribe));
    let mut accepted = change(&mut test, paris, ContactChange::Accept);
    assert_eq!(test.lines(), ["contactRequest", "> subscribed to paris@example.org"]);
    test.push(item(paris, "none"));
    assert!(got(&mut accepted).is_none());
    test.push(item(paris, "from"));
    assert_eq!(got(&mut accepted), Some(Ok(())));
    assert!(!contact(&test, paris).unwrap().requesting);
    assert_eq!(test.session.common.iqs.len(), 2, "disco, twice");

    let tybalt = "tybalt@example.org";
    test.presence(presence(tybalt, PresenceKind::Subscribe));
    test.forget();
    assert_eq!(got(&mut change(&mut test, tybalt, ContactChange::Deny)), Some(Ok(())));
    assert_eq!(test.lines(), ["contactRemoved", "> unsubscribed to tybalt@example.org"]);
    assert!(contact(&test, tybalt).is_none());
    test.push(item(NURSE, "none"));
    test.presence(presence(NURSE, PresenceKind::Subscribe));
    assert_eq!(got(&mut change(&mut test, NURSE, ContactChange::Deny)), Some(Ok(())));
    assert!(!contact(&test, NURSE).unwrap().requesting);

    test.presence(presence(tybalt, PresenceKind::Subscribe));
    let mut late = change(&mut test, tybalt, ContactChange::Accept);
    test.wait(30);
    assert_eq!(got(&mut late), Some(Err(CallError::TimedOut)), "a server that says nothing");
    let gone = change(&mut test, tybalt, ContactChange::Accept);
    drop(gone);
    test.run(|session, _, effects| session.instance_gone(InstanceId(1), effects));
    assert_eq!(test.session.common.iqs.len(), 0);
}

/// Row 66: the request of someone whom we have asked needs no confirmation.
#[test]
fn a_contact_that_we_have_asked_to_see_is_let_see_us_in_return() {
    let asks = |settings: Settings, entry: RosterItem| {
        let mut test = TestSession::new(settings);
        test.run(Session::plugins_initialized);
        test.bind();
        test.roster(vec![entry]);
        test.forget();
        test.presence(presence(ROMEO, PresenceKind::Subscribe));
        test.lines()
    };
    let pending = RosterItem { ask: true, ..item(ROMEO, "none") };
    let accepted = ["> subscribed to romeo@example.org"];
    assert_eq!(asks(Settings::default(), pending.clone()), accepted);
    assert_eq!(asks(Settings::default(), item(ROMEO, "to")), accepted);
    assert_eq!(asks(Settings::default(), item(ROMEO, "none")), ["contactRequest"], "it was put down, and not asked");
    let closed = || settings(&[("allow_contact_requests", false.into())]);
    for wanted in [pending, item(ROMEO, "to")] {
        assert_eq!(asks(closed(), wanted), accepted, "it was this account that asked");
    }
    assert_eq!(asks(closed(), item(ROMEO, "none")), ["> unsubscribed to romeo@example.org"], "the owner wants none");
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
    let fullname = |test: &TestSession| match test.last("contactRequest") {
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
        let mut test = TestSession::connected(settings(&[("allow_non_roster_messaging", true.into())]));
        test.message(message("paris@example.org/x", MessageKind::Chat, "hi"));
        test.hear_xml(&asks(nick));
        assert_eq!((fullname(&test).as_str(), contact(&test, paris).unwrap().fullname.as_str()), (expected, expected));
        assert_eq!(test.session.snapshot().chats[&bare(paris)].fullname, paris, "no name of the roster");
        test.push(item(paris, "from"));
        assert_eq!(contact(&test, paris).unwrap().fullname, paris, "the owner gave it none");
    }
    let mut test = TestSession::connected(Settings::default());
    test.hear_xml(&asks("Paris").replace(paris, ROMEO).replace(" type='subscribe'", ""));
    assert_eq!(contact(&test, ROMEO).unwrap().fullname, ROMEO);
}

/// Rows 68.
#[test]
fn requests_can_be_answered_on_a_server_without_a_roster() {
    let mut test = TestSession::new(Settings::default());
    test.bind();
    let early = got(&mut change(&mut test, "paris@example.org", ContactChange::Accept));
    assert_eq!(early, Some(Err(CallError::NotReady("rosterContactsFetched"))));
    let id = test.asked(|ask| matches!(ask, Ask::Roster { .. }));
    test.answer(None, id, Err(stanza_error("service-unavailable")));
    test.forget();
    for (verdict, sent) in [(ContactChange::Accept, "subscribed"), (ContactChange::Deny, "unsubscribed")] {
        assert_eq!(got(&mut change(&mut test, "paris@example.org", verdict)), Some(Ok(())));
        assert_eq!(test.lines(), [format!("> {sent} to paris@example.org")]);
    }
    let none = got(&mut change(&mut test, NURSE, add(None)));
    assert_eq!(none, Some(Err(CallError::NotReady("rosterContactsFetched"))), "the promise says why");
}

/// Settings `allow_contact_requests`, `auto_subscribe`.
#[test]
fn no_requests_means_none_even_where_everybody_would_be_let_in() {
    let mut test =
        TestSession::connected(settings(&[("allow_contact_requests", false.into()), ("auto_subscribe", true.into())]));
    test.presence(presence("paris@example.org", PresenceKind::Subscribe));
    assert_eq!(test.lines(), ["> unsubscribed to paris@example.org"]);
    test.presence(presence(ROMEO, PresenceKind::Subscribe));
    assert_eq!(test.lines(), ["> subscribed to romeo@example.org"], "he was let in before");
}

/// The contact alone changes the subscription. Any other change was made by a client of the account.
#[test]
fn an_entry_comes_with_whether_a_client_of_the_account_edited_it() {
    let mut test = TestSession::connected(Settings::default());
    let grouped = |groups: &[&str]| groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>();
    let nurse = item(NURSE, "none");
    test.presence(presence(NURSE, PresenceKind::Subscribe));
    for (pushed, is_edited) in [
        (nurse.clone(), true),
        (nurse.clone(), false),
        (RosterItem { ask: true, ..nurse.clone() }, false),
        (item(NURSE, "both"), false),
        (RosterItem { groups: grouped(&["a", "b"]), ..item(NURSE, "both") }, true),
        (RosterItem { groups: grouped(&["b", "a"]), ..item(NURSE, "from") }, false),
        (RosterItem { name: Some("Nurse".to_owned()), groups: grouped(&["a", "b"]), ..nurse.clone() }, true),
        (nurse.clone(), true),
    ] {
        test.push(pushed.clone());
        let (contact, found) = test.entries.pop().unwrap();
        assert_eq!((&contact.jid, &contact.groups, found), (&pushed.jid, &pushed.groups, is_edited), "{pushed:?}");
    }
    test.push(item(NURSE, "remove"));
    assert!(test.entries.is_empty());
    test.push(nurse);
    assert!(test.entries.pop().unwrap().1, "it is new");
}
