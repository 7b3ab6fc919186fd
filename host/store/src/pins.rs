//! Stores the pins of an account for later processes: the transports over which log-ins were bound to their connection.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jid::BareJid;
use parlor_xmpp::{Carrier, Pins};
use rusqlite::{Connection, params};

use super::audit::SharedAudit;
use super::edit::{Edit, Statement};
use super::reader::open_to_read;
use super::{AuditKind, By, FILE, NewAuditEntry, Store, StoreError, audit};

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS bound_log_in (
    account TEXT NOT NULL,
    carrier TEXT NOT NULL,
    PRIMARY KEY (account, carrier)
) WITHOUT ROWID, STRICT;
";

const CLEAR: Statement = Statement::new(16, "DELETE FROM bound_log_in WHERE account = ?1");
const PUT: Statement = Statement::new(17, "INSERT INTO bound_log_in VALUES (?1, ?2)");

pub(super) const STATEMENTS: [Statement; 2] = [CLEAR, PUT];

type Written = Option<BTreeSet<Carrier>>;

/// Keeps the pins of one account.
#[derive(Debug)]
pub struct PinKeeper {
    store: Store,
    account: String,
    /// The pins that log-ins read and add to.
    pins: Pins,
    /// The pins that the last job wrote or is writing; `None` if that failed.
    kept: Arc<Mutex<Written>>,
}

impl PinKeeper {
    /// Creates the keeper for this account. It has no pins until they are loaded.
    pub fn new(store: Store, account: &BareJid) -> Self {
        Self { store, account: account.to_string(), pins: Pins::default(), kept: Arc::default() }
    }

    /// Reads the stored pins.
    pub async fn load(&mut self) {
        let account = self.account.clone();
        match self.store.run(move |file| load(file, &account)).await {
            Ok(kept) => {
                self.pins = Pins::of(kept.clone());
                *lock(&self.kept) = Some(kept);
            }
            Err(error) => {
                let account = &self.account;
                tracing::warn!(%account, %error, "whether log-ins were bound cannot be read; the next one need not be");
            }
        }
    }

    /// Returns the pins that log-ins of the account read and add to.
    pub fn pins(&self) -> Pins {
        self.pins.clone()
    }

    /// Stores the pins if log-ins have changed them, without waiting. A change that could not be written is written by
    /// the next call.
    pub fn keep(&self) {
        if lock(&self.kept).as_ref() == Some(&self.pins.known()) {
            return;
        }
        let (account, kept, pins) = (self.account.clone(), Arc::clone(&self.kept), self.pins.clone());
        let (audit, failed) = (Arc::clone(&self.store.audit), Arc::clone(&self.kept));
        let change = move |edit: &Edit<'_>| {
            // The pins are read only now: they may have changed back while this waited, and then no other job follows.
            let known = pins.known();
            *lock(&kept) = Some(known.clone());
            write(edit, &account, &known, &audit)
        };
        self.store.put_then(change, move |is_made| {
            if !is_made {
                *lock(&failed) = None;
            }
        });
    }
}

fn write(edit: &Edit<'_>, account: &str, known: &BTreeSet<Carrier>, audit: &SharedAudit) -> rusqlite::Result<()> {
    let before = load(edit, account)?;
    edit.write(CLEAR, params![account])?;
    for carrier in known {
        edit.write(PUT, params![account, carrier.name()])?;
    }
    if before != *known {
        let what = format!("transports over which log-ins of {account} have to be bound to their connection");
        let by = By::host("log-in");
        let names = |carriers: &BTreeSet<Carrier>| {
            let names: Vec<_> = carriers.iter().map(|carrier| carrier.name()).collect();
            Some(names.join(", "))
        };
        let [old, new] = [names(&before), names(known)];
        audit::add_to(edit, &NewAuditEntry { old, new, ..NewAuditEntry::new(AuditKind::Pin, &by, &what) }, audit)?;
    }
    Ok(())
}

fn lock(kept: &Mutex<Written>) -> MutexGuard<'_, Written> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store {
    /// Reads the pins of an account from outside the host, without creating or changing anything. Returns no pins if no
    /// host has created the file yet.
    pub fn look_for_pins(folder: &Path, account: &BareJid) -> Result<Pins, StoreError> {
        let path = folder.join(FILE);
        if matches!(path.try_exists(), Ok(false)) {
            return Ok(Pins::default());
        }
        let found = open_to_read(&path).and_then(|file| load_if_made(&file, account.as_str()));
        found.map(Pins::of).map_err(|cause| StoreError::File { path, cause })
    }
}

/// Same as [`load`], for a file that may be older than the table.
fn load_if_made(file: &Connection, account: &str) -> rusqlite::Result<BTreeSet<Carrier>> {
    let made = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'bound_log_in')";
    if file.query_row(made, [], |row| row.get(0))? { load(file, account) } else { Ok(BTreeSet::new()) }
}

fn load(file: &Connection, account: &str) -> rusqlite::Result<BTreeSet<Carrier>> {
    let mut statement = file.prepare_cached("SELECT carrier FROM bound_log_in WHERE account = ?1")?;
    let names: BTreeSet<String> = statement.query_map([account], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(Carrier::ALL.into_iter().filter(|carrier| names.contains(carrier.name())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> BareJid {
        BareJid::new(name).unwrap()
    }

    async fn loaded(store: &Store, name: &str) -> PinKeeper {
        let mut keeper = PinKeeper::new(store.clone(), &account(name));
        keeper.load().await;
        keeper
    }

    #[tokio::test]
    async fn where_log_ins_were_bound_is_known_to_the_next_process_and_to_who_looks() {
        let folder = tempfile::tempdir().unwrap();
        let look = || Store::look_for_pins(folder.path(), &account("bot@house")).unwrap().known();
        assert!(look().is_empty());
        let store = Store::open(folder.path()).unwrap();
        let keeper = loaded(&store, "bot@house").await;
        assert!(keeper.pins().known().is_empty());
        let all = BTreeSet::from([Carrier::Tcp]);
        keeper.pins().set(all.clone());
        keeper.keep();
        drop(keeper);
        store.close().await;
        assert_eq!(look(), all);
        let store = Store::open(folder.path()).unwrap();
        assert!(loaded(&store, "other@house").await.pins().known().is_empty());
        let keeper = loaded(&store, "bot@house").await;
        assert_eq!(keeper.pins().known(), all);
        keeper.pins().set(BTreeSet::new());
        keeper.keep();
        let keeper = loaded(&store, "bot@house").await;
        assert!(keeper.pins().known().is_empty());
    }

    /// The first write fails, as with a disk that is full for a while.
    #[tokio::test]
    async fn a_pin_that_could_not_be_written_is_written_later() {
        let store = Store::in_memory();
        let keeper = loaded(&store, "bot@house").await;
        let rename = |statement: &'static str| store.run(move |file| file.execute_batch(statement));
        rename("ALTER TABLE bound_log_in RENAME TO away").await.unwrap();
        let all = BTreeSet::from([Carrier::Tcp]);
        keeper.pins().set(all.clone());
        keeper.keep();
        rename("ALTER TABLE away RENAME TO bound_log_in").await.unwrap();
        assert!(loaded(&store, "bot@house").await.pins().known().is_empty(), "it was not written");
        keeper.keep();
        assert_eq!(loaded(&store, "bot@house").await.pins().known(), all);
    }

    /// Otherwise an owner who wants no log-in to be bound, and later changes that, would find a pin of before.
    #[tokio::test]
    async fn pins_that_change_back_while_they_wait_to_be_written_are_on_disk_as_they_are() {
        let store = Store::in_memory();
        let keeper = loaded(&store, "bot@house").await;
        keeper.keep();
        let (release, held) = std::sync::mpsc::channel::<()>();
        assert!(store.put(move |_| {
            let _ = held.recv();
            Ok(())
        }));
        keeper.pins().set(BTreeSet::from([Carrier::Tcp]));
        keeper.keep();
        keeper.pins().set(BTreeSet::new());
        keeper.keep();
        drop(release);
        assert!(loaded(&store, "bot@house").await.pins().known().is_empty());
    }

    #[test]
    fn a_store_that_cannot_be_read_is_not_one_without_pins() {
        let folder = tempfile::tempdir().unwrap();
        let look = || Store::look_for_pins(folder.path(), &account("bot@house"));
        std::fs::write(folder.path().join(FILE), "").unwrap();
        assert!(look().unwrap().known().is_empty(), "an older host may have left it without the table");
        std::fs::write(folder.path().join(FILE), "x".repeat(4096)).unwrap();
        let error = look().unwrap_err().to_string();
        assert!(error.contains("parlor.db cannot be used"), "{error}");
    }
}
