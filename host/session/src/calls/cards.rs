//! Getting vCards, and changing the own one.

use std::sync::Arc;

use jid::Jid;
use parlor_base::id::InstanceId;
use parlor_stanza::card::CardChange;

use super::Command;
use crate::answer::Answer;
use crate::features::Features;
use crate::iq::cards::OwnCardChange;
use crate::records::card::KnownCard;
use crate::turn::Turn;

/// Get a vCard. Answered with the vCard.
#[derive(Debug)]
pub struct GetCard {
    /// The owner of the vCard.
    pub jid: Jid,
    /// Whether to fetch it even if it is known.
    pub force: bool,
}

impl Command for GetCard {
    type Answer = Arc<KnownCard>;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let owner = features.rooms.card_owner(&self.jid);
        features.cards.get_or_fetch(owner, self.force, answer, turn);
    }
}

/// Change the own vCard. Answered when the server has accepted the change.
#[derive(Debug)]
pub struct SetCard {
    /// The calling instance.
    pub by: InstanceId,
    /// The change to make.
    pub change: CardChange,
}

impl Command for SetCard {
    type Answer = ();

    const SENDS: bool = true;

    fn weight(&self) -> usize {
        self.change.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        if let Err(error) = turn.needs_server("a vCard of its own") {
            return turn.answer(answer, Err(error));
        }
        features.cards.change(OwnCardChange { by: self.by, fields: self.change, answer }, turn);
    }
}

/// Fetch a vCard, so that the contact shows it. Answered when the contact shows it.
#[derive(Debug)]
pub struct UpdateCard {
    /// The owner of the vCard.
    pub jid: Jid,
    /// Whether to fetch it even if it is known.
    pub force: bool,
}

impl Command for UpdateCard {
    type Answer = ();

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        let (cards, mut holders) = features.cards_and_holders();
        cards.update(&self.jid, self.force, answer, &mut holders, turn);
    }
}
