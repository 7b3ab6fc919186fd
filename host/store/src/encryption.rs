//! Stores the keys of end-to-end encryption of an account: its own, the states of its sessions, and the keys of others
//! with the decisions about them.
//!
//! A person who can read the file can decrypt the messages, as with the keys of any other client. It is readable by its
//! owner alone.

use std::collections::HashSet;
use std::future::pending;

use jid::BareJid;
use jiff::Timestamp;
use parlor_session::{KeptKeys, KeyChange, KeyKind, KnownKey, MessageKey, Secret, Way};
use parlor_stanza::types::{DeviceTrust, OmemoForm};
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::oneshot;

use super::column::add_column;
use super::edit::{Edit, Failure, Statement, StoreFile, Writing};
use super::{Store, StoreError};

/// The tables with keys, for backups.
pub const ENCRYPTION_TABLES: [&str; 6] =
    ["e2ee_chat", "e2ee_trust", "omemo_device", "omemo_message_key", "omemo_session", "otr_account"];

/// The number of collected changes above which those are left out that later changes replace.
const COLLECTED: usize = 4_096;

/// The maximum number of rows of one kind that are read back for an account.
const MOST: usize = 200_000;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS omemo_device (
    account TEXT NOT NULL PRIMARY KEY,
    state BLOB NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS otr_account (
    account TEXT NOT NULL PRIMARY KEY,
    state BLOB NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS omemo_session (
    account TEXT NOT NULL,
    jid TEXT NOT NULL,
    device INTEGER NOT NULL,
    form TEXT NOT NULL,
    state BLOB NOT NULL,
    used INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (account, jid, device, form)
) STRICT;
CREATE TABLE IF NOT EXISTS e2ee_trust (
    account TEXT NOT NULL,
    jid TEXT NOT NULL,
    device INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    trust TEXT NOT NULL,
    label TEXT,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (account, jid, device, fingerprint)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS e2ee_chat (
    account TEXT NOT NULL,
    jid TEXT NOT NULL,
    way TEXT NOT NULL,
    PRIMARY KEY (account, jid)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS omemo_message_key (
    account TEXT NOT NULL,
    archived TEXT NOT NULL,
    jid TEXT NOT NULL,
    device INTEGER NOT NULL,
    form TEXT NOT NULL,
    key BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account, archived)
) STRICT;
";

const PUT_DEVICE: Statement = Statement::new(39, "INSERT OR REPLACE INTO omemo_device VALUES (?1, ?2)");
const PUT_OTR: Statement = Statement::new(40, "INSERT OR REPLACE INTO otr_account VALUES (?1, ?2)");
const DELETE_OTR: Statement = Statement::new(41, "DELETE FROM otr_account WHERE account = ?1");
// No longer executed.
const REPLACE_SESSION: Statement = Statement::new(
    42,
    "INSERT OR REPLACE INTO omemo_session (account, jid, device, form, state) VALUES (?1, ?2, ?3, ?4, ?5)",
);
// In place: to replace a row takes twice as long, since it gets another number, which its index has as well.
const PUT_SESSION: Statement = Statement::new(
    73,
    "INSERT INTO omemo_session (account, jid, device, form, state, used) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT DO UPDATE SET state = excluded.state, used = excluded.used",
);
const DELETE_SESSION: Statement =
    Statement::new(43, "DELETE FROM omemo_session WHERE account = ?1 AND jid = ?2 AND device = ?3 AND form = ?4");
const PUT_KEY: Statement =
    Statement::new(44, "INSERT OR REPLACE INTO e2ee_trust VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
const DELETE_KEY: Statement =
    Statement::new(45, "DELETE FROM e2ee_trust WHERE account = ?1 AND jid = ?2 AND device = ?3 AND fingerprint = ?4");
const PUT_WAY: Statement = Statement::new(46, "INSERT OR REPLACE INTO e2ee_chat VALUES (?1, ?2, ?3)");
const DELETE_WAY: Statement = Statement::new(47, "DELETE FROM e2ee_chat WHERE account = ?1 AND jid = ?2");
const PUT_MESSAGE_KEY: Statement = Statement::new(
    48,
    "INSERT OR REPLACE INTO omemo_message_key (account, archived, jid, device, form, key, at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
);
const DELETE_MESSAGE_KEY: Statement =
    Statement::new(49, "DELETE FROM omemo_message_key WHERE account = ?1 AND archived = ?2");

pub(super) const STATEMENTS: [Statement; 12] = [
    PUT_DEVICE,
    PUT_OTR,
    DELETE_OTR,
    REPLACE_SESSION,
    PUT_SESSION,
    DELETE_SESSION,
    PUT_KEY,
    DELETE_KEY,
    PUT_WAY,
    DELETE_WAY,
    PUT_MESSAGE_KEY,
    DELETE_MESSAGE_KEY,
];

/// Creates the tables, or adds the column that an older one lacks: the order in which sessions were used.
pub(super) fn make_tables(file: &Connection) -> rusqlite::Result<()> {
    file.execute_batch(TABLES)?;
    add_column(file, "omemo_session", "used", "INTEGER NOT NULL DEFAULT 0")
}

/// A write that was done, or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeysWritten {
    /// The number of the last change in it.
    pub up_to: u64,
    /// Whether all of it is on disk.
    pub is_kept: bool,
}

/// Keeps the keys of one account on disk, for the account's task.
///
/// Changes are written in order. While one write is under way, later changes are collected, so that many share the next one.
#[derive(Debug)]
pub struct EncryptionKeeper {
    store: Store,
    account: String,
    /// The number of changes so far, also of earlier processes as far as sessions have it. The session that was used last has the highest.
    used: i64,
    /// Changes for the next write.
    next: Vec<KeyChange>,
    /// The number of the last change.
    asked: u64,
    /// The write that is under way, with the number of its last change.
    writing: Option<(u64, oneshot::Receiver<bool>)>,
}

impl EncryptionKeeper {
    /// Creates the keeper for this account.
    pub fn new(store: Store, account: &BareJid) -> Self {
        Self { store, account: account.to_string(), used: 0, next: Vec::new(), asked: 0, writing: None }
    }

    /// Returns what was kept when the last process ended.
    pub async fn load(&mut self) -> Result<KeptKeys, StoreError> {
        let account = self.account.clone();
        let (kept, used) = self.store.run(move |file| load(file, &account)).await?;
        self.used = self.used.max(used);
        Ok(kept)
    }

    /// Returns which chats were encrypted, for when the rest cannot be read.
    pub async fn load_ways(&self) -> Result<Vec<(BareJid, Way)>, StoreError> {
        let account = self.account.clone();
        self.store.run(move |file| ways(file, &account)).await
    }

    /// Returns whether everything is on disk.
    pub fn is_idle(&self) -> bool {
        self.writing.is_none()
    }

    /// Returns the number of the last change.
    pub fn last(&self) -> u64 {
        self.asked
    }

    /// Stores changes, all together. [`written`](Self::written) tells when that is done.
    pub fn keep(&mut self, changes: Vec<KeyChange>) {
        if changes.is_empty() {
            return;
        }
        self.asked += 1;
        self.next.extend(changes);
        if self.next.len() >= COLLECTED {
            self.next = latest(std::mem::take(&mut self.next));
        }
        if self.writing.is_none() {
            self.write();
        }
    }

    fn write(&mut self) {
        let (done, arrives) = oneshot::channel();
        let (account, changes) = (self.account.clone(), std::mem::take(&mut self.next));
        let first = self.used + 1;
        self.used = self.used.saturating_add_unsigned(changes.len() as u64);
        // If the queue is full, the job is dropped, and with it the sender.
        let change = move |file: &mut StoreFile| write_all(file, &account, changes, first);
        // The account may have ended.
        self.store.put_with(change, |is_made| _ = done.send(is_made));
        self.writing = Some((self.asked, arrives));
    }

    /// Waits until the write that is under way is done, or forever if there is none. Cancel-safe.
    pub async fn written(&mut self) -> KeysWritten {
        let Some((up_to, arrives)) = &mut self.writing else { return pending().await };
        let is_kept = arrives.await.unwrap_or(false);
        let up_to = *up_to;
        self.writing = None;
        if !self.next.is_empty() {
            self.write();
        }
        KeysWritten { up_to, is_kept }
    }
}

/// Returns those changes that no later one takes the place of. The keys of single messages are left out: their archive may be asked by
/// another client.
fn latest(changes: Vec<KeyChange>) -> Vec<KeyChange> {
    let mut seen = HashSet::new();
    let mut has_device = false;
    let mut is_last = |change: &KeyChange| match change {
        KeyChange::Device(_) => !std::mem::replace(&mut has_device, true),
        KeyChange::Session { jid, device, form, .. } => seen.insert((jid.clone(), *device, *form)),
        KeyChange::MessageKey(_) => false,
        _ => true,
    };
    let mut kept: Vec<_> = changes.into_iter().rev().filter(|change| is_last(change)).collect();
    kept.reverse();
    kept
}

/// Makes all changes, or none. `first`: the number of the first one.
fn write_all(file: &mut StoreFile, account: &str, changes: Vec<KeyChange>, first: i64) -> Result<(), Failure> {
    // Most messages to a person change one session and nothing else. One write needs no transaction.
    if let [KeyChange::Session { jid, device, form, state: Some(state) }] = &*changes {
        let state: &[u8] = state;
        let values = params![account, jid.as_str(), device, form.namespace(), state, first];
        return file.change_once(|edit| edit.write(PUT_SESSION, values)).map(drop);
    }
    file.change(|edit| {
        // A message to a room changes hundreds of sessions, for which the statement is looked up once.
        let mut put_session = edit.writing(PUT_SESSION)?;
        let mut numbered = (first..).zip(changes);
        numbered.try_for_each(|(used, change)| write_one((edit, &mut put_session), account, change, used))
    })
}

/// Makes one change. `put_session` puts the state of a session. `used`: the number of the change, which increases.
fn write_one(
    (edit, put_session): (&Edit<'_>, &mut Writing<'_>),
    account: &str,
    change: KeyChange,
    used: i64,
) -> rusqlite::Result<()> {
    match change {
        KeyChange::Device(state) => {
            edit.write(PUT_DEVICE, params![account, &*state])?;
        }
        KeyChange::Otr(Some(state)) => {
            edit.write(PUT_OTR, params![account, &*state])?;
        }
        KeyChange::Otr(None) => {
            edit.write(DELETE_OTR, params![account])?;
        }
        KeyChange::Session { jid, device, form, state: Some(state) } => {
            put_session.write(params![account, jid.as_str(), device, form.namespace(), &*state, used])?;
        }
        KeyChange::Session { jid, device, form, state: None } => {
            edit.write(DELETE_SESSION, params![account, jid.as_str(), device, form.namespace()])?;
        }
        KeyChange::Key(key) => put_key(edit, account, &key)?,
        KeyChange::NoKey(key) => {
            edit.write(DELETE_KEY, params![account, key.jid.as_str(), device_of(key.kind), key.fingerprint])?;
        }
        KeyChange::Way(jid, Some(way)) => {
            edit.write(PUT_WAY, params![account, jid.as_str(), way.as_str()])?;
        }
        KeyChange::Way(jid, None) => {
            edit.write(DELETE_WAY, params![account, jid.as_str()])?;
        }
        KeyChange::MessageKey(MessageKey { archived, jid, device, form, key, at }) => {
            let at = at.as_millisecond();
            let values = params![account, archived, jid.as_str(), device, form.namespace(), &*key, at];
            edit.write(PUT_MESSAGE_KEY, values)?;
        }
        KeyChange::NoMessageKeys(names) => {
            let mut delete = edit.writing(DELETE_MESSAGE_KEY)?;
            for name in names {
                delete.write(params![account, name.as_str()])?;
            }
        }
    }
    Ok(())
}

/// Returns the device of a key; 0 for a key of off-the-record messaging.
fn device_of(kind: KeyKind) -> u32 {
    kind.device().unwrap_or(0)
}

fn put_key(edit: &Edit<'_>, account: &str, key: &KnownKey) -> rusqlite::Result<()> {
    let KnownKey { jid, kind, fingerprint, label, trust, first_seen, last_seen, is_listed: _ } = key;
    let (first, last) = (first_seen.as_millisecond(), last_seen.as_millisecond());
    let values = params![account, jid.as_str(), device_of(*kind), fingerprint, trust.as_str(), label, first, last];
    edit.write(PUT_KEY, values).map(drop)
}

/// Reads what is kept, and the highest number of a session.
fn load(file: &Connection, account: &str) -> rusqlite::Result<(KeptKeys, i64)> {
    let blob = |table: &str| {
        let select = format!("SELECT state FROM {table} WHERE account = ?1");
        let state: Option<Vec<u8>> = file.query_row(&select, [account], |row| row.get(0)).optional()?;
        Ok::<_, rusqlite::Error>(state.map(Secret::new))
    };
    let select = "SELECT jid, device, form, state, used, rowid FROM omemo_session WHERE account = ?1";
    let mut sessions = rows(file, select, account, |row| {
        let one = session((jid(row, 0)?, row.get(1)?, form(row, 2)?, row.get(3)?));
        let order: (i64, i64) = (row.get(4)?, row.get(5)?);
        Ok(one.map(|one| (order, one)))
    })?;
    // Not by `SQLite`, which could write the states to a temporary file for that.
    sessions.sort_unstable_by_key(|(order, _)| *order);
    let used = sessions.last().map_or(0, |((used, _), _)| *used);
    let kept = KeptKeys {
        device: blob("omemo_device")?,
        otr: blob("otr_account")?,
        sessions: sessions.into_iter().map(|(_, one)| one).collect(),
        keys: rows(
            file,
            // Decisions come first: if there are too many rows, they are not those that are left out.
            "SELECT jid, device, fingerprint, trust, label, first_seen, last_seen FROM e2ee_trust WHERE account = ?1 \
             ORDER BY trust IN ('blind', 'undecided'), jid, device, fingerprint",
            account,
            key,
        )?,
        ways: ways(file, account)?,
        message_keys: rows(
            file,
            "SELECT archived, jid, device, form, key, at FROM omemo_message_key WHERE account = ?1 ORDER BY rowid",
            account,
            message_key,
        )?,
    };
    Ok((kept, used))
}

fn ways(file: &Connection, account: &str) -> rusqlite::Result<Vec<(BareJid, Way)>> {
    rows(file, "SELECT jid, way FROM e2ee_chat WHERE account = ?1", account, |row| {
        let way: String = row.get(1)?;
        Ok(jid(row, 0)?.zip(Way::named(&way)))
    })
}

/// Reads rows. Rows that only another program can have written are left out.
fn rows<T>(
    file: &Connection,
    select: &str,
    account: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<Option<T>>,
) -> rusqlite::Result<Vec<T>> {
    let mut select = file.prepare_cached(select)?;
    let rows = select.query_map([account], read)?;
    rows.take(MOST).filter_map(Result::transpose).collect()
}

fn jid(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<BareJid>> {
    Ok(BareJid::new(&row.get::<_, String>(at)?).ok())
}

fn form(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<OmemoForm>> {
    Ok(OmemoForm::of_namespace(&row.get::<_, String>(at)?))
}

fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_millisecond(row.get(at)?).unwrap_or(Timestamp::UNIX_EPOCH))
}

type Session = (BareJid, u32, OmemoForm, Secret);

fn session((jid, device, form, state): (Option<BareJid>, u32, Option<OmemoForm>, Vec<u8>)) -> Option<Session> {
    Some((jid?, device, form?, Secret::new(state)))
}

fn key(row: &Row<'_>) -> rusqlite::Result<Option<KnownKey>> {
    let (Some(jid), device, trust) = (jid(row, 0)?, row.get(1)?, row.get::<_, String>(3)?) else { return Ok(None) };
    let Some(trust) = DeviceTrust::named(&trust) else { return Ok(None) };
    let kind = if device == 0 { KeyKind::Otr } else { KeyKind::Omemo { device } };
    let (fingerprint, label) = (row.get(2)?, row.get(4)?);
    let (first_seen, last_seen) = (time(row, 5)?, time(row, 6)?);
    Ok(Some(KnownKey { jid, kind, fingerprint, label, trust, first_seen, last_seen, is_listed: false }))
}

fn message_key(row: &Row<'_>) -> rusqlite::Result<Option<MessageKey>> {
    let (Some(jid), Some(form)) = (jid(row, 1)?, form(row, 3)?) else { return Ok(None) };
    let key = Secret::new(row.get(4)?);
    Ok(Some(MessageKey { archived: row.get(0)?, jid, device: row.get(2)?, form, key, at: time(row, 5)? }))
}

#[cfg(test)]
mod tests;
