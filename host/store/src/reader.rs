//! The thread that only reads. It has its own connection, so that a read takes microseconds even while writes wait for
//! the disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use parlor_base::fair;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::watch;

use super::PATIENCE;
use super::edit::Failure;
use super::health::{self, Health};
use super::work::{Job, Lane, Task, WeakTasks};

/// The value of `begun` when the file no longer exists: all data is in the writer's memory.
pub(super) const NO_FILE: u64 = u64::MAX;

/// A read. It reports whether the file turned out to be broken.
pub(super) type Reads = Box<dyn FnOnce(Result<&Connection, Failure>) -> Health + Send>;

/// The queue of the reader.
pub(super) type ReadsSender = fair::Sender<Lane, Reads>;
pub(super) type WeakReads = fair::WeakSender<Lane, Reads>;

/// Opens a second connection for reading, so that no reader waits for a write to reach the disk.
pub(super) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

/// Starts the reader thread.
///
/// `begun` counts how often the writer has created the file again. If the reader finds the file broken, it reports that
/// to the writer through `tasks`. The thread ends with its queue. Returns `None` if the thread cannot be started; reads then have to go to the writer.
pub(super) fn serve(
    path: PathBuf,
    begun: Arc<AtomicU64>,
    alive: Arc<watch::Sender<()>>,
    tasks: WeakTasks,
) -> Option<(ReadsSender, JoinHandle<()>)> {
    let (reads, mut waiting) = fair::queue::<_, Reads>(Lane::bound);
    let thread = std::thread::Builder::new().name("store-reader".to_owned()).spawn(move || {
        let mut seen = begun.load(Relaxed);
        let mut connection = open_to_read(&path);
        while let Some((lane, read)) = waiting.recv_blocking() {
            let now = begun.load(Relaxed);
            if now == NO_FILE {
                // The job is dropped if the writer has ended or has hundreds of writes of this plugin pending. The
                // caller then gets an error.
                let job: Job = Box::new(move |file| read(Ok(&**file)));
                let _ = tasks.try_put(&lane, Task::Job(job));
                continue;
            }
            if connection.is_err() || now != seen {
                connection = open_to_read(&path);
                seen = now;
            }
            let health = match &connection {
                Ok(connection) => read(Ok(connection)),
                Err(error) => read(Err(health::copy(error).into())),
            };
            if health == Health::Broken {
                let begun = Arc::clone(&begun);
                // The writer may have noticed meanwhile. If its lane is full, the next read reports it again.
                let job: Job =
                    Box::new(move |_| if begun.load(Relaxed) == seen { Health::Broken } else { Health::Fine });
                let _ = tasks.try_put(&Lane::Host, Task::Job(job));
            }
        }
        drop(connection);
        drop(alive);
    });
    match thread {
        Ok(thread) => Some((reads, thread)),
        Err(error) => {
            tracing::warn!(%error, "the store's reader cannot be started; reads wait for writes");
            None
        }
    }
}
