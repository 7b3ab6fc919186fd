//! A message that the host cannot decrypt, and the state of off-the-record messaging in a chat.

use jid::Jid;
use jiff::Timestamp;
use parlor_stanza::types::{Encryption, Message, MessageKind};

/// The reason why a message cannot be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UndecryptableReason {
    /// It was encrypted for other devices of this account, but not for this one.
    NoKeyForUs,
    /// It continues an exchange of keys that this account does not know, or knows no longer.
    NoSession,
    /// It was received before, or its key was used before.
    Replayed,
    /// It is damaged or forged: it is malformed, or its authentication failed.
    Broken,
    /// Its device is not trusted: the owner refused it, or has not accepted it yet. Or a room names the device's owner,
    /// whose server does not publish its key.
    Distrusted,
    /// It is meant for another device: a copy or an archived message of another client's conversation.
    OtherDevice,
    /// It is encrypted in a way that the host does not know, or that the owner turned off.
    Unsupported,
}

impl UndecryptableReason {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::NoKeyForUs,
        Self::NoSession,
        Self::Replayed,
        Self::Broken,
        Self::Distrusted,
        Self::OtherDevice,
        Self::Unsupported,
    ];

    /// Returns its name in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoKeyForUs => "no-key-for-us",
            Self::NoSession => "no-session",
            Self::Replayed => "replayed",
            Self::Broken => "broken",
            Self::Distrusted => "distrusted",
            Self::OtherDevice => "other-device",
            Self::Unsupported => "unsupported",
        }
    }
}

/// A received message that the host cannot decrypt. Fields as in `undecryptable` of `wit/types.wit`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct Undecryptable {
    pub id: Option<String>,
    pub stanza_id: Option<String>,
    pub chat: Jid,
    pub from: Jid,
    pub nick: Option<String>,
    pub kind: MessageKind,
    pub at: Timestamp,
    pub delayed: bool,
    pub own: bool,
    pub encryption: Encryption,
    pub reason: UndecryptableReason,
}

impl Undecryptable {
    /// Returns the record that is reported instead of a message.
    pub fn of(message: Message, reason: UndecryptableReason) -> Self {
        let Message { id, stanza_id, chat, from, nick, kind, at, delayed, own, encryption, .. } = message;
        let encryption = encryption.unwrap_or(Encryption::Omemo);
        Self { id, stanza_id, chat, from, nick, kind, at, delayed, own, encryption, reason }
    }

    /// Returns about how many bytes of memory its texts take.
    pub fn bytes(&self) -> usize {
        let texts = [&self.id, &self.stanza_id, &self.nick].into_iter().flatten().map(String::len).sum::<usize>();
        self.chat.as_str().len() + self.from.as_str().len() + texts
    }
}

/// The state of off-the-record messaging in a chat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum OtrStatus {
    /// It is not used.
    #[default]
    Unencrypted,
    /// It is used, and the other side's key was not verified.
    Unverified,
    /// It is used, and the other side's key was verified.
    Verified,
    /// The other side ended it. Nothing is sent until this side ends it, too, or it begins again.
    Finished,
}

impl OtrStatus {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Unencrypted, Self::Unverified, Self::Verified, Self::Finished];

    /// Returns its name in the contract; none if it is not used.
    pub fn as_str(self) -> Option<&'static str> {
        Some(match self {
            Self::Unencrypted => return None,
            Self::Unverified => "unverified",
            Self::Verified => "verified",
            Self::Finished => "finished",
        })
    }
}
