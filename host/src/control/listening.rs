//! A socket while it is listened on: who connects is heard, so many at once, until it is enough.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

/// How long nobody is let in after that went wrong. Most likely there are too many open files: a pause gives them time to close.
const PAUSE: Duration = Duration::from_millis(100);

/// The task that lets them in.
pub(super) struct Listening {
    task: JoinHandle<()>,
    /// Dropped when nobody is to be heard any more.
    enough: oneshot::Sender<Infallible>,
}

impl Listening {
    /// Hears whoever `next` gives, `most` at once; further ones wait. `fault` says what it is when nobody can be let in.
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
                    // To abort this task would only ask them to end, and each of them may hold the house.
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

    /// Ends every conversation. When this returns, nothing that they held is held.
    pub(super) async fn stop(self) {
        drop(self.enough);
        let _ = self.task.await;
    }
}
