//! Downloads: HTTP/1.1 (RFC 9112) inside of TLS, bounded in bytes, time and redirects. It knows of no plugin. The one thing
//! that goes without TLS is what is handed to a collector of traces on the same machine.
//!
//! It trusts what the connections to XMPP servers trust: the system's certificates, or those of the file that the variable
//! `SSL_CERT_FILE` names. Proxies are not spoken to.

mod body;
mod url;

use std::io;
#[cfg(feature = "opentelemetry")]
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harmless::harmless;
use crate::xmpp::{client_config, handshake_failure};
pub(crate) use body::{Head, NoBody, Wire};
pub use url::{Url, UrlError};

/// How long one download may take, redirects counted.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long a connection may take to come about.
const CONNECTING: Duration = Duration::from_secs(20);
/// How often somebody may be sent elsewhere.
const REDIRECTS: usize = 5;
/// How many headers an answer may have.
const MOST_HEADERS: usize = 100;
/// How much of a server's words is shown, in bytes.
const SHOWN: usize = 200;

/// Why there is no download.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is none, or not of the web.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// Nobody answers there.
    #[error("{host} cannot be reached ({cause}); check the address and the network")]
    Unreachable {
        /// Whose.
        host: String,
        /// What the system said.
        cause: io::Error,
    },
    /// It is not proven to be who it says.
    #[error("there is no safe connection to {host} ({cause}); nothing is downloaded without TLS")]
    Tls {
        /// Whose.
        host: String,
        /// What is wrong.
        cause: String,
    },
    /// It takes too long.
    #[error("{url} did not come within {} s; try again later", PATIENCE.as_secs())]
    TimedOut {
        /// What.
        url: Url,
    },
    /// It sends us elsewhere, again and again.
    #[error("{url} leads elsewhere more than {REDIRECTS} times; give the address that it leads to")]
    TooManyRedirects {
        /// What was asked for.
        url: Url,
    },
    /// It sends us where nobody should go.
    #[error("{url} leads to {to}, which is not followed: {cause}")]
    BadRedirect {
        /// Who sends us.
        url: Url,
        /// Whereto.
        to: String,
        /// Why not.
        cause: UrlError,
    },
    /// There is more of it than may be.
    #[error("{url} has more than {most} bytes, which is more than is taken")]
    TooLarge {
        /// What.
        url: Url,
        /// How much may be.
        most: usize,
    },
    /// It is compressed although it was asked for as it is: what becomes of it when it is unpacked is not bounded.
    #[error("{url} comes compressed ({encoding}), which is not taken; it has to be served as it is")]
    Compressed {
        /// What.
        url: Url,
        /// How.
        encoding: String,
    },
    /// It is not there, or was not given.
    #[error("{url} is not to be had: the server says {status} {reason}")]
    Status {
        /// What.
        url: Url,
        /// What the server said (RFC 9110, section 15).
        status: u16,
        /// The same in words.
        reason: String,
    },
    /// The answer broke off, or is none.
    #[error("{url} did not come whole ({cause}); try again")]
    Broken {
        /// What.
        url: Url,
        /// What is wrong.
        cause: String,
    },
}

impl FetchError {
    /// Whether it is this very server that gave nothing, and not somebody to whom it led, or nobody.
    pub(crate) fn is_of(&self, server: &Url) -> bool {
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

    /// The same without the address, for where that is a secret.
    pub(crate) fn without_address(&self) -> String {
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

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status (RFC 9110, section 15); never a redirect.
    pub status: u16,
    /// The status in words.
    pub reason: String,
    /// Its headers, the names in small letters.
    pub headers: Vec<(String, String)>,
    /// What was asked for; empty unless the status is 200.
    pub body: Vec<u8>,
    /// Where it came from, after what led there.
    pub from: Url,
    /// Whereto one was sent, in order.
    pub redirects: Vec<Url>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// This, if it is what was asked for.
    pub fn ok(self) -> Result<Self, FetchError> {
        match self.status {
            200 => Ok(self),
            status => Err(FetchError::Status { url: self.from, status, reason: self.reason }),
        }
    }
}

/// Asks for something of at most so many bytes, and waits for it.
///
/// The headers are for the server of this address alone: whoever it leads to does not get them.
pub fn get(url: &Url, headers: &[(&str, String)], most: usize) -> Result<Answer, FetchError> {
    wait(url, follow(url, headers, most, None))
}

/// Sends a form (`application/x-www-form-urlencoded`) to this very server, and waits for an answer of at most so many bytes.
/// Nobody is followed elsewhere: a form may hold a secret.
pub(crate) fn post(url: &Url, form: &str, most: usize) -> Result<Answer, FetchError> {
    wait(url, ask(url, &[], Some(form), most, None))
}

/// The same as [`get`], but nobody is followed elsewhere.
pub(crate) fn get_here(url: &Url, headers: &[(&str, String)], most: usize) -> Result<Answer, FetchError> {
    wait(url, ask(url, headers, None, most, None))
}

/// Waits for what is asked of this address.
fn wait(url: &Url, asked: impl Future<Output = Result<Answer, FetchError>>) -> Result<Answer, FetchError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| FetchError::Unreachable { host: url.host().to_owned(), cause })?;
    let answer = runtime.block_on(in_time(url, asked));
    // A name look-up that hangs must not hold up the end.
    runtime.shutdown_background();
    answer
}

/// What comes of this address, unless it takes too long.
async fn in_time(url: &Url, asked: impl Future<Output = Result<Answer, FetchError>>) -> Result<Answer, FetchError> {
    let late = || FetchError::TimedOut { url: url.clone() };
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(late()))
}

/// Asks this very server for something of at most so many bytes, which may be a secret, trusting what `ca_file` says in place
/// of the system's certificates. Nobody is followed elsewhere.
pub(crate) async fn fetch(url: &Url, ca_file: Option<&Path>, most: usize) -> Result<Vec<u8>, FetchError> {
    Ok(ask(url, &[], None, most, ca_file).await?.ok()?.body)
}

/// Asks for something of at most so many bytes, wherever it leads, trusting what `ca_file` says in place of the system's
/// certificates.
pub(crate) async fn find(url: &Url, ca_file: Option<&Path>, most: usize) -> Result<Vec<u8>, FetchError> {
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
        let bad = |cause| FetchError::BadRedirect { url: here.clone(), to: harmless(to, SHOWN), cause };
        let next = here.to(to).map_err(bad)?;
        redirects.push(next);
    }
}

/// One request, one answer.
async fn ask(
    url: &Url,
    headers: &[(&str, String)],
    form: Option<&str>,
    most: usize,
    ca_file: Option<&Path>,
) -> Result<Answer, FetchError> {
    let mut wire = Wire::new(connect(url, ca_file).await?);
    let broken = |cause: String| FetchError::Broken { url: url.clone(), cause };
    let mut request = format!(
        "{} {} HTTP/1.1\r\nhost: {}\r\nuser-agent: parlor/{}\r\naccept-encoding: identity\r\nconnection: close\r\n",
        if form.is_some() { "POST" } else { "GET" },
        url.path(),
        url.authority(),
        env!("CARGO_PKG_VERSION")
    );
    for (name, value) in headers {
        for part in [name, ": ", value, "\r\n"] {
            request.push_str(part);
        }
    }
    if let Some(form) = form {
        let length = form.len();
        let headers = format!("content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n");
        request.push_str(&headers);
    }
    request.push_str("\r\n");
    request.push_str(form.unwrap_or_default());
    wire.send(request.as_bytes()).await.map_err(|error| broken(error.to_string()))?;
    let head = wire.head().await.map_err(broken)?;
    let mut answer = Answer {
        status: head.status,
        reason: harmless(&head.reason, SHOWN),
        headers: head.headers.clone(),
        body: Vec::new(),
        from: url.clone(),
        redirects: Vec::new(),
    };
    if answer.status != 200 {
        return Ok(answer);
    }
    answer.body = wire.body(&head, most).await.map_err(|error| match error {
        NoBody::TooLarge => FetchError::TooLarge { url: url.clone(), most },
        NoBody::Compressed(encoding) => {
            FetchError::Compressed { url: url.clone(), encoding: harmless(&encoding, SHOWN) }
        }
        NoBody::Broken(cause) => broken(cause),
    })?;
    Ok(answer)
}

/// Hands something to a program on this machine, which takes it without TLS: gives the status and the body of its answer, which
/// has at most so many bytes.
#[cfg(feature = "opentelemetry")]
pub(crate) async fn post_here(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    most: usize,
) -> Result<(u16, Vec<u8>), String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let mut wire = Wire::new(stream);
    let length = body.len();
    let mut request =
        format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n");
    for (name, value) in headers {
        for part in [name, ": ", value, "\r\n"] {
            request.push_str(part);
        }
    }
    request.push_str("\r\n");
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    wire.send(&request).await.map_err(|error| error.to_string())?;
    let head = wire.head().await?;
    let body = wire.body(&head, most).await.map_err(|_| "its answer did not come whole")?;
    Ok((head.status, body))
}

async fn connect(url: &Url, ca_file: Option<&Path>) -> Result<TlsStream<TcpStream>, FetchError> {
    let host = || url.authority();
    let connecting = tokio::time::timeout(CONNECTING, TcpStream::connect((url.host(), url.port()))).await;
    let stream = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let stream = stream.map_err(|cause| FetchError::Unreachable { host: host(), cause })?;
    let unsafe_ = |cause: String| FetchError::Tls { host: host(), cause };
    let name = ServerName::try_from(url.host().to_owned()).map_err(|error| unsafe_(error.to_string()))?;
    let ca_file = ca_file.map(Path::to_owned);
    // Certificates are read from disk.
    let config = tokio::task::spawn_blocking(move || client_config(ca_file)).await;
    let config = config.map_err(|error| unsafe_(error.to_string()))?;
    let mut config = config.map_err(|error| unsafe_(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(|error| unsafe_(handshake_failure(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever keeps it, and however many redirects there were.
    #[tokio::test(start_paused = true)]
    async fn a_download_that_does_not_come_is_given_up() {
        let url: Url = "https://example.org/echo.wasm".parse().unwrap();
        let late = in_time(&url, std::future::pending()).await.err().map(|error| error.to_string());
        assert_eq!(late.as_deref(), Some("https://example.org/echo.wasm did not come within 120 s; try again later"));
    }
}
