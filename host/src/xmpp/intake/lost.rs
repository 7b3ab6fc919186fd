//! Why a connection is over.

use crate::xmpp::stream_error::{is_about_a_stanza, sentence};

/// Why a connection that stood is over, as far as this end can know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The server ended the stream and said why.
    #[error("{}", sentence(condition, text.as_deref()))]
    Stream {
        /// The condition (RFC 6120, section 4.9.3).
        condition: String,
        /// Its own words.
        text: Option<String>,
        /// Where it wants us to go instead (`see-other-host`).
        elsewhere: Option<String>,
    },
    /// The server went on with a session, took in nothing of what followed, and could not read it: some go on with the parser of
    /// the connection of before, which stood within a stanza when it was cut.
    #[error(
        "the server went on with the session within a stanza that the cut had torn, and could not read on ({condition})"
    )]
    Torn {
        /// The condition (RFC 6120, section 4.9.3).
        condition: String,
    },
    /// The server closed the stream in good order.
    #[error("the server closed the stream")]
    Closed,
    /// The connection broke.
    #[error("the connection broke{}", cause.as_deref().map(|cause| format!(" ({cause})")).unwrap_or_default())]
    Cut {
        /// What the system said; none = the other end just went.
        cause: Option<String>,
    },
    /// The server closed the WebSocket below the stream, and said why (RFC 6455, section 7.4; RFC 7395, section 3.6.1).
    #[error("the server closed the WebSocket ({cause})")]
    WebSocketClosed {
        /// The code and the words, or where it wants to be asked instead.
        cause: String,
    },
    /// The server fell silent.
    #[error("the server did not answer any more")]
    TimedOut,
    /// The server says all sorts of things, but not that it takes anything in (XEP-0198).
    #[error("the server did not acknowledge anything any more")]
    Deaf,
    /// A stanza was longer than anybody may send.
    #[error("the server sent a stanza of more than {limit} bytes")]
    TooLarge {
        /// The most that is taken.
        limit: usize,
    },
    /// It acknowledged stanzas that it was never sent (XEP-0198).
    #[error("the server acknowledged stanzas that it was never sent")]
    Miscounted,
    /// What came is no stream of stanzas.
    #[error("the server sent XML that cannot be read")]
    Unreadable,
    /// This end left it: the owner names another way to the server.
    #[error("the configuration leads elsewhere now")]
    Moved,
    /// Nobody knows.
    #[error("the connection is gone for an unknown reason")]
    Unknown,
}

impl Lost {
    /// Whether the session can be gone on with (XEP-0198). A server that ends a stream for a reason has ended its session,
    /// and the same bytes, sent again after a resumption, would end the next connection as well.
    pub(in crate::xmpp) fn may_resume(&self) -> bool {
        match self {
            Self::Closed
            | Self::Cut { .. }
            | Self::WebSocketClosed { .. }
            | Self::TimedOut
            | Self::Deaf
            | Self::Moved
            | Self::Unknown => true,
            Self::Stream { .. } | Self::Torn { .. } | Self::TooLarge { .. } | Self::Unreadable | Self::Miscounted => {
                false
            }
        }
    }

    /// Whether a stanza of ours may be the reason.
    pub(in crate::xmpp) fn is_about_a_stanza(&self) -> bool {
        matches!(self, Self::Stream { condition, .. } if is_about_a_stanza(condition))
    }

    /// Where the server wants us to go.
    pub(in crate::xmpp) fn elsewhere(&self) -> Option<&str> {
        match self {
            Self::Stream { elsewhere, .. } => elsewhere.as_deref(),
            _ => None,
        }
    }

    /// The server's own words.
    pub(in crate::xmpp) fn text(&self) -> Option<&str> {
        match self {
            Self::Stream { text, .. } => text.as_deref(),
            _ => None,
        }
    }

    /// Whether the server no longer lets this account in.
    pub(in crate::xmpp) fn is_revocation(&self) -> bool {
        matches!(self, Self::Stream { condition, .. } if condition == "not-authorized")
    }

    /// Whether somebody else took this account's resource.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Stream { condition, .. } if condition == "conflict")
    }
}
