//! A request of the command line to the host, and its response.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parlor_base::escape::escape_untrusted;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::client::ClientError;
use super::request::{BY_HEADER, unescaped};
use super::socket::Address;
use super::views::{Failure, Line};
use super::{INCOMPLETE_HEADER, PROTOCOL, PROTOCOL_HEADER, VERSION_HEADER};

/// The longest response, in bytes.
const LONGEST: usize = 64 << 20;
/// The longest head of a response, in bytes.
const LONGEST_HEAD: usize = 16 << 10;
/// The most headers of a response.
const MOST_HEADERS: usize = 32;
/// The longest timeout for connecting. No work of the host makes it longer.
const CONNECT: Duration = Duration::from_secs(15);
/// How many parts of a response may wait for the reader of its lines.
const PARTS: usize = 4;

/// A successful response.
#[derive(Debug)]
pub(super) struct Whole {
    /// Its body.
    pub(super) body: Vec<u8>,
    /// Why something is missing in it, since a node of the cluster did not answer.
    pub(super) incomplete: Option<String>,
}

/// Sends a request with this body, and returns a successful response. Each part of the exchange may take up to
/// `patience`.
///
/// It runs on a thread with a separate runtime: the caller may be in a runtime, where no future can be waited for.
pub(super) fn ask(
    path: &Path,
    method: Method,
    target: &str,
    (body, by): (&[u8], Option<&str>),
    patience: Duration,
) -> Result<Whole, ClientError> {
    let run = || {
        let ask = async {
            let answer = send(path, method, target, (body, by), patience).await?;
            let incomplete =
                answer.headers().get(INCOMPLETE_HEADER).and_then(|reasons| unescaped(reasons.to_str().ok()?));
            let incomplete = incomplete.map(|reasons| escape_untrusted(&reasons, LONGEST_HEAD));
            Ok(Whole { body: whole(answer, patience).await?, incomplete })
        };
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(ask)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("control client".to_owned()).spawn_scoped(scope, run)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Sends a query, and returns the lines of a successful response. The head may take up to `patience`, and the lines as
/// long as they like. They are read by a thread of their own, for the same reason.
pub(super) fn lines(
    path: &Path,
    target: &str,
    by: Option<&str>,
    patience: Duration,
) -> Result<LineReader, ClientError> {
    let (parts, received) = mpsc::sync_channel(PARTS);
    let (reader, dropped) = oneshot::channel();
    let (path, target, by) = (path.to_owned(), target.to_owned(), by.map(str::to_owned));
    let run = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(pass_on(&path, (&target, by.as_deref()), patience, &parts, dropped)),
        Err(error) => drop(parts.send(Err(error.into()))),
    };
    std::thread::Builder::new().name("control client".to_owned()).spawn(run)?;
    let mut lines = LineReader { parts: received, part: Bytes::new(), begun: Vec::new(), _reader: reader };
    // The first part is empty: the host agreed.
    lines.part = lines.parts.recv().unwrap_or_else(|_| Err(cut()))?;
    Ok(lines)
}

/// Sends a query, and passes on the parts of the response until it ends or its reader is dropped.
async fn pass_on(
    path: &Path,
    (target, by): (&str, Option<&str>),
    patience: Duration,
    parts: &mpsc::SyncSender<Result<Bytes, ClientError>>,
    dropped: oneshot::Receiver<Infallible>,
) {
    let read = async {
        let mut body = match send(path, Method::GET, target, (&[], by), patience).await {
            Ok(answer) => answer.into_body(),
            Err(error) => return drop(parts.send(Err(error))),
        };
        let mut part = Ok(Bytes::new());
        // A slow reader blocks this thread alone.
        while parts.send(part).is_ok() {
            part = match body.frame().await {
                Some(frame) => frame.map(|frame| frame.into_data().unwrap_or_default()).map_err(broken),
                None => return,
            };
        }
    };
    tokio::select! {
        () = read => {}
        _ = dropped => {}
    }
}

/// Reads the lines of a response.
pub(super) struct LineReader {
    parts: mpsc::Receiver<Result<Bytes, ClientError>>,
    /// The rest of the present part.
    part: Bytes,
    /// The beginning of a line that the part before ended in.
    begun: Vec<u8>,
    /// Dropped with the lines, so that the connection is closed.
    _reader: oneshot::Sender<Infallible>,
}

impl Iterator for LineReader {
    type Item = Result<Line, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(end) = self.part.iter().position(|byte| *byte == b'\n') {
                self.begun.extend_from_slice(&self.part.split_to(end + 1));
                let line = serde_json::from_slice(&std::mem::take(&mut self.begun));
                return Some(line.map_err(|error| ClientError::Nonsense(error.to_string())));
            }
            self.begun.extend_from_slice(&std::mem::take(&mut self.part));
            match self.parts.recv() {
                Ok(Ok(part)) => self.part = part,
                Ok(Err(error)) => return Some(Err(error)),
                Err(_) if self.begun.is_empty() => return None,
                Err(_) => {
                    self.begun.clear();
                    return Some(Err(cut()));
                }
            }
        }
    }
}

/// Connects within `patience`. Without a timeout, connecting would block forever once a hanging host's backlog is full;
/// without blocking, it would fail then.
pub(super) fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(patience))?;
    net::connect(&socket, &SocketAddrUnix::new(Address::of(path)?.path())?)?;
    Ok(socket.into())
}

/// Sends a request, and returns a successful response. Each part of the exchange may take up to `patience`.
async fn send(
    path: &Path,
    method: Method,
    target: &str,
    (body, by): (&[u8], Option<&str>),
    patience: Duration,
) -> Result<Response<Incoming>, ClientError> {
    let mut request = Request::builder().method(method).uri(target).header(HOST, "parlor").header(CONNECTION, "close");
    if let Some(by) = by {
        request = request.header(BY_HEADER, by);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).map_err(io::Error::other)?;
    let stream = connect(path, patience.min(CONNECT))?;
    stream.set_nonblocking(true)?;
    let stream = TokioIo::new(tokio::net::UnixStream::from_std(stream)?);
    let mut connection = http1::Builder::new();
    connection.max_buf_size(LONGEST_HEAD).max_headers(MOST_HEADERS);
    let (mut sender, connection) = connection.handshake(stream).await.map_err(broken)?;
    // It is sent before the connection is read: a host that refuses this user answers before that.
    let answer = sender.send_request(request);
    tokio::spawn(connection);
    let answer = timeout(patience, answer).await.map_err(|_| ClientError::Hangs)?.map_err(broken)?;
    if number(answer.headers()) != Some(PROTOCOL) {
        let host = header(answer.headers(), VERSION_HEADER).unwrap_or_else(|| "of another kind".to_owned());
        return Err(ClientError::OtherVersion { host });
    }
    let status = answer.status();
    if status == StatusCode::OK {
        return Ok(answer);
    }
    match serde_json::from_slice::<Failure>(&whole(answer, patience).await?) {
        Ok(failure) => Err(ClientError::Refused { status: status.as_u16(), reason: failure.error }),
        Err(error) => Err(ClientError::Nonsense(error.to_string())),
    }
}

/// Reads a whole body. Each part of it may take up to `patience`.
async fn whole(mut answer: Response<Incoming>, patience: Duration) -> Result<Vec<u8>, ClientError> {
    let mut bytes = Vec::new();
    while let Some(frame) = timeout(patience, answer.frame()).await.map_err(|_| ClientError::Hangs)? {
        bytes.extend_from_slice(&frame.map_err(broken)?.into_data().unwrap_or_default());
        if bytes.len() > LONGEST {
            return Err(ClientError::Nonsense(format!("an answer of more than {LONGEST} bytes")));
        }
    }
    Ok(bytes)
}

/// Returns why an exchange failed.
fn broken(error: hyper::Error) -> ClientError {
    use std::error::Error as _;
    if error.is_incomplete_message() {
        return ClientError::Nonsense("an answer that ends in its head".to_owned());
    }
    if error.is_parse() {
        return ClientError::Nonsense(error.to_string());
    }
    match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
        Some(cause) => cause.raw_os_error().map_or_else(|| cause.kind().into(), io::Error::from_raw_os_error).into(),
        None => ClientError::Broken(io::Error::other(error)),
    }
}

/// Returns a header of a response. The peer may be anything: its values are escaped before they are shown.
fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(escape_untrusted(&String::from_utf8_lossy(headers.get(name)?.as_bytes()), 64))
}

/// Returns the number of the protocol.
fn number(headers: &HeaderMap) -> Option<u32> {
    header(headers, PROTOCOL_HEADER)?.parse().ok()
}

/// Returns the error of a response that ends too early.
fn cut() -> ClientError {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}
