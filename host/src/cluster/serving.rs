//! Hears the requests of other nodes, and answers a bounded number of them at once.

use std::io;
use std::sync::Arc;

use parlor_nats::{Asked, Inbox, Requests};
use tokio::sync::Mutex;

use crate::control::listening::Listening;

/// The task that hears requests.
pub(crate) struct Serving(Listening);

impl Serving {
    /// Begins to hear requests. Up to `most` are worked on at once; further ones wait.
    pub(crate) fn start<C>(requests: &Requests, most: usize, answer: impl Fn(Asked) -> C + Send + 'static) -> Self
    where
        C: Future<Output = ()> + Send + 'static,
    {
        let (requests, inbox) = (requests.clone(), Arc::new(Mutex::new(None)));
        let next = move || next(requests.clone(), Arc::clone(&inbox));
        let fault = "requests of other nodes of the cluster cannot be heard; this is tried again";
        Self(Listening::start(next, most, fault, answer))
    }

    /// Gives all requests up. When this returns, they hold nothing any more.
    pub(crate) async fn stop(self) {
        self.0.stop().await;
    }
}

/// Returns the next request. A call that is given up loses none.
async fn next(requests: Requests, inbox: Arc<Mutex<Option<Inbox>>>) -> io::Result<Asked> {
    let mut inbox = inbox.lock().await;
    if inbox.is_none() {
        *inbox = Some(requests.serve().await.map_err(io::Error::other)?);
    }
    let next = match &mut *inbox {
        Some(inbox) => inbox.next().await,
        None => None,
    };
    if next.is_none() {
        *inbox = None;
    }
    next.ok_or_else(|| io::Error::other("the connection to NATS has ended"))
}
