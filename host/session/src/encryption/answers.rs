//! The answers to requests for keys, and the device lists that servers push.

use jid::{BareJid, Jid};
use parlor_e2ee::omemo::{Bundle, BundleParts, start};
use parlor_stanza::error::CallError;
use parlor_stanza::omemo::{read_bundle, read_list};
use parlor_stanza::types::{Body, DeviceTrust, ListedDevice, NodeChange, NodeEvent, OmemoForm, PublishedBundle};

use super::EndToEnd;
use super::kept::KeyChange;
use super::lists::{Came, MAX_DEVICES};
use super::owing::say_nothing;
use super::own_list;
use super::publishing;
use super::remarks::Remark;
use super::sending;
use super::sessions::version;
use super::trust::{KeyKind, is_enough, of_omemo};
use crate::effect::{Effect, KeyNews, KeyNewsKind};
use crate::iq::keys::{Fetch, KeysIq};
use crate::rooms::Rooms;
use crate::rooms::answers::note_about;
use crate::turn::{FollowUp, Turn};

/// Handles the answer to a request for keys, or its absence.
pub(crate) fn answered(
    keys: &mut EndToEnd,
    asked: KeysIq,
    outcome: Result<Body, CallError>,
    rooms: &mut Rooms,
    turn: &mut Turn<'_>,
) {
    match asked {
        KeysIq::OwnList(form) => own_list::own_list_came(keys, form, outcome, turn),
        KeysIq::Publish(what, attempt) => publishing::published(keys, what, attempt, outcome, turn),
        KeysIq::Fetch(fetch) => {
            match &fetch {
                Fetch::List(jid, form) => list_came(keys, jid, *form, outcome, turn),
                Fetch::Bundle(jid, device, form) => bundle_came(keys, (jid, *device, *form), outcome, turn),
                Fetch::About(room) => {
                    if let Ok(Body::Disco(disco)) = outcome {
                        note_about(rooms, &Jid::from(room.clone()), &disco, turn);
                    }
                    if !rooms.shown.get(room).is_some_and(|room| room.is_described()) {
                        keys.fetches.fails(fetch.clone(), turn.deadlines.elapsed());
                    }
                }
                Fetch::Members(room) => {
                    if let Ok(Body::Affiliations(people)) = outcome {
                        keys.members.came(room, people);
                    }
                }
            }
            if keys.fetches.answered(&fetch, turn) {
                if let Fetch::Members(room) = &fetch {
                    keys.members.are_known(room, turn.deadlines.elapsed());
                }
                sending::came(keys, &fetch, rooms, turn);
                let held = keys.unvouched.take(&fetch);
                if !held.is_empty() {
                    turn.follow(FollowUp::Vouched(held));
                }
            }
        }
    }
}

fn newest(body: &Body) -> Option<&str> {
    let Body::NodeItems(page) = body else { return None };
    page.items.iter().rev().find_map(|item| item.xml.as_deref())
}

/// Returns the element with the keys of a device. In the newer form, the keys of all devices of a person are in one node, and a server may
/// answer with more of them than those that were asked for.
fn keys_of(body: &Body, device: u32, form: OmemoForm) -> Option<&str> {
    if form == OmemoForm::Older {
        return newest(body);
    }
    let Body::NodeItems(page) = body else { return None };
    let id = form.bundle_item(device);
    let mut theirs = page.items.iter().rev().filter(|item| item.id.as_ref() == Some(&id));
    theirs.find_map(|item| item.xml.as_deref())
}

fn list_came(
    keys: &mut EndToEnd,
    jid: &BareJid,
    form: OmemoForm,
    outcome: Result<Body, CallError>,
    turn: &mut Turn<'_>,
) {
    let (devices, came) = match outcome {
        Ok(body) => (newest(&body).and_then(|xml| read_list(form, xml)).unwrap_or_default(), Came::Asked),
        // Most people have no list in one of the forms.
        Err(CallError::Stanza(error)) if error.condition == "item-not-found" => (Vec::new(), Came::Asked),
        // Such as a list that only contacts may read. Devices count that were in it before, or that wrote. A session alone is no sign of a
        // device: the person may have removed it.
        Err(_) => (keys.lists.last(jid, form).to_vec(), Came::Failed),
    };
    take_in(keys, jid, form, devices, came, turn);
}

fn take_in(
    keys: &mut EndToEnd,
    jid: &BareJid,
    form: OmemoForm,
    devices: Vec<ListedDevice>,
    came: Came,
    turn: &mut Turn<'_>,
) {
    let now = turn.deadlines.elapsed();
    let mut changes = Vec::new();
    for listed in devices.iter().take(MAX_DEVICES) {
        // A newly listed device may have new keys.
        if came == Came::Told {
            keys.fetches.may_succeed(&Fetch::Bundle(jid.clone(), listed.device, form));
        }
        if form == OmemoForm::Current && came != Came::Failed {
            let labelled = keys.trust.label(jid, listed.device, listed.label.as_ref());
            changes.extend(labelled.into_iter().map(KeyChange::Key));
        }
    }
    turn.keep_keys(changes);
    let first = devices.get(MAX_DEVICES).map(|one| one.device);
    let too_many = keys.lists.came((jid, form), devices, (turn.stream, now), came);
    if let Some(device) = first
        && keys.remarks.is_new(jid, Remark::ManyDevices)
    {
        tracing::warn!(account = turn.account(), %jid, devices = too_many, "somebody lists more than {MAX_DEVICES} devices; these get no messages");
        turn.out.push(Effect::KeyNews(KeyNews {
            jid: jid.clone(),
            what: KeyNewsKind::TooManyDevices,
            kind: KeyKind::Omemo { device },
            fingerprint: None,
            trust: DeviceTrust::Undecided,
            question: None,
        }));
    }
}

/// Stores a device list that a server pushed, if it is the account's or that of a known person. Returns whether the
/// event is about such a list.
pub(crate) fn list_said(
    keys: &mut EndToEnd,
    from: &Jid,
    event: &NodeEvent,
    is_contact: bool,
    turn: &mut Turn<'_>,
) -> bool {
    let Some(form) = OmemoForm::of_list_node(&event.node) else { return false };
    let Err(jid) = from.try_as_full() else { return true };
    if !keys.has_omemo() {
        return true;
    }
    let is_own = *jid == turn.own.to_bare();
    let is_known = is_contact || keys.ways.get(jid).is_some() || !keys.trust.of(jid).is_empty();
    for change in &event.changes {
        if is_own {
            own_list::own_list_said(keys, form, change, turn);
            continue;
        }
        match change {
            _ if !is_known => turn.ignored += 1,
            NodeChange::Subscribed { .. } | NodeChange::Unsubscribed { .. } => turn.ignored += 1,
            NodeChange::Purged | NodeChange::Deleted => take_in(keys, jid, form, Vec::new(), Came::Told, turn),
            NodeChange::Item(item) => match item.xml.as_deref().and_then(|xml| read_list(form, xml)) {
                Some(devices) => take_in(keys, jid, form, devices, Came::Told, turn),
                // The list is not in the notification.
                None => keys.lists.outdate(jid, form),
            },
            // Another item may be the list now: clients give their lists any id, and servers tell of the one that it replaced.
            NodeChange::Retracted(_) => keys.lists.outdate(jid, form),
        }
    }
    true
}

/// Begins a session with a device whose keys were received, if they are trusted.
fn bundle_came(
    keys: &mut EndToEnd,
    (jid, device, form): (&BareJid, u32, OmemoForm),
    outcome: Result<Body, CallError>,
    turn: &mut Turn<'_>,
) {
    let now = turn.deadlines.elapsed();
    let is_healing = keys.owed.keys_came(jid, device, form);
    let read = outcome.ok().and_then(|body| read_bundle(form, keys_of(&body, device, form)?));
    let checked = read.map(|bundle| Bundle::parse(version(form), &parts(bundle)));
    let bundle = match checked {
        Some(Ok(bundle)) => bundle,
        Some(Err(error)) => {
            if keys.remarks.is_new(jid, Remark::InvalidKeys) {
                tracing::warn!(account = turn.account(), %jid, device, %error, "a device gets no messages: its published keys are invalid; further ones of the person are not named");
            }
            return keys.fetches.fails(Fetch::Bundle(jid.clone(), device, form), now);
        }
        None => {
            keys.owed.is_not_healed(jid, device, form);
            return keys.fetches.fails(Fetch::Bundle(jid.clone(), device, form), now);
        }
    };
    let fingerprint = of_omemo(bundle.fingerprint());
    if keys.is_swapped(jid, device, &fingerprint, turn) {
        return keys.fetches.fails(Fetch::Bundle(jid.clone(), device, form), now);
    }
    let mut changes = Vec::new();
    let trust = keys.meet(jid, KeyKind::Omemo { device }, fingerprint, &mut changes, turn).trust;
    let before = keys.sessions.get(jid, device, form);
    let is_missing = before.is_none_or(|before| before.fingerprint() != bundle.fingerprint());
    if is_enough(trust) && (is_missing || is_healing) {
        let started = keys.device.as_ref().map(|own| start(own, &bundle, &mut rand::rng()));
        match started {
            Some(Ok(session)) => {
                let session = match before {
                    Some(before) => session.keeping(before),
                    None => session,
                };
                keys.sessions.put((jid, device, form), session, &mut changes);
            }
            Some(Err(error)) => {
                tracing::debug!(%jid, device, %error, "no session begins with a device");
                keys.fetches.fails(Fetch::Bundle(jid.clone(), device, form), now);
            }
            None => {}
        }
    } else if !is_enough(trust) {
        keys.fetches.fails(Fetch::Bundle(jid.clone(), device, form), now);
    }
    turn.keep_keys(changes);
    if is_healing && is_enough(trust) {
        say_nothing(keys, jid, device, form, turn);
    }
}

fn parts(bundle: PublishedBundle) -> BundleParts {
    let PublishedBundle { signed_prekey_id, signed_prekey, signature, identity_key, prekeys } = bundle;
    BundleParts { signed_prekey_id, signed_prekey, signature, identity_key, prekeys }
}
