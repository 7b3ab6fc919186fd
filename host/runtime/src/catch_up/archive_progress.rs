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
pub(super) const LOOKED_BACK: u8 = 50;

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
    /// Whether it came live and the archive has it among the missed messages.
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
    /// Those of them that were delivered.
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
mod tests {
    use jiff::Timestamp;
    use parlor_base::clock::Clock;
    use parlor_session::position::Archive;
    use parlor_store::{Owner, Store};

    use super::*;

    fn at(id: u32) -> Position {
        Position { id: Some(id.to_string()), at: Timestamp::from_second(id.into()).unwrap() }
    }

    fn live(id: u32) -> ArchivePlace {
        over(1, id)
    }

    fn over(stream: u64, id: u32) -> ArchivePlace {
        ArchivePlace::Message { of: Archive::Own, at: at(id), delivery: Delivery::Live(stream) }
    }

    fn missed(id: u32) -> ArchivePlace {
        ArchivePlace::Message { of: Archive::Own, at: at(id), delivery: Delivery::Missed }
    }

    /// Returns the progress of a plugin that has handled everything up to 0, and its store.
    fn archive() -> (Store, ArchiveProgress) {
        let store = Store::in_memory();
        let owner = Owner { account: "bot@example.org".parse().unwrap(), plugin: "echo".parse().unwrap() };
        let mut archive = ArchiveProgress::new(store.data(Clock::Machine).positions(owner).of(Archive::Own));
        archive.begin(Handled { up_to: at(0), beyond: Vec::new() });
        (store, archive)
    }

    /// Returns the state that a later process would find: the position, and the messages handled after it.
    async fn kept(archive: &ArchiveProgress) -> (String, Vec<String>) {
        let Handled { up_to, beyond } = archive.keeper().load().await.unwrap().unwrap();
        (up_to.id.unwrap(), beyond)
    }

    fn known(id: &str, beyond: &[&str]) -> (String, Vec<String>) {
        (id.to_owned(), beyond.iter().map(|&id| id.to_owned()).collect())
    }

    #[tokio::test]
    async fn the_place_is_before_the_first_handler_that_has_not_returned() {
        let (_store, mut archive) = archive();
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        let tickets: Vec<_> = (1..=3).map(|id| archive.began(live(id)).unwrap()).collect();
        archive.returned(tickets[1]);
        assert_eq!(kept(&archive).await, known("0", &["2"]));
        archive.passed(live(4));
        assert_eq!(kept(&archive).await, known("0", &["2", "4"]));
        assert!(archive.knows("1") && archive.knows("4") && !archive.knows("5"));
        archive.returned(tickets[0]);
        assert_eq!(kept(&archive).await, known("2", &["4"]));
        archive.returned(tickets[2]);
        assert_eq!(kept(&archive).await, known("4", &[]));
    }

    #[tokio::test]
    async fn what_comes_live_passes_nothing_that_was_missed_and_is_still_to_be_told() {
        let (_store, mut archive) = archive();
        archive.passed(live(9));
        assert_eq!(kept(&archive).await, known("0", &["9"]));
        let five = archive.began(missed(5)).unwrap();
        archive.returned(five);
        assert_eq!(kept(&archive).await, known("5", &["9"]));
        archive.passed(missed(8));
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        assert_eq!(kept(&archive).await, known("9", &[]));
        assert!(archive.is_caught_up(1) && !archive.is_caught_up(2));
    }

    #[tokio::test]
    async fn a_handler_of_the_stream_before_holds_the_place_and_does_not_move_it_back() {
        let (_store, mut archive) = archive();
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        let slow = archive.began(live(1)).unwrap();
        archive.falls_behind();
        assert!(archive.meets("1") && !archive.meets("2") && !archive.meets("3"));
        archive.passed(missed(2));
        archive.passed(missed(3));
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 2));
        assert_eq!(kept(&archive).await, known("0", &["2", "3"]), "who is killed now has not handled all");
        archive.returned(slow);
        assert_eq!(kept(&archive).await, known("3", &["1"]));
        archive.passed(over(2, 5));
        assert_eq!(kept(&archive).await, known("5", &[]));
        assert_eq!(lacking(&mut archive, 0..5), ["4"], "what is known to have been told still is");
    }

    #[tokio::test]
    async fn what_came_between_two_cuts_is_not_gone_back_to() {
        let (_store, mut archive) = archive();
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        archive.falls_behind();
        archive.passed(over(2, 5));
        // The next stream starts before everything was delivered that this one missed.
        archive.falls_behind();
        assert!(!archive.meets("4") && archive.meets("5") && !archive.meets("6"));
        archive.passed(missed(4));
        archive.passed(missed(6));
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 3));
        assert_eq!(kept(&archive).await, known("6", &["5"]));
        archive.restart();
        assert!(archive.meets("5"), "it is not told again");
    }

    #[tokio::test]
    async fn what_a_stream_did_not_bring_is_not_passed_while_it_is_told() {
        let (_store, mut archive) = archive();
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        let slow = archive.began(live(1)).unwrap();
        archive.passed(live(4));
        archive.falls_behind();
        assert!(archive.meets("1"));
        archive.returned(slow);
        assert_eq!(kept(&archive).await, known("0", &["1", "4"]), "the archive may have some between them");
        archive.passed(missed(2));
        assert!(archive.meets("4"));
        archive.passed(missed(3));
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 2));
        assert_eq!(kept(&archive).await, known("3", &["1", "4"]));
    }

    #[tokio::test]
    async fn what_broke_an_instance_is_not_given_to_the_next_one_and_what_it_did_not_begin_with_is() {
        let (_store, mut archive) = archive();
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        archive.began(live(1)).unwrap();
        archive.began(live(2)).unwrap();
        archive.broke();
        archive.restart();
        assert_eq!(archive.up_to(), Some(&at(2)));
        assert!(!archive.is_caught_up(1), "what waited for the old one was missed");
    }

    #[tokio::test]
    async fn what_was_cut_off_is_given_again_and_what_overtook_it_is_not() {
        let (_store, mut archive) = archive();
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        archive.began(live(1)).unwrap();
        archive.passed(live(2));
        archive.restart();
        assert_eq!(archive.up_to(), Some(&at(0)));
        assert!(!archive.knows("1") && archive.knows("2"));
        archive.passed(missed(1));
        assert_eq!(kept(&archive).await, known("1", &["2"]));
    }

    #[tokio::test]
    async fn what_overtook_what_was_cut_off_is_not_given_again_by_whoever_follows_either() {
        let (_store, mut archive) = archive();
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        archive.began(live(1)).unwrap();
        archive.passed(live(2));
        archive.restart();
        archive.passed(missed(1));
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        assert_eq!(kept(&archive).await, known("1", &["2"]));
        // No message came meanwhile.
        archive.restart();
        assert!(archive.knows("2"));
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        archive.passed(live(3));
        assert_eq!(kept(&archive).await, known("3", &[]));
        assert_eq!(lacking(&mut archive, 0..3), [""; 0]);
    }

    /// Returns which of these the plugin lacks.
    fn lacking(archive: &mut ArchiveProgress, last: impl IntoIterator<Item = u32>) -> Vec<String> {
        let ids: Vec<_> = last.into_iter().map(|id| id.to_string()).collect();
        archive.lacks(ids.iter().map(String::as_str))
    }

    #[tokio::test]
    async fn what_a_stream_did_not_bring_is_told_on_the_next_one_and_moves_the_place_nowhere() {
        let (_store, mut archive) = archive();
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        assert!(!archive.may_look_back());
        let slow = archive.began(live(2)).unwrap();
        for id in [3, 6, 7] {
            archive.passed(live(id));
        }
        assert!(!archive.may_look_back(), "the place is where it was");
        archive.returned(slow);
        assert!(archive.may_look_back());
        assert_eq!(lacking(&mut archive, [8, 9]), [""; 0], "nothing there was told");
        assert_eq!(lacking(&mut archive, 1..=6), ["4", "5"]);
        for id in [4, 5] {
            archive.passed(missed(id));
            assert_eq!(kept(&archive).await, known("7", &[]));
        }
        assert_eq!(lacking(&mut archive, 1..=6), [""; 0], "they were told");
        archive.passed(missed(8));
        assert_eq!(kept(&archive).await, known("8", &[]));
    }

    #[tokio::test]
    async fn it_is_looked_back_for_so_many_messages_and_not_beyond_another_instance() {
        let (_store, mut archive) = archive();
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        let most = u32::from(LOOKED_BACK);
        for id in 1..=most + 5 {
            archive.passed(live(2 * id));
        }
        let lacks = lacking(&mut archive, 0..2 * (most + 5));
        assert_eq!((lacks.len(), lacks[0].as_str()), (usize::from(LOOKED_BACK), "11"));
        archive.succeed();
        assert!(!archive.may_look_back());
        // A message that is already under way.
        archive.passed(missed(11));
        assert_eq!(archive.up_to(), Some(&at(2 * (most + 5))));
    }

    #[tokio::test]
    async fn what_was_left_in_the_archive_stays_there() {
        let (_store, mut archive) = archive();
        archive.passed(missed(1));
        archive.leave_rest();
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        for id in [5, 6, 8] {
            archive.passed(live(id));
        }
        assert_eq!(lacking(&mut archive, 0..8), ["7"]);
    }

    #[tokio::test]
    async fn a_handler_that_never_returns_holds_nothing_up_for_ever() {
        let (_store, mut archive) = archive();
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        archive.began(live(1)).unwrap();
        let most = u32::try_from(MOST).unwrap();
        for id in 2..2 + most {
            archive.passed(live(id));
        }
        assert_eq!(archive.up_to(), Some(&at(0)));
        archive.passed(live(2 + most));
        assert_eq!(kept(&archive).await, known(&(2 + most).to_string(), &[]));
    }

    /// A host that is killed meanwhile would else lose the message, whose handler has not returned.
    #[tokio::test]
    async fn what_comes_live_meanwhile_overtakes_no_missed_message_however_much_it_is() {
        let (_store, mut archive) = archive();
        let slow = archive.began(missed(1)).unwrap();
        let most = u32::try_from(MOST).unwrap();
        for id in 10..10 + 2 * most {
            archive.passed(live(id));
        }
        assert_eq!(kept(&archive).await.0, "0");
        assert!(archive.knows(&(9 + 2 * most).to_string()) && !archive.knows("10"));
        archive.returned(slow);
        assert_eq!(kept(&archive).await.0, "1");
        archive.passed(ArchivePlace::CaughtUp(Archive::Own, 1));
        assert_eq!(kept(&archive).await, known(&(9 + 2 * most).to_string(), &[]));
    }
}
