//! Counts events that were withheld from a plugin that listens to them, for each permission that did not cover them, and for the
//! rooms that the owner keeps the plugin to.
//!
//! A listener that is found by the addresses that it may hear is not asked about other events, so nothing counts them for it.
//! Their number is that of all events less those that reached it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_base::permission::Permission;

use super::filter::Classes;

/// The numbers of events of one name that were routed, for each class.
#[derive(Debug, Default)]
pub(super) struct Told([AtomicU64; u32::BITS as usize]);

impl Told {
    /// Counts an event.
    pub(super) fn count(&self, class: Classes) {
        if let Some(counter) = self.0.get(class.0.trailing_zeros() as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Returns how many events of these classes there were.
    fn of(&self, classes: Classes) -> u64 {
        let counters = self.0.iter().enumerate().filter(|(class, _)| classes.0 >> class & 1 == 1);
        counters.map(|(_, counter)| counter.load(Relaxed)).sum()
    }
}

/// The count for one listener of the events that its scope excludes. It is exact but for events that are being routed.
#[derive(Debug)]
pub(super) struct Tally {
    told: Arc<Told>,
    /// The classes that its filters let through.
    wanted: Classes,
    /// How many events of these classes there were before it, or reached the listener.
    not_withheld: AtomicU64,
    permission: Permission,
}

impl Tally {
    /// Begins to count for a listener that wants these classes, and from which this permission withholds.
    pub(super) fn of(wanted: Classes, permission: Permission, told: &Arc<Told>) -> Self {
        let not_withheld = AtomicU64::new(told.of(wanted));
        Self { told: Arc::clone(told), wanted, not_withheld, permission }
    }

    /// Counts an event that reached the listener.
    pub(super) fn passed(&self, class: Classes) {
        if self.wanted.0 & class.0 != 0 {
            self.not_withheld.fetch_add(1, Relaxed);
        }
    }

    fn withheld(&self) -> u64 {
        self.told.of(self.wanted).saturating_sub(self.not_withheld.load(Relaxed))
    }
}

/// The reason why an event is withheld from a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Withholder {
    /// The grant of this permission, which does not cover the event, or is missing.
    Permission(Permission),
    /// The owner, who keeps the plugin to other rooms. The grant covers the event.
    Rooms,
}

impl Withholder {
    /// The name of [`Self::Rooms`]. No permission has it.
    pub const ROOMS: &'static str = "rooms";
}

impl From<Permission> for Withholder {
    fn from(permission: Permission) -> Self {
        Self::Permission(permission)
    }
}

impl fmt::Display for Withholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Permission(permission) => permission.fmt(f),
            Self::Rooms => f.write_str(Self::ROOMS),
        }
    }
}

/// The counts of one plugin, by what withheld the events.
#[derive(Debug, Default)]
pub struct Withheld(Mutex<Counts>);

/// Most plugins listen to one event, and nothing is counted for them otherwise. So the rest takes no memory until it is needed.
#[derive(Debug, Default)]
struct Counts {
    /// The tally of one of its listeners that are found by addresses.
    tally: Option<Arc<Tally>>,
    rest: Option<Box<Rest>>,
}

#[derive(Debug, Default)]
struct Rest {
    counted: BTreeMap<Withholder, u64>,
    /// The tallies of its other listeners that are found by addresses.
    others: Vec<Arc<Tally>>,
}

impl Counts {
    fn add(&mut self, by: Withholder, count: u64) {
        if count > 0 {
            *self.rest.get_or_insert_default().counted.entry(by).or_default() += count;
        }
    }

    /// Returns the tallies of all its listeners.
    fn tallies(&self) -> impl Iterator<Item = &Arc<Tally>> {
        self.tally.iter().chain(self.rest.iter().flat_map(|rest| rest.others.iter()))
    }
}

impl Withheld {
    /// Counts one more event.
    pub fn count(&self, by: Withholder) {
        self.counts_so_far().add(by, 1);
    }

    /// Adds the tally of a listener.
    pub(super) fn open(&self, tally: &Arc<Tally>) {
        let mut counts = self.counts_so_far();
        if counts.tally.is_none() {
            counts.tally = Some(Arc::clone(tally));
        } else {
            counts.rest.get_or_insert_default().others.push(Arc::clone(tally));
        }
    }

    /// Adds what the tally of a listener has counted, and forgets it.
    pub(super) fn close(&self, tally: &Arc<Tally>) {
        let mut counts = self.counts_so_far();
        if counts.tally.take_if(|one| Arc::ptr_eq(one, tally)).is_none()
            && let Some(rest) = &mut counts.rest
        {
            rest.others.retain(|one| !Arc::ptr_eq(one, tally));
        }
        counts.add(tally.permission.into(), tally.withheld());
    }

    /// Returns the counts that are not zero.
    pub fn counts(&self) -> BTreeMap<Withholder, u64> {
        let counts = self.counts_so_far();
        let mut all = counts.rest.as_ref().map(|rest| rest.counted.clone()).unwrap_or_default();
        for tally in counts.tallies() {
            let withheld = tally.withheld();
            if withheld > 0 {
                *all.entry(tally.permission.into()).or_default() += withheld;
            }
        }
        all
    }

    /// The lock is held for some additions only.
    fn counts_so_far(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_permission_has_a_counter_of_its_own() {
        let withheld = Withheld::default();
        for &permission in Permission::ALL {
            withheld.count(permission.into());
        }
        assert_eq!(withheld.counts(), Permission::ALL.iter().map(|one| (Withholder::Permission(*one), 1)).collect());
        assert!(Permission::ALL.iter().all(|permission| permission.as_str() != Withholder::ROOMS));
    }

    #[test]
    fn each_of_several_listeners_counts_and_what_it_counted_stays_when_it_is_closed() {
        let (withheld, told, class) = (Withheld::default(), Arc::new(Told::default()), Classes(1));
        let tally = |permission: &Permission| Arc::new(Tally::of(class, *permission, &told));
        let tallies: Vec<_> = Permission::ALL.iter().take(3).map(tally).collect();
        for tally in &tallies {
            withheld.open(tally);
        }
        told.count(class);
        tallies[1].passed(class);
        let counted = BTreeMap::from([0, 2].map(|index| (Withholder::Permission(Permission::ALL[index]), 1)));
        assert_eq!(withheld.counts(), counted);
        for tally in &tallies {
            withheld.close(tally);
            assert_eq!(Arc::strong_count(tally), 1);
        }
        told.count(class);
        assert_eq!(withheld.counts(), counted, "nobody listens any more");
    }
}
