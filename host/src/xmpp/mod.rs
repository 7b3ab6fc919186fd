//! The only folder that names `tokio_xmpp`: from sockets to [`Incoming`](crate::stanza::Incoming), and back.
//!
//! [`Link`] owns one account's stream: it logs in, comes back after cuts, and hands up what came in the order in which it
//! came. `decode` decides what may be believed, `encode` writes, [`RawStanza`] carries XML past the rest of the house.
//! Nothing here knows of plugins, grants or rosters.

mod connect;
mod cut;
mod decode;
mod encode;
mod link;
mod password;
#[cfg(test)]
pub(crate) mod peer;
mod raw;
mod sasl;
mod srv;
mod tls;

pub use connect::{CertificateFault, ConnectError};
pub use link::{Link, LinkEvent, LinkSettings};
pub use password::PasswordError;
pub use raw::{RawStanza, is_sendable};
