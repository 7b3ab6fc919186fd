//! Tests of plugins' data: reads, swaps, expiry, size, and restarts.

mod several;

use futures_util::future::join_all;
use jiff::Timestamp;
use proptest::prelude::*;

use super::super::{Page, PageOf};
use super::*;

const MIB: u64 = 1 << 20;

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

fn owner(plugin: &str) -> Owner {
    Owner { account: "bot@example.org".parse().unwrap(), plugin: plugin.parse().unwrap() }
}

fn put(key: &str, value: &[u8]) -> Write {
    Write { key: key.to_owned(), value: Some(value.to_vec()), expires: None, only: Only::Always }
}

/// The store must live as long as its data is used.
fn data() -> (Store, PluginData) {
    let store = Store::in_memory();
    let data = store.data(Clock::Machine);
    (store, data)
}

fn first(most: usize) -> PageOf {
    PageOf { most, ..PageOf::default() }
}

async fn get(data: &PluginData, key: &str) -> Option<Vec<u8>> {
    data.get(owner("a"), key.to_owned()).await.unwrap()
}

async fn write(data: &PluginData, write: Write) -> Written {
    data.write(owner("a"), MIB, write).await.unwrap()
}

#[tokio::test]
async fn what_is_written_is_read_and_belongs_to_one_plugin_and_account() {
    let (_store, data) = data();
    assert_eq!(write(&data, put("k", b"one")).await, Written::Fresh);
    assert_eq!(write(&data, put("k", b"two")).await, Written::Replaced);
    assert_eq!(get(&data, "k").await.as_deref(), Some(&b"two"[..]));
    assert_eq!(data.get(owner("b"), "k".into()).await.unwrap(), None);
    let elsewhere = Owner { account: "other@example.org".parse().unwrap(), ..owner("a") };
    assert_eq!(data.get(elsewhere, "k".into()).await.unwrap(), None);
    let delete = || Write { value: None, ..put("k", b"") };
    assert_eq!(write(&data, delete()).await, Written::Replaced);
    assert_eq!(write(&data, delete()).await, Written::Fresh);
    assert_eq!(get(&data, "k").await, None);
}

#[tokio::test]
async fn a_swap_happens_only_if_nobody_was_faster() {
    let (_store, data) = data();
    let swap = |expected: Option<&[u8]>, value: &[u8]| Write {
        only: Only::If(expected.map(<[u8]>::to_vec)),
        ..put("k", value)
    };
    assert_eq!(write(&data, swap(Some(b"x"), b"1")).await, Written::Otherwise);
    assert_eq!(write(&data, swap(None, b"1")).await, Written::Fresh);
    assert_eq!(write(&data, swap(None, b"2")).await, Written::Otherwise);
    assert_eq!(write(&data, swap(Some(b"1"), b"2")).await, Written::Replaced);
    // Exactly one of many concurrent swaps succeeds.
    let all = join_all((0..50_u8).map(|one| write(&data, swap(Some(b"2"), &[one])))).await;
    assert_eq!(all.iter().filter(|one| **one == Written::Replaced).count(), 1);
}

#[tokio::test]
async fn what_has_expired_is_not_there_and_makes_room() {
    let (_store, data) = data();
    let until = |expires| Write { expires: Some(expires), ..put("old", &[0; 600]) };
    write(&data, until(now() + 3_600_000)).await;
    assert!(get(&data, "old").await.is_some());
    write(&data, until(now() - 1)).await;
    assert_eq!(get(&data, "old").await, None);
    assert_eq!(data.keys(owner("a"), first(10)).await.unwrap(), Page { found: vec![], next: None });
    let small = |write| data.write(owner("a"), 1_000, write);
    assert_eq!(small(put("new", &[0; 600])).await.unwrap(), Written::Fresh);
    assert_eq!(small(put("more", &[0; 600])).await.unwrap(), Written::TooMuch);
    // An expired entry compares as absent.
    write(&data, until(now() - 1)).await;
    let swap = Write { only: Only::If(None), ..put("old", b"") };
    assert_eq!(write(&data, swap).await, Written::Fresh);
}

/// One thread writes for all plugins.
#[tokio::test]
async fn for_a_write_no_more_is_removed_of_what_has_expired_than_it_needs() {
    let (_store, data) = data();
    let gone = |number| Write { expires: Some(now() - 1), ..put(&format!("{number:04}"), b"") };
    join_all((0..100).map(|number| write(&data, gone(number)))).await;
    // Each of them takes 68 bytes.
    let small = |write| data.write(owner("a"), 100 * 68, write);
    assert_eq!(small(put("new", b"")).await.unwrap(), Written::Fresh);
    assert_eq!(data.sizes().await.unwrap()[&owner("a")], 99 * 68 + 67);
    assert_eq!(small(put("long", &[0; 6_665])).await.unwrap(), Written::Fresh, "in the place of all the others");
    assert_eq!(data.sizes().await.unwrap()[&owner("a")], 100 * 68);
    assert_eq!(small(put("more", b"")).await.unwrap(), Written::TooMuch);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let data = store.data(Clock::Machine);
    let all = join_all((0..500).map(|number| write(&data, put(&format!("{number}"), b"x")))).await;
    assert!(all.iter().all(|one| *one == Written::Fresh));
    assert!(get(&data, "499").await.is_some());
    drop(data);
    store.close().await;
    let store = Store::open(folder.path()).unwrap();
    let data = store.data(Clock::Machine);
    assert_eq!(data.keys(owner("a"), first(1_000)).await.unwrap().found.len(), 500);
}

/// The thread fails as if by a fault of `SQLite`.
#[tokio::test]
async fn whoever_waits_for_a_thread_that_fails_hears_that_it_has_ended() {
    let (store, data) = data();
    let (fail, held) = std::sync::mpsc::channel::<()>();
    assert!(store.put(move |_| {
        let _ = held.recv();
        panic!("on purpose, for a test")
    }));
    let writes = (0..3).map(|number| data.write(owner("a"), MIB, put(&format!("{number}"), b"x")));
    let mut writing = std::pin::pin!(join_all(writes));
    assert!(futures_util::poll!(writing.as_mut()).is_pending());
    drop(fail);
    let within = std::time::Duration::from_secs(30);
    let all = tokio::time::timeout(within, writing).await.expect("nobody waits for ever");
    assert!(all.iter().all(|one| matches!(one, Err(StoreError::Ended))), "{all:?}");
    let after = tokio::time::timeout(within, data.write(owner("a"), MIB, put("4", b"x"))).await;
    assert!(matches!(after, Ok(Err(StoreError::Ended))), "{after:?}");
}

#[tokio::test]
async fn whoever_is_gone_holds_up_nobody() {
    let (_store, data) = data();
    for number in 0..100 {
        let writing = write(&data, put(&format!("{number}"), b"x"));
        // The write is polled at most once, and dropped.
        let _ = tokio::time::timeout(std::time::Duration::ZERO, writing).await;
    }
    assert_eq!(write(&data, put("last", b"x")).await, Written::Fresh);
}

/// Makes these calls while the thread is busy, so that their writes are made together.
async fn together<R>(store: &Store, calls: impl IntoIterator<Item = impl Future<Output = R>>) -> Vec<R> {
    let (release, held) = std::sync::mpsc::channel::<()>();
    assert!(store.put(move |_| {
        let _ = held.recv();
        Ok(())
    }));
    let mut all = std::pin::pin!(join_all(calls));
    assert!(futures_util::poll!(all.as_mut()).is_pending());
    drop(release);
    all.await
}

/// They share a transaction.
#[tokio::test]
async fn a_write_that_fails_affects_none_of_those_that_are_made_with_it() {
    let (store, data) = data();
    let refuses = "CREATE TRIGGER refuses BEFORE INSERT ON plugin_data WHEN NEW.key = 'bad'
                   BEGIN SELECT RAISE(ABORT, 'refused'); END";
    store.run(move |file| file.execute_batch(refuses)).await.unwrap();
    let calls = ["one", "bad", "two"].map(|key| data.write(owner("a"), MIB, put(key, b"x")));
    let made: Vec<_> = together(&store, calls).await.into_iter().map(Result::ok).collect();
    assert_eq!(made, [Some(Written::Fresh), None, Some(Written::Fresh)]);
    assert_eq!(data.keys(owner("a"), first(10)).await.unwrap().found, ["one", "two"]);
    let (kept, noted) = kept_and_noted(&data).await;
    assert_eq!(kept, noted);
}

/// The size of a plugin's data is read once for all of them.
#[tokio::test]
async fn writes_that_are_made_together_count_together_for_the_quota_of_their_plugin() {
    let (store, data) = data();
    let calls = [("a", "one"), ("b", "one"), ("a", "two")];
    let calls = calls.map(|(plugin, key)| data.write(owner(plugin), 1_000, put(key, &[0; 600])));
    let made: Vec<_> = together(&store, calls).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(made, [Written::Fresh, Written::Fresh, Written::TooMuch]);
    let sizes = data.sizes().await.unwrap();
    assert_eq!((sizes[&owner("a")], sizes[&owner("b")]), (667, 667));
}

/// Returns the bytes that the stored entries count, and those that are recorded.
async fn kept_and_noted(data: &PluginData) -> (i64, i64) {
    let both = data.read(Lane::Host, |file| {
        let sum =
            format!("SELECT coalesce(sum(length(CAST(key AS BLOB)) + length(value) + {ENTRY}), 0) FROM plugin_data");
        let noted = "SELECT coalesce(sum(bytes), 0) FROM plugin_data_size";
        Ok((file.query_row(&sum, [], |row| row.get(0))?, file.query_row(noted, [], |row| row.get(0))?))
    });
    both.await.unwrap()
}

proptest! {
    /// The recorded size equals that of the stored entries, after any sequence of writes.
    #[test]
    fn the_size_is_right(steps in prop::collection::vec((0..4_usize, 0..200_usize, prop::option::of(-1..2_i64), any::<bool>()), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_store, data) = data();
            for (key, length, expires, delete) in steps {
                let one = Write {
                    key: "ü".repeat(key + 1),
                    value: (!delete).then(|| vec![0; length]),
                    expires: expires.map(|hours| now() + hours * 3_600_000),
                    only: Only::Always,
                };
                data.write(owner("a"), 500, one).await.unwrap();
            }
            let (kept, noted) = kept_and_noted(&data).await;
            assert_eq!(kept, noted);
            assert!(kept <= 500);
        });
    }

    /// This also holds for writes of several plugins that share a transaction.
    #[test]
    fn the_size_is_right_after_writes_that_are_made_together(
        steps in prop::collection::vec((any::<bool>(), 0..4_usize, 0..200_usize, prop::option::of(-1..2_i64), any::<bool>()), 1..25)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, data) = data();
            let calls = steps.into_iter().map(|(is_other, key, length, expires, delete)| {
                let one = Write {
                    key: "ü".repeat(key + 1),
                    value: (!delete).then(|| vec![0; length]),
                    expires: expires.map(|hours| now() + hours * 3_600_000),
                    only: Only::Always,
                };
                data.write(owner(if is_other { "b" } else { "a" }), 500, one)
            });
            for made in together(&store, calls).await {
                made.unwrap();
            }
            let (kept, noted) = kept_and_noted(&data).await;
            assert_eq!(kept, noted);
            assert!(data.sizes().await.unwrap().values().all(|size| *size <= 500));
        });
    }
}
