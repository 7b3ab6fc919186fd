//! Downloads over HTTP/1.1 (RFC 9112) inside TLS, with limits on size, time and redirects, and the certificates that are trusted.
//!
//! **Owns:** the client for HTTPS; the choice of trusted certificates, for connections to XMPP servers as well.
//!
//! **Must not** know XMPP or plugins. Only traces that go to a collector on the same machine are sent without TLS.
//!
//! **Begin with** [`get`], and [`trust::client_config`].
//!
//! Downloads trust the system's certificates, or those in the file that `SSL_CERT_FILE` names. Proxies are not supported.

pub mod interim;
pub mod trust;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::ext::ReasonPhrase;
use hyper::http::response::Parts;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use parlor_base::escape::escape_untrusted;
use parlor_config::url::{Url, UrlError};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::trust::{client_config, handshake_failure};

/// The maximum duration of one download, including redirects.
const PATIENCE: Duration = Duration::from_mins(2);
/// The maximum duration of one connection attempt.
const CONNECTING: Duration = Duration::from_secs(20);
/// The maximum number of redirects that are followed.
const REDIRECTS: usize = 5;
/// The maximum number of headers in an answer.
const MOST_HEADERS: usize = 100;
/// The maximum length of the head of an answer, in bytes.
const LONGEST_HEAD: usize = 32 << 10;
/// The maximum length of server text shown in messages, in bytes.
const SHOWN: usize = 200;

/// An error that ended a download.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is invalid or not an `https` address.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The server cannot be reached.
    #[error("{host} cannot be reached ({cause}); check the address and the network")]
    Unreachable {
        /// The host and port of the server.
        host: String,
        /// The error from the system.
        cause: io::Error,
    },
    /// The TLS handshake failed, so the server is not authenticated.
    #[error("there is no safe connection to {host} ({cause}); nothing is downloaded without TLS")]
    Tls {
        /// The host and port of the server.
        host: String,
        /// The reason that the handshake failed.
        cause: String,
    },
    /// The download took longer than the limit.
    #[error("{url} did not come within {} s; try again later", PATIENCE.as_secs())]
    TimedOut {
        /// The requested address.
        url: Url,
    },
    /// The server redirected more often than the limit.
    #[error("{url} leads elsewhere more than {REDIRECTS} times; give the address that it leads to")]
    TooManyRedirects {
        /// The address of the first request.
        url: Url,
    },
    /// The server redirected to an address that is not followed.
    #[error("{url} leads to {to}, which is not followed: {cause}")]
    BadRedirect {
        /// The address that sent the redirect.
        url: Url,
        /// The target of the redirect, as the server wrote it.
        to: String,
        /// The reason that the target is not followed.
        cause: UrlError,
    },
    /// The body is larger than the caller allows.
    #[error("{url} has more than {most} bytes, which is more than is taken")]
    TooLarge {
        /// The requested address.
        url: Url,
        /// The limit that the caller gave, in bytes.
        most: usize,
    },
    /// The server compressed the body although the request asked for `identity`. The unpacked size would have no bound.
    #[error("{url} comes compressed ({encoding}), which is not taken; it has to be served as it is")]
    Compressed {
        /// The requested address.
        url: Url,
        /// The content or transfer coding that the server used.
        encoding: String,
    },
    /// The server answered with a status other than 200.
    #[error("{url} cannot be fetched: the server says {status} {reason}")]
    Status {
        /// The requested address.
        url: Url,
        /// The status code (RFC 9110, section 15).
        status: u16,
        /// The reason phrase of the status line.
        reason: String,
    },
    /// The answer broke off or is not valid HTTP.
    #[error("{url} did not come whole ({cause}); try again")]
    Broken {
        /// The requested address.
        url: Url,
        /// The reason that the answer is unusable.
        cause: String,
    },
}

impl FetchError {
    /// Returns whether this server itself failed, rather than a server that it redirected to.
    pub fn is_of(&self, server: &Url) -> bool {
        match self {
            Self::Unreachable { host, .. } | Self::Tls { host, .. } => *host == server.authority(),
            Self::TimedOut { url }
            | Self::TooLarge { url, .. }
            | Self::Compressed { url, .. }
            | Self::Status { url, .. }
            | Self::Broken { url, .. } => url.same_server(server),
            Self::Url(_) | Self::TooManyRedirects { .. } | Self::BadRedirect { .. } => false,
        }
    }

    /// Describes the error without the address, for addresses that are secret.
    pub fn without_address(&self) -> String {
        match self {
            Self::Url(error) => error.to_string(),
            Self::Unreachable { cause, .. } => format!("it cannot be reached: {cause}"),
            Self::Tls { cause, .. } => format!("there is no safe connection to it: {cause}"),
            Self::TimedOut { .. } => "it takes too long".to_owned(),
            Self::TooManyRedirects { .. } | Self::BadRedirect { .. } => "it leads elsewhere".to_owned(),
            Self::TooLarge { most, .. } => format!("it has more than {most} bytes"),
            Self::Compressed { .. } => "it comes compressed".to_owned(),
            Self::Status { status, .. } => format!("it answers {status}"),
            Self::Broken { .. } => "it did not come whole".to_owned(),
        }
    }
}

/// The answer of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code (RFC 9110, section 15), never a redirect.
    pub status: u16,
    /// The reason phrase of the status line.
    pub reason: String,
    /// The headers, with lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body; empty unless the status is 200.
    pub body: Vec<u8>,
    /// The address that gave the answer, after all redirects.
    pub from: Url,
    /// The addresses of the redirects, in order.
    pub redirects: Vec<Url>,
}

impl Answer {
    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns this answer if its status is 200, and an error otherwise.
    pub fn ok(self) -> Result<Self, FetchError> {
        match self.status {
            200 => Ok(self),
            status => Err(FetchError::Status { url: self.from, status, reason: self.reason }),
        }
    }
}

/// Downloads at most `most` bytes, and blocks until it is done.
///
/// The headers are sent to the server of this address only. Servers that it redirects to do not get them.
pub fn get(url: &Url, headers: &[(&str, String)], most: usize) -> Result<Answer, FetchError> {
    wait(url, follow(url, headers, most, None))
}

/// Sends a form (`application/x-www-form-urlencoded`) and blocks until it has the answer of at most `most` bytes.
///
/// Redirects are not followed, since a form may hold a secret.
pub fn post(url: &Url, form: &str, most: usize) -> Result<Answer, FetchError> {
    wait(url, ask(url, &[], Some(form), most, None))
}

/// Same as [`get`], but does not follow redirects.
pub fn get_here(url: &Url, headers: &[(&str, String)], most: usize) -> Result<Answer, FetchError> {
    wait(url, ask(url, headers, None, most, None))
}

/// Blocks until this request is answered or its time limit is reached.
fn wait(url: &Url, asked: impl Future<Output = Result<Answer, FetchError>>) -> Result<Answer, FetchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| FetchError::Unreachable { host: url.host().to_owned(), cause })?;
    let answer = runtime.block_on(in_time(url, asked));
    // A name look-up that hangs must not delay the return.
    runtime.shutdown_background();
    answer
}

/// Waits for this request, up to the time limit.
async fn in_time(url: &Url, asked: impl Future<Output = Result<Answer, FetchError>>) -> Result<Answer, FetchError> {
    let late = || FetchError::TimedOut { url: url.clone() };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(late()))
}

/// Downloads at most `most` bytes, which may be a secret, without following redirects.
///
/// If `ca_file` is given, it replaces the system's certificates.
pub async fn fetch(url: &Url, ca_file: Option<&Path>, most: usize) -> Result<Vec<u8>, FetchError> {
    Ok(ask(url, &[], None, most, ca_file).await?.ok()?.body)
}

/// Downloads at most `most` bytes and follows redirects.
///
/// If `ca_file` is given, it replaces the system's certificates.
pub async fn find(url: &Url, ca_file: Option<&Path>, most: usize) -> Result<Vec<u8>, FetchError> {
    Ok(follow(url, &[], most, ca_file).await?.ok()?.body)
}

async fn follow(
    url: &Url,
    headers: &[(&str, String)],
    most: usize,
    ca_file: Option<&Path>,
) -> Result<Answer, FetchError> {
    let mut redirects: Vec<Url> = Vec::new();
    loop {
        let here = redirects.last().unwrap_or(url);
        let own = if here.same_server(url) { headers } else { &[] };
        let answer = ask(here, own, None, most, ca_file).await?;
        let (301 | 302 | 303 | 307 | 308, Some(to)) = (answer.status, answer.header("location")) else {
            return Ok(Answer { redirects, ..answer });
        };
        if redirects.len() == REDIRECTS {
            return Err(FetchError::TooManyRedirects { url: url.clone() });
        }
        let bad = |cause| FetchError::BadRedirect { url: here.clone(), to: escape_untrusted(to, SHOWN), cause };
        let next = here.to(to).map_err(bad)?;
        redirects.push(next);
    }
}

/// Sends one request and reads its answer.
async fn ask(
    url: &Url,
    headers: &[(&str, String)],
    form: Option<&str>,
    most: usize,
    ca_file: Option<&Path>,
) -> Result<Answer, FetchError> {
    let broken = |cause: String| FetchError::Broken { url: url.clone(), cause };
    let mut request = Request::builder()
        .method(if form.is_some() { Method::POST } else { Method::GET })
        .uri(url.path())
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, concat!("parlor/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    if form.is_some() {
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    let body = Bytes::from(form.unwrap_or_default().to_owned());
    let request = request.body(Full::new(body)).map_err(|error| broken(error.to_string()))?;
    let stream = connect(url, ca_file).await?;
    let (head, body) = exchange(stream, request, most).await.map_err(|error| match error {
        NoAnswer::TooLarge => FetchError::TooLarge { url: url.clone(), most },
        NoAnswer::Compressed(encoding) => {
            FetchError::Compressed { url: url.clone(), encoding: escape_untrusted(&encoding, SHOWN) }
        }
        NoAnswer::Broken(cause) => broken(escape_untrusted(&cause, SHOWN)),
    })?;
    let reason = match head.extensions.get::<ReasonPhrase>() {
        Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        None => head.status.canonical_reason().unwrap_or_default().to_owned(),
    };
    let headers = head.headers.iter();
    Ok(Answer {
        status: head.status.as_u16(),
        reason: escape_untrusted(&reason, SHOWN),
        headers: headers
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body,
        from: url.clone(),
        redirects: Vec::new(),
    })
}

/// The reason why an answer was not read.
enum NoAnswer {
    /// The body is larger than allowed.
    TooLarge,
    /// The body has this coding, which is not supported.
    Compressed(String),
    /// The answer is incomplete or malformed.
    Broken(String),
}

impl From<hyper::Error> for NoAnswer {
    fn from(error: hyper::Error) -> Self {
        if error.is_incomplete_message() {
            return Self::Broken("it ends too early".to_owned());
        }
        if error.is_parse() {
            return Self::Broken(format!("it is no HTTP: {error}"));
        }
        // The first error only says in which step the last one happened.
        let mut last: &dyn std::error::Error = &error;
        while let Some(cause) = last.source() {
            last = cause;
        }
        let is_cut = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
        Self::Broken(match last.downcast_ref() {
            Some(error) if is_cut(error) => "it ends too early".to_owned(),
            _ => last.to_string(),
        })
    }
}

/// Sends a request over a separate connection. Returns the head of the answer, and its body if the status is 200.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    mut request: Request<Full<Bytes>>,
    most: usize,
) -> Result<(Parts, Vec<u8>), NoAnswer> {
    let mut client = http1::Builder::new();
    client.max_headers(MOST_HEADERS).max_buf_size(LONGEST_HEAD);
    // RFC 9112, section 5.2.
    client.allow_obsolete_multiline_headers_in_responses(true);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await?;
    let flooded = interim::counted(&mut request);
    let mut answer = pin!(async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = if head.status == StatusCode::OK { whole(&head, body, most).await? } else { Vec::new() };
        Ok((head, body))
    });
    // The connection may end first, with the last parts of the body on their way.
    tokio::select! {
        biased;
        () = flooded.notified() => return Err(NoAnswer::Broken(interim::too_many())),
        answer = &mut answer => return answer,
        _ = connection => {}
    }
    answer.await
}

/// Reads a body of at most `most` bytes.
async fn whole(head: &Parts, mut body: Incoming, most: usize) -> Result<Vec<u8>, NoAnswer> {
    for (name, plain) in [(header::CONTENT_ENCODING, "identity"), (header::TRANSFER_ENCODING, "chunked")] {
        let is_other = |coding: &&header::HeaderValue| {
            !coding.is_empty() && !coding.as_bytes().eq_ignore_ascii_case(plain.as_bytes())
        };
        if let Some(coding) = head.headers.get_all(name).iter().find(is_other) {
            return Err(NoAnswer::Compressed(String::from_utf8_lossy(coding.as_bytes()).into_owned()));
        }
    }
    if body.size_hint().lower() > most as u64 {
        return Err(NoAnswer::TooLarge);
    }
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        // Trailers are left out.
        let Ok(part) = frame?.into_data() else { continue };
        if part.len() > most - whole.len() {
            return Err(NoAnswer::TooLarge);
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}

/// Posts a body without TLS to a program on this machine. Returns the status, and the body of the answer, at most `most` bytes, if
/// the status is 200.
pub async fn post_here(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    most: usize,
) -> Result<(u16, Vec<u8>), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let mut request = Request::post(path).header(header::HOST, address.to_string()).header(header::CONNECTION, "close");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).map_err(|error| error.to_string())?;
    match exchange(stream, request, most).await {
        Ok((head, body)) => Ok((head.status.as_u16(), body)),
        Err(NoAnswer::Broken(cause)) => Err(cause),
        Err(NoAnswer::TooLarge | NoAnswer::Compressed(_)) => Err("its answer did not come whole".to_owned()),
    }
}

async fn connect(url: &Url, ca_file: Option<&Path>) -> Result<TlsStream<TcpStream>, FetchError> {
    let host = || url.authority();
    let connecting = tokio::time::timeout(CONNECTING, TcpStream::connect((url.host(), url.port()))).await;
    let stream = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = stream.map_err(|cause| FetchError::Unreachable { host: host(), cause })?;
    let unsafe_ = |cause: String| FetchError::Tls { host: host(), cause };
    let name = ServerName::try_from(url.host().to_owned()).map_err(|error| unsafe_(error.to_string()))?;
    let ca_file = ca_file.map(Path::to_owned);
    // Reading certificates blocks on the disk.
    let config = tokio::task::spawn_blocking(move || client_config(ca_file)).await;
    let config = config.map_err(|error| unsafe_(error.to_string()))?;
    let mut config = config.map_err(|error| unsafe_(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(|error| unsafe_(handshake_failure(&error)))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Returns what is read if a server says this.
    async fn heard(said: String) -> Result<(Parts, Vec<u8>), NoAnswer> {
        let (ours, mut theirs) = tokio::io::duplex(64 << 10);
        tokio::spawn(async move {
            // An answer before the request would be an error.
            theirs.read_exact(&mut [0]).await.unwrap();
            theirs.write_all(said.as_bytes()).await.unwrap();
            // The connection stays open until the client closes it.
            let _ = theirs.read_to_end(&mut Vec::new()).await;
        });
        let request = Request::get("/").body(Full::new(Bytes::new())).unwrap();
        exchange(ours, request, 100).await
    }

    /// RFC 9112, section 5.2. A header for the coding that names none says nothing.
    #[tokio::test]
    async fn a_head_as_old_servers_write_it_is_read() {
        let with = |lines: &str| heard(format!("HTTP/1.1 200 OK\r\n{lines}\r\ncontent-length: 2\r\n\r\nok"));
        let Ok((head, body)) = with("x-folded: a\r\n\tb\r\ncontent-encoding:").await else { panic!("it is refused") };
        let folded = head.headers["x-folded"].to_str().unwrap();
        assert_eq!(folded.split_whitespace().collect::<Vec<_>>(), ["a", "b"], "{folded:?}");
        assert_eq!(body, b"ok");
        let packed = with("content-encoding: identity\r\ncontent-encoding: gzip").await;
        assert!(matches!(packed, Err(NoAnswer::Compressed(coding)) if coding == "gzip"));
    }

    /// RFC 9110, section 15.2.
    #[tokio::test]
    async fn interim_answers_may_come_before_an_answer_but_not_without_end() {
        let answered = async |interim: usize| {
            let interim = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(interim);
            let said = heard(format!("{interim}HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"));
            said.await.map(|(_, body)| body)
        };
        assert!(matches!(answered(8).await, Ok(body) if body == b"ok"));
        assert!(matches!(answered(200).await, Err(NoAnswer::Broken(cause)) if cause.contains("interim")));
    }

    /// The limit covers every cause of delay and all redirects together.
    #[tokio::test(start_paused = true)]
    async fn a_download_that_does_not_come_is_given_up() {
        let url: Url = "https://example.org/echo.wasm".parse().unwrap();
        let late = in_time(&url, std::future::pending()).await.err().map(|error| error.to_string());
        assert_eq!(late.as_deref(), Some("https://example.org/echo.wasm did not come within 120 s; try again later"));
    }
}
