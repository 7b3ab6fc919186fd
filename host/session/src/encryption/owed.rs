//! The devices that should get an empty message. A device that began a session needs it to stop beginning the session
//! in each message. A device that sent many messages without an answer needs it as well.
//!
//! A device that has both forms of OMEMO has a session in each, and an answer in one says nothing in the other.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jid::BareJid;
use parlor_stanza::types::OmemoForm;

use crate::deadlines::{DeadlineKey, Late};
use crate::turn::Turn;

/// Maximum number of devices that are owed a message.
pub(super) const MAX_OWED: usize = 256;
/// How long an empty message is delayed, in case a message with content is sent first.
const WAITS: Duration = Duration::from_secs(2);
/// Maximum number of devices whose broken sessions were replaced a while ago.
const MAX_HEALED: usize = 1_024;
/// Delay before the session with the same device may be replaced again.
const PAUSE: Duration = Duration::from_hours(1);

/// A session with a device.
pub(super) type OfDevice = (BareJid, u32, OmemoForm);

/// A replacement of a broken session.
#[derive(Debug)]
struct Replacement {
    /// When it began.
    at: Duration,
    /// Whether the keys of the device are still to come. Their request may wait long for others to the same server.
    is_awaited: bool,
}

/// The devices of an account's partners that are owed a message.
#[derive(Debug, Default)]
pub(super) struct Owed {
    all: BTreeSet<OfDevice>,
    deadline: Option<DeadlineKey>,
    /// The last replacement of each session that was broken.
    healed: HashMap<OfDevice, Replacement>,
}

impl Owed {
    /// Notes that a device is owed a message.
    pub(super) fn owe(&mut self, jid: &BareJid, device: u32, form: OmemoForm, turn: &mut Turn<'_>) {
        if self.all.len() >= MAX_OWED {
            return;
        }
        self.all.insert((jid.clone(), device, form));
        if self.deadline.is_none() {
            self.deadline = Some(turn.deadlines.set(WAITS, Late::KeysOwed));
        }
    }

    /// Notes that a device gets a message.
    pub(super) fn paid(&mut self, jid: &BareJid, device: u32, form: OmemoForm) {
        if !self.all.is_empty() {
            self.all.remove(&(jid.clone(), device, form));
        }
    }

    /// Takes all devices whose delay has passed.
    pub(super) fn take(&mut self) -> BTreeSet<OfDevice> {
        self.deadline = None;
        std::mem::take(&mut self.all)
    }

    /// Returns whether a broken session may be replaced now, and notes that it is. Devices that are not known have half of the places, so
    /// that they leave some to others.
    pub(super) fn may_heal(&mut self, key: OfDevice, is_known: bool, now: Duration) -> bool {
        let most = if is_known { MAX_HEALED } else { MAX_HEALED / 2 };
        let is_recent = |one: &Replacement| now < one.at + PAUSE;
        if self.healed.get(&key).is_some_and(is_recent) {
            return false;
        }
        if self.healed.len() >= most {
            self.healed.retain(|_, one| is_recent(one));
        }
        if self.healed.len() >= most {
            return false;
        }
        self.healed.insert(key, Replacement { at: now, is_awaited: true });
        true
    }

    /// Notes that a broken session was not replaced after all, because the keys of its device cannot be had now.
    pub(super) fn is_not_healed(&mut self, jid: &BareJid, device: u32, form: OmemoForm) {
        self.healed.remove(&(jid.clone(), device, form));
    }

    /// Notes that the request for the keys of a device has ended. Returns whether they replace a broken session.
    pub(super) fn keys_came(&mut self, jid: &BareJid, device: u32, form: OmemoForm) -> bool {
        let healed = self.healed.get_mut(&(jid.clone(), device, form));
        healed.is_some_and(|one| std::mem::take(&mut one.is_awaited))
    }

    /// Forgets all devices, because the session with the server has ended.
    pub(super) fn end(&mut self) {
        self.all.clear();
        self.deadline = None;
    }
}
