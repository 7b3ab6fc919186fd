//! How a front end should show a room.

use std::sync::Arc;

use jid::BareJid;
use parlor_stanza::error::CallError;

use super::{Rooms, not_open};
use crate::event::Payload;
use crate::records::view::{Attribute, Focus, ViewChange};
use crate::turn::Turn;

impl Rooms {
    pub(crate) fn set_room_attribute(
        &mut self,
        jid: &BareJid,
        attribute: &Attribute,
        turn: &mut Turn<'_>,
    ) -> Result<(), CallError> {
        let room = self.shown.get_mut(jid).ok_or_else(|| not_open(jid))?;
        turn.changed |= Arc::make_mut(room).view.set_attribute(attribute)?;
        Ok(())
    }

    pub(crate) fn change_view(
        &mut self,
        jid: &BareJid,
        change: ViewChange,
        turn: &mut Turn<'_>,
    ) -> Result<(), CallError> {
        let room = self.shown.get_mut(jid).ok_or_else(|| not_open(jid))?;
        let before = Arc::clone(room);
        let view = &mut Arc::make_mut(room).view;
        let toggled = view.change(change);
        turn.move_focus(Focus::Room(jid.clone()), change, view);
        turn.changed |= *room != before;
        let room = Arc::clone(room);
        // Being shown and being focused are reported each time, since a front end may have changed its own state.
        if toggled || matches!(change, ViewChange::Focus | ViewChange::Show) {
            turn.fire("roomViewChanged", Payload::Room(room));
        }
        Ok(())
    }
}
