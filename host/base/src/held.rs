//! The cost of a plugin's calls for the host: the bytes that it holds outside of the plugin's linear memory, and the CPU
//! time that it spends outside of the plugin's task.
//!
//! A waiting call is a future with its arguments, an item in a queue, or an answer that was not fetched yet. The number
//! of waiting calls is limited, but each may carry hundreds of KiB, so their memory must be limited, too.
//!
//! The account's task serves all plugins at the connection's priority. Its time counts on the CPU account of the plugin that asked:
//! otherwise a plugin within its share could have it compute for several times as long. The limit `storage_per_second` bounds the work
//! of the storage's thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// The bytes that the host holds for all plugins together. Beyond that a plugin is refused more than [`ASSURED`].
const MOST_OF_ALL: usize = 1 << 30;
/// The bytes that each plugin may always have, regardless of the others.
const ASSURED: usize = 1 << 20;

/// The total of all plugins of the process.
static ALL: Total = Total { bytes: AtomicUsize::new(0), most: MOST_OF_ALL };

#[derive(Debug)]
struct Total {
    bytes: AtomicUsize,
    most: usize,
}

/// The CPU time that other tasks of the host spent on the calls of one instance and that its CPU account has not taken yet.
#[derive(Debug, Default)]
pub struct Charges(AtomicU64);

impl Charges {
    /// Adds CPU time.
    pub fn add(&self, spent: Duration) {
        self.0.fetch_add(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Takes what was added since the last time.
    pub fn take(&self) -> Duration {
        // Most polls find nothing, and a read costs less than an exchange.
        let nanos = if self.0.load(Relaxed) == 0 { 0 } else { self.0.swap(0, Relaxed) };
        Duration::from_nanos(nanos)
    }

    /// Returns what was added since it was last taken.
    pub fn waiting(&self) -> Duration {
        Duration::from_nanos(self.0.load(Relaxed))
    }
}

/// The bytes that the host holds for one instance with their limit, and the CPU time that is charged to it.
#[derive(Debug)]
pub struct Held {
    bytes: AtomicUsize,
    most: usize,
    cpu: Charges,
}

impl Default for Held {
    /// Has no limit of its own.
    fn default() -> Self {
        Self { bytes: AtomicUsize::new(0), most: usize::MAX, cpu: Charges::default() }
    }
}

impl Held {
    /// Creates an empty counter with this limit.
    pub fn up_to(most: usize) -> Arc<Self> {
        Arc::new(Self { most, ..Self::default() })
    }

    /// Returns the number of bytes held now.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Returns the CPU time that is charged to the instance.
    pub fn charges(&self) -> &Charges {
        &self.cpu
    }

    /// Counts these bytes until the result is dropped. Returns `None` if they would exceed a limit.
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Option<Holding> {
        self.hold_among(&ALL, bytes)
    }

    fn hold_among(self: &Arc<Self>, among: &'static Total, bytes: usize) -> Option<Holding> {
        let own = self.bytes.fetch_add(bytes, Relaxed).saturating_add(bytes);
        let all = among.bytes.fetch_add(bytes, Relaxed).saturating_add(bytes);
        // If it is dropped here, the bytes are given back.
        let holding = Holding { of: Arc::clone(self), among, bytes };
        (own <= self.most && (all <= among.most || own <= ASSURED)).then_some(holding)
    }
}

/// Bytes that the host holds for a plugin. Dropping it gives them back.
#[derive(Debug)]
pub struct Holding {
    of: Arc<Held>,
    among: &'static Total,
    bytes: usize,
}

impl Holding {
    /// Charges CPU time that the host spent on the call to its plugin.
    pub fn charge(&self, spent: Duration) {
        self.of.cpu.add(spent);
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.of.bytes.fetch_sub(self.bytes, Relaxed);
        self.among.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(most: usize) -> &'static Total {
        Box::leak(Box::new(Total { bytes: AtomicUsize::new(0), most }))
    }

    #[test]
    fn what_is_too_much_is_refused_and_counts_for_nothing() {
        let all = total(usize::MAX);
        let own = Held::up_to(100);
        let hold = |bytes| own.hold_among(all, bytes);
        let first = hold(60).unwrap();
        assert!(hold(41).is_none());
        assert_eq!((own.bytes(), all.bytes.load(Relaxed)), (60, 60));
        let second = hold(40).unwrap();
        drop(first);
        assert_eq!(own.bytes(), 40);
        drop(second);
        assert_eq!((own.bytes(), all.bytes.load(Relaxed)), (0, 0));
        assert!(hold(usize::MAX).is_none());
        assert_eq!(own.bytes(), 0);
    }

    #[test]
    fn whoever_holds_little_has_its_part_when_others_hold_all_that_there_is() {
        let all = total(4 << 20);
        let (greedy, modest) = (Held::up_to(64 << 20), Held::up_to(64 << 20));
        let _most = greedy.hold_among(all, 4 << 20).unwrap();
        assert!(greedy.hold_among(all, 1).is_none());
        let _part = modest.hold_among(all, ASSURED).unwrap();
        assert!(modest.hold_among(all, 1).is_none());
    }
}
