//! Listens for requests to webhooks of plugins, while there are any and the configuration says where.
//!
//! Requests to unknown webhooks, requests without a valid signature, and requests that are too long get the same answer
//! after the same work. So no one can find out which addresses exist: the answer asks for a name and a password only at the
//! whole address of a webhook that takes them. While a plugin with webhooks is not running yet, all of these get the answer to retry.

mod address;
mod counts;
#[cfg(feature = "cluster")]
mod elsewhere;
mod listening;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use jiff::Timestamp;
use parlor_plugins::webhook::{Given, UNKNOWN, Unverified, Verification};
use parlor_runtime::supervisor::{Door, Reply as Outcome, Verified};
use parlor_store::WebhookRequest;
use parlor_web::server::{Arrived, Memory, NoBody, Reply};
use parlor_web::{HeaderMap, header};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::address::{Address, address, parts};
#[cfg(feature = "cluster")]
use self::elsewhere::Place;
#[cfg(feature = "cluster")]
use crate::cluster::Serving;
use crate::host::{Host, webhooks};

pub use counts::Counts;

/// How much is read of a request that reaches no webhook, in bytes: as much as most webhooks take.
const STRANGERS: usize = 1 << 20;
/// The longest query and header that a plugin gets, in bytes. A request with a longer one is refused: without it, the plugin
/// would not know that anything is missing.
const LONGEST: usize = 8 << 10;

/// The task that listens.
pub struct Listener {
    task: JoinHandle<()>,
    enough: oneshot::Sender<()>,
    /// Hears other nodes of the cluster.
    #[cfg(feature = "cluster")]
    serving: Option<Serving>,
}

impl Listener {
    /// Begins to listen as soon as it is needed.
    pub fn start(host: Arc<Host>) -> Self {
        let (enough, stops) = oneshot::channel();
        #[cfg(feature = "cluster")]
        let serving = elsewhere::serve(&host);
        Self {
            task: tokio::spawn(listening::listen(host, stops)),
            enough,
            #[cfg(feature = "cluster")]
            serving,
        }
    }

    /// Takes no more requests, and lets those that have begun end. When this returns, it holds nothing of the host.
    pub async fn stop(self) {
        let _ = self.enough.send(());
        #[cfg(feature = "cluster")]
        if let Some(serving) = self.serving {
            let _ = tokio::join!(self.task, serving.finish(elsewhere::ANSWER));
            return;
        }
        let _ = self.task.await;
    }
}

/// Answers a request.
async fn answer(host: &Host, arrived: Arrived) -> Reply {
    let counts = host.listening.counts();
    // This is asked before the search: a webhook that the search misses may be known a moment later. An account that is
    // counted here has begun to start its plugins.
    #[cfg(feature = "cluster")]
    let own = elsewhere::accounts(host);
    let are_all_known = webhooks::are_all_known(host).await;
    let (door, rests) = door_of(host, &arrived.path).await;
    // A sender that has the whole address of a webhook may learn that its plugin does not run.
    let are_all_known = are_all_known && !rests;
    #[cfg(feature = "cluster")]
    let are_all_known = match elsewhere::find(host, door.is_some(), own, &arrived.path).await {
        Place::At(node, most) => return elsewhere::pass(host, arrived, &node, most).await,
        Place::Nowhere => are_all_known,
        Place::Unknown => false,
    };
    // A sender whose plugin is not running yet should retry. All senders get this answer, so it does not reveal which
    // addresses exist.
    let refuse = || if are_all_known { refused(counts, door.as_ref()) } else { busy(counts) };
    let (most, memory) = match &door {
        Some(door) => (door.longest_body(), Memory::Addressed),
        None => (STRANGERS, Memory::Strangers),
    };
    let mut passage = Passage { counts, door: door.as_ref(), end: End::Abandoned, received: 0, sent: 0 };
    let head = Head::of(&arrived);
    // Nothing of the body was read until here: only a path with the right token leads to a webhook, and to its share of the
    // memory. The room is held until the answer is there: until then the plugin, or the store, has the body as well.
    let whose = address(&arrived.path).to_owned();
    let (body, _room) = match arrived.body(most, memory, &whose).await {
        Ok(read) => read,
        Err(NoBody::NoRoom) => {
            passage.end = End::Delayed;
            return busy(counts);
        }
        Err(NoBody::TooLong) => {
            passage.end = End::Oversized;
            return refuse();
        }
        Err(NoBody::Broken | NoBody::Late) => {
            passage.end = End::Refused;
            return refuse();
        }
    };
    take(counts, are_all_known, passage, &head, body).await
}

/// Returns the webhook here with this path, and whether it is the whole address of one whose plugin may not run.
async fn door_of(host: &Host, path: &str) -> (Option<Door>, bool) {
    let Some(Address { plugin, name, token, below }) = parts(path) else { return (None, false) };
    // This is asked before the search: a plugin that begins to run in between is one or the other.
    let rests = host.listening.resting().borrow().has(&plugin, name, &token);
    (webhooks::find(host, &plugin, name, &token, below.as_deref()).await, rests)
}

/// Answers a request whose body has come.
async fn take(counts: &Counts, are_all_known: bool, mut passage: Passage<'_>, head: &Head, body: Vec<u8>) -> Reply {
    let door = passage.door;
    let refuse = || if are_all_known { refused(counts, door) } else { busy(counts) };
    passage.received = body.len();
    let given = Given { header: &|name| single(&head.headers, name), body: &body, now: Timestamp::now() };
    let Ok((to, verified)) = verify(door, head, given) else {
        passage.end = End::Refused;
        return refuse();
    };
    // The sender is one that the owner knows, and is told what is wrong.
    if let Some(status) = head.too_long(to) {
        passage.end = End::Oversized;
        counts.refused.fetch_add(1, Relaxed);
        return Reply::empty(status);
    }
    let request = head.request(to, body);
    let outcome = to.pass(request, verified).await;
    let end = if outcome == Outcome::Repeated { End::Repeated } else { End::Accepted };
    let passed = match outcome {
        Outcome::Stored | Outcome::Repeated => Reply::empty(to.status_of_stored()),
        Outcome::Answer(answer) => Reply { status: answer.status, headers: answer.headers, body: answer.body },
        Outcome::NoAnswer(status) => Reply::empty(status),
        Outcome::Again => {
            passage.end = End::Refused;
            return refused(counts, door);
        }
        Outcome::Busy | Outcome::Failed => {
            passage.end = End::Delayed;
            return busy(counts);
        }
    };
    (passage.end, passage.sent) = (end, passed.body.len());
    counts.passed.fetch_add(1, Relaxed);
    passed
}

/// A request on its way. It is recorded when this is dropped: if its sender disconnects, nothing else ends it.
struct Passage<'h> {
    counts: &'h Counts,
    door: Option<&'h Door>,
    end: End,
    /// The bytes of its body.
    received: usize,
    /// The bytes of the answer's body.
    sent: usize,
}

/// How a request to a webhook ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Accepted,
    /// Accepted, and not stored again.
    Repeated,
    Refused,
    /// Refused because of its length. Its sender is not told that, and nobody would look for it.
    Oversized,
    Delayed,
    Abandoned,
}

impl End {
    /// Returns the word for it in the audit.
    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Repeated => "repeated",
            Self::Refused => "refused",
            Self::Oversized => "oversized",
            Self::Delayed => "delayed",
            Self::Abandoned => "abandoned",
        }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        let Self { counts, door, end, received, sent } = &*self;
        counts.received.fetch_add(*received as u64, Relaxed);
        counts.sent.fetch_add(*sent as u64, Relaxed);
        if *end == End::Abandoned {
            counts.abandoned.fetch_add(1, Relaxed);
        }
        if let Some(door) = door {
            door.ended(end.as_str(), *received, *sent);
        }
    }
}

/// Verifies a request to a webhook. A request to an unknown webhook takes as long.
fn verify<'d>(door: Option<&'d Door>, head: &Head, given: Given<'_>) -> Result<(&'d Door, Verified), Unverified> {
    /// The header of the signature that is computed for an unknown address.
    const ANY: &str = "x-hub-signature-256";
    match door {
        Some(door) if door.takes(&head.method) => {
            let verified = door.verify(given)?;
            Ok((door, verified))
        }
        Some(_) | None => {
            let wrong = "sha256=0000000000000000000000000000000000000000000000000000000000000000";
            let header = |name: &str| (name == ANY).then_some(wrong.as_bytes());
            let _ = Verification::github().check("nobody's secret", Given { header: &header, ..given });
            Err(Unverified)
        }
    }
}

/// Returns the answer to every request that is refused. Discord signs some requests wrongly on purpose, and removes an
/// address that answers those with anything but 401. A 401 names a way to identify oneself (RFC 9110, section 15.5.2): that of
/// the webhook whose whole address the sender has, and everywhere else the same one.
fn refused(counts: &Counts, door: Option<&Door>) -> Reply {
    counts.refused.fetch_add(1, Relaxed);
    let challenge = door.map_or(UNKNOWN, Door::challenge);
    Reply { headers: vec![("www-authenticate".to_owned(), challenge.to_owned())], ..Reply::empty(401) }
}

fn busy(counts: &Counts) -> Reply {
    counts.busy.fetch_add(1, Relaxed);
    Reply { headers: vec![("retry-after".to_owned(), "30".to_owned())], ..Reply::empty(503) }
}

/// The head of a request, as far as plugins get it.
struct Head {
    method: String,
    query: Option<String>,
    sender: String,
    headers: HeaderMap,
}

impl Head {
    fn of(arrived: &Arrived) -> Self {
        Self {
            method: arrived.method.as_str().to_owned(),
            query: arrived.query.clone(),
            sender: arrived.from.to_string(),
            headers: arrived.headers.clone(),
        }
    }

    /// Returns the status for a request of which the plugin would get too much.
    fn too_long(&self, door: &Door) -> Option<u16> {
        if self.query.as_ref().is_some_and(|query| query.len() > LONGEST) {
            return Some(414);
        }
        let mut shown = self.headers.iter().filter(|(name, _)| door.takes_header(name.as_str()));
        shown.any(|(_, value)| value.len() > LONGEST).then_some(431)
    }

    fn request(&self, door: &Door, body: Vec<u8>) -> WebhookRequest {
        let shown = self.headers.iter().filter(|(name, _)| door.takes_header(name.as_str()));
        let text = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        WebhookRequest {
            webhook: String::new(),
            sender: self.sender.clone(),
            method: self.method.clone(),
            query: self.query.clone(),
            path: None,
            headers: shown.map(text).collect(),
            body,
        }
    }
}

/// Returns the value of a header that occurs exactly once: of two, it is unknown which one was signed.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { Some(value.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_comes_twice_has_no_value() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", header::HeaderValue::from_static("1"));
        headers.append("x-b", header::HeaderValue::from_static("1"));
        headers.append("x-b", header::HeaderValue::from_static("1"));
        assert_eq!(
            (single(&headers, "x-a"), single(&headers, "x-b"), single(&headers, "x-c")),
            (Some(&b"1"[..]), None, None)
        );
    }
}
