//! The values that the account's task publishes in addition to the snapshot, for tasks that wait until one changes.

use std::sync::{Arc, Mutex, PoisonError};

use parlor_base::clock::Clock;
use parlor_config::AccountName;
use parlor_session::{OwnArchive, Snapshot};
use parlor_store::{Audit, AuditKind, By, NewAuditEntry, Share};
use tokio::sync::watch;

use super::connection::{Connection, ConnectionHistory};

/// The sending ends; [`Shared`](super::Shared) has the receiving ones.
pub(super) struct Published {
    /// The state of the connection.
    connection: watch::Sender<Connection>,
    /// Since when, and the last error. Readers ask for it, and nobody waits for it.
    history: Arc<Mutex<ConnectionHistory>>,
    clock: Clock,
    /// Whether the account has an archive, for tasks that wait to query it.
    archive: watch::Sender<Option<OwnArchive>>,
    /// The number of times that a room has reported whether it has an archive.
    rooms_told: watch::Sender<u64>,
    /// The audit that records log-ins, under this name.
    audit: Audit,
    account: AccountName,
}

/// The receiving ends.
pub(super) struct Watched {
    pub(super) connection: watch::Receiver<Connection>,
    pub(super) history: Arc<Mutex<ConnectionHistory>>,
    pub(super) archive: watch::Receiver<Option<OwnArchive>>,
    pub(super) rooms_told: watch::Receiver<u64>,
}

impl Published {
    pub(super) fn new(audit: Audit, account: AccountName, clock: Clock) -> (Self, Watched) {
        let (connection, connection_receiver) = watch::channel(Connection::Offline);
        let history = Arc::new(Mutex::new(ConnectionHistory::new(clock.now())));
        let (archive, archive_receiver) = watch::channel(None);
        let (rooms_told, rooms_told_receiver) = watch::channel(0);
        let watched = Watched {
            connection: connection_receiver,
            history: Arc::clone(&history),
            archive: archive_receiver,
            rooms_told: rooms_told_receiver,
        };
        (Self { connection, history, clock, archive, rooms_told, audit, account }, watched)
    }

    /// Publishes the state of the connection.
    pub(super) fn connection(&self, now: Connection) {
        let (what, new) = match (&*self.connection.borrow(), &now) {
            (before, now) if before == now => (None, None),
            (_, Connection::Connected(jid)) => (Some("logged in"), Some(jid.to_string())),
            (Connection::Connected(_), Connection::Offline) => (Some("logged out"), None),
            (Connection::Connected(_), Connection::Retrying(why)) => (Some("connection lost"), Some(why.clone())),
            (_, Connection::Left(why) | Connection::Failed(why)) => (Some("does not connect"), Some(why.clone())),
            (_, Connection::Offline | Connection::Connecting | Connection::Retrying(_)) => (None, None),
        };
        if let Some(what) = what {
            let entry = NewAuditEntry::new(AuditKind::Login, &By::host("connection"), what);
            let account = Some(self.account.to_string());
            self.audit.put(NewAuditEntry { account, new, share: Share::Connection, ..entry });
        }
        let at = self.clock.now();
        self.history.lock().unwrap_or_else(PoisonError::into_inner).note(&self.connection.borrow(), &now, at);
        self.connection.send_replace(now);
    }

    /// Returns whether the account is connected.
    pub(super) fn is_connected(&self) -> bool {
        matches!(*self.connection.borrow(), Connection::Connected(_))
    }

    /// Publishes a new snapshot's state of archives.
    pub(super) fn archives(&self, snapshot: &Snapshot) {
        let (archive, told) = (snapshot.archive, snapshot.rooms_told);
        self.archive.send_if_modified(|before| std::mem::replace(before, archive) != archive);
        self.rooms_told.send_if_modified(|before| std::mem::replace(before, told) != told);
    }
}
