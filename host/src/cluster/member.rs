//! The cluster, as the control socket shows and changes it.

use std::sync::Arc;

use parlor_nats::{Overview, State, StateError};

use super::sharing::Sharing;

/// The cluster that the host is a node of.
#[derive(Debug)]
pub(crate) struct Member {
    /// The name of the cluster.
    pub(crate) cluster: String,
    /// The name of this node.
    pub(crate) node: String,
    state: State,
    /// Shares its plugins; none if it goes by its own.
    pub(super) sharing: Option<Arc<Sharing>>,
}

impl Member {
    pub(super) fn new(cluster: &str, node: String, state: State, sharing: Option<Arc<Sharing>>) -> Self {
        Self { cluster: cluster.to_owned(), node, state, sharing }
    }

    /// Reads the nodes and the accounts of the cluster.
    pub(crate) async fn overview(&self) -> Result<Overview, StateError> {
        self.state.overview().await
    }

    /// Has a node give its accounts away and take no others, or take accounts again.
    pub(crate) async fn drain(&self, node: &str, is_draining: bool) -> Result<(), StateError> {
        self.state.drain(node, is_draining).await
    }
}
