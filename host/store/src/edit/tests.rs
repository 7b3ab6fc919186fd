//! Tests of changes with a log: what is in the file when the log refuses, or its answer is lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::FutureExt as _;
use rusqlite::params;

use super::super::log::tests::{Answer, KeptLog, KeptRecord};
use super::super::log::{NoLog, Receipt};
use super::super::record::Record;
use super::super::replay::replay_at;
use super::*;
use crate::{data, file};

fn logged() -> (StoreFile, KeptLog) {
    let log = KeptLog::default();
    (StoreFile::new(file::logged_in_memory(), log.clone()), log)
}

/// Waits for the outcome of a change, which is told once.
fn outcome<R: Send + 'static>(file: &mut StoreFile, result: Result<R, Failure>) -> Result<R, Failure> {
    let (told, heard) = std::sync::mpsc::channel();
    file.conclude(result, move |result| {
        told.send(result).unwrap();
        Health::Fine
    });
    file.settle().now_or_never().expect("the log has answered");
    heard.try_recv().unwrap()
}

fn change<R: Send + 'static>(
    file: &mut StoreFile,
    with: impl FnOnce(&Edit<'_>) -> rusqlite::Result<R>,
) -> Result<R, Failure> {
    let result = file.change(with);
    outcome(file, result)
}

fn change_once(file: &mut StoreFile, with: impl FnOnce(Once<'_>) -> rusqlite::Result<usize>) -> Result<usize, Failure> {
    let result = file.change_once(with);
    outcome(file, result)
}

fn put(edit: &Edit<'_>, key: &str) -> rusqlite::Result<usize> {
    edit.write(data::PUT, params!["bot@example.org", "echo", key, b"value", None::<i64>])
}

fn keys(file: &Connection) -> Vec<String> {
    let mut select = file.prepare("SELECT key FROM plugin_data ORDER BY key").unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Returns the keys of a new file after these records.
fn replayed(records: &[KeptRecord]) -> Vec<String> {
    let mut file = file::logged_in_memory();
    for (position, record) in records {
        replay_at(&mut file, *position, record.as_bytes()).unwrap().unwrap();
    }
    keys(&file)
}

/// There may be thousands of accounts with a file each, of which most do little.
#[test]
fn a_statement_is_compiled_once_and_kept_except_in_the_files_of_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let runs = |connection: Connection| {
        let mut file = StoreFile::new(connection, NoLog);
        for key in ["one", "two"] {
            file.change(|edit| put(edit, key)).unwrap();
        }
        file.prepare_cached(data::PUT.text).unwrap().get_status(rusqlite::StatementStatus::Run)
    };
    assert_eq!(runs(file::try_open(&folder.path().join("all")).unwrap()), 2);
    assert_eq!(runs(file::try_open_logged(&folder.path().join("one")).unwrap()), 0);
}

#[test]
fn a_change_is_one_record_and_one_that_writes_nothing_is_none() {
    let (mut file, log) = logged();
    change(&mut file, |edit| Ok((put(edit, "a")?, put(edit, "b")?))).unwrap();
    change(&mut file, |edit| edit.query_row("SELECT 1", [], |_| Ok(()))).unwrap();
    change_once(&mut file, |_| Ok(0)).unwrap();
    change_once(&mut file, |edit| edit.write(data::PUT, params!["bot@example.org", "echo", "c", b"", 7])).unwrap();
    let records = log.take();
    assert_eq!(records.len(), 2);
    assert_eq!(replayed(&records), ["a", "b", "c"]);
}

#[test]
fn without_a_log_nothing_is_recorded_and_a_change_is_whole_or_not_made() {
    let mut file = StoreFile::new(file::in_memory(), NoLog);
    assert!(file.settle().now_or_never().is_some());
    let failed = change(&mut file, |edit| {
        put(edit, "a")?;
        edit.execute_batch("no statement")
    });
    failed.unwrap_err();
    change(&mut file, |edit| put(edit, "b")).unwrap();
    assert_eq!(keys(&file), ["b"]);
}

/// As after a change that could not be rolled back. Otherwise the state of a session would be called written, and be lost.
#[test]
fn a_single_write_within_a_change_that_has_not_ended_fails() {
    let mut file = StoreFile::new(file::in_memory(), NoLog);
    let remove = |edit: Once<'_>| edit.write(data::DELETE, params!["bot@example.org", "echo", "a"]);
    change_once(&mut file, remove).unwrap();
    file.unrecorded().execute_batch("BEGIN").unwrap();
    let failed = change_once(&mut file, remove);
    assert!(matches!(failed, Err(Failure::File(_))), "{failed:?}");
}

#[test]
fn a_change_that_fails_is_in_neither_the_file_nor_the_log() {
    let (mut file, log) = logged();
    let failed = change(&mut file, |edit| {
        put(edit, "a")?;
        edit.prepare("no statement").map(drop)
    });
    failed.unwrap_err();
    change(&mut file, |edit| put(edit, "b")).unwrap();
    assert_eq!((keys(&file), replayed(&log.take())), (vec!["b".to_owned()], vec!["b".to_owned()]));
}

/// As for a write of a plugin in a batch with others.
#[test]
fn a_part_that_fails_is_cut_out_of_the_record() {
    let (mut file, log) = logged();
    let parts = |edit: &Edit<'_>| {
        put(edit, "a")?;
        let inner = edit.part(|edit| {
            put(edit, "b").unwrap();
            edit.part(|edit| put(edit, "c"))?.unwrap();
            Err::<(), _>(rusqlite::Error::InvalidQuery)
        })?;
        inner.unwrap_err();
        edit.part(|edit| {
            put(edit, "d")?;
            edit.part(|edit| {
                put(edit, "e").unwrap();
                Err::<(), _>("no")
            })?
            .unwrap_err();
            put(edit, "f")
        })?
    };
    change(&mut file, parts).unwrap();
    let expected = ["a", "d", "f"].map(str::to_owned).to_vec();
    assert_eq!((keys(&file), replayed(&log.take())), (expected.clone(), expected));
}

/// A log that looks at the file when it gets a record.
#[derive(Debug)]
struct Looks {
    path: PathBuf,
    seen: Arc<AtomicUsize>,
}

impl Log for Looks {
    fn publish(&mut self, _: Record) -> Receipt {
        let there = keys(&Connection::open(&self.path).unwrap()).len();
        self.seen.store(there + 1, Relaxed);
        let (told, receipt) = tokio::sync::oneshot::channel();
        told.send(Ok(LogPosition::default())).unwrap();
        receipt
    }
}

#[test]
fn a_change_is_in_the_log_before_it_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.db");
    let seen = Arc::<AtomicUsize>::default();
    let connection = file::try_open_logged(&path).unwrap();
    let mut file = StoreFile::new(connection, Looks { path, seen: Arc::clone(&seen) });
    for number in 1..4 {
        change(&mut file, |edit| put(edit, &number.to_string())).unwrap();
        assert_eq!((seen.load(Relaxed), keys(&file).len()), (number, number));
    }
}

#[test]
fn after_the_log_has_refused_a_change_none_is_made() {
    let (mut file, log) = logged();
    change(&mut file, |edit| put(edit, "a")).unwrap();
    log.answers(Answer::Refused(LogError::Fenced));
    for answer in [Answer::Refused(LogError::Fenced), Answer::Kept] {
        let failed = change(&mut file, |edit| put(edit, "b"));
        assert!(matches!(failed, Err(Failure::Log(LogError::Fenced))), "{failed:?}");
        log.answers(answer);
    }
    log.answers(Answer::Kept);
    let failed = change_once(&mut file, |edit| edit.write(data::DELETE, params!["bot@example.org", "echo", "a"]));
    assert!(matches!(failed, Err(Failure::Log(LogError::Fenced))), "{failed:?}");
    assert_eq!((keys(&file), log.take().len()), (vec!["a".to_owned()], 1));
}

/// As after a crash between the answer of the log and the commit: the next holder has the change.
#[test]
fn a_change_whose_answer_is_lost_is_in_the_log_alone_and_no_other_follows() {
    let (mut file, log) = logged();
    log.answers(Answer::Lost);
    let failed = change(&mut file, |edit| put(edit, "a"));
    assert!(matches!(failed, Err(Failure::Log(LogError::Ended))), "{failed:?}");
    log.answers(Answer::Kept);
    change(&mut file, |edit| put(edit, "b")).unwrap_err();
    let records = log.take();
    assert_eq!(keys(&file), [] as [&str; 0]);
    assert_eq!(replayed(&records), ["a"]);
    for (position, record) in records {
        replay_at(file.unrecorded(), position, record.as_bytes()).unwrap().unwrap();
    }
    assert_eq!(keys(&file), ["a"]);
}

/// As with a disk that is full at that moment.
#[test]
fn a_change_that_the_log_has_and_the_file_cannot_take_is_the_last() {
    let (mut file, log) = logged();
    let refuses_commit = "PRAGMA foreign_keys = ON;
        CREATE TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER refuses AFTER INSERT ON plugin_data BEGIN INSERT INTO child VALUES (1); END";
    file.unrecorded().execute_batch(refuses_commit).unwrap();
    let failed = change(&mut file, |edit| put(edit, "a"));
    assert!(matches!(failed, Err(Failure::File(_))), "{failed:?}");
    file.unrecorded().execute_batch("DROP TRIGGER refuses").unwrap();
    let failed = change(&mut file, |edit| put(edit, "b"));
    assert!(matches!(failed, Err(Failure::Log(LogError::Ended))), "{failed:?}");
    assert_eq!((keys(&file), replayed(&log.take())), (vec![], vec!["a".to_owned()]));
}

/// Otherwise another node would go on without it.
#[test]
fn a_change_of_rows_that_is_not_recorded_is_refused() {
    let (mut file, log) = logged();
    let insert = "INSERT INTO plugin_data VALUES ('a', 'b', 'c', x'', NULL) RETURNING key";
    let failed = change(&mut file, |edit| {
        put(edit, "a")?;
        edit.query_row(insert, [], |row| row.get::<_, String>(0))
    });
    assert!(failed.unwrap_err().to_string().contains("rows were changed that the record does not have"));
    assert_eq!((keys(&file), log.take().len()), (vec![], 0));
    change(&mut file, |edit| put(edit, "b")).unwrap();
    assert_eq!((keys(&file), replayed(&log.take())), (vec!["b".to_owned()], vec!["b".to_owned()]));
}

#[test]
fn a_change_is_told_and_seen_when_the_log_has_answered_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("account.db");
    let log = KeptLog::default();
    log.answers(Answer::Delayed);
    let mut file = StoreFile::new(file::try_open_logged(&path).unwrap(), log.clone());
    let there = || {
        let file = Connection::open(&path).unwrap();
        (keys(&file), place::of(&file).unwrap())
    };
    let (told, heard) = std::sync::mpsc::channel();
    let made = file.change(|edit| put(edit, "a"));
    let tell = move |made: Result<usize, Failure>| {
        told.send(made.unwrap()).unwrap();
        Health::Broken
    };
    assert_eq!(file.conclude(made, tell), Health::Fine);
    assert!(file.settle().now_or_never().is_none() && heard.try_recv().is_err());
    assert_eq!(there(), (vec![], LogPosition::default()));
    // Nobody may begin another one meanwhile, and the first is not harmed.
    assert!(matches!(file.change(|edit| put(edit, "b")), Err(Failure::File(_))));
    log.catch_up();
    assert_eq!(file.settle().now_or_never(), Some(Health::Broken), "what the caller says of the file");
    assert_eq!(heard.try_recv().unwrap(), 1);
    let [(position, _)] = log.take()[..] else { panic!() };
    assert_eq!(there(), (vec!["a".to_owned()], position));
}

#[test]
fn a_file_that_is_ended_undoes_its_pending_change_and_tells_it() {
    let (mut file, log) = logged();
    log.answers(Answer::Delayed);
    let (told, heard) = std::sync::mpsc::channel();
    let made = file.change(|edit| put(edit, "a"));
    file.conclude(made, move |made| {
        told.send(made).unwrap();
        Health::Fine
    });
    file.end(LogError::Ended);
    log.catch_up();
    assert!(matches!(heard.try_recv().unwrap(), Err(Failure::Log(LogError::Ended))));
    assert_eq!((keys(&file), file.over()), (vec![], Some(LogError::Ended)));
    assert!(file.readable().is_err());
}

/// Other writes than those through an edit are not recorded. Each of these has a reason: they make tables, give memory back, or
/// are made by a command that opens the file itself.
#[test]
fn nothing_else_writes_to_the_file() {
    const RECORDS: [&str; 2] = ["edit.rs", "replay.rs"];
    const OUTSIDE: [(&str, usize); 14] = [
        ("audit.rs", 3),
        ("backup.rs", 9),
        ("clustered.rs", 1),
        ("column.rs", 1),
        ("data_file.rs", 4),
        ("encryption.rs", 1),
        ("file.rs", 13),
        ("moving.rs", 12),
        ("place.rs", 2),
        ("session.rs", 1),
        // Its rows are the host's, in a file without a log.
        ("sleepers.rs", 2),
        ("snapshot.rs", 1),
        ("tallies.rs", 1),
        ("webhooks.rs", 1),
    ];
    let mut unexpected = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                folders.extend((name != "tests").then_some(path));
            } else if name != "tests.rs" && !RECORDS.contains(&name.as_str()) {
                let text = std::fs::read_to_string(&path).unwrap();
                let expected = OUTSIDE.iter().find(|(outside, _)| *outside == name).map_or(0, |(_, count)| *count);
                let writes = writes(&text);
                if writes > expected {
                    unexpected.push((name, writes));
                }
            }
        }
    }
    assert_eq!(unexpected, [], "use `Edit`, or note here why no log needs it");
}

/// Counts the lines of a file, but not of its tests, that write to a connection.
fn writes(text: &str) -> usize {
    let calls = [".execute(", ".execute_batch(", "transaction", "savepoint("];
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines();
    let code = code.filter(|line| !line.trim_start().starts_with("//"));
    code.filter(|line| calls.iter().any(|call| line.contains(call))).count()
}
