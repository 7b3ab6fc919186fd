//! The own device of an account, with all its secrets.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use rand::CryptoRng;

use super::bundle::Bundle;
use super::error::{ReceiveError, StateError};
use super::fields::{Reader, Writer};
use super::keys::{Fingerprint, Identity, KeyPair, Public};
use super::limits;
use super::secret::Secret;
use super::version::{DeviceId, Version};
use super::wire;

const STATE: u8 = 1;

/// The last id that a key may have, so that others can hold it in a signed number.
const LAST_ID: u32 = (1 << 31) - 1;

/// Whether a used prekey can be needed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is forgotten at once.
    No,
    /// An archive is being read: others may have started sessions by the same prekey meanwhile, since the bundle still had it.
    UntilCaughtUp,
    /// The bundle on the server still has it, so others may have picked it, too. Until this time they may start sessions by it, but not
    /// by the exchange that used it. The time counts from whatever the caller's clock counts from. It is not in the state as bytes.
    Until(Duration, Exchanged),
}

/// An exchange of keys that used a prekey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchanged(pub(super) Public);

/// The prekeys by which a message may begin a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prekeys {
    /// The unused ones, and those that were used a moment ago, as [`Keep::Until`] says.
    Fresh,
    /// These, and those that were used while an archive is read.
    All,
}

/// A prekey that was used a moment ago.
#[derive(Clone)]
struct Recent {
    prekey: (u32, KeyPair),
    /// The exchanges that used it.
    exchanges: Vec<Exchanged>,
    until: Duration,
}

#[derive(Clone)]
struct SignedPrekey {
    id: u32,
    pair: KeyPair,
    /// One for each version, in the order of [`Version::ALL`]: they sign different bytes.
    signatures: [[u8; 64]; 2],
}

impl SignedPrekey {
    fn new(id: u32, identity: &Identity, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let pair = KeyPair::generate(rng);
        let signatures =
            Version::ALL.map(|version| identity.sign(&wire::encode_key(version, pair.public()), &mut *rng));
        Self { id, pair, signatures }
    }
}

/// The own device of an account: its identity key, its prekeys, its id. It serves both versions.
#[derive(Clone)]
pub struct Device {
    id: DeviceId,
    pub(super) identity: Identity,
    signed_prekey: SignedPrekey,
    /// The previous one, for messages that were in transit.
    former_signed_prekey: Option<SignedPrekey>,
    /// When the signed prekey was made, in seconds since 1970.
    signed_at: u64,
    /// The id of the next prekey; all below were given out.
    next_prekey: u32,
    prekeys: Vec<(u32, KeyPair)>,
    /// Used ones that are kept until the archive was read. The oldest is the first.
    used: VecDeque<(u32, KeyPair)>,
    /// Those that were used a moment ago. The oldest is the first.
    recent: VecDeque<Recent>,
    /// The ids of the account's devices before it that may still be on the server. The oldest is the first.
    former: Vec<u32>,
}

impl Device {
    /// Makes a device with 100 prekeys. `now` is in seconds since 1970.
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized), now: u64) -> Self {
        let identity = Identity::new(KeyPair::generate(rng));
        let mut device = Self {
            id: DeviceId::random(rng),
            signed_prekey: SignedPrekey::new(1, &identity, rng),
            identity,
            former_signed_prekey: None,
            signed_at: now,
            next_prekey: 1,
            prekeys: Vec::with_capacity(limits::PREKEYS),
            used: VecDeque::new(),
            recent: VecDeque::new(),
            former: Vec::new(),
        };
        device.refill(rng);
        device
    }

    /// Returns its id.
    pub fn id(&self) -> DeviceId {
        self.id
    }

    /// Takes another id, because another device of the account has this one.
    pub fn renew_id(&mut self, rng: &mut (impl CryptoRng + ?Sized)) {
        self.id = DeviceId::random(rng);
    }

    /// Notes that it replaces a device of the account, which must be withdrawn from the server.
    pub fn replaces(&mut self, before: &Self) {
        self.former.clone_from(&before.former);
        if self.former.len() == limits::FORMER_DEVICES {
            self.former.remove(0);
        }
        self.former.push(before.id.get());
    }

    /// Returns the ids of the account's devices before it that may still be on the server.
    pub fn former(&self) -> &[u32] {
        &self.former
    }

    /// Notes that the server has nothing of a former device any more. Returns whether it was one.
    pub fn forget_former(&mut self, id: u32) -> bool {
        let before = self.former.len();
        self.former.retain(|one| *one != id);
        self.former.len() < before
    }

    /// Returns its identity.
    pub fn fingerprint(&self) -> Fingerprint {
        self.identity.fingerprint()
    }

    /// Signs its label in a list of devices.
    pub fn sign_label(&self, label: &str, rng: &mut (impl CryptoRng + ?Sized)) -> [u8; 64] {
        self.identity.sign(label.as_bytes(), rng)
    }

    /// Returns the bundle to publish, without used prekeys.
    pub fn bundle(&self, version: Version) -> Bundle {
        let signature = usize::from(version == Version::Omemo2);
        Bundle {
            version,
            identity: wire::identity(version, &self.identity),
            fingerprint: self.fingerprint(),
            signed_prekey_id: self.signed_prekey.id,
            signed_prekey: *self.signed_prekey.pair.public(),
            signature: self.signed_prekey.signatures[signature],
            prekeys: self.prekeys.iter().map(|(id, pair)| (*id, *pair.public())).collect(),
        }
    }

    /// Whether fewer than 100 prekeys are left. Then [`Device::refill`], keep the state, and publish.
    pub fn needs_new_prekeys(&self) -> bool {
        self.prekeys.len() < limits::PREKEYS
    }

    /// Makes prekeys until there are 100, and returns how many. No id is ever given twice.
    pub fn refill(&mut self, rng: &mut (impl CryptoRng + ?Sized)) -> usize {
        let before = self.prekeys.len();
        while self.prekeys.len() < limits::PREKEYS && self.next_prekey < LAST_ID {
            self.prekeys.push((self.next_prekey, KeyPair::generate(rng)));
            self.next_prekey += 1;
        }
        self.prekeys.len() - before
    }

    /// Takes a prekey out of the bundle, since a session was started by it. Returns whether it was there.
    pub fn use_prekey(&mut self, id: u32, keep: Keep) -> bool {
        let Some(place) = self.prekeys.iter().position(|(one, _)| *one == id) else {
            match keep {
                Keep::No => self.used.retain(|(one, _)| *one != id),
                Keep::UntilCaughtUp => {}
                Keep::Until(_, exchange) => {
                    if let Some(recent) = self.recent.iter_mut().find(|recent| recent.prekey.0 == id) {
                        recent.exchanges.push(exchange);
                    }
                }
            }
            return false;
        };
        let prekey = self.prekeys.remove(place);
        match keep {
            Keep::No => {}
            Keep::UntilCaughtUp => {
                keep_one(&mut self.used, prekey);
            }
            Keep::Until(until, exchange) => {
                keep_one(&mut self.recent, Recent { prekey, exchanges: vec![exchange], until });
            }
        }
        true
    }

    /// Whether it keeps prekeys that were used a moment ago.
    pub fn has_recent_prekeys(&self) -> bool {
        !self.recent.is_empty()
    }

    /// Forgets prekeys that were kept until now, or until a time before.
    pub fn forget_recent_prekeys(&mut self, now: Duration) {
        self.recent.retain(|recent| recent.until > now);
    }

    /// Forgets used prekeys, since the archive was read. Returns how many there were.
    pub fn forget_used_prekeys(&mut self) -> usize {
        let count = self.used.len();
        self.used.clear();
        count
    }

    /// Whether the signed prekey is a week old. A clock that was set back does not keep it in use forever.
    pub fn signed_prekey_is_due(&self, now: u64) -> bool {
        now.abs_diff(self.signed_at) >= limits::SIGNED_PREKEY_SECONDS
    }

    /// Makes a new signed prekey. The one before is kept until the next change.
    pub fn rotate_signed_prekey(&mut self, rng: &mut (impl CryptoRng + ?Sized), now: u64) {
        // Only two signed prekeys are kept, so ids may start again at 1.
        let id = if self.signed_prekey.id < LAST_ID { self.signed_prekey.id + 1 } else { 1 };
        let new = SignedPrekey::new(id, &self.identity, rng);
        self.former_signed_prekey = Some(std::mem::replace(&mut self.signed_prekey, new));
        self.signed_at = now;
    }

    pub(super) fn signed_prekey(&self, id: u32) -> Result<&KeyPair, ReceiveError> {
        let mut known = [Some(&self.signed_prekey), self.former_signed_prekey.as_ref()].into_iter().flatten();
        known.find(|one| one.id == id).map(|one| &one.pair).ok_or(ReceiveError::UnknownSignedPrekey(id))
    }

    /// Returns the prekey with this id by which an exchange may start a session.
    pub(super) fn prekey(&self, id: u32, of: Prekeys, exchange: Exchanged) -> Result<&KeyPair, ReceiveError> {
        let used = self.used.iter().filter(|_| of == Prekeys::All);
        let recent = self.recent.iter().filter(|recent| recent.may_start(exchange)).map(|recent| &recent.prekey);
        let found = self.prekeys.iter().chain(used).chain(recent).find(|(one, _)| *one == id);
        let was_given = (1..self.next_prekey).contains(&id);
        found.map(|(_, pair)| pair).ok_or(if was_given {
            ReceiveError::UsedPrekey(id)
        } else {
            ReceiveError::UnknownPrekey(id)
        })
    }

    /// Returns the whole state as bytes. They are secret: anyone who has them can impersonate this device.
    pub fn to_bytes(&self) -> Secret {
        let mut writer = Writer::new(STATE, 1_024 + 68 * (self.prekeys.len() + self.used.len()));
        writer.u32(self.id.get());
        writer.bytes(self.identity.pair().secret());
        writer.u64(self.signed_at);
        write_signed(&mut writer, &self.signed_prekey);
        writer.flag(self.former_signed_prekey.is_some());
        if let Some(former) = &self.former_signed_prekey {
            write_signed(&mut writer, former);
        }
        writer.u32(self.next_prekey);
        writer.count(self.prekeys.len());
        self.prekeys.iter().for_each(|one| write_prekey(&mut writer, one));
        writer.count(self.used.len());
        self.used.iter().for_each(|one| write_prekey(&mut writer, one));
        // States that earlier versions wrote end here.
        if !self.former.is_empty() {
            writer.count(self.former.len());
            self.former.iter().for_each(|id| writer.u32(*id));
        }
        writer.finish()
    }

    /// Reads what [`Device::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StateError> {
        let mut reader = Reader::new(bytes, STATE, limits::DEVICE_BYTES)?;
        let id = DeviceId::new(reader.u32()?).ok_or(StateError::Damaged("its device has no id"))?;
        let identity = Identity::new(KeyPair::from_bytes(&reader.key()?));
        let signed_at = reader.u64()?;
        let signed_prekey = read_signed(&mut reader)?;
        let former_signed_prekey = if reader.flag()? { Some(read_signed(&mut reader)?) } else { None };
        let next_prekey = reader.u32()?;
        let prekeys = read_prekeys(&mut reader, limits::PREKEYS, next_prekey)?;
        let used = read_prekeys(&mut reader, limits::USED_PREKEYS, next_prekey)?.into();
        let former = read_former(&mut reader)?;
        reader.finish()?;
        Ok(Self {
            id,
            identity,
            signed_prekey,
            former_signed_prekey,
            signed_at,
            next_prekey,
            prekeys,
            used,
            recent: VecDeque::new(),
            former,
        })
    }
}

impl Recent {
    /// Whether an exchange is another one than those that used it.
    fn may_start(&self, exchange: Exchanged) -> bool {
        self.exchanges.len() < limits::EXCHANGES_OF_A_PREKEY && !self.exchanges.contains(&exchange)
    }
}

/// Keeps one more used prekey. If there are too many, the oldest is dropped.
fn keep_one<T>(kept: &mut VecDeque<T>, one: T) {
    if kept.len() == limits::USED_PREKEYS {
        kept.pop_front();
    }
    kept.push_back(one);
}

fn write_signed(writer: &mut Writer, one: &SignedPrekey) {
    writer.u32(one.id);
    writer.bytes(one.pair.secret());
    one.signatures.iter().for_each(|signature| writer.bytes(signature));
}

fn read_signed(reader: &mut Reader<'_>) -> Result<SignedPrekey, StateError> {
    let id = reader.u32()?;
    let pair = KeyPair::from_bytes(&reader.key()?);
    Ok(SignedPrekey { id, pair, signatures: [reader.array()?, reader.array()?] })
}

fn write_prekey(writer: &mut Writer, (id, pair): &(u32, KeyPair)) {
    writer.u32(*id);
    writer.bytes(pair.secret());
    writer.bytes(pair.public());
}

fn read_prekeys(reader: &mut Reader<'_>, most: usize, next: u32) -> Result<Vec<(u32, KeyPair)>, StateError> {
    let count = reader.count(most)?;
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let id = reader.u32()?;
        if !(1..next).contains(&id) {
            return Err(StateError::Damaged("a prekey has an id that was never given"));
        }
        let secret = reader.key()?;
        all.push((id, KeyPair::from_both(&secret, reader.array()?)));
    }
    Ok(all)
}

fn read_former(reader: &mut Reader<'_>) -> Result<Vec<u32>, StateError> {
    if reader.is_at_end() {
        return Ok(Vec::new());
    }
    let count = reader.count(limits::FORMER_DEVICES)?;
    if count == 0 {
        return Err(StateError::Damaged("a list of former devices is empty"));
    }
    (0..count).map(|_| reader.u32()).collect()
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({}, {}, {} prekeys)", self.id, self.fingerprint(), self.prekeys.len())
    }
}
