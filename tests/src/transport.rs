//! The transports by which a host reaches its server, for tests that run over each of them.

use clap::ValueEnum;

use crate::certificate::Certificate;
use crate::front::Front;
use crate::host::Server;
use crate::server::XmppServer;

/// A transport to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Transport {
    /// TCP, and then STARTTLS.
    #[default]
    #[value(name = "starttls", alias = "tcp")]
    StartTls,
    /// TLS from the first byte.
    #[value(name = "tls")]
    Direct,
    /// WebSocket within TLS.
    #[value(name = "ws")]
    WebSocket,
    /// BOSH within TLS.
    Bosh,
}

impl Transport {
    /// All transports.
    pub const ALL: [Self; 4] = [Self::StartTls, Self::Direct, Self::WebSocket, Self::Bosh];

    /// Returns its name, as `--transport` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Direct => "tls",
            Self::WebSocket => "ws",
            Self::Bosh => "bosh",
        }
    }

    /// Returns this server's port for the transport, or that of the TLS proxy in front of its web port.
    pub fn port(self, server: &XmppServer, front: &Front) -> u16 {
        let ports = server.ports();
        match self {
            Self::StartTls => ports.starttls,
            Self::Direct => ports.direct,
            Self::WebSocket | Self::Bosh => front.port(),
        }
    }

    /// Returns how an account connects over this transport, to this port.
    pub fn by(self, port: u16, certificate: &Certificate) -> Server<'_> {
        match self {
            Self::StartTls => Server::StartTls(port, certificate),
            Self::Direct => Server::Direct(port, certificate),
            Self::WebSocket => Server::WebSocket(port, certificate),
            Self::Bosh => Server::Bosh(port, certificate),
        }
    }
}
