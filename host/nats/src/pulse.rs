//! Whether NATS answers now, asked once for all accounts of a node that want to know.
//!
//! A node that is cut off has its lease for a while longer. An action of an account in that time cannot be noted in its
//! log, so the next node would repeat it.
//!
//! If several servers keep the streams, the one that leads may be cut off from the others together with this node. It goes on
//! to answer reads until it notices, so only a write that most of them have taken counts as an answer.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parlor_cluster::FRESH;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until};

use crate::answer::Last;
use crate::clock;
use crate::connect::{Link, Reading};
use crate::names::Cluster;
use crate::thread_links::ThreadLinks;

/// How long an answer may take until NATS is asked again.
const ANSWER: Duration = Duration::from_millis(300);
/// The time between two questions while there is no answer.
const PAUSE: Duration = Duration::from_millis(50);
/// The shortest time between two writes: the servers keep each of them, and all nodes are told of it.
const PACE: Duration = Duration::from_millis(5);
/// A silence of this length is reported.
const LONG: Duration = Duration::from_secs(10);

/// The kind of request that shows whether NATS answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// Reads a record. This is enough if one server keeps the streams, since it takes writes whenever it answers.
    Read,
    /// Writes a record, which needs most of the servers that keep the streams.
    Write,
}

/// Wakes up a task that waits for an answer.
pub(crate) type Waiter = oneshot::Sender<()>;

/// The connections over which questions go.
#[derive(Debug)]
pub(crate) struct Route {
    /// The connection of the stores. Without it, an account could not note what it does.
    pub(crate) stores: Link,
    /// The connection of the thread that asks; `None` if the questions go over the other one. It counts only while both lead to
    /// one server: that of the stores may be cut off while another one answers.
    pub(crate) thread: Option<Link>,
}

/// Asks NATS. Copies share the questions, which end with the last of them.
#[derive(Debug, Clone)]
pub(crate) struct Pulse {
    waiting: mpsc::UnboundedSender<Waiter>,
    /// Asks over connections of threads; `None` if each question is a write.
    threads: Option<Arc<ThreadLinks>>,
    /// How long the last answer counts.
    fresh_until: Arc<AtomicU64>,
}

impl Pulse {
    /// Starts the task that asks.
    pub(crate) fn start(link: &Link, cluster: &Cluster) -> Self {
        Self::asking(link, cluster, if link.replicas > 1 { Question::Write } else { Question::Read })
    }

    /// Starts the task with this question.
    pub(crate) fn asking(link: &Link, cluster: &Cluster, question: Question) -> Self {
        let (waiting, inbox) = mpsc::unbounded_channel();
        let fresh_until = Arc::<AtomicU64>::default();
        let threads = (question == Question::Read).then(|| Arc::new(ThreadLinks::new(link, cluster, &fresh_until)));
        let route = Route { stores: link.clone(), thread: None };
        tokio::spawn(ask(route, cluster.clone(), question, inbox, Arc::clone(&fresh_until)));
        Self { waiting, threads, fresh_until }
    }

    /// Returns how long the last answer counts, in nanoseconds of the clock of nodes; 0 if there was none.
    pub(crate) fn fresh_until(&self) -> u64 {
        self.fresh_until.load(Ordering::Acquire)
    }

    /// Returns once NATS has answered a question that was asked after this call.
    pub(crate) fn answered(&self) -> BoxFuture<'static, ()> {
        let (waiter, answered) = oneshot::channel();
        let left = match &self.threads {
            Some(threads) => threads.ask(waiter).err(),
            None => Some(waiter),
        };
        if let Some(waiter) = left {
            // The task goes on as long as there is a sender.
            _ = self.waiting.send(waiter);
        }
        Box::pin(async move {
            if answered.await.is_err() {
                // The runtime of the task has ended, so nobody asks.
                pending::<()>().await;
            }
        })
    }
}

/// Asks as long as somebody waits. Those who come while a question is under way wait for the next one.
pub(crate) async fn ask(
    route: Route,
    cluster: Cluster,
    question: Question,
    mut inbox: mpsc::UnboundedReceiver<Waiter>,
    fresh_until: Arc<AtomicU64>,
) {
    // The leader of the state answers, which also writes leases. Any other server may be cut off from it.
    let (stream, subject) = (cluster.state_stream(), cluster.pulse_subject());
    let reading = Reading::last(&stream, &subject);
    while let Some(first) = inbox.recv().await {
        let mut waiting = vec![first];
        while let Ok(next) = inbox.try_recv() {
            waiting.push(next);
        }
        let (began, mut is_reported, mut by_thread) = (Instant::now(), false, true);
        let mut asked = clock::now();
        loop {
            let has_answer = question.has_answer(route.link(by_thread), &reading, &stream, &subject).await;
            // Looked at once the answer is there: what follows it is noted over the connection of the stores.
            if has_answer && route.stores.is_connected() {
                break;
            }
            by_thread = !by_thread;
            waiting.retain(|one| !one.is_closed());
            if waiting.is_empty() {
                break;
            }
            if !is_reported && began.elapsed() >= LONG {
                is_reported = true;
                tracing::warn!(
                    stream,
                    "NATS does not answer for the stream, so plugins of this node handle nothing: look at the log of NATS, at the room of \
                     the stream, and at what parlor's log-in may do there"
                );
            }
            sleep(PAUSE).await;
            asked = clock::now();
        }
        if !waiting.is_empty() {
            // Several threads may have asked.
            fresh_until.fetch_max(clock::nanoseconds(asked + FRESH), Ordering::AcqRel);
        }
        for one in waiting {
            // Its account may have ended meanwhile.
            _ = one.send(());
        }
        if question == Question::Write {
            sleep_until(began + PACE).await;
        }
    }
}

impl Route {
    /// Returns the connection for an attempt. If that of a thread gives no answer, the other one may.
    fn link(&self, by_thread: bool) -> &Link {
        let counts = |thread: &&Link| by_thread && thread.is_connected() && thread.shares_server(&self.stores);
        self.thread.as_ref().filter(counts).unwrap_or(&self.stores)
    }
}

impl Question {
    /// Asks once. Returns whether the answer shows that this node is not cut off.
    async fn has_answer(self, link: &Link, reading: &Reading, stream: &str, subject: &str) -> bool {
        match self {
            Self::Read => matches!(link.read(reading, ANSWER).await, Ok(Last::None | Last::Stored(_))),
            Self::Write => link.touch(stream, subject.to_owned(), ANSWER).await.is_ok(),
        }
    }
}
