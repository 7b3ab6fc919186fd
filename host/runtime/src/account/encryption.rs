//! The keys of an account as its owner sees them: numbers for the status, and news.

use std::sync::Arc;

use parlor_session::{KeyCounts, KeyNews, KeyNewsKind, Session, changed_key_counts};
use tokio::sync::broadcast;

use super::shared::Shared;

/// How much an account has encrypted, and by which keys.
pub type EncryptionStatus = KeyCounts;

/// Returns the state of an account's encryption. Totals are since the host started.
pub fn status(account: &Shared) -> EncryptionStatus {
    account.encryption.counts()
}

/// Returns a receiver for news about the keys of people.
pub fn news(account: &Shared) -> broadcast::Receiver<Arc<KeyNews>> {
    account.encryption.subscribe()
}

/// Logs news, and passes them on.
pub(super) fn tell(account: &Shared, news: KeyNews) {
    let KeyNews { jid, what, kind, fingerprint, trust, .. } = &news;
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
            tracing::warn!(account = %account.name, %jid, device, "a person has too many devices; further ones get no messages");
        }
        KeyNewsKind::NotPublished => {
            tracing::warn!(account = %account.name, "the account's keys are not published");
        }
        KeyNewsKind::AskedToCompare => {
            tracing::info!(account = %account.name, %jid, fingerprint, "somebody asks to compare a secret; `parlor keys` shows the question");
        }
        KeyNewsKind::ComparedDifferent => {
            tracing::warn!(account = %account.name, %jid, fingerprint, "a secret was compared with somebody, and was not the same");
        }
    }
    account.encryption.tell(news);
}

/// Notes how the account stands now, if that has changed: this comes after each input, and most say nothing of keys.
pub(super) fn note(account: &Shared, session: &mut Session) {
    if let Some(counts) = changed_key_counts(session) {
        account.encryption.note(counts);
    }
}
