//! How requests are stored: if there is room, and if they did not come before.

use rusqlite::{Connection, OptionalExtension, params};

use super::super::change::Owner;
use super::super::edit::{Edit, Statement};
use super::RequestState;

pub(super) const COUNT: Statement = Statement::new(
    30,
    "INSERT INTO webhook_size VALUES (?1, ?2, ?3, ?4)
     ON CONFLICT DO UPDATE SET waiting = waiting + ?3, bytes = bytes + ?4",
);
pub(super) const FORGET_ONCE: Statement = Statement::new(31, "DELETE FROM webhook_once WHERE at < ?1");
pub(super) const REMEMBER: Statement =
    Statement::new(32, "INSERT OR IGNORE INTO webhook_once VALUES (?1, ?2, ?3, ?4, ?5)");
pub(super) const INSERT: Statement = Statement::new(
    33,
    "INSERT INTO webhook_request
     (account, plugin, webhook, at, sender, method, query, headers, body, bytes, attempts, state)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11)",
);
/// For a request to a path below the address. Others go on by the statement that earlier versions know.
pub(super) const INSERT_BELOW: Statement = Statement::new(
    74,
    "INSERT INTO webhook_request
     (account, plugin, webhook, at, sender, method, query, headers, body, bytes, attempts, state, path)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11, ?12)",
);
pub(super) const FORGET_OLD: Statement = Statement::new(
    34,
    "DELETE FROM webhook_request WHERE id IN (
        SELECT id FROM webhook_request WHERE account = ?1 AND plugin = ?2 AND state <> 0
        ORDER BY id DESC LIMIT -1 OFFSET ?3
     ) RETURNING bytes",
);

/// The number of a plugin's requests that are kept after delivery.
pub(super) const KEPT: i64 = 100;
/// How long a signature is remembered that may come only once, in milliseconds: longer than it is valid.
const REMEMBERED: i64 = 15 * 60 * 1_000;
/// The bytes that a request counts in addition to its body, headers, query and path.
const ENTRY: usize = 256;

/// A request to a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRequest {
    /// The name of the webhook.
    pub webhook: String,
    /// The network address of its sender.
    pub sender: String,
    /// The method.
    pub method: String,
    /// The query, without the `?`.
    pub query: Option<String>,
    /// The part of the path below the address of the webhook, if any.
    pub path: Option<String>,
    /// The headers that the plugin gets.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl WebhookRequest {
    /// Returns about how many bytes it takes in the store.
    pub fn bytes(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        let [query, path] = [&self.query, &self.path].map(|text| text.as_ref().map_or(0, String::len));
        ENTRY + query + path + headers + self.body.len()
    }
}

/// How a request is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acceptance {
    /// Whether it is delivered later, and not now.
    pub waits: bool,
    /// The digest of a signature that may come only once.
    pub once: Option<[u8; 32]>,
    /// The maximum number of requests of the plugin that wait.
    pub most: u32,
    /// The maximum number of bytes of all that are kept.
    pub most_bytes: u64,
}

/// The outcome of storing a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is stored, under this id.
    As(i64),
    /// It was received before, and is not stored again.
    Again,
    /// There is no space for it.
    Full,
}

pub(super) fn size(file: &Connection, owner: &Owner) -> rusqlite::Result<(i64, i64)> {
    let mut found =
        file.prepare_cached("SELECT waiting, bytes FROM webhook_size WHERE account = ?1 AND plugin = ?2")?;
    let whose = params![owner.account.as_str(), owner.plugin.as_str()];
    let size = found.query_row(whose, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(size.unwrap_or_default())
}

/// Changes how many requests wait, and how many bytes all have. Writes nothing if neither changes.
pub(super) fn count(edit: &Edit<'_>, owner: &Owner, waiting: i64, bytes: i64) -> rusqlite::Result<()> {
    if (waiting, bytes) == (0, 0) {
        return Ok(());
    }
    edit.write(COUNT, params![owner.account.as_str(), owner.plugin.as_str(), waiting, bytes])?;
    Ok(())
}

/// Stores a request if there is room, and if it did not come before.
pub(crate) fn accept(
    edit: &Edit<'_>,
    owner: &Owner,
    request: &WebhookRequest,
    acceptance: Acceptance,
    now: i64,
) -> rusqlite::Result<Accepted> {
    // Also while there is no space: it is stored, and its sender need not retry until there is.
    if let Some(once) = acceptance.once
        && came_before(edit, owner, &request.webhook, &once, now)?
    {
        return Ok(Accepted::Again);
    }
    let (waiting, mut bytes) = size(edit, owner)?;
    let weight = i64::try_from(request.bytes()).unwrap_or(i64::MAX);
    let most = i64::try_from(acceptance.most_bytes).unwrap_or(i64::MAX);
    if acceptance.waits && waiting >= acceptance.most.into() {
        return Ok(Accepted::Full);
    }
    if bytes.saturating_add(weight) > most {
        let forgotten = forget_old(edit, owner, 0)?;
        count(edit, owner, 0, -forgotten)?;
        bytes -= forgotten;
        if bytes.saturating_add(weight) > most {
            return Ok(Accepted::Full);
        }
    }
    if let Some(once) = acceptance.once {
        edit.write(FORGET_ONCE, params![now - REMEMBERED])?;
        let whose = params![owner.account.as_str(), owner.plugin.as_str(), request.webhook, once, now];
        edit.write(REMEMBER, whose)?;
    }
    let state = if acceptance.waits { RequestState::Waits } else { RequestState::Unanswered };
    insert(edit, owner, request, state, weight, now)?;
    let id = edit.last_insert_rowid();
    let forgotten = if acceptance.waits { 0 } else { forget_old(edit, owner, KEPT)? };
    count(edit, owner, acceptance.waits.into(), weight - forgotten)?;
    Ok(Accepted::As(id))
}

/// Returns whether a request with this signature is stored, or was.
fn came_before(file: &Connection, owner: &Owner, webhook: &str, once: &[u8; 32], now: i64) -> rusqlite::Result<bool> {
    let mut found = file.prepare_cached(
        "SELECT 1 FROM webhook_once WHERE account = ?1 AND plugin = ?2 AND webhook = ?3 AND once = ?4 AND at >= ?5",
    )?;
    found.exists(params![owner.account.as_str(), owner.plugin.as_str(), webhook, once, now - REMEMBERED])
}

fn insert(
    edit: &Edit<'_>,
    owner: &Owner,
    request: &WebhookRequest,
    state: RequestState,
    weight: i64,
    now: i64,
) -> rusqlite::Result<usize> {
    let (account, plugin) = (owner.account.as_str(), owner.plugin.as_str());
    let WebhookRequest { webhook, sender, method, query, path, headers, body } = request;
    let (headers, state) = (serde_json::to_string(headers).unwrap_or_default(), state.number());
    match path {
        None => edit
            .write(INSERT, params![account, plugin, webhook, now, sender, method, query, headers, body, weight, state]),
        Some(path) => edit.write(
            INSERT_BELOW,
            params![account, plugin, webhook, now, sender, method, query, headers, body, weight, state, path],
        ),
    }
}

/// Removes all but a limited number of the completed requests. Returns how many bytes they had, which the caller takes off the
/// [`count`]: most callers change that anyway, by the same statement.
pub(super) fn forget_old(edit: &Edit<'_>, owner: &Owner, kept: i64) -> rusqlite::Result<i64> {
    let whose = params![owner.account.as_str(), owner.plugin.as_str(), kept];
    let mut bytes = 0_i64;
    edit.returning(FORGET_OLD, whose, |row| {
        bytes += row.get::<_, i64>(0)?;
        Ok(())
    })?;
    Ok(bytes)
}
