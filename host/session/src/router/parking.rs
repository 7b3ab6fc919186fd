//! Keeps the subscriptions of a parked plugin, and gives them back to its next run.

use super::claims::Unclaimed;
use super::mailbox::Mailbox;
use super::{Filter, Router, Subscription, SubscriptionId, heard_by, retain};

impl Router {
    /// Keeps the subscriptions of an instance whose plugin is parked, for the next run.
    pub fn park(&self, mailbox: &Mailbox) {
        *mailbox.claims.lock() = Some(Unclaimed::default());
    }

    /// Begins the next run of a parked plugin: it takes back the subscriptions that it makes again.
    pub fn wake(&self, mailbox: &Mailbox) {
        let index = self.index.load();
        let own = index.values().filter_map(|listeners| listeners.get(mailbox.instance()));
        let ids = own.flat_map(|listener| listener.subscriptions.iter().map(|one| one.id)).collect();
        mailbox.claims.lock().get_or_insert_default().lists().ids = ids;
    }

    /// Returns the subscription of this kind that the plugin had before it was parked, if it has one that it was not
    /// given back yet.
    pub fn claim(&self, mailbox: &Mailbox, name: &str, filter: &Filter, once: bool) -> Option<SubscriptionId> {
        let mut claims = mailbox.claims.lock();
        let unclaimed = claims.as_mut()?.lists();
        let is_same = |one: &Subscription| *one.filter == *filter && one.once.is_some() == once;
        if let Some(at) = unclaimed.fired.iter().position(|(of, one)| **of == *name && is_same(one)) {
            return Some(unclaimed.fired.swap_remove(at).1.id);
        }
        let index = self.index.load();
        let own = index.get(name)?.get(mailbox.instance())?;
        let found = own.subscriptions.iter().find(|one| unclaimed.ids.contains(&one.id) && is_same(one))?;
        unclaimed.ids.retain(|id| *id != found.id);
        Some(found.id)
    }

    /// Returns how many of its subscriptions were not claimed.
    pub fn unclaimed(&self, mailbox: &Mailbox) -> usize {
        mailbox.claims.lock().as_ref().map_or(0, |unclaimed| unclaimed.ids().len())
    }

    /// Ends the subscriptions that the plugin has not made again by the time that its `initialize` has returned.
    pub fn end_unclaimed(&self, mailbox: &Mailbox) {
        let Some(unclaimed) = mailbox.claims.lock().take() else { return };
        if unclaimed.ids().is_empty() {
            return;
        }
        let instance = mailbox.instance();
        self.change(|index| {
            for name in heard_by(index, instance) {
                retain(index, &name, instance, |one| !unclaimed.ids().contains(&one.id));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use parlor_base::id::InstanceId;

    use super::*;
    use crate::event::{Event, Payload};
    use crate::router::MailReceiver;

    fn mailbox() -> (Arc<Mailbox>, MailReceiver) {
        Mailbox::new(InstanceId::next(), 8, Arc::default())
    }

    fn route(router: &Router, name: &str) {
        let event = Event { name: name.into(), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        router.route(event, router.live(), &|_| false);
    }

    fn own() -> Filter {
        Filter { own: true, ..Filter::default() }
    }

    #[test]
    fn a_plugin_that_wakes_gets_its_subscriptions_back_and_loses_those_that_it_does_not_make_again() {
        let (router, (mailbox, mut receiver)) = (Router::default(), mailbox());
        let subscribe = |name: &str, filter, once| router.subscribe(&mailbox, name, filter, once);
        let [tick, other, kept] = [("tick", Filter::default()), ("tick", own()), ("tock", Filter::default())]
            .map(|(n, f)| subscribe(n, f, false));
        let dropped = subscribe("tick", Filter::default(), false);
        let claim = |name: &str, filter: Filter, once| router.claim(&mailbox, name, &filter, once);
        assert_eq!(claim("tick", Filter::default(), false), None, "it runs");
        router.park(&mailbox);
        router.wake(&mailbox);
        assert_eq!(router.unclaimed(&mailbox), 4);
        assert_eq!(claim("tick", own(), false), Some(other));
        assert_eq!(claim("tick", own(), false), None, "each is given back once");
        assert_eq!(claim("tick", Filter::default(), true), None, "it was not for one event alone");
        assert_eq!(claim("tick", Filter::default(), false), Some(tick));
        assert_eq!(claim("tock", Filter::default(), false), Some(kept));
        route(&router, "tick");
        assert_eq!(receiver.try_recv().unwrap().subscriptions, [tick, other, dropped]);
        router.end_unclaimed(&mailbox);
        assert_eq!((router.count(mailbox.instance()), router.unclaimed(&mailbox)), (3, 0));
        route(&router, "tick");
        assert_eq!(receiver.try_recv().unwrap().subscriptions, [tick, other]);
    }

    /// Otherwise the event would come under an id that the woken guest does not know.
    #[test]
    fn a_subscription_that_ended_with_an_event_which_still_waits_is_given_back_for_it() {
        let (router, (mailbox, mut receiver)) = (Router::default(), mailbox());
        let once = router.subscribe(&mailbox, "tick", Filter::default(), true);
        router.park(&mailbox);
        route(&router, "tick");
        router.wake(&mailbox);
        assert_eq!(router.claim(&mailbox, "tick", &Filter::default(), true), Some(once));
        assert_eq!(router.claim(&mailbox, "tick", &Filter::default(), true), None);
        router.end_unclaimed(&mailbox);
        route(&router, "tick");
        assert_eq!(receiver.try_recv().unwrap().subscriptions, [once]);
        assert!(receiver.try_recv().is_err(), "it was for one event");
    }

    /// A subscription that fired while the plugin ran was handled.
    #[test]
    fn a_subscription_that_ended_before_the_plugin_was_parked_is_gone() {
        let (router, (mailbox, _receiver)) = (Router::default(), mailbox());
        router.subscribe(&mailbox, "tick", Filter::default(), true);
        route(&router, "tick");
        router.park(&mailbox);
        router.wake(&mailbox);
        assert_eq!(router.claim(&mailbox, "tick", &Filter::default(), true), None);
    }
}
