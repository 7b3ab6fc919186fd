//! When to acknowledge, and when to ask for an acknowledgement (XEP-0198, section 4). Pure.
//!
//! Both can wait a moment: an acknowledgement for a stanza that goes out soon, in the same packet, and a request for
//! the stanzas that follow. Each would cost a separate packet, and the server's answer another one.

use std::time::Duration;

use tokio::time::Instant;

/// How long an acknowledgement waits for a stanza to go out with it. Servers wait for it for half a minute.
const HOLD: Duration = Duration::from_millis(10);
/// How long after a stanza the server is asked, at the latest, whether it has handled it.
const ASK_AFTER: Duration = Duration::from_millis(250);
/// How many stanzas are written before the server is asked, at the latest.
pub(super) const ASK_EVERY: usize = 16;
/// How many acknowledgements wait, at most.
const MOST_HELD: u32 = 64;

/// The acknowledgements that the server waits for, and the stanzas that it was not yet asked about.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// The number of acknowledgements that the server has requested and not received.
    due: u32,
    /// When the oldest of them was requested.
    due_since: Option<Instant>,
    /// The number of stanzas that were written since the server was last asked.
    unasked: usize,
    /// When the oldest of them was written.
    unasked_since: Option<Instant>,
    /// Whether nothing waits, since the stream is about to end.
    hurries: bool,
}

impl Acks {
    /// Notes that the server requests an acknowledgement.
    pub(super) fn requested(&mut self, now: Instant) {
        self.due = self.due.saturating_add(1);
        self.due_since.get_or_insert(now);
    }

    /// Notes that an acknowledgement was written.
    pub(super) fn acknowledged(&mut self) {
        self.due = self.due.saturating_sub(1);
        if self.due == 0 {
            self.due_since = None;
        }
    }

    /// Notes that a stanza was written.
    pub(super) fn wrote(&mut self, now: Instant) {
        self.unasked += 1;
        self.unasked_since.get_or_insert(now);
    }

    /// Notes that the server was asked.
    pub(super) fn asked(&mut self) {
        (self.unasked, self.unasked_since) = (0, None);
    }

    /// Lets nothing wait any more. `owes`: a last acknowledgement is written in any case.
    pub(super) fn hurry(&mut self, owes: bool) {
        self.hurries = true;
        self.due = self.due.max(u32::from(owes));
    }

    /// Returns whether an acknowledgement is to be written now. `beside`: other data is being written as well.
    pub(super) fn is_due(&self, beside: bool, now: Instant) -> bool {
        let is_late = |since: Instant| now >= since + HOLD;
        self.due > 0 && (beside || self.hurries || self.due >= MOST_HELD || self.due_since.is_none_or(is_late))
    }

    /// Returns whether the server should be asked now. `waits`: a stanza waits for acknowledgements of earlier ones.
    pub(super) fn is_to_ask(&self, waits: bool, now: Instant) -> bool {
        let is_late = |since: Instant| now >= since + ASK_AFTER;
        self.unasked > 0
            && (waits || self.hurries || self.unasked >= ASK_EVERY || self.unasked_since.is_some_and(is_late))
    }

    /// Returns when something is due that is not now. `can_ask`: no request to the server is pending.
    pub(super) fn next(&self, can_ask: bool) -> Option<Instant> {
        let ack = self.due_since.map(|since| since + HOLD);
        let ask = self.unasked_since.filter(|_| can_ask).map(|since| since + ASK_AFTER);
        ack.into_iter().chain(ask).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_goes_with_other_data_or_after_a_moment() {
        let now = Instant::now();
        let mut acks = Acks::default();
        assert!(!acks.is_due(true, now), "nobody asked");
        acks.requested(now);
        acks.requested(now + HOLD / 2);
        assert!(!acks.is_due(false, now) && acks.is_due(true, now));
        assert_eq!(acks.next(true), Some(now + HOLD));
        assert!(acks.is_due(false, now + HOLD), "the first request has waited for long enough");
        acks.acknowledged();
        assert!(acks.is_due(false, now + HOLD), "each request has its answer");
        acks.acknowledged();
        assert!(!acks.is_due(true, now + HOLD) && acks.next(true).is_none());
    }

    #[test]
    fn requests_of_a_hostile_server_do_not_pile_up() {
        let now = Instant::now();
        let mut acks = Acks::default();
        (1..MOST_HELD).for_each(|_| acks.requested(now));
        assert!(!acks.is_due(false, now));
        acks.requested(now);
        assert!(acks.is_due(false, now));
    }

    #[test]
    fn the_server_is_asked_every_few_stanzas_after_a_moment_and_when_a_stanza_waits() {
        let now = Instant::now();
        let mut acks = Acks::default();
        assert!(!acks.is_to_ask(true, now), "nothing was written");
        acks.wrote(now);
        assert!(!acks.is_to_ask(false, now) && acks.is_to_ask(true, now));
        assert_eq!((acks.next(true), acks.next(false)), (Some(now + ASK_AFTER), None));
        assert!(acks.is_to_ask(false, now + ASK_AFTER));
        (1..ASK_EVERY).for_each(|_| acks.wrote(now));
        assert!(acks.is_to_ask(false, now));
        acks.asked();
        assert!(!acks.is_to_ask(true, now + ASK_AFTER) && acks.next(true).is_none());
    }

    #[test]
    fn nothing_waits_at_the_end() {
        let now = Instant::now();
        let mut acks = Acks::default();
        acks.wrote(now);
        acks.hurry(true);
        assert!(acks.is_to_ask(false, now) && acks.is_due(false, now));
        acks.acknowledged();
        acks.hurry(false);
        assert!(!acks.is_due(true, now), "it was written once");
    }
}
