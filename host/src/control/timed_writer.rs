//! The sending side of a connection to a peer that must read in time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::Sleep;

/// The timeout for a response, or a part of it, to be read.
const PATIENCE: Duration = Duration::from_secs(10);
/// The size of such a part, in bytes.
pub(super) const PART: usize = 64 << 10;

/// Fails if the peer does not read all that was written, or a part of it, within the timeout. hyper knows a timeout for
/// reading a head alone.
#[derive(Debug)]
pub(super) struct TimedWriter<W> {
    inner: W,
    /// Runs while the peer has something to read.
    timeout: Option<Pin<Box<Sleep>>>,
    /// How much of the present part was written, in bytes.
    written: usize,
}

impl<W> TimedWriter<W> {
    pub(super) fn new(inner: W) -> Self {
        Self { inner, timeout: None, written: 0 }
    }

    fn begin_part(&mut self) {
        self.timeout = None;
        self.written = 0;
    }
}

impl<W: AsyncWrite + Unpin> AsyncWrite for TimedWriter<W> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.inner).poll_write(context, bytes);
        if let Poll::Ready(Ok(length)) = result {
            self.written += length;
            if self.written >= PART {
                self.begin_part();
            }
        }
        if result.is_pending() {
            let timeout = self.timeout.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
            ready!(timeout.as_mut().poll(context));
            tracing::info!("somebody who asked on the control socket did not read the answer, and was left");
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Everything before was written.
        self.begin_part();
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
