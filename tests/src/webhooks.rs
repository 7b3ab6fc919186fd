//! The tools of a sender of requests to webhooks: their paths, signatures, and a connection.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ring::hmac;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_xmpp::rustls::pki_types::{CertificateDer, ServerName};
use tokio_xmpp::rustls::{ClientConfig, RootCertStore};

/// The timeout of an answer.
const SOON: Duration = Duration::from_mins(1);

/// Returns the path of each webhook of a plugin by its name, from the output of `parlor plugin hooks --json`. A webhook
/// without an address is left out.
pub fn paths(shown: &Value) -> BTreeMap<String, String> {
    let path = |webhook: &Value| {
        let (_, path) = webhook["address"].as_str()?.split_once("/hooks/")?;
        Some((webhook["name"].as_str()?.to_owned(), format!("/hooks/{path}")))
    };
    shown["webhooks"].as_array().into_iter().flatten().filter_map(path).collect()
}

/// Returns the line with GitHub's signature.
pub fn github(secret: &str, body: &str) -> String {
    format!("x-hub-signature-256: sha256={}\r\n", signature(secret, body))
}

/// Returns the line with the signature of Gitea and Forgejo.
pub fn gitea(secret: &str, body: &str) -> String {
    format!("x-gitea-signature: {}\r\n", signature(secret, body))
}

/// Returns the lines of a signature as Slack makes it at this time, in seconds.
pub fn slack(secret: &str, body: &str, at: i64) -> String {
    let signature = signature(secret, &format!("v0:{at}:{body}"));
    format!("x-slack-request-timestamp: {at}\r\nx-slack-signature: v0={signature}\r\n")
}

fn signature(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex::encode(hmac::sign(&key, text.as_bytes()))
}

/// Returns the status of an answer; 0 if there was none.
pub fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Sends a request with GitHub's signature over a separate connection. Returns the status of the answer; 0 if the host
/// ended before it.
pub async fn post(at: SocketAddr, path: &str, secret: &str, body: &str) -> Result<u16> {
    post_with(at, path, &github(secret, body), body).await
}

/// Sends a request with these lines in its head in the same way.
pub async fn post_with(at: SocketAddr, path: &str, lines: &str, body: &str) -> Result<u16> {
    let stream = TcpStream::connect(at).await.context("nobody listens for webhooks")?;
    exchange(stream, path, lines, body).await
}

/// Sends such a request within TLS. Only a host with this certificate is trusted.
pub async fn post_within_tls(
    at: SocketAddr,
    trusted: &CertificateDer<'static>,
    path: &str,
    lines: &str,
    body: &str,
) -> Result<u16> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).context("the certificate cannot be trusted")?;
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(at).await.context("nobody listens for webhooks")?;
    let stream = TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from("localhost")?, stream).await?;
    exchange(stream, path, lines, body).await
}

/// Sends a request over a connection, and returns the status of the answer.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str, lines: &str, body: &str) -> Result<u16> {
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}");
    stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.context("a webhook is not answered")??;
    Ok(status(&String::from_utf8_lossy(&answer)))
}

/// A connection that is kept for several requests, each sent after the answer to the one before.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    /// Connects from this address.
    pub async fn open(from: Ipv4Addr, at: SocketAddr) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(at).await.context("nobody listens for webhooks")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: Vec::new() })
    }

    /// Sends a request. Returns the status of its answer, which has no body.
    pub async fn ask(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.answer.clear();
        while !self.answer.ends_with(b"\r\n\r\n") {
            ensure!(self.stream.read_buf(&mut self.answer).await? > 0, "the host hung up");
        }
        Ok(status(std::str::from_utf8(&self.answer).context("an answer in ASCII")?))
    }
}
