//! The permission of an account to act, which lapses by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::clock;
use crate::pulse::Pulse;

/// When the session of a node ends, unless it is renewed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<AtomicU64>);

impl Gate {
    /// Sets the end of the session; `None` if there is none.
    pub(crate) fn set(&self, until: Option<Duration>) {
        self.0.store(until.map_or(0, clock::nanoseconds), Ordering::Release);
    }

    pub(crate) fn permit(&self) -> Permit {
        Permit { gate: self.clone(), is_ended: Arc::default(), pulse: None }
    }
}

/// The permission of one holder of an account to act.
///
/// It lapses with the session of the node, by the clock, even if nothing of the node's driver runs.
#[derive(Debug, Clone)]
pub struct Permit {
    gate: Gate,
    /// Set before a later session of the same node opens the gate again.
    is_ended: Arc<AtomicBool>,
    /// Asks whether NATS answers; `None` if nobody has to know.
    pulse: Option<Pulse>,
}

impl Permit {
    /// Returns whether the account may act now. It must be asked before each act that others can see.
    pub fn may_act(&self) -> bool {
        !self.is_ended.load(Ordering::Acquire) && clock::nanoseconds(clock::now()) < self.gate.0.load(Ordering::Acquire)
    }

    /// Waits until NATS has answered, and returns whether the account may act then. It must be awaited before each piece of work
    /// that is noted in the account's log once it is done: a node that is cut off could not note it, and the next one would do it
    /// again.
    pub fn confirmed(&self) -> BoxFuture<'static, bool> {
        let (permit, answered) = (self.clone(), self.pulse.as_ref().map(Pulse::answered));
        Box::pin(async move {
            if let Some(answered) = answered {
                answered.await;
            }
            permit.may_act()
        })
    }

    /// Adds what asks NATS.
    pub(crate) fn with_pulse(self, pulse: Pulse) -> Self {
        Self { pulse: Some(pulse), ..self }
    }

    /// Takes the permission back for good.
    pub(crate) fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permit_lapses_with_the_session_and_never_returns_once_it_ended() {
        let gate = Gate::default();
        let permit = gate.permit();
        assert!(!permit.may_act(), "there is no session yet");
        gate.set(Some(clock::now() + Duration::from_hours(1)));
        assert!(permit.may_act());
        gate.set(Some(clock::now()));
        assert!(!permit.may_act(), "its time is over");
        permit.end();
        gate.set(Some(clock::now() + Duration::from_hours(1)));
        assert!(!permit.may_act(), "the session is another one");
        assert!(gate.permit().may_act());
    }
}
