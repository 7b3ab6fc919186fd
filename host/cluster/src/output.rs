//! The orders of a node to its surroundings, and the answers to them.

use std::sync::Arc;
use std::time::Duration;

use crate::record::{Key, Revision, SessionId, Token, Value};

/// Identifies a write that has not been answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Write a key if its revision is `expected` (0: if it is not there), and tell [`Node::answered`](crate::Node::answered). Every request must
    /// be answered, at the latest after a time-out with [`Outcome::Unknown`].
    Put {
        /// The request to answer.
        request: RequestId,
        /// The key.
        key: Key,
        /// The new value.
        value: Value,
        /// The revision that the key must have.
        expected: Revision,
    },
    /// Start an account. Its first write is a fence with the token.
    Start {
        /// The name of the account.
        account: Arc<str>,
        /// The token for its writes.
        token: Token,
    },
    /// Stop an account and tell [`Node::stopped`](crate::Node::stopped). It must not act any more at the time `by`.
    Stop {
        /// The name of the account.
        account: Arc<str>,
        /// The token that it runs with.
        token: Token,
        /// When the session ends unless it is renewed, by the clock of this node.
        by: Duration,
    },
    /// End an account at once: it may run elsewhere.
    Kill {
        /// The name of the account.
        account: Arc<str>,
        /// The token that it runs with.
        token: Token,
    },
    /// Tell the owner that the configuration of this node lacks an account that it was to run.
    Lacks {
        /// The name of the account.
        account: Arc<str>,
    },
    /// Tell the owner that another process with the name of this node renews a session.
    Twin {
        /// The name.
        node: Arc<str>,
    },
    /// Remove the record of a session that has been over for long, if it still has this revision. Nobody waits for that: other nodes want it
    /// removed as well.
    Remove {
        /// The session.
        session: SessionId,
        /// The revision of its record.
        revision: Revision,
    },
    /// Report the present record of each key, and then all writes after them. The store has lost writes, and the node has forgotten
    /// what was reported before. Answers to earlier requests are ignored.
    ReadAnew,
}

/// The store's answer to a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was written, with this revision.
    Written(Revision),
    /// The key has another revision.
    Refused,
    /// It was refused, and the key has an earlier revision than the expected one, or none: the store has lost what it had confirmed or
    /// reported. It may also be the record of a session that was over for so long that another node has [removed](Output::Remove) it.
    Lost,
    /// There was no answer. It may have been written, or may be later.
    Unknown,
}
