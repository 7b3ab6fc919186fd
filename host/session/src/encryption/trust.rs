//! Keeps the public keys of others, and the decision about each.
//!
//! Until a key of a person is verified, all of their keys are trusted ("blind trust before verification"). After that, after the
//! owner distrusted all of their keys, or in an account with the strict policy, a new key is trusted only once the owner says so.

use std::cmp::Reverse;
use std::collections::HashMap;

use jid::BareJid;
use jiff::{SignedDuration, Timestamp};
use parlor_config::TrustPolicy;
use parlor_e2ee::{omemo, otr};
use parlor_stanza::types::{DeviceLabel, DeviceTrust};

/// Maximum number of keys of one person. Beyond it, the least recently used key without a decision is dropped.
pub(super) const MAX_KEYS: usize = 128;
/// Maximum number of people whose keys are known. Beyond it, a person without decisions about their keys is dropped.
pub(super) const MAX_PEOPLE: usize = 20_000;
/// Maximum number of keys of all people. Beyond it, keys without a decision are dropped: undecided keys before those
/// with `blind` trust, and within each group the least recently used first.
pub(super) const MAX_ALL: usize = 100_000;
/// Number of keys that are dropped together, since finding the oldest iterates over all.
const AT_ONCE: usize = 1_000;
/// Precision of the time at which a key was last used, so that each message does not cause a write.
const STEP: SignedDuration = SignedDuration::from_hours(6);

/// Maximum number of keys of one device that a label is compared with. Each comparison takes a tenth of a millisecond, and a server pushes
/// lists as often as it likes.
const MOST_LABELLED: usize = 4;

/// The protocol that a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// OMEMO.
    Omemo {
        /// The id of its device.
        device: u32,
    },
    /// Off-the-record messaging.
    Otr,
}

impl KeyKind {
    /// Returns the name of the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Omemo { .. } => "omemo",
            Self::Otr => "otr",
        }
    }

    /// Returns the device, if the key is for OMEMO.
    pub fn device(self) -> Option<u32> {
        match self {
            Self::Omemo { device } => Some(device),
            Self::Otr => None,
        }
    }
}

/// A public key of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// The person.
    pub jid: BareJid,
    /// The protocol, and the device.
    pub kind: KeyKind,
    /// The fingerprint: 64 hex digits for OMEMO, 40 for off-the-record messaging.
    pub fingerprint: String,
    /// The label of the device.
    pub label: Option<String>,
    /// The decision about it.
    pub trust: DeviceTrust,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// When it was last used, with a precision of some hours.
    pub last_seen: Timestamp,
    /// Whether the device is listed now, or the conversation is open.
    pub is_listed: bool,
}

/// Returns a fingerprint in groups of eight digits, as people compare it.
pub fn grouped(fingerprint: &str) -> String {
    let digits: Vec<char> = fingerprint.chars().collect();
    digits.chunks(8).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

/// Returns a typed fingerprint in its normal form: only its digits, in lower case.
pub fn typed(fingerprint: &str) -> String {
    fingerprint.chars().filter(char::is_ascii_hexdigit).map(|digit| digit.to_ascii_lowercase()).collect()
}

/// Returns a fingerprint in its stored form.
pub(super) fn of_omemo(fingerprint: omemo::Fingerprint) -> String {
    hex(fingerprint.curve25519())
}

/// Returns a fingerprint in its stored form.
pub(super) fn of_otr(fingerprint: otr::Fingerprint) -> String {
    hex(fingerprint.as_bytes())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The result of noting that a key is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Met {
    /// Its trust now.
    pub(super) trust: DeviceTrust,
    /// Whether it is new.
    pub(super) is_new: bool,
    /// Whether the person had other keys before.
    pub(super) is_of_known_person: bool,
    /// The entry, if it must be stored.
    pub(super) changed: Option<KnownKey>,
    /// The entries that were dropped to make space.
    pub(super) forgotten: Vec<KnownKey>,
}

/// Returns whether the owner has not decided about a key.
fn is_open(key: &KnownKey) -> bool {
    matches!(key.trust, DeviceTrust::Blind | DeviceTrust::Undecided)
}

/// Returns the rank of a key: the lowest is dropped first.
fn rank(key: &KnownKey) -> (bool, Timestamp) {
    (key.trust != DeviceTrust::Undecided, key.last_seen)
}

/// The keys of all people.
#[derive(Debug, Default)]
pub(super) struct TrustBook {
    people: HashMap<BareJid, Vec<KnownKey>>,
    /// The number of all keys.
    count: usize,
}

impl TrustBook {
    /// Loads the kept keys, which begin with those that have a decision. If there are too many, the rest is left out.
    pub(super) fn load(&mut self, keys: Vec<KnownKey>) {
        for key in keys.into_iter().take(MAX_ALL - self.count) {
            self.count += 1;
            self.people.entry(key.jid.clone()).or_default().push(key);
        }
    }

    /// Returns the number of known keys.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Returns the keys of a person.
    pub(super) fn of(&self, jid: &BareJid) -> &[KnownKey] {
        self.people.get(jid).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns the keys of everybody.
    pub(super) fn all(&self) -> impl Iterator<Item = &KnownKey> {
        self.people.values().flatten()
    }

    /// Returns whether a key of the person was verified.
    pub(super) fn is_verified(&self, jid: &BareJid) -> bool {
        self.of(jid).iter().any(|key| key.trust == DeviceTrust::Trusted)
    }

    /// Returns whether the owner distrusted all keys of a person, except those that came since. Otherwise the person, or their server,
    /// would be trusted again with the next key.
    fn is_shunned(&self, jid: &BareJid) -> bool {
        let keys = self.of(jid);
        keys.iter().any(|key| key.trust == DeviceTrust::Distrusted) && !keys.iter().any(|key| is_enough(key.trust))
    }

    /// Returns the key that a device used last.
    pub(super) fn of_device(&self, jid: &BareJid, device: u32) -> Option<&KnownKey> {
        let of_device = self.of(jid).iter().filter(|key| key.kind == KeyKind::Omemo { device });
        // Another key never supersedes a verified one.
        of_device.max_by_key(|key| (key.trust == DeviceTrust::Trusted, key.last_seen))
    }

    /// Returns the trust in a message that a device wrote before this time. By which of its keys is not known any more, so that the least
    /// trusted one counts of those that it may have had: a server can put a key of its own under the id of any device.
    pub(super) fn of_message(&self, jid: &BareJid, device: u32, at: Timestamp) -> Option<DeviceTrust> {
        let rank = |trust: &DeviceTrust| match trust {
            DeviceTrust::Distrusted => 0,
            DeviceTrust::Undecided => 1,
            DeviceTrust::Blind => 2,
            DeviceTrust::Trusted => 3,
        };
        let of_device = || self.of(jid).iter().filter(|key| key.kind == KeyKind::Omemo { device });
        let by_then = of_device().filter(|key| key.first_seen <= at).map(|key| key.trust).min_by_key(rank);
        // The clock may have been set back.
        by_then.or_else(|| of_device().map(|key| key.trust).min_by_key(rank))
    }

    /// Returns whether this key of a device is known.
    pub(super) fn knows(&self, jid: &BareJid, device: u32, fingerprint: &str) -> bool {
        let kind = KeyKind::Omemo { device };
        self.of(jid).iter().any(|key| key.kind == kind && key.fingerprint == fingerprint)
    }

    /// Returns whether the key of a device is not trusted, so that nothing is sent to the device.
    pub(super) fn is_refused(&self, jid: &BareJid, device: u32, policy: TrustPolicy) -> bool {
        self.of_device(jid, device).is_some_and(|key| !is_enough(counting(key.trust, policy)))
    }

    /// Returns whether a device may get messages through a session with exactly this key. A forgotten key has no trust,
    /// and if one key of a device is verified, no other key of it is accepted.
    pub(super) fn may_get(&self, jid: &BareJid, device: u32, fingerprint: &str, policy: TrustPolicy) -> bool {
        let (all, kind) = (self.of(jid), KeyKind::Omemo { device });
        let Some(key) = all.iter().find(|key| key.kind == kind && key.fingerprint == fingerprint) else { return false };
        let has_verified = all.iter().any(|other| other.kind == kind && other.trust == DeviceTrust::Trusted);
        is_enough(counting(key.trust, policy)) && (key.trust == DeviceTrust::Trusted || !has_verified)
    }

    /// Notes that a key is used, and returns its trust.
    pub(super) fn meet(
        &mut self,
        jid: &BareJid,
        kind: KeyKind,
        fingerprint: String,
        policy: TrustPolicy,
        now: Timestamp,
    ) -> Met {
        let is_verified = self.is_verified(jid);
        let keys = self.people.get_mut(jid);
        let is_of_known_person = keys.as_ref().is_some_and(|keys| !keys.is_empty());
        if let Some(key) =
            keys.and_then(|keys| keys.iter_mut().find(|key| key.fingerprint == fingerprint && key.kind == kind))
        {
            let is_old = now.duration_since(key.last_seen) >= STEP;
            if is_old {
                key.last_seen = now;
            }
            return Met {
                trust: counting(key.trust, policy),
                is_new: false,
                is_of_known_person,
                changed: is_old.then(|| key.clone()),
                forgotten: Vec::new(),
            };
        }
        // A device can take another id, and the decision is about its key. Under each further id it is undecided, so that entries of
        // ids without end can be dropped.
        let mut same = self.of(jid).iter().filter(|key| key.fingerprint == fingerprint);
        let is_distrusted = same.any(|key| key.trust == DeviceTrust::Distrusted);
        let is_shunned = self.is_shunned(jid);
        let trust = match policy {
            TrustPolicy::Blind if !is_verified && !is_distrusted && !is_shunned => DeviceTrust::Blind,
            TrustPolicy::Blind | TrustPolicy::Strict => DeviceTrust::Undecided,
        };
        let key = KnownKey {
            jid: jid.clone(),
            kind,
            fingerprint,
            label: None,
            trust,
            first_seen: now,
            last_seen: now,
            is_listed: false,
        };
        let mut forgotten: Vec<KnownKey> = self.make_room_for(jid).into_iter().collect();
        if self.count >= MAX_ALL {
            forgotten.extend(self.forget_oldest());
        }
        self.count -= forgotten.len();
        if self.count >= MAX_ALL {
            // The owner decided about all keys, so none can be dropped. A key that cannot be stored is not trusted.
            let trust = DeviceTrust::Undecided;
            return Met { trust, is_new: false, is_of_known_person, changed: None, forgotten };
        }
        self.count += 1;
        self.people.entry(jid.clone()).or_default().push(key.clone());
        Met { trust: counting(trust, policy), is_new: true, is_of_known_person, changed: Some(key), forgotten }
    }

    /// Returns whether no further key can be stored, because the owner decided about all stored ones.
    pub(super) fn is_full(&self) -> bool {
        self.count >= MAX_ALL && !self.all().any(is_open)
    }

    /// Drops keys without a decision, because the limit for all people is reached.
    fn forget_oldest(&mut self) -> Vec<KnownKey> {
        let mut ranks: Vec<_> = self.all().filter(|key| is_open(key)).map(rank).collect();
        let Some(last) = ranks.len().min(AT_ONCE).checked_sub(1) else { return Vec::new() };
        let limit = *ranks.select_nth_unstable(last).1;
        let mut left = AT_ONCE;
        let mut forgotten = Vec::with_capacity(AT_ONCE);
        for keys in self.people.values_mut() {
            forgotten.extend(keys.extract_if(.., |key| {
                let is_meant = left > 0 && is_open(key) && rank(key) <= limit;
                left -= usize::from(is_meant);
                is_meant
            }));
        }
        self.people.retain(|_, keys| !keys.is_empty());
        forgotten
    }

    /// Drops a key without a decision, if the limit of keys for this person, or of people, is reached.
    fn make_room_for(&mut self, jid: &BareJid) -> Option<KnownKey> {
        let whose = if self.of(jid).len() >= MAX_KEYS {
            jid.clone()
        } else if self.people.len() >= MAX_PEOPLE && !self.people.contains_key(jid) {
            let open = self.people.iter().filter(|(_, keys)| keys.iter().all(is_open));
            open.min_by_key(|(_, keys)| keys.iter().map(|key| key.last_seen).max())?.0.clone()
        } else {
            return None;
        };
        let keys = self.people.get_mut(&whose)?;
        let oldest = (0..keys.len()).filter(|at| is_open(&keys[*at])).min_by_key(|at| keys[*at].last_seen);
        // If the owner decided about all of them, none is dropped, and the limit for one person is exceeded.
        let forgotten = oldest.map(|at| keys.swap_remove(at));
        if keys.is_empty() {
            self.people.remove(&whose);
        }
        forgotten
    }

    /// Applies a decision to the key of a person with this fingerprint, or to all. Returns the changed keys, each with
    /// the decision before.
    pub(super) fn decide(
        &mut self,
        jid: &BareJid,
        fingerprint: Option<&str>,
        trust: DeviceTrust,
    ) -> Vec<(KnownKey, DeviceTrust)> {
        let keys = self.people.get_mut(jid).into_iter().flatten();
        let meant = keys.filter(|key| fingerprint.is_none_or(|wanted| key.fingerprint == wanted));
        meant
            .map(|key| {
                let before = std::mem::replace(&mut key.trust, trust);
                (key.clone(), before)
            })
            .collect()
    }

    /// Sets the label of a device for those of its keys that have signed it: a server could write any. Verified keys come first, and then
    /// those that were seen last. Returns its entries that changed.
    pub(super) fn label(&mut self, jid: &BareJid, device: u32, label: Option<&DeviceLabel>) -> Vec<KnownKey> {
        let shown = label.and_then(DeviceLabel::shown);
        let keys = self.people.get_mut(jid).into_iter().flatten();
        let meant = keys.filter(|key| key.kind == KeyKind::Omemo { device } && key.label != shown);
        let mut meant: Vec<_> = meant.collect();
        meant.sort_by_key(|key| (key.trust != DeviceTrust::Trusted, Reverse(key.last_seen)));
        meant
            .into_iter()
            .take(MOST_LABELLED)
            .filter_map(|key| {
                let signed = shown.clone().filter(|_| label.is_some_and(|label| has_signed(key, label)));
                let is_new = key.label != signed;
                key.label = signed;
                is_new.then(|| key.clone())
            })
            .collect()
    }

    /// Forgets a person.
    pub(super) fn forget(&mut self, jid: &BareJid) -> Vec<KnownKey> {
        let forgotten = self.people.remove(jid).unwrap_or_default();
        self.count -= forgotten.len();
        forgotten
    }
}

/// Returns the trust that follows from a decision under this policy.
pub(super) fn counting(trust: DeviceTrust, policy: TrustPolicy) -> DeviceTrust {
    match (trust, policy) {
        (DeviceTrust::Blind, TrustPolicy::Strict) => DeviceTrust::Undecided,
        (trust, _) => trust,
    }
}

fn has_signed(key: &KnownKey, label: &DeviceLabel) -> bool {
    let fingerprint: Result<omemo::Fingerprint, _> = key.fingerprint.parse();
    fingerprint.is_ok_and(|fingerprint| fingerprint.has_signed_label(&label.text, &label.signature))
}

/// Returns whether messages of such a device are read, and whether it gets messages.
pub(super) fn is_enough(trust: DeviceTrust) -> bool {
    matches!(trust, DeviceTrust::Blind | DeviceTrust::Trusted)
}

#[cfg(test)]
mod tests;
