//! The object store of shared files. The name of an object is the SHA-256 of its bytes.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use async_nats::jetstream::object_store::{GetErrorKind, InfoErrorKind, ObjectInfo};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use parlor_base::id::Digest;
use tokio::io::AsyncReadExt as _;
use tokio::time::{sleep, timeout};

use super::SharedError;
use crate::bucket::{Bucket, TRANSFER, Upload, written};
use crate::connect::Link;
use crate::error::StreamError;
use crate::names::Cluster;

/// How long an object stays that is not in use.
const UNUSED: Duration = Duration::from_hours(1);
/// How often an object is asked for that is not there, and how long between: a follower may not have it yet.
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
        match self.0.store.info(digest.to_hex()).await {
            Ok(info) => Ok(is_whole(&info, &digest)),
            Err(error) if error.kind() == InfoErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed(error.to_string())),
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
        let object = match self.0.store.get(digest.to_hex()).await {
            Ok(object) => object,
            Err(error) if error.kind() == GetErrorKind::NotFound => {
                return Err(SharedError::Missing { digest, bucket: self.bucket() });
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
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(self.changed(&digest)),
            Err(error) => Err(self.failed(error.to_string())),
        }
    }

    /// Removes the objects that are not among these, and what uploads left that were given up. Those of the hour before `now` stay.
    pub(super) async fn clean(&self, used: &BTreeSet<Digest>, now: SystemTime) -> Result<(), SharedError> {
        let used: BTreeSet<_> = used.iter().map(Digest::to_hex).collect();
        let used = &used;
        self.within(|| Box::pin(self.remove_all_but(used, now))).await?;
        self.within(|| Box::pin(self.remove_given_up(now))).await
    }

    async fn remove_all_but(&self, used: &BTreeSet<String>, now: SystemTime) -> Result<(), SharedError> {
        let list = self.0.store.list().await.map_err(|error| self.failed(error.to_string()))?;
        let unused = list.take(MOST_OBJECTS).filter_map(|found| {
            let found = found.ok().filter(|info| !used.contains(&info.name) && is_old(written_at(info), now));
            std::future::ready(found.map(|info| info.name))
        });
        for name in unused.collect::<Vec<_>>().await {
            self.0.remove(&name).await.map_err(|cause| self.failed(cause))?;
        }
        Ok(())
    }

    /// Removes the parts that no object has.
    async fn remove_given_up(&self, now: SystemTime) -> Result<(), SharedError> {
        for id in self.0.begun("", MOST_OBJECTS).await.map_err(|cause| self.failed(cause))? {
            // Other programs upload under other names.
            let Some((name, _)) = id.split_once('.') else { continue };
            let object = self.0.described(name).await.map_err(|cause| self.failed(cause))?;
            if object.is_some_and(|info| info.nuid == id) {
                continue;
            }
            let at = self.0.last_part(&id).await.map_err(|cause| self.failed(cause))?;
            if is_old(at, now) {
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

/// Returns whether this names one upload. Anybody at NATS can write a name with `>` in it, which stands for all uploads.
fn is_one_upload(id: &str) -> bool {
    id.bytes().all(|one| one.is_ascii_alphanumeric() || one == b'.')
}

/// Returns when an object was uploaded, in seconds since 1970; 0 if it does not say so.
fn written_at(info: &ObjectInfo) -> u64 {
    info.modified.map_or(0, |at| u64::try_from(at.unix_timestamp()).unwrap_or(0))
}

/// Returns whether nobody can be about to use what was uploaded at this time. Clocks of machines may differ by less than this.
fn is_old(at: u64, now: SystemTime) -> bool {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(at).saturating_add(UNUSED) < now
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Anybody at NATS can write one.
    #[test]
    fn the_name_of_an_upload_stands_for_no_other_one() {
        assert!(is_one_upload("0a.1b") && is_one_upload("NUID22"));
        assert!(![">", "a.*", "a b", "a.>"].into_iter().any(is_one_upload));
    }

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
        assert!(is_old(written_at(&info(b"one", false)), SystemTime::now()), "it does not say when it was written");
    }
}
