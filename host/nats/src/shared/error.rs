//! The reasons why what nodes share cannot be read or written.

use parlor_base::id::Digest;
use parlor_cluster::Revision;

use crate::error::{PutError, StateError, StreamError};
use crate::seal::KeyId;

/// The reason why what nodes share cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedError {
    /// Its record cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// No node of this cluster wrote its record, as far as this node can see.
    #[error("the record {revision} of {subject:?} in NATS is refused: {cause}")]
    Forged {
        /// The subject.
        subject: String,
        /// The place in the stream.
        revision: Revision,
        /// Why it is refused.
        cause: Forgery,
    },
    /// It is too large.
    #[error("{size} bytes are more than nodes share of one file; at most {most} are")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The largest size.
        most: usize,
    },
    /// It is not there.
    #[error(
        "the object {} is not in the bucket {bucket} of NATS; run `parlor reload` on a node that has it", .digest.to_hex()
    )]
    Missing {
        /// The digest of the file.
        digest: Digest,
        /// The bucket.
        bucket: String,
    },
    /// It has other bytes than its name says.
    #[error(
        "the object {} in the bucket {bucket} of NATS is not what was stored there; find out who changed it, remove it with `nats object rm`, and run `parlor reload` on a node that has it", .digest.to_hex()
    )]
    Changed {
        /// The digest that it should have.
        digest: Digest,
        /// The bucket.
        bucket: String,
    },
    /// The text is none.
    #[error("the object {} in NATS is no text, so another program wrote it", .digest.to_hex())]
    NoText {
        /// Its digest.
        digest: Digest,
    },
    /// The stream of the object store cannot be used.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The server did not store or deliver it.
    #[error("the bucket {bucket} of NATS cannot be used: {cause}; check the connection to NATS and the room there")]
    Server {
        /// The bucket.
        bucket: String,
        /// The reason.
        cause: String,
    },
}

/// Why a record is refused: as far as this node can see, no node of this cluster wrote it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Forgery {
    /// It has an earlier form.
    #[error(
        "an older parlor wrote it; run the same version of parlor on all nodes, and then `parlor reload` on the node whose file is to count"
    )]
    Older,
    /// It is sealed with a key that this node does not have.
    #[error(
        "it is sealed with the key {0}, which this node does not have; copy the key file of another node, and start this one again. If no node has that key, find out who can log in to NATS as parlor, and remove the record with `nats stream purge --subject`"
    )]
    Key(KeyId),
    /// It does not open.
    #[error(
        "no node of this cluster wrote it there; find out who can log in to NATS as parlor, and run `parlor reload` on the node whose file is to count"
    )]
    Changed,
}

impl SharedError {
    /// Returns the place of a record that no node of this cluster wrote, so that an owner may have another put there. One
    /// with a key that this node lacks may be a newer one of another node.
    pub fn replaceable(&self) -> Option<Revision> {
        match self {
            Self::Forged { revision, cause: Forgery::Older | Forgery::Changed, .. } => Some(*revision),
            _ => None,
        }
    }

    /// Returns whether it may be over by itself: NATS did not answer.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Server { .. }
                | Self::Stream(StreamError::Server { .. })
                | Self::State(StateError::Put(PutError::Unknown) | StateError::Silent(_))
        )
    }
}
