//! Off-the-record messaging: incoming and outgoing messages of its conversations.

use jid::{BareJid, Jid};
use parlor_base::id::InstanceId;
use parlor_config::OtrPolicy;
use parlor_e2ee::omemo::Secret;
use parlor_e2ee::otr::{Fingerprint, Outcome, ReceiveError, State, is_encoded, is_otr, untagged};
use parlor_stanza::error::CallError;
use parlor_stanza::files::add_encrypted;
use parlor_stanza::types::{
    DeviceTrust, Encryption, EncryptionWish, Extensions, Hint, Message, MessageKind, Outgoing, Sealed, SealedContent,
};

use super::EndToEnd;
use super::beside::drop_what_is_beside;
use super::comparing;
use super::html;
use super::kept::{KeyChange, Way};
use super::otr::{OtrChat, rules};
use super::outbound::{Outbound, no_encryption};
use super::plainly::plainly;
use super::remarks::Remark;
use super::sealing::has_content;
use super::trust::{KeyKind, is_enough, of_otr};
use super::waiting::{put, refuse};
use crate::answer::Answer;
use crate::iq::random_id;
use crate::records::encryption::{OtrStatus, UndecryptableReason};
use crate::rooms::Rooms;
use crate::turn::{FollowUp, Turn};

/// Why a message without a text is refused.
const ONLY_TEXT: &str = "off the record, only a body or a file is encrypted";
/// The text behind a query, for people whose client shows it. It has no digits: python-potr takes them for offered versions.
const WITHOUT_OTR: &str = "This chat is to be encrypted by OTR. If you can read this, your client does not support it.";

/// The outcome of reading a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It was not encrypted.
    Plain,
    /// It has a text, which is in the message now.
    Says,
    /// It belongs to the protocol, so there is nothing to deliver.
    Nothing,
    /// It cannot be read.
    Cannot(UndecryptableReason),
}

/// Returns the text of a message, unless it is one to all in a room. The protocol is between two people: in a room,
/// what looks like it is what somebody has written, which plugins that moderate have to see.
fn text_between_two(message: &Message) -> Option<&str> {
    message.body.as_deref().filter(|_| message.kind != MessageKind::Groupchat)
}

/// Returns whether a text is one of the protocol that another client of the account received, or that is in an archive.
pub(crate) fn is_of_protocol(message: &Message) -> bool {
    text_between_two(message).is_some_and(is_otr)
}

/// Returns whether a text is an encrypted one, and not words about the protocol such as a query.
pub(crate) fn is_sealed(message: &Message) -> bool {
    text_between_two(message).is_some_and(is_encoded)
}

/// Removes the whitespace by which clients such as Pidgin say in a plain text that they know OTR. A plugin that sends the
/// text back would say so as well, and their clients would begin.
pub(crate) fn drop_tag(message: &mut Message) {
    if message.encryption.is_some() {
        return;
    }
    let Message { body, bodies, .. } = message;
    for text in body.iter_mut().chain(bodies.iter_mut().map(|(_, text)| text)) {
        if let Some(without) = untagged(text) {
            *text = without;
        }
    }
}

/// Returns whether a message may belong to a conversation.
pub(crate) fn is_meant(keys: &EndToEnd, message: &Message, rooms: &Rooms, turn: &Turn<'_>) -> bool {
    let is_direct = matches!(message.kind, MessageKind::Chat | MessageKind::Normal);
    let is_said_here = !message.own && message.carbon.is_none() && message.from.is_full() && !rooms.has(&message.chat);
    let Some(body) = message.body.as_deref().filter(|_| is_direct && is_said_here) else { return false };
    let jid = message.from.to_bare();
    keys.has_otr(&jid, turn) && (is_otr(body) || keys.otr.get(&jid).is_some() || keys.requires_otr(&jid))
}

/// Reads a message of a conversation.
pub(crate) fn hear(keys: &mut EndToEnd, message: &mut Message, turn: &mut Turn<'_>) -> Heard {
    let (jid, from) = (message.from.to_bare(), message.from.clone());
    let Some(text) = message.body.take() else { return Heard::Plain };
    let now = turn.deadlines.elapsed();
    let Some(chat) = open(keys, &jid, &from, turn) else {
        if is_otr(&text) {
            keys.otr.put_off(from, text);
            return Heard::Nothing;
        }
        message.body = Some(text);
        return Heard::Plain;
    };
    let outcomes = chat.conversation.receive(&text, now, &mut rand::rng());
    if outcomes.iter().any(is_authentic) && !outcomes.contains(&Outcome::Ended) {
        chat.heard(&from, now);
    }
    let mut heard = Heard::Nothing;
    for outcome in outcomes {
        match outcome {
            Outcome::Send(text) => say(from.clone(), text, turn),
            Outcome::Plain { text, unexpected } => {
                if unexpected && keys.remarks.is_new(&jid, Remark::CamePlainly) {
                    tracing::info!(account = turn.account(), %jid, "a message came plainly in a chat that is or has to be off the record");
                }
                message.body = Some(text);
                heard = Heard::Plain;
            }
            Outcome::Message { text, fingerprint } => heard = says(keys, &jid, message, text, fingerprint, turn),
            Outcome::Started { fingerprint, .. } => started(keys, &jid, fingerprint, turn),
            Outcome::Ended => set_status(keys, &jid, turn),
            Outcome::SmpAsked { question, fingerprint } => comparing::asked(keys, &from, question, fingerprint, turn),
            Outcome::SmpDone { same, fingerprint } => comparing::done(keys, &jid, same, fingerprint, turn),
            // It is settled below.
            Outcome::SmpAborted { .. } | Outcome::Heartbeat => {}
            Outcome::Error(error) => heard = failed(keys, &jid, error, turn),
        }
    }
    comparing::settle(keys, &jid, turn);
    if let Heard::Cannot(_) = heard {
        keys.counts.undecryptable += 1;
        message.encryption = Some(Encryption::Otr);
    }
    heard
}

/// Opens the conversation with a person. If there are too many, the one that is missed least ends: strangers can begin many.
fn open<'k>(keys: &'k mut EndToEnd, jid: &BareJid, to: &Jid, turn: &mut Turn<'_>) -> Option<&'k mut OtrChat> {
    if let Some(least) = keys.otr.in_the_way_of(jid) {
        // Each further stranger ends one.
        tracing::debug!(jid = %least, "a conversation off the record has ended, since there are too many");
        forget(keys, &least, turn);
    }
    let policy = keys.otr_policy(jid);
    keys.otr.open(jid, to, policy, turn)
}

/// Returns whether only the client that a conversation is with can have caused this.
fn is_authentic(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Message { .. }
        | Outcome::Started { .. }
        | Outcome::SmpAsked { .. }
        | Outcome::SmpDone { .. }
        | Outcome::SmpAborted { .. }
        | Outcome::Heartbeat => true,
        Outcome::Send(_) | Outcome::Plain { .. } | Outcome::Ended | Outcome::Error(_) => false,
    }
}

fn says(
    keys: &mut EndToEnd,
    jid: &BareJid,
    message: &mut Message,
    text: String,
    fingerprint: Fingerprint,
    turn: &mut Turn<'_>,
) -> Heard {
    let mut changes = Vec::new();
    let trust = keys.meet(jid, KeyKind::Otr, of_otr(fingerprint), &mut changes, turn).trust;
    if is_enough(trust) {
        keys.came_by(jid, Way::Otr, &mut changes, turn);
    }
    turn.keep_keys(changes);
    if !is_enough(trust) {
        return Heard::Cannot(UndecryptableReason::Distrusted);
    }
    let now = turn.deadlines.elapsed();
    let said = keys.otr.get_mut(jid).and_then(|chat| chat.says(text, now));
    let Some(text) = said else { return Heard::Cannot(UndecryptableReason::Replayed) };
    if let Some(id) = message.origin_id.as_deref().or(message.id.as_deref()) {
        keys.ways.note_message(jid, id, Way::Otr);
    }
    keys.counts.decrypted += 1;
    message.body = Some(html::plain(text));
    message.bodies = Vec::new();
    drop_what_is_beside(message);
    add_encrypted(message);
    message.encryption = Some(Encryption::Otr);
    message.device_trust = Some(trust);
    Heard::Says
}

/// Notes that a conversation has begun, and answers the calls that waited for it.
fn started(keys: &mut EndToEnd, jid: &BareJid, fingerprint: Fingerprint, turn: &mut Turn<'_>) {
    let mut changes = Vec::new();
    let trust = keys.meet(jid, KeyKind::Otr, of_otr(fingerprint), &mut changes, turn).trust;
    if is_enough(trust) {
        keys.came_by(jid, Way::Otr, &mut changes, turn);
    }
    turn.keep_keys(changes);
    set_status(keys, jid, turn);
    let now = turn.deadlines.elapsed();
    if let Some(chat) = keys.otr.get_mut(jid) {
        chat.begun();
        let again = if is_enough(trust) { chat.conversation.send_again(now) } else { Vec::new() };
        let address = chat.reader();
        for text in again {
            say(address.clone(), text, turn);
        }
    }
    let result = if is_enough(trust) {
        Ok(())
    } else {
        Err(CallError::Rejected(format!("the key of {jid} is not trusted; `parlor keys` shows and trusts it")))
    };
    for message in keys.otr.answer(jid, &result, turn) {
        if let Some(text) = message.text().filter(|_| !message.is_abandoned()) {
            send_text(keys, jid, message, &text, turn);
        }
    }
}

fn failed(keys: &mut EndToEnd, jid: &BareJid, error: ReceiveError, turn: &mut Turn<'_>) -> Heard {
    tracing::debug!(%jid, %error, "a message of OTR was refused");
    let reason = match error {
        ReceiveError::OtherInstance | ReceiveError::Unexpected => return Heard::Nothing,
        ReceiveError::Peer(text) => {
            let text = if text.is_empty() { format!("the client of {jid} reports an error of OTR") } else { text };
            keys.otr.answer(jid, &Err(CallError::Rejected(text)), turn);
            return Heard::Nothing;
        }
        ReceiveError::NotEncrypted | ReceiveError::Unreadable => UndecryptableReason::NoSession,
        ReceiveError::Replayed => UndecryptableReason::Replayed,
        ReceiveError::UnsupportedVersion => UndecryptableReason::Unsupported,
        _ => UndecryptableReason::Broken,
    };
    Heard::Cannot(reason)
}

/// Reports the state of a chat, if it changed.
fn set_status(keys: &mut EndToEnd, jid: &BareJid, turn: &mut Turn<'_>) {
    let Some(chat) = keys.otr.get(jid) else { return };
    let verified = || {
        let known = chat.conversation.fingerprint().map(of_otr)?;
        keys.trust.of(jid).iter().find(|key| key.fingerprint == known).map(|key| key.trust)
    };
    let status = match chat.conversation.state() {
        State::Plain => OtrStatus::Unencrypted,
        State::Finished => OtrStatus::Finished,
        State::Encrypted if verified() == Some(DeviceTrust::Trusted) => OtrStatus::Verified,
        State::Encrypted => OtrStatus::Unverified,
    };
    if let Some(chat) = keys.otr.get_mut(jid).filter(|chat| chat.status != status) {
        chat.status = status;
        turn.follow(FollowUp::OtrChanged(jid.clone(), status));
    }
}

/// Reports the state of a chat after the owner decided about keys.
pub(super) fn decided(keys: &mut EndToEnd, jid: &BareJid, turn: &mut Turn<'_>) {
    set_status(keys, jid, turn);
}

/// Sends a text of the protocol.
pub(super) fn say(to: Jid, text: String, turn: &mut Turn<'_>) {
    turn.send(Outgoing::Sealed(Box::new(sealed(to, random_id(), text, Extensions::default()))));
}

fn sealed(to: Jid, id: String, text: String, beside: Extensions) -> Sealed {
    let mut beside = Extensions { files: Vec::new(), thread_parent: None, fallback: Vec::new(), ..beside };
    beside.forget_what_is_read();
    // Other clients of either side cannot read it (XEP-0364, section 5).
    for hint in [Hint::NoCopy, Hint::NoPermanentStore] {
        if !beside.hints.contains(&hint) {
            beside.hints.push(hint);
        }
    }
    let content = SealedContent::Otr(text);
    Sealed { to, kind: MessageKind::Chat, id, content, thread: None, beside, to_occupant: false, says: None }
}

/// Sends a message in a conversation.
pub(super) fn send(keys: &mut EndToEnd, partner: &BareJid, message: Outbound, rooms: &Rooms, turn: &mut Turn<'_>) {
    let Some(text) = message.text() else {
        // Content that people read, such as a subject, does not go out plainly beside encrypted texts.
        if message.draft.encryption == EncryptionWish::Required || has_content(&message.draft) {
            let error = no_encryption(&message.to, ONLY_TEXT);
            return refuse(message, error, turn);
        }
        return plainly(message, rooms, turn);
    };
    send_text(keys, partner, message, &text, turn);
}

fn send_text(keys: &mut EndToEnd, partner: &BareJid, mut message: Outbound, text: &str, turn: &mut Turn<'_>) {
    let now = turn.deadlines.elapsed();
    let policy = keys.config.unwrap_or_default().trust;
    let chat = keys.otr.get_mut(partner).filter(|chat| chat.conversation.state() != State::Plain);
    let Some(chat) = chat else {
        let why = "the conversation off the record has ended; begin it again, or have them write plainly";
        let error = no_encryption(&message.to, why);
        return refuse(message, error, turn);
    };
    let fingerprint = chat.conversation.fingerprint().map(of_otr);
    let known = keys.trust.of(partner).iter().find(|key| Some(&key.fingerprint) == fingerprint.as_ref());
    let trust = known.map(|key| super::trust::counting(key.trust, policy));
    if chat.conversation.state() == State::Encrypted && !trust.is_some_and(is_enough) {
        let error =
            no_encryption(&message.to, "the key of the other side is not trusted; `parlor keys` shows and trusts it");
        return refuse(message, error, turn);
    }
    let to = chat.reader();
    let texts = match chat.conversation.send(text, now) {
        Ok(texts) => texts,
        Err(error) => {
            let error = no_encryption(&message.to, &error.to_string());
            return refuse(message, error, turn);
        }
    };
    keys.counts.encrypted += 1;
    keys.ways.note_own(partner, &message.id, Way::Otr);
    let (beside, mut says) = (message.draft.extensions.take(), Some(Box::new(std::mem::take(&mut message.draft))));
    let beside = beside.map(|beside| *beside).unwrap_or_default();
    let count = texts.len();
    let mut last = None;
    for (at, text) in texts.into_iter().enumerate() {
        // The text is reported once, with the last part.
        if at + 1 < count {
            say(to.clone(), text, turn);
        } else {
            let sealed = sealed(to.clone(), message.id.clone(), text, beside.clone());
            last = Some(Outgoing::Sealed(Box::new(Sealed { says: says.take(), ..sealed })));
        }
    }
    match last {
        Some(stanza) => put(stanza, message, turn),
        None => refuse(message, CallError::Other("nothing is left of the message".to_owned()), turn),
    }
}

/// Sends a message that must not go out plainly, or lets it wait until a conversation has begun, which is begun here.
pub(super) fn send_or_begin(
    keys: &mut EndToEnd,
    partner: &BareJid,
    message: Outbound,
    rooms: &Rooms,
    turn: &mut Turn<'_>,
) {
    let why = if message.text().is_none() {
        Some("`otr = \"require\"` refuses plain messages, and off the record only a body or a file is encrypted")
    } else if keys.otr.is_encrypted(partner) {
        None
    } else if rooms.has(&Jid::from(partner.clone())) {
        Some("the address of this occupant is not known, and `otr = \"require\"` refuses plain messages")
    } else if !keys.has_otr(partner, turn) {
        Some(
            "`otr = \"require\"` refuses plain messages, and OTR is off; see the setting `allow_otr`, and `parlor logs`",
        )
    } else {
        None
    };
    if let Some(why) = why {
        let error = no_encryption(&message.to, why);
        return refuse(message, error, turn);
    }
    if keys.otr.is_encrypted(partner) {
        return send(keys, partner, message, rooms, turn);
    }
    if !turn.is_live() {
        return refuse(message, CallError::Offline, turn);
    }
    if keys.otr.wait_to_send(partner, message, turn) {
        ask(keys, partner, turn);
    }
}

/// Begins a conversation. Answered once it is encrypted.
pub(crate) fn begin(keys: &mut EndToEnd, jid: &BareJid, by: InstanceId, answer: Answer<()>, turn: &mut Turn<'_>) {
    if !keys.has_otr(jid, turn) {
        let why = "OTR is off in this account, or with this person (`[account.NAME.encryption]`)";
        let error = no_encryption(&Jid::from(jid.clone()), why);
        return turn.answer(answer, Err(error));
    }
    if keys.otr.is_encrypted(jid) {
        return turn.answer(answer, Ok(()));
    }
    keys.otr.wait(jid, by, answer, turn);
    ask(keys, jid, turn);
}

/// Asks the other side to begin.
fn ask(keys: &mut EndToEnd, jid: &BareJid, turn: &mut Turn<'_>) {
    let to = keys.otr.get(jid).map_or_else(|| Jid::from(jid.clone()), |chat| chat.to.clone());
    let query = open(keys, jid, &to, turn).and_then(|chat| chat.conversation.start());
    if let Some(query) = query {
        say(to, format!("{query}\n{WITHOUT_OTR}"), turn);
    }
}

/// Stores the own key, and begins the conversations that waited for it.
pub(crate) fn key_made(keys: &mut EndToEnd, key: Secret, turn: &mut Turn<'_>) {
    keys.otr.load(&key, turn.account());
    turn.keep_keys(vec![KeyChange::Otr(Some(key))]);
    for (from, text) in keys.otr.take_early() {
        let (now, jid) = (turn.deadlines.elapsed(), from.to_bare());
        let Some(chat) = open(keys, &jid, &from, turn).filter(|_| turn.is_live()) else { continue };
        for outcome in chat.conversation.receive(&text, now, &mut rand::rng()) {
            if let Outcome::Send(text) = outcome {
                say(from.clone(), text, turn);
            }
        }
    }
    if turn.is_live() {
        for jid in keys.otr.wanted() {
            ask(keys, &jid, turn);
        }
    }
}

/// Ends a conversation.
pub(crate) fn end(keys: &mut EndToEnd, jid: &BareJid, answer: Answer<()>, turn: &mut Turn<'_>) {
    forget(keys, jid, turn);
    if keys.ways.get(jid) == Some(Way::Otr) {
        keys.ways.remove(jid);
        turn.keep_keys(vec![KeyChange::Way(jid.clone(), None)]);
    }
    keys.otr.answer(jid, &Err(CallError::Stopped), turn);
    turn.answer(answer, Ok(()));
}

/// Ends a conversation without an answer to anybody but the other side.
fn forget(keys: &mut EndToEnd, jid: &BareJid, turn: &mut Turn<'_>) {
    let Some(chat) = keys.otr.get_mut(jid) else { return };
    let (texts, is_live) = (chat.conversation.end(), turn.is_live());
    for (instance, text) in texts.into_iter().filter(|_| is_live) {
        say(chat.address(instance), text, turn);
    }
    set_status(keys, jid, turn);
    keys.otr.remove(jid);
    comparing::settle(keys, jid, turn);
}

/// Applies the owner's policies to the conversations that there are.
pub(crate) fn follow_policies(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    for jid in keys.otr.wanted() {
        if keys.otr_policy(&jid) == OtrPolicy::Never {
            let error = no_encryption(&Jid::from(jid.clone()), "the owner has turned OTR off");
            keys.otr.answer(&jid, &Err(error), turn);
        }
    }
    for jid in keys.otr.people() {
        let policy = keys.otr_policy(&jid);
        if policy == OtrPolicy::Never {
            forget(keys, &jid, turn);
        } else if let Some(chat) = keys.otr.get_mut(&jid) {
            chat.conversation.set_policy(rules(policy));
        }
    }
}

/// Ends the wait for an answer of the other side.
pub(crate) fn late(keys: &mut EndToEnd, jid: &BareJid, turn: &mut Turn<'_>) {
    for message in keys.otr.take_messages(jid) {
        let why =
            "`otr = \"require\"` refuses plain messages, and their client has not begun OTR in time; is it online?";
        let error = no_encryption(&message.to, why);
        refuse(message, error, turn);
    }
    keys.otr.answer(jid, &Err(CallError::TimedOut), turn);
}

/// Returns the state of a chat.
pub(crate) fn status(keys: &EndToEnd, jid: &BareJid) -> OtrStatus {
    keys.otr.get(jid).map(|chat| chat.status).unwrap_or_default()
}
