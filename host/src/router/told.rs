//! Which messages a plugin that catches up was told of, live or from an archive, so that none is told to it twice; and where
//! in the account's archive, or a room's, each of them is (XEP-0313).
//!
//! All that is routed to one mailbox passes here one after the other; whoever routes holds it for a moment, and no guest does.

use std::sync::Arc;

use arc_swap::ArcSwap;
use imbl::HashSet;
use jid::BareJid;
use jiff::Timestamp;

use crate::event::{Event, Payload};
use crate::recent::Recent;
use crate::stanza::{Message, MessageKind};
use crate::store::{Archive, Position};

/// How many messages are remembered at least.
const REMEMBERED: usize = 4_096;

/// How a message comes to a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// As it was said: over this stream; in a room, after it was entered for this time.
    Live(u64),
    /// Out of an archive, after it was missed.
    Missed,
}

/// Where something that a plugin gets is in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It is a message of the archive.
    Message {
        /// Whose archive.
        of: Archive,
        /// Which one.
        at: Position,
        /// How it came.
        course: Course,
    },
    /// It is none, and says: all that was missed until this stream, or this time in the room, was told.
    CaughtUp(Archive, u64),
}

impl Place {
    /// Whose archive it is in.
    pub fn of(&self) -> &Archive {
        match self {
            Self::Message { of, .. } | Self::CaughtUp(of, _) => of,
        }
    }
}

/// The rooms whose past a plugin gets out of their archives, and not from what they say of it when they are entered: shared by those
/// who route and whoever asks the archives, without a lock.
#[derive(Debug, Clone, Default)]
pub struct CaughtUpRooms(Arc<ArcSwap<HashSet<BareJid>>>);

impl CaughtUpRooms {
    /// From now on, so it is with this one.
    pub(crate) fn add(&self, room: &BareJid) {
        self.0.rcu(|rooms| rooms.update(room.clone()));
    }

    /// No longer with this one.
    pub(crate) fn remove(&self, room: &BareJid) {
        self.0.rcu(|rooms| rooms.without(room));
    }

    fn has(&self, room: &BareJid) -> bool {
        self.0.load().contains(room)
    }
}

/// What becomes of an event for one mailbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is told, and has this place, if it is a message of the archive.
    Tell(Option<Place>),
    /// It was told before anybody knew that it has this place.
    Pass(Place),
    /// It was told before.
    Again,
}

/// What one plugin was told of.
#[derive(Debug)]
pub(super) struct Told {
    live: Recent,
    missed: Recent,
    rooms: CaughtUpRooms,
}

impl Told {
    /// For a mailbox of this size, of a plugin that catches up in these rooms.
    pub(super) fn new(mailbox: usize, rooms: CaughtUpRooms) -> Self {
        // What waits, and what is being handled, must be known.
        let most = REMEMBERED.max(2 * mailbox);
        Self { live: Recent::new(most), missed: Recent::new(REMEMBERED), rooms }
    }

    /// Takes note of an event that goes to this mailbox, if it was not told before.
    pub(super) fn judge(&mut self, event: &Event, course: Course) -> Verdict {
        let (Payload::Message(message) | Payload::Command { message, .. }) = &event.payload else {
            return Verdict::Tell(None);
        };
        // Of what is told of a message, it is this event that catching up tells.
        let is_message = &*event.name == "message";
        if message.kind == MessageKind::Error {
            return Verdict::Tell(None);
        }
        let of = archive_of(message);
        let is_caught_up_in = of.room().is_none_or(|room| self.rooms.has(room));
        // What a room says of its past its archive says as well, and further back, and what of it was handled is known there.
        let is_past = of.room().is_some() && is_caught_up_in && message.delayed;
        if is_past && is_message && matches!(course, Course::Live(_)) {
            return Verdict::Again;
        }
        // Both: where a service leaves ids that others wrote in its name, one that was used before must hide nothing.
        let hash = message.stanza_id.as_ref().map(|id| self.live.hash((&of, id, self.words(message))));
        let mut was_told = false;
        match course {
            Course::Live(_) => {
                if hash.is_some_and(|hash| self.missed.knows(hash)) {
                    return Verdict::Again;
                }
                if is_message {
                    // Before the account or the room has said that it numbers messages, they are known by their words.
                    let hash = hash.or_else(|| message.id.is_some().then(|| self.words(message)));
                    hash.map(|hash| self.live.note(hash));
                }
            }
            Course::Missed => {
                if hash.is_some_and(|hash| self.live.knows(hash) || !self.missed.note(hash)) {
                    return Verdict::Again;
                }
                was_told = self.live.knows(self.words(message));
            }
        }
        let id = message.stanza_id.clone().filter(|_| is_message && is_caught_up_in);
        let place =
            id.map(|id| Place::Message { at: Position { id: Some(id), at: reached(message, event.at) }, course, of });
        match place {
            Some(place) if was_told => Verdict::Pass(place),
            None if was_told => Verdict::Again,
            place => Verdict::Tell(place),
        }
    }

    fn words(&self, message: &Message) -> u64 {
        self.live.hash((&message.from, &message.id, &message.body))
    }
}

fn archive_of(message: &Message) -> Archive {
    match message.kind {
        MessageKind::Groupchat => Archive::Room(message.chat.to_bare()),
        MessageKind::Chat | MessageKind::Normal | MessageKind::Headline | MessageKind::Error => Archive::Own,
    }
}

/// When it was archived, as well as that can be known: what is said to be older than it is must not move a place back.
fn reached(message: &Message, came: Timestamp) -> Timestamp {
    if message.delayed { message.at.min(came) } else { came }
}
