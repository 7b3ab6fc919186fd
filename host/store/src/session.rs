//! Stores the stream session that the last process left, so that this one can resume it (XEP-0198).

use jid::{BareJid, FullJid};
use parlor_xmpp::Left;
use rusqlite::{Connection, params};

use super::Store;
use super::column::add_column;
use super::edit::{Edit, Statement};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS session (
    account TEXT NOT NULL PRIMARY KEY,
    jid TEXT NOT NULL,
    id TEXT NOT NULL,
    heard INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL,
    location TEXT
) WITHOUT ROWID, STRICT;
";

const TAKE: Statement =
    Statement::new(9, "DELETE FROM session WHERE account = ?1 RETURNING jid, id, heard, acknowledged, location");
const KEEP: Statement = Statement::new(
    10,
    "INSERT OR REPLACE INTO session (account, jid, id, heard, acknowledged, location)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
);

pub(super) const STATEMENTS: [Statement; 2] = [TAKE, KEEP];

/// Creates the table, or adds the column that an older table lacks.
pub(super) fn make_table(file: &Connection) -> rusqlite::Result<()> {
    file.execute_batch(TABLES)?;
    add_column(file, "session", "location", "TEXT")
}

/// Keeps the session of one account from one process to the next.
#[derive(Debug)]
pub struct SessionKeeper {
    store: Store,
    account: String,
}

impl SessionKeeper {
    /// Creates the keeper for this account.
    pub fn new(store: Store, account: &BareJid) -> Self {
        Self { store, account: account.to_string() }
    }

    /// Removes and returns the stored session: a session is resumed at most once.
    pub async fn take(&self) -> Option<Left> {
        let account = self.account.clone();
        match self.store.change(move |edit| take(edit, &account)).await {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!(account = %self.account, %error, "the session of before cannot be read; it is not gone on with");
                None
            }
        }
    }

    /// Stores a session without waiting for it.
    pub fn keep(&self, left: Left) {
        let account = self.account.clone();
        self.store.put(move |edit| {
            let Left { jid, id, heard, acknowledged, location } = left;
            edit.write(KEEP, params![account, jid.as_str(), id, heard, acknowledged, location]).map(drop)
        });
    }
}

fn take(edit: &Edit<'_>, account: &str) -> rusqlite::Result<Option<Left>> {
    let mut left = None;
    edit.returning(TAKE, params![account], |row| {
        let jid: String = row.get(0)?;
        // Only another program writes an invalid address.
        let Ok(jid) = FullJid::new(&jid) else { return Ok(()) };
        let (id, heard, acknowledged, location) = (row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?);
        left = Some(Left { jid, id, heard, acknowledged, location });
        Ok(())
    })?;
    Ok(left)
}
