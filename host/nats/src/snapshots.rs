//! Snapshots of accounts in an object store, so that logs stay short.
//!
//! The object is stored first, then named by a record of the log, and only then the records before it are removed. A
//! node that is killed in between leaves nothing but garbage, which the next snapshot of the account removes.
//!
//! An object is uploaded here, and not by the library: that gives the parts of each upload a random subject, so nobody could tell which
//! parts belong to an upload that was given up.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::object_store::{
    Config, DeleteErrorKind, GetError, GetErrorKind, ObjectInfo, ObjectOptions, ObjectStore,
};
use async_nats::jetstream::stream::StorageType;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::time::{sleep, timeout};

use crate::connect::Link;
use crate::error::{SnapshotError, StreamError};
use crate::names::{self, Cluster};
use crate::record::{Kind, MOST_IN_A_SNAPSHOT, Position, Record};
use crate::seal::{OVERHEAD, OpenError};
use crate::streams::is_gone;

/// How long storing or fetching may take.
const TRANSFER: Duration = Duration::from_mins(1);
/// How often a snapshot is asked for that is not there, and how long between: a follower may not have it yet.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);
/// The largest part of an object, in bytes.
const PART: usize = 128 << 10;
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
    store: ObjectStore,
    link: Link,
    bucket: String,
    cluster: Cluster,
}

impl Snapshots {
    /// Creates the object store, unless it is there.
    pub async fn open(link: &Link, cluster: &Cluster) -> Result<Self, SnapshotError> {
        let (bucket, storage, num_replicas) = (cluster.snapshots(), StorageType::File, link.replicas);
        let config = Config { bucket: bucket.clone(), max_bytes: -1, storage, num_replicas, ..Config::default() };
        let store = link.jetstream.create_object_store(config).await;
        let failed = |cause: String| SnapshotError::Server { name: bucket.clone(), cause };
        let store = store.map_err(|error| failed(error.to_string()))?;
        Ok(Self { store, link: link.clone(), bucket, cluster: cluster.clone() })
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
        let parts = [Bytes::copy_from_slice(&head), Bytes::from(state), Bytes::copy_from_slice(&tag)];
        let digest = parts.iter().fold(Sha256::new(), Sha256::chain_update).finalize();
        let (sha256, written) = (hex::encode(digest), format!("SHA-256={}", URL_SAFE.encode(digest)));
        let name = format!("{}.{}.{sha256}", names::hash(account), up_to.revision);
        let cause = match timeout(TRANSFER, self.upload(&name, parts, written)).await {
            Ok(Ok(())) => return Ok(Snapshot { name, sha256, revision: up_to.revision, number: up_to.number }),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        let failure = self.failure(name.clone(), cause).await;
        // Otherwise the parts that have arrived would stay at least until the next snapshot.
        self.remove(&name).await;
        Err(failure)
    }

    /// Returns the error of a request that has failed. If the stream of the object store is gone from NATS, it is created again.
    async fn failure(&self, name: String, cause: String) -> SnapshotError {
        let stream = self.stream();
        if !is_gone(&self.link, &stream).await {
            return SnapshotError::Server { name, cause };
        }
        match Self::open(&self.link, &self.cluster).await {
            Ok(_) => StreamError::Gone { stream }.into(),
            Err(error) => error,
        }
    }

    /// Returns the name of the stream in which the object store is.
    fn stream(&self) -> String {
        format!("OBJ_{}", self.bucket)
    }

    /// Uploads an object. Its parts have its name in their subject, and nothing but the last message makes an object of them.
    async fn upload(&self, name: &str, parts: [Bytes; 3], digest: String) -> Result<(), PublishError> {
        let subject = self.parts_subject(name);
        let (mut chunks, mut size) = (0, 0);
        for mut rest in parts {
            while !rest.is_empty() {
                let part = rest.split_to(rest.len().min(PART));
                (chunks, size) = (chunks + 1, size + part.len());
                self.link.jetstream.publish(subject.clone(), part).await?.await?;
            }
        }
        let info = ObjectInfo {
            name: name.to_owned(),
            description: None,
            metadata: HashMap::new(),
            headers: None,
            options: Some(ObjectOptions { link: None, max_chunk_size: Some(PART) }),
            bucket: self.bucket.clone(),
            nuid: name.to_owned(),
            size,
            chunks,
            modified: None,
            digest: Some(digest),
            deleted: false,
        };
        // There is nothing in it that JSON cannot have.
        let info = serde_json::to_vec(&info).unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(NATS_ROLLUP, "sub");
        self.link.jetstream.publish_with_headers(self.end_subject(name), headers, info.into()).await?.await?;
        Ok(())
    }

    /// Returns the subject of the parts of an object.
    fn parts_subject(&self, name: &str) -> String {
        format!("$O.{}.C.{name}", self.bucket)
    }

    /// Returns the subject of the last message of an object, which describes it.
    fn end_subject(&self, name: &str) -> String {
        format!("$O.{}.M.{}", self.bucket, URL_SAFE.encode(name))
    }

    /// Removes a snapshot that another took the place of. If that fails, it is garbage, and does no harm.
    pub(crate) async fn forget(&self, snapshot: &Snapshot) {
        self.remove(&snapshot.name).await;
    }

    /// Removes an object, or what there is of one that was not uploaded to its end.
    async fn remove(&self, name: &str) {
        // An earlier version gave parts other subjects, which the library reads from the last message.
        if let Err(error) = self.store.delete(name).await
            && error.kind() != DeleteErrorKind::NotFound
        {
            return;
        }
        // A message is left that says so. It would stay for good, since no other snapshot has that name.
        self.purge(self.end_subject(name)).await;
        self.purge(self.parts_subject(name)).await;
    }

    async fn purge(&self, subject: String) {
        if let Ok(stream) = self.link.jetstream.get_stream_no_info(self.stream()).await {
            _ = stream.purge().filter(subject).await;
        }
    }

    /// Removes all snapshots of an account, also those that no record names and what uploads left that were given up, except this
    /// one.
    pub(crate) async fn forget_all(&self, account: &str, but: Option<&Snapshot>) -> Result<(), SnapshotError> {
        let mut names = self.begun_of(account).await?;
        names.extend(self.all_of(account).await?.into_iter().map(|(name, _)| name));
        for name in names.iter().filter(|name| but.is_none_or(|but| but.name != **name)) {
            self.remove(name).await;
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
                self.remove(&name).await;
            }
        }
        Ok(())
    }

    /// Returns the names of the objects of an account of which there are parts.
    async fn begun_of(&self, account: &str) -> Result<BTreeSet<String>, SnapshotError> {
        let (begin, hash) = (self.parts_subject(""), names::hash(account));
        let failed = |cause: String| SnapshotError::Server { name: format!("{hash}."), cause };
        let stream = self.link.jetstream.get_stream_no_info(self.stream()).await;
        let stream = stream.map_err(|error| failed(error.to_string()))?;
        let subjects = stream.info_with_subjects(format!("{begin}{hash}.>")).await;
        let mut subjects = subjects.map_err(|error| failed(error.to_string()))?.take(MOST_OBJECTS);
        let mut names = BTreeSet::new();
        while let Some(subject) = subjects.next().await {
            let (subject, _) = subject.map_err(|error| failed(error.to_string()))?;
            names.extend(subject.strip_prefix(&begin).map(str::to_owned));
        }
        Ok(names)
    }

    /// Returns how many snapshots there are of an account, and the sum of their sizes.
    pub(crate) async fn sizes(&self, account: &str) -> Result<(usize, u64), SnapshotError> {
        let all = self.all_of(account).await?;
        Ok((all.len(), all.iter().map(|(_, size)| size).sum()))
    }

    /// Returns the names and sizes of all snapshots of an account.
    async fn all_of(&self, account: &str) -> Result<Vec<(String, u64)>, SnapshotError> {
        let begin = format!("{}.", names::hash(account));
        let failed = |cause: String| SnapshotError::Server { name: begin.clone(), cause };
        let mut all = self.store.list().await.map_err(|error| failed(error.to_string()))?;
        let mut own = Vec::new();
        while let Some(object) = all.next().await {
            let object = object.map_err(|error| failed(error.to_string()))?;
            if !object.deleted && object.name.starts_with(&begin) {
                own.push((object.name, u64::try_from(object.size).unwrap_or(u64::MAX)));
            }
        }
        Ok(own)
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
        let failed = |cause: String| SnapshotError::Server { name: name.to_owned(), cause };
        let is_missing = |error: &GetError| error.kind() == GetErrorKind::NotFound;
        let mut attempts = 1..ATTEMPTS;
        let object = loop {
            match self.store.get(name).await {
                Ok(object) => break object,
                Err(error) if is_missing(&error) && attempts.next().is_some() => sleep(PAUSE).await,
                Err(error) if is_missing(&error) => return Err(SnapshotError::Missing { name: name.to_owned() }),
                Err(error) => return Err(self.failure(name.to_owned(), error.to_string()).await),
            }
        };
        let most = u64::try_from(MOST_IN_A_SNAPSHOT + OVERHEAD).unwrap_or(u64::MAX);
        let mut state = Vec::new();
        object.take(most + 1).read_to_end(&mut state).await.map_err(|error| failed(error.to_string()))?;
        Ok(state)
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
