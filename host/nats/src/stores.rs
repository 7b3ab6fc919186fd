//! The stores of the accounts that a node has: each has its log in NATS.
//!
//! An account is taken over in this order: the fence, which ends the holder before; the file, from what is here, a snapshot
//! and the records after it; and only then a store, in which the account can start.

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use jid::BareJid;
use parlor_cluster::{Revision, Token};
use parlor_store::{Accounts, DataError, GiveUpOnDrop, LogPosition, Replica, Store};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::changes::Changes;
use crate::connect::Link;
use crate::error::{CopyError, LogError, SnapshotError, TakeOverError};
use crate::log::{AccountLog, LogReader};
use crate::names::Cluster;
use crate::pulse::Pulse;
use crate::record::{Kind, Record, RecordError};
use crate::snapshots::{Snapshot, Snapshots};
use crate::store_log::{self, Snapshotter, Tail};
use crate::streams::{create_log_again, says_gone};
use crate::unnoted::Unnoted;

/// How often a log is read again in which records are missing: the holder before may have removed those that its snapshot
/// has just replaced.
const ATTEMPTS: usize = 3;
/// How many snapshots are made or fetched at the same time. Each is in memory meanwhile, and a node that leaves stops all accounts
/// at once.
pub(crate) const COPIES: usize = 8;

/// The stores of a node. Copies share everything.
#[derive(Debug, Clone)]
pub struct Stores {
    pub(crate) link: Link,
    pub(crate) cluster: Cluster,
    pub(crate) snapshots: Snapshots,
    pub(crate) accounts: Accounts,
    /// The places of snapshots that are made or fetched. It is never closed.
    pub(crate) copies: Arc<Semaphore>,
    /// Asks whether NATS answers.
    pub(crate) pulse: Pulse,
}

/// An account that this node has. Dropping it, also while it is closed, leaves the account as a kill of the process does.
pub struct Held {
    store: Store,
    snapshotter: Arc<Snapshotter>,
    tending: Tending,
    /// Tells whether a change waits for the log.
    unnoted: Unnoted,
    /// Otherwise a change that NATS does not answer for would keep the file open.
    end: GiveUpOnDrop,
}

/// The task that makes snapshots when the log is long. It ends with the account.
struct Tending(AbortHandle);

impl Stores {
    /// Creates the object store of snapshots, unless it is there. The streams must be [prepared](crate::prepare).
    pub async fn open(link: &Link, cluster: &Cluster, accounts: Accounts) -> Result<Self, SnapshotError> {
        let snapshots = Snapshots::open(link, cluster).await?;
        let copies = Arc::new(Semaphore::new(COPIES));
        let pulse = Pulse::start(link, cluster);
        Ok(Self { link: link.clone(), cluster: cluster.clone(), snapshots, accounts, copies, pulse })
    }

    /// Takes over an account with the token of its claim. From then on, all earlier holders are refused.
    ///
    /// It can be given up at any time; the account is then taken over by a later call, here or elsewhere. If the stream of its log is gone
    /// from NATS, it is created again, and the next call takes the account over.
    pub async fn take_over(&self, account: &BareJid, token: Token) -> Result<Held, TakeOverError> {
        match self.take(account, token).await {
            Err(
                TakeOverError::Log(LogError::Put(error))
                | TakeOverError::Snapshot(SnapshotError::Log(LogError::Put(error))),
            ) if says_gone(&error) => Err(create_log_again(&self.link, &self.cluster, account.as_str()).await.into()),
            other => other,
        }
    }

    async fn take(&self, account: &BareJid, token: Token) -> Result<Held, TakeOverError> {
        let log = AccountLog::open(&self.link, &self.cluster, account.as_str(), token).await?;
        let fence = log.position().revision;
        let mut attempts = 1..ATTEMPTS;
        let (replica, tail) = loop {
            // Boxed: it is large, and rare beside all that the caller's task does afterwards.
            match Box::pin(self.catch_up(&log, account)).await {
                Err(error) if error.may_be_replaced() && attempts.next().is_some() => {}
                caught_up => break caught_up?,
            }
        };
        tail.inherit(log.length());
        // While a key is replaced, all that earlier ones encrypt is replaced by a snapshot. If the log cannot be read, it is next time.
        if self.cluster.keys().has_earlier() && log.has_earlier_keys().await.unwrap_or(false) {
            tail.force();
        }
        let (tail, unnoted) = (Arc::new(tail), Unnoted::default());
        let (log, snapshotter) = store_log::start(self, account, token, fence, log, Arc::clone(&tail), unnoted.clone());
        let snapshotter = Arc::new(snapshotter);
        let tending = Tending(tokio::spawn(store_log::tend(Arc::clone(&snapshotter), tail)).abort_handle());
        let store = replica.start(log);
        let end = store.give_up_on_drop();
        Ok(Held { store, snapshotter, tending, unnoted, end })
    }

    /// Returns a copy of an account's file as it is in the cluster now; `None` if the account has nothing. The node that runs the
    /// account continues. The folder of these stores must not be that of a node.
    pub async fn fetch(&self, account: &BareJid) -> Result<Option<Replica>, TakeOverError> {
        let mut attempts = 1..ATTEMPTS;
        loop {
            let log = AccountLog::looking(&self.link, &self.cluster, account.as_str()).await?;
            let Some(log) = log else { return Ok(None) };
            match Box::pin(self.catch_up(&log, account)).await {
                // Its holder may have just made a snapshot.
                Err(error) if error.may_be_replaced() && attempts.next().is_some() => {}
                caught_up => {
                    let (replica, _) = caught_up?;
                    return Ok(Some(replica).filter(|replica| replica.position() != LogPosition::default()));
                }
            }
        }
    }

    /// Removes the file of an account that is elsewhere. Without it, the account is fetched whole if it comes back.
    pub async fn forget(&self, account: &BareJid) -> Result<(), DataError> {
        self.accounts.remove(account).await
    }

    /// Returns the file with all that the log has.
    pub(crate) async fn catch_up(&self, log: &AccountLog, account: &BareJid) -> Result<(Replica, Tail), TakeOverError> {
        let mut replica = self.accounts.open(account).await?;
        if let Some((reader, first)) = rest(log, replica.position()).await? {
            match self.replay(replica, reader, Some(first), account).await? {
                Replayed::Whole(replica, tail) => return Ok((replica, tail)),
                Replayed::Anew(before, _) => replica = before,
            }
        }
        let (replica, mut reader) = self.begin_anew(replica, log, account).await?;
        let from = replica.position();
        let gap = |found| {
            let (_, subject) = self.cluster.log(account.as_str());
            LogError::Gap { subject, expected: from.number + 1, found }
        };
        let first = reader.next().await?;
        if let Some(first) = first.as_ref().filter(|first| !goes_on(from, first) && !begins_with_nothing(first)) {
            return Err(gap(first.number).into());
        }
        match self.replay(replica, reader, first, account).await? {
            Replayed::Whole(replica, tail) => Ok((replica, tail)),
            // It came meanwhile, and the fence of this holder lets nobody write one.
            Replayed::Anew(_, number) => Err(gap(number).into()),
        }
    }

    /// Replaces a file that does not lead to what the log has. Returns a reader of the records that the new one lacks.
    async fn begin_anew(
        &self,
        replica: Replica,
        log: &AccountLog,
        account: &BareJid,
    ) -> Result<(Replica, LogReader), TakeOverError> {
        let snapshot = match base(log.reader(0).await?).await? {
            Base::Snapshot(snapshot) => snapshot,
            Base::Begin => return Ok((replica.begin_anew(LogPosition::default()).await?, log.reader(0).await?)),
            // A file with less is older, and nobody needs it.
            Base::Nothing(needed) => {
                let reader = log.reader(needed.revision - 1).await?;
                return Ok((replica.begin_anew(needed).await?, reader));
            }
        };
        let _place = self.copies.acquire().await;
        let state = self.snapshots.fetch(account.as_str(), &snapshot).await?;
        let replica = replica.restore(state).await?;
        let (found, expected) = (replica.position(), snapshot.up_to());
        if (found.number, found.revision) != (expected.number, expected.revision) {
            let (found, expected) = (found.number, expected.number);
            return Err(TakeOverError::OtherSnapshot { account: account.clone(), found, expected });
        }
        let reader = log.reader(found.revision).await?;
        Ok((replica, reader))
    }

    /// Applies the records of a reader, of which the first one was read already.
    async fn replay(
        &self,
        mut replica: Replica,
        mut reader: LogReader,
        first: Option<Record>,
        account: &BareJid,
    ) -> Result<Replayed, TakeOverError> {
        let (mut changes, tail, mut next) = (Changes::default(), Tail::default(), first);
        while let Some(record) = next {
            if record.kind == Kind::Anew && !includes(replica.position(), &record)? {
                reader.close().await;
                return Ok(Replayed::Anew(replica, record.number));
            }
            let change = changes.take(&record).map_err(|cause| self.foreign(account, record.revision, cause))?;
            if let Some(change) = change {
                tail.add(change.len());
                let Record { revision, token, number, .. } = record;
                replica = replica.apply(LogPosition { token: token.0, number, revision }, change).await?;
            }
            next = reader.next().await?;
        }
        Ok(Replayed::Whole(replica, tail))
    }

    fn foreign(&self, account: &BareJid, revision: Revision, cause: RecordError) -> LogError {
        let (_, subject) = self.cluster.log(account.as_str());
        LogError::Foreign { subject, revision, cause }
    }
}

/// Returns a reader of the records that a file lacks, and the first of them; `None` if the log does not go on from the file.
async fn rest(log: &AccountLog, file: LogPosition) -> Result<Option<(LogReader, Record)>, LogError> {
    // The last record that the file has is looked at, too, unless a snapshot has replaced it. If another one is at its place, NATS
    // has lost records since then, and the file has changes that no other node has.
    let mut reader = log.reader(file.revision.saturating_sub(1)).await?;
    let mut first = reader.next().await?;
    if first.as_ref().is_some_and(|first| is_last(file, first)) {
        first = reader.next().await?;
    }
    match first {
        Some(first) if goes_on(file, &first) => Ok(Some((reader, first))),
        _ => {
            reader.close().await;
            Ok(None)
        }
    }
}

/// Returns whether a record is the last one that a file has.
fn is_last(file: LogPosition, record: &Record) -> bool {
    let is_there = record.revision == file.revision && record.number == file.number;
    is_there && record.token.0 == file.token && record.kind == Kind::Change
}

/// Returns whether a record is the next one after what a file has.
fn goes_on(file: LogPosition, record: &Record) -> bool {
    record.revision > file.revision && record.number == file.number + 1 && record.token.0 >= file.token
}

/// Returns whether an account begins with nothing at a record.
fn begins_with_nothing(record: &Record) -> bool {
    record.kind == Kind::Anew && record.body.is_empty()
}

/// Returns whether a file has what an account begins anew with at this record.
fn includes(file: LogPosition, record: &Record) -> Result<bool, SnapshotError> {
    let up_to = Snapshot::of(record)?.map(|snapshot| snapshot.up_to());
    Ok(up_to
        .map_or(file == LogPosition::default(), |up_to| (file.number, file.revision) == (up_to.number, up_to.revision)))
}

/// How far a file came.
enum Replayed {
    /// It has all records.
    Whole(Replica, Tail),
    /// The account begins anew at the record of this number, with something that the file does not have.
    Anew(Replica, u64),
}

/// The base to which the records of a log are applied.
pub(crate) enum Base {
    /// An empty file, and the records from the first one on.
    Begin,
    /// An empty file, and the records from this one on.
    Nothing(LogPosition),
    Snapshot(Snapshot),
}

/// Returns what a log begins with, by the newest record that says so.
pub(crate) async fn base(mut reader: LogReader) -> Result<Base, SnapshotError> {
    let mut base = Base::Begin;
    while let Some(record) = reader.next().await? {
        if begins_with_nothing(&record) {
            let Record { revision, token, number, .. } = record;
            base = Base::Nothing(LogPosition { token: token.0, number, revision });
        } else if let Some(snapshot) = Snapshot::of(&record)? {
            base = Base::Snapshot(snapshot);
        }
    }
    Ok(base)
}

/// Returns the newest snapshot that a log names.
pub(crate) async fn newest(reader: LogReader) -> Result<Option<Snapshot>, SnapshotError> {
    Ok(match base(reader).await? {
        Base::Snapshot(snapshot) => Some(snapshot),
        Base::Begin | Base::Nothing(_) => None,
    })
}

impl Held {
    /// Returns the store of the account. Each change is answered when the log has it. If the log refuses one,
    /// [`Store::over`] returns, and the account must end.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns what tells whether a change waits for the log.
    pub(crate) fn unnoted(&self) -> Unnoted {
        self.unnoted.clone()
    }

    /// Returns why the log ended, if it has.
    pub fn cause(&self) -> Option<LogError> {
        self.snapshotter.cause()
    }

    /// Ends the store of an account that has stopped. All that it was given is in the log on return, and so is a snapshot, unless
    /// too many others are made: the next holder then has more to read. All other handles on the store must have been dropped.
    ///
    /// If the snapshot fails, the account is whole all the same, and the error is for the owner. If the log or the file had
    /// [ended](CopyError::Ended), what the store was given since then is nowhere.
    pub async fn close(self) -> Result<(), CopyError> {
        let Self { store, snapshotter, tending, unnoted: _, end } = self;
        drop(tending);
        let made = snapshotter.snapshot().await;
        let over = store.over();
        store.close().await;
        drop(end);
        // The file may have ended without its log, such as when the disk was full.
        let cause = snapshotter.cause().or_else(|| over.now_or_never().map(|_| LogError::Ended));
        cause.map_or(made.map(drop), |cause| Err(CopyError::Ended(cause)))
    }

    /// Ends the store at once. A change that the log has not answered for is told as not made; if the log has it, the next
    /// holder makes it.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Tending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("store", &self.store).finish_non_exhaustive()
    }
}
