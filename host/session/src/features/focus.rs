//! Taking the focus from one chat or room for another.

use std::sync::Arc;

use super::Features;
use crate::event::Payload;
use crate::records::view::Focus;
use crate::turn::Turn;

impl Features {
    /// Takes the focus from another chat or room than this one. If a room loses it, an event reports it. For a chat, the
    /// event of the new focus implies it.
    pub(crate) fn take_focus_for(&mut self, of: &Focus, turn: &mut Turn<'_>) {
        let Some(before) = turn.focus.take_if(|before| before != of) else { return };
        turn.changed = true;
        match before {
            Focus::Chat(jid) => {
                if let Some(chat) = self.chats.open.get_mut(&jid) {
                    Arc::make_mut(chat).view.focused = false;
                }
            }
            Focus::Room(jid) => {
                if let Some(room) = self.rooms.shown.get_mut(&jid) {
                    Arc::make_mut(room).view.focused = false;
                    let room = Arc::clone(room);
                    turn.fire("roomViewChanged", Payload::Room(room));
                }
            }
        }
    }
}
