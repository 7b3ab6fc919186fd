//! The records about shared texts: one with the present version of each text, and one of each node with the version that it has.
//!
//! The record of a version is sealed with the key of the cluster, since it decides which plugins and accounts run. Those of nodes
//! are only shown.

use parlor_base::escape::escape_untrusted;
use parlor_base::id::Digest;
use parlor_cluster::Revision;
use serde::{Deserialize, Serialize};

use super::{Forgery, SharedError, Standing, Version};
use crate::error::StateError;
use crate::names::{self, Cluster};
use crate::seal::{KeyId, OpenError, What, key_of};
use crate::shared_text::SharedText;
use crate::state::{FORMAT, HIGHEST, LONGEST_NODE, format_of, parse, parse_format};

/// The format of the record of a version. The first was not sealed, and the second was about a text that was not encrypted.
const SEALED: u32 = 3;

/// The longest text of a trouble, and the longest version of parlor, in bytes.
const LONGEST_TROUBLE: usize = 1024;
const LONGEST_RELEASE: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SealedRecord {
    format: u32,
    /// A version, encrypted; in hexadecimal.
    sealed: String,
}

/// The encrypted part of the record of a version.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VersionRecord {
    number: u64,
    digest: Digest,
    object: Digest,
    node: String,
    parlor: String,
}

/// The record in which a node reports the version that it has.
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
    /// The present version of a text, or why its record is refused.
    Version(SharedText, Result<Version, SharedError>),
    /// A record of the node with this hash, about a text.
    Node(SharedText, String, Standing),
}

/// Returns the record of a version; `None` if it is too long.
pub(super) fn encode(cluster: &Cluster, of: SharedText, version: &Version) -> Option<String> {
    let Version { revision: _, number, digest, object, node, release } = version.clone();
    // It has only numbers and texts.
    let text = serde_json::to_vec(&VersionRecord { number, digest, object, node, parlor: release }).unwrap_or_default();
    let sealed = cluster.seal_own(What::Version, &cluster.shared_subject(of), &text)?;
    serde_json::to_string(&SealedRecord { format: SEALED, sealed: hex::encode(sealed) }).ok()
}

/// Reads the record of a version.
pub(super) fn version(
    cluster: &Cluster,
    of: SharedText,
    revision: Revision,
    body: &[u8],
) -> Result<Version, SharedError> {
    let subject = cluster.shared_subject(of);
    let unreadable = |cause| StateError::Unreadable { subject: subject.clone(), revision, cause };
    let forged = |cause| SharedError::Forged { subject: subject.clone(), revision, cause };
    match format_of(body) {
        None => return Err(forged(Forgery::Changed)),
        Some(1..SEALED) => return Err(forged(Forgery::Older)),
        Some(_) => {}
    }
    let SealedRecord { sealed, .. } = parse_format(body, SEALED).map_err(unreadable)?;
    let sealed = hex::decode(&sealed).map_err(|_| forged(Forgery::Changed))?;
    let opened = cluster.open_own(What::Version, &subject, sealed).map_err(|error| match error {
        OpenError::Key(key) => forged(Forgery::Key(key)),
        OpenError::Changed => forged(Forgery::Changed),
    })?;
    Ok(read(revision, &opened).map_err(unreadable)?)
}

/// Returns the key with which the record of a version says that it is sealed.
pub(crate) fn key(body: &[u8]) -> Option<KeyId> {
    let SealedRecord { sealed, .. } = parse_format(body, SEALED).ok()?;
    key_of(&hex::decode(&sealed).ok()?)
}

fn read(revision: Revision, opened: &[u8]) -> Result<Version, String> {
    let VersionRecord { number, digest, object, node, parlor } =
        serde_json::from_slice(opened).map_err(|error| error.to_string())?;
    if number == 0 || number > HIGHEST {
        return Err("its version has a number that nobody counts to".to_owned());
    }
    if node.len() > LONGEST_NODE || parlor.len() > LONGEST_RELEASE {
        return Err("the name of its node, or the version of parlor there, is too long".to_owned());
    }
    let [node, release] = [node, parlor].map(|text| escape_untrusted(&text, LONGEST_NODE));
    Ok(Version { revision, number, digest, object, node, release })
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
    for of in SharedText::ALL {
        if subject == cluster.shared_subject(of) {
            return Some(Decoded::Version(of, version(cluster, of, revision, body)));
        }
        if let Some(hash) = subject.strip_prefix(&cluster.shared_node_subject_prefix(of)) {
            return standing(hash, body).ok().map(|standing| Decoded::Node(of, hash.to_owned(), standing));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seal::KeyRing;

    const PLUGINS: SharedText = SharedText::Plugins;

    fn cluster() -> Cluster {
        let (_, line) = KeyRing::generate();
        Cluster::new("c", KeyRing::parse(&line).unwrap()).unwrap()
    }

    fn some_version() -> Version {
        let (digest, object) = (Digest::of(b"text"), Digest::of(b"sealed"));
        Version { revision: 7, number: 3, digest, object, node: "one".to_owned(), release: "0.1.0".to_owned() }
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let (cluster, written) = (cluster(), some_version());
        for of in SharedText::ALL {
            let record = encode(&cluster, of, &written).unwrap();
            assert!(!record.contains("one") && key(record.as_bytes()) == Some(cluster.keys().first()), "{record}");
            let read = decode(&cluster, &cluster.shared_subject(of), 7, record.as_bytes());
            assert_eq!(read, Some(Decoded::Version(of, Ok(written.clone()))));
        }
        let standing = Standing { revision: Some(7), number: Some(3), trouble: Some("it \"fails\"".to_owned()) };
        let text = NodeRecord::new("one", &standing).encode();
        for of in SharedText::ALL {
            let read = decode(&cluster, &cluster.shared_node_subject(of, "one"), 9, text.as_bytes());
            assert_eq!(read, Some(Decoded::Node(of, names::hash("one"), standing.clone())));
            assert_eq!(decode(&cluster, &cluster.shared_node_subject(of, "two"), 9, text.as_bytes()), None);
        }
    }

    #[test]
    fn a_version_that_no_node_of_the_cluster_wrote_is_refused() {
        let (own, other) = (cluster(), cluster());
        let refused = |body: &str| match version(&own, PLUGINS, 1, body.as_bytes()).unwrap_err() {
            SharedError::Forged { cause, .. } => cause,
            error => panic!("{body}: {error}"),
        };
        assert_eq!(refused(&encode(&other, PLUGINS, &some_version()).unwrap()), Forgery::Key(other.keys().first()));
        for older in [r#"{"format":1,"number":3,"digest":"sha256:00","node":"one"}"#, r#"{"format":2,"sealed":"00"}"#] {
            assert_eq!(refused(older), Forgery::Older);
        }
        let record = encode(&own, PLUGINS, &some_version()).unwrap();
        let end = if record.ends_with("0\"}") { "1\"}" } else { "0\"}" };
        let flipped = format!("{}{end}", &record[..record.len() - 3]);
        // Sealed with the key, but as something else.
        let strange = hex::encode(own.seal_own(What::Answer, &own.shared_subject(PLUGINS), b"{}").unwrap());
        let strange = format!("{{\"format\":3,\"sealed\":\"{strange}\"}}");
        // The version of the plugins is none of the accounts.
        let of_accounts = encode(&own, SharedText::Accounts, &some_version()).unwrap();
        for wrong in ["nonsense", "", &flipped, &strange, &of_accounts, r#"{"format":3,"sealed":"xy"}"#] {
            assert_eq!(refused(wrong), Forgery::Changed, "{wrong}");
        }
    }

    #[test]
    fn what_nobody_writes_is_an_error() {
        let cluster = cluster();
        let text = encode(&cluster, PLUGINS, &some_version()).unwrap();
        let wrong = [
            (text.replace("\"format\":3", "\"format\":4"), "format 4"),
            (text.replace('{', "{\"more\":1,"), "unknown field"),
        ];
        for (text, cause) in wrong {
            let error = version(&cluster, PLUGINS, 1, text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(cause), "{text}: {error}");
        }
        let digest = serde_json::json!(Digest::of(b"text"));
        let text = format!(r#"{{"number":3,"digest":{digest},"object":{digest},"node":"one","parlor":"1"}}"#);
        assert!(read(1, text.as_bytes()).is_ok(), "{text}");
        let wrong = [
            (text.replace("\"number\":3", "\"number\":0"), "counts to"),
            (text.replace("\"number\":3", "\"number\":18446744073709551615"), "counts to"),
            (text.replace("\"node\":\"one\"", &format!("\"node\":\"{}\"", "o".repeat(257))), "too long"),
            (text.replace("sha256:", "md5:"), "sha256:"),
            (text.replace('{', "{\"more\":1,"), "unknown field"),
        ];
        for (text, cause) in wrong {
            let error = read(1, text.as_bytes()).unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }

    #[test]
    fn the_longest_record_of_a_version_fits_into_the_state() {
        let (node, release) = ("\u{1}".repeat(LONGEST_NODE), "\u{1}".repeat(LONGEST_RELEASE));
        let text = encode(&cluster(), PLUGINS, &Version { node, release, number: HIGHEST, ..some_version() }).unwrap();
        assert!(text.len() < 8 * 1024 - 512, "{}", text.len());
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
            let cluster = cluster();
            prop_assert!(version(&cluster, PLUGINS, 1, &body).is_err());
            let _ = (key(&body), read(1, &body));
            let subject = format!("{}{place}", cluster.shared_node_subject_prefix(PLUGINS));
            let _ = decode(&cluster, &subject, 1, &body);
        }
    }
}
