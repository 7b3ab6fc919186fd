//! Turns to start: each thread starts a few plugins at a time, so that its accounts get on meanwhile.
//!
//! The first poll of an instance takes a few tenths of a millisecond. If ten thousand plugins started at once, every
//! stanza of every account on the thread would wait for all of them, and a log-in needs many.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::sync::OwnedSemaphorePermit;

use super::Shared;

/// A turn to start. Dropping it gives it back.
pub(super) struct StartTurn {
    _held: Option<OwnedSemaphorePermit>,
}

impl StartTurn {
    /// Waits for a turn of a plugin; `None` if it is asked to stop before.
    ///
    /// A plugin that was parked needs none, since somebody waits for its answer. A plugin that failed needs none
    /// either: it begins on the background runtime, where it may wait for a long time, and others must not wait for it.
    pub(super) async fn of(shared: &Shared, is_woken: bool) -> Option<Self> {
        if is_woken || shared.lasting.failed.load(Relaxed) {
            return Some(Self { _held: None });
        }
        let starts = Arc::clone(&shared.account.place.starts);
        tokio::select! {
            biased;
            () = shared.standing.is_to_end() => None,
            // It is never closed.
            turn = starts.acquire_owned() => Some(Self { _held: turn.ok() }),
        }
    }

    /// Runs a future, and gives the turn back after its first poll.
    pub(super) fn until_polled<F: Future>(self, mut future: Pin<&mut F>) -> impl Future<Output = F::Output> {
        let mut turn = Some(self);
        poll_fn(move |context| {
            let polled = future.as_mut().poll(context);
            drop(turn.take());
            polled
        })
    }
}
