//! The connections over which threads of accounts ask whether NATS answers, one for each thread.
//!
//! A question over the connection of the stores wakes up the thread of that connection twice, and the thread of the account once
//! more. Over a connection that its own thread has, a question wakes up no other thread.
//!
//! Only reads are asked for like this: with several replicas, all questions of a node keep a pace together.
//!
//! Such a connection must lead to the server of the stores. If that one hangs or is cut off, an answer of another server would let an
//! account do what it cannot note until the node has lost its lease.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::{Handle, Id, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::connect::Link;
use crate::names::Cluster;
use crate::pulse::{Question, Route, Waiter, ask};

/// How long after a failure, or after it has reached another server than that of the stores, a thread tries again to connect.
const RETRY: Duration = Duration::from_secs(30);

/// The connections of the threads of a node.
#[derive(Debug)]
pub(crate) struct ThreadLinks {
    /// The connection of the stores.
    stores: Link,
    cluster: Cluster,
    /// How long the last answer counts.
    fresh_until: Arc<AtomicU64>,
    /// The runtime of the connection of the stores.
    home: Id,
    /// The runtimes that have asked; `None` for one that has no connection yet. Held for moments only.
    asking: Mutex<HashMap<Id, Option<mpsc::UnboundedSender<Waiter>>>>,
}

impl ThreadLinks {
    /// Creates them without any. Must be called on the runtime of the connection of the stores.
    pub(crate) fn new(stores: &Link, cluster: &Cluster, fresh_until: &Arc<AtomicU64>) -> Self {
        Self {
            stores: stores.clone(),
            cluster: cluster.clone(),
            fresh_until: Arc::clone(fresh_until),
            home: Handle::current().id(),
            asking: Mutex::default(),
        }
    }

    /// Asks over the connection of this thread. If the thread has none, `waiter` is returned. If the thread is also the only one of its
    /// runtime, as those of accounts are, it gets a connection for its later questions.
    pub(crate) fn ask(self: &Arc<Self>, waiter: Waiter) -> Result<(), Waiter> {
        let Ok(runtime) = Handle::try_current() else { return Err(waiter) };
        let id = runtime.id();
        if id == self.home || runtime.runtime_flavor() != RuntimeFlavor::CurrentThread {
            return Err(waiter);
        }
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        match asking.get(&id) {
            Some(Some(waiting)) => {
                let Err(unsent) = waiting.send(waiter) else { return Ok(()) };
                // The runtime has ended. A later one may have its number.
                asking.remove(&id);
                Err(unsent.0)
            }
            Some(None) => Err(waiter),
            None => {
                asking.insert(id, None);
                runtime.spawn(serve(Arc::downgrade(self), id));
                Err(waiter)
            }
        }
    }
}

/// Connects, and asks over that connection until nobody can ask any more.
async fn serve(links: Weak<ThreadLinks>, id: Id) {
    let Some(route) = connected(&links).await else { return };
    let (waiting, inbox) = mpsc::unbounded_channel();
    let Some(all) = links.upgrade() else { return };
    all.asking.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Some(waiting));
    let (cluster, fresh_until) = (all.cluster.clone(), Arc::clone(&all.fresh_until));
    // The questions end with the last of those that can ask.
    drop(all);
    ask(route, cluster, Question::Read, inbox, fresh_until).await;
}

/// Connects this thread, and tries again after each failure. Returns `None` once nobody can ask any more.
async fn connected(links: &Weak<ThreadLinks>) -> Option<Route> {
    loop {
        let stores = links.upgrade()?.stores.clone();
        let made = stores.again().await;
        match made {
            Ok(thread) if thread.shares_server(&stores) => return Some(Route { stores, thread: Some(thread) }),
            Ok(_) => tracing::debug!("a thread of accounts has reached another server of NATS than the stores"),
            Err(error) => tracing::debug!(%error, "a thread of accounts asks over the connection of the stores"),
        }
        drop(stores);
        sleep(RETRY).await;
    }
}
