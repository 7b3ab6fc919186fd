//! When schedules are due: every so often, once, or as a cron expression says in a time zone; and local times.
//!
//! **Owns:** zones, cron expressions, the due times that follow from them, and texts that people write for a time.
//!
//! **Must not** do I/O, wait, or read a clock: each function gets the time as an argument. The database of time zones
//! is part of the program, so that every machine has the same.
//!
//! **Begin with** [`Timing`], and with [`judge`], which says what to do at a moment.
//!
//! Each function does bounded work: for any expression and any downtime of the host, it looks at each day of at most
//! fifty years once.

mod cron;
mod judge;
pub mod local;
mod timing;
mod zone;

pub use cron::{Cron, LONGEST_EXPRESSION, NoCron};
pub use judge::{Judged, judge};
pub use timing::{Missed, Timing};
pub use zone::{NoZone, Zone};
