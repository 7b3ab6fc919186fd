//! The windows of brotli (RFC 7932): a decoder holds as many of the last bytes of a body as its first byte says.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use crate::error::WebError;

/// The largest window, as a power of two: 4 MiB, which encoders use by default.
const LARGEST: u8 = 22;

/// Returns the size of the window as a power of two (RFC 7932, section 9.1). `None`: it is larger than the format allows.
fn window(first: u8) -> Option<u8> {
    let (middle, high) = ((first >> 1) & 7, (first >> 4) & 7);
    match (first & 1, middle, high) {
        (0, ..) => Some(16),
        (_, 0, 0) => Some(17),
        (_, 0, 1) => None,
        (_, 0, high) => Some(8 + high),
        (_, middle, _) => Some(17 + middle),
    }
}

/// A body in brotli, which ends in an error if its window is too large.
pub(crate) struct SmallWindow<R> {
    body: R,
    is_checked: bool,
}

impl<R> SmallWindow<R> {
    pub(crate) fn new(body: R) -> Self {
        Self { body, is_checked: false }
    }
}

impl<R: AsyncBufRead + Unpin> AsyncRead for SmallWindow<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let part = ready!(self.as_mut().poll_fill_buf(cx))?;
        let amount = part.len().min(into.remaining());
        into.put_slice(&part[..amount]);
        self.consume(amount);
        Poll::Ready(Ok(()))
    }
}

impl<R: AsyncBufRead + Unpin> AsyncBufRead for SmallWindow<R> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let Self { body, is_checked } = self.get_mut();
        let part = ready!(Pin::new(body).poll_fill_buf(cx))?;
        if let (false, Some(first)) = (&is_checked, part.first()) {
            if window(*first).is_none_or(|size| size > LARGEST) {
                let cause = "the answer is packed by brotli with a window of more than 4 MiB".to_owned();
                return Poll::Ready(Err(io::Error::other(WebError::Protocol(cause))));
            }
            *is_checked = true;
        }
        Poll::Ready(Ok(part))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        Pin::new(&mut self.get_mut().body).consume(amount);
    }
}

#[cfg(test)]
mod tests {
    use async_compression::brotli::EncoderParams;
    use async_compression::tokio::write::BrotliEncoder;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn the_first_byte_tells_the_window() {
        for size in 10..=24 {
            let mut encoder = BrotliEncoder::with_params(Vec::new(), EncoderParams::default().window_size(size));
            encoder.write_all(b"hello").await.unwrap();
            encoder.shutdown().await.unwrap();
            let packed = encoder.into_inner();
            assert_eq!(window(packed[0]).map(i32::from), Some(size), "{packed:?}");
        }
        // The sign of windows that the format does not have.
        assert_eq!(window(0x11), None);
    }
}
