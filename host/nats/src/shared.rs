//! What the nodes of a cluster share: a text, which has versions, and the files that it names by their digests.
//!
//! A record of the cluster's state names the present version. It is written by compare-and-swap, after the text and all
//! files are in an object store, where each has its digest as its name. Whatever comes from there is compared with its
//! digest before anybody gets it. The record is sealed with the key of the cluster, so that nobody else decides what the nodes
//! share. This module does not know what the text says.

mod error;
mod objects;
mod record;

use std::collections::BTreeSet;
use std::fmt;

use async_nats::HeaderMap;
use parlor_base::id::Digest;
use parlor_cluster::Revision;

use crate::answer::Stored;
use crate::connect::Link;
use crate::error::{PutError, StateError};
use crate::names::Cluster;
use crate::seal::KeyId;
use crate::state::{ANSWER, State, check_node, last_in_the_state};
use crate::watch::Watch;

use objects::Objects;
use record::NodeRecord;

pub use error::{Forgery, SharedError};
pub(crate) use record::{Decoded, decode};

/// The largest text, in bytes.
pub const MOST_IN_A_TEXT: usize = 16 << 20;
/// The largest file, in bytes.
pub const MOST_IN_A_FILE: usize = 64 << 20;

/// How often a record is sealed anew that somebody else changed at the same time.
const ATTEMPTS: usize = 3;

/// A version of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The place of its record.
    pub revision: Revision,
    /// Its number: one more than that of the version before.
    pub number: u64,
    /// The digest of the text.
    pub digest: Digest,
    /// The node that wrote it.
    pub node: String,
    /// The version of parlor there.
    pub release: String,
}

/// The place of a new version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The place of the record that it replaces; 0 if there is none.
    pub after: Revision,
    /// Its number: one more than that of the version before. A node that has had a higher one refuses it.
    pub number: u64,
}

impl Next {
    /// Returns the place after a version; none = that of the first one.
    pub fn of(before: Option<&Version>) -> Self {
        before.map_or(Self { after: 0, number: 1 }, |one| Self { after: one.revision, number: one.number + 1 })
    }
}

/// What a node says of the version that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The record of the version; none if the node has none.
    pub revision: Option<Revision>,
    /// The number of the version.
    pub number: Option<u64>,
    /// Why it does not have the present version, or not all of its files.
    pub trouble: Option<String>,
}

/// The shared text and files of a cluster.
#[derive(Clone)]
pub struct Shared {
    state: State,
    objects: Objects,
}

impl Shared {
    /// Creates the object store, unless it is there.
    pub async fn open(state: &State) -> Result<Self, SharedError> {
        Ok(Self { state: state.clone(), objects: Objects::open(&state.link, &state.cluster).await? })
    }

    /// Returns the present version, if there is one.
    pub async fn version(&self) -> Result<Option<Version>, SharedError> {
        let State { link, cluster } = &self.state;
        let Some(stored) = stored(link, cluster).await? else { return Ok(None) };
        record::version(cluster, stored.revision, &stored.body).map(Some)
    }

    /// Returns the text of a version.
    pub async fn text(&self, version: &Version) -> Result<String, SharedError> {
        let bytes = self.objects.get(&version.digest, MOST_IN_A_TEXT).await?;
        String::from_utf8(bytes).map_err(|_| SharedError::NoText { digest: version.digest })
    }

    /// Returns the file with this digest.
    pub async fn file(&self, digest: &Digest) -> Result<Vec<u8>, SharedError> {
        self.objects.get(digest, MOST_IN_A_FILE).await
    }

    /// Returns whether there is a file with this digest. Its bytes are not looked at.
    pub async fn has(&self, digest: &Digest) -> Result<bool, SharedError> {
        self.objects.has(digest).await
    }

    /// Stores a file, or a text before it is published.
    pub async fn keep(&self, bytes: &[u8]) -> Result<(), SharedError> {
        if bytes.len() > MOST_IN_A_FILE {
            return Err(SharedError::TooLarge { size: bytes.len(), most: MOST_IN_A_FILE });
        }
        self.objects.put(bytes).await
    }

    /// Makes a text the version at this place. The files that it names must be there. Returns `None` if another version came
    /// first.
    pub async fn publish(
        &self,
        text: &str,
        next: Next,
        node: &str,
        release: &str,
    ) -> Result<Option<Version>, SharedError> {
        check_node(node)?;
        if text.len() > MOST_IN_A_TEXT {
            return Err(SharedError::TooLarge { size: text.len(), most: MOST_IN_A_TEXT });
        }
        self.keep(text.as_bytes()).await?;
        let (digest, node, release) = (Digest::of(text.as_bytes()), node.to_owned(), release.to_owned());
        let version = Version { revision: 0, number: next.number, digest, node, release };
        let cluster = &self.state.cluster;
        let body = record::encode(cluster, &version).ok_or(StateError::from(PutError::TooLarge))?;
        match self.state.put_text(cluster.shared_subject(), body, next.after, ANSWER).await {
            Ok(revision) => Ok(Some(Version { revision, ..version })),
            Err(PutError::Refused) => Ok(None),
            Err(error) => Err(StateError::from(error).into()),
        }
    }

    /// Removes objects that are not in use. Those of the last hour stay: somebody may be about to publish a version with them.
    pub async fn clean(&self, used: &BTreeSet<Digest>) -> Result<(), SharedError> {
        self.objects.clean(used).await
    }

    /// Tells the others which version a node has.
    pub async fn report(&self, node: &str, standing: &Standing) -> Result<(), SharedError> {
        check_node(node)?;
        let record = NodeRecord::new(node, standing);
        self.state.overwrite(self.state.cluster.shared_node_subject(node), record.encode()).await?;
        Ok(())
    }

    /// Watches for new versions.
    pub fn changes(&self) -> Changes {
        let State { link, cluster } = &self.state;
        Changes(Watch::of(link, cluster, cluster.shared_subject()))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// Returns the record of the present version as NATS has it.
async fn stored(link: &Link, cluster: &Cluster) -> Result<Option<Stored>, StateError> {
    last_in_the_state(link, cluster, &cluster.shared_subject()).await
}

/// Returns the key with which the record of the present version is sealed, if there is one.
pub(crate) async fn sealed_with(link: &Link, cluster: &Cluster) -> Result<Option<KeyId>, StateError> {
    Ok(stored(link, cluster).await?.and_then(|stored| record::key(&stored.body)))
}

/// Seals the record of the present version with the first key of this node, if another one of its keys sealed it. The version
/// stays the same.
pub(crate) async fn reseal(link: &Link, cluster: &Cluster) -> Result<(), StateError> {
    let mut attempts = 1..ATTEMPTS;
    loop {
        let Some(stored) = stored(link, cluster).await? else { return Ok(()) };
        if record::key(&stored.body) == Some(cluster.keys().first()) {
            return Ok(());
        }
        // One that does not open is refused, and reported, by those who need it.
        let Ok(version) = record::version(cluster, stored.revision, &stored.body) else { return Ok(()) };
        let body = record::encode(cluster, &version).ok_or(PutError::TooLarge)?;
        let (stream, subject) = (cluster.state_stream(), cluster.shared_subject());
        match link.put(&stream, subject, stored.revision, HeaderMap::new(), body.into(), ANSWER).await {
            Ok(_) => return Ok(()),
            // It is another one now.
            Err(PutError::Refused) if attempts.next().is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Tells when there may be a new version.
pub struct Changes(Watch);

impl Changes {
    /// Waits until there may be one. A call that is given up loses nothing.
    pub async fn next(&mut self) {
        self.0.next().await;
    }
}
