//! Finds the person or room that a message is for.

use jid::{BareJid, Jid};
use parlor_stanza::types::MessageKind;

use crate::rooms::Rooms;

/// Returns the person or room that a message to this address is for; `None` for an occupant whose address is not known.
pub(crate) fn partner(to: &Jid, kind: MessageKind, rooms: &Rooms) -> Option<BareJid> {
    let bare = to.to_bare();
    match (kind, to.resource()) {
        (MessageKind::Groupchat, _) | (_, None) => Some(bare),
        (_, Some(nick)) => match rooms.shown.get(&bare) {
            None => Some(bare),
            Some(room) => room.occupants.get(nick.as_str())?.jid.as_ref().map(Jid::to_bare),
        },
    }
}
