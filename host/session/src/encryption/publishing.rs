//! Publishes the own keys: the account's device list and the bundle of this device, in both forms.

use std::time::Duration;

use jiff::Timestamp;
use parlor_e2ee::omemo::{Device, Exchanged, Keep};
use parlor_stanza::error::{CallError, StanzaError};
use parlor_stanza::iq_payload::IqPayload;
use parlor_stanza::omemo::bundle_payload;
use parlor_stanza::types::{
    Ask, Body, DeviceLabel, DeviceTrust, ListedDevice, NodeOptions, OmemoForm, PublishedBundle, PubsubAsk,
};

use super::kept::KeyChange;
use super::lists::Came;
use super::own_list::{ask_own_list, list_own, note_own};
use super::published::Written;
use super::sessions::version;
use super::trust::{KeyKind, of_omemo};
use super::withdrawing;
use super::{EndToEnd, publish_kept};
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

/// Makes the own keys, unless there are any. `before`: the device that they replace.
fn make_device(keys: &mut EndToEnd, before: Option<&Device>, turn: &mut Turn<'_>) {
    if keys.device.is_some() {
        return;
    }
    let mut device = Device::generate(&mut rand::rng(), seconds(turn.now));
    if let Some(before) = before {
        device.replaces(before);
    }
    tracing::info!(account = turn.account(), device = %device.id(), fingerprint = %device.fingerprint(), "the account has new keys of OMEMO");
    turn.keep_keys(vec![KeyChange::Device(device.to_bytes())]);
    keys.device = Some(device);
    keys.published.is_new = [true; 2];
}

/// Publishes the own keys on a new stream, as far as the account's lists lack them, and withdraws devices that the server still
/// has.
pub(crate) fn begin(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    if !turn.is_live() || turn.own.node().is_none() {
        return;
    }
    if keys.has_omemo() {
        make_device(keys, None, turn);
        check(keys, turn);
        publish_bundles(keys, turn);
    } else if keys.device.is_none() {
        return;
    }
    withdrawing::note_withdrawn(keys);
    for form in OmemoForm::ALL {
        ask_own_list(form, turn);
    }
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

/// Publishes the changed bundles, and all items that the server failed to store. Goes on with withdrawing devices.
pub(crate) fn publish_changed(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    keys.published.deadline = None;
    if !turn.is_live() || !turn.announced {
        return;
    }
    if keys.has_omemo() {
        publish_bundles(keys, turn);
        for form in OmemoForm::ALL {
            if keys.published.is_waiting(form) {
                list_own(keys, form, turn);
            }
        }
    }
    withdrawing::go_on(keys, turn);
}

/// Publishes the bundles that are not on the server as they are now.
pub(super) fn publish_bundles(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
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
    let waiting = Waiting::Keys(KeysIq::Publish(what, attempt));
    match request(keys, what, attempt) {
        Some(ask) if matches!(what, Published::Bundle(_)) => publish_kept(turn, ask, waiting, unwritten(keys)),
        Some(ask) => turn.ask(None, Ask::Pubsub(Box::new(ask)), waiting, PATIENCE),
        None => {
            if let Some(next) = keys.published.next() {
                send(keys, next, Attempt::Whole, turn);
            }
        }
    }
}

/// Returns the change that stores the own keys once more, if the last one could not be written.
fn unwritten(keys: &mut EndToEnd) -> Vec<KeyChange> {
    let is_unwritten = std::mem::take(&mut keys.published.written) == Written::NotAll;
    let device = keys.device.as_ref().filter(|_| is_unwritten);
    device.map(|device| KeyChange::Device(device.to_bytes())).into_iter().collect()
}

/// Notes that changes of keys could not be written. Others may have to find own keys that are among them: then the request that
/// publishes them was not sent, and the next one stores them first.
pub(crate) fn not_written(keys: &mut EndToEnd) {
    keys.published.written = Written::NotAll;
}

/// Returns the request that publishes something. `None`: it is not needed any more, or the list became unreadable while this waited.
fn request(keys: &mut EndToEnd, what: Published, attempt: Attempt) -> Option<PubsubAsk> {
    let id = keys.device.as_ref()?.id().get();
    let (node, item) = match what {
        Published::List(form) => (form.list_node().to_owned(), "current".to_owned()),
        Published::Bundle(_) if !keys.has_omemo() => return None,
        Published::Bundle(form) => (form.bundle_node(id), form.bundle_item(id)),
        Published::Retraction(..) if keys.published.has(what) => return None,
        Published::Retraction(form, id) => return Some(withdrawing::retraction(form, id)),
    };
    let is_open = NodeOptions { access: Some("open"), ..NodeOptions::default() };
    let options = match attempt {
        Attempt::Whole | Attempt::Reconfigure => {
            let keeps_all = what == Published::Bundle(OmemoForm::Current);
            let max_items = (!keeps_all).then_some(1);
            NodeOptions { persist: Some(true), max_items, keeps_all, ..is_open }
        }
        Attempt::Plainly | Attempt::Open => is_open,
        Attempt::AsItIs => NodeOptions::default(),
    };
    if matches!(attempt, Attempt::Reconfigure | Attempt::Open) {
        return Some(PubsubAsk::Configure { node, options });
    }
    let payload = payload(keys, what)?;
    match what {
        Published::List(form) => {
            let names_own = lists_own(keys, form);
            keys.published.list_sent(form, names_own);
        }
        Published::Bundle(form) => keys.published.bundle_sent(form),
        Published::Retraction(..) => {}
    }
    Some(PubsubAsk::Publish { node, id: Some(item), payload, options })
}

/// Returns whether the account's list names the own device. Others who found it before its keys would find none.
fn lists_own(keys: &EndToEnd, form: OmemoForm) -> bool {
    keys.has_omemo() && keys.published.has_keys(form)
}

/// Returns the entry of the own device in the account's lists.
pub(super) fn own_entry(device: &Device) -> ListedDevice {
    let signature = device.sign_label(LABEL, &mut rand::rng());
    ListedDevice { device: device.id().get(), label: Some(DeviceLabel { text: LABEL.to_owned(), signature }) }
}

/// Returns what is published. A list has everything that other devices wrote in it. `None`: the account's list is not known, or it would be
/// too long for a stanza.
pub(super) fn payload(keys: &EndToEnd, what: Published) -> Option<IqPayload> {
    let device = keys.device.as_ref()?;
    match what {
        Published::Bundle(form) => Some(bundle_payload(form, &bundle(device, form))),
        Published::List(form) => {
            let mut list = keys.published.own(form)?.clone();
            if lists_own(keys, form) {
                list.put_first(&own_entry(device));
            }
            list.payload()
        }
        Published::Retraction(..) => None,
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
    if matches!(outcome, Err(CallError::Offline | CallError::Stopped)) {
        // All is published, or withdrawn, again on the next stream.
        return;
    }
    match (outcome, attempt) {
        (outcome, _) if matches!(what, Published::Retraction(..)) => {
            withdrawing::taken_back(keys, what, &outcome, turn);
        }
        (Err(CallError::Stanza(_)), Attempt::Reconfigure) => return send(keys, what, Attempt::Open, turn),
        // The present options of the node may suffice, even if they cannot be changed.
        (Ok(_), Attempt::Reconfigure) | (Ok(_) | Err(CallError::Stanza(_)), Attempt::Open) => {
            return send(keys, what, Attempt::AsItIs, turn);
        }
        (Ok(_), _) => is_taken(keys, what, turn),
        (Err(CallError::Stanza(error)), Attempt::Whole | Attempt::Plainly) if is_otherwise(&error) => {
            return send(keys, what, Attempt::Reconfigure, turn);
        }
        (Err(CallError::Stanza(error)), Attempt::Whole) if is_not_understood(&error) => {
            return send(keys, what, Attempt::Plainly, turn);
        }
        (Err(error), _) if may_succeed_later(&error) => publish_later(keys, what, &error, turn),
        (Err(error), _) => {
            if let Published::List(form) = what {
                keys.published.withdrawn.list_refused(form);
            }
            is_refused(keys, &error, turn);
        }
    }
    if let Some(what) = keys.published.next() {
        send(keys, what, Attempt::Whole, turn);
    }
}

/// Notes that the server has taken something.
fn is_taken(keys: &mut EndToEnd, what: Published, turn: &mut Turn<'_>) {
    match what {
        Published::List(form) => {
            // OMEMO may have been turned off meanwhile, or on.
            if keys.has_omemo() && keys.published.names_own(form) {
                keys.published.set(what);
                note_own(keys, form, turn);
            }
            keys.published.withdrawn.list_taken(form);
            withdrawing::take_back(keys, form, turn);
        }
        Published::Bundle(form) if keys.has_omemo() => {
            keys.published.set(what);
            if keys.published.is_waiting(form) {
                list_own(keys, form, turn);
            }
        }
        Published::Bundle(_) | Published::Retraction(..) => {}
    }
}

/// Publishes something again after a while.
fn publish_later(keys: &mut EndToEnd, what: Published, error: &CallError, turn: &mut Turn<'_>) {
    if let Published::List(form) = what {
        keys.published.list_later(form);
        keys.published.withdrawn.list_failed(form);
        if !keys.has_omemo() {
            // The server tells of no changes now. The next attempt must not undo those that other clients make until then.
            keys.published.ask_again(form);
        }
    }
    if keys.published.written == Written::NotAll {
        let error = CallError::Other("they cannot be written to the disk: make room there, or check it".to_owned());
        return try_later(keys, &error, turn);
    }
    try_later(keys, error, turn);
}

/// Tries again after a while what the server failed to do, or the disk.
pub(super) fn try_later(keys: &mut EndToEnd, error: &CallError, turn: &mut Turn<'_>) {
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
pub(super) fn may_succeed_later(error: &CallError) -> bool {
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

/// Reports once on each stream that others cannot find the own keys, or still find those of a device that is not used.
pub(super) fn is_refused(keys: &mut EndToEnd, error: &CallError, turn: &mut Turn<'_>) {
    if keys.has_omemo() && keys.published.is_complete() {
        if !std::mem::replace(&mut keys.published.is_former_kept, true) {
            tracing::warn!(account = turn.account(), %error, "the server may still have keys of a former OMEMO device of the account, so others may encrypt for it");
        }
        return;
    }
    if std::mem::replace(&mut keys.published.is_refused, true) {
        return;
    }
    if !keys.has_omemo() {
        tracing::warn!(account = turn.account(), %error, "OMEMO is off, but the server may still list the account's device, so others may encrypt for it");
        return;
    }
    tracing::warn!(account = turn.account(), %error, "the keys of OMEMO are not published, so nobody new can write encrypted");
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

/// Makes new own keys. The former device leaves the lists when the new one is in them, and its keys follow.
pub(super) fn renew(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    let own = turn.own.to_bare();
    let mut changes = Vec::new();
    keys.sessions.end_all(&mut changes);
    let before = keys.device.take();
    turn.keep_keys(changes);
    if let Some(before) = &before {
        let id = before.id().get();
        for form in OmemoForm::ALL {
            if let Some(list) = keys.published.own_mut(form) {
                list.remove(id);
            }
            let mut listed = keys.lists.last(&own, form).to_vec();
            listed.retain(|one| one.device != id);
            keys.lists.came((&own, form), listed, (turn.stream, turn.deadlines.elapsed()), Came::Told);
        }
    }
    make_device(keys, before.as_ref(), turn);
    withdrawing::note_withdrawn(keys);
    keys.published.renew();
    if !turn.is_live() || !turn.announced {
        return;
    }
    publish_bundles(keys, turn);
    for form in OmemoForm::ALL {
        list_own(keys, form, turn);
    }
}
