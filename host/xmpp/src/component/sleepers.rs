//! Addresses that sleep: their accounts do not run. The first stanza for one of them has the host wake it, and waits until its
//! account logs in.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_base::domains::owned_together;
use parlor_stanza::decode::Arrived;
use tokio::sync::Notify;
use tokio::time::Instant;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::presence::Type;
use xmpp_parsers::stanza::Stanza;

use super::answers::unsubscribed;
use super::guests::later;
use super::people::People;
use super::rules::is_about_subscription;

/// The maximum number of addresses that wait to be woken, and that of stanzas to one of them. Strangers choose both.
pub(super) const MOST: usize = 4_096;
pub(super) const MOST_OF_ONE: usize = 64;
/// The maximum number of bytes of all stanzas.
pub(super) const MOST_BYTES: usize = 16 << 20;
/// One person may use one in `PART_OF_A_PERSON` of the places and of the bytes, and all people of a domain one in
/// `PART_OF_A_DOMAIN`. The rest is left for others.
pub(super) const PART_OF_A_PERSON: usize = 16;
pub(super) const PART_OF_A_DOMAIN: usize = 2;
/// The maximum number of bytes of all stanzas to one address but the first. An address that logs in has room for them.
const MOST_BYTES_OF_ONE: usize = 256 << 10;
/// How long stanzas wait for an address to wake.
const PATIENCE: Duration = Duration::from_mins(1);

/// The addresses that sleep, and the stanzas that wait for them. New addresses of strangers have room of their own, so that neither
/// takes that of the other.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    asleep: HashSet<BareJid>,
    waiting: HashMap<BareJid, Waiting>,
    /// The addresses with such stanzas that the host has not heard of, in their order.
    unheard: VecDeque<BareJid>,
    /// The room that each person and each domain takes.
    shares: Shares,
    /// How many addresses each person and each domain has woken within an hour.
    people: People,
    /// The bytes of the stanzas.
    bytes: usize,
    /// Notified when an address is to be woken.
    rouses: Arc<Notify>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    stanzas: Vec<Arrived>,
    /// The bytes of the stanzas.
    bytes: usize,
}

/// The key of a person or of a domain, and the part of all room that it may use.
type Share = (u64, usize);

/// The room that each person and each domain takes.
#[derive(Debug, Default)]
struct Shares {
    taken: HashMap<u64, Room>,
    /// Makes the keys. Senders choose how long their addresses are, and must not choose which ones share a key.
    keys: RandomState,
}

#[derive(Debug, Clone, Copy, Default)]
struct Room {
    /// The number of addresses whose first stanza came from this person or domain.
    addresses: usize,
    /// The bytes of all stanzas that came from there.
    bytes: usize,
}

impl Shares {
    /// Returns the shares of a sender: its own, and that of its domain.
    fn of(&self, sender: &Jid) -> [Share; 2] {
        let (person, domain) = (sender.to_bare(), owned_together(sender.domain().as_str()));
        [(self.keys.hash_one((0, person)), PART_OF_A_PERSON), (self.keys.hash_one((1, domain)), PART_OF_A_DOMAIN)]
    }

    fn have(&self, by: &[Share], room: Room) -> bool {
        by.iter().all(|(key, part)| {
            let taken = self.taken.get(key).copied().unwrap_or_default();
            taken.addresses + room.addresses <= MOST / part && taken.bytes + room.bytes <= MOST_BYTES / part
        })
    }

    fn take(&mut self, by: &[Share], room: Room) {
        for (key, _) in by {
            let taken = self.taken.entry(*key).or_default();
            taken.addresses += room.addresses;
            taken.bytes += room.bytes;
        }
    }

    fn free(&mut self, by: &[Share], room: Room) {
        for (key, _) in by {
            let taken = self.taken.remove(key).unwrap_or_default();
            let addresses = taken.addresses.saturating_sub(room.addresses);
            let bytes = taken.bytes.saturating_sub(room.bytes);
            if addresses > 0 || bytes > 0 {
                self.taken.insert(*key, Room { addresses, bytes });
            }
        }
    }
}

impl Sleepers {
    /// Sets what is notified when an address is to be woken.
    pub(super) fn rouse(&mut self, notify: &Arc<Notify>) {
        self.rouses = Arc::clone(notify);
    }

    /// Notes that an address sleeps.
    pub(super) fn add(&mut self, address: BareJid) {
        self.asleep.insert(address);
    }

    /// Notes that an address sleeps no longer. What waits for it stays.
    pub(super) fn remove(&mut self, address: &BareJid) {
        self.asleep.remove(address);
    }

    /// Returns whether an address sleeps.
    pub(super) fn have(&self, address: &BareJid) -> bool {
        self.asleep.contains(address)
    }

    /// Returns whether no address sleeps.
    pub(super) fn are_none(&self) -> bool {
        self.asleep.is_empty()
    }

    /// Lets a stanza wait for an address that sleeps. Returns what its sender gets instead, if anything.
    pub(super) fn take_in(&mut self, address: &BareJid, arrived: Arrived) -> Option<Stanza> {
        if let Arrived::Read(stanza) = &arrived
            && let Stanza::Presence(presence) = &**stanza
            && is_about_subscription(&presence.type_)
        {
            // No account hears of it, since there is no roster. So it wakes nobody.
            return (presence.type_ == Type::Subscribe).then(|| unsubscribed(presence));
        }
        let sender = arrived.sender()?;
        let (by, weight) = (self.shares.of(sender), arrived.weight());
        let room = Room { addresses: usize::from(!self.have_for(address)), bytes: weight };
        if self.bytes + weight > MOST_BYTES || !self.shares.have(&by, room) {
            return later(&arrived);
        }
        if let Some(waiting) = self.waiting.get_mut(address) {
            if waiting.stanzas.len() >= MOST_OF_ONE || waiting.bytes + weight > MOST_BYTES_OF_ONE {
                return later(&arrived);
            }
            waiting.bytes += weight;
            waiting.stanzas.push(arrived);
        } else {
            if self.waiting.len() >= MOST || !self.people.may_wake(&sender.to_bare(), address) {
                return later(&arrived);
            }
            let waiting = Waiting { since: Instant::now(), stanzas: vec![arrived], bytes: weight };
            self.waiting.insert(address.clone(), waiting);
            self.unheard.push_back(address.clone());
            self.rouses.notify_one();
        }
        self.shares.take(&by, room);
        self.bytes += weight;
        None
    }

    /// Returns the next of these addresses that the host is to wake, the oldest first.
    pub(super) fn next_roused(&mut self, most: usize) -> Vec<BareJid> {
        let mut roused = Vec::new();
        while roused.len() < most
            && let Some(address) = self.unheard.pop_front()
        {
            // It may have given up, or be awake.
            if self.waiting.contains_key(&address) && self.have(&address) {
                roused.push(address);
            }
        }
        roused
    }

    /// Lets the host hear once more of an address that it did not wake, if stanzas still wait for it.
    pub(super) fn rouse_again(&mut self, address: BareJid) {
        if self.have_for(&address) {
            self.unheard.push_back(address);
        }
    }

    /// Returns the stanzas to an address, which do not wait any more.
    pub(super) fn leave(&mut self, address: &BareJid) -> Vec<Arrived> {
        let Some(Waiting { stanzas, bytes, .. }) = self.waiting.remove(address) else { return Vec::new() };
        for (place, arrived) in stanzas.iter().enumerate() {
            let Some(sender) = arrived.sender() else { continue };
            let room = Room { addresses: usize::from(place == 0), bytes: arrived.weight() };
            self.shares.free(&self.shares.of(sender), room);
        }
        self.bytes -= bytes;
        stanzas
    }

    /// Returns the stanzas that have waited for too long, and wait no more.
    pub(super) fn overdue(&mut self) -> Vec<Arrived> {
        let now = Instant::now();
        let late = self.waiting.iter().filter(|(_, waiting)| now.duration_since(waiting.since) >= PATIENCE);
        let late: Vec<_> = late.map(|(address, _)| address.clone()).collect();
        let stanzas = late.iter().flat_map(|address| self.leave(address)).collect();
        let Self { unheard, waiting, .. } = self;
        unheard.retain(|address| waiting.contains_key(address));
        stanzas
    }

    /// Returns all stanzas that wait, and lets all addresses sleep no longer.
    pub(super) fn close(&mut self) -> Vec<Arrived> {
        self.asleep.clear();
        self.unheard.clear();
        let waiting: Vec<_> = self.waiting.keys().cloned().collect();
        waiting.iter().flat_map(|address| self.leave(address)).collect()
    }

    /// Returns whether stanzas wait for this address.
    pub(super) fn have_for(&self, address: &BareJid) -> bool {
        self.waiting.contains_key(address)
    }

    /// Returns whether stanzas wait.
    pub(super) fn have_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Returns whether only an account that has ended could use a stanza, so that the stanza wakes none: an answer to what that account
/// has sent, or the presence of somebody who goes. A message that comes back counts as one that has come.
pub(super) fn is_too_late(arrived: &Arrived) -> bool {
    let Arrived::Read(stanza) = arrived else { return false };
    match &**stanza {
        Stanza::Iq(iq) => matches!(iq, Iq::Result { .. } | Iq::Error { .. }),
        Stanza::Presence(presence) => matches!(presence.type_, Type::Error | Type::Unavailable),
        Stanza::Message(_) => false,
    }
}
