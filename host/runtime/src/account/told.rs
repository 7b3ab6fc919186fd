//! The numbers and news about the keys of an account, for callers outside of its task.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use parlor_session::{KeyCounts, KeyNews};
use tokio::sync::broadcast;

/// Maximum number of news that wait to be sent to the owner. The oldest are lost first.
const NEWS: usize = 64;

/// The numbers and news.
#[derive(Debug, Default)]
pub(crate) struct Told {
    counts: Mutex<KeyCounts>,
    /// There once somebody listens: its places take memory from the beginning.
    news: OnceLock<broadcast::Sender<Arc<KeyNews>>>,
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
        self.news.get_or_init(|| broadcast::channel(NEWS).0).subscribe()
    }

    /// Passes news on, if anybody listens.
    pub(super) fn tell(&self, news: KeyNews) {
        if let Some(listened) = self.news.get() {
            let _ = listened.send(Arc::new(news));
        }
    }
}

#[cfg(test)]
mod tests {
    use parlor_session::{KeyKind, KeyNewsKind};
    use parlor_stanza::types::DeviceTrust;

    use super::*;

    #[test]
    fn news_take_memory_once_somebody_listens() {
        let news = || KeyNews {
            jid: "juliet@example.org".parse().unwrap(),
            what: KeyNewsKind::NewDevice,
            kind: KeyKind::Otr,
            fingerprint: None,
            trust: DeviceTrust::Undecided,
            question: None,
        };
        let told = Told::default();
        told.tell(news());
        assert!(told.news.get().is_none());
        let mut receiver = told.subscribe();
        told.tell(news());
        assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_err(), "news of before are nobody's");
    }
}
