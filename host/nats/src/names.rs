//! A cluster: its keys, and the names of its streams and subjects.
//!
//! Addresses may have characters that subjects may not, so a subject has the SHA-256 of the account's address.

use std::fmt;
use std::sync::Arc;

use parlor_cluster::Key;
use sha2::{Digest as _, Sha256};

use crate::seal::{KeyRing, OpenError, Seal, What};
use crate::shared_text::SharedText;

/// The maximum length of a cluster's name.
const LONGEST: usize = 32;

/// The digits that begin the hashes of accounts. There is a stream of logs for each.
const SHARDS: &str = "0123456789abcdef";

/// A cluster, by its name of lower-case letters, digits and `-`, with the keys that NATS does not have.
#[derive(Debug, Clone)]
pub struct Cluster {
    name: Arc<str>,
    keys: KeyRing,
}

/// The reason why a cluster cannot have this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cluster cannot be named {0:?}; use 1 to 32 of the characters a-z, 0-9 and -")]
pub struct NameError(pub String);

impl Cluster {
    /// Checks a name, and returns the cluster with these keys.
    pub fn new(name: &str, keys: KeyRing) -> Result<Self, NameError> {
        let is_permitted = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'-';
        if name.is_empty() || name.len() > LONGEST || !name.bytes().all(is_permitted) {
            return Err(NameError(name.chars().take(2 * LONGEST).collect()));
        }
        Ok(Self { name: name.into(), keys })
    }

    /// Returns the keys of the cluster.
    pub fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// Returns what encrypts and decrypts what an account keeps.
    pub(crate) fn seal(&self, account: &str) -> Seal {
        Seal::new(&self.keys, &self.name, account)
    }

    /// Encrypts a text of the cluster itself, which is at this place; `None` if it is too long.
    pub(crate) fn seal_own(&self, what: What, at: &str, text: &[u8]) -> Option<Vec<u8>> {
        self.keys.seal_own(&self.name, what, at, text)
    }

    /// Decrypts a text of the cluster itself.
    pub(crate) fn open_own(&self, what: What, at: &str, sealed: Vec<u8>) -> Result<Vec<u8>, OpenError> {
        self.keys.open_own(&self.name, what, at, sealed)
    }

    /// The stream of sessions and claims.
    pub(crate) fn state_stream(&self) -> String {
        format!("PARLOR_{self}_STATE")
    }

    /// All subjects of that stream.
    pub(crate) fn state_subjects(&self) -> String {
        format!("parlor.{self}.state.>")
    }

    /// The subject of the times that all nodes must have.
    pub(crate) fn timing_subject(&self) -> String {
        format!("parlor.{self}.state.timing")
    }

    /// The subject of the text by which nodes see whether they have the same keys.
    pub(crate) fn keys_subject(&self) -> String {
        format!("parlor.{self}.state.keys")
    }

    /// The subject of a session or a claim.
    pub(crate) fn subject(&self, key: &Key) -> String {
        match key {
            Key::Session(id) => format!("parlor.{self}.state.session.{:016x}.{}", id.process, id.number),
            Key::Account(account) => format!("parlor.{self}.state.account.{}", hash(account)),
        }
    }

    /// All subjects of sessions.
    pub(crate) fn session_subjects(&self) -> String {
        format!("parlor.{self}.state.session.>")
    }

    /// The subject on which a node listens for requests of a topic. No stream keeps what is sent there.
    pub(crate) fn requests_subject(&self, node: &str, topic: &str) -> String {
        format!("parlor.{self}.node.{}.{topic}", hash(node))
    }

    /// The subject of the wish that a node is to be drained.
    pub(crate) fn drain_subject(&self, node: &str) -> String {
        format!("parlor.{self}.state.drain.{}", hash(node))
    }

    /// The beginning of the subjects of lost nodes, up to the hash of the node.
    pub(crate) fn lost_subject_prefix(&self) -> String {
        format!("parlor.{self}.state.lost.")
    }

    /// The subject of the present version of a text that the nodes share.
    pub(crate) fn shared_subject(&self, of: SharedText) -> String {
        format!("{}version", self.shared_prefix(of))
    }

    /// The subject of what a node says of the version that it has.
    pub(crate) fn shared_node_subject(&self, of: SharedText, node: &str) -> String {
        format!("{}{}", self.shared_node_subject_prefix(of), hash(node))
    }

    /// The beginning of such a subject, up to the hash of the node.
    pub(crate) fn shared_node_subject_prefix(&self, of: SharedText) -> String {
        format!("{}node.", self.shared_prefix(of))
    }

    /// The beginning of all subjects of a shared text.
    fn shared_prefix(&self, of: SharedText) -> String {
        match of {
            SharedText::Plugins => format!("parlor.{self}.state.shared."),
            SharedText::Accounts => format!("parlor.{self}.state.shared.accounts."),
        }
    }

    /// The bucket of shared files.
    pub(crate) fn shared_bucket(&self) -> String {
        format!("PARLOR_{self}_SHARED")
    }

    /// The subject that nodes read to see whether NATS answers. If several servers keep the state, nodes write an empty message to it instead.
    pub(crate) fn pulse_subject(&self) -> String {
        format!("parlor.{self}.state.pulse")
    }

    /// The streams of logs, each with its subjects.
    pub(crate) fn log_streams(&self) -> impl Iterator<Item = (String, String)> {
        SHARDS.chars().map(move |shard| (format!("PARLOR_{self}_LOG_{shard}"), format!("parlor.{self}.log.{shard}.*")))
    }

    /// The stream and the subject of an account's log.
    pub(crate) fn log(&self, account: &str) -> (String, String) {
        let hash = hash(account);
        let shard = &hash[..1];
        (format!("PARLOR_{self}_LOG_{shard}"), format!("parlor.{self}.log.{shard}.{hash}"))
    }

    /// The bucket of snapshots.
    pub(crate) fn snapshots(&self) -> String {
        format!("PARLOR_{self}_SNAPSHOTS")
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Returns the name of the stream in which an object store is.
pub(crate) fn stream_of(bucket: &str) -> String {
    format!("OBJ_{bucket}")
}

/// Returns the name of an account in subjects.
pub(crate) fn hash(account: &str) -> String {
    hex::encode(Sha256::digest(account.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Result<Cluster, NameError> {
        let (_, line) = KeyRing::generate();
        Cluster::new(name, KeyRing::parse(&line).unwrap())
    }

    #[test]
    fn a_cluster_has_a_name_that_a_subject_can_hold() {
        for wrong in ["", "a.b", "a b", "A", "*", ">", "ä", &"a".repeat(33)] {
            assert!(named(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(named("my-bots-2").unwrap().to_string(), "my-bots-2");
    }

    #[test]
    fn the_log_of_an_account_lies_in_the_stream_that_has_its_subject() {
        let cluster = named("c").unwrap();
        for account in ["bot@example.org", "ä@example.org", ""] {
            let (stream, subject) = cluster.log(account);
            let (_, subjects) = cluster.log_streams().find(|(one, _)| *one == stream).unwrap();
            assert!(subject.starts_with(subjects.trim_end_matches('*')), "{subject} is not one of {subjects}");
            assert_eq!(subject.rsplit('.').next().unwrap().len(), 64);
        }
    }
}
