//! The focus: the open chat or room that a person types into.

use crate::records::view::{Focus, View, ViewChange};
use crate::turn::Turn;

impl Turn<'_> {
    /// Gives the focus to this chat or room, or takes it from there. `Features::take_focus_for` has taken it from any
    /// other one.
    pub(super) fn move_focus(&mut self, of: Focus, change: ViewChange, view: &mut View) {
        match change {
            ViewChange::Focus => {
                view.focused = true;
                self.focus = Some(of);
            }
            ViewChange::Minimize if view.focused => {
                view.focused = false;
                self.focus = None;
            }
            ViewChange::Show | ViewChange::Maximize | ViewChange::Minimize => {}
        }
    }

    /// Takes the focus from a chat or room that is closed.
    pub(super) fn end_focus(&mut self, of: &Focus) {
        if self.focus.as_ref() == Some(of) {
            self.focus = None;
        }
    }
}
