//! Adds to a copy what an account keeps in a cluster, so that the copy is as if the host were alone.

use std::path::Path;

use parlor_session::Secret;
use serde_json::{Map, Value};

use super::{DataError, ENCRYPTION_TABLES, STREAMS, columns, failed, key_tables, open, quoted, without_log, written};
use crate::data_file::{AccountFile, attached, replace};

/// Puts all that an account keeps into a copy, in place of what the copy has of it. Its keys are added to those that the copy lacks, which
/// [`copy`](super::copy) returned. Data that no backup has is left out.
pub fn add(copy: &Path, from: &AccountFile, keys: &Secret) -> Result<Secret, DataError> {
    let unreadable = || failed(copy, &"the keys of the backup cannot be read");
    let mut keys: Map<String, Value> = serde_json::from_slice(keys).map_err(|_| unreadable())?;
    let path = from.file().path().canonicalize().map_err(|cause| failed(from.file().path(), &cause))?;
    let name = path.to_str().ok_or_else(|| failed(&path, &"its path is no text"))?;
    let mut to = open(copy)?;
    let left_out: Vec<&str> = ENCRYPTION_TABLES.into_iter().chain([STREAMS]).collect();
    let added = attached(&mut to, name, |file| {
        let change = file.transaction()?;
        replace(&change, from.account(), &left_out)?;
        let is_added = add_keys(&change, from, &mut keys)?;
        change.commit()?;
        Ok(is_added)
    });
    // One file, without a log beside it.
    let single = without_log(&to);
    match added.and_then(|added| single.map(|()| added)) {
        Ok(true) => Ok(Secret::new(Value::from(keys).to_string().into_bytes())),
        Ok(false) => Err(unreadable()),
        Err(cause) => Err(failed(copy, &cause)),
    }
}

/// Returns false if the keys are not as `keys` writes them.
fn add_keys(file: &rusqlite::Connection, from: &AccountFile, keys: &mut Map<String, Value>) -> rusqlite::Result<bool> {
    let account = from.account().as_str();
    for table in key_tables() {
        let Some(kept) = keys.get_mut(table) else { return Ok(false) };
        let names: Option<Vec<String>> =
            kept["columns"].as_array().and_then(|all| all.iter().map(|one| one.as_str().map(str::to_owned)).collect());
        let present = columns(file, "other", table)?;
        let Some(names) = names.filter(|names| names.iter().all(|name| present.contains(name))) else {
            return Ok(false);
        };
        let Some(at) = names.iter().position(|name| name == "account") else { return Ok(false) };
        let Some(rows) = kept["rows"].as_array_mut() else { return Ok(false) };
        rows.retain(|row| row[at] != account);
        let select = format!("SELECT {} FROM other.\"{table}\" WHERE account = ?1", quoted(&names));
        let mut select = file.prepare(&select)?;
        let row = |row: &rusqlite::Row<'_>| {
            let cells = (0..names.len()).map(|at| Ok::<_, rusqlite::Error>(written(row.get_ref(at)?)));
            cells.collect::<rusqlite::Result<Vec<Value>>>().map(Value::from)
        };
        for row in select.query_map([account], row)? {
            rows.push(row?);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use jid::BareJid;

    use super::super::{copy, examine, put_keys};
    use super::*;
    use crate::data_file::tests_of_moving::{PLACE, fill, jid, rows};
    use crate::{Accounts, DataFile, FILE, Mark, Stage};

    #[tokio::test]
    async fn a_copy_has_what_an_account_keeps_in_a_cluster_without_ratchets() {
        let (here, there, to) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (bot, other): (BareJid, BareJid) = (jid("bot"), jid("other"));
        // It has moved, and this file has the other account alone.
        let mut single = DataFile::create(here.path()).unwrap();
        fill(single.connection(), &bot, 3);
        fill(single.connection(), &other, 2);
        let (of_bot, of_other) = (rows(single.connection(), &bot), rows(single.connection(), &other));
        let accounts = Accounts::start(there.path()).unwrap();
        let state = single.snapshot_for(&accounts, &bot, PLACE).unwrap();
        let mark = Mark { stage: Stage::Left, cluster: "bots".to_owned(), mark: "a1".to_owned() };
        single.leave(&bot, &mark).unwrap();
        let replica = accounts.open(&bot).await.unwrap().restore(state).await.unwrap();
        let from = AccountFile::of(replica, &bot).unwrap();

        let path = to.path().join(FILE);
        let keys = copy(here.path(), &path).unwrap();
        let keys = add(&path, &from, &keys).unwrap();
        // Once more: nothing is doubled.
        let keys = add(&path, &from, &keys).unwrap();
        assert_eq!(std::fs::read_dir(to.path()).unwrap().count(), 1, "it is one file");
        let copied = DataFile::create(to.path()).unwrap();
        assert!(copied.marks().unwrap().is_empty(), "a host that is restored may run it");
        drop(copied);
        examine(&path).unwrap();
        put_keys(&path, &keys).unwrap();
        let copied = DataFile::create(to.path()).unwrap();
        let without = |all: Vec<(String, Vec<Vec<rusqlite::types::Value>>)>| -> Vec<_> {
            let never = ["omemo_session", "omemo_message_key", "session"];
            all.into_iter().filter(|(table, _)| !never.contains(&table.as_str())).collect()
        };
        assert_eq!(without(rows(copied.connection(), &bot)), without(of_bot));
        assert_eq!(without(rows(copied.connection(), &other)), without(of_other));
        for never in ["omemo_session", "omemo_message_key", "session"] {
            let all = rows(copied.connection(), &bot);
            assert!(all.iter().all(|(table, rows)| table != never || rows.is_empty()), "{never}");
        }
    }
}
