//! Removes what a plugin stored: its data, its places in archives, its schedules and its webhooks.
//!
//! Contacts that it added stay noted: they never count for grants that cover contacts. The audit stays, too.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::StoreError;
use super::change::{Only, Owner, StoredValue, Write, Written};
use super::data::{PluginData, write};
use super::edit::{Edit, Statement};
use super::size::Size;
use super::work::{Lane, Task, answered, result_of};

/// The statements that remove all rows of a plugin on an account, each with its table.
pub(super) const TABLES: [(&str, Statement); 9] = [
    ("plugin_data", STATEMENTS[0]),
    ("plugin_data_size", STATEMENTS[1]),
    ("archive_position", STATEMENTS[2]),
    ("room_position", STATEMENTS[3]),
    ("webhook_address", STATEMENTS[4]),
    ("webhook_request", STATEMENTS[5]),
    ("webhook_size", STATEMENTS[6]),
    ("webhook_once", STATEMENTS[7]),
    ("schedule", STATEMENTS[8]),
];

pub(super) const STATEMENTS: [Statement; 9] = [
    Statement::new(64, "DELETE FROM plugin_data WHERE account = ?1 AND plugin = ?2"),
    Statement::new(65, "DELETE FROM plugin_data_size WHERE account = ?1 AND plugin = ?2"),
    Statement::new(66, "DELETE FROM archive_position WHERE account = ?1 AND plugin = ?2"),
    Statement::new(67, "DELETE FROM room_position WHERE account = ?1 AND plugin = ?2"),
    Statement::new(68, "DELETE FROM webhook_address WHERE account = ?1 AND plugin = ?2"),
    Statement::new(69, "DELETE FROM webhook_request WHERE account = ?1 AND plugin = ?2"),
    Statement::new(70, "DELETE FROM webhook_size WHERE account = ?1 AND plugin = ?2"),
    Statement::new(71, "DELETE FROM webhook_once WHERE account = ?1 AND plugin = ?2"),
    Statement::new(72, "DELETE FROM schedule WHERE account = ?1 AND plugin = ?2"),
];

impl PluginData {
    /// Returns whether a plugin has stored anything that [`forget`](Self::forget) removes. The plugin must not run there.
    pub async fn keeps(&self, owner: Owner) -> Result<bool, StoreError> {
        self.settled(vec![owner.clone()]).await?;
        self.read(Lane::Host, move |file| keeps(file, &owner)).await
    }

    /// Removes all that a plugin stored on an account: whole, or nothing. The plugin must not run there.
    pub async fn forget(&self, owner: Owner) -> Result<(), StoreError> {
        let owners = vec![owner.clone()];
        self.settled(owners).await?;
        self.carry_out(Lane::Host, move |edit| if keeps(edit, &owner)? { forget(edit, &owner) } else { Ok(()) }).await
    }

    /// Waits until all is stored that was begun before this call: for these plugins, and by the host. Calls of a plugin end with it,
    /// and what they began to store is stored later.
    pub async fn settled(&self, owners: Vec<Owner>) -> Result<(), StoreError> {
        for owner in owners.into_iter().map(Arc::new) {
            for lane in [Lane::Progress(Arc::clone(&owner)), Lane::Plugin(owner)] {
                self.pass(lane).await?;
            }
        }
        self.pass(Lane::Host).await
    }

    /// Waits until all is done that waits in a lane.
    async fn pass(&self, lane: Lane) -> Result<(), StoreError> {
        let (job, arrives) = answered(|_| Ok(()));
        result_of(self.tasks.put(lane, Task::Job(job)).await, arrives, &self.path).await
    }

    /// Writes all these entries or none, in place of those with the same keys. Returns false if they would exceed the quota.
    pub async fn import(&self, owner: Owner, quota: u64, entries: Vec<StoredValue>) -> Result<bool, StoreError> {
        let (owner, now) = (Arc::new(owner), self.now());
        let lane = Lane::Plugin(Arc::clone(&owner));
        self.carry_out(lane, move |edit| import(edit, quota, vec![(Owner::clone(&owner), entries)], now)).await
    }
}

fn keeps(file: &Connection, owner: &Owner) -> rusqlite::Result<bool> {
    for (table, _) in TABLES {
        let any = format!("SELECT EXISTS (SELECT 1 FROM {table} WHERE account = ?1 AND plugin = ?2)");
        if file.query_row(&any, params![owner.account.as_str(), owner.plugin.as_str()], |row| row.get(0))? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn forget(edit: &Edit<'_>, owner: &Owner) -> rusqlite::Result<()> {
    for statement in STATEMENTS {
        edit.write(statement, params![owner.account.as_str(), owner.plugin.as_str()])?;
    }
    Ok(())
}

/// Writes all entries or none. Returns false if they would exceed the quota.
pub(super) fn import(
    edit: &Edit<'_>,
    quota: u64,
    entries: Vec<(Owner, Vec<StoredValue>)>,
    now: i64,
) -> rusqlite::Result<bool> {
    let imported = edit.part(|edit| {
        for (owner, kept) in entries {
            let mut size = Size::of(edit, &owner).map_err(Some)?;
            for StoredValue { key, value, expires } in kept {
                let one = Write { key, value: Some(value), expires, only: Only::Always };
                if write(edit, &owner, &mut size, quota, &one, now).map_err(Some)? == Written::TooMuch {
                    return Err(None);
                }
            }
            size.note(edit, &owner).map_err(Some)?;
        }
        Ok(true)
    })?;
    imported.or_else(|error| error.map_or(Ok(false), Err))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use parlor_base::clock::Clock;
    use parlor_session::position::{Archive, Position};

    use super::*;
    use crate::{Handled, Store, file};

    fn owner(plugin: &str) -> Owner {
        Owner { account: "bot@example.org".parse().unwrap(), plugin: plugin.parse().unwrap() }
    }

    fn entry(key: &str, length: usize) -> StoredValue {
        StoredValue { key: key.to_owned(), value: vec![7; length], expires: None }
    }

    /// A table that is left out would keep rows of plugins that were removed with their data.
    #[test]
    fn all_tables_with_rows_of_plugins_are_emptied_but_those_that_stay() {
        let file = file::in_memory();
        let of_plugins = "SELECT one.name FROM sqlite_schema AS one JOIN pragma_table_info(one.name) AS field \
                          WHERE one.type = 'table' AND field.name = 'plugin' AND one.name NOT LIKE 'audit%'";
        let mut select = file.prepare(of_plugins).unwrap();
        let found = select.query_map([], |row| row.get::<_, String>(0)).unwrap();
        let mut found: BTreeSet<_> = found.map(Result::unwrap).collect();
        assert!(found.remove("added_contact") && found.remove("changed_contact"));
        assert_eq!(found, TABLES.iter().map(|(table, _)| (*table).to_owned()).collect());
        for (table, statement) in TABLES {
            assert!(statement.text.starts_with(&format!("DELETE FROM {table} ")), "{}", statement.text);
        }
    }

    #[tokio::test]
    async fn what_one_plugin_stored_goes_and_nothing_of_another() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        for plugin in ["a", "b"] {
            assert!(data.import(owner(plugin), 1_000, vec![entry("k", 9)]).await.unwrap());
        }
        data.forget(owner("a")).await.unwrap();
        assert!(!data.keeps(owner("a")).await.unwrap() && data.keeps(owner("b")).await.unwrap());
        assert_eq!(data.get(owner("a"), "k".to_owned()).await.unwrap(), None);
        assert!(data.sizes().await.unwrap().contains_key(&owner("b")));
    }

    /// Its calls end with it. A plugin that comes later under its id would find what they stored.
    #[tokio::test]
    async fn what_a_plugin_began_to_store_before_it_ended_goes_too() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        let (release, held) = std::sync::mpsc::channel::<()>();
        assert!(store.put(move |_| {
            let _ = held.recv();
            Ok(())
        }));
        for number in 0..40 {
            let entry = entry(&number.to_string(), 9);
            let write = Write { key: entry.key, value: Some(entry.value), expires: None, only: Only::Always };
            let mut call = Box::pin(data.write(owner("a"), 1 << 20, write));
            assert!(futures_util::poll!(call.as_mut()).is_pending());
        }
        for room in ["hall@rooms.example.org", "attic@rooms.example.org"] {
            let up_to = Position { id: None, at: Timestamp::UNIX_EPOCH };
            let keeper = data.positions(owner("a")).of(Archive::Room(room.parse().unwrap()));
            keeper.keep(Handled { up_to, beyond: Vec::new() });
        }
        let mut forgets = Box::pin(data.forget(owner("a")));
        assert!(futures_util::poll!(forgets.as_mut()).is_pending());
        drop(release);
        forgets.await.unwrap();
        assert!(!data.keeps(owner("a")).await.unwrap());
    }

    #[tokio::test]
    async fn an_import_above_the_quota_changes_nothing() {
        let store = Store::in_memory();
        let data = store.data(Clock::Machine);
        let both = || vec![entry("k", 400), entry("other", 600)];
        assert!(!data.import(owner("a"), 1_000, both()).await.unwrap());
        assert!(!data.keeps(owner("a")).await.unwrap());
        assert!(data.import(owner("a"), 2_000, both()).await.unwrap());
        assert_eq!(data.get(owner("a"), "other".to_owned()).await.unwrap(), Some(vec![7; 600]));
    }
}
