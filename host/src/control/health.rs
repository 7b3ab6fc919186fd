//! The report of a node about itself and its cluster, as a view and as metrics.

use std::fmt::Write as _;

#[cfg(feature = "cluster")]
use parlor_base::escape::escape_untrusted;

#[cfg(feature = "cluster")]
use super::views::IdleAccount;
use super::views::{ClusterHealth, Status};
use crate::host::Host;

/// How many accounts are named.
#[cfg(feature = "cluster")]
const NAMED: usize = 100;
/// The most of a reason that is shown, in bytes.
#[cfg(feature = "cluster")]
const LONGEST: usize = 1 << 10;

/// Returns what the node says; none if the host is no node.
#[cfg(feature = "cluster")]
pub(super) fn health(host: &Host) -> Option<ClusterHealth> {
    let member = host.cluster.get()?;
    let (health, failed) = (member.health(), member.failing.all());
    let reason = |why: &str| escape_untrusted(why, LONGEST);
    let mut ills: Vec<_> = health.ill().iter().map(|ill| reason(ill)).collect();
    let stuck: Vec<_> = failed.iter().filter(|one| one.is_stuck).collect();
    if let Some(first) = stuck.first() {
        let (count, why) = (stuck.len(), reason(&first.why));
        ills.push(format!("accounts of the cluster that no node can start: {count}, such as {}: {why}", first.jid));
    }
    let failed = stuck.iter().map(|one| IdleAccount { jid: one.jid.to_string(), reason: reason(&one.why) });
    Some(ClusterHealth {
        nats: health.reaches_nats(),
        nodes: health.is_connected.then_some(health.cluster.nodes),
        accounts: health.cluster.accounts,
        here: host.accounts().len(),
        // Without NATS, the accounts of other nodes are not known.
        nowhere: health.is_connected.then_some(health.cluster.nowhere.max(stuck.len())),
        files_behind: member.files_behind(),
        used: health.cluster.cpu.used,
        share: health.cluster.cpu.share,
        idle: failed.take(NAMED).collect(),
        ills,
    })
}

#[cfg(not(feature = "cluster"))]
pub(super) fn health(_: &Host) -> Option<ClusterHealth> {
    None
}

/// Writes what this node knows of its cluster; nothing if it is no node.
pub(super) fn metrics(status: &Status) -> String {
    let mut text = String::new();
    let Some(cluster) = &status.cluster else { return text };
    let mut put = |name: &str, help: &str, value: Option<usize>| {
        let Some(value) = value else { return };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "# HELP parlor_{name} {help}\n# TYPE parlor_{name} gauge\nparlor_{name} {value}");
    };
    put("cluster_nats_reached", "Whether NATS takes what this node writes.", Some(cluster.nats.into()));
    put("cluster_nodes", "Nodes of the cluster.", cluster.nodes);
    put("cluster_accounts", "Accounts of the cluster.", Some(cluster.accounts));
    put("cluster_accounts_here", "Accounts of the cluster on this node.", Some(cluster.here));
    put("cluster_accounts_nowhere", "Accounts of the cluster that no node has or can start.", cluster.nowhere);
    put("cluster_accounts_idle", "Accounts that this node was given and fails to start.", Some(cluster.idle.len()));
    put("cluster_files_behind", "Shared files that are not the present ones on this node.", Some(cluster.files_behind));
    let percent = |value: u32| usize::try_from(value).ok();
    put("cluster_cpu_percent", "CPU time of its cores that this node uses, in percent.", percent(cluster.used));
    put("cluster_share_percent", "Part of its capacity that this node takes, in percent.", percent(cluster.share));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_counts_the_accounts_of_its_cluster_and_a_host_that_is_alone_does_not() {
        let mut status: Status = serde_json::from_value(serde_json::json!({
            "running": true, "data": "data", "policy": "plugins.toml", "plugins": [], "accounts": [],
            "cluster": {
                "nats": false, "nodes": 0, "accounts": 24, "here": 0, "nowhere": 24, "files_behind": 1,
                "used": 93, "share": 64, "ills": ["this node has no lease in NATS"],
            },
        }))
        .unwrap();
        let text = metrics(&status);
        let values: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "parlor_cluster_nats_reached 0",
            "parlor_cluster_nodes 0",
            "parlor_cluster_accounts 24",
            "parlor_cluster_accounts_here 0",
            "parlor_cluster_accounts_nowhere 24",
            "parlor_cluster_accounts_idle 0",
            "parlor_cluster_files_behind 1",
            "parlor_cluster_cpu_percent 93",
            "parlor_cluster_share_percent 64",
        ];
        assert_eq!(values, expected);
        // So is `/health`, although no account is here.
        assert_eq!(status.all_ills(), ["this node has no lease in NATS"]);
        let cut_off = status.cluster.as_mut().unwrap();
        (cut_off.nodes, cut_off.nowhere) = (None, None);
        assert_eq!(metrics(&status).lines().filter(|line| !line.starts_with('#')).count(), 7, "others may have them");
        status.cluster = None;
        assert!(metrics(&status).is_empty() && status.all_ills().is_empty());
    }
}
