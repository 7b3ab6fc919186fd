//! The way from a link to its server: the network, or something in its place.

use std::fmt;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::error::ConnectError;
use super::local::LocalServer;
use super::srv::Resolve;

/// The way from a link to its server.
#[derive(Debug, Clone, Default)]
pub enum Dialer {
    /// The network, by the ways that the settings name.
    #[default]
    Network,
    /// The network, with SRV records from this resolver.
    Resolving(Arc<dyn Resolve>),
    /// Connections that the caller provides, instead of TCP and TLS. The stream on them is the same.
    Through(Arc<dyn Dial>),
    /// A server within the process, without connections.
    Local(Arc<dyn LocalServer>),
}

/// A connection instead of TCP and TLS.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

/// Opens connections instead of TCP and TLS.
pub trait Dial: fmt::Debug + Send + Sync {
    /// Opens a connection to the server.
    fn dial(&self) -> Result<Box<dyn Connection>, ConnectError>;

    /// Draws a number in [0, 1), which decides where a wait lies within its bounds.
    fn draw(&self) -> f64;
}
