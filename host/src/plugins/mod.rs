//! Plugins: what they declare, which ones may run, and how they are run.

pub mod admission;
mod books;
pub mod build;
mod catch_up;
mod ceiling;
mod clocks;
pub mod command_names;
pub mod compiler;
pub mod component;
pub mod components;
mod denials;
pub mod desk;
mod engine;
mod held;
pub mod id;
mod instance;
mod ledger;
pub mod limits;
pub mod log_level;
pub mod manifest;
pub mod order;
pub mod policy;
pub mod quantity;
mod rate;
mod record;
pub mod rights;
pub mod secret;
pub mod setting;
mod settings;
pub mod signature;
pub mod source;
pub mod store;
mod supervisor;
mod timers;
mod traces;
mod watchdog;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub use admission::Admitted;
pub use command_names::{ChosenNames, CommandName, CommandNames};
pub use compiler::{Bounds, Compiler};
pub use denials::{Denial, Denials};
pub(crate) use engine::PAUSE_FOR_ROOM;
pub use engine::{Compiled, Engine, EngineError};
pub(crate) use held::{Held, Holding};
pub use id::PluginId;
#[cfg(test)]
pub(crate) use instance::tests::instance as disconnected_instance;
pub(crate) use instance::{Context, Grouping, OpenArchiveQuery, OpenCall, OpenQuestion};
pub use instance::{Instance, LimitUse, Usage};
pub use log_level::LogLevel;
pub(crate) use rate::Bucket;
pub use record::{MOST_ADDED, Record, Records, Totals};
pub use settings::{Layer, OwnSettings};
pub use supervisor::{Dependency, Reins, State, Succession, Supervised};
pub(crate) use timers::SHORTEST_PERIOD;
pub use traces::Traces;

/// Identifies one run of a plugin on one account. An id is never reused within a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceId(pub(crate) u64);

impl InstanceId {
    /// Returns a new id.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
