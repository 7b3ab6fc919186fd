//! The names of streams and subjects.
//!
//! Addresses may have characters that subjects may not, so a subject has the SHA-256 of the account's address.

use std::fmt;
use std::sync::Arc;

use parlor_cluster::Key;
use sha2::{Digest as _, Sha256};

/// The maximum length of a cluster's name.
const LONGEST: usize = 32;

/// The digits that begin the hashes of accounts. There is a stream of logs for each.
const SHARDS: &str = "0123456789abcdef";

/// The name of a cluster: lower-case letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster(Arc<str>);

/// The reason why a cluster cannot have this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a cluster cannot be named {0:?}; use 1 to 32 of the characters a-z, 0-9 and -")]
pub struct NameError(pub String);

impl Cluster {
    /// Checks and returns a name.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let is_permitted = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'-';
        if name.is_empty() || name.len() > LONGEST || !name.bytes().all(is_permitted) {
            return Err(NameError(name.chars().take(2 * LONGEST).collect()));
        }
        Ok(Self(name.into()))
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

    /// The subject of a session or a claim.
    pub(crate) fn subject(&self, key: &Key) -> String {
        match key {
            Key::Session(id) => format!("parlor.{self}.state.session.{:016x}.{}", id.process, id.number),
            Key::Account(account) => format!("parlor.{self}.state.account.{}", hash(account)),
        }
    }

    /// The subject of the wish that a node is to be drained.
    pub(crate) fn drain_subject(&self, node: &str) -> String {
        format!("parlor.{self}.state.drain.{}", hash(node))
    }

    /// The subject of questions that nobody answers but the server.
    pub(crate) fn pulse_subject(&self) -> String {
        format!("parlor.{self}.pulse")
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
        f.write_str(&self.0)
    }
}

/// Returns the name of an account in subjects.
pub(crate) fn hash(account: &str) -> String {
    hex::encode(Sha256::digest(account.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_has_a_name_that_a_subject_can_hold() {
        for wrong in ["", "a.b", "a b", "A", "*", ">", "ä", &"a".repeat(33)] {
            assert!(Cluster::new(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(Cluster::new("my-bots-2").unwrap().to_string(), "my-bots-2");
    }

    #[test]
    fn the_log_of_an_account_lies_in_the_stream_that_has_its_subject() {
        let cluster = Cluster::new("c").unwrap();
        for account in ["bot@example.org", "ä@example.org", ""] {
            let (stream, subject) = cluster.log(account);
            let (_, subjects) = cluster.log_streams().find(|(one, _)| *one == stream).unwrap();
            assert!(subject.starts_with(subjects.trim_end_matches('*')), "{subject} is not one of {subjects}");
            assert_eq!(subject.rsplit('.').next().unwrap().len(), 64);
        }
    }
}
