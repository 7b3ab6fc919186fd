//! The interim answers of a server over HTTP/2: those before the answer to a request (RFC 9110, section 15.2).
//!
//! The library skips them, and tells nobody how many come. So their frames are counted where the connection is read.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use parlor_https::interim::{self, MOST};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::WebError;

/// The maximum number of requests whose answers are counted at the same time. Of more, the oldest are left out.
const MOST_STREAMS: usize = 1_024;
/// The length of the head of a frame, in bytes (RFC 9113, section 4.1).
const HEAD: usize = 9;
/// The types of frames that begin or end an answer (RFC 9113, section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
/// The flag of the last frame of an answer. No interim answer has it.
const END_STREAM: u8 = 1;

/// Returns the error for a server that sends too many.
pub(crate) fn too_many() -> WebError {
    WebError::Protocol(interim::too_many())
}

/// A connection that fails if its server sends too many interim answers over HTTP/2.
pub(crate) struct Counted<S> {
    stream: S,
    /// Counts them, if the connection speaks HTTP/2.
    frames: Option<Frames>,
}

impl<S> Counted<S> {
    pub(crate) fn new(stream: S, is_h2: bool) -> Self {
        Self { stream, frames: is_h2.then(Frames::default) }
    }

    /// Returns whether the connection speaks HTTP/2.
    pub(crate) fn is_h2(&self) -> bool {
        self.frames.is_some()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, frames } = self.get_mut();
        let before = into.filled().len();
        ready!(Pin::new(stream).poll_read(cx, into))?;
        let counted = frames.as_mut().map_or(Ok(()), |frames| frames.count(&into.filled()[before..]));
        Poll::Ready(counted.map_err(io::Error::other))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// Reads the heads of a server's frames.
#[derive(Default)]
struct Frames {
    /// The head that is being read, and how many bytes of it have come.
    head: [u8; HEAD],
    length: usize,
    /// How many bytes of the frame before it are still to come.
    rest: usize,
    /// How many heads of answers each request had so far, by its stream.
    heads: BTreeMap<u32, usize>,
}

impl Frames {
    /// Counts the answers that begin in these bytes.
    fn count(&mut self, mut bytes: &[u8]) -> Result<(), WebError> {
        while let Some(head) = self.next_head(&mut bytes) {
            self.begin(head)?;
        }
        Ok(())
    }

    /// Takes bytes to the end of the next head. `None`: they end before that.
    fn next_head(&mut self, bytes: &mut &[u8]) -> Option<[u8; HEAD]> {
        let (skipped, left) = bytes.split_at(self.rest.min(bytes.len()));
        self.rest -= skipped.len();
        let (taken, left) = left.split_at((HEAD - self.length).min(left.len()));
        self.head[self.length..self.length + taken.len()].copy_from_slice(taken);
        self.length += taken.len();
        *bytes = left;
        if self.length < HEAD {
            return None;
        }
        self.length = 0;
        Some(self.head)
    }

    fn begin(&mut self, head: [u8; HEAD]) -> Result<(), WebError> {
        let [high, middle, low, kind, flags, stream @ ..] = head;
        self.rest = (usize::from(high) << 16) | (usize::from(middle) << 8) | usize::from(low);
        // The first bit is reserved.
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        match (kind, flags & END_STREAM) {
            (HEADERS, 0) => {
                let heads = self.heads.entry(stream).or_default();
                *heads += 1;
                // The last one is that of the answer, if it has a body.
                if *heads > MOST + 1 {
                    return Err(too_many());
                }
                if self.heads.len() > MOST_STREAMS {
                    self.heads.pop_first();
                }
            }
            (HEADERS | DATA, END_STREAM) | (RST_STREAM, _) => {
                self.heads.remove(&stream);
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a frame with a body of this length.
    fn frame(kind: u8, flags: u8, stream: u32, length: u8) -> Vec<u8> {
        let body = vec![HEADERS; usize::from(length)];
        [&[0, 0, length, kind, flags][..], &stream.to_be_bytes()[..], &body[..]].concat()
    }

    /// Counts frames that come in parts of this size.
    fn counted(frames: &[Vec<u8>], size: usize) -> bool {
        let mut count = Frames::default();
        frames.concat().chunks(size).all(|part| count.count(part).is_ok())
    }

    #[test]
    fn the_heads_of_each_answer_are_counted_however_the_bytes_come() {
        let interim = |stream| frame(HEADERS, 4, stream, 5);
        let few = vec![interim(1); MOST + 1];
        let many = vec![interim(1); MOST + 2];
        let body = vec![frame(DATA, 0, 1, 200); 3 * MOST];
        let others = (0..200).map(|number| interim(2 * number + 1)).collect::<Vec<_>>();
        // The end of an answer makes place for the count of another one.
        let ended = [few.clone(), vec![frame(DATA, END_STREAM, 1, 0)], few.clone()].concat();
        let reset = [few.clone(), vec![frame(RST_STREAM, 0, 1, 4)], few.clone()].concat();
        // The reserved bit names no other stream.
        let reserved = [few.clone(), vec![interim(1 | (1 << 31))]].concat();
        for size in [1, 2, 9, 10, 64, 1 << 20] {
            for right in [&few, &body, &others, &ended, &reset] {
                assert!(counted(right, size), "{size}");
            }
            assert!(!counted(&many, size) && !counted(&reserved, size), "{size}");
        }
    }

    #[test]
    fn the_counts_of_many_requests_have_an_end() {
        let mut frames = Frames::default();
        for stream in 0..10_000 {
            frames.count(&frame(HEADERS, 4, stream, 0)).unwrap();
        }
        assert_eq!(frames.heads.len(), MOST_STREAMS);
    }
}
