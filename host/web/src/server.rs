//! The server: takes requests that others send, within bounds on connections, time and bytes.
//!
//! It has a separate thread with a lower priority than those of accounts and plugins: a flood of requests only takes
//! the CPU time that they leave.

mod forwarded;
mod patience;
mod places;
mod rooms;
mod tls;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use forwarded::sender;
use rooms::Rooms;

pub use patience::Patient;
pub use places::{Place, Places};
pub use rooms::{Memory, Room};
pub use tls::{Certificate, CertificateError, certificate};

/// The maximum number of connections. Further ones wait.
const MOST: usize = 1_024;
/// The maximum number from one address. Further ones are closed.
const MOST_EACH: usize = 64;
/// The maximum number of headers of a request.
const MOST_HEADERS: usize = 100;
/// The maximum size of the head of a request, in bytes.
const LONGEST_HEAD: usize = 64 << 10;
/// The time limit for TLS, and for each head of a request; also how long an idle connection is kept.
const HEAD: Duration = Duration::from_secs(10);
/// The time limit for the body of a request, with its waits for memory.
const BODY: Duration = Duration::from_secs(30);
/// How long a peer may leave sent data unread.
const TAKING: Duration = Duration::from_secs(30);
/// The time that requests have to end when the server stops.
const STOPPING: Duration = Duration::from_secs(5);
/// How much of it they have until they are answered with 503. The rest is for writing that.
const ANSWERING: Duration = Duration::from_secs(4);
/// The pause after a failed accept. The usual cause is too many open files, and a pause gives them time to close.
const PAUSE: Duration = Duration::from_millis(100);
/// The nice value of its thread: accounts and plugins have priority.
const NICE: i32 = 10;

/// The address of a server, and its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The address and port.
    pub at: SocketAddr,
    /// The certificate; without one there is no TLS.
    pub tls: Option<Certificate>,
    /// The proxies that are believed from where a request comes.
    pub proxies: Vec<IpAddr>,
}

/// A request that arrived.
pub struct Arrived {
    /// The method.
    pub method: Method,
    /// The path, as it was written.
    pub path: String,
    /// The query, without the `?`.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The address of the network that it comes from.
    pub from: IpAddr,
    body: Incoming,
    rooms: Rooms,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoBody {
    /// It is longer than allowed.
    #[error("the body is too long")]
    TooLong,
    /// It was interrupted, or is not HTTP.
    #[error("the body broke off")]
    Broken,
    /// It was received too slowly.
    #[error("the body did not come in time")]
    Late,
    /// There is no memory for it now.
    #[error("there is no room for the body")]
    NoRoom,
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers, with valid names in small letters. Values that no header can have are left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// Returns an answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }
}

impl Arrived {
    /// Reads the whole body, of at most this many bytes. It takes memory as its bytes come, and until the room is dropped. `addressee`
    /// names whose share of the memory that is.
    pub async fn body(self, most: usize, whose: Memory, addressee: &str) -> Result<(Vec<u8>, Room), NoBody> {
        // A body with too large a declared length is not read at all. A smaller length is only what the sender says: it
        // takes no memory before the bytes are there.
        let told = hyper::body::Body::size_hint(&self.body).exact();
        let length = told.map_or(most, |told| usize::try_from(told).unwrap_or(usize::MAX));
        if length > most {
            return Err(NoBody::TooLong);
        }
        let room = self.rooms.room(whose, addressee);
        timeout(BODY, read(self.body, length, room)).await.unwrap_or(Err(NoBody::Late))
    }
}

/// Reads a body to its end. It is copied into one buffer: if each of many tiny chunks were kept, they would take many
/// times the memory of their contents. The buffer at most doubles each time, and the room has all of it.
async fn read(mut body: Incoming, most: usize, mut room: Room) -> Result<(Vec<u8>, Room), NoBody> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers are of no use to anybody.
        let Ok(data) = frame.map_err(|_| NoBody::Broken)?.into_data() else { continue };
        if data.len() > most.saturating_sub(whole.len()) {
            return Err(NoBody::TooLong);
        }
        let length = whole.len() + data.len();
        if length > whole.capacity() {
            let size = length.max(whole.len().saturating_mul(2)).min(most);
            room.grow(size).await?;
            whole.reserve_exact(size - whole.len());
        }
        whole.extend_from_slice(&data);
    }
    Ok((whole, room))
}

/// A server that listens.
pub struct Server {
    at: SocketAddr,
    /// The present settings, but for the address.
    listen: watch::Sender<Listen>,
    enough: watch::Sender<bool>,
    /// Whether the listener is closed.
    closed: watch::Receiver<bool>,
    thread: std::thread::JoinHandle<()>,
}

impl Server {
    /// Listens, and answers each request by `answer`.
    pub fn start<A, F>(listen: Listen, answer: A) -> io::Result<Self>
    where
        A: Fn(Arrived) -> F + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = std::net::TcpListener::bind(listen.at)?;
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        let (enough, stops) = watch::channel(false);
        let (closing, closed) = watch::channel(false);
        let (listen, listens) = watch::channel(listen);
        let serving = Serving { listen: listens, answer, rooms: Rooms::new(), stops };
        let (begins, begun) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new().name("parlor-web".to_owned()).spawn(move || {
            // On Linux this is the priority of the thread alone. The server also works without it.
            let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
            // The caller waits for this in any case.
            match runtime_with(listener) {
                Ok((runtime, listener)) => {
                    let _ = begins.send(Ok(()));
                    runtime.block_on(accept(listener, Arc::new(serving), closing));
                }
                Err(error) => drop(begins.send(Err(error))),
            }
        })?;
        begun.recv().unwrap_or_else(|_| Err(io::Error::other("the thread of the server ended")))?;
        Ok(Self { at, listen, enough, closed, thread })
    }

    /// Returns the address that it listens at.
    pub fn address(&self) -> SocketAddr {
        self.at
    }

    /// Changes the certificate and the proxies. The listener stays open: no connection is refused meanwhile. Connections
    /// keep the certificate that they began with, and end after their request if TLS is turned on or off. The address of
    /// the server does not change.
    pub fn change(&self, tls: Option<Certificate>, proxies: Vec<IpAddr>) {
        self.listen.send_modify(|listen| (listen.tls, listen.proxies) = (tls, proxies));
    }

    /// Takes no more requests, and returns once the address is free for another server. Requests that have begun go on
    /// until [`Self::stop`] has ended them.
    pub async fn close(&mut self) {
        let _ = self.enough.send(true);
        // An error: the thread has ended, and with it the listener.
        drop(self.closed.wait_for(|closed| *closed).await);
    }

    /// Takes no more requests, lets those that have begun end, and closes every connection.
    pub async fn stop(self) {
        let Self { enough, thread, .. } = self;
        let _ = enough.send(true);
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}

/// Makes the runtime of a server. It is made on the server's own thread, since a runtime cannot be dropped among the tasks of
/// another one, as it would be where something fails.
fn runtime_with(listener: std::net::TcpListener) -> io::Result<(Runtime, TcpListener)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener)?
    };
    Ok((runtime, listener))
}

/// The state that all connections share.
struct Serving<A> {
    /// The settings, as the owner changes them.
    listen: watch::Receiver<Listen>,
    answer: A,
    rooms: Rooms,
    /// Whether the server is to stop.
    stops: watch::Receiver<bool>,
}

async fn accept<A, F>(listener: TcpListener, serving: Arc<Serving<A>>, closing: watch::Sender<bool>)
where
    A: Fn(Arrived) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let (places, mut stops) = (Places::new(MOST, MOST_EACH), serving.stops.clone());
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = stops.wait_for(|stops| *stops) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if places.are_free() => match accepted {
                Ok((stream, peer)) => {
                    let from = peer.ip().to_canonical();
                    let limited = (!serving.listen.borrow().proxies.contains(&from)).then_some(from);
                    // A connection over the limit is closed without an answer: an answer would take as long as a request.
                    if let Some(place) = places.take(limited) {
                        connections.spawn(serve(stream, from, Arc::clone(&serving), place));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection for webhooks was not accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    closing.send_replace(true);
    let ending = async { while connections.join_next().await.is_some() {} };
    // Later the rest is dropped.
    let _ = timeout(STOPPING, ending).await;
    connections.shutdown().await;
}

async fn serve<A, F>(stream: TcpStream, peer: IpAddr, serving: Arc<Serving<A>>, _place: Place)
where
    A: Fn(Arrived) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream, TAKING);
    let tls = serving.listen.borrow().tls.as_ref().map(|tls| Arc::clone(&tls.config));
    match tls {
        None => converse(stream, peer, serving, false).await,
        Some(tls) => {
            // A client that does not speak TLS is not answered.
            if let Ok(Ok(stream)) = timeout(HEAD, TlsAcceptor::from(tls).accept(stream)).await {
                converse(stream, peer, serving, true).await;
            }
        }
    }
}

async fn converse<A, F>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: IpAddr,
    serving: Arc<Serving<A>>,
    has_tls: bool,
) where
    A: Fn(Arrived) -> F + Send + Sync + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let (mut stops, mut listen) = (serving.stops.clone(), serving.listen.clone());
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (head, body) = request.into_parts();
        let is_whole = names_its_host(&head) && is_plainly_framed(&head.headers);
        let arrived = Arrived {
            from: sender(peer, &head.headers, &serving.listen.borrow().proxies),
            path: head.uri.path().to_owned(),
            query: head.uri.query().map(str::to_owned),
            method: head.method,
            headers: head.headers,
            body,
            rooms: serving.rooms.clone(),
        };
        let answer = is_whole.then(|| (serving.answer)(arrived));
        let stops = serving.stops.clone();
        async move {
            let reply = match answer {
                Some(answer) => tokio::select! {
                    biased;
                    reply = answer => reply,
                    () = is_too_late(stops) => again(),
                },
                None => Reply { headers: vec![("connection".to_owned(), "close".to_owned())], ..Reply::empty(400) },
            };
            Ok::<_, Infallible>(written(reply))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let is_to_stop = async { drop(stops.wait_for(|stops| *stops).await) };
    let is_outdated = async { drop(listen.wait_for(|listen| listen.tls.is_some() != has_tls).await) };
    tokio::select! {
        // A client that breaks off is gone.
        _ = connection.as_mut() => return,
        () = is_to_stop => connection.as_mut().graceful_shutdown(),
        () = is_outdated => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Returns once the server is stopping, and the time for answers is over.
async fn is_too_late(mut stops: watch::Receiver<bool>) {
    drop(stops.wait_for(|stops| *stops).await);
    tokio::time::sleep(ANSWERING).await;
}

/// Returns the answer to a request that the server gives up. Its sender repeats it, which a closed connection would not say.
fn again() -> Reply {
    let headers = [("retry-after", "30"), ("connection", "close")];
    Reply { headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(), ..Reply::empty(503) }
}

/// Returns whether a request names its host exactly once (RFC 9112, section 3.2). A proxy before this server could take
/// another host than this server does.
fn names_its_host(head: &Parts) -> bool {
    let mut hosts = head.headers.get_all(HOST).iter();
    let is_host = |host: &HeaderValue| {
        host.is_empty() || Authority::try_from(host.as_bytes()).is_ok_and(|host| !host.as_str().contains('@'))
    };
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => is_host(host),
        (Some(_), Some(_)) => false,
        (None, _) => head.version < Version::HTTP_11,
    }
}

/// Returns whether the body of a request comes as it is or in chunks (RFC 9112, section 6.1). The library looks only at the last one of
/// several codings, and a proxy before this server could see another end of such a body.
pub fn is_plainly_framed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

/// Writes an answer. Browsers must use the declared type, and run nothing in it: other sites may share the same name.
fn written(reply: Reply) -> hyper::Response<Full<Bytes>> {
    let Reply { status, headers, body } = reply;
    let mut response = hyper::Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let own = [("x-content-type-options", "nosniff"), ("content-security-policy", "default-src 'none'; sandbox")];
    for (name, value) in own {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in headers {
        let name = hyper::header::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests;
