//! The form of requests between nodes, and of their answers: a line of JSON, then the bytes of a body.
//!
//! Everything that nodes say to one another passes through [`pack`] and [`unpack`], with what it is about. A message that is
//! about something else is none.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The format that this version writes, and the only one that it reads.
pub(crate) const FORMAT: u32 = 1;
/// The longest line before a body, in bytes.
const LONGEST_HEAD: usize = 8 << 10;
/// The longest name of a node, in bytes.
const LONGEST_NODE: usize = 256;

/// What stands before the body of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestHead {
    pub(crate) format: u32,
    /// A random number, by which a repetition is noticed.
    pub(crate) id: String,
    /// The node that asks.
    pub(crate) from: String,
    /// The node that is asked.
    pub(crate) to: String,
    /// When it was sent, in milliseconds of the Unix clock.
    pub(crate) at: u64,
    /// For how long the node that asks waits, in milliseconds.
    pub(crate) within: u64,
    /// Whether the request of this id is taken back.
    pub(crate) is_withdrawn: bool,
}

/// What stands before a part of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerHead {
    pub(crate) format: u32,
    /// The id of the request.
    pub(crate) id: String,
    /// A random number of the process that answers.
    pub(crate) by: u64,
    pub(crate) says: Says,
}

/// What a message of a node that was asked says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Says {
    /// The node has the request, and works on it.
    Working,
    /// A part of the answer, from 0, of so many.
    Part(usize, usize),
    /// The node does not carry it out, for this reason.
    Refused(String),
}

/// A head that can be checked once it was read.
pub(crate) trait Head: Serialize + DeserializeOwned {
    /// Returns whether its values are ones that a node writes.
    fn is_sound(&self) -> bool;
}

impl Head for RequestHead {
    fn is_sound(&self) -> bool {
        let Self { format, id, from, to, .. } = self;
        *format == FORMAT && is_id(id) && [from, to].iter().all(|node| (1..=LONGEST_NODE).contains(&node.len()))
    }
}

impl Head for AnswerHead {
    fn is_sound(&self) -> bool {
        self.format == FORMAT && is_id(&self.id)
    }
}

/// Returns a new id of a request.
pub(crate) fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn is_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns the bytes of a message.
pub(crate) fn pack(head: &impl Head, body: &[u8]) -> Bytes {
    // It has only numbers and texts.
    let head = serde_json::to_vec(head).unwrap_or_default();
    let mut message = BytesMut::with_capacity(head.len() + 1 + body.len());
    message.put_slice(&head);
    // JSON has no line feed but between its tokens, where none is written.
    message.put_u8(b'\n');
    message.put_slice(body);
    message.freeze()
}

/// Returns the head and the body of a message; `None` for one that no node writes.
pub(crate) fn unpack<H: Head>(mut message: Bytes) -> Option<(H, Bytes)> {
    let end = message.iter().take(LONGEST_HEAD).position(|byte| *byte == b'\n')?;
    let head = message.split_to(end + 1);
    let head: H = serde_json::from_slice(&head).ok()?;
    head.is_sound().then_some((head, message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request() -> RequestHead {
        let (from, to) = ("one\n".to_owned(), "two".to_owned());
        RequestHead { format: FORMAT, id: new_id(), from, to, at: 1, within: 2, is_withdrawn: false }
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let head = request();
        let body = Bytes::from_static(b"{\n}\n");
        assert_eq!(unpack(pack(&head, &body)), Some((head, body)));
        let head = AnswerHead { format: FORMAT, id: new_id(), by: u64::MAX, says: Says::Refused("no\n".to_owned()) };
        assert_eq!(unpack(pack(&head, b"")), Some((head, Bytes::new())));
    }

    #[test]
    fn what_no_node_writes_is_no_message() {
        let wrong = [
            RequestHead { format: 2, ..request() },
            RequestHead { id: "A".repeat(32), ..request() },
            RequestHead { id: "a".repeat(31), ..request() },
            RequestHead { from: String::new(), ..request() },
            RequestHead { to: "n".repeat(LONGEST_NODE + 1), ..request() },
        ];
        for head in wrong {
            assert_eq!(unpack::<RequestHead>(pack(&head, b"")), None, "{head:?}");
        }
        assert_eq!(unpack::<AnswerHead>(pack(&request(), b"")), None);
        assert_eq!(unpack::<RequestHead>(Bytes::from(vec![b' '; 2 * LONGEST_HEAD])), None);
    }

    proptest! {
        #[test]
        fn any_bytes_may_come(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = unpack::<RequestHead>(bytes.clone().into());
            let _ = unpack::<AnswerHead>(bytes.into());
        }
    }
}
