//! The reasons that a connection ended.

use crate::stream_error::{is_about_a_stanza, sentence};

/// The reason that a live connection ended, as far as this end can know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The server ended the stream with an error.
    #[error("{}", sentence(condition, text.as_deref()))]
    Stream {
        /// The condition (RFC 6120, section 4.9.3).
        condition: String,
        /// The server's explanation.
        text: Option<String>,
        /// The host that the server redirects to (`see-other-host`).
        elsewhere: Option<String>,
    },
    /// The server resumed the session, acknowledged nothing, and could not parse the data. Some servers continue with
    /// the parser of the previous connection, which was lost within a stanza.
    #[error(
        "the server went on with the session within a stanza that the cut had torn, and could not read on ({condition})"
    )]
    Torn {
        /// The condition (RFC 6120, section 4.9.3).
        condition: String,
    },
    /// The server closed the stream without an error.
    #[error("the server closed the stream")]
    Closed,
    /// The connection broke.
    #[error("the connection broke{}", cause.as_deref().map(|cause| format!(" ({cause})")).unwrap_or_default())]
    Cut {
        /// The error from the system; `None` if the peer just closed the connection.
        cause: Option<String>,
    },
    /// The server closed the WebSocket below the stream and gave a reason (RFC 6455, section 7.4; RFC 7395, section
    /// 3.6.1).
    #[error("the server closed the WebSocket ({cause})")]
    WebSocketClosed {
        /// The code and text of the close frame, or the address that the server redirects to.
        cause: String,
    },
    /// The server stopped answering.
    #[error("the server did not answer any more")]
    TimedOut,
    /// The server still sends data, but no acknowledgements (XEP-0198).
    #[error("the server did not acknowledge anything any more")]
    Deaf,
    /// A stanza was longer than the limit.
    #[error("the server sent a stanza of more than {limit} bytes")]
    TooLarge {
        /// The maximum number of bytes.
        limit: usize,
    },
    /// The server acknowledged stanzas that were never sent (XEP-0198).
    #[error("the server acknowledged stanzas that it was never sent")]
    Miscounted,
    /// The received data is not a stream of stanzas.
    #[error("the server sent XML that cannot be read")]
    Unreadable,
    /// This end dropped the connection, since the owner configured another way to the server.
    #[error("the configuration leads elsewhere now")]
    Moved,
    /// A bug in the host: this end could not handle what arrived. It counts as handled, so that the server does not send
    /// it again.
    #[error(
        "a bug in the host stopped what the server had sent from being handled; please report it, with the panic in the log"
    )]
    Bug,
    /// The reason is unknown.
    #[error("the connection is gone for an unknown reason")]
    Unknown,
}

impl Lost {
    /// Returns whether the session can be resumed (XEP-0198). A server that ends a stream with an error has ended the
    /// session. The same bytes, sent again after a resumption, would end the next connection as well.
    pub fn may_resume(&self) -> bool {
        match self {
            Self::Closed
            | Self::Cut { .. }
            | Self::WebSocketClosed { .. }
            | Self::TimedOut
            | Self::Deaf
            | Self::Moved
            | Self::Bug
            | Self::Unknown => true,
            Self::Stream { .. } | Self::Torn { .. } | Self::TooLarge { .. } | Self::Unreadable | Self::Miscounted => {
                false
            }
        }
    }

    /// Returns whether a stanza of ours may be the cause.
    pub fn is_about_a_stanza(&self) -> bool {
        matches!(self, Self::Stream { condition, text, .. } if is_about_a_stanza(condition, text.as_deref()))
    }

    /// Returns the host that the server redirects to.
    pub fn elsewhere(&self) -> Option<&str> {
        match self {
            Self::Stream { elsewhere, .. } => elsewhere.as_deref(),
            _ => None,
        }
    }

    /// Returns the server's explanation.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Stream { text, .. } => text.as_deref(),
            _ => None,
        }
    }

    /// Returns whether the server no longer admits this account.
    pub fn is_revocation(&self) -> bool {
        matches!(self, Self::Stream { condition, .. } if condition == "not-authorized")
    }

    /// Returns whether this end wanted another connection, and the server did nothing wrong.
    pub fn is_own_choice(&self) -> bool {
        matches!(self, Self::Moved | Self::Bug)
    }

    /// Returns whether another client took this account's resource.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Stream { condition, .. } if condition == "conflict")
    }
}
