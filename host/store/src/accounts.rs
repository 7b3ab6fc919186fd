//! The files of a cluster's accounts: one for each, so that an account can go to another node.
//!
//! **Owns:** their folder, and two threads that serve all of them: one that writes, and one that reads. A file whose change waits
//! for its log delays no other. Long work, such as replay, is done on a few threads beside these.
//!
//! **Must not** know what a log is, except by the trait [`Log`](crate::Log).
//!
//! **Begin with** [`Accounts::open`]. It returns a [`Replica`], which takes in what the log has, and becomes the account's
//! [`Store`](crate::Store).

mod replica;
mod snapshot;
mod task;

use std::collections::HashMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use jid::BareJid;
use sha2::{Digest as _, Sha256};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, watch};

use super::{DataError, OpenError, file};

pub(super) use replica::ClosedFile;
pub use replica::Replica;
pub use snapshot::LARGEST_SNAPSHOT;
pub(super) use snapshot::check;
pub(super) use task::Tie;
#[cfg(test)]
pub(super) use task::on_runtime;

/// The name of the folder within the data folder.
const FOLDER: &str = "accounts";
/// How many files are opened, replayed or copied at the same time.
const AT_A_TIME: usize = 4;

/// The files of a cluster's accounts. It is cheap to clone. The threads end with the last clone and the last store.
#[derive(Debug, Clone)]
pub struct Accounts {
    folder: PathBuf,
    writer: Worker,
    reader: Worker,
    open: OpenFiles,
}

/// A thread that runs tasks, until nobody has a handle on it.
#[derive(Debug, Clone)]
struct Worker {
    runtime: Handle,
    /// Never sends anything: the thread ends when the last one is dropped.
    alive: mpsc::Sender<()>,
}

/// The files that are open, with a channel each that closes when the file is closed.
type OpenFiles = Arc<Mutex<HashMap<PathBuf, watch::Receiver<()>>>>;

/// The right to have a file open, which one holder has at a time.
#[derive(Debug)]
struct Claim {
    path: PathBuf,
    open: OpenFiles,
    alive: watch::Sender<()>,
}

impl Accounts {
    /// Starts the threads for the accounts in this data folder.
    pub fn start(data: &Path) -> io::Result<Self> {
        let folder = data.join(FOLDER);
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        remove_copies(&folder)?;
        let (writer, reader) = (Worker::start("accounts")?, Worker::start("accounts-reader")?);
        Ok(Self { folder, writer, reader, open: OpenFiles::default() })
    }

    /// Returns whether this data folder has the file of an account: the account was at this node.
    pub fn has(data: &Path, account: &BareJid) -> bool {
        data.join(FOLDER).join(name_of(account)).exists()
    }

    /// Opens the file of an account, or creates it. Waits while a store still has it open.
    ///
    /// A broken file is removed, since all of it is in the account's log.
    pub async fn open(&self, account: &BareJid) -> Result<Replica, OpenError> {
        let claim = self.claim(self.path(account)).await;
        self.open_claimed(claim).await
    }

    /// Removes the file of an account that is elsewhere now. Waits while a store still has it open.
    pub async fn remove(&self, account: &BareJid) -> Result<(), DataError> {
        let claim = self.claim(self.path(account)).await;
        let path = claim.path.clone();
        let removed = self.blocking(move || file::remove(&claim.path)).await;
        removed.unwrap_or_else(|| Err(unfinished())).map_err(|cause| unusable(path, &cause))
    }

    /// Returns the path of a draft of an account's file. If it stays, the next process removes it.
    pub(super) fn draft(&self, account: &BareJid) -> PathBuf {
        file::beside(&self.path(account), &format!("{}draft", snapshot::COPY))
    }

    async fn open_claimed(&self, claim: Claim) -> Result<Replica, OpenError> {
        let accounts = self.clone();
        let path = claim.path.clone();
        let opened = self.blocking(move || Replica::open(accounts, claim));
        opened.await.unwrap_or_else(|| Err(stopped(path)))
    }

    /// Returns the path of an account's file. Addresses have characters that names of files cannot have.
    fn path(&self, account: &BareJid) -> PathBuf {
        self.folder.join(name_of(account))
    }

    /// Waits until nobody has this file open.
    async fn claim(&self, path: PathBuf) -> Claim {
        loop {
            let mut before = {
                let mut open = lock(&self.open);
                let Some(before) = open.get(&path) else {
                    let (alive, closed) = watch::channel(());
                    open.insert(path.clone(), closed);
                    return Claim { path, open: Arc::clone(&self.open), alive };
                };
                before.clone()
            };
            // Nothing is ever sent here; the channel only closes.
            let _ = before.changed().await;
        }
    }

    /// Does long work beside the threads. Returns `None` if it panicked.
    async fn blocking<R: Send + 'static>(&self, work: impl FnOnce() -> R + Send + 'static) -> Option<R> {
        self.writer.runtime.spawn_blocking(work).await.ok()
    }
}

/// Returns the name of an account's file.
fn name_of(account: &BareJid) -> String {
    format!("{}.db", hex::encode(Sha256::digest(account.as_str().as_bytes())))
}

impl Worker {
    fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_time().max_blocking_threads(AT_A_TIME).build()?;
        let handle = runtime.handle().clone();
        let (alive, mut ended) = mpsc::channel(1);
        let main = move || {
            runtime.block_on(ended.recv());
        };
        thread::Builder::new().name(name.to_owned()).spawn(main)?;
        Ok(Self { runtime: handle, alive })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.open).remove(&self.path);
    }
}

/// Removes the copies that a process was making or fetching when it was killed. They have keys of encryption, and nobody would
/// use them again.
fn remove_copies(folder: &Path) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let entry = entry?;
        let is_copy = |name: &str| name.contains(snapshot::COPY) || name.contains(replica::FETCHED);
        if entry.file_name().to_str().is_some_and(is_copy) {
            file::remove(&entry.path())?;
        }
    }
    Ok(())
}

fn lock(open: &OpenFiles) -> MutexGuard<'_, HashMap<PathBuf, watch::Receiver<()>>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the error for work that did not return.
fn stopped(path: PathBuf) -> OpenError {
    OpenError::new(path, file::Unfit::Io(unfinished()))
}

fn unfinished() -> io::Error {
    io::Error::other("the work on it stopped")
}

fn unusable(path: PathBuf, cause: &dyn std::fmt::Display) -> DataError {
    DataError::File { path, cause: cause.to_string() }
}

#[cfg(test)]
mod tests;
