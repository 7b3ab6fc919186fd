//! Encryption from end to end: what the contract asks of it. This host has none yet, so each wish for it is refused.

use jid::{BareJid, Jid};
use parlor_base::id::InstanceId;
use parlor_stanza::error::CallError;
use parlor_stanza::types::{EncryptionWish, MessageKind};

use crate::answer::Answer;
use crate::features::Features;
use crate::records::encryption::OtrStatus;
use crate::turn::Turn;

/// Returns the error for a message, or a chat, that cannot be encrypted.
pub(crate) fn no_encryption(to: &Jid, why: &str) -> CallError {
    CallError::Unsupported(format!("encryption with {to}: {why}"))
}

/// Begins off-the-record messaging with the person of an open chat. Answered once the chat is encrypted.
pub(crate) fn begin_otr(_: &mut Features, jid: BareJid, _: InstanceId, answer: Answer<()>, turn: &mut Turn<'_>) {
    turn.answer(answer, Err(no_encryption(&jid.into(), "this host cannot do it")));
}

/// Ends off-the-record messaging with the person of an open chat.
pub(crate) fn end_otr(_: &mut Features, _: &BareJid, answer: Answer<()>, turn: &mut Turn<'_>) {
    turn.answer(answer, Ok(()));
}

/// Returns how it stands with off-the-record messaging with a person.
pub(crate) fn otr_status(_: &Features, _: &BareJid) -> OtrStatus {
    OtrStatus::Unencrypted
}

/// Checks whether a message with this wish can be sent to this recipient.
pub(crate) fn may_encrypt(
    _: &Features,
    to: &Jid,
    _: MessageKind,
    wish: EncryptionWish,
    _: &Turn<'_>,
) -> Result<(), CallError> {
    match wish {
        EncryptionWish::AsTheChat | EncryptionWish::None => Ok(()),
        EncryptionWish::Required => Err(no_encryption(to, "this host cannot do it")),
    }
}
