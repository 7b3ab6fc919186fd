//! HTTP/1.1 by hyper, with the bounds of parlor: one request and one response per connection, of bounded size, in
//! bounded time.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use parlor_session::Secret;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::bounds::{LONGEST_BODY, REQUEST};
use super::refusal::Refusal;
use super::request::Request;
use super::{PROTOCOL, PROTOCOL_HEADER, VERSION, VERSION_HEADER};

/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 << 10;
/// The most headers of a request.
const MOST_HEADERS: usize = 64;

/// The longest body that may be a secret, in bytes.
const LONGEST_SECRET: usize = 16 << 10;

/// How much of a request is still read after the response, in bytes, and for how long, so that the response arrives.
const UNREAD: u64 = 64 << 10;
const LEAVING: Duration = Duration::from_secs(1);

/// The content type of JSON.
pub(super) const JSON: &str = "application/json";
/// The content type of lines of JSON.
pub(super) const LINES: &str = "application/x-ndjson";
/// The content type of plain text, as collectors of metrics read it.
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The body of a response.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
/// A response.
pub(super) type Answer = Response<Body>;

/// The parts of a short body as hyper read them, since there may be a secret in it.
#[derive(Debug, Default)]
struct Frames(Mutex<Vec<Bytes>>);

impl Frames {
    fn keep(&self, frame: Bytes) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(frame);
    }

    /// Wipes the buffers that they are in, and returns how many those are. hyper has to have dropped its connection: a buffer that
    /// somebody else holds stays as it is.
    fn wipe(&self) -> usize {
        let mut buffers = 0;
        for frame in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            buffers += usize::from(frame.is_unique());
            // The last part in a buffer becomes a vector of all of it, which a secret wipes.
            drop(Secret::new(Vec::from(frame)));
        }
        buffers
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// Serves the one request of a connection. `refused` writes the response to a request that is refused, here or by
/// `answer`. hyper itself answers a malformed head, with 400 or 431 and no text; the error says so.
pub(super) async fn serve<A>(
    mut read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
    refused: impl Fn(&Refusal) -> Answer,
    answer: impl Fn(Request) -> A,
) -> hyper::Result<()>
where
    A: Future<Output = Result<Answer, Refusal>>,
{
    let frames = Frames::default();
    let served = serve_keeping(&mut read, &mut write, &refused, &answer, &frames).await;
    frames.wipe();
    if served.as_ref().is_err_and(hyper::Error::is_timeout) {
        refuse(&mut write, &Refusal::Late, refused).await;
    }
    leave(read).await;
    served
}

/// Serves the request, and keeps the parts of its body.
async fn serve_keeping<A>(
    read: impl AsyncRead + Unpin,
    write: impl AsyncWrite + Unpin,
    refused: &impl Fn(&Refusal) -> Answer,
    answer: &impl Fn(Request) -> A,
    frames: &Frames,
) -> hyper::Result<()>
where
    A: Future<Output = Result<Answer, Refusal>>,
{
    let until = Instant::now() + REQUEST;
    let service = service_fn(move |asked| async move {
        let answered = match receive(asked, until, frames).await {
            Ok(request) => answer(request).await,
            Err(refusal) => Err(refusal),
        };
        Ok::<_, Infallible>(answered.unwrap_or_else(|refusal| refused(&refusal)))
    });
    connection().serve_connection(TokioIo::new(tokio::io::join(read, write)), service).await
}

/// Writes a refusal to a client whose request is not read.
pub(super) async fn refuse(write: impl AsyncWrite + Unpin, refusal: &Refusal, refused: impl Fn(&Refusal) -> Answer) {
    // hyper answers requests, so it gets one.
    let request: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
    let service = service_fn(|_| std::future::ready(Ok::<_, Infallible>(refused(refusal))));
    let io = TokioIo::new(tokio::io::join(request, write));
    // A client that disconnected needs no response.
    let _ = connection().serve_connection(io, service).await;
}

fn connection() -> http1::Builder {
    let mut connection = http1::Builder::new();
    connection
        .keep_alive(false)
        // A client that has sent its request may close its sending side.
        .half_close(true)
        .max_headers(MOST_HEADERS)
        .max_buf_size(LONGEST_HEAD)
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST);
    connection
}

/// Reads the rest of a request. Closing a connection with unread data would discard the response (RFC 9112, section
/// 9.6).
pub(super) async fn leave(read: impl AsyncRead + Unpin) {
    let (mut rest, mut nowhere) = (read.take(UNREAD), tokio::io::sink());
    let _ = tokio::time::timeout(LEAVING, tokio::io::copy(&mut rest, &mut nowhere)).await;
}

/// Takes a request with its body.
async fn receive(asked: hyper::Request<Incoming>, until: Instant, frames: &Frames) -> Result<Request, Refusal> {
    let (head, mut body) = asked.into_parts();
    if head.headers.contains_key(TRANSFER_ENCODING) {
        return Err(Refusal::NoLength);
    }
    // It is the content-length: hyper gives no more than that.
    if body.size_hint().lower() > LONGEST_BODY {
        return Err(Refusal::LongBody);
    }
    let mut request = Request::of(&head)?;
    let length = usize::try_from(body.size_hint().lower()).unwrap_or_default();
    let read = async {
        // The buffer never grows, so that no copy of a secret stays in freed memory.
        let mut bytes = Vec::with_capacity(length);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refusal::ShortBody)?.into_data().unwrap_or_default();
            bytes.extend_from_slice(&frame);
            if length <= LONGEST_SECRET {
                frames.keep(frame);
            }
        }
        request.body = Secret::new(bytes);
        Ok(request)
    };
    tokio::time::timeout_at(until, read).await.unwrap_or(Err(Refusal::Late))
}

/// Returns the response with a value as JSON.
pub(super) fn json(value: &impl Serialize) -> Result<Answer, Refusal> {
    let body = serde_json::to_vec(value).map_err(Refusal::Unwritable)?;
    Ok(answer(StatusCode::OK, JSON, body))
}

/// Returns a response with this body.
pub(super) fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    stream(status, kind, Full::new(body.into()).boxed_unsync())
}

/// Returns a response with a body that may come in parts.
pub(super) fn stream(status: StatusCode, kind: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VERSION_HEADER, HeaderValue::from_static(VERSION));
    headers.insert(PROTOCOL_HEADER, HeaderValue::from(PROTOCOL));
    answer
}

/// Returns the response to a request that is refused.
pub(super) fn refusal(refusal: &Refusal, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = answer(refusal.status(), kind, body);
    if let Some(methods) = refusal.allow() {
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    }
    answer
}

/// The reading side of a connection, shared by hyper, which reads the request, and a response that goes on until the
/// client disconnects: hyper reads nothing while it answers.
#[derive(Debug)]
pub(super) struct SharedReader<R>(Arc<Mutex<R>>);

impl<R> SharedReader<R> {
    pub(super) fn new(reader: R) -> Self {
        Self(Arc::new(Mutex::new(reader)))
    }
}

impl<R> Clone for SharedReader<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for SharedReader<R> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut reader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *reader).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use hyper::Method;
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::UnixStream;

    use super::super::routes::refused;
    use super::super::timed_writer::TimedWriter;
    use super::*;

    /// Returns the response to these bytes of a client, which closes its sending side after them.
    async fn asked(bytes: &[u8]) -> String {
        let mut written = Vec::new();
        let empty = |_| ready(Ok(answer(StatusCode::OK, JSON, "{}")));
        // The error of a malformed request is in the response.
        let _ = serve(bytes, &mut written, refused, empty).await;
        String::from_utf8(written).unwrap()
    }

    #[tokio::test]
    async fn each_answer_says_who_gives_it_and_closes_its_connection() {
        for (request, status, body) in [
            ("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "{}"),
            ("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", "200 OK", "{}"),
            ("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", "200 OK", "{}"),
            ("HEAD / HTTP/1.1\r\n\r\n", "200 OK", ""),
            ("GET /%2e%2e/x HTTP/1.1\r\n\r\n", "400 Bad Request", "}"),
        ] {
            let text = asked(request.as_bytes()).await;
            let (head, rest) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")) && rest.ends_with(body), "{request}: {text}");
            let version = format!("\r\nparlor-version: {VERSION}\r\n");
            for header in [&version, "\r\nparlor-control: 1\r\n", "\r\ncontent-length: ", "\r\nconnection: close\r\n"] {
                assert!(head.contains(header), "{request}: {text}");
            }
        }
    }

    /// It may be the secret that somebody compares.
    #[tokio::test]
    async fn the_buffer_in_which_a_short_body_came_is_wiped() {
        for (bytes, buffers) in [(7, 1), (LONGEST_SECRET + 1, 0)] {
            let request = format!("POST / HTTP/1.1\r\nContent-Length: {bytes}\r\n\r\n{}", "x".repeat(bytes));
            let (frames, mut written) = (Frames::default(), Vec::new());
            let empty = |_| ready(Ok(answer(StatusCode::OK, JSON, "{}")));
            serve_keeping(request.as_bytes(), &mut written, &refused, &empty, &frames).await.unwrap();
            assert!(written.starts_with(b"HTTP/1.1 200 OK"), "{written:?}");
            assert_eq!(frames.wipe(), buffers, "a body of {bytes} bytes: nobody else holds its buffer");
        }
    }

    #[tokio::test]
    async fn what_is_no_request_is_refused() {
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(LONGEST_HEAD));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_HEADERS + 1));
        for (request, status, is_ours) in [
            ("hello there\r\n\r\n", 400, false),
            ("GET /a?b=\u{ff} HTTP/1.1\r\n\r\n", 400, true),
            ("POST / HTTP/1.1\r\nContent-Length: no\r\n\r\n", 400, false),
            ("POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}", 400, true),
            ("POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413, true),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501, true),
            (&long, 431, false),
            (&many, 431, false),
        ] {
            let text = asked(request.as_bytes()).await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {text}");
            assert_eq!(text.contains("{\"error\":\""), is_ours, "{request}: {text}");
        }
        for request in ["", "GET /v1/status HT"] {
            assert_eq!(asked(request.as_bytes()).await, "", "{request}");
        }
    }

    #[tokio::test]
    async fn who_asks_for_the_head_alone_gets_that_of_what_get_gives() {
        for (method, end) in [("HEAD", "\r\n\r\n"), ("GET", "\r\n\r\n{\"error\":\"this is asked for with GET\"}")] {
            let request = format!("{method} / HTTP/1.1\r\n\r\n");
            let mut written = Vec::new();
            let wrong = |_| ready(Err(Refusal::Method(Method::GET)));
            serve(request.as_bytes(), &mut written, refused, wrong).await.unwrap();
            let text = String::from_utf8(written).unwrap();
            assert!(text.contains("\r\ncontent-length: 38\r\n") && text.contains("\r\nallow: GET, HEAD\r\n"), "{text}");
            assert!(text.ends_with(end), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_is_not_waited_for() {
        for begun in ["", "GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}"] {
            let (client, host) = tokio::io::duplex(1 << 10);
            let (read, write) = tokio::io::split(host);
            let (mut answered, mut sender) = tokio::io::split(client);
            sender.write_all(begun.as_bytes()).await.unwrap();
            let began = Instant::now();
            let never = |_| ready(Err(Refusal::Stopping));
            let mut text = String::new();
            let (_, read) = tokio::join!(serve(read, write, refused, never), answered.read_to_string(&mut text));
            read.unwrap();
            assert!(text.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{begun:?}: {text}");
            assert!(text.ends_with("{\"error\":\"no request came within 10 s\"}"), "{begun:?}: {text}");
            assert!(began.elapsed() <= REQUEST + 2 * LEAVING, "{:?}", began.elapsed());
        }
    }

    /// The kernel discards a response if its connection is closed while parts of the request are unread.
    #[tokio::test]
    async fn who_is_refused_before_all_was_read_gets_the_answer() {
        let body = "x".repeat(66_000);
        for start in [format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()), "nonsense\r\n".to_owned()] {
            let (mut client, host) = UnixStream::pair().unwrap();
            let (read, write) = host.into_split();
            let serving = tokio::spawn(serve(read, write, refused, |_| ready(Err(Refusal::Stopping))));
            client.write_all(format!("{start}{body}").as_bytes()).await.unwrap();
            let mut text = String::new();
            client.read_to_string(&mut text).await.unwrap();
            assert!(text.starts_with("HTTP/1.1 4"), "{start}: {text}");
            drop(client);
            let _ = serving.await.unwrap();
        }
    }

    #[tokio::test]
    async fn who_may_not_ask_is_told_so_before_it_is_heard() {
        let mut written = Vec::new();
        refuse(&mut written, &Refusal::OtherUser, refused).await;
        let text = String::from_utf8(written).unwrap();
        assert!(text.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{text}");
        assert!(text.ends_with("{\"error\":\"only the user that the host runs as may ask it\"}"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_loses_its_place() {
        // More than any socket buffers for a peer that does not read.
        let long = "x".repeat(16 << 20);
        let (mut client, host) = UnixStream::pair().unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let (read, write) = host.into_split();
        let answer = |_| ready(Ok(answer(StatusCode::OK, JSON, long.clone())));
        let error = serve(read, TimedWriter::new(write), refused, answer).await.unwrap_err();
        assert!(format!("{error:?}").contains("TimedOut"), "{error:?}");
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = super::super::reads(&bytes);
        }
    }
}
