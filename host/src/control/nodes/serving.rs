//! Carries out what other nodes of the cluster pass on.

use parlor_nats::Asked;

use super::passed::{self, Given};
use super::way;
use crate::cluster::Serving;
use crate::control::reach::requests::place_of_passed;
use crate::control::refusal::Refusal;
use crate::control::routes::Routes;

/// The most requests of other nodes at once; further ones are refused.
const REQUESTS: usize = 32;

/// Begins to hear other nodes, if the host is a node of a cluster.
pub(in crate::control) fn serve(routes: Routes) -> Option<Serving> {
    let requests = routes.handle.host.cluster.get()?.requests().clone();
    Some(Serving::start(&requests, REQUESTS, move |asked| converse(asked, routes.clone())))
}

/// Carries out a request, and answers it.
async fn converse(asked: Asked, routes: Routes) {
    // It could come again, and may be a command.
    if asked.is_question() {
        return asked
            .refuse("this is asked as a request; run the same version of parlor on all nodes".to_owned())
            .await;
    }
    let (node, body, withdrawn) = (asked.from.clone(), asked.body.clone(), asked.withdrawn());
    asked.answer(async move { Box::pin(carry_out(&routes, &node, &body, withdrawn)).await.write() }).await;
}

async fn carry_out(routes: &Routes, node: &str, body: &[u8], withdrawn: impl Future<Output = ()>) -> Given {
    let (request, uid) = match passed::read(body, node) {
        Ok((request, _)) if way::is_followed(&request) => {
            return Given::of(Err(Refusal::Value("a log is followed on its own node".to_owned()))).await;
        }
        Ok(read) => read,
        Err(refusal) => return Given::of(Err(refusal)).await,
    };
    // Held until there is an answer. Without it, the customers of a host could take all places of those who run it.
    let _place = match place_of_passed(&routes.handle.host, &request).await {
        Ok(place) => place,
        Err(refusal) => return Given::of(Err(refusal)).await,
    };
    if request.method == hyper::Method::POST {
        let (node, path) = (request.passed_by.as_deref(), request.path.join("/"));
        // A line with an account displaces lines of this account alone.
        tracing::info!(node, path, account = request.value("account"), "another node passes on a command of its owner");
    }
    // The far end of the client's connection: it closes when the client of the other node is gone.
    let (client, connection) = tokio::io::duplex(1);
    let answering = async { Given::of(routes.answer(request, client, uid).await).await };
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
