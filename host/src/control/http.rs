//! The subset of HTTP/1.1 (RFC 9112) that the control socket speaks: one request and one response per connection.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{PROTOCOL, PROTOCOL_HEADER, VERSION, VERSION_HEADER};

/// The longest head of a request, in bytes.
const LONGEST_HEAD: usize = 16 << 10;
/// The longest body of a request, in bytes; no request has a body that matters.
const LONGEST_BODY: usize = 64 << 10;
/// The most headers of a request.
const MOST_HEADERS: usize = 64;

/// How much of a refused request is still read, in bytes, and for how long, so that the response arrives.
const UNREAD: u64 = 64 << 10;
const LEAVING: Duration = Duration::from_secs(1);

/// The content type of JSON.
pub(super) const JSON: &str = "application/json";
/// The content type of plain text, as collectors of metrics read it.
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The method; `GET` for a `HEAD` request.
    pub(super) method: String,
    /// Whether only the head of the response is wanted (RFC 9110, section 9.3.2).
    pub(super) head_alone: bool,
    /// The path, split at its slashes.
    pub(super) path: Vec<String>,
    /// The query parameters.
    pub(super) query: BTreeMap<String, String>,
    /// The `Host` header.
    pub(super) host: Option<String>,
}

/// The refusal of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) error: String,
    /// The allowed methods, if the method was wrong.
    pub(super) allow: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: u16, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), allow: None }
    }

    /// Returns the refusal of a wrong method (RFC 9110, section 15.5.6).
    pub(super) fn method(allowed: &str) -> Self {
        let allow = if allowed == "GET" { "GET, HEAD" } else { "POST" };
        Self { allow: Some(allow), ..Self::new(405, format!("this is asked for with {allowed}")) }
    }
}

/// A complete response.
#[derive(Debug)]
pub(super) struct Answer<'b> {
    pub(super) status: u16,
    /// The content type, [`JSON`] or [`TEXT`].
    pub(super) kind: &'static str,
    pub(super) body: &'b [u8],
    /// The allowed methods, as in a [`Refusal`].
    pub(super) allow: Option<&'static str>,
    /// Whether only the head is sent, as in a [`Request`].
    pub(super) head_alone: bool,
}

/// Reads a request. None: the client disconnected before the request was complete.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Request>, Refusal> {
    let mut bytes = Vec::with_capacity(1 << 10);
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() >= LONGEST_HEAD {
            return Err(Refusal::new(431, format!("the head of a request has at most {LONGEST_HEAD} bytes")));
        }
        // A client that disconnects in the middle cannot receive a response.
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Ok(None),
        }
    };
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(&bytes[..head]) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(Refusal::new(400, "the request ends too early")),
        Err(error) => return Err(Refusal::new(400, format!("this is not a request: {error}"))),
    }
    let mut length = 0;
    let mut host = None;
    for header in &*parsed.headers {
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Refusal::new(501, "a body needs a content-length"));
        }
        if header.name.eq_ignore_ascii_case("host") {
            host = std::str::from_utf8(header.value).ok().map(str::to_owned);
        }
        if header.name.eq_ignore_ascii_case("content-length") {
            length = std::str::from_utf8(header.value)
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| Refusal::new(400, "the content-length is no number"))?;
        }
    }
    if length > LONGEST_BODY {
        return Err(Refusal::new(413, format!("a body has at most {LONGEST_BODY} bytes")));
    }
    let mut request = request(parsed.method.unwrap_or_default(), parsed.path.unwrap_or_default())?;
    request.host = host;
    while bytes.len() < head + length {
        match stream.read_buf(&mut bytes).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return Ok(None),
        }
    }
    Ok(Some(request))
}

/// Parses the target of a request. The path and parameter names allow no escapes; values may hold any character,
/// escaped.
fn request(method: &str, target: &str) -> Result<Request, Refusal> {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let query: Option<BTreeMap<_, _>> =
        pairs.map(|(name, value)| Some((name.to_owned(), unescaped(value)?)).filter(|_| plain(name))).collect();
    let Some(query) = query.filter(|_| plain(path)) else {
        let says =
            "a path and its questions are of letters, digits, -, ., _ and ~; write other characters of a value as %2A";
        return Err(Refusal::new(400, says));
    };
    let path = path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let head_alone = method == "HEAD";
    let method = if head_alone { "GET" } else { method };
    Ok(Request { method: method.to_owned(), head_alone, path, query, host: None })
}

/// Characters that need no escape in a value (RFC 3986, section 3.4), except the separators of values.
const UNESCAPED: &[u8] = b"-._~/@:*,";

/// Percent-encodes a value for the query of a target.
pub fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || UNESCAPED.contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Decodes a value; none if it holds an unescaped character that needs an escape, or is not UTF-8.
fn unescaped(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte if byte.is_ascii_alphanumeric() || UNESCAPED.contains(&byte) => byte,
            _ => return None,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Writes a complete response.
pub(super) async fn answer(stream: &mut (impl AsyncWrite + Unpin), answer: Answer<'_>) -> io::Result<()> {
    let allow = answer.allow.map(|methods| format!("allow: {methods}\r\n")).unwrap_or_default();
    let more = format!("content-length: {}\r\n{allow}", answer.body.len());
    stream.write_all(head(answer.status, answer.kind, &more).as_bytes()).await?;
    if !answer.head_alone {
        stream.write_all(answer.body).await?;
    }
    stream.shutdown().await
}

/// Reads the rest of a refused request: closing with unread data would discard the response (RFC 9112, section 9.6).
pub(super) async fn leave(stream: impl AsyncRead + Unpin) {
    let (mut rest, mut nowhere) = (stream.take(UNREAD), tokio::io::sink());
    let _ = tokio::time::timeout(LEAVING, tokio::io::copy(&mut rest, &mut nowhere)).await;
}

/// Begins a response of lines that continues until the connection is closed.
pub(super) async fn begin_lines(stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    stream.write_all(head(200, "application/x-ndjson", "").as_bytes()).await
}

fn head(status: u16, kind: &str, more: &str) -> String {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Error",
    };
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: {kind}\r\n{more}cache-control: no-store\r\nconnection: close\r\n\
         {VERSION_HEADER}: {VERSION}\r\n{PROTOCOL_HEADER}: {PROTOCOL}\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn of(bytes: &[u8]) -> Result<Option<Request>, u16> {
        read(&mut &*bytes).await.map_err(|refusal| refusal.status)
    }

    #[tokio::test]
    async fn a_request_is_taken_apart() {
        let request = of(b"GET /v1/logs?plugin=echo&follow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap().unwrap();
        assert_eq!((request.method.as_str(), &request.path[..]), ("GET", &["v1".to_owned(), "logs".to_owned()][..]));
        assert_eq!(request.query, BTreeMap::from([("plugin".into(), "echo".into()), ("follow".into(), String::new())]));
        assert!(of(b"POST /v1/reload HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}").await.unwrap().is_some());
        assert_eq!(of(b"").await, Ok(None));
        assert_eq!(of(b"GET /v1/status HT").await, Ok(None));
        assert_eq!(of(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n{}").await, Ok(None));
    }

    proptest! {
        #[test]
        fn a_value_that_was_escaped_is_read_again(value in "\\PC{0,40}|[ -~]{0,40}") {
            prop_assert_eq!(unescaped(&escaped(&value)), Some(value));
        }
    }

    #[tokio::test]
    async fn a_value_may_be_an_address() {
        let request = of(b"GET /x?about=juliet@localhost/balcony%20%26%20so HTTP/1.1\r\n\r\n").await.unwrap().unwrap();
        assert_eq!(request.query["about"], "juliet@localhost/balcony & so");
        for wrong in ["/x?a=%2", "/x?a=%zz", "/x?a=%ff", "/x?a=<", "/x?%61=b"] {
            assert_eq!(of(format!("GET {wrong} HTTP/1.1\r\n\r\n").as_bytes()).await, Err(400), "{wrong}");
        }
    }

    #[tokio::test]
    async fn what_is_no_request_is_refused() {
        assert_eq!(of(b"hello there\r\n\r\n").await, Err(400));
        assert_eq!(of(b"GET /%2e%2e/x HTTP/1.1\r\n\r\n").await, Err(400));
        assert_eq!(of(b"GET /a?b=\xff HTTP/1.1\r\n\r\n").await, Err(400));
        assert_eq!(of(b"POST / HTTP/1.1\r\nContent-Length: no\r\n\r\n").await, Err(400));
        assert_eq!(of(b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n").await, Err(413));
        assert_eq!(of(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n").await, Err(501));
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(LONGEST_HEAD));
        assert_eq!(of(long.as_bytes()).await, Err(431));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(MOST_HEADERS + 1));
        assert_eq!(of(many.as_bytes()).await, Err(400));
    }

    /// For readers of the page.
    #[test]
    fn the_page_names_each_status_of_a_failure() {
        let (_, page) = include_str!("../../../docs/owner/control.md").split_once("A failure is `{\"error\"").unwrap();
        let sentence = page.split("\n\n").next().unwrap();
        for status in 400..600 {
            let is_given = !head(status, JSON, "").contains(&format!("{status} Error\r\n"));
            assert_eq!(is_given, sentence.contains(&format!(" {status} (")), "{status}: {sentence}");
        }
    }

    #[tokio::test]
    async fn who_asks_for_the_head_alone_gets_that_of_what_get_gives() {
        let request = of(b"HEAD /v1/status HTTP/1.1\r\n\r\n").await.unwrap().unwrap();
        assert_eq!((request.method.as_str(), request.head_alone), ("GET", true));
        for (head_alone, end) in [(true, "\r\n\r\n"), (false, "\r\n\r\n{}")] {
            let allow = Refusal::method("GET").allow;
            let mut written = Vec::new();
            answer(&mut written, Answer { status: 405, kind: JSON, body: b"{}", allow, head_alone }).await.unwrap();
            let text = String::from_utf8(written).unwrap();
            assert!(text.contains("\r\ncontent-length: 2\r\nallow: GET, HEAD\r\n") && text.ends_with(end), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read(&mut &*bytes));
        }
    }
}
