//! The requests and files of an instance whose bodies go in parts, by the numbers that the plugin knows them by.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as Turns;
use tokio_util::sync::CancellationToken;

/// All that are open of one kind.
#[derive(Debug)]
pub(crate) struct OpenParts<T>(Mutex<Option<Box<ByNumber<T>>>>);

type ByNumber<T> = HashMap<u64, Arc<OpenPart<T>>>;

/// One of them. A call that works on it has its turn: a plugin's calls on the same one come one after the other, and no other plugin waits
/// for them.
#[derive(Debug)]
pub(crate) struct OpenPart<T> {
    pub(crate) turns: Turns<T>,
    /// The plugin has closed it: what still works on it ends.
    pub(crate) closed: CancellationToken,
}

impl<T> Default for OpenParts<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> OpenParts<T> {
    /// Adds one, and returns its number, which is never used twice.
    pub(crate) fn add(&self, part: T) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Relaxed);
        let part = OpenPart { turns: Turns::new(part), closed: CancellationToken::new() };
        self.all().get_or_insert_default().insert(number, Arc::new(part));
        number
    }

    /// Returns the one with this number.
    pub(crate) fn get(&self, number: u64) -> Option<Arc<OpenPart<T>>> {
        self.all().as_ref()?.get(&number).cloned()
    }

    /// Removes one that has ended. A call that works on it goes on.
    pub(crate) fn remove(&self, number: u64) -> Option<Arc<OpenPart<T>>> {
        let mut all = self.all();
        let removed = all.as_mut().and_then(|all| all.remove(&number));
        if all.as_ref().is_some_and(|all| all.is_empty()) {
            *all = None;
        }
        removed
    }

    /// Ends one, also while a call works on it. Returns false if there is none.
    pub(crate) fn close(&self, number: u64) -> bool {
        let removed = self.remove(number);
        if let Some(part) = &removed {
            part.closed.cancel();
        }
        removed.is_some()
    }

    /// Returns how many there are.
    pub(crate) fn count(&self) -> usize {
        self.all().as_ref().map_or(0, |all| all.len())
    }

    /// Ends all, as for an instance without a guest.
    pub(crate) fn shrink(&self) {
        let all = self.all().take();
        drop(all);
    }

    fn all(&self) -> MutexGuard<'_, Option<Box<ByNumber<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
