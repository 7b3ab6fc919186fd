//! Authors' tests: a script of what people do and what the plugin is to do, tried on a real session and a real instance. And
//! the same with an author who says from moment to moment what people do (`parlor plugin dev`).
//!
//! Everything is as in a house but for three things: the server is within the process and has nobody on it but whom the
//! script speaks of, the store forgets, and the clock stands still until the script lets it go on. So a test takes
//! milliseconds, and an hour takes no longer than a second. With an author the clock is the machine's.
//!
//! [`script`] reads what an author wrote, [`stage`] is where it happens, [`run`] compares, [`report`] says how it went.

pub mod names;
mod notes;
pub mod report;
mod rows;
pub mod run;
pub mod script;
mod shown;
pub mod stack;
pub mod stage;
pub mod trace;

pub use notes::{Happened, Notes, as_said};
pub use run::Outcome;
pub use script::{Script, ScriptError};
pub use shown::Shown;
pub use stage::{Given, Player, Stage};
