//! What outlives the instances of a plugin on one account: who comes after one that failed goes on where that one left off.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Rooms;
use crate::plugins::limits::Limits;
use crate::plugins::rate::Bucket;
use crate::plugins::record::Record;

/// What one instance leaves to the next one. Clones are the same one.
#[derive(Debug, Clone)]
pub(in crate::plugins) struct Lasting {
    /// The plugin's record.
    pub(in crate::plugins) record: Arc<Record>,
    /// The rooms that it has opened.
    pub(in crate::plugins) rooms: Arc<Rooms>,
    /// Its last instance failed.
    pub(in crate::plugins) failed: Arc<AtomicBool>,
    /// What it may do at once: who fails again and again would have that anew each time.
    pub(super) buckets: Buckets,
}

impl Lasting {
    /// Of a plugin with these limits, which has opened these rooms and did this so far.
    pub(in crate::plugins) fn new(limits: &Limits, rooms: Arc<Rooms>, record: Arc<Record>) -> Self {
        let buckets = Buckets {
            outgoing: Bucket::new(limits.messages_per_second.into(), limits.messages_burst.into()),
            outgoing_bytes: Bucket::new(limits.bytes_per_second.as_f64(), limits.bytes_per_second.as_f64()),
            emitted: Bucket::new(limits.events_per_second.into(), limits.events_per_second.into()),
            orders: Bucket::new(limits.calls_per_second.into(), limits.calls_per_second.into()),
            stored: Bucket::new(limits.storage_per_second.as_f64(), limits.storage_per_second.as_f64()),
            log_lines: Bucket::new(limits.log_lines_per_second.into(), limits.log_lines_per_second.into()),
        };
        Self { record, rooms, failed: Arc::default(), buckets }
    }

    /// For another version, with these limits: the rooms stay open, and what was done at once is not there to be done once more.
    pub(in crate::plugins) fn passed_on(&self, limits: &Limits) -> Self {
        let new = Self::new(limits, Arc::clone(&self.rooms), Arc::clone(&self.record));
        let (old, fresh) = (&self.buckets, new.buckets);
        let buckets = Buckets {
            outgoing: fresh.outgoing.after(&old.outgoing),
            outgoing_bytes: fresh.outgoing_bytes.after(&old.outgoing_bytes),
            emitted: fresh.emitted.after(&old.emitted),
            orders: fresh.orders.after(&old.orders),
            stored: fresh.stored.after(&old.stored),
            log_lines: fresh.log_lines.after(&old.log_lines),
        };
        Self { buckets, ..new }
    }
}

/// One for each thing that a plugin may do so often a second; what they are for stands at the instance.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    pub(super) outgoing: Bucket,
    pub(super) outgoing_bytes: Bucket,
    pub(super) emitted: Bucket,
    pub(super) orders: Bucket,
    pub(super) stored: Bucket,
    pub(super) log_lines: Bucket,
}
