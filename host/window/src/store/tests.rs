//! Tests of links and sessions in their file.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

const TEN: Duration = Duration::from_mins(10);

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn start() -> (tempfile::TempDir, Store, Timestamp) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    (folder, store, "2026-11-20T08:00:00Z".parse().unwrap())
}

fn after(now: Timestamp, minutes: i64) -> Timestamp {
    now + SignedDuration::from_mins(minutes)
}

#[test]
fn a_link_is_used_once_and_expires() {
    let (_folder, store, now) = start();
    let link = store.issue(name("ann"), Role::Operator, TEN, now).unwrap();
    assert_eq!(store.redeem(&Secret::random().unwrap(), now).unwrap(), None);
    let (secret, session) = store.redeem(&link, after(now, 9)).unwrap().unwrap();
    assert_eq!((session.name.as_str(), session.role), ("ann", Role::Operator));
    assert_ne!(secret, link, "the link is no session");
    assert_eq!(store.redeem(&link, after(now, 9)).unwrap(), None);
    assert_eq!(store.session(&link, after(now, 9)).unwrap(), None);
    let late = store.issue(name("bob"), Role::Viewer, TEN, now).unwrap();
    assert_eq!(store.redeem(&late, after(now, 10)).unwrap(), None);
}

#[test]
fn a_link_of_some_accounts_begins_a_session_of_these() {
    let (_folder, store, now) = start();
    let accounts = ["main", "second"].map(|name| (name.to_owned(), format!("{name}@example.org")));
    let accounts = Some(BTreeMap::from(accounts));
    let link = store.issue_for(name("ann"), Role::Owner, accounts.clone(), TEN, now).unwrap();
    let (secret, session) = store.redeem(&link, now).unwrap().unwrap();
    assert!(session.accounts == accounts && session.is_limited());
    assert_eq!(store.session(&secret, after(now, 5)).unwrap().unwrap().accounts, accounts);
    assert!(!session.may(Role::Viewer.of_host()) && session.may(Role::Owner.of_accounts()));
    let link = store.issue(name("bob"), Role::Operator, TEN, now).unwrap();
    let (_, whole) = store.redeem(&link, now).unwrap().unwrap();
    assert!(!whole.is_limited() && whole.may(Role::Operator.of_host()) && !whole.may(Role::Owner.of_accounts()));
}

#[test]
fn a_person_who_logs_in_again_and_again_ends_no_session_of_others() {
    let (_folder, store, now) = start();
    let begin = |jid: &str, minute| {
        let (_, link) = store.issue_to(jid, Role::Owner, TEN, after(now, minute)).unwrap();
        store.redeem(&link, after(now, minute)).unwrap().unwrap().0
    };
    let other = begin("bob@example.org", 0);
    let own: Vec<_> = (1..=20).map(|minute| begin("ann@example.org", minute)).collect();
    let is_live = |secret: &Secret| store.look(secret, after(now, 20)).unwrap().is_some();
    assert!(is_live(&other));
    let live: Vec<_> = own.iter().map(is_live).collect();
    assert_eq!(live, (0..20).map(|number| number >= 12).collect::<Vec<_>>(), "the newest eight");
}

#[test]
fn a_session_ends_when_it_is_idle_and_in_any_case() {
    let (_folder, store, now) = start();
    let begin = |at| {
        let link = store.issue(name("ann"), Role::Owner, TEN, at).unwrap();
        store.redeem(&link, at).unwrap().unwrap().0
    };
    let idle = begin(now);
    assert!(store.session(&idle, after(now, 29)).unwrap().is_some());
    assert!(store.session(&idle, after(now, 58)).unwrap().is_some(), "each use prolongs it");
    assert!(store.session(&idle, after(now, 88)).unwrap().is_none());
    let used = begin(now);
    for minutes in (0..480).step_by(20) {
        assert!(store.session(&used, after(now, minutes)).unwrap().is_some(), "{minutes}");
    }
    assert!(store.session(&used, after(now, 480)).unwrap().is_none());
    let early = begin(after(now, 60));
    assert!(store.session(&early, now).unwrap().is_none(), "the clock was turned back");
}

#[test]
fn a_session_is_ended_by_itself_by_its_name_or_with_all() {
    let (_folder, store, now) = start();
    let begin = |who: &str| {
        let link = store.issue(name(who), Role::Viewer, TEN, now).unwrap();
        store.redeem(&link, now).unwrap().unwrap()
    };
    let (ann, bob, second) = (begin("ann"), begin("bob"), begin("bob"));
    assert_eq!(second.1.name.as_str(), "bob-2");
    store.log_out(&ann.0, now).unwrap();
    let is_live = |secret| store.look(secret, now).unwrap().is_some();
    assert!(!is_live(&ann.0) && is_live(&bob.0));
    assert_eq!(store.end(Some(&name("bob")), now).unwrap(), EndedCount { sessions: 1, links: 0 });
    assert_eq!(store.sessions(now).unwrap(), [second.1]);
    let link = store.issue(name("eve"), Role::Owner, TEN, now).unwrap();
    assert_eq!(store.end(None, now).unwrap(), EndedCount { sessions: 1, links: 1 });
    assert_eq!(store.redeem(&link, now).unwrap(), None);
}

/// Otherwise the person would be back in a moment.
#[test]
fn unused_links_of_a_person_end_with_the_session() {
    let (_folder, store, now) = start();
    let print = |who: &str| store.issue(name(who), Role::Owner, TEN, now).unwrap();
    let send = |jid: &str| store.issue_to(jid, Role::Owner, TEN, now).unwrap().1;
    let is_left = |link: &Secret| store.read().unwrap().links.iter().any(|kept| kept.digest == link.digest());
    for link in [print("ann"), print("ann"), send("bob@example.org")] {
        store.redeem(&link, now).unwrap().unwrap();
    }
    let (ann, eve) = (print("ann"), print("eve"));
    assert_eq!(store.end(Some(&name("ann-2")), now).unwrap(), EndedCount { sessions: 1, links: 1 });
    assert!(!is_left(&ann) && is_left(&eve));
    // Of two people of one name, links by message are for one of them.
    let (by_message, other, by_command) = (send("bob@example.org"), send("bob@example.com"), print("bob"));
    assert_eq!(store.end(Some(&name("bob")), now).unwrap(), EndedCount { sessions: 1, links: 2 });
    assert!(!is_left(&by_message) && is_left(&other) && !is_left(&by_command));
    assert_eq!(store.end(Some(&name("eve")), now).unwrap(), EndedCount { sessions: 0, links: 1 });
}

#[test]
fn links_and_sessions_are_bounded() {
    let (_folder, store, now) = start();
    let mut links: Vec<_> = (0..MOST_LINKS).map(|_| store.issue(name("x"), Role::Viewer, TEN, now).unwrap()).collect();
    let more = store.issue(name("x"), Role::Viewer, TEN, now);
    assert!(matches!(more, Err(StoreError::TooManyLinks)));
    let first = store.redeem(&links.pop().unwrap(), now).unwrap().unwrap().0;
    for _ in 0..MOST_SESSIONS {
        let link = store.issue(name("x"), Role::Viewer, TEN, after(now, 1)).unwrap();
        store.redeem(&link, after(now, 1)).unwrap().unwrap();
    }
    assert_eq!(store.sessions(after(now, 1)).unwrap().len(), MOST_SESSIONS);
    assert_eq!(store.look(&first, after(now, 1)).unwrap(), None, "the one that was unused for longest makes room");
}

#[test]
fn the_file_holds_no_secret_and_is_the_owners() {
    let (folder, store, now) = start();
    let link = store.issue(name("ann"), Role::Owner, TEN, now).unwrap();
    let other = store.issue(name("ann"), Role::Owner, TEN, now).unwrap();
    let (session, _) = store.redeem(&link, now).unwrap().unwrap();
    let file = folder.path().join("window/sessions.json");
    let text = fs::read_to_string(&file).unwrap();
    for secret in [&link, &other, &session] {
        assert!(!text.contains(secret.expose()));
    }
    assert!(text.contains(&session.digest()) && text.contains(&other.digest()));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&file, "{").unwrap();
    assert!(matches!(store.session(&session, now), Err(StoreError::Broken { .. })));
}

#[test]
fn a_link_that_is_sent_names_whom_and_leaves_room_for_others() {
    let (_folder, store, now) = start();
    let send = |jid: &str| store.issue_to(jid, Role::Owner, TEN, now);
    let (called, link) = send("ann@example.org").unwrap();
    assert_eq!(called.as_str(), "ann");
    let (_, session) = store.redeem(&link, now).unwrap().unwrap();
    assert_eq!((session.name, session.jid.as_deref()), (called, Some("ann@example.org")));
    assert_eq!(store.redeem(&link, now).unwrap(), None);
    let (_, taken_back) = send("ann@example.org").unwrap();
    store.withdraw(&taken_back, now).unwrap();
    assert_eq!(store.redeem(&taken_back, now).unwrap(), None);
    assert!((0..MOST_SENT).all(|_| send("bob@example.org").is_ok()));
    assert!(matches!(send("ann@example.org"), Err(StoreError::TooManySent)));
    assert!(store.issue(name("ann"), Role::Owner, TEN, now).is_ok());
}

#[test]
fn everything_of_somebody_to_whom_links_were_sent_ends_at_once() {
    let (_folder, store, now) = start();
    let send = |jid: &str| store.issue_to(jid, Role::Owner, TEN, now).unwrap().1;
    let begin = |link: &Secret| store.redeem(link, now).unwrap().unwrap().0;
    let (one, other, unused) =
        (begin(&send("ann@example.org")), begin(&send("ann@example.org")), send("ann@example.org"));
    let bob = begin(&send("bob@example.org"));
    // A command printed it, for somebody of the same name.
    let printed = begin(&store.issue(name("ann"), Role::Owner, TEN, now).unwrap());
    assert_eq!(store.end_of("ann@example.com", now).unwrap(), 0);
    assert_eq!(store.end_of("ann@example.org", now).unwrap(), 3);
    let is_live = |secret| store.look(secret, now).unwrap().is_some();
    assert!(!is_live(&one) && !is_live(&other) && is_live(&bob) && is_live(&printed));
    assert_eq!(store.redeem(&unused, now).unwrap(), None);
}

#[test]
fn a_session_whose_use_cannot_be_kept_goes_on_by_its_last_one() {
    let (folder, store, now) = start();
    let link = store.issue(name("ann"), Role::Owner, TEN, now).unwrap();
    let (secret, _) = store.redeem(&link, now).unwrap().unwrap();
    // Nothing can be written there any more, as on a full disk.
    fs::create_dir(folder.path().join("window/.sessions.json.new")).unwrap();
    let session = store.session(&secret, after(now, 29)).unwrap().unwrap();
    assert_eq!((session.name.as_str(), session.used), ("ann", now));
    assert_eq!(store.session(&secret, after(now, 30)).unwrap(), None);
    assert!(store.issue(name("ann"), Role::Owner, TEN, now).is_err());
}
