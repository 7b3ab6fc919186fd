//! A value whose changes others wait for, in a few bytes.
//!
//! tokio's `watch` spreads its waiters over eight lists, which pays off with many threads that wait. It takes some 400
//! bytes for each value. A parked plugin has no waiter, and a running one has two or three.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A value whose changes can be awaited.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::const_new() }
    }

    /// Reads the value, with exclusive access.
    pub(crate) fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock())
    }

    /// Changes the value.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_waiters();
        result
    }

    /// Waits until the value is as wanted. Cancel-safe.
    pub(crate) async fn until(&self, is_wanted: impl Fn(&T) -> bool) {
        self.pick(|value| is_wanted(value).then_some(())).await;
    }

    /// Waits until something can be picked from the value. Cancel-safe.
    pub(crate) async fn pick<R>(&self, pick: impl Fn(&T) -> Option<R>) -> R {
        loop {
            // A change after this line ends the wait below.
            let changed = self.changed.notified();
            if let Some(picked) = self.with(&pick) {
                return picked;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn all_who_wait_hear_of_a_change_that_they_wait_for_and_of_no_other() {
        let watched = Watched::new(1);
        let (mut two, mut three) = (pin!(watched.until(|value| *value >= 2)), pin!(watched.until(|value| *value >= 3)));
        assert!(two.as_mut().now_or_never().is_none() && three.as_mut().now_or_never().is_none());
        watched.change(|value| *value = 2);
        assert!(two.now_or_never().is_some() && three.as_mut().now_or_never().is_none());
        watched.change(|value| *value = 3);
        assert!(three.now_or_never().is_some());
        assert_eq!(watched.pick(|value| Some(*value)).now_or_never(), Some(3));
    }
}
