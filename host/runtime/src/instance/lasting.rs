//! The state that outlives the instances of a plugin on one account, so that a restart does not reset it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parlor_base::rate::Bucket;
use parlor_plugins::limits::Limits;

use super::Rooms;
use crate::record::Record;

/// The state that one instance leaves to the next one. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Lasting {
    /// The plugin's record.
    pub record: Arc<Record>,
    /// The rooms that it has opened.
    pub rooms: Arc<Rooms>,
    /// Whether its last instance failed.
    pub failed: Arc<AtomicBool>,
    /// The rate limits. If a restart reset them, a plugin that keeps failing would get a new burst each time.
    pub(super) buckets: Buckets,
}

impl Lasting {
    /// Creates the state of a plugin with these limits, opened rooms and record.
    pub(crate) fn new(limits: &Limits, rooms: Arc<Rooms>, record: Arc<Record>) -> Self {
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

    /// Returns the state for another version with these limits. The rooms stay open, and used bursts stay used.
    pub(crate) fn passed_on(&self, limits: &Limits) -> Self {
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

/// The buckets for all rate limits of a plugin; [`Instance`](super::Instance) documents each.
#[derive(Debug, Clone)]
pub(super) struct Buckets {
    pub(super) outgoing: Bucket,
    pub(super) outgoing_bytes: Bucket,
    pub(super) emitted: Bucket,
    pub(super) orders: Bucket,
    pub(super) stored: Bucket,
    pub(super) log_lines: Bucket,
}
