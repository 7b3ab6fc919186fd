//! Webhooks of plugins: their addresses, and the received requests, in order, until they are delivered.
//!
//! A request is acknowledged to its sender after a flush of the disk. Its outcome is written without one: after a loss
//! of power the request may be delivered again.

pub(super) mod acceptance;
mod outcome;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parlor_base::id::PluginId;
use rusqlite::{Connection, OptionalExtension, Row, params};
use tokio::sync::oneshot;

use super::StoreError;
use super::change::Owner;
use super::column::add_column;
use super::data::{PluginData, by_owner, size_in};
use super::edit::{Edit, Statement};
use super::work::{Change, Lane, PendingWrite, Task, result_of};
use acceptance::{Acceptance, Accepted, WebhookRequest, size};

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS webhook_address (
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    webhook TEXT NOT NULL,
    token TEXT NOT NULL,
    PRIMARY KEY (account, plugin, webhook)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS webhook_request (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    webhook TEXT NOT NULL,
    at INTEGER NOT NULL,
    sender TEXT NOT NULL,
    method TEXT NOT NULL,
    query TEXT,
    headers TEXT NOT NULL,
    body BLOB NOT NULL,
    bytes INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    state INTEGER NOT NULL,
    path TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS webhook_request_waiting ON webhook_request (account, plugin, webhook, id) WHERE state = 0;
CREATE INDEX IF NOT EXISTS webhook_request_over ON webhook_request (account, plugin, id) WHERE state <> 0;
CREATE TABLE IF NOT EXISTS webhook_size (
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    waiting INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (account, plugin)
) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS webhook_once (
    account TEXT NOT NULL,
    plugin TEXT NOT NULL,
    webhook TEXT NOT NULL,
    once BLOB NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (account, plugin, webhook, once)
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS webhook_once_at ON webhook_once (at);
";

const NEW_TOKEN: Statement = Statement::new(28, "INSERT OR REPLACE INTO webhook_address VALUES (?1, ?2, ?3, ?4)");
const FIRST_TOKEN: Statement = Statement::new(29, "INSERT OR IGNORE INTO webhook_address VALUES (?1, ?2, ?3, ?4)");

pub(super) const STATEMENTS: [Statement; 12] = [
    NEW_TOKEN,
    FIRST_TOKEN,
    acceptance::COUNT,
    acceptance::FORGET_ONCE,
    acceptance::REMEMBER,
    acceptance::INSERT,
    acceptance::INSERT_BELOW,
    acceptance::FORGET_OLD,
    outcome::FORGET,
    outcome::NOTE,
    outcome::GIVE_UP,
    outcome::REPLAY,
];

/// Creates the tables, or adds the column that an older one lacks.
pub(super) fn make_tables(file: &Connection) -> rusqlite::Result<()> {
    file.execute_batch(TABLES)?;
    add_column(file, "webhook_request", "path", "TEXT")
}

/// The state of a stored request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestState {
    /// The plugin was not told yet, or not successfully.
    Waits,
    /// It was delivered, and its handler returned.
    Told,
    /// The plugin failed too often.
    GivenUp,
    /// The plugin has not answered.
    Unanswered,
    /// The owner dropped it while it waited.
    Dropped,
    /// It was answered with this status.
    Answered(u16),
}

impl RequestState {
    fn number(self) -> i64 {
        match self {
            Self::Waits => 0,
            Self::Told => 1,
            Self::GivenUp => 2,
            Self::Unanswered => 3,
            Self::Dropped => 4,
            Self::Answered(status) => status.max(100).into(),
        }
    }

    fn of(number: i64) -> Self {
        match number {
            0 => Self::Waits,
            1 => Self::Told,
            2 => Self::GivenUp,
            4 => Self::Dropped,
            _ => u16::try_from(number).ok().filter(|status| *status >= 100).map_or(Self::Unanswered, Self::Answered),
        }
    }
}

/// A stored request with all data for its plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRequest {
    /// Its id.
    pub id: i64,
    /// The number of failed attempts to deliver it.
    pub attempts: u32,
    /// The request.
    pub request: WebhookRequest,
}

/// A stored request as owners are shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownRequest {
    /// Its id.
    pub id: i64,
    /// The name of the webhook.
    pub webhook: String,
    /// When it was received, in milliseconds since the Unix epoch.
    pub at: i64,
    /// The network address of its sender.
    pub sender: String,
    /// The method.
    pub method: String,
    /// The size of its body in bytes.
    pub bytes: u64,
    /// The number of failed attempts to deliver it.
    pub attempts: u32,
    /// Its state.
    pub state: RequestState,
}

/// The webhooks of one plugin on one account. Like [`PluginData`], it does not keep the store's thread alive.
#[derive(Debug, Clone)]
pub struct Webhooks {
    data: PluginData,
    owner: Arc<Owner>,
}

impl PluginData {
    /// Returns the webhooks of this plugin.
    pub fn webhooks(&self, owner: Owner) -> Webhooks {
        Webhooks { data: self.clone(), owner: Arc::new(owner) }
    }

    /// Returns the address of each webhook on each account: the plugin, the name of the webhook, and the secret part.
    pub async fn webhook_addresses(&self) -> Result<Vec<(PluginId, String, String)>, StoreError> {
        self.read(Lane::Host, addresses).await
    }

    /// Returns how many requests wait for each plugin on each account, and the bytes of those that are kept for it. Plugins
    /// without requests may be missing.
    pub async fn request_sizes(&self) -> Result<BTreeMap<Owner, (u64, u64)>, StoreError> {
        self.read(Lane::Host, request_sizes).await
    }
}

impl Webhooks {
    /// Returns the secret part of the address of each of these webhooks. A webhook without one gets its fresh one; with
    /// `anew`, each webhook does.
    pub async fn tokens(
        &self,
        webhooks: Vec<(String, String)>,
        anew: bool,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let owner = Arc::clone(&self.owner);
        self.change(move |edit| {
            webhooks.into_iter().map(|(webhook, fresh)| token(edit, &owner, webhook, &fresh, anew)).collect()
        })
        .await
    }

    /// Stores a request, and waits until it is on disk.
    pub async fn accept(&self, request: WebhookRequest, acceptance: Acceptance) -> Result<Accepted, StoreError> {
        let (answer, arrives) = oneshot::channel();
        let change = Change::Request { request: Box::new(request), acceptance, answer };
        let task =
            Task::Write(PendingWrite { owner: Arc::clone(&self.owner), change, now: self.data.now(), held: None });
        // In a separate lane: a plugin that writes much must not delay the senders of requests.
        let lane = Lane::Progress(Arc::clone(&self.owner));
        result_of(self.data.tasks.put(lane, task.item()).await, arrives, &self.path()).await
    }

    /// Returns the oldest request to a webhook that waits.
    pub async fn next(&self, webhook: String) -> Result<Option<StoredRequest>, StoreError> {
        let owner = Arc::clone(&self.owner);
        self.data.read(self.lane(), move |file| next(file, &owner, &webhook)).await
    }

    /// Notes the outcome of a request that was taken by [`next`](Self::next), or that was answered.
    pub async fn note(&self, id: i64, attempts: u32, state: RequestState) -> Result<(), StoreError> {
        let owner = Arc::clone(&self.owner);
        self.change(move |edit| outcome::note(edit, &owner, id, attempts, state)).await
    }

    /// Notes the outcome of a request, and returns the oldest one that waits for this webhook then: one way to the store for both.
    /// `None`: there is none, the noted request still waits, or the next one is stored wrongly, for which
    /// [`next`](Self::next) returns the error.
    pub async fn note_and_next(
        &self,
        id: i64,
        attempts: u32,
        state: RequestState,
        webhook: String,
    ) -> Result<Option<StoredRequest>, StoreError> {
        let owner = Arc::clone(&self.owner);
        self.change(move |edit| {
            outcome::note(edit, &owner, id, attempts, state)?;
            if state == RequestState::Waits {
                return Ok(None);
            }
            match next(edit, &owner, &webhook) {
                // A request that is stored wrongly must not undo the outcome of the one before it.
                Err(error) if error.sqlite_error_code().is_none() => Ok(None),
                read => read,
            }
        })
        .await
    }

    /// Notes that a stored request was not passed on after all, and forgets its signature: when the sender repeats it, it
    /// comes for the first time.
    pub async fn take_back(&self, id: i64, webhook: String, once: Option<[u8; 32]>) -> Result<(), StoreError> {
        let owner = Arc::clone(&self.owner);
        self.change(move |edit| outcome::take_back(edit, &owner, id, &webhook, once)).await
    }

    /// Gives up the waiting requests of other webhooks than these, which are never delivered. Returns the number of
    /// requests.
    pub async fn give_up_others(&self, told: Vec<String>) -> Result<usize, StoreError> {
        let owner = Arc::clone(&self.owner);
        self.change(move |edit| outcome::give_up_others(edit, &owner, &told)).await
    }

    /// Returns the last requests, the newest first.
    pub async fn last(&self, most: u32) -> Result<Vec<ShownRequest>, StoreError> {
        let owner = Arc::clone(&self.owner);
        self.data.read(self.lane(), move |file| last(file, &owner, most)).await
    }

    /// Returns how many requests wait.
    pub async fn waiting(&self) -> Result<u64, StoreError> {
        let owner = Arc::clone(&self.owner);
        let size = self.data.read(self.lane(), move |file| size(file, &owner)).await?;
        Ok(u64::try_from(size.0).unwrap_or(0))
    }

    /// Queues a completed request again, as if it had been received again, if it was sent to one of these webhooks:
    /// requests of others are not delivered. Returns its webhook; none = it does not exist, still waits, or was sent to
    /// another one.
    pub async fn replay(&self, id: i64, told: Vec<String>) -> Result<Option<String>, StoreError> {
        let owner = Arc::clone(&self.owner);
        self.change(move |edit| outcome::replay(edit, &owner, id, &told)).await
    }

    /// Drops a request that waits. Returns false if there is none with this id.
    pub async fn discard(&self, id: i64) -> Result<bool, StoreError> {
        let owner = Arc::clone(&self.owner);
        self.change(move |edit| outcome::discard(edit, &owner, id)).await
    }

    fn lane(&self) -> Lane {
        Lane::Progress(Arc::clone(&self.owner))
    }

    fn path(&self) -> PathBuf {
        self.data.path.clone()
    }

    async fn change<R: Send + 'static>(
        &self,
        change: impl FnOnce(&Edit<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.data.carry_out(self.lane(), change).await
    }
}

fn token(
    edit: &Edit<'_>,
    owner: &Owner,
    webhook: String,
    fresh: &str,
    anew: bool,
) -> rusqlite::Result<(String, String)> {
    let whose = params![owner.account.as_str(), owner.plugin.as_str(), webhook, fresh];
    edit.write(if anew { NEW_TOKEN } else { FIRST_TOKEN }, whose)?;
    let found = "SELECT token FROM webhook_address WHERE account = ?1 AND plugin = ?2 AND webhook = ?3";
    let whose = params![owner.account.as_str(), owner.plugin.as_str(), webhook];
    let token = edit.query_row(found, whose, |row| row.get(0))?;
    Ok((webhook, token))
}

fn addresses(file: &Connection) -> rusqlite::Result<Vec<(PluginId, String, String)>> {
    let mut statement = file.prepare_cached("SELECT plugin, webhook, token FROM webhook_address")?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let plugin: String = row.get(0)?;
        if let Ok(plugin) = plugin.parse() {
            all.push((plugin, row.get(1)?, row.get(2)?));
        }
    }
    Ok(all)
}

fn request_sizes(file: &Connection) -> rusqlite::Result<BTreeMap<Owner, (u64, u64)>> {
    let select = "SELECT account, plugin, waiting, bytes FROM webhook_size";
    by_owner(file, select, |row| Ok((size_in(row, 2)?, size_in(row, 3)?)))
}

fn next(file: &Connection, owner: &Owner, webhook: &str) -> rusqlite::Result<Option<StoredRequest>> {
    let mut oldest = file.prepare_cached(
        "SELECT id, attempts, webhook, sender, method, query, headers, body, path FROM webhook_request
         WHERE account = ?1 AND plugin = ?2 AND webhook = ?3 AND state = 0 ORDER BY id LIMIT 1",
    )?;
    let read = |row: &Row<'_>| {
        let headers: String = row.get(6)?;
        let request = WebhookRequest {
            webhook: row.get(2)?,
            sender: row.get(3)?,
            method: row.get(4)?,
            query: row.get(5)?,
            path: row.get(8)?,
            headers: serde_json::from_str(&headers).unwrap_or_default(),
            body: row.get(7)?,
        };
        Ok(StoredRequest { id: row.get(0)?, attempts: row.get(1)?, request })
    };
    oldest.query_row(params![owner.account.as_str(), owner.plugin.as_str(), webhook], read).optional()
}

fn last(file: &Connection, owner: &Owner, most: u32) -> rusqlite::Result<Vec<ShownRequest>> {
    let mut newest = file.prepare_cached(
        "SELECT id, webhook, at, sender, method, length(body), attempts, state FROM webhook_request
         WHERE account = ?1 AND plugin = ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let shown = |row: &Row<'_>| {
        Ok(ShownRequest {
            id: row.get(0)?,
            webhook: row.get(1)?,
            at: row.get(2)?,
            sender: row.get(3)?,
            method: row.get(4)?,
            bytes: row.get::<_, i64>(5)?.try_into().unwrap_or(0),
            attempts: row.get(6)?,
            state: RequestState::of(row.get(7)?),
        })
    };
    newest.query_map(params![owner.account.as_str(), owner.plugin.as_str(), most], shown)?.collect()
}

#[cfg(test)]
mod tests;
