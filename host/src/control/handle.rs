//! The parts of the host that requests need, and the orders that they give it.

use std::sync::Arc;

use parlor_base::id::PluginId;
use tokio::sync::{mpsc, oneshot};

use super::lines::Lines;
use crate::host::Host;

/// The most orders that may be pending.
pub const ORDERS: usize = 16;

/// A command to the host from an authorized user.
#[derive(Debug)]
pub enum Order {
    /// Reload the configuration and the policy, and retry failed accounts.
    ReloadAll(oneshot::Sender<Result<(), String>>),
    /// Reload the policy.
    Reload(oneshot::Sender<Result<(), String>>),
    /// Restart this plugin. The answer is false if the plugin does not exist.
    Restart(PluginId, oneshot::Sender<bool>),
}

/// Gives the host an order, and waits until it is done. None: the host is being stopped.
pub(super) async fn ordered<T>(
    orders: &mpsc::Sender<Order>,
    order: impl FnOnce(oneshot::Sender<T>) -> Order,
) -> Option<T> {
    let (done, was_done) = oneshot::channel();
    orders.send(order(done)).await.ok()?;
    was_done.await.ok()
}

/// The parts of the host that the control socket needs.
#[derive(Clone)]
pub struct HostHandle {
    /// The host, for queries.
    pub host: Arc<Host>,
    /// The last lines of the log.
    pub lines: Lines,
    /// The queue of commands, which run one after the other.
    pub orders: mpsc::Sender<Order>,
}
