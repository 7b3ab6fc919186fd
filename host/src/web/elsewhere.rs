//! Requests to webhooks of accounts that other nodes of the cluster have.
//!
//! The node that gets a request asks the others whose webhook it is, and passes the request to that one, which verifies and
//! delivers it as if it had come there. Strangers can ask for webhooks that do not exist, so few searches run at once.

mod shares;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parlor_nats::{Asked, MOST_IN_A_REQUEST};
use parlor_runtime::supervisor::Door;
use parlor_web::server::{Arrived, Memory, NoBody, Reply};
use parlor_web::{HeaderMap, header};
use serde::{Deserialize, Serialize};

use self::shares::{REQUESTS, Shares};
use super::address::{address, parts};
use super::{Counts, End, Head, Passage, busy, door_of, refused, take};
use crate::cluster::{Serving, framed};
use crate::host::{Host, webhooks};

/// How long a search may take.
const SEARCH: Duration = Duration::from_secs(2);
/// How long another node may take to answer a request: a plugin may have two minutes.
pub(super) const ANSWER: Duration = Duration::from_mins(3);
/// The longest body that is passed on, in bytes. A head of the longest size fits beside it.
const LONGEST_BODY: usize = MOST_IN_A_REQUEST - (192 << 10);
/// The requests of other nodes that are carried out now.
static SHARES: Shares = Shares::new();

/// The node that has a webhook.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On this other node, where it takes bodies up to this size.
    At(String, usize),
    /// On no other node.
    Nowhere,
    /// That cannot be known at this moment.
    Unknown,
}

/// A request of one node to another about a webhook.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "asks", rename_all = "kebab-case", deny_unknown_fields)]
enum Question {
    /// Whether it has the webhook with this path.
    Find { path: String },
    /// To record that a request was too long to be taken or passed on.
    Oversized { path: String },
    /// To take a request.
    Take { path: String, method: String, query: Option<String>, sender: String, headers: Vec<(String, String)> },
}

/// The answer to the question for a webhook.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    /// The longest body that it takes; none if it is not there.
    longest: Option<usize>,
    /// Whether the addresses of all webhooks of the node are known.
    are_all_known: bool,
    /// How many accounts the node has.
    accounts: usize,
}

/// The head of a plugin's answer, before its body.
#[derive(Debug, Serialize, Deserialize)]
struct Answered {
    status: u16,
    headers: Vec<(String, String)>,
}

/// Returns how many accounts this node has. Without a cluster, nobody asks, and they are not counted.
pub(super) fn accounts(host: &Host) -> usize {
    host.cluster.get().map_or(0, |_| host.accounts().len())
}

/// Finds a webhook on other nodes, unless it is here. `own` is how many accounts this node had before it looked for it
/// here: one that has come since may have it. Nobody is asked for a path that no webhook can have.
pub(super) async fn find(host: &Host, is_here: bool, own: usize, path: &str) -> Place {
    let Some(member) = host.cluster.get().filter(|_| !is_here && parts(path).is_some()) else { return Place::Nowhere };
    let Ok(_place) = member.searches().try_acquire() else { return Place::Unknown };
    let Ok(names) = member.nodes().await else { return Place::Unknown };
    let question = &framed::join(&Question::Find { path: path.to_owned() }, b"");
    let asked = names.into_iter().filter(|node| *node != member.node).map(|node| async move {
        let answer = member.webhooks().look(&node, question, SEARCH).await.ok();
        (node, answer.and_then(|answer| Some(framed::split::<Found>(&answer)?.0)))
    });
    let found = join_all(asked).await;
    let expected = host.config().accounts.len();
    place(found, own, expected)
}

/// Returns where a webhook is, by the answers of the other nodes. `own` is how many of all accounts this node has.
fn place(found: Vec<(String, Option<Found>)>, own: usize, all: usize) -> Place {
    let (mut held, mut are_all_known) = (own, true);
    for (node, found) in found {
        match found {
            Some(Found { longest: Some(longest), .. }) => return Place::At(node, longest),
            Some(found) => {
                held += found.accounts;
                are_all_known &= found.are_all_known;
            }
            None => are_all_known = false,
        }
    }
    // It may be that of an account that goes from one node to another.
    if are_all_known && held >= all { Place::Nowhere } else { Place::Unknown }
}

/// Passes a request to the node that has its webhook. That node counts it.
pub(super) async fn pass(host: &Host, arrived: Arrived, node: &str, most: usize) -> Reply {
    let counts = host.listening.counts();
    let (head, path) = (Head::of(&arrived), arrived.path.clone());
    let (body, _room) = match arrived.body(most.min(LONGEST_BODY), Memory::Addressed, address(&path)).await {
        Ok(read) => read,
        Err(NoBody::NoRoom) => return busy(counts),
        Err(NoBody::TooLong) => return put(host, node, &framed::join(&Question::Oversized { path }, b"")).await,
        Err(NoBody::Broken | NoBody::Late) => return refused(counts, None),
    };
    let Head { method, query, sender, headers } = head;
    let headers = headers.iter().map(|(name, value)| (name.as_str().to_owned(), latin(value.as_bytes()))).collect();
    put(host, node, &framed::join(&Question::Take { path, method, query, sender, headers }, &body)).await
}

/// Puts a question to the node that has a webhook, and returns its answer to the sender.
async fn put(host: &Host, node: &str, question: &[u8]) -> Reply {
    let counts = host.listening.counts();
    let Some(member) = host.cluster.get() else { return busy(counts) };
    let answer = match member.webhooks().ask(node, question, ANSWER, std::future::pending()).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(%error, "a request to a webhook was not passed to the node that has it; its sender is told to try again");
            return busy(counts);
        }
    };
    match framed::split(&answer) {
        Some((Answered { status, headers }, body)) => Reply { status, headers, body: body.to_vec() },
        None => busy(counts),
    }
}

/// Begins to hear other nodes, if the host is a node of a cluster.
pub(super) fn serve(host: &Arc<Host>) -> Option<Serving> {
    let requests = host.cluster.get()?.webhooks().clone();
    let host = Arc::clone(host);
    Some(Serving::start(&requests, REQUESTS, move |asked| converse(asked, Arc::clone(&host))))
}

async fn converse(asked: Asked, host: Arc<Host>) {
    let (body, is_question) = (asked.body.clone(), asked.is_question());
    asked.answer(async move { answer(&host, &body, is_question).await }).await;
}

/// Answers another node. A question, which can come again, finds webhooks and does nothing else.
async fn answer(host: &Host, bytes: &[u8], is_question: bool) -> Vec<u8> {
    let counts = host.listening.counts();
    // As for a request that comes here: counted and asked before the search.
    let accounts = accounts(host);
    let are_all_known = webhooks::are_all_known(host).await;
    let Some((question, body)) = framed::split(bytes) else { return written(refused(counts, None)) };
    let (Question::Find { path } | Question::Oversized { path } | Question::Take { path, .. }) = &question;
    let (door, is_resting) = door_of(host, path).await;
    match question {
        Question::Find { .. } => {
            let longest = door.map(|door| door.longest_body());
            let are_all_known = are_all_known && !is_resting;
            framed::join(&Found { longest, are_all_known, accounts }, b"")
        }
        Question::Oversized { .. } | Question::Take { .. } if is_question => written(refused(counts, None)),
        Question::Oversized { .. } => written(oversized(counts, door.as_ref())),
        Question::Take { method, query, sender, headers, .. } => {
            // It has gone since it was found, or the request was read by another bound.
            if door.as_ref().is_none_or(|door| body.len() > door.longest_body()) {
                return written(oversized(counts, door.as_ref()));
            }
            // Held until there is an answer.
            let Some(_share) = door.as_ref().and_then(|door| SHARES.take(door.account())) else {
                drop(Passage { counts, door: door.as_ref(), end: End::Delayed, received: 0, sent: 0 });
                return written(busy(counts));
            };
            let head = Head { method, query, sender, headers: header_map(&headers) };
            let passage = Passage { counts, door: door.as_ref(), end: End::Abandoned, received: 0, sent: 0 };
            written(take(counts, are_all_known, passage, &head, body.to_vec()).await)
        }
    }
}

/// Refuses a request because of its length, and records it where the owner looks for it: beside the others of the webhook.
fn oversized(counts: &Counts, door: Option<&Door>) -> Reply {
    if door.is_none() {
        return busy(counts);
    }
    drop(Passage { counts, door, end: End::Oversized, received: 0, sent: 0 });
    refused(counts, door)
}

fn written(reply: Reply) -> Vec<u8> {
    let Reply { status, headers, body } = reply;
    framed::join(&Answered { status, headers }, &body)
}

/// Returns bytes as a text of as many characters, since JSON has no bytes.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// Returns the headers. Those that no header can have are left out; a node sends none.
fn header_map(headers: &[(String, String)]) -> HeaderMap {
    let bytes = |text: &str| text.chars().map(|one| u8::try_from(one).ok()).collect::<Option<Vec<u8>>>();
    let one = |(name, value): &(String, String)| {
        let name = header::HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, header::HeaderValue::from_bytes(&bytes(value)?).ok()?))
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers.iter().filter_map(one) {
        map.append(name, value);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_unknown_while_a_node_is_silent_or_an_account_is_on_its_way() {
        let of = |longest, are_all_known, accounts| Some(Found { longest, are_all_known, accounts });
        let at = |found| place(vec![("two".to_owned(), of(None, true, 1)), ("three".to_owned(), found)], 1, 3);
        assert_eq!(at(of(Some(9), false, 1)), Place::At("three".to_owned(), 9));
        assert_eq!(at(of(None, true, 1)), Place::Nowhere);
        assert_eq!(at(of(None, true, 0)), Place::Unknown, "an account is nowhere");
        assert_eq!(at(of(None, false, 1)), Place::Unknown, "a plugin starts");
        assert_eq!(at(None), Place::Unknown, "a node is silent");
    }

    #[test]
    fn headers_are_the_same_on_the_other_node() {
        let mut headers = HeaderMap::new();
        for value in [&b"sha256=00"[..], b"caf\xe9", b"two"] {
            headers.append("x-signature", header::HeaderValue::from_bytes(value).unwrap());
        }
        let sent: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str().to_owned(), latin(value.as_bytes()))).collect();
        assert_eq!(header_map(&sent), headers);
        let wrong =
            [("a b", "x"), ("a", "\n"), ("a", "\u{100}")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert!(header_map(&wrong).is_empty());
    }
}
