//! The form of requests between nodes, and of their answers: a line of JSON, then the bytes of a body, sealed with the key of
//! the cluster.
//!
//! Everything that nodes say to one another passes through [`seal`] and [`open`]. A message opens only where it belongs: at the
//! node and the topic that a request was written for, and as an answer to the request that it answers.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::names::Cluster;
use crate::seal::{KeyId, OVERHEAD, OpenError, What};

/// The largest body of a request, in bytes: it goes in one message.
pub const MOST_IN_A_REQUEST: usize = 960 << 10;
/// The format that this version writes, and the only one that it reads.
pub(crate) const FORMAT: u32 = 2;
/// The format of messages that were not sealed.
const OLDER: u32 = 1;
/// The longest line before a body, in bytes.
const LONGEST_HEAD: usize = 8 << 10;
/// The longest name of a node, and the longest subject for an answer, in bytes.
const LONGEST_NODE: usize = 256;
const LONGEST_REPLY: usize = 256;
/// The largest message. A part of an answer is smaller than a request may be.
const LARGEST: usize = MOST_IN_A_REQUEST + LONGEST_HEAD + OVERHEAD;
/// The begin of all subjects for answers. A node answers on no other subject, since a stream could listen there.
const INBOX: &str = "_INBOX.";

/// The head of a request, before its body.
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
    /// The subject for the answer. It stands here since a message can be sent on with another one.
    pub(crate) reply: String,
    /// The random number of the process that is asked, as far as the node that asks knows it.
    pub(crate) run: Option<u64>,
    /// When it was sent, in milliseconds of the Unix clock.
    pub(crate) at: u64,
    /// For how long the node that asks waits, in milliseconds.
    pub(crate) within: u64,
    /// Whether the request of this id is taken back.
    pub(crate) is_withdrawn: bool,
    /// Whether it changes nothing, so that it does no harm if it comes twice.
    pub(crate) is_question: bool,
}

/// The head of a part of an answer, before its body.
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

/// The kind of a message that an asked node sends back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Says {
    /// The node has done nothing: the request is not for the process that answers. It can be asked by the number of this one.
    Run,
    /// The node has the request, and works on it.
    Working,
    /// A part of the answer, from 0, of so many.
    Part(usize, usize),
    /// The node does not carry it out, for this reason.
    Refused(String),
}

/// The node and the request that a message was written for. It opens for no other.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// A request to the node that listens on this subject.
    Request(&'a str),
    /// An answer of that node to the request with this id.
    Answer { subject: &'a str, id: &'a str },
}

impl Place<'_> {
    fn named(self) -> (What, String) {
        match self {
            Self::Request(subject) => (What::Request, subject.to_owned()),
            // A subject has no space.
            Self::Answer { subject, id } => (What::Answer, format!("{subject} {id}")),
        }
    }
}

/// The reason why a message is none that a node of this cluster wrote for this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// It is not sealed.
    #[error("it is not sealed, as those of an older parlor; run the same version of parlor on all nodes")]
    Older,
    /// It is sealed with a key that this node does not have.
    #[error("it is sealed with the key {0}, which this node does not have; give all nodes the same key file")]
    Key(KeyId),
    /// It does not open.
    #[error(
        "no node of this cluster wrote it for this place: it was made without the key, changed, or written for another node or request; find out who can log in to NATS as parlor"
    )]
    Changed,
    /// It opens, and is nothing that this version sends.
    #[error("this version of parlor sends no such message; run the same version of parlor on all nodes")]
    Strange,
}

impl From<OpenError> for EnvelopeError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Key(id) => Self::Key(id),
            OpenError::Changed => Self::Changed,
        }
    }
}

/// A head that can be checked once it was read.
pub(crate) trait Head: Serialize + DeserializeOwned {
    /// Returns whether its values are ones that a node writes.
    fn is_sound(&self) -> bool;
}

impl Head for RequestHead {
    fn is_sound(&self) -> bool {
        let Self { format, id, from, to, reply, .. } = self;
        let are_named = [from, to].iter().all(|node| (1..=LONGEST_NODE).contains(&node.len()));
        *format == FORMAT && is_id(id) && are_named && is_inbox(reply)
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

/// Returns whether an answer may go to this subject.
pub(crate) fn is_inbox(subject: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'>');
    let is_whole = subject.len() <= LONGEST_REPLY && subject.split('.').all(|part| !part.is_empty());
    subject.starts_with(INBOX) && is_whole && subject.bytes().all(is_plain)
}

/// Returns the bytes of a message; `None` if it is too long.
pub(crate) fn seal(cluster: &Cluster, place: Place<'_>, head: &impl Head, body: &[u8]) -> Option<Bytes> {
    let (what, at) = place.named();
    cluster.seal_own(what, &at, &pack(head, body)).map(Bytes::from)
}

/// Returns the head and the body of a message.
pub(crate) fn open<H: Head>(cluster: &Cluster, place: Place<'_>, message: &Bytes) -> Result<(H, Bytes), EnvelopeError> {
    if message.first() == Some(&b'{') {
        return Err(EnvelopeError::Older);
    }
    if message.len() > LARGEST {
        return Err(EnvelopeError::Changed);
    }
    let (what, at) = place.named();
    let opened = cluster.open_own(what, &at, message.to_vec())?;
    unpack(opened.into()).ok_or(EnvelopeError::Strange)
}

/// Returns what a node with an older parlor reads as a refusal of its request; `None` if the message is none of it.
pub(crate) fn refuse_older(message: &Bytes, by: u64, reason: &str) -> Option<Bytes> {
    #[derive(Deserialize)]
    struct OlderHead {
        format: u32,
        id: String,
    }
    let OlderHead { format, id } = serde_json::from_slice(head_of(message)?).ok()?;
    let says = Says::Refused(reason.to_owned());
    (format == OLDER && is_id(&id)).then(|| pack(&AnswerHead { format: OLDER, id, by, says }, b""))
}

/// Returns the id of a request and the subject for its answer, if a node of the cluster sealed it that runs another version, whose requests
/// this one does not read.
pub(crate) fn addressed(cluster: &Cluster, place: Place<'_>, message: &Bytes) -> Option<(String, String)> {
    #[derive(Deserialize)]
    struct AnyHead {
        id: String,
        reply: String,
    }
    let (what, at) = place.named();
    let opened = cluster.open_own(what, &at, message.to_vec()).ok()?;
    let AnyHead { id, reply } = serde_json::from_slice(head_of(&opened)?).ok()?;
    (is_id(&id) && is_inbox(&reply)).then_some((id, reply))
}

/// Returns the bytes of a message that is not sealed.
fn pack(head: &impl Head, body: &[u8]) -> Bytes {
    // It has only numbers and texts.
    let head = serde_json::to_vec(head).unwrap_or_default();
    let mut message = BytesMut::with_capacity(head.len() + 1 + body.len());
    message.put_slice(&head);
    // JSON has no line feed but between its tokens, where none is written.
    message.put_u8(b'\n');
    message.put_slice(body);
    message.freeze()
}

/// Returns the bytes of the head of a message; `None` if it has none.
fn head_of(message: &[u8]) -> Option<&[u8]> {
    let end = message.iter().take(LONGEST_HEAD).position(|byte| *byte == b'\n')?;
    Some(&message[..end])
}

/// Returns the head and the body of a message; `None` for one that no node writes.
fn unpack<H: Head>(mut message: Bytes) -> Option<(H, Bytes)> {
    let end = head_of(&message)?.len();
    let head = message.split_to(end + 1);
    let head: H = serde_json::from_slice(&head).ok()?;
    head.is_sound().then_some((head, message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seal::KeyRing;

    fn request() -> RequestHead {
        RequestHead {
            format: FORMAT,
            id: new_id(),
            from: "one\n".to_owned(),
            to: "two".to_owned(),
            reply: "_INBOX.x".to_owned(),
            run: Some(u64::MAX),
            at: 1,
            within: 2,
            is_withdrawn: false,
            is_question: false,
        }
    }

    fn cluster() -> Cluster {
        let (_, line) = KeyRing::generate();
        Cluster::new("c", KeyRing::parse(&line).unwrap()).unwrap()
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let (cluster, head, body) = (cluster(), request(), Bytes::from_static(b"{\n}\n"));
        let place = Place::Request("s");
        let sealed = seal(&cluster, place, &head, &body).unwrap();
        assert_eq!(open(&cluster, place, &sealed), Ok((head.clone(), body)));
        let answer = AnswerHead { format: FORMAT, id: head.id, by: u64::MAX, says: Says::Refused("no\n".to_owned()) };
        let place = Place::Answer { subject: "s", id: &answer.id };
        let sealed = seal(&cluster, place, &answer, b"").unwrap();
        assert_eq!(open(&cluster, place, &sealed), Ok((answer.clone(), Bytes::new())));
    }

    #[test]
    fn a_message_opens_only_where_it_belongs() {
        let (cluster, head) = (cluster(), request());
        let sealed = seal(&cluster, Place::Request("s"), &head, b"").unwrap();
        let refused = |of: &Cluster, place, sealed: &Bytes| open::<RequestHead>(of, place, sealed).unwrap_err();
        let elsewhere = [Place::Request("t"), Place::Answer { subject: "s", id: "" }, Place::Request("s ")];
        for place in elsewhere {
            assert_eq!(refused(&cluster, place, &sealed), EnvelopeError::Changed, "{place:?}");
        }
        let other = self::cluster();
        let key = EnvelopeError::Key(cluster.keys().first());
        assert_eq!(refused(&other, Place::Request("s"), &sealed), key);
        let plain = pack(&head, b"");
        assert_eq!(refused(&cluster, Place::Request("s"), &plain), EnvelopeError::Older);
        assert!(EnvelopeError::Older.to_string().contains("same version of parlor on all nodes"));
        let large = Bytes::from(vec![1; LARGEST + 1]);
        assert_eq!(refused(&cluster, Place::Request("s"), &large), EnvelopeError::Changed);
    }

    #[test]
    fn what_no_node_writes_is_no_message() {
        let wrong = [
            RequestHead { format: FORMAT + 1, ..request() },
            RequestHead { id: "A".repeat(32), ..request() },
            RequestHead { id: "a".repeat(31), ..request() },
            RequestHead { from: String::new(), ..request() },
            RequestHead { to: "n".repeat(LONGEST_NODE + 1), ..request() },
            RequestHead { reply: "parlor.c.state.keys".to_owned(), ..request() },
            RequestHead { reply: "_INBOX.a b".to_owned(), ..request() },
            RequestHead { reply: "_INBOX.a..b".to_owned(), ..request() },
            RequestHead { reply: format!("_INBOX.{}", "a".repeat(LONGEST_REPLY)), ..request() },
        ];
        for head in wrong {
            assert_eq!(unpack::<RequestHead>(pack(&head, b"")), None, "{head:?}");
        }
        assert_eq!(unpack::<AnswerHead>(pack(&request(), b"")), None);
        assert_eq!(unpack::<RequestHead>(Bytes::from(vec![b' '; 2 * LONGEST_HEAD])), None);
    }

    #[test]
    fn a_node_with_an_older_parlor_is_told_so_in_its_own_form() {
        let id = new_id();
        let older = Bytes::from(format!("{{\"format\":1,\"id\":\"{id}\",\"from\":\"one\"}}\nbody"));
        let told = refuse_older(&older, 7, "no").unwrap();
        let expected = format!("{{\"format\":1,\"id\":\"{id}\",\"by\":7,\"says\":{{\"refused\":\"no\"}}}}\n");
        assert_eq!(told, expected);
        for strange in ["{}\n", "{\"format\":1,\"id\":\"x\"}\n", "{\"format\":1"] {
            assert_eq!(refuse_older(&Bytes::from(strange), 7, "no"), None, "{strange}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_may_come(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (cluster, bytes) = (cluster(), Bytes::from(bytes));
            prop_assert!(open::<RequestHead>(&cluster, Place::Request("s"), &bytes).is_err());
            let _ = refuse_older(&bytes, 1, "no");
            let _ = unpack::<RequestHead>(bytes.clone());
            let _ = unpack::<AnswerHead>(bytes);
        }
    }
}
