//! The tasks of an account's file: one writes, on the thread for all accounts, and one reads.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parlor_base::fair;
use rusqlite::Connection;
use tokio::sync::{Notify, watch};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{Accounts, Claim};
use crate::edit::{Failure, StoreFile};
use crate::health::Health;
use crate::log::{Log, LogError};
use crate::reader::{Reads, open_to_read};
use crate::work::{Inbox, Job, Lane, Task, WeakTasks};
use crate::{Store, file, perform};

/// How long a connection for reading is kept that nobody uses.
const IDLE: Duration = if cfg!(test) { Duration::from_millis(50) } else { Duration::from_secs(30) };
const FOREVER: Duration = Duration::from_hours(24);

/// The state that the tasks of a file with a log share with all handles on it.
#[derive(Debug, Default)]
pub(crate) struct Tie {
    /// Why the file makes no further change.
    over: watch::Sender<Option<LogError>>,
    /// Asks the task to end the file.
    given_up: Notify,
}

impl Tie {
    /// Ends the file at once.
    pub(crate) fn give_up(&self) {
        self.given_up.notify_one();
    }

    /// Waits until the file makes no further change.
    pub(crate) async fn over(&self) -> LogError {
        let mut over = self.over.subscribe();
        // The sender is here, so the channel does not close.
        let is_over = over.wait_for(Option::is_some).await;
        is_over.ok().and_then(|over| *over).unwrap_or(LogError::Ended)
    }

    fn tell(&self, file: &StoreFile) {
        if let Some(error) = file.over() {
            self.end(error);
        }
    }

    /// Tells why the file makes no further change. The first reason stays.
    fn end(&self, why: LogError) {
        self.over.send_if_modified(|over| over.is_none() && over.replace(why).is_none());
    }
}

/// Ends the file if its task panics. Otherwise the account would run on without it.
struct EndOnPanic(Arc<Tie>);

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(LogError::Ended);
            self.0.give_up();
        }
    }
}

/// Starts the tasks of a file.
pub(super) fn start(accounts: &Accounts, claim: Claim, connection: Connection, log: impl Log) -> Store {
    let (tasks, inbox) = Inbox::new();
    let (reads, waiting) = fair::queue::<_, Reads>(Lane::bound);
    let tie = Arc::new(Tie::default());
    let (path, ended) = (claim.path.clone(), claim.alive.subscribe());
    let reader = read(claim.path.clone(), waiting, Arc::clone(&tie), tasks.downgrade());
    let (worker, alive) = (accounts.reader.runtime.clone(), accounts.reader.alive.clone());
    let end = EndOnPanic(Arc::clone(&tie));
    let reader = worker.spawn(async move {
        reader.await;
        drop((end, alive));
    });
    let (writes, alive) = (Arc::clone(&tie), accounts.writer.alive.clone());
    let end = EndOnPanic(Arc::clone(&tie));
    let mut file = StoreFile::new(connection, log);
    accounts.writer.runtime.spawn(async move {
        let is_broken = write(inbox, &mut file, &writes).await == Health::Broken;
        // Its connection must not be the last one: it could not remove the log of SQLite.
        let _ = reader.await;
        drop(file);
        if is_broken {
            // The account is taken from its log when it is opened again.
            let _ = file::remove(&claim.path);
        }
        drop(claim);
        drop((end, alive));
    });
    Store::of(tasks, Some(reads), path, Some(tie), ended)
}

/// Does the work of a file until nobody has a handle on it. After its log has refused a change, callers get that as the answer.
pub(crate) async fn write(mut inbox: Inbox, file: &mut StoreFile, tie: &Tie) -> Health {
    let mut all = Health::Fine;
    loop {
        let work = tokio::select! {
            biased;
            () = tie.given_up.notified() => {
                file.end(LogError::Ended);
                tie.tell(file);
                continue;
            }
            work = inbox.next() => work,
        };
        let Some(work) = work else { return all };
        let mut health = perform(work, file);
        if health == Health::Fine {
            health = tokio::select! {
                biased;
                () = tie.given_up.notified() => {
                    file.end(LogError::Ended);
                    Health::Fine
                }
                health = file.settle() => health,
            };
        }
        if health == Health::Broken {
            tracing::error!("the file of an account is broken; it has to be made again from its log");
            file.end(LogError::Ended);
            all = health;
        }
        tie.tell(file);
        // The thread has other files.
        yield_now().await;
    }
}

/// Reads for an account, with a connection of its own, which sees the last committed change.
async fn read(path: PathBuf, mut waiting: fair::Receiver<Lane, Reads>, tie: Arc<Tie>, tasks: WeakTasks) {
    // Many accounts are hardly ever read from.
    let mut connection = None;
    loop {
        let next = timeout(if connection.is_some() { IDLE } else { FOREVER }, waiting.recv(true)).await;
        let Ok(next) = next else {
            connection = None;
            continue;
        };
        let Some((_, read)) = next else { return };
        let over = *tie.over.borrow();
        let health = if let Some(error) = over {
            read(Err(error.into()))
        } else {
            match connection.take().map_or_else(|| open_to_read(&path), Ok) {
                Ok(opened) => read(Ok(&*connection.insert(opened))),
                Err(error) => read(Err(Failure::File(error))),
            }
        };
        if health == Health::Broken {
            let job: Job = Box::new(|_| Health::Broken);
            // If its lane is full, the next read tells it again.
            let _ = tasks.try_put(&Lane::Host, Task::Job(job));
        }
        yield_now().await;
    }
}

/// Serves a file without readers on the present runtime.
#[cfg(test)]
pub(crate) fn on_runtime(mut file: StoreFile) -> Store {
    let (tasks, inbox) = Inbox::new();
    let tie = Arc::new(Tie::default());
    let (alive, ended) = watch::channel(());
    let writes = Arc::clone(&tie);
    tokio::spawn(async move {
        write(inbox, &mut file, &writes).await;
        drop(file);
        drop(alive);
    });
    Store::of(tasks, None, PathBuf::new(), Some(tie), ended)
}
