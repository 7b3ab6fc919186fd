//! The devices of people, as they list them.

use std::collections::HashMap;
use std::time::Duration;

use jid::BareJid;
use parlor_stanza::types::{ListedDevice, OmemoForm};

/// Maximum number of devices of one person that get messages.
pub(crate) const MAX_DEVICES: usize = 50;
/// Maximum number of people whose devices are known. The list that came first makes room.
pub(super) const MAX_PEOPLE: usize = 20_000;
/// How long a list counts of somebody of whose changes the account is not told.
const LASTS: Duration = Duration::from_hours(1);
/// How long a failed request counts as an empty list.
const FAILED: Duration = Duration::from_mins(5);

/// One list of a person.
#[derive(Debug)]
struct List {
    devices: Vec<ListedDevice>,
    /// The stream on which it came, since changes are lost between two.
    stream: u64,
    /// When it came.
    at: Duration,
    /// How long it counts. None: until the stream ends, since changes are told.
    lasts: Option<Duration>,
}

/// How a list came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// The person's server told of it, and will tell of the next one.
    Told,
    /// It was asked for.
    Asked,
    /// There was no answer.
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
    /// Returns the devices in a list; `None` if it has to be asked for.
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

    /// Takes in a list. Returns how many devices are more than anybody may have.
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
            Came::Failed => Some(FAILED),
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

    /// Forgets a person.
    pub(super) fn forget(&mut self, jid: &BareJid) {
        self.all.remove(jid);
    }
}
