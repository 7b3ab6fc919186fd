//! Withdraws devices of the account: the own one when OMEMO is turned off, and the former one when it gets new keys. Others would
//! go on to encrypt for them, and get no answers (XEP-0384, section 6).
//!
//! First the device leaves the account's lists, then its keys follow: nobody finds a device without keys. Failed requests are sent
//! again, with growing delays, and after each log-in until the device is gone. While OMEMO is off, the list is read before each
//! attempt, since the server tells of no changes of it. The own keys stay on disk, so that the device is the same if OMEMO is turned
//! on again.

use parlor_stanza::error::CallError;
use parlor_stanza::omemo::DeviceList;
use parlor_stanza::types::{Body, OmemoForm, PubsubAsk};

use super::EndToEnd;
use super::kept::KeyChange;
use super::own_list::ask_own_list;
use super::publishing::{begin, may_succeed_later, publish, try_later};
use crate::iq::keys::Published;
use crate::turn::Turn;

/// Withdraws the own device. If the account's lists are not known, it follows when they are.
pub(crate) fn withdraw(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    keys.published.renew();
    keys.published.is_refused = false;
    note_withdrawn(keys);
    if keys.device.is_none() || !turn.is_live() {
        return;
    }
    for form in OmemoForm::ALL {
        // A request that adds the device may be on its way, so the list is published even if it lacks it.
        if keys.published.remove_withdrawn(form) {
            publish(keys, Published::List(form), turn);
        }
    }
}

/// Publishes the own keys after OMEMO was off. The account's lists may have changed unnoticed meanwhile.
pub(crate) fn come_back(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    keys.published.is_refused = false;
    for form in OmemoForm::ALL {
        keys.published.set_own(form, None);
    }
    begin(keys, turn);
}

/// Notes which devices of the account are withdrawn. Answers about a device that is in use again do not count any more.
pub(super) fn note_withdrawn(keys: &mut EndToEnd) {
    let is_used = keys.has_omemo();
    let Some(device) = &keys.device else { return };
    for id in device.former() {
        keys.published.withdrawn.add(*id);
    }
    let own = device.id().get();
    if is_used {
        keys.published.withdrawn.remove(own);
    } else {
        keys.published.withdrawn.add(own);
    }
}

/// Withdraws the devices from a list that the server told of while OMEMO is off. `None`: the list cannot be read. It is left alone,
/// since the account's other devices are in it.
pub(super) fn list_came(keys: &mut EndToEnd, form: OmemoForm, list: Option<DeviceList>, turn: &mut Turn<'_>) {
    let Some(mut list) = list else { return keys.published.set_own(form, None) };
    let was_listed = keys.published.withdrawn.leave(form, &mut list);
    keys.published.set_own(form, Some(list));
    if was_listed {
        publish(keys, Published::List(form), turn);
    }
    take_back(keys, form, turn);
}

/// Takes the published keys of withdrawn devices back that are in no list any more.
pub(super) fn take_back(keys: &mut EndToEnd, form: OmemoForm, turn: &mut Turn<'_>) {
    for id in keys.published.withdrawn.with_keys(form) {
        publish(keys, Published::Retraction(form, id), turn);
    }
}

/// Returns the request that takes the published keys of a device back.
pub(super) fn retraction(form: OmemoForm, id: u32) -> PubsubAsk {
    match form {
        OmemoForm::Older => PubsubAsk::Delete { node: form.bundle_node(id) },
        OmemoForm::Current => PubsubAsk::Retract { node: form.bundle_node(id), id: form.bundle_item(id) },
    }
}

/// Handles the answer to a request that takes the keys of a device back. If the server refuses it, they stay: no list names the
/// device any more.
pub(super) fn taken_back(keys: &mut EndToEnd, what: Published, outcome: &Result<Body, CallError>, turn: &mut Turn<'_>) {
    match outcome {
        Err(CallError::Stanza(error)) if error.condition == "item-not-found" => {}
        Err(error) if may_succeed_later(error) && !keys.published.has(what) => return try_later(keys, error, turn),
        Ok(_) | Err(_) => {}
    }
    let Published::Retraction(form, id) = what else { return };
    if !keys.published.keys_gone(id, form) {
        return;
    }
    let Some(device) = &mut keys.device else { return };
    if device.forget_former(id) {
        let state = device.to_bytes();
        keys.published.withdrawn.remove(id);
        turn.keep_keys(vec![KeyChange::Device(state)]);
    }
}

/// Tries again what the server failed to do.
pub(super) fn go_on(keys: &mut EndToEnd, turn: &mut Turn<'_>) {
    for form in OmemoForm::ALL {
        if keys.published.must_ask_again(form) {
            ask_own_list(form, turn);
            continue;
        }
        // The server tells of all changes of the list while OMEMO is on. The list waits for the keys of the own device.
        let may_publish = keys.has_omemo() && keys.published.has_keys(form);
        if may_publish && keys.published.own(form).is_some() && keys.published.withdrawn.is_listed(form) {
            publish(keys, Published::List(form), turn);
        }
        take_back(keys, form, turn);
    }
}
