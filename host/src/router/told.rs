//! Which messages a plugin that catches up was told of, live or from the archive, so that none is told to it twice; and where
//! in the archive each of them is (XEP-0313).
//!
//! All that is routed to one mailbox passes here one after the other; whoever routes holds it for a moment, and no guest does.

use jiff::Timestamp;

use crate::event::{Event, Payload};
use crate::recent::Recent;
use crate::stanza::{Message, MessageKind};
use crate::store::Position;

/// How many messages are remembered at least.
const REMEMBERED: usize = 4_096;

/// How a message comes to a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Over this stream, as it was said.
    Live(u64),
    /// Out of the archive, after it was missed.
    Missed,
}

/// Where something that a plugin gets is in the account's archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It is a message of the archive.
    Message {
        /// Which one.
        at: Position,
        /// How it came.
        course: Course,
    },
    /// It is none, and says: all that was missed until this stream was told.
    CaughtUp(u64),
}

/// What becomes of an event for one mailbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is told, and has this place, if it is a message of the archive.
    Tell(Option<Place>),
    /// It was told before.
    Again,
}

/// What one plugin was told of.
#[derive(Debug)]
pub(super) struct Told {
    live: Recent,
    missed: Recent,
}

impl Told {
    /// For a mailbox of this size.
    pub(super) fn new(mailbox: usize) -> Self {
        // What waits, and what is being handled, must be known.
        let most = REMEMBERED.max(2 * mailbox);
        Self { live: Recent::new(most), missed: Recent::new(REMEMBERED) }
    }

    /// Takes note of an event that goes to this mailbox, if it was not told before.
    pub(super) fn judge(&mut self, event: &Event, course: Course) -> Verdict {
        let (Payload::Message(message) | Payload::Command { message, .. }) = &event.payload else {
            return Verdict::Tell(None);
        };
        // Of what is told of a message, it is this event that catching up tells.
        let is_message = &*event.name == "message";
        if matches!(message.kind, MessageKind::Groupchat | MessageKind::Error) {
            return Verdict::Tell(None);
        }
        let hash = message.stanza_id.as_ref().map(|id| self.live.hash(id));
        match course {
            Course::Live(_) => {
                if hash.is_some_and(|hash| self.missed.knows(hash)) {
                    return Verdict::Again;
                }
                if is_message {
                    // Before the account has said that it numbers messages, they are known by their words.
                    let hash = hash.or_else(|| message.id.is_some().then(|| self.words(message)));
                    hash.map(|hash| self.live.note(hash));
                }
            }
            Course::Missed => {
                let known = [hash, Some(self.words(message))];
                if known.into_iter().flatten().any(|hash| self.live.knows(hash)) {
                    return Verdict::Again;
                }
                if hash.is_some_and(|hash| !self.missed.note(hash)) {
                    return Verdict::Again;
                }
            }
        }
        let id = message.stanza_id.clone().filter(|_| is_message);
        let place =
            id.map(|id| Place::Message { at: Position { id: Some(id), at: reached(message, event.at) }, course });
        Verdict::Tell(place)
    }

    fn words(&self, message: &Message) -> u64 {
        self.live.hash((&message.from, &message.id, &message.body))
    }
}

/// When it was archived, as well as that can be known: what is said to be older than it is must not move a place back.
fn reached(message: &Message, came: Timestamp) -> Timestamp {
    if message.delayed { message.at.min(came) } else { came }
}
