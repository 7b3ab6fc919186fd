//! The form of what nodes send one another: a line of JSON, then the bytes of a body.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Returns the bytes of a head and a body.
pub(crate) fn join(head: &impl Serialize, body: &[u8]) -> Vec<u8> {
    // It has only numbers and texts.
    let mut bytes = serde_json::to_vec(head).unwrap_or_default();
    bytes.push(b'\n');
    bytes.extend_from_slice(body);
    bytes
}

/// Returns a head and a body; `None` if the bytes are none that a node sends.
pub(crate) fn split<T: DeserializeOwned>(bytes: &[u8]) -> Option<(T, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    Some((serde_json::from_slice(&bytes[..end]).ok()?, &bytes[end + 1..]))
}
