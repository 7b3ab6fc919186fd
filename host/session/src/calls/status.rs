//! Setting the own status.

use parlor_stanza::draft::check_text;
use parlor_stanza::error::CallError;

use super::Command;
use crate::answer::Answer;
use crate::features::Features;
use crate::records::status::{Status, StatusValue};
use crate::rooms::Rooms;
use crate::roster::Roster;
use crate::status::{MAX_MESSAGE, announce, status_changed};
use crate::turn::Turn;

/// Set the own status. `None` keeps the present value or text. Answered when the status is set.
#[derive(Debug)]
pub struct SetStatus {
    /// The new value.
    pub value: Option<StatusValue>,
    /// The new text.
    pub message: Option<String>,
}

impl Command for SetStatus {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let result = self.set(&mut features.roster, &mut features.rooms, turn);
        turn.answer(answer, result);
    }
}

impl SetStatus {
    fn set(self, roster: &mut Roster, rooms: &mut Rooms, turn: &mut Turn<'_>) -> Result<(), CallError> {
        if let Some(message) = &self.message {
            check_text("message", message, MAX_MESSAGE)?;
        }
        let value = self.value.unwrap_or(turn.status.value);
        let message = self.message.unwrap_or_else(|| turn.status.message.clone());
        let before = std::mem::replace(&mut turn.status, Status { value, message });
        if turn.announced && turn.is_live() {
            announce(rooms, turn);
        }
        status_changed(&before, roster, rooms, turn);
        Ok(())
    }
}
