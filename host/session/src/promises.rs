//! Promises: names that resolve once, and the calls that wait for them.

use std::collections::{BTreeMap, HashMap};

use parlor_base::id::InstanceId;
use parlor_stanza::error::CallError;

use crate::answer::Answer;
use crate::effect::{Due, Effect};
use crate::event::{self, EventName, Payload};
use crate::names::{self, event_name, is_reserved};
use crate::waiters::{self, Waiter};

/// Maximum number of waiting calls.
pub(super) const MAX_WAITERS: usize = 8_192;
/// Maximum number of one plugin's waiting calls. It caps the limit `open_calls`, so that one plugin does not take the
/// place of others.
pub(super) const MAX_OWN_WAITERS: usize = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Host,
    Plugin(InstanceId),
}

#[derive(Debug)]
enum State {
    Pending,
    /// With what it was resolved with. None: [`Payload::None`]. Boxed, since each account has all promises of the host, and these have
    /// no payload.
    Resolved(Option<Box<Payload>>),
    Rejected(Box<CallError>),
}

impl State {
    fn settled(result: Result<Payload, CallError>) -> Self {
        match result {
            Ok(Payload::None) => Self::Resolved(None),
            Ok(payload) => Self::Resolved(Some(Box::new(payload))),
            Err(error) => Self::Rejected(Box::new(error)),
        }
    }
}

#[derive(Debug)]
struct Promise {
    owner: Owner,
    state: State,
    waiters: Vec<Waiter<Payload>>,
    /// Whether its plugin is parked, or has not added it again since.
    is_kept: bool,
}

impl Promise {
    fn new(owner: Owner) -> Self {
        Self { owner, state: State::Pending, waiters: Vec::new(), is_kept: false }
    }

    fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending)
    }
}

/// The promises of an account.
#[derive(Debug)]
pub(super) struct Promises {
    by_name: HashMap<EventName, Promise>,
    waiters: usize,
    /// Instances that are to replace another one, with that one.
    successors: BTreeMap<InstanceId, InstanceId>,
}

impl Promises {
    pub(super) fn new() -> Self {
        let by_name = names::promises().map(|name| (event_name(name), Promise::new(Owner::Host))).collect();
        Self { by_name, waiters: 0, successors: BTreeMap::new() }
    }

    pub(super) fn is_resolved(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|promise| matches!(promise.state, State::Resolved(_)))
    }

    pub(super) fn is_pending(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(Promise::is_pending)
    }

    /// Returns whether there is such a promise and it is not resolved.
    pub(super) fn is_unresolved(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|promise| !matches!(promise.state, State::Resolved(_)))
    }

    pub(super) fn is_rejected(&self, name: &str) -> bool {
        self.by_name.get(name).is_some_and(|promise| matches!(promise.state, State::Rejected(_)))
    }

    /// Resolves a promise; the first payload stays. A later resolution overrules a rejection of a host's promise. A
    /// plugin's rejected promise stays rejected until its owner adds it again.
    pub(super) fn resolve(&mut self, name: &str, payload: Payload, out: &mut Vec<Effect>) {
        self.settle(name, Ok(payload), out);
    }

    /// Rejects a promise, unless it is resolved already.
    pub(super) fn reject(&mut self, name: &str, error: CallError, out: &mut Vec<Effect>) {
        self.settle(name, Err(error), out);
    }

    fn settle(&mut self, name: &str, result: Result<Payload, CallError>, out: &mut Vec<Effect>) {
        let Some(promise) = self.by_name.get_mut(name) else { return };
        let is_settled = match (&promise.state, promise.owner) {
            (State::Pending, _) | (State::Rejected(_), Owner::Host) => false,
            (State::Resolved(_), _) | (State::Rejected(_), Owner::Plugin(_)) => true,
        };
        if is_settled {
            return;
        }
        self.waiters -= promise.waiters.len();
        let waiting = promise.waiters.drain(..).map(|waiter| waiter.answer).filter(|answer| !answer.is_abandoned());
        out.extend(waiting.map(|answer| Effect::Answer(Due::new(answer, result.clone()))));
        promise.state = State::settled(result);
    }

    /// Makes these promises of the host pending again. Calls that wait continue to wait.
    pub(super) fn rearm(&mut self, names: &[&str]) {
        for name in names {
            if let Some(promise) = self.by_name.get_mut(*name) {
                promise.state = State::Pending;
            }
        }
    }

    /// Ends all waits for pending promises of the host.
    pub(super) fn end_host_waits(&mut self, out: &mut Vec<Effect>) {
        for promise in self.by_name.values_mut().filter(|promise| promise.owner == Owner::Host) {
            self.waiters -= promise.waiters.len();
            let waiters = promise.waiters.drain(..);
            out.extend(waiters.map(Waiter::stopped));
        }
    }

    /// Lets an instance own the same promises as another one, which it is to replace.
    pub(super) fn successor(&mut self, new: InstanceId, of: InstanceId) {
        self.successors.insert(new, of);
    }

    /// Transfers all promises of an instance to the one that replaces it.
    pub(super) fn inherit(&mut self, new: InstanceId) {
        let Some(old) = self.successors.remove(&new) else { return };
        for promise in self.by_name.values_mut().filter(|promise| promise.owner == Owner::Plugin(old)) {
            promise.owner = Owner::Plugin(new);
        }
    }

    /// Returns whether an instance is to replace another one and has not done so yet.
    pub(super) fn is_successor(&self, new: InstanceId) -> bool {
        self.successors.contains_key(&new)
    }

    /// Returns the instance that owns the promises which this one adds.
    fn as_owner(&self, by: InstanceId) -> InstanceId {
        self.successors.get(&by).copied().unwrap_or(by)
    }

    /// Checks whether an instance may fire this event, and resolve the promise of its name.
    pub(super) fn may_emit(&self, by: InstanceId, name: &EventName) -> Result<(), CallError> {
        check_name(name)?;
        if is_reserved(name) {
            return Err(reserved(name));
        }
        match self.by_name.get(name) {
            Some(promise) if promise.owner != Owner::Plugin(self.as_owner(by)) => Err(not_owner(name, promise.owner)),
            Some(_) | None => Ok(()),
        }
    }

    /// Rejects a pending promise of this instance.
    pub(super) fn reject_own(
        &mut self,
        by: InstanceId,
        name: &EventName,
        reason: String,
        out: &mut Vec<Effect>,
    ) -> Result<(), CallError> {
        if is_reserved(name) {
            return Err(reserved(name));
        }
        let Some(promise) = self.by_name.get(name) else {
            return Err(CallError::NotFound(format!("the promise {name}")));
        };
        if promise.owner != Owner::Plugin(self.as_owner(by)) {
            return Err(not_owner(name, promise.owner));
        }
        if !promise.is_pending() {
            return Err(CallError::invalid(
                "name",
                format!("{name} is settled already; add it again to make it fresh"),
            ));
        }
        self.reject(name, CallError::Rejected(reason), out);
        Ok(())
    }

    /// Adds promises. Returns how many the instance owns then.
    pub(super) fn add(&mut self, by: InstanceId, names: &[EventName], most: usize) -> Result<usize, CallError> {
        if names.is_empty() {
            return Err(CallError::invalid("names", "is empty"));
        }
        for name in names {
            check_name(name)?;
            if is_reserved(name) {
                return Err(reserved(name));
            }
        }
        let by = self.as_owner(by);
        let mut fresh = Vec::with_capacity(names.len().min(most));
        for name in names {
            match self.by_name.get(name).map(|promise| promise.owner) {
                Some(owner) if owner != Owner::Plugin(by) => return Err(taken(name, owner)),
                Some(_) => {}
                None if fresh.contains(&name) => {}
                None => fresh.push(name),
            }
            if fresh.len() > most {
                break;
            }
        }
        let is_own = |promise: &Promise| promise.owner == Owner::Plugin(by);
        let counts =
            |(name, promise): &(&EventName, &Promise)| is_own(promise) && (!promise.is_kept || names.contains(name));
        if self.by_name.iter().filter(counts).count() + fresh.len() > most {
            return Err(CallError::OverLimit(format!("{most} promises")));
        }
        for name in names {
            let promise = self.by_name.entry(name.clone()).or_insert_with(|| Promise::new(Owner::Plugin(by)));
            // Other plugins already know that this promise was kept, so it is not undone.
            if !std::mem::take(&mut promise.is_kept) || !matches!(promise.state, State::Resolved(_)) {
                // Calls that already wait now wait for the fresh promise.
                promise.state = State::Pending;
            }
        }
        Ok(self.by_name.values().filter(|promise| is_own(promise)).count())
    }

    /// Adds promises like [`Self::add`]. `declared`: the names that this plugin alone declares; it takes over their promises if other
    /// plugins have them. Calls that wait for these continue to wait. Returns how many the instance owns then, and the names that it
    /// took over.
    pub(super) fn take(
        &mut self,
        by: InstanceId,
        names: &[EventName],
        declared: Vec<EventName>,
        most: usize,
    ) -> Result<(usize, Vec<EventName>), CallError> {
        let new = Owner::Plugin(self.as_owner(by));
        let mut before = Vec::with_capacity(declared.len());
        for name in declared {
            let promise = self.by_name.get_mut(&name).filter(|promise| ![new, Owner::Host].contains(&promise.owner));
            let Some(promise) = promise else { continue };
            before.push((name, promise.owner, promise.is_kept));
            (promise.owner, promise.is_kept) = (new, false);
        }
        let added = self.add(by, names, most);
        if added.is_err() {
            for (name, owner, is_kept) in &before {
                let Some(promise) = self.by_name.get_mut(name) else { continue };
                (promise.owner, promise.is_kept) = (*owner, *is_kept);
            }
        }
        added.map(|owned| (owned, before.into_iter().map(|(name, ..)| name).collect()))
    }

    /// Waits for a promise. `None`: the answer is kept until the promise settles.
    pub(super) fn wait(
        &mut self,
        by: InstanceId,
        name: &str,
        answer: Answer<Payload>,
        session_over: bool,
    ) -> Option<Due> {
        let mut own = self.waiters_of(by);
        if own >= MAX_OWN_WAITERS || self.waiters >= MAX_WAITERS {
            self.forget_abandoned();
            own = self.waiters_of(by);
        }
        let Some(promise) = self.by_name.get_mut(name) else {
            return Some(Due::new(answer, Err(CallError::NotFound(format!("the promise {name}")))));
        };
        let result = match &promise.state {
            State::Resolved(payload) => Ok(payload.as_deref().map_or(Payload::None, Payload::clone)),
            State::Rejected(error) => Err(CallError::clone(error)),
            State::Pending if session_over && promise.owner == Owner::Host => Err(CallError::Stopped),
            State::Pending if own >= MAX_OWN_WAITERS => {
                Err(CallError::OverLimit(format!("{MAX_OWN_WAITERS} calls of one plugin wait for promises")))
            }
            State::Pending if self.waiters >= MAX_WAITERS && own >= waiters::RESERVED => {
                Err(CallError::OverLimit(format!("{MAX_WAITERS} calls wait for promises")))
            }
            State::Pending => {
                promise.waiters.push(Waiter { by, answer });
                self.waiters += 1;
                return None;
            }
        };
        Some(Due::new(answer, result))
    }

    /// Returns how many of an instance's calls wait. They are counted only if that may be too many, and are 0 otherwise.
    fn waiters_of(&self, by: InstanceId) -> usize {
        let own = |promise: &Promise| promise.waiters.iter().filter(|waiter| waiter.by == by).count();
        if self.waiters < MAX_OWN_WAITERS { 0 } else { self.by_name.values().map(own).sum() }
    }

    fn forget_abandoned(&mut self) {
        for promise in self.by_name.values_mut() {
            promise.waiters.retain(|waiter| !waiter.answer.is_abandoned());
        }
        self.waiters = self.by_name.values().map(|promise| promise.waiters.len()).sum();
    }

    /// Keeps the promises of an instance whose plugin is parked, for the next run.
    pub(super) fn instance_parked(&mut self, parked: InstanceId) {
        let own = self.by_name.values_mut().filter(|promise| promise.owner == Owner::Plugin(parked));
        own.for_each(|promise| promise.is_kept = true);
    }

    /// Removes the promises that an instance has not added again since it was parked. Returns how many it owns.
    pub(super) fn instance_woken(&mut self, woken: InstanceId, out: &mut Vec<Effect>) -> usize {
        let is_own = |promise: &Promise| promise.owner == Owner::Plugin(woken);
        let left = self.by_name.extract_if(|_, promise| is_own(promise) && promise.is_kept);
        let waiters = left.flat_map(|(_, promise)| promise.waiters);
        out.extend(waiters.map(Waiter::stopped));
        self.forget_abandoned();
        self.by_name.values().filter(|promise| is_own(promise)).count()
    }

    /// Removes the promises that an instance owned, and its waiting calls.
    pub(super) fn instance_gone(&mut self, gone: InstanceId, out: &mut Vec<Effect>) {
        self.successors.retain(|new, old| *new != gone && *old != gone);
        let orphaned = self.by_name.extract_if(|_, promise| promise.owner == Owner::Plugin(gone));
        for (_, promise) in orphaned {
            let waiters = promise.waiters.into_iter();
            out.extend(waiters.map(Waiter::stopped));
        }
        self.forget_abandoned();
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.by_name.len(), self.waiters)
    }
}

fn not_owner(name: &str, owner: Owner) -> CallError {
    match owner {
        Owner::Host => reserved(name),
        Owner::Plugin(_) => CallError::NotOwner(format!("the promise {name}")),
    }
}

/// Returns the error for adding a promise of this owner.
fn taken(name: &str, owner: Owner) -> CallError {
    match owner {
        Owner::Host => reserved(name),
        Owner::Plugin(_) => {
            CallError::NotOwner(format!("the promise {name}, which another plugin of this account added first"))
        }
    }
}

fn reserved(name: &str) -> CallError {
    CallError::invalid("name", format!("{name} is one of the host's own names; choose another"))
}

fn check_name(name: &str) -> Result<(), CallError> {
    event::check_name(name).map_err(|reason| CallError::invalid("name", reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each account has all promises of the host, with or without plugins.
    #[test]
    fn a_promise_is_small() {
        assert!(size_of::<Promise>() <= 64, "{} bytes", size_of::<Promise>());
    }
}
