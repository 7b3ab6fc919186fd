//! The values that an account stores on disk for the next process.

use jid::BareJid;
use jiff::Timestamp;
use parlor_config::Encryption;
use parlor_session::{Session, keys_kept, keys_unreadable};
use parlor_store::{EncryptionKeeper, KeptRoster, PinKeeper, RosterKeeper, SessionKeeper, Store};
use parlor_xmpp::Left;

/// The parts of the store that the account's task writes.
pub(super) struct Keepers {
    /// Stores the roster for later processes.
    pub(super) roster: RosterKeeper,
    /// Stores the session with the server for the next process.
    pub(super) sessions: SessionKeeper,
    /// Stores keys of encryption, before they are used.
    pub(super) encryption: EncryptionKeeper,
    /// Whether keys of encryption were read, or there were none.
    are_keys_read: bool,
    /// Records on disk that log-ins used channel binding.
    pub(super) pins: PinKeeper,
    /// The session that the last process left. It is offered at the first log-in only.
    pub(super) left: Option<Left>,
}

impl Keepers {
    pub(super) fn new(store: Store, own: &BareJid) -> Self {
        Self {
            roster: RosterKeeper::new(store.clone(), own),
            sessions: SessionKeeper::new(store.clone(), own),
            encryption: EncryptionKeeper::new(store.clone(), own),
            are_keys_read: true,
            pins: PinKeeper::new(store, own),
            left: None,
        }
    }

    /// Loads what the last process stored.
    pub(super) async fn load(&mut self, session: &mut Session, now: Timestamp) {
        match self.encryption.load().await {
            Ok(kept) => keys_kept(session, kept),
            Err(error) => {
                // New keys would take the place of those that cannot be read just now. Nothing is sent before the log-in.
                tracing::error!(
                    %error,
                    "the keys of encryption cannot be read; nothing is encrypted until the next start, nor answered where it was"
                );
                self.are_keys_read = false;
                keys_unreadable(session, self.encryption.load_ways().await.ok(), now);
            }
        }
        if let Some(KeptRoster { version, items }) = self.roster.load().await {
            session.roster_kept(version, items);
        }
        self.left = self.sessions.take().await;
        self.pins.load().await;
    }

    /// Returns how the account can encrypt, if its owner wants this: not at all while keys on disk could not be read.
    pub(super) fn usable(&self, wanted: Encryption) -> Encryption {
        if self.are_keys_read { wanted } else { wanted.without_keys() }
    }
}

#[cfg(test)]
mod tests {
    use parlor_config::OtrPolicy;

    use super::*;

    #[tokio::test]
    async fn keys_that_cannot_be_read_are_not_replaced_by_a_reload() {
        let mut keepers = Keepers::new(Store::in_memory(), &"bot@example.org".parse().unwrap());
        assert_eq!(keepers.usable(Encryption::default()), Encryption::default());
        keepers.are_keys_read = false;
        assert_eq!(keepers.usable(Encryption::default()), Encryption::OFF);
        let required = Encryption { otr: OtrPolicy::Require, ..Encryption::default() };
        assert_eq!(keepers.usable(required).otr, OtrPolicy::Require, "nothing goes out plainly instead");
    }
}
