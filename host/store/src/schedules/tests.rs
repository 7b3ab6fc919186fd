//! Tests of schedules in a database file.

use parlor_base::clock::Clock;

use super::*;
use crate::{DataFile, Store};

fn schedules(store: &Store, plugin: &str) -> Schedules {
    let owner = Owner { account: "bot@example.org".parse().unwrap(), plugin: plugin.parse().unwrap() };
    store.data(Clock::Machine).schedules(owner)
}

fn every(name: &str, period: u64) -> NewSchedule {
    NewSchedule { name: name.to_owned(), timing: StoredTiming::Every(period), catch_up: 1 }
}

async fn only(schedules: &Schedules) -> StoredSchedule {
    let mut all = schedules.all().await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

#[tokio::test]
async fn one_that_is_set_again_goes_on_and_one_that_changes_begins_anew() {
    let store = Store::in_memory();
    let schedules = schedules(&store, "a");
    let first = schedules.set(every("x", 60_000), 1_000, 9).await.unwrap().unwrap();
    assert_eq!((first.set_at, first.over, first.due, first.last), (1_000, 1_000, None, None));
    assert_eq!(schedules.set(every("x", 60_000), 2_000, 9).await.unwrap(), Some(first.clone()));
    assert!(schedules.pause("x".to_owned(), true, 3_000).await.unwrap());
    let other = schedules.set(every("x", 70_000), 2_000, 9).await.unwrap().unwrap();
    assert!(other.id > first.id && other.set_at == 2_000 && other.paused);
    // Notes about the previous schedule change nothing.
    assert!(!schedules.begin(first.id, 61_000, 0).await.unwrap());
    assert_eq!(only(&schedules).await, other);
    assert!(schedules.cancel("x".to_owned()).await.unwrap());
    assert!(!schedules.cancel("x".to_owned()).await.unwrap());
}

#[tokio::test]
async fn there_are_no_more_than_there_may_be_for_each_plugin() {
    let store = Store::in_memory();
    let (one, other) = (schedules(&store, "a"), schedules(&store, "b"));
    for name in ["x", "y"] {
        assert!(one.set(every(name, 60_000), 0, 2).await.unwrap().is_some());
    }
    assert_eq!(one.set(every("z", 60_000), 0, 2).await.unwrap(), None);
    assert!(one.set(every("y", 70_000), 0, 2).await.unwrap().is_some());
    assert!(other.set(every("z", 60_000), 0, 2).await.unwrap().is_some());
}

#[tokio::test]
async fn a_due_time_is_told_until_it_is_over_and_its_count_begins_anew() {
    let store = Store::in_memory();
    let schedules = schedules(&store, "a");
    let id = schedules.set(every("x", 60_000), 0, 9).await.unwrap().unwrap().id;
    schedules.leave_out(id, 130_000, 2, false).await.unwrap();
    assert!(schedules.begin(id, 180_000, 1).await.unwrap());
    // A due time that is being told is not left out.
    schedules.leave_out(id, 240_000, 1, false).await.unwrap();
    schedules.note(id, DueOutcome::Again(2)).await.unwrap();
    let told = only(&schedules).await;
    assert_eq!((told.over, told.due, told.attempts, told.missed), (130_000, Some(180_000), 2, 3));
    schedules.note(id, DueOutcome::Over { failed: true, is_last: false }).await.unwrap();
    let over = only(&schedules).await;
    assert_eq!((over.over, over.due, over.attempts, over.missed), (180_000, None, 0, 0));
    assert_eq!(over.last, Some(LastDue { due: 180_000, failed: true }));
    schedules.note(id, DueOutcome::Over { failed: false, is_last: true }).await.unwrap();
    assert!(schedules.all().await.unwrap().is_empty());
}

#[tokio::test]
async fn due_times_within_a_pause_are_missed() {
    let store = Store::in_memory();
    let schedules = schedules(&store, "a");
    schedules.set(every("x", 60_000), 0, 9).await.unwrap();
    let name = || "x".to_owned();
    assert!(schedules.pause(name(), false, 5).await.unwrap());
    assert_eq!(only(&schedules).await.runs_from, 0, "it was not paused");
    assert!(schedules.pause(name(), true, 6).await.unwrap());
    assert!(schedules.pause(name(), true, 7).await.unwrap());
    assert!(schedules.pause(name(), false, 8).await.unwrap());
    let one = only(&schedules).await;
    assert_eq!((one.paused, one.runs_from), (false, 8));
    assert!(!schedules.pause("y".to_owned(), true, 9).await.unwrap());
}

/// A plugin that clears its schedules at each start, or that ends, would undo the pause.
#[tokio::test]
async fn a_name_that_the_owner_paused_stays_paused_when_its_schedule_ends() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let one = schedules(&store, "a");
    let name = || "x".to_owned();
    for end in 0..3 {
        let set = one.set(every("x", 60_000), 1_000, 1).await.unwrap().unwrap();
        assert_eq!(set.paused, end > 0);
        assert!(one.pause(name(), true, 2_000).await.unwrap());
        match end {
            0 => assert!(one.cancel(name()).await.unwrap()),
            1 => one.leave_out(set.id, 61_000, 1, true).await.unwrap(),
            _ => one.note(set.id, DueOutcome::Over { failed: false, is_last: true }).await.unwrap(),
        }
        assert_eq!(one.all_and_unset().await.unwrap(), (Vec::new(), vec![name()]));
        assert!(one.all().await.unwrap().is_empty() && !one.cancel(name()).await.unwrap());
    }
    drop(one);
    store.close().await;
    let store = Store::open(folder.path()).unwrap();
    let one = schedules(&store, "a");
    // It takes the place of a schedule, so that the names of a plugin are bounded.
    assert_eq!(one.set(every("y", 60_000), 3_000, 1).await.unwrap(), None);
    let set = one.set(every("x", 60_000), 3_000, 1).await.unwrap().unwrap();
    assert!(set.paused && one.cancel(name()).await.unwrap());
    assert!(one.pause(name(), true, 4_000).await.unwrap() && one.pause(name(), false, 5_000).await.unwrap());
    assert!(!one.pause(name(), false, 5_000).await.unwrap(), "nothing is left of it");
    assert!(!one.set(every("x", 60_000), 6_000, 1).await.unwrap().unwrap().paused);
    assert!(one.pause(name(), true, 7_000).await.unwrap() && one.cancel(name()).await.unwrap());
    drop(one);
    store.close().await;
    DataFile::open(folder.path()).unwrap().unwrap().forget(&"a".parse().unwrap()).unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(schedules(&store, "a").all_and_unset().await.unwrap(), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn schedules_outlive_the_host_and_go_with_the_data_of_their_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let one = schedules(&store, "a");
    let timing = StoredTiming::Cron { expression: "0 9 * * *".to_owned(), zone: "Europe/Berlin".to_owned() };
    let new = NewSchedule { name: "daily".to_owned(), timing, catch_up: 3 };
    let set = one.set(new, 5, 9).await.unwrap().unwrap();
    one.set(NewSchedule { timing: StoredTiming::At(-5), ..every("once", 0) }, 5, 9).await.unwrap();
    schedules(&store, "b").set(every("x", 60_000), 5, 9).await.unwrap();
    drop(one);
    store.close().await;
    let store = Store::open(folder.path()).unwrap();
    assert!(schedules(&store, "a").may_be_there().await.unwrap());
    let all = schedules(&store, "a").all().await.unwrap();
    assert_eq!((&all[0], &all[1].timing), (&set, &StoredTiming::At(-5)));
    store.close().await;
    DataFile::open(folder.path()).unwrap().unwrap().forget(&"a".parse().unwrap()).unwrap();
    let store = Store::open(folder.path()).unwrap();
    let one = schedules(&store, "a");
    assert!(one.all().await.unwrap().is_empty() && !one.may_be_there().await.unwrap());
    one.set(every("x", 60_000), 5, 9).await.unwrap();
    assert!(schedules(&store, "a").may_be_there().await.unwrap());
    assert_eq!(schedules(&store, "b").all().await.unwrap().len(), 1);
}
