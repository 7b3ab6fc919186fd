//! Tests of the place in the archive, with handlers that end in any order.

use jiff::Timestamp;
use parlor_base::clock::Clock;
use parlor_session::position::Archive;
use parlor_store::{Owner, Store};

use super::*;

fn at(id: u32) -> Position {
    Position { id: Some(id.to_string()), at: Timestamp::from_second(id.into()).unwrap() }
}

fn live(id: u32) -> ArchivePlace {
    over(1, id)
}

fn over(stream: u64, id: u32) -> ArchivePlace {
    ArchivePlace::Message { of: Archive::Own, at: at(id), delivery: Delivery::Live(stream) }
}

fn missed(id: u32) -> ArchivePlace {
    ArchivePlace::Message { of: Archive::Own, at: at(id), delivery: Delivery::Missed }
}

/// Returns the progress of a plugin that has handled everything up to 0, and its store.
fn archive() -> (Store, ArchiveProgress) {
    let store = Store::in_memory();
    let owner = Owner { account: "bot@example.org".parse().unwrap(), plugin: "echo".parse().unwrap() };
    let mut archive = ArchiveProgress::new(store.data(Clock::Machine).positions(owner).of(Archive::Own));
    archive.begin(Handled { up_to: at(0), beyond: Vec::new() });
    (store, archive)
}

/// Returns the state that a later process would find: the position, and the messages handled after it.
async fn kept(archive: &ArchiveProgress) -> (String, Vec<String>) {
    let Handled { up_to, beyond } = archive.keeper().load().await.unwrap().unwrap();
    (up_to.id.unwrap(), beyond)
}

fn known(id: &str, beyond: &[&str]) -> (String, Vec<String>) {
    (id.to_owned(), beyond.iter().map(|&id| id.to_owned()).collect())
}

#[tokio::test]
async fn the_place_is_before_the_first_handler_that_has_not_returned() {
    let (_store, mut archive) = archive();
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    let tickets: Vec<_> = (1..=3).map(|id| archive.began(live(id)).unwrap()).collect();
    archive.returned(tickets[1]);
    assert_eq!(kept(&archive).await, known("0", &["2"]));
    archive.passed(live(4));
    assert_eq!(kept(&archive).await, known("0", &["2", "4"]));
    assert!(archive.knows("1") && archive.knows("4") && !archive.knows("5"));
    archive.returned(tickets[0]);
    assert_eq!(kept(&archive).await, known("2", &["4"]));
    archive.returned(tickets[2]);
    assert_eq!(kept(&archive).await, known("4", &[]));
}

#[tokio::test]
async fn what_comes_live_passes_nothing_that_was_missed_and_is_still_to_be_told() {
    let (_store, mut archive) = archive();
    archive.passed(live(9));
    assert_eq!(kept(&archive).await, known("0", &["9"]));
    let five = archive.began(missed(5)).unwrap();
    archive.returned(five);
    assert_eq!(kept(&archive).await, known("5", &["9"]));
    archive.passed(missed(8));
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    assert_eq!(kept(&archive).await, known("9", &[]));
    assert!(archive.is_caught_up(1) && !archive.is_caught_up(2));
}

#[tokio::test]
async fn a_handler_of_the_stream_before_holds_the_place_and_does_not_move_it_back() {
    let (_store, mut archive) = archive();
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    let slow = archive.began(live(1)).unwrap();
    archive.falls_behind();
    assert!(archive.meets("1") && !archive.meets("2") && !archive.meets("3"));
    archive.passed(missed(2));
    archive.passed(missed(3));
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 2));
    assert_eq!(kept(&archive).await, known("0", &["2", "3"]), "who is killed now has not handled all");
    archive.returned(slow);
    assert_eq!(kept(&archive).await, known("3", &["1"]));
    archive.passed(over(2, 5));
    assert_eq!(kept(&archive).await, known("5", &[]));
    assert_eq!(lacking(&mut archive, 0..5), ["4"], "what is known to have been told still is");
}

#[tokio::test]
async fn what_came_between_two_cuts_is_not_gone_back_to() {
    let (_store, mut archive) = archive();
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    archive.falls_behind();
    archive.passed(over(2, 5));
    // The next stream starts before everything was delivered that this one missed.
    archive.falls_behind();
    assert!(!archive.meets("4") && archive.meets("5") && !archive.meets("6"));
    archive.passed(missed(4));
    archive.passed(missed(6));
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 3));
    assert_eq!(kept(&archive).await, known("6", &["5"]));
    archive.restart();
    assert!(archive.meets("5"), "it is not told again");
}

#[tokio::test]
async fn what_a_stream_did_not_bring_is_not_passed_while_it_is_told() {
    let (_store, mut archive) = archive();
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    let slow = archive.began(live(1)).unwrap();
    archive.passed(live(4));
    archive.falls_behind();
    assert!(archive.meets("1"));
    archive.returned(slow);
    assert_eq!(kept(&archive).await, known("0", &["1", "4"]), "the archive may have some between them");
    archive.passed(missed(2));
    assert!(archive.meets("4"));
    archive.passed(missed(3));
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 2));
    assert_eq!(kept(&archive).await, known("3", &["1", "4"]));
}

#[tokio::test]
async fn what_broke_an_instance_is_not_given_to_the_next_one_and_what_it_did_not_begin_with_is() {
    let (_store, mut archive) = archive();
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    archive.began(live(1)).unwrap();
    archive.began(live(2)).unwrap();
    archive.broke();
    archive.restart();
    assert_eq!(archive.up_to(), Some(&at(2)));
    assert!(!archive.is_caught_up(1), "what waited for the old one was missed");
}

#[tokio::test]
async fn what_was_cut_off_is_given_again_and_what_overtook_it_is_not() {
    let (_store, mut archive) = archive();
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    archive.began(live(1)).unwrap();
    archive.passed(live(2));
    archive.restart();
    assert_eq!(archive.up_to(), Some(&at(0)));
    assert!(!archive.knows("1") && archive.knows("2"));
    archive.passed(missed(1));
    assert_eq!(kept(&archive).await, known("1", &["2"]));
}

#[tokio::test]
async fn what_overtook_what_was_cut_off_is_not_given_again_by_whoever_follows_either() {
    let (_store, mut archive) = archive();
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    archive.began(live(1)).unwrap();
    archive.passed(live(2));
    archive.restart();
    archive.passed(missed(1));
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    assert_eq!(kept(&archive).await, known("1", &["2"]));
    // No message arrived in between.
    archive.restart();
    assert!(archive.knows("2"));
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    archive.passed(live(3));
    assert_eq!(kept(&archive).await, known("3", &[]));
    assert_eq!(lacking(&mut archive, 0..3), [""; 0]);
}

/// Returns which of these the plugin lacks.
fn lacking(archive: &mut ArchiveProgress, last: impl IntoIterator<Item = u32>) -> Vec<String> {
    let ids: Vec<_> = last.into_iter().map(|id| id.to_string()).collect();
    archive.lacks(ids.iter().map(String::as_str))
}

#[tokio::test]
async fn what_a_stream_did_not_bring_is_told_on_the_next_one_and_moves_the_place_nowhere() {
    let (_store, mut archive) = archive();
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    assert!(!archive.may_look_back());
    let slow = archive.began(live(2)).unwrap();
    for id in [3, 6, 7] {
        archive.passed(live(id));
    }
    assert!(!archive.may_look_back(), "the place is where it was");
    archive.returned(slow);
    assert!(archive.may_look_back());
    assert_eq!(lacking(&mut archive, [8, 9]), [""; 0], "nothing there was told");
    assert_eq!(lacking(&mut archive, 1..=6), ["4", "5"]);
    for id in [4, 5] {
        archive.passed(missed(id));
        assert_eq!(kept(&archive).await, known("7", &[]));
    }
    assert_eq!(lacking(&mut archive, 1..=6), [""; 0], "they were told");
    archive.passed(missed(8));
    assert_eq!(kept(&archive).await, known("8", &[]));
}

#[tokio::test]
async fn it_is_looked_back_for_so_many_messages_and_not_beyond_another_instance() {
    let (_store, mut archive) = archive();
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    let most = u32::from(LOOKED_BACK);
    for id in 1..=most + 5 {
        archive.passed(live(2 * id));
    }
    let lacks = lacking(&mut archive, 0..2 * (most + 5));
    assert_eq!((lacks.len(), lacks[0].as_str()), (usize::from(LOOKED_BACK), "11"));
    archive.succeed();
    assert!(!archive.may_look_back());
    // A message that is already under way.
    archive.passed(missed(11));
    assert_eq!(archive.up_to(), Some(&at(2 * (most + 5))));
}

#[tokio::test]
async fn what_was_left_in_the_archive_stays_there() {
    let (_store, mut archive) = archive();
    archive.passed(missed(1));
    archive.leave_rest();
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    for id in [5, 6, 8] {
        archive.passed(live(id));
    }
    assert_eq!(lacking(&mut archive, 0..8), ["7"]);
}

#[tokio::test]
async fn a_handler_that_never_returns_holds_nothing_up_for_ever() {
    let (_store, mut archive) = archive();
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    archive.began(live(1)).unwrap();
    let most = u32::try_from(MOST).unwrap();
    for id in 2..2 + most {
        archive.passed(live(id));
    }
    assert_eq!(archive.up_to(), Some(&at(0)));
    archive.passed(live(2 + most));
    assert_eq!(kept(&archive).await, known(&(2 + most).to_string(), &[]));
}

/// Otherwise a host that is killed in between would lose the message, whose handler has not returned.
#[tokio::test]
async fn what_comes_live_meanwhile_overtakes_no_missed_message_however_much_it_is() {
    let (_store, mut archive) = archive();
    let slow = archive.began(missed(1)).unwrap();
    let most = u32::try_from(MOST).unwrap();
    for id in 10..10 + 2 * most {
        archive.passed(live(id));
    }
    assert_eq!(kept(&archive).await.0, "0");
    assert!(archive.knows(&(9 + 2 * most).to_string()) && !archive.knows("10"));
    archive.returned(slow);
    assert_eq!(kept(&archive).await.0, "1");
    archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
    assert_eq!(kept(&archive).await, known(&(9 + 2 * most).to_string(), &[]));
}
