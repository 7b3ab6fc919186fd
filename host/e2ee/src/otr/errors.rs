//! Why a conversation refuses a text, or to compare secrets.

use super::data::Exhausted;

/// Why a received text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// Not written as the protocol says.
    #[error("an OTR message is broken; the other side can send it again")]
    Malformed,
    /// Neither side's policy has a version in common.
    #[error(
        "no common version of OTR: the other side offers or uses one that is not allowed; versions 2 and 3 exist here"
    )]
    UnsupportedVersion,
    /// Version 2 is tried by a key with which version 3 is in use.
    #[error("OTR version 2 was tried by a key with which version 3 is in use; end the conversation first")]
    Downgrade,
    /// For another client of the account. No reason to tell anybody.
    #[error("an OTR message is for another client of this account")]
    OtherInstance,
    /// Encrypted, and no conversation is.
    #[error("an OTR message is encrypted for a conversation that has ended; begin a new one")]
    NotEncrypted,
    /// Encrypted by keys that are not in use.
    #[error(
        "an OTR message cannot be decrypted: it is of keys that are not in use; it came too late, or for a former conversation"
    )]
    Unreadable,
    /// It was forged or changed.
    #[error("an OTR message is not authentic; somebody between the two sides may have changed it")]
    NotAuthentic,
    /// It had come before, or one after it.
    #[error("an OTR message has come before, or too late")]
    Replayed,
    /// The other side does not have the key that it names.
    #[error("the other side of an OTR conversation cannot prove that it has its key")]
    BadSignature,
    /// A message of a key exchange that is not awaited.
    #[error("an OTR message is not awaited; it came too late, or twice")]
    Unexpected,
    /// Longer than is put together from parts.
    #[error("an OTR message is longer than 128 KiB; send less at a time")]
    TooLong,
    /// The person has more clients than are known at a time.
    #[error("too many OTR clients of one person at once; end the conversation first")]
    TooManyInstances,
    /// The other side's text about an error. Anybody may have written it.
    #[error("the other side of an OTR conversation reports: {0}")]
    Peer(String),
}

/// Why a text cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The policy requires encryption.
    #[error("the conversation is not encrypted by OTR, which its policy requires; begin it first")]
    NotEncrypted,
    /// The other side has ended the conversation.
    #[error("the other side has ended the OTR conversation; begin a new one, or end it to write plainly")]
    Finished,
    /// Longer than 64 KiB.
    #[error("a text for OTR is longer than 64 KiB; send less at a time")]
    TooLong,
    /// It has a NUL, behind which the protocol expects records.
    #[error("a text for OTR has a NUL; remove it")]
    Nul,
    /// The keys are used up.
    #[error("the keys of the OTR conversation are used up; begin a new one")]
    Exhausted,
}

impl From<Exhausted> for SendError {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}

/// Why secrets are not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SmpError {
    /// The conversation is not encrypted.
    #[error("secrets are compared in an encrypted OTR conversation; begin one first")]
    NotEncrypted,
    /// A comparison is under way, or the other side has asked.
    #[error("secrets are being compared already; answer, or abort first")]
    UnderWay,
    /// There is no question.
    #[error("the other side has not asked for a secret; begin the comparison yourself")]
    NotAsked,
    /// The question has a NUL or is longer than 1,000 bytes.
    #[error("a question for OTR has a NUL, or more than 1,000 bytes; write a shorter one")]
    Question,
    /// The keys are used up.
    #[error("the keys of the OTR conversation are used up; begin a new one")]
    Exhausted,
}

impl From<Exhausted> for SmpError {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted
    }
}
