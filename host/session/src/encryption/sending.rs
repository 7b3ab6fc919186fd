//! Sends messages: chooses the encryption of each, and keeps their order.

use std::collections::HashSet;

use jid::{BareJid, FullJid, Jid};
use parlor_stanza::error::CallError;
use parlor_stanza::files::has_encrypted_address;
use parlor_stanza::raw::RawStanza;
use parlor_stanza::types::{EncryptionWish, MessageKind, OmemoForm, Outgoing};

use super::EndToEnd;
use super::kept::Way;
use super::members;
use super::off_the_record;
use super::outbound::{Outbound, no_encryption};
use super::partner::partner;
use super::plainly::{has_key, plainly};
use super::sealing::{Sealing, has_content, seal};
use super::waiting::{Waiter, is_over, put, refuse};
use crate::iq::keys::Fetch;
use crate::rooms::Rooms;
use crate::turn::Turn;

/// A message that waits, and the fetches that it waits for.
type Waits = Box<(Outbound, HashSet<Fetch>)>;

/// Returns whether [`send`] may do anything with a message of this wish but send it in plain text at once: a chat was encrypted, or
/// a message that this one may reply to, the owner requires OTR for somebody, or messages wait whose order must be kept.
pub(crate) fn is_concerned(keys: &EndToEnd, wish: EncryptionWish) -> bool {
    let may_be_encrypted = wish == EncryptionWish::Required || keys.is_guarded() || keys.ways.knows_messages();
    may_be_encrypted || keys.requires_otr_of_anyone() || !keys.waiting.is_empty()
}

/// Sends a message with the requested encryption. If keys have to be fetched first, it waits, and so do later ones to
/// the same person or room.
pub(crate) fn send(keys: &mut EndToEnd, message: Outbound, rooms: &Rooms, turn: &mut Turn<'_>) {
    let partner = recipient(&message, rooms);
    if keys.waiting.has(&partner) {
        return keys.waiting.push(&partner, message, turn);
    }
    let now = turn.deadlines.elapsed();
    go(keys, &partner, (message, now), false, rooms, turn);
}

/// Returns the person or room that a message is for now. A message to an occupant with an unknown address counts as one to the room.
fn recipient(message: &Outbound, rooms: &Rooms) -> BareJid {
    partner(&message.to, message.kind, rooms).unwrap_or_else(|| message.to.to_bare())
}

/// Sends a message, or lets it wait. Returns whether it waits.
fn go(
    keys: &mut EndToEnd,
    partner: &BareJid,
    (message, since): Waiter,
    is_last: bool,
    rooms: &Rooms,
    turn: &mut Turn<'_>,
) -> bool {
    let Some(waits) = attempt(keys, partner, message, is_last, rooms, turn) else { return false };
    let (message, mut needs) = *waits;
    needs.retain(|fetch| keys.fetches.want(fetch, turn));
    if needs.is_empty() {
        // None of the missing keys can be fetched now.
        if let Some(waits) = attempt(keys, partner, message, true, rooms, turn) {
            refuse(waits.0, no_keys(partner), turn);
        }
        return false;
    }
    keys.waiting.wait(partner, (message, since), needs, turn);
    true
}

fn no_keys(partner: &BareJid) -> CallError {
    no_encryption(&Jid::from(partner.clone()), "the keys of their devices cannot be fetched")
}

/// Sends a message, unless something must be fetched for it first.
fn attempt(
    keys: &mut EndToEnd,
    partner: &BareJid,
    mut message: Outbound,
    is_last: bool,
    rooms: &Rooms,
    turn: &mut Turn<'_>,
) -> Option<Waits> {
    let way = match way(keys, partner, &message, turn) {
        Ok(way) => way,
        Err(error) => {
            refuse(message, error, turn);
            return None;
        }
    };
    if matches!(way, None | Some(Way::Otr)) && must_be_otr(keys, partner, &message) {
        off_the_record::send_or_begin(keys, partner, message, rooms, turn);
        return None;
    }
    match way {
        None => plainly(message, rooms, turn),
        Some(Way::Otr) => off_the_record::send(keys, partner, message, rooms, turn),
        Some(Way::Omemo(form)) => match seal(keys, &message, form, is_last, rooms, turn) {
            Sealing::Needs(needs) => return Some(Box::new((message, needs))),
            Sealing::Plain => plainly(message, rooms, turn),
            Sealing::Cannot(error) => refuse(message, error, turn),
            Sealing::Sealed(mut sealed, changes) => {
                sealed.to_occupant = is_to_occupant(&message, rooms);
                keys.counts.encrypted += 1;
                if message.draft.body.is_some() {
                    keys.ways.note_own(partner, &message.id, Way::Omemo(form));
                }
                if message.kind == MessageKind::Groupchat {
                    keys.remember(partner.clone(), message.id.clone(), &message.draft);
                }
                turn.keep_keys(changes);
                // Plugins may be told of it as it was.
                sealed.says = Some(Box::new(std::mem::take(&mut message.draft)));
                put(Outgoing::Sealed(sealed), message, turn);
            }
        },
    }
    None
}

fn is_to_occupant(message: &Outbound, rooms: &Rooms) -> bool {
    message.kind == MessageKind::Chat && rooms.is_known(&message.to.clone().into_bare())
}

/// Returns how a message is encrypted; `None` if it is not.
fn way(keys: &EndToEnd, partner: &BareJid, message: &Outbound, turn: &Turn<'_>) -> Result<Option<Way>, CallError> {
    let was = known_way(keys, partner, message, turn);
    let known = was.filter(|way| is_on(keys, *way, partner, message.kind, turn));
    let must_be_otr = must_be_otr(keys, partner, message);
    match message.draft.encryption {
        EncryptionWish::None => Ok(known.filter(|_| must_be_otr)),
        EncryptionWish::AsTheChat if known.is_none() && has_content(&message.draft) => {
            may_be_plain(keys, was, &message.to).map(|()| None)
        }
        EncryptionWish::AsTheChat => Ok(known),
        EncryptionWish::Required => match known {
            Some(Way::Otr) if !must_be_otr && !keys.otr.is_encrypted(partner) && keys.has_omemo() => {
                Ok(Some(Way::Omemo(OmemoForm::Current)))
            }
            Some(way) => Ok(Some(way)),
            None if must_be_otr || keys.otr.is_encrypted(partner) => Ok(Some(Way::Otr)),
            None if keys.has_omemo() => Ok(Some(Way::Omemo(OmemoForm::Current))),
            None => Err(no_encryption(&message.to, "it is off in this account (`[account.NAME.encryption]`)")),
        },
    }
}

/// Returns whether the account can encrypt in this way.
fn is_on(keys: &EndToEnd, way: Way, partner: &BareJid, kind: MessageKind, turn: &Turn<'_>) -> bool {
    match way {
        Way::Omemo(_) => keys.has_omemo(),
        Way::Otr => keys.has_otr(partner, turn) && kind == MessageKind::Chat,
    }
}

/// Returns the encryption of the message that this one replies to or corrects, or else that of the chat. A reply to an unencrypted
/// message uses the encryption of the chat: someone on the path may have forged that message.
fn known_way(keys: &EndToEnd, partner: &BareJid, message: &Outbound, turn: &Turn<'_>) -> Option<Way> {
    let chat = keys.ways.get(partner);
    let extensions = message.draft.extensions.as_deref().into_iter();
    let mut ids = extensions.flat_map(|all| all.reply.iter().map(|reply| &reply.id).chain(&all.replace));
    let known = match ids.find_map(|id| keys.ways.of_message(partner, id)) {
        // That conversation may have ended.
        None | Some(Way::Otr) if chat.is_some() => chat,
        named => named,
    };
    // The occupant whose private messages were encrypted a moment ago may have left, or left the nickname to somebody else. A receipt
    // says nothing that this person may not know.
    let of_occupant = || keys.ways.of_occupant(&message.to, turn.deadlines.elapsed());
    known.or_else(|| of_occupant().filter(|_| has_content(&message.draft)))
}

/// Returns whether the owner wants this message off the record, unless it is encrypted otherwise.
fn must_be_otr(keys: &EndToEnd, partner: &BareJid, message: &Outbound) -> bool {
    message.kind == MessageKind::Chat && keys.requires_otr(partner) && has_content(&message.draft)
}

/// Checks whether a message with content may be sent unencrypted in a chat that is or may be encrypted.
fn may_be_plain(keys: &EndToEnd, was: Option<Way>, to: &Jid) -> Result<(), CallError> {
    let is_allowed = keys.config.is_none_or(|config| config.plain_instead);
    if is_allowed {
        return Ok(());
    }
    let off = match was {
        Some(Way::Omemo(_)) => "the chat is encrypted by OMEMO, which is off",
        Some(Way::Otr) => "the chat is off the record, and OTR is off",
        None if keys.is_unknown => "the account's keys cannot be read, nor which chats were encrypted",
        None => return Ok(()),
    };
    let allow = "`plain_instead = true` in `[account.NAME.encryption]` allows plain answers";
    let why = format!("{off}; turn it on again, or see `parlor logs` if keys cannot be read; {allow}");
    Err(no_encryption(to, &why))
}

/// Checks whether a whole stanza of a plugin may be sent. Nothing encrypts it, so it must not have the key of a file, and a message
/// must not say anything to people with whom the owner requires OTR, nor in a chat that was encrypted by what is off now.
pub(crate) fn may_send_raw(
    keys: &EndToEnd,
    stanza: &RawStanza,
    rooms: &Rooms,
    turn: &Turn<'_>,
) -> Result<(), CallError> {
    let to = stanza.to().unwrap_or_else(|| Jid::from(turn.own.to_bare()));
    if stanza.has_key_of_a_file() {
        return Err(has_key(&to));
    }
    // Servers bring a message for a room to a full address, too, which may be anybody's, and one to a person passes them first.
    let is_for_all = !stanza.is_said_to_a_person() && to.is_bare() && rooms.is_known(&to);
    if is_for_all || !stanza.says_something() {
        return Ok(());
    }
    let partner = partner(&to, MessageKind::Chat, rooms).unwrap_or_else(|| to.to_bare());
    let why = "`otr = \"require\"` refuses plain messages, and raw stanzas are not encrypted; send it as a message";
    may_say_plainly(keys, &to, &partner, why, turn)
}

/// Checks whether a plugin may say something in a form that a person has open. Nothing encrypts that either.
pub(crate) fn may_answer_in_form(keys: &EndToEnd, to: &FullJid, text: &str, turn: &Turn<'_>) -> Result<(), CallError> {
    if has_encrypted_address(text) {
        return Err(has_key(&Jid::from(to.clone())));
    }
    let why = "`otr = \"require\"` refuses plain messages, and forms are not encrypted; send the answer as a message";
    may_say_plainly(keys, &Jid::from(to.clone()), &to.to_bare(), why, turn)
}

/// Checks whether an invitation to a room, or the answer to one, may state this reason to a person. Nothing encrypts that either.
pub(crate) fn may_state_reason(
    keys: &EndToEnd,
    to: &Jid,
    reason: Option<&str>,
    turn: &Turn<'_>,
) -> Result<(), CallError> {
    let Some(reason) = reason.filter(|reason| !reason.is_empty()) else { return Ok(()) };
    if has_encrypted_address(reason) {
        return Err(has_key(to));
    }
    let why = "`otr = \"require\"` refuses plain messages, and reasons of invitations are not encrypted; leave it out";
    may_say_plainly(keys, to, &to.to_bare(), why, turn)
}

/// Checks whether something may be said to a person that nothing encrypts. `why`: the reason where OTR is required.
fn may_say_plainly(keys: &EndToEnd, to: &Jid, partner: &BareJid, why: &str, turn: &Turn<'_>) -> Result<(), CallError> {
    if keys.requires_otr(partner) {
        return Err(no_encryption(to, why));
    }
    let was = keys.ways.get(partner);
    match was {
        Some(way) if is_on(keys, way, partner, MessageKind::Chat, turn) => Ok(()),
        _ => may_be_plain(keys, was, to),
    }
}

/// Checks whether a message with this wish can be sent to this recipient, as far as that is known without fetches.
pub(crate) fn may_encrypt(
    keys: &EndToEnd,
    to: &Jid,
    kind: MessageKind,
    wish: EncryptionWish,
    rooms: &Rooms,
) -> Result<(), CallError> {
    if wish != EncryptionWish::Required {
        return Ok(());
    }
    let is_required = |jid: &BareJid| kind == MessageKind::Chat && keys.requires_otr(jid);
    let has_otr = |jid: BareJid| keys.otr.is_encrypted(&jid) || is_required(&jid);
    if !keys.has_omemo() && !partner(to, kind, rooms).is_some_and(has_otr) {
        return Err(no_encryption(to, "it is off in this account (`[account.NAME.encryption]`)"));
    }
    match rooms.shown.get(&to.to_bare()).filter(|_| kind == MessageKind::Groupchat) {
        Some(room) => members::may_encrypt(room),
        None => Ok(()),
    }
}

/// Sends the messages that waited for this fetch.
pub(super) fn came(keys: &mut EndToEnd, fetch: &Fetch, rooms: &Rooms, turn: &mut Turn<'_>) {
    for partner in keys.waiting.came(fetch) {
        go_on(keys, &partner, false, rooms, turn);
    }
}

/// Sends the messages that wait for a person or room, until one must wait again.
fn go_on(keys: &mut EndToEnd, partner: &BareJid, mut is_last: bool, rooms: &Rooms, turn: &mut Turn<'_>) {
    while let Some((message, since)) = keys.waiting.pop(partner, turn) {
        if message.is_abandoned() {
            continue;
        }
        // Occupants change their nicknames, and leave them to others.
        if recipient(&message, rooms) != *partner {
            let gone = format!("{partner}, who was {} when the message was to be sent", message.to);
            refuse(message, CallError::NotFound(gone), turn);
            continue;
        }
        is_last |= is_over(since, turn.deadlines.elapsed());
        if go(keys, partner, (message, since), is_last, rooms, turn) {
            return keys.waiting.begin_time(partner, turn);
        }
        is_last = false;
    }
}

/// Ends the wait of the first message for a person or room. It is sent to the devices whose keys were received.
pub(crate) fn waited(keys: &mut EndToEnd, partner: &BareJid, rooms: &Rooms, turn: &mut Turn<'_>) {
    let now = turn.deadlines.elapsed();
    for fetch in keys.waiting.give_up(partner) {
        keys.fetches.fails(fetch, now);
    }
    go_on(keys, partner, true, rooms, turn);
}

/// Repeats the fetches for waiting messages on a new stream.
pub(crate) fn again(keys: &mut EndToEnd, rooms: &Rooms, turn: &mut Turn<'_>) {
    for partner in keys.waiting.partners() {
        keys.waiting.restart(&partner, turn.deadlines.elapsed());
        go_on(keys, &partner, false, rooms, turn);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use parlor_config::{Encryption, OtrPolicy, Settings};
    use parlor_stanza::types::{Draft, Extensions, ReplyTo};

    use super::*;
    use crate::effect::Effect;
    use crate::turn::Common;

    fn jid() -> BareJid {
        "romeo@example.org".parse().unwrap()
    }

    fn outbound(encryption: EncryptionWish, id: Option<&str>) -> Outbound {
        let reply = id.map(|id| ReplyTo { id: id.to_owned(), to: None });
        let extensions = reply.map(|reply| Box::new(Extensions { reply: Some(reply), ..Extensions::default() }));
        let draft = Draft { body: Some("hi".to_owned()), extensions, encryption, ..Draft::default() };
        Outbound { to: jid().into(), kind: MessageKind::Chat, id: "1".to_owned(), draft, answer: None, question: None }
    }

    fn effects_of(input: impl FnOnce(&mut Turn<'_>)) -> Vec<Effect> {
        let (own, mut effects) = ("bot@example.org".parse().unwrap(), Vec::new());
        let mut common = Common::new(own, Settings::default());
        input(&mut Turn::new(&mut common, Timestamp::UNIX_EPOCH, &mut effects));
        effects
    }

    #[test]
    fn messages_without_encryption_go_out_plainly_and_at_once() {
        let mut keys = EndToEnd::default();
        for config in [Encryption::default(), Encryption::OFF] {
            keys.set_config(config);
            for (wish, id) in EncryptionWish::ALL.into_iter().flat_map(|wish| [(wish, None), (wish, Some("m"))]) {
                assert_eq!(is_concerned(&keys, wish), wish == EncryptionWish::Required);
                if !is_concerned(&keys, wish) {
                    let effects = effects_of(|turn| send(&mut keys, outbound(wish, id), &Rooms::default(), turn));
                    assert!(matches!(&*effects, [Effect::Send(Outgoing::Message { .. })]), "{effects:?}");
                }
            }
        }
    }

    #[test]
    fn the_key_of_a_file_is_not_said_in_a_form() {
        let (keys, to) = (EndToEnd::default(), "romeo@example.org/x".parse().unwrap());
        let may = |text: &str| {
            let mut may = false;
            effects_of(|turn| may = may_answer_in_form(&keys, &to, text, turn).is_ok());
            may
        };
        let url = format!("aesgcm://h/a#{}", "0f".repeat(44));
        assert!(may("a file") && may(&url.replace("aesgcm", "https")) && !may(&format!("look: {url}")));
    }

    fn concerned(change: impl FnOnce(&mut EndToEnd)) -> bool {
        let mut keys = EndToEnd::default();
        change(&mut keys);
        is_concerned(&keys, EncryptionWish::AsTheChat) && is_concerned(&keys, EncryptionWish::None)
    }

    #[test]
    fn a_chat_or_a_message_that_was_encrypted_concerns_the_next_one_and_so_do_messages_that_wait() {
        assert!(!concerned(|_| {}));
        assert!(concerned(|keys| keys.is_unknown = true));
        assert!(concerned(|keys| {
            keys.set_config(Encryption { otr: OtrPolicy::Require, ..Encryption::default() });
        }));
        assert!(concerned(|keys| keys.ways.load(vec![(jid(), Way::Otr)])));
        assert!(concerned(|keys| keys.ways.note_message(&jid(), "m", Way::Otr)));
        assert!(concerned(|keys| {
            let message = outbound(EncryptionWish::Required, None);
            effects_of(|turn| keys.waiting.wait(&jid(), (message, Duration::ZERO), HashSet::new(), turn));
        }));
    }
}
