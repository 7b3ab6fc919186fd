//! A listening socket that serves a bounded number of connections until it is stopped.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// The pause after a failed accept. The usual cause is too many open files, and a pause gives them time to close.
const PAUSE: Duration = Duration::from_millis(100);

/// The task that accepts connections.
pub(super) struct Listening {
    task: JoinHandle<()>,
    /// Dropped to stop the task.
    enough: oneshot::Sender<Infallible>,
}

impl Listening {
    /// Serves the connections from `next`, up to `most` at once; further ones wait. `fault` is the warning for a failed
    /// accept.
    pub(super) fn start<N, S, C>(
        next: impl Fn() -> N + Send + 'static,
        most: usize,
        fault: &'static str,
        converse: impl Fn(S) -> C + Send + 'static,
    ) -> Self
    where
        N: Future<Output = io::Result<S>> + Send + 'static,
        S: Send + 'static,
        C: Future<Output = ()> + Send + 'static,
    {
        let (enough, mut told) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut conversations = JoinSet::new();
            loop {
                tokio::select! {
                    // Aborting this task would only ask the conversations to end, and each may hold the host.
                    _ = &mut told => return conversations.shutdown().await,
                    Some(_) = conversations.join_next(), if !conversations.is_empty() => {}
                    stream = next(), if conversations.len() < most => match stream {
                        Ok(stream) => drop(conversations.spawn(converse(stream))),
                        Err(error) => {
                            tracing::warn!(%error, "{fault}");
                            tokio::time::sleep(PAUSE).await;
                        }
                    },
                }
            }
        });
        Self { task, enough }
    }

    /// Closes every connection. When this returns, the conversations hold nothing any more.
    pub(super) async fn stop(self) {
        drop(self.enough);
        let _ = self.task.await;
    }
}
