//! When schedules are due: every so often, once, or as a cron expression says in a time zone; and local times.
//!
//! **Owns:** zones, cron expressions, the due times that follow from them, and texts that people write for a time.
//!
//! **Must not** do I/O, wait, or read a clock: each function is told what time it is. The database of time zones is part
//! of the program, so that every machine has the same.
//!
//! **Begin with** [`Timing`], and with [`judge`], which says what to do at a moment.
//!
//! Each function does bounded work: whatever an expression says and however long a host did not run, it looks at each day
//! of at most fifty years once.

mod cron;
mod judge;
pub mod local;
mod timing;
mod zone;

pub use cron::{Cron, LONGEST_EXPRESSION, NoCron};
pub use judge::{Judged, judge};
pub use timing::{Missed, Timing};
pub use zone::{NoZone, Zone};
