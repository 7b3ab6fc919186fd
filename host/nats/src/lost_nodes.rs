//! The nodes that were lost: others ended their sessions, since they heard nothing of them.
//!
//! The record of such a node stays for a day, or until it is back or leaves in order.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parlor_cluster::{Revision, Session, SessionState, Value};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::answer::{ANSWER, LEASE_ANSWER};
use crate::error::StateError;
use crate::names;
use crate::state::{FORMAT, State, check_node, check_shown, parse};
use crate::watch::Present;

/// How long a lost node is shown.
const SHOWN: Duration = Duration::from_hours(24);
/// How many are shown, those that were lost last.
const MOST: usize = 20;
/// How many renewals of a new session remove the record. The first ones may be lost.
const RENEWALS: u64 = 2;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LostRecord {
    format: u32,
    node: String,
    /// In seconds of the Unix clock.
    since: u64,
}

/// A node that was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostNode {
    /// Its name.
    pub name: String,
    /// When others ended its session.
    pub since: SystemTime,
}

/// The meaning of a session's write for these records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// It ends the session of this node, of which nothing was heard any more.
    Lost(String),
    /// This node is back.
    Back,
    /// This node leaves.
    Leaves,
}

/// Returns what a write of the node with this hash means.
pub(crate) fn news(value: &Value, own: &str) -> Option<News> {
    let Value::Session(Session { node, state, beat, .. }) = value else { return None };
    match state {
        SessionState::Over if names::hash(node) == own => Some(News::Leaves),
        // A session of which only claims are known has no name.
        SessionState::Over => check_node(node).is_ok().then(|| News::Lost(node.to_string())),
        _ => (*beat <= RENEWALS).then_some(News::Back),
    }
}

/// Notes the news, which a write with this revision made. Only a node that leaves waits for that.
pub(crate) async fn note_beside(state: &State, own: String, news: News, revision: Revision) {
    if news == News::Leaves {
        return note(state, &own, news, revision).await;
    }
    let state = state.clone();
    tokio::spawn(async move { note(&state, &own, news, revision).await });
}

async fn note(state: &State, own: &str, news: News, revision: Revision) {
    let noted = match news {
        News::Lost(node) => lost(state, &node).await.map_err(|error| error.to_string()),
        News::Back => forget(state, own, revision).await,
        News::Leaves => timeout(LEASE_ANSWER, forget(state, own, revision)).await.unwrap_or(Ok(())),
    };
    if let Err(cause) = noted {
        tracing::debug!(cause, "the record of lost nodes stays as it was");
    }
}

async fn forget(state: &State, hash: &str, revision: Revision) -> Result<(), String> {
    let subject = format!("{}{hash}", state.cluster.lost_subject_prefix());
    let removed = state.link.remove(&state.cluster.state_stream(), &subject, revision).await;
    removed.map_err(|error| error.to_string())
}

/// Notes that a node is lost, and removes the records that are not shown any more.
async fn lost(state: &State, node: &str) -> Result<(), StateError> {
    let prefix = state.cluster.lost_subject_prefix();
    let record = LostRecord { format: FORMAT, node: node.to_owned(), since: seconds(SystemTime::now()) };
    let text = serde_json::to_string(&record).unwrap_or_default();
    state.overwrite(format!("{prefix}{}", names::hash(node)), text).await?;
    let mut old = BTreeMap::new();
    // There is a record.
    let mut present = Present::of(&state.link, &state.cluster, format!("{prefix}*"));
    let read = async {
        while let Some(message) = present.next().await {
            if decode(&message.subject, &prefix, &message.body).is_none_or(|found| !is_shown(&found)) {
                old.insert(message.subject, message.revision);
            }
        }
    };
    // The rest is removed when the next node is lost.
    _ = timeout(ANSWER, read).await;
    for (subject, revision) in old {
        _ = state.link.remove(&state.cluster.state_stream(), &subject, revision).await;
    }
    Ok(())
}

/// Reads a record; `None` if it is another one, or cannot be read.
pub(crate) fn decode(subject: &str, prefix: &str, body: &[u8]) -> Option<LostNode> {
    let hash = subject.strip_prefix(prefix)?;
    let LostRecord { node, since, .. } = parse(body).ok()?;
    let since = UNIX_EPOCH.checked_add(Duration::from_secs(since))?;
    (names::hash(&node) == hash && check_shown(&node).is_ok()).then_some(LostNode { name: node, since })
}

/// Returns those that are shown beside the nodes that run, the last one first.
pub(crate) fn shown(mut all: Vec<LostNode>, runs: impl Fn(&str) -> bool) -> Vec<LostNode> {
    all.retain(|one| is_shown(one) && !runs(&one.name));
    all.sort_by(|one, other| (other.since, &one.name).cmp(&(one.since, &other.name)));
    all.truncate(MOST);
    all
}

fn is_shown(one: &LostNode) -> bool {
    // The clocks of nodes may differ: a moment to come is now.
    SystemTime::now().duration_since(one.since).is_ok_and(|age| age < SHOWN) || one.since > SystemTime::now()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_others_end_is_lost_and_one_that_leaves_or_begins_is_not() {
        let own = names::hash("one");
        let of = |node: &str, beat, state| {
            let (node, cpu) = (node.into(), parlor_cluster::Cpu::default());
            news(&Value::Session(Session { node, capacity: 1, beat, state, cpu }), &own)
        };
        assert_eq!(of("two", 70, SessionState::Over), Some(News::Lost("two".to_owned())));
        assert_eq!(of("one", 70, SessionState::Over), Some(News::Leaves));
        assert_eq!(of("", 0, SessionState::Over), None);
        assert_eq!((of("one", 1, SessionState::Open), of("one", 3, SessionState::Open)), (Some(News::Back), None));
    }

    #[test]
    fn of_nodes_without_number_the_last_ones_are_shown_for_a_day() {
        let ago = |hours: u64| SystemTime::now().checked_sub(Duration::from_secs(hours * 3_600)).unwrap();
        let lost = |number: u64| LostNode { name: format!("node-{number}"), since: ago(number) };
        let all = shown((0..40).rev().map(lost).collect(), |name| name == "node-0");
        let names: Vec<_> = all.iter().map(|one| one.name.as_str()).collect();
        assert_eq!((names.len(), names[0], names[19]), (MOST, "node-1", "node-20"));
        assert_eq!(shown(vec![lost(25)], |_| false), []);
    }
}
