//! The outcome of requests that are stored.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::change::Owner;
use super::RequestState;
use super::acceptance::{KEPT, count, forget_old};

/// Notes the outcome of a request.
pub(super) fn note(
    file: &mut Connection,
    owner: &Owner,
    id: i64,
    attempts: u32,
    state: RequestState,
) -> rusqlite::Result<()> {
    let change = file.transaction()?;
    write_down(&change, owner, id, attempts, state)?;
    change.commit()
}

/// Gives a request up, and forgets its signature.
pub(super) fn take_back(
    file: &mut Connection,
    owner: &Owner,
    id: i64,
    webhook: &str,
    once: Option<[u8; 32]>,
) -> rusqlite::Result<()> {
    let change = file.transaction()?;
    if let Some(once) = once {
        let forget = "DELETE FROM webhook_once WHERE account = ?1 AND plugin = ?2 AND webhook = ?3 AND once = ?4";
        change.execute(forget, params![owner.account.as_str(), owner.plugin.as_str(), webhook, once])?;
    }
    write_down(&change, owner, id, 0, RequestState::GivenUp)?;
    change.commit()
}

fn write_down(file: &Connection, owner: &Owner, id: i64, attempts: u32, state: RequestState) -> rusqlite::Result<()> {
    let was_waiting = "SELECT state = 0 FROM webhook_request WHERE id = ?1 AND account = ?2 AND plugin = ?3";
    let whose = params![id, owner.account.as_str(), owner.plugin.as_str()];
    // It may have been removed with the plugin's data.
    let found = file.query_row(was_waiting, whose, |row| row.get::<_, bool>(0)).optional()?;
    let Some(was_waiting) = found else { return Ok(()) };
    // A completed request waits again only if it is replayed, and not because an instance that ends failed on it late.
    let new = "UPDATE webhook_request SET attempts = ?2, state = ?3 WHERE id = ?1 AND (state = 0 OR ?3 <> 0)";
    if file.execute(new, params![id, attempts, state.number()])? == 0 {
        return Ok(());
    }
    count(file, owner, i64::from(state == RequestState::Waits) - i64::from(was_waiting), 0)?;
    if state != RequestState::Waits {
        forget_old(file, owner, KEPT)?;
    }
    Ok(())
}

/// Gives up what waits for other webhooks than these. Returns the number of requests.
pub(super) fn give_up_others(file: &mut Connection, owner: &Owner, told: &[String]) -> rusqlite::Result<usize> {
    let change = file.transaction()?;
    let whose = params![owner.account.as_str(), owner.plugin.as_str()];
    let waiting = "SELECT DISTINCT webhook FROM webhook_request WHERE account = ?1 AND plugin = ?2 AND state = 0";
    let mut found = change.prepare(waiting)?;
    let names = found.query_map(whose, |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    drop(found);
    let give_up = "UPDATE webhook_request SET state = ?4
                   WHERE account = ?1 AND plugin = ?2 AND webhook = ?3 AND state = 0";
    let mut ended = 0;
    for name in names.iter().filter(|name| !told.contains(name)) {
        let state = RequestState::GivenUp.number();
        ended += change.execute(give_up, params![owner.account.as_str(), owner.plugin.as_str(), name, state])?;
    }
    if ended > 0 {
        count(&change, owner, -i64::try_from(ended).unwrap_or(i64::MAX), 0)?;
        forget_old(&change, owner, KEPT)?;
    }
    change.commit()?;
    Ok(ended)
}

/// Lets a request to one of these webhooks wait again.
pub(super) fn replay(
    file: &mut Connection,
    owner: &Owner,
    id: i64,
    told: &[String],
) -> rusqlite::Result<Option<String>> {
    let change = file.transaction()?;
    let whose = params![id, owner.account.as_str(), owner.plugin.as_str()];
    let found = "SELECT webhook FROM webhook_request WHERE id = ?1 AND account = ?2 AND plugin = ?3 AND state <> 0";
    let found = change.query_row(found, whose, |row| row.get::<_, String>(0)).optional()?;
    let Some(webhook) = found.filter(|webhook| told.contains(webhook)) else { return Ok(None) };
    change.execute("UPDATE webhook_request SET attempts = 0, state = 0 WHERE id = ?1", [id])?;
    count(&change, owner, 1, 0)?;
    change.commit()?;
    Ok(Some(webhook))
}
