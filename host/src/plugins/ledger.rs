//! Up to where in one archive, the account's or a room's, a plugin that catches up has handled what was said.
//!
//! Handled is what the plugin's handler returned from. Handlers overlap: all up to the first one that has not returned is
//! handled, and of the rest those that have, by name. What comes over a stream, or from a room that was entered, is put beyond what
//! was missed before that, until this was told: else what is still to be told would be passed. No I/O but by the keeper, which
//! never waits.

use std::collections::VecDeque;

use crate::router::{Course, Place};
use crate::store::{Handled, Position, PositionKeeper};

/// How many messages are known by name; a handler that so many others have overtaken counts as returned.
const MOST: usize = 256;

/// A handler that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    at: Position,
    /// The stream that it came over, or the time that its room was entered; what was missed is older than all.
    stream: u64,
    done: bool,
}

/// The places of what one plugin handles on one account, over all of its instances.
#[derive(Debug)]
pub(super) struct Ledger {
    keeper: PositionKeeper,
    /// Up to where all is handled; none: nobody has said yet where the plugin begins.
    up_to: Option<Position>,
    /// Handled in former lives, and later than that, until something is that came after it.
    beyond: Vec<String>,
    /// All that was missed until this stream was told.
    caught_up: u64,
    missed: VecDeque<Entry>,
    live: VecDeque<Entry>,
    next: u64,
}

impl Ledger {
    pub(super) fn new(keeper: PositionKeeper) -> Self {
        Self {
            keeper,
            up_to: None,
            beyond: Vec::new(),
            caught_up: 0,
            missed: VecDeque::new(),
            live: VecDeque::new(),
            next: 0,
        }
    }

    /// What outlives the process.
    pub(super) fn keeper(&self) -> &PositionKeeper {
        &self.keeper
    }

    /// Up to where all is handled.
    pub(super) fn up_to(&self) -> Option<&Position> {
        self.up_to.as_ref()
    }

    /// Whether all that was missed until this stream was told.
    pub(super) fn is_caught_up(&self, stream: u64) -> bool {
        self.caught_up >= stream
    }

    /// Whether a message that is beyond was handled, or is being handled.
    pub(super) fn knows(&self, id: &str) -> bool {
        let entries = self.missed.iter().chain(&self.live);
        entries.filter_map(|entry| entry.at.id.as_deref()).any(|known| known == id)
            || self.beyond.iter().any(|known| known == id)
    }

    /// Where the plugin goes on, or begins.
    pub(super) fn begin(&mut self, handled: Handled) {
        self.up_to = Some(handled.up_to);
        self.beyond = handled.beyond;
        self.keep();
    }

    /// A handler begins with something that has this place.
    pub(super) fn began(&mut self, place: Place) -> Option<Ticket> {
        let Place::Message { at, course, .. } = place else {
            self.passed(place);
            return None;
        };
        self.next += 1;
        let ticket = Ticket(self.next);
        let (queue, stream) = match course {
            Course::Missed => (&mut self.missed, 0),
            Course::Live(stream) => (&mut self.live, stream),
        };
        queue.push_back(Entry { ticket, at, stream, done: false });
        Some(ticket)
    }

    /// It returned.
    pub(super) fn returned(&mut self, ticket: Ticket) {
        if let Some(entry) = self.missed.iter_mut().chain(&mut self.live).find(|entry| entry.ticket == ticket) {
            entry.done = true;
        }
        self.advance();
    }

    /// The plugin has nothing to do with what is at this place.
    pub(super) fn passed(&mut self, place: Place) {
        match place {
            Place::CaughtUp(_, stream) => {
                self.caught_up = self.caught_up.max(stream);
                self.advance();
            }
            place @ Place::Message { .. } => {
                if let Some(ticket) = self.began(place) {
                    self.returned(ticket);
                }
            }
        }
    }

    /// The instance ended in the midst of what it did. What it had begun with is not given again, whether that broke it or not:
    /// it may have been answered. What it had not begun with was missed.
    pub(super) fn broke(&mut self) {
        self.missed.iter_mut().chain(&mut self.live).for_each(|entry| entry.done = true);
        self.advance();
    }

    /// A new instance begins: what the last one left was missed.
    pub(super) fn restart(&mut self) {
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
            if let Some(entry) = self.missed.pop_front() {
                self.up_to = Some(entry.at);
            } else if let Some(entry) = self.live.pop_front().filter(|entry| entry.stream <= caught_up) {
                self.up_to = Some(entry.at);
            }
        }
        while let Some(entry) = self.missed.pop_front_if(|entry| entry.done) {
            self.up_to = Some(entry.at);
        }
        if self.missed.is_empty() {
            while let Some(entry) = self.live.pop_front_if(|entry| entry.done && entry.stream <= caught_up) {
                self.up_to = Some(entry.at);
                self.beyond.clear();
            }
        }
        self.keep();
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

    use super::*;
    use crate::clock::Clock;
    use crate::store::{Archive, Owner, Store};

    fn at(id: u32) -> Position {
        Position { id: Some(id.to_string()), at: Timestamp::from_second(id.into()).unwrap() }
    }

    fn live(id: u32) -> Place {
        Place::Message { of: Archive::Own, at: at(id), course: Course::Live(1) }
    }

    fn missed(id: u32) -> Place {
        Place::Message { of: Archive::Own, at: at(id), course: Course::Missed }
    }

    /// A ledger of a plugin that has handled all up to 0, and its keeper.
    fn ledger() -> (Store, Ledger) {
        let store = Store::in_memory();
        let owner = Owner { account: "bot@example.org".parse().unwrap(), plugin: "echo".parse().unwrap() };
        let mut ledger = Ledger::new(store.data(Clock::Machine).positions(owner).of(Archive::Own));
        ledger.begin(Handled { up_to: at(0), beyond: Vec::new() });
        (store, ledger)
    }

    /// What a later process would find: the place, and what is handled beyond it.
    async fn kept(ledger: &Ledger) -> (String, Vec<String>) {
        let Handled { up_to, beyond } = ledger.keeper().load().await.unwrap().unwrap();
        (up_to.id.unwrap(), beyond)
    }

    fn known(id: &str, beyond: &[&str]) -> (String, Vec<String>) {
        (id.to_owned(), beyond.iter().map(|&id| id.to_owned()).collect())
    }

    #[tokio::test]
    async fn the_place_is_before_the_first_handler_that_has_not_returned() {
        let (_store, mut ledger) = ledger();
        ledger.passed(Place::CaughtUp(Archive::Own, 1));
        let tickets: Vec<_> = (1..=3).map(|id| ledger.began(live(id)).unwrap()).collect();
        ledger.returned(tickets[1]);
        assert_eq!(kept(&ledger).await, known("0", &["2"]));
        ledger.passed(live(4));
        assert_eq!(kept(&ledger).await, known("0", &["2", "4"]));
        assert!(ledger.knows("1") && ledger.knows("4") && !ledger.knows("5"));
        ledger.returned(tickets[0]);
        assert_eq!(kept(&ledger).await, known("2", &["4"]));
        ledger.returned(tickets[2]);
        assert_eq!(kept(&ledger).await, known("4", &[]));
    }

    #[tokio::test]
    async fn what_comes_live_passes_nothing_that_was_missed_and_is_still_to_be_told() {
        let (_store, mut ledger) = ledger();
        ledger.passed(live(9));
        assert_eq!(kept(&ledger).await, known("0", &["9"]));
        let five = ledger.began(missed(5)).unwrap();
        ledger.returned(five);
        assert_eq!(kept(&ledger).await, known("5", &["9"]));
        ledger.passed(missed(8));
        ledger.passed(Place::CaughtUp(Archive::Own, 1));
        assert_eq!(kept(&ledger).await, known("9", &[]));
        assert!(ledger.is_caught_up(1) && !ledger.is_caught_up(2));
    }

    #[tokio::test]
    async fn what_broke_an_instance_is_not_given_to_the_next_one_and_what_it_did_not_begin_with_is() {
        let (_store, mut ledger) = ledger();
        ledger.passed(Place::CaughtUp(Archive::Own, 1));
        ledger.began(live(1)).unwrap();
        ledger.began(live(2)).unwrap();
        ledger.broke();
        ledger.restart();
        assert_eq!(ledger.up_to(), Some(&at(2)));
        assert!(!ledger.is_caught_up(1), "what waited for the old one was missed");
    }

    #[tokio::test]
    async fn what_was_cut_off_is_given_again_and_what_overtook_it_is_not() {
        let (_store, mut ledger) = ledger();
        ledger.passed(Place::CaughtUp(Archive::Own, 1));
        ledger.began(live(1)).unwrap();
        ledger.passed(live(2));
        ledger.restart();
        assert_eq!(ledger.up_to(), Some(&at(0)));
        assert!(!ledger.knows("1") && ledger.knows("2"));
        ledger.passed(missed(1));
        assert_eq!(kept(&ledger).await, known("1", &["2"]));
    }

    #[tokio::test]
    async fn what_overtook_what_was_cut_off_is_not_given_again_by_whoever_follows_either() {
        let (_store, mut ledger) = ledger();
        ledger.passed(Place::CaughtUp(Archive::Own, 1));
        ledger.began(live(1)).unwrap();
        ledger.passed(live(2));
        ledger.restart();
        ledger.passed(missed(1));
        ledger.passed(Place::CaughtUp(Archive::Own, 1));
        assert_eq!(kept(&ledger).await, known("1", &["2"]));
        // Nothing was said meanwhile.
        ledger.restart();
        assert!(ledger.knows("2"));
        ledger.passed(Place::CaughtUp(Archive::Own, 1));
        ledger.passed(live(3));
        assert_eq!(kept(&ledger).await, known("3", &[]));
    }

    #[tokio::test]
    async fn a_handler_that_never_returns_holds_nothing_up_for_ever() {
        let (_store, mut ledger) = ledger();
        ledger.passed(Place::CaughtUp(Archive::Own, 1));
        ledger.began(live(1)).unwrap();
        let most = u32::try_from(MOST).unwrap();
        for id in 2..2 + most {
            ledger.passed(live(id));
        }
        assert_eq!(ledger.up_to(), Some(&at(0)));
        ledger.passed(live(2 + most));
        assert_eq!(kept(&ledger).await, known(&(2 + most).to_string(), &[]));
    }
}
