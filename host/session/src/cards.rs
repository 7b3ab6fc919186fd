//! vCards (XEP-0054): fetching them, caching them, changing the own one, and the pictures that presence announces
//! (XEP-0153).

mod fetching;
pub(super) mod holders;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use jid::{BareJid, Jid};
use parlor_base::id::InstanceId;
use parlor_stanza::card::Avatar;
use parlor_stanza::error::CallError;

use crate::iq::cards::OwnCardChange;
use crate::records::card::KnownCard;
use crate::records::occupant::is_occupant;
use crate::turn::{Common, Turn};

/// Maximum number of cached vCards.
pub(super) const MAX_CARDS: usize = 1_000;
/// Maximum weight of all of them, in bytes.
const MAX_WEIGHT: usize = 16 << 20;
/// Maximum number of changes of the own vCard that wait for one another.
pub(super) const MAX_CHANGES: usize = 64;
/// Maximum number of one plugin's waiting changes. It caps the limit `iqs`, so that one plugin does not take the place
/// of others.
pub(super) const MAX_OWN_CHANGES: usize = 8;

#[derive(Debug)]
struct Entry {
    known: Arc<KnownCard>,
    /// Its key in `ages`.
    number: u64,
    /// Whether presence has announced another picture since.
    stale: bool,
}

/// The cached vCards. Bounded: the one that was fetched first makes room.
#[derive(Debug, Default)]
pub(super) struct Cards {
    entries: HashMap<Jid, Entry>,
    ages: BTreeMap<u64, Jid>,
    number: u64,
    weight: usize,
    /// Changes of the own vCard that wait for the one in progress. Each starts from the vCard of that moment.
    changes: VecDeque<OwnCardChange>,
    /// Whether a change is in progress.
    changing: bool,
}

impl Cards {
    fn get(&self, jid: &Jid) -> Option<&Arc<KnownCard>> {
        self.entries.get(jid).map(|entry| &entry.known)
    }

    pub(super) fn remove(&mut self, jid: &Jid) {
        if let Some(entry) = self.entries.remove(jid) {
            self.ages.remove(&entry.number);
            self.weight -= entry.known.card.weight();
        }
    }

    /// Removes the vCards of all occupants of a room.
    pub(super) fn forget_occupants(&mut self, room: &BareJid) {
        let theirs: Vec<Jid> = self.entries.keys().filter(|jid| is_occupant(jid, room)).cloned().collect();
        for occupant in theirs {
            self.remove(&occupant);
        }
    }

    /// Stores a vCard. Returns the owners of evicted vCards.
    fn put(&mut self, jid: Jid, known: Arc<KnownCard>) -> Vec<Jid> {
        self.remove(&jid);
        self.number += 1;
        self.weight += known.card.weight();
        self.ages.insert(self.number, jid.clone());
        self.entries.insert(jid, Entry { known, number: self.number, stale: false });
        let mut gone = Vec::new();
        while (self.entries.len() > MAX_CARDS || self.weight > MAX_WEIGHT)
            && let Some((_, oldest)) = self.ages.first_key_value()
        {
            let oldest = oldest.clone();
            self.remove(&oldest);
            gone.push(oldest);
        }
        gone
    }

    /// Checks whether another change of this plugin may wait. Abandoned ones make room.
    fn may_wait(&mut self, by: InstanceId) -> Result<(), CallError> {
        self.changes.retain(|change| !change.answer.is_abandoned());
        if self.changes.iter().filter(|change| change.by == by).count() >= MAX_OWN_CHANGES {
            return Err(CallError::OverLimit(format!("{MAX_OWN_CHANGES} changes of the card by one plugin wait")));
        }
        if self.changes.len() >= MAX_CHANGES {
            return Err(CallError::OverLimit(format!("{MAX_CHANGES} changes of the card wait")));
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.entries.len(), self.changes.len())
    }

    /// Ends all changes, because the stream is gone.
    pub(super) fn end_changes(&mut self, turn: &mut Turn<'_>) {
        self.changing = false;
        for change in self.changes.drain(..) {
            turn.answer(change.answer, Err(CallError::Offline));
        }
    }

    /// Returns the announcement of the own picture in presence.
    pub(super) fn own_avatar(&self, common: &Common) -> Avatar {
        let own = Jid::from(common.own.to_bare());
        self.get(&own).map_or(Avatar::Unknown, |known| Avatar::of(&known.card))
    }

    fn fresh_card(&self, owner: &Jid, force: bool) -> Option<Arc<KnownCard>> {
        let entry = self.entries.get(owner)?;
        (!force && !entry.stale).then(|| Arc::clone(&entry.known))
    }

    /// Returns the addresses whose vCards are cached.
    pub(super) fn owners(&self) -> impl Iterator<Item = &Jid> {
        self.entries.keys()
    }

    /// Returns the cached vCard of this address.
    pub(super) fn known_card(&self, jid: &BareJid) -> Option<Arc<KnownCard>> {
        self.get(jid).map(Arc::clone)
    }
}
