//! Tests of storing and reading data.

use std::path::Path;
use std::sync::Arc;

use jid::{BareJid, FullJid};
use parlor_base::escape::EscapedPath as _;
use parlor_session::{Contact, KeepRoster};
use parlor_stanza::types::RosterItem;
use parlor_xmpp::Left;

use super::*;

fn bare(text: &str) -> BareJid {
    BareJid::new(text).unwrap()
}

fn item(jid: &str, groups: &[&str]) -> RosterItem {
    RosterItem {
        jid: bare(jid),
        name: Some("Zoë 🐎".to_owned()),
        subscription: "both".to_owned(),
        ask: true,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    }
}

fn contact(item: RosterItem) -> Arc<Contact> {
    Arc::new(Contact::new(item))
}

fn whole(version: &str, items: &[RosterItem]) -> KeepRoster {
    let contacts = items.iter().map(|item| (item.jid.clone(), contact(item.clone()))).collect();
    KeepRoster::Whole { version: version.to_owned(), contacts }
}

fn keeper(store: &Store) -> RosterKeeper {
    RosterKeeper::new(store.clone(), &bare("bot@example.org"))
}

async fn loaded(store: &Store) -> Option<(String, Vec<RosterItem>)> {
    keeper(store).load().await.map(|kept| (kept.version, kept.items))
}

/// Waits until all earlier jobs are done.
async fn settled(store: &Store) {
    store.run(|_| Ok(())).await.unwrap();
}

#[tokio::test]
async fn a_roster_is_there_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(loaded(&store).await, None);
    let (romeo, juliet) = (item("romeo@example.org", &["a\"b", "c"]), item("juliet@example.org", &[]));
    keeper(&store).keep(whole("v1", &[romeo.clone(), juliet.clone()]));
    store.close().await;
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(loaded(&store).await, Some(("v1".to_owned(), vec![juliet.clone(), romeo.clone()])));

    let renamed = RosterItem { name: None, ask: false, ..romeo };
    keeper(&store).keep(KeepRoster::Changed { version: Some("v2".to_owned()), contact: contact(renamed.clone()) });
    keeper(&store).keep(KeepRoster::Removed { version: None, jid: juliet.jid });
    assert_eq!(loaded(&store).await, Some(("v2".to_owned(), vec![renamed])));
    let another = RosterKeeper::new(store.clone(), &bare("other@example.org"));
    assert!(another.load().await.is_none(), "each account has its own");
    keeper(&store).keep(KeepRoster::Nothing);
    assert_eq!(loaded(&store).await, None);
}

#[tokio::test]
async fn a_session_is_given_once_with_where_it_is_also_by_a_file_of_before() {
    let folder = tempfile::tempdir().unwrap();
    Store::open(folder.path()).unwrap().close().await;
    let before = Connection::open(folder.path().join(FILE)).unwrap();
    before.execute_batch("ALTER TABLE session DROP COLUMN location").unwrap();
    drop(before);
    let store = Store::open(folder.path()).unwrap();
    let keeper = SessionKeeper::new(store.clone(), &bare("bot@example.org"));
    let left = |location: Option<&str>| Left {
        jid: FullJid::new("bot@example.org/bot").unwrap(),
        id: "one".to_owned(),
        heard: 7,
        acknowledged: 8,
        location: location.map(str::to_owned),
    };
    for location in [None, Some("[2001:db8::1]:5222")] {
        keeper.keep(left(location));
        assert_eq!(keeper.take().await, Some(left(location)));
        assert_eq!(keeper.take().await, None);
    }
}

/// Otherwise the server would report no changes since that version, and the missing entries would never arrive.
#[tokio::test]
async fn a_change_of_what_is_not_kept_any_more_is_not_kept() {
    let store = Store::in_memory();
    let mut keeper = keeper(&store);
    let changed = |version: &str| {
        let contact = contact(item("juliet@example.org", &[]));
        KeepRoster::Changed { version: Some(version.to_owned()), contact }
    };
    keeper.keep(whole("v1", &[item("romeo@example.org", &[])]));
    // As in a file that was created again because it turned out to be broken.
    assert!(store.put(|file| file.execute_batch("DELETE FROM roster_version; DELETE FROM roster_item")));
    keeper.keep(changed("v2"));
    assert_eq!(loaded(&store).await, None);

    keeper.keep(whole("v3", &[item("romeo@example.org", &[])]));
    // As with a disk that is full for a moment.
    assert!(store.put(|file| file.execute_batch("ALTER TABLE roster_item RENAME TO away")));
    keeper.keep(changed("v4"));
    assert!(store.put(|file| file.execute_batch("ALTER TABLE away RENAME TO roster_item")));
    keeper.keep(changed("v5"));
    assert_eq!(loaded(&store).await.map(|(version, items)| (version, items.len())), Some(("v3".to_owned(), 1)));
}

/// Otherwise a contact would be missing from then on: the server sends only what changed since the kept version.
#[tokio::test]
async fn a_whole_roster_that_waits_lets_no_change_pass_that_follows_a_lost_one() {
    let store = Store::in_memory();
    let mut keeper = keeper(&store);
    let changed = |version: &str, jid: &str| KeepRoster::Changed {
        version: Some(version.to_owned()),
        contact: contact(item(jid, &[])),
    };
    keeper.keep(whole("v1", &[item("romeo@example.org", &[])]));
    let full = || assert!(store.put(|file| file.execute_batch("ALTER TABLE roster_item RENAME TO away")));
    let free = || assert!(store.put(|file| file.execute_batch("ALTER TABLE away RENAME TO roster_item")));
    // As with a disk that is full for a moment, twice.
    full();
    keeper.keep(changed("v2", "lost@example.org"));
    free();
    settled(&store).await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    assert!(store.put(move |_| {
        let _ = held.recv();
        Ok(())
    }));
    keeper.keep(changed("v3", "late@example.org"));
    full();
    keeper.keep(whole("v4", &[]));
    free();
    drop(release);
    let (version, items) = loaded(&store).await.unwrap();
    assert_eq!((version.as_str(), items.len()), ("v1", 1));
    keeper.keep(whole("v5", &[]));
    keeper.keep(changed("v6", "next@example.org"));
    let (version, items) = loaded(&store).await.unwrap();
    assert_eq!((version.as_str(), items.len()), ("v6", 1), "it goes on after a whole one");
}

/// A host with many accounts starts and stops all of them in one moment.
#[tokio::test]
async fn entries_that_nobody_waits_for_are_in_the_audit_after_a_stop_even_when_the_disk_is_too_slow() {
    const ENTRIES: usize = 3 * JOBS;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (release, held) = std::sync::mpsc::channel::<()>();
    assert!(store.put(move |_| {
        let _ = held.recv();
        Ok(())
    }));
    let audit = store.audit();
    for number in 0..ENTRIES {
        audit.put(NewAuditEntry::new(AuditKind::Login, &By::host("connection"), &number.to_string()));
    }
    drop(release);
    store.close().await;
    let store = Store::open(folder.path()).unwrap();
    let all = store.audit().entries(AuditQuery { most: u32::MAX, ..AuditQuery::default() }).await.unwrap();
    let expected = (0..ENTRIES).map(|number| number.to_string());
    assert!(all.into_iter().map(|entry| entry.what).eq(expected), "every one, in their order");
}

/// A flood of pushes costs one row each, and a keeper that falls behind never mixes two versions.
#[tokio::test]
async fn what_is_on_disk_was_one_state_of_the_server_even_when_the_disk_is_too_slow() {
    let store = Store::in_memory();
    let mut keeper = keeper(&store);
    keeper.keep(whole("v1", &[item("romeo@example.org", &[])]));
    settled(&store).await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    assert!(store.put(move |_| {
        let _ = held.recv();
        Ok(())
    }));
    for number in 0..JOBS + 10 {
        let contact = contact(item(&format!("c{number}@example.org"), &[]));
        keeper.keep(KeepRoster::Changed { version: Some(format!("p{number}")), contact });
    }
    drop(release);
    settled(&store).await;
    let late = contact(item("late@example.org", &[]));
    keeper.keep(KeepRoster::Changed { version: Some("late".to_owned()), contact: late });
    let (version, items) = loaded(&store).await.unwrap();
    let last: usize = version.strip_prefix('p').unwrap().parse().unwrap();
    assert_eq!(items.len(), last + 2, "every push up to the version, and none after it");
    keeper.keep(whole("again", &[item("late@example.org", &[])]));
    assert_eq!(loaded(&store).await.unwrap().0, "again");
}

#[tokio::test]
async fn a_file_that_is_no_store_is_set_aside() {
    let foreign = |path: &Path| {
        Connection::open(path)
            .unwrap()
            .execute_batch("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)")
            .unwrap();
    };
    let garbage = |path: &Path| std::fs::write(path, "x".repeat(10_000)).unwrap();
    let link = |path: &Path| std::os::unix::fs::symlink("/nowhere/else", path).unwrap();
    let breakers: [&dyn Fn(&Path); 3] = [&foreign, &garbage, &link];
    for breaks in breakers {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        breaks(&path);
        let store = Store::open(folder.path()).unwrap();
        keeper(&store).keep(whole("v1", &[item("romeo@example.org", &[])]));
        assert_eq!(loaded(&store).await.unwrap().0, "v1");
        assert!(path.with_file_name("parlor.db.broken-1").symlink_metadata().is_ok(), "nothing is thrown away");
        assert_eq!(set_aside_by(&store).await, [set_aside(&path)]);
        store.close().await;
        let again = Store::open(folder.path()).unwrap();
        assert_eq!(set_aside_by(&again).await.len(), 1, "a file that can be used is not recorded");
    }
}

/// Returns the places of a file before and after it was set aside.
fn set_aside(path: &Path) -> (Option<String>, Option<String>) {
    let shown = |path: &Path| Some(path.escaped().to_string());
    (shown(path), shown(&path.with_file_name("parlor.db.broken-1")))
}

/// Returns the places before and after of the files that were set aside, by the audit of a store.
async fn set_aside_by(store: &Store) -> Vec<(Option<String>, Option<String>)> {
    let all = store.audit().entries(AuditQuery { most: 9, ..AuditQuery::default() }).await.unwrap();
    for entry in &all {
        assert_eq!((entry.kind.as_str(), entry.who.as_str(), entry.way.as_str()), ("host", "host", "store"));
        assert!(entry.what.starts_with("the store was set aside with the audit in it"), "{}", entry.what);
    }
    all.into_iter().map(|entry| (entry.old, entry.new)).collect()
}

/// As several commands do that are run on a new data folder.
#[test]
fn a_file_that_several_make_at_once_is_whole_for_each() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let (path, begin) = (folder.path().join(FILE), std::sync::Barrier::new(8));
        std::thread::scope(|scope| {
            let opens = || {
                begin.wait();
                file::try_open(&path).map(drop).map_err(|why| why.to_string())
            };
            let all: Vec<_> = (0..8).map(|_| scope.spawn(opens)).collect();
            for one in all {
                assert_eq!(one.join().unwrap(), Ok(()));
            }
        });
    }
}

#[tokio::test]
async fn a_file_that_is_newer_or_locked_stays_where_it_is_with_what_was_written_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    Store::open(folder.path()).unwrap().close().await;
    // The last connection to close copies the WAL into the file; after SIGKILL no connection does.
    let other = Connection::open(&path).unwrap();
    let store = Store::open(folder.path()).unwrap();
    keeper(&store).keep(whole("v1", &[]));
    store.close().await;
    other.execute_batch("BEGIN IMMEDIATE; PRAGMA user_version = 99").unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(loaded(&store).await.unwrap().0, "v1");
    store.close().await;
    other.execute_batch("COMMIT").unwrap();
    let error = Store::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("version 99 of its tables, this one knows 1"), "{error}");
    assert!(!path.with_file_name("parlor.db.broken-1").exists());
    let version: String = other.query_row("SELECT version FROM roster_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, "v1");
}

/// A connection that only reads cannot put the log into the file: it must not be the last one.
#[tokio::test]
async fn no_log_is_left_beside_a_file_that_was_read_and_closed() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let store = Store::open(folder.path()).unwrap();
        let owner = || Owner { account: "a".parse().unwrap(), plugin: "p".parse().unwrap() };
        let data = store.data(Clock::Machine);
        assert_eq!(data.get(owner(), "k".to_owned()).await.unwrap(), None);
        store.close().await;
        assert!(!folder.path().join("parlor.db-wal").exists());
    }
}

#[tokio::test]
async fn a_file_that_is_newer_is_seen_to_be_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    Store::look(folder.path()).unwrap();
    assert_eq!(files(), 0);
    Store::open(folder.path()).unwrap().close().await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("SELECT count(*) FROM roster_version").unwrap();
    Store::look(folder.path()).unwrap();
    let expected = "cannot be used, and is left as it is (it was written by a newer parlor (version 99 of its tables, this one knows 1))";
    // At first the version is only in the WAL, since another connection is open; later it is in the file.
    other.execute_batch("PRAGMA user_version = 99").unwrap();
    assert!(path.with_file_name("parlor.db-wal").exists());
    let error = Store::look(folder.path()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
    drop(other);
    assert_eq!(files(), 1);
    assert_eq!(Store::look(folder.path()).unwrap_err().to_string(), error);
    assert_eq!(files(), 1);
    let opened = Store::open(folder.path()).unwrap_err();
    assert!(opened.to_string() == error && opened.is_of_a_newer_parlor());
    // A broken file is created again, and so does not prevent the host from starting.
    std::fs::write(&path, "x".repeat(10_000)).unwrap();
    Store::look(folder.path()).unwrap();
}

#[tokio::test]
async fn a_broken_file_is_seen_before_and_after_it_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let seen = || (Store::reason_to_set_aside(folder.path()).is_some(), Store::all_set_aside(folder.path()));
    assert_eq!(seen(), (false, Vec::new()), "there is no file");
    std::fs::write(&path, "").unwrap();
    assert_eq!(seen(), (false, Vec::new()), "an empty file becomes a store");
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(seen(), (false, Vec::new()), "its newest changes are in the WAL");
    store.close().await;
    assert_eq!(seen(), (false, Vec::new()));
    for number in 1..=2 {
        std::fs::write(&path, "x".repeat(number * 5)).unwrap();
        assert!(seen().0, "{number}");
        Store::open(folder.path()).unwrap().close().await;
        let (is_broken, aside) = seen();
        assert!(!is_broken && aside.len() == number && aside.iter().all(|file| file.is_file()), "{aside:?}");
    }
}

/// An owner who follows the advice to move the file may leave the files next to it.
#[tokio::test]
async fn a_file_that_is_gone_or_a_link_is_seen_to_be_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join(FILE), folder.path().join("moved.db"));
    Store::open(folder.path()).unwrap().close().await;
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    Store::look(folder.path()).unwrap_err();
    std::fs::rename(&path, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &path).unwrap();
    Store::look(folder.path()).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path.with_file_name("parlor.db-wal"), "").unwrap();
    Store::look(folder.path()).unwrap();
    std::fs::create_dir(&path).unwrap();
    let error = Store::look(folder.path()).unwrap_err().to_string();
    assert!(error.contains("it is no file"), "{error}");
}

#[tokio::test]
async fn what_was_written_last_goes_aside_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let other = Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)").unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.close().await;
    drop(other);
    let aside = Connection::open(path.with_file_name("parlor.db.broken-1")).unwrap();
    let theirs: i64 = aside.query_row("SELECT count(*) FROM theirs", [], |row| row.get(0)).unwrap();
    assert_eq!(theirs, 1);
}

/// Damages the first page of each table. The header and the schema stay valid, however many pages the schema has.
fn break_rows(path: &Path) {
    let file = Connection::open(path).unwrap();
    let size: u16 = file.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    let size = usize::from(size);
    let mut roots = file.prepare("SELECT rootpage FROM sqlite_schema WHERE rootpage > 1").unwrap();
    let roots: Vec<u16> = roots.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut bytes = std::fs::read(path).unwrap();
    for root in roots.into_iter().map(usize::from) {
        bytes[(root - 1) * size..root * size].fill(0xaa);
    }
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_file_that_breaks_meanwhile_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let items: Vec<_> = (0..500).map(|number| item(&format!("c{number}@example.org"), &["group"])).collect();
    let store = Store::open(folder.path()).unwrap();
    keeper(&store).keep(whole("v1", &items));
    store.run(|file| file.pragma_update_and_check(None, "wal_checkpoint", "truncate", |_| Ok(()))).await.unwrap();
    store.close().await;
    let path = folder.path().join(FILE);
    break_rows(&path);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(loaded(&store).await, None);
    keeper(&store).keep(whole("v2", &items));
    assert_eq!(loaded(&store).await.unwrap().0, "v2");
    assert_eq!(set_aside_by(&store).await, [set_aside(&path)]);
}

/// Otherwise every access to the broken part would fail for ever.
#[tokio::test]
async fn a_file_is_begun_anew_also_where_only_plugins_meet_that_it_is_broken() {
    let owner = || Owner { account: bare("bot@example.org"), plugin: "echo".parse().unwrap() };
    let put = |key: &str| Write { key: key.to_owned(), value: Some(vec![7; 300]), expires: None, only: Only::Always };
    for reads in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.data(Clock::Machine).write(owner(), 1 << 20, put("k")).await.unwrap();
        store.run(|file| file.pragma_update_and_check(None, "wal_checkpoint", "truncate", |_| Ok(()))).await.unwrap();
        store.close().await;
        let path = folder.path().join(FILE);
        break_rows(&path);
        let store = Store::open(folder.path()).unwrap();
        let data = store.data(Clock::Machine);
        if reads {
            let deadline = std::time::Instant::now() + Duration::from_secs(30);
            assert!(data.get(owner(), "k".to_owned()).await.is_err());
            while data.get(owner(), "k".to_owned()).await.is_err() {
                assert!(std::time::Instant::now() < deadline, "what was met in reading is never mended");
            }
        } else {
            data.write(owner(), 1 << 20, put("k")).await.unwrap_err();
        }
        assert_eq!(data.write(owner(), 1 << 20, put("k")).await.unwrap(), Written::Fresh);
        assert!(data.get(owner(), "k".to_owned()).await.unwrap().is_some());
        assert!(path.with_file_name("parlor.db.broken-1").exists(), "nothing is thrown away");
    }
}

/// This happens if the disk is full as well.
#[tokio::test]
async fn what_is_kept_in_memory_alone_for_want_of_a_file_is_found_there() {
    let owner = || Owner { account: bare("bot@example.org"), plugin: "echo".parse().unwrap() };
    let put = || Write { key: "k".to_owned(), value: Some(vec![7; 300]), expires: None, only: Only::Always };
    let folder = tempfile::tempdir().unwrap();
    let (here, away) = (folder.path().join("here"), folder.path().join("away"));
    std::fs::create_dir(&here).unwrap();
    let store = Store::open(&here).unwrap();
    let data = store.data(Clock::Machine);
    std::fs::rename(&here, &away).unwrap();
    let broken = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    store.run(move |_| Err::<(), _>(rusqlite::Error::SqliteFailure(broken, None))).await.unwrap_err();
    assert_eq!(data.write(owner(), 1 << 20, put()).await.unwrap(), Written::Fresh);
    assert_eq!(data.get(owner(), "k".to_owned()).await.unwrap().map(|value| value.len()), Some(300));
}

#[tokio::test]
async fn rows_that_nobody_wrote_are_not_believed() {
    let store = Store::in_memory();
    for (column, value) in [("jid", "@"), ("groups", "no json"), ("subscription", "remove")] {
        keeper(&store).keep(whole("v1", &[item("romeo@example.org", &[])]));
        assert!(loaded(&store).await.is_some());
        store.run(move |file| file.execute(&format!("UPDATE roster_item SET {column} = '{value}'"), [])).await.unwrap();
        assert_eq!(loaded(&store).await, None, "{column}");
    }
}

#[tokio::test]
async fn nobody_else_reads_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    keeper(&store).keep(whole("v1", &[]));
    settled(&store).await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
    }
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let error = Store::open(Path::new("/nowhere/at/all")).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/at/all/parlor.db cannot be used") && error.contains("make room"), "{error}");
}

/// An older parlor opens a file of the same version, and writes to it.
#[test]
fn what_an_older_parlor_could_not_use_comes_with_another_version_of_the_tables() {
    const RULE: &str = "raise the version of the tables, as docs/contributing/adding.md says, and make tables.txt anew";
    let file = file::logged_in_memory();
    let select = "SELECT one.name || '.' || field.name || ' ' || field.type || iif(field.\"notnull\", ' NOT NULL', '')
                  || ifnull(' DEFAULT ' || field.dflt_value, '') || iif(field.pk > 0, ' KEY ' || field.pk, '')
                  FROM sqlite_schema AS one JOIN pragma_table_info(one.name) AS field
                  WHERE one.type = 'table' AND one.name NOT LIKE 'sqlite_%' ORDER BY 1";
    let mut statement = file.prepare(select).unwrap();
    let now: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap();
    let mut lines = include_str!("tables.txt").lines().skip_while(|line| line.starts_with('#'));
    let version = format!("version {}", file::VERSION);
    assert_eq!(lines.next(), Some(&*version), "make tables.txt anew, of this:\n{version}\n{}", now.join("\n"));
    let first: Vec<_> = lines.collect();
    for column in &first {
        assert!(now.iter().any(|one| one == column), "{column} is not as it was: {RULE}");
    }
    let table = |column: &str| column.split('.').next().unwrap_or_default().to_owned();
    for column in now.iter().filter(|column| !first.contains(&column.as_str())) {
        let is_new_table = first.iter().all(|one| table(one) != table(column));
        let may_be_left_out =
            column.contains(" DEFAULT ") || !column.contains(" NOT NULL") && !column.contains(" KEY ");
        assert!(is_new_table || may_be_left_out, "{column} has to be written: {RULE}");
    }
}
