//! From an event to the mailboxes of the subscriptions that match it and may see it. An index, not a scan.
//!
//! The account's task reads the index without a lock; plugins change it by putting a new one in its place.

mod filter;
mod names;
mod own_contacts;
mod told;
mod withheld;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arc_swap::{ArcSwap, Guard};
use jid::BareJid;
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::event::{Event, EventName, Payload};
use crate::permissions::question::Use;
use crate::permissions::{About, Decision, Grants};
use crate::plugins::InstanceId;

pub use filter::Filter;
pub(crate) use filter::{Whom, listening};
pub use names::Names;
pub use own_contacts::OwnContacts;
pub use told::{CaughtUpRooms, Course, Place};
pub use withheld::Withheld;

use filter::Heard;
use told::{Told, Verdict};

/// Names one subscription or timer. Never used twice in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u64);

impl SubscriptionId {
    /// A new one.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Relaxed))
    }
}

/// How much may wait in one mailbox, in bytes of memory: a message of many empty elements takes fifty times what it was on
/// the wire, so that a number of events alone bounds nothing.
const MAX_WAITING: usize = 32 << 20;
/// So many that wait are not weighed: a plugin that keeps up costs no more than it has to.
const UNWEIGHED: usize = 4;

/// Something for a plugin to handle.
#[derive(Debug)]
pub struct Mail {
    /// What happened; shared by all who hear of it.
    pub event: Arc<Event>,
    /// Which subscriptions of the plugin matched.
    pub subscriptions: Vec<SubscriptionId>,
    /// One of them asked for the XML.
    pub xml: bool,
    /// Where it is in the archive, for a plugin that catches up.
    pub place: Option<Place>,
    /// What it takes in the mailbox that it waits in.
    weight: Option<Weight>,
    /// How often the grants had been changed when they were asked about it; none: they were not asked.
    decided: Option<u64>,
}

impl Mail {
    /// Something that waits nowhere yet.
    pub fn new(event: Arc<Event>, subscriptions: Vec<SubscriptionId>, xml: bool) -> Self {
        Self { event, subscriptions, xml, place: None, weight: None, decided: None }
    }

    /// Something that the plugin has nothing to do with, but for the place in the archive that is passed by it.
    fn passes(place: Place) -> Self {
        let nothing = Event { name: EventName::from(""), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        Self { place: Some(place), ..Self::new(Arc::new(nothing), Vec::new(), false) }
    }
}

/// What one piece of mail takes; given back when it is gone.
#[derive(Debug)]
struct Weight {
    of: Arc<AtomicUsize>,
    bytes: usize,
}

impl Weight {
    /// None: it is too much.
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

/// The host's end of one instance's mailbox. It is bounded: what does not fit is counted, never waited for.
#[derive(Debug)]
pub struct Mailbox {
    instance: InstanceId,
    // Boxed, since the channel allocates its slots in blocks of 32.
    sender: mpsc::Sender<Box<Mail>>,
    /// The weight of what waits.
    waiting: Arc<AtomicUsize>,
    /// How many were lost since there is this mailbox.
    lost: AtomicU64,
    /// Of how many of them was told.
    lost_told: AtomicU64,
    /// Events that its plugin listens to and may not see.
    pub withheld: Withheld,
    /// Contacts that its plugin added, and that are none for its grants; none: it added none.
    own_contacts: OnceLock<Arc<OwnContacts>>,
    grants: ArcSwap<Grants>,
    /// How often they were changed.
    decided: AtomicU64,
    /// Its instance is to take another one's place, and has not yet: it hears nothing that the other one hears.
    shadowed: AtomicBool,
    /// For a plugin that catches up.
    told: Option<Mutex<Told>>,
}

impl Mailbox {
    /// A mailbox for `capacity` events, and the end that the instance reads.
    pub fn new(instance: InstanceId, capacity: usize, grants: Arc<Grants>) -> (Arc<Self>, mpsc::Receiver<Box<Mail>>) {
        let (mailbox, receiver) = Self::build(instance, capacity, grants);
        (Arc::new(mailbox), receiver)
    }

    /// The same for a plugin that catches up, in these rooms, too: what goes into it has its place in an archive, and goes into it
    /// once.
    pub fn catching_up(
        instance: InstanceId,
        capacity: usize,
        grants: Arc<Grants>,
        rooms: CaughtUpRooms,
    ) -> (Arc<Self>, mpsc::Receiver<Box<Mail>>) {
        let (mailbox, receiver) = Self::build(instance, capacity, grants);
        (Arc::new(Self { told: Some(Mutex::new(Told::new(capacity, rooms))), ..mailbox }), receiver)
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
            told: None,
        };
        (mailbox, receiver)
    }

    /// What the plugin may see and do.
    pub fn grants(&self) -> Guard<Arc<Grants>> {
        self.grants.load()
    }

    /// Lets it see and do this from its next event and call on, also of what waits in it already.
    pub fn grant(&self, grants: Arc<Grants>) {
        self.grants.store(grants);
        // After them: what is routed in between is asked about once more.
        self.decided.fetch_add(1, Release);
    }

    /// The decision about one use of the plugin's grants, for calls, events and whoever explains them. None: it depends on the
    /// contact list, which is not known.
    pub fn decide(&self, one: Use<'_>, is_contact: Option<&dyn Fn(&BareJid) -> bool>) -> Option<Decision> {
        let grants = self.grants.load();
        let Some(is_contact) = is_contact else { return grants.decide_use(one, None) };
        grants.decide_use(one, Some(&|jid| is_contact(jid) && !self.added(jid)))
    }

    /// Whether its plugin added this contact itself, which then does not count for its grants.
    pub fn added(&self, jid: &BareJid) -> bool {
        self.own_contacts.get().is_some_and(|own| own.has(jid))
    }

    /// From now on these are no contacts for its grants. Only the first call counts.
    pub(crate) fn disregard(&self, own: Arc<OwnContacts>) {
        let _ = self.own_contacts.set(own);
    }

    /// Whether the plugin may see this event; one that it may not see is counted as withheld.
    fn shows(&self, event: &Event, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        let decision = self.decide(Use::Event(&event.name, About::of(&event.payload)), Some(is_contact));
        if let Some(permission) = decision.and_then(Decision::lacks) {
            self.withheld.count(permission);
        }
        decision.is_some_and(Decision::allows)
    }

    /// Whether what its owner decided since this was put in keeps the plugin from seeing it.
    pub fn withholds(&self, mail: &Mail, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        mail.decided.is_some_and(|decided| decided != self.decided.load(Acquire))
            && !self.shows(&mail.event, is_contact)
    }

    /// Whose it is.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// From now on nothing is routed to it, or again what its instance listens to. The account's task alone changes this while
    /// events are routed, so that of two instances that take turns just one hears each event.
    pub(crate) fn shadow(&self, shadowed: Shadow) {
        self.shadowed.store(shadowed == Shadow::On, Relaxed);
    }

    /// Puts it in, or counts it as lost. Whether it is in.
    pub fn deliver(&self, mut mail: Mail) -> bool {
        // Of what only passes a place, what comes later says the same.
        let tells = !mail.subscriptions.is_empty();
        let is_in = self.weigh(&mut mail) && self.sender.try_send(Box::new(mail)).is_ok();
        if !is_in && tells {
            self.lost.fetch_add(1, Relaxed);
        }
        is_in
    }

    /// False: all that waits would take too much.
    fn weigh(&self, mail: &mut Mail) -> bool {
        if self.waiting() < UNWEIGHED {
            return true;
        }
        // What carries nothing, such as a timer's event, is never too much.
        let bytes = mail.event.payload.weight();
        mail.weight = if bytes == 0 { None } else { Weight::put(&self.waiting, bytes) };
        bytes == 0 || mail.weight.is_some()
    }

    /// Says that a place in the archive is passed, if there is room. Whether it is in.
    pub(crate) fn pass(&self, place: Place) -> bool {
        self.sender.try_send(Box::new(Mail::passes(place))).is_ok()
    }

    /// Whether something may be put in that can wait: half of it is kept for what cannot, also of what it may take.
    pub(crate) fn has_room_for_the_past(&self) -> bool {
        let is_light = self.waiting() < UNWEIGHED || self.waiting.load(Relaxed) <= MAX_WAITING / 2;
        is_light && self.sender.capacity() > self.sender.max_capacity() / 2
    }

    fn judge(&self, event: &Event, course: Course) -> Verdict {
        match &self.told {
            None => Verdict::Tell(None),
            Some(told) => told.lock().unwrap_or_else(PoisonError::into_inner).judge(event, course),
        }
    }

    /// How many wait in it.
    pub fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// Whether the next one fits.
    pub fn has_room(&self) -> bool {
        self.sender.capacity() > 0
    }

    /// How many were lost, whether anybody was told of them or not.
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    /// How many were lost since this was last asked.
    pub fn take_lost(&self) -> u64 {
        let lost = self.lost();
        // Read first: a write to a shared line for each event would cost more than the event.
        if lost == self.lost_told.load(Relaxed) {
            return 0;
        }
        lost.saturating_sub(self.lost_told.fetch_max(lost, Relaxed))
    }
}

/// Whether a mailbox is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shadow {
    /// Nothing is routed to it.
    On,
    /// It gets what its instance listens to.
    Off,
}

#[derive(Debug)]
struct Subscription {
    id: SubscriptionId,
    filter: Filter,
    /// For one that ends with its first event: whether that has come.
    once: Option<AtomicBool>,
}

/// One instance's subscriptions to one event.
#[derive(Debug, Clone)]
struct Listener {
    mailbox: Arc<Mailbox>,
    subscriptions: Vec<Arc<Subscription>>,
}

type Index = imbl::HashMap<EventName, Arc<Vec<Listener>>>;

/// Who listens to what, on one account.
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

    /// Ends one subscription of an instance. False: it has no such subscription.
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

    /// How many subscriptions an instance has.
    pub fn count(&self, instance: InstanceId) -> usize {
        let index = self.index.load();
        index
            .values()
            .flat_map(|listeners| listeners.iter())
            .filter(|listener| listener.mailbox.instance == instance)
            .map(|listener| listener.subscriptions.len())
            .sum()
    }

    /// Whether an instance listens to this event.
    pub fn listens(&self, instance: InstanceId, name: &str) -> bool {
        let index = self.index.load();
        index.get(name).is_some_and(|listeners| listeners.iter().any(|one| one.mailbox.instance == instance))
    }

    /// The filters with which an instance listens to this event, and whether each ends with its first event.
    pub(crate) fn filters(&self, instance: InstanceId, name: &str) -> Vec<(Filter, bool)> {
        let index = self.index.load();
        let own = index.get(name).and_then(|all| all.iter().find(|one| one.mailbox.instance == instance));
        own.iter().flat_map(|one| &one.subscriptions).map(|one| (one.filter.clone(), one.once.is_some())).collect()
    }

    /// Gives an event to everybody who listens and may see it.
    pub fn route(&self, event: Event, course: Course, is_contact: &dyn Fn(&BareJid) -> bool) {
        self.give(&Arc::new(event), None, course, is_contact, Mailbox::deliver);
    }

    /// Gives an event to one instance alone, if it listens and may see it.
    pub fn route_to(&self, instance: InstanceId, event: Event, is_contact: &dyn Fn(&BareJid) -> bool) {
        self.give(&Arc::new(event), Some(instance), self.live(), is_contact, Mailbox::deliver);
    }

    /// Gives an event to an instance that missed it, if it listens, may see it, and was not told. Whether it is told now.
    pub(crate) fn route_missed(
        &self,
        instance: InstanceId,
        event: Event,
        is_contact: &dyn Fn(&BareJid) -> bool,
    ) -> bool {
        let mut told = false;
        self.give(&Arc::new(event), Some(instance), Course::Missed, is_contact, |mailbox, mail| {
            let tells = !mail.subscriptions.is_empty();
            let is_in = mailbox.deliver(mail);
            told |= tells && is_in;
            is_in
        });
        told
    }

    /// What is routed from now on comes over this stream.
    pub(crate) fn stream_begins(&self, stream: u64) {
        self.stream.store(stream, Relaxed);
    }

    /// How what comes now comes, but in rooms.
    pub(crate) fn live(&self) -> Course {
        Course::Live(self.stream.load(Relaxed))
    }

    /// Whether anybody listens to this event.
    pub fn hears(&self, name: &str) -> bool {
        self.index.load().contains_key(name)
    }

    /// An event for one instance alone, if it listens. It is handed over here and not put into the mailbox, where there
    /// may be no room for it.
    pub fn mail_for(&self, instance: InstanceId, event: Event) -> Option<Mail> {
        let mut found = None;
        self.give(&Arc::new(event), Some(instance), self.live(), &|_| false, |_, mail| {
            found = Some(mail);
            true
        });
        found
    }

    /// The same for mail of another instance, whose place this one takes.
    pub(crate) fn mail_again(
        &self,
        instance: InstanceId,
        mail: Box<Mail>,
        is_contact: &dyn Fn(&BareJid) -> bool,
    ) -> Option<Box<Mail>> {
        let course = match &mail.place {
            // It says the same whoever hears it.
            Some(Place::CaughtUp(..)) => return Some(mail),
            Some(Place::Message { course, .. }) => *course,
            None => self.live(),
        };
        let mut found = None;
        self.give(&mail.event, Some(instance), course, is_contact, |_, mail| {
            found = Some(Box::new(mail));
            true
        });
        // What is not for this one has its place all the same.
        found.or_else(|| mail.place.map(|place| Box::new(Mail::passes(place))))
    }

    fn give(
        &self,
        event: &Arc<Event>,
        only: Option<InstanceId>,
        course: Course,
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
            let place = match listener.mailbox.judge(event, course) {
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
                // The grants are the instance's, so the first subscription that matches asks for all of them.
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
                // Who waits for the first event has not had it yet.
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

    /// Which names somebody listens to, with how many subscriptions each.
    pub fn names(&self) -> HashMap<EventName, usize> {
        let index = self.index.load();
        index
            .iter()
            .map(|(name, listeners)| (name.clone(), listeners.iter().map(|one| one.subscriptions.len()).sum()))
            .collect()
    }
}

/// Ends subscriptions to the event of this name, and touches no other event's: others pay nothing for it.
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
