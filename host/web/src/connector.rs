//! How a connection is made: the name is looked up once, each address is checked, and exactly that is dialed, directly or
//! through a proxy. Only if the owner says so does a proxy look names up.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::Uri;
use hyper::http::Extensions;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Error;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use parlor_https::trust::handshake_failure;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::error::Elapsed;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tower_service::Service;

use crate::error::WebError;
use crate::interim::Counted;
use crate::proxy::Proxy;

/// The maximum number of addresses of a server that are tried.
const MOST_ADDRESSES: usize = 4;

/// How long an address is tried before the next one is tried in parallel (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// The number of look-ups at once: each occupies a thread, and a silent name server keeps it for long.
const LOOK_UPS: usize = 2;

/// Returns whether an address may be dialed, directly or by a name that resolves to it.
pub(crate) type Rule = Arc<dyn Fn(SocketAddr, bool) -> bool + Send + Sync>;

/// Makes connections to servers, as far as their addresses may be dialed.
#[derive(Clone)]
pub(crate) struct Connector {
    may_dial: Rule,
    proxy: Option<Proxy>,
    tls: TlsConnector,
    /// The places for look-ups that have not ended.
    look_ups: Arc<Semaphore>,
    /// The time limit for the look-up, for the connection and for TLS, each.
    patience: Duration,
}

impl Connector {
    pub(crate) fn new(may_dial: Rule, proxy: Option<Proxy>, mut tls: ClientConfig, patience: Duration) -> Self {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self {
            may_dial,
            proxy,
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
        let scheme = if is_secure { "https" } else { "http" };
        let stream = self.dial(host, port, &server, scheme).await?;
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
        let is_h2 = secured.get_ref().1.alpn_protocol() == Some(b"h2".as_slice());
        Ok(Stream::Tls(Box::new(TokioIo::new(Counted::new(secured, is_h2)))))
    }

    /// Connects to the first of the server's addresses that answers.
    async fn dial(&self, host: &str, port: u16, server: &str, scheme: &'static str) -> Result<TcpStream, WebError> {
        if let Some(proxy) = self.proxy.as_ref().filter(|proxy| proxy.resolves && host.parse::<IpAddr>().is_err()) {
            let tunnel = timeout(self.patience, self.through(proxy, server.to_owned()));
            return first(std::iter::once(tunnel)).await.map_err(|error| unreachable(server, &error));
        }
        let addresses = self.addresses(host, port, server, scheme).await?;
        let connect = |address: SocketAddr| timeout(self.patience, self.reach(address));
        first(addresses.into_iter().map(connect)).await.map_err(|error| unreachable(server, &error))
    }

    /// Connects to an address, through the proxy if that reaches it.
    async fn reach(&self, address: SocketAddr) -> io::Result<TcpStream> {
        match self.proxy.as_ref().filter(|proxy| (proxy.reaches)(address)) {
            Some(proxy) => self.through(proxy, address.to_string()).await,
            None => TcpStream::connect(address).await,
        }
    }

    /// Connects to a server through a proxy.
    async fn through(&self, proxy: &Proxy, server: String) -> io::Result<TcpStream> {
        let found = self.look_up(&proxy.host, proxy.port).await.map_err(|error| proxy.failed(&error.to_string()))?;
        let addresses = alternating(found.into_iter()).into_iter().take(MOST_ADDRESSES);
        let connected = first(addresses.map(|address| timeout(self.patience, TcpStream::connect(address)))).await;
        let stream = connected.map_err(|error| proxy.failed(&error.to_string()))?;
        stream.set_nodelay(true)?;
        proxy.tunnel(stream, &server).await
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
    async fn addresses(
        &self,
        host: &str,
        port: u16,
        server: &str,
        scheme: &'static str,
    ) -> Result<Vec<SocketAddr>, WebError> {
        let literal = host.parse::<IpAddr>().ok();
        let found = match literal {
            Some(address) => vec![SocketAddr::new(address, port)],
            None => self.look_up(host, port).await.map_err(|error| unreachable(server, &error))?,
        };
        let by_name = literal.is_none();
        let mut allowed = alternating(found.iter().copied().filter(|address| (self.may_dial)(*address, by_name)));
        allowed.truncate(MOST_ADDRESSES);
        match found.first() {
            Some(first) if allowed.is_empty() => {
                Err(WebError::Refused { server: host.to_owned(), address: *first, scheme })
            }
            Some(_) | None => Ok(allowed),
        }
    }
}

/// Orders addresses so that each family has one of the first two (RFC 8305, section 4): one family may lead nowhere.
fn alternating(addresses: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut seen = [0, 0];
    let ranked = addresses.map(|address| {
        let rank = &mut seen[usize::from(address.is_ipv6())];
        *rank += 1;
        (*rank, address)
    });
    let mut ranked: Vec<(usize, SocketAddr)> = ranked.collect();
    // Of the same rank, the one that the system prefers stays the first.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, address)| address).collect()
}

/// Returns what the first successful attempt returns, or else the error of the last one. The next attempt begins when one
/// has failed, or has been silent for a while.
async fn first<T, A>(mut attempts: impl Iterator<Item = A>) -> io::Result<T>
where
    A: Future<Output = Result<io::Result<T>, Elapsed>>,
{
    let mut running = FuturesUnordered::new();
    let mut failure = io::Error::other("its name has no address");
    loop {
        let next = attempts.next();
        let goes_on = next.is_some();
        running.extend(next);
        tokio::select! {
            biased;
            outcome = running.next() => match outcome {
                Some(Ok(Ok(reached))) => return Ok(reached),
                Some(Ok(Err(error))) => failure = error,
                Some(Err(_)) => failure = io::ErrorKind::TimedOut.into(),
                None => return Err(failure),
            },
            () = sleep(HEAD_START), if goes_on => {}
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

/// Whether a connection has answered a request.
#[derive(Clone, Default)]
pub(crate) struct Used(Arc<AtomicBool>);

impl Used {
    /// Notes that a connection has answered.
    pub(crate) fn note(of_answer: &Extensions) {
        if let Some(Self(used)) = of_answer.get::<Self>() {
            used.store(true, Relaxed);
        }
    }

    /// Returns whether a request failed on a connection that had answered another one.
    pub(crate) fn before(error: &Error) -> bool {
        let mut extras = Extensions::new();
        if let Some(connection) = error.connect_info() {
            connection.get_extras(&mut extras);
        }
        extras.get::<Self>().is_some_and(|Self(used)| used.load(Relaxed))
    }
}

/// A connection to a server.
pub(crate) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<Counted<TlsStream<TcpStream>>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(Used::default());
        match self {
            Self::Tls(stream) if stream.inner().is_h2() => connected.negotiated_h2(),
            Self::Plain(_) | Self::Tls(_) => connected,
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

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[test]
    fn both_families_are_tried_early() {
        let order = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 443));
            alternating(addresses).into_iter().map(|address| address.ip().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            order(&["2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1", "192.0.2.2"]),
            ["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"]
        );
        assert_eq!(order(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]), ["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
        assert!(order(&[]).is_empty());
    }

    /// Attempts that end after these seconds, and the time that all take together.
    async fn tried(attempts: Vec<(u64, io::Result<u8>)>) -> (io::Result<u8>, Duration) {
        let begun = Instant::now();
        let attempt = |(seconds, outcome): (u64, io::Result<u8>)| {
            timeout(Duration::from_secs(10), async move {
                sleep(Duration::from_secs(seconds)).await;
                outcome
            })
        };
        (first(attempts.into_iter().map(attempt)).await, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_does_not_answer_holds_up_the_next_one_only_briefly() {
        let refused = || -> io::Result<u8> { Err(io::ErrorKind::ConnectionRefused.into()) };
        let (reached, took) = tried(vec![(3_600, Ok(1)), (3_600, Ok(2)), (0, Ok(3))]).await;
        assert!(reached.unwrap() == 3 && took < Duration::from_secs(1), "{took:?}");
        let (reached, took) = tried(vec![(0, refused()), (0, Ok(2))]).await;
        assert!(reached.unwrap() == 2 && took < HEAD_START, "{took:?}");
        let (reached, took) = tried(vec![(1, Ok(1)), (3_600, Ok(2)), (0, refused())]).await;
        assert!(reached.unwrap() == 1 && took < Duration::from_secs(2), "{took:?}");
        let (failed, took) = tried(vec![(3_600, Ok(1)), (3_600, Ok(2))]).await;
        assert!(failed.unwrap_err().kind() == io::ErrorKind::TimedOut && took < Duration::from_secs(11), "{took:?}");
        let (failed, _) = tried(vec![(1, refused()), (0, refused())]).await;
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(tried(Vec::new()).await.0.unwrap_err().to_string().contains("no address"));
    }
}
