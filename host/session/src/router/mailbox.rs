//! The mailbox of an instance: the bounded queue of its events, and the grants that decide what is put in.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use arc_swap::{ArcSwap, Guard};
use jid::BareJid;
use jiff::Timestamp;
use parlor_base::id::InstanceId;
use parlor_base::permission::Permission;
use tokio::sync::oneshot;

use super::SubscriptionId;
use super::claims::Claims;
use super::conversations::{Conversations, Counted};
use super::delivery::{ArchivePlace, CaughtUpRooms, Delivery, DeliveryLog, Verdict};
use super::known_rooms::{KnownRooms, KnowsRooms};
use super::own_contacts::{OwnContacts, OwnersPart};
use super::queue::{MailReceiver, Queue};
use super::withheld::{Withheld, Withholder};
use crate::event::{Event, EventName, Payload};
use crate::permissions::{About, CallName, Decision, Granted, Grants, Scope, Target, Use, granted};

/// Maximum weight of the mail in one mailbox, in bytes of memory. A message of many empty elements takes fifty times
/// its size on the wire, so a limit on the number of events alone bounds nothing.
pub(super) const MAX_WAITING: usize = 32 << 20;
/// Number of waiting events below which mail is not weighed, so that plugins that keep up cost no more than necessary.
pub(super) const UNWEIGHED: usize = 4;

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
    /// Receives how its handler ended, if somebody waits for that. Dropped: it was not handled.
    pub receipt: Option<oneshot::Sender<Handled>>,
    /// The weight of the mail in the mailbox where it waits.
    weight: Option<Weight>,
    /// Its place among those of its room or person, where the mailbox bounds their number.
    counted: Option<Counted>,
    /// The version of the grants that allowed the event. None: the grants were not asked.
    pub(super) decided: Option<u32>,
}

impl Mail {
    /// Creates mail that is not in a mailbox yet.
    pub fn new(event: Arc<Event>, subscriptions: Vec<SubscriptionId>, xml: bool) -> Self {
        Self { event, subscriptions, xml, place: None, receipt: None, weight: None, counted: None, decided: None }
    }

    /// Lets somebody wait for how its handler ends.
    pub fn with_receipt(mut self) -> (Self, oneshot::Receiver<Handled>) {
        let (receipt, arrives) = oneshot::channel();
        self.receipt = Some(receipt);
        (self, arrives)
    }

    /// Returns whether somebody waited for how its handler ends, and has given up: its answer would come too late.
    pub fn is_given_up(&self) -> bool {
        self.receipt.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    /// Returns whether it may have to wait for the handler of another event. It does not if it is about no room or person.
    pub(super) fn waits_for_a_turn(&self) -> bool {
        self.place.is_some() || self.event.payload.conversation().is_some()
    }

    /// Creates mail that only passes a place in the archive, without an event for the plugin.
    pub(super) fn passes(place: ArchivePlace) -> Self {
        let nothing = Event { name: EventName::from(""), at: Timestamp::UNIX_EPOCH, payload: Payload::None };
        Self { place: Some(place), ..Self::new(Arc::new(nothing), Vec::new(), false) }
    }
}

/// How the handler of an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It returned.
    Well,
    /// It returned an error.
    Failed,
    /// Its instance ended before it returned.
    CutOff,
}

/// The weight of one piece of mail, which is subtracted when the mail is dropped.
#[derive(Debug)]
struct Weight {
    of: Arc<AtomicUsize>,
    bytes: usize,
}

impl Weight {
    /// Adds the weight to the mailbox. None: the mailbox would become heavier than `most`.
    fn put(of: &Arc<AtomicUsize>, bytes: usize, most: usize) -> Option<Self> {
        let one = Self { of: Arc::clone(of), bytes };
        let before = of.fetch_add(bytes, Relaxed);
        (before.saturating_add(bytes) <= most).then_some(one)
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
    pub(super) queue: Queue,
    /// The total weight of the waiting mail, made when mail is first weighed.
    weight: OnceLock<Arc<AtomicUsize>>,
    /// The number of events that this mailbox lost in total.
    lost: AtomicU64,
    /// The number of lost events that were reported to the plugin.
    lost_told: AtomicU64,
    /// The events that its plugin listens to and may not see.
    pub withheld: Withheld,
    /// Contacts that its plugin added, which do not count as contacts for its grants. None: no plugin added any.
    own_contacts: Option<OwnContacts>,
    /// The rooms that its account knows.
    known_rooms: KnownRooms,
    grants: ArcSwap<Grants>,
    /// The version of the grants, increased with each change.
    decided: AtomicU32,
    /// Whether the instance is to replace another one and has not done so yet. Until then it gets no events.
    shadowed: AtomicBool,
    /// The subscriptions that a parked plugin left and that its next run has not made again.
    pub(super) claims: Claims,
    /// The messages that were delivered, for a plugin that catches up.
    deliveries: Option<Box<Mutex<DeliveryLog>>>,
    /// How many events of each room or person wait, if their number is bounded.
    conversations: Option<Arc<Conversations>>,
}

/// The facts about its plugin and its account that a mailbox keeps from the start.
#[derive(Debug, Default)]
pub struct Setup {
    /// The rooms in which the plugin catches up, if it does. Then each message has its place in an archive, and is delivered once.
    pub catches_up: Option<CaughtUpRooms>,
    /// The contacts that do not count for the plugin's grants, since it added them.
    pub own_contacts: Option<OwnContacts>,
    /// The account that tells which addresses are rooms.
    pub account: Option<Weak<dyn KnowsRooms>>,
    /// Whether the events of one room or person take half of the mailbox at most.
    pub bounds_conversations: bool,
}

impl Mailbox {
    /// Creates a mailbox for `capacity` events, and the end that the instance reads.
    pub fn new(instance: InstanceId, capacity: usize, grants: Arc<Grants>) -> (Arc<Self>, MailReceiver) {
        Self::with(instance, capacity, grants, Setup::default())
    }

    /// Does the same for a plugin of an account.
    pub fn with(instance: InstanceId, capacity: usize, grants: Arc<Grants>, setup: Setup) -> (Arc<Self>, MailReceiver) {
        let Setup { catches_up, own_contacts, account, bounds_conversations } = setup;
        let mailbox = Arc::new(Self {
            instance,
            queue: Queue::new(capacity),
            weight: OnceLock::new(),
            lost: AtomicU64::new(0),
            lost_told: AtomicU64::new(0),
            withheld: Withheld::default(),
            own_contacts,
            known_rooms: KnownRooms::of(account),
            grants: ArcSwap::new(grants),
            decided: AtomicU32::new(0),
            shadowed: AtomicBool::new(false),
            claims: Claims::default(),
            deliveries: catches_up.map(|rooms| Box::new(Mutex::new(DeliveryLog::new(capacity, rooms)))),
            conversations: bounds_conversations.then(|| Conversations::of(capacity.max(1))),
        });
        let receiver = MailReceiver::of(&mailbox);
        (mailbox, receiver)
    }

    /// Returns what the plugin may see and do.
    pub fn grants(&self) -> Guard<Arc<Grants>> {
        self.grants.load()
    }

    /// Replaces the grants, for [`Router::grant`](super::Router::grant).
    pub(super) fn grant(&self, grants: Arc<Grants>) {
        self.grants.store(grants);
        // After the grants: an event that is routed in between is checked again.
        self.decided.fetch_add(1, Release);
    }

    /// Returns the version of the grants.
    pub fn version(&self) -> u32 {
        self.decided.load(Acquire)
    }

    /// Decides about one use of the plugin's grants, for calls, events and explanations. None: it depends on the
    /// contact list, which is not known.
    pub fn decide(&self, one: Use<'_>, is_contact: Option<&dyn Fn(&BareJid) -> bool>) -> Option<Decision> {
        let grants = self.grants.load();
        let decision = match is_contact {
            None => grants.decide_use(one, None),
            Some(is_contact) => grants.decide_use(one, Some(&|jid| is_contact(jid) && !self.added(jid))),
        };
        let is_kept_from = |target| grants.keeps_from(target, &|jid| self.known_rooms.has(jid));
        match decision {
            Some(Decision::Covered(permission)) if one.target().is_some_and(is_kept_from) => {
                Some(Decision::OutOfScope(permission))
            }
            decision => decision,
        }
    }

    /// Returns whether the owner keeps its plugin to rooms, and this target is another one or somebody in it.
    pub fn keeps_from(&self, target: Target<'_>) -> bool {
        self.grants.load().keeps_from(target, &|jid| self.known_rooms.has(jid))
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

    /// Returns whether its plugin added this contact itself. Its grants do not treat such an address as a contact.
    pub fn added(&self, jid: &BareJid) -> bool {
        self.own_contacts.as_ref().is_some_and(|own| own.has(jid))
    }

    /// Returns whether something of a contact is the owner's: no plugin made it, neither this one nor another.
    pub(crate) fn is_owners(&self, jid: &BareJid, what: impl Fn(&OwnersPart) -> bool) -> bool {
        self.own_contacts.as_ref().is_none_or(|own| own.is_owners(jid, what))
    }

    /// Returns whether the plugin may see this event. An event that it may not see is counted as withheld.
    pub(super) fn shows(&self, event: &Event, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        let seen = Use::Event(&event.name, About::of(&event.payload));
        let decision = self.decide(seen, Some(is_contact));
        if let Some(permission) = decision.and_then(Decision::lacks) {
            self.withheld.count(self.withholder(permission, seen, is_contact));
        }
        decision.is_some_and(Decision::allows)
    }

    /// Returns what withholds an event that needs this permission: the owner's rooms, if the grant itself covers it.
    fn withholder(&self, permission: Permission, seen: Use<'_>, is_contact: &dyn Fn(&BareJid) -> bool) -> Withholder {
        let target = seen.target().filter(|target| self.keeps_from(*target));
        let is_covered = |target| {
            let covers = |scope: &Scope| scope.covers(target, &|jid| is_contact(jid) && !self.added(jid));
            self.grants.load().get(permission).is_some_and(covers)
        };
        if target.is_some_and(is_covered) { Withholder::Rooms } else { permission.into() }
    }

    /// Returns whether a change of the grants since this was put in keeps the plugin from seeing it.
    pub fn withholds(&self, mail: &Mail, is_contact: &dyn Fn(&BareJid) -> bool) -> bool {
        mail.decided.is_some_and(|decided| decided != self.version()) && !self.shows(&mail.event, is_contact)
    }

    /// Returns the instance that reads the mailbox.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// Returns whether its plugin catches up, so that each message passes its delivery log.
    pub(super) fn has_log(&self) -> bool {
        self.deliveries.is_some()
    }

    /// Sets whether events are routed to this mailbox, for [`Router::shadow`](super::Router::shadow).
    pub(super) fn shadow(&self, shadowed: Shadow) {
        self.shadowed.store(shadowed == Shadow::On, Relaxed);
    }

    /// Returns whether routing skips it.
    pub fn is_shadowed(&self) -> bool {
        self.shadowed.load(Relaxed)
    }

    /// Returns whether its plugin is parked, or wakes: its subscriptions are kept, and what comes waits for its next run.
    pub fn is_parked(&self) -> bool {
        self.claims.lock().is_some()
    }

    /// Returns how many events of one room or person may wait, if that is bounded.
    pub fn most_of_one(&self) -> Option<usize> {
        self.conversations.as_ref().map(|conversations| conversations.most())
    }

    /// Puts mail in, or counts it as lost. Returns whether it was put in.
    pub fn deliver(&self, mut mail: Mail) -> bool {
        // Mail that only passes a place is not counted: later mail conveys the same.
        let tells = !mail.subscriptions.is_empty();
        let is_in = self.weigh(&mut mail) && self.counts(&mut mail) && self.queue.put(Box::new(mail));
        if !is_in && tells {
            self.lost.fetch_add(1, Relaxed);
        }
        is_in
    }

    /// Counts events as lost that waited when their instance failed. A plugin that catches up gets most of them again.
    pub(super) fn lose_unhandled(&self, events: usize) {
        if !self.has_log() {
            self.lost.fetch_add(events as u64, Relaxed);
        }
    }

    /// Counts the mail for its room or person. Returns `false` if as much of it waits as may.
    fn counts(&self, mail: &mut Mail) -> bool {
        let Some(conversations) = &self.conversations else { return true };
        let Some(conversation) = mail.event.payload.conversation() else { return true };
        mail.counted = Counted::one(conversations, conversation);
        mail.counted.is_some()
    }

    /// Weighs the mail. Returns `false` if the mailbox would become too heavy.
    fn weigh(&self, mail: &mut Mail) -> bool {
        if self.waiting() < UNWEIGHED {
            return true;
        }
        // Events without a payload, such as a timer's, are never too heavy.
        let bytes = mail.event.payload.weight();
        if bytes == 0 {
            return true;
        }
        // Events that wait for their turns leave half of the mailbox, in weight as in number, to mail that waits for none.
        let most = if self.queue.holds_for(mail) { MAX_WAITING / 2 * 3 } else { MAX_WAITING };
        mail.weight = Weight::put(self.weight.get_or_init(Arc::default), bytes, most);
        mail.weight.is_some()
    }

    /// Returns the total weight of the waiting mail.
    pub(super) fn weight(&self) -> usize {
        self.weight.get().map_or(0, |weight| weight.load(Relaxed))
    }

    /// Puts in mail that passes a place in the archive, if there is room. Returns whether it was put in.
    pub fn pass(&self, place: ArchivePlace) -> bool {
        self.queue.put(Box::new(Mail::passes(place)))
    }

    /// Returns whether there is room for mail that can wait. Half of the mailbox, in number and weight, is kept for
    /// mail that cannot.
    pub fn has_room_for_the_past(&self) -> bool {
        self.has_half(self.waiting())
    }

    /// Returns whether there is room for an event about no room or person that can wait or be refused. Events that
    /// wait for their turns never keep it out, since it waits for none.
    pub fn has_room_for_a_request(&self) -> bool {
        self.has_half(self.queue.queued())
    }

    /// Returns whether more than half of the mailbox is free, in number and weight, if this many events are in it.
    fn has_half(&self, events: usize) -> bool {
        let is_light = events < UNWEIGHED || self.weight() <= MAX_WAITING / 2;
        is_light && self.queue.capacity().saturating_sub(events) > self.queue.capacity() / 2
    }

    /// Decides by the delivery log whether the event must still be delivered.
    pub(super) fn judge(&self, event: &Event, delivery: Delivery) -> Verdict {
        match &self.deliveries {
            None => Verdict::Tell(None),
            Some(log) => log.lock().unwrap_or_else(PoisonError::into_inner).judge(event, delivery),
        }
    }

    /// Returns how many events wait.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// Returns whether there is room for one more event.
    pub fn has_room(&self) -> bool {
        self.waiting() < self.queue.capacity()
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
