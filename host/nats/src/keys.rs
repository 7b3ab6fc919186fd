//! Whether all nodes of a cluster have the same keys: the first node leaves a text that is encrypted with its key, and others open it.
//!
//! Otherwise a node with another key would take accounts over whose logs are empty, and no other node could go on with them.

use async_nats::HeaderMap;
use parlor_cluster::Revision;
use serde::{Deserialize, Serialize};

use crate::answer::ANSWER;
use crate::connect::Link;
use crate::error::{PutError, StateError};
use crate::names::Cluster;
use crate::seal::{OpenError, key_of};
use crate::shared;
use crate::state::{FORMAT, last_in_the_state, parse};

/// How often the text is looked at anew that somebody else has just written.
const ATTEMPTS: usize = 3;
/// The error of a stream that does not exist.
const NO_STREAM: u32 = 10_059;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRecord {
    format: u32,
    /// An empty text, encrypted; in hexadecimal.
    sealed: String,
}

/// The text that is there, if this node has its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// There is none: no node has been there.
    Nothing,
    /// The first key of this node encrypted it.
    First,
    /// Another key of this node encrypted it. It has this revision.
    Earlier(Revision),
}

/// Checks that this node has the key of the cluster, or leaves its own if no node has been there. The streams must be
/// [prepared](crate::prepare). If the cluster has an earlier key of this node, the first one takes its place, also in the record
/// of what the nodes share.
pub async fn agree_on_keys(link: &Link, cluster: &Cluster) -> Result<(), StateError> {
    let (stream, name) = (cluster.state_stream(), cluster.to_string());
    let mut attempts = 1..ATTEMPTS;
    loop {
        let expected = match find(link, cluster).await? {
            Found::First => break,
            Found::Nothing => 0,
            Found::Earlier(revision) => revision,
        };
        let sealed = hex::encode(cluster.keys().seal_check(&name).ok_or(PutError::TooLarge)?);
        let text = serde_json::to_vec(&KeyRecord { format: FORMAT, sealed }).unwrap_or_default();
        let put = link.put(&stream, cluster.keys_subject(), expected, HeaderMap::new(), text.into(), ANSWER);
        match put.await {
            Ok(_) => break,
            Err(PutError::Refused) if attempts.next().is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
    // A node whose first key is an earlier one may have written it since another node was here.
    shared::reseal(link, cluster).await
}

/// Returns whether NATS has nothing of the cluster: no node and no command has been there. Fails if this host does not have the key of
/// the cluster. It writes nothing.
pub async fn is_unused(link: &Link, cluster: &Cluster) -> Result<bool, StateError> {
    Ok(find(link, cluster).await? == Found::Nothing)
}

/// Looks whether this node has the key of the cluster. It writes nothing.
pub(crate) async fn find(link: &Link, cluster: &Cluster) -> Result<Found, StateError> {
    let subject = cluster.keys_subject();
    let stored = match last_in_the_state(link, cluster, &subject).await {
        Ok(Some(stored)) => stored,
        Ok(None) | Err(StateError::Put(PutError::Server { code: NO_STREAM, .. })) => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let revision = stored.revision;
    let unreadable = |cause| StateError::Unreadable { subject: subject.clone(), revision, cause };
    let KeyRecord { sealed, .. } = parse(&stored.body).map_err(unreadable)?;
    let sealed = hex::decode(&sealed).map_err(|error| unreadable(error.to_string()))?;
    let is_first = key_of(&sealed) == Some(cluster.keys().first());
    let name = cluster.to_string();
    match cluster.keys().open_check(&name, sealed) {
        Ok(()) => Ok(if is_first { Found::First } else { Found::Earlier(revision) }),
        Err(OpenError::Key(found)) => Err(StateError::Key { cluster: name, found }),
        Err(OpenError::Changed) => Err(unreadable("it does not decrypt".to_owned())),
    }
}
