//! The last calls that a plugin was denied, for the owner who asks why something does not work.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::permissions::Permission;

/// So many are kept; the oldest go first.
const KEPT: usize = 20;

/// A call that was denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// When.
    pub at: Timestamp,
    /// What it would have needed.
    pub permission: Permission,
    /// For whom or what.
    pub scope: Option<String>,
    /// How the owner would allow it.
    pub hint: String,
}

/// The last denials of one plugin on one account. They outlive its instances.
#[derive(Debug, Default)]
pub struct Denials(Mutex<VecDeque<Denial>>);

impl Denials {
    /// Keeps one.
    pub(super) fn put(&self, denial: Denial) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(denial);
    }

    /// Those that are kept, oldest first.
    pub fn last(&self) -> Vec<Denial> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
