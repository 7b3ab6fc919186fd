//! The requests about the cluster that the host is a node of.

#[cfg(feature = "cluster")]
use std::collections::{BTreeMap, BTreeSet};

#[cfg(feature = "cluster")]
use jiff::Timestamp;
use parlor_base::escape::EscapedPath as _;
#[cfg(feature = "cluster")]
use parlor_nats::SharedText;
use parlor_store::By;

#[cfg(feature = "cluster")]
use crate::cluster::Away;
#[cfg(feature = "cluster")]
use crate::control::audit;
#[cfg(feature = "cluster")]
use crate::control::health::health;
use crate::control::http::Answer;
#[cfg(feature = "cluster")]
use crate::control::http::json;
use crate::control::refusal::Refusal;
use crate::control::request::Request;
#[cfg(feature = "cluster")]
use crate::control::views::{Cluster, ClusterAccount, ClusterMove, ClusterNode, LostNode, SharedVersion};
use crate::host::Host;

/// The most of a name that is shown, in bytes.
#[cfg(feature = "cluster")]
const LONGEST: usize = 256;

/// Answers with the nodes and accounts of the cluster.
#[cfg(feature = "cluster")]
pub(super) async fn show(host: &Host) -> Result<Answer, Refusal> {
    json(&view(host, member(host)?).await?)
}

/// Has a node give its accounts away and take no others, or take accounts again.
#[cfg(feature = "cluster")]
pub(super) async fn drain(host: &Host, request: &Request, by: &By) -> Result<Answer, Refusal> {
    let member = member(host)?;
    let node = request.value("node").ok_or_else(|| Refusal::Value("`node` is the name of a node".to_owned()))?;
    let is_draining = request.value("off") != Some("true");
    let before = view(host, member).await?;
    // One that is drained and does not run may take accounts again when it comes back.
    let known = before.nodes.iter().map(|one| &one.name).chain(&before.drained);
    let names: BTreeSet<_> = known.map(String::as_str).collect();
    if !names.contains(node) {
        let names = Vec::from_iter(names).join(", ");
        let node = parlor_base::escape::escape_untrusted(node, LONGEST);
        return Err(Refusal::NotDone(format!("the cluster has no node {node}; it has {names}")));
    }
    let draining = async { member.drain(node, is_draining).await.map_err(|error| Refusal::NotDone(error.to_string())) };
    audit::recorded(host, request, by, &[], draining).await?;
    json(&view(host, member).await?)
}

#[cfg(feature = "cluster")]
fn member(host: &Host) -> Result<&crate::cluster::Member, Refusal> {
    host.cluster.get().ok_or_else(|| no_cluster(host))
}

#[cfg(feature = "cluster")]
async fn view(host: &Host, member: &crate::cluster::Member) -> Result<Cluster, Refusal> {
    let overview = member.overview().await.map_err(|error| Refusal::NotDone(error.to_string()))?;
    let mut shared = overview.shared;
    let present = shared.get(&SharedText::Plugins).map(|version| version.revision);
    let mut version = |of: SharedText| {
        let version = shared.remove(&of)?;
        Some(SharedVersion { version: version.number, node: version.node })
    };
    let node = |row: parlor_nats::NodeRow| ClusterNode {
        plugins: plugins(row.standings.get(&SharedText::Plugins), present).to_owned(),
        version: row.standings.get(&SharedText::Plugins).and_then(|standing| standing.number),
        trouble: troubles(&row.standings),
        name: row.name,
        state: if row.is_draining { "draining" } else { "open" }.to_owned(),
        capacity: row.capacity,
        used: row.used,
        share: row.share,
        accounts: row.accounts,
    };
    let account = |row: parlor_nats::AccountRow| ClusterAccount { jid: row.account, node: row.node };
    Ok(Cluster {
        cluster: member.cluster.clone(),
        node: member.node.clone(),
        plugins: version(SharedText::Plugins),
        shared_accounts: version(SharedText::Accounts),
        nodes: overview.nodes.into_iter().map(node).collect(),
        drained: overview.drained.into_iter().collect(),
        lost: overview.lost.into_iter().map(lost).collect(),
        accounts: overview.accounts.into_iter().map(account).collect(),
        moves: overview.away.into_iter().filter_map(unfinished).collect(),
        ills: health(host).map_or_else(Vec::new, |health| health.ills),
    })
}

#[cfg(feature = "cluster")]
fn lost(node: parlor_nats::LostNode) -> LostNode {
    let since = Timestamp::try_from(node.since).unwrap_or_default();
    // Nobody needs parts of a second here.
    let since = Timestamp::from_second(since.as_second()).unwrap_or_default().to_string();
    LostNode { name: node.name, since }
}

/// Returns the move of an account that no node may run; `None` if the account has left the cluster.
#[cfg(feature = "cluster")]
fn unfinished(row: parlor_nats::AwayRow) -> Option<ClusterMove> {
    let (state, command) = match row.why {
        Away::Importing => ("importing", "parlor cluster import".to_owned()),
        Away::Exporting => ("exporting", "parlor cluster export".to_owned()),
        Away::Removing => {
            let jid = parlor_base::escape::shell_word(&row.account);
            ("removing", format!("parlor cluster remove {jid} --yes"))
        }
        Away::Exported | Away::Removed => return None,
    };
    Some(ClusterMove { jid: row.account, state: state.to_owned(), command })
}

/// Joins what a node says of all files that it shares.
#[cfg(feature = "cluster")]
fn troubles(standings: &BTreeMap<SharedText, parlor_nats::Standing>) -> Option<String> {
    let all: Vec<_> = standings.values().filter_map(|standing| standing.trouble.as_deref()).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// Compares what a node says of its plugins with the present version.
#[cfg(feature = "cluster")]
fn plugins(standing: Option<&parlor_nats::Standing>, present: Option<u64>) -> &'static str {
    match standing {
        None => "own",
        Some(standing) if standing.revision.is_none() && standing.trouble.is_none() => "own",
        Some(standing) if standing.revision != present => "behind",
        Some(standing) if standing.trouble.is_some() => "differs",
        Some(_) => "in sync",
    }
}

#[cfg(not(feature = "cluster"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
pub(super) async fn show(host: &Host) -> Result<Answer, Refusal> {
    Err(no_cluster(host))
}

#[cfg(not(feature = "cluster"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
pub(super) async fn drain(host: &Host, _: &Request, _: &By) -> Result<Answer, Refusal> {
    Err(no_cluster(host))
}

pub(super) fn no_cluster(host: &Host) -> Refusal {
    Refusal::NotDone(format!(
        "the host is no node of a cluster: write [cluster] into {}, and start it again",
        host.config().path.escaped()
    ))
}
