//! Firing events, and adding, rejecting and awaiting promises.

use parlor_base::id::InstanceId;

use super::Command;
use crate::answer::Answer;
use crate::effect::Effect;
use crate::event::{EventName, Payload};
use crate::features::Features;
use crate::turn::Turn;

/// Fire a plugin's own event. Answered when the event was fired.
#[derive(Debug)]
pub struct Emit {
    /// The calling instance.
    pub by: InstanceId,
    /// The name of the event, and of the promise that it resolves, if there is one.
    pub name: EventName,
    /// The payload of the event.
    pub payload: Payload,
}

impl Command for Emit {
    type Answer = ();

    const SENDS: bool = false;

    fn weight(&self) -> usize {
        self.payload.weight()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        let allowed = turn.promises.may_emit(self.by, &self.name);
        if allowed.is_ok() {
            turn.fire_and_resolve(self.name, self.payload);
        }
        turn.answer(answer, allowed);
    }
}

/// Add promises of a plugin. Answered with the number of promises that it owns now.
#[derive(Debug)]
pub struct RegisterPromises {
    /// The calling instance.
    pub by: InstanceId,
    /// The names. All of them are added, or none.
    pub names: Vec<EventName>,
    /// Maximum number of promises that the plugin may own.
    pub most: usize,
}

impl Command for RegisterPromises {
    type Answer = usize;

    const SENDS: bool = false;

    fn weight(&self) -> usize {
        self.names.iter().map(|name| size_of::<EventName>() + name.len()).sum()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        let result = turn.promises.add(self.by, &self.names, self.most);
        turn.answer(answer, result);
    }
}

/// Add promises of a plugin, and take over those that other plugins have although this one alone declares their names. Answered with
/// the number of promises that it owns now, and the names that it took over.
#[derive(Debug)]
pub struct TakeOverPromises {
    /// The calling instance.
    pub by: InstanceId,
    /// The names. All of them are added, or none.
    pub names: Vec<EventName>,
    /// The names among them that the plugin alone declares.
    pub declared: Vec<EventName>,
    /// Maximum number of promises that the plugin may own.
    pub most: usize,
}

impl Command for TakeOverPromises {
    type Answer = (usize, Vec<EventName>);

    const SENDS: bool = false;

    fn weight(&self) -> usize {
        self.names.iter().map(|name| 2 * size_of::<EventName>() + name.len()).sum()
    }

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        let result = turn.promises.take(self.by, &self.names, self.declared, self.most);
        turn.answer(answer, result);
    }
}

/// Reject a promise of a plugin. Answered when the promise is rejected.
#[derive(Debug)]
pub struct RejectPromise {
    /// The calling instance.
    pub by: InstanceId,
    /// The name of the promise.
    pub name: EventName,
    /// The reason, for everyone who waits.
    pub reason: String,
}

impl Command for RejectPromise {
    type Answer = ();

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        let result = turn.common.promises.reject_own(self.by, &self.name, self.reason, turn.out);
        turn.answer(answer, result);
    }
}

/// Wait until a promise is settled. Answered with the payload of the promise.
#[derive(Debug)]
pub struct WaitUntil {
    /// The calling instance.
    pub by: InstanceId,
    /// The name of the promise.
    pub name: EventName,
}

impl Command for WaitUntil {
    type Answer = Payload;

    const SENDS: bool = false;

    fn carry_out(self, answer: Answer<Self::Answer>, _: &mut Features, turn: &mut Turn<'_>) {
        let over = turn.is_over();
        let due = turn.promises.wait(self.by, &self.name, answer, over);
        turn.out.extend(due.map(Effect::Answer));
    }
}
