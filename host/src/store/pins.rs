//! Keeps for later processes that log-ins of an account were bound to their connection.

use std::collections::BTreeSet;
use std::path::Path;

use jid::BareJid;
use rusqlite::{Connection, params};

use super::{FILE, Store, file};
use crate::xmpp::{Carrier, Pins};

pub(super) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS bound_log_in (
    account TEXT NOT NULL,
    carrier TEXT NOT NULL,
    PRIMARY KEY (account, carrier)
) WITHOUT ROWID, STRICT;
";

/// Keeps the pins of one account.
#[derive(Debug)]
pub struct PinKeeper {
    store: Store,
    account: String,
    /// The pins that log-ins read and add to.
    pins: Pins,
    /// The state on disk.
    kept: BTreeSet<Carrier>,
}

impl PinKeeper {
    /// For this account. Nothing is known before it is loaded.
    pub fn new(store: Store, account: &BareJid) -> Self {
        Self { store, account: account.to_string(), pins: Pins::default(), kept: BTreeSet::new() }
    }

    /// Reads what was kept.
    pub async fn load(&mut self) {
        let account = self.account.clone();
        match self.store.run(move |file| load(file, &account)).await {
            Ok(kept) => {
                self.pins = Pins::of(kept.clone());
                self.kept = kept;
            }
            Err(error) => {
                let account = &self.account;
                tracing::warn!(%account, %error, "whether log-ins were bound cannot be read; the next one need not be");
            }
        }
    }

    /// The pins that log-ins of the account read and add to.
    pub fn pins(&self) -> Pins {
        self.pins.clone()
    }

    /// Keeps what log-ins have changed. It does not wait.
    pub fn keep(&mut self) {
        let known = self.pins.known();
        if known == self.kept {
            return;
        }
        let (account, carriers) = (self.account.clone(), known.clone());
        self.store.put(move |file| {
            let change = file.transaction()?;
            change.execute("DELETE FROM bound_log_in WHERE account = ?1", [&account])?;
            for carrier in carriers {
                change.execute("INSERT INTO bound_log_in VALUES (?1, ?2)", params![account, carrier.name()])?;
            }
            change.commit()
        });
        self.kept = known;
    }
}

impl Store {
    /// Where log-ins of an account were bound, for who only looks: nothing is made or changed. Nothing is known where nothing can
    /// be read.
    pub fn look_for_pins(folder: &Path, account: &BareJid) -> Pins {
        let found = file::open_to_read(&folder.join(FILE)).and_then(|file| load(&file, account.as_str()));
        Pins::of(found.unwrap_or_default())
    }
}

fn load(file: &Connection, account: &str) -> rusqlite::Result<BTreeSet<Carrier>> {
    let mut statement = file.prepare("SELECT carrier FROM bound_log_in WHERE account = ?1")?;
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
        assert!(Store::look_for_pins(folder.path(), &account("bot@house")).known().is_empty());
        let store = Store::open(folder.path()).unwrap();
        let mut keeper = loaded(&store, "bot@house").await;
        assert!(keeper.pins().known().is_empty());
        let all = BTreeSet::from([Carrier::Tcp]);
        keeper.pins().set(all.clone());
        keeper.keep();
        drop(keeper);
        store.close().await;
        assert_eq!(Store::look_for_pins(folder.path(), &account("bot@house")).known(), all);
        let store = Store::open(folder.path()).unwrap();
        assert!(loaded(&store, "other@house").await.pins().known().is_empty());
        let mut keeper = loaded(&store, "bot@house").await;
        assert_eq!(keeper.pins().known(), all);
        keeper.pins().set(BTreeSet::new());
        keeper.keep();
        let keeper = loaded(&store, "bot@house").await;
        assert!(keeper.pins().known().is_empty());
    }
}
