//! Counters of events that were withheld from a plugin that listens to them, for each permission that did not cover
//! them.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use parlor_base::permission::Permission;

/// Counters by permission, without a lock: the account's task counts while it routes.
///
/// They are made with the first event that is withheld: most plugins listen to what they may see.
#[derive(Debug, Default)]
pub struct Withheld(OnceLock<Box<[AtomicU64; Permission::ALL.len()]>>);

impl Withheld {
    /// Counts one more event that this permission does not cover.
    pub fn count(&self, permission: Permission) {
        // The permissions are numbered in the order of `ALL`, which has each of them.
        let counters = self.0.get_or_init(|| Box::new(std::array::from_fn(|_| AtomicU64::new(0))));
        if let Some(counter) = counters.get(permission as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Returns the counts that are not zero.
    pub fn counts(&self) -> BTreeMap<Permission, u64> {
        let counters = self.0.get().into_iter().flat_map(|counters| counters.iter());
        let counts = Permission::ALL.iter().zip(counters).map(|(permission, count)| (*permission, count.load(Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_permission_has_a_counter_of_its_own() {
        let withheld = Withheld::default();
        for &permission in Permission::ALL {
            withheld.count(permission);
        }
        assert_eq!(withheld.counts(), Permission::ALL.iter().map(|permission| (*permission, 1)).collect());
    }
}
