//! Web servers on loopback: one within TLS, which serves the bytes that were set for each path, one that answers before
//! it has the whole request, and one that keeps its connections.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::certificate::Certificate;
use crate::folder::Folder;
use crate::plugins::digest_of;

/// The answer to a request that already knows the entity tag.
const UNCHANGED: &[u8] = b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n";

/// The server. Dropping it ends it.
#[derive(Debug)]
pub struct Web {
    port: u16,
    state: Arc<Mutex<State>>,
    _task: Task,
    /// Its own certificate, if it generated one.
    own: Option<(Certificate, Folder)>,
}

#[derive(Debug, Default)]
struct State {
    /// The complete answers, by request target.
    answers: BTreeMap<String, Vec<u8>>,
    /// Answers that are sent before the body of the request has come, by request target.
    early: BTreeMap<String, Vec<u8>>,
    /// The entity tags of answers, by request target.
    tags: BTreeMap<String, String>,
    /// The credentials that paths with this beginning require, and the challenge for requests without them.
    guards: BTreeMap<String, Guard>,
    /// All requests, with their bodies.
    requests: Vec<String>,
}

#[derive(Debug, Clone)]
struct Guard {
    authorization: String,
    challenge: String,
}

impl Web {
    /// Listens on a free port, with its own certificate.
    pub async fn start() -> Result<Self> {
        let folder = Folder::new()?;
        let certificate = Certificate::make(&folder)?;
        let web = Self::start_as(&certificate).await?;
        Ok(Self { own: Some((certificate, folder)), ..web })
    }

    /// Listens on a free port, with this certificate.
    pub async fn start_as(certificate: &Certificate) -> Result<Self> {
        let tls = certificate.acceptor()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let port = listener.local_addr()?.port();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that leaves early, or does not trust the certificate, is ignored here.
                let _ = answer(stream, &tls, &shared).await;
            }
        });
        Ok(Self { port, state, _task: Task(task), own: None })
    }

    /// Returns the certificate that it generated, for clients that are to trust it.
    pub fn certificate(&self) -> &Certificate {
        &self.own.as_ref().expect("asked of one that has a certificate of its own").0
    }

    /// Returns the URL of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.host())
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the host and its port.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Returns the entry of a grant that lets names lead to it.
    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Serves these bytes at a path.
    pub fn put(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", bytes.len());
        self.put_raw(path, [head.as_bytes(), bytes].concat());
    }

    /// Serves a component as a registry does, under this tag of this repository. Returns the digest of its manifest.
    pub fn push(&self, repository: &str, tag: &str, component: &[u8]) -> String {
        let digest = digest_of(component);
        let layer = json!({ "mediaType": "application/wasm", "digest": digest, "size": component.len() });
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({ "schemaVersion": 2, "mediaType": kind, "config": {}, "layers": [layer] }).to_string();
        let of_manifest = digest_of(manifest.as_bytes());
        self.put(&format!("/v2/{repository}/blobs/{digest}"), component);
        for name in [tag, of_manifest.as_str()] {
            self.put(&format!("/v2/{repository}/manifests/{name}"), &manifest);
        }
        of_manifest
    }

    /// Answers at a path with exactly these bytes, including the head, and closes the connection. The other answers announce that:
    /// a client may be about to send its next request.
    pub fn put_raw(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.state().answers.insert(path.to_owned(), bytes.into());
    }

    /// Answers at a path with these bytes as soon as the head of a request is there, and reads its body only afterwards.
    pub fn put_early(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.state().early.insert(path.to_owned(), bytes.into());
    }

    /// Serves these bytes at a path, with an entity tag. A request that already knows the tag is answered with 304.
    pub fn put_tagged(&self, path: &str, tag: &str, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let head =
            format!("HTTP/1.1 200 OK\r\netag: {tag}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", bytes.len());
        self.put_raw(path, [head.as_bytes(), bytes].concat());
        self.state().tags.insert(path.to_owned(), tag.to_owned());
    }

    /// Redirects requests for a path.
    pub fn redirect(&self, path: &str, to: &str) {
        self.put_raw(
            path,
            format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
        );
    }

    /// Requires this `authorization` for paths with this beginning. Other requests get this challenge in
    /// `www-authenticate`.
    pub fn guard(&self, beginning: &str, authorization: &str, challenge: &str) {
        let guard = Guard { authorization: authorization.to_owned(), challenge: challenge.to_owned() };
        self.state().guards.insert(beginning.to_owned(), guard);
    }

    /// Serves nothing at a path any more.
    pub fn remove(&self, path: &str) {
        self.state().answers.remove(path);
    }

    /// Returns the requests so far, with their bodies.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server without TLS that answers as soon as it has the head of a request, and reads no more. Dropping it ends it.
#[derive(Debug)]
pub struct EarlyServer {
    url: String,
    _task: Task,
}

impl EarlyServer {
    /// Listens on a free port. Each connection gets the next of these answers, and then the end of the stream.
    pub async fn start(answers: &'static [&'static str]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let url = format!("http://{}/", listener.local_addr()?);
        let task = tokio::spawn(async move {
            // A connection that is dropped would be reset, which may take the answer along.
            let mut open = Vec::new();
            for answer in answers {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                let _ = answer_early(&mut stream, answer).await;
                open.push(stream);
            }
            std::future::pending::<()>().await;
        });
        Ok(Self { url, _task: Task(task) })
    }

    /// Returns its URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

async fn answer_early(stream: &mut TcpStream, answer: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// A server without TLS that keeps its connections open. Dropping it ends it.
#[derive(Debug)]
pub struct KeepingServer {
    url: String,
    connections: Arc<Mutex<Connections>>,
    _task: Task,
}

/// For each connection that was accepted, the header `x-who` of each of its requests.
type Connections = Vec<Vec<String>>;

impl KeepingServer {
    /// Listens on a free port. Each request is answered with 200.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen on 127.0.0.1")?;
        let url = format!("http://{}/", listener.local_addr()?);
        let connections = Arc::<Mutex<Connections>>::default();
        let shared = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let mut connections = shared.lock().unwrap_or_else(PoisonError::into_inner);
                connections.push(Vec::new());
                open.spawn(keep(stream, Arc::clone(&shared), connections.len() - 1));
            }
        });
        Ok(Self { url, connections, _task: Task(task) })
    }

    /// Returns its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the header `x-who` of each request, by connection.
    pub fn connections(&self) -> Vec<Vec<String>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers the requests of the connection with this number.
async fn keep(mut stream: TcpStream, connections: Arc<Mutex<Connections>>, number: usize) -> std::io::Result<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let request = String::from_utf8_lossy(&head);
        let who = request.lines().find_map(|line| line.strip_prefix("x-who: ")).unwrap_or_default().to_owned();
        connections.lock().unwrap_or_else(PoisonError::into_inner)[number].push(who);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
    }
}

/// A task that ends when this is dropped.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn answer(stream: TcpStream, tls: &TlsAcceptor, state: &Mutex<State>) -> std::io::Result<()> {
    let mut stream = tls.accept(stream).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8_lossy(&head).into_owned();
    let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let early = state.lock().unwrap_or_else(PoisonError::into_inner).early.get(&target).cloned();
    if let Some(bytes) = early {
        stream.write_all(&bytes).await?;
        stream.shutdown().await?;
        // A connection that is dropped would be reset, which may take the answer along.
        return stream.read_to_end(&mut head).await.map(drop);
    }
    let header = |name: &str| {
        let lines = request.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned()).next()
    };
    let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let known = header("if-none-match");
    let (says, begins) = (header("authorization"), request.find("\r\n\r\n").unwrap_or(0) + 4);
    let is_in_chunks = header("transfer-encoding").as_deref() == Some("chunked");
    // An answer before the end of the body would have the client send no more of it.
    while head.len() < begins + length || (is_in_chunks && !head.ends_with(b"0\r\n\r\n")) {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let found = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.push(String::from_utf8_lossy(&head).into_owned());
        let guard = state.guards.iter().find(|(beginning, _)| target.starts_with(beginning.as_str()));
        match guard.map(|(_, guard)| guard).filter(|guard| says.as_ref() != Some(&guard.authorization)) {
            Some(Guard { challenge, .. }) => Some(
                format!("HTTP/1.1 401 No\r\nwww-authenticate: {challenge}\r\ncontent-length: 0\r\n\r\n").into_bytes(),
            ),
            None if known.is_some() && state.tags.get(&target) == known.as_ref() => Some(UNCHANGED.to_vec()),
            None => state.answers.get(&target).cloned(),
        }
    };
    let bytes =
        found.unwrap_or_else(|| b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_vec());
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}
