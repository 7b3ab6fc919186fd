//! Service discovery: asking entities, and what the account announces.

use std::sync::Arc;

use jid::Jid;
use parlor_base::id::InstanceId;
use parlor_stanza::types::{Disco, Identity};

use super::Command;
use crate::answer::Answer;
use crate::features::Features;
use crate::turn::Turn;

/// Get an entity's features and identities, from memory or by asking it. Answered with the entity's information.
#[derive(Debug)]
pub struct Discover {
    /// The address of the entity.
    pub entity: Jid,
}

impl Command for Discover {
    type Answer = Arc<Disco>;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, features: &mut Features, turn: &mut Turn<'_>) {
        features.disco.discover(self.entity, answer, turn);
    }
}

/// Add a feature that this account announces. Answered with `false` if it was announced already.
#[derive(Debug)]
pub struct AddFeature {
    /// The calling instance.
    pub by: InstanceId,
    /// The feature to announce.
    pub name: String,
}

impl Command for AddFeature {
    type Answer = bool;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        let result = turn.add_feature(self.by, self.name);
        turn.answer(answer, result);
    }
}

/// Add an identity that this account announces. Answered with `false` if it was announced already.
#[derive(Debug)]
pub struct AddIdentity {
    /// The calling instance.
    pub by: InstanceId,
    /// The identity to announce.
    pub identity: Identity,
}

impl Command for AddIdentity {
    type Answer = bool;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        let result = turn.add_identity(self.by, self.identity);
        turn.answer(answer, result);
    }
}

/// Remove the default identity, and those that the plugin added. Answered when they are removed.
#[derive(Debug)]
pub struct ClearIdentities {
    /// The calling instance.
    pub by: InstanceId,
}

impl Command for ClearIdentities {
    type Answer = ();

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        turn.clear_identities(self.by);
        turn.answer(answer, Ok(()));
    }
}
