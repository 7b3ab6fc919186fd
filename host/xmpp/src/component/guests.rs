//! Addresses without an account that somebody has written to, while the host makes accounts of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jid::BareJid;
use parlor_config::NewAddresses;
use parlor_stanza::decode::Arrived;
use tokio::sync::Notify;
use tokio::time::Instant;
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType};

/// The maximum number of such addresses, of messages to one of them, and of the bytes of all messages.
pub(super) const MOST: usize = 256;
pub(super) const MOST_OF_ONE: usize = 16;
const MOST_BYTES: usize = 4 << 20;
/// How long messages wait for an account.
const PATIENCE: Duration = Duration::from_mins(1);

/// The addresses that wait for an account, with the messages to them.
#[derive(Debug, Default)]
pub(super) struct Guests {
    admission: Option<Admission>,
    waiting: HashMap<BareJid, Guest>,
    bytes: usize,
}

#[derive(Debug)]
struct Admission {
    rule: NewAddresses,
    /// Notified when there is a new address.
    arrivals: Arc<Notify>,
}

#[derive(Debug)]
struct Guest {
    since: Instant,
    /// Whether the host has heard of it.
    is_known: bool,
    messages: Vec<Arrived>,
}

impl Guests {
    /// Sets which addresses may become accounts; `None`: none may.
    pub(super) fn admit(&mut self, rule: Option<NewAddresses>, arrivals: &Arc<Notify>) {
        self.admission = rule.map(|rule| Admission { rule, arrivals: Arc::clone(arrivals) });
    }

    /// Returns whether any address may become an account.
    pub(super) fn are_admitted(&self) -> bool {
        self.admission.is_some()
    }

    /// Takes a message to an address that has no account, or returns the stanza if it is not to become one.
    pub(super) fn take_in(&mut self, address: &BareJid, arrived: Arrived) -> Option<Arrived> {
        let Some(Admission { rule, arrivals }) = &self.admission else { return Some(arrived) };
        let weight = arrived.weight();
        let is_meant =
            arrived.is_personal_message() && arrived.sender().is_some_and(|sender| rule.admits(address, sender));
        if !is_meant || self.bytes + weight > MOST_BYTES {
            return Some(arrived);
        }
        let count = self.waiting.len();
        match self.waiting.get_mut(address) {
            Some(guest) if guest.messages.len() < MOST_OF_ONE => guest.messages.push(arrived),
            None if count < MOST => {
                let guest = Guest { since: Instant::now(), is_known: false, messages: vec![arrived] };
                self.waiting.insert(address.clone(), guest);
                arrivals.notify_one();
            }
            Some(_) | None => return Some(arrived),
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

    /// Returns the messages to an address, which does not wait any more.
    pub(super) fn leave(&mut self, address: &BareJid) -> Vec<Arrived> {
        let messages = self.waiting.remove(address).map(|guest| guest.messages).unwrap_or_default();
        self.bytes -= messages.iter().map(Arrived::weight).sum::<usize>();
        messages
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
