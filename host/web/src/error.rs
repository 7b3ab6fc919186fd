//! Why a request was not made, or has no answer.

use std::error::Error;
use std::net::SocketAddr;

use parlor_base::web_address::BadWebAddress;

/// The error of a request. No text in it has a path, a query, a header or a body, which may contain a secret, or the address that a name
/// leads to: plugins get the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    /// The server's name resolves to addresses outside of the public network that were not allowed.
    #[error("{server} leads to a network that is not public")]
    Refused {
        /// The name or address of the server.
        server: String,
        /// One of its addresses.
        address: SocketAddr,
        /// The scheme of the request: an entry for `https` does not allow `http`.
        scheme: &'static str,
    },
    /// No connection.
    #[error("{server} cannot be reached: {cause}")]
    Unreachable {
        /// The name or address of the server, with its port.
        server: String,
        /// The reason in the words of the system.
        cause: String,
    },
    /// No TLS, or not with this server.
    #[error("there is no safe connection to {server}: {cause}")]
    Tls {
        /// The name of the server, with its port.
        server: String,
        /// The reason that the handshake failed.
        cause: String,
    },
    /// It took too long.
    #[error("{0} within the time that was given")]
    TimedOut(Late),
    /// The body of an answer is larger than allowed.
    #[error("the answer has more than {0} bytes")]
    TooLarge(u64),
    /// The other side does not speak HTTP, or breaks off.
    #[error("{0}")]
    Protocol(String),
    /// The server redirected more often than the request allows.
    #[error("it redirects more than {0} times")]
    TooManyRedirects(u8),
    /// The server redirected to an address that is not followed.
    #[error("it redirects to what is not followed: {0}")]
    BadRedirect(BadWebAddress),
    /// It redirected to `http`, which a request that began with `https` does not follow.
    #[error("it redirects to http, and the request began with https")]
    WithoutTls,
    /// The client may make no request any more.
    #[error("no request may be made any more")]
    Ended,
    /// A header that the host writes itself, that could lead beyond the address, or that is none.
    #[error("the header {name:?} cannot be set: {why}")]
    Header {
        /// The name, shortened.
        name: String,
        /// The reason.
        why: &'static str,
    },
}

/// The part of an answer that did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// The head of the answer.
    Answer,
    /// More of the body.
    Body,
}

impl std::fmt::Display for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Answer => "no answer began",
            Self::Body => "no more of the answer came",
        })
    }
}

impl WebError {
    /// Finds our own error in one of the library, or describes that.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut here = Some(error);
        let mut last = error;
        while let Some(error) = here {
            if let Some(own) = error.downcast_ref::<Self>() {
                return own.clone();
            }
            last = error;
            here = error.source();
        }
        Self::Protocol(format!("the connection broke off, or is no HTTP: {last}"))
    }
}
