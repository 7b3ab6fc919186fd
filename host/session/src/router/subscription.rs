//! A subscription of a plugin to events of one name.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::SubscriptionId;
use super::filter::Filter;

/// A copy is the same subscription.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub(super) id: SubscriptionId,
    /// The filter. Listeners that follow each other share equal ones.
    pub(super) filter: Arc<Filter>,
    /// For a subscription that ends with its first event: whether that event has come.
    pub(super) once: Option<Arc<AtomicBool>>,
}
