//! The withdrawn devices of the account: the own one while OMEMO is off, and those that new keys replaced. For each, it holds
//! what the server may still have of it.

use parlor_stanza::omemo::DeviceList;
use parlor_stanza::types::OmemoForm;

/// Returns the index of a form.
pub(super) fn place(form: OmemoForm) -> usize {
    match form {
        OmemoForm::Older => 0,
        OmemoForm::Current => 1,
    }
}

/// The part of a withdrawn device that the server may still have, in one form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// The account's list may name the device.
    Listed,
    /// A list without the device was sent, and the server has not answered.
    Unlisting,
    /// The server refuses to change the list. It is asked again on the next stream.
    Refused,
    /// The list does not name the device, but its keys may still be published.
    Keys,
    /// Nothing.
    Nothing,
}

/// A withdrawn device.
#[derive(Debug)]
struct One {
    id: u32,
    rests: [Rest; 2],
}

/// The withdrawn devices.
#[derive(Debug, Default)]
pub(super) struct Withdrawn(Vec<One>);

impl Withdrawn {
    /// Adds a device, unless it is there. The server may have all of it.
    pub(super) fn add(&mut self, id: u32) {
        if self.0.iter().all(|one| one.id != id) {
            self.0.push(One { id, rests: [Rest::Listed; 2] });
        }
    }

    /// Removes a device: it is in use again, or is forgotten.
    pub(super) fn remove(&mut self, id: u32) {
        self.0.retain(|one| one.id != id);
    }

    /// Removes the devices from a list that the server told of. Returns whether any was in it.
    pub(super) fn leave(&mut self, form: OmemoForm, list: &mut DeviceList) -> bool {
        let mut is_changed = false;
        for one in &mut self.0 {
            let rest = &mut one.rests[place(form)];
            if list.has(one.id) {
                list.remove(one.id);
                is_changed = true;
                *rest = Rest::Listed;
            } else if *rest != Rest::Nothing {
                *rest = Rest::Keys;
            }
        }
        is_changed
    }

    /// Returns the ids of the devices.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|one| one.id)
    }

    /// Returns whether the account's list may name one of the devices, and no list without it is on its way.
    pub(super) fn is_listed(&self, form: OmemoForm) -> bool {
        self.0.iter().any(|one| one.rests[place(form)] == Rest::Listed)
    }

    /// Returns whether the server may have something of a device in this form.
    pub(super) fn is_pending(&self, form: OmemoForm) -> bool {
        self.0.iter().any(|one| one.rests[place(form)] != Rest::Nothing)
    }

    /// Returns the devices that are in no list of this form, and whose keys may be published.
    pub(super) fn with_keys(&self, form: OmemoForm) -> Vec<u32> {
        self.0.iter().filter(|one| one.rests[place(form)] == Rest::Keys).map(|one| one.id).collect()
    }

    /// Notes that a list without the devices is sent.
    pub(super) fn list_sent(&mut self, form: OmemoForm) {
        self.change(form, &[Rest::Listed, Rest::Refused], Rest::Unlisting);
    }

    /// Notes that the server has taken the list that was sent.
    pub(super) fn list_taken(&mut self, form: OmemoForm) {
        self.change(form, &[Rest::Unlisting], Rest::Keys);
    }

    /// Notes that the server failed to take the list that was sent.
    pub(super) fn list_failed(&mut self, form: OmemoForm) {
        self.change(form, &[Rest::Unlisting], Rest::Listed);
    }

    /// Notes that the server refuses the list that was sent.
    pub(super) fn list_refused(&mut self, form: OmemoForm) {
        self.change(form, &[Rest::Unlisting], Rest::Refused);
    }

    fn change(&mut self, form: OmemoForm, from: &[Rest], to: Rest) {
        let rests = self.0.iter_mut().map(|one| &mut one.rests[place(form)]);
        rests.filter(|rest| from.contains(rest)).for_each(|rest| *rest = to);
    }

    /// Notes that no keys of a device are published in this form. Returns whether the server has nothing of it in either form.
    pub(super) fn keys_gone(&mut self, id: u32, form: OmemoForm) -> bool {
        let Some(one) = self.0.iter_mut().find(|one| one.id == id) else { return false };
        one.rests[place(form)] = Rest::Nothing;
        one.rests == [Rest::Nothing; 2]
    }

    /// Notes that another client may change the lists unnoticed, and that no request is on its way.
    pub(super) fn stream_gone(&mut self) {
        for rest in self.0.iter_mut().flat_map(|one| &mut one.rests).filter(|rest| **rest != Rest::Nothing) {
            *rest = Rest::Listed;
        }
    }
}
