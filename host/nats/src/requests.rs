//! Requests from one node to another, over NATS.
//!
//! Each node listens on a subject of its own. The node that is asked says at once that it has a request, and again while it
//! works, so that a node that is gone is noticed soon however long the work takes. An answer comes in parts that fit into
//! messages.
//!
//! Nothing here knows what is asked. A request is not repeated: if no answer comes, it may have been carried out.

use std::pin::pin;
use std::time::{Duration, SystemTime};

use async_nats::{Subject, Subscriber};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use parlor_base::escape::escape_untrusted;
use tokio::time::{Instant, timeout_at};

use crate::envelope::{AnswerHead, FORMAT, RequestHead, Says, new_id, pack, unpack};
use crate::error::RequestError;
use crate::state::State;

/// The largest body of a request, in bytes: it goes in one message.
pub const MOST_IN_A_REQUEST: usize = 960 << 10;
/// The largest answer, in bytes.
pub const MOST_IN_AN_ANSWER: usize = 32 << 20;
/// The largest part of an answer.
pub(crate) const PART: usize = 512 << 10;
/// A node that says nothing for this long is silent. Commands that ask only by the way wait for 2 s.
pub const SILENCE: Duration = Duration::from_millis(1500);
/// How long a node that was told to give up may still take to answer.
const GIVING_UP: Duration = Duration::from_secs(6);
/// The most of a reason of another node that is believed, in bytes.
const LONGEST_REASON: usize = 1 << 10;

/// What requests are about. Those of one topic never take the place of another one's.
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
}

impl Requests {
    /// Returns what a node of this name asks others by.
    pub fn new(state: &State, node: &str, topic: Topic) -> Self {
        Self { state: state.clone(), node: node.to_owned(), topic }
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
        if body.len() > MOST_IN_A_REQUEST {
            return Err(RequestError::TooLarge { found: body.len(), most: MOST_IN_A_REQUEST });
        }
        let link = &self.state.link;
        if !link.is_connected() {
            return Err(RequestError::Cut);
        }
        let inbox = link.client.new_inbox();
        let subscriber = link.client.subscribe(inbox.clone()).await.map_err(|_| RequestError::Cut)?;
        let head = RequestHead {
            format: FORMAT,
            id: new_id(),
            from: self.node.clone(),
            to: to.to_owned(),
            at: unix_time(),
            within: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
            is_withdrawn: false,
        };
        let subject = Subject::from(self.subject(to));
        let message = pack(&head, body);
        let sent = link.client.publish_with_reply(subject.clone(), inbox, message).await;
        sent.map_err(|_| RequestError::Cut)?;
        let mut answer = Answer { to, id: &head.id, subscriber, by: None, parts: BytesMut::new(), count: 0 };
        let mut until = Instant::now() + within;
        let (mut withdrawn, mut is_withdrawn) = (pin!(withdrawn), false);
        loop {
            tokio::select! {
                biased;
                step = answer.step(until) => if let Some(answer) = step? {
                    return Ok(answer);
                },
                () = &mut withdrawn, if !is_withdrawn => {
                    is_withdrawn = true;
                    until = until.min(Instant::now() + GIVING_UP);
                    let head = RequestHead { is_withdrawn, ..head.clone() };
                    let told = link.client.publish(subject.clone(), pack(&head, b"")).await;
                    told.map_err(|_| RequestError::Cut)?;
                }
            }
        }
    }
}

/// An answer that comes in.
struct Answer<'r> {
    /// The node that was asked.
    to: &'r str,
    id: &'r str,
    subscriber: Subscriber,
    /// The process whose answer it is. Two nodes may have the same name by mistake.
    by: Option<u64>,
    parts: BytesMut,
    /// How many parts have come.
    count: usize,
}

impl Answer<'_> {
    /// Takes the next message. Returns the answer once it is whole.
    async fn step(&mut self, until: Instant) -> Result<Option<Bytes>, RequestError> {
        let node = || self.to.to_owned();
        let silent_at = Instant::now() + SILENCE;
        let Ok(message) = timeout_at(until.min(silent_at), self.subscriber.next()).await else {
            return Err(if until < silent_at { RequestError::Late(node()) } else { RequestError::Silent(node()) });
        };
        let message = message.ok_or(RequestError::Cut)?;
        if message.status == Some(async_nats::StatusCode::NO_RESPONDERS) {
            return Err(RequestError::Absent(node()));
        }
        // Anybody who knows the subject can send anything there.
        let Some((head, body)) = unpack::<AnswerHead>(message.payload) else { return Ok(None) };
        if head.id != self.id || *self.by.get_or_insert(head.by) != head.by {
            return Ok(None);
        }
        match head.says {
            Says::Working => Ok(None),
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
                Ok((self.count == of).then(|| std::mem::take(&mut self.parts).freeze()))
            }
        }
    }
}

/// Returns the time in milliseconds of the Unix clock.
pub(crate) fn unix_time() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
