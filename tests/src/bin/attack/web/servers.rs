//! Servers of the web that misbehave, on loopback and without TLS.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::stage::SOON;

/// The pause between the parts of an answer.
const PAUSE: Duration = Duration::from_millis(20);
/// The first byte of a TLS connection (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 0x16;

/// How a server answers a request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// It sends these parts, with a pause between them, and closes the connection.
    Parts(Vec<Vec<u8>>),
    /// It sends these bytes, and keeps the connection open.
    Begun(Vec<u8>),
    /// It sends the first bytes, and then the second ones without an end.
    Endless(Vec<u8>, Vec<u8>),
    /// It does the same with a pause before each repetition.
    Trickle(Vec<u8>, Vec<u8>),
}

impl Answer {
    /// Sends these bytes, which include the head, and closes the connection.
    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Parts(vec![bytes.into()])
    }

    /// Sends this body with the status 200.
    pub(crate) fn body(body: &str) -> Self {
        Self::raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
    }
}

/// A server. Dropping it closes its connections.
pub(crate) struct Server {
    at: SocketAddr,
    /// The heads of all requests.
    heard: Arc<Mutex<Vec<String>>>,
    /// The number of connections that were made.
    visits: Arc<AtomicUsize>,
    /// Each open connection holds a reference, and so do this value and the task.
    open: Arc<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port, and answers each request by its target.
    pub(crate) async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), answer).await
    }

    /// Listens at this address.
    pub(crate) async fn start_at(
        at: SocketAddr,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(at).await.with_context(|| format!("cannot listen on {at}"))?;
        let at = listener.local_addr()?;
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let (visits, open) = (Arc::<AtomicUsize>::default(), Arc::new(()));
        let (answer, noted, count, alive) =
            (Arc::new(answer), Arc::clone(&heard), Arc::clone(&visits), Arc::clone(&open));
        let task = tokio::spawn(async move {
            // Dropped with the task, which ends all connections.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Relaxed);
                let (answer, noted, alive) = (Arc::clone(&answer), Arc::clone(&noted), Arc::clone(&alive));
                connections.spawn(async move {
                    // The host closes most of these connections before their end.
                    let _ = serve(stream, &noted, &*answer).await;
                    drop(alive);
                });
            }
        });
        Ok(Self { at, heard, visits, open, task })
    }

    /// Starts a server that no request may reach.
    pub(crate) async fn lure() -> Result<Self> {
        Self::start(|_| Answer::body("lured")).await
    }

    pub(crate) fn port(&self) -> u16 {
        self.at.port()
    }

    /// Returns the URL of a path, which begins with a slash.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    /// Returns how many connections were made so far.
    pub(crate) fn visits(&self) -> usize {
        self.visits.load(Relaxed)
    }

    /// Returns how many connections are open.
    pub(crate) fn open(&self) -> usize {
        Arc::strong_count(&self.open).saturating_sub(2)
    }

    /// Returns the heads of all requests so far.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until this number of connections is open.
    pub(crate) async fn has_open(&self, count: usize) -> Result<()> {
        until(&format!("{count} connections to a server"), || self.open() == count).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits until this is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        ensure!(Instant::now() < deadline, "not seen within {SOON:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn serve(
    mut stream: TcpStream,
    noted: &Mutex<Vec<String>>,
    answer: &(impl Fn(&str) -> Answer + Sync),
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
        if head.first() == Some(&HANDSHAKE) {
            return stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let answer = answer(head.split(' ').nth(1).unwrap_or_default());
    noted.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    match answer {
        Answer::Parts(parts) => {
            for (number, part) in parts.iter().enumerate() {
                if number > 0 {
                    sleep(PAUSE).await;
                }
                stream.write_all(part).await?;
            }
            stream.shutdown().await
        }
        Answer::Begun(bytes) => {
            stream.write_all(&bytes).await?;
            let mut rest = [0; 4_096];
            while stream.read(&mut rest).await? > 0 {}
            Ok(())
        }
        Answer::Endless(first, again) => {
            stream.write_all(&first).await?;
            loop {
                stream.write_all(&again).await?;
            }
        }
        Answer::Trickle(first, again) => {
            stream.write_all(&first).await?;
            loop {
                sleep(PAUSE).await;
                stream.write_all(&again).await?;
            }
        }
    }
}
