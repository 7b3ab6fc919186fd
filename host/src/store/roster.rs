//! The roster as it was last known, with its version (RFC 6121, section 2.6): so that the server need not send all of it
//! again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use jid::BareJid;
use rusqlite::{Connection, OptionalExtension, Statement, params};

use super::Store;
use crate::session::KeepRoster;
use crate::stanza::RosterItem;

/// How many entries of one roster are read back.
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

const PUT: &str = "
INSERT INTO roster_item VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT DO UPDATE SET name = ?3, subscription = ?4, ask = ?5, groups = ?6
";

/// A roster as it was last known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRoster {
    /// The server's name for this state of it.
    pub version: String,
    /// Its entries.
    pub items: Vec<RosterItem>,
}

/// Keeps the roster of one account on disk, as the session says.
///
/// What is on disk is always a state that the server knew under the version beside it: a change that finds no room is left
/// out, and then all further ones are, too, until the whole roster comes again. An older state costs the server a few pushes.
#[derive(Debug)]
pub struct RosterKeeper {
    store: Store,
    account: String,
    /// A change found no room: those that follow it are left out.
    behind: bool,
    /// A change could not be written: the same goes for those that wait already.
    broken: Arc<AtomicBool>,
}

impl RosterKeeper {
    /// For this account.
    pub fn new(store: Store, account: &BareJid) -> Self {
        Self { store, account: account.to_string(), behind: false, broken: Arc::default() }
    }

    /// What was kept; none where nothing was, or where it cannot be read.
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

    /// Keeps a change. It does not wait.
    pub fn keep(&mut self, change: KeepRoster) {
        let account = self.account.clone();
        match change {
            KeepRoster::Whole { version, contacts } => self.begin_anew(move |file| {
                let items = contacts.values().map(|contact| contact.to_item());
                replace(file, &account, Some(&version), items)
            }),
            KeepRoster::Nothing => self.begin_anew(move |file| replace(file, &account, None, std::iter::empty())),
            KeepRoster::Changed { version, contact } => self.go_on(move |change, account| {
                put_item(&mut change.prepare(PUT)?, account, &contact.to_item())?;
                set_version(change, account, version.as_deref())
            }),
            KeepRoster::Removed { version, jid } => self.go_on(move |change, account| {
                let delete = "DELETE FROM roster_item WHERE account = ?1 AND jid = ?2";
                change.execute(delete, params![account, jid.as_str()])?;
                set_version(change, account, version.as_deref())
            }),
        }
    }

    /// What is kept is replaced, whatever became of what was to be kept before.
    fn begin_anew(&mut self, job: impl FnOnce(&mut Connection) -> rusqlite::Result<()> + Send + 'static) {
        self.broken.store(false, Relaxed);
        self.put(job);
    }

    /// Something of what is kept changes, if that is what it was.
    fn go_on(&mut self, job: impl FnOnce(&Connection, &str) -> rusqlite::Result<()> + Send + 'static) {
        if self.behind {
            return;
        }
        let (account, broken) = (self.account.clone(), Arc::clone(&self.broken));
        self.put(move |file| {
            // A file that was begun anew meanwhile knows nothing of what this is a change of.
            if broken.load(Relaxed) || kept_version(file, &account)?.is_none() {
                return Ok(());
            }
            let change = file.transaction()?;
            job(&change, &account)?;
            change.commit()
        });
    }

    fn put(&mut self, job: impl FnOnce(&mut Connection) -> rusqlite::Result<()> + Send + 'static) {
        let broken = Arc::clone(&self.broken);
        self.behind = !self.store.put(move |file| job(file).inspect_err(|_| broken.store(true, Relaxed)));
    }
}

/// The version that is kept.
fn kept_version(file: &Connection, account: &str) -> rusqlite::Result<Option<String>> {
    let select = "SELECT version FROM roster_version WHERE account = ?1";
    file.query_row(select, [account], |row| row.get(0)).optional()
}

fn load(file: &mut Connection, account: &str) -> rusqlite::Result<Option<KeptRoster>> {
    let Some(version) = kept_version(file, account)? else { return Ok(None) };
    let mut rows = file.prepare("SELECT jid, name, subscription, ask, groups FROM roster_item WHERE account = ?1")?;
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
            // Nobody but another program writes such a row.
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

/// Puts these entries in the place of all that are kept; without a version, none.
fn replace(
    file: &mut Connection,
    account: &str,
    version: Option<&str>,
    items: impl Iterator<Item = RosterItem>,
) -> rusqlite::Result<()> {
    let change = file.transaction()?;
    change.execute("DELETE FROM roster_item WHERE account = ?1", [account])?;
    change.execute("DELETE FROM roster_version WHERE account = ?1", [account])?;
    if version.is_some() {
        let mut put = change.prepare(PUT)?;
        for item in items {
            put_item(&mut put, account, &item)?;
        }
        drop(put);
        set_version(&change, account, version)?;
    }
    change.commit()
}

fn put_item(put: &mut Statement<'_>, account: &str, item: &RosterItem) -> rusqlite::Result<()> {
    let groups = serde_json::Value::from(item.groups.clone()).to_string();
    put.execute(params![account, item.jid.as_str(), item.name, item.subscription, item.ask, groups]).map(drop)
}

/// A push without a version leaves the one that was: asked for with it, the server says again what has changed since.
fn set_version(file: &Connection, account: &str, version: Option<&str>) -> rusqlite::Result<()> {
    if let Some(version) = version {
        let insert = "INSERT INTO roster_version VALUES (?1, ?2) ON CONFLICT DO UPDATE SET version = ?2";
        file.execute(insert, [account, version])?;
    }
    Ok(())
}
