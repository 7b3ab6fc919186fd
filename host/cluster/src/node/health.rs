//! The state of a cluster as one node knows it: how many nodes and accounts there are, and which accounts no node has.

use std::sync::Arc;
use std::time::Duration;

use super::Node;
use crate::record::Cpu;

/// How many accounts are named.
const NAMED: usize = 20;

/// The state of a cluster as one node knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Whether this node has a session: the store takes its renewals.
    pub has_session: bool,
    /// How many sessions were renewed lately, that of this node included.
    pub nodes: usize,
    /// How many accounts there are.
    pub accounts: usize,
    /// How many of them this node runs.
    pub own: usize,
    /// How many of those in the configuration of this node no node has. Those of a session that is not renewed any more count, also while nobody can end it.
    pub nowhere: usize,
    /// The names of some of these.
    pub named: Vec<Arc<str>>,
    /// The CPU time of this node.
    pub cpu: Cpu,
}

impl Node {
    /// Returns the state of the cluster as this node knows it.
    ///
    /// A store that takes no writes lets no session be renewed, and none be ended: its records go on to say that nodes have accounts. So
    /// a session without a renewal counts as gone.
    pub fn health(&self, now: Duration) -> Health {
        let own = self.tenure.as_ref().map(|tenure| tenure.id);
        let has_session = self.until().is_some_and(|until| now < until);
        let patience = self.timing.patience();
        let (alive, gone): (Vec<_>, Vec<_>) = self
            .view
            .sessions()
            .partition(|(id, seen)| if Some(*id) == own { has_session } else { now < seen.at + patience });
        let left = gone.iter().flat_map(|(id, _)| self.view.held_by(*id)).map(|(account, _)| account);
        let nowhere = self.view.orphans().keys().chain(left);
        // One that no configuration has runs nowhere for good. A node speaks for its own configuration.
        let is_meant = |account: &&Arc<str>| self.configured.as_ref().is_none_or(|all| all.contains(*account));
        let nowhere: Vec<_> = nowhere.filter(is_meant).collect();
        Health {
            has_session,
            // A session without a record may have none any more.
            nodes: alive.iter().filter(|(_, seen)| seen.revision > 0).count(),
            accounts: self.view.accounts(),
            own: self.running().count(),
            nowhere: nowhere.len(),
            named: nowhere.into_iter().take(NAMED).cloned().collect(),
            cpu: self.gauge.cpu,
        }
    }
}
