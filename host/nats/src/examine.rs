//! Examines NATS as a node would find it, for an owner who looks for problems. It writes nothing there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::push::OrderedConfig;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use serde::Deserialize;
use tokio::time::timeout;

use crate::answer::ANSWER;
use crate::connect::{AskError, Link};
use crate::delivery;
use crate::error::{ConnectError, PutError, StateError, StreamError};
use crate::keys::{self, Found};
use crate::names::Cluster;
use crate::overview::Overview;
use crate::queue::queued;
use crate::record::named_key;
use crate::seal::KeyId;
use crate::shared;
use crate::state::State;
use crate::streams;

/// How long counting may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many streams a cluster has: that of its state, those of logs, and those of snapshots and of what nodes share.
const STREAMS: u64 = 19;
/// A stream that no cluster has.
const ELSEWHERE: &str = "PARLOR__NOWHERE";

/// The state of NATS as a node would find it.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The version of the server.
    pub version: String,
    /// The limits that keep a node from working there, or may do so soon, each with a remedy.
    pub limits: Vec<(String, &'static str)>,
    /// The streams whose settings somebody has changed, so that no node starts. Nodes that run go on.
    pub unfit: Vec<StreamError>,
    /// The nodes and accounts; `None` if no node has been there.
    pub overview: Option<Overview>,
    /// How many records each key encrypts, those of accounts and those of shared texts; `None` if that could not be counted
    /// in time.
    pub records: Option<BTreeMap<KeyId, u64>>,
}

/// Looks at the streams of a cluster. It fails if this node does not have the key of the cluster.
pub async fn examine(link: &Link, cluster: &Cluster) -> Result<Examined, StateError> {
    let version = link.client.server_info().version.chars().take(32).collect();
    if let Some(right) = missing_right(link, cluster).await {
        return Err(PutError::Unfit(ConnectError::Denied(right)).into());
    }
    let is_there = keys::find(link, cluster).await? != Found::Nothing;
    let limits = limits(link, is_there).await;
    let (mut unfit, mut overview, mut records) = (Vec::new(), None, Some(BTreeMap::new()));
    if is_there {
        unfit = streams::unfit(link, cluster).await;
        let state = State { link: link.clone(), cluster: cluster.clone() };
        overview = Some(state.overview().await?);
        records = timeout(PATIENCE, count(link, cluster)).await.ok().flatten();
    }
    Ok(Examined { version, limits, unfit, overview, records })
}

/// Returns a right that the log-in lacks for what is this cluster's. What it sends is kept nowhere: each message expects another stream
/// than the one that would take it.
async fn missing_right(link: &Link, cluster: &Cluster) -> Option<String> {
    let buckets = [cluster.snapshots(), cluster.shared_bucket()].map(|bucket| format!("$O.{bucket}.M.probe"));
    let (_, log) = cluster.log("");
    // Without a body, it names no record.
    let removing = format!("$JS.API.STREAM.MSG.DELETE.{}", cluster.state_stream());
    let subjects = [cluster.pulse_subject(), log, removing].into_iter().chain(buckets);
    let denied = subjects.map(|subject| async move {
        let mut headers = HeaderMap::new();
        headers.insert(async_nats::header::NATS_EXPECTED_STREAM, ELSEWHERE);
        let answer = link.ask(subject, Some(headers), Bytes::new(), ANSWER).await;
        // Before the first node, no stream answers.
        match answer {
            Err(AskError::Unfit(ConnectError::Denied(right))) => Some(right),
            _ => None,
        }
    });
    let denied = join_all(denied).await;
    // Nodes hear one another there. A message of one's own comes after the denial of the subscription.
    let own = cluster.requests_subject(&format!("probe-{:016x}", rand::random::<u64>()), "control");
    let mut heard = queued(link.client.subscribe(own.clone())).await?;
    let began = Instant::now();
    queued(link.client.publish(own.clone(), Bytes::new())).await?;
    let has_come = timeout(ANSWER, heard.next()).await.is_ok_and(|message| message.is_some());
    let unheard = || link.unheard(&own).or_else(|| link.missing(&own, began));
    denied.into_iter().flatten().next().or_else(|| if has_come { None } else { unheard() })
}

/// The answer of NATS about the account that this log-in belongs to. Older servers have fewer fields than the library demands.
#[derive(Debug, Deserialize)]
struct NatsAccount {
    storage: u64,
    #[serde(default)]
    reserved_storage: u64,
    streams: u64,
    limits: NatsLimits,
}

/// A limit below 0 is none.
#[derive(Debug, Deserialize)]
struct NatsLimits {
    #[serde(rename = "max_storage")]
    storage: i64,
    #[serde(rename = "max_streams")]
    streams: i64,
    #[serde(rename = "max_bytes_required", default)]
    needs_max_bytes: bool,
}

async fn limits(link: &Link, is_there: bool) -> Vec<(String, &'static str)> {
    let answer = link.ask("$JS.API.INFO".to_owned(), None, Bytes::new(), ANSWER).await;
    let account = answer.ok().and_then(|answer| serde_json::from_slice::<NatsAccount>(&answer).ok());
    let Some(account) = account else {
        let says = "NATS does not say how much room its account has".to_owned();
        return vec![(says, "let the log-in use $JS.API.>")];
    };
    exceeded(&account, is_there)
}

fn exceeded(account: &NatsAccount, is_there: bool) -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    if let Ok(most) = u64::try_from(account.limits.storage) {
        let used = account.storage.max(account.reserved_storage);
        if used >= most - most / 10 {
            let says = format!("{used} of {most} bytes are used that the account of NATS may store");
            all.push((says, "raise max_file of the account in the configuration of NATS: beyond it, accounts stop"));
        }
    }
    if let Ok(most) = u64::try_from(account.limits.streams)
        && !is_there
        && account.streams + STREAMS > most
    {
        let says = format!(
            "a cluster has {STREAMS} streams, and the account of NATS may have {most}, of which {} are there",
            account.streams
        );
        all.push((says, "raise max_streams of the account in the configuration of NATS"));
    }
    if account.limits.needs_max_bytes {
        let says = "the account of NATS demands a limit for each stream, and those of parlor have none".to_owned();
        all.push((says, "take max_bytes_required out of the configuration of NATS"));
    }
    all
}

/// Counts the records of all accounts, and those of shared texts, by their keys. Returns `None` if NATS does not deliver them.
async fn count(link: &Link, cluster: &Cluster) -> Option<BTreeMap<KeyId, u64>> {
    let mut all = BTreeMap::new();
    for (name, subjects) in cluster.log_streams() {
        let stream = link.jetstream.get_stream(&name).await.ok()?;
        let state = &stream.cached_info().state;
        if state.messages == 0 {
            continue;
        }
        // Of several servers, the one that delivers may not have all yet that the leader has. The owner throws a key away once no record
        // is counted for it, so all must be counted. The last record of a log is never removed.
        let end = if link.replicas > 1 { state.last_sequence } else { 0 };
        let config = OrderedConfig {
            filter_subject: subjects,
            deliver_policy: DeliverPolicy::All,
            headers_only: true,
            ..OrderedConfig::default()
        };
        let (_, mut messages) = delivery::begin(link, &name, config).await.ok()?;
        loop {
            let message = messages.next().await?.ok()?;
            if let Some(key) = named_key(&message.headers) {
                *all.entry(key).or_default() += 1;
            }
            let info = message.info().ok()?;
            if info.pending == 0 && info.stream_sequence >= end {
                break;
            }
        }
    }
    for key in shared::sealed_with(link, cluster).await.ok()? {
        *all.entry(key).or_default() += 1;
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_hears_of_limits_before_they_are_reached() {
        let of = |storage: u64, max_storage: i64, max_streams: i64, is_there: bool| {
            let limits = NatsLimits { storage: max_storage, streams: max_streams, needs_max_bytes: false };
            exceeded(&NatsAccount { storage, reserved_storage: 0, streams: 3, limits }, is_there).len()
        };
        assert_eq!(of(u64::MAX, -1, -1, false), 0, "there are none");
        assert_eq!((of(89, 100, -1, false), of(90, 100, -1, false)), (0, 1));
        assert_eq!((of(0, -1, 22, false), of(0, -1, 21, false), of(0, -1, 21, true)), (0, 1, 0));
    }
}
