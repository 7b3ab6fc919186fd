//! The subscriptions of a parked plugin: kept until its next run has made them again.
//!
//! `initialize` runs again when a parked plugin is woken, and subscribes to the same events. It then gets the ids that its
//! subscriptions had, since mail that waits refers to them. Subscriptions that it did not make again end with that.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Subscription, SubscriptionId};
use crate::event::EventName;

/// The subscriptions that a parked plugin left; empty while the plugin runs.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<Option<Unclaimed>>);

/// The lists take no memory until the plugin is woken, or one of its subscriptions ends.
#[derive(Debug, Default)]
pub(super) struct Unclaimed(Option<Box<Lists>>);

#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The subscriptions that existed when the plugin was woken and that it has not made again.
    pub(super) ids: Vec<SubscriptionId>,
    /// The subscriptions that ended with an event that still waits.
    pub(super) fired: Vec<(EventName, Subscription)>,
}

impl Claims {
    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Unclaimed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a subscription ended with an event that was put into the mailbox.
    pub(super) fn has_fired(&self, name: &EventName, subscription: &Subscription) {
        if let Some(unclaimed) = self.lock().as_mut() {
            unclaimed.lists().fired.push((name.clone(), subscription.clone()));
        }
    }
}

impl Unclaimed {
    /// Returns the lists, to be changed.
    pub(super) fn lists(&mut self) -> &mut Lists {
        self.0.get_or_insert_default()
    }

    /// Returns the subscriptions that existed when the plugin was woken and that it has not made again.
    pub(super) fn ids(&self) -> &[SubscriptionId] {
        self.0.as_ref().map_or(&[], |lists| lists.ids.as_slice())
    }
}
