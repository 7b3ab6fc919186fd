//! Whether the host can be a node of its cluster: its key, NATS, and the other nodes.

use parlor::cluster::{self, Examined, KeyId};
use parlor_config::Cluster;

use super::findings::Findings;
use crate::wait_for;

const CHECK: &str = "cluster";

/// Checks the section `[cluster]`; `offline`: without NATS.
pub(super) fn check(section: &Cluster, offline: bool, findings: &mut Findings) -> anyhow::Result<()> {
    let keys = match wait_for(cluster::key_ids(section))? {
        Ok(keys) => keys,
        Err(error) => {
            findings.broken(CHECK, error.to_string(), "do as it says; `parlor cluster key --help` says more");
            return Ok(());
        }
    };
    let Some(first) = keys.first() else { return Ok(()) };
    findings.fine(CHECK, format!("the key {first} encrypts what accounts keep in NATS; keys: {}", keys.len()));
    if section.allow_unencrypted {
        let says = "the connection to NATS may go without TLS: others on the way may see the log-in there";
        findings.warn(CHECK, says, "use tls:// and take allow_unencrypted out, unless the network is private");
    }
    if offline {
        return Ok(());
    }
    match wait_for(cluster::examine(section))? {
        Ok(found) => {
            seen(&found, *first, findings);
            let need_no_other = found.records.as_ref().is_some_and(|records| records.keys().all(|key| key == first));
            if keys.len() > 1 && need_no_other {
                let says = format!(
                    "no record needs a key but {first}: once all nodes have it in the first line, the other lines may go"
                );
                findings.fine(CHECK, says);
            }
        }
        Err(error) => findings.broken(CHECK, error.to_string(), "do as it says"),
    }
    Ok(())
}

/// Judges what there is at NATS.
pub(super) fn seen(found: &Examined, first: KeyId, findings: &mut Findings) {
    findings.fine(CHECK, format!("NATS {} can be used, and has JetStream", found.version));
    for (says, remedy) in &found.limits {
        findings.warn(CHECK, says.clone(), remedy);
    }
    for error in &found.unfit {
        findings.broken(CHECK, format!("{error}; nodes that run go on, and none starts"), "do as it says");
    }
    let Some(overview) = &found.overview else {
        return findings.fine(CHECK, "no node has been there; the first one begins the cluster");
    };
    let nodes: Vec<_> = overview.nodes.iter().map(|node| node.name.as_str()).collect();
    match nodes.len() {
        0 => findings.warn(CHECK, "no node runs", "`parlor run` starts this one"),
        1 => {
            let says =
                format!("the only node that runs is {}: if it is lost, no other node can run its accounts", nodes[0]);
            findings.warn(CHECK, says, "start another one");
        }
        _ => findings.fine(CHECK, format!("nodes that run: {}", nodes.join(", "))),
    }
    for node in &overview.lost {
        let says = format!("node {} was lost in the last day, and is not back", node.name);
        findings.warn(
            CHECK,
            says,
            "look at its log or its machine, and start it again; `parlor cluster status` says since when",
        );
    }
    let waiting = overview.accounts.iter().filter(|account| account.node.is_none()).count();
    if waiting > 0 && !nodes.is_empty() {
        let says = format!("accounts that no node has at this moment: {waiting}");
        findings.warn(CHECK, says, "look again; if it stays so, the logs of the nodes say why");
    }
    for (of, error) in &overview.refused {
        findings.broken(CHECK, format!("{} does not come from other nodes: {error}", of.name()), "do as it says");
    }
    match &found.records {
        None => findings.warn(CHECK, "the records could not be counted in time", "look again"),
        Some(records) => {
            let earlier = records.iter().filter(|(key, _)| **key != first);
            for (key, count) in earlier {
                let says = format!("records that another key, {key}, encrypts: {count}");
                findings.warn(CHECK, says, "keep its line in the key file of each node until there are none");
            }
        }
    }
}
