//! Plugins: what they declare, which ones may run, and how they are run.

pub mod admission;
mod books;
pub mod build;
mod catch_up;
mod ceiling;
mod clocks;
pub mod compiler;
pub mod component;
pub mod components;
mod denials;
pub mod desk;
mod engine;
mod held;
mod instance;
mod ledger;
pub mod limits;
pub mod manifest;
pub mod order;
pub mod policy;
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

pub use admission::Admitted;
pub use compiler::{Bounds, Compiler};
pub use denials::{Denial, Denials};
pub(crate) use engine::PAUSE_FOR_ROOM;
pub use engine::{Compiled, Engine, EngineError};
pub(crate) use held::{Held, Holding};
#[cfg(test)]
pub(crate) use instance::tests::instance as disconnected_instance;
pub(crate) use instance::{Context, Grouping, OpenArchiveQuery, OpenCall, OpenQuestion};
pub use instance::{Instance, LimitUse, Usage};
pub use record::{MOST_ADDED, Record, Records, Totals};
pub use settings::{Layer, OwnSettings};
pub use supervisor::{Dependency, Reins, State, Succession, Supervised};
pub(crate) use timers::SHORTEST_PERIOD;
pub use traces::Traces;
