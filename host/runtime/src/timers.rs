//! The timers of one instance. They are dropped with it, and kept while its plugin is parked.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use parlor_session::router::SubscriptionId;
use tokio::time::Instant;

/// The shortest period of a repeating timer.
pub(crate) const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
/// The longest delay: a year. Longer ones are shortened to it.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// A set of timers, ordered by when they are due. It takes no memory before the first one is set.
#[derive(Debug, Default)]
pub(crate) struct Timers(Option<Box<Schedule>>);

#[derive(Debug, Default)]
struct Schedule {
    due: BinaryHeap<Reverse<(Instant, SubscriptionId)>>,
    /// The timers that are set.
    set: HashMap<SubscriptionId, Timer>,
    /// The timers that a parked plugin left and that its next run has not set again.
    unclaimed: Vec<SubscriptionId>,
}

/// A timer, as the plugin set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Timer {
    /// The delay or, if it repeats, the period.
    after: Duration,
    repeats: bool,
}

impl Timers {
    /// Sets a timer and returns its id. If the plugin was parked and had the same timer, that timer continues.
    pub(crate) fn set(&mut self, now: Instant, after: Duration, repeats: bool) -> SubscriptionId {
        self.0.get_or_insert_default().set(now, after, repeats)
    }

    /// Cancels a timer. Returns false if there is none with this id.
    pub(crate) fn cancel(&mut self, id: SubscriptionId) -> bool {
        self.0.as_mut().is_some_and(|set| set.cancel(id))
    }

    /// Returns the number of timers that are set, except those that a parked plugin left.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |set| set.set.len().saturating_sub(set.unclaimed.len()))
    }

    /// Begins the next run of a parked plugin: the timers that it sets again continue.
    pub(crate) fn wake(&mut self) {
        if let Some(set) = &mut self.0 {
            set.unclaimed = set.set.keys().copied().collect();
            // Of two equal ones, the older one is given back first.
            set.unclaimed.sort_unstable();
        }
    }

    /// Cancels the timers that were not set again.
    pub(crate) fn end_unclaimed(&mut self) {
        let unclaimed = self.0.as_mut().map(|set| std::mem::take(&mut set.unclaimed));
        for id in unclaimed.into_iter().flatten() {
            self.cancel(id);
        }
    }

    /// Returns when the next timer is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.0.as_ref()?.next_due()
    }

    /// Returns the same for a plugin that is parked. Cancelled timers wake no plugin, and memory for more timers is given
    /// back.
    pub(crate) fn park(&mut self) -> Option<Instant> {
        self.0 = self.0.take().filter(|set| !set.set.is_empty());
        let set = self.0.as_mut()?;
        while set.due.peek().is_some_and(|Reverse((_, id))| !set.set.contains_key(id)) {
            set.due.pop();
        }
        set.due.shrink_to_fit();
        set.set.shrink_to_fit();
        set.next_due()
    }

    /// Takes a timer that is due, and schedules it again if it repeats.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<SubscriptionId> {
        self.0.as_mut()?.take_due(now)
    }
}

impl Schedule {
    fn set(&mut self, now: Instant, after: Duration, repeats: bool) -> SubscriptionId {
        let timer = Timer { after: after.min(LONGEST), repeats };
        if let Some(at) = self.unclaimed.iter().position(|id| self.set.get(id) == Some(&timer)) {
            return self.unclaimed.remove(at);
        }
        let (id, after) = (SubscriptionId::next(), timer.after);
        self.set.insert(id, timer);
        self.due.push(Reverse((now + after, id)));
        id
    }

    fn cancel(&mut self, id: SubscriptionId) -> bool {
        let was_set = self.set.remove(&id).is_some();
        self.unclaimed.retain(|other| *other != id);
        // Cancelled timers leave the heap when they become due, so it is cleaned here: setting and cancelling in a loop
        // must not grow it.
        if self.due.len() > 64 && self.due.len() > 2 * self.set.len() {
            let set = &self.set;
            self.due.retain(|Reverse((_, id))| set.contains_key(id));
        }
        was_set
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    fn take_due(&mut self, now: Instant) -> Option<SubscriptionId> {
        while let Some(&Reverse((at, id))) = self.due.peek() {
            if at > now {
                return None;
            }
            self.due.pop();
            match self.set.get(&id) {
                None => {}
                Some(Timer { repeats: false, .. }) => {
                    self.set.remove(&id);
                    return Some(id);
                }
                Some(&Timer { after: period, .. }) => {
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
    fn a_timer_that_a_woken_plugin_sets_again_keeps_its_time() {
        let now = Instant::now();
        let mut timers = Timers::default();
        let [every, once, dropped] =
            [(2 * SECOND, true), (2 * SECOND, false), (9 * SECOND, false)].map(|(after, r)| timers.set(now, after, r));
        timers.wake();
        assert_eq!(timers.len(), 0);
        let later = now + SECOND;
        assert_eq!(timers.set(later, 2 * SECOND, false), once);
        assert_eq!(timers.set(later, 2 * SECOND, true), every);
        let new = timers.set(later, 2 * SECOND, true);
        assert!(![every, once, dropped].contains(&new), "each is given back once");
        timers.end_unclaimed();
        assert!(!timers.cancel(dropped));
        assert_eq!(timers.len(), 3);
        let due = |timers: &mut Timers, at| std::iter::from_fn(|| timers.take_due(at)).collect::<Vec<_>>();
        assert_eq!(due(&mut timers, now + 2 * SECOND), [every, once]);
        assert_eq!(due(&mut timers, now + 3 * SECOND), [new]);
    }

    /// A parked plugin would be started for nothing.
    #[test]
    fn a_cancelled_timer_is_no_reason_to_wake() {
        let now = Instant::now();
        let mut timers = Timers::default();
        let early = timers.set(now, SECOND, false);
        timers.set(now, 2 * SECOND, false);
        timers.cancel(early);
        assert_eq!(timers.park(), Some(now + 2 * SECOND));
    }

    #[test]
    fn setting_and_cancelling_for_ever_takes_no_memory() {
        let now = Instant::now();
        let mut timers = Timers::default();
        for _ in 0..10_000 {
            let id = timers.set(now, SECOND, false);
            timers.cancel(id);
        }
        let due = timers.0.unwrap().due.len();
        assert!(due <= 65, "{due}");
    }
}
