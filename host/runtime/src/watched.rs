//! A value whose changes others wait for, in a few bytes.
//!
//! tokio's `watch` spreads its waiters over eight lists, which pays off with many threads that wait. It takes some 400
//! bytes for each value. A parked plugin has no waiter, and a running one has two or three.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A value whose changes can be awaited.
#[derive(Debug, Default)]
pub(crate) struct Watched<T>(Mutex<Inner<T>>);

#[derive(Debug, Default)]
struct Inner<T> {
    value: T,
    /// Notified of changes. It is there while somebody waits.
    changed: Option<Arc<Notify>>,
}

/// Somebody who waits.
struct Waiter<'a, T> {
    of: &'a Watched<T>,
    changed: Arc<Notify>,
}

impl<T> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Mutex::new(Inner { value, changed: None }))
    }

    /// Reads the value, with exclusive access.
    pub(crate) fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.lock().value)
    }

    /// Changes the value.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let (result, changed) = {
            let mut inner = self.lock();
            (change(&mut inner.value), inner.changed.clone())
        };
        if let Some(changed) = changed {
            changed.notify_waiters();
        }
        result
    }

    /// Waits until the value is as wanted. Cancel-safe.
    pub(crate) async fn until(&self, is_wanted: impl Fn(&T) -> bool) {
        self.pick(|value| is_wanted(value).then_some(())).await;
    }

    /// Waits until something can be picked from the value. Cancel-safe.
    pub(crate) async fn pick<R>(&self, pick: impl Fn(&T) -> Option<R>) -> R {
        if let Some(picked) = self.with(&pick) {
            return picked;
        }
        let waiter = Waiter { of: self, changed: Arc::clone(self.lock().changed.get_or_insert_default()) };
        loop {
            // A change after this line ends the wait below.
            let changed = waiter.changed.notified();
            if let Some(picked) = self.with(&pick) {
                return picked;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Waiter<'_, T> {
    fn drop(&mut self) {
        // Under the lock, since others begin to wait under it. The last one leaves no memory behind.
        let mut inner = self.of.lock();
        if Arc::strong_count(&self.changed) == 2 {
            inner.changed = None;
        }
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

    /// Each parked plugin has such values.
    #[tokio::test]
    async fn a_value_that_nobody_waits_for_has_no_list_of_waiters() {
        let watched = Watched::new(1);
        let is_watched = || watched.lock().changed.is_some();
        watched.until(|value| *value == 1).await;
        let wait = || Box::pin(watched.until(|value| *value == 2));
        let (mut given_up, mut waits) = (wait(), wait());
        assert!(!is_watched(), "nobody waits yet");
        assert!(given_up.as_mut().now_or_never().is_none() && waits.as_mut().now_or_never().is_none());
        drop(given_up);
        assert!(is_watched());
        watched.change(|value| *value = 2);
        assert!(waits.as_mut().now_or_never().is_some() && !is_watched());
        assert!(size_of::<Watched<u64>>() <= 24, "{}", size_of::<Watched<u64>>());
    }
}
