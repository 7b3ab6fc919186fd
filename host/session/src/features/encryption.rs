//! Encrypted messages: each is replaced by its decrypted content, or reported with the reason why it cannot be
//! decrypted.

use std::sync::Arc;

use jid::Jid;
use jiff::Timestamp;
use parlor_stanza::types::{ArchiveResult, Encryption, Message, MessageKind};

use super::Features;
use crate::encryption::off_the_record::{Heard, drop_tag, hear, is_meant, is_of_protocol, is_sealed};
use crate::encryption::opening::{Opened, Source, open, plainly};
use crate::encryption::vouched::HeldMessage;
use crate::event::Payload;
use crate::iq::keys::Fetch;
use crate::messages::{name_occupant, place_in_time};
use crate::records::encryption::{Undecryptable, UndecryptableReason};
use crate::rooms::Rooms;
use crate::turn::Turn;

/// Decrypts a received message. Returns `None` if it has nothing to report, or not yet. `author`: the message waited
/// until this person's server was asked about their key.
pub(super) fn taken_in(
    features: &mut Features,
    mut message: Box<Message>,
    author: Option<&Jid>,
    turn: &mut Turn<'_>,
) -> Option<Box<Message>> {
    let Features { encryption, rooms, .. } = features;
    // A returned error contains the account's own message, so it must not be decrypted as one of the sender.
    if message.kind == MessageKind::Error {
        return Some(message);
    }
    if !message.encrypted.is_empty() && encryption.has_omemo() {
        let room = (message.kind == MessageKind::Groupchat).then(|| message.chat.to_bare());
        // Decide now whether it is new: that depends on the messages before it, and one without a key waits.
        if author.is_none() {
            place(&mut message, rooms, turn);
        }
        let (id, history) = (message.stanza_id.clone(), history(&message, turn));
        let (room, is_asked) = (room.as_ref(), author.is_some());
        let source = Source { id: id.as_deref(), room, author, is_asked, is_past: false, history };
        return match open(encryption, &mut message, source, rooms, turn) {
            Opened::Says => Some(message),
            Opened::Nothing => None,
            Opened::Cannot(reason) => tell(features, message, reason, turn),
            Opened::Waits(fetch) => hold(features, message, fetch, turn),
        };
    }
    match unreadable(&mut message, encryption.has_omemo()) {
        Unreadable::No => {}
        Unreadable::Nothing => return None,
        Unreadable::Cannot(reason) => {
            encryption.counts_as_unreadable();
            place(&mut message, rooms, turn);
            return tell(features, message, reason, turn);
        }
    }
    if is_meant(encryption, &message, rooms, turn) {
        return match hear(encryption, &mut message, turn) {
            Heard::Says => Some(message),
            Heard::Plain => {
                plainly(encryption, &message, rooms, turn);
                Some(message)
            }
            Heard::Nothing => None,
            Heard::Cannot(reason) => tell(features, message, reason, turn),
        };
    }
    if is_of_protocol(&message) && encryption.has_otr(&message.chat.to_bare(), turn) {
        message.encryption = Some(Encryption::Otr);
        return tell(features, message, UndecryptableReason::OtherDevice, turn);
    }
    if is_sealed(&message) {
        // OTR is off, and the person's client does not know.
        encryption.counts_as_unreadable();
        message.encryption = Some(Encryption::Otr);
        return tell(features, message, UndecryptableReason::Unsupported, turn);
    }
    plainly(encryption, &message, rooms, turn);
    Some(message)
}

/// Decides whether a message of a room is history.
fn place(message: &mut Message, rooms: &Rooms, turn: &Turn<'_>) {
    if message.kind == MessageKind::Groupchat
        && let Some(tells) = rooms.tells(&message.chat)
    {
        place_in_time(message, tells, false, turn.now);
    }
}

/// Returns when a message was sent, if it is history, or the server kept it until the account came.
fn history(message: &Message, turn: &Turn<'_>) -> Option<Timestamp> {
    // Stamps of the author's client do not count: some stamp all messages.
    let is_signed = message.kind == MessageKind::Groupchat || message.claimed_at != Some(message.at);
    (message.delayed && is_signed && !turn.was_said_to_us(message)).then_some(message.at)
}

/// Whether a message is encrypted in a way that is not decrypted here.
enum Unreadable {
    /// It is not.
    No,
    /// It is, and carries only keys.
    Nothing,
    /// It is, and this is the reason.
    Cannot(UndecryptableReason),
}

/// Returns whether a message is encrypted in a way that is not decrypted here, and removes its text then, which is for clients that cannot
/// decrypt it. It would look as if the person had said that.
fn unreadable(message: &mut Message, has_omemo: bool) -> Unreadable {
    let encrypted = std::mem::take(&mut message.encrypted);
    let is_omemo = !encrypted.is_empty();
    if is_omemo && message.sealed_by.is_none() && encrypted.iter().all(|one| one.payload.is_none()) {
        return Unreadable::Nothing;
    }
    let Some(by) = message.sealed_by.take().or(is_omemo.then_some(Encryption::Omemo)) else { return Unreadable::No };
    message.body = None;
    message.bodies = Vec::new();
    message.subject = None;
    message.extensions = None;
    message.encryption = Some(by);
    // Only a hint says so: the content was lost on the way.
    let is_lost = by == Encryption::Omemo && has_omemo;
    Unreadable::Cannot(if is_lost { UndecryptableReason::Broken } else { UndecryptableReason::Unsupported })
}

/// Handles a message that came through a room once more, after the server of its author was asked about the key.
pub(super) fn again(features: &mut Features, held: HeldMessage, turn: &mut Turn<'_>) {
    let author = Jid::from(held.author);
    if let Some(message) = taken_in(features, held.message, Some(&author), turn) {
        if message.kind == MessageKind::Groupchat {
            features.groupchat(message, true, turn);
        } else {
            features.direct(message, turn);
        }
    }
}

/// Lets a message that came through a room wait for the key of its author.
fn hold(features: &mut Features, message: Box<Message>, fetch: Fetch, turn: &mut Turn<'_>) -> Option<Box<Message>> {
    let Fetch::Bundle(author, ..) = &fetch else { return None };
    let author = author.clone();
    match features.encryption.hold(fetch, HeldMessage { message, author }) {
        Ok(()) => None,
        Err(held) => tell(features, held.message, UndecryptableReason::Distrusted, turn),
    }
}

/// Reports that a message cannot be decrypted.
fn tell(
    features: &Features,
    mut message: Box<Message>,
    reason: UndecryptableReason,
    turn: &mut Turn<'_>,
) -> Option<Box<Message>> {
    message.delayed &= !turn.was_said_to_us(&message);
    let room = features.rooms.shown.get(&message.chat).filter(|_| message.kind == MessageKind::Groupchat);
    if message.kind != MessageKind::Groupchat {
        name_occupant(&mut message, &features.rooms, &features.roster);
    }
    let is_ours = room.is_some_and(|room| room.is_ours(&message));
    message.own |= is_ours;
    let told = Undecryptable::of(*message, reason);
    turn.fire("undecryptable", Payload::Undecryptable(Arc::new(told)));
    None
}

/// Takes in a message of an archive, decrypted if it can be.
pub(super) fn archived(features: &mut Features, mut result: ArchiveResult, turn: &mut Turn<'_>) {
    let Features { archives, encryption, rooms, roster, .. } = features;
    let mut reason = None;
    if let Some((archive, of_room)) = archives.asked_for(&result)
        && let Some(message) = &mut result.message
    {
        let room = Some(archive).filter(|_| of_room);
        if !message.encrypted.is_empty() && encryption.has_omemo() {
            // Rooms archive the author's address, accounts do not.
            let author: Option<&Jid> = result.author.as_ref().filter(|_| room.is_some());
            let (id, room) = (Some(&*result.id), room.as_ref());
            let source = Source { id, room, author, is_asked: false, is_past: true, history: None };
            let opened = open(encryption, message, source, rooms, turn);
            if let Opened::Cannot(why) = opened {
                reason = Some(why);
            }
        } else if let Unreadable::Cannot(why) = unreadable(message, encryption.has_omemo()) {
            encryption.counts_as_unreadable();
            reason = Some(why);
        } else if is_of_protocol(message) && (is_sealed(message) || !message.own) {
            let is_on = encryption.has_otr(&message.chat.to_bare(), turn);
            if is_on || is_sealed(message) {
                message.body = None;
                message.encryption = Some(Encryption::Otr);
                reason = Some(if is_on { UndecryptableReason::OtherDevice } else { UndecryptableReason::Unsupported });
            }
        }
        message.encrypted = Vec::new();
        drop_tag(message);
    }
    archives.archived(result, reason, rooms, roster, turn);
}
