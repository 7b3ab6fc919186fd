//! The rate limits of an instance.

use parlor_base::rate::Bucket;
use parlor_plugins::limits::Limits;

/// The rate limits of a plugin on one account. Clones share them. If a restart reset them, a plugin that keeps failing
/// would get a new burst each time.
#[derive(Debug, Clone)]
pub struct Budgets {
    /// The limit on messages and other stanzas that it sends.
    pub outgoing: Bucket,
    /// The limit on the bytes of these.
    pub outgoing_bytes: Bucket,
    /// The limit on events that it emits.
    pub emitted: Bucket,
    /// The limit on other calls that the account's task carries out.
    pub orders: Bucket,
    /// The limit on bytes that it reads from its storage and writes to it.
    pub stored: Bucket,
    /// The limit on lines that it logs, and that the host logs because of its actions.
    pub(super) log_lines: Bucket,
}

impl Budgets {
    /// Creates the budgets of a plugin with these limits.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            outgoing: Bucket::new(limits.messages_per_second.into(), limits.messages_burst.into()),
            outgoing_bytes: Bucket::new(limits.bytes_per_second.as_f64(), limits.bytes_per_second.as_f64()),
            emitted: Bucket::new(limits.events_per_second.into(), limits.events_per_second.into()),
            orders: Bucket::new(limits.calls_per_second.into(), limits.calls_per_second.into()),
            stored: Bucket::new(limits.storage_per_second.as_f64(), limits.storage_per_second.as_f64()),
            log_lines: Bucket::new(limits.log_lines_per_second.into(), limits.log_lines_per_second.into()),
        }
    }

    /// Returns these budgets after those of an earlier version: what was used of them stays used.
    pub(super) fn after(self, old: &Self) -> Self {
        Self {
            outgoing: self.outgoing.after(&old.outgoing),
            outgoing_bytes: self.outgoing_bytes.after(&old.outgoing_bytes),
            emitted: self.emitted.after(&old.emitted),
            orders: self.orders.after(&old.orders),
            stored: self.stored.after(&old.stored),
            log_lines: self.log_lines.after(&old.log_lines),
        }
    }
}
