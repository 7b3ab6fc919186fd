//! The router: passes each event to the mailboxes of the subscriptions that match it and may see it. It uses an index,
//! not a scan.
//!
//! The account's task reads the index without a lock. Plugins change it by replacing it with a new one.

mod claims;
mod delivery;
mod filter;
mod mailbox;
mod names;
mod own_contacts;
mod parking;
mod queue;
mod screen;
mod withheld;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use arc_swap::ArcSwap;
use delivery::Verdict;
use filter::Heard;
use jid::BareJid;
use parlor_base::id::InstanceId;
use screen::{Screen, Seen};

use crate::event::{Event, EventName};
use crate::permissions::Grants;

pub use delivery::{ArchivePlace, CaughtUpRooms, Delivery};
pub use filter::Filter;
pub use filter::{Whom, listening};
pub use mailbox::{Mail, Mailbox, Shadow};
pub use names::Names;
pub use own_contacts::OwnContacts;
pub use queue::{Empty, MailReceiver};
pub use withheld::Withheld;

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

#[derive(Debug)]
struct Subscription {
    id: SubscriptionId,
    filter: Filter,
    /// For a subscription that ends with its first event: whether that event has come.
    once: Option<AtomicBool>,
}

/// One instance's subscriptions to one event.
#[derive(Debug, Clone)]
struct Listener {
    /// The screen before it; `None` if each event has to be compared with its grants and filters.
    screen: Option<Screen>,
    mailbox: Arc<Mailbox>,
    subscriptions: Arc<[Arc<Subscription>]>,
}

impl Listener {
    fn new(name: &str, mailbox: Arc<Mailbox>, subscriptions: Arc<[Arc<Subscription>]>) -> Self {
        let screen = Screen::of(name, &mailbox, subscriptions.iter().map(|one| &**one));
        Self { screen, mailbox, subscriptions }
    }

    fn is_of(&self, instance: InstanceId) -> bool {
        self.mailbox.instance() == instance
    }

    /// Returns whether its screen excludes an event, which then counts as withheld if one of its filters wants it.
    fn screens(&self, seen: &Seen<'_>, heard: &Heard<'_>) -> bool {
        let Some(screen) = self.screen.as_ref().filter(|screen| screen.excludes(seen)) else { return false };
        let matches = || self.subscriptions.iter().any(|one| one.filter.matches(heard));
        if let Some(permission) = screen.withheld_by(seen, matches) {
            self.mailbox.withheld.count(permission);
        }
        true
    }

    /// Returns its subscriptions that match an event and may see it, and whether one of them asks for the XML. Those that
    /// end with the event are added to `over`.
    fn matching<'l>(
        &'l self,
        heard: &Heard<'_>,
        is_contact: &dyn Fn(&BareJid) -> bool,
        over: &mut Vec<&'l Arc<Subscription>>,
    ) -> (Vec<SubscriptionId>, bool) {
        let (mut subscriptions, mut xml) = (Vec::new(), false);
        for subscription in &*self.subscriptions {
            if !subscription.filter.matches(heard) {
                continue;
            }
            // All subscriptions share the instance's grants, so they are checked once, for the first one that matches.
            if subscriptions.is_empty() && !self.mailbox.shows(heard.event, is_contact) {
                break;
            }
            if let Some(done) = &subscription.once {
                if done.swap(true, Relaxed) {
                    continue;
                }
                over.push(subscription);
            }
            xml |= subscription.filter.xml;
            subscriptions.push(subscription.id);
        }
        (subscriptions, xml)
    }
}

/// The listeners to one event, in the order of their first subscriptions. A copy shares what does not change.
type Listeners = imbl::Vector<Listener>;

type Index = imbl::HashMap<EventName, Listeners>;

/// The subscriptions of all plugins on one account.
#[derive(Debug, Default)]
pub struct Router {
    index: ArcSwap<Index>,
    /// The stream over which events come now.
    stream: AtomicU64,
}

impl Router {
    /// Adds a subscription of the mailbox's instance.
    pub fn subscribe(&self, mailbox: &Arc<Mailbox>, name: &str, filter: Filter, once: bool) -> SubscriptionId {
        let id = SubscriptionId::next();
        let subscription = Arc::new(Subscription { id, filter, once: once.then(AtomicBool::default) });
        self.index.rcu(|index| {
            let mut listeners = index.get(name).cloned().unwrap_or_default();
            let own = listeners.iter().position(|listener| listener.is_of(mailbox.instance()));
            let before = own.map(|at| Arc::clone(&listeners[at].subscriptions));
            let subscriptions =
                before.iter().flat_map(|before| before.iter()).chain([&subscription]).cloned().collect();
            let listener = Listener::new(name, Arc::clone(mailbox), subscriptions);
            match own {
                Some(at) => drop(listeners.set(at, listener)),
                None => listeners.push_back(listener),
            }
            index.update(EventName::from(name), listeners)
        });
        id
    }

    /// Ends one subscription of an instance. Returns `false` if the instance has no such subscription.
    pub fn unsubscribe(&self, instance: InstanceId, id: SubscriptionId) -> bool {
        let is_meant =
            |listener: &Listener| listener.is_of(instance) && listener.subscriptions.iter().any(|one| one.id == id);
        let index = self.index.load();
        let Some(name) = index.iter().find(|(_, listeners)| listeners.iter().any(is_meant)).map(|(name, _)| name)
        else {
            return false;
        };
        let mut found = false;
        self.index.rcu(|index| {
            found = false;
            let mut new = Index::clone(index);
            retain(&mut new, name, |of, subscription| {
                let ends = of == instance && subscription.id == id;
                found |= ends;
                !ends
            });
            new
        });
        found
    }

    /// Ends all subscriptions of an instance that is gone.
    pub fn forget(&self, instance: InstanceId) {
        let is_its = |listener: &Listener| listener.is_of(instance);
        self.index.rcu(|index| {
            let mut new = Index::clone(index);
            for (name, _) in index.iter().filter(|(_, listeners)| listeners.iter().any(is_its)) {
                retain(&mut new, name, |of, _| of != instance);
            }
            new
        });
    }

    /// Returns how many subscriptions an instance has.
    pub fn count(&self, instance: InstanceId) -> usize {
        let index = self.index.load();
        index
            .values()
            .flat_map(|listeners| listeners.iter())
            .filter(|listener| listener.is_of(instance))
            .map(|listener| listener.subscriptions.len())
            .sum()
    }

    /// Returns whether an instance listens to this event.
    pub fn listens(&self, instance: InstanceId, name: &str) -> bool {
        let index = self.index.load();
        index.get(name).is_some_and(|listeners| listeners.iter().any(|one| one.is_of(instance)))
    }

    /// Returns the filters with which an instance listens to this event, and whether each ends with its first event.
    pub fn filters(&self, instance: InstanceId, name: &str) -> Vec<(Filter, bool)> {
        let index = self.index.load();
        let own = index.get(name).and_then(|all| all.iter().find(|one| one.is_of(instance)));
        own.iter().flat_map(|one| &*one.subscriptions).map(|one| (one.filter.clone(), one.once.is_some())).collect()
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

    /// Computes the screens of an instance anew.
    fn screen_again(&self, mailbox: &Arc<Mailbox>) {
        self.index.rcu(|index| {
            let mut new = Index::clone(index);
            for (name, listeners) in index.iter() {
                let Some(at) = listeners.iter().position(|listener| listener.is_of(mailbox.instance())) else {
                    continue;
                };
                let subscriptions = Arc::clone(&listeners[at].subscriptions);
                let listener = Listener::new(name, Arc::clone(mailbox), subscriptions);
                new.insert(name.clone(), listeners.update(at, listener));
            }
            new
        });
    }

    /// Delivers an event to all plugins that listen and may see it.
    pub fn route(&self, event: Event, delivery: Delivery, is_contact: &dyn Fn(&BareJid) -> bool) {
        self.give(&Arc::new(event), None, delivery, is_contact, Mailbox::deliver);
    }

    /// Delivers an event to one instance, if it listens and may see it.
    pub fn route_to(&self, instance: InstanceId, event: Event, is_contact: &dyn Fn(&BareJid) -> bool) {
        self.give(&Arc::new(event), Some(instance), self.live(), is_contact, Mailbox::deliver);
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
        let mut found = None;
        self.give(&Arc::new(event), Some(instance), self.live(), &|_| false, |_, mail| {
            found = Some(mail);
            true
        });
        found
    }

    /// Returns the mail of another instance, as it is for the instance that replaces it.
    pub fn mail_again(
        &self,
        instance: InstanceId,
        mail: Box<Mail>,
        is_contact: &dyn Fn(&BareJid) -> bool,
    ) -> Option<Box<Mail>> {
        let delivery = match &mail.place {
            // It is the same for every recipient.
            Some(ArchivePlace::CaughtUp(..)) => return Some(mail),
            Some(ArchivePlace::Message { delivery, .. }) => *delivery,
            None => self.live(),
        };
        let mut found = None;
        self.give(&mail.event, Some(instance), delivery, is_contact, |_, mail| {
            found = Some(Box::new(mail));
            true
        });
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
        let is_meant = |one: &Listener| match only {
            None => !one.mailbox.is_shadowed(),
            Some(only) => one.is_of(only),
        };
        let screened = only.is_none() && listeners.iter().any(|one| one.screen.is_some());
        let seen = if screened { Seen::of(event, is_contact) } else { None };
        for listener in listeners {
            if seen.as_ref().is_some_and(|seen| listener.screens(seen, &heard)) || !is_meant(listener) {
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
                over.iter().skip(before).for_each(|one| listener.mailbox.claims.has_fired(&event.name, one));
            } else {
                // The event was not delivered, so subscriptions to the first event still wait for it.
                for subscription in over.drain(before..) {
                    if let Some(done) = &subscription.once {
                        done.store(false, Relaxed);
                    }
                }
            }
        }
        if !over.is_empty() {
            let ended: HashSet<_> = over.into_iter().map(|subscription| subscription.id).collect();
            self.index.rcu(|index| {
                let mut new = Index::clone(index);
                retain(&mut new, &event.name, |_, subscription| !ended.contains(&subscription.id));
                new
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

/// Ends subscriptions to the event of this name. Those to other events are not touched, so they cost nothing.
fn retain(index: &mut Index, name: &str, mut keep: impl FnMut(InstanceId, &Subscription) -> bool) {
    let Some(listeners) = index.get(name) else { return };
    let mut kept = Listeners::new();
    for listener in listeners {
        let instance = listener.mailbox.instance();
        let subscriptions: Vec<_> = listener.subscriptions.iter().filter(|one| keep(instance, one)).cloned().collect();
        if subscriptions.len() == listener.subscriptions.len() {
            kept.push_back(listener.clone());
        } else if !subscriptions.is_empty() {
            kept.push_back(Listener::new(name, Arc::clone(&listener.mailbox), subscriptions.into()));
        }
    }
    if kept.is_empty() {
        index.remove(name);
    } else {
        index.insert(EventName::from(name), kept);
    }
}

#[cfg(test)]
mod tests;
