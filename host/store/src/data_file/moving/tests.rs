//! An account goes from one file to the other, and back, with each of its rows.

use rusqlite::types::Value;

use super::*;
use crate::backup::columns;

pub(crate) fn jid(name: &str) -> BareJid {
    format!("{name}@example.org").parse().unwrap()
}

fn mark(stage: Stage) -> Mark {
    Mark { stage, cluster: "bots".to_owned(), mark: "a1".to_owned() }
}

pub(crate) const PLACE: LogPosition = LogPosition { token: 3, number: 7, revision: 20 };

/// Puts some rows of an account into each table that has accounts.
pub(crate) fn fill(file: &Connection, account: &BareJid, rows: i64) {
    for table in tables(file).unwrap() {
        for row in 0..rows {
            let declared: Vec<(String, String)> = file
                .prepare("SELECT name, type FROM pragma_table_info(?1) WHERE NOT (name = 'id' AND pk = 1) ORDER BY cid")
                .unwrap()
                .query_map([&table], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            let values = declared.iter().map(|(name, kind)| match (name.as_str(), kind.as_str()) {
                ("account", _) => Value::Text(account.to_string()),
                (_, "INTEGER") => Value::Integer(row),
                (_, "BLOB") => Value::Blob(format!("{account} {row}").into_bytes()),
                _ => Value::Text(format!("{table} {row}")),
            });
            let names = quoted(&declared.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
            let places = vec!["?"; declared.len()].join(", ");
            // Some tables have one row for each account.
            let insert = format!("INSERT OR IGNORE INTO \"{table}\" ({names}) VALUES ({places})");
            file.execute(&insert, rusqlite::params_from_iter(values)).unwrap();
        }
    }
}

pub(crate) type Rows = Vec<(String, Vec<Vec<Value>>)>;

/// Returns the rows of an account, without the numbers that all accounts share.
pub(crate) fn rows(file: &Connection, account: &BareJid) -> Rows {
    let of_table = |table: String| {
        let mut names = columns(file, "main", &table).unwrap();
        names.retain(|name| name != "id" || !NUMBERED.contains(&table.as_str()));
        let order = if NUMBERED.contains(&table.as_str()) { "id".to_owned() } else { quoted(&names) };
        let select = format!("SELECT {} FROM \"{table}\" WHERE account = ?1 ORDER BY {order}", quoted(&names));
        let mut select = file.prepare(&select).unwrap();
        let row = |row: &rusqlite::Row<'_>| (0..names.len()).map(|at| row.get(at)).collect();
        let rows = select.query_map([account.as_str()], row).unwrap().map(Result::unwrap).collect();
        (table, rows)
    };
    tables(file).unwrap().into_iter().map(of_table).collect()
}

fn numbers(file: &Connection, table: &str) -> Vec<i64> {
    let mut select = file.prepare(&format!("SELECT id FROM {table} ORDER BY id")).unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// A table that a later version adds is moved as well, unless its rows have numbers of their own.
#[test]
fn each_table_with_numbers_that_accounts_share_is_known() {
    let file = file::in_memory();
    let numbered = |table: &String| {
        let sql: String =
            file.query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [table], |row| row.get(0)).unwrap();
        sql.contains("AUTOINCREMENT")
    };
    let found: Vec<_> = tables(&file).unwrap().into_iter().filter(numbered).collect();
    assert_eq!(found, NUMBERED);
    assert!(tables(&file).unwrap().len() > 15 && !tables(&file).unwrap().contains(&MARKS.to_owned()));
}

#[tokio::test]
async fn an_account_goes_into_a_file_of_its_own_and_back_with_all_rows() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let accounts = Accounts::start(here.path()).unwrap();
    let (bot, other) = (jid("bot"), jid("other"));
    let mut single = DataFile::create(here.path()).unwrap();
    fill(&single.file, &other, 2);
    fill(&single.file, &bot, 3);
    let (before, of_other) = (rows(&single.file, &bot), rows(&single.file, &other));
    assert!(before.iter().all(|(_, rows)| !rows.is_empty()), "{before:?}");
    single.set_mark(&bot, Some(&mark(Stage::Leaving))).unwrap();
    let state = single.snapshot_for(&accounts, &bot, PLACE).unwrap();
    assert_eq!(rows(&single.file, &bot), before, "nothing is removed yet");
    single.leave(&bot, &mark(Stage::Left)).unwrap();
    assert_eq!(single.rows_of(&bot).unwrap(), 0);
    assert_eq!(rows(&single.file, &other), of_other);
    assert_eq!(single.mark(&bot).unwrap(), Some(mark(Stage::Left)));
    let names = here.path().join("accounts").read_dir().unwrap().count();
    assert_eq!(names, 0, "the draft is gone");
    // No key of it is left in the file.
    let bytes = std::fs::read(here.path().join(crate::FILE)).unwrap();
    assert!(!bytes.windows(17).any(|part| part == b"bot@example.org 1"));

    // Another host takes it in, in which others have the same numbers.
    let elsewhere = Accounts::start(there.path()).unwrap();
    let replica = elsewhere.open(&bot).await.unwrap().restore(state).await.unwrap();
    assert_eq!(replica.position(), PLACE);
    let mut single = DataFile::create(there.path()).unwrap();
    fill(&single.file, &other, 9);
    fill(&single.file, &bot, 1);
    let of_other = rows(&single.file, &other);
    let came = single.take_in(&bot, replica, &mark(Stage::Came)).unwrap();
    assert_eq!(rows(&single.file, &bot), before);
    assert_eq!(rows(&single.file, &other), of_other);
    assert_eq!(came, single.rows_of(&bot).unwrap());
    for table in NUMBERED {
        let all = numbers(&single.file, table);
        let taken = all.iter().filter(|number| **number <= 10).count();
        assert_eq!(
            (all.len() - taken, all.is_sorted()),
            (before.iter().find(|(name, _)| name == table).unwrap().1.len(), true),
            "{table} {all:?}"
        );
    }
    single.set_mark(&bot, None).unwrap();
    assert!(single.marks().unwrap().is_empty());
}

/// A plugin may have noted the number of a request.
#[tokio::test]
async fn numbers_stay_where_nobody_has_them_and_are_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = Accounts::start(folder.path()).unwrap();
    let bot = jid("bot");
    let mut single = DataFile::create(folder.path()).unwrap();
    fill(&single.file, &bot, 3);
    single.file.execute("DELETE FROM webhook_request WHERE id IN (1, 3)", []).unwrap();
    let state = single.snapshot_for(&accounts, &bot, PLACE).unwrap();
    single.leave(&bot, &mark(Stage::Left)).unwrap();
    let replica = accounts.open(&bot).await.unwrap().restore(state).await.unwrap();
    single.take_in(&bot, replica, &mark(Stage::Came)).unwrap();
    assert_eq!(numbers(&single.file, "webhook_request"), [2]);
    fill(&single.file, &jid("next"), 1);
    assert_eq!(numbers(&single.file, "webhook_request"), [2, 4]);
}

#[test]
fn a_mark_that_cannot_be_read_keeps_the_account_from_running() {
    let folder = tempfile::tempdir().unwrap();
    let mut single = DataFile::create(folder.path()).unwrap();
    for stage in Stage::ALL {
        single.set_mark(&jid("bot"), Some(&mark(stage))).unwrap();
        assert_eq!(single.marks().unwrap(), BTreeMap::from([(jid("bot"), mark(stage))]));
    }
    single.file.execute("UPDATE moving_account SET stage = 'flying'", []).unwrap();
    let stage = single.mark(&jid("bot")).unwrap().unwrap().stage;
    assert!(!stage.may_run());
    // An account that begins anew has no states of before.
    single.forget_account(&jid("bot")).unwrap();
    assert_eq!(single.mark(&jid("bot")).unwrap(), None);
}
