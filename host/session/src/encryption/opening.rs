//! Decrypts received OMEMO messages, and determines their key and author.

use std::time::Duration;

use jid::{BareJid, FullJid, Jid};
use jiff::Timestamp;
use parlor_e2ee::omemo::payload::{self, PayloadError};
use parlor_e2ee::omemo::{Prekeys, ReceiveError, Received, Secret, Session as OmemoSession};
use parlor_stanza::decode::read_envelope;
use parlor_stanza::files::add_encrypted;
use parlor_stanza::types::{Carbon, DeviceTrust, Draft, Encrypted, Encryption, Hint, Message, MessageKind, OmemoForm};

use super::EndToEnd;
use super::beside::drop_what_is_beside;
use super::kept::{MessageKey, Way};
use super::keys_for_us::receive_one_of;
use super::message_keys::archived;
use super::owing::heal;
use super::partner::partner;
use super::publishing;
use super::remarks::Remarks;
use super::sessions::version;
use super::trust::{KeyKind, is_enough, of_omemo};
use crate::iq::keys::Fetch;
use crate::records::encryption::UndecryptableReason;
use crate::records::room::Room;
use crate::rooms::Rooms;
use crate::turn::Turn;

/// The outcome of decrypting a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It has a content, which is in the message now.
    Says,
    /// It carries only keys, so there is nothing to deliver.
    Nothing,
    /// It cannot be read.
    Cannot(UndecryptableReason),
    /// It waits for this fetch. Nothing has changed.
    Waits(Fetch),
}

/// The origin of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Its id in the archive.
    pub(crate) id: Option<&'a str>,
    /// The archive, if it is a room's.
    pub(crate) room: Option<&'a BareJid>,
    /// The author, as a room or its archive says.
    pub(crate) author: Option<&'a Jid>,
    /// Whether the author's own server was asked about the key.
    pub(crate) is_asked: bool,
    /// Whether it is from a queried archive.
    pub(crate) is_past: bool,
    /// When it was sent, if a room or the server repeats it, or kept it until the account came.
    pub(crate) history: Option<Timestamp>,
}

/// A decrypted content.
struct Content {
    jid: BareJid,
    form: OmemoForm,
    plain: Secret,
    trust: DeviceTrust,
}

/// The author of a message.
struct Author {
    jid: BareJid,
    /// Whether only a room names the author.
    is_claimed: bool,
}

/// Why a message is not decrypted now.
enum Refusal {
    /// It cannot be decrypted.
    Cannot(UndecryptableReason),
    /// A room names the author, and this fetch will show whether the key is theirs.
    Unvouched(Fetch),
}

impl From<UndecryptableReason> for Refusal {
    fn from(reason: UndecryptableReason) -> Self {
        Self::Cannot(reason)
    }
}

/// Decrypts a message in place.
pub(crate) fn open(
    keys: &mut EndToEnd,
    message: &mut Message,
    source: Source<'_>,
    rooms: &Rooms,
    turn: &mut Turn<'_>,
) -> Opened {
    let encrypted = std::mem::take(&mut message.encrypted);
    let opened = open_one_of(keys, message, &encrypted, source, rooms, turn);
    match opened {
        Opened::Says => keys.counts.decrypted += 1,
        Opened::Nothing => {}
        Opened::Cannot(_) => keys.counts.undecryptable += 1,
        Opened::Waits(_) => {
            message.encrypted = encrypted;
            return opened;
        }
    }
    if opened != Opened::Says {
        // The text is for clients that cannot decrypt it.
        message.body = None;
        message.bodies = Vec::new();
        message.subject = None;
        message.extensions = None;
        message.encryption = Some(Encryption::Omemo);
    }
    opened
}

fn open_one_of(
    keys: &mut EndToEnd,
    message: &mut Message,
    encrypted: &[Encrypted],
    source: Source<'_>,
    rooms: &Rooms,
    turn: &mut Turn<'_>,
) -> Opened {
    let Some(own_device) = keys.device.as_ref().map(|device| device.id().get()) else {
        return Opened::Cannot(UndecryptableReason::NoSession);
    };
    let room = rooms.shown.get(&message.chat).filter(|_| message.kind == MessageKind::Groupchat).map(|room| &**room);
    // Only the account itself sends as its own device.
    if encrypted.iter().any(|one| one.sender == own_device) && is_own(message, room) {
        return own(keys, message);
    }
    let mut mine = encrypted.iter().rev().filter(|one| one.keys.has(own_device));
    let Some(last) = mine.next() else {
        if encrypted.iter().all(|one| one.payload.is_none()) {
            return Opened::Nothing;
        }
        if source.is_past || message.carbon.is_some() {
            return Opened::Cannot(UndecryptableReason::OtherDevice);
        }
        // Many clients fetch the account's list once. They encrypt for this device when they have got a message from it.
        for one in encrypted.iter().filter(|_| source.history.is_none()) {
            if let Some(jid) = author(keys, message, rooms, source, one) {
                heal(keys, (&jid, one.sender, one.form), false, turn);
            }
        }
        return Opened::Cannot(UndecryptableReason::NoKeyForUs);
    };
    let (mut encrypted, mut content) = (last, content_of(keys, message, last, source, rooms, turn));
    // The session in one form may be lost. A message that came before is not read once more by its other form.
    if let Err(Refusal::Cannot(UndecryptableReason::NoSession | UndecryptableReason::Broken)) = content
        && let Some(other) = mine.next()
    {
        (encrypted, content) = (other, content_of(keys, message, other, source, rooms, turn));
    }
    match content {
        Ok(None) => Opened::Nothing,
        // A repeated message, as for each plugin that catches up, has no content the second time either.
        Err(Refusal::Cannot(_)) if encrypted.payload.is_none() => Opened::Nothing,
        Err(Refusal::Cannot(reason)) => Opened::Cannot(reason),
        Err(Refusal::Unvouched(fetch)) => Opened::Waits(fetch),
        Ok(Some(content)) => {
            let (form, author) = (content.form, content.jid.clone());
            match fill(&mut keys.remarks, message, content, turn) {
                Some(()) => {
                    if author != turn.own.to_bare() {
                        note_way(keys, message, source, (&author, form), rooms, turn);
                    }
                    Opened::Says
                }
                None => Opened::Cannot(UndecryptableReason::Broken),
            }
        }
    }
}

/// Decrypts the content of a message in one form.
fn content_of(
    keys: &mut EndToEnd,
    message: &Message,
    encrypted: &Encrypted,
    source: Source<'_>,
    rooms: &Rooms,
    turn: &mut Turn<'_>,
) -> Result<Option<Content>, Refusal> {
    let known = source.id.map(|id| archived(source.room, id));
    let wrote = author(keys, message, rooms, source, encrypted);
    let read = known.as_deref().and_then(|known| again(keys, known, wrote.as_ref(), encrypted, source.is_past));
    if let Some(read) = read {
        return read.map(Some).map_err(Refusal::Cannot);
    }
    let jid = wrote.ok_or(UndecryptableReason::NoSession)?;
    let is_of_room = message.kind == MessageKind::Groupchat || rooms.has(&message.from.to_bare());
    let is_claimed = is_of_room || source.room.is_some();
    decrypt(keys, Author { jid, is_claimed }, encrypted, known, source, turn)
}

/// Returns whether a message is from the account itself.
fn is_own(message: &Message, room: Option<&Room>) -> bool {
    message.own || room.is_some_and(|room| room.is_ours(message))
}

/// Fills an own message with its content, if it was sent a moment ago: a device cannot decrypt its own messages.
fn own(keys: &mut EndToEnd, message: &mut Message) -> Opened {
    let id = message.origin_id.clone().or_else(|| message.id.clone()).unwrap_or_default();
    let Some(draft) = keys.recall(&message.chat.to_bare(), &id) else {
        return Opened::Cannot(UndecryptableReason::NoKeyForUs);
    };
    let Draft { body, subject, thread, extensions, .. } = *draft;
    (message.body, message.subject, message.extensions) = (body, subject, extensions);
    message.thread = thread.or_else(|| message.thread.take());
    message.bodies = Vec::new();
    message.encryption = Some(Encryption::Omemo);
    message.device_trust = Some(DeviceTrust::Trusted);
    Opened::Says
}

/// Returns the author of a message. In a room, and in a private message through one, that is the person behind the nickname.
fn author(
    keys: &EndToEnd,
    message: &Message,
    rooms: &Rooms,
    source: Source<'_>,
    encrypted: &Encrypted,
) -> Option<BareJid> {
    if let Some(author) = source.author {
        return Some(author.to_bare());
    }
    let from = message.from.to_bare();
    let Some(room) = rooms.shown.get(&from) else { return Some(from) };
    let occupant = message.from.resource().and_then(|nick| room.occupants.get(nick.as_str()));
    // It would be attributed to the person who has the nickname now, so it has to be theirs, in the room's history as well.
    occupant.and_then(|occupant| occupant.jid.as_ref()).map(Jid::to_bare).or_else(|| {
        // An author who wrote before the account entered may have left. The session identifies them: only they can
        // continue it.
        let (device, form) = (encrypted.sender, encrypted.form);
        let member = keys.members.at_least(room).into_iter().find(|jid| keys.sessions.get(jid, device, form).is_some());
        // A room repeats its history at the entry, before its members are known.
        let is_of_absent = source.history.is_some() && occupant.is_none();
        member.or_else(|| keys.sessions.owner_of(device, form).filter(|_| is_of_absent).cloned())
    })
}

/// Decrypts a message that was decrypted before: it arrived again from the archive, or live after that. The author is
/// checked, since under the same id the content could be attributed to somebody else. `None`: it was not decrypted before.
fn again(
    keys: &mut EndToEnd,
    known: &str,
    author: Option<&BareJid>,
    encrypted: &Encrypted,
    is_past: bool,
) -> Option<Result<Content, UndecryptableReason>> {
    let key = keys.message_keys.get(known)?;
    let is_theirs = author.is_none_or(|author| *author == key.jid);
    if !is_theirs || key.device != encrypted.sender || key.form != encrypted.form {
        return None;
    }
    let body = encrypted.payload.as_deref()?;
    let plain = payload::decrypt(version(key.form), body, encrypted.iv.as_deref(), &key.key).ok()?;
    let (jid, device, form, at) = (key.jid.clone(), key.device, key.form, key.at);
    if !is_past && !keys.message_keys.serves_live(known) {
        // The session may have been replaced since, so that it would take the message for a forged one.
        return Some(Err(UndecryptableReason::Replayed));
    }
    let policy = keys.config.unwrap_or_default().trust;
    let known = keys.trust.of_message(&jid, device, at);
    let trust = known.map_or(DeviceTrust::Undecided, |trust| super::trust::counting(trust, policy));
    is_enough(trust).then_some(Ok(Content { jid, form, plain, trust }))
}

/// Decrypts a message with the session of its device. `None` in the answer: it carries only keys.
fn decrypt(
    keys: &mut EndToEnd,
    Author { jid, is_claimed }: Author,
    encrypted: &Encrypted,
    known: Option<String>,
    source: Source<'_>,
    turn: &mut Turn<'_>,
) -> Result<Option<Content>, Refusal> {
    let (form, sender, is_past) = (encrypted.form, encrypted.sender, source.is_past);
    let device = keys.device.as_ref().ok_or(UndecryptableReason::NoSession)?;
    if sender == 0 {
        return Err(UndecryptableReason::Broken.into());
    }
    let held = keys.sessions.get(&jid, sender, form);
    let before = held.map(OmemoSession::fingerprint);
    // Archived messages may use a prekey that was used before. New messages must use a fresh one.
    let prekeys = if is_past { Prekeys::All } else { Prekeys::Fresh };
    let received = receive_one_of(&encrypted.keys, device, held, (version(form), prekeys));
    let received = received.ok_or(UndecryptableReason::NoKeyForUs)?;
    let Received { session, plain: key, used_prekey, .. } = match received {
        Ok(received) => received,
        Err(error) => {
            tracing::debug!(%jid, device = sender, %error, "a message cannot be decrypted");
            let is_old = is_old(keys, &jid, encrypted, source);
            // A server that kept a message may send it once more. A device that goes on from a backup writes new ones.
            let is_copy = error == ReceiveError::Replayed && source.history.is_some();
            // Clients repeat the exchange for as long as it is not answered, although another device was the first to use its prekey.
            let is_late = matches!(error, ReceiveError::UsedPrekey(_) | ReceiveError::UnknownSignedPrekey(_));
            if error.may_heal() && !is_old && !is_copy {
                heal(keys, (&jid, sender, form), is_late && !is_claimed, turn);
            }
            return Err(reason(error, is_old).into());
        }
    };
    let wants_answer = session.wants_answer(held);
    // No state has changed so far: if the content was damaged in transit, a genuine copy can still be read.
    let opened = open_payload(encrypted, &key).map_err(|error| {
        tracing::debug!(%jid, device = sender, %error, "a message cannot be decrypted");
        UndecryptableReason::Broken
    })?;
    let is_known = before == Some(session.fingerprint());
    let fingerprint = of_omemo(session.fingerprint());
    if is_claimed && !is_known && !keys.trust.knows(&jid, sender, &fingerprint) {
        return Err(unvouched(keys, Fetch::Bundle(jid, sender, form), source, turn));
    }
    if keys.is_swapped(&jid, sender, &fingerprint, turn) {
        return Err(UndecryptableReason::Distrusted.into());
    }
    let mut changes = Vec::new();
    let trust = keys.meet(&jid, KeyKind::Omemo { device: sender }, fingerprint, &mut changes, turn).trust;
    keys.sessions.put((&jid, sender, form), session, &mut changes);
    if let Some(used) = used_prekey {
        publishing::use_prekey(keys, used, is_past, &mut changes, turn);
    }
    if let (Some(_), Some(archived)) = (&opened, known) {
        let key = MessageKey { archived, jid: jid.clone(), device: sender, form, key, at: turn.now };
        keys.message_keys.put(key, is_past, &mut changes);
    }
    turn.keep_keys(changes);
    if !is_enough(trust) {
        return if encrypted.payload.is_none() { Ok(None) } else { Err(UndecryptableReason::Distrusted.into()) };
    }
    // An archive may have messages of devices that the person removed long ago.
    if !is_past {
        keys.lists.add((&jid, form), sender, written(source, turn));
    }
    if wants_answer {
        keys.owed.owe(&jid, sender, form, turn);
    }
    Ok(opened.map(|plain| Content { jid, form, plain, trust }))
}

/// Asks an author's own server for the key that a room attributes to them. An archived message does not wait: it can be
/// read when it is queried again.
fn unvouched(keys: &mut EndToEnd, fetch: Fetch, source: Source<'_>, turn: &mut Turn<'_>) -> Refusal {
    let now = turn.deadlines.elapsed();
    let may_ask = !source.is_asked && (keys.fetches.is_under_way(&fetch) || keys.unvouched.may_ask(&fetch, now));
    if may_ask && keys.fetches.want(&fetch, turn) && !source.is_past {
        return Refusal::Unvouched(fetch);
    }
    Refusal::Cannot(UndecryptableReason::Distrusted)
}

fn open_payload(encrypted: &Encrypted, key: &[u8]) -> Result<Option<Secret>, PayloadError> {
    let Some(body) = &encrypted.payload else { return Ok(None) };
    payload::decrypt(version(encrypted.form), body, encrypted.iv.as_deref(), key).map(Some)
}

/// Returns whether a message may be older than the session with its device. Then the session works, although it cannot read the
/// message. A room repeats its history at each entry. In a chat, a later message of the device was read.
fn is_old(keys: &EndToEnd, jid: &BareJid, encrypted: &Encrypted, source: Source<'_>) -> bool {
    let later = |at| keys.message_keys.has_later((jid, encrypted.sender, encrypted.form), at);
    source.is_past || source.history.is_some_and(|at| source.room.is_some() || later(at))
}

/// Returns when a message was written, as the time since the first step.
fn written(source: Source<'_>, turn: &Turn<'_>) -> Duration {
    let age = source.history.and_then(|at| Duration::try_from(turn.now.duration_since(at)).ok());
    turn.deadlines.elapsed().saturating_sub(age.unwrap_or_default())
}

fn reason(error: ReceiveError, is_old: bool) -> UndecryptableReason {
    match error {
        ReceiveError::Replayed => UndecryptableReason::Replayed,
        // Its session is gone, or it is forged: nobody can tell.
        ReceiveError::Forged if is_old => UndecryptableReason::NoSession,
        ReceiveError::NoSession
        | ReceiveError::UnknownPrekey(_)
        | ReceiveError::UsedPrekey(_)
        | ReceiveError::UnknownSignedPrekey(_)
        | ReceiveError::TooFar { .. } => UndecryptableReason::NoSession,
        ReceiveError::OwnDevice => UndecryptableReason::OtherDevice,
        _ => UndecryptableReason::Broken,
    }
}

/// Notes that a message of a chat was encrypted with OMEMO. Unless it is from an archive, it is the chat's last one.
fn note_way(
    keys: &mut EndToEnd,
    message: &Message,
    source: Source<'_>,
    (author, form): (&BareJid, OmemoForm),
    rooms: &Rooms,
    turn: &mut Turn<'_>,
) {
    if message.carbon == Some(Carbon::Sent) {
        return;
    }
    if message.kind != MessageKind::Groupchat && !source.is_past && rooms.has(&message.from.to_bare()) {
        keys.ways.occupant_wrote(&message.from, author, Way::Omemo(form), turn.deadlines.elapsed());
    }
    let to = if message.kind == MessageKind::Groupchat { &message.chat } else { &message.from };
    let kind = if message.kind == MessageKind::Groupchat { MessageKind::Groupchat } else { MessageKind::Chat };
    let Some(partner) = partner(to, kind, rooms) else { return };
    // Replies refer to it by this id (XEP-0461, section 4.1).
    let id =
        if kind == MessageKind::Groupchat { source.id } else { message.origin_id.as_deref().or(message.id.as_deref()) };
    if let Some(id) = id {
        keys.ways.note_message(&partner, id, Way::Omemo(form));
    }
    if !source.is_past {
        let mut changes = Vec::new();
        keys.came_by(&partner, Way::Omemo(form), &mut changes, turn);
        turn.keep_keys(changes);
    }
}

/// Notes that an unencrypted message of a chat was received.
pub(crate) fn plainly(keys: &mut EndToEnd, message: &Message, rooms: &Rooms, turn: &mut Turn<'_>) {
    // Clients react and retract plainly in encrypted chats, too, with a text for clients that know neither.
    let is_said = message.says_something() && !message.own && !message.delayed && message.carbon != Some(Carbon::Sent);
    if !is_said || message.kind == MessageKind::Headline {
        return;
    }
    let kind = if message.kind == MessageKind::Groupchat { MessageKind::Groupchat } else { MessageKind::Chat };
    let to = if kind == MessageKind::Groupchat { &message.chat } else { &message.from };
    // A room could name anybody as its occupant, so an occupant's private message must not end encryption in that
    // person's chat.
    if kind == MessageKind::Chat && rooms.has(&message.from.to_bare()) {
        return;
    }
    // Messages of the room itself do not count: a room sends them unencrypted in encrypted chats, too.
    if kind == MessageKind::Groupchat && message.nick.is_none() {
        return;
    }
    if let Some(partner) = partner(to, kind, rooms) {
        keys.came_plainly(&partner, turn);
    }
}

/// Puts the content into the message; `None` if it is not valid, or was written for somebody else.
fn fill(remarks: &mut Remarks, message: &mut Message, content: Content, turn: &Turn<'_>) -> Option<()> {
    let Content { jid, form, plain, trust } = content;
    match form {
        OmemoForm::Older => {
            message.body = Some(String::from_utf8(plain.to_vec()).ok()?);
            drop_what_is_beside(message);
        }
        OmemoForm::Current => {
            let own: FullJid = turn.own.clone().try_into_full().ok()?;
            let envelope = read_envelope(&plain, message.kind, &message.from, &own)?;
            // An envelope need not name its author (XEP-0384, section 5.5.1), whom the session proves.
            let is_theirs = envelope.from.as_ref().is_none_or(|from| from.to_bare() == jid);
            let for_whom = envelope.to.as_ref().map(Jid::to_bare);
            let is_for = if message.kind == MessageKind::Groupchat { &message.chat } else { &message.to };
            let is_right = for_whom.as_ref().map(|whom| *whom == is_for.to_bare());
            let is_right = is_right.unwrap_or(message.kind != MessageKind::Groupchat);
            if !is_theirs || !is_right {
                return None;
            }
            if let Some(written) = envelope.time {
                remarks.compare(turn.account(), &jid, written, message.at);
            }
            if envelope.opts_out {
                remarks.opts_out(turn.account(), &jid);
            }
            let hints: Vec<Hint> = message.extensions.take().map(|outside| outside.hints).unwrap_or_default();
            message.extensions = envelope.extensions;
            if !hints.is_empty() {
                message.extensions.get_or_insert_default().hints = hints;
            }
            message.body = envelope.body;
            message.subject = envelope.subject;
            message.thread = envelope.thread;
        }
    }
    add_encrypted(message);
    message.bodies = Vec::new();
    message.encryption = Some(Encryption::Omemo);
    message.device_trust = Some(trust);
    Some(())
}
