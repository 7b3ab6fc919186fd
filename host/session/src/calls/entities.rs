//! Asking entities about themselves.

use jid::Jid;
use parlor_stanza::types::{Activity, Ask, EntityTime, Software};

use super::Command;
use crate::answer::Answer;
use crate::entities::ask;
use crate::features::Features;
use crate::iq::entities::EntityIq;
use crate::turn::Turn;

/// Ask an entity how long it was idle. Answered with its reply.
#[derive(Debug)]
pub struct GetActivity {
    /// The address of the entity.
    pub entity: Jid,
}

impl Command for GetActivity {
    type Answer = Activity;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        ask(self.entity, Ask::Activity, EntityIq::Activity(answer), turn);
    }
}

/// Ask an entity for its time. Answered with its reply.
#[derive(Debug)]
pub struct GetTime {
    /// The address of the entity.
    pub entity: Jid,
}

impl Command for GetTime {
    type Answer = EntityTime;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        ask(self.entity, Ask::Time, EntityIq::Time(answer), turn);
    }
}

/// Ask an entity for its software. Answered with its reply.
#[derive(Debug)]
pub struct GetSoftware {
    /// The address of the entity.
    pub entity: Jid,
}

impl Command for GetSoftware {
    type Answer = Software;

    const SENDS: bool = true;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        ask(self.entity, Ask::Software, EntityIq::Software(answer), turn);
    }
}
