//! The permission of an account to act, which lapses by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::clock;
use crate::pulse::Pulse;

/// The times of a node's session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate {
    /// When it ends, unless it is renewed.
    end: Arc<AtomicU64>,
    /// How long its last renewal shows that the node is not cut off.
    fresh_until: Arc<AtomicU64>,
}

impl Gate {
    /// Sets the end of the session, and how long its last renewal counts; `None` if there is none.
    pub(crate) fn set(&self, end: Option<Duration>, fresh_until: Option<Duration>) {
        self.end.store(end.map_or(0, clock::nanoseconds), Ordering::Release);
        self.fresh_until.store(fresh_until.map_or(0, clock::nanoseconds), Ordering::Release);
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
        !self.is_ended.load(Ordering::Acquire)
            && clock::nanoseconds(clock::now()) < self.gate.end.load(Ordering::Acquire)
    }

    /// Returns whether NATS has taken a write of this node [a moment ago](parlor_cluster::FRESH). Otherwise, an act that others can see
    /// must wait until the permit is [confirmed](Self::confirmed): the node may be cut off.
    pub fn is_fresh(&self) -> bool {
        let by_pulse = self.pulse.as_ref().map_or(0, Pulse::fresh_until);
        clock::nanoseconds(clock::now()) < self.gate.fresh_until.load(Ordering::Acquire).max(by_pulse)
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

    /// A session that ends in an hour, of which the renewal counts until then or not any more.
    fn for_an_hour(is_fresh: bool) -> (Option<Duration>, Option<Duration>) {
        let (now, hour) = (clock::now(), Duration::from_hours(1));
        (Some(now + hour), Some(if is_fresh { now + hour } else { now }))
    }

    #[test]
    fn a_permit_lapses_with_the_session_and_never_returns_once_it_ended() {
        let gate = Gate::default();
        let permit = gate.permit();
        assert!(!permit.may_act(), "there is no session yet");
        let (end, fresh_until) = for_an_hour(true);
        gate.set(end, fresh_until);
        assert!(permit.may_act());
        gate.set(Some(clock::now()), fresh_until);
        assert!(!permit.may_act(), "its time is over");
        permit.end();
        gate.set(end, fresh_until);
        assert!(!permit.may_act(), "the session is another one");
        assert!(gate.permit().may_act());
    }

    /// A node that is cut off has its lease for a while longer.
    #[test]
    fn a_permit_is_fresh_only_for_a_moment_after_a_renewal() {
        let gate = Gate::default();
        let permit = gate.permit();
        assert!(!permit.is_fresh(), "there is no session yet");
        for is_fresh in [true, false, true] {
            let (end, fresh_until) = for_an_hour(is_fresh);
            gate.set(end, fresh_until);
            assert!(permit.may_act());
            assert_eq!(permit.is_fresh(), is_fresh);
        }
        gate.set(None, None);
        assert!(!permit.is_fresh(), "the session has ended");
    }
}
