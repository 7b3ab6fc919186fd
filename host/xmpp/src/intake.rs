//! Checks received data between the socket and the library's parser.
//!
//! The library limits neither the size nor the depth of a stanza, gives up the stream over an attribute of 8 KiB, and
//! silently drops stanzas that do not match its types. So each stanza is held here until it is complete. A child that
//! exceeds the limits is left out, whatever its length, and the rest of the stanza passes. A stanza that the library
//! would drop is repaired. So no stanza of a peer ends the stream, and each request is answered. The number of stanzas
//! stays the same, since both ends count them (XEP-0198).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parlor_base::escape::io_words;
use parlor_stanza::sieve::lost::Lost;
use parlor_stanza::sieve::{KEEP, Sieve};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

mod ending;

pub(super) use self::ending::{Ending, Listening};

/// A transport that passes on only complete elements within the limits.
pub(super) struct Intake<T> {
    /// The transport; `None` after it was taken out.
    inner: Option<T>,
    sieve: Sieve,
    /// The data that can be read, and how much of it was read.
    ready: Vec<u8>,
    taken: usize,
    broken: Option<Lost>,
    ending: Ending,
    /// The silence after which the library gives up the connection.
    patience: Duration,
}

impl<T> Intake<T> {
    pub(super) fn new(inner: T, ending: Ending, patience: Duration) -> Self {
        ending.hear();
        Self {
            inner: Some(inner),
            sieve: Sieve::default(),
            ready: Vec::new(),
            taken: 0,
            broken: None,
            ending,
            patience,
        }
    }

    /// Returns the transport; data that was read but not passed on is lost.
    pub(super) fn into_inner(mut self) -> Option<T> {
        self.inner.take()
    }

    fn inner(&mut self) -> io::Result<&mut T> {
        self.inner.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn noted<R>(&self, result: io::Result<R>) -> io::Result<R> {
        if let Err(error) = &result {
            self.ending.note(Lost::Cut { cause: Some(io_words(error)) });
        }
        result
    }
}

impl<T> Drop for Intake<T> {
    fn drop(&mut self) {
        // The library gave up a live connection: it waited too long, or could not parse the data.
        if self.inner.is_some() {
            let silent = self.ending.heard().elapsed() >= self.patience;
            self.ending.note(if silent { Lost::TimedOut } else { Lost::Unreadable });
        }
    }
}

/// Implements reading for a buffered transport.
pub(super) fn read_buffered<T: AsyncBufRead>(
    mut transport: Pin<&mut T>,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let bytes = ready!(transport.as_mut().poll_fill_buf(cx))?;
    let amount = bytes.len().min(buf.remaining());
    buf.put_slice(&bytes[..amount]);
    transport.consume(amount);
    Poll::Ready(Ok(()))
}

impl<T: AsyncBufRead + Unpin> AsyncRead for Intake<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        read_buffered(self, cx, buf)
    }
}

impl<T: AsyncBufRead + Unpin> AsyncBufRead for Intake<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        while this.taken == this.ready.len() {
            if let Some(why) = &this.broken {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why.to_string())));
            }
            this.ready.clear();
            this.ready.shrink_to(KEEP);
            this.taken = 0;
            let inner = Pin::new(this.inner.as_mut().ok_or(io::ErrorKind::NotConnected)?);
            let bytes = match ready!(inner.poll_fill_buf(cx)) {
                Ok(bytes) => bytes,
                Err(error) => {
                    this.ending.note(Lost::Cut { cause: Some(io_words(&error)) });
                    return Poll::Ready(Err(error));
                }
            };
            if bytes.is_empty() {
                this.ending.note(Lost::Cut { cause: None });
                return Poll::Ready(Ok(&[]));
            }
            let amount = bytes.len();
            if let Err(why) = this.sieve.push(bytes, &mut this.ready) {
                this.ending.note(why.clone());
                this.broken = Some(why);
            }
            if let Some(why) = this.sieve.farewell() {
                this.ending.note(why);
            }
            Pin::new(this.inner()?).consume(amount);
            this.ending.arrived(amount, this.sieve.is_within_an_element());
        }
        Poll::Ready(Ok(&this.ready[this.taken..]))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.taken = self.ready.len().min(self.taken + amount);
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Intake<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = ready!(Pin::new(self.inner()?).poll_write(cx, buf));
        if let Ok(bytes) = result {
            self.ending.wrote(bytes);
        }
        Poll::Ready(self.noted(result))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(self.inner()?).poll_flush(cx));
        Poll::Ready(self.noted(result))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(self.inner()?).poll_shutdown(cx));
        Poll::Ready(self.noted(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the reason for which a live connection is given up, if this much silence is too much.
    fn left_after(patience: Duration) -> Option<Lost> {
        let ending = Ending::default();
        drop(Intake::new(tokio::io::empty(), ending.clone(), patience));
        ending.reason()
    }

    #[test]
    fn silence_is_told_from_what_cannot_be_read() {
        assert_eq!(left_after(Duration::ZERO), Some(Lost::TimedOut));
        assert_eq!(left_after(Duration::from_hours(1)), Some(Lost::Unreadable));
    }

    #[test]
    fn a_transport_that_was_taken_out_has_not_ended() {
        let ending = Ending::default();
        assert!(Intake::new((), ending.clone(), Duration::ZERO).into_inner().is_some());
        assert_eq!(ending.reason(), None);
    }
}
