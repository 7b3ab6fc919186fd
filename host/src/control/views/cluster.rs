//! The view of a cluster.

use serde::{Deserialize, Serialize};

use super::{Process, faults};

/// The cluster that the host is a node of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub cluster: String,
    /// The name of the node that answered.
    pub node: String,
    /// The version of `plugins.toml` that all nodes should have; none if none shares it.
    #[serde(default)]
    pub plugins: Option<SharedVersion>,
    /// The version of `accounts.toml` that all nodes should have; none if none shares it.
    #[serde(default)]
    pub shared_accounts: Option<SharedVersion>,
    /// Its nodes, by name.
    pub nodes: Vec<ClusterNode>,
    /// The names of the nodes that are drained, also of those that do not run.
    #[serde(default)]
    pub drained: Vec<String>,
    /// The nodes that were lost in the last day and are not back, the last one first.
    #[serde(default)]
    pub lost: Vec<LostNode>,
    /// Its accounts, by address.
    pub accounts: Vec<ClusterAccount>,
    /// The accounts that a command is moving or removing, or was when it was killed, by address.
    #[serde(default)]
    pub moves: Vec<ClusterMove>,
    /// A clause for each fault that the node which answered knows of.
    #[serde(default)]
    pub ills: Vec<String>,
}

/// Returns the share of a node that takes as many accounts as its capacity says.
fn whole() -> u32 {
    100
}

/// A node that was lost: others ended its session, since they heard nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostNode {
    /// Its name.
    pub name: String,
    /// Since when it is lost, RFC 3339.
    pub since: String,
}

/// The report of a node about itself and its cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterHealth {
    /// Whether it reaches NATS, and NATS takes what it writes.
    pub nats: bool,
    /// How many nodes there are; none if it does not reach NATS.
    pub nodes: Option<usize>,
    /// How many accounts the cluster has.
    pub accounts: usize,
    /// How many of them run here.
    pub here: usize,
    /// How many of them no node has, or can start; none if it does not reach NATS.
    pub nowhere: Option<usize>,
    /// How many of the files that nodes share are not the present ones here.
    pub files_behind: usize,
    /// The percentage of the CPU time of its cores that it has used lately.
    #[serde(default)]
    pub used: u32,
    /// The percentage of its `capacity` that it takes.
    #[serde(default = "whole")]
    pub share: u32,
    /// The accounts that it was given and does not run, a hundred at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<IdleAccount>,
    /// A clause for each fault that has lasted longer than a take-over of accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ills: Vec<String>,
}

/// An account that a node was given and does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleAccount {
    /// Its address.
    pub jid: String,
    /// Why it does not run there.
    pub reason: String,
}

/// An account of the files of a node that no node runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountWithoutNode {
    /// Its name.
    pub name: String,
    /// The node that was given it, and does not run it.
    pub node: String,
    /// Why it does not run there.
    pub reason: String,
}

/// A node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterNode {
    /// Its name.
    pub name: String,
    /// `open` or `draining`.
    pub state: String,
    /// How many accounts it takes in relation to other nodes.
    pub capacity: u32,
    /// The percentage of the CPU time of its cores that it has used lately.
    #[serde(default)]
    pub used: u32,
    /// The percentage of `capacity` that it takes: less than 100 after it was busy while others had room.
    #[serde(default = "whole")]
    pub share: u32,
    /// How many accounts it has.
    pub accounts: usize,
    /// Its `plugins.toml`: `in sync`, `behind` with an earlier version, `differs` if `trouble` says why, or `own` if it shares none.
    #[serde(default)]
    pub plugins: String,
    /// The number of the version that it has.
    #[serde(default)]
    pub version: Option<u64>,
    /// Why it does not have the present versions of `plugins.toml` and `accounts.toml`, or not all components.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// A version of `plugins.toml`, or of `accounts.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedVersion {
    /// Its number.
    pub version: u64,
    /// The node that wrote it.
    pub node: String,
}

/// An account of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterAccount {
    /// Its address.
    pub jid: String,
    /// The node that has it; none while it goes from one to another.
    pub node: Option<String>,
}

/// An account that is on its way into the cluster or out of it, so no node runs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterMove {
    /// Its address.
    pub jid: String,
    /// `importing`, `exporting` or `removing`.
    pub state: String,
    /// The command that ends the move if it was interrupted.
    pub command: String,
}

/// The host of a node, as another one shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The name of the node.
    pub name: String,
    /// The process of its host; none if it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Process>,
    /// Why the current text of its policy file is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_error: Option<String>,
    /// Why the current text of its configuration file is not in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    /// Why webhooks cannot be listened for there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhooks_error: Option<String>,
    /// Its report about the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterHealth>,
    /// Why nothing is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl NodeStatus {
    /// Returns the files of the node whose current text is not in force, each with the reason.
    pub fn faults(&self) -> impl Iterator<Item = (&'static str, &str)> {
        faults(self.config_error.as_deref(), self.policy_error.as_deref())
    }
}
