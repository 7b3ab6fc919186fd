//! The events of a link, and the values that it takes and returns.

use std::time::Duration;

use jid::FullJid;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::sieve::lost::Lost;
use parlor_stanza::types::{Incoming, Offers};

use super::error::ConnectError;

/// A session whose stream was not closed and that has nothing unacknowledged, with the data to resume it (XEP-0198).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The full JID of the session.
    pub jid: FullJid,
    /// The server's id for the session.
    pub id: String,
    /// The number of stanzas received from the server.
    pub heard: u32,
    /// The number of our stanzas that the server has handled.
    pub acknowledged: u32,
    /// The host where the server wants the session to be resumed, if it named one.
    pub location: Option<String>,
}

/// An event on a link.
#[derive(Debug)]
pub enum LinkEvent {
    /// A session that is new to this process began; the state of any earlier session is gone.
    Bound {
        /// The full JID that the server assigned.
        jid: FullJid,
        /// The features that the server offers.
        offers: Offers,
        /// Whether the server resumed a session that a former process left. Our presence is still in effect, and
        /// stanzas since then follow.
        taken_up: bool,
        /// Stanzas of the old session that were not acknowledged or never sent, oldest first: messages, and presences
        /// that request a subscription or answer such a request. Other stanzas were meaningful only within the old
        /// session.
        again: Vec<RawStanza>,
        /// How many of these, from the first on, were written: the server may have handled them without saying so.
        doubtful: usize,
    },
    /// The connection was lost; a new one is being opened.
    Suspended {
        /// The reason, as far as this end knows it.
        why: Lost,
    },
    /// A new attempt to connect begins, after a connection that was lost or failed.
    Trying,
    /// The connection is back, and nothing was lost (XEP-0198).
    Resumed {
        /// Whether an earlier request to resume the session got no answer. ejabberd 23.01 may then have lost what
        /// waited for the session.
        doubtful: bool,
    },
    /// A log-in failed and will be retried.
    Retrying {
        /// The delay before the retry.
        after: Duration,
        /// The reason that the log-in failed.
        why: ConnectError,
    },
    /// A stanza arrived.
    Stanza(Incoming),
    /// A log-in failed in a way that no retry helps. Only [`LinkEvent::Closed`] follows.
    Failed(ConnectError),
    /// The link has ended.
    Closed,
}

/// Whether anybody looks at incoming stanzas (XEP-0352).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientState {
    /// Somebody looks; each stream begins in this state.
    #[default]
    Active,
    /// The user is inactive: the server may hold back stanzas that can wait.
    Inactive,
}
