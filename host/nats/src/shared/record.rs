//! The records about what nodes share: the present version, and what each node says of the one that it has.

use parlor_base::escape::escape_untrusted;
use parlor_base::id::Digest;
use parlor_cluster::Revision;
use serde::{Deserialize, Serialize};

use super::{Standing, Version};
use crate::names::{self, Cluster};
use crate::state::{FORMAT, HIGHEST, LONGEST_NODE, parse};

/// The longest text of a trouble, and the longest version of parlor, in bytes.
const LONGEST_TROUBLE: usize = 1024;
const LONGEST_RELEASE: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionRecord {
    format: u32,
    number: u64,
    digest: Digest,
    node: String,
    parlor: String,
}

/// What a node says of the version that it has.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodeRecord {
    format: u32,
    node: String,
    revision: Option<Revision>,
    number: Option<u64>,
    trouble: Option<String>,
}

impl NodeRecord {
    pub(super) fn new(node: &str, standing: &Standing) -> Self {
        let Standing { revision, number, trouble } = standing;
        let trouble = trouble.as_deref().map(|trouble| escape_untrusted(trouble, LONGEST_TROUBLE));
        Self { format: FORMAT, node: node.to_owned(), revision: *revision, number: *number, trouble }
    }

    pub(super) fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A record, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// The present version.
    Version(Version),
    /// What the node with this hash says.
    Node(String, Standing),
}

/// Returns the record of a version.
pub(super) fn encode(version: &Version) -> String {
    let Version { revision: _, number, digest, node, release } = version.clone();
    serde_json::to_string(&VersionRecord { format: FORMAT, number, digest, node, parlor: release }).unwrap_or_default()
}

/// Reads the record of a version.
pub(super) fn version(revision: Revision, body: &[u8]) -> Result<Version, String> {
    let VersionRecord { number, digest, node, parlor, .. } = parse(body)?;
    if number == 0 || number > HIGHEST {
        return Err("its version has a number that nobody counts to".to_owned());
    }
    if node.len() > LONGEST_NODE || parlor.len() > LONGEST_RELEASE {
        return Err("the name of its node, or the version of parlor there, is too long".to_owned());
    }
    let [node, release] = [node, parlor].map(|text| escape_untrusted(&text, LONGEST_NODE));
    Ok(Version { revision, number, digest, node, release })
}

fn standing(hash: &str, body: &[u8]) -> Result<Standing, String> {
    let NodeRecord { node, revision, number, trouble, .. } = parse(body)?;
    if names::hash(&node) != hash {
        return Err("it names another node than its subject".to_owned());
    }
    // Escaping a text again changes nothing, and another program may have written it.
    let trouble = trouble.map(|trouble| escape_untrusted(&trouble, LONGEST_TROUBLE));
    Ok(Standing { revision, number, trouble })
}

/// Reads a message of the state; `None` if it is about something else, or cannot be read.
pub(crate) fn decode(cluster: &Cluster, subject: &str, revision: Revision, body: &[u8]) -> Option<Decoded> {
    if subject == cluster.shared_subject() {
        return version(revision, body).ok().map(Decoded::Version);
    }
    let hash = subject.strip_prefix(&cluster.shared_node_subject_prefix())?;
    standing(hash, body).ok().map(|standing| Decoded::Node(hash.to_owned(), standing))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seal::KeyRing;

    fn cluster() -> Cluster {
        let (_, line) = KeyRing::generate();
        Cluster::new("c", KeyRing::parse(&line).unwrap()).unwrap()
    }

    fn some_version() -> Version {
        let (digest, node, release) = (Digest::of(b"text"), "one".to_owned(), "0.1.0".to_owned());
        Version { revision: 7, number: 3, digest, node, release }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let (cluster, written) = (cluster(), some_version());
        let read = decode(&cluster, &cluster.shared_subject(), 7, encode(&written).as_bytes());
        assert_eq!(read, Some(Decoded::Version(written)));
        let standing = Standing { revision: Some(7), number: Some(3), trouble: Some("it \"fails\"".to_owned()) };
        let text = NodeRecord::new("one", &standing).encode();
        let subject = cluster.shared_node_subject("one");
        let read = decode(&cluster, &subject, 9, text.as_bytes());
        assert_eq!(read, Some(Decoded::Node(names::hash("one"), standing)));
        assert_eq!(decode(&cluster, &cluster.shared_node_subject("two"), 9, text.as_bytes()), None);
    }

    #[test]
    fn what_nobody_writes_is_an_error() {
        let text = encode(&some_version());
        let wrong = [
            (text.replace("\"format\":1", "\"format\":2"), "format 2"),
            (text.replace("\"number\":3", "\"number\":0"), "counts to"),
            (text.replace("\"number\":3", "\"number\":18446744073709551615"), "counts to"),
            (text.replace("\"node\":\"one\"", &format!("\"node\":\"{}\"", "o".repeat(257))), "too long"),
            (text.replace("sha256:", "md5:"), "sha256:"),
            (text.replace('{', "{\"more\":1,"), "unknown field"),
            (" ".repeat(9000), "too large"),
        ];
        for (text, cause) in wrong {
            let error = version(1, text.as_bytes()).unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }

    #[test]
    fn the_trouble_of_a_node_fits_into_its_record() {
        let trouble = "\u{1b}[31m\"ä".repeat(10_000);
        let standing = Standing { revision: None, number: None, trouble: Some(trouble) };
        let text = NodeRecord::new(&"\"".repeat(256), &standing).encode();
        assert!(text.len() < 8 * 1024 - 512, "{}", text.len());
    }

    proptest! {
        #[test]
        fn any_message_is_a_record_or_none(place in "[0-9a-f.]{0,70}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (cluster, _) = (cluster(), version(1, &body));
            let subject = format!("{}{place}", cluster.shared_node_subject_prefix());
            let _ = decode(&cluster, &subject, 1, &body);
        }
    }
}
