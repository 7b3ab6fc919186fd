//! The cluster, as the control socket shows and changes it.

use jid::BareJid;
use parlor_nats::{Overview, Requests, State, StateError};

/// The cluster that the host is a node of.
#[derive(Debug)]
pub(crate) struct Member {
    /// The name of the cluster.
    pub(crate) cluster: String,
    /// The name of this node.
    pub(crate) node: String,
    state: State,
    requests: Requests,
}

impl Member {
    pub(super) fn new(cluster: &str, node: String, state: State) -> Self {
        let requests = Requests::new(&state, &node);
        Self { cluster: cluster.to_owned(), node, state, requests }
    }

    /// Reads the nodes and the accounts of the cluster.
    pub(crate) async fn overview(&self) -> Result<Overview, StateError> {
        self.state.overview().await
    }

    /// Returns the names of the nodes.
    pub(crate) async fn nodes(&self) -> Result<Vec<String>, StateError> {
        self.state.nodes().await
    }

    /// Returns the name of the node that has this account, if one has.
    pub(crate) async fn holder(&self, jid: &BareJid) -> Result<Option<String>, StateError> {
        self.state.holder(jid.as_str()).await
    }

    /// Returns what this node asks others by, and hears them.
    pub(crate) fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Has a node give its accounts away and take no others, or take accounts again.
    pub(crate) async fn drain(&self, node: &str, is_draining: bool) -> Result<(), StateError> {
        self.state.drain(node, is_draining).await
    }
}
