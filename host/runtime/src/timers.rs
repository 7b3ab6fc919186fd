//! The timers of one instance. They are dropped with it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use parlor_session::router::SubscriptionId;
use tokio::time::Instant;

/// The shortest period of a repeating timer.
pub(crate) const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
/// The longest delay: a year. Longer ones are shortened to it.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// A set of timers, ordered by when they are due.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BinaryHeap<Reverse<(Instant, SubscriptionId)>>,
    /// The timers that are set, with the period of repeating ones.
    set: HashMap<SubscriptionId, Option<Duration>>,
}

impl Timers {
    /// Sets a timer and returns its id.
    pub(crate) fn set(&mut self, now: Instant, after: Duration, repeats: bool) -> SubscriptionId {
        let after = after.min(LONGEST);
        let id = SubscriptionId::next();
        self.set.insert(id, repeats.then_some(after));
        self.due.push(Reverse((now + after, id)));
        id
    }

    /// Cancels a timer. Returns false if there is none with this id.
    pub(crate) fn cancel(&mut self, id: SubscriptionId) -> bool {
        let was_set = self.set.remove(&id).is_some();
        // Cancelled timers leave the heap when they become due, so it is cleaned here: setting and cancelling in a loop
        // must not grow it.
        if self.due.len() > 64 && self.due.len() > 2 * self.set.len() {
            let set = &self.set;
            self.due.retain(|Reverse((_, id))| set.contains_key(id));
        }
        was_set
    }

    /// Returns the number of timers that are set.
    pub(crate) fn len(&self) -> usize {
        self.set.len()
    }

    /// Returns when the next timer is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes a timer that is due, and schedules it again if it repeats.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<SubscriptionId> {
        while let Some(&Reverse((at, id))) = self.due.peek() {
            if at > now {
                return None;
            }
            self.due.pop();
            match self.set.get(&id) {
                None => {}
                Some(None) => {
                    self.set.remove(&id);
                    return Some(id);
                }
                Some(&Some(period)) => {
                    // The period counts from now, not from when it was due, so a pause does not cause a burst of missed
                    // ticks.
                    self.due.push(Reverse((now + period, id)));
                    return Some(id);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn timers_fire_in_order_of_time_and_once() {
        let now = Instant::now();
        let mut timers = Timers::default();
        let late = timers.set(now, 2 * SECOND, false);
        let early = timers.set(now, SECOND, false);
        assert_eq!(timers.take_due(now), None);
        assert_eq!(timers.take_due(now + 3 * SECOND), Some(early));
        assert_eq!(timers.take_due(now + 3 * SECOND), Some(late));
        assert_eq!(timers.take_due(now + 9 * SECOND), None);
        assert_eq!(timers.len(), 0);
    }

    #[test]
    fn one_that_repeats_does_not_catch_up_after_a_pause() {
        let now = Instant::now();
        let mut timers = Timers::default();
        let id = timers.set(now, SECOND, true);
        assert_eq!(timers.take_due(now + 10 * SECOND), Some(id));
        assert_eq!(timers.take_due(now + 10 * SECOND), None);
        assert_eq!(timers.take_due(now + 11 * SECOND), Some(id));
        assert!(timers.cancel(id));
        assert_eq!(timers.take_due(now + 20 * SECOND), None);
        assert!(!timers.cancel(id));
    }

    #[test]
    fn setting_and_cancelling_for_ever_takes_no_memory() {
        let now = Instant::now();
        let mut timers = Timers::default();
        for _ in 0..10_000 {
            let id = timers.set(now, SECOND, false);
            timers.cancel(id);
        }
        assert!(timers.due.len() <= 65, "{}", timers.due.len());
    }
}
