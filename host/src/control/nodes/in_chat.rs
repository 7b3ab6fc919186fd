//! The requests of an owner in a chat, at all nodes. The node with the account that the owner writes to asks the others.
//!
//! A person who is an owner of some accounts alone is named to the other nodes, which look at no other accounts then.

use std::collections::BTreeMap;

use hyper::{Method, StatusCode};
use jid::BareJid;
use parlor_base::escape::escape_untrusted;
use parlor_base::id::PluginId;
use parlor_session::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::merge::{self, Form};
use super::passed::Given;
use super::{LONGEST, Part, named, of_others};
use crate::control::request::{Request, Session};
use crate::control::views::{Failure, Plugin, Status};
use crate::host::Host;

/// Returns the state of all nodes, of which `own` is that of this one.
pub(in crate::control) async fn status(host: &Host, own: Status, owner: &BareJid) -> Status {
    merged(host, own, &request(Method::GET, &["v1", "status"], owner)).await
}

/// Returns a plugin in each of its places on all nodes, of which `own` are those of this one. Nodes that do not answer are left out.
pub(in crate::control) async fn plugin(host: &Host, own: Vec<Plugin>, id: &PluginId, owner: &BareJid) -> Vec<Plugin> {
    merged(host, own, &request(Method::GET, &["v1", "plugins", id.as_str()], owner)).await
}

/// Restarts a plugin on the other nodes. Returns a sentence for each node that may not have done it.
pub(in crate::control) async fn restart(host: &Host, id: &PluginId, owner: &BareJid) -> Vec<String> {
    let Some(member) = host.cluster.get() else { return Vec::new() };
    let restart = request(Method::POST, &["v1", "plugins", id.as_str(), "restart"], owner);
    let others = of_others(member, &restart, own_user()).await;
    others.into_iter().filter_map(undone).collect()
}

/// Returns why a node may not have restarted a plugin; none if it has, or has no such plugin.
fn undone(Part { node, given }: Part) -> Option<String> {
    match given {
        Ok(Given { status: StatusCode::OK | StatusCode::NOT_FOUND, .. }) => None,
        Ok(Given { body, .. }) => {
            let failure = serde_json::from_slice::<Failure>(&body);
            let reason = failure.map_or_else(|_| "its answer cannot be read".to_owned(), |failure| failure.error);
            Some(format!("node {node}: {reason}"))
        }
        Err(reason) => Some(reason),
    }
}

/// Returns what all nodes answer, of which `own` is the answer of this one.
async fn merged<T: Serialize + DeserializeOwned>(host: &Host, own: T, request: &Request) -> T {
    let Some(member) = host.cluster.get() else { return own };
    let Ok(body) = serde_json::to_vec(&own) else { return own };
    let given = Given { status: StatusCode::OK, body: body.into() };
    let part = Part { node: escape_untrusted(&member.node, LONGEST), given: Ok(given) };
    let others = of_others(member, request, own_user()).await;
    let config = host.config();
    let all = merge::merge(&Form::of(request), part, others, &|jids| named(&config, jids));
    all.ok().and_then(|all| all.read()).unwrap_or(own)
}

/// Returns a request of an owner in a chat.
fn request(method: Method, path: &[&str], owner: &BareJid) -> Request {
    Request {
        method,
        path: path.iter().map(|part| (*part).to_owned()).collect(),
        query: BTreeMap::new(),
        host: None,
        body: Secret::new(Vec::new()),
        by: Some(Session::of_chat(owner.clone())),
        passed_by: None,
    }
}

/// Returns the user that this host runs as: nobody asks by the control socket.
fn own_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::control::audit;
    use crate::control::nodes::passed;

    #[test]
    fn another_node_knows_which_owner_asks_and_records_that() {
        let owner: BareJid = "juliet@example.org".parse().unwrap();
        let sent = request(Method::POST, &["v1", "plugins", "echo", "restart"], &owner);
        let (read, uid) = passed::read(&passed::write(&sent, 1_000), "one").unwrap();
        assert_eq!((read.target().as_str(), &read.by), ("/v1/plugins/echo/restart", &Some(Session::of_chat(owner))));
        let by = audit::user(&read, uid);
        assert_eq!((by.who.as_str(), by.way.as_str()), ("jid:juliet@example.org", "chat at node one"));
    }

    #[test]
    fn a_node_that_may_not_have_restarted_a_plugin_is_named() {
        let given = |status, body: &serde_json::Value| Ok(Given { status, body: body.to_string().into() });
        let of = |given| undone(Part { node: "two".to_owned(), given });
        assert_eq!(of(given(StatusCode::OK, &json!({}))), None);
        assert_eq!(of(given(StatusCode::NOT_FOUND, &json!({ "error": "there is no plugin echo" }))), None);
        let busy = of(given(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": "the host stops" })));
        assert_eq!(busy.as_deref(), Some("node two: the host stops"));
        assert_eq!(of(Err("node two does not answer".to_owned())).as_deref(), Some("node two does not answer"));
    }
}
