//! Pins: the memory that log-ins of an account were bound to their connection, so that nobody in between can make a later one
//! unbound. Beside them, for as long as the process lives, the memory of what the account's server refuses.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::{Endpoint, LinkSettings, TransportChoice};

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
        match (self.transport, &self.websocket) {
            _ if self.is_over_bosh() => None,
            (_, Some(_)) | (TransportChoice::WebSocket, None) => Some(Carrier::WebSocket),
            (TransportChoice::Auto | TransportChoice::Tcp | TransportChoice::Bosh, None) => Some(Carrier::Tcp),
        }
    }

    /// The carrier of a connection to the place that a server sent us to, if any. It is always reached by TCP.
    pub(super) fn carrier_to(&self, elsewhere: Option<&Endpoint>) -> Option<Carrier> {
        if elsewhere.is_some() { Some(Carrier::Tcp) } else { self.carrier() }
    }
}

/// Ways to log in that a server refused before it took a weaker one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Refused {
    /// A log-in that was bound to something which the server does not name (XEP-0440).
    pub(super) guess: bool,
    /// An unbound log-in which said that this end could have bound it: the flag `y` (RFC 5802, section 6).
    pub(super) could_flag: bool,
}

/// The carriers over which log-ins of one account were bound, and what its server refused. Cheap to clone; clones share what they
/// know.
#[derive(Debug, Clone, Default)]
pub struct Pins(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    carriers: BTreeSet<Carrier>,
    /// Kept by no store, so that a restart finds out again.
    refused: Refused,
}

impl Pins {
    /// Pins that were kept before.
    pub fn of(known: BTreeSet<Carrier>) -> Self {
        Self(Arc::new(Mutex::new(Memory { carriers: known, refused: Refused::default() })))
    }

    /// The carriers that are pinned now.
    pub fn known(&self) -> BTreeSet<Carrier> {
        self.lock().carriers.clone()
    }

    /// Whether a log-in over this carrier was bound.
    pub(super) fn has(&self, carrier: Carrier) -> bool {
        self.lock().carriers.contains(&carrier)
    }

    /// A log-in over this carrier was bound.
    pub(super) fn add(&self, carrier: Carrier) {
        self.lock().carriers.insert(carrier);
    }

    /// What the server refused since the process began.
    pub(super) fn refused(&self) -> Refused {
        self.lock().refused
    }

    /// The server refused these, and took the same password without them.
    pub(super) fn set_refused(&self, refused: Refused) {
        self.lock().refused = refused;
    }

    /// The owner wants no log-in to be bound. Where that changes later, the server is asked anew.
    pub(super) fn forget(&self) {
        *self.lock() = Memory::default();
    }

    /// Replaces all pins.
    #[cfg(test)]
    pub(crate) fn set(&self, known: BTreeSet<Carrier>) {
        self.lock().carriers = known;
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
