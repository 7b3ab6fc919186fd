//! The host as a node of a cluster, if its configuration says so.

use std::sync::Arc;

#[cfg(feature = "cluster")]
use parlor::cluster::Cluster;
use parlor::host::Host;

/// A node, or nothing.
pub(super) struct Node {
    #[cfg(feature = "cluster")]
    cluster: Option<Cluster>,
}

#[cfg(feature = "cluster")]
impl Node {
    /// Makes the host a node.
    pub(super) async fn start(host: &Arc<Host>) -> anyhow::Result<Self> {
        Ok(Self { cluster: Cluster::start(host).await? })
    }

    /// Returns when the node has ended without being told to.
    pub(super) async fn over(&self) {
        match &self.cluster {
            Some(cluster) => cluster.over().await,
            None => std::future::pending().await,
        }
    }

    /// Gives all accounts to other nodes.
    pub(super) async fn leave(self) {
        if let Some(cluster) = self.cluster {
            cluster.leave().await;
        }
    }
}

#[cfg(not(feature = "cluster"))]
#[expect(clippy::unused_async, reason = "as with the feature")]
impl Node {
    /// A host whose configuration names a cluster does not start.
    pub(super) async fn start(_: &Arc<Host>) -> anyhow::Result<Self> {
        Ok(Self {})
    }

    pub(super) async fn over(&self) {
        std::future::pending::<()>().await;
    }

    pub(super) async fn leave(self) {}
}

/// Shares the plugins with the other nodes, after the owner had the host read its files.
#[cfg(feature = "cluster")]
pub(super) async fn share(host: &Host) -> Result<(), String> {
    parlor::cluster::reloaded(host).await.map_err(|error| error.to_string())
}

#[cfg(not(feature = "cluster"))]
pub(super) async fn share(_: &Host) -> Result<(), String> {
    Ok(())
}

/// Has the plugins shared with the other nodes soon, after the host has read a file that was changed.
#[cfg(feature = "cluster")]
pub(super) fn share_if_changed(host: &Host) {
    parlor::cluster::read_again(host);
}

#[cfg(not(feature = "cluster"))]
pub(super) fn share_if_changed(_: &Host) {}

/// Returns whether a library that logs under this target sees what accounts keep.
#[cfg(feature = "cluster")]
pub(super) fn sees_records(target: &str) -> bool {
    parlor::cluster::sees_records(target)
}

#[cfg(not(feature = "cluster"))]
pub(super) fn sees_records(_: &str) -> bool {
    false
}
