//! A due time of a schedule.

use std::time::Duration;

use jiff::Timestamp;

/// A due time of a schedule of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented once, in the contract")]
pub struct DueTime {
    pub name: String,
    pub due: Timestamp,
    pub late: Duration,
    pub missed: u32,
    pub attempt: u32,
}
