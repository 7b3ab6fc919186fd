//! All writes of sessions and claims, in their order.
//!
//! An ordered consumer notices gaps, and begins again after the last message that it delivered. The driver notices the
//! rest: if one of its own writes does not arrive, it opens a new watch.
//!
//! If NATS does not have that last message any more, it begins after the last one that it has. Messages then come with revisions that
//! others had before.

use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::{Ordered, OrderedConfig};
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use parlor_cluster::Revision;
use tokio::time::{sleep, timeout};

use crate::answer::{ANSWER, revision_of};
use crate::connect::{Link, Reading};
use crate::delivery;
use crate::names::Cluster;

/// How long after a failure it begins again.
const PAUSE: Duration = Duration::from_millis(100);
/// How long records may take to follow one that NATS has taken for the last.
const EARLY: Duration = Duration::from_millis(250);

/// A message of the stream.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) subject: String,
    pub(crate) revision: Revision,
    pub(crate) body: Bytes,
    /// Whether the message before it had a higher revision. NATS has lost that one.
    pub(crate) goes_back: bool,
    /// How many follow it that are there already.
    pub(crate) pending: u64,
}

/// The writes of a cluster's state.
pub(crate) struct Watch {
    link: Link,
    cluster: Cluster,
    /// The subjects that are watched.
    subjects: String,
    /// The last message that was delivered.
    last: Revision,
    phase: Phase,
}

/// The present record of each subject, and those that come while they are read.
pub(crate) struct Present {
    watch: Watch,
    /// A revision that the last of them has at least.
    pub(crate) until: Option<Revision>,
    /// Whether the leader is still to be asked for that revision: the server that delivers may have less.
    pub(crate) may_lag: bool,
    /// Whether this revision is missing, and may not come any more.
    is_early: bool,
    is_over: bool,
}

impl Present {
    /// Reads all records of a cluster's state.
    pub(crate) fn all(link: &Link, cluster: &Cluster) -> Self {
        Self::of(link, cluster, cluster.state_subjects())
    }

    /// Reads the records of these subjects. There must be one at least.
    pub(crate) fn of(link: &Link, cluster: &Cluster, subjects: String) -> Self {
        let (watch, may_lag) = (Watch::of(link, cluster, subjects), link.replicas > 1);
        Self { watch, until: None, may_lag, is_early: false, is_over: false }
    }

    /// Returns the next record; `None` if all were read.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        if self.is_over {
            return None;
        }
        let message = self.follow().await?;
        if self.may_lag {
            // Not before the delivery: a record that is replaced in between would follow what was the last one.
            self.until = end_at_the_leader(&self.watch.link, &self.watch.cluster, &self.watch.subjects).await;
            self.may_lag = false;
        }
        // If a record is replaced meanwhile, NATS counts it among those that follow, also when none does. So the end is also where the
        // stream ended after the delivery had begun.
        if message.pending > 0 && self.until.is_none() {
            let (link, stream) = (self.watch.link.clone(), self.watch.cluster.state_stream());
            self.until = end_of(link, stream).await;
        }
        let is_last = self.until.is_none_or(|until| message.revision >= until);
        self.is_early = !is_last && (message.pending == 0 || self.watch.link.replicas > 1);
        self.is_over = is_last && (message.pending == 0 || self.until.is_some());
        Some(message)
    }

    /// Waits for the next record; `None` if none is to come.
    async fn follow(&mut self) -> Option<Message> {
        // NATS may also count a record that is replaced as delivered once too often, and others follow then.
        while self.is_early {
            if let Ok(message) = timeout(EARLY, self.watch.next()).await {
                return Some(message);
            }
            if self.watch.link.replicas == 1 {
                return None;
            }
            // Of several servers, the one that delivers may have the rest only later, unless it was removed meanwhile.
            self.until = end_at_the_leader(&self.watch.link, &self.watch.cluster, &self.watch.subjects).await;
            if self.until.is_none_or(|until| until <= self.watch.last()) {
                return None;
            }
        }
        Some(self.watch.next().await)
    }
}

enum Phase {
    Opening(BoxFuture<'static, Result<Ordered, String>>),
    Open(Box<Ordered>, Delivered),
}

/// How far a consumer has delivered.
#[derive(Debug, Default)]
struct Delivered(Revision);

impl Delivered {
    /// Takes in the next message. Returns whether it comes from before the last one.
    ///
    /// The library begins again after the last message of its consumer. If it has none yet, it begins with the first of the stream, so
    /// messages that an earlier consumer delivered do not count.
    fn goes_back(&mut self, revision: Revision) -> bool {
        revision < std::mem::replace(&mut self.0, revision)
    }
}

impl Watch {
    /// Begins with the present record of each subject.
    pub(crate) fn new(link: &Link, cluster: &Cluster) -> Self {
        Self::of(link, cluster, cluster.state_subjects())
    }

    /// Begins with the present record of each of these subjects.
    pub(crate) fn of(link: &Link, cluster: &Cluster, subjects: String) -> Self {
        let opening = open(link.clone(), cluster.clone(), subjects.clone(), 0, Duration::ZERO);
        Self {
            link: link.clone(),
            cluster: cluster.clone(),
            subjects,
            last: 0,
            phase: Phase::Opening(Box::pin(opening)),
        }
    }

    /// Returns the revision of the last message that was delivered.
    pub(crate) fn last(&self) -> Revision {
        self.last
    }

    /// Restarts with the present record of each subject.
    pub(crate) fn begin_again(&mut self) {
        *self = Self::of(&self.link, &self.cluster, self.subjects.clone());
    }

    /// Returns the next message. A call that is given up loses none.
    pub(crate) async fn next(&mut self) -> Message {
        loop {
            match &mut self.phase {
                Phase::Opening(opening) => match opening.await {
                    Ok(ordered) => self.phase = Phase::Open(Box::new(ordered), Delivered::default()),
                    Err(error) => self.retry(&error),
                },
                Phase::Open(ordered, delivered) => match ordered.next().await {
                    Some(Ok(message)) => {
                        // Any client that knows the subject of the delivery can send anything there.
                        let Ok((revision, pending)) = message.info().map(|info| (info.stream_sequence, info.pending))
                        else {
                            continue;
                        };
                        self.last = revision;
                        // Of several servers, the one that delivers may not have all yet that most of them have.
                        let goes_back = delivered.goes_back(revision) && self.link.replicas == 1;
                        let (subject, body) = (message.subject.to_string(), message.payload.clone());
                        return Message { subject, revision, body, goes_back, pending };
                    }
                    Some(Err(error)) => self.retry(&error.to_string()),
                    None => self.retry("the delivery ended"),
                },
            }
        }
    }

    fn retry(&mut self, cause: &str) {
        tracing::debug!(cause, "the cluster's state is watched again");
        let subjects = self.subjects.clone();
        let opening = open(self.link.clone(), self.cluster.clone(), subjects, self.last, PAUSE);
        self.phase = Phase::Opening(Box::pin(opening));
    }
}

/// Returns the revision of the last write of a stream; `None` if NATS does not say it.
async fn end_of(link: Link, stream: String) -> Option<Revision> {
    let stream = link.jetstream.get_stream(stream).await.ok()?;
    Some(stream.cached_info().state.last_sequence)
}

/// Returns the revision of the last record of these subjects, from the leader of the stream; `None` if there is none. It asks until the
/// leader answers.
async fn end_at_the_leader(link: &Link, cluster: &Cluster, subjects: &str) -> Option<Revision> {
    let reading = Reading::last(&cluster.state_stream(), subjects);
    loop {
        let answer = link.send(&reading, ANSWER).await;
        if let Some(revision) = answer.ok().and_then(|answer| revision_of(&answer)) {
            return Some(revision).filter(|revision| *revision > 0);
        }
        sleep(PAUSE).await;
    }
}

/// Begins after the message of this revision; 0 means with the last record of each subject.
async fn open(
    link: Link,
    cluster: Cluster,
    filter_subject: String,
    after: Revision,
    pause: Duration,
) -> Result<Ordered, String> {
    sleep(pause).await;
    let deliver_policy = if after == 0 {
        DeliverPolicy::LastPerSubject
    } else {
        DeliverPolicy::ByStartSequence { start_sequence: after + 1 }
    };
    let config = OrderedConfig { filter_subject, deliver_policy, ..OrderedConfig::default() };
    let (_, messages) = delivery::begin(&link, &cluster.state_stream(), config).await?;
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_consumer_have_higher_and_higher_revisions_unless_nats_has_lost_some() {
        let mut delivered = Delivered::default();
        let revisions = [3, 4, 40, 7, 8, 8];
        assert_eq!(revisions.map(|revision| delivered.goes_back(revision)), [false, false, false, true, false, false]);
    }
}
