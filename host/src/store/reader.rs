//! The thread that only reads: a connection of its own, so that a read takes microseconds even while writes wait for the disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rusqlite::Connection;
use tokio::sync::{mpsc, watch};

use super::{JOBS, file};

/// What is to be read.
pub(super) type Reads = Box<dyn FnOnce(rusqlite::Result<&Connection>) + Send>;

/// Starts it. None: it cannot be started, and what is to be read has to be asked of the writer.
pub(super) fn serve(
    path: PathBuf,
    begun: Arc<AtomicU64>,
    alive: Arc<watch::Sender<()>>,
) -> Option<mpsc::Sender<Reads>> {
    let (reads, mut waiting) = mpsc::channel::<Reads>(JOBS);
    let thread = std::thread::Builder::new().name("store-reader".to_owned()).spawn(move || {
        let mut seen = begun.load(Relaxed);
        let mut connection = file::open_to_read(&path);
        while let Some(read) = waiting.blocking_recv() {
            let now = begun.load(Relaxed);
            if connection.is_err() || now != seen {
                connection = file::open_to_read(&path);
                seen = now;
            }
            match &connection {
                Ok(connection) => read(Ok(connection)),
                Err(error) => read(Err(super::data::again(error))),
            }
        }
        drop(connection);
        drop(alive);
    });
    match thread {
        Ok(_) => Some(reads),
        Err(error) => {
            tracing::warn!(%error, "the store's reader cannot be started; reads wait for writes");
            None
        }
    }
}
