//! Pending requests for vCards.

use std::sync::Arc;

use parlor_base::id::InstanceId;
use parlor_stanza::card::CardChange;
use parlor_stanza::error::CallError;

use crate::answer::Answer;
use crate::effect::Effect;
use crate::records::card::KnownCard;

/// The reason for fetching a vCard.
#[derive(Debug)]
pub(crate) enum CardFetch {
    /// A plugin wants to have it.
    Get(Answer<Arc<KnownCard>>),
    /// A plugin wants contacts to show it.
    Update(Answer<()>),
    /// Presence announced another picture.
    Refresh,
}

impl CardFetch {
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Get(answer) => answer.is_abandoned(),
            Self::Update(answer) => answer.is_abandoned(),
            Self::Refresh => false,
        }
    }

    /// Answers the call that waits for it with an error.
    pub(crate) fn fail(self, error: CallError, out: &mut Vec<Effect>) {
        match self {
            Self::Get(answer) => out.push(Effect::answer(answer, Err(error))),
            Self::Update(answer) => out.push(Effect::answer(answer, Err(error))),
            Self::Refresh => {}
        }
    }
}

/// A change of the own vCard.
#[derive(Debug)]
pub(crate) struct OwnCardChange {
    pub(crate) by: InstanceId,
    pub(crate) fields: CardChange,
    pub(crate) answer: Answer<()>,
}
