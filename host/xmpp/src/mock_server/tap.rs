//! A layer below the XML stream. It records the client's bytes, and sends bytes that no library would write.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// How much of the client's output is kept, in bytes.
const KEPT: usize = 64 << 20;

/// The recorded bytes of a connection, and those to be sent.
#[derive(Debug, Clone, Default)]
pub struct Tap(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    bytes: Mutex<Bytes>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Bytes {
    heard: Vec<u8>,
    to_say: VecDeque<u8>,
}

impl Tap {
    /// Returns what the client wrote, from byte `from` on.
    pub fn heard(&self, from: usize) -> String {
        let bytes = self.bytes();
        String::from_utf8_lossy(bytes.heard.get(from..).unwrap_or_default()).into_owned()
    }

    /// Returns how many bytes the client wrote.
    pub fn len(&self) -> usize {
        self.bytes().heard.len()
    }

    /// Returns whether the client wrote nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the client wrote this text.
    pub fn has(&self, text: &str) -> bool {
        self.bytes().find(text).is_some()
    }

    /// Removes what the client wrote up to the end of this text. Returns false if it did not write it.
    pub fn take_up_to(&self, text: &str) -> bool {
        let mut bytes = self.bytes();
        let at = bytes.find(text);
        if let Some(at) = at {
            bytes.heard.drain(..at + text.len());
        }
        at.is_some()
    }

    /// Waits until the client has written more.
    pub async fn more(&self) {
        self.0.more.notified().await;
    }

    /// Queues bytes to be written, as they are, at the next flush of the stream.
    pub fn say(&self, bytes: &[u8]) {
        self.bytes().to_say.extend(bytes);
    }

    fn bytes(&self) -> MutexGuard<'_, Bytes> {
        self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bytes {
    fn find(&self, text: &str) -> Option<usize> {
        self.heard.windows(text.len()).position(|window| window == text.as_bytes())
    }
}

/// A connection with its tap.
#[derive(Debug)]
pub(super) struct Tapped<Io> {
    pub(super) stream: Io,
    pub(super) tap: Tap,
}

impl<Io: AsyncWrite + Unpin> Tapped<Io> {
    /// Writes the bytes that are queued in the tap.
    fn write_own(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let chunk: Vec<u8> = self.tap.bytes().to_say.iter().take(16 << 10).copied().collect();
            if chunk.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &chunk))?;
            self.tap.bytes().to_say.drain(..written);
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Tapped<Io> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let new = &buffer.filled()[before..];
        let mut bytes = this.tap.bytes();
        let room = KEPT.saturating_sub(bytes.heard.len());
        bytes.heard.extend_from_slice(&new[..new.len().min(room)]);
        drop(bytes);
        this.tap.0.more.notify_one();
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Tapped<Io> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.write_own(context))?;
        Pin::new(&mut this.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.write_own(context))?;
        Pin::new(&mut this.stream).poll_write_vectored(context, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.write_own(context))?;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
