//! Tests of changes with a log: what is in the file when the log refuses, or its answer is lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rusqlite::params;

use super::super::log::tests::{Answer, KeptLog};
use super::super::log::{NoLog, Receipt};
use super::super::record::Record;
use super::super::replay::replay;
use super::*;
use crate::{Store, StoreError, data, file};

fn logged() -> (StoreFile, KeptLog) {
    let log = KeptLog::default();
    (StoreFile::new(file::in_memory(), log.clone()), log)
}

fn put(edit: &Edit<'_>, key: &str) -> rusqlite::Result<usize> {
    edit.write(data::PUT, params!["bot@example.org", "echo", key, b"value", None::<i64>])
}

fn keys(file: &Connection) -> Vec<String> {
    let mut select = file.prepare("SELECT key FROM plugin_data ORDER BY key").unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Returns the keys of a new file after these records.
fn replayed(records: &[Record]) -> Vec<String> {
    let mut file = file::in_memory();
    for record in records {
        replay(&mut file, record.as_bytes()).unwrap().unwrap();
    }
    keys(&file)
}

#[test]
fn a_change_is_one_record_and_one_that_writes_nothing_is_none() {
    let (mut file, log) = logged();
    file.change(|edit| Ok((put(edit, "a")?, put(edit, "b")?))).unwrap();
    file.change(|edit| edit.query_row("SELECT 1", [], |_| Ok(()))).unwrap();
    file.change_once(|_| Ok(())).unwrap();
    file.change_once(|edit| edit.write(data::PUT, params!["bot@example.org", "echo", "c", b"", 7])).unwrap();
    let records = log.take();
    assert_eq!(records.len(), 2);
    assert_eq!(replayed(&records), ["a", "b", "c"]);
}

#[test]
fn without_a_log_nothing_is_recorded_and_a_change_is_whole_or_not_made() {
    let mut file = StoreFile::new(file::in_memory(), NoLog);
    assert!(!file.is_logged());
    let failed = file.change(|edit| {
        put(edit, "a")?;
        edit.execute_batch("no statement")
    });
    failed.unwrap_err();
    file.change(|edit| put(edit, "b")).unwrap();
    assert_eq!(keys(&file), ["b"]);
}

#[test]
fn a_change_that_fails_is_in_neither_the_file_nor_the_log() {
    let (mut file, log) = logged();
    let failed = file.change(|edit| {
        put(edit, "a")?;
        edit.prepare("no statement").map(drop)
    });
    failed.unwrap_err();
    file.change(|edit| put(edit, "b")).unwrap();
    assert_eq!((keys(&file), replayed(&log.take())), (vec!["b".to_owned()], vec!["b".to_owned()]));
}

/// As for a write of a plugin in a batch with others.
#[test]
fn a_part_that_fails_is_cut_out_of_the_record() {
    let (mut file, log) = logged();
    let change = |edit: &Edit<'_>| {
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
    file.change(change).unwrap();
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
        told.send(Ok(())).unwrap();
        receipt
    }
}

#[test]
fn a_change_is_in_the_log_before_it_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("parlor.db");
    let seen = Arc::<AtomicUsize>::default();
    let connection = file::try_open(&path).unwrap();
    let mut file = StoreFile::new(connection, Looks { path, seen: Arc::clone(&seen) });
    for number in 1..4 {
        file.change(|edit| put(edit, &number.to_string())).unwrap();
        assert_eq!((seen.load(Relaxed), keys(&file).len()), (number, number));
    }
}

#[test]
fn after_the_log_has_refused_a_change_none_is_made() {
    let (mut file, log) = logged();
    file.change(|edit| put(edit, "a")).unwrap();
    log.answers(Answer::Refused(LogError::Fenced));
    for answer in [Answer::Refused(LogError::Fenced), Answer::Kept] {
        let failed = file.change(|edit| put(edit, "b"));
        assert!(matches!(failed, Err(Failure::Log(LogError::Fenced))), "{failed:?}");
        log.answers(answer);
    }
    log.answers(Answer::Kept);
    let failed = file.change_once(|edit| edit.write(data::DELETE, params!["bot@example.org", "echo", "a"]));
    assert!(matches!(failed, Err(Failure::Log(LogError::Fenced))), "{failed:?}");
    assert_eq!((keys(&file), log.take().len()), (vec!["a".to_owned()], 1));
}

/// As after a crash between the answer of the log and the commit: the next holder has the change.
#[test]
fn a_change_whose_answer_is_lost_is_in_the_log_alone_and_no_other_follows() {
    let (mut file, log) = logged();
    log.answers(Answer::Lost);
    let failed = file.change(|edit| put(edit, "a"));
    assert!(matches!(failed, Err(Failure::Log(LogError::Ended))), "{failed:?}");
    log.answers(Answer::Kept);
    file.change(|edit| put(edit, "b")).unwrap_err();
    let records = log.take();
    assert_eq!(keys(&file), [] as [&str; 0]);
    assert_eq!(replayed(&records), ["a"]);
    for record in records {
        replay(file.unrecorded(), record.as_bytes()).unwrap().unwrap();
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
    let failed = file.change(|edit| put(edit, "a"));
    assert!(matches!(failed, Err(Failure::File(_))), "{failed:?}");
    file.unrecorded().execute_batch("DROP TRIGGER refuses").unwrap();
    let failed = file.change(|edit| put(edit, "b"));
    assert!(matches!(failed, Err(Failure::Log(LogError::Ended))), "{failed:?}");
    assert_eq!((keys(&file), replayed(&log.take())), (vec![], vec!["a".to_owned()]));
}

/// Otherwise another node would go on without it.
#[test]
fn a_change_of_rows_that_is_not_recorded_is_refused() {
    let (mut file, log) = logged();
    let insert = "INSERT INTO plugin_data VALUES ('a', 'b', 'c', x'', NULL) RETURNING key";
    let failed = file.change(|edit| {
        put(edit, "a")?;
        edit.query_row(insert, [], |row| row.get::<_, String>(0))
    });
    assert!(failed.unwrap_err().to_string().contains("rows were changed that the record does not have"));
    assert_eq!((keys(&file), log.take().len()), (vec![], 0));
    file.change(|edit| put(edit, "b")).unwrap();
    assert_eq!((keys(&file), replayed(&log.take())), (vec!["b".to_owned()], vec!["b".to_owned()]));
}

/// Otherwise the next records would be of another file than the one that others have.
#[tokio::test]
async fn a_broken_file_with_a_log_is_not_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), KeptLog::default()).unwrap();
    let broken = ffi::Error::new(ffi::SQLITE_CORRUPT);
    store.run(move |_| Err::<(), _>(rusqlite::Error::SqliteFailure(broken, None))).await.unwrap_err();
    let next = store.change(|edit| put(edit, "a")).await;
    assert!(matches!(next, Err(StoreError::Ended)), "{next:?}");
    store.close().await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is set aside");
}

/// Other writes than those through an edit are not recorded. Each of these has a reason: they make tables, or they are made by
/// a command that opens the file itself.
#[test]
fn nothing_else_writes_to_the_file() {
    const RECORDS: [&str; 2] = ["edit.rs", "replay.rs"];
    const OUTSIDE: [(&str, usize); 6] =
        [("audit.rs", 3), ("backup.rs", 9), ("data_file.rs", 4), ("file.rs", 10), ("session.rs", 2), ("tallies.rs", 2)];
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
