//! The wishes that nodes give their accounts away. They stay until they are taken back: a node that starts again goes by them.

use serde::{Deserialize, Serialize};

use crate::error::StateError;
use crate::names;
use crate::state::{Decoded, FORMAT, State, check_node, check_shown, parse};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainRecord {
    format: u32,
    node: String,
    is_draining: bool,
}

/// Has all nodes of this name give their accounts away and take no others, or take accounts again.
pub(crate) async fn set(state: &State, node: &str, is_draining: bool) -> Result<(), StateError> {
    check_node(node)?;
    let subject = state.cluster.drain_subject(node);
    let record = DrainRecord { format: FORMAT, node: node.to_owned(), is_draining };
    let text = serde_json::to_string(&record).unwrap_or_default();
    state.overwrite(subject, text).await
}

/// Returns the name of the node that a record says is to be drained, if it can be shown.
pub(crate) fn drained(body: &[u8]) -> Option<String> {
    let DrainRecord { node, is_draining, .. } = parse(body).ok()?;
    (is_draining && check_shown(&node).is_ok()).then_some(node)
}

/// Reads a wish from its record.
pub(crate) fn decode(hash: &str, body: &[u8]) -> Result<Decoded, String> {
    let DrainRecord { node, is_draining, .. } = parse(body)?;
    if names::hash(&node) != hash {
        return Err("it names another node than its subject".to_owned());
    }
    Ok(Decoded::Drain(hash.to_owned(), is_draining))
}
