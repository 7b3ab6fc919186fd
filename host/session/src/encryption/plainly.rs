//! Sends messages without encryption. All of them pass here once their encryption was chosen, so that no address of an
//! encrypted file goes out in the open, neither as a file nor in a text.

use jid::Jid;
use parlor_stanza::draft::has_key_of_a_file;
use parlor_stanza::error::CallError;
use parlor_stanza::types::Draft;

use super::outbound::{Outbound, no_encryption};
use super::waiting::{put, refuse};
use crate::messages::outgoing;
use crate::rooms::Rooms;
use crate::turn::Turn;

/// Sends a message as it is.
pub(super) fn plainly(mut message: Outbound, rooms: &Rooms, turn: &mut Turn<'_>) {
    if let Err(error) = may_go_plainly(&message.to, &message.draft) {
        return refuse(message, error, turn);
    }
    let draft = std::mem::take(&mut message.draft);
    let stanza = outgoing(rooms, message.to.clone(), message.kind, message.id.clone(), draft);
    put(stanza, message, turn);
}

/// Checks whether a message can be sent without encryption: the address of an encrypted file has its key (XEP-0454).
pub(crate) fn may_go_plainly(to: &Jid, draft: &Draft) -> Result<(), CallError> {
    if has_key_of_a_file(draft) { Err(has_key(to)) } else { Ok(()) }
}

/// Returns the error for something with the key of a file that would go out without encryption.
pub(crate) fn has_key(to: &Jid) -> CallError {
    let why = "this would go out in the open, and an address of an encrypted file in it has the file's key; send it as a message with the \
               `encryption` `required`";
    no_encryption(to, why)
}
