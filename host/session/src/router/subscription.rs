//! A subscription of a plugin to events of one name.

use std::ops::Deref;
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

/// The subscriptions of an instance to an event. Most have one, which is no allocation of its own.
#[derive(Debug)]
pub(super) enum Subscriptions {
    One(Subscription),
    /// Another number of them.
    Several(Box<[Subscription]>),
}

impl From<Vec<Subscription>> for Subscriptions {
    fn from(mut all: Vec<Subscription>) -> Self {
        match all.pop() {
            Some(one) if all.is_empty() => Self::One(one),
            last => {
                all.extend(last);
                Self::Several(all.into_boxed_slice())
            }
        }
    }
}

impl Deref for Subscriptions {
    type Target = [Subscription];

    fn deref(&self) -> &[Subscription] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_subscriptions_are_kept_in_their_order() {
        let subscription = |id| Subscription { id: SubscriptionId(id), filter: Arc::default(), once: None };
        for count in 0..4 {
            let all = Subscriptions::from((0..count).map(subscription).collect::<Vec<_>>());
            assert!(all.iter().map(|one| one.id.0).eq(0..count), "{all:?}");
        }
    }
}
