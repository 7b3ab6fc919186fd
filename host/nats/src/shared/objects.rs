//! The object store of shared files. The name of an object is the SHA-256 of its bytes.

use std::collections::BTreeSet;
use std::time::Duration;

use async_nats::jetstream::object_store::ObjectInfo;
use futures_util::future::BoxFuture;
use parlor_base::id::Digest;
use tokio::time::{sleep, timeout};

use super::SharedError;
use crate::bucket::{Bucket, TRANSFER, Upload, is_one_upload, written};
use crate::connect::Link;
use crate::error::StreamError;
use crate::names::Cluster;

/// How long an object stays that is not in use.
const UNUSED: Duration = Duration::from_hours(1);
/// How often an object is asked for that is not there, and how long between: a server that has just begun to lead may not have it yet.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(100);
/// How many objects are looked at when unused ones are removed. The rest has its turn the next time.
const MOST_OBJECTS: usize = 100_000;

#[derive(Clone)]
pub(super) struct Objects(Bucket);

impl Objects {
    pub(super) async fn open(link: &Link, cluster: &Cluster) -> Result<Self, SharedError> {
        Ok(Self(Bucket::open(link, cluster.shared_bucket()).await?))
    }

    fn bucket(&self) -> String {
        self.0.name().to_owned()
    }

    fn failed(&self, cause: String) -> SharedError {
        SharedError::Server { bucket: self.bucket(), cause }
    }

    /// Returns the error about an object that is not what was stored.
    pub(super) fn changed(&self, digest: &Digest) -> SharedError {
        SharedError::Changed { digest: *digest, bucket: self.bucket() }
    }

    /// Waits for the server, but not for ever. If the object store is gone from NATS, it is created again, and asked once more. The futures
    /// of the library are large.
    async fn within<'o, T>(
        &'o self,
        doing: impl Fn() -> BoxFuture<'o, Result<T, SharedError>>,
    ) -> Result<T, SharedError> {
        match self.once(doing()).await {
            Err(error @ SharedError::Server { .. }) => match Box::pin(self.0.create_again()).await {
                None => Err(error),
                Some(StreamError::Gone { stream }) => {
                    tracing::warn!(
                        stream,
                        "the stream with plugins.toml, accounts.toml and components was gone from NATS, and was created again: find out who \
                         deleted it, and run `parlor reload` on a node that has the present files"
                    );
                    self.once(doing()).await
                }
                Some(error) => Err(error.into()),
            },
            done => done,
        }
    }

    async fn once<T>(&self, doing: BoxFuture<'_, Result<T, SharedError>>) -> Result<T, SharedError> {
        timeout(TRANSFER, doing).await.unwrap_or_else(|_| Err(self.failed("it took too long".to_owned())))
    }

    pub(super) async fn has(&self, digest: &Digest) -> Result<bool, SharedError> {
        let digest = *digest;
        self.within(|| Box::pin(self.is_there(digest))).await
    }

    async fn is_there(&self, digest: Digest) -> Result<bool, SharedError> {
        // From the leader: a server that lags behind may have one that was just removed, and nobody would upload it again.
        match self.0.described(&digest.to_hex()).await.map_err(|cause| self.failed(cause))? {
            // An upload may have been given up after its last message was sent, or another program removed parts.
            Some(info) if is_whole(&info, &digest) => {
                Ok(self.0.parts(&info).await.map_err(|cause| self.failed(cause))? == info.chunks)
            }
            Some(_) | None => Ok(false),
        }
    }

    pub(super) async fn put(&self, bytes: &[u8]) -> Result<(), SharedError> {
        let digest = Digest::of(bytes);
        if self.has(&digest).await? {
            return Ok(());
        }
        let name = digest.to_hex();
        // Two nodes may upload the same object at once.
        let id = format!("{name}.{:016x}", rand::random::<u64>());
        let before = self.0.described(&name).await.map_err(|cause| self.failed(cause))?;
        let upload = Upload { name: &name, id: &id, sha256: digest.as_bytes() };
        Box::pin(self.0.upload(upload, &[bytes])).await.map_err(|cause| self.failed(cause))?;
        // The parts of one that was changed.
        if let Some(before) = before.filter(|before| before.nuid != id && is_one_upload(&before.nuid)) {
            self.0.remove_parts(&before.nuid).await.map_err(|cause| self.failed(cause))?;
        }
        Ok(())
    }

    /// Fetches an object, and checks that it is the one that was stored.
    pub(super) async fn get(&self, digest: &Digest, most: usize) -> Result<Vec<u8>, SharedError> {
        let digest = *digest;
        let mut attempts = 1..ATTEMPTS;
        let bytes = loop {
            match self.within(|| Box::pin(self.read(digest, most))).await {
                Err(SharedError::Missing { .. }) if attempts.next().is_some() => sleep(PAUSE).await,
                read => break read?,
            }
        };
        if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(self.changed(&digest)) }
    }

    async fn read(&self, digest: Digest, most: usize) -> Result<Vec<u8>, SharedError> {
        let found = self.0.object(&digest.to_hex()).await.map_err(|cause| self.failed(cause))?;
        let object = found.ok_or_else(|| SharedError::Missing { digest, bucket: self.bucket() })?;
        // It says how large it is, which may be wrong.
        if object.size > most {
            return Err(SharedError::TooLarge { size: object.size, most });
        }
        match self.0.read(&object, most).await {
            Ok(bytes) if bytes.len() > most => Err(SharedError::TooLarge { size: bytes.len(), most }),
            Ok(bytes) => Ok(bytes),
            Err(cause) => Err(self.failed(cause)),
        }
    }

    /// Returns the names of the objects that are not among these, without those of the hour before `now`. That is a time by the clock
    /// of NATS, in seconds since 1970.
    pub(super) async fn unused(&self, used: &BTreeSet<Digest>, now: u64) -> Result<Vec<String>, SharedError> {
        let used: BTreeSet<_> = used.iter().map(Digest::to_hex).collect();
        let used = &used;
        self.within(|| Box::pin(self.all_but(used, now))).await
    }

    async fn all_but(&self, used: &BTreeSet<String>, now: u64) -> Result<Vec<String>, SharedError> {
        let names = self.0.names(MOST_OBJECTS).await.map_err(|cause| self.failed(cause))?;
        let mut unused = Vec::new();
        for name in names.difference(used) {
            let at = self.0.stored_at(name).await.map_err(|cause| self.failed(cause))?;
            if at.is_some_and(|at| is_old(at, now)) {
                unused.push(name.clone());
            }
        }
        Ok(unused)
    }

    /// Removes an object.
    pub(super) async fn remove(&self, name: &str) -> Result<(), SharedError> {
        self.within(|| Box::pin(self.remove_one(name))).await
    }

    async fn remove_one(&self, name: &str) -> Result<(), SharedError> {
        self.0.remove(name).await.map_err(|cause| self.failed(cause))?;
        Ok(())
    }

    /// Removes what uploads left that were given up before the hour before `now`.
    pub(super) async fn remove_given_up(&self, now: u64) -> Result<(), SharedError> {
        self.within(|| Box::pin(self.remove_parts_without_object(now))).await
    }

    /// Removes the parts that no object has.
    async fn remove_parts_without_object(&self, now: u64) -> Result<(), SharedError> {
        for id in self.0.begun("", MOST_OBJECTS).await.map_err(|cause| self.failed(cause))? {
            // Other programs upload under other names.
            let Some((name, _)) = id.split_once('.') else { continue };
            let object = self.0.described(name).await.map_err(|cause| self.failed(cause))?;
            if object.is_some_and(|info| info.nuid == id) {
                continue;
            }
            let at = self.0.last_part(&id).await.map_err(|cause| self.failed(cause))?;
            if at.is_some_and(|at| is_old(at, now)) {
                self.0.remove_parts(&id).await.map_err(|cause| self.failed(cause))?;
            }
        }
        Ok(())
    }
}

/// Returns whether an object says that it is the one with this digest.
fn is_whole(info: &ObjectInfo, digest: &Digest) -> bool {
    !info.deleted && info.digest.as_ref() == Some(&written(digest.as_bytes()))
}

/// Returns whether nobody can be about to use what was uploaded at this time.
fn is_old(at: u64, now: u64) -> bool {
    at.saturating_add(UNUSED.as_secs()) < now
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_not_taken_for_another_one_or_for_one_that_was_removed() {
        let digest = Digest::of(b"one");
        let json = |of: &[u8], deleted| {
            let digest = written(Digest::of(of).as_bytes());
            format!(r#"{{"name":"n","bucket":"b","digest":"{digest}","deleted":{deleted}}}"#)
        };
        let info = |of: &[u8], deleted| serde_json::from_str::<ObjectInfo>(&json(of, deleted)).unwrap();
        assert!(is_whole(&info(b"one", false), &digest));
        assert!(!is_whole(&info(b"two", false), &digest) && !is_whole(&info(b"one", true), &digest));
    }
}
