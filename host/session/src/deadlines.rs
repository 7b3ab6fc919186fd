//! Deadlines, measured in time that only moves forward.

use std::collections::BTreeMap;
use std::time::Duration;

use jid::BareJid;
use jiff::{SignedDuration, Timestamp};

/// The action when a deadline passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Late {
    /// The request with this id got no answer.
    Iq(String),
    /// The current step in this room timed out: entering, leaving, its history, or the pause before a retry.
    Room(BareJid),
    /// This room may have been silent for too long.
    RoomSilent(BareJid),
    /// The time for the automatic joins is over.
    AutoJoins,
    /// Request the roster again.
    RosterAgain,
    /// Request the bookmarks again.
    BookmarksAgain,
    /// Ask the own account for its features again.
    AccountAgain,
    /// Ask the server for its features again.
    ServerAgain,
    /// Switch carbons again.
    CarbonsAgain,
    /// Subscribe again to the nodes of services that could not be reached.
    PubsubAgain,
    /// Ask this room for its features again.
    RoomAgain(BareJid),
    /// The time for the features of the server and the own account is over.
    Discovery,
    /// Contacts that were online on the previous stream and have not been heard of on this one are offline.
    Doubts,
    /// Announce the changed features of this account.
    Caps,
    /// The person who filled in this form waits for the answer.
    Form(String),
    /// The time of the dialog with this number is over.
    Dialog(u64),
    /// Messages for this person or room have waited long enough for keys.
    KeysWaited(BareJid),
    /// Send the empty messages that are owed.
    KeysOwed,
    /// Publish the own keys, which have changed.
    KeysChanged,
    /// Look whether an own key is too old.
    KeysCheck,
    /// The other side has not begun to be off the record.
    Otr(BareJid),
    /// The comparison of secrets with this person has no result.
    OtrCompared(BareJid),
}

/// The key of a deadline, for cancelling it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeadlineKey(Duration, u64);

/// All deadlines of an account.
///
/// Callers pass the time of day, and report when the clock was set. A small step back of the clock, which goes
/// unnoticed, would lengthen every wait. So only the sum of the steps forward counts.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    wall: Option<Timestamp>,
    elapsed: Duration,
    numbers: u64,
    waiting: BTreeMap<DeadlineKey, Late>,
}

impl Deadlines {
    pub(super) fn advance(&mut self, now: Timestamp) {
        self.elapsed = self.elapsed_at(now);
        self.wall = Some(now);
    }

    /// Adjusts to a clock that was set by this difference, since that time has not elapsed.
    pub(super) fn clock_set(&mut self, by: SignedDuration) {
        self.wall =
            self.wall.map(|wall| wall.saturating_add(by).expect("a duration of nothing but seconds can be added"));
    }

    /// Returns the time since the first step.
    pub(super) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Returns the time from the first step to this moment.
    pub(super) fn elapsed_at(&self, now: Timestamp) -> Duration {
        let step = self.wall.map(|before| now.duration_since(before)).filter(SignedDuration::is_positive);
        self.elapsed + step.map_or(Duration::ZERO, SignedDuration::unsigned_abs)
    }

    pub(super) fn set(&mut self, after: Duration, late: Late) -> DeadlineKey {
        self.numbers += 1;
        let key = DeadlineKey(self.elapsed + after, self.numbers);
        self.waiting.insert(key, late);
        key
    }

    /// Replaces the deadline whose key is kept in `place` by another one, or by none.
    pub(super) fn replace(&mut self, place: &mut Option<DeadlineKey>, new: Option<(Duration, Late)>) {
        let new = new.map(|(after, late)| self.set(after, late));
        if let Some(old) = std::mem::replace(place, new) {
            self.cancel(old);
        }
    }

    pub(super) fn cancel(&mut self, key: DeadlineKey) {
        self.waiting.remove(&key);
    }

    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Takes a deadline that has passed.
    pub(super) fn pop(&mut self) -> Option<Late> {
        let entry = self.waiting.first_entry()?;
        (entry.key().0 <= self.elapsed).then(|| entry.remove())
    }

    /// Returns whether there is such a deadline.
    pub(super) fn has(&self, is_meant: impl Fn(&Late) -> bool) -> bool {
        self.waiting.values().any(is_meant)
    }

    pub(super) fn next(&self) -> Option<Timestamp> {
        let (key, _) = self.waiting.first_key_value()?;
        let rest = key.0.saturating_sub(self.elapsed);
        Some(self.wall?.checked_add(rest).unwrap_or(Timestamp::MAX))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
