//! The view of a cluster.

use serde::{Deserialize, Serialize};

/// The cluster that the host is a node of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub cluster: String,
    /// The name of the node that answered.
    pub node: String,
    /// Its nodes, by name.
    pub nodes: Vec<ClusterNode>,
    /// Its accounts, by address.
    pub accounts: Vec<ClusterAccount>,
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
    /// How many accounts it has.
    pub accounts: usize,
}

/// An account of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterAccount {
    /// Its address.
    pub jid: String,
    /// The node that has it; none while it goes from one to another.
    pub node: Option<String>,
}
