//! The progress of a plugin that catches up, in one archive: the account's or a room's.
//!
//! A message is handled when the plugin's handler for it has returned. Handlers overlap, so the position in the archive
//! is before the first message whose handler has not returned. Messages after it that are handled are known by their
//! ids.
//!
//! Live messages, from a stream or an entered room, are newer than those missed before. They do not move the position
//! until the missed ones were delivered: the position would skip those. The archive may list a live message among the
//! missed ones. Such a message holds the position until its handler has returned. It never becomes the position, which
//! would move back.
//!
//! This module does no I/O except through the keeper, which never waits.
//!
//! A stream may not have brought every message: a server may write one to a broken connection and continue on another
//! (Prosody 0.12 over BOSH does). So on the next stream an instance also gets the messages that it lacks among the last
//! ones before the position. They do not move the position: if an instance ends before they were delivered, they are
//! lost.

use std::collections::VecDeque;

use parlor_session::position::Position;
use parlor_session::router::{ArchivePlace, Delivery};
use parlor_store::{Handled, PositionKeeper};

/// The maximum number of handled messages after the position, which are known by their ids. With more, the handler that
/// holds the position counts as returned. While missed messages are delivered, the oldest handled live ones are
/// forgotten instead, and an instance that starts meanwhile gets them again.
const MOST: usize = 256;
/// The number of messages before the position among which gaps are looked for.
pub(crate) const LOOKED_BACK: u8 = 50;

/// Identifies a handler that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    at: Position,
    /// The number of the stream, or of the visit to the room, that brought it. It is 0 for missed messages, which are
    /// older.
    stream: u64,
    done: bool,
    /// Whether it was received live and the archive also lists it as missed.
    is_met: bool,
}

/// The progress of one plugin on one account in one archive, over all of its instances.
#[derive(Debug)]
pub(crate) struct ArchiveProgress {
    keeper: PositionKeeper,
    /// The position up to which everything is handled; `None` until it is known where the plugin begins.
    up_to: Option<Position>,
    /// Earlier positions, oldest first. Everything between them was delivered live.
    before: VecDeque<Position>,
    /// Whether the plugin does not get some messages before the next live position: they stay in the archive.
    is_incomplete: bool,
    /// The messages before the position that are being delivered now.
    gaps: VecDeque<String>,
    /// The gaps that were delivered.
    filled: VecDeque<String>,
    /// Messages handled by former instances, or found among the missed ones, that may be after the position. Cleared
    /// once a later live message is handled.
    beyond: Vec<String>,
    /// The stream or visit up to which all missed messages were delivered; 0 while they are being delivered.
    caught_up: u64,
    missed: VecDeque<Entry>,
    live: VecDeque<Entry>,
    next: u64,
}

impl ArchiveProgress {
    pub(crate) fn new(keeper: PositionKeeper) -> Self {
        Self {
            keeper,
            up_to: None,
            before: VecDeque::new(),
            is_incomplete: false,
            gaps: VecDeque::new(),
            filled: VecDeque::new(),
            beyond: Vec::new(),
            caught_up: 0,
            missed: VecDeque::new(),
            live: VecDeque::new(),
            next: 0,
        }
    }

    /// Returns the part that outlives the process.
    pub(crate) fn keeper(&self) -> &PositionKeeper {
        &self.keeper
    }

    /// Returns the position up to which everything is handled.
    pub(crate) fn up_to(&self) -> Option<&Position> {
        self.up_to.as_ref()
    }

    /// Returns whether all messages missed before this stream were delivered.
    pub(crate) fn is_caught_up(&self, stream: u64) -> bool {
        self.caught_up >= stream
    }

    /// Marks that missed messages are about to be delivered. Until then, no live message becomes the position.
    pub(crate) fn falls_behind(&mut self) {
        self.caught_up = 0;
    }

    /// Returns whether a message that the archive lists as missed was handled, or is being handled.
    pub(crate) fn meets(&mut self, id: &str) -> bool {
        if let Some(place) = self.live.iter().position(|entry| entry.at.id.as_deref() == Some(id)) {
            self.missed.extend(self.live.remove(place).map(|entry| Entry { is_met: true, ..entry }));
        }
        self.knows(id)
    }

    /// Returns whether a message after the position was handled, or is being handled.
    fn knows(&self, id: &str) -> bool {
        let entries = self.missed.iter().chain(&self.live);
        entries.filter_map(|entry| entry.at.id.as_deref()).any(|known| known == id)
            || self.beyond.iter().any(|known| known == id)
    }

    /// Returns whether it is known which messages before the position were delivered.
    pub(crate) fn may_look_back(&self) -> bool {
        !self.before.is_empty()
    }

    /// Returns the messages that the plugin lacks among these last ones before the position, oldest first. Messages
    /// older than the first that the plugin is known to have received do not count.
    pub(crate) fn lacks<'a>(&mut self, last: impl Iterator<Item = &'a str>) -> Vec<String> {
        let was_delivered = |id: &str| self.before.iter().any(|place| place.id.as_deref() == Some(id));
        let known = last
            .skip_while(|id| !was_delivered(id))
            .filter(|id| !was_delivered(id) && !self.knows(id) && !self.filled.iter().any(|filled| filled == id));
        let lacking: Vec<_> = known.map(str::to_owned).collect();
        self.gaps.extend(lacking.iter().cloned());
        self.gaps.drain(..self.gaps.len().saturating_sub(MOST));
        lacking
    }

    /// Records that the plugin does not get all that it missed.
    pub(crate) fn leave_rest(&mut self) {
        self.is_incomplete = true;
    }

    /// Sets the position at which the plugin continues or begins.
    pub(crate) fn begin(&mut self, handled: Handled) {
        self.before.clear();
        self.up_to = Some(handled.up_to);
        self.beyond = handled.beyond;
        self.keep();
    }

    /// Records that a handler begins with a message at this place.
    pub(crate) fn began(&mut self, place: ArchivePlace) -> Option<Ticket> {
        let ArchivePlace::Message { at, delivery, .. } = place else {
            self.passed(place);
            return None;
        };
        if let Some(gap) = self.gaps.iter().position(|gap| at.id.as_ref() == Some(gap)) {
            self.filled.extend(self.gaps.remove(gap));
            self.filled.drain(..self.filled.len().saturating_sub(MOST));
            return None;
        }
        self.next += 1;
        let ticket = Ticket(self.next);
        let (queue, stream) = match delivery {
            Delivery::Missed => (&mut self.missed, 0),
            Delivery::Live(stream) => (&mut self.live, stream),
        };
        queue.push_back(Entry { ticket, at, stream, done: false, is_met: false });
        Some(ticket)
    }

    /// Records that a handler returned.
    pub(crate) fn returned(&mut self, ticket: Ticket) {
        if let Some(entry) = self.missed.iter_mut().chain(&mut self.live).find(|entry| entry.ticket == ticket) {
            entry.done = true;
        }
        self.advance();
    }

    /// Records that the plugin does not handle the item at this place.
    pub(crate) fn passed(&mut self, place: ArchivePlace) {
        match place {
            ArchivePlace::CaughtUp(_, stream) => {
                self.caught_up = self.caught_up.max(stream);
                self.advance();
            }
            place @ ArchivePlace::Message { .. } => {
                if let Some(ticket) = self.began(place) {
                    self.returned(ticket);
                }
            }
        }
    }

    /// Records that the instance failed. Messages whose handlers had begun are not delivered again, whether they caused
    /// the failure or not, since they may have been answered. The others count as missed.
    pub(crate) fn broke(&mut self) {
        self.missed.iter_mut().chain(&mut self.live).for_each(|entry| entry.done = true);
        self.advance();
    }

    /// Records that another instance replaces the one that received these messages. It is unknown which of them the new
    /// one got.
    pub(crate) fn succeed(&mut self) {
        self.before.clear();
    }

    /// Records that a new instance begins. The messages that the last one left count as missed.
    pub(crate) fn restart(&mut self) {
        self.before.clear();
        self.gaps.clear();
        self.filled.clear();
        self.beyond = self.handled_beyond();
        self.missed.clear();
        self.live.clear();
        self.caught_up = 0;
    }

    fn handled_beyond(&self) -> Vec<String> {
        let done = self.missed.iter().chain(&self.live).filter(|entry| entry.done);
        let beyond = self.beyond.iter().cloned().chain(done.filter_map(|entry| entry.at.id.clone()));
        let beyond: Vec<String> = beyond.collect();
        beyond[beyond.len().saturating_sub(MOST)..].to_vec()
    }

    fn advance(&mut self) {
        let caught_up = self.caught_up;
        while self.missed.iter().chain(&self.live).filter(|entry| entry.done).count() > MOST {
            let early = |entry: &Entry| entry.done && entry.stream > caught_up;
            if let Some(early) = self.live.iter().position(early) {
                self.live.remove(early);
            } else if let Some(entry) = self.missed.pop_front().or_else(|| self.live.pop_front()) {
                self.reach(entry);
            }
        }
        while let Some(entry) = self.missed.pop_front_if(|entry| entry.done) {
            self.reach(entry);
        }
        if self.missed.is_empty() {
            while let Some(entry) = self.live.pop_front_if(|entry| entry.done && entry.stream <= caught_up) {
                self.reach(entry);
                // Messages that were left, or handled by former instances, are before this one too.
                let is_known = |id: &String| self.before.iter().any(|place| place.id.as_ref() == Some(id));
                if std::mem::take(&mut self.is_incomplete) || !self.beyond.iter().all(is_known) {
                    self.before.clear();
                }
                self.beyond.clear();
            }
        }
        self.keep();
    }

    fn reach(&mut self, entry: Entry) {
        let before = if entry.is_met {
            self.beyond.extend(entry.at.id.clone());
            self.beyond.drain(..self.beyond.len().saturating_sub(MOST));
            Some(entry.at)
        } else {
            self.up_to.replace(entry.at)
        };
        self.before.extend(before);
        self.before.drain(..self.before.len().saturating_sub(LOOKED_BACK.into()));
    }

    fn keep(&self) {
        if let Some(up_to) = self.up_to.clone() {
            self.keeper.keep(Handled { up_to, beyond: self.handled_beyond() });
        }
    }
}

#[cfg(test)]
mod tests;
