//! The log of an account as its store writes it, and the snapshots that keep it short.
//!
//! A task of each account owns its log. The store and the snapshots tell it what to append.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use jid::BareJid;
use parlor_cluster::{Revision, Token};
use parlor_store::{Log, LogPosition, Receipt};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::clock;
use crate::error::{CopyError, LogError, SnapshotError};
use crate::log::{AccountLog, LogReader, forget_before};
use crate::record::{Kind, Position};
use crate::snapshots::Snapshot;
use crate::stores::{Stores, newest};
use crate::unnoted::Unnoted;

/// How many changes follow a snapshot, and how many bytes these have, until the next one is made.
const MOST_CHANGES: u64 = 1_000;
const MOST_BYTES: u64 = 8 * 1024 * 1024;
/// How long after a snapshot that failed the next one is tried.
const RETRY: Duration = Duration::from_mins(1);
/// How long a snapshot waits until fewer others are made. An account that has stopped runs nowhere meanwhile.
const PLACE: Duration = Duration::from_secs(3);
/// The store has one change under way, and one snapshot is named at a time.
const COMMANDS: usize = 4;

/// Tells the outcome of a change to the store.
type Told = oneshot::Sender<Result<LogPosition, parlor_store::LogError>>;

enum Command {
    Append(Bytes, Told),
    Name(Snapshot, oneshot::Sender<Result<(), LogError>>),
}

/// The log of an account, for its store.
#[derive(Debug)]
pub(crate) struct StoreLog {
    commands: mpsc::Sender<Command>,
}

impl Log for StoreLog {
    fn publish(&mut self, record: parlor_store::Record) -> Receipt {
        let (told, receipt) = oneshot::channel();
        // If it cannot be put, the receipt tells that the log has ended.
        _ = self.commands.try_send(Command::Append(record.into_bytes().into(), told));
        receipt
    }
}

/// Counts the changes in a log after the last snapshot.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    changes: AtomicU64,
    bytes: AtomicU64,
    /// Whether a snapshot is due.
    grown: Notify,
}

impl Tail {
    /// Adds a change of this size.
    pub(crate) fn add(&self, size: usize) {
        let changes = self.changes.fetch_add(1, Relaxed) + 1;
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        let bytes = self.bytes.fetch_add(size, Relaxed) + size;
        if is_long(changes, bytes) {
            self.grown.notify_one();
        }
    }

    /// Counts the records in the log, if holders before have left many: each of them may have been killed before a snapshot was due.
    pub(crate) fn inherit(&self, records: u64) {
        if records >= MOST_CHANGES {
            self.changes.fetch_max(records, Relaxed);
            self.grown.notify_one();
        }
    }

    /// Makes a snapshot due, however short the log is.
    pub(crate) fn force(&self) {
        self.inherit(MOST_CHANGES);
    }

    /// Returns whether a snapshot is due.
    fn is_due(&self) -> bool {
        let (changes, bytes) = self.counts();
        is_long(changes, bytes)
    }

    fn counts(&self) -> (u64, u64) {
        (self.changes.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// Takes off what a snapshot includes.
    fn take_off(&self, (changes, bytes): (u64, u64)) {
        self.changes.fetch_sub(changes, Relaxed);
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

fn is_long(changes: u64, bytes: u64) -> bool {
    changes >= MOST_CHANGES || bytes >= MOST_BYTES
}

/// Makes the snapshots of an account.
pub(crate) struct Snapshotter {
    stores: Stores,
    account: BareJid,
    commands: mpsc::Sender<Command>,
    tail: Arc<Tail>,
    /// The fence of this holder.
    fence: Revision,
    /// The newest snapshot, once it is known.
    before: Mutex<Option<Snapshot>>,
    cause: Arc<OnceLock<LogError>>,
}

/// Starts the task of a log. The tail counts what it appends, and `unnoted` tells whether it waits for NATS.
pub(crate) fn start(
    stores: &Stores,
    account: &BareJid,
    token: Token,
    fence: Revision,
    log: AccountLog,
    tail: Arc<Tail>,
    unnoted: Unnoted,
) -> (StoreLog, Snapshotter) {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let cause = Arc::<OnceLock<LogError>>::default();
    tokio::spawn(run(log, token, inbox, Arc::clone(&tail), unnoted, Arc::clone(&cause)));
    let snapshotter = Snapshotter {
        stores: stores.clone(),
        account: account.clone(),
        commands: commands.clone(),
        tail,
        fence,
        before: Mutex::default(),
        cause,
    };
    (StoreLog { commands }, snapshotter)
}

/// Appends what it is told, until the log ends or nobody is left.
async fn run(
    mut log: AccountLog,
    token: Token,
    mut inbox: mpsc::Receiver<Command>,
    tail: Arc<Tail>,
    unnoted: Unnoted,
    cause: Arc<OnceLock<LogError>>,
) {
    while let Some(command) = inbox.recv().await {
        // Also the name of a snapshot: the changes behind it wait as long.
        unnoted.begins(clock::now());
        let ended = match command {
            Command::Append(change, mut told) => {
                let size = change.len();
                let appended = tokio::select! {
                    biased;
                    appended = log.append(change) => appended,
                    // The store was given up. Nothing may follow a change that may be written or not.
                    () = told.closed() => Err(LogError::Ended),
                };
                let answer = match &appended {
                    Ok(Position { revision, number }) => {
                        tail.add(size);
                        Ok(LogPosition { token: token.0, number: *number, revision: *revision })
                    }
                    Err(LogError::Fenced) => Err(parlor_store::LogError::Fenced),
                    Err(_) => Err(parlor_store::LogError::Ended),
                };
                // Set first: whoever hears that the log ended may ask why.
                let ended = appended.err().inspect(|error| _ = cause.set(error.clone()));
                _ = told.send(answer);
                ended
            }
            Command::Name(snapshot, told) => {
                let named = log.write(Kind::Snapshot, snapshot.body()).await.map(drop);
                let ended = named.as_ref().err().cloned().inspect(|error| _ = cause.set(error.clone()));
                _ = told.send(named);
                ended
            }
        };
        unnoted.ends();
        if let Some(error) = ended {
            tracing::debug!(%error, "the log of an account has ended");
            return;
        }
    }
}

/// Makes a snapshot whenever the log has become long, until the log has ended.
pub(crate) async fn tend(snapshotter: Arc<Snapshotter>, tail: Arc<Tail>) {
    loop {
        tail.grown.notified().await;
        // Otherwise the snapshot before has the changes that told.
        if tail.is_due()
            && let Err(error) = snapshotter.snapshot().await
        {
            if snapshotter.cause().is_some() {
                return;
            }
            let account = snapshotter.account.as_str();
            tracing::warn!(%account, %error, "a snapshot of an account was not made; its log becomes longer");
            sleep(RETRY).await;
        }
    }
}

impl Snapshotter {
    /// Returns why the log ended, if it has.
    pub(crate) fn cause(&self) -> Option<LogError> {
        self.cause.get().cloned()
    }

    /// Makes a snapshot of what is committed, and removes what it replaces: the records up to there, and the snapshot before.
    /// Returns false if nothing has changed since the last one, or if too many others are made.
    ///
    /// The object is stored first, then named by a record of the log, and only then the records before it are removed. A node
    /// that is killed in between leaves nothing but garbage.
    pub(crate) async fn snapshot(&self) -> Result<bool, CopyError> {
        let mut before = self.before.lock().await;
        // Those that come meanwhile count for the next one.
        let counts = self.tail.counts();
        if counts.0 == 0 {
            return Ok(false);
        }
        let is_made = self.replace(&mut before).await?;
        if is_made {
            // Not earlier: if this is given up, the next attempt must know of them.
            self.tail.take_off(counts);
        }
        Ok(is_made)
    }

    async fn replace(&self, before: &mut Option<Snapshot>) -> Result<bool, CopyError> {
        let Stores { link, cluster, snapshots, accounts, copies, pulse: _ } = &self.stores;
        let name = self.account.as_str();
        let Ok(place) = timeout(PLACE, copies.acquire()).await else { return Ok(false) };
        if before.is_none() {
            let reader = LogReader::open(link, cluster, name, 0..self.fence).await.map_err(SnapshotError::from)?;
            *before = newest(reader).await?;
        }
        let (position, state) = accounts.snapshot(&self.account).await?;
        let up_to = Position { revision: position.revision, number: position.number };
        let snapshot = snapshots.store(name, up_to, state).await?;
        drop(place);
        let (told, named) = oneshot::channel();
        let is_told = self.commands.send(Command::Name(snapshot.clone(), told)).await;
        let named = if is_told.is_ok() { named.await.unwrap_or(Err(LogError::Ended)) } else { Err(LogError::Ended) };
        named.map_err(SnapshotError::from)?;
        // From here on, the snapshot counts, whatever fails.
        let replaced = before.replace(snapshot.clone()).filter(|replaced| *replaced != snapshot);
        forget_before(link, cluster, name, up_to.revision + 1).await.map_err(SnapshotError::from)?;
        if let Some(replaced) = replaced {
            snapshots.forget(&replaced).await;
        }
        if let Err(error) = snapshots.forget_before(name, &snapshot).await {
            tracing::debug!(account = name, %error, "what uploads left in NATS is removed with the next snapshot");
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_long_log_of_holders_before_makes_a_snapshot_due() {
        let tail = Tail::default();
        tail.add(1);
        tail.inherit(MOST_CHANGES - 1);
        assert!(tail.counts().0 == 1 && tail.grown.notified().now_or_never().is_none());
        tail.inherit(MOST_CHANGES);
        assert!(tail.is_due() && tail.grown.notified().now_or_never().is_some());
    }

    #[test]
    fn a_snapshot_is_due_after_many_changes_or_bytes_and_only_once() {
        for (size, most) in [(1, MOST_CHANGES), (1 << 20, 8)] {
            let tail = Tail::default();
            (1..most).for_each(|_| tail.add(size));
            assert!(!tail.is_due() && tail.grown.notified().now_or_never().is_none());
            tail.add(size);
            assert!(tail.is_due() && tail.grown.notified().now_or_never().is_some());
            let counts = tail.counts();
            // One that comes while the snapshot is made.
            tail.add(size);
            tail.take_off(counts);
            assert!(!tail.is_due() && tail.counts().0 == 1);
        }
    }
}
