//! The account's device list on the server: reads it, and puts the own device into it.

use parlor_stanza::error::CallError;
use parlor_stanza::omemo::DeviceList;
use parlor_stanza::types::{Ask, Body, NodeChange, NodeItem, OmemoForm, PubsubAsk};

use super::EndToEnd;
use super::kept::KeyChange;
use super::lists::Came;
use super::publishing::{is_refused, may_succeed_later, own_entry, payload, publish, publish_bundles, try_later};
use super::withdrawing;
use crate::iq::keys::{KeysIq, Published};
use crate::iq::{PATIENCE, Waiting};
use crate::turn::Turn;

/// Asks for the account's list.
pub(super) fn ask_own_list(form: OmemoForm, turn: &mut Turn<'_>) {
    let node = form.list_node().to_owned();
    let ask = Ask::Pubsub(Box::new(PubsubAsk::Items { node, max: 1, after: None }));
    turn.ask(None, ask, Waiting::Keys(KeysIq::OwnList(form)), PATIENCE);
}

/// Puts the own device into a list of the account's, once others can find its keys.
pub(super) fn list_own(keys: &mut EndToEnd, form: OmemoForm, turn: &mut Turn<'_>) {
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
pub(super) fn note_own(keys: &mut EndToEnd, form: OmemoForm, turn: &Turn<'_>) {
    let Some(entry) = keys.device.as_ref().map(own_entry) else { return };
    if let Some(list) = keys.published.own_mut(form) {
        list.put_first(&entry);
    }
    let own = turn.own.to_bare();
    let mut listed = keys.lists.last(&own, form).to_vec();
    if listed.iter().all(|one| one.device != entry.device) {
        listed.insert(0, entry);
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
        // Nothing is to be changed in it.
        Err(_) if !keys.has_omemo() && !keys.published.withdrawn.is_pending(form) => return,
        Err(error) if may_succeed_later(&error) => {
            keys.published.ask_again(form);
            return try_later(keys, &error, turn);
        }
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
        NodeChange::Subscribed { .. } | NodeChange::Unsubscribed { .. } => turn.ignored += 1,
    }
}

/// Stores the account's device list, and adds this device to it if it is missing. A list that cannot be read is left alone, since the
/// account's other devices are in it.
fn own_list(keys: &mut EndToEnd, form: OmemoForm, list: Option<DeviceList>, turn: &mut Turn<'_>) {
    if !keys.has_omemo() {
        return withdrawing::list_came(keys, form, list, turn);
    }
    let Some(device) = &mut keys.device else { return };
    let Some(mut list) = list else {
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
    let had_withdrawn = keys.published.withdrawn.leave(form, &mut list);
    let own = turn.own.to_bare();
    keys.lists.came((&own, form), list.devices(), (turn.stream, turn.deadlines.elapsed()), Came::Told);
    keys.published.set_own(form, Some(list));
    if is_there {
        keys.published.set(Published::List(form));
    } else {
        keys.published.unlisted(form);
        // A server that has lost the list may have lost the keys.
        if keys.published.doubts(form) {
            publish(keys, Published::Bundle(form), turn);
        }
    }
    if !is_there || had_withdrawn {
        list_own(keys, form, turn);
    }
    withdrawing::take_back(keys, form, turn);
}
