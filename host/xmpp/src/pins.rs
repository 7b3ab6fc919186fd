//! Pins: they record that log-ins of an account were bound to their connection, so that no one on the path can force a
//! later log-in to be unbound.
//!
//! This module also records, for the life of the process, which kinds of log-in the account's server refuses.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_config::{Endpoint, LinkSettings, TransportChoice};

/// A transport whose log-ins can be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carrier {
    /// TCP, or the transport that the domain names as an alternative if TCP fails.
    Tcp,
    /// WebSocket, if the owner chose it: its TLS often ends at a program other than the XMPP server.
    WebSocket,
}

impl Carrier {
    /// All carriers.
    pub const ALL: [Self; 2] = [Self::Tcp, Self::WebSocket];

    /// Returns the carrier that the owner chose. BOSH has none, since it has no single connection to bind a log-in to.
    pub(super) fn of(settings: &LinkSettings) -> Option<Self> {
        match (settings.transport, &settings.websocket) {
            _ if settings.is_over_bosh() => None,
            (_, Some(_)) | (TransportChoice::WebSocket, None) => Some(Self::WebSocket),
            (TransportChoice::Auto | TransportChoice::Tcp | TransportChoice::Bosh, None) => Some(Self::Tcp),
        }
    }

    /// Returns the carrier of a connection to the host that a server redirected us to, if any. That host is always
    /// reached by TCP.
    pub(super) fn to(elsewhere: Option<&Endpoint>, settings: &LinkSettings) -> Option<Self> {
        if elsewhere.is_some() { Some(Self::Tcp) } else { Self::of(settings) }
    }

    /// Returns the carrier's name on disk.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::WebSocket => "websocket",
        }
    }
}

/// Kinds of log-in that a server refused before it accepted a weaker one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Refused {
    /// A log-in that was bound with a type that the server does not announce (XEP-0440).
    pub(super) guess: bool,
    /// An unbound log-in with the flag `y`: this end supports channel binding (RFC 5802, section 6).
    pub(super) could_flag: bool,
}

/// The carriers over which log-ins of one account were bound, and the log-ins that its server refused. It is cheap to
/// clone; clones share their state.
#[derive(Debug, Clone, Default)]
pub struct Pins(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    carriers: BTreeSet<Carrier>,
    /// Not stored on disk, so that it is determined again after a restart.
    refused: Refused,
}

impl Pins {
    /// Creates pins from those that were stored.
    pub fn of(known: BTreeSet<Carrier>) -> Self {
        Self(Arc::new(Mutex::new(Memory { carriers: known, refused: Refused::default() })))
    }

    /// Returns the carriers that are pinned now.
    pub fn known(&self) -> BTreeSet<Carrier> {
        self.lock().carriers.clone()
    }

    /// Returns whether a log-in over this carrier was bound.
    pub(super) fn has(&self, carrier: Carrier) -> bool {
        self.lock().carriers.contains(&carrier)
    }

    /// Records that a log-in over this carrier was bound.
    pub(super) fn add(&self, carrier: Carrier) {
        self.lock().carriers.insert(carrier);
    }

    /// Returns what the server has refused since the process began.
    pub(super) fn refused(&self) -> Refused {
        self.lock().refused
    }

    /// Records that the server refused these, and accepted the same password without them.
    pub(super) fn set_refused(&self, refused: Refused) {
        self.lock().refused = refused;
    }

    /// Forgets everything, since the owner wants no log-in to be bound. If that changes later, the server is tried
    /// again.
    pub(super) fn forget(&self) {
        *self.lock() = Memory::default();
    }

    /// Replaces all pins.
    #[cfg(any(test, feature = "test-support"))]
    pub fn set(&self, known: BTreeSet<Carrier>) {
        self.lock().carriers = known;
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
