//! The router: passes each event to the mailboxes of the subscriptions that match it and may see it. It uses an index,
//! not a scan.
//!
//! The account's task reads the index without a lock. Plugins change it by replacing it with a new one.

mod delivery;
mod filter;
mod names;
mod own_contacts;
mod withheld;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::{ArcSwap, Guard};
use delivery::{DeliveryLog, Verdict};
use filter::Heard;
use jid::BareJid;
use jiff::Timestamp;
use parlor_base::id::InstanceId;
use parlor_base::permission::Permission;
use tokio::sync::mpsc;

use crate::event::{Event, EventName, Payload};
use crate::permissions::question::Use;
use crate::permissions::{About, CallName, Decision, Granted, Grants, Target, granted};

pub use delivery::{ArchivePlace, CaughtUpRooms, Delivery};
pub use filter::Filter;
pub use filter::{Whom, listening};
pub use names::Names;
pub use own_contacts::OwnContacts;
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

/// Maximum weight of the mail in one mailbox, in bytes of memory. A message of many empty elements takes fifty times
/// its size on the wire, so a limit on the number of events alone bounds nothing.
const MAX_WAITING: usize = 32 << 20;
/// Number of waiting events below which mail is not weighed, so that plugins that keep up cost no more than necessary.
const UNWEIGHED: usize = 4;

/// An event that is queued for a plugin.
#[derive(Debug)]
pub struct Mail {
    /// The event, shared by all its recipients.
    pub event: Arc<Event>,
    /// The plugin's subscriptions that matched.
    pub subscriptions: Vec<SubscriptionId>,
    /// Whether one of them asked for the XML.
    pub xml: bool,
    /// The event's place in the archive, for a plugin that catches up.
    pub place: Option<ArchivePlace>,
    /// The weight of the mail in the mailbox where it waits.
    weight: Option<Weight>,
    /// The version of the grants that allowed the event. None: the grants were not asked.
    decided: Option<u64>,
}

impl Mail {
    /// Creates mail that is not in a mailbox yet.
    pub fn new(event: Arc<Event>, subscriptions: Vec<SubscriptionId>, xml: bool) -> Self {
        Self { event, subscriptions, xml, place: None, weight: None, decided: None }
    }

    /// Creates mail that only passes a place in the archive, without an event for the plugin.
    fn passes(place: ArchivePlace) -> Self {
        let nothing = Event { name: EventName::from(""), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        Self { place: Some(place), ..Self::new(Arc::new(nothing), Vec::new(), false) }
    }
}

/// The weight of one piece of mail, which is subtracted when the mail is dropped.
#[derive(Debug)]
struct Weight {
    of: Arc<AtomicUsize>,
    bytes: usize,
}

impl Weight {
    /// Adds the weight to the mailbox. None: the mailbox would become too heavy.
    fn put(of: &Arc<AtomicUsize>, bytes: usize) -> Option<Self> {
        let one = Self { of: Arc::clone(of), bytes };
        let before = of.fetch_add(bytes, Relaxed);
        (before.saturating_add(bytes) <= MAX_WAITING).then_some(one)
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.of.fetch_sub(self.bytes, Relaxed);
    }
}

/// The host's end of an instance's mailbox. It is bounded: events that do not fit are counted as lost, never waited
/// for.
#[derive(Debug)]
pub struct Mailbox {
    instance: InstanceId,
    // Boxed, since the channel allocates its slots in blocks of 32.
    sender: mpsc::Sender<Box<Mail>>,
    /// The total weight of the waiting mail.
    waiting: Arc<AtomicUsize>,
    /// The number of events that this mailbox lost in total.
    lost: AtomicU64,
    /// The number of lost events that were reported to the plugin.
    lost_told: AtomicU64,
    /// The events that its plugin listens to and may not see.
    pub withheld: Withheld,
    /// Contacts that its plugin added, which do not count as contacts for its grants. None: it added none.
    own_contacts: OnceLock<Arc<OwnContacts>>,
    grants: ArcSwap<Grants>,
    /// The version of the grants, increased with each change.
    decided: AtomicU64,
    /// Whether the instance is to replace another one and has not done so yet. Until then it gets no events.
    shadowed: AtomicBool,
    /// The messages that were delivered, for a plugin that catches up.
    deliveries: Option<Mutex<DeliveryLog>>,
}

impl Mailbox {
    /// Creates a mailbox for `capacity` events, and the end that the instance reads.
    pub fn new(instance: InstanceId, capacity: usize, grants: Arc<Grants>) -> (Arc<Self>, mpsc::Receiver<Box<Mail>>) {
        let (mailbox, receiver) = Self::build(instance, capacity, grants);
        (Arc::new(mailbox), receiver)
    }

    /// Creates a mailbox for a plugin that catches up, in these rooms as well. Each message in it has its place in an
    /// archive, and is delivered once.
    pub fn catching_up(
        instance: InstanceId,
        capacity: usize,
        grants: Arc<Grants>,
        rooms: CaughtUpRooms,
    ) -> (Arc<Self>, mpsc::Receiver<Box<Mail>>) {
        let (mailbox, receiver) = Self::build(instance, capacity, grants);
        (Arc::new(Self { deliveries: Some(Mutex::new(DeliveryLog::new(capacity, rooms))), ..mailbox }), receiver)
    }

    fn build(instance: InstanceId, capacity: usize, grants: Arc<Grants>) -> (Self, mpsc::Receiver<Box<Mail>>) {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        let mailbox = Self {
            instance,
            sender,
            waiting: Arc::default(),
            lost: AtomicU64::new(0),
            lost_told: AtomicU64::new(0),
            withheld: Withheld::default(),
            own_contacts: OnceLock::new(),
            grants: ArcSwap::new(grants),
            decided: AtomicU64::new(0),
            shadowed: AtomicBool::new(false),
            deliveries: None,
        };
        (mailbox, receiver)
    }

    /// Returns what the plugin may see and do.
    pub fn grants(&self) -> Guard<Arc<Grants>> {
        self.grants.load()
    }

    /// Replaces the grants, from the next event and call on. They also apply to mail that already waits.
    pub fn grant(&self, grants: Arc<Grants>) {
        self.grants.store(grants);
        // After the grants: an event that is routed in between is checked again.
        self.decided.fetch_add(1, Release);
    }

    /// Decides about one use of the plugin's grants, for calls, events and explanations. None: it depends on the
    /// contact list, which is not known.
    pub fn decide(&self, one: Use<'_>, is_contact: Option<&dyn Fn(&BareJid) -> bool>) -> Option<Decision> {
        let grants = self.grants.load();
        let Some(is_contact) = is_contact else { return grants.decide_use(one, None) };
        grants.decide_use(one, Some(&|jid| is_contact(jid) && !self.added(jid)))
    }

    /// Returns the proof that its plugin may make this call for this target. The error is the permission that it lacks.
    pub fn granted(
        &self,
        call: CallName,
        target: Target<'_>,
        is_contact: &dyn Fn(&BareJid) -> bool,
    ) -> Result<Granted, Permission> {
        granted(call, |permission| self.decide(Use::Call(permission, target), Some(is_contact)))
    }

    /// Returns whether its plugin added this contact itself. Such a contact does not count for its grants.
    pub fn added(&self, jid: &BareJid) -> bool {
        self.own_contacts.get().is_some_and(|own| own.has(jid))
    }

    /// Sets the contacts that do not count for its grants. Only the first call has an effect.
    pub fn disregard(&self, own: Arc<OwnContacts>) {
        let _ = self.own_contacts.set(own);
    }

    /// Returns whether the plugin may see this event. An event that it may not see is counted as withheld.
    fn shows(&self, event: &Event, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        let decision = self.decide(Use::Event(&event.name, About::of(&event.payload)), Some(is_contact));
        if let Some(permission) = decision.and_then(Decision::lacks) {
            self.withheld.count(permission);
        }
        decision.is_some_and(Decision::allows)
    }

    /// Returns whether a change of the grants since this was put in keeps the plugin from seeing it.
    pub fn withholds(&self, mail: &Mail, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        mail.decided.is_some_and(|decided| decided != self.decided.load(Acquire))
            && !self.shows(&mail.event, is_contact)
    }

    /// Returns the instance that reads the mailbox.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Sets whether events are routed to this mailbox. Only the account's task changes this while events are routed. So
    /// when one instance replaces another, exactly one of them gets each event.
    pub fn shadow(&self, shadowed: Shadow) {
        self.shadowed.store(shadowed == Shadow::On, Relaxed);
    }

    /// Puts mail in, or counts it as lost. Returns whether it was put in.
    pub fn deliver(&self, mut mail: Mail) -> bool {
        // Mail that only passes a place is not counted: later mail conveys the same.
        let tells = !mail.subscriptions.is_empty();
        let is_in = self.weigh(&mut mail) && self.sender.try_send(Box::new(mail)).is_ok();
        if !is_in && tells {
            self.lost.fetch_add(1, Relaxed);
        }
        is_in
    }

    /// Weighs the mail. Returns `false` if the mailbox would become too heavy.
    fn weigh(&self, mail: &mut Mail) -> bool {
        if self.waiting() < UNWEIGHED {
            return true;
        }
        // Events without a payload, such as a timer's, are never too heavy.
        let bytes = mail.event.payload.weight();
        mail.weight = if bytes == 0 { None } else { Weight::put(&self.waiting, bytes) };
        bytes == 0 || mail.weight.is_some()
    }

    /// Puts in mail that passes a place in the archive, if there is room. Returns whether it was put in.
    pub fn pass(&self, place: ArchivePlace) -> bool {
        self.sender.try_send(Box::new(Mail::passes(place))).is_ok()
    }

    /// Returns whether there is room for mail that can wait. Half of the mailbox, in number and weight, is kept for
    /// mail that cannot.
    pub fn has_room_for_the_past(&self) -> bool {
        let is_light = self.waiting() < UNWEIGHED || self.waiting.load(Relaxed) <= MAX_WAITING / 2;
        is_light && self.sender.capacity() > self.sender.max_capacity() / 2
    }

    fn judge(&self, event: &Event, delivery: Delivery) -> Verdict {
        match &self.deliveries {
            None => Verdict::Tell(None),
            Some(log) => log.lock().unwrap_or_else(PoisonError::into_inner).judge(event, delivery),
        }
    }

    /// Returns how many events wait.
    pub fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// Returns whether there is room for one more event.
    pub fn has_room(&self) -> bool {
        self.sender.capacity() > 0
    }

    /// Returns how many events were lost, reported or not.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// Returns how many events were lost since the last call.
    pub fn take_lost(&self) -> u64 {
        let lost = self.lost();
        // Read first: a write to a shared cache line for each event would cost more than the event.
        if lost == self.lost_told.load(Relaxed) {
            return 0;
        }
        lost.saturating_sub(self.lost_told.fetch_max(lost, Relaxed))
    }
}

/// Whether routing skips a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shadow {
    /// Nothing is routed to it.
    On,
    /// It gets the events that its instance listens to.
    Off,
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
    mailbox: Arc<Mailbox>,
    subscriptions: Vec<Arc<Subscription>>,
}

type Index = imbl::HashMap<EventName, Arc<Vec<Listener>>>;

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
            let mut listeners = index.get(name).map(|listeners| listeners.to_vec()).unwrap_or_default();
            let own = listeners.iter_mut().find(|listener| listener.mailbox.instance == mailbox.instance);
            if let Some(listener) = own {
                listener.subscriptions.push(Arc::clone(&subscription));
            } else {
                let subscriptions = vec![Arc::clone(&subscription)];
                listeners.push(Listener { mailbox: Arc::clone(mailbox), subscriptions });
            }
            index.update(EventName::from(name), Arc::new(listeners))
        });
        id
    }

    /// Ends one subscription of an instance. Returns `false` if the instance has no such subscription.
    pub fn unsubscribe(&self, instance: InstanceId, id: SubscriptionId) -> bool {
        let is_meant = |listener: &Listener| {
            listener.mailbox.instance == instance && listener.subscriptions.iter().any(|one| one.id == id)
        };
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
        let is_its = |listener: &Listener| listener.mailbox.instance == instance;
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
            .filter(|listener| listener.mailbox.instance == instance)
            .map(|listener| listener.subscriptions.len())
            .sum()
    }

    /// Returns whether an instance listens to this event.
    pub fn listens(&self, instance: InstanceId, name: &str) -> bool {
        let index = self.index.load();
        index.get(name).is_some_and(|listeners| listeners.iter().any(|one| one.mailbox.instance == instance))
    }

    /// Returns the filters with which an instance listens to this event, and whether each ends with its first event.
    pub fn filters(&self, instance: InstanceId, name: &str) -> Vec<(Filter, bool)> {
        let index = self.index.load();
        let own = index.get(name).and_then(|all| all.iter().find(|one| one.mailbox.instance == instance));
        own.iter().flat_map(|one| &one.subscriptions).map(|one| (one.filter.clone(), one.once.is_some())).collect()
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
        let is_meant = |one: &&Listener| match only {
            None => !one.mailbox.shadowed.load(Relaxed),
            Some(only) => one.mailbox.instance == only,
        };
        for listener in listeners.iter().filter(is_meant) {
            let place = match listener.mailbox.judge(event, delivery) {
                Verdict::Tell(place) => place,
                Verdict::Pass(place) => {
                    deliver(&listener.mailbox, Mail::passes(place));
                    continue;
                }
                Verdict::Again => continue,
            };
            let before = over.len();
            let decided = Some(listener.mailbox.decided.load(Acquire));
            let mut subscriptions = Vec::new();
            let mut xml = false;
            for subscription in &listener.subscriptions {
                if !subscription.filter.matches(&heard) {
                    continue;
                }
                // All subscriptions share the instance's grants, so they are checked once, for the first one that
                // matches.
                if subscriptions.is_empty() && !listener.mailbox.shows(event, is_contact) {
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
            if subscriptions.is_empty() {
                if let Some(place) = place {
                    deliver(&listener.mailbox, Mail::passes(place));
                }
                continue;
            }
            let mail = Mail { place, decided, ..Mail::new(Arc::clone(event), subscriptions, xml) };
            if !deliver(&listener.mailbox, mail) {
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
    let kept: Vec<Listener> = listeners
        .iter()
        .filter_map(|listener| {
            let instance = listener.mailbox.instance;
            let subscriptions: Vec<_> =
                listener.subscriptions.iter().filter(|one| keep(instance, one)).map(Arc::clone).collect();
            (!subscriptions.is_empty()).then(|| Listener { mailbox: Arc::clone(&listener.mailbox), subscriptions })
        })
        .collect();
    if kept.is_empty() {
        index.remove(name);
    } else {
        index.insert(EventName::from(name), Arc::new(kept));
    }
}

#[cfg(test)]
mod tests;
