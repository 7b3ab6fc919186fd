//! Whether the store reports writes to a node.
//!
//! A node that can write and hears nothing would renew its session, and not see which accounts it is given: none of them would run. An
//! example is a NATS server that permits no further consumer.

use std::time::Duration;

/// The reports of the store, as far as they say whether any arrive.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// Whether any has arrived.
    have_begun: bool,
    /// When the first write of this node was confirmed after the last report.
    missing_since: Option<Duration>,
}

impl Reports {
    /// Takes in that one has arrived.
    pub(super) fn arrived(&mut self) {
        *self = Self { have_begun: true, missing_since: None };
    }

    /// Takes in that a write of this node was confirmed that is not reported yet.
    pub(super) fn awaited(&mut self, now: Duration) {
        self.missing_since.get_or_insert(now);
    }

    /// Returns whether they arrive. A write of this node that is confirmed may lack its report for this time.
    pub(super) fn arrive(&self, now: Duration, patience: Duration) -> bool {
        self.have_begun && self.missing_since.is_none_or(|since| now < since + patience)
    }
}
