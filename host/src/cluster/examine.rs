//! Examines the keys of a node and NATS, for an owner who looks for problems.

use parlor_config::Cluster;
use parlor_nats::{Examined, KeyId, Link};

use super::connecting::{self, ClusterStartError};

/// Reads the keys of a cluster, and returns their ids. The first one encrypts.
pub async fn key_ids(section: &Cluster) -> Result<Vec<KeyId>, ClusterStartError> {
    Ok(connecting::keys(&section.key).await?.ids().collect())
}

/// Looks at NATS as a node of this cluster does. It writes nothing there.
pub async fn examine(section: &Cluster) -> Result<Examined, ClusterStartError> {
    let (settings, cluster) = connecting::settings(section).await?;
    let link = Link::connect(&settings).await?;
    Ok(parlor_nats::examine(&link, &cluster).await?)
}
