//! The delivery log: which messages a plugin that catches up has had, live or from an archive, so that none is
//! delivered twice. It also knows where each message is in the account's archive, or in a room's (XEP-0313).
//!
//! All events that are routed to one mailbox pass here one after the other. The routing thread holds the log for a
//! moment, and no guest does.

use std::sync::Arc;

use arc_swap::ArcSwap;
use imbl::HashSet;
use jid::{BareJid, Jid};
use jiff::Timestamp;
use parlor_base::recent::Recent;
use parlor_stanza::types::{Message, MessageKind};

use crate::event::{Event, Payload};
use crate::position::{Archive, Position};
use crate::records::encryption::Undecryptable;

/// Minimum number of messages that are remembered.
const REMEMBERED: usize = 4_096;

/// How a message reaches a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Live: over the stream of this number or, in a room, during the visit of this number.
    Live(u64),
    /// From an archive, after it was missed.
    Missed,
}

/// The place of an item in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchivePlace {
    /// It is an archived message.
    Message {
        /// The archive that has the message.
        of: Archive,
        /// The position of the message in it.
        at: Position,
        /// How the message is delivered.
        delivery: Delivery,
    },
    /// It is not a message. It means that everything missed up to this stream, or this visit to the room, was
    /// delivered.
    CaughtUp(Archive, u64),
}

impl ArchivePlace {
    /// Returns the archive that the place is in.
    pub fn of(&self) -> &Archive {
        match self {
            Self::Message { of, .. } | Self::CaughtUp(of, _) => of,
        }
    }
}

/// The rooms whose history a plugin gets from their archives instead of from the room when it is entered. Routing and
/// catch-up share it without a lock.
#[derive(Debug, Clone, Default)]
pub struct CaughtUpRooms(Arc<ArcSwap<HashSet<BareJid>>>);

impl CaughtUpRooms {
    /// Adds a room.
    pub fn add(&self, room: &BareJid) {
        self.0.rcu(|rooms| rooms.update(room.clone()));
    }

    /// Removes a room.
    pub fn remove(&self, room: &BareJid) {
        self.0.rcu(|rooms| rooms.without(room));
    }

    fn has(&self, room: &BareJid) -> bool {
        self.0.load().contains(room)
    }
}

/// The decision about an event for one mailbox.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is delivered, with its place if it is an archived message.
    Tell(Option<ArchivePlace>),
    /// It was delivered before its place was known.
    Pass(ArchivePlace),
    /// It was delivered before.
    Again,
}

/// The delivery log of one plugin.
#[derive(Debug)]
pub(super) struct DeliveryLog {
    live: Recent,
    missed: Recent,
    rooms: CaughtUpRooms,
}

impl DeliveryLog {
    /// Creates the log for a mailbox of this size, of a plugin that catches up in these rooms.
    pub(super) fn new(mailbox: usize, rooms: CaughtUpRooms) -> Self {
        // All mail that waits or is being handled must be remembered.
        let most = REMEMBERED.max(2 * mailbox);
        Self { live: Recent::new(most), missed: Recent::new(REMEMBERED), rooms }
    }

    /// Decides about an event for this mailbox, and records it.
    pub(super) fn judge(&mut self, event: &Event, delivery: Delivery) -> Verdict {
        let message = match &event.payload {
            Payload::Message(message) | Payload::Command { message, .. } => message,
            Payload::Undecryptable(told) => return self.judge_undecryptable(told, delivery),
            _ => return Verdict::Tell(None),
        };
        // Several events report a message; catching up delivers only this one.
        let is_message = &*event.name == "message";
        if message.kind == MessageKind::Error {
            return Verdict::Tell(None);
        }
        let of = archive_of(message.kind, &message.chat);
        let is_caught_up_in = of.room().is_none_or(|room| self.rooms.has(room));
        // A room's archive has the same messages as the history that the room sends, goes further back, and has the
        // positions of those that were handled.
        let is_past = of.room().is_some() && is_caught_up_in && message.delayed;
        if is_past && is_message && matches!(delivery, Delivery::Live(_)) {
            return Verdict::Again;
        }
        // The hash covers id and text: if a service lets others write ids in its name, a reused id must hide nothing.
        let hash = message.stanza_id.as_ref().map(|id| self.live.hash((&of, id, self.words(message))));
        let mut was_told = false;
        match delivery {
            Delivery::Live(_) => {
                if hash.is_some_and(|hash| self.missed.knows(hash)) {
                    return Verdict::Again;
                }
                if is_message {
                    // Until the account or the room has announced that it numbers messages, they are recognised by
                    // their text.
                    let hash = hash.or_else(|| message.id.is_some().then(|| self.words(message)));
                    hash.map(|hash| self.live.note(hash));
                }
            }
            Delivery::Missed => {
                if hash.is_some_and(|hash| self.live.knows(hash) || !self.missed.note(hash)) {
                    return Verdict::Again;
                }
                was_told = self.live.knows(self.words(message));
            }
        }
        let id = message.stanza_id.clone().filter(|_| is_message && is_caught_up_in);
        let place = id.map(|id| ArchivePlace::Message {
            at: Position { id: Some(id), at: reached(message, event.at) },
            delivery,
            of,
        });
        match place {
            Some(place) if was_told => Verdict::Pass(place),
            None if was_told => Verdict::Again,
            place => Verdict::Tell(place),
        }
    }

    /// Decides about a message that cannot be decrypted. It has no place, since the archive may have its text later, when the host
    /// knows its key. So the archive lists it again and again, and here it is told once.
    fn judge_undecryptable(&mut self, told: &Undecryptable, delivery: Delivery) -> Verdict {
        let Some(id) = &told.stanza_id else { return Verdict::Tell(None) };
        let of = archive_of(told.kind, &told.chat);
        // A text that comes later has another hash.
        let hash = self.live.hash((&of, id, &told.from, &told.id));
        let (is_past, was_live) = (told.delayed, self.live.knows(hash));
        let is_new = match delivery {
            // A room repeats its last messages when it is entered.
            Delivery::Live(_) => {
                self.live.note(hash);
                !(self.missed.knows(hash) || is_past && was_live)
            }
            Delivery::Missed => self.missed.note(hash) && !was_live,
        };
        if is_new { Verdict::Tell(None) } else { Verdict::Again }
    }

    fn words(&self, message: &Message) -> u64 {
        self.live.hash((&message.from, &message.id, &message.body))
    }
}

fn archive_of(kind: MessageKind, chat: &Jid) -> Archive {
    match kind {
        MessageKind::Groupchat => Archive::Room(chat.to_bare()),
        MessageKind::Chat | MessageKind::Normal | MessageKind::Headline | MessageKind::Error => Archive::Own,
    }
}

/// Returns the best estimate of the time at which a message was archived. A message that claims to be older must not
/// move the position back.
fn reached(message: &Message, came: Timestamp) -> Timestamp {
    if message.delayed { message.at.min(came) } else { came }
}
