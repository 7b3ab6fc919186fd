//! The way from a link to its server: the network, or something in its place.

use std::fmt;
use std::sync::Arc;

use tokio::io::DuplexStream;

use super::error::ConnectError;
use super::local::LocalServer;

/// The way from a link to its server.
#[derive(Debug, Clone, Default)]
pub enum Dialer {
    /// The network, by the ways that the settings name.
    #[default]
    Network,
    /// Connections of somebody else, in the place of TCP and TLS. The stream on them is the same.
    Through(Arc<dyn Dial>),
    /// A server within the process, without connections.
    Local(Arc<dyn LocalServer>),
}

/// Opens connections in the place of TCP and TLS.
pub trait Dial: fmt::Debug + Send + Sync {
    /// Opens a connection to the server.
    fn dial(&self) -> Result<DuplexStream, ConnectError>;

    /// Draws a number in [0, 1), which decides where a wait lies within its bounds.
    fn draw(&self) -> f64;
}
