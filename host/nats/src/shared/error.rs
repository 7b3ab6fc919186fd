//! The reasons why what nodes share cannot be read or written.

use parlor_base::id::Digest;

use crate::error::{PutError, StateError};

/// The reason why what nodes share cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharedError {
    /// Its record cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
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
    /// The server did not store or deliver it.
    #[error("the bucket {bucket} of NATS cannot be used: {cause}; check the connection to NATS and the room there")]
    Server {
        /// The bucket.
        bucket: String,
        /// The reason.
        cause: String,
    },
}

impl SharedError {
    /// Returns whether it may be over by itself: NATS did not answer.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Server { .. } | Self::State(StateError::Put(PutError::Unknown) | StateError::Silent(_)))
    }
}
