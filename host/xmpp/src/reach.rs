//! Opens a TCP connection to a named server: tries its addresses in turn, each in parallel with those that have not
//! answered (RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, FuturesUnordered};
use futures_util::{Stream, StreamExt as _};
use parlor_config::{Endpoint, TlsMode};
use tokio::net::TcpStream;

use super::error::ConnectError;
use super::srv::{MAX_SERVERS, Resolve, Server, SystemDns, servers};

/// The time limit for one address.
const ADDRESS_LIMIT: Duration = Duration::from_secs(10);
/// How long an address is tried before the next one is tried in parallel, so that a few dead ones leave time for a live
/// one.
const HEAD_START: Duration = Duration::from_secs(2);

/// Finds the servers of a domain, and orders them.
#[derive(Debug)]
pub(super) struct Finder {
    resolver: Arc<dyn Resolve>,
    /// Servers that accepted a connection but have not sent their features, in the order in which they accepted it. A
    /// load balancer may accept connections although no server is behind it. These servers are tried after the others,
    /// so that all get their turn (RFC 6120, section 3.2.1).
    unheard: Mutex<Vec<Server>>,
    /// The server that accepted the last connection of this log-in, until it has sent its features.
    silent: Mutex<Option<Server>>,
}

impl Default for Finder {
    fn default() -> Self {
        Self::with(Arc::new(SystemDns))
    }
}

impl Finder {
    /// Creates a finder that gets SRV records from this resolver.
    pub(super) fn with(resolver: Arc<dyn Resolve>) -> Self {
        Self { resolver, unheard: Mutex::default(), silent: Mutex::default() }
    }

    /// Begins a log-in: no server has accepted a connection of it.
    pub(super) fn begin(&self) {
        *self.silent() = None;
    }

    /// Notes that the server speaks what its port is for: whatever comes later, another port is no remedy.
    pub(super) fn heard(&self) {
        *self.silent() = None;
    }

    /// Restores the usual order, after a server has sent its features.
    pub(super) fn forget(&self) {
        self.unheard().clear();
        self.heard();
    }

    /// Returns the error for a log-in that took too long. A server that accepted the connection and sent no features may
    /// be on another port.
    pub(super) fn late(&self, domain: &str) -> ConnectError {
        match &*self.silent() {
            Some(Server { host, port, .. }) => {
                let place = Endpoint { host: host.clone(), port: Some(*port) }.to_string();
                ConnectError::Silent { place }
            }
            None => ConnectError::TimedOut { domain: domain.to_owned() },
        }
    }

    fn took(&self, server: &Server) {
        *self.silent() = Some(server.clone());
        let mut servers = self.unheard();
        servers.retain(|known| known != server);
        servers.push(server.clone());
        if servers.len() > MAX_SERVERS {
            servers.remove(0);
        }
    }

    fn put_last(&self, servers: &mut [Server]) {
        let unheard = self.unheard();
        servers.sort_by_key(|server| unheard.iter().position(|known| known == server).map_or(0, |at| at + 1));
    }

    fn unheard(&self) -> MutexGuard<'_, Vec<Server>> {
        self.unheard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent(&self) -> MutexGuard<'_, Option<Server>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to the first server that accepts a TCP connection, and returns when TLS begins on it. Otherwise returns the
/// error of the last attempt. The servers are the `named` one, or those that DNS names for this TLS mode, or for both
/// modes if none is given.
pub(super) async fn reach(
    domain: &str,
    tls: Option<TlsMode>,
    named: Option<&Endpoint>,
) -> Result<(TcpStream, TlsMode), ConnectError> {
    reach_in_turn(domain, tls, named, &Finder::default()).await
}

/// Same as [`reach`], but servers that were tried before without an answer come last.
pub(super) async fn reach_in_turn(
    domain: &str,
    tls: Option<TlsMode>,
    named: Option<&Endpoint>,
    finder: &Finder,
) -> Result<(TcpStream, TlsMode), ConnectError> {
    let nowhere =
        ConnectError::UnknownHost { host: domain.to_owned(), cause: "it says that it has no XMPP service".to_owned() };
    let mut servers = servers(domain, named, tls, &*finder.resolver).await;
    finder.put_last(&mut servers);
    let addresses = stream::iter(servers).then(addresses).flat_map(stream::iter);
    let attempts = addresses.map(|address| address.map(|(address, server)| reach_address(address, server)));
    let (tcp, server) = first_of(attempts, nowhere).await?;
    finder.took(&server);
    Ok((tcp, server.tls))
}

/// Resolves the addresses of a server.
async fn addresses(server: Server) -> Vec<Result<(SocketAddr, Server), ConnectError>> {
    let found = tokio::net::lookup_host((server.host.as_str(), server.port)).await;
    match found {
        Ok(addresses) => addresses.map(|address| Ok((address, server.clone()))).collect(),
        Err(error) => vec![Err(ConnectError::UnknownHost { host: server.host.clone(), cause: error.to_string() })],
    }
}

/// Returns the result of the first attempt that succeeds. If none succeeds, returns the error of the last one, or
/// `last` if there was no attempt. The next attempt begins when one has failed, or has been silent for a while.
async fn first_of<T, A: Future<Output = Result<T, ConnectError>>>(
    attempts: impl Stream<Item = Result<A, ConnectError>>,
    mut last: ConnectError,
) -> Result<T, ConnectError> {
    let mut attempts = pin!(attempts.fuse());
    let mut running = FuturesUnordered::new();
    let mut is_time = true;
    loop {
        tokio::select! {
            biased;
            Some(outcome) = running.next() => match outcome {
                Ok(reached) => return Ok(reached),
                Err(error) => (last, is_time) = (error, true),
            },
            next = attempts.next(), if is_time => match next {
                Some(Ok(attempt)) => {
                    running.push(attempt);
                    is_time = false;
                }
                Some(Err(error)) => last = error,
                None if running.is_empty() => return Err(last),
                None => is_time = false,
            },
            () = tokio::time::sleep(HEAD_START), if !is_time => is_time = true,
        }
    }
}

async fn reach_address(address: SocketAddr, server: Server) -> Result<(TcpStream, Server), ConnectError> {
    let named = || match server.host.parse::<std::net::IpAddr>() {
        Ok(_) => address.to_string(),
        Err(_) => format!("{}:{} ({address})", server.host, server.port),
    };
    let unreachable = |error: io::Error| match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused { address: named() },
        _ => ConnectError::Unreachable { address: named(), cause: error.to_string() },
    };
    let stream = tokio::time::timeout(ADDRESS_LIMIT, TcpStream::connect(address))
        .await
        .map_err(|_| ConnectError::Unreachable { address: named(), cause: "no answer".to_owned() })?
        .map_err(unreachable)?;
    // Without this, Nagle's algorithm on both ends costs 40 ms for each round trip.
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok((stream, server))
}

/// Converts a domain to the form used in DNS and certificates; literal addresses lose their brackets.
pub(super) fn ascii(domain: &str) -> Result<String, ConnectError> {
    let bare = domain.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<std::net::IpAddr>().is_ok() {
        return Ok(bare.to_owned());
    }
    idna::domain_to_ascii(domain)
        .map_err(|error| ConnectError::UnknownHost { host: domain.to_owned(), cause: error.to_string() })
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// The behaviour of an address.
    #[derive(Debug, Clone, Copy)]
    enum Way {
        /// The address does not answer until the system gives up.
        Dead,
        Refuses,
        /// The address answers after this many seconds.
        Answers(u64),
        /// The name of the address is unknown.
        Unknown,
    }

    fn refused() -> ConnectError {
        ConnectError::Refused { address: "there".to_owned() }
    }

    fn unknown() -> ConnectError {
        ConnectError::UnknownHost { host: "who".to_owned(), cause: "nobody".to_owned() }
    }

    fn silent() -> ConnectError {
        ConnectError::Unreachable { address: "there".to_owned(), cause: "no answer".to_owned() }
    }

    /// Returns which address accepts the connection, or the error if none does, and the time in seconds.
    async fn reached(ways: &[Way]) -> (Result<usize, ConnectError>, u64) {
        let began = Instant::now();
        let attempts = stream::iter(ways.iter().enumerate()).map(|(number, way)| match *way {
            Way::Unknown => Err(unknown()),
            way => Ok(async move {
                match way {
                    Way::Answers(after) => {
                        tokio::time::sleep(Duration::from_secs(after)).await;
                        Ok(number)
                    }
                    Way::Refuses | Way::Unknown => Err(refused()),
                    Way::Dead => {
                        tokio::time::sleep(ADDRESS_LIMIT).await;
                        Err(silent())
                    }
                }
            }),
        });
        let outcome = first_of(attempts, unknown()).await;
        (outcome, began.elapsed().as_secs())
    }

    /// The addresses of an unreachable network come first each time.
    #[tokio::test(start_paused = true)]
    async fn dead_addresses_leave_time_for_one_that_lives() {
        use Way::{Answers, Dead, Refuses, Unknown};
        assert_eq!(reached(&[Dead, Dead, Dead, Dead, Answers(0)]).await, (Ok(4), 8));
        assert_eq!(reached(&[Dead, Refuses, Unknown, Refuses, Answers(1)]).await, (Ok(4), 3));
        assert_eq!(reached(&[Answers(3), Dead]).await, (Ok(0), 3), "it is late and not dead");
        assert_eq!(reached(&[Answers(0), Answers(0)]).await, (Ok(0), 0));
        assert_eq!(reached(&[Unknown, Refuses]).await, (Err(refused()), 0));
        assert_eq!(reached(&[Refuses, Dead]).await, (Err(silent()), 10));
        assert_eq!(reached(&[]).await, (Err(unknown()), 0));
    }

    #[test]
    fn a_log_in_that_takes_too_long_names_the_server_that_accepted_it_and_said_nothing() {
        let finder = Finder::default();
        let late = ConnectError::TimedOut { domain: "example.org".to_owned() };
        assert_eq!(finder.late("example.org"), late, "no server accepted it");
        let server = Server { host: "::1".to_owned(), port: 5280, tls: TlsMode::StartTls };
        finder.took(&server);
        assert_eq!(finder.late("example.org"), ConnectError::Silent { place: "[::1]:5280".to_owned() });
        finder.forget();
        assert_eq!(finder.late("example.org"), late, "it sent its features");
        finder.took(&server);
        finder.begin();
        assert_eq!(finder.late("example.org"), late, "that was another log-in");
    }

    #[test]
    fn domains_are_spelled_as_dns_does() {
        assert_eq!(ascii("bücher.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(ascii("[::1]").unwrap(), "::1");
        assert!(matches!(ascii("xn--a"), Err(ConnectError::UnknownHost { .. })));
    }
}
