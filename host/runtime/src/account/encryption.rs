//! What is told of the keys of an account: numbers for its status, and news for its owner.

use std::sync::{Mutex, PoisonError};

use parlor_session::{KeyCounts, KeyNews, KeyNewsKind, key_counts};
use tokio::sync::broadcast;

use super::shared::Shared;
use super::worker::Worker;

/// How many news wait for whoever tells the owner. The oldest are lost first.
const NEWS: usize = 64;

/// How much an account has encrypted, and by which keys.
pub type EncryptionStatus = KeyCounts;

/// What is told of keys.
#[derive(Debug)]
pub(crate) struct Told {
    counts: Mutex<KeyCounts>,
    news: broadcast::Sender<KeyNews>,
}

impl Default for Told {
    fn default() -> Self {
        Self { counts: Mutex::default(), news: broadcast::channel(NEWS).0 }
    }
}

/// Returns how an account stands with encryption. Totals are since the host started.
pub fn status(account: &Shared) -> EncryptionStatus {
    *account.encryption.counts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a receiver for news about the keys of people.
pub fn news(account: &Shared) -> broadcast::Receiver<KeyNews> {
    account.encryption.news.subscribe()
}

/// Logs news, and passes them on.
pub(super) fn tell(account: &Shared, news: KeyNews) {
    let KeyNews { jid, what, kind, fingerprint, trust } = &news;
    let (device, trust, protocol) = (kind.device(), trust.as_str(), kind.as_str());
    match what {
        KeyNewsKind::NewDevice => {
            tracing::info!(account = %account.name, %jid, protocol, device, fingerprint, trust, "new device of a known person");
        }
        KeyNewsKind::ChangedIdentity => tracing::warn!(
            account = %account.name, %jid, protocol, device, fingerprint, trust,
            "a device of a known person has another key; ask them before you trust it"
        ),
        KeyNewsKind::TooManyDevices => {
            tracing::warn!(account = %account.name, %jid, device, "somebody has more devices than get messages");
        }
        KeyNewsKind::NotPublished => {
            tracing::warn!(account = %account.name, "the server does not publish the account's keys");
        }
    }
    // Nobody may be listening.
    let _ = account.encryption.news.send(news);
}

/// Notes how the account stands now.
pub(super) fn note(worker: &Worker) {
    let counts = key_counts(&worker.session);
    *worker.shared.encryption.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
}
