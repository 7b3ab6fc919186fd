//! Counters of events that were withheld from a plugin that listens to them, for each permission that did not cover
//! them.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use parlor_base::permission::Permission;

/// Counters by permission, without a lock: the account's task counts while it routes.
#[derive(Debug)]
pub struct Withheld([AtomicU64; Permission::ALL.len()]);

impl Default for Withheld {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Withheld {
    /// Counts one more event that this permission does not cover.
    pub fn count(&self, permission: Permission) {
        // The permissions are numbered in the order of `ALL`, which has each of them.
        if let Some(counter) = self.0.get(permission as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Returns the counts that are not zero.
    pub fn counts(&self) -> BTreeMap<Permission, u64> {
        let counts = Permission::ALL.iter().zip(&self.0).map(|(permission, count)| (*permission, count.load(Relaxed)));
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
