//! The object stores of a cluster: how they are created, and how objects are uploaded to them.
//!
//! An object is uploaded here, and not by the library: that gives the parts of each upload a random subject that nobody else knows, so
//! the parts of an upload that was given up would stay for good.
//!
//! It is also read here. If several servers keep the store, the library asks any of them, which may not have all parts of an object yet,
//! and takes the parts that it has for all. Here, the leader of the stream says how many parts there are, and the reader waits for all.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use async_nats::header::NATS_ROLLUP;
use async_nats::jetstream::consumer::push::OrderedConfig;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::object_store::{ObjectInfo, ObjectOptions};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, Stream};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio::time::timeout;

use crate::answer::{ANSWER, Last};
use crate::connect::Link;
use crate::delivery;
use crate::error::StreamError;
use crate::names::stream_of;
use crate::queue::asked;
use crate::streams::{is_gone, prepare_objects};

/// How long an upload or a download may take.
pub(crate) const TRANSFER: Duration = Duration::from_mins(1);
/// How long a download may wait for the next part.
const DELIVERY: Duration = Duration::from_secs(10);
/// The largest part of an object, in bytes.
const PART: usize = 128 << 10;

/// An object store.
#[derive(Clone)]
pub(crate) struct Bucket {
    pub(crate) link: Link,
    name: String,
}

/// An object to upload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upload<'u> {
    /// The name of the object.
    pub(crate) name: &'u str,
    /// The name of this upload, which no other one has.
    pub(crate) id: &'u str,
    /// The SHA-256 of its bytes.
    pub(crate) sha256: &'u [u8],
}

impl Bucket {
    /// Creates an object store, or checks it if it is there.
    pub(crate) async fn open(link: &Link, name: String) -> Result<Self, StreamError> {
        prepare_objects(link, &name).await?;
        Ok(Self { link: link.clone(), name })
    }

    /// Returns its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Creates the object store again if it is gone from NATS. Returns the error that says so, or why that failed; `None` if it is there,
    /// or if NATS does not answer.
    pub(crate) async fn create_again(&self) -> Option<StreamError> {
        let stream = stream_of(&self.name);
        if !is_gone(&self.link, &stream).await {
            return None;
        }
        let opened = Box::pin(Self::open(&self.link, self.name.clone())).await;
        Some(opened.map_or_else(|error| error, |_| StreamError::Gone { stream }))
    }

    /// Uploads an object whose bytes are these, one after the other. If that fails, nothing of it stays. Returns why it failed.
    pub(crate) async fn upload(&self, upload: Upload<'_>, bytes: &[&[u8]]) -> Result<(), String> {
        let cause = match timeout(TRANSFER, self.send(upload, bytes)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        match self.described(upload.name).await {
            // Only the answer was lost.
            Ok(Some(info)) if info.nuid == upload.id => return Ok(()),
            Ok(_) => {
                // The first failure is what the owner needs to know.
                _ = self.remove_parts(upload.id).await;
            }
            // It may be whole, so its parts stay.
            Err(_) => {}
        }
        Err(cause)
    }

    /// Sends the parts of an object. They have the upload's name in their subject, and nothing but the last message makes an object of them.
    async fn send(&self, upload: Upload<'_>, bytes: &[&[u8]]) -> Result<(), PublishError> {
        let subject = self.parts_subject(upload.id);
        let (mut chunks, mut size) = (0, 0);
        for piece in bytes {
            for part in piece.chunks(PART) {
                (chunks, size) = (chunks + 1, size + part.len());
                let part = Bytes::copy_from_slice(part);
                self.link.jetstream.publish(subject.clone(), part).await?.await?;
            }
        }
        let info = ObjectInfo {
            name: upload.name.to_owned(),
            description: None,
            metadata: HashMap::new(),
            headers: None,
            options: Some(ObjectOptions { link: None, max_chunk_size: Some(PART) }),
            bucket: self.name.clone(),
            nuid: upload.id.to_owned(),
            size,
            chunks,
            modified: Some(SystemTime::now().into()),
            digest: Some(written(upload.sha256)),
            deleted: false,
        };
        // There is nothing in it that JSON cannot have.
        let info = serde_json::to_vec(&info).unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(NATS_ROLLUP, "sub");
        self.link.jetstream.publish_with_headers(self.end_subject(upload.name), headers, info.into()).await?.await?;
        Ok(())
    }

    /// Returns what the last message of an object says, from the leader of the stream; `None` if there is none that can be read.
    pub(crate) async fn described(&self, name: &str) -> Result<Option<ObjectInfo>, String> {
        match self.link.last(&stream_of(&self.name), &self.end_subject(name), ANSWER).await {
            Ok(Last::Stored(stored)) => Ok(serde_json::from_slice(&stored.body).ok()),
            Ok(Last::None | Last::TooLarge | Last::Strange) => Ok(None),
            Ok(Last::Failed(error)) => Err(error.to_string()),
            Err(_) => Err("there is no answer".to_owned()),
        }
    }

    /// Removes an object, with the parts of the upload that it names. Returns that name; `None` if there is no such object.
    ///
    /// Its last message goes first: if this is given up in between, [`Self::begun`] finds the parts. The library would read from a follower
    /// which subject the parts have, and purge whatever that says, also a name that stands for all uploads.
    pub(crate) async fn remove(&self, name: &str) -> Result<Option<String>, String> {
        let described = self.described(name).await?;
        self.purge(self.end_subject(name)).await?;
        let upload = described.map(|info| info.nuid).filter(|id| is_one_upload(id));
        if let Some(id) = &upload {
            self.remove_parts(id).await?;
        }
        Ok(upload)
    }

    /// Removes the parts of an upload.
    pub(crate) async fn remove_parts(&self, id: &str) -> Result<(), String> {
        self.purge(self.parts_subject(id)).await
    }

    async fn purge(&self, subject: String) -> Result<(), String> {
        asked(self.stream().await?.purge().filter(subject).into_future()).await.map(drop)
    }

    /// Returns the names of uploads that begin with these tokens and of which there are parts, at most so many.
    pub(crate) async fn begun(&self, with: &str, most: usize) -> Result<BTreeSet<String>, String> {
        let begin = self.parts_subject("");
        let subjects = self.subjects(format!("{begin}{with}>"), most).await?;
        Ok(subjects.iter().filter_map(|(subject, _)| subject.strip_prefix(&begin)).map(str::to_owned).collect())
    }

    /// Returns the names of objects, at most so many, also of those that were removed and left a message.
    ///
    /// The library has their messages delivered and waits for the last of them. It waits without end if one is replaced or removed
    /// meanwhile, such as by a node that uploads something.
    pub(crate) async fn names(&self, most: usize) -> Result<BTreeSet<String>, String> {
        let begin = self.ends_subject();
        let subjects = self.subjects(format!("{begin}>"), most).await?;
        // Another program may have written one that is no name.
        let name = |subject: &str| String::from_utf8(URL_SAFE.decode(subject.strip_prefix(&begin)?).ok()?).ok();
        Ok(subjects.iter().filter_map(|(subject, _)| name(subject)).collect())
    }

    /// Returns how many parts there are of the upload that an object names.
    pub(crate) async fn parts(&self, info: &ObjectInfo) -> Result<usize, String> {
        if !is_one_upload(&info.nuid) {
            return Ok(0);
        }
        let subjects = self.subjects(self.parts_subject(&info.nuid), 1).await?;
        Ok(subjects.first().map_or(0, |(_, count)| *count))
    }

    /// Returns the subjects of messages that match this one, at most so many, with how many messages each has.
    async fn subjects(&self, filter: String, most: usize) -> Result<Vec<(String, usize)>, String> {
        let stream = self.stream().await?;
        let subjects = asked(stream.info_with_subjects(filter)).await?;
        asked(subjects.take(most).try_collect()).await
    }

    /// Returns an object to [read](Self::read) it; `None` if it is not there, or if parts of it are not.
    pub(crate) async fn object(&self, name: &str) -> Result<Option<ObjectInfo>, String> {
        let Some(info) = self.described(name).await?.filter(|info| !info.deleted) else { return Ok(None) };
        // Without its parts, reading would wait for them.
        Ok(if self.parts(&info).await? < info.chunks { None } else { Some(info) })
    }

    /// Reads an object to its end, at most so many bytes and one more. Nobody has compared them with a digest.
    pub(crate) async fn read(&self, info: &ObjectInfo, most: usize) -> Result<Vec<u8>, String> {
        let (mut bytes, mut parts, mut last) = (Vec::new(), 0, 0);
        if info.chunks == 0 {
            return Ok(bytes);
        }
        let config = OrderedConfig { filter_subject: self.parts_subject(&info.nuid), ..OrderedConfig::default() };
        let stream = stream_of(&self.name);
        let (name, mut messages) = Box::pin(delivery::begin(&self.link, &stream, config)).await?;
        while parts < info.chunks && bytes.len() <= most {
            let next = timeout(DELIVERY, messages.next()).await.map_err(|_| "nothing arrives".to_owned())?;
            let message = next.ok_or_else(|| "the delivery ended".to_owned())?.map_err(|error| error.to_string())?;
            let sequence = message.info().map_err(|error| error.to_string())?.stream_sequence;
            // After a reconnection, the library begins again at the first part if it had none.
            if sequence > last {
                (parts, last) = (parts + 1, sequence);
                bytes.extend_from_slice(&message.payload);
            }
        }
        drop(messages);
        // If it is not removed now, the server removes it after a while.
        _ = self.link.jetstream.delete_consumer_from_stream(&name, &stream).await;
        bytes.truncate(most.saturating_add(1));
        Ok(bytes)
    }

    /// Returns when NATS took the last part of an upload, in seconds since 1970; `None` if there is no part.
    pub(crate) async fn last_part(&self, id: &str) -> Result<Option<u64>, String> {
        self.taken(&self.parts_subject(id)).await
    }

    /// Returns when NATS took the last message of an object, in seconds since 1970; `None` if there is none.
    pub(crate) async fn stored_at(&self, name: &str) -> Result<Option<u64>, String> {
        self.taken(&self.end_subject(name)).await
    }

    /// Returns when NATS took the last message on a subject. Nodes write times by their own clocks, which may be wrong.
    async fn taken(&self, subject: &str) -> Result<Option<u64>, String> {
        match self.stream().await?.get_last_raw_message_by_subject(subject).await {
            Ok(last) => Ok(Some(u64::try_from(last.time.unix_timestamp()).unwrap_or(0))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Returns the stream in which NATS keeps it.
    async fn stream(&self) -> Result<Stream<()>, String> {
        asked(self.link.jetstream.get_stream_no_info(stream_of(&self.name))).await
    }

    /// Returns the subject of the parts of an upload.
    fn parts_subject(&self, id: &str) -> String {
        format!("$O.{}.C.{id}", self.name)
    }

    /// Returns the subject of the last message of an object, which describes it.
    fn end_subject(&self, name: &str) -> String {
        self.ends_subject() + &URL_SAFE.encode(name)
    }

    /// Returns the beginning of all these subjects.
    fn ends_subject(&self) -> String {
        format!("$O.{}.M.", self.name)
    }
}

/// Returns the digest of an object as the message that describes it has it.
pub(crate) fn written(sha256: &[u8]) -> String {
    format!("SHA-256={}", URL_SAFE.encode(sha256))
}

/// Returns whether this names one upload. Anybody at NATS can write a name with `>` in it, which stands for all uploads.
pub(crate) fn is_one_upload(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|one| one.is_ascii_alphanumeric() || one == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Anybody at NATS can write one.
    #[test]
    fn the_name_of_an_upload_stands_for_no_other_one() {
        assert!(is_one_upload("0a.1b") && is_one_upload("NUID22"));
        assert!(!["", ">", "a.*", "a b", "a.>"].into_iter().any(is_one_upload));
    }
}
