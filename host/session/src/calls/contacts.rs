//! Changing contacts.

use jid::BareJid;

use super::Command;
use crate::answer::Answer;
use crate::contacts::ContactChange;
use crate::features::Features;
use crate::turn::Turn;

/// Add, remove or change a contact, or answer its request. Answered when the change is made.
#[derive(Debug)]
pub struct ChangeContact {
    /// The address of the contact.
    pub jid: BareJid,
    /// The change to make.
    pub change: ContactChange,
}

impl Command for ChangeContact {
    type Answer = ();

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.change.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        features.roster.change(self.jid, self.change, answer, turn);
    }
}
