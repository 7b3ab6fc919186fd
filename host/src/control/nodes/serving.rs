//! Carries out what other nodes of the cluster pass on.

use std::io;
use std::sync::Arc;

use parlor_nats::{Asked, Inbox, Requests};
use tokio::sync::Mutex;

use super::passed::{self, Given};
use super::way;
use crate::control::listening::Listening;
use crate::control::refusal::Refusal;
use crate::control::routes::Routes;

/// The most requests of other nodes at once; further ones wait.
const REQUESTS: usize = 32;

/// Hears the requests of other nodes.
pub(in crate::control) struct Serving(Listening);

impl Serving {
    /// Begins to hear, if the host is a node of a cluster.
    pub(in crate::control) fn start(routes: &Routes) -> Option<Self> {
        let requests = routes.handle.host.cluster.get()?.requests().clone();
        let inbox = Arc::new(Mutex::new(None));
        let next = move || next(requests.clone(), Arc::clone(&inbox));
        let fault = "requests of other nodes of the cluster cannot be heard; this is tried again";
        let routes = routes.clone();
        Some(Self(Listening::start(next, REQUESTS, fault, move |asked| converse(asked, routes.clone()))))
    }

    /// Gives all requests up. When this returns, they hold nothing any more.
    pub(in crate::control) async fn stop(self) {
        self.0.stop().await;
    }
}

/// Returns the next request.
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

/// Carries out a request, and answers it.
async fn converse(asked: Asked, routes: Routes) {
    let (node, body, withdrawn) = (asked.from.clone(), asked.body.clone(), asked.withdrawn());
    asked.answer(async move { carry_out(&routes, &node, &body, withdrawn).await.write() }).await;
}

async fn carry_out(routes: &Routes, node: &str, body: &[u8], withdrawn: impl Future<Output = ()>) -> Given {
    let (request, uid) = match passed::read(body, node) {
        Ok((request, _)) if way::is_followed(&request) => {
            return Given::of(Err(Refusal::Value("a log is followed on its own node".to_owned()))).await;
        }
        Ok(read) => read,
        Err(refusal) => return Given::of(Err(refusal)).await,
    };
    if request.method == hyper::Method::POST {
        let (node, path) = (request.passed_by.as_deref(), request.path.join("/"));
        tracing::info!(node, path, "another node passes on a command of its owner");
    }
    // The far end of the client's connection: it closes when the client of the other node is gone.
    let (client, connection) = tokio::io::duplex(1);
    let answering = async { Given::of(routes.here(request, client, uid).await).await };
    let leaving = async {
        withdrawn.await;
        drop(connection);
        std::future::pending().await
    };
    tokio::select! {
        given = answering => given,
        given = leaving => given,
    }
}
