//! The requests of other nodes, as they come in.
//!
//! A request counts only if a node of this cluster sealed it for this node. It is carried out at most once, by the process that
//! it was sent to, and only if it was sent a short time ago: a message that somebody kept and sends again does nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::mem::Discriminant;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::envelope::{
    AnswerHead, EnvelopeError, FORMAT, MOST_IN_A_REQUEST, Place, RequestHead, Says, addressed, is_inbox, open,
    refuse_older, seal,
};
use crate::names::Cluster;
use crate::queue::queued;
use crate::requests::{MOST_IN_AN_ANSWER, PART, RequestError, Requests, unix_time};

/// How far the clocks of two nodes may differ. A request that was sent earlier or later than that is refused.
pub const CLOCKS: Duration = Duration::from_mins(1);
/// How many ids are remembered. They are remembered for as long as their requests could come again.
const MOST_IDS: usize = 16 << 10;
/// The longest time for which a request is worked on.
const LONGEST: Duration = Duration::from_mins(15);
/// How often a node says that it works. Three of them fit into the time after which it counts as silent.
const SIGN: Duration = Duration::from_millis(450);

/// Listens for requests.
pub struct Inbox {
    client: Client,
    cluster: Cluster,
    subscriber: Subscriber,
    /// The subject on which this node listens.
    subject: String,
    /// The name of this node.
    node: String,
    /// Tells this process from others, and from those before it.
    pub(crate) process: u64,
    seen: Seen,
    unopened: Unopened,
}

/// A request of another node.
#[derive(Debug)]
pub struct Asked {
    /// The node that asks.
    pub from: String,
    /// The body of the request.
    pub body: Bytes,
    within: Duration,
    /// None for a question, which cannot be withdrawn.
    withdrawn: Option<watch::Receiver<bool>>,
    reply: Reply,
}

/// The place to which the answer to a request goes.
#[derive(Debug)]
struct Reply {
    client: Client,
    cluster: Cluster,
    /// The subject on which this node listens.
    own: String,
    subject: Subject,
    id: String,
    process: u64,
}

impl Requests {
    /// Begins to listen for requests to this node.
    pub async fn serve(&self) -> Result<Inbox, RequestError> {
        let (client, subject) = (self.state.link.client.clone(), self.subject(&self.node));
        let subscriber = client.subscribe(subject.clone()).await.map_err(|_| RequestError::Cut)?;
        // Others may ask once this node says that it listens.
        client.flush().await.map_err(|_| RequestError::Cut)?;
        let (node, process, cluster) = (self.node.clone(), rand::random(), self.state.cluster.clone());
        let (seen, unopened) = (Seen::default(), Unopened::default());
        Ok(Inbox { client, cluster, subscriber, subject, node, process, seen, unopened })
    }
}

impl Inbox {
    /// Returns the next request; `None` if the connection has ended for good.
    pub async fn next(&mut self) -> Option<Asked> {
        loop {
            let message = self.subscriber.next().await?;
            if let Some(asked) = self.take(message).await {
                return Some(asked);
            }
        }
    }

    /// Returns how many messages were refused that no node of this cluster sealed for this one.
    pub fn unopened(&self) -> u64 {
        self.unopened.count
    }

    /// Returns how many requests are remembered.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.seen.0.len()
    }

    /// Returns the request that a message is, if it is to be carried out.
    async fn take(&mut self, message: Message) -> Option<Asked> {
        let (head, body) = match open::<RequestHead>(&self.cluster, Place::Request(&self.subject), &message.payload) {
            Ok(opened) => opened,
            Err(error) => {
                self.refuse_unopened(error, message).await;
                return None;
            }
        };
        if head.to != self.node || body.len() > MOST_IN_A_REQUEST {
            return None;
        }
        if head.is_withdrawn {
            self.seen.withdraw(&head.id);
            return None;
        }
        let RequestHead { id, from, at, within, run, is_question, reply, .. } = head;
        let reply = self.reply(id, reply);
        let apart = Duration::from_millis(at.abs_diff(unix_time()));
        if apart > CLOCKS {
            let seconds = apart.as_secs();
            reply.refuse(format!("its clock and that of the node that asks are {seconds} s apart: set both")).await;
            return None;
        }
        let within = Duration::from_millis(within).min(LONGEST);
        if is_question {
            return Some(Asked { from, body, within, withdrawn: None, reply });
        }
        // It may have been carried out by the process before this one.
        if run != Some(self.process) {
            reply.send(Says::Run, b"").await;
            return None;
        }
        match self.seen.enter(&reply.id, Instant::now()) {
            Entered::New(withdrawn) => Some(Asked { from, body, within, withdrawn: Some(withdrawn), reply }),
            Entered::Again => None,
            Entered::Full => {
                reply.refuse("it gets too many requests; try again in two minutes".to_owned()).await;
                None
            }
        }
    }

    fn reply(&self, id: String, subject: String) -> Reply {
        let (client, cluster, own) = (self.client.clone(), self.cluster.clone(), self.subject.clone());
        Reply { client, cluster, own, subject: subject.into(), id, process: self.process }
    }

    /// Counts a message that no node of this cluster sealed for this one, or none of this version. A node with another parlor is told why.
    async fn refuse_unopened(&mut self, error: EnvelopeError, message: Message) {
        self.unopened.note(error);
        if error == EnvelopeError::Strange {
            let place = Place::Request(&self.subject);
            if let Some((id, reply)) = addressed(&self.cluster, place, &message.payload) {
                let reason =
                    "it runs another version of parlor, which knows no such request; run the same version on all nodes";
                self.reply(id, reply).refuse(reason.to_owned()).await;
            }
            return;
        }
        let Some(reply) = message.reply.filter(|reply| error == EnvelopeError::Older && is_inbox(reply)) else {
            return;
        };
        let reason = "it takes only requests that are sealed with the key of the cluster; run the same version of parlor on all nodes";
        if let Some(told) = refuse_older(&message.payload, self.process, reason) {
            // Without a connection, the node that asks finds this one silent.
            _ = queued(self.client.publish(reply, told)).await;
        }
    }
}

/// The messages that were refused since no node of this cluster sealed them for this one.
#[derive(Debug, Default)]
struct Unopened {
    count: u64,
    /// The reasons that the log has. There are few.
    told: Vec<Discriminant<EnvelopeError>>,
}

impl Unopened {
    /// Counts a message. The log has the first one for each reason: anybody at NATS could fill it.
    fn note(&mut self, error: EnvelopeError) {
        self.count += 1;
        let reason = std::mem::discriminant(&error);
        if self.told.contains(&reason) {
            return;
        }
        self.told.push(reason);
        tracing::error!(%error, "a request that came over NATS was refused; further ones like it are not logged");
    }
}

impl Asked {
    /// Returns whether the node that asks says that this changes nothing. Such a request may come again, so one that changes
    /// something must not be carried out then.
    pub fn is_question(&self) -> bool {
        self.withdrawn.is_none()
    }

    /// Returns when the node that asks does not want an answer any more.
    pub fn withdrawn(&self) -> impl Future<Output = ()> + Send + use<> {
        let withdrawn = self.withdrawn.clone();
        async move {
            let Some(mut withdrawn) = withdrawn else { return std::future::pending().await };
            // Without a sender, nobody remembers the request.
            _ = withdrawn.wait_for(|is_withdrawn| *is_withdrawn).await;
        }
    }

    /// Answers with what the work yields, and gives up once the node that asks does.
    pub async fn answer(self, work: impl Future<Output = Vec<u8>>) {
        // The work goes on while a sign waits for its place in the queue of the connection.
        let answer = tokio::select! {
            biased;
            never = self.reply.give_signs() => match never {},
            answer = timeout(self.within, work) => answer,
        };
        // Nobody waits for one that is late.
        let Ok(answer) = answer else { return };
        if answer.len() > MOST_IN_AN_ANSWER {
            let most = MOST_IN_AN_ANSWER >> 20;
            self.reply.refuse(format!("its answer has more than {most} MiB: ask that node itself")).await;
            return;
        }
        let of = answer.len().div_ceil(PART).max(1);
        for number in 0..of {
            let part = answer.get(number * PART..).unwrap_or_default();
            if !self.reply.send(Says::Part(number, of), &part[..part.len().min(PART)]).await {
                return;
            }
        }
    }

    /// Refuses the request.
    pub async fn refuse(self, reason: String) {
        self.reply.refuse(reason).await;
    }
}

impl Reply {
    /// Says at once that this node works on the request, and then again and again.
    async fn give_signs(&self) -> Infallible {
        loop {
            self.send(Says::Working, b"").await;
            sleep(SIGN).await;
        }
    }

    async fn refuse(&self, reason: String) {
        self.send(Says::Refused(reason), b"").await;
    }

    /// Returns whether it is on its way.
    async fn send(&self, says: Says, body: &[u8]) -> bool {
        // In the queue of the connection, signs of work would hold up all else: work may last longer than NATS is away.
        if matches!(says, Says::Working) && self.client.connection_state() != State::Connected {
            return false;
        }
        let head = AnswerHead { format: FORMAT, id: self.id.clone(), by: self.process, says };
        let place = Place::Answer { subject: &self.own, id: &self.id };
        // A part is never too long.
        let Some(message) = seal(&self.cluster, place, &head, body) else { return false };
        // Without a connection, the node that asks finds this one silent.
        queued(self.client.publish(self.subject.clone(), message)).await.is_some()
    }
}

/// The requests that were carried out lately.
#[derive(Debug, Default)]
struct Seen(HashMap<String, (Instant, watch::Sender<bool>)>);

/// Whether a request is one that was not seen before.
#[derive(Debug)]
enum Entered {
    New(watch::Receiver<bool>),
    Again,
    Full,
}

impl Seen {
    /// Notes a request.
    fn enter(&mut self, id: &str, now: Instant) -> Entered {
        let Self(all) = self;
        if all.contains_key(id) {
            return Entered::Again;
        }
        if all.len() >= MOST_IDS {
            // One that is still worked on can be withdrawn.
            all.retain(|_, (at, sender)| now.duration_since(*at) <= 2 * CLOCKS || sender.receiver_count() > 0);
        }
        if all.len() >= MOST_IDS {
            return Entered::Full;
        }
        let (sender, withdrawn) = watch::channel(false);
        all.insert(id.to_owned(), (now, sender));
        Entered::New(withdrawn)
    }

    fn withdraw(&self, id: &str) {
        if let Some((_, sender)) = self.0.get(id) {
            // The work may be over.
            _ = sender.send(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_remembered_for_as_long_as_it_could_come_again() {
        let (mut seen, began) = (Seen::default(), Instant::now());
        for number in 0..MOST_IDS {
            assert!(matches!(seen.enter(&number.to_string(), began), Entered::New(_)));
        }
        assert!(matches!(seen.enter("0", began), Entered::Again));
        assert!(matches!(seen.enter("x", began + 2 * CLOCKS), Entered::Full));
        assert!(matches!(seen.enter("0", began + 2 * CLOCKS), Entered::Again));
        let later = began + 2 * CLOCKS + Duration::from_millis(1);
        assert!(matches!(seen.enter("x", later), Entered::New(_)));
        assert_eq!(seen.0.len(), 1);
    }
}
