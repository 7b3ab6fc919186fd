//! Checks received data between the socket and the library's parser.
//!
//! The library limits neither the size nor the depth of a stanza, gives up the stream over an attribute of 8 KiB, and
//! silently drops stanzas that do not match its types. So each stanza is held here until it is complete. A child that
//! exceeds the limits is left out, with any length, and the rest of the stanza passes. A stanza that the library would
//! drop is repaired. So no stanza of a peer ends the stream, and each request is answered. The number of stanzas stays
//! the same, since both ends count them (XEP-0198).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use parlor_base::escape::io_words;
use parlor_stanza::plain::{PlainElement, is_worth_reading};
use parlor_stanza::sieve::lost::Lost;
use parlor_stanza::sieve::{KEEP, Sieve, Whole};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_xmpp::xmlstream::Timeouts;

mod ending;
mod opening;

use self::opening::Opening;

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
    /// How much the transport has read that the sieve has not seen.
    unseen: usize,
    ending: Ending,
    timeouts: Timeouts,
    opening: Opening,
}

impl<T> Intake<T> {
    pub(super) fn new(inner: T, ending: Ending, timeouts: Timeouts) -> Self {
        ending.hear();
        Self {
            inner: Some(inner),
            sieve: Sieve::default(),
            ready: Vec::new(),
            taken: 0,
            broken: None,
            unseen: 0,
            ending,
            timeouts,
            opening: Opening::default(),
        }
    }

    /// Returns how long the stream may be silent.
    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Returns the header of the stream; empty before it has arrived.
    pub(super) fn header(&self) -> &[u8] {
        self.sieve.header()
    }

    /// Frees the memory of the buffers in which nothing waits.
    pub(super) fn give_back(&mut self) {
        if self.taken == self.ready.len() {
            (self.ready, self.taken) = (Vec::new(), 0);
        }
        self.sieve.give_back();
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
            let silent = self.ending.heard().elapsed() >= self.timeouts.response_timeout;
            self.ending.note(if silent { Lost::TimedOut } else { Lost::Unreadable });
        }
    }
}

/// The next thing that an intake has found.
pub(super) enum Found<P> {
    /// An element in simple XML, as it was taken.
    Plain(P),
    /// Another element, the header or footer of the stream, or white space between elements.
    Bytes,
    /// The end of the connection.
    End,
}

impl<T: AsyncBufRead + Unpin> Intake<T> {
    /// Finds the next element of the stream. `take` is offered each one in simple XML, and may refuse it. All others
    /// are in [`Intake::bytes`], and so are bytes that were read before the first call.
    pub(super) fn poll_element<P>(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(PlainElement) -> Option<P>,
    ) -> Poll<io::Result<Found<P>>> {
        while self.taken == self.ready.len() {
            match ready!(self.poll_more(cx, &mut take))? {
                Found::Bytes => {}
                found => return Poll::Ready(Ok(found)),
            }
        }
        Poll::Ready(Ok(Found::Bytes))
    }

    /// Returns what was found, once.
    pub(super) fn bytes(&mut self) -> &[u8] {
        let found = &self.ready[self.taken..];
        self.taken = self.ready.len();
        found
    }

    /// Reads until an element is complete, or as much as there is.
    fn poll_more<P>(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut impl FnMut(PlainElement) -> Option<P>,
    ) -> Poll<io::Result<Found<P>>> {
        if let Some(why) = &self.broken {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why.to_string())));
        }
        self.ready.clear();
        self.ready.shrink_to(KEEP);
        self.taken = 0;
        let inner = Pin::new(self.inner.as_mut().ok_or(io::ErrorKind::NotConnected)?);
        let bytes = match ready!(inner.poll_fill_buf(cx)) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.ending.note(Lost::Cut { cause: Some(io_words(&error)) });
                return Poll::Ready(Err(error));
            }
        };
        if bytes.is_empty() {
            self.ending.note(Lost::Cut { cause: None });
            return Poll::Ready(Ok(Found::End));
        }
        let length = bytes.len();
        // Nearly all elements are complete when they are first seen, and the sieve would pass them as they are.
        let is_whole = self.sieve.is_between_elements();
        if is_whole
            && is_worth_reading(bytes)
            && let Some((element, amount)) = PlainElement::first(bytes)
            && let Some(plain) = take(element)
        {
            self.seen(amount, length)?;
            return Poll::Ready(Ok(Found::Plain(plain)));
        }
        let (amount, whole) = self.sieve.push_one(bytes, &mut self.ready).unwrap_or_else(|why| {
            self.ending.note(why.clone());
            self.broken = Some(why);
            (length, None)
        });
        if let Some(why) = self.sieve.farewell() {
            self.ending.note(why);
        }
        self.seen(amount, length)?;
        if !is_whole
            && whole == Some(Whole::Message)
            && let Some(plain) = PlainElement::read(&self.ready).and_then(take)
        {
            self.taken = self.ready.len();
            return Poll::Ready(Ok(Found::Plain(plain)));
        }
        Poll::Ready(Ok(Found::Bytes))
    }

    /// Removes this number of bytes from the transport's buffer.
    fn seen(&mut self, amount: usize, length: usize) -> io::Result<()> {
        Pin::new(self.inner()?).consume(amount);
        let (is_new, goes_on) = (self.unseen == 0, self.sieve.is_within_an_element());
        self.unseen = length - amount;
        if is_new || goes_on {
            self.ending.arrived(amount, goes_on);
        }
        Ok(())
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
            if let Found::End = ready!(this.poll_more(cx, &mut |_| None::<()>))? {
                return Poll::Ready(Ok(&[]));
            }
        }
        Poll::Ready(Ok(&this.ready[this.taken..]))
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        self.taken = self.ready.len().min(self.taken + amount);
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Intake<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let inner = this.inner.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let result = match ready!(this.opening.poll_write(inner, cx, buf)) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => ready!(Pin::new(inner).poll_write(cx, buf)),
            Err(error) => Err(error),
        };
        if let Ok(bytes) = result {
            this.ending.wrote(bytes);
        }
        Poll::Ready(this.noted(result))
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
    use std::time::Duration;

    use super::*;

    /// Returns the reason for which a live connection is given up, if this much silence is too much.
    fn left_after(patience: Duration) -> Option<Lost> {
        let ending = Ending::default();
        let timeouts = Timeouts { read_timeout: patience, response_timeout: patience };
        drop(Intake::new(tokio::io::empty(), ending.clone(), timeouts));
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
        assert!(Intake::new((), ending.clone(), Timeouts::tight()).into_inner().is_some());
        assert_eq!(ending.reason(), None);
    }
}
