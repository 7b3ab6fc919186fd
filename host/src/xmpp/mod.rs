//! Connects to XMPP servers, and converts between sockets and [`Incoming`](parlor_stanza::types::Incoming). Only this folder
//! names `tokio_xmpp`.
//!
//! [`Link`] owns the stream of one account: it logs in, reconnects after connection loss, and passes on stanzas in the
//! order in which they arrived. `decode` decides what may be believed, `encode` writes stanzas, and [`RawStanza`]
//! carries XML through the rest of the host unparsed. This module knows nothing about plugins, grants or rosters.

mod bind;
mod bosh;
mod connect;
mod discover;
mod fetched;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod intake;
mod link;
mod password;
#[cfg(test)]
pub(crate) mod peer;
mod pins;
mod probe;
mod reach;
mod sasl;
#[cfg(test)]
pub(crate) mod simulated;
mod srv;
mod tls;
mod websocket;
mod within;

pub use bosh::Tokens;
pub use connect::{CertificateFault, ConnectError, WhyBound};
pub use link::{ClientState, Left, Link, LinkEvent, LogIn};
pub use password::{PasswordError, Supplied};
pub use pins::{Carrier, Pins};
pub use probe::{Feature, Probe, RegisterError, probe, random_password, register};
pub(crate) use tls::{client_config, handshake_failure};
pub use within::{About, Deed, How, Impossible, Rank, Said, Within};

/// Returns whether a library that logs under this target sees the stream before or after encryption. Below `info`, such
/// libraries log the stream itself, including log-ins and messages.
pub(crate) fn sees_the_stream(target: &str) -> bool {
    const LIBRARIES: [&str; 10] = [
        "tokio_tungstenite",
        "tungstenite",
        "tokio_xmpp",
        "xmpp_parsers",
        "xso",
        "rxml",
        "minidom",
        "sasl",
        "rustls",
        "tokio_rustls",
    ];
    let library = target.split("::").next().unwrap_or(target);
    // hickory consists of several crates.
    LIBRARIES.contains(&library) || library.starts_with("hickory_")
}
