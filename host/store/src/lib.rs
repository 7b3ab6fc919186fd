//! The `SQLite` file that outlives the process: data of plugins, caches, positions in archives.
//!
//! **Owns:** the file, its thread, and each table with its statements, one file of this folder for each. Only this package
//! names `rusqlite`.
//!
//! **Must not** be waited for by a connection: a slow disk delays none.
//!
//! **Begin with** [`Store`], a handle on the thread. That thread is the only writer, so nothing waits for a lock of `SQLite`.
//! All changes go through `edit`, so that a log can have them; without a log ([`NoLog`]), the file alone does. In a cluster,
//! each account has its own file and log, and [`Accounts`] serves them all.
//!
//! A file that is broken or belongs to another program is renamed, together with the files next to it, and a new one is
//! created: a running host is worth more than its contents. A file that cannot be used at the moment, or that a newer
//! parlor wrote, is not changed, and the host does not start: the file holds data that was confirmed to plugins as
//! stored.

mod accounts;
mod added;
mod audit;
pub mod backup;
mod batch;
mod change;
mod changes;
mod column;
mod data;
mod data_file;
mod edit;
mod encryption;
mod error;
mod file;
mod forget;
mod health;
mod log;
mod look;
mod marks;
mod pages;
mod pins;
mod place;
mod position;
mod reader;
mod record;
mod replay;
mod roster;
mod schedules;
mod session;
mod size;
mod sleepers;
mod webhooks;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use accounts::Tie;
use audit::SharedAudit;
use edit::{Edit, Failure, StoreFile};
use health::Health;
use parlor_base::clock::Clock;
use parlor_base::escape::EscapedPath as _;
use reader::ReadsSender;
use rusqlite::Connection;
use schedules::Having;
use tokio::sync::watch;
use work::{Arrives, Inbox, Job, Lane, Task, Tasks, Work, changing, reading, result_of};

pub use accounts::{Accounts, LARGEST_SNAPSHOT, Replica};
pub use added::AddedContacts;
pub use audit::kept::AuditFile;
pub use audit::{
    Activity, Audit, AuditEntry, AuditKind, AuditQuery, By, CONFIGURATION, Count, KeptTally, MOST_TALLIES,
    NewAuditEntry, PolicyChange, PolicyRow, Retention, Share, Tally, TallyKind, Traffic,
};
pub use change::{Addition, Changed, Only, Owner, Step, StoredValue, Write, Written};
pub use data::{LONGEST_KEY, LONGEST_VALUE, PluginData, is_key};
pub use data_file::{AccountFile, DataFile, Mark, Stage};
pub use encryption::{ENCRYPTION_TABLES, EncryptionKeeper, KeysWritten};
pub use error::DataError;
pub use log::{Log, LogError, LogPosition, NoLog, Receipt};
pub use pages::{EntryHead, LONGEST_PAGE, Page, PageOf};
pub use pins::PinKeeper;
pub use position::{Handled, PositionKeeper, Positions};
pub use record::{FORMAT, Record, RecordError};
pub use replay::ReplayError;
pub use roster::{KeptRoster, RosterKeeper};
pub use schedules::{DueOutcome, LastDue, NewSchedule, Schedules, StoredSchedule, StoredTiming};
pub use session::SessionKeeper;
pub use sleepers::StoredSleeper;
pub use webhooks::acceptance::{Acceptance, Accepted, WebhookRequest};
pub use webhooks::{RequestState, ShownRequest, StoredRequest, Webhooks};

/// The maximum number of host jobs that may wait for the thread.
const JOBS: usize = 1_024;

/// The maximum time that an outside reader, such as a backup, may delay a write.
const PATIENCE: Duration = Duration::from_secs(5);

/// The name of the file in the data folder.
const FILE: &str = "parlor.db";

/// An error from reading or writing the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be read or written.
    #[error("{path} cannot be used ({cause}); check the disk and the file's owner and mode", path = path.escaped())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error from `SQLite`.
        cause: rusqlite::Error,
    },
    /// The log does not have the change, or may not have it, so it was not made.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store's thread has ended.
    #[error("the store has ended")]
    Ended,
}

/// An error from opening the file.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used, and is left as it is ({cause}): {remedy}", path.escaped())]
pub struct OpenError {
    /// The path of the file.
    path: PathBuf,
    /// The reason that the file cannot be used.
    cause: file::Unfit,
    /// The advice for the user.
    remedy: &'static str,
}

impl OpenError {
    fn new(path: PathBuf, cause: file::Unfit) -> Self {
        Self { path, remedy: cause.remedy(), cause }
    }

    /// Returns whether a newer parlor wrote the file.
    pub fn is_of_a_newer_parlor(&self) -> bool {
        matches!(self.cause, file::Unfit::Newer(_))
    }
}

/// A handle on the file. It is cheap to clone; the thread ends with the last handle.
#[derive(Debug, Clone)]
pub struct Store {
    tasks: Tasks,
    /// The queue of the reader; `None` if only the writer thread sees the data.
    reads: Option<ReadsSender>,
    path: PathBuf,
    with_schedules: Arc<Having>,
    audit: Arc<SharedAudit>,
    /// The state that it shares with the tasks of its file, if that has a log.
    tie: Option<Arc<Tie>>,
    /// Closes when the thread has ended and the file is closed.
    ended: watch::Receiver<()>,
}

/// Ends the file of a store when it is dropped: see [`Store::give_up_on_drop`].
#[derive(Debug)]
pub struct GiveUpOnDrop(Option<Arc<Tie>>);

impl Drop for GiveUpOnDrop {
    fn drop(&mut self) {
        if let Some(tie) = &self.0 {
            tie.give_up();
        }
    }
}

impl Store {
    /// Opens the file in this folder, or creates it. A broken file is set aside, which is logged and in the new file's audit.
    /// A file that cannot be used at the moment is not changed.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(FILE);
        let file = file::open(&path)?;
        Ok(Self::serve(file, path, true))
    }

    /// Checks whether [`open`](Self::open) would leave the file as it is and fail, without creating, changing or
    /// setting aside anything.
    pub fn look(folder: &Path) -> Result<(), OpenError> {
        file::look(&folder.join(FILE))
    }

    /// Returns the reason why [`open`](Self::open) would set the file aside and begin anew, as far as its beginning shows,
    /// without changing anything.
    pub fn reason_to_set_aside(folder: &Path) -> Option<String> {
        file::reason_to_set_aside(&folder.join(FILE))
    }

    /// Returns the files that were set aside, since they could not be used.
    pub fn all_set_aside(folder: &Path) -> Vec<PathBuf> {
        file::all_set_aside(&folder.join(FILE))
    }

    /// Creates a store in memory.
    #[cfg(any(test, feature = "test-support"))]
    pub fn in_memory() -> Self {
        Self::serve(StoreFile::new(file::in_memory(), NoLog), PathBuf::new(), false)
    }

    /// Creates a store in memory that works on the runtime itself instead of a thread. With a paused clock, waiting for
    /// another thread would advance the time to the next timer.
    pub fn on_runtime() -> Self {
        let (tasks, mut inbox) = Inbox::new();
        let (alive, ended) = watch::channel(());
        let mut file = StoreFile::new(file::in_memory(), NoLog);
        tokio::spawn(async move {
            while let Some(work) = inbox.next().await {
                // No file exists that could break.
                let _ = perform(work, &mut file);
            }
            drop(alive);
        });
        Self::of(tasks, None, PathBuf::new(), None, ended)
    }

    fn of(
        tasks: Tasks,
        reads: Option<ReadsSender>,
        path: PathBuf,
        tie: Option<Arc<Tie>>,
        ended: watch::Receiver<()>,
    ) -> Self {
        Self { tasks, reads, path, with_schedules: Arc::default(), audit: Arc::default(), tie, ended }
    }

    /// Serves a file without a log, on a thread of its own.
    fn serve(mut file: StoreFile, path: PathBuf, is_on_disk: bool) -> Self {
        let (tasks, mut inbox) = Inbox::new();
        let location = path.clone();
        let (alive, ended) = watch::channel(());
        let alive = Arc::new(alive);
        // Counts recreations of the file, so that the reader reopens it.
        let begun = Arc::new(AtomicU64::new(0));
        let reads = is_on_disk
            .then(|| reader::serve(path.clone(), Arc::clone(&begun), Arc::clone(&alive), tasks.downgrade()))
            .flatten();
        let (reads, reader) = reads.unzip();
        let thread = std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            while let Some(work) = inbox.wait() {
                if perform(work, &mut file) == Health::Fine {
                    continue;
                }
                // Closed first, so that nothing holds the file when it is set aside.
                drop(file);
                file = file::open_anew(&location, "it turned out to be broken");
                if file::is_in_memory(&file) {
                    begun.store(reader::NO_FILE, Relaxed);
                } else {
                    begun.fetch_add(1, Relaxed);
                }
            }
            // Callers that wait get the end now, also if the reader still has work.
            drop(inbox);
            // The reader may not write: if its connection were the last one, the log next to the file would stay.
            if let Some(reader) = reader {
                let _ = reader.join();
            }
            drop(file);
            drop(alive);
        });
        if let Err(error) = thread {
            tracing::error!(%error, "the store's thread cannot be started; nothing is kept on disk");
        }
        Self::of(tasks, reads, path, None, ended)
    }

    /// Waits until the log has refused a change of the file or has ended, or the file was given up. From then on, all changes and
    /// reads fail with that error, and the account must end. Without a log, it waits forever. It does not keep the file open.
    pub fn over(&self) -> impl Future<Output = LogError> + Send + use<> {
        let tie = self.tie.clone();
        async move {
            match tie {
                Some(tie) => tie.over().await,
                None => std::future::pending().await,
            }
        }
    }

    /// Ends a file with a log at once: a change that the log has not answered for is undone here, and made by the next holder if
    /// the log has it. Without a log, it does nothing.
    pub fn give_up(&self) {
        drop(self.give_up_on_drop());
    }

    /// Returns what ends a file with a log when it is dropped, unless it is closed by then. It does not keep the file open.
    pub fn give_up_on_drop(&self) -> GiveUpOnDrop {
        GiveUpOnDrop(self.tie.clone())
    }

    /// Returns the data of plugins. This handle does not keep the thread alive.
    pub fn data(&self, clock: Clock) -> PluginData {
        PluginData::new(self, clock)
    }

    /// Returns the contacts that plugins added to this account. This handle does not keep the thread alive.
    pub fn added_contacts(&self, account: &jid::BareJid) -> AddedContacts {
        AddedContacts::new(self.tasks.downgrade(), account, self.path.clone())
    }

    /// Reads on the thread of the writer.
    async fn run<R: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.wait_for(reading(read)).await
    }

    /// Makes a change, whole or not at all, and waits for it.
    async fn change<R: Send + 'static>(
        &self,
        change: impl FnOnce(&Edit<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.wait_for(changing(change)).await
    }

    async fn wait_for<R>(&self, (job, arrives): (Job, Arrives<R>)) -> Result<R, StoreError> {
        result_of(self.tasks.put(Lane::Host, Task::Job(job)).await, arrives, &self.path).await
    }

    /// Queues a change without waiting for it. Returns false if the queue is full; the change is then dropped.
    fn put(&self, change: impl FnOnce(&Edit<'_>) -> rusqlite::Result<()> + Send + 'static) -> bool {
        self.put_then(change, |_| ())
    }

    /// Same as [`put`](Self::put), and tells on the thread whether the change is made.
    fn put_then(
        &self,
        change: impl FnOnce(&Edit<'_>) -> rusqlite::Result<()> + Send + 'static,
        then: impl FnOnce(bool) + Send + 'static,
    ) -> bool {
        self.put_with(move |file| file.change(change), then)
    }

    /// Same as [`put_then`](Self::put_then), for a job that makes its change itself, and one at most.
    fn put_with(
        &self,
        change: impl FnOnce(&mut StoreFile) -> Result<(), Failure> + Send + 'static,
        then: impl FnOnce(bool) + Send + 'static,
    ) -> bool {
        let path = self.path.clone();
        let job: Job = Box::new(move |file| {
            let result = change(file);
            file.conclude(result, move |result| {
                if let Err(error) = &result {
                    tracing::warn!(path = %path.escaped(), %error, "something could not be written to the store");
                }
                then(result.is_ok());
                health::of(&result)
            })
        });
        self.tasks.try_put(&Lane::Host, Task::Job(job))
    }

    /// Waits until all queued jobs are done and the file is closed. All other handles must have been dropped.
    pub async fn close(self) {
        let Self { tasks, reads, path: _, with_schedules: _, audit: _, tie: _, mut ended } = self;
        drop((tasks, reads));
        // Nothing is ever sent here; the channel only closes.
        let _ = ended.changed().await;
    }
}

/// Does a piece of work on the thread.
fn perform(work: Work, file: &mut StoreFile) -> Health {
    match work {
        Work::Job(job) => job(file),
        Work::Writes(writes) => batch::flush(file, writes),
    }
}

#[cfg(test)]
mod tests;
