//! Addresses without an account that somebody has written to, while the host makes accounts of them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jid::{BareJid, Jid};
use parlor_config::{NewAddresses, OwnAddresses};
use parlor_stanza::decode::Arrived;
use parlor_stanza::encode::Written;
use tokio::sync::Notify;
use tokio::time::Instant;
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType};

use super::people::People;

/// The maximum number of such addresses, and that of messages to one of them.
pub(super) const MOST: usize = 256;
pub(super) const MOST_OF_ONE: usize = 16;
/// The maximum number of bytes of all messages, with those that are on their way back.
const MOST_BYTES: usize = 16 << 20;
/// The maximum number of bytes of all messages to one address but the first. An address that logs in has room for them.
const MOST_BYTES_OF_ONE: usize = 256 << 10;
/// How long messages wait for an account.
const PATIENCE: Duration = Duration::from_mins(1);

/// The addresses that wait for an account, with the messages to them.
#[derive(Debug, Default)]
pub(super) struct Guests {
    admission: Option<Admission>,
    waiting: HashMap<BareJid, Guest>,
    people: People,
    /// The errors with which messages go back to their senders. They also outlive a cut of the stream: otherwise a message
    /// would be lost, and nobody would know.
    back: VecDeque<Written>,
    /// The bytes of the messages and of the errors.
    bytes: usize,
}

#[derive(Debug)]
struct Admission {
    rule: NewAddresses,
    own: Arc<OwnAddresses>,
    /// Notified when there is a new address.
    arrivals: Arc<Notify>,
}

#[derive(Debug)]
struct Guest {
    since: Instant,
    /// Whether the host has heard of it.
    is_known: bool,
    messages: Vec<Arrived>,
    /// The bytes of the messages.
    bytes: usize,
}

impl Guests {
    /// Sets which addresses may become accounts; `None`: none may.
    pub(super) fn admit(&mut self, rule: Option<NewAddresses>, own: &Arc<OwnAddresses>, arrivals: &Arc<Notify>) {
        let admission = |rule| Admission { rule, own: Arc::clone(own), arrivals: Arc::clone(arrivals) };
        self.admission = rule.map(admission);
    }

    /// Returns whether any address may become an account.
    pub(super) fn are_admitted(&self) -> bool {
        self.admission.is_some()
    }

    /// Takes a stanza to an address that has no account, if the address is to become one. Otherwise returns what its sender
    /// gets, if anything.
    pub(super) fn take_in(&mut self, address: &BareJid, arrived: Arrived) -> Option<Stanza> {
        let Some(Admission { rule, own, arrivals }) = &self.admission else { return nobody(&arrived) };
        let sender =
            arrived.sender().filter(|sender| arrived.is_personal_message() && rule.admits(address, sender, own));
        let Some(sender) = sender.map(Jid::to_bare) else { return nobody(&arrived) };
        let weight = arrived.weight();
        if self.bytes + weight > MOST_BYTES {
            return later(&arrived);
        }
        if let Some(guest) = self.waiting.get_mut(address) {
            if guest.messages.len() >= MOST_OF_ONE || guest.bytes + weight > MOST_BYTES_OF_ONE {
                return later(&arrived);
            }
            guest.bytes += weight;
            guest.messages.push(arrived);
        } else {
            if self.waiting.len() >= MOST || !self.people.may_come(&sender, address, rule.most_of_a_domain()) {
                return later(&arrived);
            }
            let guest = Guest { since: Instant::now(), is_known: false, messages: vec![arrived], bytes: weight };
            self.waiting.insert(address.clone(), guest);
            arrivals.notify_one();
        }
        self.bytes += weight;
        None
    }

    /// Returns the addresses that the host has not heard of yet.
    pub(super) fn news(&mut self) -> Vec<BareJid> {
        let new = self.waiting.iter_mut().filter_map(|(address, guest)| {
            let was_known = std::mem::replace(&mut guest.is_known, true);
            (!was_known).then(|| address.clone())
        });
        new.collect()
    }

    /// Lets the host hear of an address again, if that still waits.
    pub(super) fn put_off(&mut self, address: &BareJid) {
        if let Some(guest) = self.waiting.get_mut(address) {
            guest.is_known = false;
        }
    }

    /// Returns the messages to an address, which does not wait any more.
    pub(super) fn leave(&mut self, address: &BareJid) -> Vec<Arrived> {
        let Some(Guest { messages, bytes, .. }) = self.waiting.remove(address) else { return Vec::new() };
        self.bytes -= bytes;
        messages
    }

    /// Lets the messages to an address go back to their senders, with these errors.
    pub(super) fn turn_away(&mut self, address: &BareJid, error: fn(&Arrived) -> Option<Stanza>) {
        let messages = self.leave(address);
        self.give_back(&messages, error);
    }

    /// Lets these stanzas go back to their senders, with these errors.
    pub(super) fn give_back(&mut self, stanzas: &[Arrived], error: fn(&Arrived) -> Option<Stanza>) {
        for back in stanzas.iter().filter_map(error) {
            match Written::of_stanza(&back) {
                Ok(back) => {
                    self.bytes += back.weight();
                    self.back.push_back(back);
                }
                Err(error) => tracing::warn!(%error, "a stanza could not be written"),
            }
        }
    }

    /// Turns all away, and takes no more in.
    pub(super) fn close(&mut self) {
        self.admission = None;
        for address in self.waiting.keys().cloned().collect::<Vec<_>>() {
            self.turn_away(&address, later);
        }
    }

    /// Returns the next message that goes back.
    pub(super) fn next_back(&mut self) -> Option<Written> {
        let next = self.back.pop_front()?;
        self.bytes -= next.weight();
        Some(next)
    }

    /// Returns whether messages go back.
    pub(super) fn have_more(&self) -> bool {
        !self.back.is_empty()
    }

    /// Returns the addresses that have waited for too long.
    pub(super) fn overdue(&self) -> Vec<BareJid> {
        let late = self.waiting.iter().filter(|(_, guest)| guest.since.elapsed() >= PATIENCE);
        late.map(|(address, _)| address.clone()).collect()
    }

    /// Returns whether none waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Returns what the sender of a stanza to an address without an account gets, if anything.
pub(super) fn nobody(arrived: &Arrived) -> Option<Stanza> {
    arrived.refused(ErrorType::Cancel, DefinedCondition::ServiceUnavailable, "nobody is there")
}

/// Returns the same for an address that may be an account later.
pub(super) fn later(arrived: &Arrived) -> Option<Stanza> {
    arrived.refused(ErrorType::Wait, DefinedCondition::ResourceConstraint, "nobody is there yet; try again later")
}
