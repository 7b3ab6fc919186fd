//! Hears the requests of other nodes, and answers a bounded number of them at once.
//!
//! The inbox is read whatever is worked on: a request that finds no place is refused at once, and one that is taken back is
//! given up at once. Questions have places of their own, so that work that takes long does not make the node deaf to them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::inbox::Asked;
use crate::requests::Requests;

/// The most questions that are answered at once. Each node asks few at once.
const QUESTIONS: usize = 256;
/// How long after a failure requests are heard again.
const PAUSE: Duration = Duration::from_millis(100);
/// The line of the log after a failure.
const FAULT: &str = "requests of other nodes of the cluster cannot be heard; this is tried again";

/// The task that hears requests.
pub struct Serving {
    task: JoinHandle<()>,
    /// Tells the task how long it may go on with what has begun. Dropping it stops the task at once.
    enough: oneshot::Sender<Duration>,
}

impl Serving {
    /// Begins to hear requests. Up to `most` are worked on at once, beside questions; further ones are refused.
    pub fn start<C>(requests: &Requests, most: usize, answer: impl Fn(Asked) -> C + Send + 'static) -> Self
    where
        C: Future<Output = ()> + Send + 'static,
    {
        let ((enough, told), requests) = (oneshot::channel(), requests.clone());
        let task = tokio::spawn(async move {
            let mut working = JoinSet::new();
            let left = tokio::select! {
                told = told => told.unwrap_or_default(),
                () = hear(&requests, most, answer, &mut working) => Duration::ZERO,
            };
            let _ = timeout(left, async { while working.join_next().await.is_some() {} }).await;
            // Aborting this task would only ask the work to end, and each may hold the host.
            working.shutdown().await;
        });
        Self { task, enough }
    }

    /// Gives all requests up. When this returns, they hold nothing any more.
    pub async fn stop(self) {
        self.finish(Duration::ZERO).await;
    }

    /// Takes no more requests, and gives those up that have begun and do not end within this time. When this returns, they hold
    /// nothing any more.
    pub async fn finish(self, within: Duration) {
        let _ = self.enough.send(within);
        // A task that panicked has ended as well.
        _ = self.task.await;
    }
}

/// Hears requests without end.
async fn hear<C>(requests: &Requests, most: usize, answer: impl Fn(Asked) -> C, working: &mut JoinSet<()>)
where
    C: Future<Output = ()> + Send + 'static,
{
    let [places, questions] = [most, QUESTIONS].map(|most| Arc::new(Semaphore::new(most)));
    loop {
        match requests.serve().await {
            Ok(mut inbox) => {
                while let Some(asked) = inbox.next().await {
                    // Those that have ended.
                    while working.try_join_next().is_some() {}
                    let places = if asked.is_question() { &questions } else { &places };
                    let Ok(place) = Arc::clone(places).try_acquire_owned() else {
                        asked.refuse("it is busy with other requests; try again in a moment".to_owned()).await;
                        continue;
                    };
                    let answering = answer(asked);
                    working.spawn(async move {
                        answering.await;
                        drop(place);
                    });
                }
                tracing::warn!(error = "the connection to NATS has ended", "{FAULT}");
            }
            Err(error) => tracing::warn!(%error, "{FAULT}"),
        }
        sleep(PAUSE).await;
    }
}
