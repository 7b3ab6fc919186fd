//! Publishes the own keys: the account's device list and the bundle of this device, in both forms.

use std::time::Duration;

use jiff::Timestamp;
use parlor_e2ee::omemo::{Device, Exchanged, Keep};
use parlor_stanza::error::{CallError, StanzaError};
use parlor_stanza::iq_payload::IqPayload;
use parlor_stanza::omemo::{DeviceList, bundle_payload};
use parlor_stanza::types::{
    Ask, Body, DeviceTrust, ListedDevice, NodeChange, NodeItem, NodeOptions, OmemoForm, PublishedBundle, PubsubAsk,
};

use super::EndToEnd;
use super::kept::KeyChange;
use super::lists::Came;
use super::sessions::version;
use super::trust::{KeyKind, of_omemo};
use super::withdrawing::{take_back, unlist};
use crate::deadlines::{Deadlines, Late};
use crate::effect::{Effect, KeyNews, KeyNewsKind};
use crate::iq::keys::{Attempt, KeysIq, Published};
use crate::iq::{PATIENCE, Waiting};
use crate::turn::Turn;

/// How long used prekeys are collected before the bundle is published again.
const GATHER: Duration = Duration::from_secs(10);
/// Interval at which the age of the signed prekey and of the keys of messages is checked.
const CHECK: Duration = Duration::from_hours(1);
/// How long others may pick a used prekey: it takes up to [`GATHER`] until the bundle is published without it, and somebody who has the
/// bundle from before has yet to write.
const RECENT: Duration = Duration::from_mins(2);
/// Delay after the last archived message before used prekeys are forgotten.
const CAUGHT_UP: Duration = Duration::from_mins(5);
/// The label of the own device, for people who look at their list.
const LABEL: &str = "parlor";

/// Returns the time in seconds since 1970.
fn seconds(at: Timestamp) -> u64 {
    u64::try_from(at.as_second()).unwrap_or_default()
}

/// Makes the own keys, unless there are any.
fn make_device(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    if keys.device.is_some() {
        return;
    }
    let device = Device::generate(&mut rand::rng(), seconds(turn.now));
    tracing::info!(device = %device.id(), fingerprint = %device.fingerprint(), "the account has new keys of OMEMO");
    turn.keep_keys(vec![KeyChange::Device(device.to_bytes())]);
    keys.device = Some(device);
    keys.published.is_new = [true; 2];
}

/// Publishes the own keys on a new stream, as far as the account's lists lack them. While OMEMO is off, it takes the own device
/// out of lists that still have it.
pub(crate) fn begin(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    if !turn.is_live() || turn.own.node().is_none() {
        return;
    }
    if keys.has_omemo() {
        make_device(keys, turn);
        check(keys, turn);
        publish_bundles(keys, turn);
    } else if keys.device.is_none() {
        return;
    }
    for form in OmemoForm::ALL {
        ask_own_list(form, turn);
    }
}

fn ask_own_list(form: OmemoForm, turn: &mut Turn<'_>) {
    let node = form.list_node().to_owned();
    let ask = Ask::Pubsub(Box::new(PubsubAsk::Items { node, max: 1, after: None }));
    turn.ask(None, ask, Waiting::Keys(KeysIq::OwnList(form)), PATIENCE);
}

/// Replaces and forgets keys that are too old.
pub(crate) fn check(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    let mut changes = Vec::new();
    keys.message_keys.drop_old(turn.now, &mut changes);
    turn.keep_keys(changes);
    if keys.has_omemo() {
        check_device(keys, turn);
    }
    let is_needed = keys.has_omemo() || !keys.message_keys.is_empty();
    let is_soon = keys.device.as_ref().is_some_and(Device::has_recent_prekeys);
    let next = Some((if is_soon { RECENT } else { CHECK }, Late::KeysCheck)).filter(|_| is_needed);
    turn.deadlines.replace(&mut keys.published.check, next);
}

/// Checks with the next step of the clock, if keys of messages are kept.
pub(crate) fn check_soon(keys: &mut EndToEnd, deadlines: &mut Deadlines) {
    if !keys.message_keys.is_empty() {
        deadlines.replace(&mut keys.published.check, Some((Duration::ZERO, Late::KeysCheck)));
    }
}

/// Removes a used prekey from the published bundle. While the archive is read, it may be used once more (XEP-0384,
/// section 6). Until a bundle without it is published, others may pick it, too.
pub(super) fn use_prekey(
    keys: &mut EndToEnd,
    (id, exchange): (u32, Exchanged),
    is_past: bool,
    changes: &mut Vec<KeyChange>,
    turn: &mut Turn<'_>,
) {
    let Some(device) = &mut keys.device else { return };
    let keep = if is_past {
        Keep::UntilCaughtUp
    } else {
        if !device.has_recent_prekeys() {
            turn.deadlines.replace(&mut keys.published.check, Some((RECENT, Late::KeysCheck)));
        }
        Keep::Until(turn.deadlines.elapsed() + RECENT, exchange)
    };
    device.use_prekey(id, keep);
    if device.needs_new_prekeys() {
        device.refill(&mut rand::rng());
    }
    changes.push(KeyChange::Device(device.to_bytes()));
    if is_past {
        keys.published.catches_up = Some(turn.deadlines.elapsed());
    }
    keys_changed(keys, turn);
}

/// Makes a new signed prekey if the present one is too old, and forgets prekeys that were kept for others.
fn check_device(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    let now = seconds(turn.now);
    let (elapsed, mut is_changed) = (turn.deadlines.elapsed(), false);
    if let Some(device) = &mut keys.device {
        device.forget_recent_prekeys(elapsed);
        if device.signed_prekey_is_due(now) {
            device.rotate_signed_prekey(&mut rand::rng(), now);
            is_changed = true;
        }
        let is_caught_up = keys.published.catches_up.is_some_and(|at| elapsed >= at + CAUGHT_UP);
        if is_caught_up {
            keys.published.catches_up = None;
            is_changed |= device.forget_used_prekeys() > 0;
        }
        if is_changed {
            turn.keep_keys(vec![KeyChange::Device(device.to_bytes())]);
        }
    }
    if is_changed {
        keys_changed(keys, turn);
    }
}

/// Notes that the bundle must be published again.
pub(super) fn keys_changed(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    keys.published.outdate();
    if keys.published.deadline.is_none() {
        keys.published.deadline = Some(turn.deadlines.set(GATHER, Late::KeysChanged));
    }
}

/// Publishes the changed bundles, and all items that the server failed to store.
pub(crate) fn publish_changed(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    keys.published.deadline = None;
    if !turn.is_live() || !turn.announced || !keys.has_omemo() {
        return;
    }
    publish_bundles(keys, turn);
    for form in OmemoForm::ALL {
        if keys.published.is_waiting(form) {
            list_own(keys, form, turn);
        }
    }
}

/// Publishes the bundles that are not on the server as they are now.
fn publish_bundles(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    for bundle in OmemoForm::ALL.map(Published::Bundle) {
        if !keys.published.has(bundle) {
            publish(keys, bundle, turn);
        }
    }
}

/// Publishes something as soon as nothing else is being published.
pub(super) fn publish(keys: &mut EndToEnd, what: Published, turn: &mut Turn<'_>) {
    if let Some(what) = keys.published.enqueue(what) {
        send(keys, what, Attempt::Whole, turn);
    }
}

fn send(keys: &mut EndToEnd, what: Published, attempt: Attempt, turn: &mut Turn<'_>) {
    let Some(device) = &keys.device else { return };
    let id = device.id().get();
    let (node, item) = match what {
        Published::List(form) => (form.list_node().to_owned(), "current".to_owned()),
        Published::Bundle(form) => (form.bundle_node(id), form.bundle_item(id)),
    };
    let is_open = NodeOptions { access: Some("open"), ..NodeOptions::default() };
    let options = match attempt {
        Attempt::Whole => {
            let keeps_all = what == Published::Bundle(OmemoForm::Current);
            let max_items = (!keeps_all).then_some(1);
            NodeOptions { persist: Some(true), max_items, keeps_all, ..is_open }
        }
        Attempt::Plainly | Attempt::Reconfigure => is_open,
        Attempt::AsItIs => NodeOptions::default(),
    };
    let ask = if attempt == Attempt::Reconfigure {
        PubsubAsk::Configure { node, options }
    } else {
        let Some(payload) = payload(keys, what) else {
            // The list became unreadable while this waited.
            if let Some(next) = keys.published.next() {
                send(keys, next, Attempt::Whole, turn);
            }
            return;
        };
        keys.published.sent(what);
        PubsubAsk::Publish { node, id: Some(item), payload, options }
    };
    turn.ask(None, Ask::Pubsub(Box::new(ask)), Waiting::Keys(KeysIq::Publish(what, attempt)), PATIENCE);
}

/// Returns what is published. A list has everything that other devices wrote in it. `None`: the account's list is not known, or it would be
/// too long for a stanza.
fn payload(keys: &EndToEnd, what: Published) -> Option<IqPayload> {
    let device = keys.device.as_ref()?;
    match what {
        Published::Bundle(form) => Some(bundle_payload(form, &bundle(device, form))),
        Published::List(form) => {
            let mut list = keys.published.own(form)?.clone();
            if keys.has_omemo() {
                list.put_first(device.id().get(), LABEL);
            }
            list.payload()
        }
    }
}

fn bundle(device: &Device, form: OmemoForm) -> PublishedBundle {
    let parts = device.bundle(version(form)).parts();
    PublishedBundle {
        signed_prekey_id: parts.signed_prekey_id,
        signed_prekey: parts.signed_prekey,
        signature: parts.signature,
        identity_key: parts.identity_key,
        prekeys: parts.prekeys,
    }
}

/// Handles the answer of the own account to a publish request.
pub(super) fn published(
    keys: &mut EndToEnd,
    what: Published,
    attempt: Attempt,
    outcome: Result<Body, CallError>,
    turn: &mut Turn<'_>,
) {
    if let Err(error) = &outcome {
        tracing::debug!(?what, ?attempt, %error, "the server refuses to publish keys so");
    }
    match (outcome, attempt) {
        // The present options of the node may suffice, even if they cannot be changed.
        (Ok(_) | Err(CallError::Stanza(_)), Attempt::Reconfigure) => return send(keys, what, Attempt::AsItIs, turn),
        (Ok(_), _) if !keys.has_omemo() => {
            if let (Published::List(form), Some(device)) = (what, &keys.device) {
                take_back(device.id().get(), form, turn);
            }
        }
        (Ok(_), _) => {
            keys.published.set(what);
            match what {
                Published::List(form) => note_own(keys, form, turn),
                Published::Bundle(form) if keys.published.is_waiting(form) => list_own(keys, form, turn),
                Published::Bundle(_) => {}
            }
        }
        (Err(CallError::Stanza(error)), Attempt::Whole | Attempt::Plainly) if is_otherwise(&error) => {
            return send(keys, what, Attempt::Reconfigure, turn);
        }
        (Err(CallError::Stanza(error)), Attempt::Whole) if is_not_understood(&error) => {
            return send(keys, what, Attempt::Plainly, turn);
        }
        // All is published again on the next stream.
        (Err(CallError::Offline | CallError::Stopped), _) => return,
        (Err(error), _) if may_succeed_later(&error) => publish_later(keys, what, &error, turn),
        (Err(error), _) => is_refused(keys, &error, turn),
    }
    if let Some(what) = keys.published.next() {
        send(keys, what, Attempt::Whole, turn);
    }
}

/// Publishes something again after a while.
fn publish_later(keys: &mut EndToEnd, what: Published, error: &CallError, turn: &mut Turn<'_>) {
    if let Published::List(form) = what {
        keys.published.list_later(form);
    }
    if keys.published.deadline.is_none() {
        let wait = keys.published.failed();
        keys.published.deadline = Some(turn.deadlines.set(wait, Late::KeysChanged));
    }
    if keys.published.is_failing() {
        is_refused(keys, error, turn);
    }
}

/// Returns whether this failure is temporary. ejabberd 23 answers `item-not-found` if it created a node of somebody
/// else at the same time.
fn may_succeed_later(error: &CallError) -> bool {
    match error {
        CallError::Stanza(error) => {
            error.kind == "wait" || matches!(error.condition.as_str(), "item-not-found" | "internal-server-error")
        }
        error => matches!(error, CallError::TimedOut),
    }
}

/// Returns whether a node exists with other options (XEP-0060, section 7.1.5).
fn is_otherwise(error: &StanzaError) -> bool {
    error.condition == "conflict" || error.xml.contains("precondition-not-met")
}

/// Returns whether a server does not know an option. ejabberd 23 answers `resource-constraint` to `pubsub#max_items`.
fn is_not_understood(error: &StanzaError) -> bool {
    matches!(
        error.condition.as_str(),
        "bad-request" | "not-acceptable" | "feature-not-implemented" | "not-allowed" | "resource-constraint"
    )
}

/// Reports once on each stream that others cannot find the own keys.
fn is_refused(keys: &mut EndToEnd, error: &CallError, turn: &mut Turn<'_>) {
    if !keys.has_omemo() || std::mem::replace(&mut keys.published.is_refused, true) {
        return;
    }
    tracing::warn!(%error, "the server does not publish the keys of OMEMO, so nobody new can write encrypted");
    let Some(device) = &keys.device else { return };
    turn.out.push(Effect::KeyNews(KeyNews {
        jid: turn.own.to_bare(),
        what: KeyNewsKind::NotPublished,
        kind: KeyKind::Omemo { device: device.id().get() },
        fingerprint: Some(of_omemo(device.fingerprint())),
        trust: DeviceTrust::Trusted,
        question: None,
    }));
}

/// Puts the own device into a list of the account's, once others can find its keys.
fn list_own(keys: &mut EndToEnd, form: OmemoForm, turn: &mut Turn<'_>) {
    // The list is on its way, or cannot be read.
    if keys.published.own(form).is_none() {
        return;
    }
    if payload(keys, Published::List(form)).is_none() {
        let reason = format!("{}: with this device, it is too long for a stanza", form.list_node());
        return is_refused(keys, &CallError::OverLimit(reason), turn);
    }
    if keys.has_omemo() && keys.published.may_list(form) {
        // The server pushes this list before it answers. The own device in the list must not be mistaken for another
        // device with its id.
        keys.published.is_new[usize::from(form == OmemoForm::Current)] = false;
        publish(keys, Published::List(form), turn);
    }
}

/// Notes that the own device is in the account's list.
fn note_own(keys: &mut EndToEnd, form: OmemoForm, turn: &Turn<'_>) {
    let Some(device) = keys.device.as_ref().map(|device| device.id().get()) else { return };
    if let Some(list) = keys.published.own_mut(form) {
        list.put_first(device, LABEL);
    }
    let own = turn.own.to_bare();
    let mut listed = keys.lists.last(&own, form).to_vec();
    if listed.iter().all(|one| one.device != device) {
        listed.insert(0, ListedDevice { device, label: Some(LABEL.to_owned()) });
        keys.lists.came((&own, form), listed, (turn.stream, turn.deadlines.elapsed()), Came::Told);
    }
}

/// Handles the answer to the request for the account's devices.
pub(super) fn own_list_came(
    keys: &mut EndToEnd,
    form: OmemoForm,
    outcome: Result<Body, CallError>,
    turn: &mut Turn<'_>,
) {
    let list = match outcome {
        Ok(Body::NodeItems(page)) => {
            let newest = page.items.iter().rev().find(|item| item.xml.is_some() || item.is_cut);
            newest.map_or_else(|| Some(DeviceList::empty(form)), |item| read(form, item))
        }
        Ok(Body::Empty) => Some(DeviceList::empty(form)),
        Ok(_) => None,
        Err(CallError::Offline | CallError::Stopped) => return,
        // There is no such node yet.
        Err(CallError::Stanza(error)) if error.condition == "item-not-found" => Some(DeviceList::empty(form)),
        Err(error) => return is_refused(keys, &error, turn),
    };
    own_list(keys, form, list, turn);
}

/// Reads the account's list. `None`: it is too long, or has another form.
fn read(form: OmemoForm, item: &NodeItem) -> Option<DeviceList> {
    DeviceList::read(form, item.xml.as_deref()?)
}

/// Handles a change of the account's list that the server pushed.
pub(super) fn own_list_said(keys: &mut EndToEnd, form: OmemoForm, change: &NodeChange, turn: &mut Turn<'_>) {
    match change {
        NodeChange::Item(item) if item.xml.is_some() || item.is_cut => own_list(keys, form, read(form, item), turn),
        // The list is not in the notification, or another item may be the list now.
        NodeChange::Item(_) | NodeChange::Retracted(_) => ask_own_list(form, turn),
        NodeChange::Purged | NodeChange::Deleted => own_list(keys, form, Some(DeviceList::empty(form)), turn),
        NodeChange::Unsubscribed => turn.ignored += 1,
    }
}

/// Stores the account's device list, and adds this device to it if it is missing. A list that cannot be read is left alone, since the
/// account's other devices are in it.
fn own_list(keys: &mut EndToEnd, form: OmemoForm, list: Option<DeviceList>, turn: &mut Turn<'_>) {
    let Some(id) = keys.device.as_ref().map(|device| device.id().get()) else { return };
    if !keys.has_omemo() {
        if list.as_ref().is_some_and(|list| list.has(id)) {
            keys.published.set_own(form, list);
            unlist(keys, form, turn);
        }
        return;
    }
    let Some(device) = &mut keys.device else { return };
    let Some(list) = list else {
        keys.published.set_own(form, None);
        let what = format!("the account's list {} cannot be read, and is not overwritten", form.list_node());
        return is_refused(keys, &CallError::Other(what), turn);
    };
    let is_first = std::mem::replace(&mut keys.published.is_new[usize::from(form == OmemoForm::Current)], false);
    if is_first && list.has(device.id().get()) {
        // Another client of the account has this id.
        device.renew_id(&mut rand::rng());
        turn.keep_keys(vec![KeyChange::Device(device.to_bytes())]);
        keys.published.renew();
        publish_bundles(keys, turn);
    }
    let Some(id) = keys.device.as_ref().map(|device| device.id().get()) else { return };
    let is_there = list.has(id);
    let own = turn.own.to_bare();
    keys.lists.came((&own, form), list.devices(), (turn.stream, turn.deadlines.elapsed()), Came::Told);
    keys.published.set_own(form, Some(list));
    if is_there {
        keys.published.set(Published::List(form));
    } else {
        // A server that has lost the list may have lost the keys.
        if keys.published.doubts(form) {
            publish(keys, Published::Bundle(form), turn);
        }
        list_own(keys, form, turn);
    }
}

/// Makes new own keys. The former device is removed from the lists, and its keys are retracted.
pub(super) fn renew(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    let own = turn.own.to_bare();
    let mut changes = Vec::new();
    keys.sessions.end_all(&mut changes);
    let before = keys.device.take();
    turn.keep_keys(changes);
    if let Some(before) = before {
        let id = before.id().get();
        for form in OmemoForm::ALL {
            if let Some(list) = keys.published.own_mut(form) {
                list.remove(id);
            }
            let mut listed = keys.lists.last(&own, form).to_vec();
            listed.retain(|one| one.device != id);
            keys.lists.came((&own, form), listed, (turn.stream, turn.deadlines.elapsed()), Came::Told);
            if turn.is_live() {
                take_back(id, form, turn);
            }
        }
    }
    make_device(keys, turn);
    keys.published.renew();
    if !turn.is_live() || !turn.announced {
        return;
    }
    publish_bundles(keys, turn);
    for form in OmemoForm::ALL {
        list_own(keys, form, turn);
    }
}
