//! The reason why another node did not answer.

use crate::envelope::EnvelopeError;

/// The reason why another node did not answer a request. Unless the node was absent, it may have carried it out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request is larger than a message may be.
    #[error("a request to another node has at most {most} bytes, and this one has {found}; ask that node itself")]
    TooLarge {
        /// Its size.
        found: usize,
        /// The largest size.
        most: usize,
    },
    /// There is no connection to NATS.
    #[error("this node does not reach NATS, by which nodes ask one another; check the connection to NATS")]
    Cut,
    /// Nobody listens under this name.
    #[error("node {0} is not there: it has just stopped, or its parlor is older than such requests")]
    Absent(String),
    /// The node listens, and says nothing.
    #[error(
        "node {0} does not answer: it may be suspended, cut off, or too busy, or have other keys, as its log says then"
    )]
    Silent(String),
    /// The node still works on the request.
    #[error("node {0} has not finished in time; it may still carry out what it was asked")]
    Late(String),
    /// The node does not carry it out.
    #[error("node {node} refuses: {reason}")]
    Refused {
        /// The node.
        node: String,
        /// Its reason.
        reason: String,
    },
    /// Another program, or a node with another key, sent a message in the place of its answer.
    #[error("node {node} did not answer, and what came in its place was refused: {cause}")]
    Sealed {
        /// The node.
        node: String,
        /// Why the message was refused.
        cause: EnvelopeError,
    },
    /// The answer is none that parlor gives.
    #[error("the answer of node {0} cannot be read; run the same version of parlor on all nodes")]
    Strange(String),
}
