//! Counts stanzas for stream management, and keeps those that were sent but not acknowledged (XEP-0198). Pure.

use std::collections::{HashSet, VecDeque};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use jid::FullJid;
use parlor_stanza::encode::Written;
use xmpp_parsers::sm::{Enabled, StreamId};

use super::queue::QUEUE;
use crate::bind::Previous;
use crate::event::Left;

/// The maximum number of unacknowledged stanzas; more wait.
pub(super) const WINDOW: usize = 512;
/// The number of unacknowledged bytes at which further stanzas wait: on a slow line, everything sent later is delayed
/// by these.
pub(super) const WINDOW_BYTES: usize = 128 << 10;

/// The counters and unacknowledged stanzas of one session, which outlives its connections.
#[derive(Debug)]
pub(super) struct StreamManagement {
    /// The id that resumes the session; `None` if it cannot be resumed.
    id: Option<StreamId>,
    /// The preferred host for resumption, if the server named one.
    location: Option<String>,
    /// How long the server keeps the session after connection loss, if it said so.
    kept: Option<Duration>,
    /// The number of received stanzas.
    heard: u32,
    /// The number of our stanzas that the server has acknowledged. Both ends count modulo 2³².
    acknowledged: u32,
    unacknowledged: VecDeque<Written>,
    /// The approximate memory of the unacknowledged stanzas, in bytes.
    bytes: usize,
    /// The ids of stanzas that may have ended an earlier stream. Each of them is sent alone.
    suspects: HashSet<String>,
    /// Whether received stanzas are no longer counted.
    is_closed: bool,
    /// Whether the stream is about to close, so that nothing waits for acknowledgements.
    is_ending: bool,
}

/// The error for a server that acknowledged more than was sent, or withdrew an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Miscounted {
    pub(super) handled: u32,
    pub(super) sent: u32,
}

impl StreamManagement {
    pub(super) fn new(enabled: Enabled) -> Self {
        Self {
            id: enabled.id.filter(|_| enabled.resume),
            location: enabled.location,
            kept: enabled.max.map(|seconds| Duration::from_secs(seconds.into())),
            heard: 0,
            acknowledged: 0,
            unacknowledged: VecDeque::new(),
            bytes: 0,
            suspects: HashSet::new(),
            is_closed: false,
            is_ending: false,
        }
    }

    /// Creates the state of a session that a former process left.
    pub(super) fn taken_up(left: &Left) -> Self {
        Self {
            id: Some(StreamId(left.id.clone())),
            location: left.location.clone(),
            kept: None,
            heard: left.heard,
            acknowledged: left.acknowledged,
            unacknowledged: VecDeque::new(),
            bytes: 0,
            suspects: HashSet::new(),
            is_closed: false,
            is_ending: false,
        }
    }

    /// Returns the data for a later process. Returns `None` while stanzas are unacknowledged, or if the session cannot
    /// be resumed.
    pub(super) fn left(&self, jid: FullJid) -> Option<Left> {
        let id = self.id.clone().filter(|_| self.is_settled())?;
        let location = self.location.clone();
        Some(Left { jid, id: id.0, heard: self.heard, acknowledged: self.acknowledged, location })
    }

    /// Returns whether the server has handled everything that was written.
    pub(super) fn is_settled(&self) -> bool {
        self.unacknowledged.is_empty()
    }

    /// Counts a received stanza.
    pub(super) fn count(&mut self) {
        if !self.is_closed {
            self.heard = self.heard.wrapping_add(1);
        }
    }

    /// Stops counting received stanzas: the server keeps them for the next process that resumes the session.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    /// Lets all pending stanzas be written, however many are unacknowledged: a stanza that is unwritten when the stream
    /// closes is lost.
    pub(super) fn end(&mut self) {
        self.is_ending = true;
    }

    /// Returns the number of received stanzas that were counted.
    pub(super) fn heard(&self) -> u32 {
        self.heard
    }

    /// Records that a stanza was written.
    pub(super) fn wrote(&mut self, stanza: Written) {
        self.bytes += stanza.weight();
        self.unacknowledged.push_back(stanza);
    }

    /// Returns whether this stanza may be written now. A suspect is sent alone, so that no other stanza can be mistaken
    /// for the cause.
    pub(super) fn has_room(&self, next: &Written) -> bool {
        let is_suspect = |stanza: &Written| !self.suspects.is_empty() && self.suspects.contains(&stanza.id());
        match self.unacknowledged.front() {
            None => true,
            Some(first) => {
                let is_open = self.is_ending || (self.unacknowledged.len() < WINDOW && self.bytes < WINDOW_BYTES);
                is_open && !is_suspect(first) && !is_suspect(next)
            }
        }
    }

    /// Handles the end of a stream over an unspecified stanza. Each unacknowledged stanza becomes a suspect and is sent
    /// alone from now on. If a stanza already was a suspect, it is the cause: it is returned and no longer kept.
    pub(super) fn accuse(&mut self) -> Vec<Written> {
        let under_way = std::mem::take(&mut self.unacknowledged);
        let (guilty, rest): (Vec<_>, Vec<_>) =
            under_way.into_iter().partition(|kept| self.suspects.contains(&kept.id()));
        self.suspects.extend(rest.iter().map(Written::id));
        self.bytes = rest.iter().map(Written::weight).sum();
        self.unacknowledged = rest.into();
        guilty
    }

    /// Returns the ids of stanzas that may have ended a stream, and have not been acknowledged since.
    pub(super) fn suspects(&self) -> &HashSet<String> {
        &self.suspects
    }

    /// Sets the suspects, taken from an earlier session.
    pub(super) fn suspect(&mut self, ids: HashSet<String>) {
        self.suspects = ids;
    }

    /// Applies the server's count of handled stanzas. Returns how many of these are new.
    pub(super) fn acknowledge(&mut self, handled: u32) -> Result<u32, Miscounted> {
        let open = u32::try_from(self.unacknowledged.len()).unwrap_or(u32::MAX);
        let done = handled.wrapping_sub(self.acknowledged);
        if done > open {
            return Err(Miscounted { handled, sent: self.acknowledged.wrapping_add(open) });
        }
        for kept in self.unacknowledged.drain(..done as usize) {
            self.bytes -= kept.weight();
            if !self.suspects.is_empty() {
                self.suspects.remove(&kept.id());
            }
        }
        if self.unacknowledged.is_empty() {
            // Frees the memory that a flood of stanzas used.
            self.unacknowledged.shrink_to(QUEUE);
        }
        self.acknowledged = handled;
        Ok(done)
    }

    /// Returns the data to resume the session.
    pub(super) fn previous(&self) -> Option<Previous> {
        let (heard, location, kept) = (self.heard, self.location.clone(), self.kept);
        let (unanswered, settled) = (AtomicU32::new(0), OnceLock::new());
        self.id.clone().map(|id| Previous { id, heard, location, kept, unanswered, settled })
    }

    /// Makes the session unresumable: the server has ended it, or it must not be resumed.
    pub(super) fn give_up(&mut self) {
        self.id = None;
    }

    /// Takes the unacknowledged stanzas, oldest first. After the server has reported its count, these are the ones that
    /// it has not handled.
    pub(super) fn take(&mut self) -> VecDeque<Written> {
        self.bytes = 0;
        std::mem::take(&mut self.unacknowledged)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use xmpp_parsers::message::Message;
    use xmpp_parsers::stanza::Stanza;

    use super::*;

    fn sm() -> StreamManagement {
        StreamManagement::new(Enabled { id: Some(StreamId("one".to_owned())), location: None, max: None, resume: true })
    }

    fn message(id: u32) -> Message {
        let mut message = Message::new(None);
        message.id = Some(xmpp_parsers::message::Id(id.to_string()));
        message
    }

    fn stanza(id: u32) -> Written {
        Written::of_stanza(&Stanza::Message(message(id))).unwrap()
    }

    fn ids(stanzas: VecDeque<Written>) -> Vec<u32> {
        stanzas.into_iter().map(|stanza| stanza.id().parse().unwrap()).collect()
    }

    #[test]
    fn a_count_that_cannot_be_is_refused_and_changes_nothing() {
        let mut sm = sm();
        (0..3).for_each(|id| sm.wrote(stanza(id)));
        assert_eq!(sm.acknowledge(4), Err(Miscounted { handled: 4, sent: 3 }));
        sm.acknowledge(2).unwrap();
        assert_eq!(sm.acknowledge(1), Err(Miscounted { handled: 1, sent: 3 }));
        assert_eq!(ids(sm.take()), [2]);
    }

    #[test]
    fn the_room_that_a_flood_took_is_given_back() {
        let mut sm = sm();
        let flood = u32::try_from(WINDOW).unwrap();
        (0..flood).for_each(|id| sm.wrote(stanza(id)));
        sm.acknowledge(flood).unwrap();
        assert!(sm.unacknowledged.capacity() <= 2 * QUEUE, "{}", sm.unacknowledged.capacity());
    }

    #[test]
    fn what_is_under_way_is_bounded_in_bytes_and_one_stanza_may_be_in_any_case() {
        let long = |id: u32| {
            let mut message = message(id);
            message.payloads.push(format!("<x xmlns='urn:x'>{}</x>", "y".repeat(WINDOW_BYTES)).parse().unwrap());
            Written::of_stanza(&Stanza::Message(message)).unwrap()
        };
        let mut sm = sm();
        assert!(sm.has_room(&long(1)));
        sm.wrote(long(1));
        assert!(!sm.has_room(&stanza(2)), "it would come after all that");
        sm.end();
        assert!(sm.has_room(&stanza(2)), "nothing is kept back at the end");
        sm.is_ending = false;
        sm.acknowledge(1).unwrap();
        assert!(sm.has_room(&long(2)) && sm.bytes == 0);
        sm.wrote(long(2));
        assert_eq!(ids(sm.take()), [2]);
        assert!(sm.has_room(&long(3)) && sm.bytes == 0);
    }

    #[test]
    fn what_cannot_be_resumed_still_knows_what_was_lost() {
        let mut sm = sm();
        assert!(sm.previous().is_some());
        sm.wrote(stanza(7));
        sm.give_up();
        assert!(sm.previous().is_none());
        assert_eq!(ids(sm.take()), [7]);
        let id = Some(StreamId("one".to_owned()));
        assert!(StreamManagement::new(Enabled { id, location: None, max: None, resume: false }).previous().is_none());
    }

    #[test]
    fn a_session_is_left_only_when_nothing_is_under_way() {
        let jid = FullJid::new("bot@localhost/here").unwrap();
        let mut sm = sm();
        sm.count();
        sm.wrote(stanza(1));
        assert!(sm.left(jid.clone()).is_none());
        sm.acknowledge(1).unwrap();
        let left = sm.left(jid.clone()).unwrap();
        assert_eq!((left.id.as_str(), left.heard, left.acknowledged), ("one", 1, 1));
        let mut taken_up = StreamManagement::taken_up(&left);
        assert_eq!(taken_up.previous().map(|previous| previous.heard), Some(1));
        taken_up.wrote(stanza(2));
        assert_eq!(taken_up.acknowledge(0), Err(Miscounted { handled: 0, sent: 2 }));
        taken_up.acknowledge(2).unwrap();
        taken_up.give_up();
        assert!(taken_up.left(jid).is_none());
    }

    proptest! {
        /// Across any number of connection losses, and across the wrap of the counters, each stanza is either
        /// acknowledged or still kept.
        #[test]
        fn nothing_is_forgotten_and_nothing_is_sent_twice_that_arrived(
            rounds in proptest::collection::vec((0_u32..20, 0_u32..20), 1..20),
        ) {
            let mut sm = sm();
            sm.acknowledged = u32::MAX - 30;
            let mut taken_in = sm.acknowledged;
            let (mut next, mut arrived, mut waiting) = (0, Vec::new(), VecDeque::new());
            for (written, lost) in rounds {
                let mut under_way = Vec::new();
                waiting.extend((0..written).map(|_| { next += 1; next }));
                for id in waiting.drain(..) {
                    sm.wrote(stanza(id));
                    under_way.push(id);
                }
                under_way.truncate(under_way.len().saturating_sub(lost as usize));
                taken_in = taken_in.wrapping_add(u32::try_from(under_way.len()).unwrap());
                arrived.extend(under_way);
                // The connection is lost, and the session resumed.
                sm.acknowledge(taken_in).unwrap();
                waiting.extend(ids(sm.take()));
            }
            arrived.extend(waiting);
            prop_assert_eq!(arrived, (1..=next).collect::<Vec<_>>());
        }
    }
}
