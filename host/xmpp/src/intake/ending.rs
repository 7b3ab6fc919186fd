//! The shared state of one connection: when data last arrived, and how the connection ended.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use parlor_stanza::sieve::lost::Lost;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// How one connection ended, as far as it is known. It is shared by all layers of the connection.
#[derive(Debug, Clone)]
pub(crate) struct Ending(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    why: Option<Lost>,
    heard: Instant,
    pieces: u64,
    written: u64,
    arriving: Option<u64>,
}

impl Default for Ending {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Known { why: None, heard: Instant::now(), pieces: 0, written: 0, arriving: None })))
    }
}

impl Known {
    fn hear(&mut self) {
        self.heard = Instant::now();
        self.pieces += 1;
    }
}

impl Ending {
    /// Returns the reason, if the connection has ended.
    pub(crate) fn reason(&self) -> Option<Lost> {
        self.known().why.clone()
    }

    /// Resets the reason for another connection.
    pub(crate) fn forget(&self) {
        self.known().why = None;
    }

    /// Notes a reason. The first one is the cause; later ones follow from it and are ignored.
    pub(crate) fn note(&self, why: Lost) {
        self.known().why.get_or_insert(why);
    }

    /// Returns when data last arrived, even if only a part of a stanza.
    pub(crate) fn heard(&self) -> Instant {
        self.known().heard
    }

    /// Returns how often data has arrived.
    pub(crate) fn pieces(&self) -> u64 {
        self.known().pieces
    }

    /// Returns how many bytes of an element have arrived whose end has not; `None` if there is no such element.
    pub(crate) fn arriving(&self) -> Option<u64> {
        self.known().arriving
    }

    /// Records that this many bytes have arrived, and whether their element continues.
    pub(crate) fn arrived(&self, bytes: usize, goes_on: bool) {
        let mut known = self.known();
        known.hear();
        known.arriving = goes_on.then(|| known.arriving.unwrap_or(0) + bytes as u64);
    }

    /// Returns how many bytes the connection has accepted.
    pub(crate) fn written(&self) -> u64 {
        self.known().written
    }

    /// Records that the connection has accepted more bytes.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.known().written += bytes as u64;
    }

    /// Records that data has arrived.
    pub(crate) fn hear(&self) {
        self.known().hear();
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transport that records arriving data, for a layer above that only passes on complete messages.
pub(crate) struct Listening<S> {
    inner: S,
    ending: Ending,
}

impl<S> Listening<S> {
    pub(crate) fn new(inner: S, ending: &Ending) -> Self {
        Self { inner, ending: ending.clone() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.ending.hear();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
