//! Requests from one node to another, over NATS.
//!
//! Each node listens on a subject of its own. The node that is asked says at once that it has a request, and again while it
//! works, so that a node that is gone is noticed soon however long the work takes. An answer comes in parts that fit into
//! messages. All of it is sealed with the key of the cluster, which NATS does not have.
//!
//! A request is for one process: a node that has started again refuses what was sent to the process before it. Its number is
//! learnt from its first answer.
//!
//! Nothing here knows what is asked. A request is not repeated: if no answer comes, it may have been carried out.

mod error;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_nats::Subscriber;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use parlor_base::escape::escape_untrusted;
use tokio::time::{Instant, timeout_at};

use crate::envelope::{
    AnswerHead, EnvelopeError, FORMAT, MOST_IN_A_REQUEST, Place, RequestHead, Says, new_id, open, seal,
};
use crate::names::Cluster;
use crate::queue::queued;
use crate::state::State;

pub use error::RequestError;

/// The largest answer, in bytes.
pub const MOST_IN_AN_ANSWER: usize = 32 << 20;
/// The largest part of an answer.
pub(crate) const PART: usize = 512 << 10;
/// A node that says nothing for this long is silent. Commands that ask only by the way wait for 2 s.
pub const SILENCE: Duration = Duration::from_millis(1500);
/// How long a node has to show that it is there, after a message that says that nobody listens. A server sends one, and anybody who sees
/// the subject can.
const ABSENCE: Duration = Duration::from_millis(300);
/// How long a node that was told to give up may still take to answer.
const GIVING_UP: Duration = Duration::from_secs(6);
/// The most of a reason of another node that is believed, in bytes.
const LONGEST_REASON: usize = 1 << 10;

/// The topic of a request. Requests of one topic never take the place of requests of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Requests of owners.
    Control,
    /// Requests of strangers to webhooks.
    Webhooks,
}

impl Topic {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Webhooks => "webhooks",
        }
    }
}

/// Asks other nodes, and listens for what they ask.
#[derive(Debug, Clone)]
pub struct Requests {
    pub(crate) state: State,
    /// The name of this node.
    pub(crate) node: String,
    topic: Topic,
    /// The numbers of the processes that answered last, by the names of their nodes.
    runs: Arc<Mutex<HashMap<String, u64>>>,
}

/// Whether a request changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Nothing,
    Something,
}

impl Requests {
    /// Returns what a node of this name asks others by.
    pub fn new(state: &State, node: &str, topic: Topic) -> Self {
        Self { state: state.clone(), node: node.to_owned(), topic, runs: Arc::default() }
    }

    /// Returns the subject on which a node listens.
    pub(crate) fn subject(&self, node: &str) -> String {
        self.state.cluster.requests_subject(node, self.topic.as_str())
    }

    /// Asks another node, and returns its answer. Once `withdrawn` is over, the other node is told to give up, and has a few
    /// more seconds to answer.
    pub async fn ask(
        &self,
        to: &str,
        body: &[u8],
        within: Duration,
        withdrawn: impl Future<Output = ()>,
    ) -> Result<Bytes, RequestError> {
        self.send(to, body, within, Effect::Something, withdrawn).await
    }

    /// Asks another node something that changes nothing there. The node does not remember such a request.
    pub async fn look(&self, to: &str, body: &[u8], within: Duration) -> Result<Bytes, RequestError> {
        self.send(to, body, within, Effect::Nothing, std::future::pending()).await
    }

    async fn send(
        &self,
        to: &str,
        body: &[u8],
        within: Duration,
        effect: Effect,
        withdrawn: impl Future<Output = ()>,
    ) -> Result<Bytes, RequestError> {
        if body.len() > MOST_IN_A_REQUEST {
            return Err(RequestError::TooLarge { found: body.len(), most: MOST_IN_A_REQUEST });
        }
        let link = &self.state.link;
        if !link.is_connected() {
            return Err(RequestError::Cut);
        }
        let inbox = link.client.new_inbox();
        let subscriber = queued(link.client.subscribe(inbox.clone())).await.ok_or(RequestError::Cut)?;
        let mut head = RequestHead {
            format: FORMAT,
            id: new_id(),
            from: self.node.clone(),
            to: to.to_owned(),
            reply: inbox,
            run: self.run(to),
            at: unix_time(),
            within: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
            is_withdrawn: false,
            is_question: effect == Effect::Nothing,
        };
        self.publish(&head, body).await?;
        let mut answer = Answer::new(&self.state.cluster, to, self.subject(to), head.id.clone(), subscriber);
        let mut until = Instant::now() + within;
        let (mut withdrawn, mut is_withdrawn, mut is_sent_again) = (pin!(withdrawn), false, false);
        loop {
            tokio::select! {
                biased;
                step = answer.step(until) => match step? {
                    Step::Going => {}
                    Step::Run(_) if is_sent_again => return Err(RequestError::Strange(to.to_owned())),
                    Step::Run(run) => {
                        self.know(to, run);
                        is_sent_again = true;
                        head = RequestHead { run: Some(run), at: unix_time(), ..head };
                        self.publish(&head, body).await?;
                        if is_withdrawn {
                            self.publish(&RequestHead { is_withdrawn, ..head.clone() }, b"").await?;
                        }
                    }
                    Step::Whole(answer) => return Ok(answer),
                },
                () = &mut withdrawn, if !is_withdrawn => {
                    is_withdrawn = true;
                    until = until.min(Instant::now() + GIVING_UP);
                    self.publish(&RequestHead { is_withdrawn, ..head.clone() }, b"").await?;
                }
            }
        }
    }

    async fn publish(&self, head: &RequestHead, body: &[u8]) -> Result<(), RequestError> {
        let (link, subject) = (&self.state.link, self.subject(&head.to));
        let too_large = || RequestError::TooLarge { found: body.len(), most: MOST_IN_A_REQUEST };
        let message = seal(&self.state.cluster, Place::Request(&subject), head, body).ok_or_else(too_large)?;
        // With a subject for answers, a server says at once that nobody listens.
        let sent = queued(link.client.publish_with_reply(subject, head.reply.clone(), message)).await;
        sent.ok_or(RequestError::Cut)
    }

    /// Returns the number of the process that answered last for a node.
    fn run(&self, node: &str) -> Option<u64> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).get(node).copied()
    }

    /// Notes the number of a process. Only nodes that have the key answer, so there are few.
    fn know(&self, node: &str, run: u64) {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).insert(node.to_owned(), run);
    }
}

/// An answer that comes in.
struct Answer<'r> {
    cluster: &'r Cluster,
    /// The node that was asked, and the subject on which it listens.
    to: &'r str,
    subject: String,
    id: String,
    subscriber: Subscriber,
    /// The process whose answer it is. Two nodes may have the same name by mistake.
    by: Option<u64>,
    parts: BytesMut,
    /// How many parts have come.
    count: usize,
    /// When the node said something, or was asked.
    heard: Instant,
    /// Why a message that came is none of that node.
    unopened: Option<EnvelopeError>,
    /// Until when the node has to say something, since a message says that nobody listens.
    absent: Option<Instant>,
}

/// The next step after the node that was asked has sent a message.
enum Step {
    Going,
    /// The request is to be sent to the process with this number.
    Run(u64),
    Whole(Bytes),
}

impl<'r> Answer<'r> {
    fn new(cluster: &'r Cluster, to: &'r str, subject: String, id: String, subscriber: Subscriber) -> Self {
        let (parts, heard) = (BytesMut::new(), Instant::now());
        Self { cluster, to, subject, id, subscriber, by: None, parts, count: 0, heard, unopened: None, absent: None }
    }

    /// Takes the next message.
    async fn step(&mut self, until: Instant) -> Result<Step, RequestError> {
        let node = || self.to.to_owned();
        let silent_at = self.absent.unwrap_or(self.heard + SILENCE);
        let Ok(message) = timeout_at(until.min(silent_at), self.subscriber.next()).await else {
            return Err(match self.unopened {
                Some(cause) => RequestError::Sealed { node: node(), cause },
                None if self.absent.is_some() => RequestError::Absent(node()),
                None if until < silent_at => RequestError::Late(node()),
                None => RequestError::Silent(node()),
            });
        };
        let message = message.ok_or(RequestError::Cut)?;
        if message.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
            // A node that has said something was there, and may have carried it out.
            if self.by.is_none() {
                self.absent.get_or_insert(Instant::now() + ABSENCE);
            }
            return Ok(Step::Going);
        }
        let place = Place::Answer { subject: &self.subject, id: &self.id };
        let (head, body) = match open::<AnswerHead>(self.cluster, place, &message.payload) {
            Ok(opened) => opened,
            Err(error) => {
                // Anybody who sees the subject can send anything there, so the node itself may still answer.
                self.unopened = Some(error);
                return Ok(Step::Going);
            }
        };
        if head.id != self.id || *self.by.get_or_insert(head.by) != head.by {
            return Ok(Step::Going);
        }
        (self.heard, self.absent) = (Instant::now(), None);
        match head.says {
            Says::Run => Ok(Step::Run(head.by)),
            Says::Working => Ok(Step::Going),
            Says::Refused(reason) => {
                let reason = escape_untrusted(&reason, LONGEST_REASON);
                Err(RequestError::Refused { node: node(), reason })
            }
            Says::Part(number, of) => {
                if number != self.count || number >= of || self.parts.len() + body.len() > MOST_IN_AN_ANSWER {
                    return Err(RequestError::Strange(node()));
                }
                self.parts.extend_from_slice(&body);
                self.count += 1;
                if self.count < of {
                    return Ok(Step::Going);
                }
                Ok(Step::Whole(std::mem::take(&mut self.parts).freeze()))
            }
        }
    }
}

/// Returns the time in milliseconds of the Unix clock.
pub(crate) fn unix_time() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
