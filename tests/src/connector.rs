//! Connects to a test server: direct TLS that trusts exactly one certificate, without Nagle's algorithm.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::sync::Arc;

use sasl::common::ChannelBinding;
use tokio::io::BufStream;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_xmpp::Error;
use tokio_xmpp::connect::ServerConnector;
use tokio_xmpp::jid::Jid;
use tokio_xmpp::rustls::pki_types::{CertificateDer, ServerName};
use tokio_xmpp::rustls::{ClientConfig, RootCertStore};
use tokio_xmpp::xmlstream::{PendingFeaturesRecv, StreamHeader, Timeouts, initiate_stream};

/// The transport of the clients here.
pub type Transport = BufStream<TlsStream<TcpStream>>;

/// Connects to a port of the loopback interface.
#[derive(Debug, Clone)]
pub struct Connector {
    port: u16,
    tls: Arc<ClientConfig>,
}

impl Connector {
    /// Creates a connector to the direct TLS port of a server with this certificate.
    pub fn new(port: u16, trusted: &CertificateDer<'static>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).map_err(std::io::Error::other)?;
        let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { port, tls: Arc::new(tls) })
    }
}

impl ServerConnector for Connector {
    type Stream = Transport;

    async fn connect(
        &self,
        jid: &Jid,
        ns: &'static str,
        timeouts: Timeouts,
    ) -> Result<(PendingFeaturesRecv<Transport>, ChannelBinding), Error> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        // Otherwise a small stanza would wait 40 ms for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        let domain = ServerName::try_from(jid.domain().as_str().to_owned()).map_err(std::io::Error::other)?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(domain, stream).await?;
        let header = StreamHeader { to: Some(Cow::Borrowed(jid.domain().as_str())), from: None, id: None };
        let stream = initiate_stream(BufStream::new(stream), ns, header, timeouts).await?;
        // Without channel binding: if the server does not offer it, a client that insists on it falls back to PLAIN.
        Ok((stream, ChannelBinding::None))
    }
}
