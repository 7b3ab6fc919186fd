//! The signals that a host handles, with repeated ones removed.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

/// The same signal within this time counts once: `timeout` and other programs send it to the process and to its group,
/// so it arrives twice.
const SAME: Duration = Duration::from_secs(1);

/// The stream of signals.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    /// Whether a SIGHUP arrived during another task.
    hung_up: bool,
    requests: Requests,
}

/// The request that a signal makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Stop the host.
    Stop,
    /// Reload the files.
    Reload,
}

impl Signals {
    /// Starts to listen for signals.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be listened to");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            hung_up: false,
            requests: Requests::default(),
        })
    }

    /// Waits for the next request, or returns one that arrived during another task.
    pub(super) async fn next(&mut self) -> Asked {
        if std::mem::take(&mut self.hung_up) {
            return Asked::Reload;
        }
        self.heard().await
    }

    async fn heard(&mut self) -> Asked {
        loop {
            let stop = tokio::select! {
                _ = self.interrupt.recv() => Stop::Interrupt,
                _ = self.terminate.recv() => Stop::Terminate,
                _ = self.hang_up.recv() => return Asked::Reload,
            };
            if self.requests.is_new(stop, Instant::now()) {
                return Asked::Stop;
            }
        }
    }

    /// Waits for the next request to stop. A SIGHUP meanwhile is kept for [`next`](Self::next): the files may have
    /// changed after the current reload read them.
    pub(super) async fn stop(&mut self) {
        while self.heard().await == Asked::Reload {
            self.hung_up = true;
        }
    }
}

/// The two signals that stop a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Interrupt,
    Terminate,
}

/// The last request to stop, to detect repeated signals.
#[derive(Debug, Default)]
struct Requests(Option<(Stop, Instant)>);

impl Requests {
    /// Returns whether this signal is a new request.
    fn is_new(&mut self, stop: Stop, now: Instant) -> bool {
        if self.0.is_some_and(|(last, at)| last == stop && now.duration_since(at) < SAME) {
            return false;
        }
        self.0 = Some((stop, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_signal_within_a_second_counts_once() {
        let mut requests = Requests::default();
        let begin = Instant::now();
        let mut at = |stop, milliseconds| requests.is_new(stop, begin + Duration::from_millis(milliseconds));
        assert!(at(Stop::Terminate, 0));
        assert!(!at(Stop::Terminate, 0) && !at(Stop::Terminate, 999), "`timeout` sends it twice");
        assert!(at(Stop::Interrupt, 999), "another signal is another request");
        assert!(!at(Stop::Interrupt, 1_500));
        assert!(at(Stop::Interrupt, 1_999), "whoever asks again later means it");
    }
}
