//! The last denied calls of a plugin, for an owner who wants to know why something does not work.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use parlor_base::permission::Permission;

/// How many denials are kept. The oldest are dropped first.
const KEPT: usize = 20;

/// A call that was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// When the call was denied.
    pub at: Timestamp,
    /// The permission that the call needed.
    pub permission: Permission,
    /// The address or other target that was outside of the granted scope, if the call has one.
    pub scope: Option<String>,
    /// The hint on how the owner can allow the call.
    pub hint: String,
}

/// The last denials of one plugin on one account. They outlive its instances, and take no memory before the first one.
#[derive(Debug, Default)]
pub struct Denials(Mutex<Option<Box<Last>>>);

type Last = VecDeque<Denial>;

impl Denials {
    /// Records a denial.
    pub(super) fn put(&self, denial: Denial) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.get_or_insert_default();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(denial);
    }

    /// Returns the kept denials, oldest first.
    pub fn last(&self) -> Vec<Denial> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().flat_map(|kept| kept.iter()).cloned().collect()
    }
}
