//! The router: passes each event to the mailboxes of the subscriptions that match it and may see it. It uses an index,
//! not a scan.
//!
//! The account's task reads the index without a lock. Plugins change it by replacing it with a new one.

mod claims;
mod conversations;
mod delivery;
mod filter;
mod known_rooms;
mod listeners;
mod mailbox;
mod names;
mod own_contacts;
mod parking;
mod queue;
mod screen;
mod subscription;
mod withheld;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use delivery::Verdict;
use filter::Heard;
use jid::BareJid;
use listeners::{Concerned, Listener, Listeners};
use parlor_base::id::InstanceId;
use screen::Seen;
use subscription::Subscription;
use tokio::sync::oneshot;

use crate::event::{Event, EventName};
use crate::permissions::Grants;

pub use delivery::{ArchivePlace, CaughtUpRooms, Delivery};
pub use filter::Filter;
pub use filter::{Whom, listening};
pub use known_rooms::KnowsRooms;
pub use mailbox::{Handled, Mail, Mailbox, Setup, Shadow};
pub use names::Names;
pub use own_contacts::{OwnContacts, OwnersPart, PluginContacts, Revised};
pub use queue::{Empty, MailReceiver};
pub use withheld::{Withheld, Withholder};

/// The id of a subscription or timer. Never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u64);

impl SubscriptionId {
    /// Returns a new id.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}

/// The listeners are behind pointers: the map copies parts of itself, by way of the stack.
type Index = imbl::HashMap<EventName, Arc<Listeners>>;

/// The subscriptions of all plugins on one account.
#[derive(Debug, Default)]
pub struct Router {
    index: ArcSwap<Index>,
    /// Held while the index is replaced by a new one, which calls no plugin and waits for nothing.
    changing: Mutex<()>,
    /// The stream over which events come now.
    stream: AtomicU64,
}

impl Router {
    /// Adds a subscription of the mailbox's instance.
    pub fn subscribe(&self, mailbox: &Arc<Mailbox>, name: &str, filter: Filter, once: bool) -> SubscriptionId {
        let id = SubscriptionId::next();
        self.change(|index| {
            let listeners = Arc::make_mut(index.entry(EventName::from(name)).or_default());
            let filter = listeners.shared(filter);
            let subscription = Subscription { id, filter, once: once.then(Arc::default) };
            let before = listeners.get(mailbox.instance()).cloned();
            let before = before.iter().flat_map(|before| before.subscriptions.iter());
            let subscriptions = before.chain([&subscription]).cloned().collect();
            listeners.put(name, mailbox, subscriptions);
        });
        id
    }

    /// Ends one subscription of an instance. Returns `false` if the instance has no such subscription.
    pub fn unsubscribe(&self, instance: InstanceId, id: SubscriptionId) -> bool {
        self.change(|index| {
            let has_it = |listener: &Arc<Listener>| listener.subscriptions.iter().any(|one| one.id == id);
            let found = index.iter().find(|(_, listeners)| listeners.get(instance).is_some_and(has_it));
            let Some(name) = found.map(|(name, _)| name.clone()) else { return false };
            retain(index, &name, instance, |subscription| subscription.id != id);
            true
        })
    }

    /// Ends all subscriptions of an instance that is gone.
    pub fn forget(&self, instance: InstanceId) {
        self.change(|index| {
            for name in heard_by(index, instance) {
                retain(index, &name, instance, |_| false);
            }
        });
    }

    /// Replaces the index by a changed one, which later events are routed by.
    fn change<R>(&self, edit: impl FnOnce(&mut Index) -> R) -> R {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut index = Index::clone(&self.index.load());
        let result = edit(&mut index);
        self.index.store(Arc::new(index));
        result
    }

    /// Returns how many subscriptions an instance has.
    pub fn count(&self, instance: InstanceId) -> usize {
        let index = self.index.load();
        let own = index.values().filter_map(|listeners| listeners.get(instance));
        own.map(|listener| listener.subscriptions.len()).sum()
    }

    /// Returns whether an instance listens to this event.
    pub fn listens(&self, instance: InstanceId, name: &str) -> bool {
        self.index.load().get(name).is_some_and(|listeners| listeners.get(instance).is_some())
    }

    /// Returns the filters with which an instance listens to this event, and whether each ends with its first event.
    pub fn filters(&self, instance: InstanceId, name: &str) -> Vec<(Filter, bool)> {
        let index = self.index.load();
        let own = index.get(name).and_then(|listeners| listeners.get(instance));
        own.iter()
            .flat_map(|one| one.subscriptions.iter())
            .map(|one| (Filter::clone(&one.filter), one.once.is_some()))
            .collect()
    }

    /// Replaces the grants of an instance, from its next event and call on. They also apply to mail that already waits.
    pub fn grant(&self, mailbox: &Arc<Mailbox>, grants: Arc<Grants>) {
        mailbox.grant(grants);
        self.screen_again(mailbox);
    }

    /// Sets whether events are routed to an instance. Only the account's task changes this while events are routed. So when
    /// one instance replaces another, exactly one of them gets each event.
    pub fn shadow(&self, mailbox: &Arc<Mailbox>, shadow: Shadow) {
        mailbox.shadow(shadow);
        self.screen_again(mailbox);
    }

    /// Recomputes the screens of an instance.
    fn screen_again(&self, mailbox: &Arc<Mailbox>) {
        self.change(|index| {
            for name in heard_by(index, mailbox.instance()) {
                retain(index, &name, mailbox.instance(), |_| true);
            }
        });
    }

    /// Delivers an event to all plugins that listen and may see it.
    pub fn route(&self, event: Event, delivery: Delivery, is_contact: &dyn Fn(&BareJid) -> bool) {
        self.give(&Arc::new(event), None, delivery, is_contact, Mailbox::deliver);
    }

    /// Delivers an event to these instances alone, as far as they listen and may see it. Returns whether any has got it.
    pub fn route_among(
        &self,
        instances: &[InstanceId],
        event: Event,
        delivery: Delivery,
        is_contact: &dyn Fn(&BareJid) -> bool,
    ) -> bool {
        let (event, mut told) = (Arc::new(event), false);
        for instance in instances {
            self.give(&event, Some(*instance), delivery, is_contact, |mailbox, mail| {
                let tells = !mail.subscriptions.is_empty();
                let is_in = mailbox.deliver(mail);
                told |= tells && is_in;
                is_in
            });
        }
        told
    }

    /// Delivers an event to all plugins that listen and may see it, but not to this instance.
    pub fn route_except(
        &self,
        except: InstanceId,
        event: Event,
        delivery: Delivery,
        is_contact: &dyn Fn(&BareJid) -> bool,
    ) {
        self.give(&Arc::new(event), None, delivery, is_contact, |mailbox, mut mail| {
            if mailbox.instance() != except {
                return mailbox.deliver(mail);
            }
            // A plugin that catches up does not get it later, either. Subscriptions to one event wait for the next.
            if let Some(place) = mail.place.take() {
                mailbox.deliver(Mail::passes(place));
            }
            false
        });
    }

    /// Delivers an event to one instance, if it listens and may see it.
    pub fn route_to(&self, instance: InstanceId, event: Event, is_contact: &dyn Fn(&BareJid) -> bool) {
        self.give(&Arc::new(event), Some(instance), self.live(), is_contact, Mailbox::deliver);
    }

    /// Does the same, and returns how its handler ends. None: it does not listen, may not see it, or has no room for it.
    pub fn route_with_receipt(
        &self,
        instance: InstanceId,
        event: Event,
        is_contact: &dyn Fn(&BareJid) -> bool,
    ) -> Option<oneshot::Receiver<Handled>> {
        let mut receipt = None;
        self.give(&Arc::new(event), Some(instance), self.live(), is_contact, |mailbox, mail| {
            if mail.subscriptions.is_empty() {
                return mailbox.deliver(mail);
            }
            let (mail, handled) = mail.with_receipt();
            let is_in = mailbox.deliver(mail);
            receipt = is_in.then_some(handled);
            is_in
        });
        receipt
    }

    /// Delivers a missed event to an instance, if it listens, may see it, and has not had it. Returns whether it was
    /// delivered.
    pub fn route_missed(&self, instance: InstanceId, event: Event, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        let mut told = false;
        self.give(&Arc::new(event), Some(instance), Delivery::Missed, is_contact, |mailbox, mail| {
            let tells = !mail.subscriptions.is_empty();
            let is_in = mailbox.deliver(mail);
            told |= tells && is_in;
            is_in
        });
        told
    }

    /// Notes that later events come over this stream.
    pub fn stream_begins(&self, stream: u64) {
        self.stream.store(stream, Relaxed);
    }

    /// Returns how an event outside of rooms that happens now is delivered.
    pub fn live(&self) -> Delivery {
        Delivery::Live(self.stream.load(Relaxed))
    }

    /// Returns whether any plugin listens to this event.
    pub fn hears(&self, name: &str) -> bool {
        self.index.load().contains_key(name)
    }

    /// Returns the mail of an event for one instance, if it listens. The mail is returned rather than put into the
    /// mailbox, which may have no room for it.
    pub fn mail_for(&self, instance: InstanceId, event: Event) -> Option<Mail> {
        self.mail_about(instance, event, &|_| false)
    }

    /// Does the same with an event about somebody who may be a contact.
    pub fn mail_about(
        &self,
        instance: InstanceId,
        event: Event,
        is_contact: &dyn Fn(&BareJid) -> bool,
    ) -> Option<Mail> {
        let mut found = None;
        self.give(&Arc::new(event), Some(instance), self.live(), is_contact, |_, mail| {
            found = Some(mail);
            true
        });
        found
    }

    /// Returns the mail of another instance, as it is for the instance that replaces it.
    pub fn mail_again(
        &self,
        instance: InstanceId,
        mut mail: Box<Mail>,
        is_contact: &dyn Fn(&BareJid) -> bool,
    ) -> Option<Box<Mail>> {
        let delivery = match &mail.place {
            // It is the same for every recipient.
            Some(ArchivePlace::CaughtUp(..)) => return Some(mail),
            Some(ArchivePlace::Message { delivery, .. }) => *delivery,
            None => self.live(),
        };
        let mut found: Option<Box<Mail>> = None;
        self.give(&mail.event, Some(instance), delivery, is_contact, |_, mail| {
            found = Some(Box::new(mail));
            true
        });
        if let Some(found) = &mut found {
            found.receipt = mail.receipt.take();
        }
        // Mail that is not for this instance still passes its place.
        found.or_else(|| mail.place.map(|place| Box::new(Mail::passes(place))))
    }

    fn give(
        &self,
        event: &Arc<Event>,
        only: Option<InstanceId>,
        delivery: Delivery,
        is_contact: &dyn Fn(&BareJid) -> bool,
        mut deliver: impl FnMut(&Mailbox, Mail) -> bool,
    ) {
        let index = self.index.load();
        let Some(listeners) = index.get(&*event.name) else { return };
        let heard = Heard::new(event);
        let mut over = Vec::new();
        let is_screened = only.is_none() && !listeners.asks_all();
        let seen = if is_screened { Seen::of(event, is_contact) } else { None };
        let concerned = match only {
            Some(only) => Concerned::one(listeners.get(only)),
            None => listeners.concerned(seen.as_ref()),
        };
        for listener in concerned {
            if seen.as_ref().is_some_and(|seen| listener.screens(seen, &heard))
                || (only.is_none() && listener.mailbox.is_shadowed())
            {
                continue;
            }
            let place = match listener.mailbox.judge(event, delivery) {
                Verdict::Tell(place) => place,
                Verdict::Pass(place) => {
                    deliver(&listener.mailbox, Mail::passes(place));
                    continue;
                }
                Verdict::Again => continue,
            };
            let before = over.len();
            let decided = Some(listener.mailbox.version());
            let (subscriptions, xml) = listener.matching(&heard, is_contact, &mut over);
            if subscriptions.is_empty() {
                if let Some(place) = place {
                    deliver(&listener.mailbox, Mail::passes(place));
                }
                continue;
            }
            let mut mail = Mail::new(Arc::clone(event), subscriptions, xml);
            mail.place = place;
            mail.decided = decided;
            if deliver(&listener.mailbox, mail) {
                over.iter().skip(before).for_each(|(of, one)| of.mailbox.claims.has_fired(&event.name, one));
            } else {
                // The event was not delivered, so subscriptions to the first event still wait for it.
                for (_, subscription) in over.drain(before..) {
                    if let Some(done) = &subscription.once {
                        done.store(false, Relaxed);
                    }
                }
            }
        }
        if !over.is_empty() {
            let ended: HashSet<_> = over.iter().map(|(_, subscription)| subscription.id).collect();
            self.change(|index| {
                for (listener, _) in over {
                    retain(index, &event.name, listener.mailbox.instance(), |one| !ended.contains(&one.id));
                }
            });
        }
    }

    /// Returns the names of events that plugins listen to, with the number of subscriptions for each.
    pub fn names(&self) -> HashMap<EventName, usize> {
        let index = self.index.load();
        index
            .iter()
            .map(|(name, listeners)| (name.clone(), listeners.iter().map(|one| one.subscriptions.len()).sum()))
            .collect()
    }
}

/// Returns the names of the events that an instance listens to.
fn heard_by(index: &Index, instance: InstanceId) -> Vec<EventName> {
    let heard = index.iter().filter(|(_, listeners)| listeners.get(instance).is_some());
    heard.map(|(name, _)| name.clone()).collect()
}

/// Keeps only some of an instance's subscriptions to the event of this name, and recomputes its screen.
fn retain(index: &mut Index, name: &EventName, instance: InstanceId, keep: impl Fn(&Subscription) -> bool) {
    let Some(listeners) = index.get_mut(name).map(Arc::make_mut) else { return };
    let Some(before) = listeners.get(instance).cloned() else { return };
    let kept = before.subscriptions.iter().filter(|one| keep(one)).cloned().collect();
    listeners.put(name, &before.mailbox, kept);
    if listeners.is_empty() {
        index.remove(name);
    }
}

#[cfg(test)]
mod tests;
