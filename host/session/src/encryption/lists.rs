//! The device lists of people.

use std::collections::HashMap;
use std::time::Duration;

use jid::BareJid;
use parlor_stanza::types::{ListedDevice, OmemoForm};

/// Maximum number of devices of one person that get messages.
pub(crate) const MAX_DEVICES: usize = 50;
/// Maximum number of people whose devices are known. Beyond it, the oldest list is dropped.
pub(super) const MAX_PEOPLE: usize = 20_000;
/// How long a list is valid if the server does not push its changes.
const LASTS: Duration = Duration::from_hours(1);
/// How long a list is valid if the server did not return it, or if it may have changed since.
const SHORT: Duration = Duration::from_mins(5);

/// One list of a person.
#[derive(Debug)]
struct List {
    devices: Vec<ListedDevice>,
    /// The stream that delivered it: changes between two streams are lost.
    stream: u64,
    /// When it was received.
    at: Duration,
    /// How long it is valid. None: until the stream ends, since the server pushes changes.
    lasts: Option<Duration>,
}

/// The origin of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// The person's server pushed it, and will push the next one.
    Told,
    /// The account requested it.
    Asked,
    /// The request got no answer.
    Failed,
}

/// The lists of all people.
#[derive(Debug, Default)]
pub(super) struct Lists {
    all: HashMap<BareJid, [Option<List>; 2]>,
}

fn place(form: OmemoForm) -> usize {
    match form {
        OmemoForm::Older => 0,
        OmemoForm::Current => 1,
    }
}

impl Lists {
    /// Returns the devices in a list; `None` if it must be requested.
    pub(super) fn get(&self, jid: &BareJid, form: OmemoForm, stream: u64, now: Duration) -> Option<&[ListedDevice]> {
        let list = self.all.get(jid)?[place(form)].as_ref()?;
        let is_over = list.lasts.is_some_and(|lasts| now >= list.at + lasts);
        (list.stream == stream && !is_over).then_some(list.devices.as_slice())
    }

    /// Returns the devices in a list, however old it is.
    pub(super) fn last(&self, jid: &BareJid, form: OmemoForm) -> &[ListedDevice] {
        let list = self.all.get(jid).and_then(|lists| lists[place(form)].as_ref());
        list.map(|list| list.devices.as_slice()).unwrap_or_default()
    }

    /// Returns whether a device is in one of the lists of a person.
    pub(super) fn has(&self, jid: &BareJid, device: u32) -> bool {
        OmemoForm::ALL.into_iter().any(|form| self.last(jid, form).iter().any(|listed| listed.device == device))
    }

    /// Stores a list. Returns the number of devices beyond the maximum for one person.
    pub(super) fn came(
        &mut self,
        (jid, form): (&BareJid, OmemoForm),
        mut devices: Vec<ListedDevice>,
        (stream, now): (u64, Duration),
        came: Came,
    ) -> usize {
        let too_many = devices.len().saturating_sub(MAX_DEVICES);
        devices.truncate(MAX_DEVICES);
        let lasts = match came {
            Came::Told => None,
            Came::Asked => Some(LASTS),
            Came::Failed => Some(SHORT),
        };
        if self.all.len() >= MAX_PEOPLE && !self.all.contains_key(jid) {
            let at = |lists: &[Option<List>; 2]| lists.iter().flatten().map(|list| list.at).max();
            let oldest = self.all.iter().min_by_key(|(_, lists)| at(lists)).map(|(jid, _)| jid.clone());
            if let Some(oldest) = oldest {
                self.all.remove(&oldest);
            }
        }
        self.all.entry(jid.clone()).or_default()[place(form)] = Some(List { devices, stream, at: now, lasts });
        too_many
    }

    /// Notes that a list may have changed. It is requested again, but not soon after it came: messages wait for the answer of the
    /// person's server, and the person decides how often the list changes.
    pub(super) fn outdate(&mut self, jid: &BareJid, form: OmemoForm) {
        let list = self.all.get_mut(jid).and_then(|lists| lists[place(form)].as_mut());
        if let Some(list) = list {
            list.lasts = Some(SHORT);
        }
    }

    /// Adds a device that sent a message at this time, if the list is older: an empty one may be from before the person had OMEMO. A
    /// newer list that lacks the device counts, as the person may have removed it. A missing list is still requested, and the devices
    /// that wrote count if it cannot be had.
    pub(super) fn add(&mut self, (jid, form): (&BareJid, OmemoForm), device: u32, written: Duration) {
        // Strangers who write must not push out the lists of others.
        if self.all.len() >= MAX_PEOPLE && !self.all.contains_key(jid) {
            return;
        }
        let missing = || List { devices: Vec::new(), stream: 0, at: Duration::ZERO, lasts: Some(Duration::ZERO) };
        let list = self.all.entry(jid.clone()).or_default()[place(form)].get_or_insert_with(missing);
        let is_new = list.devices.iter().all(|listed| listed.device != device);
        if is_new && list.at <= written && list.devices.len() < MAX_DEVICES {
            list.devices.push(ListedDevice { device, label: None });
        }
    }

    /// Forgets a person.
    pub(super) fn forget(&mut self, jid: &BareJid) {
        self.all.remove(jid);
    }
}
