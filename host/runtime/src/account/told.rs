//! The numbers and news about the keys of an account, for callers outside of its task.

use std::sync::{Arc, Mutex, PoisonError};

use parlor_session::{KeyCounts, KeyNews};
use tokio::sync::broadcast;

/// Maximum number of news that wait to be sent to the owner. The oldest are lost first.
const NEWS: usize = 64;

/// The numbers and news.
#[derive(Debug)]
pub(crate) struct Told {
    counts: Mutex<KeyCounts>,
    /// Its places are there from the beginning, so they are small.
    news: broadcast::Sender<Arc<KeyNews>>,
}

impl Default for Told {
    fn default() -> Self {
        Self { counts: Mutex::default(), news: broadcast::channel(NEWS).0 }
    }
}

impl Told {
    /// Returns how the account stands.
    pub(super) fn counts(&self) -> KeyCounts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how the account stands.
    pub(super) fn note(&self, counts: KeyCounts) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    /// Returns a receiver for news.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Arc<KeyNews>> {
        self.news.subscribe()
    }

    /// Passes news on, if anybody listens.
    pub(super) fn tell(&self, news: KeyNews) {
        let _ = self.news.send(Arc::new(news));
    }
}
