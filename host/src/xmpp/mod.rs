//! The only folder that names `tokio_xmpp`: from sockets to [`Incoming`](crate::stanza::Incoming), and back.
//!
//! [`Link`] owns one account's stream: it logs in, comes back after cuts, and hands up what came in the order in which it
//! came. `decode` decides what may be believed, `encode` writes, [`RawStanza`] carries XML past the rest of the house.
//! Nothing here knows of plugins, grants or rosters.

mod bind;
mod bosh;
mod card;
mod connect;
mod decode;
mod discover;
mod encode;
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
mod raw;
mod reach;
mod sasl;
#[cfg(test)]
pub(crate) mod simulated;
mod srv;
mod stream_error;
mod tls;
mod websocket;
mod within;

pub use bosh::Tokens;
pub use card::WholeCard;
pub use connect::{CertificateFault, ConnectError, WhyBound};
pub use intake::Lost;
pub use link::{ClientState, Left, Link, LinkEvent, LogIn};
pub use password::{PasswordError, Supplied};
pub use pins::{Carrier, Pins};
pub use probe::{Feature, Probe, RegisterError, probe, random_password, register};
pub(crate) use raw::BroadcastPresence;
pub use raw::{RawStanza, is_one_line, is_sendable, is_sendable_char, is_sendable_time, no_jid};
pub(crate) use tls::{client_config, handshake_failure};
pub use within::{About, Deed, How, Impossible, Rank, Said, Within};

/// Whether what logs under this target sees the stream before or after it is encrypted. Below `info` such libraries write
/// it out, log-in and messages included.
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
    // hickory comes in several parts.
    LIBRARIES.contains(&library) || library.starts_with("hickory_")
}
