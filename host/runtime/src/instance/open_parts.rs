//! The requests and files of an instance whose bodies go in parts, by the numbers that the plugin knows them by.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as Turns;
use tokio_util::sync::CancellationToken;

/// The open parts of an instance, of any kind.
#[derive(Debug, Default)]
pub(crate) struct OpenParts(Mutex<Option<Box<ByNumber>>>);

/// The open parts by number, each with its state, whose type only its calls know, and with the token that ends it.
type ByNumber = HashMap<u64, (Arc<dyn Any + Send + Sync>, CancellationToken)>;

/// An open request or file. A plugin's calls on the same one take turns, and other plugins do not wait for them.
#[derive(Debug)]
pub(crate) struct OpenPart<T> {
    pub(crate) turns: Turns<T>,
    /// Cancelled when the plugin closes it: running work on it ends.
    pub(crate) closed: CancellationToken,
}

impl OpenParts {
    /// Adds an item, and returns its number, which is never used twice.
    pub(crate) fn add<T: Send + 'static>(&self, part: T) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Relaxed);
        let closed = CancellationToken::new();
        let part = Arc::new(OpenPart { turns: Turns::new(part), closed: closed.clone() });
        self.all().get_or_insert_default().insert(number, (part, closed));
        number
    }

    /// Returns the one with this number.
    pub(crate) fn get<T: Send + 'static>(&self, number: u64) -> Option<Arc<OpenPart<T>>> {
        let part = Arc::clone(&self.all().as_ref()?.get(&number)?.0);
        part.downcast().ok()
    }

    /// Removes an item that has ended. A call that works on it continues.
    pub(crate) fn remove(&self, number: u64) -> Option<CancellationToken> {
        let mut all = self.all();
        let removed = all.as_mut().and_then(|all| all.remove(&number));
        if all.as_ref().is_some_and(|all| all.is_empty()) {
            *all = None;
        }
        drop(all);
        removed.map(|(_, closed)| closed)
    }

    /// Ends one of this kind, also while a call works on it. Returns false if there is none.
    pub(crate) fn close<T: Send + 'static>(&self, number: u64) -> bool {
        let removed = self.get::<T>(number).and_then(|_| self.remove(number));
        if let Some(closed) = &removed {
            closed.cancel();
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

    fn all(&self) -> MutexGuard<'_, Option<Box<ByNumber>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
