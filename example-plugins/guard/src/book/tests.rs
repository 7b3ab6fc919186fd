//! Checks the rules and the bounds.

use super::*;

const ROOM: &str = "garden@x";

fn rules() -> Rules {
    Rules {
        joins: 2,
        join_window: 10_000,
        repeats: 2,
        crowd_repeats: 3,
        unreadable: 2,
        repeat_window: 60_000,
        newcomer: 600_000,
        ..Rules::default()
    }
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

fn offence(book: &mut Book, key: &str, text: &str, now: i64) -> Option<Offence> {
    book.hear(&rules(), ROOM, key, said(text), now).offence
}

#[test]
fn a_flood_is_more_newcomers_than_allowed() {
    let mut book = Book::default();
    let mut join = |key: &str, now: i64| book.join(&rules(), ROOM, key, now);
    assert!(join("a", 0).is_empty() && join("b", 1).is_empty() && join("b", 2).is_empty());
    assert_eq!(join("c", 3), ["a", "b", "c"]);
    assert_eq!(join("a", 4), ["a"]);
    assert!(join("d", 20_000).is_empty());
}

#[test]
fn the_same_is_said_too_often_by_one_or_by_several() {
    let mut book = Book::default();
    assert_eq!([0, 1, 2].map(|now| offence(&mut book, "a", "ok", now)), [None, None, Some(Offence::Repeat)]);
    assert_eq!(offence(&mut book, "a", "ok", 70_000), None);
    let crowd = ["b", "c", "d", "e"].map(|key| offence(&mut book, key, "buythisatonceforless", 80_000));
    assert_eq!(crowd, [None, None, None, Some(Offence::Repeat)]);
    assert_eq!(["b", "c", "d", "e"].map(|key| offence(&mut book, key, "hello", 90_000)), [None; 4]);
}

#[test]
fn a_newcomer_sends_no_links_for_a_while() {
    let mut book = Book::default();
    let mut link = |now: i64| book.hear(&rules(), ROOM, "a", Said { has_link: true, ..said("link") }, now);
    assert_eq!(link(0), Verdict { offence: Some(Offence::Link), has_settled: false });
    assert_eq!(link(600_000), Verdict { offence: None, has_settled: true });
    assert_eq!(link(700_000), Verdict { offence: None, has_settled: false });
}

#[test]
fn what_cannot_be_read_is_for_people_who_are_no_newcomers_and_of_these_only_so_much() {
    let mut book = Book::default();
    let mut hear = |key: &str, said: Said, now: i64| book.hear(&rules(), ROOM, key, said, now).offence;
    assert_eq!(hear("new", unreadable(), 0), Some(Offence::Sealed), "it may have a link");
    assert_eq!((hear("a", said("one"), 0), hear("b", said("two"), 0)), (None, None));
    let times = [700_000, 700_001, 700_002];
    assert_eq!(times.map(|now| hear("a", unreadable(), now)), [None, None, Some(Offence::Unreadable)]);
    assert_eq!(hear("b", unreadable(), 700_003), None, "each person has a count");
    assert_eq!(hear("a", said("hello"), 700_004), None, "texts are no such messages");
    assert_eq!(hear("a", unreadable(), 800_000), None);
    let any = Rules { unreadable: 0, ..rules() };
    let offences = [0, 1, 2, 3].map(|now| book.hear(&any, ROOM, "a", unreadable(), 900_000 + now).offence);
    assert_eq!(offences, [None; 4]);
}

#[test]
fn slow_mode_counts_from_the_last_message_that_it_allowed() {
    let mut book = Book::default();
    assert!(book.slow_down(ROOM, Some(10_000)));
    assert_eq!(offence(&mut book, "a", "1", 0), None);
    assert_eq!(offence(&mut book, "a", "2", 9_000), Some(Offence::Early(10_000)));
    assert_eq!(offence(&mut book, "a", "3", 10_000), None);
    assert!(book.slow_down(ROOM, None));
    assert_eq!(offence(&mut book, "a", "4", 10_001), None);
}

#[test]
fn nothing_grows_without_bound() {
    let mut book = Book::default();
    for number in 0..2_000_i64 {
        let (key, room) = (number.to_string(), format!("{number}@x"));
        book.join(&rules(), ROOM, &key, number);
        offence(&mut book, &key, &key, number);
        book.meet(&room, &key, key.clone(), false, number);
        book.meet(ROOM, &key, key.clone(), false, number);
        book.slow_down(&room, Some(1));
    }
    let place = &book.rooms[ROOM];
    assert_eq!((place.people.len(), place.messages.len(), place.joins.len()), (MAX_PEOPLE, MAX_MESSAGES, MAX_JOINS));
    assert_eq!((book.rooms.len(), book.slow.len()), (MAX_ROOMS, MAX_SLOW));
    assert_eq!(book.messages(ROOM, "1999", 9), ["1999"]);
    book.retracted(ROOM, "1999");
    assert!(book.messages(ROOM, "1999", 9).is_empty());
}
