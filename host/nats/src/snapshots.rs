//! Snapshots of accounts in an object store, so that logs stay short.
//!
//! The object is stored first, then named by a record of the log, and only then the records before it are removed. A
//! node that is killed in between leaves nothing but garbage, which the next snapshot of the account removes.
//!
//! The name of an object begins with the hash of its account. An object has one upload, which has its name: so what uploads left that were
//! given up is found by account.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::time::{sleep, timeout};

use crate::bucket::{Bucket, TRANSFER, Upload};
use crate::connect::Link;
use crate::error::SnapshotError;
use crate::names::{self, Cluster};
use crate::record::{Kind, MOST_IN_A_SNAPSHOT, Position, Record};
use crate::seal::{OVERHEAD, OpenError};

/// How often a snapshot is asked for that is not there, and how long between: a server that has just begun to lead may not have it yet.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);
/// How many objects of an account are looked at when garbage is removed. The rest has its turn the next time.
const MOST_OBJECTS: usize = 1_000;

/// A snapshot, as a record names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// The name of the object.
    name: String,
    /// The digest of its encrypted bytes, in hexadecimal.
    sha256: String,
    /// The last record that it includes.
    revision: u64,
    number: u64,
}

impl Snapshot {
    /// Returns the snapshot that a record names, if it names one.
    pub fn of(record: &Record) -> Result<Option<Self>, SnapshotError> {
        let names_one = match record.kind {
            Kind::Snapshot => true,
            Kind::Anew => !record.body.is_empty(),
            Kind::Fence | Kind::Part | Kind::Change => false,
        };
        if !names_one {
            return Ok(None);
        }
        let unknown = || SnapshotError::Name(String::from_utf8_lossy(&record.body).chars().take(64).collect());
        let snapshot: Self = serde_json::from_slice(&record.body).map_err(|_| unknown())?;
        // It cannot include records that came after it.
        if snapshot.revision >= record.revision || snapshot.number >= record.number {
            return Err(unknown());
        }
        Ok(Some(snapshot))
    }

    /// Returns the body of the record that names it.
    pub(crate) fn body(&self) -> Bytes {
        // There is nothing in it that JSON cannot have.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Returns the last record that it includes.
    pub fn up_to(&self) -> Position {
        Position { revision: self.revision, number: self.number }
    }
}

/// The object store of a cluster's snapshots.
#[derive(Clone)]
pub struct Snapshots {
    bucket: Bucket,
    cluster: Cluster,
}

impl Snapshots {
    /// Creates the object store, or checks it if it is there.
    pub async fn open(link: &Link, cluster: &Cluster) -> Result<Self, SnapshotError> {
        let bucket = Bucket::open(link, cluster.snapshots()).await?;
        Ok(Self { bucket, cluster: cluster.clone() })
    }

    /// Encrypts and stores an account's state as it is after the record `up_to`. It counts once a record of the log names it.
    pub(crate) async fn store(
        &self,
        account: &str,
        up_to: Position,
        mut state: Vec<u8>,
    ) -> Result<Snapshot, SnapshotError> {
        let size = state.len();
        if size > MOST_IN_A_SNAPSHOT {
            return Err(SnapshotError::TooLarge { size });
        }
        let sealed = self.cluster.seal(account).snapshot(up_to, &mut state);
        let (head, tag) = sealed.ok_or(SnapshotError::TooLarge { size })?;
        let pieces: [&[u8]; 3] = [&head, &state, &tag];
        let digest = pieces.iter().fold(Sha256::new(), Sha256::chain_update).finalize();
        let sha256 = hex::encode(digest);
        let name = format!("{}.{}.{sha256}", names::hash(account), up_to.revision);
        let upload = Upload { name: &name, id: &name, sha256: &digest };
        let uploaded = self.bucket.upload(upload, &pieces).await;
        match uploaded {
            Ok(()) => Ok(Snapshot { name, sha256, revision: up_to.revision, number: up_to.number }),
            Err(cause) => Err(self.failure(name, cause).await),
        }
    }

    /// Returns the error of a request that has failed. If the object store is gone from NATS, it is created again.
    async fn failure(&self, name: String, cause: String) -> SnapshotError {
        match self.bucket.create_again().await {
            Some(error) => error.into(),
            None => SnapshotError::Server { name, cause },
        }
    }

    /// Removes a snapshot that another took the place of. If that fails, it is garbage, and does no harm.
    pub(crate) async fn forget(&self, snapshot: &Snapshot) {
        _ = self.remove(&snapshot.name).await;
    }

    /// Removes an object, or what there is of one that was not uploaded to its end.
    async fn remove(&self, name: &str) -> Result<(), SnapshotError> {
        let failed = |cause| SnapshotError::Server { name: name.to_owned(), cause };
        let upload = self.bucket.remove(name).await.map_err(failed)?;
        // An upload has the name of its snapshot. Its parts are gone with the object, if there was one of them.
        if upload.is_some_and(|upload| upload == name) {
            return Ok(());
        }
        self.bucket.remove_parts(name).await.map_err(failed)
    }

    /// Removes all snapshots of an account, also those that no record names and what uploads left that were given up, except this
    /// one. If one cannot be removed, it fails: an owner who removes an account is told that nothing of it is left.
    pub(crate) async fn forget_all(&self, account: &str, but: Option<&Snapshot>) -> Result<(), SnapshotError> {
        for name in self.begun_of(account).await?.iter().filter(|name| but.is_none_or(|but| but.name != **name)) {
            self.remove(name).await?;
        }
        Ok(())
    }

    /// Removes what is left of snapshots of an account that include less than this one, which the log names: those that no record names,
    /// and what uploads left that were given up.
    ///
    /// A later holder, of which this one may not know yet, has all that is in this one. So nothing of that holder is removed.
    pub(crate) async fn forget_before(&self, account: &str, named: &Snapshot) -> Result<(), SnapshotError> {
        for name in self.begun_of(account).await? {
            if revision_in(&name).is_some_and(|revision| revision < named.revision) {
                _ = self.remove(&name).await;
            }
        }
        Ok(())
    }

    /// Returns the names of the objects of an account of which there are parts. Each object has one part at least.
    ///
    /// NATS finds these by the beginning of their subjects. It does not find the last messages of objects so, which have names in Base64:
    /// those of all accounts would have to be listed.
    async fn begun_of(&self, account: &str) -> Result<BTreeSet<String>, SnapshotError> {
        let prefix = format!("{}.", names::hash(account));
        let begun = self.bucket.begun(&prefix, MOST_OBJECTS).await;
        begun.map_err(|cause| SnapshotError::Server { name: prefix, cause })
    }

    /// Returns how many snapshots there are of an account, and the sum of their sizes.
    pub(crate) async fn sizes(&self, account: &str) -> Result<(usize, u64), SnapshotError> {
        let (mut count, mut bytes) = (0, 0_u64);
        for name in self.begun_of(account).await? {
            let described = self.bucket.described(&name).await;
            let described = described.map_err(|cause| SnapshotError::Server { name: name.clone(), cause })?;
            if let Some(object) = described.filter(|object| !object.deleted) {
                count += 1;
                bytes = bytes.saturating_add(u64::try_from(object.size).unwrap_or(u64::MAX));
            }
        }
        Ok((count, bytes))
    }

    /// Fetches and decrypts a snapshot of an account, and checks that it is the one that was stored.
    pub async fn fetch(&self, account: &str, snapshot: &Snapshot) -> Result<Vec<u8>, SnapshotError> {
        let name = &snapshot.name;
        let failed = |cause: String| SnapshotError::Server { name: name.clone(), cause };
        let fetched = timeout(TRANSFER, self.read(name)).await;
        let sealed = fetched.map_err(|_| failed("it took too long".to_owned()))??;
        let changed = || SnapshotError::Changed { name: name.clone() };
        if hex::encode(Sha256::digest(&sealed)) != snapshot.sha256 {
            return Err(changed());
        }
        let opened = self.cluster.seal(account).open_snapshot(snapshot.up_to(), sealed);
        opened.map_err(|error| match error {
            OpenError::Key(key) => SnapshotError::Key { name: name.clone(), key },
            OpenError::Changed => changed(),
        })
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>, SnapshotError> {
        let mut attempts = 1..ATTEMPTS;
        let object = loop {
            match Box::pin(self.bucket.object(name)).await {
                Ok(Some(object)) => break object,
                Ok(None) if attempts.next().is_some() => sleep(PAUSE).await,
                Ok(None) => return Err(SnapshotError::Missing { name: name.to_owned() }),
                Err(cause) => return Err(self.failure(name.to_owned(), cause).await),
            }
        };
        let state = Box::pin(self.bucket.read(&object, MOST_IN_A_SNAPSHOT + OVERHEAD)).await;
        state.map_err(|cause| SnapshotError::Server { name: name.to_owned(), cause })
    }
}

/// Returns the last record that the snapshot of this name includes.
fn revision_in(name: &str) -> Option<u64> {
    name.split('.').nth(1)?.parse().ok()
}

impl std::fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshots")
    }
}
