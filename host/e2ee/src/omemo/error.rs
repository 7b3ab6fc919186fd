//! The errors of bundles, sessions, messages and states.

use super::limits;

/// A foreign bundle cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A key or signature has another length, or another type.
    #[error("the {0} of the bundle is no key of this version")]
    Malformed(&'static str),
    /// A key would lead to a secret that everybody knows.
    #[error("the {0} of the bundle is of low order; somebody forged it")]
    LowOrderKey(&'static str),
    /// The identity key did not sign the signed prekey.
    #[error("the signature of the bundle is wrong; somebody changed it")]
    WrongSignature,
    /// It has no prekey.
    #[error("the bundle has no prekeys; its device has to publish new ones")]
    NoPrekeys,
    /// Two prekeys have the same id.
    #[error("the bundle has two prekeys with the id {0}")]
    SamePrekey(u32),
}

/// A session cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// It is the own bundle.
    #[error("the bundle has the account's own identity key; a device has no session with itself")]
    OwnDevice,
    /// A key would lead to a secret that everybody knows.
    #[error("a key of the bundle is of low order; somebody forged it")]
    LowOrderKey,
}

/// Key material cannot be encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// It is too long to be key material.
    #[error("key material has at most {} bytes", limits::KEY_BYTES)]
    TooLong,
    /// More messages were sent without an answer than there are numbers.
    #[error("the session has no numbers left; start a new one")]
    Exhausted,
}

/// A message cannot be read. Device and session are as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// It does not have the form of a message of this version.
    #[error("the message is broken: {0}")]
    Malformed(&'static str),
    /// It is longer than any real one.
    #[error("the message is longer than {} bytes", limits::KEY_MESSAGE_BYTES)]
    TooLarge,
    /// Its first byte is that of an unused version.
    #[error("the message is of version {0}, which nobody uses; known is 3")]
    UnknownVersion(u8),
    /// The session is of the other version of OMEMO.
    #[error("the session is of another version of OMEMO than the message")]
    WrongVersion,
    /// There is no session for it.
    #[error("there is no session with the device; start a new one")]
    NoSession,
    /// A key in it would lead to a secret that everybody knows.
    #[error("a key in the message is of low order; somebody forged it")]
    LowOrderKey,
    /// It starts a session without a prekey.
    #[error("the message starts a session without a prekey; it could come again and again")]
    NoPrekey,
    /// It starts a session by a prekey that never existed.
    #[error("the message starts a session by prekey {0}, which this device never had; start a new session")]
    UnknownPrekey(u32),
    /// It starts a session by a prekey that was used and forgotten.
    #[error("the message starts a session by prekey {0}, which was used before; start a new session")]
    UsedPrekey(u32),
    /// It starts a session by a signed prekey that does not exist, or no longer.
    #[error("the message starts a session by signed prekey {0}, which this device does not have; start a new session")]
    UnknownSignedPrekey(u32),
    /// It is from the own identity key.
    #[error("the message has the account's own identity key; somebody sent it back")]
    OwnDevice,
    /// It was not made by the other side of the session, or it was changed.
    #[error("the message is not authentic: somebody changed it, or the other side has lost the session")]
    Forged,
    /// It was read before.
    #[error("the message was read before")]
    Replayed,
    /// More messages before it are missing than the limit of kept keys.
    #[error("{missing} messages before this one are missing, and {} may be; start a new session", limits::SKIPPED_KEYS)]
    TooFar {
        /// The number of missing messages.
        missing: u32,
    },
}

impl ReceiveError {
    /// Whether a new session that this side starts could help: the other side may have lost its own, or have gone back to an older state
    /// of it, whose keys were used since.
    pub fn may_heal(self) -> bool {
        match self {
            Self::NoSession
            | Self::UnknownPrekey(_)
            | Self::UsedPrekey(_)
            | Self::UnknownSignedPrekey(_)
            | Self::Forged
            | Self::Replayed
            | Self::TooFar { .. } => true,
            Self::Malformed(_)
            | Self::TooLarge
            | Self::UnknownVersion(_)
            | Self::WrongVersion
            | Self::LowOrderKey
            | Self::NoPrekey
            | Self::OwnDevice => false,
        }
    }
}

/// Bytes are not a state that this program wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A later parlor wrote it.
    #[error("the state is of version {0}; a later parlor wrote it, and this one reads version 1")]
    UnknownVersion(u8),
    /// It is truncated, has bytes after its end, or contains invalid values.
    #[error("the state is damaged: {0}")]
    Damaged(&'static str),
}
