//! Copies of the file for backups, and their restoration.
//!
//! A copy is one state of the file, however much a host writes meanwhile. It has no keys: these leave this module as one secret
//! text, for a caller that encrypts it. Three tables are in no backup at all. A session of OMEMO that is put back would use keys of
//! messages twice, and a stream cannot be resumed from an older count. With the keys of single messages, a backup would open these
//! messages for as long as it exists, and a host that is put back would deliver the last ones once more.

mod clustered;

use std::path::Path;

use parlor_session::Secret;
use rusqlite::types::{Value as Cell, ValueRef};
use rusqlite::{Connection, TransactionBehavior, params_from_iter};
use serde_json::{Map, Value, json};

use super::encryption::ENCRYPTION_TABLES;
use super::error::DataError;
use super::{FILE, file};

pub use clustered::add;

/// The states of sessions of OMEMO.
const RATCHETS: &str = "omemo_session";
/// The keys of single messages.
const MESSAGE_KEYS: &str = "omemo_message_key";
/// The streams that the last process left.
const STREAMS: &str = "session";
/// The key of a cell with bytes that are not text.
const HEX: &str = "hex";

/// Copies the file of this data folder to `to`, which must not exist, and returns the keys that the copy lacks.
pub fn copy(data: &Path, to: &Path) -> Result<Secret, DataError> {
    let path = data.join(FILE);
    let mut from = open(&path)?;
    // It makes the tables.
    drop(open(to)?);
    let target = to.canonicalize().map_err(|cause| failed(to, &cause))?;
    let target = target.to_str().ok_or_else(|| failed(to, &"its path is no text"))?;
    let keys = copy_into(&mut from, target).map_err(|cause| failed(&path, &cause))?;
    Ok(Secret::new(keys))
}

/// Checks a copy before it is restored: it must be intact, parlor's, and of a version that this parlor knows. Also
/// removes its sessions, which must never be continued.
pub fn examine(copy: &Path) -> Result<(), DataError> {
    let connection = open(copy)?;
    let said = |cause: rusqlite::Error| failed(copy, &cause);
    let state: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(said)?;
    if state != "ok" {
        return Err(failed(copy, &state));
    }
    if file::programs(&connection).map_err(said)? != file::programs(&file::in_memory()).map_err(said)? {
        return Err(failed(copy, &"it has triggers or views that parlor does not make"));
    }
    let tables = ENCRYPTION_TABLES.into_iter().chain([STREAMS]);
    let statements: Vec<_> = tables.map(|table| format!("DELETE FROM {table};")).collect();
    connection.execute_batch(&statements.concat()).map_err(said)
}

/// Puts the keys into a copy, all or none.
pub fn put_keys(copy: &Path, keys: &[u8]) -> Result<(), DataError> {
    let mut connection = open(copy)?;
    let unreadable = || failed(copy, &"the keys of the backup cannot be read");
    let keys: Map<String, Value> = serde_json::from_slice(keys).map_err(|_| unreadable())?;
    match put(&mut connection, &keys) {
        Ok(true) => Ok(()),
        Ok(false) => Err(unreadable()),
        Err(cause) => Err(failed(copy, &cause)),
    }
}

/// Writes all of a copy into its one file. `SQLite` does that when a connection ends, but reports no error if it cannot, such as on a
/// full disk. Without the log beside it, the file would still have its sessions, and lack the keys.
pub fn settle(copy: &Path) -> Result<(), DataError> {
    without_log(&open(copy)?).map_err(|cause| failed(copy, &cause))
}

/// Ends the log beside a file, as soon as all of it is in the file.
fn without_log(file: &Connection) -> rusqlite::Result<()> {
    file.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))
}

fn open(path: &Path) -> Result<Connection, DataError> {
    file::try_open(path).map_err(|cause| failed(path, &cause))
}

fn failed(path: &Path, cause: &dyn std::fmt::Display) -> DataError {
    DataError::File { path: path.to_owned(), cause: cause.to_string() }
}

fn copy_into(from: &mut Connection, to: &str) -> rusqlite::Result<Vec<u8>> {
    from.execute("ATTACH DATABASE ?1 AS backup", [to])?;
    // The copy is one file, without a log.
    from.query_row("PRAGMA backup.journal_mode = delete", [], |_| Ok(()))?;
    // Deferred: an immediate one would hold up a host that writes. The first read decides which state of the file it sees.
    let change = from.transaction_with_behavior(TransactionBehavior::Deferred)?;
    // The sums that triggers maintain are copied as well. They are made again when the copy is opened.
    for (trigger, _) in file::programs(&change)? {
        change.execute_batch(&format!("DROP TRIGGER IF EXISTS backup.\"{trigger}\";"))?;
    }
    for table in tables(&change)? {
        let columns = shared_columns(&change, &table)?;
        let copy =
            format!("INSERT OR REPLACE INTO backup.\"{table}\" ({columns}) SELECT {columns} FROM main.\"{table}\"");
        change.execute(&copy, [])?;
    }
    // Numbers that were given to entries are never given again.
    change.execute_batch(
        "DELETE FROM backup.sqlite_sequence;
         INSERT INTO backup.sqlite_sequence (name, seq) SELECT name, seq FROM main.sqlite_sequence;",
    )?;
    let keys = keys(&change)?;
    change.commit()?;
    from.execute_batch("DETACH DATABASE backup")?;
    Ok(keys)
}

/// Returns the tables that a copy has rows of.
fn tables(file: &Connection) -> rusqlite::Result<Vec<String>> {
    let both = "SELECT name FROM backup.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                AND name IN (SELECT name FROM main.sqlite_schema WHERE type = 'table')";
    let mut select = file.prepare(both)?;
    let names: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let is_left_out = |name: &str| name == STREAMS || ENCRYPTION_TABLES.contains(&name);
    Ok(names.into_iter().filter(|name| !is_left_out(name)).collect())
}

/// Returns the columns that a table has in the file and in the copy. An older file may have more.
fn shared_columns(file: &Connection, table: &str) -> rusqlite::Result<String> {
    let own = columns(file, "main", table)?;
    let copied = columns(file, "backup", table)?;
    Ok(quoted(&own.into_iter().filter(|name| copied.contains(name)).collect::<Vec<_>>()))
}

pub(super) fn columns(file: &Connection, schema: &str, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut select = file.prepare("SELECT name FROM pragma_table_info(?1, ?2) ORDER BY cid")?;
    select.query_map([table, schema], |row| row.get(0))?.collect()
}

pub(super) fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

/// Returns the tables whose rows are among the keys. Those of other tables, in backups of earlier versions, are not restored.
fn key_tables() -> impl Iterator<Item = &'static str> {
    ENCRYPTION_TABLES.into_iter().filter(|table| ![RATCHETS, MESSAGE_KEYS].contains(table))
}

/// Returns the rows of all tables with keys, as JSON.
fn keys(file: &Connection) -> rusqlite::Result<Vec<u8>> {
    let mut all = Map::new();
    for table in key_tables() {
        let columns = columns(file, "main", table)?;
        let mut select = file.prepare(&format!("SELECT {} FROM main.\"{table}\"", quoted(&columns)))?;
        let row = |row: &rusqlite::Row<'_>| {
            let cells = (0..columns.len()).map(|at| Ok::<_, rusqlite::Error>(written(row.get_ref(at)?)));
            cells.collect::<rusqlite::Result<Vec<Value>>>().map(Value::from)
        };
        let rows: Vec<Value> = select.query_map([], row)?.collect::<rusqlite::Result<_>>()?;
        all.insert(table.to_owned(), json!({ "columns": columns, "rows": rows }));
    }
    Ok(Value::from(all).to_string().into_bytes())
}

fn written(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned().into(),
        ValueRef::Blob(bytes) => json!({ HEX: hex::encode(bytes) }),
    }
}

fn read(value: &Value) -> Option<Cell> {
    match value {
        Value::Null => Some(Cell::Null),
        Value::Number(number) => number.as_i64().map(Cell::Integer),
        Value::String(text) => Some(Cell::Text(text.clone())),
        Value::Object(bytes) => hex::decode(bytes.get(HEX)?.as_str()?).ok().map(Cell::Blob),
        Value::Bool(_) | Value::Array(_) => None,
    }
}

/// Writes the rows. Returns false, with nothing written, if they are not as [`keys`] writes them.
fn put(file: &mut Connection, keys: &Map<String, Value>) -> rusqlite::Result<bool> {
    let change = file.transaction()?;
    for table in key_tables() {
        let Some(rows) = keys.get(table) else { continue };
        let names: Option<Vec<String>> =
            rows["columns"].as_array().and_then(|all| all.iter().map(|one| one.as_str().map(str::to_owned)).collect());
        let known = columns(&change, "main", table)?;
        let Some(names) = names.filter(|names| names.iter().all(|name| known.contains(name))) else {
            return Ok(false);
        };
        let Some(rows) = rows["rows"].as_array() else { return Ok(false) };
        let places = vec!["?"; names.len()].join(", ");
        let insert = format!("INSERT OR REPLACE INTO \"{table}\" ({}) VALUES ({places})", quoted(&names));
        let mut insert = change.prepare(&insert)?;
        for row in rows {
            let cells: Option<Vec<Cell>> = row.as_array().and_then(|cells| cells.iter().map(read).collect());
            let Some(cells) = cells.filter(|cells| cells.len() == names.len()) else { return Ok(false) };
            insert.execute(params_from_iter(cells))?;
        }
    }
    change.commit()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use jid::BareJid;
    use jiff::Timestamp;
    use parlor_session::{KeyChange, MessageKey};
    use parlor_stanza::types::OmemoForm;

    use super::super::{AuditFile, AuditKind, AuditQuery, By, EncryptionKeeper, NewAuditEntry, Retention, Store};
    use super::*;

    async fn kept(folder: &Path) -> parlor_session::KeptKeys {
        let store = Store::open(folder).unwrap();
        let kept = EncryptionKeeper::new(store.clone(), &"bot@example.org".parse().unwrap()).load().await.unwrap();
        store.close().await;
        kept
    }

    /// Makes a file with keys, a session and an entry in the audit.
    async fn made(folder: &Path) -> Store {
        let entry = NewAuditEntry::new(AuditKind::Host, &By::host("test"), "x");
        AuditFile::create(folder, Retention::default()).unwrap().add(&[entry]).unwrap();
        let store = Store::open(folder).unwrap();
        let mut keeper = EncryptionKeeper::new(store.clone(), &"bot@example.org".parse().unwrap());
        let state = Some(Secret::new(b"ratchet".to_vec()));
        let jid: BareJid = "juliet@example.org".parse().unwrap();
        let message = MessageKey {
            archived: " a1".to_owned(),
            jid: jid.clone(),
            device: 7,
            form: OmemoForm::Current,
            key: Secret::new(b"of a message".to_vec()),
            at: Timestamp::UNIX_EPOCH,
        };
        keeper.keep(vec![
            KeyChange::Device(Secret::new(b"identity".to_vec())),
            KeyChange::Session { jid, device: 7, form: OmemoForm::Current, state },
            KeyChange::MessageKey(message),
        ]);
        assert!(keeper.written().await.is_kept);
        store
    }

    #[tokio::test]
    async fn a_copy_has_no_keys_and_gets_them_back_without_sessions() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // The store stays open, as that of a host that runs.
        let store = made(from.path()).await;
        let path = to.path().join(FILE);
        let keys = copy(from.path(), &path).unwrap();
        assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 1, "it is one file");
        let has = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|part| part == word);
        let bytes = std::fs::read(&path).unwrap();
        for secret in ["identity", "ratchet", "of a message"] {
            assert!(!has(&bytes, secret.as_bytes()), "{secret}");
            assert_eq!(has(&keys, hex::encode(secret).as_bytes()), secret == "identity", "{secret}");
        }
        examine(&path).unwrap();
        put_keys(&path, &keys).unwrap();
        let restored = kept(to.path()).await;
        assert_eq!(restored.device.as_deref(), Some(&b"identity"[..]));
        assert!(restored.sessions.is_empty() && restored.message_keys.is_empty());
        let query = AuditQuery { most: 9, ..AuditQuery::default() };
        let entries = |folder: &Path| AuditFile::open(folder).unwrap().unwrap().entries(&query).unwrap();
        assert_eq!(entries(to.path()), entries(from.path()));
        // The number of the next entry is the next one.
        let entry = NewAuditEntry::new(AuditKind::Host, &By::host("test"), "y");
        AuditFile::create(to.path(), Retention::default()).unwrap().add(&[entry]).unwrap();
        let numbers: Vec<_> = entries(to.path()).iter().map(|entry| entry.id).collect();
        assert_eq!(numbers, [1, 2]);
        store.close().await;
    }

    #[tokio::test]
    async fn malformed_keys_of_a_copy_are_refused() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        made(from.path()).await.close().await;
        let path = to.path().join(FILE);
        copy(from.path(), &path).unwrap();
        for keys in ["", "[]", "{\"omemo_device\":1}", "{\"omemo_device\":{\"columns\":[\"x\"],\"rows\":[]}}"] {
            assert!(put_keys(&path, keys.as_bytes()).is_err(), "{keys}");
        }
        let short = "{\"omemo_device\":{\"columns\":[\"account\",\"state\"],\"rows\":[[\"a\"]]}}";
        assert!(put_keys(&path, short.as_bytes()).unwrap_err().to_string().contains("cannot be read"));
        // A foreign trigger in the file would run when the host writes.
        let trigger = "CREATE TRIGGER own AFTER INSERT ON audit_entry BEGIN DELETE FROM plugin_data; END;";
        Connection::open(&path).unwrap().execute_batch(trigger).unwrap();
        let error = examine(&path).unwrap_err().to_string();
        assert!(error.contains("triggers or views that parlor does not make"), "{error}");
        std::fs::write(&path, "nothing of that kind").unwrap();
        assert!(examine(&path).is_err());
    }

    #[tokio::test]
    async fn a_copy_has_its_last_changes_without_the_log_that_a_full_disk_leaves() {
        let (from, to, full) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        made(from.path()).await.close().await;
        let path = to.path().join(FILE);
        copy(from.path(), &path).unwrap();
        let changing = open(&path).unwrap();
        assert_eq!(changing.execute("DELETE FROM audit_entry", []).unwrap(), 1);
        for file in [FILE.to_owned(), format!("{FILE}-wal")] {
            std::fs::copy(to.path().join(&file), full.path().join(&file)).unwrap();
        }
        drop(changing);
        let path = full.path().join(FILE);
        settle(&path).unwrap();
        assert_eq!(std::fs::read_dir(full.path()).unwrap().count(), 1, "it is one file");
        let count = "SELECT count(*) FROM audit_entry";
        let left: i64 = Connection::open(&path).unwrap().query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0);
    }

    /// Earlier versions had the keys of messages in backups. The last of these messages would be delivered once more.
    #[tokio::test]
    async fn keys_of_messages_in_an_older_backup_are_not_restored() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        made(from.path()).await.close().await;
        let path = to.path().join(FILE);
        copy(from.path(), &path).unwrap();
        let row = "[\"bot@example.org\",\" a1\",\"juliet@example.org\",7,\"urn:xmpp:omemo:2\",{\"hex\":\"00\"},0]";
        let columns = "[\"account\",\"archived\",\"jid\",\"device\",\"form\",\"key\",\"at\"]";
        let keys = format!("{{\"omemo_message_key\":{{\"columns\":{columns},\"rows\":[{row}]}}}}");
        put_keys(&path, keys.as_bytes()).unwrap();
        assert!(kept(to.path()).await.message_keys.is_empty());
    }

    /// Sessions in a handmade copy are not continued, either.
    #[tokio::test]
    async fn sessions_in_a_copy_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        made(folder.path()).await.close().await;
        examine(&folder.path().join(FILE)).unwrap();
        let kept = kept(folder.path()).await;
        assert!(kept.sessions.is_empty() && kept.device.is_none());
    }
}
