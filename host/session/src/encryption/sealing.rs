//! Encrypts a message with OMEMO for all devices that should read it.

use std::collections::{BTreeSet, HashSet};

use jid::{BareJid, Jid};
use parlor_e2ee::omemo::{KeyMessage, SessionStep, payload};
use parlor_stanza::error::CallError;
use parlor_stanza::omemo::envelope;
use parlor_stanza::types::{
    Draft, EncryptedOut, EncryptionWish, Extensions, Hint, KeyFor, MessageKind, OmemoForm, Sealed, SealedContent,
};

use super::EndToEnd;
use super::kept::KeyChange;
use super::members;
use super::outbound::{Outbound, no_encryption};
use super::partner::partner;
use super::sessions::version;
use super::trust::{MAX_ALL, of_omemo};
use crate::iq::keys::Fetch;
use crate::iq::random_id;
use crate::rooms::Rooms;
use crate::turn::Turn;

/// Maximum length of the keys and the content of a message on the wire, in bytes: servers end a stream over a stanza of
/// more than 256 KiB.
const MAX_WEIGHT: usize = 200 << 10;
/// Maximum number of devices that the people list who should read a message. Keys for 1,200 are longer than [`MAX_WEIGHT`], but some
/// devices have none. Others choose how many they list, so nothing is fetched for a message that could not be sent.
const MAX_TARGETS: usize = 2_048;
/// Maximum number of characters of padding, which hides the length of a content.
const MAX_PADDING: u8 = 200;

/// Maximum number of people without keys who are named in an error.
const MAX_NAMED: usize = 8;

/// The outcome of encrypting a message.
pub(super) enum Sealing {
    /// It is encrypted, and these changes must be stored before it is sent.
    Sealed(Box<Sealed>, Vec<KeyChange>),
    /// These fetches must end first.
    Needs(HashSet<Fetch>),
    /// It has nothing that people read, and the recipients' form of OMEMO does not encrypt the rest.
    Plain,
    /// It cannot be encrypted.
    Cannot(CallError),
}

/// The step of a session by a message. If the message is not sent, the session stays as it was: recipients keep the keys of a limited
/// number of missing messages.
struct Step {
    jid: BareJid,
    device: u32,
    form: OmemoForm,
    next: SessionStep,
}

/// A device that should read a message.
struct Target {
    jid: BareJid,
    device: u32,
    /// The forms in which it is listed: the older one, and the current one.
    forms: [bool; 2],
}

impl Target {
    fn has(&self, form: OmemoForm) -> bool {
        match form {
            OmemoForm::Older => self.forms[0],
            OmemoForm::Current => self.forms[1],
        }
    }

    /// Returns the forms for a message, in order: first `wanted` if all devices have it. The other one serves a device
    /// whose keys in the first cannot be had, as where a server keeps a single bundle of an account in the current form.
    fn forms(&self, wanted: OmemoForm, have_all: bool) -> [Option<OmemoForm>; 2] {
        let first = match (have_all, self.has(OmemoForm::Current)) {
            (true, _) => wanted,
            (false, true) => OmemoForm::Current,
            (false, false) => OmemoForm::Older,
        };
        let other = OmemoForm::ALL.into_iter().find(|form| *form != first && self.has(*form));
        [Some(first), other]
    }
}

/// Encrypts a message. `is_last`: do not wait for further fetches.
pub(super) fn seal(
    keys: &mut EndToEnd,
    message: &Outbound,
    wanted: OmemoForm,
    is_last: bool,
    rooms: &Rooms,
    turn: &Turn<'_>,
) -> Sealing {
    let mut needs = HashSet::new();
    let people = match people(keys, message, rooms, &mut needs, is_last, turn) {
        Ok(people) => people,
        Err(error) => return Sealing::Cannot(error),
    };
    if !needs.is_empty() && !is_last {
        return Sealing::Needs(needs);
    }
    let targets = targets(keys, &people, &mut needs, turn);
    if targets.len() > MAX_TARGETS {
        let reason = format!("{MAX_TARGETS} devices of those who read a message; they list {}", targets.len());
        return Sealing::Cannot(CallError::OverLimit(reason));
    }
    let have_all = targets.iter().all(|target| target.has(wanted));
    let mut ready: Vec<(Target, OmemoForm)> = Vec::with_capacity(targets.len());
    for target in targets {
        let forms = target.forms(wanted, have_all);
        if let Some(form) = readable(keys, &target, forms, &mut needs, is_last, turn) {
            ready.push((target, form));
        }
    }
    if !needs.is_empty() && !is_last {
        return Sealing::Needs(needs);
    }
    let own = turn.own.to_bare();
    let is_to_self = people.len() == 1;
    let is_for_nobody = !ready.iter().any(|(target, _)| is_to_self || target.jid != own);
    let lacking = lacking(message, &ready, &own, rooms);
    if is_for_nobody || !lacking.is_empty() {
        if keys.trust.is_full() {
            let reason = format!("{MAX_ALL} keys of others, all of which the owner decided about");
            return Sealing::Cannot(CallError::OverLimit(reason));
        }
        return Sealing::Cannot(no_encryption(&message.to, &no_device(&lacking)));
    }
    encrypted(keys, message, &ready, turn)
}

/// Returns the first of these forms in which a device can read a message. `None`: in no form, or keys of it may still be
/// fetched, which is added to what the message needs.
fn readable(
    keys: &EndToEnd,
    target: &Target,
    forms: [Option<OmemoForm>; 2],
    needs: &mut HashSet<Fetch>,
    is_last: bool,
    turn: &Turn<'_>,
) -> Option<OmemoForm> {
    let (now, policy) = (turn.deadlines.elapsed(), keys.config.unwrap_or_default().trust);
    let Target { jid, device, .. } = target;
    for form in forms.into_iter().flatten() {
        // Check the key of the session itself: the device may have had another key before.
        let is_good = keys
            .sessions
            .get(jid, *device, form)
            .is_some_and(|session| keys.trust.may_get(jid, *device, &of_omemo(session.fingerprint()), policy));
        if is_good {
            return Some(form);
        }
        let fetch = Fetch::Bundle(jid.clone(), *device, form);
        if !is_last && !keys.fetches.is_failed(&fetch, now) {
            needs.insert(fetch);
            return None;
        }
    }
    None
}

/// Returns the occupants of a room who could not read a message that must be encrypted. An occupant without an address is named by the
/// nickname. Other messages are encrypted for those who can read them.
fn lacking(message: &Outbound, ready: &[(Target, OmemoForm)], own: &BareJid, rooms: &Rooms) -> BTreeSet<String> {
    let is_required = message.draft.encryption == EncryptionWish::Required && message.kind == MessageKind::Groupchat;
    let room = rooms.shown.get(&message.to.to_bare()).filter(|_| is_required);
    let occupants = room.into_iter().flat_map(|room| room.occupants.iter());
    let without = occupants.filter_map(|(nick, occupant)| match occupant.jid.as_ref().map(Jid::to_bare) {
        Some(jid) if jid == *own || ready.iter().any(|(target, _)| target.jid == jid) => None,
        Some(jid) => Some(jid.to_string()),
        None if Some(nick.as_str()) == room.map(|room| room.nick.as_str()) => None,
        None => Some(nick.clone()),
    });
    without.collect()
}

/// Says who has no device that may get a message.
fn no_device(lacking: &BTreeSet<String>) -> String {
    let advice = "they have to use OMEMO, and `parlor keys` lists what is known of them";
    if lacking.is_empty() {
        return format!("no device of theirs has keys that are published and trusted; {advice}");
    }
    let named: Vec<_> = lacking.iter().take(MAX_NAMED).map(String::as_str).collect();
    let more = match lacking.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("no device with keys that are published and trusted: {}{more}; {advice}", named.join(", "))
}

/// Returns the people who should read a message, including the account itself.
fn people(
    keys: &EndToEnd,
    message: &Outbound,
    rooms: &Rooms,
    needs: &mut HashSet<Fetch>,
    is_last: bool,
    turn: &Turn<'_>,
) -> Result<Vec<BareJid>, CallError> {
    let own = turn.own.to_bare();
    let mut people = Vec::new();
    if message.kind == MessageKind::Groupchat {
        let room = message.to.to_bare();
        let unknown = || CallError::NotFound(format!("the room {room} among those that this account is in"));
        let shown = rooms.shown.get(&room).ok_or_else(unknown)?;
        members::may_encrypt(shown)?;
        if !shown.is_described() {
            let fetch = Fetch::About(room.clone());
            if is_last || keys.fetches.is_failed(&fetch, turn.deadlines.elapsed()) {
                return Err(no_encryption(
                    &message.to,
                    "the room does not say whether all of its readers can be known",
                ));
            }
            needs.insert(fetch);
        }
        let known = keys.members.of(shown, turn.deadlines.elapsed());
        let fetch = Fetch::Members(room.clone());
        if known.is_none() && !keys.fetches.is_failed(&fetch, turn.deadlines.elapsed()) {
            needs.insert(fetch);
        }
        people.extend(known.unwrap_or_else(|| keys.members.at_least(shown)));
        if people.len() > members::MAX_PEOPLE {
            let most = members::MAX_PEOPLE;
            return Err(CallError::OverLimit(format!("{most} people of a room in which messages are encrypted")));
        }
    } else {
        let why = "the room does not show their address";
        people.push(partner(&message.to, message.kind, rooms).ok_or_else(|| no_encryption(&message.to, why))?);
    }
    if !people.contains(&own) {
        people.push(own);
    }
    Ok(people)
}

/// Returns the devices of these people that may read a message, and notes whose lists are not known.
fn targets(keys: &EndToEnd, people: &[BareJid], needs: &mut HashSet<Fetch>, turn: &Turn<'_>) -> Vec<Target> {
    let (own, now) = (turn.own.to_bare(), turn.deadlines.elapsed());
    let policy = keys.config.unwrap_or_default().trust;
    let own_device = keys.device.as_ref().map(|device| device.id().get());
    let mut targets: Vec<Target> = Vec::with_capacity(people.len());
    for jid in people {
        let first = targets.len();
        for form in OmemoForm::ALL {
            let listed = keys.lists.get(jid, form, turn.stream, now).unwrap_or_else(|| {
                // The server pushes the own lists.
                if *jid != own {
                    needs.insert(Fetch::List(jid.clone(), form));
                }
                keys.lists.last(jid, form)
            });
            for listed in listed {
                let device = listed.device;
                if *jid == own && Some(device) == own_device {
                    continue;
                }
                let at = targets[first..].iter().position(|target| target.device == device);
                let at = at.map_or_else(
                    || {
                        targets.push(Target { jid: jid.clone(), device, forms: [false; 2] });
                        targets.len() - 1
                    },
                    |at| first + at,
                );
                targets[at].forms[usize::from(form == OmemoForm::Current)] = true;
            }
        }
    }
    targets.retain(|target| !keys.trust.is_refused(&target.jid, target.device, policy));
    targets
}

fn encrypted(keys: &mut EndToEnd, message: &Outbound, ready: &[(Target, OmemoForm)], turn: &Turn<'_>) -> Sealing {
    let Outbound { to, kind, id, draft, .. } = message;
    let has = |wanted: OmemoForm| ready.iter().any(|(_, form)| *form == wanted);
    let is_older = has(OmemoForm::Older);
    let text = message.text();
    if is_older && text.is_none() {
        if draft.encryption != EncryptionWish::Required && !has_content(draft) {
            return Sealing::Plain;
        }
        let why = "a device of theirs has the older form of OMEMO, which encrypts a body and nothing else; send a text, or \
                   set `encryption` to `none` if anybody may read this";
        return Sealing::Cannot(no_encryption(to, why));
    }
    let Some(sender) = keys.device.as_ref().map(|device| device.id().get()) else {
        return Sealing::Cannot(no_encryption(to, "the account has no keys yet"));
    };
    let (mut steps, mut forms) = (Vec::with_capacity(ready.len()), Vec::with_capacity(2));
    for form in OmemoForm::ALL.into_iter().filter(|form| has(*form)) {
        let plain = match form {
            OmemoForm::Older => text.clone().unwrap_or_default(),
            OmemoForm::Current => {
                let room = (*kind == MessageKind::Groupchat).then(|| to.to_bare());
                let padding = usize::from(rand::random::<u8>() % (MAX_PADDING + 1));
                envelope(draft, &turn.own.to_bare(), room.as_ref(), turn.now, padding)
            }
        };
        let sealed = payload::encrypt(version(form), plain.as_bytes(), &mut rand::rng());
        let targets = ready.iter().filter(|(_, of)| *of == form);
        let mut for_devices = Vec::with_capacity(ready.len());
        for (Target { jid, device, .. }, _) in targets {
            for_devices.extend(key_for(keys, (jid, *device, form), sealed.key.as_ref(), &mut steps, turn.account()));
        }
        let payload = Some(sealed.body);
        forms.push(EncryptedOut { form, sender, keys: for_devices, iv: sealed.iv, payload });
    }
    if forms.iter().all(|one| one.keys.is_empty()) {
        return Sealing::Cannot(no_encryption(to, "the states of the sessions with their devices are used up"));
    }
    let content = SealedContent::Omemo(forms);
    if content.weight() > MAX_WEIGHT {
        let reason = format!("takes more than {MAX_WEIGHT} bytes with the keys for all devices");
        return Sealing::Cannot(CallError::invalid("message", reason));
    }
    let sealed = Sealed {
        to: to.clone(),
        kind: *kind,
        id: id.clone(),
        content,
        thread: draft.thread.clone().filter(|_| is_older),
        beside: beside(draft, is_older),
        to_occupant: false,
        says: None,
    };
    Sealing::Sealed(Box::new(sealed), step(keys, steps))
}

/// Returns the unencrypted parts of a message. The older form encrypts only the text. Files are left out of the
/// unencrypted parts, since an address may contain the key of a file, and so are reactions, previews of links and hints of
/// spoilers.
fn beside(draft: &Draft, is_older: bool) -> Extensions {
    let mut given = draft.extensions.as_deref().cloned().unwrap_or_default();
    given.forget_what_is_read();
    let mut hints = given.hints.clone();
    if !hints.contains(&Hint::NoStore) && !hints.contains(&Hint::Store) {
        hints.push(Hint::Store);
    }
    if is_older {
        Extensions { hints, files: Vec::new(), thread_parent: None, ..given }
    } else {
        Extensions { hints, ..Extensions::default() }
    }
}

/// Encrypts the key of a message for one device. Adds the step of its session.
fn key_for(
    keys: &EndToEnd,
    (jid, device, form): (&BareJid, u32, OmemoForm),
    key: &[u8],
    steps: &mut Vec<Step>,
    account: Option<&str>,
) -> Option<KeyFor> {
    let (KeyMessage { prekey, bytes }, step) = match keys.sessions.get(jid, device, form)?.seal(key) {
        Ok(sealed) => sealed,
        Err(error) => {
            tracing::warn!(account, %jid, device, %error, "a device gets no message: its session is used up");
            return None;
        }
    };
    steps.push(Step { jid: jid.clone(), device, form, next: step });
    Some(KeyFor { jid: jid.clone(), device, is_prekey: prekey, bytes })
}

/// Takes the steps of the sessions, since their message is sent. Returns the changes to keep on disk.
fn step(keys: &mut EndToEnd, steps: Vec<Step>) -> Vec<KeyChange> {
    let mut changes = Vec::with_capacity(steps.len());
    for Step { jid, device, form, next } in steps {
        keys.sessions.take((&jid, device, form), next, &mut changes);
        keys.owed.paid(&jid, device, form);
    }
    changes
}

/// Encrypts an empty message for one device, if there is a session with it.
pub(super) fn seal_empty(
    keys: &mut EndToEnd,
    jid: &BareJid,
    device: u32,
    form: OmemoForm,
    account: Option<&str>,
) -> Option<(Sealed, Vec<KeyChange>)> {
    let sender = keys.device.as_ref()?.id().get();
    let empty = payload::empty(version(form), &mut rand::rng());
    let mut steps = Vec::new();
    let key = key_for(keys, (jid, device, form), empty.key.as_ref(), &mut steps, account)?;
    let content = EncryptedOut { form, sender, keys: vec![key], iv: empty.iv, payload: None };
    let sealed = Sealed {
        to: Jid::from(jid.clone()),
        kind: MessageKind::Chat,
        id: random_id(),
        content: SealedContent::Omemo(vec![content]),
        thread: None,
        beside: Extensions { hints: vec![Hint::Store], ..Extensions::default() },
        to_occupant: false,
        says: None,
    };
    Some((sealed, step(keys, steps)))
}

/// Returns whether a message has something that people read: a text, a file or a reaction. Receipts, markers, chat states and
/// retractions are none. No form of encryption that all clients support covers them, so they go out in the open.
pub(super) fn has_content(draft: &Draft) -> bool {
    let is_read = |extensions: &Extensions| {
        let reacts = extensions.reactions.as_ref().is_some_and(|reactions| !reactions.emojis.is_empty());
        let has_hint = extensions.spoiler.as_ref().is_some_and(|hint| !hint.is_empty());
        reacts || has_hint || !extensions.files.is_empty() || !extensions.previews.is_empty()
    };
    draft.body.is_some() || draft.subject.is_some() || draft.extensions.as_deref().is_some_and(is_read)
}
