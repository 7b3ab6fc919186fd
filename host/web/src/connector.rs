//! How a connection is made: the name is looked up once, each address is checked, and exactly that is dialed.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use parlor_https::trust::handshake_failure;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tower_service::Service;

use crate::error::WebError;

/// The maximum number of addresses of a server that are tried.
const MOST_ADDRESSES: usize = 4;

/// The number of look-ups at once: each occupies a thread, and a silent name server keeps it for long.
const LOOK_UPS: usize = 2;

/// Returns whether an address may be dialed, directly or by a name that resolves to it.
pub(crate) type Rule = Arc<dyn Fn(SocketAddr, bool) -> bool + Send + Sync>;

/// Makes connections to servers, as far as their addresses may be dialed.
#[derive(Clone)]
pub(crate) struct Connector {
    may_dial: Rule,
    tls: TlsConnector,
    /// The places for look-ups that have not ended.
    look_ups: Arc<Semaphore>,
    /// The time limit for the look-up, for the connection and for TLS, each.
    patience: Duration,
}

impl Connector {
    pub(crate) fn new(may_dial: Rule, mut tls: ClientConfig, patience: Duration) -> Self {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self {
            may_dial,
            tls: TlsConnector::from(Arc::new(tls)),
            look_ups: Arc::new(Semaphore::new(LOOK_UPS)),
            patience,
        }
    }

    async fn connect(self, uri: Uri) -> Result<Stream, WebError> {
        let is_secure = uri.scheme_str() == Some("https");
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let server = format!("{host}:{port}");
        let stream = self.dial(host, port, &server).await?;
        // A request is written at once, and its end must not wait for an acknowledgement of its begin.
        stream.set_nodelay(true).map_err(|error| unreachable(&server, &error))?;
        if !is_secure {
            return Ok(Stream::Plain(TokioIo::new(stream)));
        }
        let failed = |cause: String| WebError::Tls { server: server.clone(), cause };
        let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
        let secured = timeout(self.patience, self.tls.connect(name, stream)).await;
        let secured = secured.map_err(|_| failed("it does not finish the handshake".to_owned()))?;
        let secured = secured.map_err(|error| failed(handshake_failure(&error)))?;
        Ok(Stream::Tls(Box::new(TokioIo::new(secured))))
    }

    /// Connects to the first of the server's addresses that answers.
    async fn dial(&self, host: &str, port: u16, server: &str) -> Result<TcpStream, WebError> {
        let mut failure = io::Error::other("its name has no address");
        for address in self.addresses(host, port, server).await? {
            match timeout(self.patience, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failure = error,
                Err(_) => failure = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(unreachable(server, &failure))
    }

    /// Asks the system. It cannot be cancelled: a look-up holds its place until it has ended, even if its caller has
    /// given up.
    async fn look_up(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let (name, places) = (host.to_owned(), Arc::clone(&self.look_ups));
        let looking = async {
            let place = places.acquire_owned().await.map_err(io::Error::other)?;
            let looked_up = tokio::spawn(async move {
                let _place = place;
                tokio::net::lookup_host((name, port)).await.map(Iterator::collect)
            });
            looked_up.await.map_err(io::Error::other)?
        };
        timeout(self.patience, looking).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Looks a server up. Of several addresses those that may not be dialed are left out.
    async fn addresses(&self, host: &str, port: u16, server: &str) -> Result<Vec<SocketAddr>, WebError> {
        let literal = host.parse::<IpAddr>().ok();
        let found = match literal {
            Some(address) => vec![SocketAddr::new(address, port)],
            None => self.look_up(host, port).await.map_err(|error| unreachable(server, &error))?,
        };
        let by_name = literal.is_none();
        let allowed = found.iter().copied().filter(|address| (self.may_dial)(*address, by_name));
        let allowed: Vec<_> = allowed.take(MOST_ADDRESSES).collect();
        match found.first() {
            Some(first) if allowed.is_empty() => Err(WebError::Refused { server: host.to_owned(), address: *first }),
            Some(_) | None => Ok(allowed),
        }
    }
}

fn unreachable(server: &str, error: &io::Error) -> WebError {
    WebError::Unreachable { server: server.to_owned(), cause: error.to_string() }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = WebError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, WebError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), WebError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// A connection to a server.
pub(crate) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(_) => Connected::new(),
            Self::Tls(stream) => match stream.inner().get_ref().1.alpn_protocol() {
                Some(b"h2") => Connected::new().negotiated_h2(),
                Some(_) | None => Connected::new(),
            },
        }
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(context, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
        }
    }
}
