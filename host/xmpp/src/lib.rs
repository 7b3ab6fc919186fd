//! The connection of one account: from an address to stanzas, and back.
//!
//! **Owns:** finding and connecting to a server by TCP, WebSocket or BOSH; TLS; SASL and the passwords that it takes; stream
//! management (XEP-0198); the order of stanzas.
//!
//! **Must not** know plugins, grants, rosters or rooms. No package above it names `tokio_xmpp`.
//!
//! **Begin with** [`Link`], which owns a stream: it logs in, connects again, and passes stanzas on in the order in which they
//! arrived. [`parlor_stanza::decode`] decides what may be believed of them.

mod bind;
mod bosh;
mod component;
mod component_error;
mod connect;
mod dialer;
mod discover;
mod error;
mod event;
mod failure;
mod fetched;
mod framing;
#[cfg(any(test, feature = "test-support"))]
pub mod fuzz;
mod handshake;
mod http;
mod intake;
mod keepalive;
mod link;
mod local;
#[cfg(any(test, feature = "test-support"))]
#[allow(clippy::unwrap_used, missing_docs, reason = "it is a part of tests")]
pub mod mock_server;
mod password;
#[cfg(any(test, feature = "test-support"))]
#[allow(clippy::unwrap_used, missing_docs, reason = "it is a part of tests")]
pub mod peer;
mod pins;
mod probe;
mod reach;
mod resource;
mod sasl;
#[cfg(any(test, feature = "test-support"))]
#[allow(clippy::unwrap_used, missing_docs, reason = "it is a part of tests")]
pub mod simulated_network;
mod srv;
mod stream;
mod tls;
mod websocket;

pub use bosh::Tokens;
pub use component::{Component, ComponentState};
pub use component_error::ComponentError;
pub use dialer::{Connection, Dial, Dialer};
pub use error::{CertificateFault, ConnectError, WhyBound};
pub use event::{ClientState, Left, LinkEvent};
pub use link::{Link, LogIn, LogInTurns, too_old};
pub use local::LocalServer;
pub use password::{PasswordError, Supplied, read_room_password};
pub use pins::{Carrier, Pins};
pub use probe::{Feature, Probe, RegisterError, probe, random_password, register};
pub use resource::is_made_up;
pub use srv::{Resolve, SrvRecord};

/// Returns whether a library that logs under this target sees the stream before or after encryption. Below `info`, such
/// libraries log the stream itself, including log-ins and messages.
pub fn sees_the_stream(target: &str) -> bool {
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
