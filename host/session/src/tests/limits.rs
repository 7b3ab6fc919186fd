//! Limits of everything that is stored.

use super::*;
use crate::features::{HeldBack, MAX_HELD, MAX_HELD_BYTES};
use crate::rooms::MAX_OWN_WAITERS;
use crate::rooms::occupants;
use crate::waiters::RESERVED;
use crate::{chats, presence, roster};

#[test]
fn chats_make_room_for_new_ones() {
    let mut test = TestSession::connected(settings(&[("allow_non_roster_messaging", true.into())]));
    for number in 0..=chats::MAX_OPEN {
        test.now += Duration::from_secs(1);
        let at = test.now;
        test.message(Message { at, ..message(&format!("p{number}@example.org"), MessageKind::Chat, "hi") });
    }
    let open = test.session.snapshot().chats;
    assert_eq!(open.len(), chats::MAX_OPEN);
    assert!(!open.contains_key(&bare("p0@example.org")), "the one that was idle longest");
    assert_eq!(test.count("chatBoxClosed"), 1);
}

#[test]
fn a_contact_has_so_many_clients() {
    let mut test = TestSession::connected(Settings::default());
    for number in 0..100 {
        test.presence(presence(&format!("{ROMEO}/c{number}"), PresenceKind::Available));
    }
    let status = Some("x".repeat(5_000));
    test.presence(Presence { status, ..presence(&format!("{ROMEO}/long"), PresenceKind::Available) });
    let romeo = &test.session.snapshot().contacts.unwrap()[&bare(ROMEO)];
    assert_eq!(romeo.resources.len(), presence::MAX_RESOURCES);
    assert_eq!(romeo.status().unwrap().len(), 1_024);
    let kept = presence::kept_status(Some("x".repeat(5_000))).unwrap();
    assert!(kept.capacity() < 2_000, "what is cut off takes no room");
}

#[test]
fn strangers_cannot_fill_the_roster() {
    let mut test = TestSession::connected(Settings::default());
    for number in 0..roster::MAX_REQUESTS + 5 {
        test.presence(presence(&format!("s{number}@example.net"), PresenceKind::Subscribe));
    }
    assert_eq!(test.session.snapshot().contacts.unwrap().len(), roster::MAX_REQUESTS + 2);
    assert_eq!(test.count("contactRequest"), roster::MAX_REQUESTS);
    assert_eq!(test.session.ignored(), 5);
}

#[test]
fn strangers_who_ask_are_not_kept_with_their_clients() {
    let mut test = TestSession::connected(Settings::default());
    test.presence(presence("paris@example.net", PresenceKind::Subscribe));
    for number in 0..presence::MAX_RESOURCES {
        let status = Some("x".repeat(1_000));
        test.presence(Presence {
            status,
            ..presence(&format!("paris@example.net/c{number}"), PresenceKind::Available)
        });
    }
    let paris = &test.session.snapshot().contacts.unwrap()[&bare("paris@example.net")];
    assert!(paris.requesting && paris.resources.is_empty(), "{paris:?}");
}

#[test]
fn a_roster_is_cut_where_it_is_too_long() {
    let mut test = TestSession::new(Settings::default());
    test.run(Session::plugins_initialized);
    test.bind();
    test.roster((0..=roster::MAX_CONTACTS).map(|number| item(&format!("c{number}@example.org"), "both")).collect());
    assert_eq!(test.session.snapshot().contacts.unwrap().len(), roster::MAX_CONTACTS);
    test.push(item("one-more@example.org", "both"));
    assert_eq!(test.session.snapshot().contacts.unwrap().len(), roster::MAX_CONTACTS);
}

#[test]
fn rooms_and_occupants_are_so_many() {
    let mut test = TestSession::connected(Settings::default());
    let open = |test: &mut TestSession, number: usize| {
        let (answer, receiver) = Answer::channel();
        let jid = bare(&format!("r{number}@muc.example.org"));
        test.command(AnyCommand::with(OpenRoom { by: InstanceId(1), jid, options: RoomOptions::default() }, answer));
        receiver
    };
    let opened: Vec<_> = (0..MAX_ROOMS).map(|number| open(&mut test, number)).collect();
    assert!(matches!(got(&mut open(&mut test, MAX_ROOMS)), Some(Err(CallError::OverLimit(_)))));
    drop(opened);
    test.wait(30);
    test.in_room();
    for number in 0..occupants::MAX_OCCUPANTS {
        test.presence(occupant(&format!("o{number}"), PresenceKind::Available, &[]));
    }
    assert_eq!(test.session.snapshot().rooms[&bare(ROOM)].occupants.len(), occupants::MAX_OCCUPANTS);
}

#[test]
fn so_many_calls_of_a_plugin_may_wait_for_a_room_and_take_no_place_of_another_one() {
    const ONE: InstanceId = InstanceId(1);
    const TWO: InstanceId = InstanceId(2);
    fn enter(test: &mut TestSession, by: InstanceId) -> Receiver<Result<Arc<Room>, CallError>> {
        test.ask(OpenRoom { by, jid: bare(ROOM), options: RoomOptions::default() })
    }
    fn leave(test: &mut TestSession, by: InstanceId) -> Receiver<Result<(), CallError>> {
        test.ask(CloseRoom { by, jid: bare(ROOM) })
    }
    let mut test = TestSession::connected(Settings::default());
    let waiting: Vec<_> = (0..MAX_OWN_WAITERS).map(|_| enter(&mut test, ONE)).collect();
    assert!(matches!(got(&mut enter(&mut test, ONE)), Some(Err(CallError::OverLimit(_)))));
    assert!(got(&mut enter(&mut test, TWO)).is_none(), "a neighbour waits all the same");
    drop(waiting);
    assert!(got(&mut enter(&mut test, ONE)).is_none(), "those who left make room");
    test.presence(occupant("bot", PresenceKind::Available, &[110]));
    let waiting: Vec<_> = (0..MAX_OWN_WAITERS).map(|_| leave(&mut test, ONE)).collect();
    assert!(matches!(got(&mut leave(&mut test, ONE)), Some(Err(CallError::OverLimit(_)))));
    assert!(got(&mut leave(&mut test, TWO)).is_none(), "a neighbour waits all the same");
    drop(waiting);
    assert!(got(&mut leave(&mut test, ONE)).is_none(), "those who left make room");
}

#[test]
fn so_many_calls_may_wait_for_chats_and_those_of_a_plugin_take_no_place_of_another_one() {
    fn open(test: &mut TestSession, by: u64) -> Receiver<Result<Arc<Chat>, CallError>> {
        test.ask(OpenChat { by: InstanceId(by), jid: bare(ROMEO) })
    }
    let mut test = TestSession::new(Settings::default());
    let waiting: Vec<_> = (0..chats::MAX_OWN_PENDING).map(|_| open(&mut test, 1)).collect();
    assert!(matches!(got(&mut open(&mut test, 1)), Some(Err(CallError::OverLimit(_)))));
    assert!(got(&mut open(&mut test, 2)).is_none(), "a neighbour waits all the same");
    drop(waiting);
    assert!(got(&mut open(&mut test, 1)).is_none(), "those who left make room");
    // As many plugins as necessary, each with its maximum.
    let plugins = (10..).flat_map(|number| std::iter::repeat_n(number, chats::MAX_OWN_PENDING));
    let waiting: Vec<_> = plugins.take(chats::MAX_PENDING).map(|by| open(&mut test, by)).collect();
    // None of them takes the places of another one.
    let mut own: Vec<_> = (0..RESERVED).map(|_| open(&mut test, 2)).collect();
    assert!(own.iter_mut().all(|receiver| got(receiver).is_none()));
    assert!(matches!(got(&mut open(&mut test, 2)), Some(Err(CallError::OverLimit(_)))));
    drop(waiting);
    assert!(got(&mut open(&mut test, 2)).is_none(), "those who left make room");
}

#[test]
fn all_rooms_together_have_so_many_occupants_and_each_room_some() {
    let mut test = TestSession::connected(Settings::default());
    let room = |number: usize| format!("r{number}@muc.example.org");
    let enter = |test: &mut TestSession, number: usize| {
        let receiver =
            test.ask(OpenRoom { by: InstanceId(1), jid: bare(&room(number)), options: RoomOptions::default() });
        let from = jid(&format!("{}/bot", room(number)));
        test.presence(Presence { from, ..occupant("bot", PresenceKind::Available, &[110]) });
        drop(receiver);
    };
    let full = occupants::MAX_ALL_OCCUPANTS / occupants::MAX_OCCUPANTS;
    for number in 0..=full {
        enter(&mut test, number);
        for nick in 0..occupants::MAX_OCCUPANTS {
            let from = jid(&format!("{}/o{nick}", room(number)));
            test.presence(Presence { from, ..occupant("o", PresenceKind::Available, &[]) });
        }
        test.forget();
    }
    let rooms = test.session.snapshot().rooms;
    let counts: Vec<_> = rooms.values().map(|room| room.occupants.len()).collect();
    assert!(counts[..full].iter().all(|count| *count == occupants::MAX_OCCUPANTS), "{counts:?}");
    assert_eq!(counts[full], occupants::OWN_SHARE, "{counts:?}");
}

/// A room decides the names of its occupants.
#[test]
fn what_is_known_of_occupants_takes_so_many_bytes() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let long = |number: usize| format!("{number:01000}");
    let person = jid(&format!("{}@example.org/{}", "a".repeat(1_000), "c".repeat(1_000)));
    let told = |number: usize| {
        let mut presence = occupant(&long(number), PresenceKind::Available, &[]);
        presence.status = Some("d".repeat(1_024));
        presence.muc.as_mut().unwrap().jid = Some(person.clone());
        presence
    };
    for number in 0..occupants::MAX_OCCUPANTS {
        test.presence(told(number));
    }
    let known = test.session.snapshot().rooms[&bare(ROOM)].occupants.len();
    let most = occupants::MAX_ALL_BYTES / (5 * 1_000);
    assert!((most / 2..=most).contains(&known), "{known}, and {most} at most");
    // If an occupant leaves, there is room for another one. The account itself is always included.
    test.presence(Presence { kind: PresenceKind::Unavailable, ..told(7) });
    test.presence(told(occupants::MAX_OCCUPANTS));
    let there = test.session.snapshot().rooms[&bare(ROOM)].occupants.clone();
    assert_eq!(there.len(), known);
    assert!(there.contains_key(&long(occupants::MAX_OCCUPANTS)) && there.values().any(|one| one.own));
    // Changes of known occupants are handled regardless of the room.
    let mut demoted = occupant(&long(9), PresenceKind::Available, &[]);
    demoted.status = Some("d".repeat(1_024));
    demoted.muc.as_mut().unwrap().role = "none".to_owned();
    test.presence(demoted);
    assert_eq!(test.session.snapshot().rooms[&bare(ROOM)].occupants[&long(9)].role, "none");
    // A room that is entered again starts with an empty list.
    let _closed = test.ask(CloseRoom { by: InstanceId(1), jid: bare(ROOM) });
    test.presence(occupant("bot", PresenceKind::Unavailable, &[110]));
    test.in_room();
    for number in 0..100 {
        test.presence(told(number));
    }
    assert_eq!(test.session.snapshot().rooms[&bare(ROOM)].occupants.len(), 102);
}

/// A room decides which nickname we have, and may give us another one without end.
#[test]
fn a_room_that_renames_us_without_end_has_no_more_occupants() {
    let mut test = TestSession::connected(Settings::default());
    test.in_room();
    let there = |test: &TestSession| test.session.snapshot().rooms[&bare(ROOM)].occupants.clone();
    for number in 0..occupants::MAX_OCCUPANTS + 100 {
        test.presence(occupant(&format!("bot{number}"), PresenceKind::Available, &[110]));
    }
    let known = there(&test);
    assert_eq!(known.len(), occupants::MAX_OCCUPANTS);
    let own: Vec<_> = known.values().filter(|one| one.own).map(|one| one.nick.as_str()).collect();
    assert_eq!(own, [format!("bot{}", occupants::MAX_OCCUPANTS + 99)]);
    // It may name us as one occupant after the other, with texts that are known of each.
    let person = jid(&format!("{0}@example.org/{0}", "a".repeat(1_000)));
    for (number, nick) in known.keys().enumerate() {
        let mut presence = occupant(nick, PresenceKind::Available, &[110]);
        presence.status = Some(format!("{number:01024}"));
        let muc = presence.muc.as_mut().unwrap();
        muc.jid = Some(person.clone());
        muc.hats = vec![types::Hat { uri: "h".repeat(128), title: "h".repeat(128) }; 16];
        test.presence(presence);
        test.forget();
    }
    let bytes = there(&test).values().map(|one| one.bytes()).sum::<usize>();
    assert!(bytes < occupants::MAX_ALL_BYTES + 100_000, "{bytes}");
    // Nor does it grow while we leave it.
    let _closed = test.ask(CloseRoom { by: InstanceId(1), jid: bare(ROOM) });
    let count = there(&test).len();
    for number in 0..2 * occupants::MAX_OCCUPANTS {
        test.presence(occupant(&format!("again{number}"), PresenceKind::Available, &[110]));
    }
    assert!(there(&test).len() <= count.max(occupants::MAX_OCCUPANTS), "{}", there(&test).len());
}

/// A service may put us out of room after room, and let us in nowhere.
#[test]
fn occupants_from_before_we_enter_rooms_again_count_too() {
    let mut test = TestSession::connected(Settings::default());
    let room = |number: usize| format!("r{number}@muc.example.org");
    let person = jid(&format!("{0}@example.org/{0}", "a".repeat(1_000)));
    let told = |number: usize, nick: usize| {
        let mut presence = occupant("o", PresenceKind::Available, &[]);
        presence.from = jid(&format!("{}/{nick:01000}", room(number)));
        presence.status = Some("d".repeat(1_024));
        presence.muc.as_mut().unwrap().jid = Some(person.clone());
        presence
    };
    let most = occupants::MAX_ALL_BYTES / 5_000;
    let count = |test: &TestSession, number: usize| test.session.snapshot().rooms[&bare(&room(number))].occupants.len();
    let mut known = Vec::new();
    for number in 0..2 {
        let _opened =
            test.ask(OpenRoom { by: InstanceId(1), jid: bare(&room(number)), options: RoomOptions::default() });
        let from = jid(&format!("{}/bot", room(number)));
        test.presence(Presence { from: from.clone(), ..occupant("bot", PresenceKind::Available, &[110]) });
        for nick in 0..most {
            test.presence(told(number, nick));
        }
        known.push(count(&test, number));
        // It refuses a presence, and then says that we are not in it.
        test.presence(Presence { from, ..occupant("bot", PresenceKind::Error(stanza_error("not-allowed")), &[]) });
        let id = test.asked_of(&format!("{}/bot", room(number)), |ask| *ask == Ask::Ping);
        test.answer(Some(&format!("{}/bot", room(number))), id, Err(stanza_error("not-acceptable")));
        assert_eq!(count(&test, number), 0);
        test.forget();
    }
    assert!(known[0] > most / 2, "{known:?}");
    assert_eq!(known[1], occupants::OWN_SHARE, "there is no room for more");
    // The same occupants have room in it again.
    for nick in 0..most {
        test.presence(told(0, nick));
    }
    assert!(count(&test, 0).abs_diff(known[0]) < 2, "{} of {}", count(&test, 0), known[0]);
    let from = jid(&format!("{}/bot", room(0)));
    test.presence(Presence { from, ..occupant("bot", PresenceKind::Available, &[110]) });
    assert!(test.count("occupantLeft") < 2, "nobody counts as gone");
}

/// A server may send what it kept for the account before its answer with the roster.
#[test]
fn what_waits_for_the_roster_is_bounded_in_bytes() {
    let long = |body: &str| {
        let raw = raw(&format!("<message xmlns='jabber:client' to='{ROMEO}'><body>{body}</body></message>"));
        Incoming::Message(Box::new(Message { raw, ..message(ROMEO, MessageKind::Chat, body) }))
    };
    let weight = long(&"x".repeat(100_000)).weight();
    assert!(weight > 100_000);
    let mut held = HeldBack::default();
    let kept = (0..MAX_HELD).take_while(|_| held.hold(long(&"x".repeat(100_000))).is_none()).count();
    assert_eq!(kept, MAX_HELD_BYTES / weight);
    assert!(held.hold(long("short")).is_none(), "there is room for a short one");
}

/// A plugin that does not get to run would otherwise collect an answer of each of its calls.
#[test]
fn an_answer_that_is_too_much_is_refused() {
    let most = |most: usize| {
        move |value: &String| {
            if value.len() <= most { Ok(()) } else { Err(CallError::OverLimit("too much".to_owned())) }
        }
    };
    let given = |bytes: usize| {
        let (answer, mut receiver) = Answer::channel();
        answer.if_it_fits(most(10)).give(Ok("x".repeat(bytes)));
        got(&mut receiver).unwrap()
    };
    assert_eq!(given(10).unwrap().len(), 10);
    assert_eq!(given(11), Err(CallError::OverLimit("too much".to_owned())));
}
