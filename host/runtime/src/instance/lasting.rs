//! The state that outlives the instances of a plugin on one account, so that a restart does not reset it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use parlor_plugins::limits::Limits;
use parlor_session::Snapshot;
use parlor_session::command_names::{ChosenNames, CommandNames};

use super::{Budgets, Rooms};
use crate::record::Record;
use crate::schedules::Schedules;
use crate::unanswered::Unanswered;
use crate::webhooks::listening::Tokens;

/// The state that one instance leaves to the next one.
#[derive(Debug)]
pub(crate) struct Lasting {
    /// The plugin's record, which includes earlier instances.
    pub(crate) record: Arc<Record>,
    /// The rooms that it has opened, once it has opened one.
    rooms: OnceLock<Arc<Rooms>>,
    /// The owner's names for its commands, once it has a command or the owner a name for one.
    commands: OnceLock<Arc<ChosenNames>>,
    /// Whether its last instance failed.
    pub(crate) failed: AtomicBool,
    /// The secret parts of its webhooks' addresses, if it has webhooks.
    pub(crate) webhooks: Option<Tokens>,
    /// Its schedules.
    pub(crate) schedules: Schedules,
    /// The requests that wait for its answer.
    pub(crate) unanswered: Unanswered,
    /// The rate limits.
    pub(crate) budgets: Budgets,
}

impl Lasting {
    /// Creates the state of a plugin with these limits and this record, which has opened no room.
    pub(crate) fn new(limits: &Arc<Limits>, record: Arc<Record>) -> Self {
        Self {
            record,
            rooms: OnceLock::new(),
            commands: OnceLock::new(),
            failed: AtomicBool::new(false),
            webhooks: None,
            schedules: Schedules::default(),
            unanswered: Unanswered::default(),
            budgets: Budgets::new(limits),
        }
    }

    /// Sets the owner's names for its commands.
    pub(crate) fn name_commands(&self, names: CommandNames) {
        if self.commands.get().is_some() || names != CommandNames::default() {
            self.command_names().set(names);
        }
    }

    /// Returns the owner's names for its commands, which may change later.
    pub(crate) fn command_names(&self) -> &Arc<ChosenNames> {
        self.commands.get_or_init(|| Arc::new(ChosenNames::new(CommandNames::default())))
    }

    /// Returns the rooms that it has opened.
    pub(super) fn rooms(&self) -> &Arc<Rooms> {
        self.rooms.get_or_init(Arc::default)
    }

    /// Returns how many of these are still open, or would be opened again.
    pub(super) fn open_rooms(&self, snapshot: &Snapshot) -> usize {
        self.rooms.get().map_or(0, |rooms| rooms.count(snapshot))
    }

    /// Returns the state for another version with these limits. The rooms stay open, and used bursts stay used.
    pub(crate) fn passed_on(&self, limits: &Arc<Limits>) -> Self {
        Self {
            record: Arc::clone(&self.record),
            rooms: OnceLock::from(Arc::clone(self.rooms())),
            commands: OnceLock::new(),
            failed: AtomicBool::new(false),
            webhooks: None,
            schedules: self.schedules.passed_on(),
            unanswered: self.unanswered.shared(),
            budgets: self.budgets.passed_on(limits),
        }
    }
}
