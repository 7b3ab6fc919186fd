//! Pins: the memory that log-ins of an account were bound to their connection, so that nobody in between can make a later one
//! unbound.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{LinkSettings, TransportChoice};

/// A transport whose log-ins can be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carrier {
    /// TCP, and what the domain names in its place where TCP leads nowhere.
    Tcp,
    /// WebSocket, where the owner chose it: its TLS often ends at another program than the XMPP server.
    WebSocket,
}

impl Carrier {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::WebSocket];

    /// Its name on disk.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::WebSocket => "websocket",
        }
    }
}

impl LinkSettings {
    /// The carrier that the owner chose; none for BOSH, which has no single connection to bind a log-in to.
    pub(super) fn carrier(&self) -> Option<Carrier> {
        match (self.transport, &self.websocket, &self.bosh) {
            (TransportChoice::Bosh, _, Some(_)) | (_, None, Some(_)) | (TransportChoice::Bosh, None, None) => None,
            (_, Some(_), _) | (TransportChoice::WebSocket, None, None) => Some(Carrier::WebSocket),
            (TransportChoice::Auto | TransportChoice::Tcp, None, None) => Some(Carrier::Tcp),
        }
    }
}

/// The carriers over which log-ins of one account were bound. Cheap to clone; clones share what they know.
#[derive(Debug, Clone, Default)]
pub struct Pins(Arc<Mutex<BTreeSet<Carrier>>>);

impl Pins {
    /// Pins that were kept before.
    pub fn of(known: BTreeSet<Carrier>) -> Self {
        Self(Arc::new(Mutex::new(known)))
    }

    /// The carriers that are pinned now.
    pub fn known(&self) -> BTreeSet<Carrier> {
        self.lock().clone()
    }

    /// Whether a log-in over this carrier was bound.
    pub(super) fn has(&self, carrier: Carrier) -> bool {
        self.lock().contains(&carrier)
    }

    /// A log-in over this carrier was bound.
    pub(super) fn add(&self, carrier: Carrier) {
        self.lock().insert(carrier);
    }

    /// The owner wants no log-in to be bound.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    /// Replaces all pins.
    #[cfg(test)]
    pub(crate) fn set(&self, known: BTreeSet<Carrier>) {
        *self.lock() = known;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Carrier>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
