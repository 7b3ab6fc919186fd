//! The queue of a plugin's webhooks on an account: who stores a request wakes the task that delivers it.
//!
//! It is kept in the plugin's record, so that it outlives a restart: a request may be stored for an instance that has ended since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::watched::Watched;

/// The state that all tellers of requests share, and those who store them, also with the instances of the plugin before and after.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Notified when a request has arrived, or one must be delivered again.
    pub(crate) arrived: Notify,
    /// For each webhook, the lock for delivering a request: held until the delivery ends.
    turns: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// The last failed attempt of each request that waits for the next one.
    failed: Mutex<BTreeMap<i64, FailedAttempt>>,
    /// The requests that the owner dropped, until the task that delivers them has seen it.
    dropped: Watched<BTreeSet<i64>>,
}

/// An attempt to deliver a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedAttempt {
    /// When it is delivered again, if the plugin runs then.
    pub next: Timestamp,
    /// Why it failed.
    pub why: &'static str,
}

impl Queue {
    /// Returns the turn of a webhook.
    pub(crate) fn turn(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(name.to_owned()).or_default())
    }

    /// Notes that an attempt to deliver a request failed.
    pub(crate) fn failed(&self, id: i64, attempt: FailedAttempt) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).insert(id, attempt);
    }

    /// Waits until the owner drops a request.
    pub(crate) async fn is_dropped(&self, id: i64) {
        self.dropped.until(|dropped| dropped.contains(&id)).await;
    }

    /// Returns the last failed attempt of each request that waits for the next one.
    pub(crate) fn failed_attempts(&self) -> BTreeMap<i64, FailedAttempt> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that the owner dropped a request.
    pub(super) fn drop_request(&self, id: i64) {
        self.dropped.change(|dropped| dropped.insert(id));
    }

    /// Notes that a request is to wait again, which the owner may have dropped before its turn came.
    pub(super) fn is_waiting_again(&self, id: i64) {
        self.dropped.change(|dropped| dropped.remove(&id));
    }

    /// Forgets a request that is no longer delivered.
    pub(crate) fn is_over(&self, id: i64) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        self.dropped.change(|dropped| dropped.remove(&id));
    }
}
