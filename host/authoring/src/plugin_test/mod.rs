//! Runs authors' tests: a script lists the actions of people and the expected actions of the plugin, and runs on a real
//! session and a real instance. `parlor plugin dev` uses the same code with an author who enters the steps
//! interactively.
//!
//! Three things differ from a running host. The server is a mock in the process and knows only the people whom the
//! script names. The store is kept in memory. The clock is paused and advances only when the script says so. A test
//! therefore takes milliseconds, and an hour of test time takes less than a second. With an interactive author the
//! clock is the machine's.
//!
//! [`server`] is the mock server. [`script`] parses the author's file, [`stage`] sets up the environment, [`run`] compares, [`report`] prints the
//! results.

mod act;
mod beside;
mod given;
mod hooks;
pub mod names;
mod notes;
pub mod report;
mod rows;
pub mod run;
pub mod script;
pub mod server;
mod shown;
pub mod stack;
pub mod stage;
pub mod trace;
mod usual;
mod web;

pub use given::{ByHand, Given};
pub use notes::{Happened, Notes};
pub use run::Outcome;
pub use script::{Script, ScriptError};
pub use server::{RoomKind, Said};
pub use shown::Shown;
pub use stage::{Player, Stage};
