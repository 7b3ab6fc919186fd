//! Stores the last known roster with its version (RFC 6121, section 2.6), so that the server need not send all of it
//! again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use jid::BareJid;
use parlor_session::KeepRoster;
use parlor_stanza::types::RosterItem;
use rusqlite::{Connection, OptionalExtension, params};

use super::Store;
use super::edit::{Edit, Statement, Writing};

/// The maximum number of entries that are read back for one roster.
const MOST: usize = 50_000;

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS roster_version (
    account TEXT NOT NULL PRIMARY KEY,
    version TEXT NOT NULL
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS roster_item (
    account TEXT NOT NULL,
    jid TEXT NOT NULL,
    name TEXT,
    subscription TEXT NOT NULL,
    ask INTEGER NOT NULL,
    groups TEXT NOT NULL,
    PRIMARY KEY (account, jid)
) WITHOUT ROWID, STRICT;
";

const PUT: Statement = Statement::new(
    11,
    "INSERT INTO roster_item VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT DO UPDATE SET name = ?3, subscription = ?4, ask = ?5, groups = ?6",
);
const DELETE: Statement = Statement::new(12, "DELETE FROM roster_item WHERE account = ?1 AND jid = ?2");
const CLEAR: Statement = Statement::new(13, "DELETE FROM roster_item WHERE account = ?1");
const CLEAR_VERSION: Statement = Statement::new(14, "DELETE FROM roster_version WHERE account = ?1");
const SET_VERSION: Statement =
    Statement::new(15, "INSERT INTO roster_version VALUES (?1, ?2) ON CONFLICT DO UPDATE SET version = ?2");

pub(super) const STATEMENTS: [Statement; 5] = [PUT, DELETE, CLEAR, CLEAR_VERSION, SET_VERSION];

/// A roster as it was last known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRoster {
    /// The server's name for this state of the roster.
    pub version: String,
    /// The entries of the roster.
    pub items: Vec<RosterItem>,
}

/// Keeps the roster of one account on disk, following the session.
///
/// The stored roster is always a state that the server knew under the stored version. If the queue has no room for a
/// change, that change and all later ones are dropped until the whole roster is stored again. An older state costs the
/// server a few pushes.
#[derive(Debug)]
pub struct RosterKeeper {
    store: Store,
    account: String,
    /// A change found no room in the queue, so later changes are dropped.
    behind: bool,
    /// A change could not be written, so changes already in the queue are dropped.
    broken: Arc<AtomicBool>,
}

impl RosterKeeper {
    /// Creates the keeper for this account.
    pub fn new(store: Store, account: &BareJid) -> Self {
        Self { store, account: account.to_string(), behind: false, broken: Arc::default() }
    }

    /// Returns the stored roster, or `None` if nothing was stored or it cannot be read.
    pub async fn load(&self) -> Option<KeptRoster> {
        let account = self.account.clone();
        match self.store.run(move |file| load(file, &account)).await {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(account = %self.account, %error, "the kept roster cannot be read; it is fetched anew");
                None
            }
        }
    }

    /// Stores a change without waiting for it.
    pub fn keep(&mut self, change: KeepRoster) {
        let account = self.account.clone();
        match change {
            KeepRoster::Whole { version, contacts } => self.begin_anew(move |edit| {
                let items = contacts.values().map(|contact| contact.to_item());
                replace(edit, &account, Some(&version), items)
            }),
            KeepRoster::Nothing => self.begin_anew(move |edit| replace(edit, &account, None, std::iter::empty())),
            KeepRoster::Changed { version, contact } => self.go_on(move |edit, account| {
                put_item(&mut edit.writing(PUT)?, account, &contact.to_item())?;
                set_version(edit, account, version.as_deref())
            }),
            KeepRoster::Removed { version, jid } => self.go_on(move |edit, account| {
                edit.write(DELETE, params![account, jid.as_str()])?;
                set_version(edit, account, version.as_deref())
            }),
        }
    }

    /// Replaces the stored roster, regardless of earlier changes that were lost. Until that is done, queued changes that
    /// follow a lost one are still dropped: it may fail itself.
    fn begin_anew(&mut self, change: impl FnOnce(&Edit<'_>) -> rusqlite::Result<()> + Send + 'static) {
        let broken = Arc::clone(&self.broken);
        self.behind = !self.store.put_then(change, move |is_made| broken.store(!is_made, Relaxed));
    }

    /// Changes the stored roster, unless an earlier change was lost.
    fn go_on(&mut self, change: impl FnOnce(&Edit<'_>, &str) -> rusqlite::Result<()> + Send + 'static) {
        if self.behind {
            return;
        }
        let (account, broken) = (self.account.clone(), Arc::clone(&self.broken));
        let change = move |edit: &Edit<'_>| {
            // A file that was created again meanwhile does not hold the roster that this change applies to.
            if broken.load(Relaxed) || kept_version(edit, &account)?.is_none() {
                return Ok(());
            }
            change(edit, &account)
        };
        let broken = Arc::clone(&self.broken);
        self.behind = !self.store.put_then(change, move |is_made| _ = broken.fetch_or(!is_made, Relaxed));
    }
}

/// Returns the stored version.
fn kept_version(file: &Connection, account: &str) -> rusqlite::Result<Option<String>> {
    let select = "SELECT version FROM roster_version WHERE account = ?1";
    file.query_row(select, [account], |row| row.get(0)).optional()
}

fn load(file: &Connection, account: &str) -> rusqlite::Result<Option<KeptRoster>> {
    let Some(version) = kept_version(file, account)? else { return Ok(None) };
    let mut rows =
        file.prepare_cached("SELECT jid, name, subscription, ask, groups FROM roster_item WHERE account = ?1")?;
    let rows = rows.query_map([account], |row| {
        let (jid, groups): (String, String) = (row.get(0)?, row.get(4)?);
        let item = |jid, groups| {
            Ok::<_, rusqlite::Error>(RosterItem {
                jid,
                name: row.get(1)?,
                subscription: row.get(2)?,
                ask: row.get(3)?,
                groups,
            })
        };
        match (BareJid::new(&jid), serde_json::from_str(&groups)) {
            (Ok(jid), Ok(groups)) => item(jid, groups).map(Some),
            // Only another program writes such a row.
            (Err(_), _) | (_, Err(_)) => Ok(None),
        }
    })?;
    let items: Option<Vec<RosterItem>> = rows.take(MOST + 1).collect::<rusqlite::Result<_>>()?;
    let items = items.filter(|items| items.len() <= MOST && items.iter().all(is_whole));
    if items.is_none() {
        tracing::warn!(%account, "the kept roster is not what was written; it is fetched anew");
    }
    Ok(items.map(|items| KeptRoster { version, items }))
}

fn is_whole(item: &RosterItem) -> bool {
    matches!(item.subscription.as_str(), "none" | "to" | "from" | "both")
}

/// Replaces all stored entries. Without a version, the roster is only removed.
fn replace(
    edit: &Edit<'_>,
    account: &str,
    version: Option<&str>,
    items: impl Iterator<Item = RosterItem>,
) -> rusqlite::Result<()> {
    edit.write(CLEAR, params![account])?;
    edit.write(CLEAR_VERSION, params![account])?;
    if version.is_some() {
        let mut put = edit.writing(PUT)?;
        for item in items {
            put_item(&mut put, account, &item)?;
        }
        set_version(edit, account, version)?;
    }
    Ok(())
}

fn put_item(put: &mut Writing<'_>, account: &str, item: &RosterItem) -> rusqlite::Result<()> {
    let groups = serde_json::Value::from(item.groups.clone()).to_string();
    put.write(params![account, item.jid.as_str(), item.name, item.subscription, item.ask, groups]).map(drop)
}

/// Stores the version of a push. A push without one keeps the old version: when asked with that, the server sends the
/// later changes again.
fn set_version(edit: &Edit<'_>, account: &str, version: Option<&str>) -> rusqlite::Result<()> {
    if let Some(version) = version {
        edit.write(SET_VERSION, params![account, version])?;
    }
    Ok(())
}
