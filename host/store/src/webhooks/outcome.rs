//! The outcome of requests that are stored.

use rusqlite::{OptionalExtension, params};

use super::super::change::Owner;
use super::super::edit::{Edit, Statement};
use super::RequestState;
use super::acceptance::{KEPT, count, forget_old};

pub(super) const FORGET: Statement =
    Statement::new(35, "DELETE FROM webhook_once WHERE account = ?1 AND plugin = ?2 AND webhook = ?3 AND once = ?4");
// A completed request waits again only if it is replayed, and not because an instance that ends failed on it late.
pub(super) const NOTE: Statement =
    Statement::new(36, "UPDATE webhook_request SET attempts = ?2, state = ?3 WHERE id = ?1 AND (state = 0 OR ?3 <> 0)");
pub(super) const GIVE_UP: Statement = Statement::new(
    37,
    "UPDATE webhook_request SET state = ?4 WHERE account = ?1 AND plugin = ?2 AND webhook = ?3 AND state = 0",
);
pub(super) const REPLAY: Statement =
    Statement::new(38, "UPDATE webhook_request SET attempts = 0, state = 0 WHERE id = ?1");

/// Notes the outcome of a request.
pub(super) fn note(
    edit: &Edit<'_>,
    owner: &Owner,
    id: i64,
    attempts: u32,
    state: RequestState,
) -> rusqlite::Result<()> {
    write_down(edit, owner, id, attempts, state)
}

/// Gives a request up, and forgets its signature.
pub(super) fn take_back(
    edit: &Edit<'_>,
    owner: &Owner,
    id: i64,
    webhook: &str,
    once: Option<[u8; 32]>,
) -> rusqlite::Result<()> {
    if let Some(once) = once {
        edit.write(FORGET, params![owner.account.as_str(), owner.plugin.as_str(), webhook, once])?;
    }
    write_down(edit, owner, id, 0, RequestState::GivenUp)
}

fn write_down(edit: &Edit<'_>, owner: &Owner, id: i64, attempts: u32, state: RequestState) -> rusqlite::Result<()> {
    let was_waiting = "SELECT state = 0 FROM webhook_request WHERE id = ?1 AND account = ?2 AND plugin = ?3";
    let whose = params![id, owner.account.as_str(), owner.plugin.as_str()];
    // It may have been removed with the plugin's data.
    let found = edit.query_row(was_waiting, whose, |row| row.get::<_, bool>(0)).optional()?;
    let Some(was_waiting) = found else { return Ok(()) };
    if edit.write(NOTE, params![id, attempts, state.number()])? == 0 {
        return Ok(());
    }
    let waits = state == RequestState::Waits;
    let forgotten = if waits { 0 } else { forget_old(edit, owner, KEPT)? };
    count(edit, owner, i64::from(waits) - i64::from(was_waiting), -forgotten)
}

/// Gives up what waits for other webhooks than these. Returns the number of requests.
pub(super) fn give_up_others(edit: &Edit<'_>, owner: &Owner, told: &[String]) -> rusqlite::Result<usize> {
    let whose = params![owner.account.as_str(), owner.plugin.as_str()];
    let waiting = "SELECT DISTINCT webhook FROM webhook_request WHERE account = ?1 AND plugin = ?2 AND state = 0";
    let mut found = edit.prepare_cached(waiting)?;
    let names = found.query_map(whose, |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    drop(found);
    let mut ended = 0;
    for name in names.iter().filter(|name| !told.contains(name)) {
        let state = RequestState::GivenUp.number();
        ended += edit.write(GIVE_UP, params![owner.account.as_str(), owner.plugin.as_str(), name, state])?;
    }
    if ended > 0 {
        let forgotten = forget_old(edit, owner, KEPT)?;
        count(edit, owner, -i64::try_from(ended).unwrap_or(i64::MAX), -forgotten)?;
    }
    Ok(ended)
}

/// Lets a request to one of these webhooks wait again.
pub(super) fn replay(edit: &Edit<'_>, owner: &Owner, id: i64, told: &[String]) -> rusqlite::Result<Option<String>> {
    let whose = params![id, owner.account.as_str(), owner.plugin.as_str()];
    let found = "SELECT webhook FROM webhook_request WHERE id = ?1 AND account = ?2 AND plugin = ?3 AND state <> 0";
    let found = edit.query_row(found, whose, |row| row.get::<_, String>(0)).optional()?;
    let Some(webhook) = found.filter(|webhook| told.contains(webhook)) else { return Ok(None) };
    edit.write(REPLAY, params![id])?;
    count(edit, owner, 1, 0)?;
    Ok(Some(webhook))
}

/// Drops a request that waits. Returns false if there is none.
pub(super) fn discard(edit: &Edit<'_>, owner: &Owner, id: i64) -> rusqlite::Result<bool> {
    let whose = params![id, owner.account.as_str(), owner.plugin.as_str()];
    let found = "SELECT attempts FROM webhook_request WHERE id = ?1 AND account = ?2 AND plugin = ?3 AND state = 0";
    let Some(attempts) = edit.query_row(found, whose, |row| row.get(0)).optional()? else { return Ok(false) };
    write_down(edit, owner, id, attempts, RequestState::Dropped)?;
    Ok(true)
}
