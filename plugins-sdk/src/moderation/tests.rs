//! Checks the rules and the bounds.

mod cases;

use super::*;
use crate::letters::MAX_TEXT;

const ROOM: &str = "garden@x";

fn rules() -> Rules {
    Rules {
        joins: 2,
        join_window: Duration::from_secs(10),
        messages: 0,
        message_window: Duration::from_secs(10),
        repeats: 2,
        crowd_repeats: 3,
        unreadable: 2,
        repeat_window: Duration::from_mins(1),
        newcomer: Duration::from_mins(10),
    }
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap()
}

fn said(text: &str) -> Said {
    Said {
        id: Some(text.to_owned()),
        texts: vec![text.to_owned()],
        has_link: false,
        is_command: false,
        is_unreadable: false,
    }
}

fn unreadable() -> Said {
    Said { texts: Vec::new(), is_unreadable: true, ..said("sealed") }
}

fn offence(judge: &mut Judge, key: &str, text: &str, now: i64) -> Option<Offence> {
    judge.hear(&rules(), ROOM, key, said(text), at(now)).offence
}

#[test]
fn a_flood_is_more_newcomers_than_allowed() {
    let mut judge = Judge::default();
    let mut join = |key: &str, now: i64| judge.join(&rules(), ROOM, key, at(now));
    assert!(join("a", 0).is_empty() && join("b", 1).is_empty() && join("b", 2).is_empty());
    assert_eq!(join("c", 3), ["a", "b", "c"]);
    assert_eq!(join("a", 4), ["a"]);
    assert!(join("d", 20_000).is_empty());
}

#[test]
fn the_same_is_said_too_often_by_one_or_by_several() {
    let mut judge = Judge::default();
    assert_eq!([0, 1, 2].map(|now| offence(&mut judge, "a", "ok", now)), [None, None, Some(Offence::Repeat)]);
    assert_eq!(offence(&mut judge, "a", "ok", 70_000), None);
    let crowd = ["b", "c", "d", "e"].map(|key| offence(&mut judge, key, "buythisatonceforless", 80_000));
    assert_eq!(crowd, [None, None, None, Some(Offence::Repeat)]);
    assert_eq!(["b", "c", "d", "e"].map(|key| offence(&mut judge, key, "hello", 90_000)), [None; 4]);
}

#[test]
fn a_newcomer_sends_no_links_for_a_while() {
    let mut judge = Judge::default();
    let mut link = |now: i64| judge.hear(&rules(), ROOM, "a", Said { has_link: true, ..said("link") }, at(now));
    assert_eq!(link(0), Verdict { offence: Some(Offence::Link), has_settled: false });
    assert_eq!(link(600_000), Verdict { offence: None, has_settled: true });
    assert_eq!(link(700_000), Verdict { offence: None, has_settled: false });
}

#[test]
fn what_cannot_be_read_is_for_people_who_are_no_newcomers_and_of_these_only_so_much() {
    let mut judge = Judge::default();
    let mut hear = |key: &str, said: Said, now: i64| judge.hear(&rules(), ROOM, key, said, at(now)).offence;
    assert_eq!(hear("new", unreadable(), 0), Some(Offence::Sealed), "it may have a link");
    assert_eq!((hear("a", said("one"), 0), hear("b", said("two"), 0)), (None, None));
    let times = [700_000, 700_001, 700_002];
    assert_eq!(times.map(|now| hear("a", unreadable(), now)), [None, None, Some(Offence::Unreadable)]);
    assert_eq!(hear("b", unreadable(), 700_003), None, "each person has a count");
    assert_eq!(hear("a", said("hello"), 700_004), None, "texts are no such messages");
    assert_eq!(hear("a", unreadable(), 800_000), None);
    let any = Rules { unreadable: 0, ..rules() };
    let offences = [0, 1, 2, 3].map(|now| judge.hear(&any, ROOM, "a", unreadable(), at(900_000 + now)).offence);
    assert_eq!(offences, [None; 4]);
}

#[test]
fn slow_mode_counts_from_the_last_message_that_it_allowed() {
    let mut judge = Judge::default();
    assert!(judge.slow_down(ROOM, Some(Duration::from_secs(10))));
    assert_eq!(offence(&mut judge, "a", "1", 0), None);
    assert_eq!(offence(&mut judge, "a", "2", 9_000), Some(Offence::Early(Duration::from_secs(10))));
    assert_eq!(offence(&mut judge, "a", "3", 10_000), None);
    assert!(judge.slow_down(ROOM, None));
    assert_eq!(offence(&mut judge, "a", "4", 10_001), None);
}

#[test]
fn nothing_grows_without_bound() {
    let mut judge = Judge::default();
    for number in 0..2_000_i64 {
        let (key, room) = (number.to_string(), format!("{number}@x"));
        judge.join(&rules(), ROOM, &key, at(number));
        offence(&mut judge, &key, &key, number);
        judge.meet(&room, &key, key.clone(), false, at(number));
        judge.meet(ROOM, &key, key.clone(), false, at(number));
        judge.slow_down(&room, Some(Duration::from_millis(1)));
    }
    let place = &judge.rooms[ROOM];
    assert_eq!((place.people.len(), place.messages.len(), place.joins.len()), (MAX_PEOPLE, MAX_MESSAGES, MAX_JOINS));
    assert_eq!((judge.rooms.len(), judge.slow.len()), (MAX_ROOMS, MAX_SLOW));
    assert_eq!(judge.messages(ROOM, "1999", 9), ["1999"]);
    judge.retracted(ROOM, "1999");
    assert!(judge.messages(ROOM, "1999", 9).is_empty());
}

#[test]
fn texts_are_the_same_whatever_their_capitals_spaces_and_signs() {
    assert_eq!(normalized("Buy  THIS, now!"), "buythisnow");
    assert_eq!(normalized("🍕 🍕"), "🍕🍕");
    assert_eq!(comparable(["", " ", "a"].into_iter()), ["a"]);
    assert_eq!(normalized(&"é".repeat(1_000)).len(), MAX_TEXT);
}

#[test]
fn links_are_found_within_words() {
    for text in [
        "http://x.example",
        "see (HTTPS://x.example)",
        "<www.x.example>",
        "xmpp:r@x?join",
        "(shop.x.example/buy)",
        "x.example/",
    ] {
        assert!(has_link(text), "{text}");
    }
    let plain = [
        "",
        "e.g. this",
        "a :// b",
        "http://",
        "awww. nice",
        "src/lib.rs",
        "and/or",
        "1.5/2",
        "a..b/c",
        ".rs/x",
        "n.b/a",
    ];
    for text in plain {
        assert!(!has_link(text), "{text}");
    }
}

#[test]
fn names_are_short_and_on_one_line() {
    assert_eq!(nick("a\nb\u{202e}c"), "abc");
    assert_eq!(nick(&"x".repeat(1_000)).len(), MAX_NICK);
    let (one, other) = ("a".repeat(1_000), "a".repeat(1_001));
    assert_ne!(key_of(&one), key_of(&other));
    assert!(key_of(&one).len() <= MAX_KEY);
}

#[test]
fn a_text_alone_is_read_like_a_message() {
    let said = Said::text("See HTTPS://x.example");
    assert_eq!((said.texts.as_slice(), said.has_link), (["seehttpsxexample".to_owned()].as_slice(), true));
    assert!(!Said::text("hello").has_link);
}
