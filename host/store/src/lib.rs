//! The `SQLite` file that outlives the process: data of plugins, caches, positions in archives.
//!
//! **Owns:** the file, its thread, and each table with its statements, one file of this folder for each. Only this package
//! names `rusqlite`.
//!
//! **Must not** be waited for by a connection: a slow disk delays none.
//!
//! **Begin with** [`Store`], a handle on the thread. That thread is the only writer, so nothing waits for a lock of `SQLite`.
//!
//! A file that is broken or belongs to another program is renamed, together with the files next to it, and a new one is
//! created: a running host is worth more than its contents. A file that cannot be used at the moment, or that a newer
//! parlor wrote, is not changed, and the host does not start: the file holds data that was confirmed to plugins as
//! stored.

mod added;
mod audit;
pub mod backup;
mod change;
mod changes;
mod data;
mod data_file;
mod encryption;
mod file;
mod health;
mod pages;
mod pins;
mod position;
mod reader;
mod roster;
mod schedules;
mod session;
mod webhooks;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use audit::SharedAudit;
use health::Health;
use parlor_base::clock::Clock;
use parlor_base::escape::EscapedPath as _;
use reader::ReadsSender;
use rusqlite::Connection;
use schedules::Having;
use tokio::sync::watch;
use work::{Inbox, Job, Lane, Task, Tasks, Work, answered, result_of};

pub use added::AddedContacts;
pub use audit::kept::AuditFile;
pub use audit::{
    Activity, Audit, AuditEntry, AuditKind, AuditQuery, By, Count, KeptTally, MOST_TALLIES, NewAuditEntry,
    PolicyChange, PolicyRow, Retention, Share, Tally, TallyKind, Traffic,
};
pub use change::{Addition, Changed, Only, Owner, Step, Write, Written};
pub use data::{LONGEST_KEY, LONGEST_VALUE, PluginData, is_key};
pub use data_file::{DataError, DataFile, StoredValue};
pub use encryption::{ENCRYPTION_TABLES, EncryptionKeeper, KeysWritten};
pub use pages::{LONGEST_PAGE, Page, PageOf};
pub use pins::PinKeeper;
pub use position::{Handled, PositionKeeper, Positions};
pub use roster::{KeptRoster, RosterKeeper};
pub use schedules::{DueOutcome, LastDue, NewSchedule, Schedules, StoredSchedule, StoredTiming};
pub use session::SessionKeeper;
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

/// A handle on the file. It is cheap to clone; the thread ends with the last handle.
#[derive(Debug, Clone)]
pub struct Store {
    tasks: Tasks,
    /// The queue of the reader; `None` if only the writer thread sees the data.
    reads: Option<ReadsSender>,
    path: PathBuf,
    with_schedules: Arc<Having>,
    audit: Arc<SharedAudit>,
    /// Closes when the thread has ended and the file is closed.
    ended: watch::Receiver<()>,
}

impl Store {
    /// Opens the file in this folder, or creates it. A broken file is set aside, which is logged. A file that cannot be
    /// used at the moment is not changed.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(FILE);
        let connection = file::open(&path)?;
        Ok(Self::serve(connection, path, true))
    }

    /// Checks whether [`open`](Self::open) would leave the file as it is and fail, without creating, changing or
    /// setting aside anything.
    pub fn look(folder: &Path) -> Result<(), OpenError> {
        file::look(&folder.join(FILE))
    }

    /// Creates a store in memory.
    #[cfg(any(test, feature = "test-support"))]
    pub fn in_memory() -> Self {
        Self::serve(file::in_memory(), PathBuf::new(), false)
    }

    /// Creates a store in memory that works on the runtime itself instead of a thread. With a paused clock, waiting for
    /// another thread would advance the time to the next timer.
    pub fn on_runtime() -> Self {
        let (tasks, mut inbox) = Inbox::new();
        let (alive, ended) = watch::channel(());
        let mut connection = file::in_memory();
        tokio::spawn(async move {
            while let Some(work) = inbox.next().await {
                // No file exists that could break.
                let _ = perform(work, &mut connection);
            }
            drop(alive);
        });
        Self { tasks, reads: None, path: PathBuf::new(), with_schedules: Arc::default(), audit: Arc::default(), ended }
    }

    fn serve(mut connection: Connection, path: PathBuf, is_on_disk: bool) -> Self {
        let (tasks, mut inbox) = Inbox::new();
        let file = path.clone();
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
                if perform(work, &mut connection) == Health::Broken {
                    // Closed first, so that nothing holds the file when it is set aside.
                    drop(connection);
                    file::set_aside(&file, "it turned out to be broken");
                    connection = file::open_anew(&file);
                    if file::is_in_memory(&connection) {
                        begun.store(reader::NO_FILE, Relaxed);
                    } else {
                        begun.fetch_add(1, Relaxed);
                    }
                }
            }
            // The reader may not write: if its connection were the last one, the log next to the file would stay.
            if let Some(reader) = reader {
                let _ = reader.join();
            }
            drop(connection);
            drop(alive);
        });
        if let Err(error) = thread {
            tracing::error!(%error, "the store's thread cannot be started; nothing is kept on disk");
        }
        Self { tasks, reads, path, with_schedules: Arc::default(), audit: Arc::default(), ended }
    }

    /// Returns the data of plugins. This handle does not keep the thread alive.
    pub fn data(&self, clock: Clock) -> PluginData {
        PluginData::new(self, clock)
    }

    /// Returns the contacts that plugins added to this account. This handle does not keep the thread alive.
    pub fn added_contacts(&self, account: &jid::BareJid) -> AddedContacts {
        AddedContacts::new(self.tasks.downgrade(), account, self.path.clone())
    }

    /// Runs a job on the file and waits for its result.
    async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (job, arrives) = answered(job);
        result_of(self.tasks.put(Lane::Host, Task::Job(job)).await, arrives, &self.path).await
    }

    /// Queues a job on the file without waiting for it. Returns false if the queue is full; the job is then dropped.
    fn put(&self, job: impl FnOnce(&mut Connection) -> rusqlite::Result<()> + Send + 'static) -> bool {
        let path = self.path.clone();
        let job: Job = Box::new(move |connection| {
            let result = job(connection);
            if let Err(error) = &result {
                tracing::warn!(path = %path.escaped(), %error, "something could not be written to the store");
            }
            health::of(&result)
        });
        self.tasks.try_put(&Lane::Host, Task::Job(job))
    }

    /// Waits until all queued jobs are done and the file is closed. All other handles must have been dropped.
    pub async fn close(self) {
        let Self { tasks, reads, path: _, with_schedules: _, audit: _, mut ended } = self;
        drop((tasks, reads));
        // Nothing is ever sent here; the channel only closes.
        let _ = ended.changed().await;
    }
}

/// Does a piece of work on the thread.
fn perform(work: Work, file: &mut Connection) -> Health {
    match work {
        Work::Job(job) => job(file),
        Work::Writes(writes) => data::flush(file, writes),
    }
}

#[cfg(test)]
mod tests;
