//! The one file on disk that holds what outlives the process: caches now, what plugins store later on.
//!
//! [`Store`] is a handle on the thread that owns the file: the only writer, so that nobody waits for a lock of `SQLite`, and
//! a thread of its own, so that a slow disk holds up no connection. Each table has a file of its own here, which is also
//! where its statements are. Only this folder names `rusqlite`.
//!
//! A file that is broken or somebody else's is set aside under a new name, with what lies beside it, and begun anew: what is in
//! it is worth less than a house that stands. One that only cannot be used now, or that a newer parlor wrote, is left as it is,
//! and the house does not stand: what plugins were told is kept is in it.

mod added;
mod data;
mod file;
mod pages;
mod pins;
mod position;
mod reader;
mod roster;
mod session;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

pub use added::AddedContacts;
pub use data::{
    DataError, DataFile, Kept, LONGEST_KEY, LONGEST_VALUE, Only, Owner, PluginData, Write, Written, is_key,
};
pub use pages::{LONGEST_PAGE, Page, PageOf};
pub use pins::PinKeeper;
pub use position::{Archive, Handled, Position, PositionKeeper, Positions};
pub use roster::{KeptRoster, RosterKeeper};
pub use session::SessionKeeper;

use crate::clock::Clock;
use crate::fair;
use crate::harmless::EscapedPath as _;

use reader::ReadsSender;
use work::{Inbox, Job, Lane, Task, Tasks, Work};

/// How many jobs of the host may wait for the thread.
const JOBS: usize = 1_024;

/// The name of the file in the data folder.
const FILE: &str = "parlor.db";

/// How the file fared in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Fine,
    Broken,
}

/// Why something was not stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be read or written.
    #[error("{path} cannot be used ({cause}); check the disk and the file's owner and mode", path = path.escaped())]
    File {
        /// Which.
        path: PathBuf,
        /// What `SQLite` said.
        cause: rusqlite::Error,
    },
    /// The thread has ended.
    #[error("the store has ended")]
    Ended,
}

/// Why the file was not opened.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used, and is left as it is ({cause}): {remedy}", path.escaped())]
pub struct OpenError {
    /// Which.
    path: PathBuf,
    /// Why.
    cause: file::Unfit,
    /// What to do about it.
    remedy: &'static str,
}

/// A handle on the file. Cheap to clone; the thread ends with the last one.
#[derive(Debug, Clone)]
pub struct Store {
    tasks: Tasks,
    /// The way to the reader; none where only the thread itself sees what is stored.
    reads: Option<ReadsSender>,
    path: PathBuf,
    /// Closes when the thread has ended, and the file is closed.
    ended: watch::Receiver<()>,
}

impl Store {
    /// Opens the file in this folder, or makes one. What is broken is set aside, and the log says so; what cannot be used now
    /// stays as it is.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(FILE);
        let connection = file::open(&path)?;
        Ok(Self::serve(connection, path, true))
    }

    /// Why it could not be opened, without doing it: nothing is made, changed or set aside.
    pub fn look(folder: &Path) -> Result<(), OpenError> {
        file::look(&folder.join(FILE))
    }

    /// One that forgets everything at its end.
    #[cfg(test)]
    pub fn in_memory() -> Self {
        Self::serve(file::in_memory(), PathBuf::new(), false)
    }

    /// One that forgets everything at its end, and works on the runtime itself: where its clock stands still, nobody may wait
    /// for another thread, since time would go on to whatever is due next.
    pub fn on_runtime() -> Self {
        let (tasks, mut inbox) = Inbox::new();
        let (alive, ended) = watch::channel(());
        let mut connection = file::in_memory();
        tokio::spawn(async move {
            while let Some(work) = inbox.next().await {
                // There is no file that could break.
                let _ = perform(work, &mut connection);
            }
            drop(alive);
        });
        Self { tasks, reads: None, path: PathBuf::new(), ended }
    }

    fn serve(mut connection: Connection, path: PathBuf, is_on_disk: bool) -> Self {
        let (tasks, mut inbox) = Inbox::new();
        let file = path.clone();
        let (alive, ended) = watch::channel(());
        let alive = Arc::new(alive);
        // Says to the reader that the file is another one.
        let begun = Arc::new(AtomicU64::new(0));
        let reads = is_on_disk
            .then(|| reader::serve(path.clone(), Arc::clone(&begun), Arc::clone(&alive), tasks.downgrade()))
            .flatten();
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
            drop(connection);
            drop(alive);
        });
        if let Err(error) = thread {
            tracing::error!(%error, "the store's thread cannot be started; nothing is kept on disk");
        }
        Self { tasks, reads, path, ended }
    }

    /// What plugins keep. It does not keep the thread going.
    pub fn data(&self, clock: Clock) -> PluginData {
        PluginData::new(self, clock)
    }

    /// Which contacts plugins added to this account. It does not keep the thread going.
    pub fn added_contacts(&self, account: &jid::BareJid) -> AddedContacts {
        AddedContacts::new(self.tasks.downgrade(), account, self.path.clone())
    }

    /// Does something with the file, and waits for it.
    async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (answer, arrives) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = job(connection);
            let health = file::health(&result);
            // Whoever asked may be gone; it is done all the same.
            let _ = answer.send(result);
            health
        });
        self.tasks.put(Lane::Host, Task::Job(job)).await.map_err(|fair::Closed| StoreError::Ended)?;
        let result = arrives.await.map_err(|_| StoreError::Ended)?;
        result.map_err(|cause| StoreError::File { path: self.path.clone(), cause })
    }

    /// Has something done with the file, without waiting for it. False: the thread is too far behind, and it will not be
    /// done.
    fn put(&self, job: impl FnOnce(&mut Connection) -> rusqlite::Result<()> + Send + 'static) -> bool {
        let path = self.path.clone();
        let job: Job = Box::new(move |connection| {
            let result = job(connection);
            if let Err(error) = &result {
                tracing::warn!(path = %path.escaped(), %error, "something could not be written to the store");
            }
            file::health(&result)
        });
        self.tasks.try_put(&Lane::Host, Task::Job(job))
    }

    /// Waits until everything that was put before is in the file, and the file is closed. Other handles have to be gone.
    pub async fn close(self) {
        let Self { tasks, reads, path: _, mut ended } = self;
        drop((tasks, reads));
        // Nothing is ever said there but that it is over.
        let _ = ended.changed().await;
    }
}

/// Does what the thread is asked to do.
fn perform(work: Work, file: &mut Connection) -> Health {
    match work {
        Work::Job(job) => job(file),
        Work::Writes(writes) => data::flush(file, writes),
    }
}

#[cfg(test)]
mod tests;
