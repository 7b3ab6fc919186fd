//! Whether NATS answers now, asked once for all accounts of a node that want to know.
//!
//! A node that is cut off has its lease for a while longer. An action of an account in that time cannot be noted in its
//! log, so the next node would repeat it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parlor_cluster::FRESH;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::answer::Last;
use crate::clock;
use crate::connect::Link;
use crate::names::Cluster;

/// How long an answer may take until NATS is asked again.
const ANSWER: Duration = Duration::from_millis(300);
/// The time between two questions while there is no answer.
const PAUSE: Duration = Duration::from_millis(50);
/// A silence of this length is reported.
const LONG: Duration = Duration::from_secs(10);

/// Asks NATS. Copies share the questions, which end with the last of them.
#[derive(Debug, Clone)]
pub(crate) struct Pulse {
    waiting: mpsc::UnboundedSender<oneshot::Sender<()>>,
    /// How long the last answer counts.
    fresh_until: Arc<AtomicU64>,
}

impl Pulse {
    /// Starts the task that asks.
    pub(crate) fn start(link: &Link, cluster: &Cluster) -> Self {
        let (waiting, inbox) = mpsc::unbounded_channel();
        let fresh_until = Arc::<AtomicU64>::default();
        tokio::spawn(ask(link.clone(), cluster.clone(), inbox, Arc::clone(&fresh_until)));
        Self { waiting, fresh_until }
    }

    /// Returns how long the last answer counts, in nanoseconds of the clock of nodes; 0 if there was none.
    pub(crate) fn fresh_until(&self) -> u64 {
        self.fresh_until.load(Ordering::Acquire)
    }

    /// Returns once NATS has answered a question that was asked after this call.
    pub(crate) fn answered(&self) -> BoxFuture<'static, ()> {
        let (waits, answered) = oneshot::channel();
        // The task goes on as long as there is a sender.
        _ = self.waiting.send(waits);
        Box::pin(async move { _ = answered.await })
    }
}

/// Asks as long as somebody waits. Those who come while a question is under way wait for the next one.
async fn ask(
    link: Link,
    cluster: Cluster,
    mut inbox: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    fresh_until: Arc<AtomicU64>,
) {
    // The leader of the state answers, which also writes leases. A server alone may be cut off from the others.
    let (stream, subject) = (cluster.state_stream(), cluster.pulse_subject());
    while let Some(first) = inbox.recv().await {
        let mut waiting = vec![first];
        while let Ok(next) = inbox.try_recv() {
            waiting.push(next);
        }
        let (began, mut is_reported) = (Instant::now(), false);
        let mut asked = clock::now();
        while !matches!(link.last(&stream, &subject, ANSWER).await, Ok(Last::None | Last::Stored(_))) {
            waiting.retain(|one| !one.is_closed());
            if waiting.is_empty() {
                break;
            }
            if !is_reported && began.elapsed() >= LONG {
                is_reported = true;
                tracing::warn!(
                    stream,
                    "NATS does not say what the stream has, so plugins of this node handle nothing: look at the log of NATS, and at \
                     what parlor's log-in may do there"
                );
            }
            sleep(PAUSE).await;
            asked = clock::now();
        }
        if !waiting.is_empty() {
            fresh_until.store(clock::nanoseconds(asked + FRESH), Ordering::Release);
        }
        for one in waiting {
            // Its account may have ended meanwhile.
            _ = one.send(());
        }
    }
}
