//! The object store of shared files. The name of an object is the SHA-256 of its bytes.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::Context;
use async_nats::jetstream::object_store::{Config, GetErrorKind, InfoErrorKind, ObjectInfo, ObjectStore};
use async_nats::jetstream::stream::StorageType;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use parlor_base::id::Digest;
use tokio::io::AsyncReadExt as _;
use tokio::time::{sleep, timeout};

use super::SharedError;
use crate::connect::Link;
use crate::names::Cluster;

/// How long storing or fetching may take.
const TRANSFER: Duration = Duration::from_mins(1);
/// How long an object stays that is not in use.
const UNUSED: Duration = Duration::from_hours(1);
/// How often an object is asked for that is not there, and how long between: a follower may not have it yet.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);
/// How many objects are looked at when unused ones are removed. The rest has its turn the next time.
const MOST_OBJECTS: usize = 100_000;

#[derive(Clone)]
pub(super) struct Objects {
    store: ObjectStore,
    jetstream: Context,
    bucket: String,
}

impl Objects {
    pub(super) async fn open(link: &Link, cluster: &Cluster) -> Result<Self, SharedError> {
        let (bucket, storage, num_replicas) = (cluster.shared_bucket(), StorageType::File, link.replicas);
        let config = Config { bucket: bucket.clone(), max_bytes: -1, storage, num_replicas, ..Config::default() };
        let store = link.jetstream.create_object_store(config).await;
        let store = store.map_err(|error| SharedError::Server { bucket: bucket.clone(), cause: error.to_string() })?;
        Ok(Self { store, jetstream: link.jetstream.clone(), bucket })
    }

    fn failed(&self, cause: String) -> SharedError {
        SharedError::Server { bucket: self.bucket.clone(), cause }
    }

    /// Returns the error about an object that is not what was stored.
    pub(super) fn changed(&self, digest: &Digest) -> SharedError {
        SharedError::Changed { digest: *digest, bucket: self.bucket.clone() }
    }

    /// Waits for the server, but not for ever. The futures of the library are large.
    async fn within<T>(&self, doing: BoxFuture<'_, Result<T, SharedError>>) -> Result<T, SharedError> {
        timeout(TRANSFER, doing).await.unwrap_or_else(|_| Err(self.failed("it took too long".to_owned())))
    }

    pub(super) async fn has(&self, digest: &Digest) -> Result<bool, SharedError> {
        self.within(Box::pin(async {
            match self.store.info(digest.to_hex()).await {
                Ok(info) => Ok(is_whole(&info, digest)),
                Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(false),
                Err(error) => Err(self.failed(error.to_string())),
            }
        }))
        .await
    }

    pub(super) async fn put(&self, bytes: &[u8]) -> Result<(), SharedError> {
        let digest = Digest::of(bytes);
        if self.has(&digest).await? {
            return Ok(());
        }
        let mut rest = bytes;
        self.within(Box::pin(async {
            let stored = self.store.put(digest.to_hex().as_str(), &mut rest).await;
            stored.map(drop).map_err(|error| self.failed(error.to_string()))
        }))
        .await
    }

    /// Fetches an object, and checks that it is the one that was stored.
    pub(super) async fn get(&self, digest: &Digest, most: usize) -> Result<Vec<u8>, SharedError> {
        let (digest, bucket) = (*digest, self.bucket.clone());
        let mut attempts = 1..ATTEMPTS;
        let bytes = loop {
            match self.within(Box::pin(self.read(&digest, most))).await {
                Err(SharedError::Missing { .. }) if attempts.next().is_some() => sleep(PAUSE).await,
                read => break read?,
            }
        };
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(SharedError::Changed { digest, bucket }) }
    }

    async fn read(&self, digest: &Digest, most: usize) -> Result<Vec<u8>, SharedError> {
        let (digest, bucket) = (*digest, self.bucket.clone());
        let object = match self.store.get(digest.to_hex()).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => {
                return Err(SharedError::Missing { digest, bucket });
            }
            Err(error) => return Err(self.failed(error.to_string())),
        };
        // It says how large it is, which may be wrong.
        if object.info().size > most {
            return Err(SharedError::TooLarge { size: object.info().size, most });
        }
        let (mut bytes, bound) = (Vec::new(), u64::try_from(most).unwrap_or(u64::MAX));
        match object.take(bound.saturating_add(1)).read_to_end(&mut bytes).await {
            Ok(_) if bytes.len() > most => Err(SharedError::TooLarge { size: bytes.len(), most }),
            Ok(_) => Ok(bytes),
            // The library has compared it with the digest that lies beside it.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(SharedError::Changed { digest, bucket })
            }
            Err(error) => Err(self.failed(error.to_string())),
        }
    }

    pub(super) async fn clean(&self, used: &BTreeSet<Digest>) -> Result<(), SharedError> {
        let used: BTreeSet<_> = used.iter().map(Digest::to_hex).collect();
        self.within(Box::pin(async {
            let list = self.store.list().await.map_err(|error| self.failed(error.to_string()))?;
            let unused = list.take(MOST_OBJECTS).filter_map(|found| {
                let found = found.ok().filter(|info| !used.contains(&info.name) && is_old(info));
                std::future::ready(found.map(|info| info.name))
            });
            for name in unused.collect::<Vec<_>>().await {
                self.remove(&name).await?;
            }
            Ok(())
        }))
        .await
    }

    async fn remove(&self, name: &str) -> Result<(), SharedError> {
        self.store.delete(name).await.map_err(|error| self.failed(error.to_string()))?;
        // A message is left that says so. It would stay for good.
        let subject = format!("$O.{}.M.{}", self.bucket, URL_SAFE.encode(name));
        let stream = self.jetstream.get_stream_no_info(format!("OBJ_{}", self.bucket)).await;
        let stream = stream.map_err(|error| self.failed(error.to_string()))?;
        stream.purge().filter(subject).await.map(drop).map_err(|error| self.failed(error.to_string()))
    }
}

/// Returns whether an object says that it is the one with this digest.
fn is_whole(info: &ObjectInfo, digest: &Digest) -> bool {
    let written = format!("SHA-256={}", URL_SAFE.encode(digest.as_bytes()));
    !info.deleted && info.digest.as_ref() == Some(&written)
}

/// Returns whether nobody can be about to use an object. Clocks of machines may differ by less than this.
fn is_old(info: &ObjectInfo) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let written = info.modified.map_or(0, |at| u64::try_from(at.unix_timestamp()).unwrap_or(0));
    Duration::from_secs(written) + UNUSED < now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_not_taken_for_another_one_or_for_one_that_was_removed() {
        let digest = Digest::of(b"one");
        let json = |of: &[u8], deleted| {
            let written = URL_SAFE.encode(Digest::of(of).as_bytes());
            format!(r#"{{"name":"n","bucket":"b","digest":"SHA-256={written}","deleted":{deleted}}}"#)
        };
        let info = |of: &[u8], deleted| serde_json::from_str::<ObjectInfo>(&json(of, deleted)).unwrap();
        assert!(is_whole(&info(b"one", false), &digest));
        assert!(!is_whole(&info(b"two", false), &digest) && !is_whole(&info(b"one", true), &digest));
        assert!(is_old(&info(b"one", false)), "it does not say when it was written");
    }
}
