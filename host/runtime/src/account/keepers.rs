//! The values that an account stores on disk for the next process.

use jid::BareJid;
use jiff::Timestamp;
use parlor_config::Encryption;
use parlor_session::{Session, keys_kept, set_encryption};
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
                tracing::error!(%error, "the keys of encryption cannot be read; nothing is encrypted until the next start");
                set_encryption(session, Encryption::OFF, now, &mut Vec::new());
            }
        }
        if let Some(KeptRoster { version, items }) = self.roster.load().await {
            session.roster_kept(version, items);
        }
        self.left = self.sessions.take().await;
        self.pins.load().await;
    }
}
