//! Archives: which one is queried, and which results are trusted.

use parlor_stanza::types::{ArchiveFin, ArchivePreferences, ArchiveQuery, ArchiveResult, Cursor, Disco, Identity, MAM};

use super::*;
use crate::archive::{MAX_ASKED, MAX_OWN, MAX_RUNNING, MAX_WEIGHT};

const OWN: &str = "bot@example.org";

type Page = Receiver<Result<ArchivePage, CallError>>;

fn disco(category: &str, features: &[&str]) -> Disco {
    let identity = Identity { category: category.to_owned(), kind: "text".to_owned(), name: None, lang: None };
    Disco {
        identities: vec![identity],
        features: features.iter().map(|var| (*var).to_owned()).collect(),
        forms: Vec::new(),
    }
}

/// Answers the last request for an address's information.
fn says(test: &mut TestSession, who: &str, outcome: Result<Disco, Box<StanzaError>>) {
    let id = test.asked_of(who, |ask| matches!(ask, Ask::DiscoInfo { .. }));
    test.answer(Some(who), id, outcome.map(Body::Disco));
}

/// Returns a test that is connected to an account with an archive.
fn with_archive() -> TestSession {
    let mut test = TestSession::connected(Settings::default());
    says(&mut test, OWN, Ok(disco("account", &[MAM, "urn:xmpp:sid:0"])));
    test.forget();
    test
}

fn query(test: &mut TestSession, query: ArchiveQuery) -> Page {
    query_as(test, None, query)
}

fn query_as(test: &mut TestSession, by: Option<InstanceId>, query: ArchiveQuery) -> Page {
    test.ask(QueryArchive { by, query })
}

fn of(with: Option<&str>, max: u32, cursor: Cursor) -> ArchiveQuery {
    ArchiveQuery { with: with.map(jid), max, cursor, ..ArchiveQuery::default() }
}

fn asked_page(test: &TestSession) -> (Option<Jid>, String, ArchiveQuery) {
    let asked = test.sent.iter().rev().find_map(|stanza| match stanza {
        Outgoing::Ask { to, id, ask: Ask::Archive(query) } => Some((to.clone(), id.clone(), (**query).clone())),
        _ => None,
    });
    asked.expect("a page was asked for")
}

fn result(test: &mut TestSession, from: &str, queryid: &str, id: &str, inner: Message) {
    heavy_result(test, from, queryid, id, inner, 100);
}

fn heavy_result(test: &mut TestSession, from: &str, queryid: &str, id: &str, inner: Message, weight: usize) {
    test.hear(Incoming::Archived(Box::new(ArchiveResult {
        from: jid(from),
        queryid: Some(queryid.to_owned()),
        id: id.to_owned(),
        inner_id: inner.stanza_id.clone(),
        stamp: None,
        message: Some(Box::new(inner)),
        author: None,
        weight,
    })));
}

fn hello(from: &str) -> Message {
    message(from, MessageKind::Chat, "hello")
}

fn ids(page: &ArchivePage) -> Vec<&str> {
    page.messages.iter().map(|one| one.id.as_str()).collect()
}

fn fin(complete: bool) -> Body {
    Body::ArchiveFin(ArchiveFin { complete, ..ArchiveFin::default() })
}

/// Rows 49 and 50.
/// Events serviceDiscovered.
#[test]
fn an_archive_is_asked_once_the_account_said_that_it_has_one() {
    let mut test = TestSession::connected(Settings::default());
    for known in [false, true] {
        let refused = got(&mut query(&mut test, of(None, 5, Cursor::Start))).unwrap().unwrap_err();
        let expected = "This server does not support XEP-0313, Message Archive Management";
        assert_eq!(refused, CallError::Unsupported(expected.to_owned()));
        if !known {
            says(&mut test, OWN, Ok(disco("account", &["urn:xmpp:ping"])));
        }
    }
    let mut test = TestSession::connected(Settings::default());
    says(&mut test, "example.org", Ok(disco("server", &[MAM])));
    assert!(got(&mut query(&mut test, of(None, 5, Cursor::Start))).is_some(), "what the server can does not count");
    says(&mut test, OWN, Ok(disco("account", &[MAM, MAM])));
    let told: Vec<_> = test
        .events
        .iter()
        .filter_map(|event| match &event.payload {
            Payload::Feature { var, entity } if var == MAM => Some(entity.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["example.org", OWN], "once for each entity");
    assert!(got(&mut query(&mut test, of(None, 5, Cursor::Start))).is_none());
    assert_eq!(asked_page(&test).0, None, "the account is asked");
    test.bind();
    assert!(got(&mut query(&mut test, of(None, 5, Cursor::Start))).is_none(), "nobody tells a second time");
}

/// Rules archive-result.
#[test]
fn a_result_counts_only_from_whom_was_asked_and_while_its_query_runs() {
    let mut test = with_archive();
    let mut page = query(&mut test, of(None, 5, Cursor::Start));
    let (_, id, asked) = asked_page(&test);
    let queryid = asked.queryid;
    let forged =
        ["juliet@example.org", "evil.example", "bot@example.org/parlor", "bot@example.org/other", "example.org"];
    for from in forged {
        result(&mut test, from, &queryid, "forged", hello(ROMEO));
    }
    for wrong in ["", "guess", &id] {
        result(&mut test, OWN, wrong, "forged", hello(ROMEO));
    }
    test.hear(Incoming::Archived(Box::new(ArchiveResult {
        from: jid(OWN),
        queryid: None,
        id: "forged".to_owned(),
        inner_id: None,
        stamp: None,
        message: Some(Box::new(hello(ROMEO))),
        author: None,
        weight: 0,
    })));
    assert_eq!(test.session.ignored(), 9);
    result(&mut test, OWN, &queryid, "1", hello(ROMEO));
    test.answer(None, id, Ok(fin(true)));
    assert_eq!(ids(&got(&mut page).unwrap().unwrap()), ["1"]);
    result(&mut test, OWN, &queryid, "2", hello(ROMEO));
    assert_eq!(test.session.ignored(), 10, "it does not run any more");
    assert!(test.events.iter().all(|event| &*event.name != "message"), "no result is news");
}

/// jackal gives each result a random id. Its messages have the ids of the archive, and so has the end of the page.
#[test]
fn random_ids_of_results_are_not_taken_for_those_of_the_archive() {
    let numbered = |id: &str| Message { stanza_id: Some(id.to_owned()), ..hello(ROMEO) };
    for (first, last, expected) in [
        (Some("1"), Some("3"), ["1", "2", "3"]),
        (Some("a"), Some("c"), ["a", "b", "c"]),
        (Some("1"), Some("c"), ["a", "b", "c"]),
        (Some("x"), Some("z"), ["a", "b", "c"]),
        (None, None, ["a", "b", "c"]),
    ] {
        let mut test = with_archive();
        let mut page = query(&mut test, of(None, 5, Cursor::Start));
        let (_, id, asked) = asked_page(&test);
        for (random, inner) in [("a", "1"), ("b", "2"), ("c", "3")] {
            result(&mut test, OWN, &asked.queryid, random, numbered(inner));
        }
        let (first, last) = (first.map(str::to_owned), last.map(str::to_owned));
        let fin = ArchiveFin { complete: true, first, last, ..ArchiveFin::default() };
        test.answer(None, id, Ok(Body::ArchiveFin(fin)));
        let page = got(&mut page).unwrap().unwrap();
        assert_eq!(ids(&page), expected);
    }
    // The ids of the results are those of the archive, and somebody has written another one into a message.
    let mut test = with_archive();
    let mut page = query(&mut test, of(None, 5, Cursor::Start));
    let (_, id, asked) = asked_page(&test);
    for (known, inner) in [("a", "a"), ("b", "forged"), ("c", "c")] {
        result(&mut test, OWN, &asked.queryid, known, numbered(inner));
    }
    let (first, last) = (Some("a".to_owned()), Some("c".to_owned()));
    let fin = ArchiveFin { complete: true, first, last, ..ArchiveFin::default() };
    test.answer(None, id, Ok(Body::ArchiveFin(fin)));
    assert_eq!(ids(&got(&mut page).unwrap().unwrap()), ["a", "b", "c"]);
}

/// Rows 37.
#[test]
fn a_room_is_asked_for_its_own_archive_whether_we_are_in_it_or_not() {
    let mut test = with_archive();
    let mut page = query(&mut test, of(Some(ROOM), 5, Cursor::Start));
    assert!(matches!(test.sent.last(), Some(Outgoing::Ask { ask: Ask::DiscoInfo { .. }, .. })), "is it a room?");
    let mut waits = query(&mut test, of(Some(ROOM), 5, Cursor::Start));
    says(&mut test, ROOM, Ok(disco("conference", &[MAM])));
    let (to, id, asked) = asked_page(&test);
    assert_eq!((to, asked.with), (Some(jid(ROOM)), None));
    let queryid = asked.queryid;
    let groupchat = |from: &str| message(from, MessageKind::Groupchat, "hello");
    result(&mut test, OWN, &queryid, "forged", groupchat(&format!("{ROOM}/juliet")));
    result(&mut test, &format!("{ROOM}/mallory"), &queryid, "forged", groupchat(&format!("{ROOM}/juliet")));
    result(&mut test, ROOM, &queryid, "forged", groupchat("other@muc.example.org/juliet"));
    result(&mut test, ROOM, &queryid, "forged", hello(ROMEO));
    assert_eq!(test.session.ignored(), 4);
    result(&mut test, ROOM, &queryid, "1", groupchat(&format!("{ROOM}/juliet")));
    test.answer(Some(ROOM), id, Ok(fin(true)));
    let mut done: Vec<_> = [&mut page, &mut waits].into_iter().filter_map(got).collect();
    let page = done.pop().unwrap().unwrap();
    assert!(done.is_empty(), "the other one was asked, too");
    assert_eq!((ids(&page), page.of_room), (vec!["1"], true));

    let mut test = with_archive();
    test.in_room();
    let _page = query(&mut test, of(Some(ROOM), 5, Cursor::Start));
    says(&mut test, ROOM, Ok(disco("other", &[MAM])));
    assert_eq!(asked_page(&test).0, Some(jid(ROOM)), "we know that it is one");
}

/// The room does not show who the authors are.
#[test]
fn archived_messages_of_somebody_who_had_our_nickname_are_not_ours() {
    let mut test = with_archive();
    test.in_room();
    for (nick, id) in [("bot", "ours"), ("romeo", "his")] {
        let mut here = occupant(nick, PresenceKind::Available, &[]);
        here.muc.as_mut().unwrap().occupant_id = Some(id.to_owned());
        test.presence(here);
    }
    let mut page = query(&mut test, of(Some(ROOM), 5, Cursor::Start));
    says(&mut test, ROOM, Ok(disco("conference", &[MAM, "urn:xmpp:occupant-id:0"])));
    let (_, id, asked) = asked_page(&test);
    for author in ["ours", "his", "of somebody who is not here"] {
        let said = message(&format!("{ROOM}/bot"), MessageKind::Groupchat, "hello");
        result(&mut test, ROOM, &asked.queryid, author, Message { occupant_id: Some(author.to_owned()), ..said });
    }
    test.answer(Some(ROOM), id, Ok(fin(true)));
    let page = got(&mut page).unwrap().unwrap();
    let own: Vec<_> = page.messages.iter().map(|one| one.message.own).collect();
    assert_eq!(own, [true, false, true], "it may be ours, with an id from before the service restarted");
}

/// A service may give an address that an occupant wrote into a message as that of its author.
#[test]
fn archived_messages_are_ours_by_their_address_only_where_the_room_shows_addresses() {
    for (role, expected) in [("participant", [true, false]), ("moderator", [true, true])] {
        let mut test = with_archive();
        test.in_room();
        let mut here = occupant("bot", PresenceKind::Available, &[]);
        role.clone_into(&mut here.muc.as_mut().unwrap().role);
        test.presence(here);
        let mut page = query(&mut test, of(Some(ROOM), 5, Cursor::Start));
        says(&mut test, ROOM, Ok(disco("conference", &[MAM])));
        let (_, id, asked) = asked_page(&test);
        for nick in ["bot", "mallory"] {
            let said = message(&format!("{ROOM}/{nick}"), MessageKind::Groupchat, "hello");
            test.hear(Incoming::Archived(Box::new(ArchiveResult {
                from: jid(ROOM),
                queryid: Some(asked.queryid.clone()),
                id: nick.to_owned(),
                inner_id: None,
                stamp: None,
                message: Some(Box::new(said)),
                author: Some(jid(OWN)),
                weight: 100,
            })));
        }
        test.answer(Some(ROOM), id, Ok(fin(true)));
        let page = got(&mut page).unwrap().unwrap();
        let own: Vec<_> = page.messages.iter().map(|one| one.message.own).collect();
        assert_eq!(own, expected, "{role}");
    }
}

/// Rows 37. Another client of the account is in the room, or was.
#[test]
fn what_was_said_with_an_occupant_alone_is_a_conversation_of_its_own() {
    let mut test = with_archive();
    let juliet = format!("{ROOM}/juliet");
    let mut page = query(&mut test, of(Some(juliet.as_str()), 5, Cursor::Start));
    let (_, id, asked) = asked_page(&test);
    let sent = Message { own: true, to: jid(&juliet), chat: jid(ROOM), of_occupant: true, ..hello(OWN) };
    result(&mut test, OWN, &asked.queryid, "1", sent);
    result(&mut test, OWN, &asked.queryid, "2", Message { of_occupant: true, ..hello(&juliet) });
    test.answer(None, id, Ok(fin(true)));
    let page = got(&mut page).unwrap().unwrap();
    assert_eq!(ids(&page), ["1", "2"]);
    assert!(page.messages.iter().all(|one| one.message.chat == jid(&juliet)), "{:?}", page.messages);
}

#[test]
fn a_room_without_an_archive_says_so_and_whoever_is_no_room_is_in_the_own_archive() {
    let mut test = with_archive();
    let mut page = query(&mut test, of(Some(ROOM), 5, Cursor::Start));
    says(&mut test, ROOM, Ok(disco("conference", &[])));
    assert!(matches!(got(&mut page), Some(Err(CallError::Unsupported(_)))));
    assert!(matches!(
        got(&mut query(&mut test, of(Some(ROOM), 5, Cursor::Start))),
        Some(Err(CallError::Unsupported(_)))
    ));
    let stranger = "stranger@example.net";
    for outcome in [Ok(disco("account", &[MAM])), Err(stanza_error("service-unavailable"))] {
        let mut test = with_archive();
        let _page = query(&mut test, of(Some(stranger), 5, Cursor::Start));
        says(&mut test, stranger, outcome);
        let (to, _, asked) = asked_page(&test);
        assert_eq!((to, asked.with), (None, Some(jid(stranger))));
    }
    // Contacts, the own domain and occupants need no request.
    for with in [ROMEO, "else@example.org", "room@muc.example.org/juliet", OWN] {
        let _page = query(&mut test, of(Some(with), 5, Cursor::Start));
        assert_eq!(asked_page(&test).2.with, Some(jid(with)), "{with}");
    }
    let mut page = query(&mut test, of(Some("late@example.net"), 5, Cursor::Start));
    test.wait(10);
    assert_eq!(asked_page(&test).2.with, Some(jid("late@example.net")), "nobody waits for ever");
    test.wait(20);
    assert_eq!(got(&mut page).unwrap().unwrap_err(), CallError::TimedOut);
}

/// Rows 37.
/// A server that returns more than requested would show what the plugin may not see.
#[test]
fn what_was_said_with_others_is_not_shown() {
    let mut test = with_archive();
    let mut page = query(&mut test, of(Some(ROMEO), 5, Cursor::Start));
    let (_, id, asked) = asked_page(&test);
    let own = |to: &str| Message { own: true, to: jid(to), ..message(OWN, MessageKind::Chat, "hello") };
    result(&mut test, OWN, &asked.queryid, "1", hello("romeo@example.org/orchard"));
    result(&mut test, OWN, &asked.queryid, "x", hello("juliet@example.org"));
    result(&mut test, OWN, &asked.queryid, "2", own(ROMEO));
    result(&mut test, OWN, &asked.queryid, "y", own("juliet@example.org"));
    test.answer(None, id, Ok(fin(true)));
    assert_eq!(ids(&got(&mut page).unwrap().unwrap()), ["1", "2"]);
    assert_eq!(test.session.ignored(), 2);
}

#[test]
fn a_page_has_as_many_messages_as_were_asked_for_whatever_the_server_sends() {
    for (cursor, expected) in
        [(Cursor::Start, ["0", "1", "2"]), (Cursor::Before(String::new()), ["9997", "9998", "9999"])]
    {
        let mut test = with_archive();
        let mut page = query(&mut test, of(None, 3, cursor));
        let (_, id, asked) = asked_page(&test);
        for number in 0..10_000 {
            result(&mut test, OWN, &asked.queryid, &number.to_string(), hello(ROMEO));
        }
        let said =
            ArchiveFin { complete: true, first: Some("0".into()), last: Some("9999".into()), ..ArchiveFin::default() };
        test.answer(None, id, Ok(Body::ArchiveFin(said)));
        let page = got(&mut page).unwrap().unwrap();
        assert_eq!(ids(&page), expected);
        let ends = (page.fin.first.as_deref(), page.fin.last.as_deref());
        assert_eq!(ends, (Some(expected[0]), Some(expected[2])), "the next page begins where this one was cut");
        assert!(!page.fin.complete);
    }
}

#[test]
fn a_page_is_bounded_in_bytes_too_and_always_goes_on() {
    let mut test = with_archive();
    let mut page = query(&mut test, of(None, 50, Cursor::Start));
    let (_, id, asked) = asked_page(&test);
    for number in 0..3 {
        heavy_result(&mut test, OWN, &asked.queryid, &number.to_string(), hello(ROMEO), MAX_WEIGHT);
    }
    test.answer(None, id, Ok(fin(true)));
    let page = got(&mut page).unwrap().unwrap();
    assert_eq!((ids(&page), page.fin.complete), (vec!["0"], false));
}

/// Rows 41, 42 and 48.
#[test]
fn what_the_archive_refuses_is_told_as_what_it_is() {
    let mut test = with_archive();
    let mut refused = |cursor: Cursor, condition: &str| {
        let mut page = query(&mut test, of(None, 5, cursor));
        let id = asked_page(&test).1;
        let kind = if condition == "not-acceptable" { "modify" } else { "cancel" };
        test.answer(None, id, Err(Box::new(StanzaError { kind: kind.to_owned(), ..*stanza_error(condition) })));
        got(&mut page).unwrap().unwrap_err()
    };
    let after = Cursor::After("gone".to_owned());
    assert!(matches!(refused(after.clone(), "item-not-found"), CallError::NotFound(what) if what.contains("gone")));
    // MongooseIM reports that an id does not have its own format.
    assert!(matches!(refused(after.clone(), "not-acceptable"), CallError::NotFound(what) if what.contains("gone")));
    assert!(matches!(refused(Cursor::Start, "not-acceptable"), CallError::Stanza(_)));
    assert!(matches!(refused(after, "forbidden"), CallError::Stanza(error) if error.condition == "forbidden"));
    assert!(matches!(refused(Cursor::Start, "item-not-found"), CallError::Stanza(_)));
    assert!(matches!(refused(Cursor::Index(9), "feature-not-implemented"), CallError::Unsupported(_)));
    // A room sends this to anyone who is not in it, for any request.
    let mut page = query(&mut test, of(Some(ROOM), 5, Cursor::After("gone".to_owned())));
    says(&mut test, ROOM, Ok(disco("conference", &[MAM])));
    let id = asked_page(&test).1;
    let kind = "modify".to_owned();
    test.answer(Some(ROOM), id, Err(Box::new(StanzaError { kind, ..*stanza_error("not-acceptable") })));
    assert!(matches!(got(&mut page), Some(Err(CallError::Stanza(_)))));
}

/// Rows 42.
#[test]
fn a_server_that_ignores_the_index_cannot_begin_at_one() {
    for (index, is_right) in [(Some(9), true), (Some(0), false), (None, false)] {
        let mut test = with_archive();
        let mut page = query(&mut test, of(None, 5, Cursor::Index(9)));
        let (_, id, asked) = asked_page(&test);
        result(&mut test, OWN, &asked.queryid, "1", hello(ROMEO));
        test.answer(None, id, Ok(Body::ArchiveFin(ArchiveFin { index, ..ArchiveFin::default() })));
        assert_eq!(got(&mut page).unwrap().is_ok(), is_right, "{index:?}");
    }
}

/// Settings `message_archiving_timeout`.
#[test]
fn a_page_ends_with_its_answer_in_time_or_with_the_stream() {
    let mut test = TestSession::connected(settings(&[("message_archiving_timeout", 5_000.into())]));
    says(&mut test, OWN, Ok(disco("account", &[MAM])));
    let mut page = query(&mut test, of(None, 5, Cursor::Start));
    let (_, id, asked) = asked_page(&test);
    result(&mut test, OWN, &asked.queryid, "1", hello(ROMEO));
    test.wait(4);
    assert!(got(&mut page).is_none());
    test.wait(1);
    assert_eq!(got(&mut page).unwrap().unwrap_err(), CallError::TimedOut);
    test.answer(None, id, Ok(fin(true)));
    for odd in [Body::Empty, Body::Other] {
        let mut page = query(&mut test, of(None, 5, Cursor::Start));
        let id = asked_page(&test).1;
        test.answer(None, id, Ok(odd));
        assert!(matches!(got(&mut page).unwrap().unwrap_err(), CallError::Other(_)));
    }
    let mut page = query(&mut test, of(None, 5, Cursor::Start));
    let mut waits = query(&mut test, of(Some(ROOM), 5, Cursor::Start));
    test.run(Session::suspended);
    assert!(got(&mut page).is_none(), "it may be resumed");
    test.bind();
    for page in [&mut page, &mut waits] {
        assert_eq!(got(page).unwrap().unwrap_err(), CallError::Offline);
    }
    assert_eq!(test.session.features.archives.len(), 0);
    test.run(|session, now, effects| session.lost("gone", now, effects));
    assert_eq!(got(&mut query(&mut test, of(None, 5, Cursor::Start))).unwrap().unwrap_err(), CallError::Offline);
}

/// Rows 37, 115.
/// Events serviceDiscovered.
#[test]
fn whoever_wants_to_know_what_a_room_can_do_asks_it_once() {
    let mut test = with_archive();
    let _opened = test.open_room(None);
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    let mut page = query(&mut test, of(Some(ROOM), 5, Cursor::Start));
    let mut told = test.ask(Discover { entity: jid(ROOM) });
    let requests = |test: &TestSession| {
        let of_room = |stanza: &&Outgoing| matches!(stanza, Outgoing::Ask { to: Some(to), ask: Ask::DiscoInfo { .. }, .. } if *to == jid(ROOM));
        test.sent.iter().filter(of_room).count()
    };
    assert_eq!(requests(&test), 1);
    assert!(got(&mut page).is_none() && got(&mut told).is_none());
    says(&mut test, ROOM, Ok(disco("conference", &[MAM])));
    assert!(got(&mut told).unwrap().is_ok());
    assert_eq!(asked_page(&test).0, Some(jid(ROOM)), "the query goes on to the room");
    assert_eq!(test.session.snapshot().rooms[&bare(ROOM)].about.features, [MAM]);
    assert_eq!(test.count("serviceDiscovered"), 1);
    test.wait(600);
    let _page = query(&mut test, of(Some(ROOM), 5, Cursor::Start));
    let mut told = test.ask(Discover { entity: jid(ROOM) });
    assert!(got(&mut told).unwrap().is_ok());
    assert_eq!(requests(&test), 1, "what it said counts for an hour");
    test.message(Message { body: None, room_status: vec![104], ..message(ROOM, MessageKind::Groupchat, "") });
    assert_eq!(requests(&test), 2, "something about it changed");
    says(&mut test, ROOM, Ok(disco("conference", &[])));
    let refused = got(&mut query(&mut test, of(Some(ROOM), 5, Cursor::Start)));
    assert!(matches!(refused, Some(Err(CallError::Unsupported(_)))), "{refused:?}");
}

#[test]
fn queries_and_entities_are_bounded_and_nothing_is_left_of_who_is_gone() {
    let mut test = with_archive();
    let open: Vec<_> = (0..MAX_RUNNING).map(|_| query(&mut test, of(None, 5, Cursor::Start))).collect();
    let refused = got(&mut query(&mut test, of(None, 5, Cursor::Start)));
    assert!(matches!(refused, Some(Err(CallError::OverLimit(_)))));
    drop(open);
    let mut page = query(&mut test, of(None, 5, Cursor::Start));
    assert!(got(&mut page).is_none());
    let strangers: Vec<_> =
        (0..=MAX_ASKED).map(|n| query(&mut test, of(Some(&format!("s{n}@example.net")), 5, Cursor::Start))).collect();
    assert_eq!(test.session.features.archives.len(), MAX_ASKED + 1, "and the page before");
    drop((page, strangers));
    test.run(|session, _, effects| session.instance_gone(InstanceId::next(), effects));
    assert_eq!(test.session.features.archives.len(), 0);
}

#[test]
fn so_many_pages_are_asked_for_by_a_plugin_and_take_no_place_of_another_one() {
    fn ask(test: &mut TestSession, by: u64, with: Option<usize>) -> Page {
        let with = with.map(|number| format!("s{number}@example.net"));
        query_as(test, Some(InstanceId(by)), of(with.as_deref(), 5, Cursor::Start))
    }
    let mut test = with_archive();
    let open: Vec<_> = (0..MAX_OWN).map(|_| ask(&mut test, 1, None)).collect();
    assert!(matches!(got(&mut ask(&mut test, 1, None)), Some(Err(CallError::OverLimit(_)))));
    assert!(got(&mut ask(&mut test, 2, None)).is_none(), "a neighbour asks all the same");
    drop(open);
    assert!(got(&mut ask(&mut test, 1, None)).is_none(), "those that were given up make room");
    // Abandoning calls does not let it ask an unlimited number of strangers whether they are rooms.
    for number in 0..MAX_OWN {
        assert!(got(&mut ask(&mut test, 1, Some(number))).is_none());
    }
    assert!(matches!(got(&mut ask(&mut test, 1, Some(MAX_OWN))), Some(Err(CallError::OverLimit(_)))));
    assert!(got(&mut ask(&mut test, 2, Some(MAX_OWN))).is_none(), "a neighbour has one asked all the same");
    test.wait(10);
    assert!(got(&mut ask(&mut test, 1, Some(MAX_OWN))).is_none(), "none of them has said anything");
}

/// Rows 41. Ids from the archive itself need no check that it knows them.
#[test]
fn ids_that_came_are_known() {
    let mut test = with_archive();
    let known = |test: &mut TestSession, id: &str| {
        let mut page = query(test, of(None, 5, Cursor::After(id.to_owned())));
        let (_, id, asked) = asked_page(test);
        result(test, OWN, &asked.queryid, "next", hello(ROMEO));
        test.answer(None, id, Ok(fin(true)));
        got(&mut page).unwrap().unwrap().cursor_known
    };
    assert!(!known(&mut test, "live"));
    assert!(known(&mut test, "next"));
    test.message(Message { stanza_id: Some("live".to_owned()), ..message(ROMEO, MessageKind::Chat, "hi") });
    assert!(known(&mut test, "live"));
}

/// Settings `message_archiving`.
#[test]
fn the_archive_keeps_what_the_setting_says_where_it_lets_us_choose() {
    let kept = |default: &str| ArchivePreferences {
        default: default.to_owned(),
        always: vec![jid(ROMEO)],
        never: vec![jid("juliet@example.org")],
    };
    let asked = |test: &TestSession| {
        test.sent.iter().any(|stanza| matches!(stanza, Outgoing::Ask { ask: Ask::ArchivePreferences, .. }))
    };
    let mut test = TestSession::connected(Settings::default());
    says(&mut test, OWN, Ok(disco("account", &[MAM])));
    assert!(!asked(&test), "the server's own choice stands");
    for (wanted, is, changes) in [("never", "always", true), ("roster", "roster", false), ("always", "", true)] {
        let mut test = TestSession::connected(settings(&[("message_archiving", wanted.into())]));
        says(&mut test, OWN, Ok(disco("account", &[MAM])));
        let id = test.asked(|ask| matches!(ask, Ask::ArchivePreferences));
        test.answer(None, id, Ok(Body::ArchivePreferences(kept(is))));
        let changed = test.sent.iter().find_map(|stanza| match stanza {
            Outgoing::Ask { ask: Ask::SetArchivePreferences(preferences), .. } => Some(preferences.clone()),
            _ => None,
        });
        assert_eq!(changed, changes.then(|| kept(wanted)), "{wanted}: its lists stay");
    }
}

/// Row 37.
#[test]
fn a_room_that_its_service_does_not_know_is_an_error_and_no_empty_page() {
    let mut test = with_archive();
    let service = |kind: &str| {
        let mut service = disco("conference", &["http://jabber.org/protocol/muc"]);
        kind.clone_into(&mut service.identities[0].kind);
        service
    };
    let ask = |test: &mut TestSession, who: &str, condition: &str| {
        let mut page = query(test, of(Some(who), 5, Cursor::Start));
        says(test, who, Err(stanza_error(condition)));
        got(&mut page).map(Result::unwrap_err)
    };
    assert_eq!(
        ask(&mut test, "first@muc.example.org", "item-not-found"),
        None,
        "whose service is unknown may be a person"
    );
    for (domain, kind) in [("muc.example.org", "text"), ("irc.example.org", "irc")] {
        let _known = test.ask(Discover { entity: jid(domain) });
        says(&mut test, domain, Ok(service(kind)));
    }
    let unknown = CallError::Stanza(stanza_error("item-not-found"));
    assert_eq!(ask(&mut test, "nosuch@muc.example.org", "item-not-found"), Some(unknown));
    assert_eq!(ask(&mut test, "hidden@muc.example.org", "forbidden"), None, "it says nothing to strangers");
    assert_eq!(ask(&mut test, "nick@irc.example.org", "item-not-found"), None, "a gateway has people as well");
}

#[test]
fn the_archive_may_be_asked_on_each_stream_once_it_is_known_and_messages_may_come() {
    let mut test = TestSession::connected(Settings::default());
    assert_eq!(test.session.snapshot().archive, None, "it has not said what it can do");
    says(&mut test, OWN, Ok(disco("account", &[MAM])));
    assert_eq!(test.session.snapshot().archive, Some(OwnArchive { stream: 1, exists: true }));
    test.bind();
    assert_eq!(test.session.snapshot().archive, None, "it is another stream");
}

/// For example, while a server starts.
#[test]
fn an_account_that_cannot_say_now_what_it_can_do_is_asked_again_and_one_that_will_not_is_not() {
    let ask = "> ask disco of bot@example.org";
    let busy =
        |kind: &str, condition: &str| Box::new(StanzaError { kind: kind.to_owned(), ..*stanza_error(condition) });
    for failure in [None, Some(busy("wait", "resource-constraint")), Some(busy("cancel", "internal-server-error"))] {
        let mut test = TestSession::connected(Settings::default());
        match failure {
            None => test.wait(31),
            Some(error) => says(&mut test, OWN, Err(error)),
        }
        assert_eq!(test.session.snapshot().archive, None, "it has said nothing");
        test.forget();
        test.wait(61);
        assert_eq!(test.lines().iter().filter(|line| *line == ask).count(), 1);
        says(&mut test, OWN, Ok(disco("account", &[MAM])));
        assert_eq!(test.session.snapshot().archive, Some(OwnArchive { stream: 1, exists: true }));
    }
    let mut test = TestSession::connected(Settings::default());
    says(&mut test, OWN, Err(busy("cancel", "service-unavailable")));
    assert_eq!(test.session.snapshot().archive, Some(OwnArchive { stream: 1, exists: false }));
    test.forget();
    test.wait(61);
    assert!(!test.lines().iter().any(|line| line == ask));
}

#[test]
fn a_room_says_each_time_that_it_is_entered_whether_it_has_an_archive_whose_ids_its_messages_carry() {
    let stands = |test: &TestSession| {
        let snapshot = test.session.snapshot();
        let room = snapshot.rooms.values().next().unwrap();
        (room.entered, room.archived, snapshot.rooms_told)
    };
    for (features, expected) in [(&[MAM, "urn:xmpp:sid:0"][..], true), (&[MAM], false), (&["urn:xmpp:sid:0"], false)] {
        let mut test = with_archive();
        test.in_room();
        assert_eq!(stands(&test), (1, None, 0), "it has said nothing");
        // A room that fails temporarily is asked again.
        test.wait(31);
        assert_eq!(stands(&test), (1, None, 0));
        test.forget();
        test.wait(5 * 60);
        assert_eq!(test.lines().iter().filter(|line| *line == &format!("> ask disco of {ROOM}")).count(), 1);
        says(&mut test, ROOM, Ok(disco("conference", features)));
        assert_eq!(stands(&test), (1, Some(expected), 1));
        test.bind();
        assert_eq!(stands(&test).1, None, "it is another stream");
    }
}

/// Until the first presence, and while the account hides, a server stores what comes, some servers in the archive alone.
#[test]
fn the_archive_is_read_after_the_first_presence_and_again_after_the_account_was_hidden() {
    for (state, is_shown) in [("online", true), ("offline", false)] {
        let mut test = TestSession::new(settings(&[("default_state", state.into())]));
        test.run(Session::plugins_initialized);
        test.bind();
        says(&mut test, OWN, Ok(disco("account", &[MAM])));
        assert_eq!(test.session.snapshot().archive, None, "{state}: the presence was not sent yet");
        test.roster(Vec::new());
        assert_eq!(test.sent.iter().any(|stanza| matches!(stanza, Outgoing::Presence(_))), is_shown, "{state}");
        let archive = |stream| Some(OwnArchive { stream, exists: true });
        assert_eq!(test.session.snapshot().archive, archive(1), "{state}");
        for (value, stream) in
            [("offline", 1), ("unavailable", 1), ("away", 2), ("dnd", 2), ("offline", 2), ("online", 3)]
        {
            let value = Some(value.parse().unwrap());
            assert_eq!(got(&mut test.ask(SetStatus { value, message: None })), Some(Ok(())));
            assert_eq!(test.session.snapshot().archive, archive(stream), "{state} {value:?}");
            assert_eq!(test.session.stream(), stream);
        }
    }
}
