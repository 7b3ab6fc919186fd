//! Tests of the files of accounts: with a log that delays, refuses and loses answers, and with ends at any moment.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use parlor_base::clock::Clock;
use parlor_session::{Contact, KeepRoster};
use parlor_stanza::types::RosterItem;
use proptest::prelude::*;
use rusqlite::types::Value;

use super::*;
use crate::log::tests::{Answer, KeptLog, KeptRecord};
use crate::{
    Addition, Changed, LogError, LogPosition, Only, Owner, PluginData, RecordError, ReplayError, RosterKeeper, Step,
    Store, StoreError, Write, Written,
};

const QUOTA: u64 = 1 << 20;

fn bot() -> BareJid {
    "bot@example.org".parse().unwrap()
}

fn owner() -> Owner {
    Owner { account: bot(), plugin: "echo".parse().unwrap() }
}

fn data(store: &Store) -> PluginData {
    store.data(Clock::Machine)
}

async fn write(data: &PluginData, key: &str, value: &[u8]) -> Result<Written, StoreError> {
    let write = Write { key: key.to_owned(), value: Some(value.to_vec()), expires: None, only: Only::Always };
    data.write(owner(), QUOTA, write).await
}

async fn get(store: &Store, key: &str) -> Option<Vec<u8>> {
    data(store).get(owner(), key.to_owned()).await.unwrap()
}

/// Returns a store of an account that begins with what the file has.
async fn start(accounts: &Accounts, log: &KeptLog) -> Store {
    accounts.open(&bot()).await.unwrap().start(log.clone())
}

/// Returns a store of an account that begins with what the log has.
async fn take_over(accounts: &Accounts, log: &KeptLog) -> Store {
    let mut replica = accounts.open(&bot()).await.unwrap();
    for (position, record) in log.records() {
        if position.number > replica.position().number {
            replica = replica.apply(position, record.into_bytes()).await.unwrap();
        }
    }
    replica.start(log.clone())
}

async fn soon<R>(what: impl Future<Output = R>) -> R {
    tokio::time::timeout(Duration::from_secs(30), what).await.expect("it happens soon")
}

/// Waits until the log has this number of records that it has not answered for.
async fn delayed(log: &KeptLog, number: usize) {
    soon(async {
        while log.delayed() < number {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Returns the rows of all tables.
fn dump(path: &Path) -> Vec<(String, Vec<Vec<Value>>)> {
    let file = crate::reader::open_to_read(path).unwrap();
    let mut tables = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let tables = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    tables
        .map(|table| {
            let table = table.unwrap();
            let mut select = file.prepare(&format!("SELECT * FROM \"{table}\"")).unwrap();
            let columns = select.column_count();
            let row = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
            let rows = select.query_map([], row).unwrap().map(Result::unwrap).collect();
            (table, rows)
        })
        .collect()
}

#[tokio::test]
async fn a_change_is_answered_and_read_only_after_the_log_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, log) = (Accounts::start(folder.path()).unwrap(), KeptLog::default());
    let store = start(&accounts, &log).await;
    assert_eq!(write(&data(&store), "k", b"old").await.unwrap(), Written::Fresh);
    log.answers(Answer::Delayed);
    let data = data(&store);
    let mut call = pin!(write(&data, "k", b"new"));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    delayed(&log, 1).await;
    assert_eq!(get(&store, "k").await.as_deref(), Some(&b"old"[..]), "a read does not wait, and sees what is certain");
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    log.catch_up();
    assert_eq!(soon(call).await.unwrap(), Written::Replaced);
    assert_eq!(get(&store, "k").await.as_deref(), Some(&b"new"[..]));
}

#[tokio::test]
async fn an_account_whose_log_does_not_answer_delays_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, log) = (Accounts::start(folder.path()).unwrap(), KeptLog::default());
    log.answers(Answer::Delayed);
    let store = start(&accounts, &log).await;
    let one = data(&store);
    let mut call = pin!(write(&one, "k", b"v"));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    delayed(&log, 1).await;
    for number in 0..20 {
        let account = format!("other{number}@example.org").parse().unwrap();
        let other = accounts.open(&account).await.unwrap().start(KeptLog::default());
        assert_eq!(soon(write(&data(&other), "k", b"v")).await.unwrap(), Written::Fresh);
        soon(other.close()).await;
    }
    log.catch_up();
    assert_eq!(soon(call).await.unwrap(), Written::Fresh);
}

#[tokio::test]
async fn writes_that_wait_for_the_log_become_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, log) = (Accounts::start(folder.path()).unwrap(), KeptLog::default());
    log.answers(Answer::Delayed);
    let store = start(&accounts, &log).await;
    let data = data(&store);
    let mut first = pin!(write(&data, "first", b"v"));
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    delayed(&log, 1).await;
    log.answers(Answer::Kept);
    let keys: Vec<_> = (0..50).map(|key| format!("k{key}")).collect();
    let mut rest = pin!(futures_util::future::join_all(keys.iter().map(|key| write(&data, key, b"v"))));
    assert!(rest.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    log.catch_up();
    assert!(soon(rest).await.iter().all(Result::is_ok));
    assert_eq!(log.records().len(), 2);
    first.await.unwrap();
}

#[tokio::test]
async fn an_account_that_another_node_has_ends_with_that_error_for_all_callers() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, log) = (Accounts::start(folder.path()).unwrap(), KeptLog::default());
    let store = start(&accounts, &log).await;
    write(&data(&store), "k", b"v").await.unwrap();
    let over = store.over();
    log.answers(Answer::Refused(LogError::Fenced));
    let refused = soon(write(&data(&store), "k", b"other")).await;
    assert!(matches!(refused, Err(StoreError::Log(LogError::Fenced))), "{refused:?}");
    assert_eq!(soon(over).await, LogError::Fenced);
    log.answers(Answer::Kept);
    let later = soon(write(&data(&store), "k", b"other")).await;
    assert!(matches!(later, Err(StoreError::Log(LogError::Fenced))), "{later:?}");
    let read = soon(data(&store).get(owner(), "k".to_owned())).await;
    assert!(matches!(read, Err(StoreError::Log(LogError::Fenced))), "what another node has may be newer: {read:?}");
    soon(store.close()).await;
    assert_eq!(log.records().len(), 1);
}

/// As after a crash between the answer of the log and the commit, on this node or another.
#[tokio::test]
async fn a_change_that_only_the_log_has_is_made_once_by_the_next_holder() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (accounts, log) = (Accounts::start(here.path()).unwrap(), KeptLog::default());
    let elsewhere = Accounts::start(there.path()).unwrap();
    for lost in [Answer::Delayed, Answer::Lost] {
        let store = take_over(&accounts, &log).await;
        let add = |store: &Store| {
            let addition = Addition { key: "n".to_owned(), amount: 1, expires: None };
            let data = data(store);
            async move { data.change(owner(), QUOTA, vec![Step::Add(addition)], None).await }
        };
        let Changed::Made(sums) = add(&store).await.unwrap() else { panic!() };
        log.answers(lost);
        let mut call = pin!(add(&store));
        if matches!(lost, Answer::Delayed) {
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            delayed(&log, 1).await;
            store.give_up();
        }
        let outcome = soon(call).await;
        assert!(matches!(outcome, Err(StoreError::Log(LogError::Ended))), "{outcome:?}");
        soon(store.close()).await;
        // The answer comes too late.
        log.catch_up();
        log.answers(Answer::Kept);
        for accounts in [&accounts, &elsewhere, &accounts] {
            let store = take_over(accounts, &log).await;
            let expected = (sums[0] + 1).to_string().into_bytes();
            assert_eq!(get(&store, "n").await, Some(expected));
            soon(store.close()).await;
        }
    }
}

#[tokio::test]
async fn a_record_is_applied_once_and_in_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, log) = (Accounts::start(folder.path()).unwrap(), KeptLog::default());
    let store = start(&accounts, &log).await;
    for key in ["a", "b", "c"] {
        write(&data(&store), key, b"v").await.unwrap();
    }
    soon(store.close()).await;
    let records = log.records();
    let [_, (second, record), (third, _)] = &records[..] else { panic!("{records:?}") };
    let replica = accounts.open(&bot()).await.unwrap();
    assert_eq!(replica.position(), *third);
    let again = replica.apply(*second, record.clone().into_bytes()).await.unwrap_err();
    assert!(matches!(again, ReplayError::Order { found: 2, last: 3 }), "{again}");
    let replica = accounts.open(&bot()).await.unwrap();
    let next = LogPosition { number: third.number + 1, revision: third.revision + 1, ..*third };
    let newer = replica.apply(next, vec![0, 9]).await.unwrap_err();
    assert!(matches!(newer, ReplayError::Record(RecordError::Format(9))), "{newer}");
    assert_eq!(accounts.open(&bot()).await.unwrap().position(), *third, "what is refused changes nothing");
}

#[tokio::test]
async fn a_snapshot_and_the_records_after_it_are_the_account() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (accounts, log) = (Accounts::start(here.path()).unwrap(), KeptLog::default());
    let elsewhere = Accounts::start(there.path()).unwrap();
    let store = start(&accounts, &log).await;
    for number in 0..30 {
        write(&data(&store), &format!("k{number}"), &[number; 3_000]).await.unwrap();
    }
    let (position, state) = accounts.snapshot(&bot()).await.unwrap();
    assert_eq!(Some(position), log.records().last().map(|(position, _)| *position));
    write(&data(&store), "k1", b"after").await.unwrap();
    soon(store.close()).await;
    let names = std::fs::read_dir(here.path().join(FOLDER)).unwrap().count();
    assert_eq!(names, 1, "nothing is left beside the file");

    // Something is there from long ago.
    let old = elsewhere.open(&bot()).await.unwrap().start(KeptLog::default());
    write(&data(&old), "old", b"v").await.unwrap();
    soon(old.close()).await;
    let replica = elsewhere.open(&bot()).await.unwrap().restore(state.clone()).await.unwrap();
    assert_eq!(replica.position(), position);
    drop(replica);
    let store = take_over(&elsewhere, &log).await;
    soon(store.close()).await;
    assert_eq!(dump(&elsewhere.path(&bot())), dump(&accounts.path(&bot())));

    let before = dump(&elsewhere.path(&bot()));
    let mut broken = state.clone();
    broken.truncate(state.len() / 2);
    let empty = std::fs::read(Store::open(there.path()).map(|_| there.path().join("parlor.db")).unwrap()).unwrap();
    for strange in [broken, empty, b"none".to_vec()] {
        let replica = elsewhere.open(&bot()).await.unwrap();
        replica.restore(strange).await.unwrap_err();
        assert_eq!(dump(&elsewhere.path(&bot())), before, "the file stays");
    }
}

#[tokio::test]
async fn a_broken_file_is_made_again_from_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, log) = (Accounts::start(folder.path()).unwrap(), KeptLog::default());
    let store = start(&accounts, &log).await;
    write(&data(&store), "k", b"v").await.unwrap();
    let over = store.over();
    let broken = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    store.run(move |_| Err::<(), _>(rusqlite::Error::SqliteFailure(broken, None))).await.unwrap_err();
    assert_eq!(soon(over).await, LogError::Ended);
    let later = soon(write(&data(&store), "k", b"other")).await;
    assert!(matches!(later, Err(StoreError::Log(LogError::Ended))), "{later:?}");
    soon(store.close()).await;
    assert!(!accounts.path(&bot()).exists());
    let store = take_over(&accounts, &log).await;
    assert_eq!(get(&store, "k").await.as_deref(), Some(&b"v"[..]));
    soon(store.close()).await;
    std::fs::write(accounts.path(&bot()), b"no database, but some other text that is long enough").unwrap();
    let store = take_over(&accounts, &log).await;
    assert_eq!(get(&store, "k").await.as_deref(), Some(&b"v"[..]));
}

/// If NATS lost these changes, nothing else has them.
#[tokio::test]
async fn a_file_that_has_more_than_its_log_is_kept_beside_the_new_one() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (accounts, log) = (Accounts::start(here.path()).unwrap(), KeptLog::default());
    let store = start(&accounts, &log).await;
    write(&data(&store), "first", b"v").await.unwrap();
    let (position, state) = accounts.snapshot(&bot()).await.unwrap();
    write(&data(&store), "second", b"v").await.unwrap();
    soon(store.close()).await;
    let aside = |accounts: &Accounts, number: u32| file::beside(&accounts.path(&bot()), &format!(".broken-{number}"));
    let before = dump(&accounts.path(&bot()));
    let replica = accounts.open(&bot()).await.unwrap().restore(state.clone()).await.unwrap();
    assert_eq!(replica.position(), position);
    assert_eq!(dump(&aside(&accounts, 1)), before);
    let replica = replica.begin_anew(LogPosition::default()).await.unwrap();
    assert_eq!(replica.position(), LogPosition::default());
    assert!(aside(&accounts, 2).exists());
    // A file that has less is needed by nobody.
    let elsewhere = Accounts::start(there.path()).unwrap();
    let replica = elsewhere.open(&bot()).await.unwrap().restore(state.clone()).await.unwrap();
    assert_eq!(replica.restore(state).await.unwrap().position(), position);
    assert!(!aside(&elsewhere, 1).exists());
}

/// It would take the place of the log, from which the file can be made again.
#[tokio::test]
async fn no_file_that_is_empty_huge_or_broken_becomes_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, log) = (Accounts::start(folder.path()).unwrap(), KeptLog::default());
    let store = start(&accounts, &log).await;
    let error = accounts.snapshot(&bot()).await.unwrap_err().to_string();
    assert!(error.contains("up to which record"), "{error}");
    write(&data(&store), "k", b"v").await.unwrap();
    let path = accounts.path(&bot());
    accounts.snapshot(&bot()).await.unwrap();
    let file = crate::reader::open_to_read(&path).unwrap();
    let error = check(&file, 4_096).unwrap_err().to_string();
    assert!(error.contains("a snapshot has at most"), "{error}");
    drop(file);
    soon(store.close()).await;
    // The number of free pages, which is not looked at to read or to copy.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[36..40].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&path, bytes).unwrap();
    let store = start(&accounts, &log).await;
    assert_eq!(get(&store, "k").await.as_deref(), Some(&b"v"[..]));
    let error = accounts.snapshot(&bot()).await.unwrap_err().to_string();
    assert!(error.to_lowercase().contains("freelist"), "{error}");
}

/// They have keys of encryption.
#[test]
fn copies_that_a_killed_process_was_making_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = folder.path().join(FOLDER);
    std::fs::create_dir(&accounts).unwrap();
    for name in
        ["a.db", "a.db.copy-0", "a.db.copy-17", "a.db.copy-17-journal", "b.db-wal", "b.db.fetched", "b.db.fetched-wal"]
    {
        std::fs::write(accounts.join(name), b"x").unwrap();
    }
    drop(Accounts::start(folder.path()).unwrap());
    let mut names: Vec<_> = accounts.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a.db", "b.db-wal"]);
}

/// Otherwise the account would run on, and all its calls would fail.
#[tokio::test]
async fn a_task_that_panics_ends_its_account_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, log) = (Accounts::start(folder.path()).unwrap(), KeptLog::default());
    let other = accounts.open(&"other@example.org".parse().unwrap()).await.unwrap().start(KeptLog::default());
    let store = start(&accounts, &log).await;
    write(&data(&store), "k", b"v").await.unwrap();
    let over = store.over();
    assert!(store.put(|_| panic!("a defect")));
    assert_eq!(soon(over).await, LogError::Ended);
    soon(store.close()).await;
    let store = take_over(&accounts, &log).await;
    assert_eq!(get(&store, "k").await.as_deref(), Some(&b"v"[..]));
    assert_eq!(soon(write(&data(&other), "k", b"v")).await.unwrap(), Written::Fresh);
}

/// With thousands of accounts, memory and open files would run out.
#[tokio::test]
async fn an_account_that_nobody_reads_has_no_connection_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, log) = (Accounts::start(folder.path()).unwrap(), KeptLog::default());
    let store = start(&accounts, &log).await;
    write(&data(&store), "k", b"v").await.unwrap();
    // SQLite keeps the descriptor of the file itself for the next connection, since the writer has a lock on it.
    let path = file::beside(&accounts.path(&bot()), "-wal");
    let connections = || {
        let open = std::fs::read_dir("/proc/self/fd").unwrap();
        open.filter(|file| std::fs::read_link(file.as_ref().unwrap().path()).is_ok_and(|to| to == path)).count()
    };
    for _ in 0..2 {
        assert_eq!(get(&store, "k").await.as_deref(), Some(&b"v"[..]));
        soon(async {
            while connections() > 1 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_file_is_opened_again_when_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, log) = (Accounts::start(folder.path()).unwrap(), KeptLog::default());
    log.answers(Answer::Delayed);
    let store = start(&accounts, &log).await;
    let data = data(&store);
    let mut call = pin!(write(&data, "k", b"v"));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    delayed(&log, 1).await;
    let account = bot();
    let mut next = pin!(accounts.open(&account));
    assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(store);
    assert!(next.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending(), "a change is still in doubt");
    log.catch_up();
    assert_eq!(soon(call).await.unwrap(), Written::Fresh);
    let replica = soon(next).await.unwrap();
    assert_eq!(replica.position(), log.records()[0].0);
    drop(replica);
    soon(accounts.remove(&bot())).await.unwrap();
    assert_eq!(accounts.open(&bot()).await.unwrap().position(), LogPosition::default());
}

#[tokio::test]
async fn a_whole_roster_is_one_record() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, log) = (Accounts::start(folder.path()).unwrap(), KeptLog::default());
    let store = start(&accounts, &log).await;
    let contacts = (0..20_000).map(|number| {
        let item = RosterItem {
            jid: format!("contact-{number}@example.org").parse().unwrap(),
            name: Some(format!("{number:060}")),
            subscription: "both".to_owned(),
            ask: false,
            groups: vec!["friends".to_owned()],
        };
        (item.jid.clone(), Arc::new(Contact::new(item)))
    });
    let mut keeper = RosterKeeper::new(store.clone(), &bot());
    keeper.keep(KeepRoster::Whole { version: "v1".to_owned(), contacts: contacts.collect() });
    assert_eq!(keeper.load().await.unwrap().items.len(), 20_000);
    let records = log.records();
    assert!(records.len() == 1 && records[0].1.as_bytes().len() > 1 << 20, "{}", records.len());
    drop(keeper);
    soon(store.close()).await;
    let other = tempfile::tempdir().unwrap();
    let elsewhere = Accounts::start(other.path()).unwrap();
    let store = take_over(&elsewhere, &log).await;
    assert_eq!(RosterKeeper::new(store.clone(), &bot()).load().await.unwrap().items.len(), 20_000);
}

/// The course of one addition.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Acknowledged,
    /// The node ends before it has the answer.
    InDoubt,
    /// The answer of the log is lost.
    Lost,
    /// Another node has the account.
    Fenced,
    /// The node ends, and another takes over.
    Moved,
    /// A snapshot replaces the file of the other node.
    Snapshot,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        5 => Just(Fate::Acknowledged),
        1 => Just(Fate::InDoubt),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Fenced),
        1 => Just(Fate::Moved),
        1 => Just(Fate::Snapshot),
    ];
    prop::collection::vec(fate, 1..30)
}

/// Counts in a plugin's data, on nodes that end and take over, and returns how often it was acknowledged.
async fn count(nodes: &[Accounts; 2], log: &KeptLog, fates: Vec<Fate>) -> usize {
    let (mut acknowledged, mut node) = (0, 0);
    let mut store = take_over(&nodes[node], log).await;
    for fate in fates {
        log.answers(match fate {
            Fate::InDoubt => Answer::Delayed,
            Fate::Lost => Answer::Lost,
            Fate::Fenced => Answer::Refused(LogError::Fenced),
            Fate::Acknowledged | Fate::Moved | Fate::Snapshot => Answer::Kept,
        });
        let addition = Addition { key: "n".to_owned(), amount: 1, expires: None };
        let data = data(&store);
        let mut call = pin!(data.change(owner(), QUOTA, vec![Step::Add(addition)], None));
        if matches!(fate, Fate::InDoubt) {
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            delayed(log, 1).await;
            store.give_up();
        }
        let outcome = soon(call).await;
        acknowledged += usize::from(outcome.is_ok());
        log.answers(Answer::Kept);
        if matches!(fate, Fate::Acknowledged) {
            continue;
        }
        let snapshot = match fate {
            Fate::Snapshot => Some(nodes[node].snapshot(&bot()).await.unwrap()),
            _ => None,
        };
        soon(store.close()).await;
        log.catch_up();
        node = 1 - node;
        if let Some((position, state)) = snapshot {
            let replica = nodes[node].open(&bot()).await.unwrap();
            assert!(position.number >= replica.position().number);
            drop(replica.restore(state).await.unwrap());
        }
        store = take_over(&nodes[node], log).await;
    }
    let sum = get(&store, "n").await.map_or(0, |digits| String::from_utf8(digits).unwrap().parse().unwrap());
    assert_eq!(log.records().len(), sum, "each record was made once");
    soon(store.close()).await;
    acknowledged
}

/// Replays all prefixes of the log, and compares the last with the file.
async fn compare(accounts: &Accounts, records: &[KeptRecord], expected: &[(String, Vec<Vec<Value>>)]) {
    for length in 0..=records.len() {
        let mut replica = accounts.open(&bot()).await.unwrap().begin_anew(LogPosition::default()).await.unwrap();
        for (position, record) in &records[..length] {
            replica = replica.apply(*position, record.as_bytes().to_vec()).await.unwrap();
        }
        let store = replica.start(KeptLog::default());
        let sum = get(&store, "n").await.map_or(0, |digits| String::from_utf8(digits).unwrap().parse().unwrap());
        assert_eq!(sum, length);
        soon(store.close()).await;
    }
    assert_eq!(dump(&accounts.path(&bot())), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Nodes and answers may end in any way: nothing acknowledged is lost, and nothing is made twice.
    #[test]
    fn what_was_acknowledged_is_there_once(fates in fates()) {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
            let [one, other, third] = folders.each_ref().map(|folder| Accounts::start(folder.path()).unwrap());
            let (nodes, log) = ([one, other], KeptLog::default());
            let acknowledged = count(&nodes, &log, fates).await;
            let records = log.records();
            assert!(acknowledged <= records.len());
            let store = take_over(&nodes[0], &log).await;
            soon(store.close()).await;
            compare(&third, &records, &dump(&nodes[0].path(&bot()))).await;
        });
    }
}
