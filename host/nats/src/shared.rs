//! The texts and files that the nodes of a cluster share. A text has versions, and names files by their digests.
//!
//! A record of the cluster's state names the present version of a text. It is written by compare-and-swap, after the text and all
//! files are in an object store, where each has its digest as its name. Each file that comes from there is compared
//! with its digest before anybody gets it. The record and the text are sealed with the key of the cluster, so that nobody else decides
//! what the nodes share, or reads the text. This module does not know what a text says.

mod error;
mod objects;
mod record;

use std::collections::BTreeSet;
use std::fmt;

use async_nats::HeaderMap;
use parlor_base::id::Digest;
use parlor_cluster::Revision;

use crate::answer::{ANSWER, Stored};
use crate::connect::Link;
use crate::error::{PutError, StateError};
use crate::names::Cluster;
use crate::seal::{KeyId, OVERHEAD, OpenError, What};
use crate::shared_text::SharedText;
use crate::state::{State, check_node, last_in_the_state};
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
    /// The digest of the object that has the text, encrypted.
    pub object: Digest,
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

/// The state of a node's copy of a shared text, as that node reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The record of the version; none if the node has none.
    pub revision: Option<Revision>,
    /// The number of the version.
    pub number: Option<u64>,
    /// Why it does not have the present version, or not all of its files.
    pub trouble: Option<String>,
}

/// A shared text of a cluster, and the shared files.
#[derive(Clone)]
pub struct Shared {
    state: State,
    of: SharedText,
    objects: Objects,
}

impl Shared {
    /// Creates the object store, unless it is there.
    pub async fn open(state: &State, of: SharedText) -> Result<Self, SharedError> {
        Ok(Self { state: state.clone(), of, objects: Objects::open(&state.link, &state.cluster).await? })
    }

    /// Returns the same for another text. It uses the same object store.
    #[must_use]
    pub fn about(&self, of: SharedText) -> Self {
        Self { of, ..self.clone() }
    }

    /// Returns the text that this is about.
    pub fn of(&self) -> SharedText {
        self.of
    }

    /// Returns the present version, if there is one.
    pub async fn version(&self) -> Result<Option<Version>, SharedError> {
        present(&self.state.link, &self.state.cluster, self.of).await
    }

    /// Returns the text of a version.
    pub async fn text(&self, version: &Version) -> Result<String, SharedError> {
        text(&self.objects, &self.state.cluster, self.of, version).await
    }

    /// Returns whether the text of a version is there. Its bytes are not looked at.
    pub async fn has_text(&self, version: &Version) -> Result<bool, SharedError> {
        self.objects.has(&version.object).await
    }

    /// Returns the file with this digest.
    pub async fn file(&self, digest: &Digest) -> Result<Vec<u8>, SharedError> {
        self.objects.get(digest, MOST_IN_A_FILE).await
    }

    /// Returns whether there is a file with this digest. Its bytes are not looked at.
    pub async fn has(&self, digest: &Digest) -> Result<bool, SharedError> {
        self.objects.has(digest).await
    }

    /// Stores a file.
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
        let cluster = &self.state.cluster;
        let object = keep_sealed(&self.objects, cluster, self.of, text).await?;
        let (digest, node, release) = (Digest::of(text.as_bytes()), node.to_owned(), release.to_owned());
        let version = Version { revision: 0, number: next.number, digest, object, node, release };
        let body = record::encode(cluster, self.of, &version).ok_or(StateError::from(PutError::TooLarge))?;
        match self.state.put_text(cluster.shared_subject(self.of), body, next.after, ANSWER).await {
            Ok(revision) => Ok(Some(Version { revision, ..version })),
            Err(PutError::Refused) => Ok(None),
            Err(error) => Err(StateError::from(error).into()),
        }
    }

    /// Removes files that are not in use, texts that no present version has, and what uploads left that were given up. Those of the
    /// last hour stay: somebody may be about to publish a version with them.
    ///
    /// The version with this record uses these files; 0 means that there is none. It ends once another version counts, which may use
    /// others.
    pub async fn clean(&self, revision: Revision, used: &BTreeSet<Digest>) -> Result<(), SharedError> {
        self.clean_as_of(self.state.time_of_nats().await?, revision, used).await
    }

    pub(crate) async fn clean_as_of(
        &self,
        now: u64,
        revision: Revision,
        used: &BTreeSet<Digest>,
    ) -> Result<(), SharedError> {
        let mut used = used.clone();
        for of in SharedText::ALL {
            let version = present(&self.state.link, &self.state.cluster, of).await?;
            used.extend(version.map(|version| version.object));
        }
        for name in self.objects.unused(&used, now).await? {
            if self.version().await?.map_or(0, |version| version.revision) != revision {
                return Ok(());
            }
            self.objects.remove(&name).await?;
        }
        self.objects.remove_given_up(now).await
    }

    /// Tells the others which version a node has.
    pub async fn report(&self, node: &str, standing: &Standing) -> Result<(), SharedError> {
        check_node(node)?;
        let record = NodeRecord::new(node, standing);
        self.state.overwrite(self.state.cluster.shared_node_subject(self.of, node), record.encode()).await?;
        Ok(())
    }

    /// Watches for new versions.
    pub fn changes(&self) -> Changes {
        let State { link, cluster } = &self.state;
        Changes(Watch::of(link, cluster, cluster.shared_subject(self.of)))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// Returns the record of the present version of a text as NATS has it.
async fn stored(link: &Link, cluster: &Cluster, of: SharedText) -> Result<Option<Stored>, StateError> {
    last_in_the_state(link, cluster, &cluster.shared_subject(of)).await
}

async fn present(link: &Link, cluster: &Cluster, of: SharedText) -> Result<Option<Version>, SharedError> {
    let Some(stored) = stored(link, cluster, of).await? else { return Ok(None) };
    record::version(cluster, of, stored.revision, &stored.body).map(Some)
}

/// Encrypts a text and stores it. Returns the digest of its object.
async fn keep_sealed(objects: &Objects, cluster: &Cluster, of: SharedText, text: &str) -> Result<Digest, SharedError> {
    let too_large = SharedError::TooLarge { size: text.len(), most: MOST_IN_A_TEXT };
    let sealed = cluster.seal_own(What::Text, &cluster.shared_subject(of), text.as_bytes()).ok_or(too_large)?;
    objects.put(&sealed).await?;
    Ok(Digest::of(&sealed))
}

/// Fetches and decrypts the text of a version, and checks that it is the one that the version names.
async fn text(objects: &Objects, cluster: &Cluster, of: SharedText, version: &Version) -> Result<String, SharedError> {
    let Version { revision, digest, object, .. } = *version;
    let subject = cluster.shared_subject(of);
    let sealed = objects.get(&object, MOST_IN_A_TEXT + OVERHEAD).await?;
    let opened = cluster.open_own(What::Text, &subject, sealed).map_err(|error| match error {
        OpenError::Key(key) => SharedError::Forged { subject, revision, cause: Forgery::Key(key) },
        OpenError::Changed => objects.changed(&object),
    })?;
    if Digest::of(&opened) != digest {
        return Err(objects.changed(&object));
    }
    String::from_utf8(opened).map_err(|_| SharedError::NoText { digest })
}

/// Returns the keys with which the records of the present versions are sealed.
pub(crate) async fn sealed_with(link: &Link, cluster: &Cluster) -> Result<Vec<KeyId>, StateError> {
    let mut keys = Vec::new();
    for of in SharedText::ALL {
        keys.extend(stored(link, cluster, of).await?.and_then(|stored| record::key(&stored.body)));
    }
    Ok(keys)
}

/// Seals the texts of the present versions and their records with the first key of this node, if another one of its keys sealed
/// them. The versions stay the same.
pub(crate) async fn reseal(link: &Link, cluster: &Cluster) -> Result<(), StateError> {
    for of in SharedText::ALL {
        reseal_one(link, cluster, of).await?;
    }
    Ok(())
}

async fn reseal_one(link: &Link, cluster: &Cluster, of: SharedText) -> Result<(), StateError> {
    let mut attempts = 1..ATTEMPTS;
    loop {
        let Some(stored) = stored(link, cluster, of).await? else { return Ok(()) };
        if record::key(&stored.body) == Some(cluster.keys().first()) {
            return Ok(());
        }
        // One that does not open is refused, and reported, by those who need it.
        let Ok(version) = record::version(cluster, of, stored.revision, &stored.body) else { return Ok(()) };
        // The record goes on naming the earlier key until the text does not need it any more.
        let object = match sealed_anew(link, cluster, of, &version).await {
            Ok(object) => object,
            Err(SharedError::State(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "{} still needs an earlier key of the cluster", of.name());
                return Ok(());
            }
        };
        let version = Version { object, ..version };
        let body = record::encode(cluster, of, &version).ok_or(PutError::TooLarge)?;
        let (stream, subject) = (cluster.state_stream(), cluster.shared_subject(of));
        match link.put(&stream, subject, stored.revision, HeaderMap::new(), body.into(), ANSWER).await {
            Ok(_) => return Ok(()),
            // It is another one now.
            Err(PutError::Refused) if attempts.next().is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Stores the text of a version once more, encrypted with the first key. Returns the digest of its object.
async fn sealed_anew(link: &Link, cluster: &Cluster, of: SharedText, version: &Version) -> Result<Digest, SharedError> {
    let objects = Objects::open(link, cluster).await?;
    let text = text(&objects, cluster, of, version).await?;
    keep_sealed(&objects, cluster, of, &text).await
}

/// Tells when there may be a new version.
pub struct Changes(Watch);

impl Changes {
    /// Waits until there may be one. A call that is given up loses nothing.
    pub async fn next(&mut self) {
        self.0.next().await;
    }
}
