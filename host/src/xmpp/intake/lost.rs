//! Why a connection is over.

/// Why a connection that stood is over, as far as this end can know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The server ended the stream and said why.
    #[error("the server ended the stream: {condition}{}", text.as_deref().map(|text| format!(" ({text})")).unwrap_or_default())]
    Stream {
        /// The condition (RFC 6120, section 4.9.3).
        condition: String,
        /// Its own words.
        text: Option<String>,
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
    /// The server fell silent.
    #[error("the server did not answer any more")]
    TimedOut,
    /// A stanza was longer than anybody may send.
    #[error("the server sent a stanza of more than {limit} bytes")]
    TooLarge {
        /// The most that is taken.
        limit: usize,
    },
    /// What came is no stream of stanzas.
    #[error("the server sent XML that cannot be read")]
    Unreadable,
    /// Nobody knows.
    #[error("the connection is gone for an unknown reason")]
    Unknown,
}

impl Lost {
    /// Whether the same bytes, sent again after a resumption, would end the next connection as well.
    pub(in crate::xmpp) fn would_recur(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::Unreadable)
    }

    /// Whether somebody else took this account's resource.
    pub(in crate::xmpp) fn is_conflict(&self) -> bool {
        matches!(self, Self::Stream { condition, .. } if condition == "conflict")
    }
}
