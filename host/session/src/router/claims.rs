//! The subscriptions of a parked plugin: kept until its next run has made them again.
//!
//! `initialize` runs again when a parked plugin is woken, and subscribes to the same events. It then gets the ids that its
//! subscriptions had, since mail that waits refers to them. Subscriptions that it did not make again end with that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Subscription, SubscriptionId};
use crate::event::EventName;

/// The subscriptions that a parked plugin left; empty while the plugin runs.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<Option<Unclaimed>>);

#[derive(Debug, Default)]
pub(super) struct Unclaimed {
    /// The subscriptions that existed when the plugin was woken and that it has not made again.
    pub(super) ids: Vec<SubscriptionId>,
    /// The subscriptions that ended with an event that still waits.
    pub(super) fired: Vec<(EventName, Arc<Subscription>)>,
}

impl Claims {
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Unclaimed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a subscription ended with an event that was put into the mailbox.
    pub(super) fn has_fired(&self, name: &EventName, subscription: &Arc<Subscription>) {
        if let Some(unclaimed) = self.lock().as_mut() {
            unclaimed.fired.push((name.clone(), Arc::clone(subscription)));
        }
    }
}
