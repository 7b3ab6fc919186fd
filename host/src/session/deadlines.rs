//! When something has waited long enough. Measured in time that only moves forward.

use std::collections::BTreeMap;
use std::time::Duration;

use jid::BareJid;
use jiff::{SignedDuration, Timestamp};

/// What to do when a dead-line passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Late {
    /// The question of this id got no answer.
    Question(String),
    /// What is under way in this room took long enough: entering, leaving, its past, or the wait for another try.
    Room(BareJid),
    /// This room may have been silent for too long.
    RoomSilent(BareJid),
    /// The automatic joins have had their time.
    AutoJoins,
    /// The roster is asked for once more.
    RosterAgain,
    /// The bookmarks are asked for once more.
    BookmarksAgain,
    /// The own account is asked once more what it can do.
    AccountAgain,
    /// The server could not say what it can do.
    ServerAgain,
    /// The server is asked once more for copies, or for none.
    CarbonsAgain,
    /// This room is asked once more what it can do.
    RoomAgain(BareJid),
    /// The server and the own account have had their time to say what they can do.
    Discovery,
    /// Whoever was online on the former stream and has not been heard of on this one is offline.
    Doubts,
    /// What this account can do has changed, and others are told.
    Caps,
}

/// Names one dead-line, so that it can be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DeadlineKey(Duration, u64);

/// All dead-lines of an account.
///
/// Callers speak of the time of day, and say when that was set. A clock that is set back a little, which nobody notices, would
/// stretch every wait, so that what counts here is the sum of the steps forward.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    wall: Option<Timestamp>,
    elapsed: Duration,
    numbers: u64,
    waiting: BTreeMap<DeadlineKey, Late>,
}

impl Deadlines {
    pub(super) fn advance(&mut self, now: Timestamp) {
        if let Some(before) = self.wall.replace(now) {
            let step = now.duration_since(before);
            if step.is_positive() {
                self.elapsed += step.unsigned_abs();
            }
        }
    }

    /// The clock was set by this much, which is no time that has passed.
    pub(super) fn clock_set(&mut self, by: SignedDuration) {
        self.wall =
            self.wall.map(|wall| wall.saturating_add(by).expect("a duration of nothing but seconds can be added"));
    }

    /// How much time has passed since the first step.
    pub(super) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    pub(super) fn set(&mut self, after: Duration, late: Late) -> DeadlineKey {
        self.numbers += 1;
        let key = DeadlineKey(self.elapsed + after, self.numbers);
        self.waiting.insert(key, late);
        key
    }

    /// Puts another one, or none, in the place of the one whose key is kept there.
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

    /// Takes one that has passed.
    pub(super) fn pop(&mut self) -> Option<Late> {
        let entry = self.waiting.first_entry()?;
        (entry.key().0 <= self.elapsed).then(|| entry.remove())
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
