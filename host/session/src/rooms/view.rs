//! How a front end should show a room.

use std::sync::Arc;

use jid::BareJid;
use parlor_stanza::error::CallError;

use super::not_open;
use crate::command::Command;
use crate::event::Payload;
use crate::features::Features;
use crate::rooms::Rooms;
use crate::turn::Turn;
use crate::view::Focus;
use crate::{Answer, Attribute, ViewChange};

/// Change how a front end should show a room. Answered when the view is changed.
#[derive(Debug)]
pub struct ChangeRoomView {
    /// The room.
    pub jid: BareJid,
    /// The change of the view.
    pub change: ViewChange,
}

impl Command for ChangeRoomView {
    type Answer = ();

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if self.change == ViewChange::Focus && features.rooms.shown.contains_key(&self.jid) {
            features.take_focus_for(&Focus::Room(self.jid.clone()), turn);
        }
        let result = features.rooms.change_view(&self.jid, self.change, turn);
        turn.answer(answer, result);
    }
}

/// Set or remove an attribute of a room. Answered when the attribute is set.
#[derive(Debug)]
pub struct SetRoomAttribute {
    /// The room.
    pub jid: BareJid,
    /// The attribute with its value.
    pub attribute: Attribute,
}

impl Command for SetRoomAttribute {
    type Answer = ();

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let result = features.rooms.set_room_attribute(&self.jid, &self.attribute, turn);
        turn.answer(answer, result);
    }
}

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

    pub(super) fn change_view(
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
