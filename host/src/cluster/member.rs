//! The cluster, as the control socket shows and changes it.

use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use parlor_nats::{Away, NodeHealth, Overview, Requests, State, StateError, Topic};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::Instant;

use super::failing::Failing;
use super::sharing::Sharing;

/// For how long the names of the nodes count that were read: `parlor top` asks each second, and strangers more often.
const FRESH: Duration = Duration::from_secs(1);
/// The most searches for webhooks at once.
const SEARCHES: usize = 8;

/// The cluster that the host is a node of.
#[derive(Debug)]
pub(crate) struct Member {
    /// The name of the cluster.
    pub(crate) cluster: String,
    /// The name of this node.
    pub(crate) node: String,
    state: State,
    /// Share its accounts and its plugins; none if it goes by its own.
    pub(super) sharing: Vec<Arc<Sharing>>,
    /// The report of the node about itself and the cluster.
    health: watch::Receiver<NodeHealth>,
    /// The accounts that it could not start.
    pub(crate) failing: Arc<Failing>,
    requests: Requests,
    webhooks: Requests,
    /// The places of searches for webhooks on other nodes.
    searches: Semaphore,
    /// The names of the nodes when they were read last.
    nodes: Mutex<Option<(Instant, Vec<String>)>>,
}

impl Member {
    pub(super) fn new(
        cluster: &str,
        node: String,
        state: State,
        sharing: Vec<Arc<Sharing>>,
        health: watch::Receiver<NodeHealth>,
        failing: Arc<Failing>,
    ) -> Self {
        let requests = |topic| Requests::new(&state, &node, topic);
        let (requests, webhooks) = (requests(Topic::Control), requests(Topic::Webhooks));
        Self {
            cluster: cluster.to_owned(),
            node,
            state,
            sharing,
            health,
            failing,
            requests,
            webhooks,
            searches: Semaphore::new(SEARCHES),
            nodes: Mutex::default(),
        }
    }

    /// Reads the nodes and the accounts of the cluster.
    pub(crate) async fn overview(&self) -> Result<Overview, StateError> {
        self.state.overview().await
    }

    /// Returns what the node says of itself and the cluster.
    pub(crate) fn health(&self) -> NodeHealth {
        self.health.borrow().clone()
    }

    /// Returns how many of the files that it shares are not the present ones, or cannot be compared.
    pub(crate) fn files_behind(&self) -> usize {
        self.sharing.iter().filter(|sharing| sharing.is_behind()).count()
    }

    /// Returns the names of the nodes, as they were at most a second ago.
    pub(crate) async fn nodes(&self) -> Result<Vec<String>, StateError> {
        let mut nodes = self.nodes.lock().await;
        if let Some((at, names)) = &*nodes
            && at.elapsed() < FRESH
        {
            return Ok(names.clone());
        }
        let names = self.state.nodes().await?;
        *nodes = Some((Instant::now(), names.clone()));
        Ok(names)
    }

    /// Returns the name of the node that has this account, if one has.
    pub(crate) async fn holder(&self, jid: &BareJid) -> Result<Option<String>, StateError> {
        self.state.holder(jid.as_str()).await
    }

    /// Returns why no node may run this account, if so.
    pub(crate) async fn away(&self, jid: &BareJid) -> Result<Option<Away>, StateError> {
        self.state.away(jid.as_str()).await
    }

    /// Returns what this node asks others by about webhooks, and hears them.
    pub(crate) fn webhooks(&self) -> &Requests {
        &self.webhooks
    }

    /// Returns the places of searches for webhooks: anybody can ask for one that does not exist.
    pub(crate) fn searches(&self) -> &Semaphore {
        &self.searches
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
