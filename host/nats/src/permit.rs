//! The permission of an account to act, which lapses by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::clock;
use crate::pulse::Pulse;
use crate::unnoted::Unnoted;

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
        Permit { gate: self.clone(), is_ended: Arc::default(), pulse: None, log: None }
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
    /// Tells whether the log of the account takes what is noted; `None` if nobody has to know.
    log: Option<Unnoted>,
}

impl Permit {
    /// Returns whether the account may act now. It must be asked before each act that others can see.
    pub fn may_act(&self) -> bool {
        !self.is_ended.load(Ordering::Acquire)
            && clock::nanoseconds(clock::now()) < self.gate.end.load(Ordering::Acquire)
    }

    /// Returns whether NATS has taken a write of this node [a moment ago](parlor_cluster::FRESH). Otherwise, an act that others can see
    /// must wait until the permit is [confirmed](Self::confirmed): the node may be cut off, or the log of the account takes nothing.
    pub fn is_fresh(&self) -> bool {
        if self.stuck().is_some() {
            return false;
        }
        let by_pulse = self.pulse.as_ref().map_or(0, Pulse::fresh_until);
        clock::nanoseconds(clock::now()) < self.gate.fresh_until.load(Ordering::Acquire).max(by_pulse)
    }

    /// Waits until NATS has answered, and returns whether the account may act then. It must be awaited before each piece of work
    /// that is noted in the account's log once it is done: a node that is cut off could not note it, and the next one would do it
    /// again. If a change has waited for the log for long, this one waits behind it.
    pub fn confirmed(&self) -> BoxFuture<'static, bool> {
        let (permit, answered) = (self.clone(), self.pulse.as_ref().map(Pulse::answered));
        Box::pin(async move {
            if let Some(answered) = answered {
                answered.await;
            }
            // Looked at only now: the answer may have taken long.
            let Some(log) = permit.stuck().cloned() else { return permit.may_act() };
            log.is_over().await;
            permit.confirmed().await
        })
    }

    /// Returns the log of the account if a change waits for it for long.
    pub(crate) fn stuck(&self) -> Option<&Unnoted> {
        self.log.as_ref().filter(|log| log.is_long(clock::now()))
    }

    /// Adds what tells whether the log takes what is noted.
    pub(crate) fn with_log(self, log: Unnoted) -> Self {
        Self { log: Some(log), ..self }
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
    use futures_util::FutureExt as _;

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

    /// Its node has its lease, and the server that takes the account's changes is lost.
    #[test]
    fn an_account_whose_log_takes_nothing_waits_with_what_it_could_not_note() {
        let (gate, log) = (Gate::default(), Unnoted::default());
        let (end, fresh_until) = for_an_hour(true);
        gate.set(end, fresh_until);
        let permit = gate.permit().with_log(log.clone());
        assert!(permit.is_fresh() && permit.confirmed().now_or_never() == Some(true));
        let begun_before = permit.confirmed();
        log.begins(clock::now().saturating_sub(Duration::from_secs(1)));
        assert!(permit.may_act() && !permit.is_fresh());
        for mut waits in [begun_before, permit.confirmed()] {
            log.begins(clock::now().saturating_sub(Duration::from_secs(1)));
            assert!((&mut waits).now_or_never().is_none());
            log.ends();
            assert!(permit.is_fresh() && waits.now_or_never() == Some(true));
        }
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
