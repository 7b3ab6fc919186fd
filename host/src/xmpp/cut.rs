//! A transport that can be cut from outside.
//!
//! The library's worker may wait for its peer for minutes, with no handle to end it. Cutting its transport makes it see a
//! broken connection at once, and it goes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// Cuts every transport that was put behind it.
#[derive(Debug, Clone, Default)]
pub(super) struct Cutter(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cut: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Cutter {
    /// Puts a transport behind it. One transport at a time: of two, only the newer would be woken.
    pub(super) fn guard<T>(&self, inner: T) -> Cuttable<T> {
        Cuttable { inner, state: Arc::clone(&self.0) }
    }

    /// Breaks the transport, now and for ever.
    pub(super) fn cut(&self) {
        self.0.cut.store(true, Ordering::Release);
        self.0.reader.wake();
        self.0.writer.wake();
    }
}

/// A transport that fails once it is cut.
pub(super) struct Cuttable<T> {
    inner: T,
    state: Arc<State>,
}

impl<T> Cuttable<T> {
    fn check(&self) -> io::Result<()> {
        if self.state.cut.load(Ordering::Acquire) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the link was closed"));
        }
        Ok(())
    }

    // The waker is registered before the flag is read, so that a cut between the two is not slept through.
    fn check_reader(&self, cx: &Context<'_>) -> io::Result<()> {
        self.state.reader.register(cx.waker());
        self.check()
    }

    fn check_writer(&self, cx: &Context<'_>) -> io::Result<()> {
        self.state.writer.register(cx.waker());
        self.check()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Cuttable<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check_reader(cx)?;
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncBufRead + Unpin> AsyncBufRead for Cuttable<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.check_reader(cx)?;
        Pin::new(&mut self.get_mut().inner).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        Pin::new(&mut self.inner).consume(amount);
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Cuttable<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check_writer(cx)?;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_writer(cx)?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_writer(cx)?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_cut_wakes_who_waits_and_stays() {
        let cutter = Cutter::default();
        let (near, _far) = tokio::io::duplex(64);
        let mut near = cutter.guard(near);
        let reader = tokio::spawn(async move {
            let first = near.read_u8().await.unwrap_err().kind();
            (first, near.read_u8().await.unwrap_err().kind())
        });
        tokio::task::yield_now().await;
        cutter.cut();
        assert_eq!(reader.await.unwrap(), (io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionAborted));
    }
}
