//! The state that outlives the instances of a plugin on one account, so that a restart does not reset it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parlor_plugins::limits::Limits;

use super::{Budgets, Rooms};
use crate::record::Record;
use crate::schedules::Schedules;
use crate::unanswered::Unanswered;
use crate::webhooks::listening::Tokens;

/// The state that one instance leaves to the next one. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Lasting {
    /// The plugin's record.
    pub record: Arc<Record>,
    /// The rooms that it has opened.
    pub rooms: Arc<Rooms>,
    /// Whether its last instance failed.
    pub failed: Arc<AtomicBool>,
    /// The secret parts of its webhooks' addresses, if it has webhooks.
    pub webhooks: Option<Tokens>,
    /// Its schedules.
    pub(crate) schedules: Arc<Schedules>,
    /// The requests that wait for its answer.
    pub(crate) unanswered: Unanswered,
    /// The rate limits.
    pub(crate) budgets: Budgets,
}

impl Lasting {
    /// Creates the state of a plugin with these limits, opened rooms and record.
    pub(crate) fn new(limits: &Arc<Limits>, rooms: Arc<Rooms>, record: Arc<Record>) -> Self {
        Self {
            record,
            rooms,
            failed: Arc::default(),
            webhooks: None,
            schedules: Arc::default(),
            unanswered: Unanswered::default(),
            budgets: Budgets::new(limits),
        }
    }

    /// Returns the state for another version with these limits. The rooms stay open, and used bursts stay used.
    pub(crate) fn passed_on(&self, limits: &Arc<Limits>) -> Self {
        let (rooms, record) = (Arc::clone(&self.rooms), Arc::clone(&self.record));
        Self {
            record,
            rooms,
            failed: Arc::default(),
            webhooks: None,
            schedules: Arc::new(self.schedules.passed_on()),
            unanswered: self.unanswered.clone(),
            budgets: self.budgets.passed_on(limits),
        }
    }
}
