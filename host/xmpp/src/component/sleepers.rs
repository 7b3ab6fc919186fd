//! Addresses that sleep: their accounts do not run. The first stanza for one of them has the host wake it, and waits until its
//! account logs in.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_stanza::decode::Arrived;
use tokio::sync::Notify;
use tokio::time::Instant;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::presence::Type;
use xmpp_parsers::stanza::Stanza;

use super::answers::unsubscribed;
use super::guests::later;
use super::people::owned_together;
use super::rules::is_about_subscription;

/// The maximum number of addresses that wait to be woken, and that of stanzas to one of them. Strangers choose both.
pub(super) const MOST: usize = 4_096;
pub(super) const MOST_OF_ONE: usize = 64;
/// The maximum number of these addresses that wait because of one person, and because of all people of a domain. The rest is left
/// for others.
pub(super) const MOST_OF_A_PERSON: usize = MOST / 16;
pub(super) const MOST_OF_A_DOMAIN: usize = MOST / 2;
/// The maximum number of bytes of all stanzas.
const MOST_BYTES: usize = 16 << 20;
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
    /// How many of them wait because of whom.
    shares: Shares,
    /// The bytes of the stanzas.
    bytes: usize,
    /// Notified when an address is to be woken.
    rouses: Arc<Notify>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    /// The shares of the sender of the first stanza.
    by: [Share; 2],
    stanzas: Vec<Arrived>,
    /// The bytes of the stanzas.
    bytes: usize,
}

/// A person or a domain, and the maximum number of addresses that wait because of it.
type Share = (u64, usize);

/// How many addresses wait because of each person and each domain.
#[derive(Debug, Default)]
struct Shares {
    taken: HashMap<u64, usize>,
    /// Makes the keys. Senders choose how long their addresses are, and must not choose which ones share a key.
    keys: RandomState,
}

impl Shares {
    /// Returns those of a sender.
    fn of(&self, sender: &Jid) -> [Share; 2] {
        let (person, domain) = (sender.to_bare(), owned_together(sender.domain().as_str()));
        [(self.keys.hash_one((0, person)), MOST_OF_A_PERSON), (self.keys.hash_one((1, domain)), MOST_OF_A_DOMAIN)]
    }

    fn have_room(&self, by: &[Share]) -> bool {
        by.iter().all(|(key, most)| self.taken.get(key).is_none_or(|taken| taken < most))
    }

    fn take(&mut self, by: &[Share]) {
        for (key, _) in by {
            *self.taken.entry(*key).or_default() += 1;
        }
    }

    fn free(&mut self, by: &[Share]) {
        for (key, _) in by {
            let left = self.taken.remove(key).unwrap_or_default().saturating_sub(1);
            if left > 0 {
                self.taken.insert(*key, left);
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
        let weight = arrived.weight();
        if self.bytes + weight > MOST_BYTES {
            return later(&arrived);
        }
        if let Some(waiting) = self.waiting.get_mut(address) {
            if waiting.stanzas.len() >= MOST_OF_ONE || waiting.bytes + weight > MOST_BYTES_OF_ONE {
                return later(&arrived);
            }
            waiting.bytes += weight;
            waiting.stanzas.push(arrived);
        } else {
            let by = self.shares.of(arrived.sender()?);
            if self.waiting.len() >= MOST || !self.shares.have_room(&by) {
                return later(&arrived);
            }
            self.shares.take(&by);
            let waiting = Waiting { since: Instant::now(), by, stanzas: vec![arrived], bytes: weight };
            self.waiting.insert(address.clone(), waiting);
            self.unheard.push_back(address.clone());
            self.rouses.notify_one();
        }
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

    /// Returns the stanzas to an address, which do not wait any more.
    pub(super) fn leave(&mut self, address: &BareJid) -> Vec<Arrived> {
        let Some(Waiting { stanzas, bytes, by, .. }) = self.waiting.remove(address) else { return Vec::new() };
        self.shares.free(&by);
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

    /// Returns whether stanzas wait.
    pub(super) fn have_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// Returns whether a stanza answers what an address has sent, and so wakes none: an account that has ended waits for no answer.
/// A message that comes back counts as one that has come.
pub(super) fn is_answer(arrived: &Arrived) -> bool {
    let Arrived::Read(stanza) = arrived else { return false };
    match &**stanza {
        Stanza::Iq(iq) => matches!(iq, Iq::Result { .. } | Iq::Error { .. }),
        Stanza::Presence(presence) => presence.type_ == Type::Error,
        Stanza::Message(_) => false,
    }
}
